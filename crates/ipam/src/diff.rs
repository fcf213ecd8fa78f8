//! What a Service shows against what it should show: the patch, and what people are told once it is done.

use std::net::IpAddr;

use ironlb_model::{Condition, ConditionStatus, ObjectRef, Service};

use crate::announced::{BGP, NOT_YET};
use crate::condition::{ADDRESS_ASSIGNED, ANNOUNCED, changes};
use crate::event::{self, Event, EventType};
use crate::projection::ServiceProjection;
use crate::verdict::Verdict;
use ironlb_model::{Change, ServicePatch};

/// The patch that makes the Service show what it should, and the Events that go with it; `None` when it shows that already.
pub(crate) fn patch_service(
    service: &Service,
    verdict: &Verdict,
    wanted: &ServiceProjection,
) -> Option<(ServicePatch, Vec<Event>)> {
    let moves = wanted.ingress != service.ingress;
    let patch = ServicePatch {
        id: service.id.clone(),
        version: service.version,
        ingress: moves.then(|| wanted.ingress.clone()),
        label: change(service.eip_label.as_ref(), wanted.label.as_ref()),
        addresses: (service.remembered != wanted.remembered).then(|| match wanted.remembered.as_slice() {
            [] => Change::Remove,
            addresses => Change::Set(joined(addresses)),
        }),
        // The time of this condition is the time at which the addresses were given.
        conditions: changes(&service.conditions, &wanted.conditions, if moves { &[ADDRESS_ASSIGNED] } else { &[] }),
        remove_finalizer: service.has_openelb_finalizer,
    };
    let is_empty = patch.ingress.is_none()
        && patch.label.is_none()
        && patch.addresses.is_none()
        && patch.conditions.is_empty()
        && !patch.remove_finalizer;
    (!is_empty).then(|| (patch, events(service, verdict, wanted)))
}

fn change<T: Clone + PartialEq>(shown: Option<&T>, wanted: Option<&T>) -> Option<Change<T>> {
    match wanted {
        _ if shown == wanted => None,
        Some(wanted) => Some(Change::Set(wanted.clone())),
        None => Some(Change::Remove),
    }
}

fn joined(addresses: &[IpAddr]) -> String {
    addresses.iter().map(IpAddr::to_string).collect::<Vec<_>>().join(",")
}

/// Each address given or given back is told; a complaint is told when the condition that carries it changes.
fn events(service: &Service, verdict: &Verdict, wanted: &ServiceProjection) -> Vec<Event> {
    let tell = |kind, reason, message| Event {
        object: ObjectRef::Service(service.id.clone()),
        uid: service.uid.clone(),
        kind,
        reason,
        message,
    };
    let mut events = Vec::new();
    for address in &verdict.released {
        events.push(tell(EventType::Normal, event::RELEASE_IP, format!("success to release ip: {address}")));
    }
    for vip in verdict.vips.iter().filter(|vip| vip.is_new) {
        events.push(tell(EventType::Normal, event::ASSIGN_IP, format!("success to assign ip: {}", vip.address)));
    }
    let changed = |kind: &str| -> Option<&Condition> {
        wanted.conditions.iter().find(|c| c.kind == kind).filter(|c| service.condition(kind) != Some(c))
    };
    if let Some(assigned) = changed(ADDRESS_ASSIGNED)
        && let Some(reason) = verdict.unmet.first()
    {
        let message = format!("{}: {}", reason.category(), assigned.message);
        if reason.is_choice_of_eip() {
            let message = format!("failed to construct allocate request: {message}");
            events.push(tell(EventType::Warning, event::CONSTRUCT_REQUEST, message));
        } else {
            events.push(tell(EventType::Warning, event::ASSIGN_IP_FAILED, message));
        }
    }
    if let Some(announced) = changed(ANNOUNCED) {
        let message = announced.message.clone();
        match announced.status {
            // Of many nodes that advertise it one comes or goes often.
            ConditionStatus::True if announced.reason == BGP && !is_news(service.condition(ANNOUNCED), announced) => {}
            ConditionStatus::True => events.push(tell(EventType::Normal, event::SET_BALANCER, message)),
            ConditionStatus::False if is_news(service.condition(ANNOUNCED), announced) => {
                events.push(tell(EventType::Warning, event::SET_BALANCER, format!("{}: {message}", announced.reason)));
            }
            ConditionStatus::False | ConditionStatus::Unknown => {}
        }
    }
    events
}

/// Is it worth telling that a vip is announced, or not? Not while it is new, and not when only the wording changed.
fn is_news(before: Option<&Condition>, now: &Condition) -> bool {
    now.reason != NOT_YET && before.is_none_or(|b| b.status != now.status || b.reason != now.reason)
}

#[cfg(test)]
mod tests;
