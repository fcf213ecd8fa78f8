use std::num::NonZeroU8;
use std::time::Duration;

use proptest::prelude::*;
use proptest::test_runner::{TestCaseError, TestRunner};

use super::*;
use crate::packet::tests::{bird_down, number};
use crate::{Disable, Hops, Interval, MULTI_HOP_PORT, SINGLE_HOP_PORT, SOURCE_PORTS, State};

fn config() -> Config {
    Config::single_hop(Interval::from_millis(50).unwrap(), NonZeroU8::new(3).unwrap())
}

fn several_hops() -> Config {
    Config { hops: Hops::Multi { minimum_ttl: 250 }, ..config() }
}

fn ip(last: u8) -> IpAddr {
    IpAddr::from([192, 0, 2, last])
}

fn path(remote: u8, local: Option<u8>, interface: Option<u32>) -> Path {
    Path { remote: ip(remote), local: local.map(ip), interface }
}

fn at(millis: u64) -> Timestamp {
    Timestamp::from_millis(millis)
}

fn drain(sessions: &mut Sessions) -> Vec<Notice> {
    std::iter::from_fn(|| sessions.poll_output()).collect()
}

/// The session that took a datagram, or why none did. `sender` is a number that no other packet carries.
fn taker(sessions: &mut Sessions, datagram: &Datagram<'_>, sender: Discriminator) -> Result<Discriminator, DropReason> {
    drain(sessions);
    sessions.handle_datagram(at(1), datagram);
    let dropped = drain(sessions).into_iter().find_map(|notice| match notice {
        Notice::Dropped(reason) => Some(reason),
        Notice::Of(..) => None,
    });
    let mut all = sessions.iter().map(|(_, session)| session);
    let heard = all.find(|session| session.remote().discriminator == Some(sender));
    heard.map(Session::local_discriminator).ok_or_else(|| dropped.unwrap())
}

//= https://www.rfc-editor.org/rfc/rfc5880#section-6.8.6
//= type=test
//# If the Your Discriminator field is zero, the session MUST be
//# selected based on some combination of other fields, possibly
//# including source addressing information, the My Discriminator
//# field, and the interface over which the packet was received.
#[test]
fn a_first_packet_goes_to_the_session_with_its_sender_that_was_told_most() {
    let mut sessions = Sessions::new(1);
    let plain = sessions.add(at(0), path(1, None, None), config()).unwrap();
    let by_interface = sessions.add(at(0), path(1, None, Some(4)), config()).unwrap();
    let by_address = sessions.add(at(0), path(1, Some(20), None), config()).unwrap();
    let far = sessions.add(at(0), path(1, None, None), several_hops()).unwrap();
    let elsewhere = sessions.add(at(0), path(2, Some(20), Some(4)), config()).unwrap();
    let rows = [
        // (port, from, to, by interface, expected)
        (SINGLE_HOP_PORT, 1, 21, 3, Ok(plain)),
        (SINGLE_HOP_PORT, 1, 21, 4, Ok(by_interface)),
        (SINGLE_HOP_PORT, 1, 20, 3, Ok(by_address)),
        (SINGLE_HOP_PORT, 1, 20, 4, Ok(by_interface)),
        (MULTI_HOP_PORT, 1, 20, 4, Ok(far)),
        (SINGLE_HOP_PORT, 2, 20, 4, Ok(elsewhere)),
        (SINGLE_HOP_PORT, 2, 20, 3, Err(DropReason::NoSession)),
        (SINGLE_HOP_PORT, 2, 21, 4, Err(DropReason::NoSession)),
        (SINGLE_HOP_PORT, 3, 20, 4, Err(DropReason::NoSession)),
        (MULTI_HOP_PORT, 2, 20, 4, Err(DropReason::NoSession)),
    ];
    for (row, (port, from, to, by, expected)) in (1..).zip(rows) {
        let payload = Packet { my_discriminator: number(row), ..bird_down() }.encode();
        let datagram = Datagram {
            port,
            source: ip(from),
            destination: Some(ip(to)),
            interface: Some(by),
            ttl: 255,
            payload: payload.as_ref(),
        };
        assert_eq!(taker(&mut sessions, &datagram, number(row)), expected, "{port} {from} {to} {by}");
    }
}

//= https://www.rfc-editor.org/rfc/rfc5880#section-6.8.6
//= type=test
//# If the Your Discriminator field is nonzero, it MUST be used to
//# select the session with which this BFD packet is associated.  If
//# no session is found, the packet MUST be discarded.
#[test]
fn a_packet_that_names_a_session_goes_there_wherever_it_comes_from() {
    let mut sessions = Sessions::new(1);
    let near = sessions.add(at(0), path(1, None, None), config()).unwrap();
    let far = sessions.add(at(0), path(1, None, None), several_hops()).unwrap();
    let unknown = [1, 2, 3].map(number).into_iter().find(|id| *id != near && *id != far).unwrap();
    let rows = [
        (near, SINGLE_HOP_PORT, Ok(near)),
        (near, MULTI_HOP_PORT, Err(DropReason::WrongPort)),
        (far, MULTI_HOP_PORT, Ok(far)),
        (far, SINGLE_HOP_PORT, Err(DropReason::WrongPort)),
        (unknown, SINGLE_HOP_PORT, Err(DropReason::UnknownDiscriminator)),
    ];
    for (row, (named, port, expected)) in (1..).zip(rows) {
        let packet = Packet { your_discriminator: Some(named), my_discriminator: number(row), ..bird_down() };
        let payload = packet.encode();
        let datagram =
            Datagram { port, source: ip(99), destination: None, interface: None, ttl: 255, payload: payload.as_ref() };
        assert_eq!(taker(&mut sessions, &datagram, number(row)), expected);
    }
}

//= https://www.rfc-editor.org/rfc/rfc5880#section-6.8.1
//= type=test
//# It MUST be unique across all BFD sessions on this
//# system, and nonzero.
//= https://www.rfc-editor.org/rfc/rfc5881#section-4
//= type=test
//# The source port MUST be in the range 49152 through 65535.
//= https://www.rfc-editor.org/rfc/rfc5881#section-4
//= type=test
//# The same UDP source port number MUST be used for all BFD Control
//# packets associated with a particular session.
//= https://www.rfc-editor.org/rfc/rfc5881#section-4
//= type=test
//# active, UDP source port numbers MAY be reused on multiple sessions,
//# but the number of distinct uses of the same UDP source port number
//# SHOULD be minimized.
#[test]
fn each_session_has_a_number_and_a_port_of_its_own() {
    let mut sessions = Sessions::new(3);
    let ids: BTreeSet<_> =
        (0..200).map(|last| sessions.add(at(0), path(last, None, None), config()).unwrap()).collect();
    let ports: BTreeSet<u16> = ids.iter().map(|id| sessions.source_port(*id).unwrap()).collect();
    assert_eq!((ids.len(), ports.len()), (200, 200));
    assert!(ports.iter().all(|port| SOURCE_PORTS.contains(port)));
    let id = *ids.first().unwrap();
    let before = sessions.source_port(id);
    sessions.handle_timeout(at(50_000));
    assert_eq!(sessions.source_port(id), before);
    let after = sessions.change_source_port(id);
    assert!(after != before && after.is_some_and(|port| !ports.contains(&port)));
    let other: BTreeSet<_> = {
        let mut sessions = Sessions::new(4);
        (0..200).map(|last| sessions.add(at(0), path(last, None, None), config()).unwrap()).collect()
    };
    assert!(ids.is_disjoint(&other), "another start has other numbers");
}

//= https://www.rfc-editor.org/rfc/rfc5881#section-4
//= type=test
//# BFD Control packets MUST be transmitted in UDP packets with
//# destination port 3784, within an IPv4 or IPv6 packet.
//= https://www.rfc-editor.org/rfc/rfc5881#section-5
//= type=test
//# packets for the session MUST be sent with a Time to Live (TTL) or Hop
//# Limit value of 255.
#[test]
fn ports_and_ttl_are_the_rfcs() {
    assert_eq!((SINGLE_HOP_PORT, MULTI_HOP_PORT, crate::TTL), (3784, 4784, 255));
}

#[test]
fn one_path_has_one_session_and_may_have_another_when_that_is_gone() {
    let mut sessions = Sessions::new(1);
    let id = sessions.add(at(0), path(1, None, None), config()).unwrap();
    let again = sessions.add(at(0), path(1, None, None), config());
    assert_eq!(again, Err(AddError::Exists(path(1, None, None))));
    sessions.remove(id);
    assert_eq!((sessions.poll_timeout(), sessions.poll_output(), sessions.iter().count()), (None, None, 0));
    assert!(sessions.get(id).is_none() && sessions.path(id).is_none() && sessions.source_port(id).is_none());
    assert!(sessions.add(at(0), path(1, None, None), config()).is_ok());
}

#[test]
fn a_session_keeps_its_port_whatever_it_is_configured_to() {
    let mut sessions = Sessions::new(1);
    let id = sessions.add(at(0), path(1, None, None), config()).unwrap();
    sessions.handle_input(at(0), id, Input::Configure(Config { detect_mult: NonZeroU8::MAX, ..several_hops() }));
    let configured = sessions.get(id).unwrap().config();
    assert_eq!((configured.hops, configured.detect_mult), (Hops::Single, NonZeroU8::MAX));
}

#[derive(Debug, Clone)]
enum Step {
    Add(u8),
    Remove(usize),
    Hear { of: usize, state: u8 },
    Bytes(Vec<u8>),
    Disable(usize),
    Wait(u64),
}

fn any_steps() -> impl Strategy<Value = Vec<Step>> {
    let step = prop_oneof![
        3 => (0..6_u8).prop_map(Step::Add),
        1 => (0..6_usize).prop_map(Step::Remove),
        6 => (0..6_usize, 0..4_u8).prop_map(|(of, state)| Step::Hear { of, state }),
        1 => crate::packet::tests::any_payload().prop_map(Step::Bytes),
        1 => (0..6_usize).prop_map(Step::Disable),
        4 => (0..1500_u64).prop_map(Step::Wait),
    ];
    proptest::collection::vec(step, 0..60)
}

/// The same sessions, each driven alone, must do the same at the same times; `forgets` is a table that loses track of one.
fn check(forgets: bool, steps: &[Step]) -> Result<(), TestCaseError> {
    let mut sessions = Sessions::new(11);
    let mut alone: Vec<(Discriminator, Session)> = Vec::new();
    let mut now = at(1000);
    for step in steps {
        let chosen = |of: usize| alone.get(of % alone.len().max(1)).map(|(id, _)| *id);
        match step {
            Step::Add(remote) => {
                // The seed that the table is about to draw for it: after the discriminator.
                let mut random = sessions.random.clone();
                if let Ok(id) = sessions.add(now, path(*remote, None, None), config()) {
                    while Discriminator::new(random.next_u32()) != Some(id) {}
                    alone.push((id, Session::new(now, id, config(), random.next_u64())));
                }
            }
            Step::Remove(of) => {
                if let Some(id) = chosen(*of) {
                    sessions.remove(id);
                    alone.retain(|(other, _)| *other != id);
                }
            }
            Step::Hear { of, state } => {
                let Some(id) = chosen(*of) else { continue };
                let packet =
                    Packet { state: State::from_bits(*state), your_discriminator: Some(id), ..bird_down() }.encode();
                let datagram = Datagram {
                    port: SINGLE_HOP_PORT,
                    source: ip(200),
                    destination: None,
                    interface: None,
                    ttl: 255,
                    payload: packet.as_ref(),
                };
                sessions.handle_datagram(now, &datagram);
                let session = alone.iter_mut().find(|(other, _)| *other == id);
                if let Some((_, session)) = session {
                    session.handle_input(now, Input::Datagram { payload: packet.as_ref(), ttl: 255 });
                }
            }
            Step::Bytes(payload) => {
                let datagram = Datagram {
                    port: SINGLE_HOP_PORT,
                    source: ip(201),
                    destination: None,
                    interface: None,
                    ttl: 255,
                    payload,
                };
                sessions.handle_datagram(now, &datagram);
                drain(&mut sessions);
            }
            Step::Disable(of) => {
                let Some(id) = chosen(*of) else { continue };
                sessions.handle_input(now, id, Input::Disable(Disable::Administratively));
                if let Some((_, session)) = alone.iter_mut().find(|(other, _)| *other == id) {
                    session.handle_input(now, Input::Disable(Disable::Administratively));
                }
            }
            Step::Wait(millis) => now = now + Duration::from_millis(*millis),
        }
        if forgets && alone.len() == 3 {
            sessions.due.pop_first();
        }
        let mut turns = 0;
        loop {
            let next = alone.iter().filter_map(|(_, session)| session.poll_timeout()).min();
            prop_assert_eq!(sessions.poll_timeout(), next);
            let Some(due) = next.filter(|due| *due <= now) else { break };
            sessions.handle_timeout(due);
            for (_, session) in alone.iter_mut().filter(|(_, session)| session.poll_timeout() == Some(due)) {
                session.handle_timeout(due);
            }
            turns += 1;
            prop_assert!(turns < 10_000, "asks to be woken without end");
        }
        let mut together: Vec<_> = drain(&mut sessions);
        for (id, session) in &mut alone {
            while let Some(output) = session.poll_output() {
                let notice = Notice::Of(*id, output);
                let place = together.iter().position(|other| *other == notice);
                prop_assert!(place.is_some(), "{notice:?} is missing");
                together.remove(place.unwrap_or_default());
            }
        }
        prop_assert!(together.is_empty(), "{together:?} of none");
        prop_assert_eq!(sessions.entries.len(), alone.len());
        prop_assert!(sessions.due.len() <= alone.len());
    }
    Ok(())
}

proptest! {
    #[test]
    fn together_they_do_what_each_does_alone(steps in any_steps()) {
        check(false, &steps)?;
    }
}

#[test]
fn a_table_that_loses_track_of_a_session_is_caught() {
    let outcome = TestRunner::deterministic().run(&any_steps(), |steps| check(true, &steps));
    assert!(outcome.is_err());
}
