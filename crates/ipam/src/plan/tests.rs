//! One row for each rule.

use ironlb_model::{
    Announcement, FamilyPolicy, IpFamily, OptIn, Selector, ServiceSelection, Sharing, Snapshot, TrafficPolicy,
};

use crate::testing::*;
use crate::verdict::Kind;
use crate::{InFlight, NotOurs, Standing, Write, WriteState, plan};

fn kind(snapshot: &Snapshot, id: &str) -> Kind {
    planned(snapshot).verdict(&ironlb_model::ServiceId::parse(id).unwrap()).unwrap().kind()
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
        ((|s: &mut ironlb_model::Service| s.is_load_balancer = false) as fn(&mut _), NotOurs::NotLoadBalancer),
        (|s| s.deleting = true, NotOurs::Deleting),
    ] {
        let snapshot = snapshot(std::slice::from_ref(&pool), &[service("n/s").with(change)]);
        assert_eq!(planned(&snapshot).services[0].verdict.standing, not(why));
    }
}

/// One Service without address: which it gets, or the first reason why none.
fn given(eips: &[ironlb_model::Eip], one: ironlb_model::Service) -> String {
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
    let labelled = |s: ironlb_model::Service, tier: &str| {
        let tier = tier.to_owned();
        s.with(|s| {
            s.labels.insert("tier".to_owned(), tier);
        })
    };
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
    let red = ironlb_model::Namespace { name: "n".into(), labels: [("team".to_owned(), "red".to_owned())].into() };
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
    let off = |e: ironlb_model::Eip| e.with(|e| e.disabled = true);
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
fn the_lowest_free_address_is_given_buggy_ones_avoided() {
    let held = service("n/held").holds(&["10.0.0.1"]);
    for (pool, want) in [
        (eip("a", "10.0.0.0/24").default_eip(), "10.0.0.0"),
        (eip("a", "10.0.0.0/24").default_eip().exclude("10.0.0.0"), "10.0.0.2"),
        (eip("a", "10.0.0.0/24").default_eip().with(|e| e.avoid_buggy_ips = true), "10.0.0.2"),
        (
            eip("a", "10.0.0.0-10.0.0.1,10.0.0.255-10.0.1.1").default_eip().with(|e| e.avoid_buggy_ips = true),
            "10.0.1.1",
        ),
        (eip("a", "10.0.0.9,10.0.0.5-10.0.0.6").default_eip(), "10.0.0.5"),
    ] {
        let plan = planned(&snapshot(&[pool], &[held.clone(), service("n/s")]));
        assert_eq!(vips(&plan, "n/s"), ips(&[want]));
    }
}

#[test]
fn huge_pools_cost_nothing_and_do_not_overflow() {
    for (pool, family, want) in [
        ("10.0.0.0/8", IpFamily::V4, "10.0.0.0"),
        ("0.0.0.0/0", IpFamily::V4, "0.0.0.0"),
        ("fd00::/64", IpFamily::V6, "fd00::"),
        ("::/0", IpFamily::V6, "::"),
        ("255.255.255.255", IpFamily::V4, "255.255.255.255"),
        ("ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff", IpFamily::V6, "ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff"),
    ] {
        let one = |id: &str| service(id).with(|s| s.families = vec![family]);
        let plan = planned(&snapshot(&[eip("a", pool).default_eip()], &[one("n/a"), one("n/b")]));
        assert_eq!(vips(&plan, "n/a"), ips(&[want]), "{pool}");
    }
}

#[test]
fn an_address_on_any_service_is_taken() {
    let pool = eip("a", "10.0.0.1-10.0.0.4").default_eip();
    let foreign = service("n/foreign").holds(&["10.0.0.1"]).with(|s| s.load_balancer_class = Some("other".to_owned()));
    let going = service("n/going").holds(&["10.0.0.2"]).with(|s| s.deleting = true);
    let cluster_ip = service("n/plain").holds(&["10.0.0.3"]).with(|s| s.is_load_balancer = false);
    let plan = planned(&snapshot(&[pool], &[foreign, going, cluster_ip, service("n/s"), service("n/t")]));
    assert_eq!(vips(&plan, "n/s"), ips(&["10.0.0.4"]));
    assert_eq!(reasons(&plan, "n/t"), ["EipFull"]);
}

/// A change of an Eip, with its name.
type EipChange = (&'static str, fn(&mut ironlb_model::Eip));

#[test]
fn what_is_held_stays_whatever_becomes_of_the_eip() {
    let changes: [EipChange; 9] = [
        ("disabled", |e| e.disabled = true),
        ("deleting", |e| e.deleting = true),
        ("bound to others", |e| {
            e.namespaces.insert("elsewhere".into());
        }),
        ("enforced", |e| {
            e.namespaces.insert("elsewhere".into());
            e.enforce_selectors = true;
        }),
        ("only on request", |e| e.auto_assign = false),
        ("excluded", |e| e.pool = ironlb_model::Pool::new(&ranges("10.0.0.1-10.0.0.9"), &ranges("10.0.0.5"))),
        ("shrunk", |e| {
            e.span = ironlb_model::Pool::new(&ranges("10.0.0.1-10.0.0.2"), &[]);
            e.pool = e.span.clone();
        }),
        ("unreadable", |e| {
            e.span = ironlb_model::Pool::default();
            e.pool = e.span.clone();
        }),
        ("of less priority", |e| e.priority = 1000),
    ];
    let better = eip("better", "10.1.0.0/24").default_eip().with(|e| e.priority = -1);
    for named in [None, Some("a")] {
        let mut held = service("n/s").holds(&["10.0.0.5"]).with(|s| s.remembered = ips(&["10.0.0.5"]));
        held.wanted_eip = named.map(Into::into);
        for (what, change) in &changes {
            let pool = eip("a", "10.0.0.1-10.0.0.9").used(&[("10.0.0.5", "n/s")]).with(change);
            let snapshot = snapshot(&[pool, better.clone()], std::slice::from_ref(&held));
            assert_eq!(vips(&planned(&snapshot), "n/s"), ips(&["10.0.0.5"]), "{what}, named: {named:?}");
            assert_eq!(kind(&snapshot, "n/s"), Kind::Keep);
        }
        let mut gone = snapshot(std::slice::from_ref(&better), std::slice::from_ref(&held));
        assert_eq!(vips(&planned(&gone), "n/s"), ips(&["10.0.0.5"]), "the Eip is gone, named: {named:?}");
        assert!(reasons(&planned(&gone), "n/s").contains(&"PoolMissing"));
        gone.eips.clear();
        assert_eq!(vips(&planned(&gone), "n/s"), ips(&["10.0.0.5"]), "every Eip is gone");
    }
}

#[test]
fn an_address_outside_its_eip_is_kept_and_reported() {
    let shrunk = eip("a", "10.0.0.1-10.0.0.2").used(&[("10.0.0.5", "n/s")]);
    let plan = planned(&snapshot(&[shrunk], &[service("n/s").holds(&["10.0.0.5"])]));
    assert_eq!((vips(&plan, "n/s"), reasons(&plan, "n/s")), (ips(&["10.0.0.5"]), vec!["HeldOutsideEip"]));
    assert_eq!(plan.services[0].verdict.vips[0].eip, Some("a".into()));
}

#[test]
fn only_the_users_own_change_moves_an_address() {
    let eips = [eip("a", "10.0.0.1-10.0.0.9").default_eip(), eip("b", "10.0.1.1-10.0.1.9")];
    let held = || service("n/s").holds(&["10.0.0.5"]).with(|s| s.remembered = ips(&["10.0.0.5"]));
    for (what, one, want, released) in [
        ("nothing", held(), "10.0.0.5", false),
        ("the wish it has", held().wish(&["10.0.0.5"]), "10.0.0.5", false),
        ("the Eip it is from", held().eip("a"), "10.0.0.5", false),
        ("another address", held().wish(&["10.0.0.7"]), "10.0.0.7", true),
        ("another Eip", held().eip("b"), "10.0.1.1", true),
        ("another of another Eip", held().eip("b").wish(&["10.0.1.4"]), "10.0.1.4", true),
    ] {
        let plan = planned(&snapshot(&eips, &[one]));
        assert_eq!(vips(&plan, "n/s"), ips(&[want]), "{what}");
        assert_eq!(plan.services[0].verdict.released, if released { ips(&["10.0.0.5"]) } else { vec![] }, "{what}");
    }
}

#[test]
fn a_new_wish_that_cannot_be_granted_keeps_the_old_address() {
    let eips = [
        eip("a", "10.0.0.1-10.0.0.9").default_eip(),
        eip("b", "10.0.1.1"),
        eip("off", "10.0.2.0/24").with(|e| e.disabled = true),
    ];
    let held = || service("n/s").holds(&["10.0.0.5"]);
    let other = service("n/other").holds(&["10.0.0.6"]);
    let full = service("n/full").holds(&["10.0.1.1"]);
    for (one, want) in [
        (held().wish(&["10.0.0.6"]), "WishTaken"),
        (held().wish(&["10.9.9.9"]), "WishOutsideEveryEip"),
        (held().wish(&["fd00::1"]), "WishWrongFamily"),
        (held().eip("b"), "EipFull"),
        (held().eip("off"), "EipDisabled"),
        (held().eip("none"), "EipNotFound"),
        (held().wish(&["10.0.0.5"]).eip("none"), ""),
        (held().with(|s| s.wish_unreadable = Some("x".to_owned())), "WishUnreadable"),
    ] {
        let plan = planned(&snapshot(&eips, &[one.clone(), other.clone(), full.clone()]));
        assert_eq!(vips(&plan, "n/s"), ips(&["10.0.0.5"]), "{one:?}");
        assert_eq!(reasons(&plan, "n/s").join(","), want, "{one:?}");
        let verdict = plan.verdict(&ironlb_model::ServiceId::new("n", "s")).unwrap();
        assert_eq!((verdict.kind(), verdict.released.len()), (Kind::Keep, 0), "{one:?}");
    }
}

#[test]
fn wishes_go_before_the_rest_and_the_older_service_first() {
    let pool = eip("a", "10.0.0.1-10.0.0.3").default_eip();
    let services = [
        service("n/auto").created(1),
        service("n/wish").created(9).wish(&["10.0.0.1"]),
        service("n/late").created(10).wish(&["10.0.0.1"]),
        service("n/b").created(5),
        service("n/a").created(5),
    ];
    let plan = planned(&snapshot(&[pool], &services));
    assert_eq!(vips(&plan, "n/wish"), ips(&["10.0.0.1"]));
    assert_eq!(reasons(&plan, "n/late"), ["WishTaken"]);
    assert_eq!(vips(&plan, "n/auto"), ips(&["10.0.0.2"]));
    assert_eq!(vips(&plan, "n/a"), ips(&["10.0.0.3"]), "of one age by name");
    assert_eq!(reasons(&plan, "n/b"), ["EipFull"]);
}

#[test]
fn a_lost_status_is_restored() {
    let pool = || eip("a", "10.0.0.1-10.0.0.9").default_eip();
    let remembers = |id: &str, address: &str| service(id).with(|s| s.remembered = ips(&[address]));
    let plan = planned(&snapshot(&[pool()], &[service("n/auto"), remembers("n/back", "10.0.0.1").created(9)]));
    assert_eq!(vips(&plan, "n/back"), ips(&["10.0.0.1"]));
    assert_eq!(vips(&plan, "n/auto"), ips(&["10.0.0.2"]));

    // The annotation is only a wish, and one that nobody made: where it cannot be granted, any address does.
    let holder = service("n/holder").holds(&["10.0.0.1"]);
    let plan =
        planned(&snapshot(&[pool()], &[holder, remembers("n/copy", "10.0.0.1"), remembers("n/far", "10.9.9.9")]));
    assert_eq!(vips(&plan, "n/copy"), ips(&["10.0.0.2"]));
    assert_eq!(vips(&plan, "n/far"), ips(&["10.0.0.3"]));

    // The user's wish goes before what was.
    let wishes = remembers("n/s", "10.0.0.1").wish(&["10.0.0.5"]);
    assert_eq!(vips(&planned(&snapshot(&[pool()], &[wishes])), "n/s"), ips(&["10.0.0.5"]));
    let named = remembers("n/s", "10.0.0.1").eip("b");
    let plan = planned(&snapshot(&[pool(), eip("b", "10.0.1.1")], &[named]));
    assert_eq!(vips(&plan, "n/s"), ips(&["10.0.1.1"]));
}

#[test]
fn openelbs_record_is_an_input_only_until_the_eip_is_ours() {
    let pool = || eip("a", "10.0.0.1-10.0.0.9").default_eip().used(&[("10.0.0.7", "n/s"), ("10.0.0.8", "n/t")]);
    let services = [service("n/s"), service("n/t").holds(&["10.0.0.3"]), service("n/u").holds(&["10.0.0.8"])];
    let plan = planned(&snapshot(&[pool()], &services));
    assert_eq!(vips(&plan, "n/s"), ips(&["10.0.0.7"]));
    assert_eq!(vips(&plan, "n/t"), ips(&["10.0.0.3"]), "its own status is the truth");
    let told = pool().with(|e| e.status.conditions = vec![ready()]);
    let plan = planned(&snapshot(&[told], &services));
    assert_eq!(vips(&plan, "n/s"), ips(&["10.0.0.1"]));
}

fn ready() -> ironlb_model::Condition {
    ironlb_model::Condition {
        kind: "Ready".to_owned(),
        status: ironlb_model::ConditionStatus::True,
        reason: "Ready".to_owned(),
        message: String::new(),
    }
}

#[test]
fn an_address_is_shared_only_by_an_explicit_wish_and_with_other_ports() {
    let local = |s: ironlb_model::Service, app: &str| {
        let app = app.to_owned();
        s.with(|s| {
            s.traffic_policy = TrafficPolicy::Local;
            s.selector.insert("app".to_owned(), app);
        })
    };
    let web = || service("n/web").holds(&["10.0.0.1"]);
    let new = |id: &str| service(id).wish(&["10.0.0.1"]).ports(&[443]);
    let udp = |s: ironlb_model::Service| {
        s.with(|s| s.ports = [ironlb_model::Port { transport: ironlb_model::Transport::Udp, number: 80 }].into())
    };
    for (what, sharing, holder, newcomer, want) in [
        ("other ports", Sharing::Cluster, web(), new("n/s"), ""),
        ("other ports in another namespace", Sharing::Cluster, web(), new("m/s"), ""),
        ("another transport", Sharing::Cluster, web(), udp(new("n/s")), ""),
        ("one port in common", Sharing::Cluster, web(), new("n/s").ports(&[443, 80]), "WishTaken"),
        ("nobody may", Sharing::Never, web(), new("n/s"), "SharingForbidden"),
        ("one namespace, another", Sharing::Namespace, web(), new("m/s"), "SharingForbidden"),
        ("one namespace, the same", Sharing::Namespace, web(), new("n/s"), ""),
        ("Local joins Cluster", Sharing::Cluster, web(), local(new("n/s"), "a"), "SharingWouldMoveOwner"),
        ("Cluster joins Local", Sharing::Cluster, local(web(), "a"), new("n/s"), "SharingWouldMoveOwner"),
        ("Local, the same pods", Sharing::Cluster, local(web(), "a"), local(new("n/s"), "a"), ""),
        ("Local, other pods", Sharing::Cluster, local(web(), "a"), local(new("n/s"), "b"), "SharingWouldMoveOwner"),
        (
            "Local, another namespace's pods",
            Sharing::Cluster,
            local(web(), "a"),
            local(new("m/s"), "a"),
            "SharingWouldMoveOwner",
        ),
        ("not ours", Sharing::Cluster, web().with(|s| s.opt_in = OptIn::Other), new("n/s"), "WishTaken"),
    ] {
        let pool = eip("a", "10.0.0.1-10.0.0.9").with(|e| e.sharing = sharing);
        let id = newcomer.id.to_string();
        let plan = planned(&snapshot(&[pool], &[holder, newcomer]));
        assert_eq!(reasons(&plan, &id).join(","), want, "{what}");
        let verdict = plan.verdict(&ironlb_model::ServiceId::parse(&id).unwrap()).unwrap();
        assert_eq!(verdict.vips.len(), usize::from(want.is_empty()), "{what}");
        assert!(verdict.vips.iter().all(|vip| vip.shared_with == Some(ironlb_model::ServiceId::new("n", "web"))));
        assert!(
            plan.services.iter().all(|s| s.verdict.standing != Standing::Ours || s.verdict.released.is_empty()),
            "{what}"
        );
    }
}

#[test]
fn two_newcomers_of_one_plan_share_by_the_same_rule() {
    let pool = eip("a", "10.0.0.1-10.0.0.9");
    let new = |id: &str, at| service(id).created(at).wish(&["10.0.0.1"]);
    let services = [new("n/a", 1).ports(&[80]), new("n/b", 2).ports(&[81]), new("n/c", 3).ports(&[81])];
    let plan = planned(&snapshot(&[pool], &services));
    assert_eq!((vips(&plan, "n/a"), vips(&plan, "n/b")), (ips(&["10.0.0.1"]), ips(&["10.0.0.1"])));
    assert_eq!(reasons(&plan, "n/c"), ["WishTaken"]);
    let text = plan.services[2].verdict.unmet[0].to_string();
    assert!(text.contains("Service n/b") && text.contains("port 81/TCP"), "{text}");
}

#[test]
fn a_mix_that_openelb_left_is_kept_and_reported() {
    let pool = eip("a", "10.0.0.1-10.0.0.9");
    let adopted = |id: &str, at| service(id).created(at).holds(&["10.0.0.1"]).with(|s| s.has_openelb_finalizer = true);
    let plan = planned(&snapshot(std::slice::from_ref(&pool), &[adopted("n/a", 1), adopted("n/b", 2)]));
    for id in ["n/a", "n/b"] {
        assert_eq!((vips(&plan, id), reasons(&plan, id)), (ips(&["10.0.0.1"]), vec!["SharedClash"]), "{id}");
    }
    let plan = planned(&snapshot(&[pool], &[adopted("n/a", 1), adopted("n/b", 2).ports(&[443])]));
    assert_eq!(reasons(&plan, "n/a").len() + reasons(&plan, "n/b").len(), 0);
    assert_eq!(plan.services[0].verdict.vips[0].shared_with, None);
    assert_eq!(plan.services[1].verdict.vips[0].shared_with, Some(ironlb_model::ServiceId::new("n", "a")));
}

fn told(s: ironlb_model::Service, reason: &str, at: i64) -> ironlb_model::Service {
    let reason = reason.to_owned();
    s.with(|s| {
        s.assigned_at = Some(ironlb_model::WallTime(at));
        s.conditions = vec![ironlb_model::Condition {
            kind: crate::ADDRESS_ASSIGNED.to_owned(),
            status: ironlb_model::ConditionStatus::True,
            reason,
            message: String::new(),
        }];
    })
}

#[test]
fn after_a_race_of_two_leaders_the_later_holder_gives_way() {
    let pool = eip("a", "10.0.0.1-10.0.0.9").default_eip();
    let held =
        |id: &str, created, reason: &str, at| told(service(id).created(created).holds(&["10.0.0.1"]), reason, at);
    let plan = planned(&snapshot(
        std::slice::from_ref(&pool),
        &[held("n/a", 1, "Assigned", 9), held("n/b", 2, "Assigned", 5)],
    ));
    assert_eq!(vips(&plan, "n/b"), ips(&["10.0.0.1"]), "the one that got it first, not the older one");
    assert_eq!(vips(&plan, "n/a"), ips(&["10.0.0.2"]));
    assert_eq!(plan.services[0].verdict.released, ips(&["10.0.0.1"]));
    assert_eq!(reasons(&plan, "n/b"), Vec::<&str>::new(), "and nothing is amiss with it");

    // Disjoint ports do not make it right: nobody asked to share.
    let other_port = held("n/a", 1, "Assigned", 9).ports(&[81]);
    let plan = planned(&snapshot(std::slice::from_ref(&pool), &[other_port.clone(), held("n/b", 2, "Assigned", 5)]));
    assert_eq!(vips(&plan, "n/a"), ips(&["10.0.0.2"]));
    // But if it did ask, it may stay.
    let asked = other_port.wish(&["10.0.0.1"]);
    let plan = planned(&snapshot(std::slice::from_ref(&pool), &[asked, held("n/b", 2, "Assigned", 5)]));
    assert_eq!(vips(&plan, "n/a"), ips(&["10.0.0.1"]));

    // Whoever joined knowingly or was adopted stays, also when a later change of ports makes a clash.
    for reason in ["Shared", "SharedClash", "WishTaken"] {
        let plan = planned(&snapshot(
            std::slice::from_ref(&pool),
            &[held("n/a", 1, reason, 9), held("n/b", 2, "Assigned", 5)],
        ));
        assert_eq!(vips(&plan, "n/a"), ips(&["10.0.0.1"]), "{reason}");
        assert_eq!(reasons(&plan, "n/a"), ["SharedClash"], "{reason}");
    }
}

#[test]
fn dual_stack_gets_one_address_of_each_family() {
    let four = || eip("four", "10.0.0.1-10.0.0.2").default_eip();
    let six = || eip("six", "fd00::1-fd00::2").default_eip();
    let both = || eip("both", "10.0.1.1,fd01::1");
    let prefer = || service("n/s").dual(FamilyPolicy::PreferDualStack);
    let require = || service("n/s").dual(FamilyPolicy::RequireDualStack);
    let both_families = ips(&["10.0.0.1", "fd00::1"]);
    for one in [prefer(), require()] {
        let plan = planned(&snapshot(&[four(), six()], &[one]));
        assert_eq!((vips(&plan, "n/s"), reasons(&plan, "n/s")), (both_families.clone(), vec![]), "from two Eips");
    }
    let plan = planned(&snapshot(&[four(), six(), both()], &[prefer().eip("both")]));
    assert_eq!(vips(&plan, "n/s"), ips(&["10.0.1.1", "fd01::1"]), "from one Eip");
    let plan = planned(&snapshot(&[four(), six(), both()], &[prefer().eip("four,six")]));
    assert_eq!(vips(&plan, "n/s"), both_families, "from two that are named");
    let plan = planned(&snapshot(&[four(), six()], &[prefer().wish(&["fd00::2"])]));
    assert_eq!(vips(&plan, "n/s"), ips(&["10.0.0.1", "fd00::2"]), "a wish for one family, any address of the other");

    let plan = planned(&snapshot(&[four()], &[prefer()]));
    assert_eq!((vips(&plan, "n/s"), reasons(&plan, "n/s")), (ips(&["10.0.0.1"]), vec!["SecondFamilyMissing"]));
    assert!(plan.services[0].verdict.unmet.is_empty());
    let plan = planned(&snapshot(&[four()], &[require()]));
    assert_eq!((vips(&plan, "n/s"), reasons(&plan, "n/s")), (ips(&["10.0.0.1"]), vec!["WrongFamily"]));
    assert_eq!(plan.services[0].verdict.unmet.len(), 1);

    let plan = planned(&snapshot(&[four(), six()], &[prefer().holds(&["10.0.0.2"])]));
    assert_eq!(
        vips(&plan, "n/s"),
        ips(&["10.0.0.2", "fd00::1"]),
        "the second family comes when there is a pool for it"
    );
    let single = service("n/s").holds(&["10.0.0.2", "fd00::2"]);
    let plan = planned(&snapshot(&[four(), six()], &[single]));
    assert_eq!(vips(&plan, "n/s"), ips(&["10.0.0.2"]), "the user took a family away");
    assert_eq!(plan.services[0].verdict.released, ips(&["fd00::2"]));
}

#[test]
fn a_service_that_leaves_gives_back_what_ironlb_gave_and_nothing_else() {
    let pool = eip("a", "10.0.0.1-10.0.0.9");
    let was_ours = |addresses: &[&str], remembered: &[&str]| {
        told(service("n/s").holds(addresses), "Assigned", 1).with(|s| {
            s.remembered = ips(remembered);
            s.opt_in = OptIn::Other;
        })
    };
    for (what, one, kind_wanted, released) in [
        ("opted out", was_ours(&["10.0.0.1"], &["10.0.0.1"]), Kind::Release, ips(&["10.0.0.1"])),
        ("another wrote its own meanwhile", was_ours(&["10.0.0.2"], &["10.0.0.1"]), Kind::Release, vec![]),
        (
            "OpenELB gave it",
            service("n/s").holds(&["10.0.0.1"]).with(|s| {
                s.opt_in = OptIn::Absent;
                s.has_openelb_finalizer = true;
            }),
            Kind::Release,
            ips(&["10.0.0.1"]),
        ),
        (
            "OpenELB, and the address is in no Eip",
            service("n/s").holds(&["10.9.9.9"]).with(|s| {
                s.opt_in = OptIn::Absent;
                s.has_openelb_finalizer = true;
            }),
            Kind::Release,
            vec![],
        ),
        (
            "never ours, though in an Eip",
            service("n/s").holds(&["10.0.0.1"]).with(|s| s.opt_in = OptIn::Absent),
            Kind::NotOurs,
            vec![],
        ),
        (
            "never ours, with the label",
            service("n/s").with(|s| {
                s.opt_in = OptIn::Absent;
                s.eip_label = Some("a".into());
            }),
            Kind::NotOurs,
            vec![],
        ),
        (
            "being deleted",
            was_ours(&["10.0.0.1"], &["10.0.0.1"]).with(|s| {
                s.opt_in = OptIn::Ours;
                s.deleting = true;
            }),
            Kind::Release,
            ips(&["10.0.0.1"]),
        ),
        (
            "another type",
            was_ours(&["10.0.0.1"], &["10.0.0.1"]).with(|s| {
                s.opt_in = OptIn::Ours;
                s.is_load_balancer = false;
            }),
            Kind::Release,
            ips(&["10.0.0.1"]),
        ),
    ] {
        let snapshot = snapshot(std::slice::from_ref(&pool), &[one]);
        assert_eq!(kind(&snapshot, "n/s"), kind_wanted, "{what}");
        assert_eq!(planned(&snapshot).services[0].verdict.released, released, "{what}");
        assert!(vips(&planned(&snapshot), "n/s").is_empty(), "{what}");
    }
}

#[test]
fn an_address_of_somebody_else_is_never_touched() {
    let pool = eip("a", "10.0.0.1-10.0.0.9").default_eip();
    let foreign = service("n/s").holds(&["192.0.2.1"]);
    let host =
        service("n/t").with(|s| s.ingress = vec![ironlb_model::IngressAddress::Foreign("lb.example.org".to_owned())]);
    let plan = planned(&snapshot(&[pool], &[foreign, host]));
    for id in ["n/s", "n/t"] {
        assert_eq!((vips(&plan, id), reasons(&plan, id)), (vec![], vec!["HeldByOther"]), "{id}");
    }
    assert!(plan.services.iter().all(|s| s.verdict.released.is_empty()));
}

#[test]
fn beside_openelb_nothing_is_decided_and_every_verdict_says_so() {
    let pool = eip("a", "10.0.0.1-10.0.0.9").default_eip();
    let leaving = told(service("n/t").holds(&["10.0.0.2"]), "Assigned", 1).with(|s| s.opt_in = OptIn::Other);
    let mut snapshot = snapshot(&[pool], &[service("n/s"), service("n/u").holds(&["10.0.0.1"]), leaving]);
    snapshot.openelb = vec!["Deployment openelb-system/openelb-controller".to_owned()];
    let plan = planned(&snapshot);
    assert_eq!((vips(&plan, "n/s"), reasons(&plan, "n/s")), (vec![], vec!["OpenElbRunning"]));
    assert_eq!((vips(&plan, "n/u"), reasons(&plan, "n/u")), (ips(&["10.0.0.1"]), vec!["OpenElbRunning"]));
    assert_eq!(kind(&snapshot, "n/t"), Kind::NotOurs);
}

#[test]
fn each_address_of_an_overlap_belongs_to_the_eip_that_came_first() {
    let eips = [
        eip("new", "10.0.0.1-10.0.0.4").with(|e| e.created = ironlb_model::WallTime(9)),
        eip("old", "10.0.0.1-10.0.0.2").with(|e| e.created = ironlb_model::WallTime(1)),
        eip("inside", "10.0.0.2").with(|e| e.created = ironlb_model::WallTime(20)),
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

#[test]
fn what_is_in_flight_is_taken_and_its_service_waits() {
    let pool = eip("a", "10.0.0.1-10.0.0.9").default_eip();
    let snapshot = snapshot(&[pool], &[service("n/s"), service("n/t")]);
    let mut in_flight = InFlight::default();
    let write = Write {
        id: crate::ActionId(1),
        sent: ironlb_model::ResourceVersion(1),
        state: WriteState::Sent,
        addresses: ips(&["10.0.0.1"]),
        conditions: vec![],
        events: vec![],
        uid: None,
    };
    in_flight.services.insert(ironlb_model::ServiceId::new("n", "s"), write);
    let plan = plan(&snapshot, &in_flight);
    assert_eq!(vips(&plan, "n/s"), ips(&["10.0.0.1"]));
    assert!(plan.services[0].verdict.in_flight);
    assert_eq!(vips(&plan, "n/t"), ips(&["10.0.0.2"]));
}
