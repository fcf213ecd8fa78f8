//! The whole transition table: every state, every event, and what comes of it.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use ironlb_model::Timestamp;

use super::*;
use crate::codec::{MessageKind, split};
use crate::negotiate;
use crate::peer::rig::{config, their_open};

fn events() -> Vec<(&'static str, Event)> {
    let agreed = Arc::new(negotiate(&config(), &their_open(1)).expect("fits"));
    let fault = Notification::new(error::HEADER, 1, Vec::new());
    vec![
        ("Start", Event::Start),
        ("Stop", Event::Stop(Stop::Shutdown(String::new()))),
        ("Stop quietly", Event::Stop(Stop::Quiet)),
        ("End (BFD down)", Event::End(DownReason::BfdDown, Some(Notification::cease(cease::BFD_DOWN)))),
        ("ConnectRetryTimer", Event::Timer(Timer::ConnectRetry)),
        ("HoldTimer", Event::Timer(Timer::Hold)),
        ("KeepaliveTimer", Event::Timer(Timer::Keepalive)),
        ("DelayOpenTimer", Event::Timer(Timer::DelayOpen)),
        ("IdleHoldTimer", Event::Timer(Timer::IdleHold)),
        ("SendHoldTimer", Event::Timer(Timer::SendHold)),
        ("connection up", Event::ConnectionUp(ConnectionId(9), Initiator::Peer)),
        ("connection failed", Event::ConnectionFailed),
        ("OPEN", Event::Open(agreed)),
        ("OPEN with an error", Event::Fault(DownReason::Open(crate::codec::OpenError::Malformed), fault)),
        ("NOTIFICATION", Event::Notification(Notification::cease(cease::ADMINISTRATIVE_SHUTDOWN))),
        ("KEEPALIVE", Event::Keepalive),
        ("UPDATE", Event::Update),
        ("ROUTE-REFRESH", Event::RouteRefresh),
        ("collision", Event::CollisionDump),
        ("BFD allows OPEN", Event::MayOpen),
    ]
}

/// A machine as it stands in a state, reached by its own events.
fn reach(state: State, world: &mut World) -> Fsm {
    let mut fsm = Fsm::default();
    let agreed = Arc::new(negotiate(&config(), &their_open(1)).expect("fits"));
    let way = [
        (State::Connect, Event::Start),
        (State::OpenSent, Event::ConnectionUp(ConnectionId(1), Initiator::Us)),
        (State::OpenConfirm, Event::Open(agreed)),
        (State::Established, Event::Keepalive),
    ];
    if state == State::Active {
        world.handle(&mut fsm, Event::Start);
        world.handle(&mut fsm, Event::ConnectionFailed);
    } else {
        for (reached, event) in way {
            if fsm.state < state {
                world.handle(&mut fsm, event);
                assert_eq!(fsm.state, reached);
            }
        }
    }
    assert_eq!(fsm.state, state);
    fsm.ended = None;
    world.outputs.clear();
    fsm
}

struct World {
    config: Config,
    jitter: Jitter,
    last_connection: u64,
    outputs: VecDeque<Output>,
    may_open: bool,
}

impl World {
    fn new(config: Config, may_open: bool) -> Self {
        Self { config, jitter: Jitter::new(1), last_connection: 0, outputs: VecDeque::new(), may_open }
    }

    fn handle(&mut self, fsm: &mut Fsm, event: Event) {
        let mut around = Surroundings {
            now: Timestamp::from_millis(1_000_000),
            config: &self.config,
            jitter: &mut self.jitter,
            restarted: false,
            may_open: self.may_open,
            idle_hold: Duration::from_secs(1),
            last_connection: &mut self.last_connection,
            outputs: &mut self.outputs,
        };
        fsm.handle(&mut around, event);
    }
}

fn words(output: &Output) -> String {
    match output {
        Output::Connect(_) => "connect".into(),
        Output::Close(_) => "close".into(),
        Output::Write(_, bytes) => {
            let frame = split(bytes, u16::MAX).expect("a header").expect("whole");
            match frame.kind {
                MessageKind::Notification => {
                    format!("NOTIFICATION {}/{}", frame.body[0], frame.body[1])
                }
                kind => kind.category().to_uppercase(),
            }
        }
        other => panic!("{other:?}"),
    }
}

fn table(config: &Config, may_open: bool) -> String {
    let mut lines = Vec::new();
    for state in [State::Idle, State::Connect, State::Active, State::OpenSent, State::OpenConfirm, State::Established] {
        for (name, event) in events() {
            let mut world = World::new(config.clone(), true);
            let mut fsm = reach(state, &mut world);
            world.may_open = may_open;
            let before: Vec<bool> = Timer::ALL.into_iter().map(|timer| fsm.timers.is_running(timer)).collect();
            world.handle(&mut fsm, event);
            let done: Vec<String> = world.outputs.iter().map(words).collect();
            let timers = Timer::ALL.into_iter().zip(before).filter_map(|(timer, was)| {
                match (was, fsm.timers.is_running(timer)) {
                    (false, true) => Some(format!("+{timer:?}")),
                    (true, false) => Some(format!("-{timer:?}")),
                    _ => None,
                }
            });
            let timers = timers.collect::<Vec<_>>().join(" ");
            let to = if fsm.state == state { "=".to_owned() } else { format!("{:?}", fsm.state) };
            let line = format!("{:<12} {name:<20} {to:<12} {:<28} {timers}", format!("{state:?}"), done.join(", "));
            lines.push(line.trim_end().to_owned());
        }
        lines.push(String::new());
    }
    lines.join("\n")
}

#[test]
fn the_whole_transition_table() {
    insta::assert_snapshot!("active_peer", table(&config(), true));
}

#[test]
fn the_whole_transition_table_of_a_peer_whose_open_waits_for_bfd() {
    insta::assert_snapshot!("open_waits", table(&config(), false));
}

#[test]
fn the_whole_transition_table_with_delay_open() {
    let timing = crate::Timing { delay_open: Some(Duration::from_secs(3)), ..crate::Timing::default() };
    let config = Config { timing, ..config() };
    let mut lines = Vec::new();
    for (name, event) in events() {
        let mut world = World::new(config.clone(), true);
        let mut fsm = Fsm::default();
        world.handle(&mut fsm, Event::Start);
        world.handle(&mut fsm, Event::ConnectionUp(ConnectionId(1), Initiator::Us));
        world.outputs.clear();
        // A second connection is the peer's business, not the machine's.
        if !matches!(event, Event::ConnectionUp(..)) {
            world.handle(&mut fsm, event);
            let done: Vec<String> = world.outputs.iter().map(words).collect();
            lines.push(
                format!("{name:<20} {:<12} {}", format!("{:?}", fsm.state), done.join(", ")).trim_end().to_owned(),
            );
        }
    }
    insta::assert_snapshot!("delay_open", lines.join("\n"));
}
