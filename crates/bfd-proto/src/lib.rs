//! Bidirectional Forwarding Detection as a machine: is the path to a router still there? Answered within milliseconds.
//!
//! What it does:
//! - takes BFD Control packets apart and puts them together ([`packet`]), with their keyed SHA1 hashes ([`authentication`]);
//! - runs one session: its state, both sides' intervals, Poll Sequences, the Detection Time ([`Session`]);
//! - holds all sessions of a node, finds the one a datagram is for, and knows which of hundreds is due next ([`Sessions`]).
//!
//! What it does not do: no socket, no clock, no randomness of its own (a seed comes in). It does not decide what a session that
//! went down means to BGP; each change carries its [`Cause`], and RFC 5882 is read elsewhere.
//!
//! Standards: RFC 5880 in asynchronous mode, RFC 5881 (single hop), RFC 5883 (multihop). A peer's Demand mode is honoured. Left
//! out: Demand mode of our own and the Echo function (we never ask for either, and offer no Echo), concatenated paths, and of the
//! authentication types simple password and MD5.
//!
//! # The contract of the machines
//!
//! 1. `handle_input` is the only way in, `poll_output` the only way out; outputs are taken until `None` after every call that
//!    hands something in, and after [`Session::new`].
//! 2. `poll_timeout` is asked after the outputs are drained; at that moment, or earlier at will, `handle_timeout` is called.
//! 3. `now` never goes backwards; a smaller one is taken as the largest seen.
//! 4. Only `handle_timeout` finds that a Detection Time has passed. A driver that was held up hands in what is in its sockets
//!    before it calls that, so that its own lateness is not taken for the peer's silence.
//!
//! Invariants:
//! - every datagram handed in is either taken or dropped for one [`DropReason`]; no byte sequence panics;
//! - between two periodic packets at least 75 % of the negotiated interval passes, save where a state changes;
//! - while a session is not Up it neither sends nor claims to send more than once a second;
//! - memory is bounded by the number of sessions, whatever arrives.
//!
//! Each rule that the RFCs put as a MUST is quoted above the line that keeps it, and again above the test that shows it.
//!
//! Start reading at [`Session`].

#![forbid(unsafe_code)]
#![cfg_attr(not(test), deny(clippy::indexing_slicing, clippy::unwrap_used, clippy::expect_used, clippy::panic))]

pub mod authentication;
mod config;
mod drop_reason;
mod iana;
pub mod packet;
mod random;
mod session;
mod sessions;

pub use config::{Config, Hops, Interval, OutOfRange, Role};
pub use drop_reason::DropReason;
pub use iana::{Diagnostic, MULTI_HOP_PORT, SINGLE_HOP_PORT, SOURCE_PORTS, State, TTL};
pub use packet::Discriminator;
pub use session::{Cause, Disable, Input, Output, Remote, Session};
pub use sessions::{AddError, Datagram, Notice, Path, Sessions};
