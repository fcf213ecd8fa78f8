//! A row for each reason why an address stays or goes.

use ironlb_model::{Eip, IngressAddress, OptIn, Pool, ServiceId, Snapshot};

use crate::reason::Reason;
use crate::testing::*;
use crate::verdict::Kind;

fn kind(snapshot: &Snapshot, id: &str) -> Kind {
    planned(snapshot).verdict(&ServiceId::parse(id).unwrap()).unwrap().kind()
}

/// A change of an Eip, with its name.
type EipChange = (&'static str, fn(&mut Eip));

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
        ("excluded", |e| e.pool = Pool::new(&ranges("10.0.0.1-10.0.0.9"), &ranges("10.0.0.5"))),
        ("shrunk", |e| {
            e.span = Pool::new(&ranges("10.0.0.1-10.0.0.2"), &[]);
            e.pool = e.span.clone();
        }),
        ("unreadable", |e| {
            e.span = Pool::default();
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
        let verdict = plan.verdict(&ServiceId::new("n", "s")).unwrap();
        assert_eq!((verdict.kind(), verdict.released.len()), (Kind::Keep, 0), "{one:?}");
    }
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
        (
            "its type was changed, and with that the API server emptied its status",
            was_ours(&[], &["10.0.0.1"]).with(|s| s.is_load_balancer = false),
            Kind::Release,
            ips(&["10.0.0.1"]),
        ),
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
    let host = service("n/t").with(|s| s.ingress = vec![IngressAddress::Foreign("lb.example.org".to_owned())]);
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

/// OpenELB 0.5 read the two wishes the other way round: what it gave stays until the user takes one of them away.
#[test]
fn an_address_given_by_the_older_rule_stays_until_a_wish_is_removed() {
    let pool = eip("a", "10.0.0.1-10.0.0.9").default_eip();
    let both =
        service("n/s").holds(&["10.0.0.1"]).wish(&["10.0.0.2"]).with(|s| s.overruled_wish = Some(ip("10.0.0.1")));
    let adopted = both.clone().with(|s| s.has_openelb_finalizer = true);
    let ours = told(both.clone(), "HeldByOlderRule", 1);
    let mended = ours.clone().with(|s| s.overruled_wish = None);
    for (what, service, held, reason) in [
        ("adopted", adopted, "10.0.0.1", &["HeldByOlderRule"][..]),
        ("adopted before", ours, "10.0.0.1", &["HeldByOlderRule"]),
        ("loadBalancerIP removed since", mended, "10.0.0.2", &[]),
        ("both written by a user of ironlb", told(both, "Assigned", 1), "10.0.0.2", &[]),
    ] {
        let plan = planned(&snapshot(std::slice::from_ref(&pool), &[service]));
        assert_eq!(vips(&plan, "n/s"), ips(&[held]), "{what}");
        let verdict = plan.verdict(&ServiceId::new("n", "s")).unwrap();
        assert_eq!(verdict.notes.iter().map(Reason::category).collect::<Vec<_>>(), reason, "{what}");
    }
}
