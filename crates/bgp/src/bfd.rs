//! BFD beside the sessions: what is wanted of it, and how it stands.

use std::time::Duration;

use ironlb_bfd_proto::{Config, State};

/// BFD beside one session.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Setup {
    /// Intervals, multiplier, and whether the peer is one hop away or several with a least TTL.
    pub config: Config,
}

/// How BFD stands beside one session.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Status {
    /// Our state.
    pub state: State,
    /// The peer's, once it was heard.
    pub remote_state: Option<State>,
    /// Why our state last changed, in the words of RFC 5880.
    pub diagnostic: String,
    /// Why the peer's did, as it says.
    pub remote_diagnostic: String,
    /// After so long without a packet the peer counts as gone; once it was heard.
    pub detection_time: Option<Duration>,
    /// How often we send.
    pub transmit_interval: Option<Duration>,
    /// How many times it went down after being up.
    pub downs: u64,
    /// Why there is no packet at all, in words (a port that is taken, for one).
    pub trouble: Option<String>,
}
