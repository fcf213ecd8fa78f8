//! What the machine is told, and what it wants done.

use std::sync::Arc;

use ironlb_model::Timestamp;

use crate::codec::{Fault, MessageKind, Notification};
use crate::{Config, DownReason, Family, Negotiated, Routes, State, Stop};

/// One TCP connection of a peer. Numbers are given by [`crate::Peer`] and never used twice.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ConnectionId(pub u64);

/// What BFD says of the path to the peer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum BfdState {
    /// There is no session, it was never up, or one end took it down on purpose: nothing is known (RFC 5882 §3.2).
    #[default]
    Unknown,
    /// It is up.
    Up,
    /// It was up, and went down.
    Down,
}

/// What the machine is told.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Input {
    /// Begin, and go on for ever. Nothing is sent before the first [`Input::Desired`]: an End-of-RIB of an empty table would take
    /// every route from a peer that bridged our restart.
    Start,
    /// End, and do not begin again until told to.
    Stop(Stop),
    /// End with a Cease (administrative reset, with this text) and begin again at once.
    Reset(String),
    /// What the peer is to know from now on; all of it. No session ends because of it.
    Desired(Arc<Routes>),
    /// Mark all routes as about to go (RFC 8326): the community GRACEFUL_SHUTDOWN, and the lowest LOCAL_PREF to an internal peer.
    GracefulShutdown(bool),
    /// What was configured has changed. The session ends only if [`Config::needs_reset`] says so.
    Configure(Box<Config>),
    /// The connection asked for by [`Output::Connect`] is up.
    Connected(ConnectionId),
    /// The peer has connected to us; the number is from [`crate::Peer::next_connection`]. [`Output::Close`] is the answer when
    /// it is not wanted.
    Accepted(ConnectionId),
    /// Bytes came.
    Received(ConnectionId, Vec<u8>),
    /// The socket took some of what was written: the peer reads.
    Sent(ConnectionId),
    /// The connection is gone, or never came about. What came before has been handed in before.
    Closed(ConnectionId),
    /// What BFD says has changed.
    Bfd(BfdState),
    /// The link by which a connection runs to a peer that is directly on it has lost its carrier, or was taken down. An external session
    /// ends at once and not when the hold timer expires; an internal one may find another way. No NOTIFICATION is sent: it could not
    /// leave, and a peer that bridges restarts keeps the routes if the link is back before it has noticed.
    LinkDown(ConnectionId),
}

/// What the machine wants done, in this order.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Output {
    /// Connect to the peer. The answer is [`Input::Connected`] or [`Input::Closed`].
    Connect(ConnectionId),
    /// Send these bytes, after all that were to be sent before.
    Write(ConnectionId, Vec<u8>),
    /// Close this connection once everything before is sent, or has not been within a second; [`Input::Closed`] is not awaited.
    Close(ConnectionId),
    /// The session is in another state now.
    State {
        /// Before.
        from: State,
        /// Now.
        to: State,
    },
    /// The session is up; [`crate::Peer::poll_update`] now has something to say.
    Up(Arc<Negotiated>),
    /// The session was up, or on its way, and is not any more.
    Down(Down),
    /// Something an operator would put in a timeline.
    Notice(Notice),
}

/// How a session ended, or why one did not come to be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Down {
    /// Why.
    pub reason: DownReason,
    /// What we told the peer.
    pub sent: Option<Notification>,
    /// It was up before.
    pub was_up: bool,
    /// When the next attempt begins; `None` if there is none, or another connection goes on.
    pub retry_at: Option<Timestamp>,
}

/// Something an operator would put in a timeline.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Notice {
    /// The peer holds all routes of this family that were desired when the session came up.
    EndOfRibSent(Family),
    /// The peer has sent all of its routes of this family.
    EndOfRibReceived(Family),
    /// The peer wants everything of this family again.
    RefreshRequested(Family),
    /// An UPDATE was wrong, and its routes count as withdrawn.
    TreatedAsWithdraw(Fault),
    /// Attributes of an UPDATE were wrong and passed over.
    AttributeDiscarded(Fault),
    /// The peer has announced more prefixes of this family than are counted ([`crate::COUNTED_AT_MOST`]).
    MoreThanCounted(Family),
    /// A second connection was closed, and the session goes on with the first.
    CollisionResolved {
        /// The one that was closed.
        closed: ConnectionId,
    },
    /// A connection of the peer's was not taken: the session is in Idle.
    ConnectionRefused(ConnectionId),
    /// An OPEN waits for BFD.
    WaitingForBfd,
    /// A message came in that has no meaning here, and was passed over.
    Ignored(MessageKind),
}
