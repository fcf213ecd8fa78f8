//! From the routes of the decision to what one session's machine is told. Pure.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::sync::Arc;

use ironlb_announce::{BgpPlan, RouteAttributes, RouteKey, RouteValue, SessionFacts, SessionSpec};
use ironlb_bgp::SessionStatus;
use ironlb_bgp_proto::{
    self as proto, Asn, Attributes, Community, ExtendedCommunity, Family, LargeCommunity, NextHop, PathId, Routes,
};
use ironlb_model::{IpFamily, Node, NodeName, Prefix, Snapshot};

use super::setup::local_address;

/// What one endpoint counts in the link-bandwidth community, in bytes per second: 1 Mbit/s, so that routers that print the bandwidth
/// print the number of endpoints. Chosen: only the proportion between nodes matters.
const BANDWIDTH_OF_AN_ENDPOINT: u64 = 125_000;

/// The routes for one session.
///
/// They do not depend on what is negotiated, so that what the first OPEN is followed by is right at once: each path is there, this
/// node's own is the first, and the machine leaves out those that the peer does not take.
pub(crate) fn routes(
    plan: &BgpPlan,
    name: &str,
    spec: &SessionSpec,
    status: Option<&SessionStatus>,
    snapshot: &Snapshot,
    own: &NodeName,
) -> Routes {
    let Some(peering) = spec.peering() else { return Routes::new() };
    let node = snapshot.nodes.get(own).map(Arc::as_ref);
    let facts = SessionFacts {
        local_address: local_address(peering, node, status),
        extended_next_hop: !matches!(peering.neighbor, ironlb_model::Neighbor::Address(IpAddr::V4(_))),
        add_path: spec.families.iter().filter(|(_, s)| s.add_path_send > 1).map(|(family, _)| *family).collect(),
    };
    let decided = ironlb_announce::routes(plan, name, spec, &facts, snapshot, own);
    // Of the routes of one Eip most have the same attributes, and share them here as there.
    let mut shared: BTreeMap<(*const RouteAttributes, NextHop), Arc<Attributes>> = BTreeMap::new();
    let own_asn = spec.local_asn.get();
    let has_own = |prefix: Prefix| decided.contains_key(&RouteKey { prefix, path_id: 0 });
    let told = decided.iter().filter(|(key, _)| has_own(key.prefix)).map(|(key, value)| {
        let is_own = key.path_id == 0 && value.next_hop == expected(key.prefix, facts.local_address, node);
        let next_hop = if is_own { NextHop::Own } else { NextHop::Address(value.next_hop) };
        let attributes = shared
            .entry((Arc::as_ptr(&value.attributes), next_hop))
            .or_insert_with(|| Arc::new(attributes(value, next_hop, own_asn)));
        (proto::RouteKey { prefix: key.prefix, path: PathId(key.path_id) }, Arc::clone(attributes))
    });
    told.collect()
}

/// The next hop that the decision gave this node's own path, unless a policy has changed it.
fn expected(prefix: Prefix, local: IpAddr, node: Option<&Node>) -> IpAddr {
    let family = match Family::of(prefix) {
        Family::Ipv4Unicast => IpFamily::V4,
        Family::Ipv6Unicast => IpFamily::V6,
    };
    if IpFamily::of(local) == family {
        return local;
    }
    let addresses = node.into_iter().flat_map(|node| node.addresses.iter().copied());
    addresses.into_iter().find(|address| IpFamily::of(*address) == family).unwrap_or(local)
}

fn attributes(value: &RouteValue, next_hop: NextHop, own_asn: u32) -> Attributes {
    let given = &value.attributes;
    // The machine puts the own number in front of an external peer's path, once and as often more as it is told. A policy may have put
    // other numbers in front of that; routers take no path that does not begin with the neighbour's own.
    let own = given.as_path.iter().take_while(|asn| **asn == own_asn).count();
    let rest = given.as_path.iter().skip(own).filter_map(|asn| Asn::new(*asn)).collect();
    Attributes {
        local_pref: given.local_pref,
        med: given.med,
        prepend: u8::try_from(own.saturating_sub(1)).unwrap_or(u8::MAX),
        as_path: rest,
        communities: given.communities.iter().copied().map(Community).collect(),
        large_communities: given.large_communities.iter().copied().map(LargeCommunity).collect(),
        extended_communities: given.ext_communities.iter().copied().map(ExtendedCommunity).collect(),
        link_bandwidth: given.weight.map(|endpoints| u64::from(endpoints) * BANDWIDTH_OF_AN_ENDPOINT),
        ..Attributes::new(next_hop)
    }
}
