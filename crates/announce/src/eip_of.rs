//! Which Eip a vip belongs to.
//!
//! The one whose spec contains it; of several, those that are ready come first, then those not told to overlap, then the older, then
//! the name (as the controller judges overlap). Else the one whose `status.used` lists it. Never the Service's label: users edit it.

use std::net::IpAddr;
use std::sync::Arc;

use ironlb_model::{AddressRange, ConditionStatus, Eip, ServiceId, Snapshot};

/// Every Eip of a snapshot, to be asked for thousands of vips.
#[derive(Debug)]
pub(crate) struct EipIndex<'a> {
    /// The one that came first first.
    eips: Vec<&'a Arc<Eip>>,
    /// Every range of every Eip with its Eip's place, by first address, and the highest last address up to here.
    ranges: Vec<(AddressRange, usize, IpAddr)>,
}

impl<'a> EipIndex<'a> {
    pub(crate) fn new(snapshot: &'a Snapshot) -> Self {
        let mut eips: Vec<&Arc<Eip>> = snapshot.eips.values().collect();
        eips.sort_by_cached_key(|eip| {
            let is = |kind| eip.status.conditions.iter().any(|c| c.kind == kind && c.status == ConditionStatus::True);
            (!is("Ready"), is("Overlapping"), eip.created, &eip.name)
        });
        let mut ranges: Vec<(AddressRange, usize, IpAddr)> = eips
            .iter()
            .enumerate()
            .flat_map(|(place, eip)| eip.span.ranges().iter().map(move |range| (*range, place, range.last())))
            .collect();
        ranges.sort_by_key(|(range, place, _)| (range.first(), *place));
        let mut reach: Option<IpAddr> = None;
        for (_, _, highest) in &mut ranges {
            *highest = reach.map_or(*highest, |before| before.max(*highest));
            reach = Some(*highest);
        }
        Self { eips, ranges }
    }

    /// The Eip of an address that a Service holds.
    pub(crate) fn eip_of(&self, vip: IpAddr, holder: &ServiceId) -> Option<&'a Arc<Eip>> {
        self.spanning(vip).or_else(|| {
            let listing = || self.eips.iter().filter_map(|eip| Some((*eip, eip.status.used.get(&vip)?)));
            listing().find(|(_, holders)| holders.contains(holder)).or_else(|| listing().next()).map(|(eip, _)| eip)
        })
    }

    fn spanning(&self, vip: IpAddr) -> Option<&'a Arc<Eip>> {
        let after = self.ranges.partition_point(|(range, _, _)| range.first() <= vip);
        let before = self.ranges.get(..after)?.iter().rev();
        let place = before
            .take_while(|(_, _, highest)| *highest >= vip)
            .filter(|(range, _, _)| range.contains(vip))
            .map(|(_, place, _)| *place)
            .min()?;
        self.eips.get(place).copied()
    }
}
