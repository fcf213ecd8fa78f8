//! What a Service should show.

use std::net::IpAddr;

use ironlb_model::{Condition, ConditionStatus, EipName, FamilyPolicy, IngressAddress, IpFamily, Service, Snapshot};

use crate::announced::Announcers;
use crate::condition::{ADDRESS_ASSIGNED, ASSIGNED, SHARED, condition};
use crate::eligible::Standing;
use crate::keep::wanted_families;
use crate::reason::Reason;
use crate::verdict::{Verdict, Vip};

/// What a Service should show. OpenELB's finalizer is never part of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ServiceProjection {
    /// `status.loadBalancer.ingress`; entries of others stay where they are.
    pub ingress: Vec<IngressAddress>,
    /// Label `eip.openelb.kubesphere.io/v1alpha2`: the Eip of the first vip.
    pub label: Option<EipName>,
    /// Annotation `ironlb.io/addresses`.
    pub remembered: Vec<IpAddr>,
    /// ironlb's conditions.
    pub conditions: Vec<Condition>,
}

/// What this Service should show once the verdict on it is carried out; `None` where nothing on it is ironlb's to write.
#[must_use]
pub fn project(service: &Service, verdict: &Verdict, snapshot: &Snapshot) -> Option<ServiceProjection> {
    project_with(service, verdict, &Announcers::new(snapshot))
}

/// [`project`] with the reports already sorted.
pub(crate) fn project_with(
    service: &Service,
    verdict: &Verdict,
    announcers: &Announcers<'_>,
) -> Option<ServiceProjection> {
    if verdict.leaves {
        return Some(ServiceProjection {
            ingress: ingress(service, verdict),
            label: None,
            remembered: Vec::new(),
            conditions: Vec::new(),
        });
    }
    (verdict.standing == Standing::Ours).then(|| ServiceProjection {
        ingress: ingress(service, verdict),
        label: label(service, verdict),
        remembered: remembered(service, verdict),
        conditions: std::iter::once(assigned(service, verdict)).chain(announcers.condition(verdict)).collect(),
    })
}

fn ingress(service: &Service, verdict: &Verdict) -> Vec<IngressAddress> {
    let stays = |entry: &&IngressAddress| match entry {
        IngressAddress::Ip(address) => !verdict.released.contains(address),
        IngressAddress::Foreign(_) => true,
    };
    let new = verdict.vips.iter().map(|vip| vip.address).filter(|a| service.addresses().all(|held| held != *a));
    service.ingress.iter().filter(stays).cloned().chain(new.map(IngressAddress::Ip)).collect()
}

fn label(service: &Service, verdict: &Verdict) -> Option<EipName> {
    if verdict.vips.is_empty() {
        return None;
    }
    // Where no Eip is known any more, what was written stays: it says which one it was.
    verdict.vips.iter().find_map(|vip| vip.eip.clone()).or_else(|| service.eip_label.clone())
}

/// One address of each family: what it holds, and what it held of a family that it lost through no doing of the user's.
fn remembered(service: &Service, verdict: &Verdict) -> Vec<IpAddr> {
    let families = wanted_families(service);
    let lost = service
        .remembered
        .iter()
        .copied()
        .filter(|address| families.contains(&IpFamily::of(*address)) && !verdict.released.contains(address));
    let mut all: Vec<IpAddr> = Vec::new();
    for address in verdict.addresses().chain(lost) {
        if all.iter().all(|other| IpFamily::of(*other) != IpFamily::of(address)) {
            all.push(address);
        }
    }
    all
}

fn assigned(service: &Service, verdict: &Verdict) -> Condition {
    let remarks = verdict.unmet.iter().chain(&verdict.notes).map(Reason::to_string);
    let message = verdict.vips.iter().map(held).collect::<Vec<_>>().join(", ");
    let message =
        std::iter::once(message).filter(|text| !text.is_empty()).chain(remarks).collect::<Vec<_>>().join("; ");
    let is_required = service.family_policy == FamilyPolicy::RequireDualStack;
    let has_all = wanted_families(service).iter().all(|f| verdict.addresses().any(|a| IpFamily::of(a) == *f));
    let status =
        if verdict.vips.is_empty() || is_required && !has_all { ConditionStatus::False } else { ConditionStatus::True };
    condition(ADDRESS_ASSIGNED, status, reason(verdict), message)
}

fn reason(verdict: &Verdict) -> &'static str {
    let note = verdict.notes.iter().find(|note| !matches!(note, Reason::SecondFamilyMissing { .. }));
    match verdict.unmet.first().or(note) {
        Some(reason) => reason.category(),
        None if verdict.vips.iter().any(|vip| vip.shared_with.is_some()) => SHARED,
        None => ASSIGNED,
    }
}

fn held(vip: &Vip) -> String {
    let mut text = vip.address.to_string();
    if let Some(eip) = &vip.eip {
        text.push_str(" from Eip ");
        text.push_str(eip.as_str());
    }
    if let Some(first) = &vip.shared_with {
        text.push_str(", shared with Service ");
        text.push_str(&first.to_string());
    }
    text
}

#[cfg(test)]
mod tests;
