//! The rows of the matrix: each way to be a router's neighbour, at an address of its own, so that one start of a daemon serves all.

use std::collections::BTreeSet;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::num::NonZeroU8;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result};
use ironlb_bfd_proto::Interval;
use ironlb_bgp::Session;
use ironlb_bgp_proto::{
    Asn, Attributes, BfdUse, Community, Config, Family, FamilyConfig, LargeCommunity, NextHop, PathId, RestartConfig,
    RouteKey, RouterId, Routes,
};
use ironlb_lab::{Bfd, Neighbour, Netns, Network, Router, Software};
use ironlb_model::{Distance, Neighbor, Prefix};

/// Our autonomous system, one of four octets (RFC 6996 §5: private).
pub(crate) const ASN: u32 = 4_200_000_001;
/// Another host of the LAN, through which a second path is announced.
pub(crate) const ANOTHER: (Ipv4Addr, Ipv6Addr) =
    (Ipv4Addr::new(192, 168, 0, 2), Ipv6Addr::new(0xfd00, 0, 0, 0, 0, 0, 0, 2));
const PASSWORD: &str = "sesame";

/// One way to be a neighbour.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Row {
    /// IPv4 routes over IPv4, both sides connecting.
    Ipv4,
    /// IPv6 routes over IPv6, both sides connecting.
    Ipv6,
    /// Routes of both families over IPv4.
    Both,
    /// TCP MD5, both sides connecting; in a host of its own, because a listener has one password for each peer.
    Md5,
    /// The router waits to be connected to.
    RouterPassive,
    /// We do.
    WePassive,
    /// TTL 255 in both directions.
    Gtsm,
    /// Through another router.
    Multihop,
    /// Two paths of one prefix, of both families.
    AddPath,
    /// IPv4 routes over IPv6, with a next hop of IPv6.
    Ipv6NextHop,
    /// IPv6 routes between link-local addresses.
    LinkLocal,
    /// In the router's own autonomous system.
    Internal,
    /// No session before BFD is up.
    Bfd,
    /// Its routes, of both families, outlive our restart and a NOTIFICATION; in a host of its own, which restarts.
    Restart,
    /// The same with BFD beside it, which must not say that we are gone.
    RestartBfd,
}

/// A network that one of our drivers runs in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Place {
    Host1,
    Host2,
    Host3,
    BehindRouter5,
}

impl Place {
    pub(crate) fn netns(self, network: &Network) -> Result<Netns> {
        match self {
            Self::Host1 => Ok(network.host(1)),
            Self::Host2 => Ok(network.host(2)),
            Self::Host3 => Ok(network.host(3)),
            Self::BehindRouter5 => network.router(5).client(),
        }
    }
}

impl Row {
    pub(crate) const ALL: [Self; 15] = [
        Self::Ipv4,
        Self::Ipv6,
        Self::Both,
        Self::Md5,
        Self::RouterPassive,
        Self::WePassive,
        Self::Gtsm,
        Self::Multihop,
        Self::AddPath,
        Self::Ipv6NextHop,
        Self::LinkLocal,
        Self::Internal,
        Self::Bfd,
        Self::Restart,
        Self::RestartBfd,
    ];

    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Ipv4 => "IPv4",
            Self::Ipv6 => "IPv6",
            Self::Both => "both families on one session",
            Self::Md5 => "MD5",
            Self::RouterPassive => "passive router",
            Self::WePassive => "passive ourselves",
            Self::Gtsm => "GTSM",
            Self::Multihop => "multihop",
            Self::AddPath => "ADD-PATH",
            Self::Ipv6NextHop => "IPv4 by an IPv6 next hop",
            Self::LinkLocal => "link-local addresses",
            Self::Internal => "internal",
            Self::Bfd => "BFD, strict",
            Self::Restart => "graceful restart",
            Self::RestartBfd => "graceful restart with BFD",
        }
    }

    /// Does the daemon have it? What is said here stands in `docs/design/interop.md`.
    pub(crate) fn is_had_by(self, software: Software) -> bool {
        match self {
            // OpenBGPD 7.7 does not know RFC 8950.
            Self::Ipv6NextHop => software != Software::OpenBgpd,
            // Neither it nor GoBGP 3.10 has BFD; link-local addresses are tried where the lab has words for them.
            Self::Bfd | Self::RestartBfd | Self::LinkLocal => matches!(software, Software::Frr | Software::Bird),
            _ => true,
        }
    }

    /// From 11 on: the last part of its addresses and prefixes.
    fn number(self) -> u8 {
        let before = Self::ALL.iter().take_while(|row| **row != self).count();
        11 + u8::try_from(before).unwrap_or_default()
    }

    /// Where our end of it runs.
    pub(crate) fn place(self) -> Place {
        match self {
            Self::Multihop => Place::BehindRouter5,
            Self::Md5 => Place::Host3,
            Self::Restart | Self::RestartBfd => Place::Host2,
            _ => Place::Host1,
        }
    }

    /// Our addresses in this row.
    pub(crate) fn own(self) -> (Ipv4Addr, Ipv6Addr) {
        match self {
            // The client behind router 5, host 3 and host 2.
            Self::Multihop => (Ipv4Addr::new(172, 20, 5, 2), Ipv6Addr::new(0xfd20, 5, 0, 0, 0, 0, 0, 2)),
            Self::Md5 => (Ipv4Addr::new(192, 168, 0, 3), Ipv6Addr::new(0xfd00, 0, 0, 0, 0, 0, 0, 3)),
            Self::Restart => (Ipv4Addr::new(192, 168, 0, 2), Ipv6Addr::new(0xfd00, 0, 0, 0, 0, 0, 0, 2)),
            _ => {
                let digits = u16::from_str_radix(&self.number().to_string(), 16).unwrap_or_default();
                (Ipv4Addr::new(192, 168, 0, self.number()), Ipv6Addr::new(0xfd00, 0, 0, 0, 0, 0, 0, digits))
            }
        }
    }

    fn is_over_ipv6(self) -> bool {
        matches!(self, Self::Ipv6 | Self::Ipv6NextHop | Self::LinkLocal)
    }

    /// The one of them that the session runs from.
    pub(crate) fn address(self) -> IpAddr {
        match self {
            // What the kernel makes of host 1's MAC address.
            Self::LinkLocal => link_local(1).into(),
            _ if self.is_over_ipv6() => self.own().1.into(),
            _ => self.own().0.into(),
        }
    }

    /// Does its place get its addresses for it? The others are there from the start.
    pub(crate) fn needs_addresses(self) -> bool {
        self.place() == Place::Host1 && self != Self::LinkLocal || self == Self::RestartBfd
    }

    pub(crate) fn families(self) -> &'static [Family] {
        match self {
            Self::Ipv6 | Self::LinkLocal => &[Family::Ipv6Unicast],
            Self::Both | Self::AddPath | Self::Restart => &Family::ALL,
            _ => &[Family::Ipv4Unicast],
        }
    }

    /// As the router is told of us.
    pub(crate) fn neighbour(self, router: &Router) -> Neighbour {
        let families = self.families();
        let plain = Neighbour {
            ipv4: families.contains(&Family::Ipv4Unicast),
            ipv6: families.contains(&Family::Ipv6Unicast),
            ..Neighbour::new(self.address(), ASN)
        };
        match self {
            Self::Ipv4 | Self::Ipv6 | Self::Both | Self::WePassive | Self::LinkLocal => plain,
            Self::Internal => Neighbour { asn: asn_of(router), ..plain },
            Self::Md5 => Neighbour { password: Some(PASSWORD.to_owned()), ..plain },
            Self::RouterPassive => Neighbour { passive: true, ..plain },
            Self::Gtsm => Neighbour { ttl_security: true, ..plain },
            // FRR 8.4 that has lost a collision there (RFC 4271 6.8) asks for our routes' next hop as if it had to be directly connected, and
            // takes none of them for the best any more: docs/design/interop.md. So there is none.
            Self::Multihop => Neighbour { multihop: Some(3), passive: router.software() == Software::Frr, ..plain },
            Self::AddPath => Neighbour { add_path: true, ..plain },
            Self::Ipv6NextHop => Neighbour { extended_next_hop: true, ..plain },
            Self::Bfd => Neighbour { bfd: Some(Bfd::each(50, 3)), ..plain },
            Self::Restart => Neighbour { graceful_restart: true, ..plain },
            Self::RestartBfd => {
                // Else BIRD 2.0 gives the routes up when BFD goes down, on purpose or not, also while it bridges a restart.
                let extra = if router.software() == Software::Bird { "bfd graceful;" } else { "" };
                Neighbour { graceful_restart: true, bfd: Some(Bfd::each(50, 3)), extra: extra.to_owned(), ..plain }
            }
        }
    }

    /// As we are told of the router.
    pub(crate) fn session(self, router: &Router) -> Result<Session> {
        let number = |number| Asn::new(number).context("AS 0");
        let id = RouterId::new(self.own().0).context("identifier 0")?;
        let mut config = Config::new(number(self.asn(router))?, number(asn_of(router))?, id);
        config.families = self.families().iter().map(|family| (*family, FamilyConfig::default())).collect();
        if self == Self::AddPath {
            let several = FamilyConfig { add_path: NonZeroU8::new(4), ..FamilyConfig::default() };
            config.families.values_mut().for_each(|family| *family = several);
        }
        config.timing.connect_retry = Duration::from_secs(1);
        config.passive = self == Self::WePassive;
        config.extended_next_hop = self == Self::Ipv6NextHop;
        config.graceful_restart = match self {
            Self::Restart => RestartConfig::new(30, true),
            Self::RestartBfd => RestartConfig::new(30, false),
            _ => None,
        };
        let remote: IpAddr = if self.is_over_ipv6() { router.ipv6().into() } else { router.ipv4().into() };
        let neighbor = match self {
            Self::LinkLocal => {
                let address = link_local(router.ipv4().octets()[3]);
                Neighbor::LinkLocal { address, interface: "eth0".into() }
            }
            _ => Neighbor::Address(remote),
        };
        let mut session = Session::new(config, neighbor);
        session.source = Some(self.address());
        match self {
            Self::Md5 => session.password = Some(PASSWORD.into()),
            Self::Gtsm => session.distance = Distance::Security(1),
            Self::Multihop => session.distance = Distance::Ttl(3),
            Self::Bfd | Self::RestartBfd => {
                let interval = Interval::from_millis(50).context("an interval of 0")?;
                let config = ironlb_bfd_proto::Config::single_hop(interval, NonZeroU8::new(3).context("0")?);
                session.bfd = Some(ironlb_bgp::bfd::Setup { config });
                session.config.bfd = if self == Self::Bfd { BfdUse::Strict } else { BfdUse::Watch };
            }
            _ => {}
        }
        Ok(session)
    }

    /// Our autonomous system in this row.
    pub(crate) fn asn(self, router: &Router) -> u32 {
        if self == Self::Internal { asn_of(router) } else { ASN }
    }

    /// What we announce in this row.
    pub(crate) fn prefixes(self) -> Result<Vec<Prefix>> {
        let of = |family: &Family| match family {
            Family::Ipv4Unicast => format!("198.51.100.{}/32", self.number()),
            Family::Ipv6Unicast => format!("2001:db8::{}/128", self.number()),
        };
        self.families().iter().map(|family| Ok(of(family).parse()?)).collect()
    }

    pub(crate) fn routes(self) -> Result<Routes> {
        let next_hop = if self == Self::Ipv6NextHop { NextHop::Address(self.address()) } else { NextHop::Own };
        let attributes = Arc::new(attributes(next_hop));
        let mut routes = Routes::new();
        for prefix in self.prefixes()? {
            routes.insert(RouteKey::own(prefix), attributes.clone());
            if self == Self::AddPath {
                let another = if prefix.addr().is_ipv6() { ANOTHER.1.into() } else { ANOTHER.0.into() };
                let by_another = Arc::new(self::attributes(NextHop::Address(another)));
                routes.insert(RouteKey { prefix, path: PathId(7) }, by_another);
            }
        }
        Ok(routes)
    }
}

/// The link-local address that the kernel makes out of the MAC address of the host with this number.
fn link_local(number: u8) -> Ipv6Addr {
    Ipv6Addr::new(0xfe80, 0, 0, 0, 0, 0xff, 0xfe00, number.into())
}

/// What is said of each route; [`MED`], [`COMMUNITIES`] and [`LARGE_COMMUNITY`] are as routers print it.
fn attributes(next_hop: NextHop) -> Attributes {
    Attributes {
        med: Some(MED),
        local_pref: Some(LOCAL_PREF),
        communities: BTreeSet::from([Community((65001 << 16) + 7), Community::NO_EXPORT]),
        large_communities: BTreeSet::from([LargeCommunity([ASN, 1, 2])]),
        prepend: 1,
        ..Attributes::new(next_hop)
    }
}

pub(crate) const MED: u32 = 7;
/// Shown by an internal router alone.
pub(crate) const LOCAL_PREF: u32 = 150;
pub(crate) const COMMUNITIES: [&str; 2] = ["65001:7", "65535:65281"];
pub(crate) const LARGE_COMMUNITY: &str = "4200000001:1:2";

/// The autonomous system of a router: 65241 for `r1`.
pub(crate) fn asn_of(router: &Router) -> u32 {
    65000 + u32::from(router.ipv4().octets()[3])
}

/// How a daemon is called in what is printed.
pub(crate) fn name_of(router: &Router) -> &'static str {
    match router.software() {
        Software::Frr => "FRR",
        Software::Bird => "BIRD",
        Software::GoBgp => "GoBGP",
        Software::OpenBgpd => "OpenBGPD",
    }
}

/// The name of a session.
pub(crate) fn session_name(router: &Router, row: Row) -> String {
    format!("{} {}", name_of(router), row.name())
}
