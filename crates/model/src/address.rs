//! Addresses, ranges of them, and the pool an Eip hands out.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use serde::{Deserialize, Serialize};

pub use ipnet::IpNet as Prefix;

/// IPv4 or IPv6.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum IpFamily {
    /// IPv4.
    V4,
    /// IPv6.
    V6,
}

impl IpFamily {
    /// The family of one address.
    #[must_use]
    pub fn of(address: IpAddr) -> Self {
        match address {
            IpAddr::V4(_) => Self::V4,
            IpAddr::V6(_) => Self::V6,
        }
    }
}

impl fmt::Display for IpFamily {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::V4 => "IPv4",
            Self::V6 => "IPv6",
        })
    }
}

/// How many addresses a pool holds: exact up to `u128::MAX`, which stands for that many or more (only `::/0` has one more).
pub type PoolSize = u128;

/// One address as a number within its family.
fn to_number(address: IpAddr) -> u128 {
    match address {
        IpAddr::V4(a) => u128::from(u32::from(a)),
        IpAddr::V6(a) => u128::from(a),
    }
}

/// The address of `family` with this number; numbers beyond IPv4's end are cut to its last address.
fn from_number(family: IpFamily, number: u128) -> IpAddr {
    match family {
        IpFamily::V4 => IpAddr::V4(Ipv4Addr::from(u32::try_from(number).unwrap_or(u32::MAX))),
        IpFamily::V6 => IpAddr::V6(Ipv6Addr::from(number)),
    }
}

/// A contiguous block of addresses of one family, both ends included.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct AddressRange {
    family: IpFamily,
    first: u128,
    last: u128,
}

impl AddressRange {
    /// The block from `first` to `last`, both included; `None` when they differ in family or stand in reversed order.
    #[must_use]
    pub fn new(first: IpAddr, last: IpAddr) -> Option<Self> {
        let family = IpFamily::of(first);
        let (a, b) = (to_number(first), to_number(last));
        (family == IpFamily::of(last) && a <= b).then_some(Self { family, first: a, last: b })
    }

    /// The block of one address.
    #[must_use]
    pub fn single(address: IpAddr) -> Self {
        let number = to_number(address);
        Self { family: IpFamily::of(address), first: number, last: number }
    }

    /// The whole of a prefix, network and broadcast addresses included, host bits ignored.
    #[must_use]
    pub fn prefix(prefix: Prefix) -> Self {
        let (first, last) = match prefix {
            Prefix::V4(p) => (IpAddr::V4(p.network()), IpAddr::V4(p.broadcast())),
            Prefix::V6(p) => (IpAddr::V6(p.network()), IpAddr::V6(p.broadcast())),
        };
        Self { family: IpFamily::of(first), first: to_number(first), last: to_number(last) }
    }

    /// The family of every address in the block.
    #[must_use]
    pub fn family(&self) -> IpFamily {
        self.family
    }

    /// The lowest address.
    #[must_use]
    pub fn first(&self) -> IpAddr {
        from_number(self.family, self.first)
    }

    /// The highest address.
    #[must_use]
    pub fn last(&self) -> IpAddr {
        from_number(self.family, self.last)
    }

    /// Is `address` inside?
    #[must_use]
    pub fn contains(&self, address: IpAddr) -> bool {
        let number = to_number(address);
        self.family == IpFamily::of(address) && self.first <= number && number <= self.last
    }

    /// Does any address belong to both?
    #[must_use]
    pub fn overlaps(&self, other: &Self) -> bool {
        self.family == other.family && self.first <= other.last && other.first <= self.last
    }

    /// How many addresses are inside.
    #[must_use]
    pub fn size(&self) -> PoolSize {
        (self.last - self.first).saturating_add(1)
    }
}

impl fmt::Display for AddressRange {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.first == self.last {
            write!(f, "{}", self.first())
        } else {
            write!(f, "{}-{}", self.first(), self.last())
        }
    }
}

/// The addresses an Eip holds: sorted, disjoint ranges, IPv4 before IPv6, with the excluded ones cut out.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Pool {
    ranges: Vec<AddressRange>,
}

impl Pool {
    /// The addresses of `include` that are not in `exclude`; overlapping inputs are merged.
    #[must_use]
    pub fn new(include: &[AddressRange], exclude: &[AddressRange]) -> Self {
        let cuts = merged(exclude);
        let mut ranges = Vec::new();
        for range in merged(include) {
            // Both are sorted and disjoint, so what cuts this one stands together.
            let first = cuts.partition_point(|cut| (cut.family, cut.last) < (range.family, range.first));
            let mut rest = Some(range);
            for cut in cuts.iter().skip(first).take_while(|cut| cut.overlaps(&range)) {
                rest = rest.and_then(|rest| {
                    let (before, after) = without(rest, *cut);
                    ranges.extend(before);
                    after
                });
            }
            ranges.extend(rest);
        }
        Self { ranges }
    }

    /// The addresses that both have.
    #[must_use]
    pub fn intersection(&self, other: &Self) -> Self {
        let mut ranges = Vec::new();
        for range in &self.ranges {
            let first = other.ranges.partition_point(|o| (o.family, o.last) < (range.family, range.first));
            for shared in other.ranges.iter().skip(first).take_while(|o| o.overlaps(range)) {
                let (first, last) = (range.first.max(shared.first), range.last.min(shared.last));
                ranges.push(AddressRange { family: range.family, first, last });
            }
        }
        Self { ranges }
    }

    /// Does it hold no address at all?
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.ranges.is_empty()
    }

    /// The ranges, sorted and disjoint.
    #[must_use]
    pub fn ranges(&self) -> &[AddressRange] {
        &self.ranges
    }

    /// Is `address` one of the pool's?
    #[must_use]
    pub fn contains(&self, address: IpAddr) -> bool {
        let number = to_number(address);
        let family = IpFamily::of(address);
        let after = self.ranges.partition_point(|r| (r.family, r.first) <= (family, number));
        after.checked_sub(1).and_then(|i| self.ranges.get(i)).is_some_and(|r| r.contains(address))
    }

    /// How many addresses the pool holds.
    #[must_use]
    pub fn size(&self) -> PoolSize {
        self.ranges.iter().fold(0, |sum, r| sum.saturating_add(r.size()))
    }

    /// How many addresses of one family the pool holds.
    #[must_use]
    pub fn size_of(&self, family: IpFamily) -> PoolSize {
        self.ranges.iter().filter(|r| r.family == family).fold(0, |sum, r| sum.saturating_add(r.size()))
    }

    /// The lowest address; `None` for an empty pool.
    #[must_use]
    pub fn first(&self) -> Option<IpAddr> {
        self.ranges.first().map(AddressRange::first)
    }

    /// The highest address; `None` for an empty pool.
    #[must_use]
    pub fn last(&self) -> Option<IpAddr> {
        self.ranges.last().map(AddressRange::last)
    }

    /// The lowest address of `family` for which `taken` says no.
    ///
    /// `taken` lists occupied addresses in ascending order (repeats are harmless), so a full /8 costs one walk over its holders
    /// and an almost empty /64 costs nothing.
    pub fn lowest_free<'a>(&self, family: IpFamily, taken: impl IntoIterator<Item = &'a IpAddr>) -> Option<IpAddr> {
        let mut taken = taken.into_iter().filter(|a| IpFamily::of(**a) == family).map(|a| to_number(*a)).peekable();
        for range in self.ranges.iter().filter(|r| r.family == family) {
            let mut candidate = Some(range.first);
            while let Some(number) = candidate.filter(|n| *n <= range.last) {
                while taken.peek().is_some_and(|t| *t < number) {
                    taken.next();
                }
                if taken.peek() != Some(&number) {
                    return Some(from_number(family, number));
                }
                candidate = number.checked_add(1);
            }
        }
        None
    }
}

/// Sorted and merged where they touch or overlap.
fn merged(ranges: &[AddressRange]) -> Vec<AddressRange> {
    let mut sorted = ranges.to_vec();
    sorted.sort_unstable();
    let mut out: Vec<AddressRange> = Vec::with_capacity(sorted.len());
    for range in sorted {
        match out.last_mut() {
            Some(previous) if previous.family == range.family && range.first <= previous.last.saturating_add(1) => {
                previous.last = previous.last.max(range.last);
            }
            _ => out.push(range),
        }
    }
    out
}

/// What is left of `range` before and after `cut`, which overlaps it.
fn without(range: AddressRange, cut: AddressRange) -> (Option<AddressRange>, Option<AddressRange>) {
    let before = (range.first < cut.first).then(|| AddressRange { last: cut.first - 1, ..range });
    let after = (cut.last < range.last).then(|| AddressRange { first: cut.last + 1, ..range });
    (before, after)
}

#[cfg(test)]
mod tests;
