//! What one speaker knows beside the snapshot: its own node, and who is alive and owns what.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;

use ironlb_model::{InterfaceName, Interfaces, IpFamily, NodeName, Prefix};

/// What the label `node.kubernetes.io/exclude-from-external-load-balancers` does (`--exclude-label`).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default)]
pub enum ExcludeLabel {
    /// A node that has it is taken when no other can (kubeadm puts it on every control-plane node, and a cluster of one such node
    /// must work).
    #[default]
    Prefer,
    /// A node that has it never announces.
    Strict,
    /// It means nothing.
    Ignore,
}

/// What one speaker knows beside the snapshot.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LocalView {
    /// The speaker's node.
    pub node: NodeName,
    /// The node's interfaces, from the kernel.
    pub interfaces: Interfaces,
    /// For each target of a `can_reach:` in use: the interface of the node's route to it, where there is a route.
    pub can_reach: BTreeMap<IpAddr, InterfaceName>,
    /// The nodes that are alive and ready, this one included when it is.
    pub candidates: BTreeSet<NodeName>,
    /// Who owns which vip, by the claims of those alive.
    pub owners: BTreeMap<IpAddr, NodeName>,
    /// The vips this node may answer for now: its confirmed claims.
    pub may_answer: BTreeSet<IpAddr>,
    /// This process has a snapshot and open sockets.
    pub ready: bool,
    /// The families Layer 2 is served for; empty when it is switched off.
    pub layer2: BTreeSet<IpFamily>,
    /// This speaker runs BGP.
    pub bgp: bool,
    /// The BgpPeers, by name, with which its session is established.
    pub established: BTreeSet<String>,
    /// The aggregates of which the node would pass packets for an unused address on to a router, from the kernel.
    pub looping: BTreeSet<Prefix>,
    /// `--exclude-label`.
    pub exclude_label: ExcludeLabel,
}

impl LocalView {
    /// A speaker that knows nothing yet and serves Layer 2 for both families.
    #[must_use]
    pub fn new(node: NodeName) -> Self {
        Self {
            node,
            interfaces: Interfaces::default(),
            can_reach: BTreeMap::new(),
            candidates: BTreeSet::new(),
            owners: BTreeMap::new(),
            may_answer: BTreeSet::new(),
            ready: false,
            layer2: BTreeSet::from([IpFamily::V4, IpFamily::V6]),
            bgp: false,
            established: BTreeSet::new(),
            looping: BTreeSet::new(),
            exclude_label: ExcludeLabel::default(),
        }
    }
}
