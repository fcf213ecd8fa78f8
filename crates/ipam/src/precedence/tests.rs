//! A row for each rule of precedence.

use ironlb_model::{Announcement, Namespace, Selector, ServiceSelection, WallTime};

use super::*;
use crate::testing::*;
use crate::{NotOurs, Standing};

#[test]
fn names_are_read_from_a_list() {
    for (text, want) in [("a", vec!["a"]), (" a , b,", vec!["a", "b"]), ("", vec![]), (" , ", vec![])] {
        let named = service("n/s").eip(text);
        assert_eq!(names(&named).collect::<Vec<_>>(), want, "{text:?}");
    }
}

#[test]
fn priority_then_name_is_a_total_order() {
    let with = |name: &str, priority| eip(name, "10.0.0.1").with(|e| e.priority = priority);
    assert_eq!(by_priority(&with("b", -1), &with("a", 0)), Ordering::Less);
    assert_eq!(by_priority(&with("b", 0), &with("a", 0)), Ordering::Greater);
    assert_eq!(by_priority(&with("a", 0), &with("a", 0)), Ordering::Equal);
}

#[test]
fn a_service_is_ours_by_class_then_annotation_then_selection() {
    let pool = eip("pool", "10.0.0.1-10.0.0.9").default_eip();
    let ours = Standing::Ours;
    let not = Standing::NotOurs;
    for (class, opt_in, selection, want) in [
        (Some("ironlb.io/ironlb"), OptIn::Absent, ServiceSelection::Annotated, ours),
        (Some("ironlb.io/ironlb"), OptIn::Other, ServiceSelection::Annotated, ours),
        (Some("metallb.io/metallb"), OptIn::Ours, ServiceSelection::All, not(NotOurs::OtherClass)),
        (None, OptIn::Ours, ServiceSelection::Annotated, ours),
        (None, OptIn::Other, ServiceSelection::All, not(NotOurs::OtherAnnotation)),
        (None, OptIn::Absent, ServiceSelection::All, ours),
        (None, OptIn::Absent, ServiceSelection::Annotated, not(NotOurs::NotAnnotated)),
    ] {
        let one = service("n/s").with(|s| {
            s.load_balancer_class = class.map(str::to_owned);
            s.opt_in = opt_in;
        });
        let mut snapshot = snapshot(std::slice::from_ref(&pool), &[one]);
        snapshot.settings.service_selection = selection;
        let verdict = &planned(&snapshot).services[0].verdict;
        assert_eq!(verdict.standing, want, "{class:?} {opt_in:?} {selection:?}");
        assert_eq!(verdict.vips.len(), usize::from(want == ours));
    }
    for (change, why) in [
        ((|s: &mut Service| s.is_load_balancer = false) as fn(&mut _), NotOurs::NotLoadBalancer),
        (|s| s.deleting = true, NotOurs::Deleting),
    ] {
        let snapshot = snapshot(std::slice::from_ref(&pool), &[service("n/s").with(change)]);
        assert_eq!(planned(&snapshot).services[0].verdict.standing, not(why));
    }
}

/// One Service without address: which it gets, or the first reason why none.
fn given(eips: &[Eip], one: Service) -> String {
    let id = one.id.to_string();
    let plan = planned(&snapshot(eips, &[one]));
    match (vips(&plan, &id).as_slice(), reasons(&plan, &id).as_slice()) {
        ([], reasons) => reasons.join(","),
        (vips, []) => vips.iter().map(ToString::to_string).collect::<Vec<_>>().join(","),
        (vips, reasons) => format!("{vips:?} {reasons:?}"),
    }
}

#[test]
fn the_eip_that_is_named_goes_before_all() {
    let eips = [
        eip("default", "10.0.0.0/24").default_eip(),
        eip("bound", "10.0.1.0/24").for_namespace("n"),
        eip("other", "10.0.2.0/24").with(|e| e.auto_assign = false),
        eip("off", "10.0.3.0/24").with(|e| e.disabled = true),
        eip("going", "10.0.4.0/24").with(|e| e.deleting = true),
        eip("broken", ""),
        eip("six", "fd00::/120"),
        eip("strict", "10.0.5.0/24").for_namespace("m").with(|e| e.enforce_selectors = true),
        eip("loose", "10.0.6.0/24").for_namespace("m"),
    ];
    for (name, want) in [
        ("other", "10.0.2.0"),
        ("off", "EipDisabled"),
        ("going", "EipDeleting"),
        ("broken", "EipUnreadable"),
        ("six", "WrongFamily"),
        ("none", "EipNotFound"),
        ("strict", "EipNotForService"),
        ("loose", "10.0.6.0"),
        ("off, other", "10.0.2.0"),
        ("off,none", "EipNotFound"),
    ] {
        assert_eq!(given(&eips, service("n/s").eip(name)), want, "{name}");
    }
}

#[test]
fn a_wish_goes_to_the_eip_that_contains_it() {
    let eips = [
        eip("default", "10.0.0.0/24").default_eip(),
        eip("a", "10.0.1.0/24").exclude("10.0.1.7"),
        eip("off", "10.0.3.0/24").with(|e| e.disabled = true),
        eip("going", "10.0.4.0/24").with(|e| e.deleting = true),
        eip("shy", "10.0.2.0/24").with(|e| e.avoid_buggy_ips = true),
        eip("quiet", "10.0.5.0/24").with(|e| e.auto_assign = false),
        eip("strict", "10.0.6.0/24").for_namespace("m").with(|e| e.enforce_selectors = true),
        eip("loose", "10.0.7.0/24").for_namespace("m"),
        eip("six", "fd00::/120"),
    ];
    for (wish, named, want) in [
        ("10.0.1.5", None, "10.0.1.5"),
        ("10.0.1.5", Some("a"), "10.0.1.5"),
        ("10.0.1.5", Some("default"), "WishOutsideEip"),
        ("10.0.1.5", Some("none"), "EipNotFound"),
        ("10.0.1.7", None, "WishExcluded"),
        ("10.0.2.0", None, "WishExcluded"),
        ("10.0.2.255", None, "WishExcluded"),
        ("10.0.2.1", None, "10.0.2.1"),
        ("10.0.3.1", None, "EipDisabled"),
        ("10.0.4.1", None, "EipDeleting"),
        ("10.0.5.1", None, "10.0.5.1"),
        ("10.0.6.1", None, "EipNotForService"),
        ("10.0.7.1", None, "10.0.7.1"),
        ("10.9.9.9", None, "WishOutsideEveryEip"),
        ("fd00::1", None, "WishWrongFamily"),
    ] {
        let mut one = service("n/s").wish(&[wish]);
        one.wanted_eip = named.map(Into::into);
        assert_eq!(given(&eips, one), want, "{wish} {named:?}");
    }
    let unreadable = service("n/s").with(|s| s.wish_unreadable = Some("10.0.0.300".to_owned()));
    assert_eq!(given(&eips, unreadable), "WishUnreadable");
}

#[test]
fn without_name_and_wish_bound_eips_go_before_the_default() {
    let labelled = |s: Service, tier: &str| s.with(|s| s.labels = [("tier", tier)].into());
    let selector = || Some(Selector::labels([("tier".to_owned(), "edge".to_owned())].into()));
    let eips = [
        eip("default", "10.0.0.0/24").default_eip(),
        eip("by-namespace", "10.0.1.0/24").for_namespace("n").with(|e| e.priority = 5),
        eip("by-label", "10.0.2.0/24").with(|e| {
            e.service_selector = selector();
            e.priority = 1;
        }),
        eip("by-both", "10.0.3.0/24").for_namespace("m").with(|e| e.service_selector = selector()),
    ];
    assert_eq!(given(&eips, service("n/s")), "10.0.1.0");
    assert_eq!(given(&eips, labelled(service("n/s"), "edge")), "10.0.2.0", "of several the smaller priority");
    assert_eq!(given(&eips, labelled(service("m/s"), "edge")), "10.0.3.0");
    assert_eq!(given(&eips, labelled(service("m/s"), "core")), "10.0.0.0", "both bindings must hold");
    assert_eq!(given(&eips, service("x/s")), "10.0.0.0");
}

#[test]
fn namespaces_are_bound_by_label_too() {
    let pool = eip("a", "10.0.1.0/24").with(|e| {
        e.namespace_selector.insert("team".to_owned(), "red".to_owned());
    });
    let mut snapshot = snapshot(&[pool], &[service("n/s"), service("m/s")]);
    let red = Namespace { name: "n".into(), labels: [("team", "red")].into() };
    snapshot.namespaces.insert("n".into(), std::sync::Arc::new(red));
    let plan = planned(&snapshot);
    assert_eq!(vips(&plan, "n/s"), ips(&["10.0.1.0"]));
    assert_eq!(reasons(&plan, "m/s"), ["NoEip"]);
}

#[test]
fn among_several_eips_priority_then_name_and_the_next_when_one_is_full() {
    let bound =
        |name: &str, addresses: &str, priority| eip(name, addresses).for_namespace("n").with(|e| e.priority = priority);
    let eips = [
        bound("c", "10.0.3.1", 1),
        bound("b", "10.0.2.1", 2),
        bound("a", "10.0.1.1", 2),
        eip("d", "10.0.4.1").default_eip(),
    ];
    let services: Vec<_> = (0..4).map(|n| service(&format!("n/s{n}")).created(n)).collect();
    let plan = planned(&snapshot(&eips, &services));
    assert_eq!(vips(&plan, "n/s0"), ips(&["10.0.3.1"]));
    assert_eq!(vips(&plan, "n/s1"), ips(&["10.0.1.1"]));
    assert_eq!(vips(&plan, "n/s2"), ips(&["10.0.2.1"]));
    assert_eq!(reasons(&plan, "n/s3"), ["EipFull"], "a bound namespace does not spill over into the default");
    let text = plan.services[3].verdict.unmet[0].to_string();
    assert!(text.contains("3 of 3 in use in Eip c, a, b"), "{text}");
}

#[test]
fn what_stands_in_the_way_of_the_nearest_eip_is_told() {
    let off = |e: Eip| e.with(|e| e.disabled = true);
    assert_eq!(given(&[], service("n/s")), "NoEip");
    assert_eq!(given(&[eip("a", "10.0.0.0/24")], service("n/s")), "NoEip");
    assert_eq!(given(&[off(eip("a", "10.0.0.0/24").default_eip())], service("n/s")), "EipDisabled");
    assert_eq!(given(&[eip("a", "fd00::/120").default_eip()], service("n/s")), "WrongFamily");
    let eips = [off(eip("a", "10.0.1.0/24").for_namespace("n")), eip("b", "10.0.2.0/24").default_eip()];
    assert_eq!(given(&eips, service("n/s")), "10.0.2.0", "a bound Eip that gives nothing out binds nobody");
    let quiet = eip("a", "10.0.0.0/24").default_eip().with(|e| e.auto_assign = false);
    assert_eq!(given(&[quiet], service("n/s")), "NoEip");
}

#[test]
fn the_protocol_annotation_of_openelb_0_5_finds_an_eip() {
    let eips = [
        eip("bgp", "10.0.1.0/24").with(|e| e.announcement = Announcement::Bgp),
        eip("bound", "10.0.0.0/24").for_namespace("m"),
        eip("layer2-b", "10.0.3.1"),
        eip("layer2-a", "10.0.4.1").with(|e| e.priority = 1),
    ];
    let wants = |protocol| service("n/s").with(|s| s.wanted_protocol = protocol);
    assert_eq!(given(&eips, wants(Some(Announcement::Layer2))), "10.0.3.1");
    assert_eq!(given(&eips, wants(Some(Announcement::Bgp))), "10.0.1.0");
    assert_eq!(given(&eips, wants(Some(Announcement::Vip))), "NoEipForProtocol");
    assert_eq!(given(&eips, wants(None)), "NoEip");
    let by_class = wants(Some(Announcement::Layer2)).with(|s| {
        s.opt_in = OptIn::Absent;
        s.load_balancer_class = Some("ironlb.io/ironlb".to_owned());
    });
    assert_eq!(given(&eips, by_class), "NoEip", "only for those who opted in by annotation");
    let two =
        [wants(Some(Announcement::Layer2)), service("n/t").with(|s| s.wanted_protocol = Some(Announcement::Layer2))];
    assert_eq!(vips(&planned(&snapshot(&eips, &two)), "n/t"), ips(&["10.0.4.1"]), "the first with room");
}

#[test]
fn each_address_of_an_overlap_belongs_to_the_eip_that_came_first() {
    let eips = [
        eip("new", "10.0.0.1-10.0.0.4").with(|e| e.created = WallTime(9)),
        eip("old", "10.0.0.1-10.0.0.2").with(|e| e.created = WallTime(1)),
        eip("inside", "10.0.0.2").with(|e| e.created = WallTime(20)),
    ];
    assert_eq!(given(&eips, service("n/s").eip("new")), "10.0.0.3", "not what is the older one's");
    assert_eq!(given(&eips, service("n/s").eip("old")), "10.0.0.1");
    assert_eq!(given(&eips, service("n/s").eip("new").wish(&["10.0.0.2"])), "WishInOverlap");
    assert_eq!(given(&eips, service("n/s").wish(&["10.0.0.2"])), "10.0.0.2");
    assert_eq!(given(&eips, service("n/s").eip("inside")), "EipInOverlap");
    let held = service("n/s").eip("new").holds(&["10.0.0.2"]);
    let plan = planned(&snapshot(&eips, &[held]));
    assert_eq!((vips(&plan, "n/s"), reasons(&plan, "n/s")), (ips(&["10.0.0.2"]), vec![]), "what is held stays");
    let ready_first: Vec<_> = eips
        .iter()
        .cloned()
        .map(|e| if e.name.as_str() == "new" { e.with(|e| e.status.conditions = vec![ready()]) } else { e })
        .collect();
    assert_eq!(given(&ready_first, service("n/s").eip("new")), "10.0.0.1", "the one that was ready came first");
}
