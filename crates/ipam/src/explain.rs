//! Why one Service is served as it is: the decision on it, with everything the decision looked at.
//!
//! There are no rules here. The plan is made as ever, a [witness](witness::Onlooker) looks on, and what it writes down comes from the
//! functions that decided. So an explanation can be poor, but it cannot be of another opinion than the controller.

mod silent;
mod witness;

use std::collections::BTreeSet;
use std::net::IpAddr;
use std::sync::Arc;

use ironlb_model::{
    Condition, Eip, Endpoints, InterfaceName, IpFamily, Issue, NodeName, ObjectRef, PoolSize, SelectionRule, Service,
    ServiceId, Snapshot, WithheldVip,
};

use crate::announced::Announcers;
use crate::condition::ADDRESS_ASSIGNED;
use crate::conflict::{self, Claim};
use crate::eligible::Standing;
use crate::in_flight::InFlight;
use crate::keep::wanted_families;
use crate::plan::plan_before;
use crate::precedence::{NotOffered, Offer};
use crate::projection::project_with;
use crate::reason::Reason;
use crate::verdict::{Verdict, Vip};
pub use silent::Silent;
use witness::Onlooker;

/// The decision on one Service, with everything it looked at.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Explanation {
    /// The Service.
    pub service: Arc<Service>,
    /// What settled whose it is. A Service that is being deleted is nobody's, whatever this says.
    pub rule: SelectionRule,
    /// The verdict, as [`plan`](crate::plan()) gives it.
    pub verdict: Verdict,
    /// How an address was sought, for each family in which the Service is to have one; empty where it is not ours.
    pub families: Vec<Search>,
    /// The vips of the verdict: with whom they are shared, who announces them.
    pub vips: Vec<VipReport>,
    /// The conditions that the Service should show; none while OpenELB runs and nothing is written.
    pub conditions: Vec<Condition>,
    /// Its endpoints, where the snapshot has them.
    pub endpoints: Option<Arc<Endpoints>>,
    /// What is wrong in this Service and in the Eips.
    pub issues: Vec<Issue>,
}

/// How an address of one family was sought.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Search {
    /// The family.
    pub family: IpFamily,
    /// What was sought.
    pub sought: Sought,
    /// What it held before its status was lost, and does not get back.
    pub lost: Option<LostAddress>,
    /// Every Eip: first those that offer themselves, in the order in which they are tried, then the others by priority and name.
    pub eips: Vec<EipReport>,
    /// What came of it; none where nothing was sought.
    pub outcome: Option<Result<IpAddr, Reason>>,
}

/// What was sought.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Sought {
    /// Nothing: the Service has what it asks for, or is left as it is for a reason of the verdict's.
    Nothing,
    /// This address and no other.
    Wish(IpAddr),
    /// This address, which it held before its status was lost.
    Remembered(IpAddr),
    /// This address, which is reserved for it.
    Reserved(IpAddr),
    /// This address, which a Service of its name gave back a short while ago.
    Again(IpAddr),
    /// Any address.
    Any,
}

/// An address that a Service held before its status was lost, and does not get back.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LostAddress {
    /// The address.
    pub address: IpAddr,
    /// Why no Eip gives it, if that is so.
    pub because: Option<Reason>,
    /// Who has it now.
    pub held_by: Vec<ServiceId>,
}

/// What the decision made of one Eip.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EipReport {
    /// The Eip.
    pub eip: Arc<Eip>,
    /// How it offers itself to the Service, if it does.
    pub offer: Option<Offer>,
    /// How many of the addresses of the family that it has for everybody are in use.
    pub used: PoolSize,
    /// How many addresses of the family it has for everybody, without those that it lost to an Eip that came first.
    pub total: PoolSize,
    /// How many further addresses of the family it has for certain Services.
    pub reserved: PoolSize,
    /// What came of it.
    pub finding: Finding,
}

/// What came of one Eip.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Finding {
    /// The Service holds these addresses out of it.
    Holds(Vec<IpAddr>),
    /// It gives this address.
    Gives(IpAddr),
    /// It was asked and gives none.
    Refused(Reason),
    /// One before it gave an address.
    AfterGiver,
    /// Eips that offer themselves in this way may serve the Service, and only those are tried.
    AfterOffer(Offer),
    /// It does not have the wished address, so it was not asked.
    WithoutWish,
    /// The wished address is in it as well; this other Eip is asked for it.
    WishIsIn(Arc<Eip>),
    /// It does not offer itself to this Service.
    NotOffered(NotOffered),
    /// No Eip was asked.
    NotAsked,
}

impl Finding {
    /// The finding's name in `explain -o json`.
    #[must_use]
    pub fn category(&self) -> &'static str {
        match self {
            Self::Holds(_) => "Holds",
            Self::Gives(_) => "Gives",
            Self::Refused(reason) => reason.category(),
            Self::AfterGiver => "AfterGiver",
            Self::AfterOffer(_) => "AfterOffer",
            Self::WithoutWish => "WithoutWish",
            Self::WishIsIn(_) => "WishIsIn",
            Self::NotOffered(why) => why.category(),
            Self::NotAsked => "NotAsked",
        }
    }
}

/// One vip of the verdict.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct VipReport {
    /// The vip.
    pub vip: Vip,
    /// The other Services whose status shows the address.
    pub others: Vec<ServiceId>,
    /// The nodes that answer for it.
    pub answering: Vec<(NodeName, InterfaceName)>,
    /// The nodes that advertise it in BGP, each with the BgpPeers of its sessions that may have it.
    pub advertising: Vec<(NodeName, BTreeSet<String>)>,
    /// The nodes that do not, as far as their speakers say so.
    pub withheld: Vec<(NodeName, WithheldVip)>,
    /// The nodes that do not advertise it in BGP and do not say why, with what the objects show.
    pub silent: Vec<(NodeName, Silent)>,
    /// The host outside the cluster that claims it.
    pub claim: Option<Claim>,
}

/// Explains the decision on one Service; none where there is no such Service.
///
/// Writes that the controller has made and the snapshot does not show are not known here. That a status is contended is, by the
/// condition that says so.
#[must_use]
pub fn explain(snapshot: &Snapshot, id: &ServiceId) -> Option<Explanation> {
    let service = Arc::clone(snapshot.services.get(id)?);
    let mut onlooker = Onlooker::of(Arc::clone(&service));
    let in_flight = told(snapshot);
    let plan = plan_before(snapshot, &in_flight, &mut onlooker);
    let verdict = plan.verdict(id)?.clone();
    let is_ours = verdict.standing == Standing::Ours;
    let families = if is_ours { onlooker.searches(wanted_families(&service), &verdict) } else { Vec::new() };
    let announcers = Announcers::new(snapshot);
    let vips = verdict.vips.iter().map(|vip| vip_report(vip, snapshot, &service, &announcers, &in_flight)).collect();
    // While OpenELB runs nothing is written.
    let is_written = snapshot.openelb.is_empty();
    let projection = is_written.then(|| project_with(&service, &verdict, &announcers)).flatten();
    let is_of_interest = |issue: &&Issue| match &issue.object {
        ObjectRef::Service(of) => of == id,
        ObjectRef::Eip(_) => is_ours,
        _ => false,
    };
    Some(Explanation {
        rule: snapshot.settings.judge(&service).0,
        families,
        vips,
        conditions: projection.map(|projection| projection.conditions).unwrap_or_default(),
        endpoints: snapshot.endpoints.get(id).cloned(),
        issues: snapshot.issues.iter().filter(is_of_interest).cloned().collect(),
        verdict,
        service,
    })
}

/// What the controller remembers, as far as it can be read from the objects.
fn told(snapshot: &Snapshot) -> InFlight {
    let is_contended = |service: &&Arc<Service>| {
        service
            .condition(ADDRESS_ASSIGNED)
            .is_some_and(|told| told.reason == Reason::StatusContended { by: None }.category())
    };
    let named = |service: &Arc<Service>| (service.id.clone(), service.status_writer.clone());
    let contended = snapshot.services.values().filter(is_contended).map(named).collect();
    InFlight { contended, claimed: conflict::known_to_people(snapshot), ..InFlight::default() }
}

fn vip_report(
    vip: &Vip,
    snapshot: &Snapshot,
    service: &Service,
    announcers: &Announcers<'_>,
    in_flight: &InFlight,
) -> VipReport {
    let shows = |other: &&Arc<Service>| other.id != service.id && other.addresses().any(|a| a == vip.address);
    let advertising = announcers.advertising(vip);
    let withheld = announcers.withheld(vip.address);
    VipReport {
        others: snapshot.services.values().filter(shows).map(|other| other.id.clone()).collect(),
        answering: announcers.answering(vip.address),
        silent: silent::nodes(snapshot, vip, service, &advertising, &withheld),
        advertising,
        withheld,
        claim: in_flight.claimed.get(&vip.address).cloned(),
        vip: vip.clone(),
    }
}

#[cfg(test)]
mod properties;
#[cfg(test)]
mod tests;
