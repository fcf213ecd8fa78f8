//! When to announce which vip.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;
use std::time::Duration;

use ironlb_model::Timestamp;

use crate::rate::{Bucket, Rate};

/// The pauses between the announcements of one vip: it is announced at 0, 0.1, 1.1, 2.2 and 4 s.
///
/// Chosen, because one frame may be lost; because Linux may leave an entry alone that is younger than a second (`locktime`), so the
/// repeats must reach beyond that; and because some switches come up, and forward, seconds after their port does.
pub const SPACING: [Duration; 4] = [
    Duration::from_millis(100),
    Duration::from_millis(1_000),
    Duration::from_millis(1_100),
    Duration::from_millis(1_800),
];

/// First announcements stand before all repeats.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Turn {
    First,
    Repeat,
}

/// A vip's next announcement.
#[derive(Debug, Clone, Copy)]
struct Pending {
    /// How many times it has been announced since it was gained.
    announced: usize,
    due: Timestamp,
}

impl Pending {
    fn turn(self) -> Turn {
        match self.announced {
            0 => Turn::First,
            _ => Turn::Repeat,
        }
    }
}

/// The announcements that one interface has still to make, of either family.
///
/// ```text
///         gain                 take_due            take_due (5th)
///  idle --------> first turn ------------> repeat -----------------> idle
///                    ^                       |
///                    +-------- gain ---------+      lose: from anywhere to idle, at once
/// ```
///
/// The pauses run from the moment the previous announcement was taken, so a vip that waited for its turn is not announced twice in a
/// row. A whole round of many vips takes as long as the pace makes it; every vip's first announcement goes before any repeat.
#[derive(Debug, Clone)]
pub struct Schedule {
    pace: Rate,
    bucket: Bucket,
    pending: BTreeMap<IpAddr, Pending>,
    queue: BTreeSet<(Turn, Timestamp, IpAddr)>,
}

impl Schedule {
    /// An empty one; `pace` is how many vips are announced in a second and how many at once.
    #[must_use]
    pub fn new(pace: Rate) -> Self {
        Self { pace, bucket: Bucket::default(), pending: BTreeMap::new(), queue: BTreeSet::new() }
    }

    /// Announces `vip` from now on; a vip that is being announced starts again.
    pub fn gain(&mut self, now: Timestamp, vip: IpAddr) {
        self.lose(vip);
        self.enqueue(vip, Pending { announced: 0, due: now });
    }

    /// Announces `vip` no more.
    pub fn lose(&mut self, vip: IpAddr) {
        if let Some(pending) = self.pending.remove(&vip) {
            self.queue.remove(&(pending.turn(), pending.due, vip));
        }
    }

    /// The vip to announce now, if one is due and the pace allows it; asked until it gives none.
    pub fn take_due(&mut self, now: Timestamp) -> Option<IpAddr> {
        let &(_, due, vip) = self.queue.first()?;
        if due > now || !self.bucket.has(self.pace, 0, now) {
            return None;
        }
        self.bucket.take(self.pace, now);
        let announced = self.pending.get(&vip).map_or(0, |pending| pending.announced);
        self.lose(vip);
        if let Some(pause) = SPACING.get(announced) {
            self.enqueue(vip, Pending { announced: announced.saturating_add(1), due: now + *pause });
        }
        Some(vip)
    }

    /// When to ask [`Schedule::take_due`] again.
    #[must_use]
    pub fn poll_timeout(&self) -> Option<Timestamp> {
        let &(_, due, _) = self.queue.first()?;
        Some(due.max(self.bucket.ready_at(self.pace, 0)))
    }

    /// How many vips have announcements to come.
    #[must_use]
    pub fn len(&self) -> usize {
        self.pending.len()
    }

    /// Is there nothing left to announce?
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.pending.is_empty()
    }

    fn enqueue(&mut self, vip: IpAddr, pending: Pending) {
        self.queue.insert((pending.turn(), pending.due, vip));
        self.pending.insert(vip, pending);
    }
}

#[cfg(test)]
mod properties;
#[cfg(test)]
mod tests;
