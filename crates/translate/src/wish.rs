//! Which addresses a Service asks for.

use std::net::IpAddr;

use ironlb_model::IpFamily;

use crate::address::{self, AddressFault};

/// What is wrong with a wish, and what to write instead.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum WishFault {
    /// A part is not an address.
    #[error(transparent)]
    Address(#[from] AddressFault),
    /// Two addresses of one family.
    #[error("it asks for two {0} addresses: a Service has at most one of each family")]
    TwoOfAFamily(IpFamily),
}

/// Reads a wish: nothing, one address, or one of each family, comma-separated; in the order written.
///
/// # Errors
/// [`WishFault`], for the user to mend. A wish that cannot be read is never taken for none: the Service would get an
/// address nobody asked for.
pub fn parse_wish(text: &str) -> Result<Vec<IpAddr>, WishFault> {
    if text.trim().is_empty() {
        return Ok(Vec::new());
    }
    let mut wish: Vec<IpAddr> = Vec::new();
    // Two are allowed, so the third part is never read.
    for part in text.split(',').take(3) {
        let address = address::parse_address(part.trim())?;
        let family = IpFamily::of(address);
        if wish.iter().any(|other| IpFamily::of(*other) == family) {
            return Err(WishFault::TwoOfAFamily(family));
        }
        wish.push(address);
    }
    Ok(wish)
}

/// Reads what ironlb itself wrote down on a Service, skipping what it cannot have written.
#[must_use]
pub fn parse_remembered(text: &str) -> Vec<IpAddr> {
    let mut remembered: Vec<IpAddr> = Vec::new();
    for address in text.split(',').filter_map(|part| part.trim().parse::<IpAddr>().ok()) {
        if !remembered.iter().any(|other| IpFamily::of(*other) == IpFamily::of(address)) {
            remembered.push(address);
        }
    }
    remembered
}

#[cfg(test)]
mod tests {
    use super::*;

    fn addresses(texts: &[&str]) -> Vec<IpAddr> {
        texts.iter().map(|text| text.parse().unwrap()).collect()
    }

    #[test]
    fn one_of_each_family_in_canonical_form() {
        for (text, want) in [
            ("", &[][..]),
            (" ", &[]),
            ("192.0.2.7", &["192.0.2.7"]),
            ("2001:DB8:0:0::0007", &["2001:db8::7"]),
            (" 2001:db8::7 , 192.0.2.7 ", &["2001:db8::7", "192.0.2.7"]),
        ] {
            assert_eq!(parse_wish(text), Ok(addresses(want)), "{text:?}");
        }
    }

    #[test]
    fn anything_else_is_a_fault_and_not_an_empty_wish() {
        for (text, want) in [
            ("192.0.2.7,192.0.2.8", "two IPv4 addresses"),
            ("2001:db8::1,2001:db8::2", "two IPv6 addresses"),
            ("192.0.2.7,2001:db8::1,192.0.2.8", "two IPv4 addresses"),
            ("192.0.2.7,", "\"\" is not an IP address"),
            ("192.0.2.0/24", "is not an IP address"),
            ("192.0.2.1-192.0.2.9", "is not an IP address"),
            ("any", "\"any\" is not an IP address"),
            ("::ffff:192.0.2.1", "write 192.0.2.1"),
        ] {
            let said = parse_wish(text).map_err(|fault| fault.to_string());
            assert!(said.as_ref().is_err_and(|said| said.contains(want)), "{text:?}: {said:?}");
        }
    }

    #[test]
    fn what_was_remembered_is_read_leniently() {
        assert_eq!(parse_remembered("192.0.2.7,2001:db8::7"), addresses(&["192.0.2.7", "2001:db8::7"]));
        assert_eq!(parse_remembered("gone, 192.0.2.7,192.0.2.8,"), addresses(&["192.0.2.7"]));
        assert!(parse_remembered("").is_empty());
    }
}
