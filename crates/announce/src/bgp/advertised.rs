//! Which vips this node advertises, and on behalf of which others it may.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;
use std::sync::Arc;

use ironlb_model::{Announcement, Eip, NodeName, ServiceId, Snapshot, Timestamp, TrafficPolicy};

use super::SHUTDOWN_WAIT;
use super::own::{default_conf, rack_of};
use super::sessions::SessionSpec;
use crate::decide::{Vips, settings_of};
use crate::eligible::with_endpoints;
use crate::holders::Holders;
use crate::node_set::NodeSet;
use crate::roster::Roster;
use crate::{LocalView, Memory, Reason, Remark};

/// A vip that this node advertises.
#[derive(Debug, Clone, PartialEq)]
pub struct VipRoute {
    /// Its Eip: how the route is advertised.
    pub eip: Arc<Eip>,
    /// The Service it is advertised for, the oldest of several.
    pub service: ServiceId,
    /// Only nodes with an endpoint advertise it, so it always has a route of its own.
    pub is_local: bool,
    /// How many endpoints of this node can take a connection, where the Eip has its routes weighted.
    pub weight: Option<u32>,
    /// The other nodes that could take its traffic: a peer that takes several paths is told of those it has no session with.
    pub others: BTreeSet<NodeName>,
    /// It is being given up: advertised with GRACEFUL_SHUTDOWN until then.
    pub withdraw_at: Option<Timestamp>,
    /// What is remarkable about it, each once.
    pub remarks: Vec<Remark>,
}

/// Every vip whose Eip has protocol `bgp`.
pub(super) fn of_protocol<'v>(
    vips: &'v Vips<'v>,
    memory: &'v Memory,
) -> impl Iterator<Item = (IpAddr, (&'v Holders<'v>, &'v Arc<Eip>, bool))> {
    vips.held.iter().filter_map(|(vip, held)| {
        let settings = settings_of(*vip, held, &vips.eips, memory)?;
        (settings.eip.announcement == Announcement::Bgp).then_some((*vip, (held, settings.eip, settings.is_remembered)))
    })
}

/// Each of them with its route, or the reason why this node does not advertise it.
pub(crate) fn advertised(
    vips: &Vips<'_>,
    snapshot: &Snapshot,
    view: &LocalView,
    memory: &Memory,
    sessions: &BTreeMap<String, SessionSpec>,
    now: Timestamp,
) -> Vec<(IpAddr, Result<VipRoute, Reason>)> {
    // A Lease says who owns in Layer 2. Here nobody does, and a node that cannot renew its own goes on advertising.
    let mut with_own = view.clone();
    with_own.candidates.insert(view.node.clone());
    let roster = Roster::new(snapshot, &with_own, memory, now);
    let ground = Ground::new(snapshot, &roster, sessions);
    of_protocol(vips, memory)
        .map(|(vip, (held, eip, is_remembered))| {
            let outcome = ground.vip(snapshot, &with_own, memory, vip, (held, eip), now).map(|mut route| {
                route.remarks.extend(is_remembered.then_some(Remark::PoolMissing));
                route.remarks.sort_unstable();
                route.remarks.dedup();
                route
            });
            (vip, outcome)
        })
        .collect()
}

/// What is the same for all vips.
struct Ground<'a> {
    roster: &'a Roster<'a>,
    sessions: &'a BTreeMap<String, SessionSpec>,
    /// Those with a session that is up, by their reports. This node is not among them: it is who asks.
    up: NodeSet,
    /// Those of this node's rack, where racks matter.
    of_rack: NodeSet,
}

impl<'a> Ground<'a> {
    fn new(snapshot: &Snapshot, roster: &'a Roster<'a>, sessions: &'a BTreeMap<String, SessionSpec>) -> Self {
        let size = roster.size();
        let node = |n: usize| roster.candidates.get(n).map(|candidate| candidate.node);
        let reported = |n: usize| roster.candidates.get(n).and_then(|candidate| snapshot.speakers.get(candidate.name));
        let own_rack = default_conf(snapshot).and_then(|conf| Some((conf, rack_of(roster.own.and_then(node)?, conf)?)));
        Self {
            up: NodeSet::filtered(size, |n| {
                Some(n) != roster.own && reported(n).is_some_and(|report| !report.bgp.established.is_empty())
            }),
            of_rack: NodeSet::filtered(size, |n| {
                own_rack.is_none_or(|(conf, rack)| node(n).and_then(|node| rack_of(node, conf)) == Some(rack))
            }),
            roster,
            sessions,
        }
    }

    fn vip(
        &self,
        snapshot: &Snapshot,
        view: &LocalView,
        memory: &Memory,
        vip: IpAddr,
        (held, eip): (&Holders<'_>, &Arc<Eip>),
        now: Timestamp,
    ) -> Result<VipRoute, Reason> {
        let roster = self.roster;
        let service = held.first().ok_or(Reason::NoPool)?;
        let mut remarks = Vec::new();
        let able = with_endpoints(snapshot, roster, &held.served, &mut remarks)?;
        let own = roster.own.ok_or_else(|| match snapshot.nodes.get(&view.node) {
            Some(node) if crate::roster::is_shut_out(node, view) => Reason::ExcludedByLabel,
            _ => Reason::NodeMissing,
        })?;
        let selected = NodeSet::filtered(roster.size(), |n| {
            let labels = roster.candidates.get(n).map(|candidate| &candidate.node.labels);
            eip.node_selector.as_ref().is_none_or(|selector| labels.is_some_and(|labels| selector.matches(labels)))
        });
        if !selected.contains(own) {
            return Err(Reason::NodeNotSelected { eip: eip.name.clone() });
        }
        if !able.contains(own) {
            return Err(Reason::NoLocalEndpoint { service: service.id.clone() });
        }
        if !self.sessions.keys().any(|peer| eip.routes.peers.as_ref().is_none_or(|peers| peers.contains(peer))) {
            return Err(Reason::NoBgpPeer { eip: eip.name.clone() });
        }
        let mut nodes = able;
        nodes.intersect(&selected);
        let mut withdraw_at = None;
        if let Some(reason) = self.stands_back(own, &nodes) {
            // One that was not advertised before has nothing to hand over.
            let begins = memory.advertised.contains(&vip).then(|| now + SHUTDOWN_WAIT);
            withdraw_at = memory.leaving.get(&vip).copied().or(begins).filter(|at| *at > now);
            if withdraw_at.is_none() {
                return Err(reason);
            }
        } else if roster.candidates.get(own).is_some_and(|candidate| candidate.node.drain.is_some()) {
            remarks.push(Remark::DrainRefusedLast);
        }
        let is_local = held.served.iter().all(|service| service.traffic_policy == TrafficPolicy::Local);
        Ok(VipRoute {
            eip: Arc::clone(eip),
            service: service.id.clone(),
            is_local,
            weight: (is_local && eip.routes.weighted).then(|| weight(snapshot, view, held)),
            others: self.others(own, &nodes),
            withdraw_at,
            remarks,
        })
    }

    /// Why this node leaves a vip to others; `None` while it is one of the best that can take it.
    ///
    /// It steps back only where another that is better has a session that is up.
    fn stands_back(&self, own: usize, nodes: &NodeSet) -> Option<Reason> {
        let mut better = nodes.both(&self.up)?;
        if let Some(cause) = self.roster.candidates.get(own)?.node.drain
            && better.both(&self.roster.staying).is_some()
        {
            return Some(Reason::Draining { cause });
        }
        better.intersect(&self.roster.staying);
        let of_own = self.roster.by_preference.iter().position(|preferred| preferred.contains(own))?;
        let is_beaten = |preferred: &NodeSet| better.both(preferred).is_some();
        let best = self.roster.by_preference.iter().take(of_own).any(is_beaten);
        best.then_some(Reason::OthersPreferred)
    }

    /// The others that could take it and are among the best that can: OpenELB advertised on behalf of all of them.
    fn others(&self, own: usize, nodes: &NodeSet) -> BTreeSet<NodeName> {
        let mut others = nodes.clone();
        others.intersect(&self.of_rack);
        others.intersect(&self.roster.staying);
        let best = self.roster.by_preference.iter().find_map(|preferred| others.both(preferred)).unwrap_or(others);
        let name = |n: usize| self.roster.candidates.get(n).map(|candidate| candidate.name.clone());
        best.iter().filter(|n| *n != own).filter_map(name).collect()
    }
}

/// How many endpoints of this node can take a connection.
fn weight(snapshot: &Snapshot, view: &LocalView, held: &Holders<'_>) -> u32 {
    let of = |service: &&ironlb_model::Service| {
        let endpoints = snapshot.endpoints.get(&service.id);
        endpoints.map_or(0, |endpoints| endpoints.usable_nodes().filter(|node| **node == view.node).count())
    };
    held.served.iter().map(of).sum::<usize>().try_into().unwrap_or(u32::MAX)
}
