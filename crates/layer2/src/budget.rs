//! How much of a core a thread may use that runs in front of all others.

use std::time::Duration;

use ironlb_model::Timestamp;

/// A quarter of a core in the long run, written as what one is divided by. Chosen: more than twice what 20,000 answers a second take
/// (measured: 10.7 %), and little enough that a flood of ARP leaves the node usable.
const SHARE: u32 = 4;

/// What may be used at once after a rest. Chosen: some ten thousand frames, so that a LAN that comes back after a power cut is no flood.
const BURST: Duration = Duration::from_millis(50);

/// Says when to pause so that the time spent on a core stays within the share.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Budget {
    checked: Timestamp,
    used: Duration,
    /// What is left; never more than the burst.
    left: Duration,
}

impl Budget {
    /// A rested one; `used` is what the thread has used so far.
    pub(crate) fn new(now: Timestamp, used: Duration) -> Self {
        Self { checked: now, used, left: BURST }
    }

    /// How long to pause, when the thread has used `used` by now; zero while there is something left.
    pub(crate) fn pause(&mut self, now: Timestamp, used: Duration) -> Duration {
        let spent = used.saturating_sub(self.used);
        let had = self.left.saturating_add(now.since(self.checked) / SHARE).min(BURST);
        self.left = had.saturating_sub(spent);
        // What was spent beyond the budget is paid by the pause, so the pause itself earns nothing.
        let pause = spent.saturating_sub(had).saturating_mul(SHARE);
        (self.checked, self.used) = (now + pause, used);
        pause
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Works in turns of `work` as fast as it may for ten seconds, resting for `rest` after each; the time used and the turns paused.
    fn run(work: Duration, rest: Duration) -> (Duration, u32) {
        let start = Timestamp::from_millis(1_000);
        let (mut now, mut used, mut paused) = (start, Duration::ZERO, 0);
        let mut budget = Budget::new(now, used);
        while now.since(start) < Duration::from_secs(10) {
            used += work;
            now = now + work;
            let pause = budget.pause(now, used);
            paused += u32::from(!pause.is_zero());
            now = now + pause + rest;
        }
        (used, paused)
    }

    #[test]
    fn a_thread_that_never_rests_gets_a_quarter() {
        for work_us in [100, 300, 5_000] {
            let (used, _) = run(Duration::from_micros(work_us), Duration::ZERO);
            let share = used.as_secs_f64() / 10.0;
            assert!((0.20..0.27).contains(&share), "{share} with turns of {work_us} us");
        }
    }

    #[test]
    fn a_thread_within_its_share_is_never_paused() {
        let (_, paused) = run(Duration::from_micros(100), Duration::from_micros(400));
        assert_eq!(paused, 0);
    }

    #[test]
    fn a_burst_after_a_rest_is_not_paused() {
        let start = Timestamp::from_millis(1_000);
        let mut budget = Budget::new(start, Duration::ZERO);
        let rested = start + Duration::from_secs(60);
        assert_eq!(budget.pause(rested, BURST), Duration::ZERO);
        assert!(!budget.pause(rested, BURST + Duration::from_millis(1)).is_zero());
    }
}
