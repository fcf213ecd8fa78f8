//! The clock.

use std::time::Duration;

use ironlb_model::Timestamp;
use nix::time::{ClockId, clock_gettime};

/// Now, on the clock of [`Timestamp`], `CLOCK_BOOTTIME`: it goes on while the machine is suspended, so a node that slept finds its
/// sessions expired.
#[must_use]
pub fn now() -> Timestamp {
    // The call fails only for an unknown clock, and Linux has had this one since 2.6.39; time that stood still would never expire
    // anything, so the largest value is the safe answer.
    clock_gettime(ClockId::CLOCK_BOOTTIME).map_or(Timestamp::from_nanos(u64::MAX), |time| {
        let nanos = i128::from(time.tv_sec()) * 1_000_000_000 + i128::from(time.tv_nsec());
        Timestamp::from_nanos(u64::try_from(nanos).unwrap_or(u64::MAX))
    })
}

/// What the calling thread has used of the processors since it began.
#[must_use]
pub(crate) fn used_by_thread() -> Duration {
    // Fails only for an unknown clock, and Linux has had this one since 2.6.12; a thread that has used nothing never rests.
    clock_gettime(ClockId::CLOCK_THREAD_CPUTIME_ID).map_or(Duration::ZERO, Duration::from)
}

/// Sleeps until the moment; for ever when there is none. Cancel-safe.
///
/// Tokio's clock stands still while the machine sleeps, which makes this late, never early.
pub(crate) async fn sleep_until(at: Option<Timestamp>) {
    match at {
        Some(at) => tokio::time::sleep(at.since(now())).await,
        None => std::future::pending().await,
    }
}
