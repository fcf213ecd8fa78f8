//! A row for each rule of quotas.

use crate::testing::*;

#[test]
fn a_quota_refuses_what_is_new_and_takes_nothing() {
    let pool = |limit| eip("a", "10.0.0.1-10.0.0.9").default_eip().quota(limit);
    let holds = |id: &str, address: &str| service(id).holds(&[address]);
    for (what, limit, services, want) in [
        ("below", 2, vec![holds("n/a", "10.0.0.1"), service("n/s")], (ips(&["10.0.0.2"]), vec![])),
        ("at it", 1, vec![holds("n/a", "10.0.0.1"), service("n/s")], (vec![], vec!["QuotaExceeded"])),
        (
            "another namespace's do not count",
            1,
            vec![holds("m/a", "10.0.0.1"), service("n/s")],
            (ips(&["10.0.0.2"]), vec![]),
        ),
        ("none at all", 0, vec![service("n/s")], (vec![], vec!["QuotaExceeded"])),
        ("live holders stay", 0, vec![holds("n/s", "10.0.0.1")], (ips(&["10.0.0.1"]), vec![])),
        ("within one plan", 1, vec![service("n/a"), service("n/s").created(1)], (vec![], vec!["QuotaExceeded"])),
        (
            "a wish as well",
            1,
            vec![holds("n/a", "10.0.0.1"), service("n/s").wish(&["10.0.0.5"])],
            (vec![], vec!["QuotaExceeded"]),
        ),
        (
            "a shared one counts once",
            1,
            vec![holds("n/a", "10.0.0.1").ports(&[81]), service("n/s").wish(&["10.0.0.1"])],
            (ips(&["10.0.0.1"]), vec![]),
        ),
        (
            "one shared with another namespace counts for both",
            1,
            vec![holds("m/a", "10.0.0.1").ports(&[81]), holds("n/b", "10.0.0.2"), service("n/s").wish(&["10.0.0.1"])],
            (vec![], vec!["QuotaExceeded"]),
        ),
        ("a move is no addition", 1, vec![holds("n/s", "10.0.0.1").wish(&["10.0.0.5"])], (ips(&["10.0.0.5"]), vec![])),
        (
            "unless another of the namespace keeps the old one",
            1,
            vec![holds("n/a", "10.0.0.1").ports(&[81]), holds("n/s", "10.0.0.1").wish(&["10.0.0.5"])],
            (ips(&["10.0.0.1"]), vec!["QuotaExceeded"]),
        ),
        (
            "what was held before a status was lost",
            1,
            vec![holds("n/a", "10.0.0.1"), service("n/s").with(|s| s.remembered = ips(&["10.0.0.5"]))],
            (vec![], vec!["QuotaExceeded"]),
        ),
    ] {
        let plan = planned(&snapshot(&[pool(limit)], &services));
        assert_eq!((vips(&plan, "n/s"), reasons(&plan, "n/s")), want, "{what}");
    }
}

#[test]
fn the_refusal_says_how_many_of_how_many() {
    let pool = eip("a", "10.0.0.1-10.0.0.9").default_eip().quota(1);
    let services = [service("n/a").holds(&["10.0.0.1"]), service("n/b").holds(&["10.0.0.2"]), service("n/s")];
    let plan = planned(&snapshot(&[pool], &services));
    let said = plan.services[2].verdict.unmet[0].to_string();
    assert!(said.starts_with("namespace n holds 2 of the 1 addresses that Eip a lets a namespace have;"), "{said}");
}

#[test]
fn another_eip_may_have_room_and_a_reservation_goes_before() {
    let pool = |name: &str, addresses: &str| eip(name, addresses).for_namespace("n");
    let first = pool("a", "10.0.0.1-10.0.0.9").quota(0);
    let plan =
        planned(&snapshot(&[first.clone(), pool("b", "10.0.1.1")], &[service("n/s"), service("n/t").created(1)]));
    assert_eq!(vips(&plan, "n/s"), ips(&["10.0.1.1"]));
    assert_eq!(reasons(&plan, "n/t"), ["QuotaExceeded"], "the quota is what can be mended");

    let reserved = first.reserve("10.0.0.7", for_service("n/s"));
    for one in [service("n/s"), service("n/s").wish(&["10.0.0.7"])] {
        assert_eq!(vips(&planned(&snapshot(std::slice::from_ref(&reserved), &[one])), "n/s"), ips(&["10.0.0.7"]));
    }
}
