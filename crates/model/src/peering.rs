//! What BgpConf and BgpPeer ask for, field by field, after their texts have been read.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::num::NonZeroU32;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::{InterfaceName, IpFamily, Selector};

/// The port of BGP (RFC 4271 section 2).
pub const BGP_PORT: u16 = 179;

/// An autonomous system number; 0 is none (RFC 7607).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Asn(NonZeroU32);

impl Asn {
    /// The number, unless it is 0.
    #[must_use]
    pub fn new(number: u32) -> Option<Self> {
        NonZeroU32::new(number).map(Self)
    }

    /// The number.
    #[must_use]
    pub fn get(self) -> u32 {
        self.0.get()
    }

    /// Is it one of those that everybody may use and nobody shows to the Internet (RFC 6996 section 5)?
    #[must_use]
    pub fn is_private(self) -> bool {
        matches!(self.get(), 64_512..=65_534 | 4_200_000_000..=4_294_967_294)
    }
}

impl fmt::Display for Asn {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// The cluster's own side of BGP: the spec of a BgpConf.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct OwnSide {
    /// `as`; without one BGP is off.
    pub asn: Option<Asn>,
    /// `asPerRack`, by the value of the node's rack label; `None` where the field is absent, which also means that racks do not limit
    /// on whose behalf a node advertises.
    pub as_per_rack: Option<BTreeMap<String, Asn>>,
    /// `routerId`; `None` is the node's first IPv4 InternalIP.
    pub router_id: Option<Ipv4Addr>,
    /// `listenPort`: `None` does not listen.
    pub listen_port: Option<u16>,
    /// `listenAddresses`; empty is all.
    pub listen_addresses: Vec<IpAddr>,
    /// `families`: those that may be negotiated with any peer.
    pub families: BTreeSet<IpFamily>,
    /// `gracefulRestart`, for every session whose BgpPeer has none of its own.
    pub graceful_restart: Option<GracefulRestart>,
    /// `policy`: the name of a ConfigMap.
    pub policy: Option<String>,
}

/// The router at the other end, and how the session with it is to run: the spec of a BgpPeer.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Peering {
    /// Who it is.
    pub neighbor: Neighbor,
    /// `conf.peerAs`.
    pub asn: Asn,
    /// `conf.localAs`; `None` is the BgpConf's.
    pub local_asn: Option<Asn>,
    /// The password of TCP MD5 (RFC 2385).
    pub password: Option<Password>,
    /// `conf.adminDown`.
    pub admin_down: bool,
    /// How far away it may be.
    pub distance: Distance,
    /// `timers.config`.
    pub timers: SessionTimers,
    /// `transport.passiveMode`: wait for it to connect.
    pub passive: bool,
    /// `transport.remotePort`.
    pub port: u16,
    /// `gracefulRestart`.
    pub graceful_restart: Option<GracefulRestart>,
    /// `afiSafis`: what is negotiated; never empty.
    pub families: BTreeMap<IpFamily, FamilySettings>,
    /// `nodeSelector`; `None` is every node.
    pub node_selector: Option<Selector>,
    /// `bfd`, where it is enabled.
    pub bfd: Option<BfdSettings>,
    /// `sourceAddress`.
    pub source_address: Option<IpAddr>,
    /// `nextHopSelf`.
    pub next_hop_self: bool,
    /// `conf.removePrivateAs` and `conf.replacePeerAs`.
    pub as_path: AsPathSettings,
}

impl Peering {
    /// One that says who is at the other end and nothing else: all the rest is as in a BgpPeer that leaves it out.
    #[must_use]
    pub fn new(neighbor: Neighbor, asn: Asn) -> Self {
        let families = neighbor.families().into_iter().map(|family| (family, FamilySettings::UNLISTED)).collect();
        Self {
            neighbor,
            asn,
            local_asn: None,
            password: None,
            admin_down: false,
            distance: Distance::default(),
            timers: SessionTimers::default(),
            passive: false,
            port: BGP_PORT,
            graceful_restart: None,
            families,
            node_selector: None,
            bfd: None,
            source_address: None,
            next_hop_self: false,
            as_path: AsPathSettings::default(),
        }
    }
}

/// How a peer is addressed.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub enum Neighbor {
    /// By an address that is the same from everywhere.
    Address(IpAddr),
    /// By a link-local address on one interface.
    LinkLocal {
        /// The address.
        address: Ipv6Addr,
        /// `conf.neighborInterface`.
        interface: InterfaceName,
    },
    /// Whoever is at the other end of an interface: an unnumbered peer, found by its router advertisements.
    Interface(InterfaceName),
}

impl Neighbor {
    /// What is negotiated with it where no family is listed.
    #[must_use]
    pub fn families(&self) -> BTreeSet<IpFamily> {
        match self {
            Self::Address(address) => [IpFamily::of(*address)].into(),
            Self::LinkLocal { .. } => [IpFamily::V6].into(),
            // An unnumbered peer has no family of its own; IPv4 takes an IPv6 next hop there (RFC 8950).
            Self::Interface(_) => [IpFamily::V4, IpFamily::V6].into(),
        }
    }
}

impl fmt::Display for Neighbor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Address(address) => address.fmt(f),
            Self::LinkLocal { address, interface } => write!(f, "{address}%{interface}"),
            Self::Interface(interface) => interface.fmt(f),
        }
    }
}

/// Where the password of a session stands.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Password {
    /// In the BgpPeer, for all to read.
    Plain(String),
    /// In a Secret of ironlb's namespace.
    Secret {
        /// Its name.
        name: String,
        /// The key in it.
        key: String,
    },
}

impl fmt::Debug for Password {
    /// Without the password itself.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Plain(_) => f.write_str("Plain(..)"),
            Self::Secret { name, key } => write!(f, "Secret({name}, {key})"),
        }
    }
}

/// How many routers may stand between a node and a peer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default, Serialize, Deserialize)]
pub enum Distance {
    /// The default: packets to an external peer leave with TTL 1, those to an internal one with 64.
    #[default]
    Default,
    /// `ebgpMultihop`: packets leave with this TTL.
    Ttl(u8),
    /// `ttlSecurity`: packets leave with TTL 255 and must not have come over more hops than this (GTSM, RFC 5082); 1 is a neighbour on
    /// the same link.
    Security(u8),
}

/// The timers of a session.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct SessionTimers {
    /// Between attempts to connect.
    pub connect_retry: Duration,
    /// What is proposed as hold time: zero, or 3 s to 65,535 s (RFC 4271 section 4.2).
    pub hold_time: Duration,
    /// Between KEEPALIVEs; `None` is a third of the negotiated hold time.
    pub keepalive: Option<Duration>,
}

impl Default for SessionTimers {
    /// OpenELB's, which are GoBGP's, save for how soon a router that was away is tried again.
    fn default() -> Self {
        Self {
            // Chosen, in place of 120: a node has two routers, not thousands, and one that came back is to have its routes.
            connect_retry: Duration::from_secs(5),
            hold_time: Duration::from_secs(90),
            keepalive: None,
        }
    }
}

/// Graceful restart (RFC 4724).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct GracefulRestart {
    /// How long the peer keeps our routes: 0 to 4,095 s, the field has 12 bits (RFC 4724 section 3).
    pub restart_time: Duration,
    /// Only help the peer over its restart.
    pub helper_only: bool,
    /// Keep routes also over a NOTIFICATION: the N bit (RFC 8538).
    pub notification: bool,
}

/// One address family of a session.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct FamilySettings {
    /// How many paths to one prefix are offered to be sent by ADD-PATH (RFC 7911); below 2 it is not offered.
    pub add_path_send: u8,
    /// `mpGracefulRestart` is off: the peer is not asked to keep its routes over a restart.
    pub without_restart: bool,
}

impl FamilySettings {
    /// Of each family of a peer that lists none: OpenELB's default.
    pub const UNLISTED: Self = Self { add_path_send: 10, without_restart: false };
}

/// What is done to the AS path of a route on its way to an external peer, once a policy has made it. The own number always stays.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct AsPathSettings {
    /// What becomes of private numbers in it.
    pub private: PrivateAs,
    /// The peer's own number in it is replaced by ours, or the peer would take the route for its own.
    pub replace_peer: bool,
}

/// What becomes of private AS numbers (RFC 6996) in a path.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub enum PrivateAs {
    /// They stay.
    #[default]
    Keep,
    /// They are taken out.
    Remove,
    /// Ours stands in their place.
    Replace,
}

/// BFD beside a session (RFC 5880).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct BfdSettings {
    /// `RequiredMinRxInterval`.
    pub receive_interval: Duration,
    /// `DesiredMinTxInterval`.
    pub transmit_interval: Duration,
    /// `DetectMult`: 1 to 255.
    pub detect_multiplier: u8,
    /// `multihop` with `minimumTtl`: the smallest TTL a packet may arrive with (RFC 5883); `None` is a single hop (RFC 5881).
    pub multihop_min_ttl: Option<u8>,
    /// No BGP session before BFD is up.
    pub strict: bool,
}

/// How an Eip's routes are advertised: `spec.bgp`.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct RouteSettings {
    /// `aggregationLength` below 32: IPv4 routes of this length stand for the vips in them.
    pub aggregation_v4: Option<u8>,
    /// `aggregationLengthV6` below 128.
    pub aggregation_v6: Option<u8>,
    /// `localPref`.
    pub local_pref: Option<u32>,
    /// `med`.
    pub med: Option<u32>,
    /// `communities` (RFC 1997).
    pub communities: BTreeSet<u32>,
    /// `largeCommunities` (RFC 8092).
    pub large_communities: BTreeSet<[u32; 3]>,
    /// `asPathPrepend`.
    pub prepend: u8,
    /// `peers`; `None` is all.
    pub peers: Option<BTreeSet<String>>,
    /// `weighted`.
    pub weighted: bool,
}
