//! What a router is told to be, in words that all four daemons understand.

use std::net::IpAddr;

/// A routing daemon of Debian 12.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Software {
    /// FRR 8.4: zebra, bgpd, bfdd and staticd. Writes kernel routes.
    Frr,
    /// BIRD 2.0. Writes kernel routes.
    Bird,
    /// GoBGP 3.10. No kernel routes, no BFD.
    GoBgp,
    /// OpenBGPD 7.7. No kernel routes on Linux, no BFD.
    OpenBgpd,
}

impl Software {
    /// All of them.
    pub const ALL: [Self; 4] = [Self::Frr, Self::Bird, Self::GoBgp, Self::OpenBgpd];

    /// Can it speak BFD, and does it write what it learns into the kernel?
    pub fn forwards(self) -> bool {
        matches!(self, Self::Frr | Self::Bird)
    }

    pub(super) fn package_hint(self) -> String {
        let package = match self {
            Self::Frr => "frr",
            Self::Bird => "bird2",
            Self::GoBgp => "gobgpd",
            Self::OpenBgpd => "openbgpd",
        };
        format!("is Debian's package {package} installed? (`make prerequisites` does it)")
    }
}

/// What a router is told to be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RouterConfig {
    /// Its autonomous system.
    pub asn: u32,
    /// The port it listens on.
    pub port: u16,
    /// Whom it speaks BGP with.
    pub neighbours: Vec<Neighbour>,
    /// Prefixes of both families that it announces as its own.
    pub originate: Vec<String>,
    /// BFD sessions without BGP.
    pub bfd_peers: Vec<BfdPeer>,
    /// Lines in the daemon's own language, at the end of its main file.
    pub extra: String,
}

impl RouterConfig {
    /// One of this autonomous system that listens on port 179 and knows nobody.
    pub fn new(asn: u32) -> Self {
        Self {
            asn,
            port: 179,
            neighbours: Vec::new(),
            originate: Vec::new(),
            bfd_peers: Vec::new(),
            extra: String::new(),
        }
    }

    /// Adds a neighbour.
    #[must_use]
    pub fn neighbour(mut self, neighbour: Neighbour) -> Self {
        self.neighbours.push(neighbour);
        self
    }

    /// Adds a prefix that it announces as its own.
    #[must_use]
    pub fn originate(mut self, prefix: &str) -> Self {
        self.originate.push(prefix.to_owned());
        self
    }

    /// Adds a BFD session without BGP.
    #[must_use]
    pub fn bfd_peer(mut self, peer: BfdPeer) -> Self {
        self.bfd_peers.push(peer);
        self
    }

    pub(super) fn originates(&self, ipv6: bool) -> impl Iterator<Item = &String> {
        self.originate.iter().filter(move |prefix| prefix.contains(':') == ipv6)
    }
}

/// How a router does BFD with a peer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Bfd {
    /// It wants to receive a packet each so many milliseconds at most.
    pub receive_ms: u32,
    /// It wants to send one each so many milliseconds.
    pub transmit_ms: u32,
    /// So many may be missing.
    pub multiplier: u8,
}

impl Bfd {
    /// Both ways each so many milliseconds.
    pub fn each(millis: u32, multiplier: u8) -> Self {
        Self { receive_ms: millis, transmit_ms: millis, multiplier }
    }
}

/// A BFD session without BGP.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BfdPeer {
    /// The peer.
    pub address: IpAddr,
    /// How.
    pub bfd: Bfd,
    /// Over several hops (port 4784).
    pub multihop: bool,
    /// Signed by meticulous keyed SHA1 with this password as key 1. BIRD only, and there for all peers of the same distance.
    pub password: Option<String>,
}

/// A neighbour in BGP. What is not said is as most routers have it: both sides connect, one hop, IPv4 in a session over IPv4
/// and IPv6 in one over IPv6, a hold time of 9 s.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Neighbour {
    /// Its address.
    pub address: IpAddr,
    /// Its autonomous system.
    pub asn: u32,
    /// The port that is connected to.
    pub port: u16,
    /// The hold time in seconds; keepalives come at a third of it.
    pub hold_time: u16,
    /// IPv4 routes are exchanged.
    pub ipv4: bool,
    /// IPv6 routes are exchanged.
    pub ipv6: bool,
    /// TCP MD5.
    pub password: Option<String>,
    /// It waits to be connected to.
    pub passive: bool,
    /// So many hops away.
    pub multihop: Option<u8>,
    /// GTSM: packets must come with a TTL of 255.
    pub ttl_security: bool,
    /// It takes several paths for a prefix from this neighbour.
    pub add_path: bool,
    /// It says that it knows graceful restart, and helps.
    pub graceful_restart: bool,
    /// Routes for IPv4 may have next hops of IPv6 (RFC 8950).
    pub extended_next_hop: bool,
    /// It names itself as the next hop.
    pub next_hop_self: bool,
    /// BFD beside it.
    pub bfd: Option<Bfd>,
    /// Lines in the daemon's own language for this neighbour.
    pub extra: String,
}

impl Neighbour {
    /// One at this address.
    pub fn new(address: impl Into<IpAddr>, asn: u32) -> Self {
        let address = address.into();
        Self {
            address,
            asn,
            port: 179,
            hold_time: 9,
            ipv4: address.is_ipv4(),
            ipv6: address.is_ipv6(),
            password: None,
            passive: false,
            multihop: None,
            ttl_security: false,
            add_path: false,
            graceful_restart: false,
            extended_next_hop: false,
            next_hop_self: false,
            bfd: None,
            extra: String::new(),
        }
    }

    pub(super) fn keepalive(&self) -> u16 {
        (self.hold_time / 3).max(1)
    }
}

pub(super) fn is_link_local(address: &IpAddr) -> bool {
    matches!(address, IpAddr::V6(v6) if v6.is_unicast_link_local())
}

/// Files to write: name and text.
pub(super) type Files = Vec<(String, String)>;
