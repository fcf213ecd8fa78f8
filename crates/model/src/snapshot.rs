//! The cluster at one moment.

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::{
    BgpConf, BgpPeer, Eip, EipName, Endpoints, Issue, Namespace, NamespaceName, Node, NodeName, Policy, Service,
    ServiceId, Settings, SpeakerReport,
};

/// The cluster at one moment, as the watches show it.
///
/// A snapshot exists only once every watch it is made from has finished its first list, so an object that is missing from it is
/// gone and not merely unread. Entries are shared, so a copy costs one pointer each.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Snapshot {
    /// What the command line sets.
    pub settings: Settings,
    /// Every Service, ours or not: others' addresses count as taken.
    pub services: BTreeMap<ServiceId, Arc<Service>>,
    /// Every Eip.
    pub eips: BTreeMap<EipName, Arc<Eip>>,
    /// Every namespace (controller only).
    pub namespaces: BTreeMap<NamespaceName, Arc<Namespace>>,
    /// Every node.
    pub nodes: BTreeMap<NodeName, Arc<Node>>,
    /// The endpoints of every Service (speaker only).
    pub endpoints: BTreeMap<ServiceId, Arc<Endpoints>>,
    /// What every speaker reports.
    pub speakers: BTreeMap<NodeName, Arc<SpeakerReport>>,
    /// Every BgpConf.
    pub bgp_confs: BTreeMap<String, Arc<BgpConf>>,
    /// Every BgpPeer.
    pub bgp_peers: BTreeMap<String, Arc<BgpPeer>>,
    /// The policy files that can be read, by the name of their ConfigMap.
    pub policies: BTreeMap<String, Arc<Policy>>,
    /// Faults found while the objects were translated, sorted.
    pub issues: Vec<Issue>,
    /// What of OpenELB still runs here ("Deployment openelb-system/openelb-controller"); while there is any, ironlb only
    /// observes.
    pub openelb: Vec<String>,
}
