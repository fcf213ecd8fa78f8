//! Timers that do not all go off at once (RFC 4271 §10).

use std::time::Duration;

/// A stream of numbers from a seed that was handed in: the same seed gives the same peer, number by number.
#[derive(Debug, Clone)]
pub(crate) struct Jitter(u64);

impl Jitter {
    pub(crate) const fn new(seed: u64) -> Self {
        Self(seed)
    }

    /// SplitMix64 (Steele, Lea, Flood 2014): every seed is good enough, zero too.
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    //= https://www.rfc-editor.org/rfc/rfc4271#section-10
    //# The suggested default amount of jitter SHALL be determined by
    //# multiplying the base value of the appropriate timer by a random
    //# factor, which is uniformly distributed in the range from 0.75 to 1.0.
    pub(crate) fn spread(&mut self, base: Duration) -> Duration {
        let cut = base / 4;
        let nanos = u64::try_from(cut.as_nanos()).unwrap_or(u64::MAX);
        let less = self.next() % nanos.saturating_add(1).max(1);
        base - Duration::from_nanos(less)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    //= https://www.rfc-editor.org/rfc/rfc4271#section-10
    //= type=test
    //# uniformly distributed in the range from 0.75 to 1.0.
    #[test]
    fn a_jittered_timer_lies_between_three_quarters_and_the_whole() {
        let mut jitter = Jitter::new(7);
        let base = Duration::from_secs(30);
        let drawn: Vec<_> = (0..1000).map(|_| jitter.spread(base)).collect();
        assert!(drawn.iter().all(|at| *at >= base * 3 / 4 && *at <= base));
        assert!(drawn.iter().any(|at| *at < base * 8 / 10) && drawn.iter().any(|at| *at > base * 95 / 100));
        assert_eq!(jitter.spread(Duration::ZERO), Duration::ZERO);
    }
}
