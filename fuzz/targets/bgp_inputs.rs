//! Any inputs in any order, as a driver could hand them in: no panic, at most two connections, none used after its end, and a peer that is
//! wanted always has something under way.
#![no_main]

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use ironlb_bgp_proto::codec::{Notification, RefreshKind, RouteRefresh, keepalive, split};
use ironlb_bgp_proto::{
    Asn, Attributes, BfdState, BfdUse, Config, ConnectionId, Input, NextHop, Output, OwnAddresses, Peer, RestartConfig,
    RouteKey, RouterId, Routes, State, Stop,
};
use ironlb_model::{Prefix, Timestamp};
use libfuzzer_sys::fuzz_target;

fn asn(number: u32) -> Asn {
    Asn::new(number).expect("not zero")
}

fn id(last: u8) -> RouterId {
    RouterId::new([192, 0, 2, last].into()).expect("not zero")
}

fn config(bits: u8) -> Config {
    let own = OwnAddresses { ipv4: Some([192, 0, 2, 10].into()), ..OwnAddresses::default() };
    let mut config = Config { own, ..Config::new(asn(64_512), asn(64_513), id(10)) };
    config.passive = bits & 1 != 0;
    config.bfd = if bits & 2 != 0 { BfdUse::Strict } else { BfdUse::Watch };
    config.graceful_restart = if bits & 4 != 0 { RestartConfig::new(30, bits & 8 != 0) } else { None };
    config.timing.delay_open = (bits & 16 != 0).then_some(Duration::from_secs(2));
    config.extended_messages = bits & 32 == 0;
    config
}

fn routes(count: u8) -> Arc<Routes> {
    let attributes = Arc::new(Attributes::new(NextHop::Own));
    let keys = (0..count).map(|n| RouteKey::own(Prefix::new([198, 51, 100, n].into(), 32).expect("a prefix")));
    Arc::new(keys.map(|key| (key, Arc::clone(&attributes))).collect())
}

fn message(number: u8) -> Vec<u8> {
    let open = |last| Config::new(asn(64_513), asn(64_512), id(last)).open(false).encode();
    match number % 8 {
        0 | 1 => open(1),
        2 => open(200),
        3 | 4 => keepalive(),
        5 => RouteRefresh { afi: 1, safi: 1, kind: RefreshKind::Request }.encode(),
        6 => Notification::cease(2).encode(4096),
        _ => [vec![0xff; 16], vec![0, 23, 2, 0, 0, 0, 0]].concat(),
    }
}

/// What a driver knows.
struct Driver {
    peer: Peer,
    now: Timestamp,
    open: Vec<ConnectionId>,
    closed: BTreeSet<ConnectionId>,
    state: State,
    is_wanted: bool,
}

impl Driver {
    fn put(&mut self, input: Input) {
        self.peer.handle_input(self.now, input);
        self.drain();
    }

    fn drain(&mut self) {
        while let Some(output) = self.peer.poll_output() {
            match output {
                Output::Connect(id) => {
                    assert!(!self.closed.contains(&id));
                    self.open.push(id);
                }
                Output::Write(id, bytes) => {
                    assert!(self.open.contains(&id), "writes to a connection that is closed");
                    assert!(split(&bytes, u16::MAX).is_ok_and(|frame| frame.is_some()));
                }
                Output::Close(id) => {
                    self.open.retain(|open| *open != id);
                    assert!(self.closed.insert(id), "closed twice");
                }
                Output::State { from, to } => {
                    assert!(from == self.state && to != from);
                    self.state = to;
                }
                Output::Up(_) => assert_eq!(self.state, State::Established),
                Output::Down(_) | Output::Notice(_) => {}
            }
        }
        assert!(self.open.len() <= 2, "{:?}", self.open);
        assert_eq!(self.state, self.peer.state());
        assert_eq!(self.state == State::Established, self.peer.negotiated().is_some());
        let has_way = self.peer.poll_timeout().is_some()
            || self.state != State::Idle && (!self.open.is_empty() || self.peer.config().passive);
        assert!(!self.is_wanted || has_way, "stuck in {:?}", self.state);
    }

    fn step(&mut self, step: u8, value: u8, rest: &mut &[u8]) {
        let connection = self.open.get(usize::from(value & 3)).copied().unwrap_or(ConnectionId(999));
        match step % 16 {
            0 | 1 => {
                let wait = if step & 16 == 0 { u64::from(value) * 40 } else { u64::from(value) * 400 };
                self.now = self.now + Duration::from_millis(wait);
                self.peer.handle_timeout(self.now);
                self.drain();
            }
            2 | 3 => self.put(Input::Connected(connection)),
            4 => {
                let id = self.peer.next_connection();
                self.open.push(id);
                self.put(Input::Accepted(id));
            }
            5 => {
                self.open.retain(|open| *open != connection);
                self.put(Input::Closed(connection));
            }
            6 => self.put(Input::Sent(connection)),
            7..=9 => self.put(Input::Received(connection, message(value >> 2))),
            10 => {
                let bytes;
                (bytes, *rest) = rest.split_at(rest.len().min(usize::from(value)));
                self.put(Input::Received(connection, bytes.to_vec()));
            }
            11 => {
                while let Some((id, bytes)) = self.peer.poll_update(self.now) {
                    assert!(self.open.contains(&id) && bytes.len() >= 19);
                }
                self.drain();
            }
            12 => self.put(Input::Desired(routes(value))),
            13 => match value % 5 {
                0 => self.put(Input::Reset("x".into())),
                1 => self.put(Input::GracefulShutdown(value & 16 != 0)),
                2 => {
                    self.is_wanted = false;
                    self.put(Input::Stop(if value & 16 == 0 { Stop::Quiet } else { Stop::Shutdown("x".into()) }));
                }
                3 => {
                    self.is_wanted = false;
                    self.put(Input::Stop(Stop::Deconfigured));
                }
                _ => self.put(Input::LinkDown(connection)),
            },
            14 => self.put(Input::Bfd([BfdState::Unknown, BfdState::Up, BfdState::Down][usize::from(value % 3)])),
            _ => self.put(Input::Configure(Box::new(config(value)))),
        }
    }
}

fuzz_target!(|data: &[u8]| {
    let Some((bits, mut rest)) = data.split_first() else { return };
    let now = Timestamp::from_millis(1);
    let peer = Peer::new(config(*bits), 5, bits & 64 != 0);
    let (open, closed) = (Vec::new(), BTreeSet::new());
    let mut driver = Driver { peer, now, open, closed, state: State::Idle, is_wanted: false };
    driver.put(Input::Desired(routes(3)));
    driver.put(Input::Start);
    driver.is_wanted = true;
    while let [step, value, after @ ..] = rest {
        rest = after;
        driver.step(*step, *value, &mut rest);
    }
});
