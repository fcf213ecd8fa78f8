//! Counts of what happened, for whoever shows metrics.

use std::sync::atomic::{AtomicU64, Ordering};

/// A number that only grows.
#[derive(Debug, Default)]
pub struct Counter(AtomicU64);

impl Counter {
    /// One more.
    pub fn add_one(&self) {
        self.0.fetch_add(1, Ordering::Relaxed);
    }

    /// The number.
    #[must_use]
    pub fn get(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}

/// What one watch did.
#[derive(Debug, Default)]
pub struct WatchCounters {
    /// Lists that were read to the end.
    pub lists: Counter,
    /// Lists that failed.
    pub list_failures: Counter,
    /// Watches that were opened.
    pub watches: Counter,
    /// Watches that could not be opened or broke off.
    pub watch_failures: Counter,
    /// Watches whose version to go on from was gone (410): everything was listed afresh.
    pub expiries: Counter,
    /// Objects added, changed or deleted, as the watch told.
    pub events: Counter,
    /// Events that changed nothing ironlb looks at.
    pub unchanged: Counter,
}
