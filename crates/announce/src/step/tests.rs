use std::time::Duration;

use super::*;
use crate::site::{edit_node, interfaces, node_name, site, vip};
use crate::{REPORT_INTERVAL, Reason};

fn at(millis: u64) -> Timestamp {
    Timestamp::from_millis(millis)
}

fn view() -> LocalView {
    LocalView {
        interfaces: interfaces(0),
        candidates: [node_name(0)].into(),
        ready: true,
        ..LocalView::new(node_name(0))
    }
}

/// Runs one round and carries everything out.
fn round(site: &Snapshot, view: &LocalView, memory: &mut Memory, now: Timestamp) -> Step {
    let step = step(site, view, memory, now);
    for action in &step.actions {
        memory.applied.record(action, now);
    }
    step
}

fn is_report(action: &Action) -> bool {
    matches!(action, Action::Report(_))
}

#[test]
fn a_vip_is_answered_only_once_its_claim_is_confirmed() {
    let (site, mut view, mut memory) = (site(1, 2), view(), Memory::default());
    let first = round(&site, &view, &mut memory, at(0));
    assert_eq!(first.wanted, [vip(0), vip(1)].into());
    assert!(first.actions.iter().all(is_report));

    view.may_answer = [vip(0)].into();
    let second = round(&site, &view, &mut memory, at(10));
    assert_eq!(memory.applied.answering.keys().copied().collect::<Vec<_>>(), [vip(0)]);
    assert_eq!(second.actions.len(), 1, "the report waits");

    view.may_answer.clear();
    let third = round(&site, &view, &mut memory, at(20));
    assert_eq!(third.actions, [Action::StopAnswering { vip: vip(0), interface: "eth0".into() }]);
}

#[test]
fn a_vip_that_changes_its_interface_stops_on_the_old_one_first() {
    let (mut site, mut view, mut memory) = (site(1, 1), view(), Memory::default());
    view.may_answer = [vip(0)].into();
    round(&site, &view, &mut memory, at(0));
    let mut other = view.interfaces.by_name[&"eth0".into()].clone();
    other.name = "eth1".into();
    view.interfaces.by_name.insert("eth1".into(), other);
    crate::site::edit_eip(&mut site, |eip| eip.interfaces = vec!["eth1".into(), "eth0".into()]);
    let actions = round(&site, &view, &mut memory, at(5000)).actions;
    assert!(matches!(&actions[0], Action::StopAnswering { interface, .. } if interface.as_str() == "eth0"));
    assert!(matches!(&actions[1], Action::Answer { interface, .. } if interface.as_str() == "eth1"));
}

#[test]
fn a_report_is_written_on_change_and_not_too_often() {
    let (site, mut view, mut memory) = (site(1, 1), view(), Memory::default());
    assert_eq!(round(&site, &view, &mut memory, at(0)).actions.len(), 1);
    view.may_answer = [vip(0)].into();
    let soon = round(&site, &view, &mut memory, at(100));
    assert!(!soon.actions.iter().any(is_report));
    assert_eq!(soon.wake_at, Some(at(0) + REPORT_INTERVAL));
    let due = round(&site, &view, &mut memory, at(2000));
    assert!(due.actions.iter().all(is_report) && due.actions.len() == 1);
    let after = round(&site, &view, &mut memory, at(60_000));
    assert!(after.actions.is_empty() && after.wake_at.is_none());
}

#[test]
fn a_failed_action_is_asked_for_again() {
    let (site, mut view, mut memory) = (site(1, 1), view(), Memory::default());
    view.may_answer = [vip(0)].into();
    let first = step(&site, &view, &mut memory, at(0)).actions;
    assert_eq!(step(&site, &view, &mut memory, at(1)).actions, first);
}

#[test]
fn the_minute_of_a_node_that_is_not_ready_begins_when_it_is_seen() {
    let (mut site, view, mut memory) = (site(3, 1), view(), Memory::default());
    edit_node(&mut site, 1, |node| node.ready = false);
    assert_eq!(step(&site, &view, &mut memory, at(1000)).wake_at, Some(at(61_000)));
    let _ = step(&site, &view, &mut memory, at(2000));
    assert_eq!(memory.not_ready_since, [(node_name(1), at(1000))].into());
    edit_node(&mut site, 1, |node| node.ready = true);
    let _ = step(&site, &view, &mut memory, at(3000));
    assert!(memory.not_ready_since.is_empty());
}

#[test]
fn what_is_gone_is_forgotten() {
    let (mut site, view, mut memory) = (site(1, 3), view(), Memory::default());
    let _ = step(&site, &view, &mut memory, at(0));
    assert_eq!(memory.last_eip.len(), 3);
    site.eips.clear();
    site.services.pop_first();
    let found = step(&site, &view, &mut memory, at(0) + Duration::from_secs(1));
    assert_eq!(memory.last_eip.len(), 2);
    assert_eq!(found.announcements.layer2.len(), 2);
    assert!(found.announcements.withheld.values().all(|r| *r != Reason::NoPool));
}
