//! The nodes that stand for election, and what is true of each whatever the vip.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use ironlb_model::{Node, NodeKey, NodeName, Snapshot, Timestamp};

use crate::interface::{Nic, own_nics, reported_nics};
use crate::node_set::NodeSet;
use crate::{ExcludeLabel, LocalView, Memory};

/// For how long a node must be NotReady before others are preferred (the design's figure: a kubelet's restart is not an outage).
pub(crate) const NOT_READY_FOR: Duration = Duration::from_secs(60);

/// How much a node is preferred as an owner; the first is best. A later issue adds "kube-proxy does not answer" after the first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Preference {
    /// Nothing speaks against it.
    Healthy,
    /// Cordoned, or NotReady for [`NOT_READY_FOR`] while at least half of the nodes are Ready.
    Unwell,
    /// It bears the label that keeps nodes out of load balancing.
    Excluded,
}

/// One node that stands for election.
#[derive(Debug)]
pub(crate) struct Candidate<'a> {
    pub(crate) name: &'a NodeName,
    pub(crate) node: &'a Node,
    pub(crate) key: NodeKey,
    pub(crate) nics: Vec<Nic<'a>>,
}

/// The nodes that stand for election: alive and ready by their Leases, with a Node object, not excluded for good.
#[derive(Debug)]
pub(crate) struct Roster<'a> {
    pub(crate) candidates: Vec<Candidate<'a>>,
    places: BTreeMap<&'a NodeName, usize>,
    /// This node's place, if it stands.
    pub(crate) own: Option<usize>,
    /// Those of each preference, best first.
    pub(crate) by_preference: Vec<NodeSet>,
    /// Those that are not being emptied.
    pub(crate) staying: NodeSet,
}

impl<'a> Roster<'a> {
    pub(crate) fn new(snapshot: &'a Snapshot, view: &'a LocalView, memory: &Memory, now: Timestamp) -> Self {
        let candidates: Vec<Candidate<'a>> = view
            .candidates
            .iter()
            .filter_map(|name| Some((name, snapshot.nodes.get(name)?.as_ref())))
            .filter(|(_, node)| !is_shut_out(node, view))
            .map(|(name, node)| Candidate {
                name,
                node,
                key: NodeKey::of(name),
                nics: if *name == view.node {
                    own_nics(&view.interfaces)
                } else {
                    reported_nics(snapshot.speakers.get(name).map(Arc::as_ref))
                },
            })
            .collect();
        let places: BTreeMap<&NodeName, usize> = candidates.iter().enumerate().map(|(n, c)| (c.name, n)).collect();
        let is_majority_down = is_majority_down(snapshot);
        let preferences: Vec<Preference> = candidates
            .iter()
            .map(|c| preference(c.node, view.exclude_label, is_down(c.node, memory, now) && !is_majority_down))
            .collect();
        let size = candidates.len();
        let having = |wanted| NodeSet::filtered(size, |n| preferences.get(n) == Some(&wanted));
        Self {
            own: places.get(&view.node).copied(),
            by_preference: [Preference::Healthy, Preference::Unwell, Preference::Excluded].map(having).to_vec(),
            staying: NodeSet::filtered(size, |n| candidates.get(n).is_some_and(|c| c.node.drain.is_none())),
            places,
            candidates,
        }
    }

    pub(crate) fn size(&self) -> usize {
        self.candidates.len()
    }

    pub(crate) fn place(&self, node: &NodeName) -> Option<usize> {
        self.places.get(node).copied()
    }

    /// None of the nodes.
    pub(crate) fn nobody(&self) -> NodeSet {
        NodeSet::none(self.size())
    }

    /// All of the nodes.
    pub(crate) fn everybody(&self) -> NodeSet {
        NodeSet::filtered(self.size(), |_| true)
    }
}

/// Is this node kept out for good?
pub(crate) fn is_shut_out(node: &Node, view: &LocalView) -> bool {
    node.excluded && view.exclude_label == ExcludeLabel::Strict
}

fn preference(node: &Node, exclude_label: ExcludeLabel, is_down: bool) -> Preference {
    if node.excluded && exclude_label == ExcludeLabel::Prefer {
        Preference::Excluded
    } else if node.cordoned || is_down {
        Preference::Unwell
    } else {
        Preference::Healthy
    }
}

/// Has this node been NotReady for long?
fn is_down(node: &Node, memory: &Memory, now: Timestamp) -> bool {
    memory.not_ready_since.get(&node.name).is_some_and(|since| now.since(*since) >= NOT_READY_FOR)
}

/// Are more than half of the nodes NotReady? Then it says more about the control plane than about them.
fn is_majority_down(snapshot: &Snapshot) -> bool {
    2 * snapshot.nodes.values().filter(|node| !node.ready).count() > snapshot.nodes.len()
}
