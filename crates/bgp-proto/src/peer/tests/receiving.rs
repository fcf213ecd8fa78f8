//! What a router sends once the session is up: its prefixes, with or without faults, and ROUTE-REFRESH.

use super::*;
use crate::FamilyConfig;
use crate::codec::{Capability, RefreshKind, RouteRefresh, keepalive};
use crate::peer::rig::{Rig, an_update, config, their_open, whole, without};

#[test]
fn two_halves_of_a_message_are_one() {
    let (mut rig, connection) = Rig::open_sent(config());
    for byte in [their_open(1).encode(), keepalive(), an_update(3)].concat() {
        rig.receive(connection, vec![byte]);
    }
    assert_eq!(rig.peer.state(), State::Established);
    assert_eq!(rig.peer.received().announced(Family::Ipv4Unicast), 3);
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
