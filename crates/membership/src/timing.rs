//! The numbers of the protocol, and what ties them together.

use std::time::Duration;

/// The numbers of the protocol.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Timing {
    /// From the start of one renewal to the start of the next.
    pub renew_interval: Duration,
    /// A node whose Lease has not changed for this long counts as dead.
    pub expiry: Duration,
    /// How much earlier than `expiry` a node that others may be counting out stops by itself.
    ///
    /// Its count begins when it *sends* a renewal, theirs when they *see* it, so the whole of this is spare: for a late timer, and
    /// for a watch that lags while it is the only proof that others still renew.
    pub margin: Duration,
    /// After a renewal that failed: how long until the next try.
    pub retry: Duration,
    /// How long a request may take; the driver gives up after this. Two tries must fit between a missed renewal and the fence.
    pub request_timeout: Duration,
    /// A renewal that has no answer for this long is followed by a list, to see whether others still renew.
    pub probe_after: Duration,
    /// When nobody is seen to renew for this long and we cannot either, it is taken for an outage that everybody shares. Others
    /// renew every `renew_interval`, so half as much again without any of them is no accident.
    pub outage_silence: Duration,
    /// When our own renewals stood still for longer than this, everybody else gets a fresh `expiry`: what kept ours from
    /// arriving may have kept theirs.
    pub grace_after: Duration,
    /// After an outage that everybody shared, a node that has not been heard of since counts as dead only after this time. Clients
    /// of the API server, kube-proxy among them, through which speakers reach it, try again at intervals of up to 60 s (client-go's
    /// longest back-off, 30 s, and as much again by chance), so some are back much later than others; measured in the lab: up to 60 s,
    /// where the server was stopped in order and had left its Service. And ten seconds for the attempt.
    pub outage_return: Duration,
    /// After its first renewal a speaker claims nothing that was nobody's for this long, so that those that start together have
    /// met before they share out. Three renewals.
    pub start_wait: Duration,
    /// At least this often the machine wants to be called, so that it notices when it was not.
    pub tick: Duration,
    /// A longer time than this between two calls means that the process did not run.
    pub longest_tick: Duration,
}

impl Timing {
    /// The numbers of `--membership=lease`: 1 s renewals, 4 s expiry.
    #[must_use]
    pub const fn lease() -> Self {
        Self {
            renew_interval: Duration::from_millis(1000),
            expiry: Duration::from_millis(4000),
            margin: Duration::from_millis(500),
            retry: Duration::from_millis(250),
            request_timeout: Duration::from_millis(1000),
            probe_after: Duration::from_millis(500),
            outage_silence: Duration::from_millis(1500),
            grace_after: Duration::from_millis(2000),
            outage_return: Duration::from_secs(70),
            start_wait: Duration::from_millis(3000),
            tick: Duration::from_millis(500),
            longest_tick: Duration::from_millis(1500),
        }
    }

    /// How long after the last proof of our standing we may answer.
    #[must_use]
    pub const fn fence_after(&self) -> Duration {
        self.expiry.saturating_sub(self.margin)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_numbers_fit_together() {
        let t = Timing::lease();
        // A missed renewal leaves time for two more tries before the fence.
        assert!(t.renew_interval + 2 * t.request_timeout + t.retry < t.fence_after());
        // An outage that is just too short to be noticed (`grace_after`) does not count anybody out.
        assert!(t.grace_after + t.renew_interval + t.retry < t.expiry);
        // One that began right after our renewal is recognised before the fence falls.
        assert!(t.renew_interval + t.outage_silence < t.fence_after());
        assert!(t.renew_interval + t.probe_after + t.request_timeout < t.fence_after());
        // Silence is longer than the time between two renewals of one other node.
        assert!(t.outage_silence > t.renew_interval);
        assert!(t.tick < t.longest_tick && t.longest_tick < t.fence_after());
    }
}
