//! A row for each rule of reservations.

use ironlb_model::{OptIn, Snapshot};

use crate::testing::*;
use crate::usage;

fn edge(id: &str) -> ironlb_model::Service {
    service(id).with(|s| s.labels = [("tier", "edge")].into())
}

#[test]
fn a_reserved_address_goes_to_whom_it_is_for_and_to_nobody_else() {
    let pool = || eip("a", "10.0.0.1-10.0.0.4").default_eip().reserve("10.0.0.1", for_service("n/web"));
    let by_label =
        || eip("a", "10.0.0.1-10.0.0.4").default_eip().reserve("10.0.0.2-10.0.0.3", for_label(None, "tier", "edge"));
    for (what, pool, services, want) in [
        (
            "by name, though younger",
            pool(),
            vec![service("n/a"), service("n/web").created(9)],
            "n/a 10.0.0.2, n/web 10.0.0.1",
        ),
        ("another namespace is another Service", pool(), vec![service("m/web")], "m/web 10.0.0.2"),
        ("nobody is there", pool(), vec![service("n/a"), service("n/b")], "n/a 10.0.0.2, n/b 10.0.0.3"),
        (
            "only on request",
            pool().with(|e| (e.auto_assign, e.is_default) = (false, false)),
            vec![service("n/web")],
            "n/web 10.0.0.1",
        ),
        (
            "not even the default",
            pool().with(|e| e.is_default = false),
            vec![service("n/web"), service("n/a")],
            "n/a -, n/web 10.0.0.1",
        ),
        (
            "by label, as many as there are",
            by_label(),
            vec![edge("n/a"), edge("n/b"), edge("n/c"), service("n/d")],
            "n/a 10.0.0.2, n/b 10.0.0.3, n/c 10.0.0.1, n/d 10.0.0.4",
        ),
        (
            "by label in one namespace",
            eip("a", "10.0.0.1-10.0.0.4").default_eip().reserve("10.0.0.3", for_label(Some("m"), "tier", "edge")),
            vec![edge("n/a"), edge("m/a")],
            "m/a 10.0.0.3, n/a 10.0.0.1",
        ),
        (
            "by name before by label",
            by_label().reserve("10.0.0.4", for_service("n/a")),
            vec![edge("n/a"), edge("n/b")],
            "n/a 10.0.0.4, n/b 10.0.0.2",
        ),
        (
            "for nobody",
            eip("a", "10.0.0.1-10.0.0.2").default_eip().reserve("10.0.0.1", ironlb_model::Reservee::Nobody),
            vec![service("n/a"), service("n/b")],
            "n/a 10.0.0.2, n/b -",
        ),
        ("disabled", pool().with(|e| e.disabled = true), vec![service("n/web")], "n/web -"),
        ("a wish goes before", pool(), vec![service("n/web").wish(&["10.0.0.3"])], "n/web 10.0.0.3"),
        ("another Eip is named", pool(), vec![service("n/web").eip("b")], "n/web -"),
        (
            "of the other family",
            pool(),
            vec![service("n/web").with(|s| s.families = vec![ironlb_model::IpFamily::V6])],
            "n/web -",
        ),
        ("not ours", pool(), vec![service("n/web").with(|s| s.opt_in = OptIn::Absent)], "n/web -"),
        ("excluded", pool().exclude("10.0.0.1"), vec![service("n/web")], "n/web 10.0.0.2"),
    ] {
        assert_eq!(given(&snapshot(&[pool], &services)), want, "{what}");
    }
}

fn given(snapshot: &Snapshot) -> String {
    let plan = planned(snapshot);
    let text = |id: &ironlb_model::ServiceId| {
        let held: Vec<String> = vips(&plan, &id.to_string()).iter().map(ToString::to_string).collect();
        format!("{id} {}", if held.is_empty() { "-".to_owned() } else { held.join(",") })
    };
    snapshot.services.keys().map(text).collect::<Vec<_>>().join(", ")
}

#[test]
fn a_wish_for_what_is_reserved_for_others_says_for_whom() {
    let pool = eip("a", "10.0.0.1-10.0.0.4").default_eip().reserve("10.0.0.1", for_service("n/web"));
    let other = service("n/a").wish(&["10.0.0.1"]).holds(&["10.0.0.2"]);
    let plan = planned(&snapshot(std::slice::from_ref(&pool), &[other]));
    assert_eq!((vips(&plan, "n/a"), reasons(&plan, "n/a")), (ips(&["10.0.0.2"]), vec!["Reserved"]));
    let said = plan.services[0].verdict.unmet[0].to_string();
    assert!(said.contains("reserved in Eip a for Service n/web (spec.reservations[0])"), "{said}");
    let owner = service("n/web").wish(&["10.0.0.1"]);
    assert_eq!(vips(&planned(&snapshot(std::slice::from_ref(&pool), &[owner])), "n/web"), ips(&["10.0.0.1"]));
    // Nor does one share it with whom it is for, or get it back after its status was lost.
    let owner = service("n/web").holds(&["10.0.0.1"]);
    let guest = service("n/a").ports(&[81]).wish(&["10.0.0.1"]);
    assert_eq!(reasons(&planned(&snapshot(std::slice::from_ref(&pool), &[owner, guest])), "n/a"), ["Reserved"]);
    let restored = service("n/a").with(|s| s.remembered = ips(&["10.0.0.1"]));
    assert_eq!(vips(&planned(&snapshot(&[pool], &[restored])), "n/a"), ips(&["10.0.0.2"]));
}

#[test]
fn a_reservation_moves_nobody_and_is_reported_where_it_is_late() {
    let pool = eip("a", "10.0.0.1-10.0.0.4").default_eip().reserve("10.0.0.1", for_service("n/web"));
    let holder = service("n/a").holds(&["10.0.0.1"]);
    let owner = service("n/web");
    let late = snapshot(&[pool], &[holder, owner]);
    let plan = planned(&late);
    assert_eq!((vips(&plan, "n/a"), reasons(&plan, "n/a")), (ips(&["10.0.0.1"]), vec!["HeldAgainstReservation"]));
    assert_eq!(
        (vips(&plan, "n/web"), reasons(&plan, "n/web")),
        (ips(&["10.0.0.2"]), vec![]),
        "it does not wait for it"
    );
    let told = usage(&late, &crate::InFlight::default());
    let held = told[0].conditions.iter().find(|c| c.kind == crate::RESERVATION_HELD).expect("told");
    assert!(held.message.contains("10.0.0.1 by Service n/a"), "{}", held.message);
    // Whom it is for is no news, and nor is an address that it got besides.
    let fine = eip("a", "10.0.0.1-10.0.0.4").default_eip().reserve("10.0.0.1", for_service("n/web"));
    let fine = snapshot(&[fine], &[service("n/web").holds(&["10.0.0.1"]), service("n/a").holds(&["10.0.0.2"])]);
    assert!(reasons(&planned(&fine), "n/web").is_empty() && reasons(&planned(&fine), "n/a").is_empty());
    assert!(usage(&fine, &crate::InFlight::default())[0].conditions.iter().all(|c| c.kind != crate::RESERVATION_HELD));
}

#[test]
fn reserved_addresses_are_not_free_for_others() {
    let pool =
        || eip("a", "10.0.0.1-10.0.0.4").default_eip().reserve("10.0.0.3-10.0.0.4", for_label(None, "tier", "edge"));
    let services = [service("n/a").holds(&["10.0.0.1"]), service("n/b").holds(&["10.0.0.2"]), service("n/c")];
    let full = snapshot(&[pool()], &services);
    let plan = planned(&full);
    let said = plan.services[2].verdict.unmet[0].to_string();
    assert!(
        said.starts_with("no free address: 2 of 2 in use in Eip a, 2 more reserved for certain Services"),
        "{said}"
    );
    let exhausted = |snapshot: &Snapshot| {
        let told = usage(snapshot, &crate::InFlight::default());
        let one = told[0].conditions.iter().find(|c| c.kind == crate::EXHAUSTED).expect("always there").clone();
        (one.status == ironlb_model::ConditionStatus::True, one.message, told[0].occupied)
    };
    let (is_full, message, occupied) = exhausted(&full);
    assert!(is_full && !occupied, "OpenELB's field counts addresses");
    assert!(message.starts_with("2 of 2 IPv4 addresses are in use, 2 more are reserved;"), "{message}");
    // Whether a reserved one is held changes nothing for the others, so nothing is told anew.
    let mut held = full.clone();
    let one = edge("n/d").holds(&["10.0.0.3"]);
    held.services.insert(one.id.clone(), std::sync::Arc::new(one));
    assert_eq!(exhausted(&held).1, message);
    assert_eq!(planned(&held).verdict(&services[2].id).unwrap().unmet, plan.services[2].verdict.unmet);
    let some = snapshot(&[pool()], &services[..1]);
    assert!(!exhausted(&some).0);
}

#[test]
fn the_eip_that_came_first_disposes_of_an_address_that_both_have() {
    let first = eip("first", "10.0.0.1-10.0.0.2").default_eip();
    let second = eip("second", "10.0.0.2-10.0.0.3")
        .with(|e| e.created = ironlb_model::WallTime(5))
        .reserve("10.0.0.2", for_service("n/web"));
    let plan = planned(&snapshot(&[first, second], &[service("n/a"), service("n/b"), service("n/web").created(9)]));
    assert_eq!(vips(&plan, "n/b"), ips(&["10.0.0.2"]));
    assert!(vips(&plan, "n/web").is_empty());
}

#[test]
fn an_eip_that_cannot_be_read_in_full_gives_out_nothing_and_keeps_what_is_held() {
    let pool = eip("a", "10.0.0.1-10.0.0.4").default_eip().with(|e| e.withholds = true);
    let unread = snapshot(&[pool], &[service("n/a").holds(&["10.0.0.1"]), service("n/b")]);
    let plan = planned(&unread);
    assert_eq!((vips(&plan, "n/a"), reasons(&plan, "n/b")), (ips(&["10.0.0.1"]), vec!["EipUnreadable"]));
    let told = usage(&unread, &crate::InFlight::default());
    assert_eq!(told[0].conditions[0].reason, "Withholding");
}
