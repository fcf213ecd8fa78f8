use ironlb_model::{EipName, OptIn};

use super::*;
use crate::testing::*;

/// What the only Service should show.
fn projected(snapshot: &Snapshot) -> Option<ServiceProjection> {
    let plan = planned(snapshot);
    project(&plan.services[0].service, &plan.services[0].verdict, snapshot)
}

fn assigned_of(projection: &ServiceProjection) -> (ConditionStatus, &str, &str) {
    let condition = projection.conditions.iter().find(|c| c.kind == ADDRESS_ASSIGNED).expect("always told");
    (condition.status, &condition.reason, &condition.message)
}

#[test]
fn a_given_address_is_shown_everywhere() {
    let shown = projected(&snapshot(&[eip("a", "10.0.0.1").default_eip()], &[service("n/s")])).unwrap();
    assert_eq!(shown.ingress, [IngressAddress::Ip(ip("10.0.0.1"))]);
    assert_eq!(shown.label, Some(EipName::from("a")));
    assert_eq!(shown.remembered, ips(&["10.0.0.1"]));
    assert_eq!(assigned_of(&shown), (ConditionStatus::True, "Assigned", "10.0.0.1 from Eip a"));
    assert_eq!(shown.conditions[1].reason, "NoSpeaker");
}

#[test]
fn without_address_the_condition_says_why_and_what_to_do() {
    let shown = projected(&snapshot(&[], &[service("n/s")])).unwrap();
    let (status, reason, message) = assigned_of(&shown);
    assert_eq!((status, reason), (ConditionStatus::False, "NoEip"));
    assert!(message.contains("make one the default"), "{message}");
    assert_eq!((shown.ingress.len(), shown.label, shown.conditions.len()), (0, None, 1));
}

#[test]
fn a_wish_not_granted_is_told_beside_the_address_that_is_kept() {
    let held = service("n/s").holds(&["10.0.0.1"]).wish(&["10.9.9.9"]);
    let shown = projected(&snapshot(&[eip("a", "10.0.0.1")], &[held])).unwrap();
    let (status, reason, message) = assigned_of(&shown);
    assert_eq!((status, reason), (ConditionStatus::True, "WishOutsideEveryEip"));
    assert!(message.starts_with("10.0.0.1 from Eip a; the wished address 10.9.9.9 is in no Eip"), "{message}");
}

#[test]
fn required_and_preferred_families_differ_in_what_is_told() {
    let four = eip("a", "10.0.0.1").default_eip();
    for (policy, status, reason) in [
        (FamilyPolicy::PreferDualStack, ConditionStatus::True, "Assigned"),
        (FamilyPolicy::RequireDualStack, ConditionStatus::False, "WrongFamily"),
    ] {
        let shown = projected(&snapshot(std::slice::from_ref(&four), &[service("n/s").dual(policy)])).unwrap();
        let told = assigned_of(&shown);
        assert_eq!((told.0, told.1), (status, reason));
        assert!(told.2.contains("no IPv6 address"), "{}", told.2);
    }
}

#[test]
fn what_was_held_is_remembered_until_it_can_be_given_back() {
    let lost = service("n/s").with(|s| s.remembered = ips(&["10.0.0.1"]));
    let off = eip("a", "10.0.0.1").default_eip().with(|e| e.disabled = true);
    let shown = projected(&snapshot(&[off], std::slice::from_ref(&lost))).unwrap();
    assert_eq!((shown.ingress.len(), shown.remembered), (0, ips(&["10.0.0.1"])));
    let dual = lost.dual(FamilyPolicy::PreferDualStack).with(|s| s.remembered = ips(&["10.0.0.1", "fd00::1"]));
    let shown = projected(&snapshot(&[eip("a", "10.0.0.1").default_eip()], &[dual])).unwrap();
    assert_eq!(shown.remembered, ips(&["10.0.0.1", "fd00::1"]));
}

#[test]
fn the_label_follows_the_first_vip_and_stays_where_no_eip_is_known() {
    let held = service("n/s").holds(&["10.0.0.1"]).with(|s| {
        s.remembered = ips(&["10.0.0.1"]);
        s.eip_label = Some("old".into());
    });
    let shown = projected(&snapshot(&[eip("a", "10.0.0.1")], std::slice::from_ref(&held))).unwrap();
    assert_eq!(shown.label, Some("a".into()));
    let shown = projected(&snapshot(&[], std::slice::from_ref(&held))).unwrap();
    assert_eq!(shown.label, Some("old".into()));
    assert_eq!(assigned_of(&shown).1, "PoolMissing");
}

#[test]
fn a_service_that_leaves_shows_nothing_of_ours() {
    let left = service("n/s").holds(&["10.0.0.1"]).with(|s| {
        s.opt_in = OptIn::Absent;
        s.remembered = ips(&["10.0.0.1"]);
        s.ingress.push(IngressAddress::Foreign("lb.example.org".to_owned()));
        s.eip_label = Some("a".into());
    });
    let shown = projected(&snapshot(&[eip("a", "10.0.0.1")], &[left])).unwrap();
    let nothing = ServiceProjection {
        ingress: vec![IngressAddress::Foreign("lb.example.org".to_owned())],
        label: None,
        remembered: vec![],
        conditions: vec![],
    };
    assert_eq!(shown, nothing);
    assert_eq!(projected(&snapshot(&[], &[service("n/s").with(|s| s.opt_in = OptIn::Absent)])), None);
}
