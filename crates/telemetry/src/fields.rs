//! The names of log fields, so that one thing has one name in every line.
//!
//! Used in `tracing`'s brace form: `info!({ fields::VIP } = %vip, "answering")`.

/// The address given to a Service.
pub const VIP: &str = "vip";
/// A Service as `namespace/name`.
pub const SERVICE: &str = "service";
/// The name of an Eip.
pub const EIP: &str = "eip";
/// The name of a node.
pub const NODE: &str = "node";
/// The name of a network interface.
pub const IFACE: &str = "iface";
/// A station's hardware address.
pub const MAC: &str = "mac";
/// A configured router.
pub const PEER: &str = "peer";
/// The state a session or a lease is in.
pub const STATE: &str = "state";
/// Why something is not done, from a closed list.
pub const REASON: &str = "reason";
/// Which try this is, from 1.
pub const ATTEMPT: &str = "attempt";
/// How long until the next try.
pub const RETRY_IN: &str = "retry_in";
/// The kind of Kubernetes object that is watched or written.
pub const KIND: &str = "kind";
/// A Kubernetes object as `kind namespace/name`, where it is none of the above.
pub const OBJECT: &str = "object";
/// An address and port of ours, or the path of a socket.
pub const ADDRESS: &str = "address";
/// A version of ironlb.
pub const VERSION: &str = "version";
/// An error with its causes.
pub const ERROR: &str = "error";

/// All of them.
#[cfg(test)]
const ALL: [&str; 16] = [
    VIP, SERVICE, EIP, NODE, IFACE, MAC, PEER, STATE, REASON, ATTEMPT, RETRY_IN, KIND, OBJECT, ADDRESS, VERSION, ERROR,
];

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::ALL;

    #[test]
    fn no_two_things_share_a_name_and_none_hides_the_line_itself() {
        assert_eq!(ALL.iter().collect::<BTreeSet<_>>().len(), ALL.len());
        // What the JSON form puts beside the fields.
        for own in ["timestamp", "level", "message", "target", "span", "spans"] {
            assert!(!ALL.contains(&own), "{own}");
        }
    }
}
