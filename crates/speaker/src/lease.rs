//! A node's Lease as membership means it, spelt as the API has it, and back. Pure.
//!
//! What the machine needs beside the Lease's own fields stands in annotations:
//!
//! | annotation | text |
//! |---|---|
//! | `ironlb.io/claims` | `vip@epoch`, joined by commas, in the order of the addresses |
//! | `ironlb.io/ready` | `true` while the holder has a snapshot and open sockets |
//! | `ironlb.io/macs` | the Ethernet addresses of the node, joined by commas |

use std::collections::{BTreeMap, BTreeSet};

use ironlb_k8s::{NodeLease, NodeLeaseWrite, Outcome};
use ironlb_membership::{Claims, Incarnation, Input, LeaseWrite, RenewFailure, SeenLease, Timing};
use ironlb_model::{MacAddr, NodeName};

const CLAIMS: &str = "ironlb.io/claims";
const READY: &str = "ironlb.io/ready";
const MACS: &str = "ironlb.io/macs";

/// A Lease that was read. What is unreadable in it counts as absent: a claim that nobody can read is no claim.
pub(crate) fn seen(lease: &NodeLease) -> SeenLease {
    let text = |name: &str| lease.annotations.get(name).map_or("", String::as_str);
    SeenLease {
        node: lease.node.clone(),
        version: lease.version,
        holder: lease.holder.clone().map(Incarnation),
        renewed: lease.renewed.map(|time| time.to_string()).unwrap_or_default(),
        transitions: lease.transitions,
        ready: text(READY) == "true",
        macs: macs(text(MACS)),
        claims: Claims::parse(text(CLAIMS)).0,
    }
}

/// A Lease to be written.
pub(crate) fn write(node: &NodeName, write: LeaseWrite, timing: &Timing) -> NodeLeaseWrite {
    let LeaseWrite { expected, holder, transitions, ready, macs, claims } = write;
    let macs: Vec<String> = macs.iter().map(MacAddr::to_string).collect();
    let annotations = [(CLAIMS, claims.to_string()), (READY, ready.to_string()), (MACS, macs.join(","))];
    NodeLeaseWrite {
        node: node.clone(),
        expected,
        holder: holder.map(|incarnation| incarnation.0),
        transitions,
        duration: timing.expiry,
        annotations: annotations.map(|(name, text)| (name.to_owned(), text)).into_iter().collect::<BTreeMap<_, _>>(),
    }
}

/// What the machine is told of a renewal.
pub(crate) fn renewed(outcome: &Outcome) -> Input {
    match outcome {
        Outcome::Written { version } | Outcome::Unchanged { version } => Input::Renewed { version: *version },
        Outcome::Conflict | Outcome::Gone => Input::RenewFailed(RenewFailure::Conflict),
        // Too many requests: the server serves nobody now.
        Outcome::Refused { code: 429, .. } | Outcome::Unreachable { .. } | Outcome::Unknown { .. } => {
            Input::RenewFailed(RenewFailure::Unreachable)
        }
        Outcome::Refused { .. } => Input::RenewFailed(RenewFailure::Refused),
    }
}

fn macs(text: &str) -> BTreeSet<MacAddr> {
    text.split(',').filter_map(|mac| mac.trim().parse().ok()).collect()
}

#[cfg(test)]
mod tests {
    use ironlb_membership::Epoch;
    use ironlb_model::ResourceVersion;

    use super::*;

    /// What an API server makes of a write.
    fn stored(write: &NodeLeaseWrite, version: u64) -> NodeLease {
        NodeLease {
            node: write.node.clone(),
            holder: write.holder.clone().filter(|holder| !holder.is_empty()),
            renewed: Some(1),
            transitions: write.transitions,
            annotations: write.annotations.clone(),
            version: ResourceVersion(version),
        }
    }

    #[test]
    fn what_is_written_is_read_again() {
        let mac = |text: &str| text.parse::<MacAddr>().expect("a literal");
        let given = LeaseWrite {
            expected: Some(ResourceVersion(4)),
            holder: Some(Incarnation("a".to_owned())),
            transitions: 3,
            ready: true,
            macs: BTreeSet::from([mac("02:00:00:00:00:01"), mac("02:00:00:00:00:02")]),
            claims: Claims(BTreeMap::from([
                ("192.0.2.1".parse().expect("a literal"), Epoch(7)),
                ("2001:db8::1".parse().expect("a literal"), Epoch(1)),
            ])),
        };
        let written = write(&"n1".into(), given.clone(), &Timing::lease());
        let read = seen(&stored(&written, 5));
        assert_eq!((read.holder, read.transitions, read.ready), (given.holder, 3, true));
        assert_eq!((read.macs, read.claims), (given.macs, given.claims));
        assert_eq!(written.duration, Timing::lease().expiry);
    }

    #[test]
    fn a_released_lease_has_no_holder_and_a_damaged_one_no_claims() {
        let mut lease = stored(&write(&"n1".into(), empty(), &Timing::lease()), 1);
        assert_eq!(seen(&lease).holder, None);
        lease.annotations.insert(CLAIMS.to_owned(), "192.0.2.1@x,@,nonsense".to_owned());
        lease.annotations.insert(MACS.to_owned(), "02:00,,zz".to_owned());
        lease.annotations.remove(READY);
        let read = seen(&lease);
        assert!(read.claims.0.is_empty() && read.macs.is_empty() && !read.ready);
    }

    fn empty() -> LeaseWrite {
        LeaseWrite {
            expected: None,
            holder: None,
            transitions: 0,
            ready: false,
            macs: BTreeSet::new(),
            claims: Claims::default(),
        }
    }

    #[test]
    fn each_outcome_of_a_renewal_has_its_meaning() {
        let version = ResourceVersion(3);
        let message = String::new();
        let failed = Input::RenewFailed;
        for (outcome, want) in [
            (Outcome::Written { version }, Input::Renewed { version }),
            (Outcome::Unchanged { version }, Input::Renewed { version }),
            (Outcome::Conflict, failed(RenewFailure::Conflict)),
            (Outcome::Gone, failed(RenewFailure::Conflict)),
            (Outcome::Refused { code: 429, message: message.clone() }, failed(RenewFailure::Unreachable)),
            (Outcome::Refused { code: 403, message: message.clone() }, failed(RenewFailure::Refused)),
            (Outcome::Unreachable { message: message.clone() }, failed(RenewFailure::Unreachable)),
            (Outcome::Unknown { message }, failed(RenewFailure::Unreachable)),
        ] {
            assert_eq!(renewed(&outcome), want, "{outcome:?}");
        }
    }
}
