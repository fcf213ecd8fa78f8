//! A stranger's claim to an address: what it keeps from whom, and for how long.

use std::sync::Arc;

use ironlb_model::{Eip, EipName, FamilyPolicy, ReportedConflict, Service, ServiceId};

use super::*;
use crate::testing::*;
use crate::{Action, InFlight, Memory, Plan, Reason, Step, plan, usage};

mod properties;

fn mac(last: u8) -> MacAddr {
    MacAddr([2, 0, 0, 0, 0, last])
}

fn claim(node: &str) -> Claim {
    Claim { mac: mac(0xee), node: node.into() }
}

/// What is known beyond the snapshot: a stranger claims these.
fn claimed(addresses: &[&str]) -> InFlight {
    InFlight { claimed: ips(addresses).into_iter().map(|a| (a, claim("n1"))).collect(), ..InFlight::default() }
}

/// The speaker of this node reports these: address, last byte of the stranger's Ethernet address, when it was last heard.
fn report(snapshot: &mut Snapshot, node: &str, conflicts: &[(&str, u8, i64)]) {
    if !snapshot.speakers.contains_key(&NodeName::from(node)) {
        add_speaker(snapshot, node, &[], &[]);
    }
    let report = Arc::make_mut(snapshot.speakers.get_mut(&NodeName::from(node)).unwrap());
    let conflict = |(vip, last, heard): &(&str, u8, i64)| ReportedConflict {
        vip: ip(vip),
        mac: mac(*last),
        last_heard: WallTime(*heard),
    };
    report.conflicts = conflicts.iter().map(conflict).collect();
}

const COUNTS: Duration = Duration::from_secs(60);

#[test]
fn a_claim_counts_for_a_while_after_it_was_last_heard() {
    let mut snapshot = snapshot(&[eip("a", "10.0.0.1-10.0.0.9")], &[]);
    let mut conflicts = Conflicts::default();
    let mut at = |snapshot: &Snapshot, now| {
        let claims = conflicts.observe(snapshot, COUNTS, seconds(now));
        (claims.keys().map(ToString::to_string).collect::<Vec<_>>(), conflicts.first_end(COUNTS, seconds(now)))
    };
    assert_eq!(at(&snapshot, 1), (vec![], None));
    // What stands in the report is another machine's time, here one that is a year wrong: only that it changes counts.
    report(&mut snapshot, "n1", &[("10.0.0.1", 0xee, 31_000_000)]);
    assert_eq!(at(&snapshot, 10), (vec!["10.0.0.1".to_owned()], Some(seconds(70))));
    assert_eq!(at(&snapshot, 69).0, ["10.0.0.1"]);
    report(&mut snapshot, "n1", &[("10.0.0.1", 0xee, 31_000_003)]);
    assert_eq!(at(&snapshot, 69), (vec!["10.0.0.1".to_owned()], Some(seconds(129))));
    assert_eq!(at(&snapshot, 129), (vec![], None), "it is still listed, and nothing new was heard");
    assert_eq!(at(&snapshot, 500), (vec![], None));
    report(&mut snapshot, "n1", &[("10.0.0.1", 0xee, 31_000_900)]);
    assert_eq!(at(&snapshot, 501), (vec!["10.0.0.1".to_owned()], Some(seconds(561))));
    // A speaker that is started anew has heard nothing yet.
    report(&mut snapshot, "n1", &[]);
    assert_eq!(at(&snapshot, 502), (vec!["10.0.0.1".to_owned()], Some(seconds(561))));
    assert_eq!(at(&snapshot, 561), (vec![], None));
}

#[test]
fn what_is_no_strangers_claim_is_left_out() {
    let mut snapshot = snapshot(&[eip("a", "10.0.0.1-10.0.0.9")], &[]);
    report(&mut snapshot, "n1", &[("10.0.0.1", 1, 5), ("10.0.0.2", 2, 5), ("10.0.0.3", 3, 5)]);
    report(&mut snapshot, "n2", &[("10.0.0.2", 2, 5), ("10.0.0.4", 4, 5)]);
    report(&mut snapshot, "gone", &[("10.0.0.5", 5, 5)]);
    snapshot.nodes.remove(&NodeName::from("gone"));
    Arc::make_mut(snapshot.speakers.get_mut(&NodeName::from("n2")).unwrap()).macs = vec![mac(1)];
    let claims = Conflicts::default().observe(&snapshot, COUNTS, seconds(1));
    let told: Vec<String> = claims.iter().map(|(a, c)| format!("{a} {} {}", c.mac, c.node)).collect();
    assert_eq!(
        told,
        ["10.0.0.2 02:00:00:00:00:02 n1", "10.0.0.3 02:00:00:00:00:03 n1", "10.0.0.4 02:00:00:00:00:04 n2"],
        "the first is a member's, the last is reported by a node that is gone, and two nodes hear the second"
    );
}

/// The addresses of an Eip with two addresses of which a stranger claims the first.
fn two(detection: ConflictDetection) -> Eip {
    eip("a", "10.0.0.1-10.0.0.2").default_eip().with(|e| e.conflict_detection = detection)
}

/// What it is about, what the Eip does, what there is, the address that n/b then has, and the reasons it is told.
type Row = (&'static str, ConflictDetection, Vec<Service>, &'static [&'static str], &'static [&'static str]);

#[test]
fn nobody_new_gets_a_claimed_address_where_that_is_enforced() {
    use ConflictDetection::{Enforce, Off, Warn};
    let wants = || service("n/b").wish(&["10.0.0.1"]);
    let lost = || service("n/b").with(|s| s.remembered = ips(&["10.0.0.1"]));
    let holder = || service("n/a").holds(&["10.0.0.1"]).ports(&[443]);
    let rows: [Row; 9] = [
        ("any address", Enforce, vec![service("n/b")], &["10.0.0.2"], &[]),
        ("any address, warned", Warn, vec![service("n/b")], &["10.0.0.1"], &[]),
        ("any address, off", Off, vec![service("n/b")], &["10.0.0.1"], &[]),
        ("a wish", Enforce, vec![wants()], &[], &["InConflict"]),
        ("a wish, warned", Warn, vec![wants()], &["10.0.0.1"], &[]),
        ("a wish to share", Enforce, vec![holder(), wants()], &[], &["InConflict"]),
        ("who holds it", Enforce, vec![service("n/b").holds(&["10.0.0.1"])], &["10.0.0.1"], &[]),
        ("who held it before its status was lost", Enforce, vec![lost()], &["10.0.0.1"], &[]),
        ("and wishes for it", Enforce, vec![lost().wish(&["10.0.0.1"])], &["10.0.0.1"], &[]),
    ];
    for (what, detection, services, held, told) in rows {
        let plan = plan(&snapshot(&[two(detection)], &services), &claimed(&["10.0.0.1"]));
        assert_eq!(vips(&plan, "n/b"), ips(held), "{what}");
        assert_eq!(reasons(&plan, "n/b"), told, "{what}");
    }
}

#[test]
fn a_refused_wish_moves_nobody_and_names_the_host() {
    let snapshot =
        snapshot(&[two(ConflictDetection::Enforce)], &[service("n/b").holds(&["10.0.0.2"]).wish(&["10.0.0.1"])]);
    let plan = plan(&snapshot, &claimed(&["10.0.0.1"]));
    assert_eq!(vips(&plan, "n/b"), ips(&["10.0.0.2"]));
    let said = plan.verdict(&ServiceId::new("n", "b")).unwrap().unmet[0].to_string();
    assert!(
        said.contains("10.0.0.1 of Eip a is claimed by another host, 02:00:00:00:00:ee, as node n1 hears"),
        "{said}"
    );
}

#[test]
fn a_reserved_address_that_is_claimed_is_kept_back_from_whom_it_is_for() {
    let pool = two(ConflictDetection::Enforce).reserve("10.0.0.1", for_service("n/b"));
    let plan = plan(&snapshot(&[pool], &[service("n/b")]), &claimed(&["10.0.0.1"]));
    assert_eq!(vips(&plan, "n/b"), ips(&["10.0.0.2"]));
}

#[test]
fn a_full_eip_says_that_a_claim_makes_it_so() {
    let services = [service("n/a").holds(&["10.0.0.2"]), service("n/b")];
    let full = |in_flight: &InFlight, services: &[Service]| {
        let plan = plan(&snapshot(&[two(ConflictDetection::Enforce)], services), in_flight);
        match plan.verdict(&ServiceId::new("n", "b")).unwrap().unmet.as_slice() {
            [reason @ Reason::EipFull { used: 2, total: 2, .. }] => reason.to_string(),
            other => panic!("{other:?}"),
        }
    };
    let said = full(&claimed(&["10.0.0.1"]), &services);
    assert!(said.contains("2 of 2 in use in Eip a or claimed by another host (condition Conflict)"), "{said}");
    // A claim to an address that is held is not what makes it full.
    let [a, b] = services;
    let said = full(&claimed(&["10.0.0.1"]), &[a, b, service("n/c").holds(&["10.0.0.1"])]);
    assert!(!said.contains("claimed"), "{said}");
}

#[test]
fn the_second_family_of_a_service_passes_a_claimed_address_over_as_well() {
    let pool = eip("a", "10.0.0.1, fd00::1-fd00::2").default_eip();
    let service = service("n/b").holds(&["10.0.0.1"]).dual(FamilyPolicy::PreferDualStack);
    let plan = plan(&snapshot(&[pool], &[service]), &claimed(&["10.0.0.1", "fd00::1"]));
    assert_eq!(vips(&plan, "n/b"), ips(&["10.0.0.1", "fd00::2"]));
}

/// The message of the Eip's condition.
fn told_on(snapshot: &Snapshot, in_flight: &InFlight) -> Option<String> {
    let all = usage(snapshot, in_flight);
    let condition = all[0].conditions.iter().find(|c| c.kind == CONFLICT)?;
    assert_eq!((condition.status, condition.reason.as_str()), (ConditionStatus::True, "Conflict"));
    Some(condition.message.clone())
}

#[test]
fn the_eip_names_the_address_the_host_and_the_node() {
    use ConflictDetection::{Enforce, Off, Warn};
    let with = |detection| snapshot(&[two(detection)], &[service("n/a").holds(&["10.0.0.1"])]);
    let one = claimed(&["10.0.0.1"]);
    let said = told_on(&with(Enforce), &one).unwrap();
    let head = "10.0.0.1 is claimed by 02:00:00:00:00:ee (heard by node n1): find that host";
    assert!(
        said.starts_with(head) && said.contains("no other Service gets it until the host has been silent"),
        "{said}"
    );
    let said = told_on(&with(Warn), &one).unwrap();
    assert!(said.starts_with(head) && said.contains("it is given out all the same"), "{said}");
    assert_eq!(told_on(&with(Off), &one), None);
    assert_eq!(told_on(&with(Enforce), &claimed(&["10.0.0.3"])), None, "it is in no Eip");
    let many = snapshot(&[eip("a", "10.0.0.0/24")], &[]);
    let said = told_on(&many, &claimed(&["10.0.0.1", "10.0.0.2", "10.0.0.3", "10.0.0.4", "10.0.0.5"])).unwrap();
    assert!(said.contains("10.0.0.3 is claimed") && said.contains("; and 2 more addresses: find"), "{said}");
}

/// The step after which nothing is left to do at this time, and the Events on the way.
fn settle(snapshot: &mut Snapshot, memory: &mut Memory, at: u64) -> (Step, Vec<String>) {
    let mut steps = crate::testing::settle(snapshot, memory, seconds(at));
    let told = steps.iter().flat_map(|step| &step.actions).filter_map(|planned| match &planned.action {
        Action::Emit(event) => Some(format!("{} {}", event.reason, event.object)),
        _ => None,
    });
    let events = told.collect();
    (steps.pop().expect("there is a last one"), events)
}

#[test]
fn it_is_told_once_and_ends_by_itself() {
    let mut snapshot = snapshot(&[two(ConflictDetection::Enforce)], &[service("n/a")]);
    let mut memory = memory();
    settle(&mut snapshot, &mut memory, 1);
    report(&mut snapshot, "n1", &[("10.0.0.1", 0xee, 7)]);
    let (rest, events) = settle(&mut snapshot, &mut memory, 100);
    assert_eq!(events, ["Conflict Eip a"]);
    assert_eq!(rest.next_wake, Some(seconds(160)));
    let shows =
        |snapshot: &Snapshot| snapshot.eips[&EipName::from("a")].status.conditions.iter().any(|c| c.kind == CONFLICT);
    assert!(shows(&snapshot));
    // Heard again and again: nothing is written and nothing told.
    for heard in 8..20 {
        report(&mut snapshot, "n1", &[("10.0.0.1", 0xee, heard)]);
        let (_, events) = settle(&mut snapshot, &mut memory, 100 + u64::try_from(heard).unwrap());
        assert_eq!(events, [""; 0]);
    }
    // A new leader, or the same controller started anew, tells nothing anew either.
    memory = crate::testing::memory();
    assert_eq!(settle(&mut snapshot, &mut memory, 120).1, [""; 0]);
    // The holder goes, another comes: it gets another address, until the host has been silent for long enough.
    snapshot.services.clear();
    snapshot.services.insert(ServiceId::new("n", "b"), Arc::new(service("n/b").wish(&["10.0.0.1"])));
    let (rest, _) = settle(&mut snapshot, &mut memory, 130);
    assert_eq!(reasons(&rest.plan, "n/b"), ["InConflict"]);
    assert_eq!(rest.next_wake, Some(seconds(180)));
    let (rest, events) = settle(&mut snapshot, &mut memory, 180);
    assert_eq!((vips(&rest.plan, "n/b"), shows(&snapshot)), (ips(&["10.0.0.1"]), false));
    assert!(events.iter().all(|event| !event.starts_with("Conflict")), "{events:?}");
}

#[test]
fn who_gave_a_claimed_address_back_does_not_get_it_again() {
    let mut snapshot = snapshot(&[two(ConflictDetection::Enforce).reuse_delay(600)], &[service("n/a")]);
    let mut memory = memory();
    settle(&mut snapshot, &mut memory, 1);
    snapshot.services.clear();
    report(&mut snapshot, "n1", &[("10.0.0.1", 0xee, 7)]);
    settle(&mut snapshot, &mut memory, 2);
    snapshot.services.insert(ServiceId::new("n", "a"), Arc::new(service("n/a")));
    let (rest, _) = settle(&mut snapshot, &mut memory, 3);
    assert_eq!(vips(&rest.plan, "n/a"), ips(&["10.0.0.2"]));
}

#[test]
fn explain_knows_what_is_reported_and_told() {
    let mut snapshot = snapshot(&[two(ConflictDetection::Enforce)], &[service("n/a"), service("n/b").created(1)]);
    let mut memory = memory();
    settle(&mut snapshot, &mut memory, 1);
    let claim_of = |snapshot: &Snapshot, id: &str| {
        let explanation = crate::explain(snapshot, &ServiceId::parse(id).unwrap()).unwrap();
        explanation.vips[0].claim.clone()
    };
    report(&mut snapshot, "n1", &[("10.0.0.1", 0xee, 7)]);
    assert_eq!(claim_of(&snapshot, "n/a"), None, "the controller has not told it");
    settle(&mut snapshot, &mut memory, 2);
    assert_eq!(claim_of(&snapshot, "n/a"), Some(claim("n1")));
    assert_eq!(claim_of(&snapshot, "n/b"), None);
    let wish = service("n/c").created(2).wish(&["10.0.0.1"]).ports(&[443]);
    snapshot.services.insert(ServiceId::new("n", "c"), Arc::new(wish));
    let explanation = crate::explain(&snapshot, &ServiceId::new("n", "c")).unwrap();
    assert_eq!(explanation.verdict.unmet[0].category(), "InConflict");
}
