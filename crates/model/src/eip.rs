//! An Eip: a pool of addresses and how they are announced.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::net::IpAddr;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::{
    Condition, EipName, InterfaceName, NamespaceName, Pool, ResourceVersion, RouteSettings, Selector, Service,
    ServiceId, WallTime,
};

/// `spec.protocol`: how the addresses of an Eip are announced.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default, Serialize, Deserialize)]
pub enum Announcement {
    /// `bgp`, also when the field is empty.
    #[default]
    Bgp,
    /// `layer2`.
    Layer2,
    /// `vip`: OpenELB's keepalived mode, served as Layer 2.
    Vip,
}

impl fmt::Display for Announcement {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Bgp => "bgp",
            Self::Layer2 => "layer2",
            Self::Vip => "vip",
        })
    }
}

/// `spec.interface`: which network interface answers on a node.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Default, Serialize, Deserialize)]
pub enum InterfaceChoice {
    /// Empty: the interface whose subnet contains the vip.
    #[default]
    BySubnet,
    /// The interface of that name.
    Named(InterfaceName),
    /// `can_reach:IP`: the interface of the node's route to that address.
    CanReach(IpAddr),
}

/// Who may share an address; ports are disjoint in every case.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default, Serialize, Deserialize)]
pub enum Sharing {
    /// Any Service (OpenELB's rule).
    #[default]
    Cluster,
    /// Services of one namespace.
    Namespace,
    /// Nobody.
    Never,
}

/// `layer2.conflictDetection`: what follows where another host is heard to use one of the addresses.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default, Serialize, Deserialize)]
pub enum ConflictDetection {
    /// It is told, and the address is given to no other Service meanwhile.
    #[default]
    Enforce,
    /// It is told.
    Warn,
    /// Nothing.
    Off,
}

/// For whom addresses are reserved.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub enum Reservee {
    /// `namespace` and `name`: this Service, whether it exists or not.
    Service(ServiceId),
    /// `serviceSelector`: the Services with these labels.
    Selected {
        /// `namespace`; none is any.
        namespace: Option<NamespaceName>,
        /// Their labels.
        selector: Selector,
    },
    /// The entry does not say for whom in a way that can be read: for nobody, until that is mended.
    Nobody,
}

impl Reservee {
    /// Is this Service one of them?
    #[must_use]
    pub fn includes(&self, service: &Service) -> bool {
        match self {
            Self::Service(id) => *id == service.id,
            Self::Selected { namespace, selector } => {
                namespace.as_ref().is_none_or(|namespace| *namespace == service.id.namespace)
                    && selector.matches(&service.labels)
            }
            Self::Nobody => false,
        }
    }
}

/// One entry of `reservations`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Reservation {
    /// Its place in the list, for messages.
    pub index: usize,
    /// The addresses. No two entries of an Eip have one in common: it is the first one's.
    pub addresses: Pool,
    /// For whom.
    pub reservee: Reservee,
}

/// `status` of an Eip, as written now.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct EipStatus {
    /// `occupied`.
    pub occupied: bool,
    /// `usage`.
    pub usage: u64,
    /// `poolSize`; a larger pool shows the largest number the field can hold.
    pub pool_size: i64,
    /// `firstIP`.
    pub first_ip: Option<String>,
    /// `lastIP`.
    pub last_ip: Option<String>,
    /// `v4`.
    pub v4: bool,
    /// `ready`.
    pub ready: bool,
    /// `used`: address to holders, OpenELB's text `a/b;c/d` already taken apart; the holders sorted, each once. A slice, because a full
    /// Eip has 10,000 addresses with one holder each, and the smallest set takes as much as eleven.
    pub used: BTreeMap<IpAddr, Box<[ServiceId]>>,
    /// Entries of `used` that could not be read; they are removed by the next write.
    pub has_unreadable_used: bool,
    /// Conditions; OpenELB writes none, so an Eip without any was never ours.
    pub conditions: Vec<Condition>,
    /// When each of them last changed its status, by type: a write replaces the whole list, so it carries these along.
    pub condition_times: BTreeMap<String, WallTime>,
}

/// An Eip, as far as ironlb looks at it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Eip {
    /// The name.
    pub name: EipName,
    /// The object's uid.
    pub uid: String,
    /// The version this was read at.
    pub version: ResourceVersion,
    /// When it was created.
    pub created: WallTime,
    /// `metadata.generation`, for `observedGeneration`.
    pub generation: i64,
    /// It has a deletion timestamp.
    pub deleting: bool,
    /// `spec.address` as written, for messages.
    pub address_text: String,
    /// The addresses of `address` without `exclude`; empty when the text could not be read.
    pub pool: Pool,
    /// Every address of `address`, `exclude` included: where an address lies is judged by this.
    pub span: Pool,
    /// `protocol`.
    pub announcement: Announcement,
    /// `interface`.
    pub interface: InterfaceChoice,
    /// `layer2.interfaces`.
    pub interfaces: Vec<InterfaceName>,
    /// `layer2.conflictDetection`.
    pub conflict_detection: ConflictDetection,
    /// `disable`.
    pub disabled: bool,
    /// `priority`; the smaller number wins.
    pub priority: i64,
    /// `namespaces`.
    pub namespaces: BTreeSet<NamespaceName>,
    /// `namespaceSelector`: plain equality of labels.
    pub namespace_selector: BTreeMap<String, String>,
    /// Annotation `eip.openelb.kubesphere.io/is-default-eip`.
    pub is_default: bool,
    /// `autoAssign`.
    pub auto_assign: bool,
    /// `avoidBuggyIPs`.
    pub avoid_buggy_ips: bool,
    /// `serviceSelector`; `None` when the field is absent.
    pub service_selector: Option<Selector>,
    /// `nodeSelector`; `None` when the field is absent.
    pub node_selector: Option<Selector>,
    /// `enforceSelectors`.
    pub enforce_selectors: bool,
    /// `sharing`.
    pub sharing: Sharing,
    /// `bgp`: how its routes are advertised.
    pub routes: RouteSettings,
    /// `reservations`, in their order.
    pub reservations: Vec<Reservation>,
    /// `quota.addressesPerNamespace`; none is without limit.
    pub addresses_per_namespace: Option<u64>,
    /// `reuseDelay`: so long an address that was given back is kept from other Services.
    pub reuse_delay: Duration,
    /// Something that keeps addresses from being given out (an exclusion, a reservation) could not be read, so none is given
    /// out until that is mended.
    pub withholds: bool,
    /// OpenELB's finalizer is on it.
    pub has_openelb_finalizer: bool,
    /// `status` as written now.
    pub status: EipStatus,
}

impl Eip {
    /// Does the spec hold this address (an excluded one lies in it as well)?
    #[must_use]
    pub fn spans(&self, address: IpAddr) -> bool {
        self.span.contains(address)
    }
}
