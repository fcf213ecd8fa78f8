//! What holds for every sequence of packets, commands and waits; each promise is also shown to catch a session that breaks it.

use proptest::prelude::*;
use proptest::test_runner::{TestCaseError, TestRunner};

use super::tests::{OURS, config};
use super::*;
use crate::Interval;
use crate::packet::Packet;
use crate::packet::tests::number;

const SECOND: u64 = 1_000_000;

#[derive(Debug, Clone)]
enum Step {
    /// The peer says so, knowing us or not.
    Hear {
        state: State,
        knows_us: bool,
        poll: bool,
        is_final: bool,
        demand: bool,
        tx_ms: u32,
        rx_ms: u32,
        mult: u8,
    },
    /// New intervals and multiplier.
    Configure {
        tx_ms: u32,
        rx_ms: u32,
        mult: u8,
    },
    Disable,
    Enable,
    Wait(u64),
    /// The peer goes on sending what it last sent, each so many milliseconds.
    Goes {
        on_for: u64,
        each: u64,
    },
}

fn any_steps() -> impl Strategy<Value = Vec<Step>> {
    let intervals = || prop_oneof![Just(10_u32), Just(50), Just(200), Just(1000), Just(3000)];
    let hear = (0..4_u8, any::<[bool; 4]>(), intervals(), prop_oneof![5 => intervals(), 1 => Just(0)], 1..5_u8)
        .prop_map(|(state, [knows_us, poll, is_final, demand], tx_ms, rx_ms, mult)| Step::Hear {
            state: State::from_bits(state),
            knows_us,
            poll,
            is_final,
            demand,
            tx_ms,
            rx_ms,
            mult,
        });
    // What leads up, so that most sequences are about a session that is.
    let shake = |state| Step::Hear {
        state,
        knows_us: true,
        poll: false,
        is_final: false,
        demand: false,
        tx_ms: 50,
        rx_ms: 50,
        mult: 3,
    };
    let step = prop_oneof![
        6 => hear,
        3 => Just(shake(State::Init)),
        3 => Just(shake(State::Up)),
        3 => (intervals(), intervals(), 1..5_u8).prop_map(|(tx_ms, rx_ms, mult)| Step::Configure { tx_ms, rx_ms, mult }),
        1 => Just(Step::Disable),
        1 => Just(Step::Enable),
        3 => (0..4000_u64).prop_map(Step::Wait),
        4 => (0..2000_u64, 5..100_u64).prop_map(|(on_for, each)| Step::Goes { on_for, each }),
    ];
    proptest::collection::vec(step, 0..40)
}

/// A session with one fault.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Fault {
    None,
    SendsTooEarly,
    SendsTooLate,
    UsesALongerIntervalAtOnce,
    UsesAShorterDetectionAtOnce,
    HearsNothingEnd,
    GivesUpTooEarly,
    StaysFast,
    IgnoresDemand,
    ForgetsToAnswer,
}

/// What was told and heard, kept apart from the session, and what follows from it by RFC 5880 §6.8.
struct Model {
    tx: u64,
    rx: u64,
    configured: (u64, u64),
    state: State,
    peer: Option<Packet>,
    heard: Timestamp,
    /// The last packet other than an answer, and what it said.
    last: Option<(Timestamp, State, Diagnostic)>,
    /// The shortest interval that held since then.
    least: u64,
    /// Since when packets have had to come at the interval that holds now.
    steady_since: Option<Timestamp>,
}

impl Model {
    fn interval(&self) -> u64 {
        self.tx.max(self.peer.map_or(1, |peer| peer.required_min_rx.into()))
    }

    fn detection(&self) -> Option<Duration> {
        let peer = self.peer?;
        Some(Duration::from_micros(u64::from(peer.detect_mult.get()) * self.rx.max(peer.desired_min_tx.into())))
    }

    /// Are packets due periodically, whatever else?
    fn must_send(&self) -> bool {
        let quiet = self.peer.is_some_and(|peer| {
            peer.required_min_rx == 0 || (peer.demand && self.state == State::Up && peer.state == State::Up)
        });
        !quiet
    }

    fn settle(&mut self) {
        if self.state == State::Up {
            self.tx = self.tx.min(self.configured.0);
            self.rx = self.rx.max(self.configured.1);
        } else {
            (self.tx, self.rx) = (self.configured.0.max(SECOND), self.configured.1);
        }
    }
}

struct Subject {
    session: Session,
    model: Model,
    now: Timestamp,
    fault: Fault,
}

impl Subject {
    fn new(fault: Fault) -> Self {
        let now = Timestamp::from_millis(1000);
        let config = config();
        let model = Model {
            tx: SECOND,
            rx: config.required_min_rx.as_micros().into(),
            configured: (config.desired_min_tx.as_micros().into(), config.required_min_rx.as_micros().into()),
            state: State::Down,
            peer: None,
            heard: now,
            last: None,
            least: SECOND,
            steady_since: None,
        };
        Self { session: Session::new(now, number(OURS), config, 1), model, now, fault }
    }

    /// Breaks the session in the way that is to be noticed.
    fn spoil(&mut self) {
        let session = &mut self.session;
        let shift = |due: &mut Option<(Timestamp, u64)>, last: Option<Timestamp>, percent: u64| {
            if let (Some((at, interval)), Some(last)) = (due, last) {
                *at = last + Duration::from_micros(*interval * percent / 100);
            }
        };
        match self.fault {
            Fault::None | Fault::ForgetsToAnswer => {}
            Fault::SendsTooEarly => shift(&mut session.periodic.next, session.periodic.last, 60),
            Fault::SendsTooLate => shift(&mut session.periodic.next, session.periodic.last, 130),
            Fault::UsesALongerIntervalAtOnce => session.in_force.tx = session.told.tx,
            Fault::UsesAShorterDetectionAtOnce => {
                session.in_force.rx = session.told.rx;
                session.renew_detection();
            }
            Fault::HearsNothingEnd => session.silent_at = None,
            Fault::GivesUpTooEarly => {
                let heard = session.heard_at;
                session.silent_at = session.silent_at.map(|at| heard + at.since(heard) / 2);
            }
            Fault::StaysFast => session.told.tx = session.config.desired_min_tx.as_micros(),
            Fault::IgnoresDemand => session.remote.demand = false,
        }
    }

    fn tell(&mut self, input: Input<'_>) -> Result<(), TestCaseError> {
        self.session.handle_input(self.now, input);
        self.spoil();
        self.follow()?;
        self.wait(0)
    }

    fn hear(&mut self, packet: Packet) -> Result<(), TestCaseError> {
        let sent = Packet { poll: packet.poll && self.fault != Fault::ForgetsToAnswer, ..packet };
        let takes = packet.your_discriminator.is_some() || matches!(packet.state, State::Down | State::AdminDown);
        if takes {
            self.model.peer = Some(packet);
            self.model.heard = self.now;
            self.model.least = self.model.least.min(self.model.interval());
        }
        self.session.handle_input(self.now, Input::Datagram { payload: sent.encode().as_ref(), ttl: 255 });
        self.spoil();
        let is_answer_due = takes && packet.poll && self.session.state != State::AdminDown;
        let answers = self.session.outputs.iter().filter(|output| match output {
            Output::Send(bytes) => Packet::decode(bytes.as_ref()).is_ok_and(|packet| packet.is_final),
            _ => false,
        });
        prop_assert_eq!(answers.count(), usize::from(is_answer_due), "answers to a poll");
        self.follow()?;
        self.wait(0)
    }

    fn wait(&mut self, millis: u64) -> Result<(), TestCaseError> {
        let until = self.now + Duration::from_millis(millis);
        let mut turns = 0;
        while let Some(at) = self.session.poll_timeout().filter(|at| *at <= until) {
            self.now = self.now.max(at);
            self.session.handle_timeout(self.now);
            self.spoil();
            self.check()?;
            turns += 1;
            prop_assert!(turns < 2_000, "asks to be woken without end");
        }
        self.now = until;
        self.session.handle_timeout(self.now);
        self.spoil();
        self.check()
    }

    /// Takes the outputs and follows them in the model.
    fn follow(&mut self) -> Result<bool, TestCaseError> {
        let is_lost = self.model.peer.is_some() && self.session.remote.discriminator.is_none();
        if is_lost {
            let (silent, detection) = (self.now.since(self.model.heard), self.model.detection());
            prop_assert!(detection.is_some_and(|least| silent >= least), "given up after {silent:?} of {detection:?}");
            self.model.peer = None;
            self.model.least = self.model.least.min(self.model.interval());
        }
        let is_steady_before = self.model.must_send();
        while let Some(output) = self.session.poll_output() {
            match output {
                Output::Changed { from, to, cause } => {
                    prop_assert_eq!(from, self.model.state);
                    self.model.state = to;
                    self.model.settle();
                    prop_assert!(cause != Cause::DetectionTimeExpired || is_lost, "it was heard");
                }
                Output::PollEnded => {
                    (self.model.tx, self.model.rx) = {
                        let (tx, rx) = self.model.configured;
                        (if self.model.state == State::Up { tx } else { tx.max(SECOND) }, rx)
                    }
                }
                Output::Dropped(_) => {}
                Output::Send(bytes) => {
                    let packet =
                        Packet::decode(bytes.as_ref()).map_err(|why| TestCaseError::fail(format!("{why:?}")))?;
                    self.check_sent(&packet)?;
                }
            }
        }
        self.model.settle();
        Ok(is_steady_before)
    }

    /// Follows, and holds the session against the model.
    fn check(&mut self) -> Result<(), TestCaseError> {
        let is_steady_before = self.follow()?;
        prop_assert_eq!(self.model.state, self.session.state());
        prop_assert!(self.session.poll_timeout().is_none_or(|at| at > self.now), "due and not done");
        let interval = self.model.interval();
        self.model.least = self.model.least.min(interval);
        if self.model.must_send() && is_steady_before {
            let since = self.model.steady_since.get_or_insert(self.now);
            let last = self.model.last.map_or(*since, |(at, ..)| at.max(*since));
            let gap = self.now.since(last);
            prop_assert!(gap <= Duration::from_micros(interval), "{gap:?} without a packet, at {interval}");
        } else {
            self.model.steady_since = None;
        }
        if matches!(self.model.state, State::Init | State::Up) {
            let silent = self.now.since(self.model.heard);
            let detection = self.model.detection();
            prop_assert!(detection.is_some_and(|most| silent < most), "{silent:?} {detection:?}");
        }
        Ok(())
    }

    fn check_sent(&mut self, packet: &Packet) -> Result<(), TestCaseError> {
        prop_assert!(!(packet.poll && packet.is_final));
        prop_assert!(!packet.demand && packet.required_min_echo_rx == 0);
        prop_assert_eq!(packet.my_discriminator, number(OURS));
        let slow = u64::from(packet.desired_min_tx) >= SECOND;
        prop_assert!(packet.state == State::Up || slow, "{} and fast", packet.state);
        if packet.is_final {
            return Ok(());
        }
        if let Some((last, state, diagnostic)) = self.model.last
            && (state, diagnostic) == (packet.state, packet.diagnostic)
        {
            let gap = self.now.since(last);
            let least = Duration::from_micros(self.model.least) * 3 / 4;
            prop_assert!(gap >= least, "{gap:?} between packets, not {least:?}");
            let quiet = !self.model.must_send() && !packet.poll;
            prop_assert!(!quiet, "nobody wants it");
        }
        self.model.last = Some((self.now, packet.state, packet.diagnostic));
        self.model.least = self.model.interval();
        Ok(())
    }
}

fn check(fault: Fault, steps: &[Step]) -> Result<(), TestCaseError> {
    let mut subject = Subject::new(fault);
    subject.check()?;
    let mult = |of: u8| NonZeroU8::new(of).unwrap_or(NonZeroU8::MIN);
    let mut last = None;
    for step in steps {
        match step.clone() {
            Step::Hear { state, knows_us, poll, is_final, demand, tx_ms, rx_ms, mult: theirs } => {
                let packet = Packet {
                    diagnostic: Diagnostic::NONE,
                    state,
                    poll,
                    is_final,
                    control_plane_independent: false,
                    demand,
                    detect_mult: mult(theirs),
                    my_discriminator: number(9),
                    your_discriminator: knows_us.then(|| number(OURS)),
                    desired_min_tx: tx_ms * 1000,
                    required_min_rx: rx_ms * 1000,
                    required_min_echo_rx: 0,
                    section: None,
                };
                last = Some(Packet { poll: false, is_final: false, ..packet });
                subject.hear(packet)?;
            }
            Step::Configure { tx_ms, rx_ms, mult: ours } => {
                let interval = |millis| Interval::from_millis(millis).unwrap_or(SLOW);
                subject.model.configured = (u64::from(tx_ms) * 1000, u64::from(rx_ms) * 1000);
                subject.model.settle();
                subject.model.least = subject.model.least.min(subject.model.interval());
                let changed = Config {
                    desired_min_tx: interval(tx_ms),
                    required_min_rx: interval(rx_ms),
                    detect_mult: mult(ours),
                    ..config()
                };
                subject.tell(Input::Configure(changed))?;
            }
            Step::Disable => subject.tell(Input::Disable(Disable::Administratively))?,
            Step::Enable => subject.tell(Input::Enable)?,
            Step::Wait(millis) => subject.wait(millis)?,
            Step::Goes { on_for, each } => {
                let Some(packet) = last else { continue };
                for _ in 0..on_for / each {
                    subject.wait(each)?;
                    subject.hear(packet)?;
                }
            }
        }
    }
    Ok(())
}

proptest! {
    #[test]
    fn keeps_to_the_times_that_both_sides_agreed_on(steps in any_steps()) {
        check(Fault::None, &steps)?;
    }
}

#[test]
fn a_broken_session_is_caught() {
    for fault in [
        Fault::SendsTooEarly,
        Fault::SendsTooLate,
        Fault::UsesALongerIntervalAtOnce,
        Fault::UsesAShorterDetectionAtOnce,
        Fault::HearsNothingEnd,
        Fault::GivesUpTooEarly,
        Fault::StaysFast,
        Fault::IgnoresDemand,
        Fault::ForgetsToAnswer,
    ] {
        let outcome = TestRunner::deterministic().run(&any_steps(), |steps| check(fault, &steps));
        assert!(outcome.is_err(), "{fault:?} went unnoticed");
    }
}
