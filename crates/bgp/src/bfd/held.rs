//! One session as the driver holds it: what it was told, what it sends with, and what was last told of it.

use std::sync::Arc;

use ironlb_bfd_proto::{Cause, Disable, DropReason, Path, Session, State};
use ironlb_bgp_proto::BfdState;
use ironlb_model::Timestamp;

use super::sender::Sender;
use super::{Change, Setup, Status};

#[derive(Debug)]
pub(super) struct Held {
    pub(super) name: Arc<str>,
    pub(super) path: Path,
    pub(super) setup: Setup,
    pub(super) sender: Sender,
    bfd: BfdState,
    since: Timestamp,
    downs: u64,
    last_down: Option<(Cause, Timestamp)>,
    dropped: Option<DropReason>,
    told: Option<(BfdState, Status)>,
}

impl Held {
    pub(super) fn new(name: Arc<str>, path: Path, setup: Setup, now: Timestamp) -> Self {
        Self {
            name,
            path,
            setup,
            sender: Sender::default(),
            bfd: BfdState::Unknown,
            since: now,
            downs: 0,
            last_down: None,
            dropped: None,
            told: None,
        }
    }

    /// Can the session go on with this? Where it leads, and over which port, it cannot change.
    pub(super) fn is_same_session(&self, path: &Path, setup: &Setup) -> bool {
        self.path == *path && self.setup.config.hops.port() == setup.config.hops.port()
    }

    pub(super) fn changed(&mut self, from: State, to: State, cause: Cause, now: Timestamp) {
        self.since = now;
        self.bfd = judge(self.bfd, from, to, cause);
        if from == State::Up {
            self.downs += 1;
            self.last_down = Some((cause, now));
        }
        if to == State::Up {
            self.dropped = None;
        }
    }

    pub(super) fn dropped(&mut self, reason: DropReason) {
        // One that is held down takes nothing, which says nothing about the peer.
        if reason != DropReason::AdminDown {
            self.dropped = Some(reason);
        }
    }

    /// How it stands, if that is not what was told last.
    pub(super) fn change(&mut self, session: &Session, listener: Option<&Arc<str>>) -> Option<Change> {
        let remote = session.remote();
        let status = Status {
            state: session.state(),
            since: self.since,
            diagnostic: session.diagnostic(),
            remote_state: remote.discriminator.map(|_| remote.state),
            remote_diagnostic: remote.diagnostic,
            detection_time: session.detection_time(),
            transmit_interval: session.transmit_interval(),
            downs: self.downs,
            last_down: self.last_down,
            dropped: self.dropped,
            trouble: listener.or(self.sender.trouble()).cloned(),
        };
        if self.told.as_ref().is_some_and(|(bfd, told)| *bfd == self.bfd && *told == status) {
            return None;
        }
        self.told = Some((self.bfd, status.clone()));
        Some(Change { session: self.name.clone(), bfd: self.bfd, status })
    }
}

/// What BGP is to make of a change: only what says something about the path may take its session down.
fn judge(before: BfdState, from: State, to: State, cause: Cause) -> BfdState {
    match cause {
        // One end wants it so, or wanted it until now.
        Cause::NeighborAdminDown | Cause::Disabled(Disable::Administratively) | Cause::Enabled => BfdState::Unknown,
        _ if to == State::Up => BfdState::Up,
        _ if from == State::Up => BfdState::Down,
        // On the way up, or back from half of it.
        Cause::Handshake
        | Cause::DetectionTimeExpired
        | Cause::NeighborDown
        | Cause::Disabled(Disable::PathDown)
        | Cause::ForwardingReset => before,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_session_that_was_up_and_failed_is_down_for_bgp() {
        use BfdState::{Down as Failed, Unknown, Up as Works};
        use State::{AdminDown, Down, Init, Up};
        let timeout = Cause::DetectionTimeExpired;
        for (before, from, to, cause, after) in [
            (Unknown, Down, Init, Cause::Handshake, Unknown),
            (Unknown, Init, Up, Cause::Handshake, Works),
            (Unknown, Init, Down, timeout, Unknown),
            (Works, Up, Down, timeout, Failed),
            (Works, Up, Down, Cause::NeighborDown, Failed),
            (Works, Up, AdminDown, Cause::Disabled(Disable::PathDown), Failed),
            (Works, Up, Down, Cause::NeighborAdminDown, Unknown),
            (Works, Up, AdminDown, Cause::Disabled(Disable::Administratively), Unknown),
            (Failed, Down, Init, Cause::Handshake, Failed),
            (Failed, Init, Down, timeout, Failed),
            (Failed, Init, Up, Cause::Handshake, Works),
            (Failed, Init, Down, Cause::NeighborAdminDown, Unknown),
            (Unknown, AdminDown, Down, Cause::Enabled, Unknown),
        ] {
            assert_eq!(judge(before, from, to, cause), after, "{before:?}: {from} to {to}, {cause:?}");
        }
    }
}
