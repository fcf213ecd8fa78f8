//! What one node announces, by which protocol, and why not the rest.
//!
//! What it does, in this order, each step a file:
//! - `holders`: which vips there are, and for which Services of ours;
//! - `eip_of`: by which Eip each is announced;
//! - `roster`, `interface`, `eligible`: which nodes may announce it;
//! - `elect`: which of them does: who owns it keeps it, else the best preference, the rendezvous hash, a bounded load;
//! - `bgp`: what is advertised to routers, by every node that may;
//! - `report`: what there is to tell;
//! - `diff`: what to do about it.
//!
//! What it does not do: it talks to nobody and remembers nothing but [`Memory`], which the caller keeps. Two nodes with the same view
//! come to the same owner; that two with different views do not both answer is for the claims to see to (crate `membership`): a
//! vip is answered only while it is both in [`Announcements::layer2`] and in [`LocalView::may_answer`].
//!
//! Invariants:
//! - every vip of a Service of ours is in exactly one of `layer2`, `bgp` and `withheld`, and what is withheld has a [`Reason`];
//! - among nodes with one view exactly one has a vip in `layer2` if any node may announce it, none otherwise (except before the
//!   first claim where a `can_reach` target lies behind a router: each node knows its own route alone and elects itself);
//! - an owner that still may is never replaced.
//!
//! Served: Layer 2, protocol `vip` as Layer 2, and BGP where the speaker runs it (else `ProtocolNotServed`).
//!
//! Start reading at [`step()`] and [`decide()`].

#![forbid(unsafe_code)]

mod bgp;
mod decide;
mod diff;
mod drain;
mod eip_of;
mod elect;
mod eligible;
mod footing;
mod holders;
mod interface;
mod local_view;
mod memory;
mod node_set;
mod reason;
mod report;
mod roster;
mod step;

#[cfg(test)]
#[path = "../tests/site/mod.rs"]
mod site;

pub use bgp::{
    BgpPlan, NoSession, OwnBgp, RefusedPeer, RouteAttributes, RouteKey, RouteValue, SHUTDOWN_WAIT, SessionFacts,
    SessionSpec, VipRoute, router_id, routes,
};
pub use decide::{Announcements, Layer2Spec, decide};
pub use diff::{Action, REPORT_INTERVAL, diff};
pub use drain::{Drain, drain};
pub use footing::{Footing, STALE_AFTER, footing};
pub use local_view::{ExcludeLabel, LocalView};
pub use memory::{Applied, Memory};
pub use reason::{Reason, Remark};
pub use report::{MAX_LOOPING, MAX_OWNED, MAX_WITHHELD};
pub use step::{Step, step};
