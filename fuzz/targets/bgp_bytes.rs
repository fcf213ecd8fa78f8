//! Any bytes from a router, in any pieces, before a session and in one: no panic, nothing is written to a connection that was closed, and
//! what can be read is written and read again as the same.
#![no_main]

use std::sync::Arc;

use ironlb_bgp_proto::codec::{
    MessageKind, Notification, Open, RouteRefresh, UpdateContext, inspect, keepalive, split,
};
use ironlb_bgp_proto::{Asn, Config, ConnectionId, Input, Output, Peer, RestartConfig, RouterId, State};
use ironlb_model::Timestamp;
use libfuzzer_sys::fuzz_target;

fn config(own: u32, peer: u32, id: u8) -> Config {
    let asn = |number| Asn::new(number).expect("not zero");
    let id = RouterId::new([192, 0, 2, id].into()).expect("not zero");
    Config { graceful_restart: RestartConfig::new(30, true), ..Config::new(asn(own), asn(peer), id) }
}

/// Carries out what the machine wants; gives the connection that it asked for.
fn drain(peer: &mut Peer, closed: &mut Vec<ConnectionId>) -> Option<ConnectionId> {
    let mut connecting = None;
    while let Some(output) = peer.poll_output() {
        match output {
            Output::Connect(id) => connecting = Some(id),
            Output::Write(id, bytes) => {
                assert!(!closed.contains(&id), "written to after its end");
                assert!(split(&bytes, u16::MAX).is_ok_and(|frame| frame.is_some()), "what is no message");
            }
            Output::Close(id) => closed.push(id),
            Output::State { .. } | Output::Up(_) | Output::Down(_) | Output::Notice(_) => {}
        }
    }
    connecting
}

fn read_alone(bytes: &[u8], context: UpdateContext) {
    let Ok(Some(frame)) = split(bytes, u16::MAX) else { return };
    assert!(frame.len <= bytes.len());
    match frame.kind {
        MessageKind::Open => {
            if let Ok(open) = Open::decode(frame.body) {
                assert_eq!(Open::decode(&open.encode()[19..]), Ok(open));
            }
        }
        MessageKind::Update => _ = inspect(frame.body, context),
        MessageKind::Notification => {
            if let Some(notification) = Notification::decode(frame.body) {
                assert_eq!(Notification::decode(&notification.encode(u16::MAX)[19..]), Some(notification.clone()));
                assert!(!notification.to_string().contains(|c: char| c.is_control()));
            }
        }
        MessageKind::RouteRefresh => {
            if let Ok(refresh) = RouteRefresh::decode(frame.body) {
                assert_eq!(RouteRefresh::decode(&refresh.encode()[19..]), Ok(refresh));
            }
        }
        MessageKind::Keepalive => {}
    }
}

fuzz_target!(|data: &[u8]| {
    let [how, piece, bytes @ ..] = data else { return };
    let (internal, four_octet_as) = (how & 1 != 0, how & 2 != 0);
    read_alone(bytes, UpdateContext { internal, four_octet_as });
    let peer_as = if internal { 64_512 } else { 64_513 };
    let mut peer = Peer::new(config(64_512, peer_as, 10), 1, false);
    let (now, mut closed) = (Timestamp::from_millis(1), Vec::new());
    peer.handle_input(now, Input::Desired(Arc::default()));
    peer.handle_input(now, Input::Start);
    let id = drain(&mut peer, &mut closed).expect("it connects");
    peer.handle_input(now, Input::Connected(id));
    let mut open = config(peer_as, 64_512, 1).open(false);
    if !four_octet_as {
        open.capabilities.clear();
    }
    // As far as the first byte says: nothing yet, an OPEN, or a session.
    if how & 4 != 0 {
        peer.handle_input(now, Input::Received(id, open.encode()));
    }
    if how & 8 != 0 {
        peer.handle_input(now, Input::Received(id, keepalive()));
    }
    for part in bytes.chunks(usize::from(*piece).max(1)) {
        peer.handle_input(now, Input::Received(id, part.to_vec()));
        drain(&mut peer, &mut closed);
        while peer.poll_update(now).is_some() {}
        drain(&mut peer, &mut closed);
    }
    assert!(closed.is_empty() || peer.state() != State::Established);
});
