//! Which addresses are reserved, and for whom.
//!
//! A reserved address is given to nobody it is not for, neither by choice nor by wish. Who it is for gets it before any other, once
//! wishes and lost statuses are settled. A reservation that comes later than a holder moves nobody.

use std::collections::BTreeMap;
use std::net::IpAddr;

use ironlb_model::{AddressRange, Pool, Reservation, Reservee, Service, ServiceId};

use crate::precedence::by_priority;
use crate::territory::{EipIndex, Territory};

/// One reservation that counts.
#[derive(Debug)]
pub(crate) struct Entry<'a> {
    /// The Eip it stands in.
    pub(crate) eip: EipIndex,
    /// As it stands there.
    pub(crate) reservation: &'a Reservation,
    /// Those of its addresses that the Eip gives out.
    pub(crate) addresses: Pool,
}

/// Every reservation of a snapshot.
#[derive(Debug, Default)]
pub(crate) struct Reserved<'a> {
    /// Those of the first Eip by priority and name first, in the order in which they stand there.
    entries: Vec<Entry<'a>>,
    /// Sorted and disjoint, with the place in `entries`.
    segments: Vec<(AddressRange, usize)>,
    by_service: BTreeMap<&'a ServiceId, Vec<usize>>,
    by_selector: Vec<usize>,
    /// What an Eip that reserves anything has left for everybody.
    open: BTreeMap<EipIndex, Pool>,
}

impl<'a> Reserved<'a> {
    pub(crate) fn new(territory: &Territory<'a>) -> Self {
        let mut eips: Vec<_> = territory.all().filter(|(_, eip)| !eip.reservations.is_empty()).collect();
        eips.sort_by(|(_, a), (_, b)| by_priority(a, b));
        let mut all = Self::default();
        for (eip, given) in eips {
            let pool = territory.pool(eip);
            let mut cut = Vec::new();
            for reservation in &given.reservations {
                // Of an address that another Eip has as well, the one that came first disposes.
                let addresses = pool.intersection(&reservation.addresses);
                let place = all.entries.len();
                cut.extend_from_slice(addresses.ranges());
                all.segments.extend(addresses.ranges().iter().map(|range| (*range, place)));
                match &reservation.reservee {
                    Reservee::Service(id) => all.by_service.entry(id).or_default().push(place),
                    Reservee::Selected { .. } => all.by_selector.push(place),
                    Reservee::Nobody => {}
                }
                all.entries.push(Entry { eip, reservation, addresses });
            }
            all.open.insert(eip, Pool::new(pool.ranges(), &cut));
        }
        all.segments.sort_unstable();
        all
    }

    /// Is nothing reserved?
    pub(crate) fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// The reservation of this address.
    pub(crate) fn of(&self, address: IpAddr) -> Option<&Entry<'a>> {
        let after = self.segments.partition_point(|(range, _)| range.first() <= address);
        let (range, place) = self.segments.get(after.checked_sub(1)?)?;
        range.contains(address).then(|| self.entries.get(*place)).flatten()
    }

    /// The reservation that keeps this address from this Service.
    pub(crate) fn against(&self, address: IpAddr, service: &Service) -> Option<&Entry<'a>> {
        self.of(address).filter(|entry| !entry.reservation.reservee.includes(service))
    }

    /// The reservations for this Service, with their places: those by name before those by label.
    pub(crate) fn for_service<'r>(&'r self, service: &'r Service) -> impl Iterator<Item = (usize, &'r Entry<'a>)> + 'r {
        let by_name = self.by_service.get(&service.id).into_iter().flatten();
        let by_selector = self.by_selector.iter();
        by_name
            .chain(by_selector)
            .filter_map(|place| Some((*place, self.entries.get(*place)?)))
            .filter(|(_, entry)| entry.reservation.reservee.includes(service))
    }

    /// What this Eip has for everybody: what it may give out without what it reserves.
    pub(crate) fn open<'t>(&'t self, territory: &'t Territory<'_>, eip: EipIndex) -> &'t Pool {
        self.open.get(&eip).unwrap_or_else(|| territory.pool(eip))
    }
}

#[cfg(test)]
mod tests;
