//! Which Service gets which vip out of which Eip, and why not; and what the controller then writes.
//!
//! What this crate does: [`plan()`] decides, from a [`Snapshot`](ironlb_model::Snapshot) of the cluster, which addresses every
//! Service shall hold. [`step()`] goes on from there: what every object should show, how that differs from what it shows, and
//! which writes are due now, given what this controller wrote before ([`Memory`]).
//!
//! What it does not do: it reads no clock and no Kubernetes type, it writes nothing, and it says nothing about which node
//! announces a vip (crate `announce` does; the speakers' reports come in with the snapshot and are only passed on to people).
//!
//! The rules, in the order in which [`plan()`] goes:
//!
//! 1. A Service is ours by its class, else by the annotation that opts in, else by `--service-selection` ([`Standing`]).
//! 2. **Keep first.** An address in the status of a Service of ours stays, whatever became of its Eip. Only the user moves it: by a
//!    new wish that can be granted, by opting out, by changing the type or the families, by deleting the Service.
//! 3. Then explicit wishes, oldest Service first (creation, then name): the address of the annotation or of `loadBalancerIP`, shared
//!    with its holders where the ports are disjoint and the newcomer would not change where it is announced.
//! 4. Then what a Service held before its status was lost.
//! 5. Then what is reserved for a Service, and what one of its name gave back a short while ago.
//! 6. Then the rest: the lowest free address of the first Eip with room among those named, bound, default, or (OpenELB 0.5) of the
//!    right protocol; several go by priority, then name.
//! 7. What is not given carries a [`Reason`] that says what to do.
//!
//! Invariants:
//! - two Services hold one address only where sharing allows it, or where they did when ironlb came;
//! - what is reserved for others, rests after it was given back, or is above a quota is given to nobody new, and taken from nobody;
//! - an address that a host outside the cluster claims is given to nobody new, and taken from nobody;
//! - an address that the snapshot shows on any Service, or that this controller wrote and has not seen come back, is not free;
//! - the order of the input never matters, and a plan that was carried out plans nothing more;
//! - every Service of ours without an address has a reason;
//! - a condition is the memory of what was told: no Event without a change of one.
//!
//! Start reading at [`plan()`], then [`step()`].

#![forbid(unsafe_code)]

mod action;
mod announced;
mod backoff;
mod bgp;
mod condition;
mod conflict;
mod diff;
mod eligible;
mod event;
mod explain;
mod in_flight;
mod keep;
mod looping;
mod memory;
mod plan;
mod precedence;
mod projection;
mod quota;
mod reason;
mod reserved;
mod reuse;
mod sharing;
mod step;
mod taken;
mod territory;
mod usage;
mod verdict;

pub use action::{Action, ActionId};
pub use condition::{
    ACCEPTED, ADDRESS_ASSIGNED, ANNOUNCED, CONFLICT, DISCARD_ROUTE_MISSING, ESTABLISHED, EXHAUSTED, HELD_OUTSIDE,
    NOT_WEIGHTED, OVERLAPPING, READY, RESERVATION_HELD, SECOND_DEFAULT, SERVED_AS_LAYER2, USED_TRUNCATED,
};
pub use conflict::Claim;
pub use eligible::{NotOurs, Standing};
pub use event::{Event, EventType};
pub use explain::{EipReport, Explanation, Finding, LostAddress, Search, Silent, Sought, VipReport, explain};
pub use in_flight::{InFlight, Write, WriteState};
pub use memory::{Limits, Memory, Outcome, Retry};
pub use plan::{Plan, ServiceVerdict, plan};
pub use precedence::{NotOffered, Offer};
pub use projection::{ServiceProjection, project};
pub use reason::Reason;
pub use reuse::Freed;
pub use sharing::Clash;
pub use step::{Planned, Step, step};
pub use usage::{EipProjection, MAX_USED_BYTES, MAX_USED_ENTRIES, usage};
pub use verdict::{Kind, Verdict, Vip};

#[cfg(test)]
mod testing;
