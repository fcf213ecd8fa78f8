//! Why a Service has no address, or not the one it asks for, or one with something amiss.

use std::fmt;
use std::net::IpAddr;
use std::time::Duration;

use ironlb_model::{
    Announcement, EipName, IpFamily, MacAddr, NamespaceName, NodeName, Port, Reservee, ServiceId, Sharing, Transport,
};

/// Why a Service has no address, or not the one it asks for, or one with something amiss.
///
/// [`category`](Self::category) is what conditions, Events, metric labels and the docs call it; `Display` is the sentence for people:
/// what is wrong and what to do.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum Reason {
    /// Nothing names, binds or offers an Eip.
    NoEip {
        /// The family that is wanted.
        family: IpFamily,
    },
    /// No Eip has the protocol that the Service asks for.
    NoEipForProtocol {
        /// The protocol.
        protocol: Announcement,
        /// The family that is wanted.
        family: IpFamily,
    },
    /// The Eip that the Service names does not exist.
    EipNotFound {
        /// Its name.
        eip: EipName,
    },
    /// The Eip is being deleted.
    EipDeleting {
        /// Its name.
        eip: EipName,
    },
    /// The Eip gives out nothing new.
    EipDisabled {
        /// Its name.
        eip: EipName,
    },
    /// The Eip's addresses could not be read.
    EipUnreadable {
        /// Its name.
        eip: EipName,
    },
    /// The Eip enforces its namespaces and selectors, and they leave this Service out.
    EipNotForService {
        /// Its name.
        eip: EipName,
    },
    /// Every address of the Eip is also in one that came first.
    EipInOverlap {
        /// Its name.
        eip: EipName,
        /// One that came first.
        first: EipName,
    },
    /// Every address of the Eips in question is in use.
    ///
    /// It changes only with the Eips themselves: thousands may wait, and each is told anew when the text changes.
    EipFull {
        /// Their names, in the order they were tried.
        eips: Vec<EipName>,
        /// How many of the addresses that are for everybody are held, or were given back a short while ago.
        used: u128,
        /// How many addresses are for everybody.
        total: u128,
        /// How many further addresses are reserved for certain Services, whether those hold them or not.
        reserved: u128,
        /// One of them keeps what is given back for a while.
        reuse_delayed: bool,
        /// A host outside the cluster claims one of the addresses that nobody holds.
        claimed: bool,
    },
    /// The namespace holds as many addresses of the Eip as it may.
    QuotaExceeded {
        /// The Eip.
        eip: EipName,
        /// The namespace.
        namespace: NamespaceName,
        /// How many it holds.
        used: u64,
        /// How many it may hold.
        limit: u64,
    },
    /// The Eip has no address of this family.
    WrongFamily {
        /// Its name.
        eip: EipName,
        /// The family that is wanted.
        family: IpFamily,
    },
    /// The wish could not be read.
    WishUnreadable {
        /// What was written.
        text: String,
    },
    /// The wished address is of a family that the Service does not have.
    WishWrongFamily {
        /// The address.
        address: IpAddr,
    },
    /// The wished address is not in the Eip that the Service names.
    WishOutsideEip {
        /// The address.
        address: IpAddr,
        /// The Eip.
        eip: EipName,
    },
    /// The wished address is in no Eip.
    WishOutsideEveryEip {
        /// The address.
        address: IpAddr,
    },
    /// The Eip never gives out the wished address.
    WishExcluded {
        /// The address.
        address: IpAddr,
        /// The Eip.
        eip: EipName,
    },
    /// The wished address is also in an Eip that came first.
    WishInOverlap {
        /// The address.
        address: IpAddr,
        /// The Eip that the Service names.
        eip: EipName,
        /// The Eip that came first.
        first: EipName,
    },
    /// The wished address is reserved for others.
    Reserved {
        /// The address.
        address: IpAddr,
        /// The Eip.
        eip: EipName,
        /// The place in its `spec.reservations`.
        index: usize,
        /// For whom.
        reservee: Reservee,
    },
    /// Another Service gave the wished address back a short while ago.
    ReuseDelayed {
        /// The address.
        address: IpAddr,
        /// The Eip.
        eip: EipName,
        /// The other Service.
        by: ServiceId,
        /// The Eip's `reuseDelay`.
        delay: Duration,
    },
    /// A host outside the cluster claims the wished address.
    InConflict {
        /// The address.
        address: IpAddr,
        /// The Eip.
        eip: EipName,
        /// The host's Ethernet address.
        mac: MacAddr,
        /// The node that heard it.
        node: NodeName,
    },
    /// Another Service holds the wished address and uses the same port.
    WishTaken {
        /// The address.
        address: IpAddr,
        /// The other Service.
        by: ServiceId,
        /// The port of both; none where the other Service is not ironlb's to share with.
        port: Option<Port>,
    },
    /// Another Service holds the wished address, and the Eip does not let them share.
    SharingForbidden {
        /// The address.
        address: IpAddr,
        /// The other Service.
        by: ServiceId,
        /// The Eip's rule.
        sharing: Sharing,
    },
    /// Sharing the wished address would change where the first Service is announced.
    SharingWouldMoveOwner {
        /// The address.
        address: IpAddr,
        /// The first Service.
        by: ServiceId,
    },
    /// Its status shows an address that is not ironlb's.
    HeldByOther {
        /// The address or host name.
        address: String,
    },
    /// OpenELB still runs in the cluster.
    OpenElbRunning {
        /// What of it.
        what: Vec<String>,
    },
    /// Another writer changes its status back every time.
    StatusContended {
        /// The other writer's name in `managedFields`, where it is known.
        by: Option<String>,
    },
    /// The address it holds is in no Eip any more.
    PoolMissing {
        /// The address.
        address: IpAddr,
    },
    /// The address it holds is no longer in the spec of the Eip it came from.
    HeldOutsideEip {
        /// The address.
        address: IpAddr,
        /// The Eip.
        eip: EipName,
    },
    /// It holds an address that is reserved for others.
    HeldAgainstReservation {
        /// The address.
        address: IpAddr,
        /// The Eip.
        eip: EipName,
        /// The place in its `spec.reservations`.
        index: usize,
        /// For whom.
        reservee: Reservee,
    },
    /// It holds what `spec.loadBalancerIP` asks for, given by OpenELB 0.5, where that counted before the annotation.
    HeldByOlderRule {
        /// The address.
        address: IpAddr,
        /// What the annotation asks for.
        wish: IpAddr,
    },
    /// It holds an address together with another Service although they do not fit together.
    SharedClash {
        /// The address.
        address: IpAddr,
        /// The other Service.
        with: ServiceId,
        /// The port of both, if that is the trouble.
        port: Option<Port>,
    },
    /// It prefers two families and got one.
    SecondFamilyMissing {
        /// The family it did not get.
        family: IpFamily,
        /// Why not.
        because: Box<Self>,
    },
}

impl Reason {
    /// The reason's name in conditions, Events, metric labels and the docs.
    #[must_use]
    pub fn category(&self) -> &'static str {
        match self {
            Self::NoEip { .. } => "NoEip",
            Self::NoEipForProtocol { .. } => "NoEipForProtocol",
            Self::EipNotFound { .. } => "EipNotFound",
            Self::EipDeleting { .. } => "EipDeleting",
            Self::EipDisabled { .. } => "EipDisabled",
            Self::EipUnreadable { .. } => "EipUnreadable",
            Self::EipNotForService { .. } => "EipNotForService",
            Self::EipInOverlap { .. } => "EipInOverlap",
            Self::EipFull { .. } => "EipFull",
            Self::QuotaExceeded { .. } => "QuotaExceeded",
            Self::WrongFamily { .. } => "WrongFamily",
            Self::WishUnreadable { .. } => "WishUnreadable",
            Self::WishWrongFamily { .. } => "WishWrongFamily",
            Self::WishOutsideEip { .. } => "WishOutsideEip",
            Self::WishOutsideEveryEip { .. } => "WishOutsideEveryEip",
            Self::WishExcluded { .. } => "WishExcluded",
            Self::WishInOverlap { .. } => "WishInOverlap",
            Self::Reserved { .. } => "Reserved",
            Self::ReuseDelayed { .. } => "ReuseDelayed",
            Self::InConflict { .. } => "InConflict",
            Self::WishTaken { .. } => "WishTaken",
            Self::SharingForbidden { .. } => "SharingForbidden",
            Self::SharingWouldMoveOwner { .. } => "SharingWouldMoveOwner",
            Self::HeldByOther { .. } => "HeldByOther",
            Self::OpenElbRunning { .. } => "OpenElbRunning",
            Self::StatusContended { .. } => "StatusContended",
            Self::PoolMissing { .. } => "PoolMissing",
            Self::HeldOutsideEip { .. } => "HeldOutsideEip",
            Self::HeldAgainstReservation { .. } => "HeldAgainstReservation",
            Self::HeldByOlderRule { .. } => HELD_BY_OLDER_RULE,
            Self::SharedClash { .. } => "SharedClash",
            Self::SecondFamilyMissing { .. } => "SecondFamilyMissing",
        }
    }

    /// Is it a remark on one of these held addresses?
    pub(crate) fn is_about(&self, addresses: &[IpAddr]) -> bool {
        match self {
            Self::PoolMissing { address }
            | Self::HeldOutsideEip { address, .. }
            | Self::HeldAgainstReservation { address, .. }
            | Self::HeldByOlderRule { address, .. }
            | Self::SharedClash { address, .. } => addresses.contains(address),
            _ => false,
        }
    }

    /// May it end merely because a `reuseDelay` does?
    pub(crate) fn may_end_with_reuse_delay(&self) -> bool {
        match self {
            Self::ReuseDelayed { .. } => true,
            Self::EipFull { reuse_delayed, .. } => *reuse_delayed,
            Self::SecondFamilyMissing { because, .. } => because.may_end_with_reuse_delay(),
            _ => false,
        }
    }

    /// Did it fail before an Eip was chosen? OpenELB tells that by another Event.
    pub(crate) fn is_choice_of_eip(&self) -> bool {
        matches!(
            self,
            Self::NoEip { .. }
                | Self::NoEipForProtocol { .. }
                | Self::EipNotFound { .. }
                | Self::WishUnreadable { .. }
                | Self::WishOutsideEveryEip { .. }
        )
    }
}

/// The condition with this reason is the memory that an address was adopted against the annotation.
pub(crate) const HELD_BY_OLDER_RULE: &str = "HeldByOlderRule";

/// The annotation that names an Eip, for messages.
const WANTED_EIP: &str = "eip.openelb.kubesphere.io/v1alpha2";

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NoEip { family } => write!(
                f,
                "no Eip fits for an {family} address: none is named, none that has {family} addresses is bound to this namespace \
                 or Service, and none is the default; name one in annotation {WANTED_EIP}, bind one by spec.namespaces, \
                 spec.namespaceSelector or spec.serviceSelector, or make one the default by annotation \
                 eip.openelb.kubesphere.io/is-default-eip: \"true\" on it"
            ),
            Self::NoEipForProtocol { protocol, family } => write!(
                f,
                "no Eip with protocol {protocol} gives out {family} addresses; create one, or name an Eip in annotation {WANTED_EIP}"
            ),
            Self::EipNotFound { eip } => {
                write!(f, "Eip {eip} does not exist; create it, or correct annotation {WANTED_EIP}")
            }
            Self::EipDeleting { eip } => write!(f, "Eip {eip} is being deleted; name another in annotation {WANTED_EIP}"),
            Self::EipDisabled { eip } => {
                write!(f, "Eip {eip} is disabled; set its spec.disable to false, or use another Eip")
            }
            Self::EipUnreadable { eip } => write!(
                f,
                "Eip {eip} gives out no address because its addresses, exclusions or reservations cannot be read; its conditions say \
                 what to correct"
            ),
            Self::EipNotForService { eip } => write!(
                f,
                "Eip {eip} enforces its selectors and they do not match this Service; adapt its spec.namespaces, \
                 spec.namespaceSelector or spec.serviceSelector, or use another Eip"
            ),
            Self::EipInOverlap { eip, first } => write!(
                f,
                "the addresses of Eip {eip} are in Eip {first} as well, which had them first; take them out of one of the two"
            ),
            Self::EipFull { eips, used, total, reserved, reuse_delayed, claimed } => {
                let names: Vec<&str> = eips.iter().map(EipName::as_str).collect();
                write!(f, "no free address: {used} of {total} in use in Eip {}", names.join(", "))?;
                if *reuse_delayed {
                    f.write_str(" or given back a short while ago (spec.reuseDelay)")?;
                }
                if *claimed {
                    f.write_str(" or claimed by another host (condition Conflict)")?;
                }
                if *reserved > 0 {
                    write!(f, ", {reserved} more reserved for certain Services (spec.reservations)")?;
                }
                f.write_str("; enlarge spec.address or delete a Service that holds one")
            }
            Self::QuotaExceeded { eip, namespace, used, limit } => write!(
                f,
                "namespace {namespace} holds {used} of the {limit} addresses that Eip {eip} lets a namespace have; delete a Service \
                 that holds one, share one, or raise spec.quota.addressesPerNamespace"
            ),
            Self::WrongFamily { eip, family } => write!(
                f,
                "Eip {eip} has no {family} address; add some to its spec.address, or name an Eip that has them in annotation {WANTED_EIP}"
            ),
            Self::WishUnreadable { text } => write!(
                f,
                "the wished address {text:?} cannot be read; write one address, or one of each family separated by a comma"
            ),
            Self::WishWrongFamily { address } => write!(
                f,
                "the wished address {address} is {}, which this Service does not have; adapt spec.ipFamilies and \
                 spec.ipFamilyPolicy, or wish for another address",
                IpFamily::of(*address)
            ),
            Self::WishOutsideEip { address, eip } => write!(
                f,
                "the wished address {address} is not in Eip {eip}; wish for one that is, or name another Eip in annotation {WANTED_EIP}"
            ),
            Self::WishOutsideEveryEip { address } => {
                write!(f, "the wished address {address} is in no Eip; wish for one that is, or add it to an Eip's spec.address")
            }
            Self::WishExcluded { address, eip } => write!(
                f,
                "Eip {eip} never gives out the wished address {address} (spec.exclude or spec.avoidBuggyIPs); wish for another"
            ),
            Self::WishInOverlap { address, eip, first } => write!(
                f,
                "the wished address {address} is in Eip {eip} and in Eip {first}, which had it first; name {first}, or take the \
                 address out of one of them"
            ),
            Self::Reserved { address, eip, index, reservee } => write!(
                f,
                "the wished address {address} is reserved in Eip {eip} for {} (spec.reservations[{index}]); wish for another address",
                ReserveeText(reservee)
            ),
            Self::ReuseDelayed { address, eip, by, delay } if *delay == Duration::MAX => write!(
                f,
                "the wished address {address} was given back by Service {by}, and spec.reuseDelay of Eip {eip} cannot be read; \
                 correct it, or wish for another address"
            ),
            Self::ReuseDelayed { address, eip, by, delay } => write!(
                f,
                "the wished address {address} was given back by Service {by}, and Eip {eip} keeps it from others for {} s \
                 (spec.reuseDelay); it is given as soon as they are over",
                delay.as_secs()
            ),
            Self::InConflict { address, eip, mac, node } => write!(
                f,
                "the wished address {address} of Eip {eip} is claimed by another host, {mac}, as node {node} hears; find that host by its \
                 Ethernet address: the address is given once it has been silent for a while, or wish for another"
            ),
            Self::WishTaken { address, by, port: Some(port) } => write!(
                f,
                "the wished address {address} is held by Service {by}, which uses port {} as well; wish for another address or change \
                 a port",
                PortText(*port)
            ),
            Self::WishTaken { address, by, port: None } => write!(
                f,
                "the wished address {address} is held by Service {by}, which ironlb does not serve; wish for another address"
            ),
            Self::SharingForbidden { address, by, sharing: Sharing::Namespace } => write!(
                f,
                "the wished address {address} is held by Service {by}, and its Eip lets only Services of one namespace share; wish \
                 for another address"
            ),
            Self::SharingForbidden { address, by, .. } => write!(
                f,
                "the wished address {address} is held by Service {by}, and its Eip lets nobody share; wish for another address"
            ),
            Self::SharingWouldMoveOwner { address, by } => write!(
                f,
                "sharing the wished address {address} with Service {by} would change where that one is announced; give both the same \
                 externalTrafficPolicy (and for Local the same selector), or wish for another address"
            ),
            Self::HeldByOther { address } => write!(
                f,
                "the status shows {address}, which is in no Eip and was not written by ironlb; it is left alone: add it to an Eip, or \
                 remove it from the status once its owner is gone"
            ),
            Self::OpenElbRunning { what } => write!(
                f,
                "OpenELB is still in this cluster, so ironlb only observes; remove {} (docs/migration-from-openelb.md says how), and ironlb \
                 takes the addresses over as they are",
                what.join(", ")
            ),
            Self::StatusContended { by: Some(by) } => write!(
                f,
                "{by} changed the status back three times within a minute, so it is left alone for ten minutes; let only one of the \
                 two serve this Service"
            ),
            Self::StatusContended { by: None } => f.write_str(
                "another writer emptied the status three times within a minute, so it is left alone for ten minutes; the API server \
                 keeps no name of a writer that only removes: its audit log has it",
            ),
            Self::PoolMissing { address } => {
                write!(f, "{address} is in no Eip any more; it is kept: create an Eip that has it to settle how it is announced")
            }
            Self::HeldOutsideEip { address, eip } => write!(
                f,
                "{address} came from Eip {eip}, whose spec.address no longer has it; it is kept: add it again, or wish for another"
            ),
            Self::HeldAgainstReservation { address, eip, index, reservee } => write!(
                f,
                "{address} is reserved in Eip {eip} for {} (spec.reservations[{index}]); it is kept: wish for another address to make \
                 it free",
                ReserveeText(reservee)
            ),
            Self::HeldByOlderRule { address, wish } => write!(
                f,
                "{address} was given by OpenELB 0.5 because spec.loadBalancerIP asks for it; the annotation asks for {wish} and would \
                 count now, but the address is kept: remove one of the two wishes"
            ),
            Self::SharedClash { address, with, port: Some(port) } => write!(
                f,
                "{address} is also held by Service {with}, which uses port {} as well; both are kept, one of them is not reachable: \
                 change a port, or wish for another address",
                PortText(*port)
            ),
            Self::SharedClash { address, with, port: None } => write!(
                f,
                "{address} is also held by Service {with}, which does not fit together with this one; both are kept: give both the same \
                 externalTrafficPolicy (and for Local the same selector), or wish for another address"
            ),
            Self::SecondFamilyMissing { family, because } => write!(f, "no {family} address: {because}"),
        }
    }
}

/// For whom an address is reserved, as people read it.
struct ReserveeText<'a>(&'a Reservee);

impl fmt::Display for ReserveeText<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            Reservee::Service(id) => write!(f, "Service {id}"),
            Reservee::Selected { namespace: Some(namespace), .. } => {
                write!(f, "Services of namespace {namespace} with certain labels")
            }
            Reservee::Selected { namespace: None, .. } => f.write_str("Services with certain labels"),
            Reservee::Nobody => f.write_str("nobody yet, as the entry has a fault"),
        }
    }
}

/// A port as people write it.
struct PortText(Port);

impl fmt::Display for PortText {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let transport = match self.0.transport {
            Transport::Tcp => "TCP",
            Transport::Udp => "UDP",
            Transport::Sctp => "SCTP",
        };
        write!(f, "{}/{transport}", self.0.number)
    }
}

#[cfg(test)]
mod tests;
