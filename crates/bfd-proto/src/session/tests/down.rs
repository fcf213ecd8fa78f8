//! How a session goes down, what is said of it, and how it comes back.

use std::collections::BTreeMap;

use super::*;

//= https://www.rfc-editor.org/rfc/rfc5880#section-6.8.4
//= type=test
//# If Demand mode is not active, and a period of time equal to the
//# Detection Time passes without receiving a BFD Control packet from the
//# remote system, and bfd.SessionState is Init or Up, the session has
//# gone down -- the local system MUST set bfd.SessionState to Down and
//# bfd.LocalDiag to 1 (Control Detection Time Expired).
//= https://www.rfc-editor.org/rfc/rfc5880#section-6.8.1
//= type=test
//# If a period of a Detection Time passes without the
//# receipt of a valid, authenticated BFD packet from the remote
//# system, this variable MUST be set to zero.
#[test]
fn a_silent_peer_is_lost_at_the_detection_time_and_forgotten() {
    for state in [State::Init, State::Up] {
        let mut bench = in_state(state);
        bench.hear(packet(if state == State::Up { State::Up } else { State::Down }));
        let time = bench.session.detection_time().unwrap();
        assert_eq!(time, Duration::from_millis(150));
        bench.wait(149);
        assert_eq!(bench.session.state(), state);
        bench.wait(1);
        assert_eq!(bench.session.state(), State::Down);
        assert_eq!(bench.changes, [(State::Down, Cause::DetectionTimeExpired)]);
        let told = bench.last();
        assert_eq!((told.state, told.diagnostic.bits(), told.your_discriminator), (State::Down, 1, None));
        assert_eq!(bench.session.remote(), &Remote::UNHEARD);
    }
}

#[test]
fn a_lost_peer_is_forgotten_in_down_too() {
    // 6.8.18 of RFC 5880: a peer that wants no packets is obeyed for a Detection Time.
    let mut bench = in_state(State::Down);
    bench.hear(Packet { required_min_rx: 0, ..packet(State::Up) });
    assert_eq!((bench.session.state(), bench.session.transmit_interval()), (State::Down, None));
    bench.forget();
    bench.wait(149);
    assert!(bench.sent.is_empty());
    bench.wait(5000);
    assert!(bench.sent.len() > 3);
    assert!(bench.changes.is_empty());
}

//= https://www.rfc-editor.org/rfc/rfc5880#section-6.8.4
//= type=test
//# the Detection Time calculated in the local
//# system is equal to the value of Detect Mult received from the remote
//# system, multiplied by the agreed transmit interval of the remote
//# system
#[test]
fn the_detection_time_is_the_peers_multiplier_times_the_greater_interval() {
    // (theirs wants to send each, multiplier, expected); ours is 50 ms.
    for (theirs, mult, expected) in [(10, 3, 150), (50, 3, 150), (200, 3, 600), (200, 5, 1000), (0, 1, 50)] {
        let mut bench = Bench::up(config());
        let detect_mult = NonZeroU8::new(mult).unwrap();
        bench.hear(Packet { desired_min_tx: theirs * 1000, detect_mult, ..packet(State::Up) });
        assert_eq!(bench.session.detection_time(), Some(Duration::from_millis(expected)));
    }
}

//= https://www.rfc-editor.org/rfc/rfc5880#section-6.8.15
//= type=test
//# the local system MUST set bfd.LocalDiag to 4 (Forwarding Plane
//# Reset), and set bfd.SessionState to Down.
#[test]
fn a_forwarding_plane_that_was_reset_is_told() {
    let mut bench = Bench::up(config());
    bench.tell(Input::ForwardingReset);
    assert_eq!((bench.last().state, bench.last().diagnostic), (State::Down, Diagnostic::FORWARDING_PLANE_RESET));
    assert_eq!(bench.changes, [(State::Down, Cause::ForwardingReset)]);
}

//= https://www.rfc-editor.org/rfc/rfc5880#section-6.8.6
//= type=test
//# If bfd.SessionState is AdminDown
//#
//#     Discard the packet
//= https://www.rfc-editor.org/rfc/rfc5880#section-6.8.16
//= type=test
//# BFD Control packets SHOULD be transmitted for at least a Detection
//# Time after transitioning to AdminDown state in order to ensure that
//# the remote system is aware of the state change.
#[test]
fn while_held_down_packets_are_discarded_and_ours_go_on_slowly() {
    let mut bench = Bench::up(config());
    bench.tell(Input::Disable(Disable::Administratively));
    assert_eq!((bench.last().state, bench.last().diagnostic), (State::AdminDown, Diagnostic::ADMINISTRATIVELY_DOWN));
    assert_eq!(bench.changes, [(State::AdminDown, Cause::Disabled(Disable::Administratively))]);
    bench.forget();
    bench.hear(Packet { poll: true, ..packet(State::Init) });
    assert_eq!((bench.dropped.as_slice(), bench.session.state()), (&[DropReason::AdminDown][..], State::AdminDown));
    assert!(bench.sent.is_empty());
    bench.wait(5000);
    assert!(bench.sent.len() >= 4 && bench.gaps().iter().all(|gap| *gap >= 750_000), "{:?}", bench.gaps());
    assert!(bench.changes.is_empty(), "silence says nothing now");
}

//= https://www.rfc-editor.org/rfc/rfc5880#section-6.8.16
//= type=test
//# When this is
//# desired, the following procedure MUST be followed:
#[test]
fn a_session_let_go_again_starts_from_down() {
    let mut bench = in_state(State::AdminDown);
    bench.tell(Input::Enable);
    assert_eq!(bench.changes, [(State::Down, Cause::Enabled)]);
    assert_eq!(bench.last().state, State::Down);
    bench.tell(Input::Enable);
    assert_eq!(bench.changes.len(), 1, "again changes nothing");
    bench.hear(first()).hear(packet(State::Init));
    assert_eq!(bench.session.state(), State::Up);
}

//= https://www.rfc-editor.org/rfc/rfc5880#section-6.8.7
//= type=test
//# A BFD Control packet SHOULD be transmitted during the interval
//# between periodic Control packet transmissions when the contents of
//# that packet would differ from that in the previously transmitted
//# packet
#[test]
fn a_change_of_state_is_told_at_once() {
    let mut bench = Bench::new(config());
    bench.forget();
    bench.hear(first()).hear(packet(State::Init)).hear(packet(State::AdminDown));
    let states: BTreeMap<usize, State> = bench.sent.iter().map(|(_, packet)| packet.state).enumerate().collect();
    assert_eq!(states, BTreeMap::from([(0, State::Init), (1, State::Up), (2, State::Down)]));
    assert!(bench.sent.iter().all(|(at, _)| *at == bench.now));
}

#[test]
fn why_it_went_down_is_told_until_it_is_up_again() {
    let mut bench = Bench::up(config());
    bench.wait(200);
    bench.hear(first());
    assert_eq!((bench.last().state, bench.last().diagnostic), (State::Init, Diagnostic::DETECTION_TIME_EXPIRED));
    bench.hear(packet(State::Init));
    assert_eq!((bench.last().state, bench.last().diagnostic), (State::Up, Diagnostic::NONE));
}

#[test]
fn a_clock_that_goes_back_stands_still_and_one_that_jumps_sends_once() {
    let mut bench = Bench::up(config());
    bench.now = Timestamp::ZERO;
    bench.hear(packet(State::Up));
    assert_eq!(bench.session.state(), State::Up);
    bench.now = Timestamp::from_nanos(u64::MAX);
    bench.session.handle_timeout(bench.now);
    bench.drain();
    assert_eq!((bench.sent.len(), bench.session.state()), (1, State::Down));
}
