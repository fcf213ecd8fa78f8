//! BGP as a machine: the session with one router, and the routes it is told.
//!
//! What it does:
//! - reads and writes messages ([`codec`]);
//! - brings up one session with one configured router, keeps it up and begins again for ever ([`Peer`]);
//! - turns "these routes, with these attributes" into as few UPDATEs as carry it, and keeps the peer at exactly that ([`RibOut`]).
//!
//! What it does not do: no socket, no clock, no thread, no randomness (crate `bgp` has those; a seed comes in). It imports nothing:
//! routes of the peer are judged, counted and let go. It decides neither which routes there are nor which peer is to know them, and
//! knows nothing of Kubernetes.
//!
//! Standards: RFC 4271 (sessions §8, errors §6, collisions §6.8, jitter §10; of routes only what an originator needs), 4760 and
//! 2545 (IPv6), 5492 and 9072 (capabilities), 6793 (four octets), 6286 (identifiers), 7607 (AS 0), 2918 and 7313 (refresh, of our
//! routes), 4724 and 8538 (restart; the helper's part is empty, because nothing is kept), 7606 (errors in UPDATEs), 9687 (send hold
//! timer), 9003 (shutdown text), 4486, 6608 and 9384 (subcodes), 1997, 4360, 8092 and link bandwidth (communities), 8326 (graceful
//! shutdown), 8654 (long messages), 8950 (IPv6 next hops of IPv4 routes), 7911 (several paths, sending only), 5882 (BFD as an input).
//! Left out: MinRouteAdvertisementInterval (`specs/exceptions` says why), confederations, reflection, long-lived restart, roles.
//!
//! ```text
//!              Start                   connected: OPEN              OPEN                KEEPALIVE
//!      Idle ----------> Connect -----------------------> OpenSent -------> OpenConfirm ----------> Established
//!       ^                |   ^                             |                   |                       |
//!       |         failed |   | retry                       | connection        |                       |
//!       |                v   |    peer connects: OPEN      | failed            |                       |
//!       |               Active ------------------------> (OpenSent)            |                       |
//!       |                ^                                 |                   |                       |
//!       |                +---------------------------------+                   |                       |
//!       +------ any fault, NOTIFICATION, timer, stop --------------------------+-----------------------+
//!       (then, unless stopped, out again when the IdleHoldTimer goes off)
//! ```
//!
//! # The contract of the machine
//!
//! 1. [`Peer::handle_input`] is the only way in, [`Peer::poll_output`] the only way out; outputs are taken until `None` after every
//!    call, and carried out in order.
//! 2. [`Peer::poll_update`] is asked while the session's socket takes more: it is the way of routes, which wait inside until then.
//!    Outputs are taken before and after it.
//! 3. [`Peer::poll_timeout`] is asked after that; at that moment, or earlier at will, [`Peer::handle_timeout`] is called.
//! 4. Bytes that have come are handed in before a timer that is due, so that a process that slept does not take its own sleep for
//!    the peer's. The end of a connection is handed in after its last bytes.
//! 5. [`Input::Sent`] is handed in whenever the socket took something: from it the send hold timer knows that the peer reads.
//! 6. `now` never goes backwards; a smaller one is taken as the largest seen.
//!
//! Invariants:
//! - at most one connection is Established, at most two exist;
//! - no byte sequence panics, and memory does not grow with what a peer sends beyond a bound (prefixes are told apart up to the
//!   limit of their family, or [`COUNTED_AT_MOST`], to be counted once each);
//! - no OPEN is sent before [`Input::Desired`] came: an End-of-RIB always tells the truth;
//! - what is pending is a difference of two tables and never a queue;
//! - [`codec`] is the only module that knows bytes.
//!
//! Comments that begin with `//=` and `//#` quote the RFC that the line beneath them keeps; the same above a test, with `type=test`,
//! name the sentence that it shows, and `tests/quotes.rs` holds the one beside the other. What is not kept is in `specs/exceptions`, each
//! with its reason.
//!
//! Start reading at [`Peer`], then `fsm.rs`.

#![forbid(unsafe_code)]
#![cfg_attr(not(test), deny(clippy::indexing_slicing, clippy::unwrap_used, clippy::expect_used, clippy::panic))]

pub mod codec;
mod config;
mod export;
mod family;
mod fsm;
mod identity;
mod input;
mod jitter;
mod negotiate;
mod peer;
mod reason;
mod received;
mod rib_out;
mod route;
mod timers;

pub use config::{BfdUse, Config, FamilyConfig, HoldTime, LinkBandwidth, OwnAddresses, RestartConfig, Timing};
pub use export::Withheld;
pub use family::Family;
pub use fsm::State;
pub use identity::{Asn, RouterId};
pub use input::{BfdState, ConnectionId, Down, Input, Notice, Output};
pub use negotiate::{Negotiated, NegotiatedFamily, NegotiatedRestart, Refusal, negotiate};
pub use peer::{Counters, Peer};
pub use reason::{DownReason, Stop};
pub use received::{COUNTED_AT_MOST, Received};
pub use rib_out::{RibOut, Sent, Spelling};
pub use route::{Attributes, Community, ExtendedCommunity, LargeCommunity, NextHop, Origin, PathId, RouteKey, Routes};
