//! A Service, as far as ironlb looks at it.

use std::collections::BTreeSet;
use std::net::IpAddr;

use serde::{Deserialize, Serialize};

use crate::{EipName, IpFamily, Labels, ResourceVersion, ServiceId, WallTime};

/// What the annotation `lb.kubesphere.io/v1alpha1` says.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default, Serialize, Deserialize)]
pub enum OptIn {
    /// The annotation is absent.
    #[default]
    Absent,
    /// It is exactly `openelb`.
    Ours,
    /// It has any other value.
    Other,
}

/// Where a Service says which addresses it asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub enum WishSource {
    /// Annotation `eip.openelb.kubesphere.io/v1alpha1`.
    Annotation,
    /// `spec.loadBalancerIP`.
    LoadBalancerIp,
}

/// `spec.externalTrafficPolicy`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default, Serialize, Deserialize)]
pub enum TrafficPolicy {
    /// Any node forwards to any endpoint.
    #[default]
    Cluster,
    /// A node forwards only to its own endpoints.
    Local,
}

/// `spec.ipFamilyPolicy`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default, Serialize, Deserialize)]
pub enum FamilyPolicy {
    /// One family.
    #[default]
    SingleStack,
    /// Two if the cluster and the pools have them.
    PreferDualStack,
    /// Two.
    RequireDualStack,
}

/// A transport protocol of a Service port.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub enum Transport {
    /// TCP.
    Tcp,
    /// UDP.
    Udp,
    /// SCTP.
    Sctp,
}

/// A port of a Service; two Services may share an address only if these sets are disjoint.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Port {
    /// The transport.
    pub transport: Transport,
    /// 1 to 65535.
    pub number: u16,
}

/// One entry of `status.loadBalancer.ingress`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub enum IngressAddress {
    /// An address, in canonical form.
    Ip(IpAddr),
    /// Anything else (a host name, an unreadable address): somebody else's, kept as text.
    Foreign(String),
}

/// A condition's status.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub enum ConditionStatus {
    /// `True`.
    True,
    /// `False`.
    False,
    /// `Unknown`.
    Unknown,
}

impl ConditionStatus {
    /// The API's text.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::True => "True",
            Self::False => "False",
            Self::Unknown => "Unknown",
        }
    }
}

/// A condition without its times: what is compared to find out whether anything is to be told.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Condition {
    /// The type, such as `ironlb.io/AddressAssigned`.
    pub kind: String,
    /// The status.
    pub status: ConditionStatus,
    /// A reason from a closed list.
    pub reason: String,
    /// A sentence for people.
    pub message: String,
}

/// A Service, as far as ironlb looks at it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Service {
    /// Namespace and name.
    pub id: ServiceId,
    /// The object's uid: a re-created Service is another one.
    pub uid: String,
    /// The version this was read at.
    pub version: ResourceVersion,
    /// When it was created.
    pub created: WallTime,
    /// It has a deletion timestamp.
    pub deleting: bool,
    /// `spec.type` is `LoadBalancer`.
    pub is_load_balancer: bool,
    /// `spec.loadBalancerClass`.
    pub load_balancer_class: Option<String>,
    /// The annotation that opts in.
    pub opt_in: OptIn,
    /// The Eip asked for by annotation `eip.openelb.kubesphere.io/v1alpha2`.
    pub wanted_eip: Option<EipName>,
    /// The protocol asked for by annotation `protocol.openelb.kubesphere.io/v1alpha1` (OpenELB 0.5 and before).
    pub wanted_protocol: Option<crate::Announcement>,
    /// The addresses asked for, by annotation `eip.openelb.kubesphere.io/v1alpha1` or else by `spec.loadBalancerIP`; at most
    /// one of each family.
    pub wish: Vec<IpAddr>,
    /// Where the wish is written, be it readable or not; none where none is written.
    pub wish_source: Option<WishSource>,
    /// What `spec.loadBalancerIP` asks for where the annotation, which counts, asks for something else. In OpenELB 0.5 and before
    /// this one counted.
    pub overruled_wish: Option<IpAddr>,
    /// A wish was written that cannot be read; it is not the same as no wish.
    pub wish_unreadable: Option<String>,
    /// The addresses annotation `ironlb.io/addresses` lists: what a restored backup held. A wish, never a proof.
    pub remembered: Vec<IpAddr>,
    /// `spec.ipFamilies`, in order.
    pub families: Vec<IpFamily>,
    /// `spec.ipFamilyPolicy`.
    pub family_policy: FamilyPolicy,
    /// `spec.externalTrafficPolicy`.
    pub traffic_policy: TrafficPolicy,
    /// `spec.healthCheckNodePort`, where kube-proxy tells whether it has local endpoints.
    pub health_check_node_port: Option<u16>,
    /// The ports.
    pub ports: BTreeSet<Port>,
    /// `spec.selector`.
    pub selector: Labels,
    /// Labels, for `serviceSelector`.
    pub labels: Labels,
    /// Label `eip.openelb.kubesphere.io/v1alpha2`: a projection, never a proof.
    pub eip_label: Option<EipName>,
    /// OpenELB's finalizer is on it.
    pub has_openelb_finalizer: bool,
    /// `status.loadBalancer.ingress`: the truth of who holds what.
    pub ingress: Vec<IngressAddress>,
    /// Who else wrote its status last, as far as `managedFields` tells: the addresses rather than anything else in it. The API server
    /// keeps no name of a writer that only removes.
    pub status_writer: Option<String>,
    /// ironlb's own conditions on it.
    pub conditions: Vec<Condition>,
    /// When its addresses were given: the time of its condition `ironlb.io/AddressAssigned`. Of two Services on one address
    /// after a race of two leaders, the one it was given to later gives way.
    pub assigned_at: Option<WallTime>,
}

impl Service {
    /// The addresses its status holds, in the status's order.
    pub fn addresses(&self) -> impl Iterator<Item = IpAddr> + '_ {
        self.ingress.iter().filter_map(|entry| match entry {
            IngressAddress::Ip(address) => Some(*address),
            IngressAddress::Foreign(_) => None,
        })
    }

    /// The condition of one type, if the Service has it.
    #[must_use]
    pub fn condition(&self, kind: &str) -> Option<&Condition> {
        self.conditions.iter().find(|c| c.kind == kind)
    }
}
