//! What holds for every sequence of gains, losses and waits; each property is also shown to catch a broken schedule.

use std::collections::BTreeSet;

use proptest::prelude::*;
use proptest::test_runner::{TestCaseError, TestRunner};

use super::tests::vip;
use super::*;

#[derive(Debug, Clone)]
enum Step {
    Gain(u32),
    Lose(u32),
    Wait(u64),
}

fn any_steps() -> impl Strategy<Value = Vec<Step>> {
    let step = prop_oneof![
        3 => (0..40_u32).prop_map(Step::Gain),
        1 => (0..40_u32).prop_map(Step::Lose),
        3 => (0..1_500_u64).prop_map(Step::Wait),
    ];
    proptest::collection::vec(step, 0..80)
}

/// What the properties need of a schedule, so that a broken one can stand in.
trait Announcer {
    fn gain(&mut self, now: Timestamp, vip: IpAddr);
    fn lose(&mut self, vip: IpAddr);
    fn take_due(&mut self, now: Timestamp) -> Option<IpAddr>;
    fn poll_timeout(&self) -> Option<Timestamp>;
}

impl Announcer for Schedule {
    fn gain(&mut self, now: Timestamp, vip: IpAddr) {
        Schedule::gain(self, now, vip);
    }
    fn lose(&mut self, vip: IpAddr) {
        Schedule::lose(self, vip);
    }
    fn take_due(&mut self, now: Timestamp) -> Option<IpAddr> {
        Schedule::take_due(self, now)
    }
    fn poll_timeout(&self) -> Option<Timestamp> {
        Schedule::poll_timeout(self)
    }
}

const PACE: Rate = Rate::new(20, 5);

/// Runs the steps, taking what is due at the moments the schedule asks for, and checks after each announcement.
fn check(mut schedule: impl Announcer, steps: &[Step]) -> Result<(), TestCaseError> {
    let mut now = Timestamp::from_millis(1_000);
    let mut held = BTreeSet::new();
    let mut never_announced = BTreeSet::new();
    let mut log: Vec<Timestamp> = Vec::new();
    // At the end enough time passes for everything to go out.
    for step in steps.iter().chain([&Step::Wait(60_000)]) {
        match step {
            Step::Gain(number) => {
                schedule.gain(now, vip(*number));
                held.insert(vip(*number));
                never_announced.insert(vip(*number));
            }
            Step::Lose(number) => {
                schedule.lose(vip(*number));
                held.remove(&vip(*number));
                never_announced.remove(&vip(*number));
            }
            Step::Wait(ms) => {
                let end = now + Duration::from_millis(*ms);
                let mut turns = 0;
                while let Some(due) = schedule.poll_timeout().filter(|due| *due <= end) {
                    now = now.max(due);
                    let taken = schedule.take_due(now);
                    prop_assert!(taken.is_some(), "asked for {due} and had nothing to do");
                    let Some(taken) = taken else { break };
                    prop_assert!(held.contains(&taken), "{taken} is not held");
                    prop_assert!(
                        never_announced.is_empty() || never_announced.contains(&taken),
                        "{taken} repeated while others wait for their first"
                    );
                    never_announced.remove(&taken);
                    log.push(now);
                    turns += 1;
                    prop_assert!(turns < 10_000, "no end");
                }
                now = end;
            }
        }
    }
    prop_assert!(never_announced.is_empty(), "{never_announced:?} starved");
    prop_assert!(schedule.poll_timeout().is_none(), "something is left to do for ever");
    // 5 at once and 20 a second: any six span at least the time of one token, 50 ms.
    for six in log.windows(6) {
        prop_assert!(six[5].since(six[0]) >= Duration::from_millis(50));
    }
    Ok(())
}

proptest! {
    #[test]
    fn only_held_vips_first_before_repeats_and_at_the_pace(steps in any_steps()) {
        check(Schedule::new(PACE), &steps)?;
    }
}

/// A schedule with one fault.
struct Broken {
    inner: Schedule,
    fault: Fault,
}

#[derive(Debug, Clone, Copy, PartialEq)]
enum Fault {
    KeepsTheLost,
    IgnoresThePace,
    ForgetsTheNew,
    RepeatsFirst,
}

impl Announcer for Broken {
    fn gain(&mut self, now: Timestamp, vip: IpAddr) {
        if self.fault == Fault::ForgetsTheNew && self.inner.len() > 3 {
            return;
        }
        self.inner.gain(now, vip);
    }
    fn lose(&mut self, vip: IpAddr) {
        if self.fault != Fault::KeepsTheLost {
            self.inner.lose(vip);
        }
    }
    fn take_due(&mut self, now: Timestamp) -> Option<IpAddr> {
        if self.fault == Fault::RepeatsFirst {
            let repeat = self.inner.queue.last().copied();
            if let Some((Turn::Repeat, due, vip)) = repeat
                && due <= now
                && self.inner.bucket.has(PACE, 0, now)
            {
                self.inner.bucket.take(PACE, now);
                self.inner.lose(vip);
                return Some(vip);
            }
        }
        self.inner.take_due(now)
    }
    fn poll_timeout(&self) -> Option<Timestamp> {
        self.inner.poll_timeout()
    }
}

#[test]
fn a_broken_schedule_is_caught() {
    for fault in [Fault::KeepsTheLost, Fault::IgnoresThePace, Fault::ForgetsTheNew, Fault::RepeatsFirst] {
        let pace = match fault {
            Fault::IgnoresThePace => Rate::new(1_000, 100),
            Fault::KeepsTheLost | Fault::ForgetsTheNew | Fault::RepeatsFirst => PACE,
        };
        let outcome = TestRunner::deterministic().run(&any_steps(), |steps| {
            let inner = Schedule::new(pace);
            check(Broken { inner, fault }, &steps)
        });
        assert!(outcome.is_err(), "{fault:?} went unnoticed");
    }
}
