//! What the peer has sent: counted, and let go.

use std::collections::{BTreeMap, BTreeSet};

use ironlb_model::Prefix;

use crate::codec::Inspected;
use crate::codec::Notification;
use crate::codec::iana::cease;
use crate::{Config, DownReason, Family};

/// How many prefixes of a family are told apart where no limit is set. Chosen: a router has a default route or a few hundred to tell a
/// node, and ten thousand of them take half a megabyte; one that sends the table of the Internet costs no more.
pub const COUNTED_AT_MOST: usize = 10_000;

/// What came of one family in one session.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
struct Count {
    announced: u64,
    withdrawn: u64,
    /// Which they are, without their attributes; never more than the limit allows, or [`COUNTED_AT_MOST`].
    held: BTreeSet<Prefix>,
    /// There were more than could be told apart.
    has_passed_over: bool,
}

/// The routes that came in one session: how many, and no more of them than is needed to count each once.
///
/// A prefix that is announced again, with another MED say, is the same prefix, and one may be withdrawn that never was announced:
/// messages alone do not tell how many there are.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Received(BTreeMap<Family, Count>);

impl Received {
    /// How many times a prefix of this family was announced.
    #[must_use]
    pub fn announced(&self, family: Family) -> u64 {
        self.0.get(&family).map_or(0, |count| count.announced)
    }

    /// How many times a prefix of this family was withdrawn.
    #[must_use]
    pub fn withdrawn(&self, family: Family) -> u64 {
        self.0.get(&family).map_or(0, |count| count.withdrawn)
    }

    /// How many prefixes of this family the peer has announced and not withdrawn; at least so many where [`Received::is_exact`] is
    /// false.
    #[must_use]
    pub fn held(&self, family: Family) -> usize {
        self.0.get(&family).map_or(0, |count| count.held.len())
    }

    /// Was every prefix of this family counted? Once there were more at a time than [`COUNTED_AT_MOST`], the others stay unknown until
    /// the session ends.
    #[must_use]
    pub fn is_exact(&self, family: Family) -> bool {
        self.0.get(&family).is_none_or(|count| !count.has_passed_over)
    }

    /// Counts an UPDATE, and returns the families that have just got more prefixes than are counted; an error when the peer has now
    /// sent too much.
    pub(crate) fn count(
        &mut self,
        update: &Inspected,
        config: &Config,
    ) -> Result<BTreeSet<Family>, (DownReason, Notification)> {
        for prefix in &update.withdrawn {
            let count = self.0.entry(Family::of(*prefix)).or_default();
            count.withdrawn += 1;
            count.held.remove(prefix);
        }
        let mut passed_over = BTreeSet::new();
        for prefix in &update.announced {
            let family = Family::of(*prefix);
            let count = self.0.entry(family).or_default();
            count.announced += 1;
            let limit = config.families.get(&family).and_then(|family| family.maximum_prefixes);
            let most = limit.map_or(COUNTED_AT_MOST, |limit| usize::try_from(limit).unwrap_or(usize::MAX));
            if count.held.len() < most {
                count.held.insert(*prefix);
            } else if !count.held.contains(prefix) {
                if let Some(limit) = limit {
                    return Err(too_many(family, limit));
                }
                if !std::mem::replace(&mut count.has_passed_over, true) {
                    passed_over.insert(family);
                }
            }
        }
        Ok(passed_over)
    }
}

fn too_many(family: Family, limit: u32) -> (DownReason, Notification) {
    // RFC 4486 §4: the family and the upper bound go along as data.
    let (afi, safi) = family.numbers();
    let mut notification = Notification::cease(cease::MAXIMUM_PREFIXES);
    notification.data.extend(afi.to_be_bytes());
    notification.data.push(safi);
    notification.data.extend(limit.to_be_bytes());
    (DownReason::MaximumPrefixes { family, limit }, notification)
}

#[cfg(test)]
mod tests {
    use std::net::Ipv4Addr;

    use proptest::prelude::*;

    use super::*;
    use crate::{Asn, FamilyConfig, RouterId};

    fn config() -> Config {
        let asn = Asn::new(65_001).expect("a number");
        Config::new(asn, asn, RouterId::new(Ipv4Addr::LOCALHOST).expect("an identifier"))
    }

    fn prefix(number: u32) -> Prefix {
        Prefix::new(Ipv4Addr::from(number << 8).into(), 24).expect("a prefix")
    }

    fn update(announced: impl IntoIterator<Item = u32>, withdrawn: impl IntoIterator<Item = u32>) -> Inspected {
        Inspected {
            announced: announced.into_iter().map(prefix).collect(),
            withdrawn: withdrawn.into_iter().map(prefix).collect(),
            ..Inspected::default()
        }
    }

    #[test]
    fn beyond_what_is_told_apart_the_count_stands_and_is_said_to_be_less_than_all() {
        let (v4, mut received) = (Family::Ipv4Unicast, Received::default());
        let most = u32::try_from(COUNTED_AT_MOST).expect("small");
        assert_eq!(received.count(&update(0..most, []), &config()), Ok(BTreeSet::new()));
        assert_eq!((received.held(v4), received.is_exact(v4)), (COUNTED_AT_MOST, true));
        assert_eq!(received.count(&update(0..most, []), &config()), Ok(BTreeSet::new()), "the same ones again");
        assert_eq!(received.count(&update(most..most + 5, []), &config()), Ok(BTreeSet::from([v4])));
        assert_eq!(received.count(&update(most..most + 5, []), &config()), Ok(BTreeSet::new()), "told once");
        assert_eq!((received.held(v4), received.is_exact(v4)), (COUNTED_AT_MOST, false));
        assert_eq!(received.count(&update([], 0..10), &config()), Ok(BTreeSet::new()));
        assert_eq!((received.held(v4), received.is_exact(v4)), (COUNTED_AT_MOST - 10, false));
        assert!(received.is_exact(Family::Ipv6Unicast));
    }

    #[test]
    fn a_limit_of_its_own_counts_beyond_what_is_told_apart_without_one() {
        let most = u32::try_from(COUNTED_AT_MOST).expect("small") + 1;
        let limited = FamilyConfig { maximum_prefixes: Some(most), ..FamilyConfig::default() };
        let config = Config { families: [(Family::Ipv4Unicast, limited)].into(), ..config() };
        let mut received = Received::default();
        assert!(received.count(&update(0..most, []), &config).is_ok());
        assert_eq!(received.held(Family::Ipv4Unicast), COUNTED_AT_MOST + 1);
        assert!(received.count(&update([most], []), &config).is_err());
    }

    /// Announcements less withdrawals, as the count once was: kept to show that the property below can fail.
    fn difference(received: &Received) -> usize {
        let (announced, withdrawn) = (received.announced(Family::Ipv4Unicast), received.withdrawn(Family::Ipv4Unicast));
        usize::try_from(announced.saturating_sub(withdrawn)).expect("small")
    }

    fn counts_truly(updates: &[(Vec<u32>, Vec<u32>)], read: fn(&Received) -> usize) -> Result<(), TestCaseError> {
        let (mut received, mut model) = (Received::default(), BTreeSet::new());
        for (announced, withdrawn) in updates {
            let counted = received.count(&update(announced.iter().copied(), withdrawn.iter().copied()), &config());
            prop_assert_eq!(counted, Ok(BTreeSet::new()));
            model.retain(|number| !withdrawn.contains(number));
            model.extend(announced.iter().copied());
            prop_assert_eq!(read(&received), model.len());
        }
        Ok(())
    }

    proptest! {
        #[test]
        fn the_count_is_that_of_a_table(
            updates in proptest::collection::vec(
                (proptest::collection::vec(0..20_u32, 0..6), proptest::collection::vec(0..20_u32, 0..6)), 0..40)
        ) {
            counts_truly(&updates, |received| received.held(Family::Ipv4Unicast))?;
        }
    }

    #[test]
    fn a_difference_of_messages_is_no_count() {
        for updates in [[(vec![1], vec![]), (vec![1], vec![])], [(vec![], vec![2]), (vec![1], vec![])]] {
            assert!(counts_truly(&updates, difference).is_err(), "{updates:?}");
        }
    }
}
