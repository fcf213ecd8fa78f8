//! ironlb's BGP and BFD on a wire with the routers of other people.
//!
//! What it does: runs the drivers of crate `bgp` in a host's network of the lab ([`Speaker`], [`Watcher`]), so that tests can hold what
//! they say beside what a router shows on its own command line, and benchmarks what they cost beside what a router costs.
//!
//! What it does not do: no Kubernetes, no speaker around the drivers; those are in `tests/e2e`.
//!
//! The matrix itself is in `tests/matrix`; what came of it stands in `docs/design/interop.md`.

mod pair;
mod speaker;
mod watcher;

pub use pair::{pair, processor_time};
pub use speaker::Speaker;
pub use watcher::{Seen, Watcher};

/// Drawn anew for each driver: what two of one test did alike would hide a fault.
fn seed() -> u64 {
    let now = std::time::SystemTime::UNIX_EPOCH.elapsed().unwrap_or_default();
    u64::try_from(now.as_nanos() & u128::from(u64::MAX)).unwrap_or_default()
}
