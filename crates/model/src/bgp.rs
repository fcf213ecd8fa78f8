//! The objects that configure BGP, as far as every role looks at them: who they are and what they were told.

use std::collections::BTreeMap;

use crate::{Condition, ResourceVersion, WallTime};

/// A BgpConf; only the one named `default` is used.
#[derive(Debug, Clone, PartialEq, Eq)]
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
    /// Conditions as written now.
    pub conditions: Vec<Condition>,
    /// When each of them last changed its status, by type: a write replaces the whole list, so it carries these along.
    pub condition_times: BTreeMap<String, WallTime>,
}

/// A BgpPeer.
#[derive(Debug, Clone, PartialEq, Eq)]
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
    /// Conditions as written now.
    pub conditions: Vec<Condition>,
    /// When each of them last changed its status, by type: a write replaces the whole list, so it carries these along.
    pub condition_times: BTreeMap<String, WallTime>,
}
