//! Layer 2 on a real node: raw sockets, what the kernel says about interfaces, and one thread per interface around the machine of
//! crate `layer2-proto`.
//!
//! What it does:
//! - follows the node's interfaces through netlink and publishes them as one immutable value ([`Layer2::interfaces`]);
//! - answers ARP for the vips it is given, per interface, and announces them ([`Layer2::set`]);
//! - stops by itself when the moment given by [`Layer2::set_valid_until`] passes, also after the process was frozen;
//! - asks the LAN who has an address ([`ask()`]);
//! - reports foreign claims ([`Observation`]) and counts everything ([`Layer2::metrics`]).
//!
//! What it does not do: it holds no rule of the protocol (those are in `layer2-proto`), and does not decide which vips to answer for.
//! It puts no address on any interface and changes nothing in the kernel.
//!
//! Invariants:
//! - when [`Layer2::set`] returns, nothing is answered any more for a vip that it took away;
//! - receiving never waits for anybody: an observation that finds the channel full is counted and dropped;
//! - the code that the compiler cannot check is in one file, [`raw`].
//!
//! Start reading at [`Layer2`], then `driver.rs`.

#![deny(unsafe_code)]

mod ask;
mod backoff;
mod budget;
mod counters;
mod driver;
mod interfaces;
mod layer2;
mod mailbox;
pub mod raw;
mod route;

pub use ask::ask;
pub use counters::InterfaceMetrics;
pub use interfaces::ReadError;
pub use ironlb_layer2_proto::{Config as Limits, DropReason, Rate, serves};
pub use layer2::{Config, Layer2, Observation, SetError, StartError};
pub use raw::boottime;
pub use route::{RouteError, route_interface};
