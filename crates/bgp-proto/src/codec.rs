//! Messages on the wire, and nothing else that knows what bytes look like.
//!
//! This module is the only one that would change if the codec were replaced. It parses without indexing, keeps what it does not
//! know where its RFC wants that (capabilities), and answers every fault with the NOTIFICATION or the treatment of RFC 7606 that
//! belongs to it. Of an UPDATE received it keeps the prefixes alone: attributes are judged and let go.
//!
//! It is our own and not a crate from outside: those that speak all of this hold ten times the code for families that a speaker
//! which imports nothing never asks for, and index into what the network sent. One of them judges this one in its tests.

pub(crate) mod attribute;
pub mod capability;
pub mod frame;
pub mod iana;
pub mod notification;
pub mod open;
pub(crate) mod pack;
mod reader;
pub mod route_refresh;
pub mod update;

pub use capability::{Abilities, Capability, GracefulRestart};
pub use frame::{Frame, HeaderError, MAX_EXTENDED_MESSAGE_LEN, MAX_MESSAGE_LEN, MessageKind, keepalive, split};
pub use notification::Notification;
pub use open::{Open, OpenError};
pub use route_refresh::{RefreshError, RefreshKind, RouteRefresh};
pub use update::{AttributeFault, Fault, Inspected, UpdateContext, UpdateError, inspect};

#[cfg(test)]
mod oracles;
#[cfg(test)]
mod properties;
