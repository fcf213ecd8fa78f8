//! Turns Kubernetes objects into the values ironlb decides on, and tells what is wrong with them.
//!
//! Every function here takes one object and returns the best value that can be made of it, together with an
//! [`Issue`](ironlb_model::Issue) for each fault: which object, which field, what is wrong, what to write instead. None fails and
//! none panics, whatever the object holds, so one bad object never stops another.
//!
//! What it does not do: it looks at one object at a time (whether two Eips overlap, whether a wish can be granted is for `ipam`
//! to say), it remembers nothing, and it talks to nobody.
//!
//! Invariants:
//! - what cannot be read is never taken for what is absent, where that would give something away: an unreadable wish is not "no
//!   wish", with an unreadable exclusion or reservation nothing is given out, an unreadable selector holds for nothing, an
//!   unreadable interface is a name no node has;
//! - addresses come out in canonical form, whatever their spelling.
//!
//! Start reading at [`service()`] and [`eip()`]; the grammars are in [`address`] and [`interface`].

#![forbid(unsafe_code)]

pub mod address;
mod bgp;
pub mod duration;
mod eip;
mod endpoints;
pub mod interface;
mod metadata;
mod node;
mod policy;
mod quote;
mod selector;
mod service;
mod speaker;
pub mod wish;

pub use bgp::{bgp_conf, bgp_peer};
pub use eip::eip;
pub use endpoints::{Slice, endpoint_slice, merge};
pub use metadata::parse_version;
pub use node::{namespace, node};
pub use policy::{POLICY_KEY, policy};
pub use service::service;
pub use speaker::speaker;

#[cfg(test)]
mod properties;
