//! Everything the controller can do to the world.

use std::collections::BTreeSet;

use ironlb_model::{EipPatch, NodeName, ObjectPatch, ObjectRef, ResourceVersion, ServicePatch};

use crate::event::Event;

/// Names one action until its outcome is known.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct ActionId(pub u64);

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
    /// Take OpenELB's finalizer off an Eip, BgpConf or BgpPeer: the object itself, not its status.
    RemoveFinalizer {
        /// The object.
        object: ObjectRef,
        /// The version it was seen at.
        version: ResourceVersion,
    },
    /// Take the keys of nodes that are gone out of the status of a BgpConf or BgpPeer.
    RemoveKeys {
        /// The object.
        object: ObjectRef,
        /// The version it was seen at.
        version: ResourceVersion,
        /// The nodes.
        nodes: BTreeSet<NodeName>,
    },
    /// Delete the Speaker of a node that is gone.
    DeleteSpeaker(NodeName),
    /// Write an Event. It is tried once and its outcome is told to nobody.
    Emit(Event),
}

impl Action {
    /// The object that is written to.
    #[must_use]
    pub fn object(&self) -> ObjectRef {
        match self {
            Self::PatchService(patch) => ObjectRef::Service(patch.id.clone()),
            Self::PatchEip(patch) => ObjectRef::Eip(patch.eip.clone()),
            Self::PatchObject(patch) => patch.object.clone(),
            Self::RemoveFinalizer { object, .. } | Self::RemoveKeys { object, .. } => object.clone(),
            Self::DeleteSpeaker(node) => ObjectRef::Speaker(node.clone()),
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
            Self::RemoveFinalizer { .. } => "RemoveFinalizer",
            Self::RemoveKeys { .. } => "RemoveKeys",
            Self::DeleteSpeaker(_) => "DeleteSpeaker",
            Self::Emit(_) => "Emit",
        }
    }
}
