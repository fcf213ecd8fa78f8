//! What one session tells the log and the status.

use std::fmt;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use ironlb_bgp_proto::codec::iana::{cease, error};
use ironlb_bgp_proto::{
    COUNTED_AT_MOST, Counters, Down, DownReason, Family, Negotiated, Notice, OwnAddresses, Peer, State,
};
use ironlb_model::Timestamp;
use tracing::{debug, info, warn};

use crate::bfd;
use crate::clock::now;
use crate::dial::DialError;
use crate::place::Place;
use crate::status::{Board, SessionStatus};

/// How old numbers may be that are shown. To count routes costs a look at each.
const NUMBERS: Duration = Duration::from_secs(1);

/// And those of the moment at which the peer knows everything, which others wait for.
const AWAITED: Duration = Duration::from_millis(100);

/// So long it stands that the kernel cannot reach the peer although attempts since then heard nothing. The kernel gives up on a neighbour
/// after three seconds; of attempts that are shorter most end before that, and now and then one hears of it. Without this the two would
/// take turns for as long as the peer is away, each time as news. Chosen: many such turns.
const UNREACHABLE_STANDS: Duration = Duration::from_mins(5);

/// A session's status as its task knows it, and as it was last told.
pub(super) struct Report {
    name: Arc<str>,
    board: Arc<Board>,
    status: SessionStatus,
    /// Something has changed that is told at once.
    is_urgent: bool,
    /// Numbers have changed, which can wait.
    posted_at: Timestamp,
    is_stale: bool,
    /// The peer has come to know everything.
    is_awaited: bool,
    counted: Counters,
    had_pending: bool,
    is_mute: bool,
    /// That the kernel cannot reach the peer, in words, and when it last said so.
    unreachable: Option<(String, Timestamp)>,
    /// The trouble that was last logged: the same one is not logged at each attempt.
    logged: Option<String>,
}

impl Report {
    pub(super) fn new(name: Arc<str>, board: Arc<Board>) -> Self {
        let status = SessionStatus::new(now());
        Self {
            name,
            board,
            status,
            is_urgent: true,
            posted_at: Timestamp::ZERO,
            is_stale: false,
            is_awaited: false,
            counted: Counters::default(),
            had_pending: false,
            is_mute: false,
            unreachable: None,
            logged: None,
        }
    }

    pub(super) fn name(&self) -> Arc<str> {
        Arc::clone(&self.name)
    }

    /// From now on the status belongs to nobody, or to another task.
    pub(super) fn mute(&mut self) {
        self.is_mute = true;
    }

    pub(super) fn state(&mut self, from: State, to: State) {
        // A peer that is away is tried every few seconds: that it cannot be reached is said once, as the trouble.
        if from.max(to) < State::OpenSent {
            debug!(peer = &*self.name, state = to.category(), from = from.category(), "session");
        } else {
            info!(peer = &*self.name, state = to.category(), from = from.category(), "session");
        }
        (self.status.state, self.status.since) = (to, now());
        self.is_urgent = true;
    }

    pub(super) fn up(&mut self, negotiated: &Arc<Negotiated>, at: Option<Timestamp>) {
        let families: Vec<_> = negotiated.families.keys().map(|family| family.category()).collect();
        info!(
            peer = &*self.name,
            address = self.status.remote.map(tracing::field::display),
            asn = %negotiated.peer_as,
            router_id = %negotiated.peer_id,
            hold_time = ?negotiated.hold_time.unwrap_or_default(),
            families = families.join(","),
            graceful_restart = negotiated.graceful_restart.is_some_and(|restart| restart.is_mutual),
            "session is up"
        );
        self.status.negotiated = Some(Arc::clone(negotiated));
        self.status.established_at = at;
        self.status.trouble = None;
        self.logged = None;
        self.is_urgent = true;
    }

    pub(super) fn down(&mut self, down: &Down) {
        let retry_in = down.retry_at.map(|at| at.since(now()));
        // Each attempt ends in one of these while a peer is away; its first words are in the log already, as the trouble.
        if down.was_up || down.sent.is_some() || self.status.trouble.is_none() {
            info!(
                peer = &*self.name,
                reason = down.reason.category(),
                error = %down.reason,
                sent = down.sent.as_ref().map(tracing::field::display),
                retry_in = retry_in.map(tracing::field::debug),
                was_up = down.was_up,
                "session is down"
            );
        }
        if down.was_up && !is_collision(&down.reason) {
            self.status.flaps += 1;
            (self.status.last_end, self.status.last_end_at) = (Some(down.clone()), Some(now()));
        }
        self.status.last_down = Some(down.clone());
        self.status.last_down_at = Some(now());
        if down.was_up {
            (self.status.negotiated, self.status.established_at) = (None, None);
        }
        self.is_urgent = true;
    }

    pub(super) fn notice(&self, notice: &Notice) {
        let peer = &*self.name;
        match notice {
            Notice::EndOfRibSent(family) => info!(peer, family = family.category(), "the peer has all routes"),
            Notice::EndOfRibReceived(family) => {
                debug!(peer, family = family.category(), "the peer has sent all routes")
            }
            Notice::RefreshRequested(family) => {
                info!(peer, family = family.category(), "the peer wants all routes again")
            }
            Notice::TreatedAsWithdraw(fault) => {
                warn!(peer, fault = ?fault, "an UPDATE was wrong: its routes count as withdrawn");
            }
            Notice::AttributeDiscarded(fault) => debug!(peer, fault = ?fault, "an attribute was passed over"),
            Notice::MoreThanCounted(family) => warn!(
                peer,
                family = family.category(),
                counted = COUNTED_AT_MOST,
                "the peer announces more prefixes than are counted; none is used: let the router send none to this node"
            ),
            Notice::CollisionResolved { .. } => debug!(peer, "of two connections one was closed"),
            Notice::ConnectionRefused(_) => debug!(peer, "a connection of the peer's was closed: not now"),
            Notice::WaitingForBfd => info!(peer, "connected; waiting for BFD before the OPEN"),
            Notice::Ignored(kind) => debug!(peer, kind = ?kind, "a message without meaning was passed over"),
        }
    }

    /// An attempt to connect came to nothing.
    pub(super) fn cannot_dial(&mut self, error: &DialError) {
        self.cannot_dial_at(error, now());
    }

    fn cannot_dial_at(&mut self, error: &DialError, now: Timestamp) {
        if error.is_unreachable() {
            self.unreachable = Some((error.to_string(), now));
        }
        let stands = self.unreachable.as_ref().is_some_and(|(words, at)| {
            self.status.trouble.as_ref() == Some(words) && now.since(*at) < UNREACHABLE_STANDS
        });
        if !(error.is_silence() && stands) {
            self.trouble(error);
        }
    }

    pub(super) fn trouble(&mut self, error: &dyn fmt::Display) {
        let words = error.to_string();
        if self.logged.as_ref() != Some(&words) {
            info!(peer = &*self.name, error = words, "no connection");
            self.logged = Some(words.clone());
        }
        if self.status.trouble.as_ref() != Some(&words) {
            self.status.trouble = Some(words);
            self.is_urgent = true;
        }
    }

    pub(super) fn cannot_admit(&mut self, error: &std::io::Error) {
        self.trouble(&format_args!("a connection of the peer's cannot be used: {error}"));
    }

    /// A connection ended that the machine had not closed.
    pub(super) fn lost(&mut self, error: Option<&std::io::Error>) {
        if self.status.state == State::Established {
            return;
        }
        match error {
            Some(error) => self.trouble(&format_args!("the peer gave up the connection: {error}")),
            None => self.trouble(&"the peer took the connection and closed it; it may not be configured for this node"),
        }
    }

    /// What is tried; shown until there is a connection, and while there is none.
    pub(super) fn tries(&mut self, address: Option<SocketAddr>) {
        if address.is_some() && self.status.remote.map(|remote| remote.ip()) != address.map(|address| address.ip()) {
            self.status.remote = address;
            self.is_urgent = true;
        }
    }

    /// A connection is there.
    pub(super) fn connected(&mut self) {
        self.is_urgent |= self.status.trouble.take().is_some();
    }

    pub(super) fn place(&mut self, place: &Place, own: OwnAddresses) {
        self.status.local = Some(place.local);
        self.status.remote = Some(place.remote);
        self.status.interface.clone_from(&place.interface);
        self.own(own);
        self.is_urgent = true;
    }

    pub(super) fn own(&mut self, own: OwnAddresses) {
        self.is_urgent |= self.status.own != own;
        self.status.own = own;
    }

    pub(super) fn bfd(&mut self, status: Option<bfd::Status>) {
        self.is_urgent |= self.status.bfd != status;
        self.status.bfd = status;
    }

    /// When numbers are told at the latest.
    pub(super) fn next_post(&self) -> Option<Timestamp> {
        let wait = if self.is_awaited { AWAITED } else { NUMBERS };
        self.is_stale.then(|| self.posted_at + wait)
    }

    /// Looks at the machine's numbers, and tells what is to be told now.
    pub(super) fn numbers(&mut self, peer: &Peer) {
        let counters = peer.counters();
        let pending = !peer.rib_out().is_drained();
        self.is_stale |= counters != self.counted || pending != self.had_pending;
        self.is_awaited |= self.had_pending && !pending;
        (self.counted, self.had_pending) = (counters, pending);
        let is_due = self.next_post().is_some_and(|at| at <= now());
        if self.is_mute || !(self.is_urgent || is_due) {
            return;
        }
        let count = |number: usize| u64::try_from(number).unwrap_or(u64::MAX);
        self.status.counters = counters;
        self.status.pending = count(peer.rib_out().pending());
        self.status.withheld = peer.rib_out().withheld().iter().map(|(why, number)| (*why, count(*number))).collect();
        self.status.advertised = carried(peer, |family| count(peer.rib_out().advertised(family)));
        self.status.received = carried(peer, |family| count(peer.received().held(family)));
        (self.is_urgent, self.is_awaited, self.is_stale, self.posted_at) = (false, false, false, now());
        let (name, status) = (&*self.name, &self.status);
        self.board.post(|all| match all.sessions.get_mut(name) {
            Some(known) if known == status => false,
            Some(known) => {
                known.clone_from(status);
                true
            }
            // Taken away meanwhile.
            None => false,
        });
    }
}

/// Two connections met, and the peer kept the other one: this end was up for the time of a message, and nothing had gone wrong.
fn is_collision(reason: &DownReason) -> bool {
    match reason {
        DownReason::Collision => true,
        DownReason::NotificationReceived(notification) => {
            (notification.code, notification.subcode) == (error::CEASE, cease::COLLISION_RESOLUTION)
        }
        _ => false,
    }
}

fn carried(peer: &Peer, count: impl Fn(Family) -> u64) -> std::collections::BTreeMap<Family, u64> {
    let families = peer.negotiated().into_iter().flat_map(|negotiated| negotiated.families.keys());
    families.map(|family| (*family, count(*family))).collect()
}

#[cfg(test)]
mod tests {
    use std::io::{Error, ErrorKind};

    use super::*;

    #[test]
    fn a_silence_is_no_news_while_it_is_known_that_the_peer_cannot_be_reached() {
        let mut report = Report::new("r".into(), Arc::new(Board::new()));
        let at = |seconds: u64| Timestamp::ZERO + Duration::from_secs(seconds);
        let peer: SocketAddr = ([192, 0, 2, 1], 179).into();
        let silence = || DialError::Silent { peer, wait: Duration::from_millis(700), is_signed: false };
        let said = |kind: ErrorKind| DialError::Connect { peer, error: Error::from(kind) };
        let mut told = |error: DialError, seconds| {
            report.cannot_dial_at(&error, at(seconds));
            report.status.trouble.clone().unwrap_or_default()
        };
        assert!(told(silence(), 0).contains("has not answered"));
        assert!(told(said(ErrorKind::HostUnreachable), 10).contains("cannot be reached"));
        assert!(told(silence(), 11).contains("cannot be reached"));
        assert!(told(said(ErrorKind::HostUnreachable), 200).contains("cannot be reached"));
        assert!(told(silence(), 499).contains("cannot be reached"));
        assert!(told(silence(), 500).contains("has not answered"), "it has not been said for long");
        assert!(told(said(ErrorKind::HostUnreachable), 600).contains("cannot be reached"));
        assert!(told(said(ErrorKind::ConnectionRefused), 601).contains("refuses"), "somebody has answered");
        assert!(told(silence(), 602).contains("has not answered"));
    }
}
