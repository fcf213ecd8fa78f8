//! The objects that configure BGP, as far as every role looks at them: who they are and what they were told.

use crate::{Condition, ResourceVersion};

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
    /// Conditions as written now.
    pub conditions: Vec<Condition>,
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
    /// Conditions as written now.
    pub conditions: Vec<Condition>,
}
