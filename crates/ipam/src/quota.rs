//! How many addresses a namespace may hold of an Eip.
//!
//! A quota refuses what is new and takes nothing away. An address that several Services of a namespace share counts once for it. A
//! reservation for a Service goes before the quota: both are the same administrator's word, and it is the more exact one.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;

use ironlb_model::{NamespaceName, Service};

use crate::reason::Reason;
use crate::taken::Taken;
use crate::territory::{EipIndex, Territory};

/// The addresses that namespaces hold of the Eips that have a quota.
#[derive(Debug, Default)]
pub(crate) struct Quotas<'a> {
    held: BTreeMap<EipIndex, BTreeMap<&'a NamespaceName, BTreeSet<IpAddr>>>,
}

impl<'a> Quotas<'a> {
    pub(crate) fn new(territory: &Territory<'a>, taken: &Taken<'a>) -> Self {
        let mut all = Self::default();
        for (eip, given) in territory.all().filter(|(_, eip)| eip.addresses_per_namespace.is_some()) {
            all.held.insert(eip, BTreeMap::new());
            for range in given.span.ranges() {
                for (address, holder) in taken.held_in(*range).filter(|(a, _)| territory.spanning(*a) == Some(eip)) {
                    all.add(eip, address, holder);
                }
            }
        }
        all
    }

    /// Notes that this Service holds this address of this Eip.
    pub(crate) fn add(&mut self, eip: EipIndex, address: IpAddr, service: &'a Service) {
        if let Some(namespaces) = self.held.get_mut(&eip) {
            namespaces.entry(&service.id.namespace).or_default().insert(address);
        }
    }

    /// May this Service have an address of this Eip: this one, or any that nobody holds? What it gives back for it does not count.
    pub(crate) fn check(
        &self,
        territory: &Territory<'_>,
        taken: &Taken<'_>,
        eip: EipIndex,
        service: &Service,
        address: Option<IpAddr>,
        replaces: &[IpAddr],
    ) -> Result<(), Reason> {
        let given = territory.eip(eip);
        let (Some(limit), Some(namespaces)) = (given.addresses_per_namespace, self.held.get(&eip)) else {
            return Ok(());
        };
        let namespace = &service.id.namespace;
        let none = BTreeSet::new();
        let held = namespaces.get(namespace).unwrap_or(&none);
        if address.is_some_and(|address| held.contains(&address)) {
            return Ok(());
        }
        let is_given_back = |address: &&IpAddr| {
            held.contains(*address) && taken.others(**address, service).all(|other| other.id.namespace != *namespace)
        };
        let given_back = replaces.iter().filter(is_given_back).count();
        let used = u64::try_from(held.len().saturating_sub(given_back)).unwrap_or(u64::MAX);
        if used < limit {
            return Ok(());
        }
        Err(Reason::QuotaExceeded { eip: given.name.clone(), namespace: namespace.clone(), used, limit })
    }
}

#[cfg(test)]
mod tests;
