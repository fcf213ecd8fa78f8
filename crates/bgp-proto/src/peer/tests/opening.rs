//! How a session comes up: what an OPEN must say, and what is answered to a message that is wrong or comes too early.

use super::*;
use crate::codec::{Capability, RefreshKind, RouteRefresh, keepalive};
use crate::peer::rig::{Rig, Wrote, an_update, asn, config, id, routes, their_open, whole, without};
use crate::{HoldTime, Timing};

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
