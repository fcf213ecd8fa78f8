//! The controller: gives vips to Services and keeps the statuses of Services and Eips true.
//!
//! It is a loop around one decision, [`ironlb_ipam::step`]: observe (a snapshot of the stores), decide (the step), act (its
//! actions, each with an outcome that the next step knows). Of several replicas one leads and decides; the others keep their
//! stores warm.
//!
//! What it does not do: it holds no rule about addresses, and it announces nothing.
//!
//! Invariants:
//! - nothing is written without a claim to leadership that is checked when the request is sent;
//! - a new leader decides only on what it has listed afresh;
//! - an outcome is told to the memory exactly once for each action.
//!
//! Start reading at [`run()`], then `reconcile.rs`.

#![forbid(unsafe_code)]

mod act;
mod args;
mod metrics;
mod reconcile;
mod run;
mod traffic;

pub use args::Args;
pub use run::run;
