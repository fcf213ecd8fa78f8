//! Two ends on one virtual clock, with connections that fail, die on one side only, and hand things over late and in any order
//! among each other.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use ironlb_model::Timestamp;
use proptest::prelude::*;

use super::rig::{asn, id, routes};
use crate::{Config, ConnectionId, Family, HoldTime, Input, Output, Peer, RestartConfig, State, Timing};

/// The faults end here; from here on everything arrives.
const CALM: Timestamp = Timestamp::from_millis(60_000);

/// By then a dead connection is noticed, the longest Idle is over, and several more attempts were made.
const END: Timestamp = Timestamp::from_millis(200_000);

#[derive(Debug, Clone)]
struct Plan {
    seed: u64,
    /// Last bytes of the identifiers.
    ids: [u8; 2],
    internal: bool,
    passive: [bool; 2],
    restart: [bool; 2],
    delay_open: [bool; 2],
    /// Of a hundred attempts so many fail, and of a hundred messages so many cut their connection, before calm.
    refused: u64,
    cut: u64,
    /// The longest time anything is on its way.
    latency_ms: u64,
}

fn plans() -> impl Strategy<Value = Plan> {
    let ends = (any::<[bool; 2]>(), any::<[bool; 2]>(), 0_usize..3);
    (any::<u64>(), 1_u8..200, 1_u8..200, any::<bool>(), ends, 0_u64..60, 0_u64..30, 1_u64..400).prop_map(
        |(seed, a, b, internal, (restart, delay_open, passive), refused, cut, latency_ms)| Plan {
            seed,
            ids: [a, if internal && a == b { b + 1 } else { b }],
            internal,
            passive: [passive == 1, passive == 2],
            restart,
            delay_open,
            refused,
            cut,
            latency_ms,
        },
    )
}

#[derive(Debug, Clone)]
enum Event {
    Accept(usize),
    Connected(usize),
    Bytes(usize, usize, Vec<u8>),
    Closed(usize, usize),
}

/// One TCP connection, seen from both ends.
#[derive(Debug, Clone)]
struct Tcp {
    ids: [Option<ConnectionId>; 2],
    /// An end has closed it or was told that it is closed.
    is_gone: [bool; 2],
    /// Nothing arrives any more and nobody is told.
    is_cut: bool,
    /// What was sent later must not arrive sooner.
    arrives: [Timestamp; 2],
    initiator: usize,
}

struct World {
    plan: Plan,
    now: Timestamp,
    random: u64,
    peers: [Peer; 2],
    connections: Vec<Tcp>,
    events: BTreeMap<(Timestamp, u64), Event>,
    next: u64,
    flaps_when_calm: usize,
}

impl World {
    fn new(plan: Plan, hold: HoldTime) -> Self {
        let peer = |end: usize| {
            let numbers = [64_512, if plan.internal { 64_512 } else { 64_513 }];
            let timing = Timing {
                hold,
                connect_retry: Duration::from_secs(3),
                delay_open: plan.delay_open[end].then_some(Duration::from_millis(500)),
                open_hold: Duration::from_secs(10),
                idle_hold_max: Duration::from_secs(8),
                ..Timing::default()
            };
            let config = Config {
                timing,
                passive: plan.passive[end],
                graceful_restart: plan.restart[end].then(|| RestartConfig::new(30, false)).flatten(),
                own: super::rig::config().own,
                ..Config::new(asn(numbers[end]), asn(numbers[1 - end]), id(plan.ids[end]))
            };
            Peer::new(config, plan.seed.wrapping_add(u64::try_from(end).expect("small")), false)
        };
        let peers = [peer(0), peer(1)];
        Self {
            now: Timestamp::ZERO,
            random: plan.seed | 1,
            plan,
            peers,
            connections: Vec::new(),
            events: BTreeMap::new(),
            next: 0,
            flaps_when_calm: 0,
        }
    }

    fn draw(&mut self, below: u64) -> u64 {
        self.random ^= self.random << 13;
        self.random ^= self.random >> 7;
        self.random ^= self.random << 17;
        self.random % below.max(1)
    }

    fn is_calm(&self) -> bool {
        self.now >= CALM
    }

    fn later(&mut self) -> Timestamp {
        let most = if self.is_calm() { 20 } else { self.plan.latency_ms };
        self.now + Duration::from_millis(1 + self.draw(most))
    }

    fn schedule(&mut self, at: Timestamp, event: Event) {
        self.next += 1;
        self.events.insert((at, self.next), event);
    }

    /// To an end of a connection, after everything that was sent to it before.
    fn send(&mut self, to: usize, connection: usize, event: Event) {
        let at = self.later().max(self.connections[connection].arrives[to]);
        self.connections[connection].arrives[to] = at;
        self.schedule(at, event);
    }

    fn run(&mut self) -> Result<(), TestCaseError> {
        for end in 0..2 {
            self.input(end, Input::Desired(routes(20)))?;
            self.input(end, Input::Start)?;
        }
        while self.now < END {
            let timer = self.peers.iter().filter_map(Peer::poll_timeout).min();
            let event = self.events.keys().next().map(|(at, _)| *at);
            let Some(at) = [timer, event].into_iter().flatten().min() else { break };
            self.now = self.now.max(at);
            if event.is_some_and(|at| at <= self.now) {
                let (_, event) = self.events.pop_first().expect("there is one");
                self.arrive(event)?;
            } else {
                for end in 0..2 {
                    self.peers[end].handle_timeout(self.now);
                    self.carry_out(end)?;
                }
            }
        }
        Ok(())
    }

    fn arrive(&mut self, event: Event) -> Result<(), TestCaseError> {
        match event {
            Event::Accept(connection) => {
                let end = 1 - self.connections[connection].initiator;
                if self.connections[connection].is_cut {
                    return Ok(());
                }
                let id = self.peers[end].next_connection();
                self.connections[connection].ids[end] = Some(id);
                self.input(end, Input::Accepted(id))
            }
            Event::Connected(connection) => {
                let end = self.connections[connection].initiator;
                match self.live(end, connection) {
                    Some(id) => self.input(end, Input::Connected(id)),
                    None => Ok(()),
                }
            }
            Event::Bytes(end, connection, bytes) => match self.live(end, connection) {
                Some(id) if !self.connections[connection].is_cut => self.input(end, Input::Received(id, bytes)),
                _ => Ok(()),
            },
            Event::Closed(end, connection) => match self.live(end, connection) {
                Some(id) if !self.connections[connection].is_cut => {
                    self.connections[connection].is_gone[end] = true;
                    self.input(end, Input::Closed(id))
                }
                _ => Ok(()),
            },
        }
    }

    fn live(&self, end: usize, connection: usize) -> Option<ConnectionId> {
        let tcp = &self.connections[connection];
        tcp.ids[end].filter(|_| !tcp.is_gone[end])
    }

    fn find(&self, end: usize, id: ConnectionId) -> Option<usize> {
        self.connections.iter().position(|tcp| tcp.ids[end] == Some(id))
    }

    fn input(&mut self, end: usize, input: Input) -> Result<(), TestCaseError> {
        self.peers[end].handle_input(self.now, input);
        self.carry_out(end)
    }

    fn close(&mut self, end: usize, id: ConnectionId) {
        if let Some(connection) = self.find(end, id) {
            self.connections[connection].is_gone[end] = true;
            self.send(1 - end, connection, Event::Closed(1 - end, connection));
        }
    }

    fn carry_out(&mut self, end: usize) -> Result<(), TestCaseError> {
        loop {
            while let Some(output) = self.peers[end].poll_output() {
                match output {
                    Output::Connect(id) => self.connect(end, id),
                    Output::Write(id, bytes) => self.write(end, id, bytes),
                    Output::Close(id) => self.close(end, id),
                    Output::Down(down) => {
                        // What was on its way when calm came may still fall over.
                        let late = self.now >= CALM + Duration::from_secs(60);
                        self.flaps_when_calm += usize::from(down.was_up && late);
                    }
                    Output::State { from, to } => prop_assert!(from != to),
                    Output::Up(_) | Output::Notice(_) => {}
                }
            }
            let Some((id, bytes)) = self.peers[end].poll_update(self.now) else { break };
            self.write(end, id, bytes);
        }
        let open = self.connections.iter().filter(|tcp| tcp.ids[end].is_some() && !tcp.is_gone[end]).count();
        prop_assert!(open <= 2, "{} connections", open);
        Ok(())
    }

    fn connect(&mut self, end: usize, id: ConnectionId) {
        let fails = !self.is_calm() && self.draw(100) < self.plan.refused;
        let mut ids = [None; 2];
        ids[end] = Some(id);
        let arrives = [self.now; 2];
        self.connections.push(Tcp { ids, is_gone: [false; 2], is_cut: false, arrives, initiator: end });
        let connection = self.connections.len() - 1;
        if fails {
            return self.send(end, connection, Event::Closed(end, connection));
        }
        self.send(1 - end, connection, Event::Accept(connection));
        self.send(end, connection, Event::Connected(connection));
    }

    fn write(&mut self, end: usize, id: ConnectionId, bytes: Vec<u8>) {
        let Some(connection) = self.find(end, id) else { return };
        if !self.is_calm() && self.draw(100) < self.plan.cut {
            // Half of the time one end is told, half of the time nobody is.
            if self.draw(2) == 0 {
                self.send(end, connection, Event::Closed(end, connection));
            } else {
                self.connections[connection].is_cut = true;
            }
        }
        self.send(1 - end, connection, Event::Bytes(1 - end, connection, bytes));
        if !self.connections[connection].is_cut {
            self.peers[end].handle_input(self.now, Input::Sent(id));
        }
    }
}

/// From whatever has happened, the two ends find one session once nothing fails any more, keep it, and know everything.
fn converges(plan: Plan, hold: HoldTime) -> Result<(), TestCaseError> {
    let mut world = World::new(plan, hold);
    world.run()?;
    let states: Vec<State> = world.peers.iter().map(Peer::state).collect();
    prop_assert_eq!(states, [State::Established; 2]);
    let open = |end: usize| -> BTreeSet<usize> {
        (0..world.connections.len()).filter(|connection| world.live(end, *connection).is_some()).collect()
    };
    prop_assert_eq!(open(0).len(), 1);
    prop_assert_eq!(open(0), open(1));
    prop_assert_eq!(world.flaps_when_calm, 0);
    for peer in &world.peers {
        prop_assert!(peer.rib_out().is_drained());
        prop_assert_eq!(peer.received().announced(Family::Ipv4Unicast), 20);
        prop_assert_eq!(peer.received().held(Family::Ipv4Unicast), 20);
    }
    Ok(())
}

fn hold(seconds: u16) -> HoldTime {
    HoldTime::new(seconds).expect("lawful")
}

proptest! {
    #[test]
    fn two_ends_always_find_one_session_and_never_have_two(plan in plans()) {
        converges(plan, hold(9))?;
    }

    #[test]
    fn one_seed_gives_one_course(plan in plans()) {
        let course = |plan: Plan| {
            let mut world = World::new(plan, hold(9));
            world.run().map(|()| (world.connections.len(), world.peers[0].counters(), world.peers[1].counters()))
        };
        prop_assert_eq!(course(plan.clone())?, course(plan)?);
    }
}

/// Broken: without a hold time a connection that died without a word is never given up.
#[test]
fn the_property_finds_ends_that_wait_for_the_dead() {
    let mut runner = proptest::test_runner::TestRunner::new(ProptestConfig {
        cases: 300,
        failure_persistence: None,
        ..ProptestConfig::default()
    });
    assert!(runner.run(&plans(), |plan| converges(plan, hold(0))).is_err());
}

#[test]
fn a_session_comes_up_in_a_few_round_trips() {
    let plan = Plan {
        seed: 1,
        ids: [1, 2],
        internal: false,
        passive: [false; 2],
        restart: [true; 2],
        delay_open: [false; 2],
        refused: 0,
        cut: 0,
        latency_ms: 1,
    };
    let mut world = World::new(plan, hold(9));
    assert!(world.run().is_ok());
    let since = world.peers[0].established_at().expect("up");
    assert!(since < Timestamp::from_millis(1500), "{since}");
    assert_eq!(Arc::clone(world.peers[0].negotiated().expect("up")).peer_id, id(2));
}
