//! The values that ironlb decides on: addresses, names, times, and the immutable [`Snapshot`] of a cluster.
//!
//! Everything that decides (which Service gets which vip, which node answers for it) is a function of these values and of
//! nothing else, so a decision can be repeated in a test, in a simulation and in `explain` with the same outcome.
//!
//! What this crate does not do: it knows no Kubernetes type (crate `translate` makes these values out of API objects), reads no
//! clock (a [`Timestamp`] is handed in), and decides nothing.
//!
//! Invariants:
//! - every collection is ordered, so two equal snapshots are walked in the same order;
//! - a value cannot hold what its grammar forbids ([`AddressRange`] is never reversed nor of two families, a [`Pool`]'s ranges are
//!   sorted and disjoint).
//!
//! Start reading at [`Snapshot`].

#![forbid(unsafe_code)]

mod address;
mod bgp;
mod eip;
mod endpoints;
mod issue;
mod labels;
mod mac;
mod names;
mod node;
mod peering;
mod policy;
mod rendezvous;
mod selector;
mod service;
mod settings;
mod snapshot;
mod speaker;
mod time;
mod write;

pub use address::{AddressRange, IpFamily, Pool, PoolSize, Prefix};
pub use bgp::{BgpConf, BgpPeer};
pub use eip::{Announcement, ConflictDetection, Eip, EipStatus, InterfaceChoice, Reservation, Reservee, Sharing};
pub use endpoints::{Endpoint, Endpoints};
pub use issue::{Issue, IssueReason, ObjectRef};
pub use labels::Labels;
pub use mac::MacAddr;
pub use names::{EipName, InterfaceName, NamespaceName, NodeName, ServiceId};
pub use node::{DrainCause, Namespace, Node};
pub use peering::{
    AsPathSettings, Asn, BGP_PORT, BfdSettings, Distance, FamilySettings, GracefulRestart, Neighbor, OwnSide, Password,
    Peering, PrivateAs, RouteSettings, SessionTimers,
};
pub use policy::{
    Chain, Comparison, Disposition, MatchOption, Pattern, Policy, PrefixRange, RouteAction, RouteCondition, SetOption,
    Statement,
};
pub use rendezvous::{NodeKey, VipKey, compare_preference};
pub use selector::{Operator, Requirement, Selector};
pub use service::{
    Condition, ConditionStatus, FamilyPolicy, IngressAddress, OptIn, Port, Service, TrafficPolicy, Transport,
    WishSource,
};
pub use settings::{SelectionRule, ServiceSelection, Settings};
pub use snapshot::Snapshot;
pub use speaker::{
    BgpReport, CONFLICT_COUNTS, Interface, Interfaces, ReportedConflict, ReportedInterface, SpeakerReport, WithheldVip,
};
pub use time::{ResourceVersion, Timestamp, WallTime};
pub use write::{Change, ConditionWrite, EipPatch, EipStatusText, ObjectPatch, ServicePatch, TimedCondition};
