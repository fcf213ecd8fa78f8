//! How much of a core the thread may use: it runs in front of others, and a flood must not take the machine.

use std::time::Duration;

use ironlb_model::Timestamp;

/// What may be used at once after a quiet time. Chosen: fifty sessions that begin together take a few milliseconds, and nobody misses
/// twenty.
const BURST: Duration = Duration::from_millis(20);

/// The shortest pause. Chosen: shorter ones cost as much as they give, and a packet that is a millisecond late makes no session flap.
const PAUSE: Duration = Duration::from_millis(1);

/// Grows by half of the time that passes and shrinks by what is used.
#[derive(Debug)]
pub(super) struct Allowance {
    left: Duration,
    at: Timestamp,
    used: Duration,
}

impl Allowance {
    /// Full; `used` is what the thread has used of the processors in all its life.
    pub(super) fn new(now: Timestamp, used: Duration) -> Self {
        Self { left: BURST, at: now, used }
    }

    /// Takes note of what was used; returns how long to rest when that was more than half of a core.
    pub(super) fn rest_after(&mut self, now: Timestamp, used: Duration) -> Option<Duration> {
        let grown = (self.left + now.since(self.at) / 2).min(BURST);
        let spent = used.saturating_sub(self.used);
        self.left = grown.saturating_sub(spent);
        let debt = spent.saturating_sub(grown);
        // It grows again once the debt is paid.
        (self.at, self.used) = (now + debt * 2, used);
        (!debt.is_zero()).then(|| (debt * 2).max(PAUSE))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn half_of_a_core_is_left_whatever_arrives() {
        let at = |micros: u64| Timestamp::ZERO + Duration::from_micros(micros);
        for round in [20, 500, 3_000, 50_000] {
            let mut allowance = Allowance::new(at(0), Duration::ZERO);
            let (mut now, mut used) = (0_u64, 0_u64);
            while now < 10_000_000 {
                (now, used) = (now + round, used + round);
                let rest = allowance.rest_after(at(now), Duration::from_micros(used)).unwrap_or_default();
                now += u64::try_from(rest.as_micros()).unwrap();
            }
            let percent = 100 * used / now;
            assert!((40..=51).contains(&percent), "{percent} % in rounds of {round} us");
        }
    }

    #[test]
    fn ordinary_work_never_rests_and_a_core_that_others_have_is_not_held_against_it() {
        let mut allowance = Allowance::new(Timestamp::ZERO, Duration::ZERO);
        for round in 1..10_000_u32 {
            let now = Timestamp::ZERO + Duration::from_millis(1) * round;
            assert_eq!(allowance.rest_after(now, Duration::from_micros(300) * round), None);
        }
    }
}
