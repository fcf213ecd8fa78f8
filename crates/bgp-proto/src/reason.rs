//! Why a session is not up.

use crate::codec::{HeaderError, MessageKind, Notification, OpenError, RefreshError, UpdateError};
use crate::{Family, Refusal, State};

/// How a session is to end.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Stop {
    /// For good, by an operator's wish: Cease, administrative shutdown, with this text (RFC 9003) if it is not empty.
    Shutdown(String),
    /// For good, because the peer is not configured any more: Cease, peer de-configured.
    Deconfigured,
    /// Without a word, so that a peer which bridges a restart keeps the routes.
    Quiet,
}

/// Why a connection or a session ended, or one did not come to be.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum DownReason {
    /// We were told to stop.
    #[error("stopped")]
    Stopped(Stop),
    /// We were told to begin anew.
    #[error("reset")]
    Reset(String),
    /// What was configured now says something else in its OPEN.
    #[error("configuration changed")]
    Reconfigured,
    /// The peer said why.
    #[error("the peer sent {0}")]
    NotificationReceived(Notification),
    /// The connection ended without a word.
    #[error("the connection was closed")]
    ConnectionClosed,
    /// No connection came about.
    #[error("could not connect")]
    ConnectFailed,
    /// Nothing was heard of the peer for the hold time.
    #[error("hold timer expired")]
    HoldTimerExpired,
    /// The peer does not read what we send (RFC 9687).
    #[error("send hold timer expired: the peer does not read")]
    SendHoldTimerExpired,
    /// What came is no message.
    #[error("{0}")]
    Header(#[from] HeaderError),
    /// What came is no OPEN.
    #[error("{0}")]
    Open(#[from] OpenError),
    /// The peer's OPEN does not fit.
    #[error("{0}")]
    Refused(#[from] Refusal),
    /// An UPDATE after which the stream cannot be trusted.
    #[error("{0}")]
    Update(#[from] UpdateError),
    /// A ROUTE-REFRESH of a wrong length.
    #[error("{0}")]
    Refresh(#[from] RefreshError),
    /// A message that has no business in this state.
    #[error("{kind:?} in state {state:?}")]
    Unexpected {
        /// What came.
        kind: MessageKind,
        /// When.
        state: State,
    },
    /// Of two connections to one peer the other one stays.
    #[error("another connection to the peer stays")]
    Collision,
    /// BFD says that the path is down.
    #[error("BFD is down")]
    BfdDown,
    /// The link to a direct external peer has lost its carrier.
    #[error("the link to the peer is down")]
    LinkDown,
    /// The peer sent more prefixes than it may.
    #[error("more than {limit} prefixes of {family}")]
    MaximumPrefixes {
        /// Of which family.
        family: Family,
        /// How many it may send.
        limit: u32,
    },
    /// The peer, which can restart, opened a new connection: the old one is dead.
    #[error("the peer came back on a new connection")]
    PeerRestarted,
}

impl DownReason {
    /// Its name as a metric label.
    #[must_use]
    pub const fn category(&self) -> &'static str {
        match self {
            Self::Stopped(_) => "stopped",
            Self::Reset(_) => "reset",
            Self::Reconfigured => "reconfigured",
            Self::NotificationReceived(_) => "notification_received",
            Self::ConnectionClosed => "connection_closed",
            Self::ConnectFailed => "connect_failed",
            Self::HoldTimerExpired => "hold_timer_expired",
            Self::SendHoldTimerExpired => "send_hold_timer_expired",
            Self::Header(_) => "header_error",
            Self::Open(_) => "open_error",
            Self::Refused(refusal) => refusal.category(),
            Self::Update(_) => "update_error",
            Self::Refresh(_) => "refresh_error",
            Self::Unexpected { .. } => "unexpected_message",
            Self::Collision => "collision",
            Self::BfdDown => "bfd_down",
            Self::LinkDown => "link_down",
            Self::MaximumPrefixes { .. } => "maximum_prefixes",
            Self::PeerRestarted => "peer_restarted",
        }
    }
}
