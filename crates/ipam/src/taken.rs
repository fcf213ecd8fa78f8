//! Which addresses are taken and by whom, and the lowest free one of an Eip.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;

use ironlb_model::{AddressRange, ConflictDetection, IpFamily, Pool, PoolSize, Service, Snapshot};

use crate::conflict::detection;
use crate::in_flight::InFlight;
use crate::territory::{EipIndex, Territory, successor};

/// Every address that is not free, with its holders. Built once for a plan; what the plan gives out is added.
///
/// An address counts as taken by every Service whose status shows it, whoever serves that Service, and by every Service this
/// controller wrote it to and has not seen come back.
#[derive(Debug, Default)]
pub(crate) struct Taken<'a> {
    holders: BTreeMap<IpAddr, Holders<'a>>,
    /// Nobody holds these, or somebody who should not, and they are not given out for now.
    resting: BTreeSet<IpAddr>,
    /// Those of them that a stranger claims.
    claimed: BTreeSet<IpAddr>,
}

/// Who holds an address: nearly always one Service.
#[derive(Debug)]
struct Holders<'a> {
    first: &'a Service,
    others: Vec<&'a Service>,
}

impl<'a> Taken<'a> {
    pub(crate) fn new(snapshot: &'a Snapshot, in_flight: &InFlight, territory: &Territory<'_>) -> Self {
        let shown = snapshot.services.values().flat_map(|service| service.addresses().map(|a| (a, service.as_ref())));
        let mut shown: Vec<(IpAddr, &Service)> = shown.collect();
        // Stable, so that the holders of one address stay in the order of their names.
        shown.sort_by_key(|(address, _)| *address);
        let holders = shown.chunk_by(|(a, _), (b, _)| a == b).filter_map(|group| {
            let ((address, first), others) = group.split_first()?;
            Some((*address, Holders { first, others: others.iter().map(|(_, other)| *other).collect() }))
        });
        let is_withheld = |address: &IpAddr| detection(territory, *address) == ConflictDetection::Enforce;
        let claimed: BTreeSet<IpAddr> = in_flight.claimed.keys().copied().filter(is_withheld).collect();
        let resting = in_flight.freed.keys().chain(&claimed).copied().collect();
        let mut taken = Self { holders: holders.collect(), resting, claimed };
        for (id, write) in &in_flight.services {
            // A Service that is gone holds nothing; its entry leaves with the next look at the snapshot.
            if let Some(service) = snapshot.services.get(id) {
                for address in &write.addresses {
                    taken.add(*address, service);
                }
            }
        }
        taken
    }

    /// Notes that this Service holds this address.
    pub(crate) fn add(&mut self, address: IpAddr, service: &'a Service) {
        self.holders
            .entry(address)
            .and_modify(|holders| {
                if holders.first.id != service.id && holders.others.iter().all(|other| other.id != service.id) {
                    holders.others.push(service);
                }
            })
            .or_insert(Holders { first: service, others: Vec::new() });
    }

    /// Who holds this address besides this Service.
    pub(crate) fn others<'t>(
        &'t self,
        address: IpAddr,
        service: &'t Service,
    ) -> impl Iterator<Item = &'a Service> + 't {
        self.holders
            .get(&address)
            .into_iter()
            .flat_map(|holders| std::iter::once(holders.first).chain(holders.others.iter().copied()))
            .filter(move |holder| holder.id != service.id)
    }

    /// Does nobody hold it?
    pub(crate) fn is_free(&self, address: IpAddr) -> bool {
        !self.holders.contains_key(&address)
    }

    /// Is it given to nobody new because a stranger claims it?
    pub(crate) fn is_claimed(&self, address: IpAddr) -> bool {
        self.claimed.contains(&address)
    }

    /// Does a stranger claim an address of this pool and family that nobody holds?
    pub(crate) fn has_claimed(&self, pool: &Pool, family: IpFamily) -> bool {
        let lost = |address: &&IpAddr| IpFamily::of(**address) == family && pool.contains(**address);
        self.claimed.iter().filter(lost).any(|address| self.is_free(*address))
    }

    /// Every address in this range that somebody holds, once for each holder.
    pub(crate) fn held_in(&self, range: AddressRange) -> impl Iterator<Item = (IpAddr, &'a Service)> + '_ {
        self.holders.range(range.first()..=range.last()).flat_map(|(address, holders)| {
            std::iter::once(holders.first).chain(holders.others.iter().copied()).map(|holder| (*address, holder))
        })
    }

    /// Of the addresses of a pool that may be given out: how many are held or resting, and how many there are.
    pub(crate) fn room_in(&self, pool: &Pool, family: IpFamily, avoid_buggy: bool) -> (PoolSize, PoolSize) {
        let counts = |address: &&IpAddr| !(avoid_buggy && is_buggy(**address));
        let (mut used, mut total): (PoolSize, PoolSize) = (0, 0);
        for range in pool.ranges().iter().filter(|range| range.family() == family) {
            let within = || range.first()..=range.last();
            let resting = self.resting.range(within()).filter(|address| !self.holders.contains_key(*address));
            let held = self.holders.range(within()).map(|(address, _)| address);
            used += held.chain(resting).filter(counts).map(|_| 1).sum::<PoolSize>();
            total = total.saturating_add(range.size() - if avoid_buggy { buggy_in(*range) } else { 0 });
        }
        (used, total)
    }
}

/// Some firewalls drop these as network or broadcast addresses, whatever the prefix length.
pub(crate) fn is_buggy(address: IpAddr) -> bool {
    matches!(address, IpAddr::V4(a) if matches!(a.octets()[3], 0 | 255))
}

/// How many such addresses are in this range.
pub(crate) fn buggy_in(range: AddressRange) -> PoolSize {
    // Those below n: one for each multiple of 256 before it, and one for each number before such a multiple.
    let below = |n: u64| PoolSize::from(n.div_ceil(256) + n / 256);
    match (range.first(), range.last()) {
        (IpAddr::V4(first), IpAddr::V4(last)) => {
            below(u64::from(u32::from(last)) + 1) - below(u64::from(u32::from(first)))
        }
        _ => 0,
    }
}

/// Where addresses are looked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Place {
    /// What an Eip has for everybody.
    Open(EipIndex),
    /// What an entry of the reservations has.
    Reserved(usize),
}

/// Where the search for a free address in each place and family stands.
///
/// While a plan is made addresses are only ever taken, so what was passed over once is never free again, and giving out a whole pool
/// costs one walk over it.
#[derive(Debug, Default)]
pub(crate) struct Search {
    /// The address to look at next; `None` when the end was reached.
    next: BTreeMap<(Place, IpFamily), Option<IpAddr>>,
    /// How many addresses of a full place and family are taken, of how many, once somebody asked.
    used: BTreeMap<(Place, IpFamily), (PoolSize, PoolSize)>,
}

impl Search {
    /// The lowest free address of this family in this place, which has this pool.
    pub(crate) fn lowest_free(
        &mut self,
        place: Place,
        pool: &Pool,
        family: IpFamily,
        avoid_buggy: bool,
        taken: &Taken<'_>,
    ) -> Option<IpAddr> {
        let next = self
            .next
            .entry((place, family))
            .or_insert_with(|| pool.ranges().iter().find(|r| r.family() == family).map(|r| r.first()));
        *next = free_from(pool, family, *next, taken, avoid_buggy);
        *next
    }

    /// How many addresses of this family are held or resting in a place that is full, and how many there are; so counted once.
    pub(crate) fn used(
        &mut self,
        place: Place,
        pool: &Pool,
        family: IpFamily,
        avoid_buggy: bool,
        taken: &Taken<'_>,
    ) -> (PoolSize, PoolSize) {
        *self.used.entry((place, family)).or_insert_with(|| taken.room_in(pool, family, avoid_buggy))
    }
}

/// The lowest free address of `family` at `from` or above.
fn free_from(
    pool: &Pool,
    family: IpFamily,
    from: Option<IpAddr>,
    taken: &Taken<'_>,
    avoid_buggy: bool,
) -> Option<IpAddr> {
    let from = from?;
    let is_kept_back = |address: IpAddr| (avoid_buggy && is_buggy(address)) || taken.resting.contains(&address);
    let may_be_given = |address: &IpAddr| !is_kept_back(*address);
    let skip = pool.ranges().partition_point(|r| r.last() < from);
    for range in pool.ranges().iter().skip(skip).filter(|r| r.family() == family) {
        let first = range.first().max(from);
        let mut candidate = Some(first);
        for (held, _) in taken.holders.range(first..=range.last()) {
            // Mostly they follow each other, and this is all that is done for one.
            if candidate != Some(*held) {
                let gap = std::iter::successors(candidate, |address| successor(*address));
                let free = gap.take_while(|address| address < held).find(may_be_given);
                if free.is_some() {
                    return free;
                }
            }
            candidate = successor(*held);
        }
        let rest = std::iter::successors(candidate, |address| successor(*address));
        let free = rest.take_while(|address| range.contains(*address)).find(may_be_given);
        if free.is_some() {
            return free;
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::*;

    #[test]
    fn buggy_addresses_are_counted_without_a_walk() {
        for range in [
            "10.0.0.0-10.0.0.0",
            "10.0.0.1-10.0.0.254",
            "10.0.0.255-10.0.1.0",
            "10.0.0.7-10.0.3.255",
            "10.0.0.0-10.0.2.0",
        ] {
            let range = ranges(range)[0];
            let mut next = Some(range.first());
            let mut count = 0;
            while let Some(address) = next.filter(|a| range.contains(*a)) {
                count += PoolSize::from(is_buggy(address));
                next = successor(address);
            }
            assert_eq!(buggy_in(range), count, "{range}");
        }
        assert_eq!(buggy_in(ranges("0.0.0.0/0")[0]), 2 << 24);
        assert_eq!(buggy_in(ranges("fd00::/64")[0]), 0);
    }
}
