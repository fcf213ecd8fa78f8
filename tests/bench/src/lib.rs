//! How long decisions take, and what the controller costs against a real API server, beside the bars they are held to: `make bench`.
//!
//! What it does: holds the clusters that are decided on, the Services that are made, the process that is measured, the stopwatch and
//! the table. What it does not do: it decides nothing and judges nothing but cost. Start reading at the benchmarks, one file for each.

#![forbid(unsafe_code)]

mod cluster;
mod process;
mod services;
mod stopwatch;
mod table;

pub use cluster::{Cluster, newcomer, settled};
pub use process::{Controller, Metrics};
pub use services::{Herd, Shown};
pub use stopwatch::{compare, report};
pub use table::row;
