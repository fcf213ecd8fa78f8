//! The way to and from the Kubernetes API: watches and the stores they fill, leadership, and the writes.
//!
//! What comes in is translated on arrival into the values of `ironlb_model` and dropped; what goes out comes from a decision and is
//! written as it is. Nothing is decided here: a store remembers, a watch repeats, a write reports what became of it.
//!
//! What this crate does not do: it knows no rule about Services or Eips, and it keeps no object longer than it takes to translate it.
//!
//! Invariants:
//! - no snapshot exists until every watch it is made of has finished its first list ([`Stores::snapshot`]);
//! - a store never loses what it has: a broken watch leaves the last complete state in force;
//! - every request ends within a bound that is written beside it.
//!
//! Start reading at [`Stores`], then `watch.rs`.

#![forbid(unsafe_code)]

mod args;
mod arrival;
mod backoff;
pub mod client;
pub mod clock;
mod counters;
pub mod crds;
pub mod election;
pub mod events;
pub mod kind;
mod leadership;
pub mod node_lease;
pub mod once;
pub mod openelb;
mod outcome;
mod references;
mod signal;
mod store;
mod stores;
mod throttle;
mod watch;
pub mod write;

pub use args::{ClusterArgs, Selection};
pub use backoff::{Backoff, spread};
pub use client::{Clients, ConnectError, Source};
pub use counters::{Counter, WatchCounters};
pub use election::{Epoch, Timing};
pub use events::{Events, Reporter, Telling, Tone};
pub use leadership::{Candidacy, Leadership, Term};
pub use node_lease::{NodeLease, NodeLeaseWrite, NodeLeases};
pub use outcome::Outcome;
pub use signal::Signal;
pub use store::Store;
pub use stores::{Awaited, Scope, Stores, Watched};
pub use throttle::Throttle;
pub use watch::WatchError;
pub use write::Writer;
