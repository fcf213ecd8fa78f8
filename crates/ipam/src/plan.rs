//! Which Service gets which vip out of which Eip.

use std::net::IpAddr;
use std::sync::Arc;

use ironlb_model::{FamilyPolicy, IpFamily, Service, ServiceId, Snapshot};

use crate::conflict::Claim;
use crate::in_flight::InFlight;
use crate::keep::{self, Draft, Need, View};
use crate::precedence::Precedence;
use crate::quota::Quotas;
use crate::reason::Reason;
use crate::reserved::Reserved;
use crate::sharing;
use crate::taken::{Place, Search, Taken};
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

    /// Does a Service wait for an address that was given back a short while ago?
    pub(crate) fn waits_for_reuse(&self) -> bool {
        let reasons = |entry: &ServiceVerdict| {
            entry.verdict.unmet.iter().chain(&entry.verdict.notes).any(Reason::may_end_with_reuse_delay)
        };
        self.services.iter().any(reasons)
    }
}

/// Decides which addresses every Service shall hold.
///
/// Keep first; then explicit wishes; then what was held before a status was lost; then what is reserved; then what a Service of that
/// name gave back a short while ago; then the rest. Within each, the oldest Service first, then by name. What is free is known from the
/// snapshot and from `in_flight`; an address given back by this very plan is not free before the snapshot shows it.
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
    /// By an address that is reserved for the Service.
    Reserved,
    /// By an address that a Service of that name gave back a short while ago.
    Again,
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
    let taken = Taken::new(snapshot, in_flight, &territory);
    let listed = keep::listed_by_openelb(snapshot);
    let reserved = Reserved::new(&territory);
    let view = View { snapshot, in_flight, territory: &territory, taken: &taken, reserved: &reserved, listed };
    let mut drafts: Vec<Draft<'_>> = snapshot.services.values().map(|service| keep::draft(service, &view)).collect();

    let mut in_need: Vec<&mut Draft<'_>> = drafts.iter_mut().filter(|draft| !draft.needs.is_empty()).collect();
    let needs = || in_need.iter().flat_map(|draft| &draft.needs);
    // What no need asks for is not looked through, 10,000 drafts in an order that is not theirs in memory.
    let has_wishes = needs().any(|need| need.wish.is_some());
    let has_memories = needs().any(|need| need.remembered.is_some());
    // They are in the order of their names already, which a stable sort keeps, and the names need not be compared.
    in_need.sort_by_cached_key(|draft| draft.service.created);
    let precedence = Precedence::new(snapshot, &territory);
    let quotas = Quotas::new(&territory, &taken);
    let search = Search::default();
    let mut desk =
        Desk { snapshot, in_flight, territory: &territory, precedence, reserved: &reserved, quotas, taken, search };
    let passes: [(Pass, bool, Giving<'_>); 5] = [
        (Pass::Wish, has_wishes, Desk::grant_wish),
        (Pass::GiveBack, has_memories, Desk::give_back),
        (Pass::Reserved, !reserved.is_empty(), Desk::give_reserved),
        (Pass::Again, !in_flight.freed.is_empty(), Desk::give_again),
        (Pass::Any, true, Desk::give_any),
    ];
    for (pass, _, give) in passes.into_iter().filter(|(_, is_asked_for, _)| *is_asked_for) {
        for draft in &mut in_need {
            let Draft { service, verdict, needs } = &mut **draft;
            for need in needs.iter_mut().filter(|need| need.is_open(pass)) {
                let Some(outcome) = give(&mut desk, service, need) else { continue };
                witness.settled(&mut desk, service, need, pass, &outcome);
                let outcome = outcome.map(|(address, eip)| {
                    desk.taken.add(address, service);
                    desk.quotas.add(eip, address, service);
                    verdict.vips.push(desk.new_vip(service, address, eip));
                });
                // A wish that was refused stays refused, also where the Service gets back what it held before.
                need.outcome = need.outcome.take().or(Some(outcome));
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
    in_flight: &'a InFlight,
    pub(crate) territory: &'a Territory<'a>,
    pub(crate) precedence: Precedence<'a>,
    pub(crate) reserved: &'a Reserved<'a>,
    quotas: Quotas<'a>,
    pub(crate) taken: Taken<'a>,
    search: Search,
}

impl<'a> Desk<'a> {
    /// An explicit wish: this address and no other.
    fn grant_wish(&mut self, service: &'a Service, need: &Need) -> Option<Grant> {
        let address = need.wish?;
        Some(self.precedence.for_wish(service, address).and_then(|eip| {
            // What it held before its status was lost, and still wishes for, is no news to it.
            if need.remembered != Some(address) {
                self.check_claim(address, eip)?;
            }
            let sharing = self.territory.eip(eip).sharing;
            self.check_address(service, address, eip, &need.replaces)?;
            sharing::may_join(service, address, sharing, &self.taken, &self.snapshot.settings)?;
            Ok((address, eip))
        }))
    }

    /// May this Service have this address of this Eip, as far as reservations, delay and quota go?
    pub(crate) fn check_address(
        &self,
        service: &Service,
        address: IpAddr,
        eip: EipIndex,
        replaces: &[IpAddr],
    ) -> Result<(), Reason> {
        let given = self.territory.eip(eip);
        if let Some(entry) = self.reserved.against(address, service) {
            return Err(Reason::Reserved {
                address,
                eip: given.name.clone(),
                index: entry.reservation.index,
                reservee: entry.reservation.reservee.clone(),
            });
        }
        if let Some(by) = self.in_flight.freed.get(&address).filter(|freed| !freed.by.contains(&service.id))
            && let Some(by) = by.by.first()
        {
            let (eip, by, delay) = (given.name.clone(), by.clone(), given.reuse_delay);
            return Err(Reason::ReuseDelayed { address, eip, by, delay });
        }
        // A reservation is the more exact word of the same administrator.
        if self.reserved.of(address).is_some() {
            return Ok(());
        }
        self.quotas.check(self.territory, &self.taken, eip, service, Some(address), replaces)
    }

    /// Does no stranger claim this address, or does its Eip not mind?
    pub(crate) fn check_claim(&self, address: IpAddr, eip: EipIndex) -> Result<(), Reason> {
        match self.in_flight.claimed.get(&address).filter(|_| self.taken.is_claimed(address)) {
            None => Ok(()),
            Some(Claim { mac, node }) => {
                Err(Reason::InConflict { address, eip: self.precedence.name(eip), mac: *mac, node: node.clone() })
            }
        }
    }

    /// What it held before its status was lost, if that is still to be had; it is not told when not.
    fn give_back(&mut self, service: &'a Service, need: &Need) -> Option<Grant> {
        let address = need.remembered?;
        let eip = self.precedence.for_remembered(service, address, &self.taken)?;
        self.check_address(service, address, eip, &need.replaces).ok()?;
        Some(Ok((address, eip)))
    }

    /// The lowest free address that is reserved for it.
    fn give_reserved(&mut self, service: &'a Service, need: &Need) -> Option<Grant> {
        let reserved = self.reserved;
        reserved.for_service(service).find_map(|(place, entry)| {
            if !self.precedence.serves_reservation(entry.eip, service, need.family) {
                return None;
            }
            let avoid_buggy = self.territory.eip(entry.eip).avoid_buggy_ips;
            let place = Place::Reserved(place);
            let address = self.search.lowest_free(place, &entry.addresses, need.family, avoid_buggy, &self.taken)?;
            Some(Ok((address, entry.eip)))
        })
    }

    /// The lowest address that it, or one of its name before it, gave back a short while ago, if its Eip still serves it.
    fn give_again(&mut self, service: &'a Service, need: &Need) -> Option<Grant> {
        let mut own = self
            .in_flight
            .freed
            .iter()
            .filter(|(address, freed)| IpFamily::of(**address) == need.family && freed.by.contains(&service.id));
        let (address, _) = own.find(|(address, _)| self.taken.is_free(**address))?;
        let candidates = self.precedence.candidates(service, need.family).ok()?;
        let eip = self.precedence.for_remembered(service, *address, &self.taken)?;
        if !candidates.contains(&eip) {
            return None;
        }
        self.check_claim(*address, eip).ok()?;
        self.check_address(service, *address, eip, &need.replaces).ok()?;
        Some(Ok((*address, eip)))
    }

    /// The lowest free address of the first Eip with room.
    fn give_any(&mut self, service: &'a Service, need: &Need) -> Option<Grant> {
        let candidates = match self.precedence.candidates(service, need.family) {
            Ok(candidates) => candidates,
            Err(reason) => return Some(Err(reason)),
        };
        let mut refused: Option<Reason> = None;
        for eip in candidates {
            match self.give_from(eip, service, need) {
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
    pub(crate) fn give_from(&mut self, eip: EipIndex, service: &Service, need: &Need) -> Result<IpAddr, Reason> {
        self.quotas.check(self.territory, &self.taken, eip, service, None, &need.replaces)?;
        let (given, family) = (self.territory.eip(eip), need.family);
        let (place, pool) = (Place::Open(eip), self.reserved.open(self.territory, eip));
        let avoid_buggy = given.avoid_buggy_ips;
        self.search.lowest_free(place, pool, family, avoid_buggy, &self.taken).ok_or_else(|| {
            let (used, total) = self.search.used(place, pool, family, avoid_buggy, &self.taken);
            Reason::EipFull {
                eips: vec![given.name.clone()],
                used,
                total,
                reserved: self.territory.pool(eip).size_of(family).saturating_sub(pool.size_of(family)),
                reuse_delayed: !given.reuse_delay.is_zero(),
                claimed: self.taken.has_claimed(pool, family),
            }
        })
    }

    fn new_vip(&self, service: &Service, address: IpAddr, eip: EipIndex) -> Vip {
        let shared_with = self.taken.others(address, service).next().map(|holder| holder.id.clone());
        Vip { address, eip: Some(self.precedence.name(eip)), is_new: true, shared_with }
    }
}

/// Why an Eip gave nothing, and why the next one did not either: all that are full in one sentence; a quota rather than that, since it
/// is no use to enlarge the others then; else the first obstacle.
fn both(before: Reason, next: Reason) -> Reason {
    match (before, next) {
        (
            Reason::EipFull { mut eips, used, total, reserved, reuse_delayed, claimed },
            Reason::EipFull {
                eips: more,
                used: also,
                total: of,
                reserved: further,
                reuse_delayed: delayed_too,
                claimed: claimed_too,
            },
        ) => {
            eips.extend(more);
            Reason::EipFull {
                eips,
                used: used.saturating_add(also),
                total: total.saturating_add(of),
                reserved: reserved.saturating_add(further),
                reuse_delayed: reuse_delayed || delayed_too,
                claimed: claimed || claimed_too,
            }
        }
        (Reason::EipFull { .. }, next @ Reason::QuotaExceeded { .. }) => next,
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
