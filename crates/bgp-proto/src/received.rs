//! What the peer has sent: counted, and let go.

use std::collections::{BTreeMap, BTreeSet};

use ironlb_model::Prefix;

use crate::codec::Inspected;
use crate::codec::Notification;
use crate::codec::iana::cease;
use crate::{Config, DownReason, Family};

/// What came of one family in one session.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
struct Count {
    announced: u64,
    withdrawn: u64,
    /// Only where there is a limit, and never more than it allows.
    held: BTreeSet<Prefix>,
}

/// The routes that came in one session: how many, and no more of them than a limit needs.
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

    /// How many prefixes of this family the peer has announced and not withdrawn. It is known where there is a limit for them.
    #[must_use]
    pub fn held(&self, family: Family) -> Option<usize> {
        self.0.get(&family).map(|count| count.held.len()).filter(|held| *held > 0)
    }

    /// Counts an UPDATE; an error when the peer has now sent too much.
    pub(crate) fn count(&mut self, update: &Inspected, config: &Config) -> Result<(), (DownReason, Notification)> {
        for prefix in &update.withdrawn {
            let count = self.0.entry(Family::of(*prefix)).or_default();
            count.withdrawn += 1;
            count.held.remove(prefix);
        }
        for prefix in &update.announced {
            let family = Family::of(*prefix);
            let count = self.0.entry(family).or_default();
            count.announced += 1;
            let Some(limit) = config.families.get(&family).and_then(|family| family.maximum_prefixes) else { continue };
            if count.held.contains(prefix) {
                continue;
            }
            if count.held.len() >= usize::try_from(limit).unwrap_or(usize::MAX) {
                return Err(too_many(family, limit));
            }
            count.held.insert(*prefix);
        }
        Ok(())
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
