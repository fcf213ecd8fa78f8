//! Which Services hold which vip, and for which of them it is announced.

use std::collections::BTreeMap;
use std::net::IpAddr;

use ironlb_model::{Port, Service, ServiceId, Snapshot};

/// The Services of ours that hold one vip.
#[derive(Debug, Default)]
pub(crate) struct Holders<'a> {
    /// Those it is announced for, the one that got the address first first; never empty.
    pub(crate) served: Vec<&'a Service>,
    /// Those it is not announced for, each with the older Service and the port they share.
    pub(crate) clashing: Vec<(&'a ServiceId, &'a ServiceId, Port)>,
}

impl Holders<'_> {
    /// The Service that got the address first.
    pub(crate) fn first(&self) -> Option<&Service> {
        self.served.first().copied()
    }
}

/// Every vip of a Service of ours. A Service that is being deleted gives its addresses up.
///
/// Two Services may share an address while their ports are disjoint. Where they are not (two leaders gave it out at once, or a port
/// was changed since), the one that got it first is served. One that nobody gave the address to, whose status somebody has filled
/// in, comes after all that were given it.
pub(crate) fn holders(snapshot: &Snapshot) -> BTreeMap<IpAddr, Holders<'_>> {
    let mut vips: BTreeMap<IpAddr, Holders<'_>> = BTreeMap::new();
    for service in snapshot.services.values().filter(|s| !s.deleting && snapshot.settings.selects(s)) {
        for vip in service.addresses() {
            vips.entry(vip).or_default().served.push(service);
        }
    }
    for (vip, holders) in vips.iter_mut().filter(|(_, holders)| holders.served.len() > 1) {
        holders.served.sort_by_key(|s| (!was_given(s, *vip), s.assigned_at, s.created, &s.id));
        holders.served.dedup_by_key(|s| &s.id);
        let mut served: Vec<&Service> = Vec::new();
        for service in std::mem::take(&mut holders.served) {
            let clash = served.iter().find_map(|older| Some((older, older.ports.intersection(&service.ports).next()?)));
            match clash {
                Some((older, port)) => holders.clashing.push((&service.id, &older.id, *port)),
                None => served.push(service),
            }
        }
        holders.served = served;
    }
    vips
}

/// Is there a trace on the Service that ironlb or OpenELB gave it this address? `ipam::sharing` asks the same.
fn was_given(service: &Service, vip: IpAddr) -> bool {
    match service.remembered.as_slice() {
        [] => service.has_openelb_finalizer,
        given => given.contains(&vip),
    }
}
