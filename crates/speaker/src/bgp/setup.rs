//! From the plan to what the driver is told: the listener and the sessions. Pure.

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::num::NonZeroU8;
use std::sync::Arc;

use ironlb_announce::{BgpPlan, OwnBgp, SessionSpec};
use ironlb_bfd_proto as bfd;
use ironlb_bgp::{Listener, Session, Setup, Status};
use ironlb_bgp_proto::{
    Asn, BfdUse, Config, Family, FamilyConfig, HoldTime, OwnAddresses, RestartConfig, RouterId, Timing,
};
use ironlb_model::{BfdSettings, IpFamily, Neighbor, Node, Password, Peering, SessionTimers};

/// The text of a session that a BgpPeer wants down (RFC 9003).
const ADMIN_DOWN: &str = "spec.conf.adminDown of the BgpPeer is set";

/// What the driver is told, and the sessions of the plan that it cannot be told of, with the reason.
#[derive(Debug, Default, PartialEq)]
pub(crate) struct Wanted {
    pub(crate) setup: Setup,
    pub(crate) unmet: BTreeMap<String, String>,
}

/// Looks a password up: the name of the Secret and the key in it.
pub(crate) type Passwords<'a> = &'a dyn Fn(&str, &str) -> Result<Arc<str>, String>;

/// What the driver is to be told. `node` is this one; `status` tells what the sessions that are up have negotiated.
pub(crate) fn wanted(plan: &BgpPlan, node: Option<&Node>, passwords: Passwords<'_>, status: &Status) -> Wanted {
    let Ok(own) = &plan.own else { return Wanted::default() };
    let mut wanted = Wanted::default();
    for (name, spec) in &plan.sessions {
        let Some(peering) = spec.peering() else { continue };
        // Of an unnumbered link it is known only once it is up whether the peer takes IPv6 next hops for IPv4.
        let negotiated = status.sessions.get(name).and_then(|status| status.negotiated.as_ref());
        let lacks_extended = negotiated.is_some_and(|negotiated| !negotiated.extended_next_hop);
        match session(spec, peering, own, node, passwords, lacks_extended) {
            Ok(session) => _ = wanted.setup.sessions.insert(name.clone(), session),
            Err(said) => _ = wanted.unmet.insert(name.clone(), said),
        }
    }
    // Whoever has no session has nobody to listen for, and leaves the port to others.
    let listener = own.listen_port.map(|port| Listener { port, addresses: own.listen_addresses.clone() });
    wanted.setup.listener = listener.filter(|_| !wanted.setup.sessions.is_empty());
    wanted
}

fn session(
    spec: &SessionSpec,
    peering: &Peering,
    own: &OwnBgp,
    node: Option<&Node>,
    passwords: Passwords<'_>,
    lacks_extended: bool,
) -> Result<Session, String> {
    let password = match &peering.password {
        None => None,
        Some(Password::Plain(text)) => Some(text.as_str().into()),
        Some(Password::Secret { name, key }) => Some(passwords(name, key)?),
    };
    let router_id = RouterId::new(own.router_id).ok_or("0.0.0.0 is no BGP identifier")?;
    let asn = |of: ironlb_model::Asn| Asn::new(of.get()).ok_or("0 is no AS number");
    let mut config = Config::new(asn(spec.local_asn)?, asn(peering.asn)?, router_id);
    config.passive = peering.passive;
    config.timing = timing(&peering.timers);
    config.families = families(spec);
    config.own = own_addresses(peering, node, lacks_extended);
    config.extended_next_hop = !matches!(peering.neighbor, Neighbor::Address(IpAddr::V4(_)));
    config.graceful_restart = spec.graceful_restart.filter(|restart| !restart.helper_only).and_then(|restart| {
        let seconds = u16::try_from(restart.restart_time.as_secs()).unwrap_or(RestartConfig::MAX_TIME);
        RestartConfig::new(seconds.min(RestartConfig::MAX_TIME), restart.notification)
    });
    config.bfd = match peering.bfd {
        None => BfdUse::Off,
        Some(BfdSettings { strict: false, .. }) => BfdUse::Watch,
        Some(BfdSettings { strict: true, .. }) => BfdUse::Strict,
    };
    Ok(Session {
        port: peering.port,
        source: peering.source_address,
        distance: peering.distance,
        password,
        admin_down: peering.admin_down.then(|| ADMIN_DOWN.to_owned()),
        bfd: peering.bfd.as_ref().map(bfd_setup).transpose()?,
        ..Session::new(config, peering.neighbor.clone())
    })
}

fn timing(timers: &SessionTimers) -> Timing {
    let seconds = u16::try_from(timers.hold_time.as_secs()).unwrap_or(u16::MAX);
    Timing {
        hold: HoldTime::new(seconds).unwrap_or(HoldTime::DEFAULT),
        keepalive: timers.keepalive,
        connect_retry: timers.connect_retry,
        ..Timing::default()
    }
}

fn families(spec: &SessionSpec) -> BTreeMap<Family, FamilyConfig> {
    let read = spec.families.iter().map(|(family, settings)| {
        let paths = settings.add_path_send;
        let add_path = NonZeroU8::new(paths).filter(|paths| paths.get() > 1);
        let config = FamilyConfig { add_path, without_restart: settings.without_restart, ..FamilyConfig::default() };
        (family_of(*family), config)
    });
    read.collect()
}

pub(super) fn family_of(family: IpFamily) -> Family {
    match family {
        IpFamily::V4 => Family::Ipv4Unicast,
        IpFamily::V6 => Family::Ipv6Unicast,
    }
}

/// The node's own addresses for the family that the connection is not of; that of the connection is found by the driver.
///
/// On an unnumbered link the link-local address is the next hop of IPv4 routes too, unless the peer turns out not to take that.
fn own_addresses(peering: &Peering, node: Option<&Node>, lacks_extended: bool) -> OwnAddresses {
    let addresses = || node.into_iter().flat_map(|node| node.addresses.iter().copied());
    let ipv4 = || addresses().find_map(|address| if let IpAddr::V4(v4) = address { Some(v4) } else { None });
    let ipv6 = || addresses().find_map(|address| if let IpAddr::V6(v6) = address { Some(v6) } else { None });
    match peering.neighbor {
        Neighbor::Address(IpAddr::V4(_)) => OwnAddresses { ipv6: ipv6(), ..OwnAddresses::default() },
        Neighbor::Address(IpAddr::V6(_)) => OwnAddresses { ipv4: ipv4(), ..OwnAddresses::default() },
        Neighbor::LinkLocal { .. } | Neighbor::Interface(_) => {
            OwnAddresses { ipv4: ipv4().filter(|_| lacks_extended), ..OwnAddresses::default() }
        }
    }
}

/// This end's address: that of the connection, or the one it will most likely have.
pub(super) fn local_address(
    peering: &Peering,
    node: Option<&Node>,
    status: Option<&ironlb_bgp::SessionStatus>,
) -> IpAddr {
    let of_connection = status.and_then(|status| status.local).map(|local| local.ip().to_canonical());
    let is_ipv4 = matches!(peering.neighbor, Neighbor::Address(IpAddr::V4(_)));
    let of_node = || node?.addresses.iter().copied().find(|address| address.is_ipv4() == is_ipv4);
    let unspecified: IpAddr = if is_ipv4 { Ipv4Addr::UNSPECIFIED.into() } else { Ipv6Addr::UNSPECIFIED.into() };
    of_connection.or(peering.source_address).or_else(of_node).unwrap_or(unspecified)
}

fn bfd_setup(settings: &BfdSettings) -> Result<ironlb_bgp::bfd::Setup, String> {
    let interval = |length| bfd::Interval::try_from(length).map_err(|error| format!("BFD: {error}"));
    let hops = match settings.multihop_min_ttl {
        None => bfd::Hops::Single,
        Some(minimum_ttl) => bfd::Hops::Multi { minimum_ttl },
    };
    let multiplier = NonZeroU8::new(settings.detect_multiplier).ok_or("BFD: a detection multiplier of 0")?;
    let mut config = bfd::Config::single_hop(interval(settings.transmit_interval)?, multiplier);
    config.required_min_rx = interval(settings.receive_interval)?;
    config.hops = hops;
    Ok(ironlb_bgp::bfd::Setup { config })
}
