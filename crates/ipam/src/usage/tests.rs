use ironlb_model::{IngressAddress, OptIn, Service};

use super::*;
use crate::condition::condition;
use crate::testing::*;

/// The status that is written for an Eip; `None` when nothing is.
fn written(snapshot: &Snapshot, name: &str) -> Option<EipStatusText> {
    usage(snapshot, &InFlight::default())
        .iter()
        .find(|u| u.name().as_str() == name)
        .expect("there")
        .patch()
        .map(|patch| patch.status)
}

/// The conditions of an Eip, as "type status reason".
fn told(snapshot: &Snapshot, name: &str) -> Vec<String> {
    let all = usage(snapshot, &InFlight::default());
    let one = all.iter().find(|u| u.name().as_str() == name).expect("there");
    one.conditions.iter().map(|c| format!("{} {} {}", c.kind, c.status.as_str(), c.reason)).collect()
}

/// The snapshot with the status written.
fn after(snapshot: &Snapshot, name: &str) -> Snapshot {
    let text = written(snapshot, name).expect("something to write");
    let mut after = snapshot.clone();
    let eip = Arc::make_mut(after.eips.get_mut(&EipName::from(name)).unwrap());
    eip.status = ironlb_model::EipStatus {
        occupied: text.occupied,
        usage: text.usage,
        pool_size: text.pool_size,
        first_ip: text.first_ip,
        last_ip: text.last_ip,
        v4: text.v4,
        ready: text.ready,
        used: BTreeMap::new(),
        has_unreadable_used: false,
        conditions: text.conditions.iter().map(|c| c.condition.clone()).collect(),
        condition_times: text
            .conditions
            .iter()
            .map(|c| (c.condition.kind.clone(), ironlb_model::WallTime(3)))
            .collect(),
    };
    for (address, holders) in &text.used {
        eip.status.used.insert(ip(address), holders.split(';').map(|id| ServiceId::parse(id).unwrap()).collect());
    }
    after
}

#[test]
fn the_status_is_openelbs_to_the_letter() {
    let services = [
        service("default/b").holds(&["192.0.2.91"]),
        service("default/a").holds(&["192.0.2.91"]),
        service("kube-system/dns").holds(&["192.0.2.93"]).with(|s| s.opt_in = OptIn::Other),
    ];
    let before = snapshot(&[eip("a", "192.0.2.91-192.0.2.93")], &services);
    let status = written(&before, "a").unwrap();
    assert_eq!(
        status.used,
        [("192.0.2.91", "default/a;default/b"), ("192.0.2.93", "kube-system/dns")]
            .map(|(k, v)| (k.to_owned(), v.to_owned()))
            .into()
    );
    assert_eq!((status.usage, status.pool_size, status.occupied, status.ready, status.v4), (2, 3, false, true, true));
    assert_eq!((status.first_ip.as_deref(), status.last_ip.as_deref()), (Some("192.0.2.91"), Some("192.0.2.93")));
    assert_eq!(told(&before, "a"), ["Ready True Ready", "Exhausted False FreeAddresses"]);
    assert_eq!(written(&after(&before, "a"), "a"), None, "and then nothing");
}

#[test]
fn a_change_of_one_condition_keeps_the_times_of_the_others() {
    let now = after(&snapshot(&[eip("a", "10.0.0.1")], &[service("n/s")]), "a");
    let mut full = now.clone();
    full.services.insert(ServiceId::new("n", "s"), Arc::new(service("n/s").holds(&["10.0.0.1"])));
    let status = written(&full, "a").unwrap();
    assert!(status.occupied);
    let since: Vec<_> = status.conditions.iter().map(|c| (c.condition.kind.as_str(), c.since)).collect();
    assert_eq!(since, [("Ready", Some(ironlb_model::WallTime(3))), ("Exhausted", None)]);
}

#[test]
fn sizes_of_every_kind_are_told() {
    for (addresses, exclude, size, v4, first, last) in [
        ("10.0.0.0/24", "", 256, true, "10.0.0.0", "10.0.0.255"),
        ("10.0.0.0/24", "10.0.0.0,10.0.0.255", 254, true, "10.0.0.0", "10.0.0.255"),
        ("fd00::/120", "", 256, false, "fd00::", "fd00::ff"),
        ("fd00::/64", "", i64::MAX, false, "fd00::", "fd00::ffff:ffff:ffff:ffff"),
        ("10.0.0.1,fd00::1", "", 2, true, "10.0.0.1", "fd00::1"),
    ] {
        let status = written(&snapshot(&[eip("a", addresses).exclude(exclude)], &[]), "a").unwrap();
        assert_eq!((status.pool_size, status.v4), (size, v4), "{addresses}");
        assert_eq!((status.first_ip.as_deref(), status.last_ip.as_deref()), (Some(first), Some(last)));
    }
    let broken = written(&snapshot(&[eip("a", "")], &[]), "a").unwrap();
    assert_eq!((broken.pool_size, broken.ready, broken.first_ip), (0, false, None));
}

#[test]
fn what_is_held_of_no_longer_given_addresses_does_not_make_an_eip_full() {
    let pool = eip("a", "10.0.0.1-10.0.0.3").exclude("10.0.0.1");
    let held =
        |n: u8| service(&format!("n/s{n}")).with(|s| s.ingress = vec![IngressAddress::Ip(IpAddr::from([10, 0, 0, n]))]);
    let some = snapshot(std::slice::from_ref(&pool), &[held(1), held(2)]);
    let status = written(&some, "a").unwrap();
    assert_eq!((status.usage, status.pool_size, status.occupied), (2, 2, false));
    assert!(written(&snapshot(&[pool], &[held(2), held(3)]), "a").unwrap().occupied);
}

#[test]
fn every_fault_is_a_condition() {
    let issue = |field: &str, reason, message: &str| Issue {
        object: ObjectRef::Eip("bad".into()),
        field: field.to_owned(),
        reason,
        message: message.to_owned(),
    };
    let eips = [
        eip("first", "10.0.0.1-10.0.0.9").default_eip(),
        eip("overlaps", "10.0.0.9-10.0.0.10"),
        eip("second", "10.1.0.1").default_eip(),
        eip("bad", ""),
        eip("off", "10.2.0.1").with(|e| e.disabled = true),
        eip("going", "10.3.0.1").with(|e| e.deleting = true),
        eip("vip", "10.4.0.1").with(|e| e.announcement = Announcement::Vip),
        eip("shrunk", "10.5.0.1").used(&[("10.5.0.2", "n/s")]),
    ];
    let mut snapshot = snapshot(&eips, &[service("n/s").holds(&["10.5.0.2"])]);
    snapshot.issues = vec![
        issue("spec.address", IssueReason::InvalidField, "x is no address"),
        issue("spec.priority", IssueReason::InvalidField, "y is no number"),
    ];
    let all = |name: &str, more: &[&str]| {
        let told: Vec<String> = told(&snapshot, name);
        assert_eq!(told, more, "{name}");
    };
    let free = "Exhausted False FreeAddresses";
    all("first", &["Ready True Ready", free]);
    all("overlaps", &["Ready True Ready", free, "Overlapping True Overlapping"]);
    all("second", &["Ready True Ready", free, "SecondDefault True SecondDefault"]);
    all("bad", &["Ready False Unreadable", "Exhausted True NoFreeAddress", "InvalidField True InvalidField"]);
    all("off", &["Ready True Disabled", free]);
    all("going", &["Ready True Deleting", free]);
    all("vip", &["Ready True Ready", free, "ServedAsLayer2 True ServedAsLayer2"]);
    all("shrunk", &["Ready True Ready", free, "HeldOutside True HeldOutside"]);
    let message = |name: &str, kind: &str| {
        let all = usage(&snapshot, &InFlight::default());
        let one = all.iter().find(|u| u.name().as_str() == name).unwrap();
        one.conditions.iter().find(|c| c.kind == kind).unwrap().message.clone()
    };
    assert_eq!(message("bad", "InvalidField"), "spec.address: x is no address; spec.priority: y is no number");
    assert!(message("overlaps", "Overlapping").starts_with("10.0.0.9 is in Eip first as well"));
    assert_eq!(
        written(&snapshot, "shrunk").unwrap().used.len(),
        1,
        "still listed: the status is how one knows where it came from"
    );
}

#[test]
fn weights_that_have_no_effect_are_told() {
    let weighted = |e: &mut Eip| (e.announcement, e.routes.weighted) = (Announcement::Bgp, true);
    let pool = eip("a", "10.0.0.1-10.0.0.9").with(weighted);
    let of = |name: &str, address: &str, policy| service(name).holds(&[address]).with(|s| s.traffic_policy = policy);
    let local = of("n/local", "10.0.0.1", TrafficPolicy::Local);
    let told_with = |services: &[Service]| told(&snapshot(std::slice::from_ref(&pool), services), "a");
    let well = ["Ready True Ready", "Exhausted False FreeAddresses"];
    assert_eq!(told_with(std::slice::from_ref(&local)), well);
    let all = [local, of("n/one", "10.0.0.2", TrafficPolicy::Cluster), of("n/two", "10.0.0.3", TrafficPolicy::Cluster)];
    assert_eq!(told_with(&all), [well[0], well[1], "NotWeighted True NotWeighted"]);
    let snapshot = snapshot(&[pool], &all);
    let conditions = usage(&snapshot, &InFlight::default()).remove(0).conditions;
    let message = &conditions.iter().find(|condition| condition.kind == NOT_WEIGHTED).unwrap().message;
    assert!(message.contains("for 2 Services") && message.contains("n/one being the first"), "{message}");
}

#[test]
fn a_condition_that_no_longer_holds_goes_and_others_stay() {
    let stale = condition(OVERLAPPING, ConditionStatus::True, OVERLAPPING, "m".to_owned());
    let theirs = condition("example.org/Mark", ConditionStatus::True, "R", "m".to_owned());
    let pool = eip("a", "10.0.0.1").with(|e| e.status.conditions = vec![stale, theirs]);
    let kinds: Vec<_> =
        written(&snapshot(&[pool], &[]), "a").unwrap().conditions.into_iter().map(|c| c.condition.kind).collect();
    assert_eq!(kinds, ["Ready", "Exhausted", "example.org/Mark"]);
}

#[test]
fn unreadable_entries_are_written_over() {
    let now = after(&snapshot(&[eip("a", "10.0.0.1")], &[]), "a");
    let mut odd = now.clone();
    Arc::make_mut(odd.eips.get_mut(&EipName::from("a")).unwrap()).status.has_unreadable_used = true;
    assert_eq!(written(&now, "a"), None);
    assert!(written(&odd, "a").is_some());
}

#[test]
fn a_list_too_long_for_an_object_is_cut_and_the_counters_stay_exact() {
    let held = |n: u32, name: &str| {
        let address = IpAddr::V4(std::net::Ipv4Addr::from(0x0a00_0000 + n));
        service(&format!("n/{name}{n:06}")).with(|s| s.ingress = vec![IngressAddress::Ip(address)])
    };
    let many: Vec<_> = (0..20_001).map(|n| held(n, "s")).collect();
    let status = written(&snapshot(&[eip("a", "10.0.0.0/8")], &many), "a").unwrap();
    assert_eq!((status.used.len(), status.usage), (MAX_USED_ENTRIES, 20_001));
    assert!(status.conditions.iter().any(|c| c.condition.kind == USED_TRUNCATED));
    assert!(!status.used.contains_key("10.0.78.32"), "the highest is left out");
    let some = written(&snapshot(&[eip("a", "10.0.0.0/8")], &many[..20_000]), "a").unwrap();
    assert!(some.conditions.iter().all(|c| c.condition.kind != USED_TRUNCATED));

    let long: Vec<_> = (0..10_000).map(|n| held(n, &"x".repeat(57))).collect();
    let status = written(&snapshot(&[eip("a", "10.0.0.0/8")], &long), "a").unwrap();
    let bytes: usize = status.used.iter().map(|(k, v)| k.len() + v.len() + 6).sum();
    assert!(bytes <= MAX_USED_BYTES && status.used.len() > 8000, "{bytes} bytes in {} entries", status.used.len());
    assert_eq!(status.usage, 10_000);
}

#[test]
fn nodes_without_a_discard_route_are_told_on_the_eip_of_the_aggregate() {
    let bgp = |name: &str, addresses: &str| {
        eip(name, addresses).with(|eip| {
            eip.announcement = Announcement::Bgp;
            eip.routes.aggregation_v4 = Some(24);
        })
    };
    let mut now = snapshot(&[bgp("a", "192.0.2.0/25"), bgp("b", "198.51.100.0/24")], &[]);
    let report = |now: &mut Snapshot, node: &str, looping: &[&str]| {
        add_speaker(now, node, &[], &[]);
        let report = Arc::make_mut(now.speakers.get_mut(&node.into()).unwrap());
        report.bgp.looping = looping.iter().map(|text| text.parse().unwrap()).collect();
    };
    let message = |now: &Snapshot, name: &str| {
        let all = usage(now, &InFlight::default());
        let one = all.iter().find(|u| u.name().as_str() == name).expect("there");
        one.conditions.iter().find(|c| c.kind == DISCARD_ROUTE_MISSING).map(|c| c.message.clone())
    };
    report(&mut now, "n1", &["192.0.2.0/24"]);
    assert_eq!(
        message(&now, "a").unwrap(),
        "node n1 would send packets for unused addresses of 192.0.2.0/24 back to a router, and so round and round: give each node a \
         discard route for it, see docs/bgp.md"
    );
    assert_eq!(message(&now, "b"), None, "another's");
    for node in ["n2", "n3", "n4"] {
        report(&mut now, node, &["192.0.2.0/24", "198.51.100.0/25"]);
    }
    assert!(message(&now, "a").unwrap().starts_with("4 nodes (n1, n2, n3 and 1 more) would"));
    assert_eq!(message(&now, "b"), None, "not of the length that the Eip has");
    now.nodes.clear();
    assert_eq!(message(&now, "a"), None, "the nodes are gone");
}
