//! Which nodes do not advertise a vip in BGP without saying why, and what the objects show of each.
//!
//! Every eligible node advertises a vip, and a speaker lists a reason for one only where that is news: for a session that is down, or
//! once for what holds on all nodes. For the others a person would look at the node, the Eip and the endpoints, and so does this. The
//! reasons have the names that speakers give them.

use std::collections::BTreeSet;
use std::fmt;

use ironlb_model::{
    Announcement, DrainCause, Eip, EipName, Node, NodeName, Service, Snapshot, SpeakerReport, TrafficPolicy,
    WithheldVip,
};

use crate::verdict::Vip;

/// Why a node does not advertise a vip, as far as the objects show it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Silent {
    /// The node is not Ready.
    NodeNotReady,
    /// Its speaker has never reported.
    NoSpeaker,
    /// Its speaker is not ready.
    SpeakerNotReady,
    /// The Eip's `nodeSelector` does not match it.
    NodeNotSelected(EipName),
    /// Policy Local, and nothing on the node can take a connection.
    NoLocalEndpoint,
    /// It has no session with a BgpPeer that may have the vip.
    NoBgpPeer,
    /// No session with such a BgpPeer is established; each with what went wrong last.
    NoSession(Vec<(String, Option<String>)>),
    /// It is being emptied.
    Draining(DrainCause),
    /// It is cordoned or excluded, and others are not.
    OthersPreferred,
    /// The list of vips in its report is cut.
    NotListed,
    /// Nothing that could be seen here.
    NotYetAnnounced,
}

impl Silent {
    /// The reason's name.
    #[must_use]
    pub fn category(&self) -> &'static str {
        match self {
            Self::NodeNotReady => "NodeNotReady",
            Self::NoSpeaker => "NoSpeaker",
            Self::SpeakerNotReady => "SpeakerNotReady",
            Self::NodeNotSelected(_) => "NodeNotSelected",
            Self::NoLocalEndpoint => "NoLocalEndpoint",
            Self::NoBgpPeer => "NoBgpPeer",
            Self::NoSession(_) => "NoSession",
            Self::Draining(_) => "Draining",
            Self::OthersPreferred => "OthersPreferred",
            Self::NotListed => "NotListed",
            Self::NotYetAnnounced => "NotYetAnnounced",
        }
    }
}

impl fmt::Display for Silent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NodeNotReady => f.write_str("the node is not Ready, so its last report does not count"),
            Self::NoSpeaker => f.write_str("no speaker of this node has reported: see the pods of the DaemonSet ironlb-speaker"),
            Self::SpeakerNotReady => f.write_str("the speaker of this node is not ready yet"),
            Self::NodeNotSelected(eip) => write!(f, "the nodeSelector of Eip {eip} does not match this node"),
            Self::NoLocalEndpoint => {
                f.write_str("the Service has externalTrafficPolicy Local and no endpoint on this node can take a connection")
            }
            Self::NoBgpPeer => f.write_str(
                "it has no session with a BgpPeer that may have this address; see spec.nodeSelector of the BgpPeers and spec.bgp.peers of \
                 the Eip",
            ),
            Self::NoSession(peers) => {
                let told: Vec<String> = peers
                    .iter()
                    .map(|(peer, why)| format!("{peer}: {}", why.as_deref().unwrap_or("not established yet")))
                    .collect();
                write!(f, "no session is established ({})", told.join("; "))
            }
            Self::Draining(cause) => write!(f, "this node is being emptied ({})", cause.category()),
            Self::OthersPreferred => {
                f.write_str("this node is cordoned or excluded from load balancing, and others that are not advertise it")
            }
            Self::NotListed => f.write_str("it is not among the vips that its Speaker lists, and that list is cut"),
            Self::NotYetAnnounced => f.write_str("it has not reported yet that it does, nor why not"),
        }
    }
}

/// The nodes that do not advertise this vip and do not say why; none for a vip that is not BGP's or not written yet, and none while
/// nobody advertises it for a reason that one node tells for all.
pub(crate) fn nodes(
    snapshot: &Snapshot,
    vip: &Vip,
    service: &Service,
    advertising: &[(NodeName, BTreeSet<String>)],
    withheld: &[(NodeName, WithheldVip)],
) -> Vec<(NodeName, Silent)> {
    let eip = vip.eip.as_ref().and_then(|name| snapshot.eips.get(name));
    let Some(eip) = eip.filter(|eip| eip.announcement == Announcement::Bgp && !vip.is_new) else { return Vec::new() };
    // What speakers do not say in the same breath is what each says of itself: a session that is down.
    let is_of_all = |(_, told): &(NodeName, WithheldVip)| told.reason != "NoSession";
    if !snapshot.openelb.is_empty() || advertising.is_empty() && withheld.iter().any(is_of_all) {
        return Vec::new();
    }
    let has_told =
        |node: &NodeName| advertising.iter().any(|(one, _)| one == node) || withheld.iter().any(|(one, _)| one == node);
    let silent = snapshot.nodes.values().filter(|node| !has_told(&node.name));
    silent.map(|node| (node.name.clone(), why(snapshot, node, eip, service, !advertising.is_empty()))).collect()
}

fn why(snapshot: &Snapshot, node: &Node, eip: &Eip, service: &Service, others_do: bool) -> Silent {
    let Some(report) = snapshot.speakers.get(&node.name) else { return Silent::NoSpeaker };
    if !node.ready {
        return Silent::NodeNotReady;
    }
    if !report.ready {
        return Silent::SpeakerNotReady;
    }
    if eip.node_selector.as_ref().is_some_and(|selector| !selector.matches(&node.labels)) {
        return Silent::NodeNotSelected(eip.name.clone());
    }
    let endpoints = snapshot.endpoints.get(&service.id);
    if service.traffic_policy == TrafficPolicy::Local && endpoints.is_some_and(|all| !all.usable_on(&node.name)) {
        return Silent::NoLocalEndpoint;
    }
    without_session(report, eip).unwrap_or(match node.drain {
        Some(cause) if others_do => Silent::Draining(cause),
        None if others_do && (node.cordoned || node.excluded) => Silent::OthersPreferred,
        _ if report.bgp.advertised_count > u64::try_from(report.bgp.advertised.len()).unwrap_or(u64::MAX) => {
            Silent::NotListed
        }
        _ => Silent::NotYetAnnounced,
    })
}

fn without_session(report: &SpeakerReport, eip: &Eip) -> Option<Silent> {
    let may_have = |peer: &String| eip.routes.peers.as_ref().is_none_or(|peers| peers.contains(peer));
    if report.bgp.established.iter().any(may_have) {
        return None;
    }
    let down = report.bgp.down.iter().filter(|(peer, _)| may_have(peer));
    let down: Vec<(String, Option<String>)> = down.map(|(peer, why)| (peer.clone(), why.clone())).collect();
    Some(if down.is_empty() { Silent::NoBgpPeer } else { Silent::NoSession(down) })
}

#[cfg(test)]
mod tests;
