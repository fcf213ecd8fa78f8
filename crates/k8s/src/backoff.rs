//! Waiting longer after each failure, and never in step with the neighbours.

use std::hash::{BuildHasher, Hasher, RandomState};
use std::time::Duration;

/// Delays that double from `first` to `most`, each spread over half to one and a half of itself.
///
/// The spread is there because a hundred speakers lose the API server in one moment and must not come back in one.
#[derive(Debug, Clone)]
pub struct Backoff {
    first: Duration,
    most: Duration,
    next: Duration,
}

impl Backoff {
    /// Starts at `first` and never exceeds `most` (before the spread).
    #[must_use]
    pub fn new(first: Duration, most: Duration) -> Self {
        Self { first, most, next: first }
    }

    /// The delay after one more failure.
    pub fn failed(&mut self) -> Duration {
        let delay = self.next;
        self.next = delay.saturating_mul(2).min(self.most);
        spread(delay)
    }

    /// It worked: the next failure starts from the beginning.
    pub fn worked(&mut self) {
        self.next = self.first;
    }
}

/// Somewhere between half and one and a half of `delay`.
#[must_use]
pub fn spread(delay: Duration) -> Duration {
    let half = delay / 2;
    half + Duration::from_nanos(random_below(u64::try_from(delay.as_nanos()).unwrap_or(u64::MAX)))
}

/// A random number below `bound`: the seed that the standard library draws for a hash map, which is all the randomness that
/// spreading needs.
pub(crate) fn random_below(bound: u64) -> u64 {
    RandomState::new().build_hasher().finish().checked_rem(bound).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn delays_double_up_to_the_most_and_start_over() {
        let mut backoff = Backoff::new(Duration::from_millis(100), Duration::from_millis(500));
        for want in [100, 200, 400, 500, 500] {
            let delay = backoff.failed();
            let want = Duration::from_millis(want);
            assert!(delay >= want / 2 && delay <= want * 3 / 2, "{delay:?} for {want:?}");
        }
        backoff.worked();
        assert!(backoff.failed() <= Duration::from_millis(150));
    }

    #[test]
    fn delays_differ() {
        let drawn: std::collections::BTreeSet<Duration> = (0..50).map(|_| spread(Duration::from_secs(1))).collect();
        assert!(drawn.len() > 40, "{drawn:?}");
        assert_eq!(spread(Duration::ZERO), Duration::ZERO);
    }
}
