//! The grammar of `spec.interface`: a name, or `can_reach:IP`.

use ironlb_model::{InterfaceChoice, InterfaceName};

use crate::address::{self, AddressFault};
use crate::quote::quoted;

/// The longest name Linux gives an interface (`IFNAMSIZ` is 16 with the closing zero).
const MAX_NAME: usize = 15;

/// What is wrong with an interface, and what to write instead.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum InterfaceFault {
    /// Longer than Linux allows.
    #[error("{} is longer than an interface name can be ({MAX_NAME} characters)", quoted(.0))]
    TooLong(String),
    /// A blank or a slash in it, or `.` or `..`.
    #[error("{} is not an interface name: write one such as eth0, or can_reach:192.0.2.1", quoted(.0))]
    NotAName(String),
    /// A colon that is not `can_reach:`.
    #[error("{} is neither an interface name nor can_reach:IP", quoted(.0))]
    UnknownForm(String),
    /// The loopback interface, which no neighbour hears.
    #[error("lo reaches no neighbour: write the interface of the network the addresses belong to")]
    Loopback,
    /// The address behind `can_reach:`.
    #[error("what follows can_reach: must be an IP address; {0}")]
    CanReach(AddressFault),
}

/// Reads `spec.interface`; empty text means the interface whose subnet holds the vip.
///
/// # Errors
/// [`InterfaceFault`], for the user to mend.
pub fn parse_choice(text: &str) -> Result<InterfaceChoice, InterfaceFault> {
    let text = text.trim();
    if text.is_empty() {
        return Ok(InterfaceChoice::BySubnet);
    }
    if let Some(target) = text.strip_prefix("can_reach:") {
        return address::parse_address(target.trim()).map(InterfaceChoice::CanReach).map_err(InterfaceFault::CanReach);
    }
    parse_name(text).map(InterfaceChoice::Named)
}

/// Reads one interface name.
///
/// # Errors
/// [`InterfaceFault`], for the user to mend.
pub fn parse_name(text: &str) -> Result<InterfaceName, InterfaceFault> {
    if text.contains(':') {
        return Err(InterfaceFault::UnknownForm(text.to_owned()));
    }
    // The kernel's own rule (dev_valid_name): not empty, not "." nor "..", no slash, colon or white space.
    if text.is_empty()
        || text == "."
        || text == ".."
        || text.chars().any(|c| c == '/' || c.is_whitespace() || c.is_control())
    {
        return Err(InterfaceFault::NotAName(text.to_owned()));
    }
    if text.len() > MAX_NAME {
        return Err(InterfaceFault::TooLong(text.to_owned()));
    }
    if text == "lo" {
        return Err(InterfaceFault::Loopback);
    }
    Ok(text.into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_and_targets_are_read() {
        let reach = |text: &str| InterfaceChoice::CanReach(text.parse().unwrap());
        for (text, want) in [
            ("", InterfaceChoice::BySubnet),
            ("  ", InterfaceChoice::BySubnet),
            ("eth0", InterfaceChoice::Named("eth0".into())),
            (" bond0.100 ", InterfaceChoice::Named("bond0.100".into())),
            ("enp0s31f6-longer"[..15].into(), InterfaceChoice::Named("enp0s31f6-longe".into())),
            ("can_reach:192.0.2.1", reach("192.0.2.1")),
            ("can_reach: 2001:DB8::0:1", reach("2001:db8::1")),
        ] {
            assert_eq!(parse_choice(text), Ok(want), "{text:?}");
        }
    }

    #[test]
    fn what_linux_cannot_name_is_refused_with_what_to_write() {
        for (text, want) in [
            ("lo", "lo reaches no neighbour"),
            ("a-name-of-sixteen", "longer than"),
            ("eth0 eth1", "not an interface name"),
            ("a/b", "not an interface name"),
            ("..", "not an interface name"),
            ("eth0:1", "neither an interface name nor can_reach:IP"),
            ("can_reach:", "\"\" is not an IP address"),
            ("can_reach:gateway", "\"gateway\" is not an IP address"),
            ("Can_Reach:192.0.2.1", "neither an interface name nor can_reach:IP"),
        ] {
            let said = parse_choice(text).map_err(|fault| fault.to_string());
            assert!(said.as_ref().is_err_and(|said| said.contains(want)), "{text:?}: {said:?}");
        }
    }
}
