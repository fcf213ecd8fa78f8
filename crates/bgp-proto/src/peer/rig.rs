//! One peer, a clock that is moved by hand, and words for what a router does to it.

use std::sync::Arc;
use std::time::Duration;

use ironlb_model::{Prefix, Timestamp};

use crate::codec::{Capability, MessageKind, Notification, Open, keepalive, split};
use crate::{
    Asn, Attributes, Config, ConnectionId, DownReason, Input, NextHop, Output, OwnAddresses, Peer, RouteKey, RouterId,
    Routes, State,
};

pub(crate) fn asn(number: u32) -> Asn {
    Asn::new(number).expect("not zero")
}

pub(crate) fn id(last: u8) -> RouterId {
    RouterId::new([192, 0, 2, last].into()).expect("not zero")
}

/// We are AS 64512 with identifier 192.0.2.10, the router is AS 64513.
pub(crate) fn config() -> Config {
    let own = OwnAddresses {
        ipv4: Some([192, 0, 2, 10].into()),
        ipv6: Some([0x2001, 0xdb8, 0, 0, 0, 0, 0, 10].into()),
        link_local: None,
    };
    Config { own, ..Config::new(asn(64_512), asn(64_513), id(10)) }
}

/// What a router with this last byte in its identifier answers.
pub(crate) fn their_open(last: u8) -> Open {
    Config::new(asn(64_513), asn(64_512), id(last)).open(false)
}

pub(crate) fn routes(count: u8) -> Arc<Routes> {
    let attributes = Arc::new(Attributes::new(NextHop::Own));
    let keys = (0..count).map(|n| RouteKey::own(Prefix::new([198, 51, 100, n].into(), 32).expect("a prefix")));
    Arc::new(keys.map(|key| (key, Arc::clone(&attributes))).collect())
}

/// A message that the machine wrote.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Wrote {
    Open(Open),
    Keepalive,
    Notification(Notification),
}

pub(crate) struct Rig {
    pub(crate) peer: Peer,
    pub(crate) now: Timestamp,
    pub(crate) outputs: Vec<Output>,
}

impl Rig {
    /// Configured, with routes, not begun.
    pub(crate) fn new(config: Config) -> Self {
        let mut rig =
            Self { peer: Peer::new(config, 1, false), now: Timestamp::from_millis(1000), outputs: Vec::new() };
        rig.put(Input::Desired(routes(3)));
        rig
    }

    /// Begun: an active one is connecting.
    pub(crate) fn started(config: Config) -> Self {
        let mut rig = Self::new(config);
        rig.put(Input::Start);
        rig
    }

    /// Connected, and our OPEN is out.
    pub(crate) fn open_sent(config: Config) -> (Self, ConnectionId) {
        let mut rig = Self::started(config);
        let connection = rig.connecting().expect("connects");
        rig.put(Input::Connected(connection));
        assert_eq!(rig.peer.state(), State::OpenSent);
        (rig, connection)
    }

    pub(crate) fn open_confirm(config: Config, open: &Open) -> (Self, ConnectionId) {
        let (mut rig, connection) = Self::open_sent(config);
        rig.receive(connection, open.encode());
        assert_eq!(rig.peer.state(), State::OpenConfirm, "{:?}", rig.outputs);
        (rig, connection)
    }

    pub(crate) fn established(config: Config, open: &Open) -> (Self, ConnectionId) {
        let (mut rig, connection) = Self::open_confirm(config, open);
        rig.receive(connection, keepalive());
        assert_eq!(rig.peer.state(), State::Established);
        (rig, connection)
    }

    pub(crate) fn put(&mut self, input: Input) {
        self.peer.handle_input(self.now, input);
        self.drain();
    }

    pub(crate) fn receive(&mut self, connection: ConnectionId, bytes: Vec<u8>) {
        self.put(Input::Received(connection, bytes));
    }

    pub(crate) fn accept(&mut self) -> ConnectionId {
        let connection = self.peer.next_connection();
        self.put(Input::Accepted(connection));
        connection
    }

    /// Time passes, and every timer goes off at its moment.
    pub(crate) fn pass(&mut self, time: Duration) {
        let end = self.now + time;
        while let Some(at) = self.peer.poll_timeout().filter(|at| *at <= end) {
            self.now = self.now.max(at);
            self.peer.handle_timeout(self.now);
            self.drain();
        }
        self.now = end;
    }

    fn drain(&mut self) {
        while let Some(output) = self.peer.poll_output() {
            self.outputs.push(output);
        }
    }

    /// What came out since the last time.
    pub(crate) fn take(&mut self) -> Vec<Output> {
        std::mem::take(&mut self.outputs)
    }

    /// The connection that was asked for last.
    pub(crate) fn connecting(&self) -> Option<ConnectionId> {
        self.outputs.iter().rev().find_map(|output| match output {
            Output::Connect(connection) => Some(*connection),
            _ => None,
        })
    }

    /// The messages written to a connection, all of them.
    pub(crate) fn wrote(&self, connection: ConnectionId) -> Vec<Wrote> {
        let writes = self.outputs.iter().filter_map(|output| match output {
            Output::Write(to, bytes) if *to == connection => Some(bytes),
            _ => None,
        });
        writes.map(|bytes| message(bytes)).collect()
    }

    pub(crate) fn has_closed(&self, connection: ConnectionId) -> bool {
        self.outputs.contains(&Output::Close(connection))
    }

    /// The NOTIFICATION written last.
    pub(crate) fn notification(&self) -> Option<Notification> {
        self.outputs.iter().rev().find_map(|output| match output {
            Output::Write(_, bytes) => match message(bytes) {
                Wrote::Notification(notification) => Some(notification),
                Wrote::Open(_) | Wrote::Keepalive => None,
            },
            _ => None,
        })
    }

    /// Code and subcode of the NOTIFICATION written last.
    pub(crate) fn told(&self) -> Option<(u8, u8)> {
        self.notification().map(|notification| (notification.code, notification.subcode))
    }

    pub(crate) fn down(&self) -> Option<DownReason> {
        self.peer.last_down().map(|down| down.reason.clone())
    }

    /// All messages of routes there are to fetch.
    pub(crate) fn updates(&mut self) -> Vec<Vec<u8>> {
        let mut all = Vec::new();
        while let Some((_, bytes)) = self.peer.poll_update(self.now) {
            all.push(bytes);
        }
        self.drain();
        all
    }
}

fn message(bytes: &[u8]) -> Wrote {
    let frame = split(bytes, u16::MAX).expect("a header").expect("whole");
    assert_eq!(frame.len, bytes.len(), "one message in one write");
    match frame.kind {
        MessageKind::Open => Wrote::Open(Open::decode(frame.body).expect("an OPEN")),
        MessageKind::Keepalive => Wrote::Keepalive,
        MessageKind::Notification => Wrote::Notification(Notification::decode(frame.body).expect("a NOTIFICATION")),
        MessageKind::Update | MessageKind::RouteRefresh => panic!("routes are fetched, not written"),
    }
}

/// An UPDATE that announces so many /32 with plain attributes, from an external router.
pub(crate) fn an_update(count: u8) -> Vec<u8> {
    let attributes = [0x40, 1, 1, 0, 0x40, 2, 6, 2, 1, 0, 0, 0xfc, 1, 0x40, 3, 4, 192, 0, 2, 1];
    let mut body = vec![0, 0, 0, u8::try_from(attributes.len()).expect("short")];
    body.extend(attributes);
    body.extend((0..count).flat_map(|n| [32, 203, 0, 113, n]));
    whole(2, &body)
}

/// A message of this type, whatever it holds.
pub(crate) fn whole(kind: u8, body: &[u8]) -> Vec<u8> {
    let mut bytes = vec![0xff; 16];
    bytes.extend(u16::try_from(19 + body.len()).expect("short").to_be_bytes());
    bytes.push(kind);
    bytes.extend(body);
    bytes
}

/// This OPEN without one of its capabilities.
pub(crate) fn without(mut open: Open, drop: impl Fn(&Capability) -> bool) -> Open {
    open.capabilities.retain(|capability| !drop(capability));
    open
}
