//! What a running ironlb tells about itself: logs, metrics, health.
//!
//! What it does:
//! - [`start_logging`] sets the process's log up once; [`fields`] holds the names of the fields, so that one thing has one
//!   name in every line;
//! - [`Metrics`] is the registry. Each crate that counts has a struct of its metrics and a function that registers it:
//!   `metrics.add(MyMetrics::register)`; nothing is global, so tests do not meet in a counter;
//! - [`Readiness`] is a set of named [`Gate`]s which all must be open;
//! - [`AdminServer`] serves `/healthz`, `/readyz` and `/metrics` over HTTP on a unix socket or a TCP port;
//! - [`probe()`] asks that socket, for `ironlb probe live` and `ironlb probe ready`.
//!
//! The unix socket is there because two speakers share a node's ports while one is upgraded to the other: an HTTP probe of
//! the kubelet would ask whichever holds the port. A socket in the pod's own file system is asked by an exec probe and can
//! only be this process's. The TCP port serves Prometheus, and [`serve_when_free`] takes it when the other one lets go.
//!
//! What it does not do: decide when the process is ready or ends (the loops do), know what any metric means, export traces.
//!
//! Invariants:
//! - a gate is shut until its owner opens it, and shut again once its owner is gone: what was forgotten is not ready;
//! - a metric's labels never hold a Service's name or an error's text;
//! - nothing here ends the process.
//!
//! Start reading at [`AdminServer`].

mod admin;
mod args;
pub mod fields;
mod log;
mod metrics;
mod probe;
mod process;
mod readiness;

pub use admin::{AdminServer, BindError, RETRY, admin_router, serve_when_free};
pub use args::{OptionalAddress, TelemetryArgs};
pub use log::{LogError, LogFormat, start_logging};
pub use metrics::Metrics;
pub use probe::{Endpoint, ProbeError, probe};
pub use readiness::{Gate, Readiness};
