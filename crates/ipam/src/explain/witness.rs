//! Looks on while the plan is made, and writes down what it makes of each Eip for one Service.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::sync::Arc;

use ironlb_model::{IpFamily, Service};

use crate::explain::{EipReport, Finding, LostAddress, Search, Sought};
use crate::keep::Need;
use crate::plan::{Desk, Grant, Pass, Witness};
use crate::precedence::{Offer, by_priority};
use crate::territory::EipIndex;
use crate::verdict::Verdict;

/// Looks on for one Service.
#[derive(Debug)]
pub(crate) struct Onlooker {
    service: Arc<Service>,
    settled: BTreeMap<IpFamily, Search>,
    /// The Eips as they are in the end, for families in which nothing is sought.
    idle: BTreeMap<IpFamily, Vec<EipReport>>,
}

impl Witness for Onlooker {
    fn settled<'a>(&mut self, desk: &mut Desk<'a>, service: &'a Service, need: &Need, pass: Pass, outcome: &Grant) {
        if service.id != self.service.id {
            return;
        }
        let reports = match (pass, need.wish) {
            (Pass::Wish, Some(address)) => asked_by_wish(desk, service, need.family, address, outcome),
            (Pass::Any, _) => tried(desk, service, need),
            _ => given_back(desk, service, need.family, outcome),
        };
        let sought = match (pass, outcome) {
            (Pass::Wish, _) => need.wish.map_or(Sought::Any, Sought::Wish),
            (Pass::GiveBack, Ok((address, _))) => Sought::Remembered(*address),
            (Pass::Reserved, Ok((address, _))) => Sought::Reserved(*address),
            (Pass::Again, Ok((address, _))) => Sought::Again(*address),
            _ => Sought::Any,
        };
        let is_lost = !matches!(pass, Pass::Wish | Pass::GiveBack);
        let lost = need.remembered.filter(|_| is_lost).map(|address| LostAddress {
            address,
            because: desk
                .precedence
                .for_wish(service, address)
                .and_then(|eip| desk.check_address(service, address, eip, &need.replaces))
                .err(),
            held_by: desk.taken.others(address, service).map(|holder| holder.id.clone()).collect(),
        });
        let outcome = Some(outcome.clone().map(|(address, _)| address));
        self.settled.insert(need.family, Search { family: need.family, sought, lost, eips: reports, outcome });
    }

    fn ended(&mut self, desk: &mut Desk<'_>) {
        let Some(service) = desk.snapshot.services.get(&self.service.id) else { return };
        for family in [IpFamily::V4, IpFamily::V6] {
            let reports = line_up(desk, service, family, |_, _, _| Finding::NotAsked);
            self.idle.insert(family, reports);
        }
    }
}

impl Onlooker {
    /// Looks on for this Service.
    pub(crate) fn of(service: Arc<Service>) -> Self {
        Self { service, settled: BTreeMap::new(), idle: BTreeMap::new() }
    }

    /// What was seen, for each of these families.
    pub(crate) fn searches(mut self, families: &[IpFamily], verdict: &Verdict) -> Vec<Search> {
        families.iter().map(|family| self.search(*family, verdict)).collect()
    }

    fn search(&mut self, family: IpFamily, verdict: &Verdict) -> Search {
        if let Some(search) = self.settled.remove(&family) {
            return search;
        }
        let mut eips = self.idle.remove(&family).unwrap_or_default();
        for report in &mut eips {
            let is_from = |eip: &Option<_>| eip.as_ref() == Some(&report.eip.name);
            let held: Vec<IpAddr> = verdict
                .vips
                .iter()
                .filter(|vip| IpFamily::of(vip.address) == family && is_from(&vip.eip))
                .map(|vip| vip.address)
                .collect();
            if !held.is_empty() {
                report.finding = Finding::Holds(held);
            }
        }
        Search { family, sought: Sought::Nothing, lost: None, eips, outcome: None }
    }
}

/// Every Eip once: those that offer themselves in the order in which they are tried, then the others; each with what `find` says.
fn line_up<'a>(
    desk: &mut Desk<'a>,
    service: &'a Service,
    family: IpFamily,
    mut find: impl FnMut(&mut Desk<'a>, EipIndex, Option<Offer>) -> Finding,
) -> Vec<EipReport> {
    let mut order: Vec<(EipIndex, Option<Offer>)> = Vec::new();
    // An Eip that is named and does not exist offers nothing, and nor do the others.
    for (offer, eips) in desk.precedence.offers(service).into_iter().flatten() {
        for eip in eips {
            if order.iter().all(|(other, _)| *other != eip) {
                order.push((eip, Some(offer)));
            }
        }
    }
    let mut rest: Vec<_> = desk.territory.all().filter(|(i, _)| order.iter().all(|(other, _)| other != i)).collect();
    rest.sort_by(|(_, a), (_, b)| by_priority(a, b));
    order.extend(rest.into_iter().map(|(i, _)| (i, None)));
    let report = |(i, offer): (EipIndex, Option<Offer>)| {
        let finding = find(desk, i, offer);
        let (eip, open) = (Arc::clone(desk.territory.eip(i)), desk.reserved.open(desk.territory, i));
        let (used, total) = desk.taken.room_in(open, family, eip.avoid_buggy_ips);
        let reserved = desk.territory.pool(i).size_of(family).saturating_sub(open.size_of(family));
        EipReport { eip, offer, used, total, reserved, finding }
    };
    order.into_iter().map(report).collect()
}

/// Any address is sought.
fn tried<'a>(desk: &mut Desk<'a>, service: &'a Service, need: &Need) -> Vec<EipReport> {
    let family = need.family;
    // The first kind of offer of which one Eip may serve the Service.
    let mut offers = desk.precedence.offers(service).into_iter().flatten();
    let tried =
        offers.find(|(_, eips)| eips.iter().any(|eip| desk.precedence.may_serve(*eip, service, family).is_ok()));
    let tried = tried.map(|(offer, _)| offer);
    let mut has_given = false;
    line_up(desk, service, family, |desk, eip, offer| {
        let Some(offer) = offer else {
            return Finding::NotOffered(desk.precedence.why_not_offered(eip, service));
        };
        if let Some(first) = tried.filter(|first| *first < offer) {
            return Finding::AfterOffer(first);
        }
        if let Err(reason) = desk.precedence.may_serve(eip, service, family) {
            return Finding::Refused(reason);
        }
        if has_given {
            return Finding::AfterGiver;
        }
        match desk.give_from(eip, service, need) {
            Ok(address) => {
                has_given = true;
                Finding::Gives(address)
            }
            Err(reason) => Finding::Refused(reason),
        }
    })
}

/// One address is wished for: one Eip at most is asked.
fn asked_by_wish<'a>(
    desk: &mut Desk<'a>,
    service: &'a Service,
    family: IpFamily,
    address: IpAddr,
    outcome: &Grant,
) -> Vec<EipReport> {
    let asked = desk.precedence.asked_by_wish(service, address).ok();
    line_up(desk, service, family, |desk, eip, _| {
        if asked == Some(eip) {
            return match outcome {
                Ok((address, _)) => Finding::Gives(*address),
                Err(reason) => Finding::Refused(reason.clone()),
            };
        }
        match asked {
            Some(first) if desk.territory.eip(eip).spans(address) => {
                Finding::WishIsIn(Arc::clone(desk.territory.eip(first)))
            }
            _ => Finding::WithoutWish,
        }
    })
}

/// It gets what is its own: what it held before, or what is reserved for it.
fn given_back<'a>(desk: &mut Desk<'a>, service: &'a Service, family: IpFamily, outcome: &Grant) -> Vec<EipReport> {
    line_up(desk, service, family, |_, eip, _| match outcome {
        Ok((address, from)) if *from == eip => Finding::Gives(*address),
        _ => Finding::NotAsked,
    })
}
