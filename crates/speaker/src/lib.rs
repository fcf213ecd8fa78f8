//! The speaker: brings the traffic for the vips to its node.
//!
//! It is a loop around two pure parts. [`ironlb_announce::step`] decides what this node should own and answer for;
//! [`ironlb_membership::Membership`] knows who is alive, claims vips, and says for which of them this node may answer, and until
//! when. The loop feeds both with what it observes and carries out what they ask for.
//!
//! Beside it stand what outlives the process in a folder of the node (`state_directory.rs`): the last snapshot, for a restart while the API
//! server is away (`fallback.rs`, `resume.rs`), and the turn by which two speakers of one node hand over at an upgrade (`hand_over.rs`).
//!
//! BGP is decided in the same step; `bgp.rs` tells the driver what has changed, and what the sessions do wakes the loop.
//!
//! What it does not do: it holds no rule of election, of claims, of ARP or of BGP, and it writes nothing but its node's Lease, its
//! Speaker object, and its node's own key in the statuses of BgpConf and BgpPeers.
//!
//! Invariants:
//! - nothing is answered that membership has not confirmed as ours, nor longer than it allows; what is gone on with while no Lease can be
//!   read (`resume.rs`) ends before the first one that can is acted on;
//! - what is lost is answered no more before a Lease is written that gives it away;
//! - nothing is decided before every watch has finished its first list, or nobody has answered for 5 s and a snapshot was kept on this boot;
//! - no session is opened and no Lease taken while another speaker of the node has the turn and answers.
//!
//! Start reading at [`run()`], then `reconcile.rs`.

#![forbid(unsafe_code)]

mod aggregates;
mod args;
mod bgp;
mod conflicts;
mod fallback;
mod hand_over;
mod kept_snapshot;
mod lease;
mod metrics;
mod reconcile;
mod resume;
mod routes;
mod run;
mod state_directory;
mod status;
#[cfg(test)]
mod testing;

pub use args::{Args, Membership};
pub use run::run;
