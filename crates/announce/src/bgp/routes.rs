//! What one peer is told: the routes of this node for one session.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;
use std::sync::Arc;

use ironlb_model::{Eip, IpFamily, Neighbor, Node, NodeName, Prefix, Snapshot};

use super::advertised::VipRoute;
use super::sessions::SessionSpec;
use super::{as_path, policy};
use crate::BgpPlan;

/// GRACEFUL_SHUTDOWN (RFC 8326 section 4.1).
const GRACEFUL_SHUTDOWN: u32 = 0xFFFF_0000;

/// What LOCAL_PREF is when an Eip does not say: OpenELB's, and most routers'.
const DEFAULT_LOCAL_PREF: u32 = 100;

/// What a session has negotiated, as far as the routes depend on it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SessionFacts {
    /// This end's address.
    pub local_address: IpAddr,
    /// The peer takes IPv4 routes with an IPv6 next hop (RFC 8950).
    pub extended_next_hop: bool,
    /// The families in which the peer takes several paths to one prefix (RFC 7911).
    pub add_path: BTreeSet<IpFamily>,
}

/// Which route: a prefix, and where several paths to it are sent, which of them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct RouteKey {
    /// The prefix.
    pub prefix: Prefix,
    /// The path identifier (RFC 7911): 0 for the path through this node, which is the one that a peer without ADD-PATH is told.
    pub path_id: u32,
}

/// What is said of a route.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct RouteValue {
    /// Where packets are to be sent.
    pub next_hop: IpAddr,
    /// The rest, shared by many routes.
    pub attributes: Arc<RouteAttributes>,
}

/// The attributes of a route beside its next hop; its origin is IGP.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Default)]
pub struct RouteAttributes {
    /// LOCAL_PREF: in internal sessions, always there.
    pub local_pref: Option<u32>,
    /// MULTI_EXIT_DISC.
    pub med: Option<u32>,
    /// Communities.
    pub communities: BTreeSet<u32>,
    /// Large communities.
    pub large_communities: BTreeSet<[u32; 3]>,
    /// Extended communities, eight bytes each (RFC 4360), beside that of the weight.
    pub ext_communities: BTreeSet<[u8; 8]>,
    /// AS_PATH as it is sent: to an external peer it begins with the own AS number, to an internal one it is empty (RFC 4271 section
    /// 5.1.2).
    pub as_path: Vec<u32>,
    /// How many endpoints are behind it, for the link-bandwidth community.
    pub weight: Option<u32>,
}

/// The routes for one session. Two vips that come to one route (an aggregate) have that of the smaller address.
#[must_use]
pub fn routes(
    plan: &BgpPlan,
    name: &str,
    session: &SessionSpec,
    facts: &SessionFacts,
    snapshot: &Snapshot,
    own: &NodeName,
) -> BTreeMap<RouteKey, RouteValue> {
    let mut routes = BTreeMap::new();
    // Of an Eip with 1,000 vips the attributes are made once.
    let mut shared: BTreeMap<(*const Eip, bool, Option<u32>), Arc<RouteAttributes>> = BTreeMap::new();
    let peer = session.peering().and_then(|peering| match peering.neighbor {
        Neighbor::Address(address) => Some(address),
        Neighbor::LinkLocal { address, .. } => Some(address.into()),
        Neighbor::Interface(_) => None,
    });
    let ends = policy::Ends { local: facts.local_address, peer };
    for (vip, route) in &plan.vips {
        let family = IpFamily::of(*vip);
        let is_for_peer = route.eip.routes.peers.as_ref().is_none_or(|peers| peers.contains(name));
        let Some(settings) = session.families.get(&family).filter(|_| is_for_peer) else { continue };
        let Some(prefix) = prefix(*vip, route) else { continue };
        let adds_paths = facts.add_path.contains(&family);
        let mut add = |path_id: u32, next_hop: IpAddr, weight: Option<u32>| {
            let is_leaving = route.withdraw_at.is_some();
            let attributes = shared
                .entry((Arc::as_ptr(&route.eip), is_leaving, weight))
                .or_insert_with(|| Arc::new(attributes(&route.eip, session, is_leaving, weight)));
            let value = RouteValue { next_hop, attributes: Arc::clone(attributes) };
            let value = match &plan.policy {
                Some(policy) => policy::apply(policy, prefix, value, ends),
                None => Some(value),
            };
            if let Some(mut value) = value {
                if let Some(path) = as_path::rewritten(&value.attributes.as_path, session) {
                    Arc::make_mut(&mut value.attributes).as_path = path;
                }
                routes.entry(RouteKey { prefix, path_id }).or_insert(value);
            }
        };
        if let Some(next_hop) = next_hop(family, facts, snapshot.nodes.get(own).map(Arc::as_ref)) {
            add(0, next_hop, route.weight);
        }
        let is_sole = session.peering().is_none_or(|peering| peering.next_hop_self);
        if adds_paths && !is_sole {
            let room = usize::from(settings.add_path_send).saturating_sub(1);
            let others = route.others.intersection(&session.strangers).filter_map(|name| snapshot.nodes.get(name));
            for next_hop in others.filter_map(|node| address(node, family)).take(room) {
                add(path_id(next_hop), next_hop, None);
            }
        }
    }
    routes
}

/// A route of the vip's own, or the aggregate it is part of. A vip that only some nodes can serve is never in an aggregate.
pub(super) fn prefix(vip: IpAddr, route: &VipRoute) -> Option<Prefix> {
    let (length, full) = match vip {
        IpAddr::V4(_) => (route.eip.routes.aggregation_v4, 32),
        IpAddr::V6(_) => (route.eip.routes.aggregation_v6, 128),
    };
    let length = length.filter(|_| !route.is_local).unwrap_or(full);
    Prefix::new(vip, length).ok().map(|prefix| prefix.trunc())
}

/// This node's address in the family of the routes: that of the session, else its own; IPv4 routes go to an IPv6 address where the peer
/// takes that and there is no other.
fn next_hop(family: IpFamily, facts: &SessionFacts, own: Option<&Node>) -> Option<IpAddr> {
    if IpFamily::of(facts.local_address) == family {
        return Some(facts.local_address);
    }
    let extended = (family == IpFamily::V4 && facts.extended_next_hop).then_some(facts.local_address);
    own.and_then(|node| address(node, family)).or(extended)
}

/// The first InternalIP of that family.
fn address(node: &Node, family: IpFamily) -> Option<IpAddr> {
    node.addresses.iter().copied().find(|address| IpFamily::of(*address) == family)
}

fn attributes(eip: &Eip, session: &SessionSpec, is_leaving: bool, weight: Option<u32>) -> RouteAttributes {
    let settings = &eip.routes;
    let mut communities = settings.communities.clone();
    let mut local_pref = Some(settings.local_pref.unwrap_or(DEFAULT_LOCAL_PREF));
    if is_leaving {
        communities.insert(GRACEFUL_SHUTDOWN);
        // RFC 8326 section 3: a low local preference; "The RECOMMENDED value is 0."
        local_pref = Some(0);
    }
    RouteAttributes {
        local_pref: local_pref.filter(|_| session.is_internal()),
        med: settings.med,
        communities,
        large_communities: settings.large_communities.clone(),
        ext_communities: BTreeSet::new(),
        as_path: if session.is_internal() {
            Vec::new()
        } else {
            vec![session.local_asn.get(); 1 + usize::from(settings.prepend)]
        },
        weight,
    }
}

/// OpenELB's: FNV-1a of the next hop's text, 32 bits. Never 0, which stands for the path through this node.
fn path_id(next_hop: IpAddr) -> u32 {
    let text = next_hop.to_string();
    text.bytes().fold(0x811c_9dc5_u32, |hash, byte| (hash ^ u32::from(byte)).wrapping_mul(0x0100_0193)).max(1)
}
