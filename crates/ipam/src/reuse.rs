//! Addresses that were given back a short while ago and are kept from other Services: `reuseDelay` of an Eip.
//!
//! When an address was given back stands in no object. So this is memory: a controller that has just become leader knows only what
//! was given back since. Clients and caches that the delay is for outlive a change of leader rarely enough.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use ironlb_model::{Eip, Service, ServiceId, Snapshot, Timestamp};

use crate::in_flight::{InFlight, WriteState};

/// An address that was given back a short while ago.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Freed {
    /// Who held it; each of them gets it back at once.
    pub by: BTreeSet<ServiceId>,
    /// Until then nobody else gets it.
    pub until: Timestamp,
}

/// Who was last seen to hold what, and what was given back since.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Reuse {
    /// Sorted by address.
    held: Vec<(IpAddr, Arc<Service>)>,
    freed: BTreeMap<IpAddr, (BTreeSet<ServiceId>, Timestamp)>,
}

impl Reuse {
    /// Compares who holds what with who did, and says what is not to be given to others now.
    pub(crate) fn observe(
        &mut self,
        snapshot: &Snapshot,
        in_flight: &InFlight,
        now: Timestamp,
    ) -> BTreeMap<IpAddr, Freed> {
        let delayed: Vec<&Eip> =
            snapshot.eips.values().map(AsRef::as_ref).filter(|eip| !eip.reuse_delay.is_zero()).collect();
        let delay = |address: IpAddr| -> Option<Duration> {
            delayed.iter().filter(|eip| eip.spans(address)).map(|eip| eip.reuse_delay).max()
        };
        let held = if delayed.is_empty() { Vec::new() } else { holders(snapshot, in_flight) };
        let is_held = |address: &IpAddr| held.binary_search_by_key(address, |(a, _)| *a).is_ok();
        for group in self.held.chunk_by(|(a, _), (b, _)| a == b) {
            let Some((address, _)) = group.first() else { continue };
            if !is_held(address) && delay(*address).is_some() {
                self.freed.insert(*address, (group.iter().map(|(_, holder)| holder.id.clone()).collect(), now));
            }
        }
        let mut kept = BTreeMap::new();
        // The delay is looked up anew each time: one that is changed counts at once.
        self.freed.retain(|address, (by, at)| {
            let until = delay(*address).map(|delay| *at + delay).filter(|until| *until > now && !is_held(address));
            if let Some(until) = until {
                kept.insert(*address, Freed { by: by.clone(), until });
            }
            until.is_some()
        });
        self.held = held;
        kept
    }
}

/// Every address with everyone who holds it, sorted by address: by its status, or by a write of ours that has not come back and was
/// carried out, as far as is known.
fn holders(snapshot: &Snapshot, in_flight: &InFlight) -> Vec<(IpAddr, Arc<Service>)> {
    let shown = snapshot.services.values().flat_map(|service| service.addresses().map(|a| (a, Arc::clone(service))));
    let written =
        in_flight.services.iter().filter(|(_, write)| write.state != WriteState::Sent).filter_map(|(id, write)| {
            let service = snapshot.services.get(id)?;
            Some(write.addresses.iter().map(|address| (*address, Arc::clone(service))))
        });
    let mut held: Vec<(IpAddr, Arc<Service>)> = shown.chain(written.flatten()).collect();
    held.sort_by_key(|(address, _)| *address);
    held
}

#[cfg(test)]
mod properties;
#[cfg(test)]
mod tests;
