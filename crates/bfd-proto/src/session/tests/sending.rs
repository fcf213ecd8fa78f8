//! When packets are sent: slowly while not Up, spread by jitter, and not at all to a peer that wants none.

use super::*;
use crate::Role;

//= https://www.rfc-editor.org/rfc/rfc5880#section-6.8.3
//= type=test
//# When bfd.SessionState is not Up, the system MUST set
//# bfd.DesiredMinTxInterval to a value of not less than one second
//# (1,000,000 microseconds).
#[test]
fn while_not_up_it_is_slow_and_says_so() {
    for state in [State::AdminDown, State::Down, State::Init] {
        let mut bench = in_state(state);
        bench.wait_hearing(8000, Packet { required_min_rx: 1, ..packet(State::Down) });
        if state == State::Down {
            assert_eq!(bench.session.state(), State::Init);
        }
        // The first change of state may be told at once.
        let periodic = bench.gaps().split_off(1);
        assert!(periodic.len() >= 6 && periodic.iter().all(|gap| (750_000..=1_000_000).contains(gap)), "{periodic:?}");
        assert!(bench.sent.iter().all(|(_, packet)| packet.desired_min_tx == 1_000_000));
    }
    // One that wants to be slower still may.
    let slow = Config { desired_min_tx: Interval::from_millis(3000).unwrap(), ..config() };
    assert_eq!(Bench::new(slow).last().desired_min_tx, 3_000_000);
}

//= https://www.rfc-editor.org/rfc/rfc5880#section-6.8.7
//= type=test
//# a system
//# MUST NOT transmit BFD Control packets at an interval less than the
//# larger of bfd.DesiredMinTxInterval and bfd.RemoteMinRxInterval, less
//# applied jitter (see below).
//= https://www.rfc-editor.org/rfc/rfc5880#section-6.8.7
//= type=test
//# The periodic transmission of BFD Control packets MUST be jittered on
//# a per-packet basis by up to 25%
//= https://www.rfc-editor.org/rfc/rfc5880#section-6.8.7
//= type=test
//# If bfd.DetectMult is equal to 1, the interval between transmitted BFD
//# Control packets MUST be no more than 90% of the negotiated
//# transmission interval, and MUST be no less than 75% of the negotiated
//# transmission interval.
#[test]
fn packets_are_spread_over_the_last_quarter_of_the_interval() {
    // (our multiplier, what the peer is willing to receive each ms, negotiated)
    for (mult, theirs, negotiated) in [(3, 10, 50_000), (3, 80, 80_000), (1, 10, 50_000), (1, 200, 200_000)] {
        let detect_mult = NonZeroU8::new(mult).unwrap();
        let mut bench = Bench::up(Config { detect_mult, ..config() });
        bench.hear(Packet { required_min_rx: theirs * 1000, ..packet(State::Up) }).wait(1).forget();
        assert_eq!(bench.session.transmit_interval(), Some(Duration::from_micros(negotiated)));
        bench.wait_hearing(20_000, Packet { required_min_rx: theirs * 1000, ..packet(State::Up) });
        let gaps = bench.gaps();
        let least = u128::from(negotiated) * 75 / 100;
        let most = u128::from(negotiated) * if mult == 1 { 90 } else { 100 } / 100;
        assert!(gaps.len() > 90, "{}", gaps.len());
        assert!(gaps.iter().all(|gap| (least..=most).contains(gap)), "{mult} {theirs}: {gaps:?}");
        let (shortest, longest) = (gaps.iter().min().unwrap(), gaps.iter().max().unwrap());
        assert!(longest - shortest > (most - least) * 8 / 10, "not spread: {shortest} to {longest}");
    }
}

//= https://www.rfc-editor.org/rfc/rfc5880#section-6.8.7
//= type=test
//# A system MUST NOT transmit BFD Control packets if bfd.RemoteDiscr is
//# zero and the system is taking the Passive role.
#[test]
fn in_the_passive_role_the_peer_speaks_first_and_again_after_it_was_lost() {
    let mut bench = Bench::new(Config { role: Role::Passive, ..config() });
    bench.wait(10_000);
    assert!(bench.sent.is_empty());
    bench.hear(first());
    assert_eq!((bench.last().state, bench.sent.len()), (State::Init, 1));
    bench.forget();
    // The peer's Detection Time of 3 s, at which ours changes to Down, and nobody is there to be told.
    bench.wait(2999);
    let while_heard = bench.sent.len();
    bench.wait(10_000);
    assert_eq!((while_heard, bench.sent.len(), bench.session.state()), (3, 3, State::Down));
}

//= https://www.rfc-editor.org/rfc/rfc5880#section-6.8.7
//= type=test
//# A system MUST NOT periodically transmit BFD Control packets if
//# bfd.RemoteMinRxInterval is zero.
#[test]
fn a_peer_that_wants_no_packets_gets_none() {
    let mut bench = Bench::up(config());
    let mute = Packet { required_min_rx: 0, ..packet(State::Up) };
    bench.hear(mute).wait_hearing(2000, mute);
    assert!(bench.sent.is_empty());
    // Its polls are answered all the same.
    bench.hear(Packet { poll: true, ..mute });
    assert!(bench.last().is_final);
    bench.forget();
    bench.wait_hearing(1000, packet(State::Up));
    assert!(bench.sent.len() > 15);
}

//= https://www.rfc-editor.org/rfc/rfc5880#section-6.8.6
//= type=test
//# If bfd.RemoteDemandMode is 1, bfd.SessionState is Up, and
//# bfd.RemoteSessionState is Up, Demand mode is active on the remote
//# system and the local system MUST cease the periodic transmission
//# of BFD Control packets (see section 6.8.7).
//= https://www.rfc-editor.org/rfc/rfc5880#section-6.8.7
//= type=test
//# A system MUST NOT periodically transmit BFD Control packets if Demand
//# mode is active on the remote system
#[test]
fn a_peer_in_demand_mode_gets_packets_only_to_poll_or_be_answered() {
    let mut bench = Bench::up(config());
    let demand = Packet { demand: true, ..packet(State::Up) };
    bench.hear(demand).wait_hearing(2000, demand);
    assert!(bench.sent.is_empty());
    bench.hear(Packet { poll: true, ..demand });
    assert!(bench.last().is_final && !bench.last().poll);
    bench.forget();
    bench.wait_hearing(1000, packet(State::Up));
    assert!(bench.sent.len() > 15, "it left Demand mode");
    // Demand mode counts only while both are Up.
    let mut bench = in_state(State::Init);
    bench.wait_hearing(5000, Packet { demand: true, ..packet(State::Down) });
    assert!(bench.sent.len() >= 4);
}

//= https://www.rfc-editor.org/rfc/rfc5880#section-6.6
//= type=test
//# If Demand mode is active on either or both systems, a Poll Sequence
//# MUST be initiated whenever the contents of the next BFD Control
//# packet to be sent would be different than the contents of the
//# previous packet, with the exception of the Poll (P) and Final (F)
//# bits.
#[test]
fn a_peer_in_demand_mode_is_polled_when_we_have_something_new_to_say() {
    let mut bench = Bench::up(config());
    let demand = Packet { demand: true, ..packet(State::Up) };
    bench.hear(demand).wait_hearing(200, demand);
    bench.tell(Input::Configure(Config { detect_mult: NonZeroU8::new(5).unwrap(), ..config() }));
    bench.wait_hearing(400, demand);
    assert!(bench.sent.len() >= 5, "until it is answered");
    assert!(bench.sent.iter().all(|(_, packet)| packet.poll && packet.detect_mult.get() == 5));
    bench.hear(Packet { is_final: true, ..demand }).forget();
    bench.wait_hearing(1000, demand);
    assert!(bench.sent.is_empty());
}
