//! Until when we may answer: before others may count us out, and not a moment longer.

use ironlb_model::Timestamp;

use crate::Timing;

/// Keeps the moment until which this node may answer for what it holds.
///
/// ```text
///   renewal sent ──────────── fence_after ───────────▶ valid_until      others count from when they see it, for `expiry`
///        ▲                                                  │
///        │ succeeded: base = when it was sent               │ reached: lapsed
///        └ outage shared by all: base = now, at every call ◀┘
/// ```
///
/// The base moves forward without a renewal only while nobody renews: our tries fail for want of an answer; for `outage_silence`
/// neither the watch nor a list begun meanwhile has shown that another node renewed (a list that gives no answer shows nothing
/// either); and this process ran all that time (one that was stopped has not listened, so its silence proves nothing).
#[derive(Debug, Clone)]
pub(crate) struct Fence {
    timing: Timing,
    base: Option<Timestamp>,
    last_call: Timestamp,
    awake_since: Timestamp,
    heard_at: Timestamp,
    unreachable_at: Option<Timestamp>,
    /// When the last list that is over had been begun.
    probed_from: Timestamp,
}

impl Fence {
    pub(crate) fn new(timing: Timing) -> Self {
        Self {
            timing,
            base: None,
            last_call: Timestamp::ZERO,
            awake_since: Timestamp::ZERO,
            heard_at: Timestamp::ZERO,
            unreachable_at: None,
            probed_from: Timestamp::ZERO,
        }
    }

    /// Called first at every call of the machine. Says whether the moment has passed.
    pub(crate) fn pass(&mut self, now: Timestamp) -> bool {
        if now.since(self.last_call) > self.timing.longest_tick {
            self.awake_since = now;
        }
        self.last_call = now;
        let passed = !self.holds(now);
        if !passed && self.is_outage(now) {
            self.base = Some(now);
        }
        passed
    }

    /// Our renewal, sent at `sent`, was written.
    pub(crate) fn renewed(&mut self, now: Timestamp, sent: Timestamp) {
        self.base = self.base.max(Some(sent));
        self.unreachable_at = None;
        self.heard(now);
    }

    /// Our renewal found nobody who answers.
    pub(crate) fn unreachable(&mut self, now: Timestamp) {
        self.unreachable_at = Some(now);
    }

    /// A list begun at `started` is over, with or without an answer; that somebody renewed, if it showed that, has been `heard`.
    pub(crate) fn probed(&mut self, started: Timestamp) {
        self.probed_from = self.probed_from.max(started);
    }

    /// Another node renewed, or the API server gave our renewal an answer.
    pub(crate) fn heard(&mut self, now: Timestamp) {
        self.heard_at = self.heard_at.max(now);
    }

    /// May we answer at `now`, for what we hold?
    pub(crate) fn holds(&self, now: Timestamp) -> bool {
        self.valid_until().is_some_and(|until| now < until)
    }

    /// Until when we may answer without being called again.
    pub(crate) fn valid_until(&self) -> Option<Timestamp> {
        self.base.map(|base| base + self.timing.fence_after())
    }

    /// Can nobody renew?
    pub(crate) fn is_outage(&self, now: Timestamp) -> bool {
        let since = self.heard_at.max(self.awake_since);
        self.unreachable_at.is_some_and(|at| at >= since)
            && self.probed_from >= since
            && now.since(since) >= self.timing.outage_silence
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(millis: u64) -> Timestamp {
        Timestamp::from_millis(100_000 + millis)
    }

    /// Called every 100 ms from `from` to `to`; the first moment at which it had passed.
    fn run(fence: &mut Fence, from: u64, to: u64) -> Option<u64> {
        (from..=to).step_by(100).find(|t| fence.pass(at(*t)))
    }

    fn renewed_at_zero() -> Fence {
        let mut fence = Fence::new(Timing::lease());
        fence.pass(at(0));
        fence.renewed(at(0), at(0));
        fence
    }

    #[test]
    fn without_renewal_it_falls_before_others_may_count_us_out() {
        assert_eq!(run(&mut renewed_at_zero(), 0, 10_000), Some(3500));
    }

    #[test]
    fn a_renewal_counts_from_when_it_was_sent() {
        let mut fence = renewed_at_zero();
        fence.renewed(at(900), at(100));
        assert_eq!(fence.valid_until(), Some(at(3600)));
        fence.renewed(at(1000), at(50));
        assert_eq!(fence.valid_until(), Some(at(3600)), "an older one does not take back");
    }

    #[test]
    fn an_outage_that_everybody_shares_holds_it_up() {
        let mut fence = renewed_at_zero();
        assert_eq!(run(&mut fence, 0, 2000), None);
        fence.unreachable(at(2000));
        fence.probed(at(1500));
        assert_eq!(run(&mut fence, 2000, 60_000), None);
        assert!(fence.is_outage(at(60_000)));
        fence.heard(at(60_000));
        assert!(!fence.is_outage(at(60_000)));
        assert_eq!(run(&mut fence, 60_000, 70_000), Some(63_500), "others are back: they may be counting");
    }

    #[test]
    fn failing_alone_does_not_hold_it_up() {
        let mut fence = renewed_at_zero();
        for t in (0..=3400).step_by(100) {
            assert!(!fence.pass(at(t)), "{t}");
            if t % 900 == 0 {
                fence.heard(at(t));
            }
            if t % 250 == 0 {
                fence.unreachable(at(t));
                fence.probed(at(t));
            }
        }
        assert!(fence.pass(at(3500)));
    }

    #[test]
    fn a_watch_that_says_nothing_is_no_proof_by_itself() {
        let mut fence = renewed_at_zero();
        fence.unreachable(at(1000));
        assert_eq!(run(&mut fence, 0, 10_000), Some(3500));
    }

    #[test]
    fn a_process_that_was_stopped_has_not_heard_silence() {
        let mut fence = renewed_at_zero();
        fence.unreachable(at(1000));
        fence.probed(at(1000));
        assert_eq!(run(&mut fence, 1000, 1200), None);
        // stopped from 1.2 s to 3.4 s
        assert_eq!(run(&mut fence, 3400, 3400), None);
        fence.unreachable(at(3400));
        fence.probed(at(3400));
        assert_eq!(run(&mut fence, 3500, 4000), Some(3500));
    }

    #[test]
    fn stopped_in_an_outage_it_falls_as_ever() {
        let mut fence = renewed_at_zero();
        run(&mut fence, 0, 1000);
        fence.unreachable(at(1000));
        fence.probed(at(1000));
        assert_eq!(run(&mut fence, 1000, 20_000), None);
        assert!(fence.pass(at(24_000)));
    }
}
