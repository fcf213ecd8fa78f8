//! BGP on a real node: sockets, the clock and what the kernel says of interfaces, around the machines of crates `bgp-proto` and
//! `bfd-proto`.
//!
//! What it does:
//! - listens, connects and matches incoming connections to the configured sessions ([`Bgp::configure`]);
//! - carries bytes, timers and routes between each session's machine and its router ([`Bgp::advertise`]);
//! - sets what belongs to the transport: TCP MD5, TTL and GTSM, source address, DSCP;
//! - finds the node's own addresses on the connection and the router at the other end of an unnumbered link;
//! - runs BFD beside the sessions that want it ([`bfd`]);
//! - asks the kernel whether packets for an advertised aggregate would go back to a router ([`passes_on`]);
//! - tells where each session stands and why it is not up ([`Bgp::status`]).
//!
//! What it does not do: it holds no rule of the protocols, decides neither which sessions there are nor which routes, and knows
//! nothing of Kubernetes. It changes nothing in the kernel's tables.
//!
//! Invariants:
//! - each session has a task of its own: a peer that is dead, slow or hostile holds up no other one;
//! - a listener that cannot bind stops no session, and neither does a faulty password of another one;
//! - what waits for a peer that does not read is bounded, whatever changes meanwhile;
//! - the code that the compiler cannot check is in one module, `raw`.
//!
//! Start reading at [`Bgp`], then `session.rs`.

#![deny(unsafe_code)]

mod addresses;
mod backoff;
pub mod bfd;
mod bgp;
mod clock;
mod connection;
mod dial;
mod listener;
mod neighbor;
mod place;
mod raw;
mod session;
mod setup;
mod status;
mod supervisor;
mod transport;
mod way_back;

pub use bgp::Bgp;
pub use clock::now;
pub use setup::{Leave, Listener, Session, Setup};
pub use status::{ListenerStatus, Listening, SessionStatus, Status};
pub use way_back::{WayError, passes_on};
