//! What a speaker decides on: the cluster as it is, or as it was.

use std::time::Duration;

use ironlb_model::Timestamp;

/// How long a speaker that starts waits for the API server before it goes on from the snapshot that the one before it on this boot kept.
/// Chosen in the design: an API server that works has answered by then, and a router waits longer for a speaker that restarts (30 s).
pub const STALE_AFTER: Duration = Duration::from_secs(5);

/// What a speaker decides on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Footing {
    /// The lists, all of which have been read once. They replace what was kept as a whole, and nothing goes back behind them.
    Fresh,
    /// The snapshot that was kept.
    Stale,
    /// Nothing yet.
    Waiting {
        /// When to look again, should no list be read before.
        until: Option<Timestamp>,
    },
}

/// What a speaker that started at `started` decides on: it `has_lists`, or there is something that was kept on this boot.
#[must_use]
pub fn footing(has_lists: bool, has_kept: bool, started: Timestamp, now: Timestamp) -> Footing {
    let stale_at = started + STALE_AFTER;
    if has_lists {
        Footing::Fresh
    } else if has_kept && now >= stale_at {
        Footing::Stale
    } else {
        Footing::Waiting { until: has_kept.then_some(stale_at) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_kept_counts_after_five_seconds_and_until_there_are_lists() {
        let at = |millis: u64| Timestamp::from_millis(100_000 + millis);
        let due = Footing::Waiting { until: Some(at(5000)) };
        for (has_lists, has_kept, now, want) in [
            (true, true, 0, Footing::Fresh),
            (true, true, 60_000, Footing::Fresh),
            (true, false, 60_000, Footing::Fresh),
            (false, true, 0, due),
            (false, true, 4999, due),
            (false, true, 5000, Footing::Stale),
            (false, true, 3_600_000, Footing::Stale),
            (false, false, 60_000, Footing::Waiting { until: None }),
        ] {
            assert_eq!(footing(has_lists, has_kept, at(0), at(now)), want, "{has_lists} {has_kept} {now}");
        }
    }
}
