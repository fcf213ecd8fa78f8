//! Carries actions out: the only file that writes to the API server.
//!
//! A decision (`ironlb_ipam`) and a request (`ironlb_k8s`) know nothing of each other; here one is spelt as the other, field by field.

use ironlb_ipam::{self as ipam, Action, Change, ConditionWrite, Event, EventType, TimedCondition};
use ironlb_k8s::events::{Telling, Tone};
use ironlb_k8s::write::{
    Change as WireChange, ConditionPatch, ConditionsPatch, DatedCondition, EipPatch, EipStatusPatch, ServicePatch,
};
use ironlb_k8s::{Outcome, Writer};

/// Carries out one action other than an Event, and says what became of it.
pub(crate) async fn act(writer: &Writer, action: Action) -> Outcome {
    match action {
        Action::PatchService(patch) => writer.patch_service(&service(patch)).await,
        Action::PatchEip(patch) => writer.patch_eip(&eip(patch)).await,
        Action::PatchObject(patch) => writer.patch_conditions(&object(patch)).await,
        Action::RemoveEipFinalizer { eip, version } => writer.remove_eip_finalizer(&eip, version).await,
        Action::Emit(event) => {
            let message = format!("an Event is not a write on its object ({})", event.reason);
            Outcome::Refused { code: 0, message }
        }
    }
}

/// What the decision has to know of an outcome.
pub(crate) fn told(outcome: Outcome) -> ipam::Outcome {
    match outcome {
        Outcome::Written { version } => ipam::Outcome::Written { version },
        Outcome::Unchanged { .. } => ipam::Outcome::Unchanged,
        Outcome::Conflict => ipam::Outcome::Conflict,
        Outcome::Gone => ipam::Outcome::Gone,
        Outcome::Refused { message, .. } => ipam::Outcome::Refused { message },
        Outcome::Unreachable { .. } => ipam::Outcome::NotSent,
        Outcome::Unknown { .. } => ipam::Outcome::Unknown,
    }
}

/// An Event as it is told.
pub(crate) fn telling(event: Event) -> Telling {
    let Event { object, uid, kind, reason, message } = event;
    let tone = match kind {
        EventType::Normal => Tone::Normal,
        EventType::Warning => Tone::Warning,
    };
    Telling { object, uid, tone, reason: reason.to_owned(), message }
}

fn service(patch: ipam::ServicePatch) -> ServicePatch {
    let ipam::ServicePatch { id, version, ingress, label, addresses, conditions, remove_finalizer } = patch;
    ServicePatch {
        id,
        version,
        ingress,
        label: label.map(change),
        addresses: addresses.map(change),
        conditions: conditions.into_iter().map(condition).collect(),
        remove_finalizer,
    }
}

fn change<T>(change: Change<T>) -> WireChange<T> {
    match change {
        Change::Set(value) => WireChange::Set(value),
        Change::Remove => WireChange::Remove,
    }
}

fn condition(write: ConditionWrite) -> ConditionPatch {
    match write {
        ConditionWrite::Set { condition, transition } => ConditionPatch::Set { condition, transition },
        ConditionWrite::Remove { kind } => ConditionPatch::Remove { kind },
    }
}

fn dated(timed: TimedCondition) -> DatedCondition {
    DatedCondition { condition: timed.condition, since: timed.since }
}

fn eip(patch: ipam::EipPatch) -> EipPatch {
    let ipam::EipPatch { eip, version, generation, status } = patch;
    let ipam::EipStatusText { occupied, usage, pool_size, first_ip, last_ip, v4, ready, used, conditions } = status;
    let conditions = conditions.into_iter().map(dated).collect();
    let status = EipStatusPatch { occupied, usage, pool_size, first_ip, last_ip, v4, ready, used, conditions };
    EipPatch { eip, version, generation, status }
}

fn object(patch: ipam::ObjectPatch) -> ConditionsPatch {
    let ipam::ObjectPatch { object, version, generation, conditions } = patch;
    ConditionsPatch { object, version, generation, conditions: conditions.into_iter().map(dated).collect() }
}
