//! How things stand.

use std::collections::BTreeMap;
use std::net::{IpAddr, SocketAddr};
use std::sync::{Arc, Mutex, PoisonError};

use ironlb_bgp_proto::{Counters, Down, Family, Negotiated, OwnAddresses, State, Withheld};
use ironlb_model::Timestamp;
use tokio::sync::watch;

use crate::bfd;

/// The listener and the sessions as they stand.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Status {
    /// Where routers can connect to.
    pub listener: ListenerStatus,
    /// The sessions, by the names they were configured with.
    pub sessions: BTreeMap<String, SessionStatus>,
}

/// Where routers can connect to, and why not elsewhere.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct ListenerStatus {
    /// By address: `0.0.0.0` and `::` stand for all of a family.
    pub addresses: BTreeMap<IpAddr, Listening>,
    /// Connections that belonged to no session and were closed.
    pub refused: u64,
}

/// One listening address.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Listening {
    /// It listens on this port.
    On(u16),
    /// It does not, for this reason; it is tried again.
    Not(String),
}

/// One session.
#[derive(Debug, Clone, PartialEq)]
pub struct SessionStatus {
    /// The state of RFC 4271.
    pub state: State,
    /// In this state since then.
    pub since: Timestamp,
    /// Up since then, if it is up.
    pub established_at: Option<Timestamp>,
    /// How many times it went down after being up.
    pub flaps: u64,
    /// What both agreed on, while it is up.
    pub negotiated: Option<Arc<Negotiated>>,
    /// Our end of the connection.
    pub local: Option<SocketAddr>,
    /// The peer's end of the connection, or the address that is tried.
    pub remote: Option<SocketAddr>,
    /// The interface through which the peer is reached.
    pub interface: Option<String>,
    /// What [`ironlb_bgp_proto::NextHop::Own`] stands for, as configured and as found on the connection.
    pub own: OwnAddresses,
    /// How the last session or attempt ended.
    pub last_down: Option<Down>,
    /// When.
    pub last_down_at: Option<Timestamp>,
    /// How the last session that was up ended: attempts that came to nothing since then leave it as it is.
    pub last_end: Option<Down>,
    /// When.
    pub last_end_at: Option<Timestamp>,
    /// Why no connection comes about, in words; none while there is nothing to say.
    pub trouble: Option<String>,
    /// Messages by type, over all sessions with this peer.
    pub counters: Counters,
    /// How many prefixes the peer was told, by family; of this and the two next, what is shown is at most a second old.
    pub advertised: BTreeMap<Family, u64>,
    /// How many routes the peer has not been told yet.
    pub pending: u64,
    /// How many routes of the desired ones cannot be said in this session, by reason.
    pub withheld: BTreeMap<Withheld, u64>,
    /// How many prefixes the peer has announced and not withdrawn, by family, counted up to [`ironlb_bgp_proto::COUNTED_AT_MOST`].
    pub received: BTreeMap<Family, u64>,
    /// BFD, where the session has it.
    pub bfd: Option<bfd::Status>,
}

impl SessionStatus {
    /// A session that has not begun.
    #[must_use]
    pub fn new(now: Timestamp) -> Self {
        Self {
            state: State::Idle,
            since: now,
            established_at: None,
            flaps: 0,
            negotiated: None,
            local: None,
            remote: None,
            interface: None,
            own: OwnAddresses::default(),
            last_down: None,
            last_down_at: None,
            last_end: None,
            last_end_at: None,
            trouble: None,
            counters: Counters::default(),
            advertised: BTreeMap::new(),
            pending: 0,
            withheld: BTreeMap::new(),
            received: BTreeMap::new(),
            bfd: None,
        }
    }
}

/// Where all tasks put what they know, and everybody else reads it.
#[derive(Debug)]
pub(crate) struct Board {
    status: Mutex<Arc<Status>>,
    version: watch::Sender<u64>,
}

impl Board {
    pub(crate) fn new() -> Self {
        Self { status: Mutex::default(), version: watch::Sender::new(0) }
    }

    pub(crate) fn read(&self) -> Arc<Status> {
        Arc::clone(&self.status.lock().unwrap_or_else(PoisonError::into_inner))
    }

    pub(crate) fn changes(&self) -> watch::Receiver<u64> {
        self.version.subscribe()
    }

    /// Changes the status, and wakes who waits for it if it is another now. A copy is made only while somebody holds the last one.
    pub(crate) fn post(&self, change: impl FnOnce(&mut Status) -> bool) {
        let mut status = self.status.lock().unwrap_or_else(PoisonError::into_inner);
        if change(Arc::make_mut(&mut status)) {
            drop(status);
            self.version.send_modify(|version| *version += 1);
        }
    }
}
