//! The objects that configure BGP: who they are, what they ask for, and what they were told.

use std::collections::{BTreeMap, BTreeSet};
use std::net::Ipv4Addr;

use serde::{Deserialize, Serialize};

use crate::{Condition, NodeName, OwnSide, Peering, ResourceVersion, WallTime};

/// A BgpConf; only the one named `default` is used.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct BgpConf {
    /// The name.
    pub name: String,
    /// The object's uid.
    pub uid: String,
    /// The version this was read at.
    pub version: ResourceVersion,
    /// `metadata.generation`, for `observedGeneration`.
    pub generation: i64,
    /// OpenELB's finalizer is on it.
    pub has_openelb_finalizer: bool,
    /// Its spec; `None` where the object is left to somebody else (its name, or the label of a CNI).
    pub own_side: Option<OwnSide>,
    /// The nodes in its status, each with its BGP identifier where that can be read.
    pub nodes: BTreeMap<NodeName, Option<Ipv4Addr>>,
    /// Conditions as written now.
    pub conditions: Vec<Condition>,
    /// When each of them last changed its status, by type: a write replaces the whole list, so it carries these along.
    pub condition_times: BTreeMap<String, WallTime>,
}

/// A BgpPeer.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct BgpPeer {
    /// The name.
    pub name: String,
    /// The object's uid.
    pub uid: String,
    /// The version this was read at.
    pub version: ResourceVersion,
    /// `metadata.generation`, for `observedGeneration`.
    pub generation: i64,
    /// OpenELB's finalizer is on it.
    pub has_openelb_finalizer: bool,
    /// Its spec; `None` where there is no session to have: a field that must be right is not, or the object is left to a CNI.
    pub peering: Option<Peering>,
    /// The nodes in its status.
    pub nodes: BTreeSet<NodeName>,
    /// Conditions as written now.
    pub conditions: Vec<Condition>,
    /// When each of them last changed its status, by type: a write replaces the whole list, so it carries these along.
    pub condition_times: BTreeMap<String, WallTime>,
}
