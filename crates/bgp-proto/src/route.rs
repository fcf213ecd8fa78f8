//! What is to be advertised: routes as their owner means them, before a session spells them.

use std::collections::{BTreeMap, BTreeSet};
use std::net::{IpAddr, Ipv6Addr};
use std::sync::Arc;

use ironlb_model::Prefix;

use crate::{Asn, Family};

/// Tells the paths of one prefix apart (RFC 7911). A session without ADD-PATH carries only the lowest one of a prefix.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct PathId(pub u32);

impl PathId {
    /// The path through the node itself.
    pub const OWN: Self = Self(0);
}

/// One route's name. Keys of one family stand together, and the paths of one prefix do, too.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RouteKey {
    /// Where to. Bits beyond its length are not looked at and not sent.
    pub prefix: Prefix,
    /// Which of the prefix's paths.
    pub path: PathId,
}

impl RouteKey {
    /// The path through the node itself.
    #[must_use]
    pub const fn own(prefix: Prefix) -> Self {
        Self { prefix, path: PathId::OWN }
    }

    /// The family of the prefix.
    #[must_use]
    pub const fn family(&self) -> Family {
        Family::of(self.prefix)
    }
}

/// Where packets for a route go.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum NextHop {
    /// This node, by the session's [`crate::OwnAddresses`].
    Own,
    /// This address.
    Address(IpAddr),
    /// This IPv6 address, with its link-local companion (RFC 2545 §3).
    WithLinkLocal {
        /// The global address.
        global: Ipv6Addr,
        /// The link-local one.
        link_local: Ipv6Addr,
    },
}

/// A community (RFC 1997).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Community(pub u32);

impl Community {
    /// Routes of a session that is about to end (RFC 8326 §5).
    pub const GRACEFUL_SHUTDOWN: Self = Self(0xffff_0000);
    /// Not to another autonomous system, nor to another member of the confederation (RFC 1997).
    pub const NO_EXPORT: Self = Self(0xffff_ff01);
    /// To nobody else (RFC 1997).
    pub const NO_ADVERTISE: Self = Self(0xffff_ff02);
    /// Not to another member of the confederation (RFC 1997).
    pub const NO_EXPORT_SUBCONFED: Self = Self(0xffff_ff03);
    /// Packets are to be thrown away (RFC 7999).
    pub const BLACKHOLE: Self = Self(0xffff_029a);
    /// Not to peers (RFC 3765).
    pub const NO_PEER: Self = Self(0xffff_ff04);
}

/// A large community (RFC 8092).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct LargeCommunity(pub [u32; 3]);

/// An extended community as it stands on the wire (RFC 4360).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ExtendedCommunity(pub [u8; 8]);

/// How a route came to be (RFC 4271 §5.1.1).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub enum Origin {
    /// From within the autonomous system; what a load balancer's routes are.
    #[default]
    Igp,
    /// From EGP.
    Egp,
    /// By other means.
    Incomplete,
}

/// What is said about a route. The session adds what depends on the peer: the own autonomous system in front for an external
/// one, LOCAL_PREF for an internal one.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Attributes {
    /// Where packets go.
    pub next_hop: NextHop,
    /// How the route came to be.
    pub origin: Origin,
    /// To internal peers only; 100 when it is not given.
    pub local_pref: Option<u32>,
    /// MULTI_EXIT_DISC.
    pub med: Option<u32>,
    /// How often the own autonomous system stands in the path beyond the once that it has to; external peers only.
    pub prepend: u8,
    /// Other autonomous systems that are to stand in the path behind the own ones.
    pub as_path: Vec<Asn>,
    /// Communities.
    pub communities: BTreeSet<Community>,
    /// Large communities.
    pub large_communities: BTreeSet<LargeCommunity>,
    /// Extended communities other than the link bandwidth.
    pub extended_communities: BTreeSet<ExtendedCommunity>,
    /// The weight of this path among several (draft-ietf-idr-link-bandwidth), in bytes per second.
    pub link_bandwidth: Option<u64>,
}

impl Attributes {
    /// A plain route to this next hop.
    #[must_use]
    pub const fn new(next_hop: NextHop) -> Self {
        Self {
            next_hop,
            origin: Origin::Igp,
            local_pref: None,
            med: None,
            prepend: 0,
            as_path: Vec::new(),
            communities: BTreeSet::new(),
            large_communities: BTreeSet::new(),
            extended_communities: BTreeSet::new(),
            link_bandwidth: None,
        }
    }
}

/// All routes that one peer is to know, as one value. Routes with equal attributes share them: comparing and grouping is then
/// by pointer first.
pub type Routes = BTreeMap<RouteKey, Arc<Attributes>>;
