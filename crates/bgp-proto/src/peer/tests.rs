//! A test per sentence, named for it.

use std::time::Duration;

use super::rig::{Rig, Wrote, an_update, asn, config, id, routes, their_open, whole, without};
use super::*;
use crate::codec::{Capability, GracefulRestart, RefreshKind, RouteRefresh, keepalive};
use crate::{FamilyConfig, HoldTime, RestartConfig, Timing};

const SECOND: Duration = Duration::from_secs(1);

fn restart(notification: bool) -> Option<RestartConfig> {
    RestartConfig::new(30, notification)
}

/// The router's OPEN with graceful restart.
fn restarting_open(notification: bool) -> crate::codec::Open {
    let config = Config { graceful_restart: restart(notification), ..Config::new(asn(64_513), asn(64_512), id(1)) };
    config.open(false)
}

//= https://www.rfc-editor.org/rfc/rfc4271#section-4.1
//= type=test
//# it MUST be set to all ones.
#[test]
fn a_session_comes_up_and_carries_routes() {
    let (mut rig, connection) = Rig::established(config(), &their_open(1));
    assert_eq!(
        rig.wrote(connection),
        [Wrote::Open(config().open(false)), Wrote::Keepalive],
        "OPEN, then a KEEPALIVE in answer to the peer's"
    );
    assert!(rig.take().iter().any(|output| matches!(output, Output::Up(_))));
    assert_eq!(rig.updates().len(), 3, "one UPDATE of three routes, and the End-of-RIB of two families");
    assert!(rig.take().contains(&Output::Notice(Notice::EndOfRibSent(Family::Ipv6Unicast))));
    assert_eq!(rig.peer.rib_out().advertised(Family::Ipv4Unicast), 3);
    assert_eq!(rig.peer.counters().sent, [1, 3, 0, 1, 0]);
    assert_eq!(rig.peer.counters().received, [1, 0, 0, 1, 0]);
}

#[test]
fn nothing_is_sent_before_the_routes_are_known() {
    let mut peer = Peer::new(config(), 1, false);
    peer.handle_input(Timestamp::ZERO, Input::Start);
    assert_eq!((peer.poll_output(), peer.state()), (None, State::Idle));
    let incoming = peer.next_connection();
    peer.handle_input(Timestamp::ZERO, Input::Accepted(incoming));
    assert_eq!(peer.poll_output(), Some(Output::Close(incoming)));
    peer.handle_input(Timestamp::ZERO, Input::Desired(routes(0)));
    assert_eq!(peer.state(), State::Connect);
}

//= https://www.rfc-editor.org/rfc/rfc4271#section-4.2
//= type=test
//# by using the smaller of its configured Hold Time and the Hold Time received
//# in the OPEN message.
//= https://www.rfc-editor.org/rfc/rfc4271#section-4.4
//= type=test
//# periodic KEEPALIVE messages MUST NOT be sent.
//= https://www.rfc-editor.org/rfc/rfc4271#section-6.2
//= type=test
//# MUST use the negotiated value for the Hold Time.
//= https://www.rfc-editor.org/rfc/rfc4271#section-10
//= type=test
//# MUST allow the HoldTimer to be configurable on a per-peer basis
#[test]
fn the_smaller_hold_time_counts_and_zero_means_none() {
    for (ours, theirs, agreed) in [(90, 30, 30), (9, 180, 9), (90, 0, 0), (0, 90, 0), (3, 3, 3)] {
        let timing = Timing { hold: HoldTime::new(ours).expect("lawful"), ..Timing::default() };
        let open = crate::codec::Open { hold_time: theirs, ..their_open(1) };
        let (mut rig, connection) = Rig::established(Config { timing, ..config() }, &open);
        let negotiated = rig.peer.negotiated().expect("up");
        assert_eq!(negotiated.hold_time.map_or(0, |time| time.as_secs()), agreed);
        assert_eq!(negotiated.keepalive, (agreed != 0).then(|| Duration::from_secs(agreed) / 3));
        // Without a hold time neither timer runs, whatever does not come.
        rig.take();
        rig.pass(Duration::from_secs(3600));
        assert_eq!(rig.peer.state() == State::Established, agreed == 0);
        assert_eq!(rig.wrote(connection).is_empty(), agreed == 0);
    }
}

//= https://www.rfc-editor.org/rfc/rfc4271#section-4.2
//= type=test
//# The Hold Time MUST be either zero or at least three seconds.
//= https://www.rfc-editor.org/rfc/rfc4271#section-6.2
//= type=test
//# MUST reject Hold Time values of one or two seconds.
//= https://www.rfc-editor.org/rfc/rfc4271#section-6.2
//= type=test
//# the Error Subcode MUST be set to Unacceptable Hold Time.
#[test]
fn an_implementation_must_reject_hold_times_of_one_or_two_seconds() {
    for seconds in [1, 2] {
        let (mut rig, connection) = Rig::open_sent(config());
        rig.receive(connection, crate::codec::Open { hold_time: seconds, ..their_open(1) }.encode());
        assert_eq!((rig.told(), rig.peer.state()), (Some((2, 6)), State::Idle));
        assert!(HoldTime::new(seconds).is_none());
    }
}

//= https://www.rfc-editor.org/rfc/rfc4271#section-6.2
//= type=test
//# the Error Subcode MUST be set to Bad Peer AS.
//= https://www.rfc-editor.org/rfc/rfc7607#section-2
//= type=test
//# MUST abort the connection and send a NOTIFICATION with Error Code "OPEN
//# Message Error" and subcode "Bad Peer AS"
//= https://www.rfc-editor.org/rfc/rfc6286#section-2.2
//= type=test
//# If the BGP Identifier field of the OPEN message is zero
//= https://www.rfc-editor.org/rfc/rfc6793#section-4.1
//= type=test
//# in lieu of the "My Autonomous System" field of the OPEN message.
//= https://www.rfc-editor.org/rfc/rfc5492#section-5
//= type=test
//# MUST list the set of capabilities that causes the speaker to send the
//# message.
#[test]
fn what_an_open_says_of_its_sender_must_be_true() {
    let four = |number| {
        move |open: &mut crate::codec::Open| {
            open.capabilities.retain(|capability| !matches!(capability, Capability::FourOctetAs(_)));
            open.capabilities.push(Capability::FourOctetAs(number));
        }
    };
    type Change = Box<dyn Fn(&mut crate::codec::Open)>;
    let wrong: [(Change, (u8, u8)); 5] = [
        (Box::new(four(64_514)), (2, 2)),
        (Box::new(four(0)), (2, 2)),
        (Box::new(|open| open.my_as = 0), (2, 2)),
        (Box::new(|open| open.identifier = 0), (2, 3)),
        (
            Box::new(|open| {
                open.capabilities.retain(|capability| !matches!(capability, Capability::Multiprotocol { .. }));
                open.capabilities.push(Capability::Multiprotocol { afi: 25, safi: 70 });
            }),
            (2, 7),
        ),
    ];
    for (change, told) in wrong {
        let mut open = their_open(1);
        change(&mut open);
        let (mut rig, connection) = Rig::open_sent(config());
        rig.receive(connection, open.encode());
        assert_eq!((rig.told(), rig.peer.state()), (Some(told), State::Idle), "{open:?}");
        if told == (2, 7) {
            // The two families that are asked for, each as its capability would be.
            let missing = rig.notification().map(|notification| notification.data);
            assert_eq!(missing, Some(vec![1, 4, 0, 1, 0, 1, 1, 4, 0, 2, 0, 1]));
        }
        assert!(rig.has_closed(connection));
    }
}

#[test]
fn an_internal_peer_must_not_have_our_identifier_and_an_external_one_may() {
    let internal = Config { peer_as: asn(64_512), ..config() };
    let (mut rig, connection) = Rig::open_sent(internal);
    rig.receive(connection, Config::new(asn(64_512), asn(64_512), id(10)).open(false).encode());
    assert_eq!(rig.told(), Some((2, 3)));
    Rig::established(config(), &their_open(10));
}

#[test]
fn a_two_octet_peer_is_known_by_its_two_octets() {
    let open = without(their_open(1), |capability| matches!(capability, Capability::FourOctetAs(_)));
    let (rig, _) = Rig::established(config(), &open);
    assert!(!rig.peer.negotiated().expect("up").four_octet_as);
}

//= https://www.rfc-editor.org/rfc/rfc4271#section-6.1
//= type=test
//# the Error Subcode MUST be set to Connection Not Synchronized.
//= https://www.rfc-editor.org/rfc/rfc4271#section-6.1
//= type=test
//# MUST be set to Bad Message Length. The Data field MUST contain the erroneous
//# Length field.
//= https://www.rfc-editor.org/rfc/rfc4271#section-6.1
//= type=test
//# MUST be set to Bad Message Type. The Data field MUST contain the erroneous
//# Type field.
#[test]
fn a_header_that_is_none_is_answered_with_what_was_wrong() {
    let cases = [
        (vec![0; 19], (1, 1), vec![]),
        ([vec![0xff; 16], vec![0, 18, 4]].concat(), (1, 2), vec![0, 18]),
        ([vec![0xff; 16], vec![0x10, 1, 2]].concat(), (1, 2), vec![0x10, 1]),
        ([vec![0xff; 16], vec![0, 20, 4]].concat(), (1, 2), vec![0, 20]),
        (whole(6, &[]), (1, 3), vec![6]),
    ];
    for (bytes, told, data) in cases {
        let open = without(their_open(1), |capability| matches!(capability, Capability::ExtendedMessage));
        let (mut rig, connection) = Rig::established(config(), &open);
        rig.receive(connection, bytes);
        assert_eq!((rig.told(), rig.notification().map(|n| n.data)), (Some(told), Some(data)));
    }
}

//= https://www.rfc-editor.org/rfc/rfc4271#section-6.2
//= type=test
//# the Error Subcode MUST be set to Unsupported Version Number. The Data field
//# is a 2-octet unsigned integer
#[test]
fn a_bad_version_is_answered_with_ours() {
    let (mut rig, connection) = Rig::open_sent(config());
    let mut bytes = their_open(1).encode();
    bytes[19] = 3;
    rig.receive(connection, bytes);
    assert_eq!(rig.notification(), Some(Notification::new(2, 1, vec![0, 4])));
}

//= https://www.rfc-editor.org/rfc/rfc8654#section-4
//= type=test
//# applies to all messages except for OPEN and KEEPALIVE messages.
//= https://www.rfc-editor.org/rfc/rfc8654#section-4
//= type=test
//# MAY send BGP Extended Messages to a peer only if the BGP Extended Message
//# Capability was received from that peer.
//= https://www.rfc-editor.org/rfc/rfc8654#section-5
//= type=test
//# MUST NOT accept a BGP Extended Message.
#[test]
fn longer_messages_are_taken_once_both_have_said_so() {
    let long = whole(2, &[&[0, 0, 0x20, 0x00], [0xc0, 99, 1, 0].repeat(2048).as_slice()].concat());
    assert!(long.len() > 8000);
    let (mut rig, connection) = Rig::established(config(), &their_open(1));
    assert_eq!(rig.peer.negotiated().expect("up").max_message_len, u16::MAX);
    rig.receive(connection, long.clone());
    assert_eq!(rig.peer.state(), State::Established);
    for (ours, theirs) in [(false, true), (true, false)] {
        let open = without(their_open(1), |capability| !theirs && matches!(capability, Capability::ExtendedMessage));
        let (mut rig, connection) = Rig::established(Config { extended_messages: ours, ..config() }, &open);
        assert_eq!(rig.peer.negotiated().expect("up").max_message_len, 4096);
        rig.receive(connection, long.clone());
        assert_eq!(rig.told(), Some((1, 2)));
    }
    // And an OPEN is never longer.
    let (mut rig, connection) = Rig::open_sent(config());
    rig.receive(connection, whole(1, &[0; 5000]));
    assert_eq!(rig.told(), Some((1, 2)));
}

//= https://www.rfc-editor.org/rfc/rfc6608#section-4
//= type=test
//# indicates the type of the unexpected message.
//= https://www.rfc-editor.org/rfc/rfc6608#section-4
//= type=test
//# on a session in OpenSent state, it MUST send
//= https://www.rfc-editor.org/rfc/rfc6608#section-4
//= type=test
//# on a session in OpenConfirm state, it MUST send
//= https://www.rfc-editor.org/rfc/rfc6608#section-4
//= type=test
//# on a session in Established State, it MUST send
#[test]
fn a_message_in_the_wrong_state_is_answered_with_its_type_and_the_state() {
    let refresh = RouteRefresh { afi: 1, safi: 1, kind: RefreshKind::Request }.encode();
    let open = their_open(1).encode();
    let cases = [
        (State::OpenSent, keepalive(), 1),
        (State::OpenSent, an_update(1), 1),
        (State::OpenSent, refresh.clone(), 1),
        (State::OpenConfirm, open.clone(), 2),
        (State::OpenConfirm, an_update(1), 2),
        (State::OpenConfirm, refresh, 2),
        (State::Established, open, 3),
    ];
    for (state, bytes, subcode) in cases {
        let (mut rig, connection) = match state {
            State::OpenSent => Rig::open_sent(config()),
            State::OpenConfirm => Rig::open_confirm(config(), &their_open(1)),
            _ => Rig::established(config(), &their_open(1)),
        };
        let kind = bytes[18];
        rig.receive(connection, bytes);
        assert_eq!(rig.notification(), Some(Notification::new(5, subcode, vec![kind])), "{kind} in {state:?}");
        assert_eq!(rig.peer.state(), State::Idle);
    }
}

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
fn a_notification_is_never_answered_with_one() {
    for reach in [
        Rig::open_sent(config()),
        Rig::open_confirm(config(), &their_open(1)),
        Rig::established(config(), &their_open(1)),
    ] {
        let (mut rig, connection) = reach;
        let cease = Notification::shutdown(2, "maintenance until noon");
        rig.receive(connection, cease.encode(4096));
        assert_eq!((rig.told(), rig.peer.state()), (None, State::Idle));
        assert_eq!(rig.down(), Some(DownReason::NotificationReceived(cease)));
    }
}

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

#[test]
fn stopping_says_why_and_does_not_begin_again() {
    let (mut rig, connection) = Rig::established(config(), &their_open(1));
    rig.put(Input::Stop(Stop::Shutdown("drained".into())));
    let told = rig.notification().expect("told");
    assert_eq!((told.code, told.subcode, told.shutdown_text()), (6, 2, Some("drained".into())));
    assert!(rig.has_closed(connection));
    rig.pass(3600 * SECOND);
    assert_eq!((rig.peer.state(), rig.peer.poll_timeout()), (State::Idle, None));
    rig.take();
    rig.put(Input::Start);
    assert!(rig.connecting().is_some());
}

#[test]
fn a_quiet_stop_closes_without_a_word() {
    let (mut rig, connection) = Rig::established(config(), &their_open(1));
    rig.put(Input::Stop(Stop::Quiet));
    assert_eq!((rig.told(), rig.has_closed(connection), rig.peer.state()), (None, true, State::Idle));
}

#[test]
fn a_final_stop_is_a_hard_reset_where_a_notification_would_be_bridged() {
    for (ours, theirs, hard) in [(true, true, true), (true, false, false), (false, true, false)] {
        let (mut rig, _) =
            Rig::established(Config { graceful_restart: restart(ours), ..config() }, &restarting_open(theirs));
        rig.put(Input::Stop(Stop::Deconfigured));
        let told = rig.notification().expect("told");
        assert_eq!((told.is_hard_reset(), told.inner()), (hard, Notification::cease(3)));
    }
}

#[test]
fn a_reset_begins_again_at_once() {
    let (mut rig, first) = Rig::established(config(), &their_open(1));
    rig.put(Input::Reset("by hand".into()));
    assert_eq!(rig.told(), Some((6, 4)));
    assert!(rig.has_closed(first));
    assert_eq!(rig.peer.state(), State::Connect);
}

#[test]
fn only_what_an_open_says_ends_a_session_when_it_changes() {
    let (mut rig, connection) = Rig::established(config(), &their_open(1));
    rig.updates();
    let timing = Timing { connect_retry: 9 * SECOND, ..Timing::default() };
    let own = crate::OwnAddresses { ipv4: Some([192, 0, 2, 77].into()), ..config().own };
    rig.put(Input::Configure(Box::new(Config { timing, own, passive: true, bfd: BfdUse::Watch, ..config() })));
    assert_eq!(rig.peer.state(), State::Established);
    assert_eq!(rig.updates().len(), 1, "the three routes with their new next hop");
    let several = FamilyConfig { add_path: std::num::NonZeroU8::new(2), ..FamilyConfig::default() };
    let more = FamilyConfig { add_path: std::num::NonZeroU8::new(3), ..FamilyConfig::default() };
    let with = |family| Config { families: [(Family::Ipv4Unicast, family)].into(), ..config() };
    assert!(with(several).needs_reset(&with(more)));
    let limited = FamilyConfig { maximum_prefixes: Some(9), ..several };
    assert!(!with(several).needs_reset(&with(limited)));
    let shorter = Timing { hold: HoldTime::new(9).expect("lawful"), ..Timing::default() };
    rig.put(Input::Configure(Box::new(Config { timing: shorter, ..config() })));
    assert_eq!((rig.told(), rig.has_closed(connection)), (Some((6, 6)), true));
    assert_eq!(rig.peer.state(), State::Connect);
}

//= https://www.rfc-editor.org/rfc/rfc4724#section-4.1
//= type=test
//# the Restarting Speaker MUST set the "Restart State" bit
//= https://www.rfc-editor.org/rfc/rfc4724#section-4.1
//= type=test
//# the End-of-RIB marker MUST be sent.
//= https://www.rfc-editor.org/rfc/rfc4724#section-4.2
//= type=test
//# MUST NOT be set unless the Receiving Speaker has restarted.
#[test]
fn the_first_session_after_a_restart_says_so_and_the_next_does_not() {
    let config = Config { graceful_restart: restart(false), ..config() };
    let mut rig = Rig::new(config.clone());
    rig.peer = Peer::new(config.clone(), 1, true);
    rig.put(Input::Desired(routes(1)));
    rig.put(Input::Start);
    for said in [true, false] {
        let connection = rig.connecting().expect("connects");
        rig.put(Input::Connected(connection));
        assert_eq!(rig.wrote(connection), [Wrote::Open(config.open(said))]);
        let bits = config.open(said).capabilities.into_iter().find_map(|capability| match capability {
            Capability::GracefulRestart(GracefulRestart { restarted, families, .. }) => Some((restarted, families)),
            _ => None,
        });
        assert_eq!(bits, Some((said, vec![(1, 1, true), (2, 1, true)])), "forwarding was preserved");
        rig.receive(connection, their_open(1).encode());
        rig.receive(connection, keepalive());
        assert_eq!(rig.updates().len(), 3, "routes and both End-of-RIBs, without waiting for the peer's");
        rig.put(Input::Closed(connection));
        rig.take();
        rig.pass(SECOND);
    }
}

//= https://www.rfc-editor.org/rfc/rfc4724#section-4.2
//= type=test
//# the previous TCP session MUST be closed, and the new one retained.
#[test]
fn a_peer_that_can_restart_and_says_open_on_a_new_connection_has_lost_the_old_one() {
    let config = Config { graceful_restart: restart(false), ..config() };
    let (mut rig, old) = Rig::established(config.clone(), &restarting_open(false));
    rig.pass(10 * SECOND);
    let new = rig.accept();
    assert_eq!(rig.peer.state(), State::Established, "a mere connection takes nothing away");
    rig.take();
    rig.receive(new, restarting_open(false).encode());
    assert!(rig.has_closed(old) && !rig.has_closed(new));
    assert_eq!(rig.told(), None, "the old connection is closed without a NOTIFICATION");
    rig.receive(new, keepalive());
    assert_eq!(rig.peer.state(), State::Established);
    assert_eq!(rig.updates().len(), 3, "it is told everything again");
}

//= https://www.rfc-editor.org/rfc/rfc4271#section-6.8
//= type=test
//# in the Established state causes closing of the newly created connection.
#[test]
fn a_peer_that_cannot_restart_keeps_the_session_that_is_established() {
    let (mut rig, old) = Rig::established(config(), &their_open(1));
    rig.pass(10 * SECOND);
    let new = rig.accept();
    rig.receive(new, their_open(1).encode());
    assert!(rig.has_closed(new) && !rig.has_closed(old));
    assert_eq!((rig.told(), rig.peer.state()), (Some((6, 7)), State::Established));
    assert!(rig.take().contains(&Output::Notice(Notice::CollisionResolved { closed: new })));
}

/// Both connections have our OPEN; on one the peer's comes, then on the other.
fn collide(config: Config, open: &crate::codec::Open, ours_first: bool) -> (Rig, bool) {
    let mut rig = Rig::started(config);
    let outgoing = rig.connecting().expect("connects");
    let incoming = rig.accept();
    rig.put(Input::Connected(outgoing));
    assert_eq!(rig.peer.state(), State::OpenSent);
    let order = if ours_first { [outgoing, incoming] } else { [incoming, outgoing] };
    rig.receive(order[0], open.encode());
    assert_eq!(rig.peer.state(), State::OpenConfirm);
    rig.receive(order[1], open.encode());
    let (gone, stays) = if rig.has_closed(outgoing) { (outgoing, incoming) } else { (incoming, outgoing) };
    assert!(rig.has_closed(gone) && !rig.has_closed(stays));
    let last = rig.wrote(gone).pop();
    assert_eq!(last, Some(Wrote::Notification(Notification::cease(7))));
    assert_eq!(rig.peer.state(), State::OpenConfirm);
    rig.receive(stays, keepalive());
    assert_eq!(rig.peer.state(), State::Established);
    (rig, stays == outgoing)
}

//= https://www.rfc-editor.org/rfc/rfc4271#section-6.8
//= type=test
//# accomplished by sending the NOTIFICATION message with the Error Code Cease.
//= https://www.rfc-editor.org/rfc/rfc4271#section-6.8
//= type=test
//# MUST examine all of its connections that are in the OpenConfirm state.
//= https://www.rfc-editor.org/rfc/rfc4271#section-6.8
//= type=test
//# one of the connections MUST be closed.
//= https://www.rfc-editor.org/rfc/rfc4271#section-6.8
//= type=test
//# If the value of the local BGP Identifier is less than the remote one
#[test]
fn the_connection_opened_by_the_higher_identifier_stays_whichever_open_comes_first() {
    for ours_first in [true, false] {
        assert!(collide(config(), &their_open(1), ours_first).1, "ours is 10, theirs 1");
        assert!(!collide(config(), &their_open(200), ours_first).1, "ours is 10, theirs 200");
    }
}

#[test]
fn with_equal_identifiers_the_higher_autonomous_system_decides() {
    for ours_first in [true, false] {
        assert!(!collide(config(), &their_open(10), ours_first).1, "64512 against 64513");
        let config = Config { local_as: asn(64_600), ..config() };
        let open = Config::new(asn(64_513), asn(64_600), id(10)).open(false);
        assert!(collide(config, &open, ours_first).1);
    }
}

#[test]
fn of_two_connections_opened_by_the_peer_the_later_one_stays() {
    let mut rig = Rig::started(Config { passive: true, ..config() });
    let first = rig.accept();
    rig.receive(first, their_open(1).encode());
    let second = rig.accept();
    rig.receive(second, their_open(1).encode());
    assert!(rig.has_closed(first) && !rig.has_closed(second));
    // And one that has not said anything gives way to a third at once.
    let mut rig = Rig::started(Config { passive: true, ..config() });
    let (first, second, third) = (rig.accept(), rig.accept(), rig.accept());
    assert_eq!([first, second, third].map(|connection| rig.has_closed(connection)), [true, false, false]);
}

//= https://www.rfc-editor.org/rfc/rfc4271#section-8.2.1
//= type=test
//# For each incoming connection, a state machine MUST be instantiated.
#[test]
fn when_one_connection_fails_the_other_goes_on() {
    for outgoing_fails in [true, false] {
        let mut rig = Rig::started(config());
        let outgoing = rig.connecting().expect("connects");
        let incoming = rig.accept();
        rig.put(Input::Connected(outgoing));
        let (fails, stays) = if outgoing_fails { (outgoing, incoming) } else { (incoming, outgoing) };
        rig.put(Input::Closed(fails));
        rig.receive(stays, their_open(1).encode());
        rig.receive(stays, keepalive());
        assert_eq!(rig.peer.state(), State::Established);
    }
}

#[test]
fn a_session_ends_the_attempt_that_is_still_on_its_way() {
    let mut rig = Rig::started(config());
    let outgoing = rig.connecting().expect("connects");
    let incoming = rig.accept();
    rig.receive(incoming, their_open(1).encode());
    rig.receive(incoming, keepalive());
    assert!(rig.has_closed(outgoing));
    rig.take();
    rig.put(Input::Connected(outgoing));
    assert_eq!((rig.take(), rig.peer.state()), (vec![], State::Established));
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

#[test]
fn more_prefixes_than_allowed_end_the_session_and_the_same_one_again_does_not() {
    let limited = FamilyConfig { maximum_prefixes: Some(5), ..FamilyConfig::default() };
    let families = [(Family::Ipv4Unicast, limited)].into();
    let open = their_open(1);
    let (mut rig, connection) = Rig::established(Config { families, ..config() }, &open);
    for _ in 0..100 {
        rig.receive(connection, an_update(5));
    }
    assert_eq!(rig.peer.state(), State::Established);
    assert_eq!(
        (rig.peer.received().held(Family::Ipv4Unicast), rig.peer.received().announced(Family::Ipv4Unicast)),
        (5, 500)
    );
    rig.receive(connection, an_update(6));
    assert_eq!(rig.notification(), Some(Notification::new(6, 1, vec![0, 1, 1, 0, 0, 0, 5])));
}

#[test]
fn a_prefix_that_is_announced_again_counts_once() {
    let (mut rig, connection) = Rig::established(config(), &their_open(1));
    for _ in 0..3 {
        rig.receive(connection, an_update(200));
    }
    let received = rig.peer.received();
    assert_eq!((received.announced(Family::Ipv4Unicast), received.held(Family::Ipv4Unicast)), (600, 200));
}

#[test]
fn a_wrong_attribute_costs_its_routes_and_not_the_session() {
    let (mut rig, connection) = Rig::established(config(), &their_open(1));
    let mut update = an_update(2);
    update[19 + 4 + 3] = 9; // ORIGIN
    rig.receive(connection, update);
    assert_eq!(rig.peer.state(), State::Established);
    assert_eq!(rig.peer.received().withdrawn(Family::Ipv4Unicast), 2);
    assert!(rig.take().iter().any(|output| matches!(output, Output::Notice(Notice::TreatedAsWithdraw(_)))));
}

#[test]
fn an_update_that_cannot_be_trusted_ends_the_session() {
    let (mut rig, connection) = Rig::established(config(), &their_open(1));
    rig.receive(connection, whole(2, &[0, 9, 0, 0]));
    assert_eq!(rig.told(), Some((3, 1)));
}

//= https://www.rfc-editor.org/rfc/rfc7313#section-4
//= type=test
//# the speaker MUST send a BoRR message.
//= https://www.rfc-editor.org/rfc/rfc7313#section-4
//= type=test
//# it MUST send an EoRR message.
#[test]
fn a_refresh_sends_everything_again_between_its_marks() {
    let request = RouteRefresh { afi: 1, safi: 1, kind: RefreshKind::Request }.encode();
    let (mut rig, connection) = Rig::established(config(), &their_open(1));
    rig.updates();
    rig.receive(connection, request.clone());
    let kinds: Vec<u8> = rig.updates().iter().map(|message| message[18]).collect();
    assert_eq!(kinds, [5, 2, 5]);
    let open = without(their_open(1), |capability| matches!(capability, Capability::EnhancedRouteRefresh));
    let (mut rig, connection) = Rig::established(config(), &open);
    rig.updates();
    rig.receive(connection, request);
    let kinds: Vec<u8> = rig.updates().iter().map(|message| message[18]).collect();
    assert_eq!(kinds, [2]);
}

//= https://www.rfc-editor.org/rfc/rfc7313#section-4
//= type=test
//# it MUST NOT send a BoRR for an <AFI, SAFI> to a neighbor before it sends the
//# EoR
#[test]
fn a_refresh_that_is_asked_for_early_waits_for_the_end_of_rib() {
    let (mut rig, connection) = Rig::established(config(), &their_open(1));
    rig.receive(connection, RouteRefresh { afi: 1, safi: 1, kind: RefreshKind::Request }.encode());
    let said: Vec<(u8, usize)> = rig.updates().iter().map(|message| (message[18], message.len())).collect();
    let kinds: Vec<u8> = said.iter().map(|(kind, _)| *kind).collect();
    assert_eq!(kinds, [2, 2, 5, 2, 5, 2]);
    assert_eq!(said[1].1, 23, "the End-of-RIB of IPv4 comes before the mark");
    assert_eq!(said[0], said[3], "and then all routes again");
}

//= https://www.rfc-editor.org/rfc/rfc7313#section-5
//= type=test
//# other than 0, 1, or 2, it MUST ignore the received ROUTE-REFRESH message.
//= https://www.rfc-editor.org/rfc/rfc2918#section-4
//= type=test
//# the speaker shall ignore such a message.
#[test]
fn a_refresh_of_a_family_that_was_never_offered_is_ignored() {
    let (mut rig, connection) = Rig::established(config(), &their_open(1));
    rig.updates();
    for (afi, safi, kind) in [(25, 70, RefreshKind::Request), (1, 1, RefreshKind::Other(3))] {
        rig.receive(connection, RouteRefresh { afi, safi, kind }.encode());
        assert_eq!((rig.updates(), rig.peer.state()), (vec![], State::Established));
    }
}

//= https://www.rfc-editor.org/rfc/rfc7313#section-5
//= type=test
//# MUST contain the complete ROUTE-REFRESH message.
#[test]
fn a_refresh_mark_of_a_wrong_length_is_answered_with_the_whole_message() {
    let (mut rig, connection) = Rig::established(config(), &their_open(1));
    let wrong = whole(5, &[0, 1, 1, 1, 9]);
    rig.receive(connection, wrong.clone());
    assert_eq!(rig.notification(), Some(Notification::new(7, 1, wrong)));
}

//= https://www.rfc-editor.org/rfc/rfc4271#section-9.1.3
//= type=test
//# MUST be withdrawn from service by means of an UPDATE message
#[test]
fn graceful_shutdown_says_all_routes_again_and_the_session_stays() {
    let (mut rig, _) = Rig::established(config(), &their_open(1));
    rig.updates();
    rig.put(Input::GracefulShutdown(true));
    let updates = rig.updates();
    assert_eq!(updates.len(), 1);
    assert!(updates[0].windows(4).any(|bytes| bytes == [0xff, 0xff, 0, 0]));
    rig.put(Input::Desired(routes(0)));
    assert_eq!((rig.updates().len(), rig.peer.state()), (1, State::Established));
}

#[test]
fn two_halves_of_a_message_are_one() {
    let (mut rig, connection) = Rig::open_sent(config());
    for byte in [their_open(1).encode(), keepalive(), an_update(3)].concat() {
        rig.receive(connection, vec![byte]);
    }
    assert_eq!(rig.peer.state(), State::Established);
    assert_eq!(rig.peer.received().announced(Family::Ipv4Unicast), 3);
}

/// Flags, type and value of each attribute of an UPDATE.
fn attributes(update: &[u8]) -> Vec<(u8, u8, Vec<u8>)> {
    let short = |at: usize| usize::from(u16::from_be_bytes([update[at], update[at + 1]]));
    let start = 19 + 2 + short(19);
    let (mut at, end) = (start + 2, start + 2 + short(start));
    let mut all = Vec::new();
    while at < end {
        let (flags, kind) = (update[at], update[at + 1]);
        let (length, head) = if flags & 0x10 == 0 { (usize::from(update[at + 2]), 3) } else { (short(at + 2), 4) };
        all.push((flags, kind, update[at + head..at + head + length].to_vec()));
        at += head + length;
    }
    all
}

/// A session that is told one route with these attributes.
fn one_route(config: Config, open: &crate::codec::Open, prefix: &str, said: crate::Attributes) -> Vec<Vec<u8>> {
    let (mut rig, _) = Rig::established(config, open);
    let key = crate::RouteKey::own(prefix.parse().expect("a prefix"));
    rig.put(Input::Desired(Arc::new([(key, Arc::new(said))].into())));
    let mut updates = rig.updates();
    // Without the two End-of-RIBs.
    updates.truncate(updates.len() - 2);
    updates
}

fn plain() -> crate::Attributes {
    crate::Attributes::new(crate::NextHop::Own)
}

//= https://www.rfc-editor.org/rfc/rfc4271#section-5.1.5
//= type=test
//# MUST NOT include this attribute in UPDATE messages it sends to external
//# peers
//= https://www.rfc-editor.org/rfc/rfc4271#section-5.1.5
//= type=test
//# SHALL be included in all UPDATE messages that a given BGP speaker sends to
//# other internal peers.
//= https://www.rfc-editor.org/rfc/rfc4271#section-5.1.2
//= type=test
//# includes its own AS number in a path segment, of type AS_SEQUENCE, in the
//# AS_PATH attribute
//= https://www.rfc-editor.org/rfc/rfc4271#section-4.3
//= type=test
//# the Transitive bit MUST be set to 1.
#[test]
fn local_pref_is_for_internal_peers_and_the_own_number_for_external_ones() {
    let internal = Config { peer_as: asn(64_512), ..config() };
    let their_internal = Config::new(asn(64_512), asn(64_512), id(1)).open(false);
    let external: (&[u8], Option<&[u8]>) = (&[2, 1, 0, 0, 0xfc, 0], None);
    for (config, open, (path, local_pref)) in
        [(config(), their_open(1), external), (internal, their_internal, (&[], Some(&[0, 0, 0, 100])))]
    {
        let updates = one_route(config, &open, "198.51.100.7/32", plain());
        let all = attributes(&updates[0]);
        let of = |wanted: u8| all.iter().find(|(_, kind, _)| *kind == wanted).map(|(_, _, value)| value.as_slice());
        assert_eq!((of(2), of(5)), (Some(path), local_pref));
        assert!(all.iter().all(|(flags, ..)| *flags == 0x40), "all are well-known: {all:02x?}");
    }
}

//= https://www.rfc-editor.org/rfc/rfc6793#section-4.2.2
//= type=test
//# MUST send the AS path information in the AS_PATH attribute encoded with
//# two-octet AS numbers.
//= https://www.rfc-editor.org/rfc/rfc6793#section-4.2.2
//= type=test
//# MUST also send the AS path information in the AS4_PATH attribute
//= https://www.rfc-editor.org/rfc/rfc6793#section-4.1
//= type=test
//# MUST NOT be carried in an UPDATE message between NEW BGP speakers.
#[test]
fn a_peer_of_two_octets_gets_the_path_in_two_and_in_four() {
    let open = Config::new(asn(64_513), asn(4_200_000_001), id(1)).open(false);
    let old = without(open.clone(), |capability| matches!(capability, Capability::FourOctetAs(_)));
    let large = Config { local_as: asn(4_200_000_001), ..config() };
    let four = [2, 1, 0xfa, 0x56, 0xea, 0x01].to_vec();
    // AS_TRANS stands for what two octets do not hold.
    for (open, path, as4) in [(old, vec![2, 1, 0x5b, 0xa0], Some(four.clone())), (open, four.clone(), None)] {
        let updates = one_route(large.clone(), &open, "198.51.100.7/32", plain());
        let all = attributes(&updates[0]);
        let of = |wanted: u8| all.iter().find(|(_, kind, _)| *kind == wanted).map(|(_, _, value)| value.clone());
        assert_eq!((of(2), of(17)), (Some(path), as4));
    }
    // And where they hold it, nothing is added.
    let old = without(their_open(1), |capability| matches!(capability, Capability::FourOctetAs(_)));
    let updates = one_route(config(), &old, "198.51.100.7/32", plain());
    assert!(attributes(&updates[0]).iter().all(|(_, kind, _)| *kind != 17));
}

//= https://www.rfc-editor.org/rfc/rfc7606#section-5.1
//= type=test
//# SHALL be encoded as the very first path attribute in an UPDATE message.
//= https://www.rfc-editor.org/rfc/rfc4760#section-3
//= type=test
//# MUST also carry the ORIGIN and the AS_PATH attributes
#[test]
fn an_ipv6_route_goes_in_front_with_all_that_it_needs() {
    let updates = one_route(config(), &their_open(1), "2001:db8::7/128", plain());
    let kinds: Vec<u8> = attributes(&updates[0]).iter().map(|(_, kind, _)| *kind).collect();
    assert_eq!(kinds, [14, 1, 2]);
    let (mut rig, _) = Rig::established(config(), &their_open(1));
    let key = crate::RouteKey::own("2001:db8::7/128".parse().expect("a prefix"));
    rig.put(Input::Desired(Arc::new([(key, Arc::new(plain()))].into())));
    rig.updates();
    rig.put(Input::Desired(routes(0)));
    let kinds: Vec<u8> = attributes(&rig.updates()[0]).iter().map(|(_, kind, _)| *kind).collect();
    assert_eq!(kinds, [15]);
}

//= https://www.rfc-editor.org/rfc/rfc4271#section-9.2
//= type=test
//# MUST not advertise the route to its peers
#[test]
fn a_route_that_fits_into_no_update_is_withheld() {
    let open = without(their_open(1), |capability| matches!(capability, Capability::ExtendedMessage));
    let many = |count| crate::Attributes { communities: (0..count).map(crate::Community).collect(), ..plain() };
    assert_eq!(one_route(config(), &open, "198.51.100.7/32", many(1000)).len(), 1);
    assert_eq!(one_route(config(), &open, "198.51.100.7/32", many(1100)), Vec::<Vec<u8>>::new());
    assert_eq!(one_route(config(), &their_open(1), "198.51.100.7/32", many(1100)).len(), 1);
}

//= https://www.rfc-editor.org/rfc/rfc7911#section-4
//= type=test
//# treated as not understood and ignored
//= https://www.rfc-editor.org/rfc/rfc7911#section-5
//= type=test
//# MUST advertise the ADD-PATH Capability with the Send/Receive field set to
//# either 2 or 3
#[test]
fn several_paths_go_to_a_peer_that_takes_them_and_one_to_any_other() {
    let several = FamilyConfig { add_path: std::num::NonZeroU8::new(2), ..FamilyConfig::default() };
    let families = [(Family::Ipv4Unicast, several)].into();
    let config = Config { families, ..config() };
    let paths = |rig: &Rig| rig.peer.negotiated().expect("up").families[&Family::Ipv4Unicast].add_path.is_some();
    for (mode, takes) in [(1, true), (3, true), (2, false), (0, false), (9, false)] {
        let mut open = their_open(1);
        open.capabilities.push(Capability::AddPath(vec![(1, 1, mode)]));
        let (rig, _) = Rig::established(config.clone(), &open);
        assert_eq!(paths(&rig), takes, "{mode}");
    }
    let (rig, _) = Rig::established(config, &their_open(1));
    assert!(!paths(&rig));
}

//= https://www.rfc-editor.org/rfc/rfc8950#section-4
//= type=test
//# MUST use the Capability Advertisement procedures
//= https://www.rfc-editor.org/rfc/rfc8950#section-4
//= type=test
//# has first ascertained via the BGP Capability Advertisement that the BGP peer
//# supports the Extended Next Hop Encoding capability
#[test]
fn an_ipv6_next_hop_of_ipv4_routes_needs_both_to_say_so() {
    let own = crate::OwnAddresses { ipv4: None, ..config().own };
    for (ours, theirs) in [(true, true), (true, false), (false, true), (false, false)] {
        let mut open = their_open(1);
        if theirs {
            open.capabilities.push(Capability::ExtendedNextHop(vec![(1, 1, 2)]));
        }
        let (mut rig, _) = Rig::established(Config { own, extended_next_hop: ours, ..config() }, &open);
        rig.updates();
        let sent = rig.peer.rib_out().advertised(Family::Ipv4Unicast);
        let withheld = rig.peer.rib_out().withheld().get(&crate::Withheld::NoNextHop).copied();
        assert_eq!((sent, withheld), if ours && theirs { (3, None) } else { (0, Some(3)) });
    }
}

#[test]
fn the_link_bandwidth_is_spelled_as_configured() {
    use crate::LinkBandwidth::{ByPeer, NonTransitive, Transitive};
    for (link_bandwidth, first) in [(ByPeer, 0x00), (Transitive, 0x00), (NonTransitive, 0x40)] {
        let (mut rig, _) = Rig::established(Config { link_bandwidth, ..config() }, &their_open(1));
        let weighted =
            crate::Attributes { link_bandwidth: Some(1_250_000_000), ..crate::Attributes::new(crate::NextHop::Own) };
        let mut routes = (*routes(1)).clone();
        for attributes in routes.values_mut() {
            *attributes = Arc::new(weighted.clone());
        }
        rig.put(Input::Desired(Arc::new(routes)));
        let updates = rig.updates().concat();
        let wanted = [&[first, 0x04, 0xfc, 0x00][..], &1.25e9_f32.to_be_bytes()].concat();
        assert!(updates.windows(8).any(|bytes| bytes == wanted), "{link_bandwidth:?}");
    }
}

#[test]
fn a_session_that_is_lost_hears_everything_again() {
    let (mut rig, connection) = Rig::established(config(), &their_open(1));
    assert_eq!(rig.updates().len(), 3);
    rig.put(Input::Closed(connection));
    assert_eq!((rig.peer.rib_out().pending(), rig.updates().len()), (0, 0), "nothing is pending without a session");
    rig.take();
    rig.pass(SECOND);
    let connection = rig.connecting().expect("connects");
    rig.put(Input::Connected(connection));
    rig.receive(connection, [their_open(1).encode(), keepalive()].concat());
    assert_eq!(rig.updates().len(), 3);
}
