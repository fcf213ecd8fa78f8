//! Why this node does not announce a vip, and what is remarkable about one that it does.

use std::fmt;
use std::net::IpAddr;

use ironlb_model::{Announcement, DrainCause, EipName, InterfaceName, IpFamily, NodeName, Port, ServiceId};

/// Why this node does not announce a vip.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum Reason {
    /// OpenELB still runs here, so ironlb only observes.
    OpenElbRunning {
        /// What of it ("Deployment openelb-system/openelb-controller").
        workload: String,
    },
    /// No Eip holds or lists the address, and this speaker has never seen one that did.
    NoPool,
    /// Its Eip's protocol is one this version does not serve.
    ProtocolNotServed {
        /// The Eip.
        eip: EipName,
        /// The protocol.
        protocol: Announcement,
    },
    /// Layer 2 is switched off on this speaker.
    Layer2Disabled,
    /// There is no BgpConf named `default` with an AS number for this node.
    BgpNotConfigured,
    /// The BgpConf names a policy file, and this speaker has none that it could read.
    PolicyUnreadable {
        /// The ConfigMap.
        config_map: String,
    },
    /// No BgpPeer that may have the Eip's routes selects this node.
    NoBgpPeer {
        /// The Eip.
        eip: EipName,
    },
    /// No session in which the vip would be advertised is established.
    NoSession {
        /// The BgpPeers.
        peers: Vec<String>,
    },
    /// This node is cordoned, NotReady or excluded, and others with a session are not.
    OthersPreferred,
    /// Layer 2 is not served for this family of addresses by this version.
    FamilyNotServed {
        /// The family.
        family: IpFamily,
    },
    /// No endpoint of its Services can take a connection.
    NoEndpoints {
        /// The Service, the oldest of several.
        service: ServiceId,
    },
    /// This speaker has no snapshot, no open sockets, or no standing among the others yet.
    SpeakerNotReady,
    /// There is no Node object of this node's name.
    NodeMissing,
    /// This node bears the label that keeps it out of load balancing, and `--exclude-label=strict` is set.
    ExcludedByLabel,
    /// The Eip's `nodeSelector` does not match this node.
    NodeNotSelected {
        /// The Eip.
        eip: EipName,
    },
    /// None of the interfaces the Eip names is on this node.
    InterfaceMissing {
        /// The names.
        wanted: Vec<InterfaceName>,
    },
    /// The interface is down or has no carrier.
    InterfaceDown {
        /// The interface.
        interface: InterfaceName,
    },
    /// The interface is a port of a bridge or bond, or the loopback: frames for the node do not arrive on it.
    InterfaceUnsuitable {
        /// The interface.
        interface: InterfaceName,
    },
    /// This node has no route to the address of the Eip's `can_reach`.
    CannotReach {
        /// The address.
        target: IpAddr,
    },
    /// The Eip names no interface, and none of this node's has a subnet with the vip, nor the node's own address.
    NoSubnet,
    /// The policy is `Local` and no endpoint on this node can take a connection.
    NoLocalEndpoint {
        /// The Service, the oldest of several.
        service: ServiceId,
    },
    /// Another node that could announce it is on its subnet; this one is not.
    NotOnSubnet,
    /// This node is being emptied and another can announce it.
    Draining {
        /// Why.
        cause: DrainCause,
    },
    /// Another node owns it.
    OwnedElsewhere {
        /// The node.
        node: NodeName,
    },
    /// Nobody owns it yet and it falls to another node.
    ElectedElsewhere {
        /// The node.
        node: NodeName,
    },
    /// An older Service has the address, and a port in common.
    PortClash {
        /// The Service for which it is not announced.
        service: ServiceId,
        /// The older one.
        older: ServiceId,
        /// The port.
        port: Port,
    },
}

impl Reason {
    /// Does it keep every node from announcing the vip, not only this one?
    pub(crate) fn is_of_all_nodes(&self) -> bool {
        matches!(
            self,
            Self::OpenElbRunning { .. }
                | Self::NoPool
                | Self::ProtocolNotServed { .. }
                | Self::BgpNotConfigured
                | Self::PolicyUnreadable { .. }
                | Self::NoBgpPeer { .. }
                | Self::NoEndpoints { .. }
        )
    }

    /// The reason's name in reports, conditions and metric labels.
    #[must_use]
    pub fn category(&self) -> &'static str {
        match self {
            Self::OpenElbRunning { .. } => "OpenElbRunning",
            Self::NoPool => "NoPool",
            Self::ProtocolNotServed { .. } => "ProtocolNotServed",
            Self::Layer2Disabled => "Layer2Disabled",
            Self::BgpNotConfigured => "BgpNotConfigured",
            Self::PolicyUnreadable { .. } => "PolicyUnreadable",
            Self::NoBgpPeer { .. } => "NoBgpPeer",
            Self::NoSession { .. } => "NoSession",
            Self::OthersPreferred => "OthersPreferred",
            Self::FamilyNotServed { .. } => "FamilyNotServed",
            Self::NoEndpoints { .. } => "NoEndpoints",
            Self::SpeakerNotReady => "SpeakerNotReady",
            Self::NodeMissing => "NodeMissing",
            Self::ExcludedByLabel => "ExcludedByLabel",
            Self::NodeNotSelected { .. } => "NodeNotSelected",
            Self::InterfaceMissing { .. } => "InterfaceMissing",
            Self::InterfaceDown { .. } => "InterfaceDown",
            Self::InterfaceUnsuitable { .. } => "InterfaceUnsuitable",
            Self::CannotReach { .. } => "CannotReach",
            Self::NoSubnet => "NoSubnet",
            Self::NoLocalEndpoint { .. } => "NoLocalEndpoint",
            Self::NotOnSubnet => "NotOnSubnet",
            Self::Draining { .. } => "Draining",
            Self::OwnedElsewhere { .. } => "OwnedElsewhere",
            Self::ElectedElsewhere { .. } => "ElectedElsewhere",
            Self::PortClash { .. } => "PortClash",
        }
    }
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::OpenElbRunning { workload } => write!(
                f,
                "OpenELB still runs ({workload}), so ironlb only observes; remove OpenELB to hand its addresses over"
            ),
            Self::NoPool => f.write_str("no Eip holds this address; create one that does"),
            Self::ProtocolNotServed { eip, protocol } => write!(
                f,
                "Eip {eip} has protocol {protocol}, which this version does not serve; set spec.protocol: layer2"
            ),
            Self::Layer2Disabled => f.write_str("Layer 2 is switched off on this speaker"),
            Self::BgpNotConfigured => f.write_str(
                "there is no BgpConf named default with an AS number for this node; create one with spec.as",
            ),
            Self::PolicyUnreadable { config_map } => write!(
                f,
                "the BgpConf names ConfigMap {config_map} as its policy, and nothing goes out before it can be read; see kubectl describe bgpconf default"
            ),
            Self::NoBgpPeer { eip } => write!(
                f,
                "no BgpPeer to which Eip {eip} may be advertised selects this node; see spec.nodeSelector of the BgpPeers and spec.bgp.peers of the Eip"
            ),
            Self::NoSession { peers } => {
                write!(f, "no session is established with {}; see kubectl describe bgppeer", peers.join(", "))
            }
            Self::OthersPreferred => f.write_str(
                "this node is cordoned, NotReady or excluded from load balancing, and others that are not advertise it",
            ),
            Self::FamilyNotServed { family } => {
                write!(f, "this version does not answer for {family} addresses in Layer 2; use an Eip of the other family")
            }
            Self::NoEndpoints { service } => {
                write!(f, "no endpoint of Service {service} can take a connection; see that its pods are ready")
            }
            Self::SpeakerNotReady => f.write_str("the speaker of this node is not ready yet"),
            Self::NodeMissing => f.write_str("there is no Node object for this node"),
            Self::ExcludedByLabel => f.write_str(
                "the node has label node.kubernetes.io/exclude-from-external-load-balancers and --exclude-label is strict",
            ),
            Self::NodeNotSelected { eip } => write!(f, "the nodeSelector of Eip {eip} does not match this node"),
            Self::InterfaceMissing { wanted } => {
                let names: Vec<&str> = wanted.iter().map(InterfaceName::as_str).collect();
                write!(f, "this node has no interface {}", names.join(" or "))
            }
            Self::InterfaceDown { interface } => write!(f, "interface {interface} is down or has no carrier"),
            Self::InterfaceUnsuitable { interface } => write!(
                f,
                "interface {interface} is the loopback or a port of a bridge or bond; name the bridge or bond instead"
            ),
            Self::CannotReach { target } => write!(f, "this node has no route to {target}"),
            Self::NoSubnet => f.write_str(
                "no interface of this node has a subnet with this address or the node's own address; name one in spec.interface",
            ),
            Self::NoLocalEndpoint { service } => write!(
                f,
                "Service {service} has externalTrafficPolicy Local and no endpoint on this node can take a connection"
            ),
            Self::NotOnSubnet => f.write_str("another node is on the subnet of this address and this one is not"),
            Self::Draining { cause } => {
                let cause = match cause {
                    DrainCause::Annotation => "annotation ironlb.io/drain",
                    DrainCause::OutOfService => "taint node.kubernetes.io/out-of-service",
                    DrainCause::ToBeDeleted => "taint ToBeDeletedByClusterAutoscaler",
                    DrainCause::Shutdown => "it is being shut down",
                };
                write!(f, "this node is being emptied ({cause}) and another can announce it")
            }
            Self::OwnedElsewhere { node } => write!(f, "node {node} owns it"),
            Self::ElectedElsewhere { node } => write!(f, "it falls to node {node}"),
            Self::PortClash { service, older, port } => write!(
                f,
                "not announced for Service {service}: Service {older} has the address longer and port {} in common",
                port.number
            ),
        }
    }
}

/// What is remarkable about a vip that this node announces.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Remark {
    /// No candidate's interface has a subnet with the vip: a router must know the way.
    OffSubnet,
    /// No Eip holds it any more: the last settings known for it are used.
    PoolMissing,
    /// The node is being emptied, and no other can announce it.
    DrainRefusedLast,
    /// Its Eip has protocol `vip`, which is served as Layer 2.
    VipAsLayer2,
    /// It has several Services whose candidates differ: every node that could announce it for one of them is a candidate.
    Union,
}

impl Remark {
    /// The remark's name in reports, conditions and metric labels.
    #[must_use]
    pub fn category(self) -> &'static str {
        match self {
            Self::OffSubnet => "OffSubnet",
            Self::PoolMissing => "PoolMissing",
            Self::DrainRefusedLast => "DrainRefusedLast",
            Self::VipAsLayer2 => "VipAsLayer2",
            Self::Union => "Union",
        }
    }
}
