//! The sessions this node is to have.

use std::collections::{BTreeMap, BTreeSet};
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

/// By the name of the BgpPeer. Of two BgpPeers with one neighbour the name that sorts first has the session.
pub(super) fn sessions(snapshot: &Snapshot, view: &LocalView, own: &OwnBgp) -> BTreeMap<String, SessionSpec> {
    let Some((conf, node)) = default_conf(snapshot).zip(snapshot.nodes.get(&view.node)) else { return BTreeMap::new() };
    let mut sessions: BTreeMap<String, SessionSpec> = BTreeMap::new();
    for (name, peer) in &snapshot.bgp_peers {
        let Some(peering) = peer.peering.as_ref().filter(|peering| selects(peering, node)) else { continue };
        let is_taken = |other: &SessionSpec| other.peering().is_some_and(|other| other.neighbor == peering.neighbor);
        let families: BTreeMap<IpFamily, FamilySettings> = peering
            .families
            .iter()
            .filter(|(family, _)| conf.families.contains(family))
            .map(|(family, settings)| (*family, *settings))
            .collect();
        if families.is_empty() || sessions.values().any(is_taken) {
            continue;
        }
        let session = SessionSpec {
            peer: Arc::clone(peer),
            local_asn: peering.local_asn.unwrap_or(own.asn),
            families,
            graceful_restart: peering.graceful_restart.or(conf.graceful_restart),
            strangers: snapshot.nodes.values().filter(|n| !selects(peering, n)).map(|n| n.name.clone()).collect(),
        };
        sessions.insert(name.clone(), session);
    }
    sessions
}

/// Does the BgpPeer want a session with this node?
fn selects(peering: &Peering, node: &Node) -> bool {
    peering.node_selector.as_ref().is_none_or(|selector| selector.matches(&node.labels))
}
