//! How long decisions take, beside the bars they are held to: `make bench`.
//!
//! What it does: holds the clusters that are decided on and the stopwatch. What it does not do: it decides nothing and judges nothing
//! but time. Start reading at the benchmarks, one file for each decision.

#![forbid(unsafe_code)]

mod cluster;
mod stopwatch;

pub use cluster::{Cluster, settled};
pub use stopwatch::report;
