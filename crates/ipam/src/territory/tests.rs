use ironlb_model::WallTime;

use super::*;
use crate::testing::*;

/// Which Eip each address of a list belongs to.
fn owners(eips: &[Eip], addresses: &[&str]) -> Vec<Option<String>> {
    let snapshot = snapshot(eips, &[]);
    let territory = Territory::new(&snapshot);
    addresses.iter().map(|a| territory.spanning(ip(a)).map(|i| territory.eip(i).name.to_string())).collect()
}

#[test]
fn each_address_belongs_to_one_eip() {
    let aged = |name: &str, addresses: &str, created| eip(name, addresses).with(|e| e.created = WallTime(created));
    let eips = [
        aged("young", "10.0.0.1-10.0.0.9,fd00::/126", 3),
        aged("old", "10.0.0.3-10.0.0.4", 1),
        aged("mid", "10.0.0.4-10.0.0.5", 2),
    ];
    let want = [
        None,
        Some("young"),
        Some("old"),
        Some("old"),
        Some("mid"),
        Some("young"),
        Some("young"),
        None,
        Some("young"),
        None,
    ];
    let addresses = [
        "10.0.0.0",
        "10.0.0.2",
        "10.0.0.3",
        "10.0.0.4",
        "10.0.0.5",
        "10.0.0.6",
        "10.0.0.9",
        "10.0.0.10",
        "fd00::3",
        "fd00::4",
    ];
    assert_eq!(owners(&eips, &addresses), want.map(|name| name.map(str::to_owned)));

    let snapshot = snapshot(&eips, &[]);
    let territory = Territory::new(&snapshot);
    let young = territory.named("young").unwrap();
    assert_eq!(territory.pool(young), &Pool::new(&ranges("10.0.0.1-10.0.0.2,10.0.0.6-10.0.0.9,fd00::/126"), &[]));
    let lost: Vec<String> =
        territory.lost(young).iter().map(|l| format!("{} {}", l.range, territory.eip(l.to).name)).collect();
    assert_eq!(lost, ["10.0.0.3 old", "10.0.0.4 old", "10.0.0.5 mid"]);
}

#[test]
fn the_ends_of_the_families_do_not_overflow() {
    let all = [eip("four", "0.0.0.0/0"), eip("six", "::/0")];
    let want = [Some("four"), Some("four"), Some("six"), Some("six")].map(|name| name.map(str::to_owned));
    assert_eq!(owners(&all, &["0.0.0.0", "255.255.255.255", "::", "ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff"]), want);
    assert_eq!(owners(&[eip("four", "0.0.0.0/0")], &["255.255.255.255", "::"]), [Some("four".to_owned()), None]);
    assert_eq!(owners(&[], &["10.0.0.1"]), [None]);
}

#[test]
fn who_came_first_stays_first() {
    let condition = |kind: &str| condition::condition(kind, ConditionStatus::True, "R", String::new());
    let told = |name: &str, kinds: &[&str]| {
        let kinds: Vec<_> = kinds.iter().map(|kind| condition(kind)).collect();
        eip(name, "10.0.0.1").with(|e| e.status.conditions = kinds)
    };
    for (a, b, want) in [
        (told("a", &[]), told("b", &[]), "a"),
        (told("a", &[]), told("b", &["Ready"]), "b"),
        (told("a", &["Ready", "Overlapping"]), told("b", &["Ready"]), "b"),
        (told("a", &["Ready"]), told("b", &["Ready", "Overlapping"]), "a"),
        (told("a", &["Ready", "Overlapping"]), told("b", &["Ready", "Overlapping"]), "a"),
    ] {
        assert_eq!(owners(&[a, b], &["10.0.0.1"]), [Some(want.to_owned())]);
    }
}

#[test]
fn a_held_address_is_at_home_where_the_spec_has_it_else_where_the_status_lists_it() {
    let eips = [
        eip("spec", "10.0.0.1"),
        eip("lists", "10.0.0.9").used(&[("10.0.0.1", "n/s"), ("10.0.0.2", "n/s"), ("10.0.0.3", "n/other")]),
        eip("also-lists", "10.0.0.8").used(&[("10.0.0.2", "n/other")]),
    ];
    let snapshot = snapshot(&eips, &[]);
    let territory = Territory::new(&snapshot);
    let home = |address: &str| {
        territory.home(ip(address), &ServiceId::new("n", "s")).map(|i| territory.eip(i).name.to_string())
    };
    assert_eq!(home("10.0.0.1").as_deref(), Some("spec"));
    assert_eq!(home("10.0.0.2").as_deref(), Some("lists"));
    assert_eq!(home("10.0.0.3").as_deref(), Some("lists"));
    assert_eq!(home("10.0.0.4"), None);
}

mod against_a_list {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

        #[test]
        fn the_division_is_what_asking_each_eip_in_turn_gives(
            spans in prop::collection::vec(prop::collection::vec((0_u8..30, 0_u8..6), 0..4), 0..6)
        ) {
            let eips: Vec<Eip> = spans.iter().enumerate().map(|(n, ranges)| {
                let text: Vec<String> = ranges.iter().map(|(at, len)| format!("10.0.0.{at}-10.0.0.{}", at + len)).collect();
                eip(&format!("e{n}"), &text.join(","))
            }).collect();
            let snapshot = snapshot(&eips, &[]);
            let territory = Territory::new(&snapshot);
            for n in 0..40 {
                let address = IpAddr::from([10, 0, 0, n]);
                let first = eips.iter().find(|e| e.spans(address));
                prop_assert_eq!(territory.spanning(address).map(|i| &territory.eip(i).name), first.map(|e| &e.name));
                for eip in &eips {
                    let gives = territory.pool(territory.named(eip.name.as_str()).unwrap()).contains(address);
                    prop_assert_eq!(gives, first.is_some_and(|f| f.name == eip.name), "{} {}", eip.name, address);
                }
            }
        }
    }
}
