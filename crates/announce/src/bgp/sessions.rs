//! The sessions this node is to have.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::sync::Arc;

use ironlb_model::{Asn, BgpPeer, FamilySettings, GracefulRestart, IpFamily, Node, NodeName, Peering, Snapshot};

use super::own::{OwnBgp, default_conf};
use crate::LocalView;

/// One session to have: a BgpPeer that selects this node, completed from the BgpConf.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SessionSpec {
    /// The BgpPeer, whose `peering` is there.
    pub peer: Arc<BgpPeer>,
    /// The own AS number in this session.
    pub local_asn: Asn,
    /// What is negotiated; never empty.
    pub families: BTreeMap<IpFamily, FamilySettings>,
    /// The peer's own setting, else the BgpConf's.
    pub graceful_restart: Option<GracefulRestart>,
    /// The nodes that the BgpPeer does not select: they have no session with it, and are advertised by those that have.
    pub strangers: BTreeSet<NodeName>,
}

impl SessionSpec {
    /// What the BgpPeer asks for.
    #[must_use]
    pub fn peering(&self) -> Option<&Peering> {
        self.peer.peering.as_ref()
    }

    /// Is it a session within one AS?
    #[must_use]
    pub fn is_internal(&self) -> bool {
        self.peering().is_some_and(|peering| peering.asn == self.local_asn)
    }
}

/// A BgpPeer that selects this node and has no session all the same.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RefusedPeer {
    /// The BgpPeer, whose `peering` is there.
    pub peer: Arc<BgpPeer>,
    /// The own AS number it would have.
    pub local_asn: Asn,
    /// Why it has none.
    pub reason: NoSession,
}

/// Why a BgpPeer that selects this node has no session.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum NoSession {
    /// Another BgpPeer has the session with this neighbour; a node has one.
    SameNeighbor {
        /// The other.
        peer: String,
    },
    /// None of its families is one of the BgpConf's.
    NoCommonFamily {
        /// Its families.
        families: Vec<IpFamily>,
    },
}

impl NoSession {
    /// The reason's name in reports and conditions.
    #[must_use]
    pub fn category(&self) -> &'static str {
        match self {
            Self::SameNeighbor { .. } => "SameNeighbor",
            Self::NoCommonFamily { .. } => "NoCommonFamily",
        }
    }
}

impl fmt::Display for NoSession {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::SameNeighbor { peer } => {
                write!(
                    f,
                    "BgpPeer {peer} has the session with this neighbour; delete one of the two, or let them select other nodes"
                )
            }
            Self::NoCommonFamily { families } => {
                let names: Vec<String> = families.iter().map(ToString::to_string).collect();
                write!(f, "it asks for {}, which spec.families of the BgpConf leaves out", names.join(" and "))
            }
        }
    }
}

/// By the name of the BgpPeer: the sessions, and those that select this node and have none. Of two BgpPeers with one neighbour the name
/// that sorts first has the session.
pub(super) fn sessions(
    snapshot: &Snapshot,
    view: &LocalView,
    own: &OwnBgp,
) -> (BTreeMap<String, SessionSpec>, BTreeMap<String, RefusedPeer>) {
    let mut sessions: BTreeMap<String, SessionSpec> = BTreeMap::new();
    let mut refused = BTreeMap::new();
    let Some((conf, node)) = default_conf(snapshot).zip(snapshot.nodes.get(&view.node)) else {
        return (sessions, refused);
    };
    for (name, peer) in &snapshot.bgp_peers {
        let Some(peering) = peer.peering.as_ref().filter(|peering| selects(peering, node)) else { continue };
        let local_asn = peering.local_asn.unwrap_or(own.asn);
        let has_same = |other: &SessionSpec| other.peering().is_some_and(|other| other.neighbor == peering.neighbor);
        let same = sessions.iter().find(|(_, other)| has_same(other)).map(|(name, _)| name.clone());
        let families: BTreeMap<IpFamily, FamilySettings> = peering
            .families
            .iter()
            .filter(|(family, _)| conf.families.contains(family))
            .map(|(family, settings)| (*family, *settings))
            .collect();
        let without_family = || NoSession::NoCommonFamily { families: peering.families.keys().copied().collect() };
        let reason = same.map(|peer| NoSession::SameNeighbor { peer }).or(families.is_empty().then(without_family));
        if let Some(reason) = reason {
            refused.insert(name.clone(), RefusedPeer { peer: Arc::clone(peer), local_asn, reason });
            continue;
        }
        let session = SessionSpec {
            peer: Arc::clone(peer),
            local_asn,
            families,
            graceful_restart: peering.graceful_restart.or(conf.graceful_restart),
            strangers: snapshot.nodes.values().filter(|n| !selects(peering, n)).map(|n| n.name.clone()).collect(),
        };
        sessions.insert(name.clone(), session);
    }
    (sessions, refused)
}

/// Does the BgpPeer want a session with this node?
fn selects(peering: &Peering, node: &Node) -> bool {
    peering.node_selector.as_ref().is_none_or(|selector| selector.matches(&node.labels))
}
