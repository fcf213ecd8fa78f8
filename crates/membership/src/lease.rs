//! A node's Lease, as it is read and as it is written.

use std::collections::BTreeSet;

use ironlb_model::{MacAddr, NodeName, ResourceVersion};

use crate::Claims;

/// Names one life of a speaker process; random, made by the loop at start.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Incarnation(pub String);

/// A node's Lease as the API server showed it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SeenLease {
    /// The node it is of.
    pub node: NodeName,
    /// `metadata.resourceVersion`.
    pub version: ResourceVersion,
    /// `spec.holderIdentity`; `None` when it is absent or empty, which says "released".
    pub holder: Option<Incarnation>,
    /// `spec.renewTime` as text. Only ever compared with what it was before: clocks differ.
    pub renewed: String,
    /// `spec.leaseTransitions`.
    pub transitions: i32,
    /// The holder has a snapshot and open sockets.
    pub ready: bool,
    /// The Ethernet addresses of the node's interfaces.
    pub macs: BTreeSet<MacAddr>,
    /// The vips it claims.
    pub claims: Claims,
}

/// What to write into this node's own Lease. `spec.renewTime` is the wall clock's at the moment of the request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LeaseWrite {
    /// Replace the Lease only if it stands at this version; `None`: create it.
    pub expected: Option<ResourceVersion>,
    /// `spec.holderIdentity`; `None`: empty, released.
    pub holder: Option<Incarnation>,
    /// `spec.leaseTransitions`.
    pub transitions: i32,
    /// Whether the holder is ready.
    pub ready: bool,
    /// The Ethernet addresses of this node.
    pub macs: BTreeSet<MacAddr>,
    /// The vips claimed.
    pub claims: Claims,
}
