//! Which Service gets which vip out of which Eip.

use std::net::IpAddr;
use std::sync::Arc;

use ironlb_model::{FamilyPolicy, IpFamily, Service, ServiceId, Snapshot};

use crate::in_flight::InFlight;
use crate::keep::{self, Draft, Need, View};
use crate::precedence::Precedence;
use crate::reason::Reason;
use crate::sharing;
use crate::taken::{Search, Taken};
use crate::territory::{EipIndex, Territory};
use crate::verdict::{Verdict, Vip};

/// A Service and what is decided about it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ServiceVerdict {
    /// The Service, as the plan saw it.
    pub service: Arc<Service>,
    /// What is decided.
    pub verdict: Verdict,
}

/// What is decided about every Service.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Plan {
    /// In the order of namespace and name.
    pub services: Vec<ServiceVerdict>,
}

impl Plan {
    /// What is decided about one Service.
    #[must_use]
    pub fn verdict(&self, id: &ServiceId) -> Option<&Verdict> {
        let found = self.services.binary_search_by(|entry| entry.service.id.cmp(id)).ok()?;
        self.services.get(found).map(|entry| &entry.verdict)
    }
}

/// Decides which addresses every Service shall hold.
///
/// Keep first; then explicit wishes; then what was held before a status was lost; then the rest. Within each, the oldest Service
/// first, then by name. What is free is known from the snapshot and from `in_flight`; an address given back by this very plan is not
/// free before the snapshot shows it.
#[must_use]
pub fn plan(snapshot: &Snapshot, in_flight: &InFlight) -> Plan {
    plan_before(snapshot, in_flight, &mut Nobody)
}

/// How a need was settled.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Pass {
    /// By an explicit wish.
    Wish,
    /// By what was held before a status was lost.
    GiveBack,
    /// By any address.
    Any,
}

/// Who looks on while a plan is made, and changes nothing in it.
pub(crate) trait Witness {
    /// A need was settled in this pass, with this outcome; nothing is taken for it yet.
    fn settled<'a>(&mut self, desk: &mut Desk<'a>, service: &'a Service, need: &Need, pass: Pass, outcome: &Grant);

    /// Everything is settled and taken.
    fn ended(&mut self, desk: &mut Desk<'_>);
}

/// The witness of a plan that nobody asks about.
struct Nobody;

impl Witness for Nobody {
    fn settled<'a>(&mut self, _: &mut Desk<'a>, _: &'a Service, _: &Need, _: Pass, _: &Grant) {}
    fn ended(&mut self, _: &mut Desk<'_>) {}
}

/// [`plan`], with somebody who looks on.
pub(crate) fn plan_before(snapshot: &Snapshot, in_flight: &InFlight, witness: &mut impl Witness) -> Plan {
    let territory = Territory::new(snapshot);
    let taken = Taken::new(snapshot, in_flight);
    let listed = keep::listed_by_openelb(snapshot);
    let view = View { snapshot, in_flight, territory: &territory, taken: &taken, listed };
    let mut drafts: Vec<Draft<'_>> = snapshot.services.values().map(|service| keep::draft(service, &view)).collect();

    let mut in_need: Vec<&mut Draft<'_>> = drafts.iter_mut().filter(|draft| !draft.needs.is_empty()).collect();
    in_need.sort_by(|a, b| (a.service.created, &a.service.id).cmp(&(b.service.created, &b.service.id)));
    let precedence = Precedence::new(snapshot, &territory);
    let mut desk = Desk { snapshot, territory: &territory, precedence, taken, search: Search::default() };
    let passes =
        [(Pass::Wish, Desk::grant_wish as Giving<'_>), (Pass::GiveBack, Desk::give_back), (Pass::Any, Desk::give_any)];
    for (pass, give) in passes {
        for draft in &mut in_need {
            let Draft { service, verdict, needs } = &mut **draft;
            for need in needs.iter_mut().filter(|need| need.outcome.is_none()) {
                if let Some(outcome) = give(&mut desk, service, need) {
                    witness.settled(&mut desk, service, need, pass, &outcome);
                    need.outcome = Some(outcome.map(|(address, eip)| {
                        desk.taken.add(address, service);
                        verdict.vips.push(desk.new_vip(service, address, eip));
                    }));
                }
            }
        }
    }
    witness.ended(&mut desk);
    let services =
        drafts.into_iter().map(|draft| ServiceVerdict { service: Arc::clone(draft.service), verdict: conclude(draft) });
    Plan { services: services.collect() }
}

/// The address and the Eip it is from, or why none is given.
pub(crate) type Grant = Result<(IpAddr, EipIndex), Reason>;

type Giving<'a> = fn(&mut Desk<'a>, &'a Service, &Need) -> Option<Grant>;

/// Where addresses are given out: what is taken, and how far the search for free ones is.
#[derive(Debug)]
pub(crate) struct Desk<'a> {
    pub(crate) snapshot: &'a Snapshot,
    pub(crate) territory: &'a Territory<'a>,
    pub(crate) precedence: Precedence<'a>,
    pub(crate) taken: Taken<'a>,
    search: Search,
}

impl<'a> Desk<'a> {
    /// An explicit wish: this address and no other.
    fn grant_wish(&mut self, service: &'a Service, need: &Need) -> Option<Grant> {
        let address = need.wish?;
        Some(self.precedence.for_wish(service, address).and_then(|eip| {
            let sharing = self.territory.eip(eip).sharing;
            sharing::may_join(service, address, sharing, &self.taken, &self.snapshot.settings)?;
            Ok((address, eip))
        }))
    }

    /// What it held before its status was lost, if that is still to be had; it is not told when not.
    fn give_back(&mut self, service: &'a Service, need: &Need) -> Option<Grant> {
        let address = need.remembered?;
        self.precedence.for_remembered(service, address, &self.taken).map(|eip| Ok((address, eip)))
    }

    /// The lowest free address of the first Eip with room.
    fn give_any(&mut self, service: &'a Service, need: &Need) -> Option<Grant> {
        let candidates = match self.precedence.candidates(service, need.family) {
            Ok(candidates) => candidates,
            Err(reason) => return Some(Err(reason)),
        };
        let mut refused: Option<Reason> = None;
        for eip in candidates {
            match self.give_from(eip, need.family) {
                Ok(address) => return Some(Ok((address, eip))),
                Err(reason) => {
                    refused = Some(match refused {
                        None => reason,
                        Some(before) => both(before, reason),
                    });
                }
            }
        }
        refused.map(Err)
    }

    /// What this Eip gives now to a Service that it may serve: its lowest free address, or why none.
    pub(crate) fn give_from(&mut self, eip: EipIndex, family: IpFamily) -> Result<IpAddr, Reason> {
        let free = self.search.lowest_free(self.territory, eip, family, &self.taken);
        free.ok_or_else(|| Reason::EipFull {
            eips: vec![self.precedence.name(eip)],
            used: self.search.used(self.territory, eip, family, &self.taken),
            total: self.territory.pool(eip).size_of(family),
        })
    }

    fn new_vip(&self, service: &Service, address: IpAddr, eip: EipIndex) -> Vip {
        let shared_with = self.taken.others(address, service).next().map(|holder| holder.id.clone());
        Vip { address, eip: Some(self.precedence.name(eip)), is_new: true, shared_with }
    }
}

/// Why an Eip gave nothing, and why the next one did not either: all that are full in one sentence, else the first obstacle.
fn both(before: Reason, next: Reason) -> Reason {
    match (before, next) {
        (Reason::EipFull { mut eips, used, total }, Reason::EipFull { eips: more, used: also, total: of }) => {
            eips.extend(more);
            Reason::EipFull { eips, used: used.saturating_add(also), total: total.saturating_add(of) }
        }
        (before, _) => before,
    }
}

/// The verdict, now that it is known what came of each need.
fn conclude(draft: Draft<'_>) -> Verdict {
    let Draft { service, mut verdict, needs } = draft;
    let has_any = !verdict.vips.is_empty();
    for need in needs {
        match need.outcome {
            Some(Ok(())) => {
                verdict.vips.retain(|vip| vip.is_new || !need.replaces.contains(&vip.address));
                verdict.notes.retain(|note| !note.is_about(&need.replaces));
                verdict.released.extend(need.replaces);
            }
            // Two families are preferred, not required, and nobody asked for an address of this one.
            Some(Err(because))
                if has_any
                    && service.family_policy == FamilyPolicy::PreferDualStack
                    && need.wish.is_none()
                    && need.replaces.is_empty() =>
            {
                verdict.notes.push(Reason::SecondFamilyMissing { family: need.family, because: Box::new(because) });
            }
            Some(Err(reason)) => verdict.unmet.push(reason),
            // The last pass answers every need.
            None => {}
        }
    }
    // Kept ones stay in front, in the order of the status; new ones follow in the order of the Service's families.
    let families = keep::wanted_families(service);
    let place = |vip: &Vip| families.iter().position(|family| *family == IpFamily::of(vip.address));
    verdict.vips.sort_by_key(|vip| if vip.is_new { (true, place(vip)) } else { (false, None) });
    verdict
}

#[cfg(test)]
pub(crate) mod properties;
#[cfg(test)]
mod tests;
