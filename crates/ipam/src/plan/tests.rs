//! The order of giving, and what is free.

use ironlb_model::{FamilyPolicy, IpFamily, ResourceVersion, ServiceId};

use crate::testing::*;
use crate::{InFlight, Write, WriteState, plan};

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
fn what_is_in_flight_is_taken_and_its_service_waits() {
    let pool = eip("a", "10.0.0.1-10.0.0.9").default_eip();
    let snapshot = snapshot(&[pool], &[service("n/s"), service("n/t")]);
    let mut in_flight = InFlight::default();
    let write = Write {
        id: crate::ActionId(1),
        sent: ResourceVersion(1),
        state: WriteState::Sent,
        addresses: ips(&["10.0.0.1"]),
        conditions: vec![],
        events: vec![],
        uid: None,
    };
    in_flight.services.insert(ServiceId::new("n", "s"), write);
    let plan = plan(&snapshot, &in_flight);
    assert_eq!(vips(&plan, "n/s"), ips(&["10.0.0.1"]));
    assert!(plan.services[0].verdict.in_flight);
    assert_eq!(vips(&plan, "n/t"), ips(&["10.0.0.2"]));
}

#[test]
fn a_lost_status_comes_back_also_where_the_wish_cannot_be_granted() {
    let pool = eip("a", "10.0.0.1-10.0.0.9").default_eip();
    let holder = service("n/holder").holds(&["10.0.0.3"]);
    let lost = |wish: &str| service("n/s").wish(&[wish]).with(|s| s.remembered = ips(&["10.0.0.7"]));
    for (wish, want, why) in [
        ("10.0.0.3", "10.0.0.7", vec!["WishTaken"]),
        ("10.9.9.9", "10.0.0.7", vec!["WishOutsideEveryEip"]),
        ("10.0.0.5", "10.0.0.5", vec![]),
    ] {
        let plan = planned(&snapshot(std::slice::from_ref(&pool), &[holder.clone(), lost(wish)]));
        assert_eq!((vips(&plan, "n/s"), reasons(&plan, "n/s")), (ips(&[want]), why), "{wish}");
    }
}
