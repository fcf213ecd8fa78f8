//! What the threads are told: state, not messages, so a thread that was late finds the newest and nothing piles up.

use std::collections::BTreeSet;
use std::net::IpAddr;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};

use ironlb_model::Timestamp;
use tokio::sync::watch;

use crate::raw::Waker;

/// The moment from which nothing is answered, shared by all threads and read for each frame.
#[derive(Debug)]
pub(crate) struct Fence(AtomicU64);

impl Fence {
    /// Stands for no limit; 584 years after boot.
    const NONE: u64 = u64::MAX;

    pub(crate) fn new() -> Self {
        Self(AtomicU64::new(Self::NONE))
    }

    pub(crate) fn set(&self, until: Option<Timestamp>) {
        let nanos = until.map_or(Self::NONE, Timestamp::as_nanos);
        self.0.store(nanos, Ordering::Release);
    }

    pub(crate) fn read(&self) -> Option<Timestamp> {
        let nanos = self.0.load(Ordering::Acquire);
        (nanos != Self::NONE).then(|| Timestamp::from_nanos(nanos))
    }
}

/// What one thread is to answer for.
#[derive(Debug, Clone, Default)]
pub(crate) struct Wanted {
    /// Grows with each change; the thread says which it has applied.
    pub(crate) generation: u64,
    pub(crate) vips: BTreeSet<IpAddr>,
    pub(crate) stop: bool,
}

/// One thread's letter box: what is wanted of it, how to wake it, and how far it has come.
#[derive(Debug)]
pub(crate) struct Mailbox {
    wanted: Mutex<Wanted>,
    pub(crate) waker: Waker,
}

impl Mailbox {
    pub(crate) fn new(waker: Waker) -> Self {
        Self { wanted: Mutex::new(Wanted::default()), waker }
    }

    /// Changes what is wanted and wakes the thread; the generation it will have applied it at.
    pub(crate) fn change(&self, change: impl FnOnce(&mut Wanted)) -> u64 {
        let generation = {
            let mut wanted = self.wanted.lock().unwrap_or_else(PoisonError::into_inner);
            change(&mut wanted);
            wanted.generation += 1;
            wanted.generation
        };
        self.waker.wake();
        generation
    }

    /// What is wanted, when it is newer than `applied`.
    pub(crate) fn newer_than(&self, applied: u64) -> Option<Wanted> {
        let wanted = self.wanted.lock().unwrap_or_else(PoisonError::into_inner);
        (wanted.generation > applied).then(|| wanted.clone())
    }

    /// The vips wanted last.
    pub(crate) fn vips(&self) -> BTreeSet<IpAddr> {
        let wanted = self.wanted.lock().unwrap_or_else(PoisonError::into_inner);
        wanted.vips.clone()
    }
}

/// Waits until the thread has applied `generation`; false when it has ended instead.
pub(crate) async fn applied(progress: &mut watch::Receiver<u64>, generation: u64) -> bool {
    progress.wait_for(|applied| *applied >= generation).await.is_ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_limit_and_any_limit_are_told_apart() {
        let fence = Fence::new();
        assert_eq!(fence.read(), None);
        for until in [Some(Timestamp::ZERO), Some(Timestamp::from_millis(7)), None] {
            fence.set(until);
            assert_eq!(fence.read(), until);
        }
    }

    #[test]
    fn a_late_reader_finds_only_the_newest() {
        let mailbox = Mailbox::new(Waker::new().unwrap());
        assert!(mailbox.newer_than(0).is_none());
        mailbox.change(|wanted| wanted.vips = ["10.0.0.1".parse().unwrap()].into());
        let second = mailbox.change(|wanted| wanted.vips = ["10.0.0.2".parse().unwrap()].into());
        let wanted = mailbox.newer_than(0).unwrap();
        assert_eq!(wanted.generation, second);
        assert_eq!(wanted.vips, ["10.0.0.2".parse().unwrap()].into());
        assert!(mailbox.newer_than(second).is_none());
    }
}
