//! Claims: which vips a node says are its own, each with an epoch that orders takeovers.

use std::collections::BTreeMap;
use std::fmt;
use std::net::IpAddr;

use ironlb_model::{NodeName, compare_preference};

/// How often a vip has changed hands, as far as the claimant knew; a takeover is one more than the highest ever seen.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Epoch(pub u64);

impl Epoch {
    /// The one after this; the largest stays (only a damaged Lease holds it).
    #[must_use]
    pub fn next(self) -> Self {
        Self(self.0.saturating_add(1))
    }
}

impl fmt::Display for Epoch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&self.0, f)
    }
}

/// Does the first of two claims on `vip` win? The higher epoch does; of two equal ones, that of the node the vip prefers.
///
/// This is a total order over claims of different nodes, so of any set of rivals exactly one has no reason to yield.
#[must_use]
pub fn wins(vip: IpAddr, (epoch, node): (Epoch, &NodeName), (other_epoch, other): (Epoch, &NodeName)) -> bool {
    epoch.cmp(&other_epoch).then_with(|| compare_preference(vip, node, other)).is_gt()
}

/// A node's claims, as its Lease carries them: `vip@epoch` joined by commas, in the order of the addresses.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Claims(pub BTreeMap<IpAddr, Epoch>);

impl Claims {
    /// Reads the text of a Lease. Entries that are none are left out and counted; of two for one vip the higher epoch counts.
    #[must_use]
    pub fn parse(text: &str) -> (Self, usize) {
        let mut claims = BTreeMap::new();
        let mut unreadable = 0;
        for entry in text.split(',').map(str::trim).filter(|entry| !entry.is_empty()) {
            match parse_entry(entry) {
                Some((vip, epoch)) => {
                    let known = claims.entry(vip).or_insert(epoch);
                    *known = epoch.max(*known);
                }
                None => unreadable += 1,
            }
        }
        (Self(claims), unreadable)
    }
}

fn parse_entry(entry: &str) -> Option<(IpAddr, Epoch)> {
    let (vip, epoch) = entry.split_once('@')?;
    // `u64::from_str` takes a leading plus sign; ours never writes one.
    let epoch = epoch.bytes().all(|b| b.is_ascii_digit()).then(|| epoch.parse().ok()).flatten()?;
    Some((vip.parse().ok()?, Epoch(epoch)))
}

impl fmt::Display for Claims {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (n, (vip, epoch)) in self.0.iter().enumerate() {
            let comma = if n == 0 { "" } else { "," };
            write!(f, "{comma}{vip}@{epoch}")?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn the_text_is_sorted_and_canonical() {
        let (claims, unreadable) = Claims::parse("2001:DB8::1@2, 192.0.2.10@7,192.0.2.9@1,,");
        assert_eq!(unreadable, 0);
        assert_eq!(claims.to_string(), "192.0.2.9@1,192.0.2.10@7,2001:db8::1@2");
        assert_eq!(Claims::default().to_string(), "");
    }

    #[test]
    fn what_is_no_claim_is_left_out_and_counted() {
        for (text, kept, unreadable) in [
            ("", "", 0),
            ("192.0.2.1", "", 1),
            ("192.0.2.1@", "", 1),
            ("192.0.2.1@+1", "", 1),
            ("192.0.2.1@-1", "", 1),
            ("192.0.2.1@18446744073709551616", "", 1),
            ("x@1,192.0.2.1@3", "192.0.2.1@3", 1),
            ("192.0.2.1@3,192.0.2.1@9,192.0.2.1@4", "192.0.2.1@9", 0),
        ] {
            let (claims, count) = Claims::parse(text);
            assert_eq!((claims.to_string().as_str(), count), (kept, unreadable), "{text}");
        }
    }

    proptest! {
        #[test]
        fn text_round_trips(map in prop::collection::btree_map(any::<IpAddr>(), any::<u64>().prop_map(Epoch), 0..20)) {
            let claims = Claims(map);
            let text = claims.to_string();
            prop_assert_eq!(Claims::parse(&text), (claims, 0));
        }

        #[test]
        fn any_text_is_read_without_panic(text in ".{0,80}") {
            let (claims, _) = Claims::parse(&text);
            prop_assert_eq!(Claims::parse(&claims.to_string()), (claims, 0));
        }

        #[test]
        fn exactly_one_of_several_rivals_wins(vip: IpAddr, epochs in prop::collection::vec(0..3_u64, 2..6)) {
            let rivals: Vec<(Epoch, NodeName)> =
                epochs.iter().enumerate().map(|(n, e)| (Epoch(*e), NodeName::from(format!("n{n}")))).collect();
            let winners = rivals
                .iter()
                .filter(|(e, n)| rivals.iter().all(|(f, m)| n == m || wins(vip, (*e, n), (*f, m))))
                .count();
            prop_assert_eq!(winners, 1);
        }
    }
}
