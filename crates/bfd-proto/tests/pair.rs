//! Two ends on one virtual clock, with a line between them that loses and delays packets.

use std::collections::BTreeMap;
use std::num::NonZeroU8;
use std::time::Duration;

use ironlb_bfd_proto::authentication::{Authentication, Key};
use ironlb_bfd_proto::packet::Packet;
use ironlb_bfd_proto::{
    Cause, Config, Disable, Discriminator, DropReason, Input, Interval, Output, Role, Session, State,
};
use ironlb_model::Timestamp;
use proptest::prelude::*;

const MILLISECOND: Duration = Duration::from_millis(1);

/// What an end did, and when.
#[derive(Debug, Clone, Copy, PartialEq)]
struct Change {
    at: Timestamp,
    end: usize,
    to: State,
    cause: Cause,
}

/// Both ends and the line.
struct Pair {
    ends: [Session; 2],
    now: Timestamp,
    /// Packets on their way: when and in which order they arrive, at which end.
    line: BTreeMap<(Timestamp, u64), (usize, Vec<u8>)>,
    count: u64,
    delay: Duration,
    /// Whether the packet with this number is lost, to this end.
    loses: Box<dyn FnMut(u64, usize) -> bool>,
    changes: Vec<Change>,
    sent: Vec<(Timestamp, usize, Packet)>,
}

impl Pair {
    fn new(configs: [Config; 2], seed: u64, loses: impl FnMut(u64, usize) -> bool + 'static) -> Self {
        let now = Timestamp::from_millis(1000);
        let [first, second] = configs;
        let number = |of| Discriminator::new(of).unwrap();
        let ends = [Session::new(now, number(10), first, seed), Session::new(now, number(20), second, seed ^ 0xabcd)];
        let mut pair = Self {
            ends,
            now,
            line: BTreeMap::new(),
            count: 0,
            delay: MILLISECOND,
            loses: Box::new(loses),
            changes: Vec::new(),
            sent: Vec::new(),
        };
        pair.drain();
        pair
    }

    fn drain(&mut self) {
        for end in 0..2 {
            while let Some(output) = self.ends[end].poll_output() {
                match output {
                    Output::Send(bytes) => {
                        self.count += 1;
                        self.sent.push((self.now, end, Packet::decode(bytes.as_ref()).unwrap()));
                        if !(self.loses)(self.count, 1 - end) {
                            let arrival = (self.now + self.delay, self.count);
                            self.line.insert(arrival, (1 - end, bytes.as_ref().to_vec()));
                        }
                    }
                    Output::Changed { to, cause, .. } => {
                        self.changes.push(Change { at: self.now, end, to, cause });
                    }
                    Output::PollEnded => {}
                    // What an end that is held down, or was born after its peer, is told by one that does not know.
                    Output::Dropped(reason) => {
                        assert!(
                            matches!(reason, DropReason::AdminDown | DropReason::UnknownDiscriminator),
                            "{reason:?}"
                        );
                    }
                }
            }
        }
    }

    fn tell(&mut self, end: usize, input: Input<'_>) {
        self.ends[end].handle_input(self.now, input);
        self.drain();
    }

    fn run(&mut self, length: Duration) {
        let until = self.now + length;
        loop {
            let arrival = self.line.first_key_value().map(|((at, _), _)| *at);
            let due = self.ends.iter().filter_map(Session::poll_timeout).min();
            let Some(next) = arrival.into_iter().chain(due).min().filter(|at| *at <= until) else { break };
            self.now = self.now.max(next);
            // What has arrived goes in before anybody is found silent.
            while let Some(entry) = self.line.first_entry().filter(|entry| entry.key().0 <= self.now) {
                let (end, payload) = entry.remove();
                self.ends[end].handle_input(self.now, Input::Datagram { payload: &payload, ttl: 255 });
                self.drain();
            }
            for end in 0..2 {
                if self.ends[end].poll_timeout().is_some_and(|at| at <= self.now) {
                    self.ends[end].handle_timeout(self.now);
                }
            }
            self.drain();
        }
        self.now = until;
    }

    fn states(&self) -> [State; 2] {
        [self.ends[0].state(), self.ends[1].state()]
    }

    /// Runs until both are Up.
    fn bring_up(&mut self) {
        let begin = self.now;
        while self.states() != [State::Up; 2] {
            self.run(10 * MILLISECOND);
            assert!(self.now.since(begin) < Duration::from_secs(20), "not up: {:?} {:?}", self.states(), self.changes);
        }
    }

    fn downs(&self) -> Vec<Change> {
        self.changes.iter().copied().filter(|change| matches!(change.to, State::Down | State::AdminDown)).collect()
    }
}

fn config(tx: u32, rx: u32, mult: u8) -> Config {
    let interval = |millis| Interval::from_millis(millis).unwrap();
    let config = Config::single_hop(interval(tx), NonZeroU8::new(mult).unwrap());
    Config { required_min_rx: interval(rx), ..config }
}

fn any_config() -> impl Strategy<Value = Config> {
    let millis = || prop_oneof![Just(10_u32), Just(50), Just(100), Just(300), Just(1000), 10..2000_u32];
    (millis(), millis(), 1..6_u8).prop_map(|(tx, rx, mult)| config(tx, rx, mult))
}

/// An end that goes quiet: for so long after the other's last word of it the other takes it for there, and no longer.
fn check_silence(configs: [Config; 2], seed: u64, faulty: bool) -> Result<(), TestCaseError> {
    let cut = std::rc::Rc::new(std::cell::Cell::new(false));
    let line = cut.clone();
    let mut pair = Pair::new(configs, seed, move |_, to| line.get() && to == 0);
    pair.bring_up();
    pair.run(Duration::from_secs(20));
    prop_assert!(pair.downs().is_empty(), "flapped without loss: {:?}", pair.changes);
    let promised = pair.ends[0].detection_time().unwrap_or_default();
    let before = pair.changes.len();
    cut.set(true);
    let silent_from = pair.now;
    pair.run(if faulty { promised / 2 } else { promised } + 2 * MILLISECOND);
    let down = pair.changes.get(before..).unwrap_or_default().iter().find(|change| change.end == 0);
    let took = down.map(|change| change.at.since(silent_from));
    prop_assert!(took.is_some_and(|took| took <= promised + MILLISECOND), "{took:?} of {promised:?}");
    prop_assert_eq!(down.map(|change| change.cause), Some(Cause::DetectionTimeExpired));
    // At least all but one of the packets that may be missing have been missing.
    let mult = pair.ends[1].config().detect_mult.get();
    let least = promised * 3 / 4 * u32::from(mult - 1) / u32::from(mult);
    prop_assert!(
        took.is_some_and(|took| took + 2 * MILLISECOND >= least.saturating_sub(promised / 4)),
        "{took:?} {promised:?}"
    );
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn without_loss_nothing_flaps_and_silence_is_found_within_the_detection_time(
        first in any_config(), second in any_config(), seed in any::<u64>()
    ) {
        check_silence([first, second], seed, false)?;
    }

    #[test]
    fn both_ends_agree_on_the_intervals(first in any_config(), second in any_config(), seed in any::<u64>()) {
        let mut pair = Pair::new([first.clone(), second.clone()], seed, |_, _| false);
        pair.bring_up();
        pair.run(Duration::from_secs(20));
        let negotiated = |from: &Config, to: &Config| from.desired_min_tx.max(to.required_min_rx).as_duration();
        for (end, from, to) in [(0, &first, &second), (1, &second, &first)] {
            prop_assert_eq!(pair.ends[end].transmit_interval(), Some(negotiated(from, to)));
            prop_assert_eq!(pair.ends[1 - end].detection_time(), Some(negotiated(from, to) * from.detect_mult.get().into()));
            prop_assert!(!pair.ends[end].is_polling());
        }
    }

    #[test]
    fn intervals_change_both_ways_without_a_flap(
        configs in proptest::collection::vec((any_config(), 0..2_usize, 0..3000_u64), 1..8), seed in any::<u64>()
    ) {
        let mut pair = Pair::new([config(50, 50, 3), config(50, 50, 3)], seed, |_, _| false);
        pair.bring_up();
        for (changed, end, wait) in &configs {
            pair.tell(*end, Input::Configure(changed.clone()));
            pair.run(Duration::from_millis(*wait));
        }
        pair.run(Duration::from_secs(30));
        prop_assert!(pair.downs().is_empty(), "{:?}", pair.changes);
        for end in 0..2 {
            let wanted = pair.ends[end].config().desired_min_tx.max(pair.ends[1 - end].config().required_min_rx);
            prop_assert_eq!(pair.ends[end].transmit_interval(), Some(wanted.as_duration()));
            prop_assert!(!pair.ends[end].is_polling());
        }
    }

    #[test]
    fn a_lossy_line_comes_up_and_every_loss_is_found_by_silence_or_by_word(
        percent in 0..60_u64, seed in any::<u64>()
    ) {
        let mut state = seed | 1;
        let loses = move |_: u64, _: usize| {
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            state % 100 < percent
        };
        let mut pair = Pair::new([config(50, 50, 3), config(100, 20, 4)], seed, loses);
        pair.run(Duration::from_secs(60));
        let was_up = |end| pair.changes.iter().any(|change| change.end == end && change.to == State::Up);
        prop_assert!(percent > 40 || (was_up(0) && was_up(1)), "{:?}", pair.states());
        for down in pair.downs() {
            prop_assert!(matches!(down.cause, Cause::DetectionTimeExpired | Cause::NeighborDown));
        }
    }
}

#[test]
fn a_promise_of_half_the_detection_time_is_not_kept() {
    assert!(check_silence([config(50, 50, 3), config(50, 50, 3)], 5, true).is_err());
}

#[test]
fn losing_fewer_packets_than_the_multiplier_never_brings_it_down() {
    // Two of three, over and over: with packets at 75 to 100 % of 50 ms, three gaps fit into 150 ms.
    let mut pair = Pair::new([config(50, 50, 3), config(50, 50, 3)], 9, |_, _| false);
    pair.bring_up();
    pair.run(Duration::from_secs(1));
    let mut towards = [0_u64; 2];
    pair.loses = Box::new(move |_, to| {
        towards[to] += 1;
        towards[to] % 3 != 0
    });
    pair.run(Duration::from_secs(60));
    assert!(pair.downs().is_empty(), "{:?}", pair.changes);
}

#[test]
fn it_is_up_within_three_slow_packets_and_is_fast_at_once() {
    for seed in 0..50 {
        let mut pair = Pair::new([config(50, 50, 3), config(50, 50, 3)], seed, |_, _| false);
        pair.bring_up();
        assert!(pair.now.since(Timestamp::from_millis(1000)) <= 20 * MILLISECOND, "both speak at once, so at once");
        let second = pair.now + Duration::from_secs(1);
        pair.run(Duration::from_secs(1));
        let recent =
            pair.sent.iter().filter(|(at, end, packet)| *end == 0 && *at <= second && !packet.is_final).count();
        assert!(recent >= 19, "{recent}");
    }
}

#[test]
fn admin_down_is_told_and_taken_for_what_it_is() {
    let mut pair = Pair::new([config(50, 50, 3), config(50, 50, 3)], 1, |_, _| false);
    pair.bring_up();
    pair.run(Duration::from_secs(1));
    pair.tell(0, Input::Disable(Disable::Administratively));
    pair.run(Duration::from_secs(10));
    assert_eq!(pair.states(), [State::AdminDown, State::Down]);
    let causes: Vec<Cause> = pair.downs().iter().map(|change| change.cause).collect();
    assert_eq!(causes, [Cause::Disabled(Disable::Administratively), Cause::NeighborAdminDown]);
    pair.tell(0, Input::Enable);
    pair.bring_up();
}

#[test]
fn a_passive_end_is_brought_up_by_an_active_one_and_two_passive_ones_say_nothing() {
    let passive = || Config { role: Role::Passive, ..config(50, 50, 3) };
    let mut pair = Pair::new([config(50, 50, 3), passive()], 1, |_, _| false);
    pair.bring_up();
    let mut pair = Pair::new([passive(), passive()], 1, |_, _| false);
    pair.run(Duration::from_secs(60));
    assert!(pair.sent.is_empty());
}

#[test]
fn signed_sessions_come_up_stay_up_and_change_their_key_with_a_flap_at_most() {
    for meticulous in [false, true] {
        let signed = |secret: &[u8]| {
            let authentication = Authentication { key: Key::new(3, secret).unwrap(), meticulous };
            Config { authentication: Some(authentication), ..config(50, 50, 3) }
        };
        let mut pair = Pair::new([signed(b"one"), signed(b"one")], 4, |number, _| number % 4 == 0);
        pair.bring_up();
        pair.run(Duration::from_secs(60));
        assert!(pair.downs().is_empty(), "every fourth packet lost: {:?}", pair.changes);
        assert!(pair.sent.iter().all(|(_, _, packet)| packet.section.is_some()));
    }
}

#[test]
fn an_end_that_starts_anew_is_back_within_two_seconds() {
    for seed in 0..50 {
        let mut pair = Pair::new([config(50, 50, 3), config(50, 50, 3)], seed, |_, _| false);
        pair.bring_up();
        pair.run(Duration::from_secs(5));
        let now = pair.now;
        pair.ends[1] = Session::new(now, Discriminator::new(77).unwrap(), config(50, 50, 3), seed);
        pair.drain();
        pair.run(Duration::from_secs(2));
        assert_eq!(pair.states(), [State::Up; 2], "seed {seed}: {:?}", pair.changes);
        assert_eq!(pair.ends[0].remote().discriminator, Discriminator::new(77));
    }
}
