//! What happened on an interface, counted for the metrics.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use ironlb_layer2_proto::DropReason;

/// Counts of one interface, written by its thread and read by whoever scrapes.
#[derive(Debug, Default)]
pub(crate) struct Counters {
    pub(crate) received: Counter,
    pub(crate) answered: Counter,
    pub(crate) announced: Counter,
    pub(crate) foreign_claims: Counter,
    pub(crate) observations_dropped: Counter,
    pub(crate) send_failed: Counter,
    pub(crate) receive_failed: Counter,
    pub(crate) opened: Counter,
    pub(crate) socket_open: AtomicBool,
    ignored: [Counter; DropReason::ALL.len()],
}

/// A number that only grows.
#[derive(Debug, Default)]
pub(crate) struct Counter(AtomicU64);

impl Counter {
    pub(crate) fn add_one(&self) {
        self.0.fetch_add(1, Ordering::Relaxed);
    }

    fn read(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}

impl Counters {
    pub(crate) fn ignored(&self, reason: DropReason) {
        if let Some(counter) = self.ignored.get(reason.index()) {
            counter.add_one();
        }
    }

    pub(crate) fn read(&self, vips: usize) -> InterfaceMetrics {
        InterfaceMetrics {
            vips,
            socket_open: self.socket_open.load(Ordering::Relaxed),
            frames_received: self.received.read(),
            answered: self.answered.read(),
            announcement_frames: self.announced.read(),
            foreign_claims: self.foreign_claims.read(),
            observations_dropped: self.observations_dropped.read(),
            send_failed: self.send_failed.read(),
            receive_failed: self.receive_failed.read(),
            socket_opened: self.opened.read(),
            ignored: DropReason::ALL.into_iter().zip(self.ignored.iter().map(Counter::read)).collect(),
        }
    }
}

/// Counts of one interface since the start of the process.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct InterfaceMetrics {
    /// Vips answered for at present.
    pub vips: usize,
    /// Its packet socket is open.
    pub socket_open: bool,
    /// ARP frames that arrived and passed the kernel's filter.
    pub frames_received: u64,
    /// Answers sent.
    pub answered: u64,
    /// Frames of announcements sent; an announcement has two.
    pub announcement_frames: u64,
    /// Claims of our vips by others, as reported (once a second each).
    pub foreign_claims: u64,
    /// Observations nobody had room for.
    pub observations_dropped: u64,
    /// Frames the kernel did not take.
    pub send_failed: u64,
    /// Errors on receiving; one each time the interface goes down.
    pub receive_failed: u64,
    /// How often the socket was opened: once, and again each time the interface was made anew.
    pub socket_opened: u64,
    /// Frames not answered, by reason; every reason is there.
    pub ignored: BTreeMap<DropReason, u64>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_reason_is_counted_under_its_own_name() {
        let counters = Counters::default();
        counters.ignored(DropReason::Fenced);
        counters.ignored(DropReason::Fenced);
        counters.ignored(DropReason::RateLimitedTotal);
        let metrics = counters.read(3);
        assert_eq!(metrics.vips, 3);
        assert_eq!(metrics.ignored.len(), DropReason::ALL.len());
        assert_eq!(metrics.ignored[&DropReason::Fenced], 2);
        assert_eq!(metrics.ignored[&DropReason::RateLimitedTotal], 1);
        assert_eq!(metrics.ignored.values().sum::<u64>(), 3);
    }
}
