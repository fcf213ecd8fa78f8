use std::collections::BTreeSet;
use std::net::{IpAddr, Ipv4Addr};

use proptest::prelude::*;

use super::*;

fn ip(text: &str) -> IpAddr {
    text.parse().expect("a literal address")
}

fn range(first: &str, last: &str) -> AddressRange {
    AddressRange::new(ip(first), ip(last)).expect("a literal range")
}

#[test]
fn a_range_is_never_reversed_nor_of_two_families() {
    assert_eq!(AddressRange::new(ip("10.0.0.2"), ip("10.0.0.1")), None);
    assert_eq!(AddressRange::new(ip("10.0.0.2"), ip("::1")), None);
    assert_eq!(range("10.0.0.1", "10.0.0.1"), AddressRange::single(ip("10.0.0.1")));
}

#[test]
fn a_prefix_holds_its_network_and_broadcast_address() {
    let all = AddressRange::prefix("192.0.2.77/24".parse().expect("a literal prefix"));
    assert_eq!((all.first(), all.last(), all.size()), (ip("192.0.2.0"), ip("192.0.2.255"), 256));
}

#[test]
fn sizes_do_not_overflow() {
    let half = AddressRange::prefix("fd00::/64".parse().expect("a literal prefix"));
    assert_eq!(half.size(), 1 << 64);
    let everything = AddressRange::prefix("::/0".parse().expect("a literal prefix"));
    assert_eq!(Pool::new(&[everything], &[]).size(), u128::MAX);
}

#[test]
fn exclusions_are_cut_out() {
    let pool =
        Pool::new(&[range("10.0.0.0", "10.0.0.9")], &[range("10.0.0.3", "10.0.0.4"), range("10.0.0.9", "10.0.0.20")]);
    assert_eq!(pool.ranges(), [range("10.0.0.0", "10.0.0.2"), range("10.0.0.5", "10.0.0.8")]);
    assert_eq!(pool.size(), 7);
    assert!(!pool.contains(ip("10.0.0.3")) && pool.contains(ip("10.0.0.5")));
}

#[test]
fn the_lowest_free_address_of_the_wanted_family_is_given() {
    let pool = Pool::new(&[range("fd00::1", "fd00::ffff"), range("10.0.0.1", "10.0.0.3")], &[]);
    let taken = BTreeSet::from([ip("10.0.0.1"), ip("10.0.0.2"), ip("fd00::1")]);
    assert_eq!(pool.lowest_free(IpFamily::V4, &taken), Some(ip("10.0.0.3")));
    assert_eq!(pool.lowest_free(IpFamily::V6, &taken), Some(ip("fd00::2")));
    let full = BTreeSet::from([ip("10.0.0.1"), ip("10.0.0.2"), ip("10.0.0.3")]);
    assert_eq!(pool.lowest_free(IpFamily::V4, &full), None);
}

#[test]
fn the_last_address_of_a_family_can_be_given() {
    let pool = Pool::new(&[range("255.255.255.255", "255.255.255.255")], &[]);
    assert_eq!(pool.lowest_free(IpFamily::V4, []), Some(ip("255.255.255.255")));
    assert_eq!(pool.lowest_free(IpFamily::V4, &[ip("255.255.255.255")]), None);
}

fn small() -> impl Strategy<Value = IpAddr> {
    (0u8..40).prop_map(|n| IpAddr::V4(Ipv4Addr::new(10, 0, 0, n)))
}

fn small_range() -> impl Strategy<Value = AddressRange> {
    (small(), small()).prop_filter_map("reversed", |(a, b)| AddressRange::new(a, b))
}

/// The pool as a plain set: the reference the clever structure is held against.
fn reference(include: &[AddressRange], exclude: &[AddressRange]) -> BTreeSet<IpAddr> {
    (0u8..=255)
        .map(|n| IpAddr::V4(Ipv4Addr::new(10, 0, 0, n)))
        .filter(|a| include.iter().any(|r| r.contains(*a)) && !exclude.iter().any(|r| r.contains(*a)))
        .collect()
}

proptest! {
    #[test]
    fn a_pool_is_the_set_it_describes(
        include in prop::collection::vec(small_range(), 0..6),
        exclude in prop::collection::vec(small_range(), 0..6),
        taken in prop::collection::btree_set(small(), 0..30),
    ) {
        let pool = Pool::new(&include, &exclude);
        let set = reference(&include, &exclude);
        prop_assert_eq!(pool.size(), set.len() as u128);
        prop_assert_eq!(pool.first(), set.first().copied());
        prop_assert_eq!(pool.last(), set.last().copied());
        for n in 0u8..60 {
            let address = IpAddr::V4(Ipv4Addr::new(10, 0, 0, n));
            prop_assert_eq!(pool.contains(address), set.contains(&address));
        }
        prop_assert_eq!(pool.lowest_free(IpFamily::V4, &taken), set.difference(&taken).next().copied());
        let other = Pool::new(&exclude, &[]);
        let both: Vec<AddressRange> = Pool::new(&include, &[]).intersection(&other).ranges().to_vec();
        for n in 0u8..60 {
            let address = IpAddr::V4(Ipv4Addr::new(10, 0, 0, n));
            let in_both = include.iter().any(|r| r.contains(address)) && exclude.iter().any(|r| r.contains(address));
            prop_assert_eq!(both.iter().any(|r| r.contains(address)), in_both);
        }
        prop_assert_eq!(pool.is_empty(), set.is_empty());
        for pair in pool.ranges().windows(2) {
            prop_assert!(pair[0].last() < pair[1].first(), "ranges are sorted and disjoint");
        }
    }
}
