//! The timers of one connection, and when each goes off.

use ironlb_model::Timestamp;

/// The timers of RFC 4271 §8 and RFC 9687.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Timer {
    /// When to connect again.
    ConnectRetry,
    /// When the peer counts as gone.
    Hold,
    /// When the peer is to hear of us.
    Keepalive,
    /// When to stop waiting for the peer to send its OPEN first.
    DelayOpen,
    /// When to leave Idle after a failure.
    IdleHold,
    /// When a peer that does not read counts as gone.
    SendHold,
}

impl Timer {
    /// In this order timers that are due at one moment go off: what ends a session before what keeps it up.
    pub(crate) const ALL: [Self; 6] =
        [Self::Hold, Self::SendHold, Self::Keepalive, Self::DelayOpen, Self::ConnectRetry, Self::IdleHold];
}

/// The moments at which timers go off.
#[derive(Debug, Clone, Default)]
pub(crate) struct Deadlines([Option<Timestamp>; 6]);

impl Deadlines {
    pub(crate) fn arm(&mut self, timer: Timer, at: Timestamp) {
        self.put(timer, Some(at));
    }

    pub(crate) fn stop(&mut self, timer: Timer) {
        self.put(timer, None);
    }

    pub(crate) fn stop_all(&mut self) {
        *self = Self::default();
    }

    pub(crate) fn is_running(&self, timer: Timer) -> bool {
        self.at(timer).is_some()
    }

    pub(crate) fn next(&self) -> Option<Timestamp> {
        self.0.iter().flatten().min().copied()
    }

    /// Stops and names the first timer that is due.
    pub(crate) fn expired(&mut self, now: Timestamp) -> Option<Timer> {
        let due = Timer::ALL.into_iter().filter(|timer| self.at(*timer).is_some_and(|at| at <= now));
        let first = due.min_by_key(|timer| self.at(*timer))?;
        self.stop(first);
        Some(first)
    }

    fn at(&self, timer: Timer) -> Option<Timestamp> {
        self.0.get(timer as usize).copied().flatten()
    }

    fn put(&mut self, timer: Timer, at: Option<Timestamp>) {
        if let Some(slot) = self.0.get_mut(timer as usize) {
            *slot = at;
        }
    }
}
