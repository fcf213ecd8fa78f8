//! How a connection is made: attempts, waits between them, passive peers, and DelayOpen.

use super::*;
use crate::Timing;
use crate::codec::keepalive;
use crate::peer::rig::{Rig, Wrote, config, their_open};

//= https://www.rfc-editor.org/rfc/rfc4271#section-8.2.2
//= type=test
//# continues to listen for a connection that may be initiated by the remote BGP
//# peer, and - changes its state to Active.
#[test]
fn a_connection_that_fails_before_an_open_leads_to_active_and_the_next_attempt() {
    let mut rig = Rig::started(config());
    let first = rig.connecting().expect("connects");
    rig.put(Input::Closed(first));
    assert_eq!((rig.peer.state(), rig.down()), (State::Active, Some(DownReason::ConnectFailed)));
    rig.pass(5 * SECOND);
    assert_eq!(rig.peer.state(), State::Connect);
    assert_ne!(rig.connecting(), Some(first));
    // A router that comes back by itself meanwhile is let in.
    let (mut rig, first) = Rig::open_sent(config());
    rig.put(Input::Closed(first));
    let incoming = rig.accept();
    assert_eq!(rig.wrote(incoming), [Wrote::Open(config().open(false))]);
}

#[test]
fn an_attempt_that_hangs_is_dropped_for_the_next() {
    let mut rig = Rig::started(config());
    let first = rig.connecting().expect("connects");
    rig.pass(5 * SECOND);
    assert!(rig.has_closed(first));
    assert_ne!(rig.connecting(), Some(first));
    // The old one's late answer is of no meaning.
    rig.take();
    rig.put(Input::Connected(first));
    assert_eq!(rig.take(), []);
}

#[test]
fn reconnecting_goes_on_for_ever() {
    let mut rig = Rig::started(config());
    for _ in 0..200 {
        let attempt = rig.connecting().expect("connects");
        rig.take();
        rig.put(Input::Connected(attempt));
        rig.receive(attempt, Notification::cease(2).encode(4096));
        rig.pass(60 * SECOND);
        assert!(rig.connecting().is_some_and(|next| next != attempt));
    }
}

#[test]
fn a_passive_peer_waits_to_be_connected_to() {
    let mut rig = Rig::started(Config { passive: true, ..config() });
    rig.pass(3600 * SECOND);
    assert_eq!((rig.connecting(), rig.peer.state(), rig.peer.poll_timeout()), (None, State::Active, None));
    let incoming = rig.accept();
    rig.receive(incoming, their_open(1).encode());
    rig.receive(incoming, keepalive());
    assert_eq!(rig.peer.state(), State::Established);
}

#[test]
fn failures_in_a_row_wait_longer_and_longer_and_a_long_session_forgives_them() {
    let mut rig = Rig::started(config());
    let mut waits = Vec::new();
    for _ in 0..9 {
        let attempt = rig.connecting().expect("connects");
        rig.put(Input::Connected(attempt));
        rig.receive(attempt, Notification::cease(5).encode(4096));
        waits.push(rig.peer.last_down().and_then(|down| down.retry_at).expect("tries again").since(rig.now));
        rig.pass(60 * SECOND);
    }
    for (n, wait) in waits.iter().enumerate() {
        let whole = (SECOND * (1 << n)).min(60 * SECOND);
        assert!(*wait <= whole && *wait >= whole * 3 / 4, "{n}: {wait:?}");
    }
    let attempt = rig.connecting().expect("connects");
    rig.put(Input::Connected(attempt));
    rig.receive(attempt, their_open(1).encode());
    rig.receive(attempt, keepalive());
    rig.pass(60 * SECOND);
    rig.put(Input::Closed(attempt));
    assert!(rig.peer.poll_timeout().expect("tries again").since(rig.now) <= SECOND);
}

#[test]
fn delay_open_waits_for_the_peers_open_and_not_for_ever() {
    let timing = Timing { delay_open: Some(4 * SECOND), ..Timing::default() };
    let delayed = Config { timing, ..config() };
    let mut rig = Rig::started(delayed.clone());
    let connection = rig.connecting().expect("connects");
    rig.put(Input::Connected(connection));
    assert_eq!((rig.wrote(connection), rig.peer.state()), (vec![], State::Connect));
    rig.receive(connection, their_open(1).encode());
    assert_eq!((rig.wrote(connection).len(), rig.peer.state()), (2, State::OpenConfirm));

    let mut rig = Rig::started(delayed);
    let connection = rig.connecting().expect("connects");
    rig.put(Input::Connected(connection));
    rig.pass(4 * SECOND);
    assert_eq!((rig.wrote(connection).len(), rig.peer.state()), (1, State::OpenSent));
}
