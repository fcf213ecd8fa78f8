//! Which Eip an address belongs to, and what each Eip may give out where several claim the same addresses.
//!
//! Overlap is judged per address: each belongs to one Eip. Of several, those that are ready come before those that are not, those that
//! were not told to overlap before those that were (so that who came first stays first), then the older one, then the name.

use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::sync::Arc;

use ironlb_model::{AddressRange, ConditionStatus, Eip, Pool, ServiceId, Snapshot};

use crate::condition;

/// An Eip by its place in [`Territory`]; the lower one came first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct EipIndex(usize);

/// A stretch of addresses that an Eip lost to one that came first.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Lost {
    /// The addresses.
    pub(crate) range: AddressRange,
    /// Who has them.
    pub(crate) to: EipIndex,
}

/// Every Eip of a snapshot, and which addresses are whose.
#[derive(Debug)]
pub(crate) struct Territory<'a> {
    eips: Vec<&'a Arc<Eip>>,
    by_name: BTreeMap<&'a str, EipIndex>,
    /// Sorted and disjoint.
    segments: Vec<(AddressRange, EipIndex)>,
    lost: BTreeMap<EipIndex, Vec<Lost>>,
    pools: Vec<Cow<'a, Pool>>,
}

impl<'a> Territory<'a> {
    pub(crate) fn new(snapshot: &'a Snapshot) -> Self {
        let mut eips: Vec<&Arc<Eip>> = snapshot.eips.values().collect();
        eips.sort_by_cached_key(|eip| {
            let is = |kind| eip.status.conditions.iter().any(|c| c.kind == kind && c.status == ConditionStatus::True);
            (!is(condition::READY), is(condition::OVERLAPPING), eip.created, &eip.name)
        });
        let by_name = eips.iter().enumerate().map(|(i, eip)| (eip.name.as_str(), EipIndex(i))).collect();
        let (segments, lost) = divide(&eips);
        let pools = eips
            .iter()
            .enumerate()
            .map(|(i, eip)| match lost.get(&EipIndex(i)) {
                None => Cow::Borrowed(&eip.pool),
                Some(lost) => {
                    let ranges: Vec<AddressRange> = lost.iter().map(|l| l.range).collect();
                    Cow::Owned(Pool::new(eip.pool.ranges(), &ranges))
                }
            })
            .collect();
        Self { eips, by_name, segments, lost, pools }
    }

    /// Every Eip, the one that came first first.
    pub(crate) fn all(&self) -> impl Iterator<Item = (EipIndex, &'a Arc<Eip>)> + '_ {
        self.eips.iter().enumerate().map(|(i, eip)| (EipIndex(i), *eip))
    }

    /// The Eip of that index.
    pub(crate) fn eip(&self, index: EipIndex) -> &'a Arc<Eip> {
        self.eips[index.0]
    }

    /// The Eip of that name.
    pub(crate) fn named(&self, name: &str) -> Option<EipIndex> {
        self.by_name.get(name).copied()
    }

    /// What this Eip may give out: its pool without what it lost to those that came first.
    pub(crate) fn pool(&self, index: EipIndex) -> &Pool {
        &self.pools[index.0]
    }

    /// What this Eip lost to those that came first.
    pub(crate) fn lost(&self, index: EipIndex) -> &[Lost] {
        self.lost.get(&index).map_or(&[], Vec::as_slice)
    }

    /// The Eip whose spec has this address.
    pub(crate) fn spanning(&self, address: IpAddr) -> Option<EipIndex> {
        let after = self.segments.partition_point(|(range, _)| range.first() <= address);
        let (range, eip) = self.segments.get(after.checked_sub(1)?)?;
        range.contains(address).then_some(*eip)
    }

    /// The Eip of a held address: the one whose spec has it, else the one whose status lists it for this Service, else the one
    /// whose status lists it at all. Never the label: users edit it.
    pub(crate) fn home(&self, address: IpAddr, holder: &ServiceId) -> Option<EipIndex> {
        self.spanning(address).or_else(|| {
            let listing = || self.all().filter_map(|(i, eip)| Some((i, eip.status.used.get(&address)?)));
            listing().find(|(_, holders)| holders.contains(holder)).or_else(|| listing().next()).map(|(i, _)| i)
        })
    }
}

/// The address after this one; IPv4 is followed by IPv6.
pub(crate) fn successor(address: IpAddr) -> Option<IpAddr> {
    match address {
        IpAddr::V4(Ipv4Addr::BROADCAST) => Some(IpAddr::V6(Ipv6Addr::UNSPECIFIED)),
        IpAddr::V4(a) => u32::from(a).checked_add(1).map(|n| IpAddr::V4(n.into())),
        IpAddr::V6(a) => u128::from(a).checked_add(1).map(|n| IpAddr::V6(n.into())),
    }
}

/// The address before this one; IPv6 is preceded by IPv4.
fn predecessor(address: IpAddr) -> Option<IpAddr> {
    match address {
        IpAddr::V6(Ipv6Addr::UNSPECIFIED) => Some(IpAddr::V4(Ipv4Addr::BROADCAST)),
        IpAddr::V4(a) => u32::from(a).checked_sub(1).map(|n| IpAddr::V4(n.into())),
        IpAddr::V6(a) => u128::from(a).checked_sub(1).map(|n| IpAddr::V6(n.into())),
    }
}

type Division = (Vec<(AddressRange, EipIndex)>, BTreeMap<EipIndex, Vec<Lost>>);

/// Walks over the ends of all ranges once: between two neighbouring ends the set of claimants is the same, and the first has it.
fn divide(eips: &[&Arc<Eip>]) -> Division {
    let mut ends: BTreeMap<IpAddr, (Vec<EipIndex>, Vec<EipIndex>)> = BTreeMap::new();
    for (i, eip) in eips.iter().enumerate() {
        for range in eip.span.ranges() {
            ends.entry(range.first()).or_default().0.push(EipIndex(i));
            if let Some(after) = successor(range.last()) {
                ends.entry(after).or_default().1.push(EipIndex(i));
            }
        }
    }
    let highest = IpAddr::V6(Ipv6Addr::from(u128::MAX));
    let mut segments = Vec::new();
    let mut lost: BTreeMap<EipIndex, Vec<Lost>> = BTreeMap::new();
    let mut claimants: BTreeSet<EipIndex> = BTreeSet::new();
    let mut walk = ends.into_iter().peekable();
    while let Some((first, (begin, end))) = walk.next() {
        // A range that ends here may be followed at once by another of the same Eip: take off before putting on.
        for eip in &end {
            claimants.remove(eip);
        }
        claimants.extend(begin);
        let last = walk.peek().and_then(|(next, _)| predecessor(*next)).unwrap_or(highest);
        let mut claimants = claimants.iter().copied();
        let (Some(winner), Some(range)) = (claimants.next(), AddressRange::new(first, last)) else { continue };
        segments.push((range, winner));
        for loser in claimants {
            lost.entry(loser).or_default().push(Lost { range, to: winner });
        }
    }
    (segments, lost)
}

#[cfg(test)]
mod tests;
