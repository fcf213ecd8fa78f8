use ironlb_model::{OptIn, Snapshot};

use super::*;
use crate::testing::*;
use ironlb_model::ConditionWrite;

/// The patch of the only Service, and the Events as "type reason: message".
fn patch_of(snapshot: &Snapshot) -> Option<(ServicePatch, Vec<String>)> {
    let plan = planned(snapshot);
    let (one, verdict) = (&plan.services[0].service, &plan.services[0].verdict);
    let wanted = crate::project(one, verdict, snapshot)?;
    let (patch, events) = patch_service(one, verdict, &wanted)?;
    let events = events.iter().map(|e| format!("{} {}: {}", e.kind.as_str(), e.reason, e.message)).collect();
    Some((patch, events))
}

fn pool() -> ironlb_model::Eip {
    eip("a", "10.0.0.1-10.0.0.2").default_eip()
}

/// The only Service after its patch.
fn after(snapshot: &Snapshot) -> Service {
    let service = snapshot.services.values().next().unwrap();
    patched(service, &patch_of(snapshot).expect("something to write").0, ironlb_model::WallTime(5))
}

#[test]
fn all_is_written_by_one_patch_and_then_nothing() {
    let fresh = snapshot(&[pool()], &[service("n/s").with(|s| s.has_openelb_finalizer = true)]);
    let (patch, events) = patch_of(&fresh).unwrap();
    assert_eq!(patch.ingress, Some(vec![ironlb_model::IngressAddress::Ip(ip("10.0.0.1"))]));
    assert_eq!(patch.label, Some(Change::Set("a".into())));
    assert_eq!(patch.addresses, Some(Change::Set("10.0.0.1".to_owned())));
    assert!(patch.remove_finalizer);
    assert_eq!(patch.conditions.len(), 2);
    assert_eq!(events[0], "Normal AssignIP: success to assign ip: 10.0.0.1");
    assert!(events[1].starts_with("Warning SetBalancer: NoSpeaker: no speaker has reported"), "{events:?}");
    assert_eq!(patch_of(&snapshot(&[pool()], &[after(&fresh)])), None);
}

#[test]
fn an_adopted_address_is_told_to_nobody() {
    let mut adopted =
        snapshot(&[pool()], &[service("n/s").holds(&["10.0.0.2"]).with(|s| s.has_openelb_finalizer = true)]);
    add_speaker(&mut adopted, "n1", &[], &[]);
    let (patch, events) = patch_of(&adopted).unwrap();
    assert_eq!((patch.ingress, patch.remove_finalizer), (None, true));
    assert_eq!(events, Vec::<String>::new());
}

#[test]
fn a_refusal_is_told_once() {
    for (one, want) in [
        (
            service("n/s").eip("none"),
            "Warning ConstructRequest: failed to construct allocate request: EipNotFound: Eip none does not",
        ),
        (
            service("n/s").wish(&["10.9.9.9"]),
            "Warning ConstructRequest: failed to construct allocate request: WishOutsideEveryEip",
        ),
        (
            service("n/s").wish(&["10.0.0.9"]).eip("a"),
            "Warning AssignIPFailed: WishOutsideEip: the wished address 10.0.0.9 is not in",
        ),
    ] {
        let refused = snapshot(&[pool()], &[one]);
        let (_, events) = patch_of(&refused).unwrap();
        assert!(events.len() == 1 && events[0].starts_with(want), "{events:?}");
        assert_eq!(patch_of(&snapshot(&[pool()], &[after(&refused)])), None);
    }
}

#[test]
fn a_new_wish_moves_and_both_ends_are_told() {
    let mut held = snapshot(&[pool()], &[service("n/s").holds(&["10.0.0.1"]).wish(&["10.0.0.2"])]);
    add_speaker(&mut held, "n1", &[], &[]);
    let (patch, events) = patch_of(&held).unwrap();
    assert_eq!(patch.ingress, Some(vec![ironlb_model::IngressAddress::Ip(ip("10.0.0.2"))]));
    assert_eq!(
        events,
        ["Normal ReleaseIP: success to release ip: 10.0.0.1", "Normal AssignIP: success to assign ip: 10.0.0.2"]
    );
}

#[test]
fn the_time_of_the_condition_is_that_of_the_address() {
    let first = after(&snapshot(&[pool()], &[service("n/s")]));
    let (patch, _) = patch_of(&snapshot(&[pool()], &[first.wish(&["10.0.0.2"])])).unwrap();
    let assigned = patch.conditions.iter().find_map(|write| match write {
        ConditionWrite::Set { condition, transition } if condition.kind == ADDRESS_ASSIGNED => Some(*transition),
        _ => None,
    });
    assert_eq!(assigned, Some(true), "the status stays True, the address is new");
}

#[test]
fn announcements_are_told_when_they_change() {
    let mut held = snapshot(&[pool()], &[service("n/s")]);
    add_speaker(&mut held, "n1", &[], &[]);
    let mut show = |speaker: &[(&str, &str)], withheld: &[(&str, &str, &str)]| {
        add_speaker(&mut held, "n1", speaker, withheld);
        let Some((_, events)) = patch_of(&held) else { return vec!["nothing".to_owned()] };
        let service = after(&held);
        held.services.insert(service.id.clone(), std::sync::Arc::new(service));
        events
    };
    assert_eq!(show(&[], &[]), ["Normal AssignIP: success to assign ip: 10.0.0.1"], "not yet announced is no news");
    assert_eq!(show(&[("10.0.0.1", "eth0")], &[]), ["Normal SetBalancer: node n1 answers on eth0"]);
    assert_eq!(show(&[("10.0.0.1", "eth0")], &[]), ["nothing"]);
    assert_eq!(show(&[("10.0.0.1", "eth1")], &[]), ["Normal SetBalancer: node n1 answers on eth1"]);
    let told = show(&[], &[("10.0.0.1", "NoReadyEndpoint", "none is ready")]);
    assert_eq!(told, ["Warning SetBalancer: NoReadyEndpoint: no node announces it (n1: none is ready)"]);
    assert_eq!(
        show(&[], &[("10.0.0.1", "NoReadyEndpoint", "none of 3 is ready")]),
        Vec::<String>::new(),
        "only the wording"
    );
}

#[test]
fn one_that_opts_out_is_cleared_and_one_that_never_opted_in_is_not_looked_at() {
    let left = after(&snapshot(&[pool()], &[service("n/s")])).with(|s| s.opt_in = OptIn::Absent);
    let (patch, events) = patch_of(&snapshot(&[pool()], &[left])).unwrap();
    assert_eq!(
        (patch.ingress, patch.label, patch.addresses),
        (Some(vec![]), Some(Change::Remove), Some(Change::Remove))
    );
    assert!(
        patch.conditions.iter().all(|write| matches!(write, ConditionWrite::Remove { .. }))
            && patch.conditions.len() == 2
    );
    assert_eq!(events, ["Normal ReleaseIP: success to release ip: 10.0.0.1"]);
    let never = service("n/s").with(|s| s.opt_in = OptIn::Absent);
    assert_eq!(patch_of(&snapshot(&[pool()], &[never])), None);
}
