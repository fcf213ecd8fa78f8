//! What a speaker has to report, in bounded lists with exact counts.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;

use ironlb_model::{
    BgpReport, Eip, InterfaceChoice, InterfaceName, Interfaces, MacAddr, Snapshot, SpeakerReport, WithheldVip,
};

use crate::interface::{reported, to_report};
use crate::{BgpPlan, Layer2Spec, LocalView, Reason};

/// How many owned vips a report lists: what the Speaker's schema takes.
pub const MAX_OWNED: usize = 1000;

/// How many withheld vips a report lists: what the Speaker's schema takes.
pub const MAX_WITHHELD: usize = 100;

/// How many aggregates a report lists: what the Speaker's schema takes.
pub const MAX_LOOPING: usize = 100;

pub(crate) fn report(
    snapshot: &Snapshot,
    view: &LocalView,
    layer2: &BTreeMap<IpAddr, Layer2Spec>,
    bgp: Option<&BgpPlan>,
    mut withheld: Vec<(IpAddr, Reason)>,
) -> SpeakerReport {
    let answered = layer2.iter().filter(|(vip, _)| view.may_answer.contains(*vip));
    let owned_count = u64::try_from(answered.clone().count()).unwrap_or(u64::MAX);
    let named = named_interfaces(snapshot);
    withheld.sort_unstable();
    SpeakerReport {
        node: view.node.clone(),
        ready: view.ready,
        macs: own_macs(&view.interfaces, &named).into_iter().collect(),
        interfaces: to_report(&view.interfaces, |name| named.contains(name)).map(reported).collect(),
        owned: answered.take(MAX_OWNED).map(|(vip, spec)| (*vip, spec.interface.clone())).collect(),
        owned_count,
        bgp: bgp.map(|plan| bgp_report(plan, view)).unwrap_or_default(),
        withheld: withheld
            .into_iter()
            .take(MAX_WITHHELD)
            .map(|(vip, reason)| WithheldVip { vip, reason: reason.category().to_owned(), message: reason.to_string() })
            .collect(),
        // What others claim is heard by the process, which adds it.
        conflicts: Vec::new(),
    }
}

fn bgp_report(plan: &BgpPlan, view: &LocalView) -> BgpReport {
    let advertised =
        plan.vips.iter().filter(|(_, route)| plan.peers_of(route).any(|peer| view.established.contains(peer)));
    BgpReport {
        established: view.established.clone(),
        down: BTreeMap::new(),
        refused: BTreeMap::new(),
        advertised_count: u64::try_from(advertised.clone().count()).unwrap_or(u64::MAX),
        advertised: advertised.take(MAX_OWNED).map(|(vip, _)| *vip).collect(),
        looping: if view.looping.is_empty() {
            BTreeSet::new()
        } else {
            plan.aggregates().into_keys().filter(|of| view.looping.contains(of)).take(MAX_LOOPING).collect()
        },
    }
}

/// The Ethernet addresses that frames of this node may bear: those of the interfaces it reports and of their ports.
fn own_macs(interfaces: &Interfaces, named: &BTreeSet<&InterfaceName>) -> BTreeSet<MacAddr> {
    let reported: BTreeSet<&InterfaceName> =
        to_report(interfaces, |name| named.contains(name)).map(|interface| &interface.name).collect();
    let is_port = |controller: &Option<InterfaceName>| controller.as_ref().is_some_and(|name| reported.contains(name));
    let all = interfaces.by_name.values();
    all.filter(|i| reported.contains(&i.name) || is_port(&i.controller)).filter_map(|i| i.mac).collect()
}

fn named_interfaces(snapshot: &Snapshot) -> BTreeSet<&InterfaceName> {
    fn names(eip: &Eip) -> impl Iterator<Item = &InterfaceName> {
        let one = if let InterfaceChoice::Named(name) = &eip.interface { Some(name) } else { None };
        eip.interfaces.iter().chain(one)
    }
    snapshot.eips.values().flat_map(|eip| names(eip)).collect()
}
