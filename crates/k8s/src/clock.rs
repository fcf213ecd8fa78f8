//! The two clocks: one for deadlines, one for what people read.

use ironlb_model::{Timestamp, WallTime};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{MicroTime, Time};
use nix::time::{ClockId, clock_gettime};

/// Now, on the clock that goes on while the machine is suspended (`CLOCK_BOOTTIME`): a node that slept finds itself expired.
/// Tokio's own clock stands still meanwhile, so deadlines that fence something are compared with this one.
#[must_use]
pub fn now() -> Timestamp {
    // The call fails only for an unknown clock, and Linux has had this one since 2.6.39; time that stood still would never expire
    // anything, so the largest value is the safe answer.
    clock_gettime(ClockId::CLOCK_BOOTTIME).map_or(Timestamp::from_nanos(u64::MAX), |time| {
        let nanos = i128::from(time.tv_sec()) * 1_000_000_000 + i128::from(time.tv_nsec());
        Timestamp::from_nanos(u64::try_from(nanos).unwrap_or(u64::MAX))
    })
}

/// Now, in seconds since 1970, for objects.
#[must_use]
pub fn wall_time() -> WallTime {
    WallTime(jiff::Timestamp::now().as_second())
}

/// Now, with microseconds, as a Lease has it.
#[must_use]
pub(crate) fn micro_time() -> MicroTime {
    MicroTime(jiff::Timestamp::now())
}

/// Sleeps until the moment; for ever when there is none. Cancel-safe.
///
/// Tokio's clock stands still while the machine sleeps, which makes this late, never early: nothing that fences may depend on it.
pub async fn sleep_until(at: Option<Timestamp>) {
    match at {
        Some(at) => tokio::time::sleep(at.since(now())).await,
        None => std::future::pending().await,
    }
}

/// A wall time in the API's form; what lies outside the calendar becomes 1970.
#[must_use]
pub fn api_time(time: WallTime) -> Time {
    Time(jiff::Timestamp::from_second(time.0).unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn time_goes_forward() {
        let before = now();
        assert!(now() >= before && before > Timestamp::ZERO);
        // 2026-01-01, when this was written: a machine without a clock would show 1970.
        assert!(wall_time() > WallTime(1_767_225_600));
    }
}
