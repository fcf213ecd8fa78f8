//! What is written on objects, as values: a decision makes them, and only the writer knows how Kubernetes spells them.

use std::collections::BTreeMap;

use crate::{Condition, EipName, IngressAddress, ObjectRef, ResourceVersion, ServiceId, WallTime};

/// What becomes of a label or an annotation.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Change<T> {
    /// It is set to this.
    Set(T),
    /// It is removed.
    Remove,
}

/// What is patched on a Service; `None` and an empty list leave a field as it is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ServicePatch {
    /// The Service.
    pub id: ServiceId,
    /// The version it was seen at.
    pub version: ResourceVersion,
    /// `status.loadBalancer.ingress`, the whole list. An address gets `ipMode: VIP`; other text is a host name unless it is an
    /// address in some unusual spelling.
    pub ingress: Option<Vec<IngressAddress>>,
    /// Label `eip.openelb.kubesphere.io/v1alpha2`.
    pub label: Option<Change<EipName>>,
    /// Annotation `ironlb.io/addresses`.
    pub addresses: Option<Change<String>>,
    /// `status.conditions`, merged by type.
    pub conditions: Vec<ConditionWrite>,
    /// Remove OpenELB's finalizer.
    pub remove_finalizer: bool,
}

/// The status of an Eip, as it is written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EipStatusText {
    /// `occupied`.
    pub occupied: bool,
    /// `usage`.
    pub usage: u64,
    /// `poolSize`.
    pub pool_size: i64,
    /// `firstIP`.
    pub first_ip: Option<String>,
    /// `lastIP`.
    pub last_ip: Option<String>,
    /// `v4`; left out when false.
    pub v4: bool,
    /// `ready`.
    pub ready: bool,
    /// `used`: address to `namespace/name`, several joined by `;`.
    pub used: BTreeMap<String, String>,
    /// `conditions`, the whole list.
    pub conditions: Vec<TimedCondition>,
}

/// What is patched on an Eip.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EipPatch {
    /// The Eip.
    pub eip: EipName,
    /// The version it was seen at.
    pub version: ResourceVersion,
    /// For `observedGeneration`.
    pub generation: i64,
    /// The whole status: keys of `used` that are not in it go.
    pub status: EipStatusText,
}

/// What is patched on a BgpConf or BgpPeer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ObjectPatch {
    /// The object.
    pub object: ObjectRef,
    /// The version it was seen at.
    pub version: ResourceVersion,
    /// For `observedGeneration`.
    pub generation: i64,
    /// `status.conditions`, the whole list.
    pub conditions: Vec<TimedCondition>,
}

/// One change of the conditions of a Service. They are merged by their type there, so each is written alone and a time that is not
/// written stays.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ConditionWrite {
    /// Write it.
    Set {
        /// What it says.
        condition: Condition,
        /// Its `lastTransitionTime` becomes now; else that is left out of the patch.
        transition: bool,
    },
    /// Remove it.
    Remove {
        /// Its type.
        kind: String,
    },
}

/// A condition in a list that is replaced as a whole (custom resources).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TimedCondition {
    /// What it says.
    pub condition: Condition,
    /// Its `lastTransitionTime`; `None` is now.
    pub since: Option<WallTime>,
}
