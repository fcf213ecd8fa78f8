//! Everything the controller can do to the world.

use std::collections::BTreeMap;

use ironlb_model::{EipName, IngressAddress, ObjectRef, ResourceVersion, ServiceId};

use crate::condition::{ConditionWrite, TimedCondition};
use crate::event::Event;

/// Names one action until its outcome is known.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct ActionId(pub u64);

/// What becomes of a label or an annotation.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Change<T> {
    /// It is set to this.
    Set(T),
    /// It is removed.
    Remove,
}

/// One thing the controller does to the world.
///
/// Every patch carries the version the decision saw, so a write on an object that somebody changed meanwhile fails. The outcome of every
/// action but [`Emit`](Self::Emit) is told to [`Memory::on_written`](crate::Memory::on_written).
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Action {
    /// One strategic-merge patch of a Service's status subresource, metadata included.
    PatchService(ServicePatch),
    /// Replace the status of an Eip.
    PatchEip(EipPatch),
    /// Replace the conditions of a BgpConf or BgpPeer.
    PatchObject(ObjectPatch),
    /// Take OpenELB's finalizer off an Eip: the object itself, not its status.
    RemoveEipFinalizer {
        /// The Eip.
        eip: EipName,
        /// The version it was seen at.
        version: ResourceVersion,
    },
    /// Write an Event. It is tried once and its outcome is told to nobody.
    Emit(Event),
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

impl Action {
    /// The object that is written to.
    #[must_use]
    pub fn object(&self) -> ObjectRef {
        match self {
            Self::PatchService(patch) => ObjectRef::Service(patch.id.clone()),
            Self::PatchEip(patch) => ObjectRef::Eip(patch.eip.clone()),
            Self::PatchObject(patch) => patch.object.clone(),
            Self::RemoveEipFinalizer { eip, .. } => ObjectRef::Eip(eip.clone()),
            Self::Emit(event) => event.object.clone(),
        }
    }

    /// The kind of action, for logs and metric labels.
    #[must_use]
    pub fn category(&self) -> &'static str {
        match self {
            Self::PatchService(_) => "PatchService",
            Self::PatchEip(_) => "PatchEip",
            Self::PatchObject(_) => "PatchObject",
            Self::RemoveEipFinalizer { .. } => "RemoveEipFinalizer",
            Self::Emit(_) => "Emit",
        }
    }
}
