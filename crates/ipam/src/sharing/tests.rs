//! A row for each rule of sharing.

use ironlb_model::{ConditionStatus, OptIn, Port, Service, ServiceId, Sharing, TrafficPolicy, Transport};

use crate::Standing;
use crate::testing::*;

#[test]
fn an_address_is_shared_only_by_an_explicit_wish_and_with_other_ports() {
    let local = |s: Service, app: &str| {
        s.with(|s| {
            s.traffic_policy = TrafficPolicy::Local;
            s.selector = [("app", app)].into();
        })
    };
    let web = || service("n/web").holds(&["10.0.0.1"]);
    let new = |id: &str| service(id).wish(&["10.0.0.1"]).ports(&[443]);
    let udp = |s: Service| s.with(|s| s.ports = [Port { transport: Transport::Udp, number: 80 }].into());
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
        let verdict = plan.verdict(&ServiceId::parse(&id).unwrap()).unwrap();
        assert_eq!(verdict.vips.len(), usize::from(want.is_empty()), "{what}");
        assert!(verdict.vips.iter().all(|vip| vip.shared_with == Some(ServiceId::new("n", "web"))));
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
    assert_eq!(plan.services[1].verdict.vips[0].shared_with, Some(ServiceId::new("n", "a")));
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
fn who_was_not_given_the_address_gives_way_to_who_was() {
    let pool = eip("a", "10.0.0.1-10.0.0.9").default_eip();
    let given = |id: &str| told(service(id).created(5).holds(&["10.0.0.1"]), "Assigned", 5);
    let given = |id: &str| given(id).with(|s| s.remembered = ips(&["10.0.0.1"]));
    let written = || service("n/w").created(1).holds(&["10.0.0.1"]);
    let waiting = told(written(), "EipFull", 1).with(|s| s.conditions[0].status = ConditionStatus::False);
    let moved = told(written(), "Assigned", 1).with(|s| s.remembered = ips(&["10.0.0.7"]));
    for (what, newcomer) in [("new", written()), ("it waited", waiting), ("it held another", moved)] {
        let plan = planned(&snapshot(std::slice::from_ref(&pool), &[given("n/g"), newcomer]));
        assert_eq!((vips(&plan, "n/g"), reasons(&plan, "n/g")), (ips(&["10.0.0.1"]), Vec::<&str>::new()), "{what}");
        let verdict = plan.verdict(&ServiceId::new("n", "w")).unwrap();
        assert_eq!(verdict.released, ips(&["10.0.0.1"]), "{what}");
        assert!(verdict.addresses().all(|address| address != ips(&["10.0.0.1"])[0]), "{what}");
        assert_eq!(verdict.vips.len(), 1, "{what}");
    }
    // Whoever fits in keeps it, and of two whose statuses somebody wrote nobody knows which is right.
    for holders in [[given("n/g"), written().ports(&[443])], [service("n/g").holds(&["10.0.0.1"]), written()]] {
        let plan = planned(&snapshot(std::slice::from_ref(&pool), &holders));
        assert_eq!((vips(&plan, "n/g"), vips(&plan, "n/w")), (ips(&["10.0.0.1"]), ips(&["10.0.0.1"])));
    }
}
