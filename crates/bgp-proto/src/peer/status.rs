//! What can be asked of a peer.

use std::sync::Arc;

use ironlb_model::Timestamp;

use super::Peer;
use crate::codec::MessageKind;
use crate::{Config, Down, Negotiated, Received, RibOut, State};

/// How many messages of each type, by [`MessageKind::index`].
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Counters {
    /// Sent.
    pub sent: [u64; 5],
    /// Received.
    pub received: [u64; 5],
}

impl Counters {
    pub(super) fn add(counts: &mut [u64; 5], kind: MessageKind) {
        if let Some(count) = counts.get_mut(kind.index()) {
            *count += 1;
        }
    }
}

impl Peer {
    /// The state of the connection that has come farthest.
    #[must_use]
    pub fn state(&self) -> State {
        self.fsms().map(|fsm| fsm.state).max().unwrap_or_default()
    }

    /// What both agreed on, while the session is up.
    #[must_use]
    pub fn negotiated(&self) -> Option<&Arc<Negotiated>> {
        self.fsm(self.established()?)?.negotiated.as_ref()
    }

    /// Since when the session is up.
    #[must_use]
    pub fn established_at(&self) -> Option<Timestamp> {
        self.fsm(self.established()?)?.established_at
    }

    /// What the peer knows and is to know.
    #[must_use]
    pub fn rib_out(&self) -> &RibOut {
        &self.rib_out
    }

    /// What the peer has sent in this session.
    #[must_use]
    pub fn received(&self) -> &Received {
        &self.received
    }

    /// How many messages went to and fro, over all sessions.
    #[must_use]
    pub fn counters(&self) -> Counters {
        self.counters
    }

    /// How the last session or attempt ended.
    #[must_use]
    pub fn last_down(&self) -> Option<&Down> {
        self.last_down.as_ref()
    }

    /// The configuration in force.
    #[must_use]
    pub fn config(&self) -> &Config {
        &self.config
    }
}
