//! Two connections at a time: which of them stays.

use super::*;
use crate::codec::keepalive;
use crate::peer::rig::{Rig, Wrote, asn, config, id, their_open};

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
