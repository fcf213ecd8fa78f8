//! Rate limits with one moment of memory each.

use std::num::NonZeroU32;
use std::time::Duration;

use ironlb_model::{MacAddr, Timestamp};

/// So many in a second, and so many at once after a rest.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Rate {
    per_second: NonZeroU32,
    burst: NonZeroU32,
}

impl Rate {
    /// `per_second` in the long run, `burst` at once; a zero is taken as one.
    #[must_use]
    pub const fn new(per_second: u32, burst: u32) -> Self {
        Self { per_second: at_least_one(per_second), burst: at_least_one(burst) }
    }

    /// The time in which one token comes back.
    fn interval(self) -> Duration {
        Duration::from_secs(1).checked_div(self.per_second.get()).unwrap_or_default()
    }

    /// The time in which an empty bucket fills, less the time of `reserve` tokens.
    fn depth(self, reserve: u32) -> Duration {
        let tokens = self.burst.get().saturating_sub(reserve).max(1);
        self.interval().saturating_mul(tokens)
    }

    /// A quarter of the burst.
    pub(crate) fn quarter(self) -> u32 {
        self.burst.get() >> 2
    }
}

const fn at_least_one(number: u32) -> NonZeroU32 {
    match NonZeroU32::new(number) {
        Some(number) => number,
        None => NonZeroU32::MIN,
    }
}

/// A token bucket, kept as the moment at which it will be full again (the generic cell rate algorithm, ITU-T I.371).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Bucket {
    full_at: Timestamp,
}

impl Bucket {
    /// The first moment at which a token can be had and `reserve` are left after it.
    pub(crate) fn ready_at(self, rate: Rate, reserve: u32) -> Timestamp {
        (self.full_at + rate.interval()) - rate.depth(reserve)
    }

    /// Is there a token, with `reserve` left after it?
    pub(crate) fn has(self, rate: Rate, reserve: u32, now: Timestamp) -> bool {
        self.ready_at(rate, reserve) <= now
    }

    /// Takes a token.
    pub(crate) fn take(&mut self, rate: Rate, now: Timestamp) {
        self.full_at = self.full_at.max(now) + rate.interval();
    }
}

/// How many buckets the senders are spread over. Chosen, because it is the size at which Linux' own neighbour table refuses newcomers
/// (`gc_thresh3`), and 8 KiB an interface is nothing.
const SOURCES: usize = 1024;

/// A bucket per sender in fixed memory: senders whose addresses hash alike share one.
///
/// Somebody could choose an address that shares another's bucket; that gains nothing, since he could as well send with the other's
/// own address.
#[derive(Debug, Clone)]
pub(crate) struct Sources {
    buckets: Vec<Bucket>,
}

impl Sources {
    pub(crate) fn new() -> Self {
        Self { buckets: vec![Bucket::default(); SOURCES] }
    }

    pub(crate) fn of(&mut self, sender: MacAddr) -> Option<&mut Bucket> {
        // FNV-1a, 32 bits: spreads six bytes evenly and is the same in every version.
        let hash =
            sender.0.into_iter().fold(0x811c_9dc5_u32, |hash, byte| (hash ^ u32::from(byte)).wrapping_mul(0x0100_0193));
        let place = usize::try_from(hash).ok()?.checked_rem(SOURCES)?;
        self.buckets.get_mut(place)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_rested_bucket_gives_its_burst_and_then_its_rate() {
        let rate = Rate::new(10, 3);
        let mut bucket = Bucket::default();
        let mut taken = Vec::new();
        let start = 5_000;
        for ms in start..start + 1_000 {
            let now = Timestamp::from_millis(ms);
            while bucket.has(rate, 0, now) {
                bucket.take(rate, now);
                taken.push(ms - start);
            }
        }
        assert_eq!(taken, [0, 0, 0, 100, 200, 300, 400, 500, 600, 700, 800, 900]);
    }

    #[test]
    fn what_is_held_in_reserve_is_left() {
        let rate = Rate::new(10, 4);
        let now = Timestamp::from_millis(5_000);
        let mut bucket = Bucket::default();
        let mut taken = 0;
        while bucket.has(rate, rate.quarter(), now) {
            bucket.take(rate, now);
            taken += 1;
        }
        assert_eq!(taken, 3);
        assert!(bucket.has(rate, 0, now));
    }

    #[test]
    fn senders_are_spread_over_the_buckets() {
        let mut sources = Sources::new();
        let rate = Rate::new(1, 1);
        let now = Timestamp::from_millis(10_000);
        for last in 0..=255 {
            if let Some(bucket) = sources.of(MacAddr([2, 0x42, 0xac, 0x11, 0, last])) {
                bucket.take(rate, now);
            }
        }
        let used = sources.buckets.iter().filter(|bucket| !bucket.has(rate, 0, now)).count();
        // 256 balls thrown at random into 1,024 boxes hit 226 of them on average.
        assert!(used > 200, "{used} buckets for 256 senders");
    }
}
