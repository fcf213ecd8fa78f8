//! Which nodes may announce a vip.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;

use ironlb_model::{Eip, Endpoints, Prefix, Service, Snapshot, TrafficPolicy};

use crate::interface::{Choice, Nic, is_subnet};
use crate::node_set::NodeSet;
use crate::roster::Roster;
use crate::{LocalView, Reason, Remark};

/// What an Eip's settings mean for each candidate, worked out once for all its vips.
#[derive(Debug)]
pub(crate) struct Grounds<'a> {
    pub(crate) choice: Choice<'a>,
    /// Those that the `nodeSelector` matches.
    selected: NodeSet,
    /// Those that could take an interface for a vip that is on nobody's subnet.
    able: NodeSet,
    /// Those of which only they themselves know whether they could.
    unknown: NodeSet,
    /// Each subnet of an interface that may be taken, and who has it.
    subnets: BTreeMap<Prefix, NodeSet>,
    /// The lengths among them: a vip is looked up once for each.
    lengths: BTreeSet<u8>,
    /// This node's interfaces that may be taken, best first.
    pub(crate) own_nics: Vec<Nic<'a>>,
}

impl<'a> Grounds<'a> {
    pub(crate) fn new(eip: &'a Eip, roster: &Roster<'a>, view: &LocalView) -> Self {
        let choice = Choice::of(eip);
        let size = roster.size();
        let selected = NodeSet::filtered(size, |n| {
            let labels = roster.candidates.get(n).map(|c| &c.node.labels);
            eip.node_selector.as_ref().is_none_or(|selector| labels.is_some_and(|labels| selector.matches(labels)))
        });
        let (mut able, mut unknown) = (roster.nobody(), roster.nobody());
        let mut subnets: BTreeMap<Prefix, NodeSet> = BTreeMap::new();
        let mut own_nics = Vec::new();
        for (n, candidate) in roster.candidates.iter().enumerate().filter(|(n, _)| selected.contains(*n)) {
            let allowed = if Some(n) == roster.own {
                let route = if let Choice::CanReach(target) = choice { view.can_reach.get(&target) } else { None };
                own_nics = choice.allows_own(&candidate.nics, route);
                own_nics.clone()
            } else if let Some(allowed) = choice.allows_other(&candidate.nics) {
                allowed
            } else {
                unknown.insert(n);
                continue;
            };
            if choice.off_subnet(&allowed, candidate.node, None).is_some() {
                able.insert(n);
            }
            for prefix in allowed.iter().flat_map(|nic| nic.prefixes).filter(|prefix| is_subnet(prefix)) {
                subnets.entry(prefix.trunc()).or_insert_with(|| roster.nobody()).insert(n);
            }
        }
        let lengths = subnets.keys().map(Prefix::prefix_len).collect();
        Self { choice, selected, able, unknown, subnets, lengths, own_nics }
    }

    /// Who is on the subnet of this vip.
    fn on_subnet(&self, roster: &Roster<'_>, vip: IpAddr) -> NodeSet {
        let mut nodes = roster.nobody();
        for length in &self.lengths {
            let prefix = Prefix::new(vip, *length).ok().map(|prefix| prefix.trunc());
            if let Some(having) = prefix.and_then(|prefix| self.subnets.get(&prefix)) {
                nodes.unite(having);
            }
        }
        nodes
    }
}

/// The nodes that may announce a vip, and what is remarkable about that.
#[derive(Debug)]
pub(crate) struct Eligible {
    pub(crate) nodes: NodeSet,
    /// Those that may as far as is known here, and only they know the rest. Such a one is not elected from here, since it might not
    /// take the vip and nobody would; it elects itself. One that owns the vip shows that it may.
    pub(crate) perhaps: NodeSet,
    pub(crate) remarks: Vec<Remark>,
}

/// Which nodes may announce `vip` for these Services? An error is one that holds for every node.
pub(crate) fn eligible(
    snapshot: &Snapshot,
    roster: &Roster<'_>,
    grounds: &Grounds<'_>,
    vip: IpAddr,
    services: &[&Service],
) -> Result<Eligible, Reason> {
    let mut remarks = Vec::new();
    let mut nodes = with_endpoints(snapshot, roster, services, &mut remarks)?;
    nodes.intersect(&grounds.selected);
    let mut perhaps = nodes.clone();
    perhaps.intersect(&grounds.unknown);

    if let Some(both) = nodes.both(&grounds.on_subnet(roster, vip)) {
        nodes = both;
    } else {
        nodes.intersect(&grounds.able);
        remarks.push(Remark::OffSubnet);
    }

    match nodes.both(&roster.staying) {
        Some(staying) => {
            perhaps.intersect(&roster.staying);
            nodes = staying;
        }
        None => remarks.push(Remark::DrainRefusedLast),
    }
    Ok(Eligible { nodes, perhaps, remarks })
}

/// The nodes on which a connection for one of these Services finds an endpoint.
pub(crate) fn with_endpoints(
    snapshot: &Snapshot,
    roster: &Roster<'_>,
    services: &[&Service],
    remarks: &mut Vec<Remark>,
) -> Result<NodeSet, Reason> {
    let mut union: Option<NodeSet> = None;
    for service in services {
        let Some(endpoints) = snapshot.endpoints.get(&service.id).filter(|e| e.any_usable()) else { continue };
        let nodes = reachable_on(roster, service, endpoints);
        match &mut union {
            None => union = Some(nodes),
            Some(union) => {
                if *union != nodes {
                    remarks.push(Remark::Union);
                    union.unite(&nodes);
                }
            }
        }
    }
    union.ok_or_else(|| match services.first() {
        Some(service) => Reason::NoEndpoints { service: service.id.clone() },
        None => Reason::NoPool,
    })
}

fn reachable_on(roster: &Roster<'_>, service: &Service, endpoints: &Endpoints) -> NodeSet {
    match service.traffic_policy {
        TrafficPolicy::Cluster => roster.everybody(),
        TrafficPolicy::Local => {
            let mut nodes = roster.nobody();
            endpoints.usable_nodes().filter_map(|node| roster.place(node)).for_each(|n| nodes.insert(n));
            nodes
        }
    }
}

/// Why this node, which stands for election, may not announce a vip that some node may; in the order of the rules.
pub(crate) fn own_reason(
    snapshot: &Snapshot,
    roster: &Roster<'_>,
    grounds: &Grounds<'_>,
    view: &LocalView,
    vip: IpAddr,
    services: &[&Service],
    eip: &Eip,
) -> Option<Reason> {
    let Some(own) = roster.own else {
        return Some(match snapshot.nodes.get(&view.node) {
            None => Reason::NodeMissing,
            Some(node) if crate::roster::is_shut_out(node, view) => Reason::ExcludedByLabel,
            Some(_) => Reason::SpeakerNotReady,
        });
    };
    let node = roster.candidates.get(own)?.node;
    let on_subnet = grounds.choice.on_subnet(&grounds.own_nics, vip).is_some();
    let has_endpoint = |service: &&Service| {
        let endpoints = snapshot.endpoints.get(&service.id).filter(|e| e.any_usable());
        endpoints.is_some_and(|e| service.traffic_policy == TrafficPolicy::Cluster || e.usable_on(&view.node))
    };
    if !grounds.selected.contains(own) {
        Some(Reason::NodeNotSelected { eip: eip.name.clone() })
    } else if !on_subnet && !grounds.able.contains(own) {
        Some(grounds.choice.reason(view))
    } else if !services.iter().any(has_endpoint) {
        Some(Reason::NoLocalEndpoint { service: services.first()?.id.clone() })
    } else if !on_subnet {
        Some(Reason::NotOnSubnet)
    } else {
        node.drain.map(|cause| Reason::Draining { cause })
    }
}
