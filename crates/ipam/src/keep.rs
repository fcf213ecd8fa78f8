//! What a Service keeps, and what it still needs.
//!
//! An address in the status of a Service of ours stays. Only the user moves it, and a new wish moves it only once it is granted.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::sync::Arc;

use ironlb_model::{FamilyPolicy, IngressAddress, IpFamily, Service, ServiceId, Snapshot};

use crate::condition::ADDRESS_ASSIGNED;
use crate::eligible::{Standing, has_trace, standing};
use crate::in_flight::InFlight;
use crate::plan::Pass;
use crate::precedence::names;
use crate::reason::{HELD_BY_OLDER_RULE, Reason};
use crate::reserved::Reserved;
use crate::sharing::{Clash, Tenure, tenure};
use crate::taken::Taken;
use crate::territory::Territory;
use crate::verdict::{Verdict, Vip};

/// An address that a Service is still to get.
#[derive(Debug)]
pub(crate) struct Need {
    /// Of this family.
    pub(crate) family: IpFamily,
    /// Exactly this one.
    pub(crate) wish: Option<IpAddr>,
    /// Rather this one, which it held before its status was lost.
    pub(crate) remembered: Option<IpAddr>,
    /// The addresses it gives back once it has the new one.
    pub(crate) replaces: Vec<IpAddr>,
    /// What came of it.
    pub(crate) outcome: Option<Result<(), Reason>>,
}

impl Need {
    /// Is it to be looked at in this pass? Whoever lost its status while its wish cannot be granted gets back what it held: a wish that
    /// cannot be granted changes nothing.
    pub(crate) fn is_open(&self, pass: Pass) -> bool {
        self.outcome.is_none() || pass == Pass::GiveBack && matches!(self.outcome, Some(Err(_)))
    }
}

/// A verdict in the making.
#[derive(Debug)]
pub(crate) struct Draft<'a> {
    pub(crate) service: &'a Arc<Service>,
    pub(crate) verdict: Verdict,
    pub(crate) needs: Vec<Need>,
}

/// What every draft looks at.
#[derive(Debug)]
pub(crate) struct View<'a> {
    pub(crate) snapshot: &'a Snapshot,
    pub(crate) in_flight: &'a InFlight,
    pub(crate) territory: &'a Territory<'a>,
    pub(crate) taken: &'a Taken<'a>,
    pub(crate) reserved: &'a Reserved<'a>,
    pub(crate) listed: BTreeMap<&'a ServiceId, Vec<IpAddr>>,
}

/// What OpenELB's Eips list as used, by Service: an input only while an Eip has no condition of ours.
pub(crate) fn listed_by_openelb(snapshot: &Snapshot) -> BTreeMap<&ServiceId, Vec<IpAddr>> {
    let mut listed: BTreeMap<&ServiceId, Vec<IpAddr>> = BTreeMap::new();
    for eip in snapshot.eips.values().filter(|eip| eip.status.conditions.is_empty()) {
        for (address, holders) in &eip.status.used {
            for holder in holders {
                listed.entry(holder).or_default().push(*address);
            }
        }
    }
    listed
}

/// What this Service keeps and needs.
pub(crate) fn draft<'s>(service: &'s Arc<Service>, view: &View<'_>) -> Draft<'s> {
    let verdict = Verdict::new(standing(service, &view.snapshot.settings));
    let mut draft = Draft { service, verdict, needs: Vec::new() };
    if let Some(write) = view.in_flight.services.get(&service.id) {
        draft.verdict.in_flight = true;
        for address in &write.addresses {
            draft.hold(*address, view);
        }
        return draft;
    }
    let is_left_alone = view.in_flight.contended.contains_key(&service.id);
    let only_observes = !view.snapshot.openelb.is_empty();
    if draft.verdict.standing != Standing::Ours {
        if !is_left_alone && !only_observes && has_trace(service) {
            draft.verdict.leaves = true;
            draft.verdict.released = if service.is_load_balancer || !service.ingress.is_empty() {
                service.addresses().filter(|a| is_written_by_us(service, *a, view)).collect()
            } else {
                // With the type the API server takes the status away itself; that the address is free is still to be told.
                service.remembered.clone()
            };
        }
        return draft;
    }
    for address in service.addresses().filter(|address| is_held(service, *address, view)) {
        draft.hold(address, view);
    }
    if only_observes {
        draft.verdict.unmet.push(Reason::OpenElbRunning { what: view.snapshot.openelb.clone() });
    } else if is_left_alone {
        let by = view.in_flight.contended.get(&service.id).cloned().flatten();
        draft.verdict.unmet.push(Reason::StatusContended { by });
    } else if let Some(foreign) = draft.foreign().filter(|_| draft.verdict.vips.is_empty()) {
        draft.verdict.unmet.push(Reason::HeldByOther { address: foreign });
    } else if let Some(text) = &service.wish_unreadable {
        draft.note_tenure(view);
        draft.verdict.unmet.push(Reason::WishUnreadable { text: text.clone() });
    } else {
        draft.note_tenure(view);
        draft.note_needs(view);
    }
    draft
}

impl Draft<'_> {
    /// Notes that the Service has this address.
    fn hold(&mut self, address: IpAddr, view: &View<'_>) {
        let eip = view.territory.home(address, &self.service.id).map(|i| view.territory.eip(i).name.clone());
        self.verdict.vips.push(Vip { address, eip, is_new: false, shared_with: None });
    }

    /// An entry of the status that is not ours.
    fn foreign(&self) -> Option<String> {
        self.service.ingress.iter().find_map(|entry| match entry {
            IngressAddress::Foreign(text) => Some(text.clone()),
            IngressAddress::Ip(a) => self.verdict.addresses().all(|held| held != *a).then(|| a.to_string()),
        })
    }

    /// Looks at who else holds what this Service holds, and takes from it what it got in a race of two leaders.
    fn note_tenure(&mut self, view: &View<'_>) {
        let Verdict { vips, released, notes, .. } = &mut self.verdict;
        vips.retain_mut(|vip| match tenure(self.service, vip.address, view.taken, &view.snapshot.settings) {
            Tenure::First => true,
            Tenure::Shares { with } => {
                vip.shared_with = Some(with);
                true
            }
            Tenure::Clashes { with, clash } => {
                let port = match clash {
                    Some(Clash::Port(port)) => Some(port),
                    Some(Clash::Owner) | None => None,
                };
                notes.push(Reason::SharedClash { address: vip.address, with, port });
                true
            }
            Tenure::GivesWay => {
                released.push(vip.address);
                false
            }
        });
    }

    /// Compares what it holds with what it asks for.
    fn note_needs(&mut self, view: &View<'_>) {
        let families = wanted_families(self.service);
        self.release_other_families();
        self.note_pools(view);
        self.note_older_rule();
        let strange = self.service.wish.iter().find(|wish| !families.contains(&IpFamily::of(**wish)));
        if let Some(address) = strange {
            self.verdict.unmet.push(Reason::WishWrongFamily { address: *address });
            return;
        }
        for family in families.iter().copied() {
            if let Some(need) = self.need(family, view) {
                self.needs.push(need);
            }
        }
    }

    /// What it still needs of this family.
    fn need(&self, family: IpFamily, view: &View<'_>) -> Option<Need> {
        let service = self.service;
        let held = || self.verdict.addresses().filter(move |address| IpFamily::of(*address) == family);
        let has_one = held().next().is_some();
        let wish = service.wish.iter().copied().find(|wish| IpFamily::of(*wish) == family);
        let replaces: Vec<IpAddr> = match wish {
            Some(wish) if held().any(|address| address == wish) => return None,
            Some(_) if held().any(|address| is_held_by_older_rule(service, address)) => return None,
            Some(_) => held().collect(),
            None => held().filter(|address| !is_from_wanted_eip(service, *address, view)).collect(),
        };
        if wish.is_none() && replaces.is_empty() && has_one {
            return None;
        }
        let remembered = if has_one { None } else { self.remembered(family, view) };
        Some(Need { family, wish, remembered, replaces, outcome: None })
    }

    /// Says which address is kept although the annotation asks for another. It comes before other notes: the first gives the condition its
    /// reason, and that reason is the memory.
    fn note_older_rule(&mut self) {
        let held = self.verdict.addresses().find(|address| is_held_by_older_rule(self.service, *address));
        let wish = held.and_then(|held| self.service.wish.iter().find(|w| IpFamily::of(**w) == IpFamily::of(held)));
        if let (Some(address), Some(wish)) = (held, wish) {
            self.verdict.notes.insert(0, Reason::HeldByOlderRule { address, wish: *wish });
        }
    }

    /// The user took a family away from the Service: nothing can reach it there any more.
    fn release_other_families(&mut self) {
        let families = &self.service.families;
        let Verdict { vips, released, .. } = &mut self.verdict;
        vips.retain(|vip| {
            let stays = families.is_empty() || families.contains(&IpFamily::of(vip.address));
            if !stays {
                released.push(vip.address);
            }
            stays
        });
    }

    /// Says what became of the Eips of held addresses.
    fn note_pools(&mut self, view: &View<'_>) {
        for vip in &self.verdict.vips {
            let address = vip.address;
            match &vip.eip {
                None => self.verdict.notes.push(Reason::PoolMissing { address }),
                Some(eip) if view.territory.spanning(address).is_none() => {
                    self.verdict.notes.push(Reason::HeldOutsideEip { address, eip: eip.clone() });
                }
                Some(_) => {}
            }
            if let Some(entry) = view.reserved.against(address, self.service) {
                self.verdict.notes.push(Reason::HeldAgainstReservation {
                    address,
                    eip: view.territory.eip(entry.eip).name.clone(),
                    index: entry.reservation.index,
                    reservee: entry.reservation.reservee.clone(),
                });
            }
        }
    }

    /// What it held of this family before its status was lost: by its own annotation, else by OpenELB's record.
    fn remembered(&self, family: IpFamily, view: &View<'_>) -> Option<IpAddr> {
        let given_up = |address: &IpAddr| self.verdict.released.contains(address);
        let listed =
            view.listed.get(&self.service.id).filter(|_| self.service.ingress.is_empty()).into_iter().flatten();
        self.service.remembered.iter().chain(listed).copied().find(|a| IpFamily::of(*a) == family && !given_up(a))
    }
}

/// The families in which a Service is to have an address.
pub(crate) fn wanted_families(service: &Service) -> &[IpFamily] {
    let given: &[IpFamily] = match (service.families.as_slice(), service.wish.first()) {
        // The API server fills the field in; where it did not, the wish tells.
        ([], Some(IpAddr::V6(_))) => &[IpFamily::V6],
        ([], _) => &[IpFamily::V4],
        (families, _) => families,
    };
    let count = if service.family_policy == FamilyPolicy::SingleStack { 1 } else { 2 };
    given.get(..count).unwrap_or(given)
}

/// Is this address of its status ironlb's to keep: in one of the Eips, or written by ironlb or OpenELB?
fn is_held(service: &Service, address: IpAddr, view: &View<'_>) -> bool {
    is_recorded(service, address) || view.territory.home(address, &service.id).is_some()
}

/// Do annotation and finalizer say that this address of its status was given by ironlb or OpenELB?
fn is_recorded(service: &Service, address: IpAddr) -> bool {
    service.remembered.contains(&address) || service.remembered.is_empty() && service.has_openelb_finalizer
}

/// Was this address given by OpenELB 0.5, where `spec.loadBalancerIP` counted before the annotation? It must not move because another
/// program reads the two wishes now. Once the finalizer is off, the condition's reason tells; once the user has removed one of the
/// wishes, nothing is overruled any more.
fn is_held_by_older_rule(service: &Service, address: IpAddr) -> bool {
    let is_adopted = || {
        service.has_openelb_finalizer
            || service.condition(ADDRESS_ASSIGNED).is_some_and(|condition| condition.reason == HELD_BY_OLDER_RULE)
    };
    service.overruled_wish == Some(address) && is_adopted()
}

/// Does this address of a Service that is not ours any more go? Another load balancer may have written its own meanwhile, so where
/// ironlb wrote down what it gave, only that goes.
fn is_written_by_us(service: &Service, address: IpAddr, view: &View<'_>) -> bool {
    if service.remembered.is_empty() {
        view.territory.home(address, &service.id).is_some()
    } else {
        service.remembered.contains(&address)
    }
}

/// Is this held address from an Eip that the Service names? If not, the user has changed the annotation.
///
/// An address that its Eip has lost since (it shrank, or is gone) is no change by the user.
fn is_from_wanted_eip(service: &Service, address: IpAddr, view: &View<'_>) -> bool {
    let mut wanted = names(service).peekable();
    if wanted.peek().is_none() {
        return true;
    }
    let was_given_as_wanted = || match &service.eip_label {
        Some(label) => names(service).any(|name| name == label.as_str()),
        None => true,
    };
    let is_in = |index| {
        let eip = view.territory.eip(index);
        eip.spans(address) || eip.status.used.get(&address).is_some_and(|holders| holders.contains(&service.id))
    };
    wanted.filter_map(|name| view.territory.named(name)).any(is_in)
        || view.territory.spanning(address).is_none() && was_given_as_wanted()
}

#[cfg(test)]
mod tests;
