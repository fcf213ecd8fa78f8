//! Which addresses are taken and by whom, and the lowest free one of an Eip.

use std::collections::BTreeMap;
use std::net::IpAddr;

use ironlb_model::{IpFamily, Pool, PoolSize, Service, Snapshot};

use crate::in_flight::InFlight;
use crate::territory::{EipIndex, Territory, successor};

/// Every address that is not free, with its holders. Built once for a plan; what the plan gives out is added.
///
/// An address counts as taken by every Service whose status shows it, whoever serves that Service, and by every Service this
/// controller wrote it to and has not seen come back.
#[derive(Debug, Default)]
pub(crate) struct Taken<'a> {
    holders: BTreeMap<IpAddr, Holders<'a>>,
}

/// Who holds an address: nearly always one Service.
#[derive(Debug)]
struct Holders<'a> {
    first: &'a Service,
    others: Vec<&'a Service>,
}

impl<'a> Taken<'a> {
    pub(crate) fn new(snapshot: &'a Snapshot, in_flight: &InFlight) -> Self {
        let shown = snapshot.services.values().flat_map(|service| service.addresses().map(|a| (a, service.as_ref())));
        let mut shown: Vec<(IpAddr, &Service)> = shown.collect();
        // Stable, so that the holders of one address stay in the order of their names.
        shown.sort_by_key(|(address, _)| *address);
        let holders = shown.chunk_by(|(a, _), (b, _)| a == b).filter_map(|group| {
            let ((address, first), others) = group.split_first()?;
            Some((*address, Holders { first, others: others.iter().map(|(_, other)| *other).collect() }))
        });
        let mut taken = Self { holders: holders.collect() };
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

    /// How many of the addresses of a pool are taken.
    pub(crate) fn count_in(&self, pool: &Pool, family: IpFamily) -> PoolSize {
        let ranges = pool.ranges().iter().filter(|range| range.family() == family);
        ranges.map(|range| self.holders.range(range.first()..=range.last()).map(|_| 1).sum::<PoolSize>()).sum()
    }
}

/// Some firewalls drop these as network or broadcast addresses, whatever the prefix length.
pub(crate) fn is_buggy(address: IpAddr) -> bool {
    matches!(address, IpAddr::V4(a) if matches!(a.octets()[3], 0 | 255))
}

/// Where the search for a free address of each Eip and family stands.
///
/// While a plan is made addresses are only ever taken, so what was passed over once is never free again, and giving out a whole pool
/// costs one walk over it.
#[derive(Debug, Default)]
pub(crate) struct Search {
    /// The address to look at next; `None` when the end was reached.
    next: BTreeMap<(EipIndex, IpFamily), Option<IpAddr>>,
    /// How many addresses of a full Eip and family are taken, once somebody asked.
    used: BTreeMap<(EipIndex, IpFamily), PoolSize>,
}

impl Search {
    /// The lowest free address of this family in this Eip.
    pub(crate) fn lowest_free(
        &mut self,
        territory: &Territory<'_>,
        eip: EipIndex,
        family: IpFamily,
        taken: &Taken<'_>,
    ) -> Option<IpAddr> {
        let pool = territory.pool(eip);
        let avoid_buggy = territory.eip(eip).avoid_buggy_ips;
        let next = self
            .next
            .entry((eip, family))
            .or_insert_with(|| pool.ranges().iter().find(|r| r.family() == family).map(|r| r.first()));
        *next = free_from(pool, family, *next, taken, avoid_buggy);
        *next
    }

    /// How many addresses of this family are taken in an Eip that is full; so counted once.
    pub(crate) fn used(
        &mut self,
        territory: &Territory<'_>,
        eip: EipIndex,
        family: IpFamily,
        taken: &Taken<'_>,
    ) -> PoolSize {
        *self.used.entry((eip, family)).or_insert_with(|| taken.count_in(territory.pool(eip), family))
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
    let skip = pool.ranges().partition_point(|r| r.last() < from);
    for range in pool.ranges().iter().skip(skip).filter(|r| r.family() == family) {
        let mut candidate = Some(range.first().max(from));
        let mut held =
            taken.holders.range(range.first().max(from)..=range.last()).map(|(address, _)| *address).peekable();
        while let Some(address) = candidate.filter(|address| range.contains(*address)) {
            let is_held = held.next_if_eq(&address).is_some();
            let is_avoided = avoid_buggy && is_buggy(address);
            if !is_held && !is_avoided {
                return Some(address);
            }
            candidate = successor(address);
        }
    }
    None
}
