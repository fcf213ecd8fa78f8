use std::sync::Arc;

use ironlb_model::Service;

use super::*;
use crate::condition::ADDRESS_ASSIGNED;
use crate::testing::*;
use crate::{Action, Step, step};

/// A cluster of one Service and one Eip, and the controller's memory.
struct World {
    snapshot: Snapshot,
    memory: Memory,
}

impl World {
    fn new() -> Self {
        let mut snapshot = snapshot(&[eip("a", "10.0.0.1-10.0.0.9").default_eip()], &[service("n/s")]);
        // Out of the way: its status is as it should be.
        let text = crate::usage(&snapshot, &InFlight::default())[0].patch().expect("never written").status;
        let eip = Arc::make_mut(snapshot.eips.get_mut(&EipName::from("a")).unwrap());
        (eip.status.pool_size, eip.status.v4, eip.status.ready) = (text.pool_size, text.v4, text.ready);
        (eip.status.first_ip, eip.status.last_ip) = (text.first_ip, text.last_ip);
        eip.status.conditions = text.conditions.into_iter().map(|c| c.condition).collect();
        Self { snapshot, memory: memory() }
    }

    fn step(&mut self, at: u64) -> Step {
        step(&self.snapshot, &mut self.memory, Timestamp::from_millis(at))
    }

    /// The id of the only patch of the Service in a step.
    fn patch(&mut self, at: u64) -> Option<ActionId> {
        let step = self.step(at);
        let mut ids = step.actions.iter().filter(|p| matches!(p.action, Action::PatchService(_))).map(|p| p.id);
        let id = ids.next();
        assert_eq!(ids.next(), None);
        id
    }

    /// The Events of a step, by reason.
    fn told(&mut self, at: u64) -> Vec<&'static str> {
        let reason = |p: &crate::Planned| match &p.action {
            Action::Emit(event) => Some(event.reason),
            _ => None,
        };
        self.step(at).actions.iter().filter_map(reason).collect()
    }

    fn answer(&mut self, id: ActionId, outcome: Outcome, at: u64) {
        self.memory.on_written(id, outcome, Timestamp::from_millis(at));
    }

    fn show(&mut self, change: impl FnOnce(&mut Service)) {
        let one = self.snapshot.services.get_mut(&ServiceId::new("n", "s")).expect("there");
        change(Arc::make_mut(one));
    }
}

fn written(version: u64) -> Outcome {
    Outcome::Written { version: ResourceVersion(version) }
}

fn refused(message: &str) -> Outcome {
    Outcome::Refused { message: message.to_owned() }
}

#[test]
fn what_is_under_way_is_not_written_again() {
    let mut world = World::new();
    let id = world.patch(0).expect("an address");
    assert_eq!(world.patch(1), None, "no answer yet");
    world.answer(id, written(7), 2);
    assert_eq!(world.patch(3), None, "the watch has not shown it");
    world.show(|s| s.version = ResourceVersion(6));
    assert_eq!(world.patch(4), None, "only an older change");
    world.show(|s| s.version = ResourceVersion(7));
    assert!(world.patch(5).is_some(), "seen: somebody emptied the status again");
    world.answer(id, written(9), 6);
    assert_eq!(world.memory.in_flight().services.len(), 1, "a second outcome for one action is ignored");
}

#[test]
fn one_that_is_gone_is_forgotten() {
    let mut world = World::new();
    let id = world.patch(0).expect("an address");
    world.snapshot.services.clear();
    assert_eq!(world.patch(1), None);
    world.answer(id, Outcome::Gone, 2);
    assert_eq!((world.memory.in_flight().services.len(), world.memory.retries().count()), (0, 0));
    let mut world = World::new();
    let id = world.patch(0).expect("an address");
    world.answer(id, written(7), 1);
    world.snapshot.services.clear();
    world.step(2);
    assert_eq!(world.memory.in_flight().services.len(), 0);
}

#[test]
fn a_refused_write_waits_ever_longer_and_is_told_once() {
    let mut world = World::new();
    let mut at = 0;
    let mut waits = Vec::new();
    let mut told = Vec::new();
    for _ in 0..12 {
        let id = world.patch(at).expect("due");
        world.answer(id, refused("denied by policy"), at);
        told.extend(world.told(at));
        let wake = world.step(at).next_wake.expect("it is tried again");
        assert_eq!(world.patch(at + 1), None);
        waits.push(wake.since(Timestamp::from_millis(at)));
        at = wake.as_nanos().div_ceil(1_000_000);
    }
    assert!(waits[0] >= Duration::from_millis(200) && waits[0] <= Duration::from_millis(300), "{waits:?}");
    assert!(waits.windows(2).all(|pair| pair[0] <= pair[1]), "{waits:?}");
    assert_eq!(waits[11], Duration::from_mins(1));
    assert_eq!(told, ["UpdateServiceStatus"], "the others with the same message are not told");
    let (object, retry) = world.memory.retries().next().expect("counted");
    assert_eq!(
        (object.to_string().as_str(), retry.attempts, retry.message.as_str()),
        ("Service n/s", 12, "denied by policy")
    );

    let id = world.patch(at).expect("due");
    world.answer(id, refused("denied by another policy"), at);
    assert_eq!(world.told(at), ["UpdateServiceStatus"], "another message is told");
    at += 60_000;
    let id = world.patch(at).expect("due");
    world.answer(id, written(9), at);
    assert_eq!(world.memory.retries().count(), 0);
}

#[test]
fn a_conflict_waits_no_longer_than_for_the_new_version() {
    let mut world = World::new();
    let id = world.patch(0).expect("an address");
    world.answer(id, Outcome::Conflict, 1);
    assert_eq!(world.patch(2), None);
    world.show(|s| s.version = ResourceVersion(2));
    assert!(world.patch(3).is_some());
    let mut world = World::new();
    let id = world.patch(0).expect("an address");
    world.answer(id, Outcome::Conflict, 1);
    assert!(world.patch(400).is_some(), "and it is tried again even if the watch stays silent");
}

#[test]
fn a_write_that_changes_nothing_does_not_spin() {
    for outcome in [written(1), Outcome::Unchanged] {
        let mut world = World::new();
        let id = world.patch(0).expect("an address");
        world.answer(id, outcome, 1);
        assert!(
            world.memory.in_flight().services.is_empty(),
            "a patch that changes nothing makes no event to wait for"
        );
        assert_eq!(world.patch(2), None);
        assert!(world.told(3).is_empty());
    }
}

#[test]
fn without_answer_the_address_is_taken_until_a_list_shows_what_became_of_it() {
    let mut world = World::new();
    let id = world.patch(0).expect("an address");
    world.answer(id, Outcome::Unknown, 10_000);
    let step = world.step(10_001);
    assert_eq!(step.relist_after, Some(Timestamp::from_millis(14_000)), "one request time-out later");
    for begun_at in [9000, 13_999] {
        world.memory.on_relisted(Timestamp::from_millis(begun_at));
        assert_eq!(world.memory.in_flight().services.len(), 1, "a list begun at {begun_at} may be too early");
    }
    world.memory.on_relisted(Timestamp::from_millis(14_000));
    assert_eq!(world.memory.in_flight().services.len(), 0);
    assert!(world.patch(14_001).is_some());
}

#[test]
fn without_answer_a_newer_version_settles_it_because_the_patch_names_the_old_one() {
    let mut world = World::new();
    let id = world.patch(0).expect("an address");
    world.answer(id, Outcome::Unknown, 1);
    world.show(|s| s.version = ResourceVersion(2));
    world.step(2);
    assert_eq!(world.memory.in_flight().services.len(), 0);
}

#[test]
fn what_was_done_without_answer_is_told_when_it_shows() {
    let mut world = World::new();
    let step = world.step(0);
    let patch = service_patches(&step).remove("n/s").expect("an address");
    world.answer(step.actions[0].id, Outcome::Unknown, 1);
    world.show(|s| {
        *s = patched(s, &patch, ironlb_model::WallTime(1));
        s.version = ResourceVersion(2);
    });
    assert!(world.told(2).contains(&"AssignIP"));

    let mut world = World::new();
    let id = world.patch(0).expect("an address");
    world.answer(id, Outcome::Unknown, 1);
    world.show(|s| s.version = ResourceVersion(2));
    assert!(!world.told(2).contains(&"AssignIP"), "it was not done");
}

#[test]
fn what_was_not_sent_is_due_at_once() {
    let mut world = World::new();
    let id = world.patch(0).expect("an address");
    world.answer(id, Outcome::NotSent, 1);
    assert!(world.patch(2).is_some());
}

#[test]
fn events_come_after_the_write() {
    let mut world = World::new();
    let id = world.patch(0).expect("an address");
    assert!(world.told(1).is_empty());
    world.answer(id, written(7), 2);
    assert_eq!(world.told(3), ["AssignIP", "SetBalancer"]);
    assert!(world.told(4).is_empty());
}

#[test]
fn a_status_that_is_changed_back_three_times_is_left_alone_for_a_while() {
    let mut world = World::new();
    let mut version = 1;
    let mut at = 0;
    for round in 0..3 {
        let id = world.patch(at).unwrap_or_else(|| panic!("round {round}"));
        world.answer(id, written(version + 1), at);
        // The other writer empties the status right after.
        version += 2;
        world.show(|s| {
            s.version = ResourceVersion(version);
            s.status_writer = Some("other-lb".to_owned());
        });
        at += 1000;
    }
    let step = world.step(at);
    let patch = service_patches(&step).remove("n/s").expect("the condition is told");
    assert_eq!(patch.ingress, None);
    assert!(patch.conditions.iter().any(|write| matches!(
        write,
        ironlb_model::ConditionWrite::Set { condition, .. } if condition.kind == ADDRESS_ASSIGNED
            && condition.reason == "StatusContended"
            && condition.message.starts_with("other-lb changed the status back")
    )));
    assert_eq!(world.memory.in_flight().contended.len(), 1);

    // After the rest it is tried again.
    let told = step.actions.iter().find(|planned| matches!(planned.action, Action::PatchService(_))).expect("told").id;
    world.answer(told, written(version + 1), at);
    version += 1;
    world.show(|s| {
        *s = patched(s, &patch, ironlb_model::WallTime(1));
        s.version = ResourceVersion(version);
    });
    assert!(service_patches(&world.step(at + 1)).is_empty());
    let step = world.step(at + 600_001);
    assert_ne!(service_patches(&step)["n/s"].ingress, None);
}

#[test]
fn one_lost_status_is_no_contention() {
    let mut world = World::new();
    for (round, at) in [(0_u64, 0), (1, 40_000), (2, 80_000), (3, 120_000)] {
        let id = world.patch(at).unwrap_or_else(|| panic!("round {round}"));
        world.answer(id, written(10 * round + 11), at);
        world.show(|s| s.version = ResourceVersion(10 * round + 12));
    }
    assert_eq!(world.memory.in_flight().contended.len(), 0);
}
