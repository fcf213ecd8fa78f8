//! An address that was given back, over time.

use std::sync::Arc;

use ironlb_model::{EipName, IngressAddress, OptIn, Service, ServiceId, Snapshot, Timestamp};

use crate::testing::*;
use crate::{Memory, Step, step};

/// One pool with a delay of a minute, and the controller's memory.
struct World {
    snapshot: Snapshot,
    memory: Memory,
}

impl World {
    fn new(addresses: &str, services: &[Service]) -> Self {
        let mut world = Self {
            snapshot: snapshot(&[eip("a", addresses).default_eip().reuse_delay(60)], services),
            memory: memory(),
        };
        world.settle(0);
        world
    }

    /// The step after which nothing is left to do at this time.
    fn settle(&mut self, at: u64) -> Step {
        settle(&mut self.snapshot, &mut self.memory, seconds(at)).pop().expect("there is a last one")
    }

    fn store(&mut self, service: Service) {
        self.snapshot.services.insert(service.id.clone(), Arc::new(service));
    }

    fn delete(&mut self, id: &str) {
        self.snapshot.services.remove(&ServiceId::parse(id).unwrap());
    }

    fn held(&self, id: &str) -> Vec<String> {
        self.snapshot.services[&ServiceId::parse(id).unwrap()].addresses().map(|a| a.to_string()).collect()
    }
}

#[test]
fn what_was_given_back_goes_to_another_only_after_the_delay() {
    let mut world = World::new("10.0.0.1-10.0.0.2", &[service("n/a")]);
    world.delete("n/a");
    world.settle(100);
    world.store(service("n/b"));
    world.settle(101);
    assert_eq!(world.held("n/b"), ["10.0.0.2"], "the other one is free");
    world.store(service("n/c"));
    let waits = world.settle(102);
    assert_eq!(reasons(&waits.plan, "n/c"), ["EipFull"]);
    let said = waits.plan.verdict(&ServiceId::new("n", "c")).unwrap().unmet[0].to_string();
    assert!(said.contains("2 of 2 in use in Eip a or given back a short while ago (spec.reuseDelay)"), "{said}");
    assert_eq!(waits.next_wake, Some(seconds(160)));
    assert_eq!(reasons(&world.settle(159).plan, "n/c"), ["EipFull"]);
    world.settle(160);
    assert_eq!(world.held("n/c"), ["10.0.0.1"]);
}

#[test]
fn the_same_name_gets_it_back_at_once() {
    let mut world =
        World::new("10.0.0.1-10.0.0.9", &[service("n/zero"), service("n/a").created(1), service("n/b").created(2)]);
    assert_eq!(world.held("n/a"), ["10.0.0.2"]);
    world.delete("n/zero");
    world.delete("n/a");
    world.settle(100);
    // An older one in need comes at the same time, and the lowest address is free for neither.
    world.store(service("n/other"));
    world.store(service("n/a").created(50));
    world.settle(101);
    assert_eq!((world.held("n/a"), world.held("n/other")), (vec!["10.0.0.2".to_owned()], vec!["10.0.0.4".to_owned()]));
}

#[test]
fn a_wish_by_another_waits_and_says_so() {
    let mut world = World::new("10.0.0.1-10.0.0.2", &[service("n/a")]);
    world.store(service("n/a").with(|s| s.opt_in = OptIn::Other));
    world.delete("n/a");
    world.settle(100);
    world.store(service("n/b").wish(&["10.0.0.1"]));
    let waits = world.settle(101);
    assert_eq!(reasons(&waits.plan, "n/b"), ["ReuseDelayed"]);
    assert_eq!(waits.next_wake, Some(seconds(160)));
    let said = waits.plan.verdict(&ServiceId::new("n", "b")).unwrap().unmet[0].to_string();
    assert!(said.contains("given back by Service n/a, and Eip a keeps it from others for 60 s"), "{said}");
    world.settle(160);
    assert_eq!(world.held("n/b"), ["10.0.0.1"]);
    // Who had it may wish for it at any time.
    world.delete("n/b");
    world.settle(200);
    world.store(service("n/b").wish(&["10.0.0.1"]));
    world.settle(201);
    assert_eq!(world.held("n/b"), ["10.0.0.1"]);
}

#[test]
fn a_delay_that_is_changed_counts_at_once_and_one_that_cannot_be_read_never_ends() {
    let mut world = World::new("10.0.0.1", &[service("n/a")]);
    world.delete("n/a");
    world.settle(100);
    world.store(service("n/b"));
    world.settle(110);
    assert!(world.held("n/b").is_empty());
    let change = |world: &mut World, delay| {
        Arc::make_mut(world.snapshot.eips.get_mut(&EipName::from("a")).unwrap()).reuse_delay = delay;
    };
    change(&mut world, std::time::Duration::MAX);
    let waits = world.settle(1_000_000);
    assert_eq!((world.held("n/b").len(), waits.next_wake), (0, None));
    change(&mut world, std::time::Duration::ZERO);
    world.settle(1_000_001);
    assert_eq!(world.held("n/b"), ["10.0.0.1"]);
}

#[test]
fn a_new_leader_knows_nothing_of_what_was_given_back_before() {
    let mut world = World::new("10.0.0.1", &[service("n/a")]);
    world.delete("n/a");
    world.memory = memory();
    world.store(service("n/b"));
    world.settle(100);
    assert_eq!(world.held("n/b"), ["10.0.0.1"]);
}

#[test]
fn an_address_that_never_came_to_a_service_was_not_given_back() {
    let pool = eip("a", "10.0.0.1").default_eip().reuse_delay(60);
    let snapshot = snapshot(&[pool], &[service("n/a")]);
    let mut memory = memory();
    let first = step(&snapshot, &mut memory, seconds(1));
    let _ = step(&snapshot, &mut memory, seconds(1));
    memory.on_written(first.actions[0].id, crate::Outcome::NotSent, seconds(2));
    let mut gone = snapshot.clone();
    gone.services.clear();
    let other = service("n/b");
    gone.services.insert(other.id.clone(), Arc::new(other));
    let next = step(&gone, &mut memory, Timestamp::from_millis(2100));
    assert_eq!(vips(&next.plan, "n/b"), ips(&["10.0.0.1"]));
}

#[test]
fn what_others_hold_rests_as_well_once_they_let_go() {
    let stranger = service("n/other").with(|s| {
        s.opt_in = OptIn::Absent;
        s.ingress = vec![IngressAddress::Ip(ip("10.0.0.1"))];
    });
    let mut world = World::new("10.0.0.1", &[stranger]);
    world.delete("n/other");
    world.settle(100);
    world.store(service("n/b"));
    world.settle(101);
    assert!(world.held("n/b").is_empty());
}
