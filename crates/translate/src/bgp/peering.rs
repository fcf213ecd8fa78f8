//! The spec of a BgpPeer.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::time::Duration;

use ironlb_api as api;
use ironlb_model::{
    AsPathSettings, BGP_PORT, BfdSettings, Distance, FamilySettings, IpFamily, IssueReason, Neighbor, Password,
    Peering, PrivateAs, SessionTimers,
};

use super::fields::{Faults, asn};
use super::without_effect;
use crate::interface;
use crate::quote::quoted;

/// The key in a Secret when none is named.
const PASSWORD_KEY: &str = "password";

/// The kernel takes keys of TCP MD5 up to this length (`TCP_MD5SIG_MAXKEYLEN`).
const MAX_PASSWORD: usize = 80;

/// Reads it; `None` where there is nobody to have a session with, or none that its writer would want.
pub(super) fn peering(spec: &api::BgpPeerSpec, faults: &mut Faults) -> Option<Peering> {
    let (new, old) = (spec.conf.as_ref(), spec.config.as_ref());
    let (address, old_address) =
        (new.and_then(|c| c.neighbor_address.as_ref()), old.and_then(|c| c.neighbor_address.as_ref()));
    let (number, old_number) = (new.and_then(|c| c.peer_as), old.and_then(|c| c.peer_as));
    faults.compare("spec.conf.neighborAddress", address, "spec.config.neighborAddress", old_address);
    faults.compare(
        "spec.conf.peerAs",
        number.map(|asn| asn.0).as_ref(),
        "spec.config.peerAs",
        old_number.map(|asn| asn.0).as_ref(),
    );
    let neighbor = neighbor(
        address.or(old_address).map(String::as_str),
        new.and_then(|c| c.neighbor_interface.as_deref()),
        faults,
    );
    let peer_as = asn(number.or(old_number));
    if peer_as.is_none() {
        faults
            .invalid("spec.conf.peerAs", "the peer's AS number is missing; without it there is no session".to_owned());
    }
    let password = password(spec, faults);
    let families = neighbor.as_ref().map(|neighbor| families(spec, neighbor, faults));
    let source_address = source_address(spec.source_address.as_deref(), neighbor.as_ref(), faults);
    let node_selector = faults.selector("spec.nodeSelector", spec.node_selector.as_ref());
    let (distance, timers) = (distance(spec, faults), timers(spec.timers.as_ref(), faults));
    let transport = spec.transport.as_ref();
    let port = transport.and_then(|t| t.remote_port).filter(|port| *port != 0);
    let port = faults.number("spec.transport.remotePort", port, 1..=u16::MAX, "179 counts").unwrap_or(BGP_PORT);
    let graceful_restart = faults.graceful_restart("spec.gracefulRestart", spec.graceful_restart.as_ref());
    let bfd = bfd(spec.bfd.as_ref(), faults);
    let as_path = as_path(new, faults);
    without_effect::of_peer(spec, faults);
    Some(Peering {
        neighbor: neighbor?,
        asn: peer_as?,
        local_asn: new.and_then(|conf| asn(conf.local_as)),
        password: password.ok()?,
        admin_down: new.and_then(|conf| conf.admin_down).unwrap_or(false),
        distance,
        timers,
        passive: transport.and_then(|t| t.passive_mode).unwrap_or(false),
        port,
        graceful_restart,
        families: families.filter(|families| !families.is_empty())?,
        node_selector,
        bfd,
        source_address: source_address.ok()?,
        next_hop_self: spec.next_hop_self.unwrap_or(false),
        as_path,
    })
}

/// Said already, as an issue.
struct Told;

fn neighbor(address: Option<&str>, interface: Option<&str>, faults: &mut Faults) -> Option<Neighbor> {
    const ADDRESS: &str = "spec.conf.neighborAddress";
    let interface = match interface.map(str::trim).filter(|name| !name.is_empty()).map(interface::parse_name) {
        None => None,
        Some(Ok(name)) => Some(name),
        Some(Err(fault)) => {
            faults.invalid("spec.conf.neighborInterface", fault.to_string());
            return None;
        }
    };
    let given = address.is_some_and(|text| !text.trim().is_empty());
    match (faults.address(ADDRESS, address, "there is no session"), interface) {
        (Some(IpAddr::V6(address)), Some(interface)) if address.is_unicast_link_local() => {
            Some(Neighbor::LinkLocal { address, interface })
        }
        (Some(IpAddr::V6(address)), None) if address.is_unicast_link_local() => {
            let said = format!("{address} is link-local: name its interface in spec.conf.neighborInterface");
            faults.invalid(ADDRESS, said);
            None
        }
        (Some(address), _) if address.is_unspecified() || address.is_multicast() => {
            faults.invalid(ADDRESS, format!("{address} is nobody's address: write that of the peer"));
            None
        }
        (Some(address), _) => Some(Neighbor::Address(address)),
        (None, Some(interface)) if !given => Some(Neighbor::Interface(interface)),
        (None, _) => {
            if !given {
                faults.invalid(ADDRESS, "the peer's address is missing; without it there is no session".to_owned());
            }
            None
        }
    }
}

/// A session that was meant to be protected is not run without protection.
fn password(spec: &api::BgpPeerSpec, faults: &mut Faults) -> Result<Option<Password>, Told> {
    let plain = spec.conf.as_ref().and_then(|conf| conf.auth_password.as_deref()).filter(|text| !text.is_empty());
    if let Some(reference) = &spec.password_secret_ref {
        let Some(name) = reference.name.clone().filter(|name| !name.is_empty()) else {
            let said = "name the Secret; until this is mended there is no session".to_owned();
            faults.invalid("spec.passwordSecretRef.name", said);
            return Err(Told);
        };
        if plain.is_some() {
            let said = "spec.passwordSecretRef counts: remove the clear text".to_owned();
            faults.add("spec.conf.authPassword", IssueReason::Ignored, said);
        }
        let key = reference.key.clone().filter(|key| !key.is_empty());
        return Ok(Some(Password::Secret { name, key: key.unwrap_or_else(|| PASSWORD_KEY.to_owned()) }));
    }
    match plain {
        Some(text) if text.len() > MAX_PASSWORD => {
            let said =
                format!("it has {} bytes and {MAX_PASSWORD} are the most; until then there is no session", text.len());
            faults.invalid("spec.conf.authPassword", said);
            Err(Told)
        }
        plain => Ok(plain.map(|text| Password::Plain(text.to_owned()))),
    }
}

fn source_address(
    text: Option<&str>,
    neighbor: Option<&Neighbor>,
    faults: &mut Faults,
) -> Result<Option<IpAddr>, Told> {
    const FIELD: &str = "spec.sourceAddress";
    let given = text.is_some_and(|text| !text.trim().is_empty());
    let address = faults.address(FIELD, text, "there is no session");
    if given && address.is_none() {
        return Err(Told);
    }
    if let (Some(own), Some(Neighbor::Address(peer))) = (address, neighbor)
        && own.is_ipv4() != peer.is_ipv4()
    {
        faults.invalid(FIELD, format!("{own} cannot reach {peer}, which is of the other family"));
        return Err(Told);
    }
    Ok(address)
}

fn distance(spec: &api::BgpPeerSpec, faults: &mut Faults) -> Distance {
    let multihop = spec.ebgp_multihop.as_ref().filter(|multihop| multihop.enabled == Some(true));
    let ttl = multihop.map(|multihop| {
        let ttl = multihop.multihop_ttl.filter(|ttl| *ttl != 0);
        faults.number("spec.ebgpMultihop.multihopTtl", ttl, 1..=u8::MAX, "255 counts").unwrap_or(u8::MAX)
    });
    let hops = spec.ttl_security.filter(|hops| *hops != 0);
    let hops = faults.number("spec.ttlSecurity", hops, 1..=254, "1 counts (a neighbour on the same link)");
    match (spec.ttl_security.filter(|hops| *hops != 0), ttl) {
        (Some(_), multihop) => {
            if multihop.is_some() {
                let said = "spec.ttlSecurity counts, which also sets the TTL: remove one of them".to_owned();
                faults.add("spec.ebgpMultihop", IssueReason::Ignored, said);
            }
            Distance::Security(hops.unwrap_or(1))
        }
        (None, Some(ttl)) => Distance::Ttl(ttl),
        (None, None) => Distance::Default,
    }
}

fn timers(given: Option<&api::bgp_peer::Timers>, faults: &mut Faults) -> SessionTimers {
    const PATH: &str = "spec.timers.config";
    let default = SessionTimers::default();
    let Some(given) = given.and_then(|timers| timers.config.as_ref()) else { return default };
    let longest = u64::from(u16::MAX);
    let mut hold_time =
        faults.seconds(&format!("{PATH}.holdTime"), given.hold_time.as_deref(), 0..=longest, default.hold_time);
    // RFC 4271 section 4.2: "The calculated value MUST be either zero or at least three seconds."
    if (1..3).contains(&hold_time.as_secs()) {
        let said = "a hold time is 0 or at least 3 seconds; until this is mended, 3 counts".to_owned();
        faults.invalid(&format!("{PATH}.holdTime"), said);
        hold_time = Duration::from_secs(3);
    }
    let field = format!("{PATH}.keepaliveInterval");
    let keepalive = faults.seconds(&field, given.keepalive_interval.as_deref(), 0..=longest, Duration::ZERO);
    SessionTimers {
        connect_retry: faults.seconds(
            &format!("{PATH}.connectRetry"),
            given.connect_retry.as_deref(),
            1..=longest,
            default.connect_retry,
        ),
        hold_time,
        keepalive: (!keepalive.is_zero()).then_some(keepalive),
    }
}

fn families(spec: &api::BgpPeerSpec, neighbor: &Neighbor, faults: &mut Faults) -> BTreeMap<IpFamily, FamilySettings> {
    let own = neighbor.families();
    let listed = spec.afi_safis.as_deref().unwrap_or_default();
    if listed.is_empty() {
        let old = spec.add_paths.as_ref().and_then(|paths| paths.send_max);
        let mut settings = FamilySettings::UNLISTED;
        if let Some(send_max) = send_max("spec.addPaths.sendMax", old, faults) {
            settings.add_path_send = send_max;
        }
        return own.into_iter().map(|family| (family, settings)).collect();
    }
    let mut read = BTreeMap::new();
    for (index, entry) in listed.iter().enumerate() {
        let path = format!("spec.afiSafis[{index}]");
        let paths = entry.add_paths.as_ref().and_then(|paths| paths.config.as_ref()).and_then(|c| c.send_max);
        let add_path_send = send_max(&format!("{path}.addPaths.config.sendMax"), paths, faults).unwrap_or(0);
        let family = entry.config.as_ref().and_then(|config| config.family.as_ref());
        let named = family.map(|family| (family.afi.as_deref(), family.safi.as_deref().unwrap_or("SAFI_UNICAST")));
        let families = match named {
            None | Some((None | Some(""), _)) => own.clone(),
            Some((Some("AFI_IP"), "SAFI_UNICAST" | "")) => [IpFamily::V4].into(),
            Some((Some("AFI_IP6"), "SAFI_UNICAST" | "")) => [IpFamily::V6].into(),
            Some((Some(afi), safi)) => {
                let said = format!(
                    "{} with {} is not served: write AFI_IP or AFI_IP6 with SAFI_UNICAST",
                    quoted(afi),
                    quoted(safi)
                );
                faults.add(&format!("{path}.config.family"), IssueReason::Ignored, said);
                continue;
            }
        };
        let restart = entry.mp_graceful_restart.as_ref().and_then(|restart| restart.config.as_ref());
        let without_restart = restart.is_some_and(|config| config.enabled == Some(false));
        read.extend(families.into_iter().map(|family| (family, FamilySettings { add_path_send, without_restart })));
    }
    if read.is_empty() {
        let said = "none of the families is served; without one there is no session".to_owned();
        faults.invalid("spec.afiSafis", said);
    }
    read
}

/// What is done to the AS paths of routes to an external peer.
fn as_path(conf: Option<&api::bgp_peer::PeerConf>, faults: &mut Faults) -> AsPathSettings {
    const FIELD: &str = "spec.conf.removePrivateAs";
    let Some(conf) = conf else { return AsPathSettings::default() };
    let word = conf.remove_private_as.as_deref().map(str::trim).unwrap_or_default();
    let private = match word.to_ascii_uppercase().as_str() {
        "" | "NONE" => PrivateAs::Keep,
        "ALL" => PrivateAs::Remove,
        "REPLACE" => PrivateAs::Replace,
        _ => {
            // Whoever asks for something does not want them seen.
            let said = format!("{} is none of NONE, ALL, REPLACE; until this is mended, ALL counts", quoted(word));
            faults.invalid(FIELD, said);
            PrivateAs::Remove
        }
    };
    AsPathSettings { private, replace_peer: conf.replace_peer_as.unwrap_or(false) }
}

fn send_max(field: &str, given: Option<i64>, faults: &mut Faults) -> Option<u8> {
    faults.number(field, given, 0..=u8::MAX, "ADD-PATH is not offered")
}

fn bfd(given: Option<&api::bgp_peer::Bfd>, faults: &mut Faults) -> Option<BfdSettings> {
    /// What most routers have as default: 300 ms, three times.
    const INTERVAL: u64 = 300;
    /// The longest interval, chosen: BFD slower than this detects later than BGP's own hold time.
    const LONGEST: u64 = 60_000;
    /// What FRR has as default.
    const MIN_TTL: u8 = 254;
    let given = given.filter(|bfd| bfd.enabled == Some(true))?;
    let mut interval = |field: &str, number: Option<i64>| {
        let read = faults.number(field, number, 1..=LONGEST, &format!("{INTERVAL} ms counts"));
        Duration::from_millis(read.unwrap_or(INTERVAL))
    };
    let receive_interval = interval("spec.bfd.receiveInterval", given.receive_interval);
    let transmit_interval = interval("spec.bfd.transmitInterval", given.transmit_interval);
    let multiplier = faults.number("spec.bfd.detectMultiplier", given.detect_multiplier, 1..=u8::MAX, "3 counts");
    let ttl = faults.number("spec.bfd.minimumTtl", given.minimum_ttl, 1..=u8::MAX, &format!("{MIN_TTL} counts"));
    Some(BfdSettings {
        receive_interval,
        transmit_interval,
        detect_multiplier: multiplier.unwrap_or(3),
        multihop_min_ttl: given.multihop.unwrap_or(false).then_some(ttl.unwrap_or(MIN_TTL)),
        strict: given.strict.unwrap_or(false),
    })
}

#[cfg(test)]
mod tests;
