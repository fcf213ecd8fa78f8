//! When two Services may hold one address.
//!
//! Only a Service that asks for the address by an explicit wish ever joins another on it. The ports must be disjoint in every
//! case, the Eip's rule must let them, and the newcomer must not change where the first is announced: both have the same traffic
//! policy, and for `Local` the same selector, so that the same nodes have ready endpoints for both.

use std::cmp::Ordering;
use std::net::IpAddr;

use ironlb_model::{Port, Service, ServiceId, Settings, Sharing, TrafficPolicy};

use crate::condition;
use crate::eligible::{Standing, standing};
use crate::reason::Reason;
use crate::taken::Taken;

/// Why two Services do not fit together on one address.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Clash {
    /// Both use this port.
    Port(Port),
    /// One would change where the other is announced.
    Owner,
}

impl Clash {
    /// Why these two do not fit together; `None` when they do.
    #[must_use]
    pub fn between(a: &Service, b: &Service) -> Option<Self> {
        if let Some(port) = a.ports.intersection(&b.ports).next() {
            return Some(Self::Port(*port));
        }
        let same_nodes = a.traffic_policy == b.traffic_policy
            && (a.traffic_policy == TrafficPolicy::Cluster
                || a.selector == b.selector && a.id.namespace == b.id.namespace);
        (!same_nodes).then_some(Self::Owner)
    }
}

/// May this Service join the holders of an address it wishes for?
pub(crate) fn may_join(
    service: &Service,
    address: IpAddr,
    sharing: Sharing,
    taken: &Taken<'_>,
    settings: &Settings,
) -> Result<(), Reason> {
    for holder in taken.others(address, service) {
        let by = || holder.id.clone();
        if standing(holder, settings) != Standing::Ours {
            return Err(Reason::WishTaken { address, by: by(), port: None });
        }
        let allowed = match sharing {
            Sharing::Cluster => true,
            Sharing::Namespace => holder.id.namespace == service.id.namespace,
            Sharing::Never => false,
        };
        if !allowed {
            return Err(Reason::SharingForbidden { address, by: by(), sharing });
        }
        match Clash::between(holder, service) {
            None => {}
            Some(Clash::Port(port)) => return Err(Reason::WishTaken { address, by: by(), port: Some(port) }),
            Some(Clash::Owner) => return Err(Reason::SharingWouldMoveOwner { address, by: by() }),
        }
    }
    Ok(())
}

/// How a Service stands on an address that its status shows.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Tenure {
    /// It is the only one, or the first.
    First,
    /// It shares with the first.
    Shares {
        /// The first.
        with: ServiceId,
    },
    /// It and another one hold it and do not fit together; both keep it (OpenELB let them, or a port was changed since).
    Clashes {
        /// The other.
        with: ServiceId,
        /// Why they do not fit.
        clash: Option<Clash>,
    },
    /// Two leaders gave it out at the same time, and this is the later one.
    GivesWay,
}

/// How does this Service, which is ours, stand on this address, which its status shows?
///
/// A race of two leaders is told from a mix that OpenELB left behind, or that a later change of a port made, by the conditions: a
/// Service that joined knowingly or was adopted is marked by another reason than `Assigned`. Of two that both believe to be alone
/// the one that got the address later gives way. So does one whose status somebody else has filled in, to one that was given the
/// address. Whatever is in doubt is kept.
pub(crate) fn tenure(service: &Service, address: IpAddr, taken: &Taken<'_>, settings: &Settings) -> Tenure {
    let mut first: Option<&Service> = None;
    let mut coming: Option<&Service> = None;
    let mut clash: Option<(&Service, Option<Clash>)> = None;
    for other in taken.others(address, service) {
        if !shows(other, address) {
            // It is on its way to that one. If this one joined it knowingly it must not be told to be alone meanwhile: with both told
            // so, one would give way later.
            coming = coming.or(Some(other));
            continue;
        }
        if standing(other, settings) != Standing::Ours {
            clash = clash.or(Some((other, None)));
            continue;
        }
        let between = Clash::between(service, other);
        if gives_way(service, other, address, between) {
            return Tenure::GivesWay;
        }
        if gives_way(other, service, address, between) {
            continue;
        }
        if between.is_some() {
            clash = clash.or(Some((other, between)));
        }
        first = Some(first.map_or(other, |one| if leads(other, one) { other } else { one }));
    }
    if let Some((with, clash)) = clash {
        return Tenure::Clashes { with: with.id.clone(), clash };
    }
    let first = first.filter(|first| leads(first, service));
    match first.or(coming.filter(|_| was_told(service, condition::SHARED))) {
        Some(first) => Tenure::Shares { with: first.id.clone() },
        None => Tenure::First,
    }
}

/// Did two leaders give the address to both at the same time, and to this one later, or did nobody ever give it to this one? One that
/// wishes for the address and fits the other may stay, as a newcomer that shares.
fn gives_way(service: &Service, other: &Service, address: IpAddr, between: Option<Clash>) -> bool {
    if was_given(service, address) != was_given(other, address) {
        return between.is_some() && was_given(other, address);
    }
    let lawful = between.is_none() && service.wish.contains(&address);
    believes_alone(service) && believes_alone(other) && !lawful && seniority(other, service) == Ordering::Less
}

/// Is there a trace on the Service that ironlb or OpenELB gave it this address? If not, somebody else has written it into the status.
/// `announce::holders` asks the same.
fn was_given(service: &Service, address: IpAddr) -> bool {
    match service.remembered.as_slice() {
        [] => service.has_openelb_finalizer,
        given => given.contains(&address),
    }
}

/// Was it told that it has its address to itself?
fn believes_alone(service: &Service) -> bool {
    was_told(service, condition::ASSIGNED)
}

fn was_told(service: &Service, reason: &str) -> bool {
    service.condition(condition::ADDRESS_ASSIGNED).is_some_and(|c| c.reason == reason)
}

/// Does its status show this address?
fn shows(service: &Service, address: IpAddr) -> bool {
    service.addresses().any(|held| held == address)
}

/// Who got the address first.
fn seniority(a: &Service, b: &Service) -> Ordering {
    (a.assigned_at, a.created, &a.id).cmp(&(b.assigned_at, b.created, &b.id))
}

/// Is `a` the first of the two on a shared address? Who was told to be alone is, so that the first stays the first.
fn leads(a: &Service, b: &Service) -> bool {
    let key = |s: &Service| (!believes_alone(s), s.created);
    key(a).cmp(&key(b)).then_with(|| a.id.cmp(&b.id)) == Ordering::Less
}

#[cfg(test)]
mod tests;
