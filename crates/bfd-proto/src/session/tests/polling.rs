//! Poll Sequences: a question is answered at once, and what changes is agreed by one.

use super::*;

//= https://www.rfc-editor.org/rfc/rfc5880#section-6.8.7
//= type=test
//# A system MUST NOT set the Demand (D) bit unless bfd.DemandMode is 1,
//= https://www.rfc-editor.org/rfc/rfc5880#section-6.5
//= type=test
//# A BFD Control packet MUST NOT have both the Poll (P) and Final (F)
//# bits set.
#[test]
fn a_poll_is_answered_in_every_state_but_admin_down_at_once_and_without_a_poll_of_our_own() {
    for (state, theirs) in [(State::Down, State::Up), (State::Init, State::Down), (State::Up, State::Up)] {
        let mut bench = in_state(state);
        bench.tell(Input::Configure(Config { desired_min_tx: Interval::from_millis(2000).unwrap(), ..config() }));
        assert!(bench.session.is_polling());
        bench.forget();
        bench.hear(Packet { poll: true, ..packet(theirs) });
        let answers: Vec<Packet> =
            bench.sent.iter().map(|(_, packet)| *packet).filter(|packet| packet.is_final).collect();
        assert_eq!(answers.len(), 1, "{state}");
        assert!(bench.sent.iter().all(|(at, packet)| *at == bench.now && !(packet.poll && packet.is_final)));
        assert!(answers.iter().all(|packet| packet.required_min_echo_rx == 0 && !packet.demand));
    }
}

//= https://www.rfc-editor.org/rfc/rfc5880#section-6.8.7
//= type=test
//# If a BFD Control packet is received with the Poll (P) bit set to 1,
//# the receiving system MUST transmit a BFD Control packet with the Poll
//# (P) bit clear and the Final (F) bit set as soon as practicable,
//# without respect to the transmission timer
#[test]
fn an_answer_neither_waits_for_the_timer_nor_moves_it() {
    let mut bench = Bench::up(config());
    bench.wait(1);
    let due = bench.session.periodic.due();
    assert!(due.is_some_and(|at| at > bench.now));
    bench.hear(Packet { poll: true, ..packet(State::Up) });
    assert_eq!((bench.sent.len(), bench.last().is_final), (1, true));
    assert_eq!(bench.session.periodic.due(), due);
}

//= https://www.rfc-editor.org/rfc/rfc5880#section-6.8.3
//= type=test
//# If either bfd.DesiredMinTxInterval is changed or
//# bfd.RequiredMinRxInterval is changed, a Poll Sequence MUST be
//# initiated (see section 6.5).
//= https://www.rfc-editor.org/rfc/rfc5880#section-6.5
//= type=test
//# the Poll Sequence MUST be performed by
//# setting the Poll (P) bit on those scheduled periodic transmissions;
//# additional packets MUST NOT be sent.
//= https://www.rfc-editor.org/rfc/rfc5880#section-6.8.6
//= type=test
//# If a Poll Sequence is being transmitted by the local system and
//# the Final (F) bit in the received packet is set, the Poll Sequence
//# MUST be terminated.
#[test]
fn a_change_is_polled_for_on_the_packets_that_are_sent_anyway_until_it_is_answered() {
    let mut bench = Bench::up(config());
    let changed = Config { required_min_rx: Interval::from_millis(100).unwrap(), ..config() };
    bench.tell(Input::Configure(changed.clone()));
    assert!(bench.sent.is_empty(), "not at once");
    bench.wait_hearing(400, packet(State::Up));
    assert!(bench.sent.len() >= 8 && bench.sent.iter().all(|(_, packet)| packet.poll));
    assert!(bench.gaps().iter().all(|gap| (37_500..=50_000).contains(gap)), "{:?}", bench.gaps());
    assert!(bench.sent.iter().all(|(_, packet)| packet.required_min_rx == 100_000));
    bench.hear(Packet { is_final: true, ..packet(State::Up) });
    assert_eq!((bench.polls_ended, bench.session.is_polling()), (1, false));
    bench.forget();
    bench.wait_hearing(400, packet(State::Up));
    assert!(bench.sent.iter().all(|(_, packet)| !packet.poll));
    // What it is already is no change.
    bench.tell(Input::Configure(changed));
    assert!(!bench.session.is_polling());
}

#[test]
fn an_answer_that_nobody_asked_for_ends_nothing() {
    let mut bench = Bench::up(config());
    bench.tell(Input::Configure(Config { required_min_rx: Interval::from_millis(100).unwrap(), ..config() }));
    // No packet with P has been sent yet.
    bench.hear(Packet { is_final: true, ..packet(State::Up) });
    assert_eq!((bench.polls_ended, bench.session.is_polling()), (0, true));
}

//= https://www.rfc-editor.org/rfc/rfc5880#section-6.8.3
//= type=test
//# If bfd.DesiredMinTxInterval is increased and bfd.SessionState is Up,
//# the actual transmission interval used MUST NOT change until the Poll
//# Sequence described above has terminated.
#[test]
fn a_longer_interval_is_used_only_after_the_peer_knows_of_it() {
    let mut bench = Bench::up(config());
    bench.tell(Input::Configure(Config { desired_min_tx: Interval::from_millis(500).unwrap(), ..config() }));
    bench.wait_hearing(400, packet(State::Up));
    assert_eq!(bench.last().desired_min_tx, 500_000, "told");
    assert!(bench.gaps().iter().all(|gap| *gap <= 50_000), "not used");
    bench.hear(Packet { is_final: true, ..packet(State::Up) }).forget();
    bench.wait_hearing(4000, packet(State::Up));
    assert!(bench.gaps().iter().all(|gap| (375_000..=500_000).contains(gap)), "{:?}", bench.gaps());
}

//= https://www.rfc-editor.org/rfc/rfc5880#section-6.8.3
//= type=test
//# If bfd.RequiredMinRxInterval is reduced and bfd.SessionState is Up,
//# the previous value of bfd.RequiredMinRxInterval MUST be used when
//# calculating the Detection Time for the remote system until the Poll
//# Sequence described above has terminated.
#[test]
fn a_shorter_detection_is_used_only_after_the_peer_knows_of_it() {
    let mut bench = Bench::up(config());
    let fast = Packet { desired_min_tx: 10_000, ..packet(State::Up) };
    bench.hear(fast);
    assert_eq!(bench.session.detection_time(), Some(Duration::from_millis(150)));
    bench.tell(Input::Configure(Config { required_min_rx: Interval::from_millis(10).unwrap(), ..config() }));
    bench.wait_hearing(200, fast);
    assert_eq!(bench.session.detection_time(), Some(Duration::from_millis(150)));
    bench.hear(Packet { is_final: true, ..fast });
    assert_eq!(bench.session.detection_time(), Some(Duration::from_millis(30)));
}

//= https://www.rfc-editor.org/rfc/rfc5880#section-6.8.3
//= type=test
//# In any case other than those explicitly called out above, timing
//# parameter changes MUST be effected immediately (changing the
//# transmission rate and/or the Detection Time).
//= https://www.rfc-editor.org/rfc/rfc5880#section-6.8.7
//= type=test
//# The transmit interval MUST be recalculated whenever
//# bfd.DesiredMinTxInterval changes, or whenever bfd.RemoteMinRxInterval
//# changes, and is equal to the greater of those two values.
#[test]
fn every_other_change_counts_at_once() {
    // Ours to send faster.
    let slow = Config { desired_min_tx: Interval::from_millis(500).unwrap(), ..config() };
    let mut bench = Bench::up(slow);
    bench.wait_hearing(1000, packet(State::Up)).tell(Input::Configure(config())).forget();
    bench.wait_hearing(400, packet(State::Up));
    assert!(bench.sent.len() >= 8, "{:?}", bench.gaps());
    // Ours to be heard more slowly.
    bench.tell(Input::Configure(Config { required_min_rx: Interval::from_millis(400).unwrap(), ..config() }));
    assert_eq!(bench.session.detection_time(), Some(Duration::from_millis(1200)));
    // The peer's, both ways; reckoned from the last packet.
    let mut bench = Bench::up(config());
    bench.hear(Packet { required_min_rx: 1_000_000, ..packet(State::Up) });
    bench.wait_hearing(140, Packet { required_min_rx: 1_000_000, ..packet(State::Up) });
    assert!(bench.sent.len() <= 1);
    bench.forget();
    bench.hear(packet(State::Up)).wait(0);
    assert_eq!(bench.sent.len(), 1, "long due by the shorter interval");
    // Not Up, so nothing waits for a poll.
    let mut bench = in_state(State::Init);
    bench.tell(Input::Configure(Config { desired_min_tx: Interval::from_millis(2000).unwrap(), ..config() })).forget();
    bench.wait_hearing(8000, packet(State::Down));
    assert!(bench.gaps().iter().all(|gap| *gap >= 1_500_000), "{:?}", bench.gaps());
}

//= https://www.rfc-editor.org/rfc/rfc5880#section-6.8.3
//= type=test
//# an additional BFD Control packet with the Final (F) bit *clear* MUST
//# be received after the Poll Sequence has completed prior to the
//# initiation of another Poll Sequence
#[test]
fn a_change_during_a_poll_sequence_gets_one_of_its_own() {
    let longer = |millis| Config { desired_min_tx: Interval::from_millis(millis).unwrap(), ..config() };
    let answer = Packet { is_final: true, ..packet(State::Up) };
    let mut bench = Bench::up(config());
    bench.tell(Input::Configure(longer(100))).tell(Input::Configure(longer(200)));
    bench.wait_hearing(60, packet(State::Up));
    bench.hear(answer);
    assert_eq!(bench.polls_ended, 1, "changes before the first packet share one");
    bench.hear(packet(State::Up));

    bench.tell(Input::Configure(longer(300))).wait_hearing(220, packet(State::Up));
    bench.tell(Input::Configure(longer(400)));
    bench.forget();
    bench.hear(answer);
    assert_eq!((bench.polls_ended, bench.session.is_polling()), (0, false), "an answer to 300 or to 400?");
    bench.hear(answer);
    assert!(!bench.session.is_polling());
    assert_eq!(bench.session.transmit_interval(), Some(Duration::from_millis(200)));
    bench.hear(packet(State::Up));
    assert!(bench.session.is_polling());
    bench.wait_hearing(400, packet(State::Up)).hear(answer);
    assert_eq!(bench.polls_ended, 1);
    assert_eq!(bench.session.transmit_interval(), Some(Duration::from_millis(400)));
}
