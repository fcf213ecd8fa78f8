//! Whether the router is still there: hold timers, KEEPALIVEs, the link to it, and BFD.

use super::*;
use crate::codec::keepalive;
use crate::peer::rig::{Rig, Wrote, asn, config, id, routes, their_open};
use crate::{HoldTime, Timing};

//= https://www.rfc-editor.org/rfc/rfc4271#section-8.2.2
//= type=test
//# restarts its HoldTimer, if the negotiated HoldTime value is non-zero
//= https://www.rfc-editor.org/rfc/rfc4271#section-6.5
//= type=test
//# the NOTIFICATION message with the Hold Timer Expired Error Code is sent and
//# the BGP connection is closed.
//= https://www.rfc-editor.org/rfc/rfc4271#section-6
//= type=test
//# If no Error Subcode is specified, then a zero MUST be used.
#[test]
fn a_silent_peer_is_gone_when_the_hold_timer_expires() {
    let (mut rig, connection) = Rig::established(config(), &their_open(1));
    rig.pass(60 * SECOND);
    rig.receive(connection, keepalive());
    rig.pass(89 * SECOND);
    assert_eq!(rig.peer.state(), State::Established);
    rig.pass(SECOND);
    assert_eq!((rig.told(), rig.down()), (Some((4, 0)), Some(DownReason::HoldTimerExpired)));
    assert!(rig.has_closed(connection));
}

#[test]
fn an_open_without_answer_is_given_up_after_four_minutes() {
    let (mut rig, _) = Rig::open_sent(config());
    rig.pass(239 * SECOND);
    assert_eq!(rig.peer.state(), State::OpenSent);
    rig.pass(SECOND);
    assert_eq!(rig.told(), Some((4, 0)));
}

#[test]
fn keepalives_come_at_three_quarters_to_the_whole_of_their_interval() {
    let (mut rig, connection) = Rig::established(config(), &their_open(1));
    let mut gaps = Vec::new();
    for _ in 0..50 {
        let due = rig.peer.poll_timeout().expect("runs");
        gaps.push(due.since(rig.now));
        rig.now = due;
        rig.take();
        rig.pass(Duration::ZERO);
        assert_eq!(rig.wrote(connection), [Wrote::Keepalive]);
        rig.receive(connection, keepalive());
        rig.put(Input::Sent(connection));
    }
    assert!(gaps.iter().all(|gap| *gap <= 30 * SECOND), "{gaps:?}");
    assert!(gaps.iter().skip(1).all(|gap| *gap >= Duration::from_millis(22_500)), "{gaps:?}");
}

//= https://www.rfc-editor.org/rfc/rfc4271#section-4.4
//= type=test
//# KEEPALIVE messages MUST NOT be sent more frequently than one per second.
#[test]
fn keepalives_are_never_closer_than_a_second() {
    let timing = Timing { hold: HoldTime::new(3).expect("lawful"), ..Timing::default() };
    let (mut rig, connection) = Rig::established(Config { timing, ..config() }, &their_open(1));
    for _ in 0..50 {
        rig.take();
        rig.pass(Duration::from_millis(999));
        assert_eq!(rig.wrote(connection), []);
        rig.pass(Duration::from_millis(1));
        assert_eq!(rig.wrote(connection), [Wrote::Keepalive]);
        rig.receive(connection, keepalive());
        rig.put(Input::Sent(connection));
    }
}

//= https://www.rfc-editor.org/rfc/rfc4271#section-8.2.2
//= type=test
//# it restarts its KeepaliveTimer, unless the negotiated HoldTime value is
//# zero.
#[test]
fn each_update_sent_restarts_the_keepalive_timer() {
    let (mut rig, connection) = Rig::established(config(), &their_open(1));
    rig.updates();
    for n in 0..5 {
        rig.take();
        rig.pass(20 * SECOND);
        rig.receive(connection, keepalive());
        rig.put(Input::Desired(routes(10 + n)));
        assert_eq!(rig.updates().len(), 1);
        assert_eq!(rig.wrote(connection), []);
    }
}

#[test]
fn a_peer_that_does_not_read_is_gone_when_the_send_hold_timer_expires() {
    let (mut rig, connection) = Rig::established(config(), &their_open(1));
    let talk = |rig: &mut Rig, reads: bool, seconds: u32| {
        for _ in 0..seconds / 10 {
            rig.pass(10 * SECOND);
            rig.receive(connection, keepalive());
            if reads {
                rig.put(Input::Sent(connection));
            }
        }
    };
    talk(&mut rig, true, 1000);
    assert_eq!(rig.peer.state(), State::Established);
    // Eight minutes, because twice the hold time is less.
    talk(&mut rig, false, 470);
    assert_eq!(rig.peer.state(), State::Established);
    talk(&mut rig, false, 20);
    assert_eq!((rig.down(), rig.told()), (Some(DownReason::SendHoldTimerExpired), Some((8, 0))));
}

#[test]
fn without_a_hold_time_there_is_no_send_hold_timer() {
    let open = crate::codec::Open { hold_time: 0, ..their_open(1) };
    let (rig, _) = Rig::established(config(), &open);
    assert_eq!(rig.peer.poll_timeout(), None);
}

#[test]
fn bfd_down_takes_the_session_along() {
    let watched = Config { bfd: BfdUse::Watch, ..config() };
    let (mut rig, _) = Rig::established(watched, &their_open(1));
    rig.put(Input::Bfd(BfdState::Up));
    rig.put(Input::Bfd(BfdState::Unknown));
    assert_eq!(rig.peer.state(), State::Established, "a session taken down on purpose says nothing");
    rig.put(Input::Bfd(BfdState::Down));
    assert_eq!((rig.told(), rig.down()), (Some((6, 10)), Some(DownReason::BfdDown)));
    // When it is up again, so is the session, without a wait.
    rig.take();
    rig.put(Input::Bfd(BfdState::Up));
    assert!(rig.connecting().is_some());
    // Off is off.
    let (mut rig, _) = Rig::established(config(), &their_open(1));
    rig.put(Input::Bfd(BfdState::Down));
    assert_eq!(rig.peer.state(), State::Established);
}

#[test]
fn a_link_that_is_down_ends_an_external_session_at_once_and_leaves_an_internal_one() {
    let (mut rig, connection) = Rig::established(config(), &their_open(1));
    rig.put(Input::LinkDown(ConnectionId(99)));
    assert_eq!(rig.peer.state(), State::Established, "another connection's link");
    rig.put(Input::LinkDown(connection));
    assert_eq!((rig.told(), rig.down()), (None, Some(DownReason::LinkDown)));
    assert!(rig.has_closed(connection));
    rig.take();
    rig.pass(SECOND);
    assert!(rig.connecting().is_some(), "it goes on trying");
    let internal = Config { peer_as: asn(64_512), ..config() };
    let their_internal = Config::new(asn(64_512), asn(64_512), id(1)).open(false);
    let (mut rig, connection) = Rig::established(internal, &their_internal);
    rig.put(Input::LinkDown(connection));
    assert_eq!(rig.peer.state(), State::Established);
}

#[test]
fn strict_bfd_holds_the_open_back_and_loses_nothing_that_came_meanwhile() {
    let strict = Config { bfd: BfdUse::Strict, ..config() };
    let mut rig = Rig::started(strict.clone());
    let connection = rig.connecting().expect("connects");
    rig.put(Input::Connected(connection));
    rig.receive(connection, their_open(1).encode());
    rig.pass(600 * SECOND);
    assert_eq!(rig.wrote(connection), []);
    assert!(rig.take().contains(&Output::Notice(Notice::WaitingForBfd)));
    rig.put(Input::Bfd(BfdState::Up));
    assert_eq!((rig.wrote(connection).len(), rig.peer.state()), (2, State::OpenConfirm));
    // Whoever floods meanwhile is cut off.
    let mut rig = Rig::started(strict);
    let connection = rig.connecting().expect("connects");
    rig.put(Input::Connected(connection));
    rig.receive(connection, keepalive().repeat(300));
    assert!(rig.has_closed(connection));
}
