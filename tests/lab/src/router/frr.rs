//! FRR: one file for each of its daemons. `vtysh -f` after the start would leave out, in silence, any that does not listen yet.

use std::fmt::Write as _;
use std::os::unix::net::UnixStream;
use std::path::Path;

use anyhow::{Context, Result};
use nix::unistd::{Group, User, chown};
use serde_json::Value;

use super::Program;
use super::describe::{Bfd, Files, Neighbour, RouterConfig, is_link_local};
use super::shown::{self, BfdSession, PeerSession, RoutePath};
use crate::netns::NIC;
use crate::spec::Address;

/// In the order of their start: the others connect to zebra.
const DAEMONS: [&str; 4] = ["zebra", "staticd", "bgpd", "bfdd"];

pub(super) const SESSIONS: &str = "show bgp neighbors json";
pub(super) const BFD: &str = "show bfd peers json";

pub(super) fn question(prefix: &str) -> String {
    let family = if prefix.contains(':') { "ipv6" } else { "ipv4" };
    format!("show bgp {family} unicast {prefix} json")
}

pub(super) fn describe(address: &Address, config: &RouterConfig, folder: &Path) -> (Files, Vec<Program>) {
    let folder = folder.display().to_string();
    let own = |name: &str| match name {
        "bgpd" => bgpd(address, config),
        "bfdd" => bfdd(address, config),
        _ => String::new(),
    };
    let mut files: Files =
        DAEMONS.map(|name| (format!("{name}.conf"), format!("hostname {}\n{}", address.name, own(name)))).to_vec();
    files.push(("vtysh.conf".into(), "no service integrated-vtysh-config\n".into()));
    let programs = DAEMONS.map(|name| {
        // It writes below /var/tmp, which is the machine's; a mount namespace of its own keeps that to itself.
        let mut argv = ["unshare", "--mount", "sh", "-c", "mount -t tmpfs none /var/tmp && exec \"$@\"", name]
            .map(str::to_owned)
            .to_vec();
        argv.extend([format!("/usr/lib/frr/{name}"), "-u".into(), "frr".into(), "-g".into(), "frr".into()]);
        argv.extend(["-f".into(), format!("{folder}/{name}.conf"), "-i".into(), format!("{folder}/{name}.pid")]);
        argv.extend(["-z".into(), format!("{folder}/zserv.api"), "--vty_socket".into(), folder.clone()]);
        argv.extend(["-P".into(), "0".into(), "--log".into(), "stdout".into()]);
        match name {
            "bgpd" => argv.extend(["-p".into(), config.port.to_string()]),
            "bfdd" => argv.extend(["--bfdctl".into(), format!("{folder}/bfdd.sock")]),
            _ => {}
        }
        Program { name, argv }
    });
    (files, programs.into())
}

fn bgpd(address: &Address, config: &RouterConfig) -> String {
    let mut text = format!(
        "frr defaults datacenter
router bgp {asn}
 bgp router-id {id}
 no bgp ebgp-requires-policy
 no bgp network import-check
 bgp bestpath as-path multipath-relax
",
        asn = config.asn,
        id = address.v4,
    );
    for neighbour in &config.neighbours {
        for line in neighbour_lines(neighbour) {
            _ = writeln!(text, " neighbor {} {line}", neighbour.address);
        }
    }
    for (family, ipv6) in [("ipv4", false), ("ipv6", true)] {
        _ = writeln!(text, " address-family {family} unicast\n  maximum-paths 16");
        config.originates(ipv6).for_each(|prefix| _ = writeln!(text, "  network {prefix}"));
        for neighbour in &config.neighbours {
            let is_active = if ipv6 { neighbour.ipv6 } else { neighbour.ipv4 };
            let mut lines = vec![if is_active { "activate" } else { "" }];
            lines.extend((is_active && neighbour.next_hop_self).then_some("next-hop-self"));
            // It offers to take several paths from everybody.
            lines.extend((is_active && !neighbour.add_path).then_some("disable-addpath-rx"));
            // What it announces is its own; it passes nothing on.
            lines.extend(is_active.then_some("filter-list own out"));
            for line in lines.into_iter().filter(|line| !line.is_empty()) {
                _ = writeln!(text, "  neighbor {} {line}", neighbour.address);
            }
            if !is_active {
                _ = writeln!(text, "  no neighbor {} activate", neighbour.address);
            }
        }
        text += " exit-address-family\n";
    }
    text + "exit\nbgp as-path access-list own seq 5 permit ^$\n" + &config.extra
}

fn neighbour_lines(neighbour: &Neighbour) -> Vec<String> {
    let Neighbour { address, asn, port, hold_time, .. } = neighbour;
    let mut lines = vec![
        format!("remote-as {asn}"),
        format!("timers {} {hold_time}", neighbour.keepalive()),
        "timers connect 1".into(),
        "advertisement-interval 0".into(),
        format!("port {port}"),
    ];
    lines.extend(is_link_local(address).then(|| format!("interface {NIC}")));
    lines.extend(neighbour.password.as_ref().map(|password| format!("password {password}")));
    lines.extend(neighbour.passive.then(|| "passive".into()));
    lines.extend(neighbour.multihop.map(|hops| format!("ebgp-multihop {hops}")));
    lines.extend(neighbour.ttl_security.then(|| "ttl-security hops 1".into()));
    let restart = if neighbour.graceful_restart { "graceful-restart" } else { "graceful-restart-disable" };
    lines.push(restart.into());
    lines.extend(neighbour.extended_next_hop.then(|| "capability extended-nexthop".into()));
    if neighbour.bfd.is_some() {
        lines.extend(["bfd".into(), format!("bfd profile of-{address}")]);
    }
    lines.extend(neighbour.extra.lines().map(str::to_owned));
    lines
}

fn bfdd(address: &Address, config: &RouterConfig) -> String {
    let timers = |bfd: &Bfd| {
        format!(
            "  receive-interval {}\n  transmit-interval {}\n  detect-multiplier {}\n exit\n",
            bfd.receive_ms, bfd.transmit_ms, bfd.multiplier
        )
    };
    let mut text = "bfd\n".to_owned();
    for neighbour in &config.neighbours {
        if let Some(bfd) = &neighbour.bfd {
            _ = write!(text, " profile of-{}\n{}", neighbour.address, timers(bfd));
        }
    }
    for peer in &config.bfd_peers {
        let local = format!(" local-address {}", address.of_family(&peer.address));
        // Towards a link-local address it speaks from its own.
        let local = if is_link_local(&peer.address) { String::new() } else { local };
        let way = if peer.multihop { "multihop".to_owned() } else { format!("interface {NIC}") };
        _ = write!(text, " peer {}{local} {way}\n{}", peer.address, timers(&peer.bfd));
    }
    text + "exit\n"
}

/// FRR's daemons become its own user, who has to write and read here.
pub(super) fn give_away(folder: &Path) -> Result<()> {
    let user = User::from_name("frr")?.context("there is no user frr: is Debian's package frr installed?")?;
    let group = Group::from_name("frrvty")?.context("there is no group frrvty")?;
    let files = std::fs::read_dir(folder)?.flatten().map(|entry| entry.path());
    for path in files.chain([folder.to_owned()]) {
        chown(&path, Some(user.uid), Some(group.gid)).with_context(|| path.display().to_string())?;
    }
    Ok(())
}

/// Succeeds if the daemon takes connections.
pub(super) fn listens(folder: &Path, daemon: &str) -> Result<()> {
    let name = daemon.rsplit('/').next().unwrap_or(daemon);
    UnixStream::connect(folder.join(format!("{name}.vty")))?;
    if name == "zebra" {
        UnixStream::connect(folder.join("zserv.api"))?;
    }
    Ok(())
}

/// A line that a daemon does not understand, or a value out of its range, is left out with no more than a word in the log.
pub(super) fn took_every_line(log: &str) -> Result<()> {
    let refused: Vec<&str> = log.lines().filter(|line| line.contains("on config line")).collect();
    anyhow::ensure!(refused.is_empty(), "it did not take:\n{}", refused.join("\n"));
    Ok(())
}

pub(super) fn sessions(told: &str) -> Result<Vec<PeerSession>> {
    let all: serde_json::Map<String, Value> = serde_json::from_str(told).context("FRR's neighbours")?;
    let sessions = all.iter().filter_map(|(peer, details)| {
        let state = shown::text(details, "bgpState")?.to_owned();
        let is_established = state == "Established";
        let families =
            details.get("addressFamilyInfo").and_then(Value::as_object).into_iter().flat_map(|all| all.values());
        let prefixes = shown::sum(families, "acceptedPrefixCounter");
        Some(PeerSession { peer: peer.parse().ok()?, state, is_established, prefixes, details: details.to_string() })
    });
    Ok(sessions.collect())
}

pub(super) fn paths(told: &str) -> Result<Vec<RoutePath>> {
    let all: Value = serde_json::from_str(told).context("FRR's paths")?;
    let paths = all.get("paths").and_then(Value::as_array).into_iter().flatten();
    Ok(paths.map(path).collect())
}

fn path(of: &Value) -> RoutePath {
    let next_hops = of.get("nexthops").and_then(Value::as_array).into_iter().flatten();
    let inner = |name: &str| of.get(name).cloned().unwrap_or_default();
    let communities = shown::texts(&inner("community"), "list");
    RoutePath {
        // "(unspec)" for its own.
        peer: shown::address(&inner("peer"), "peerId"),
        next_hops: next_hops.filter_map(|hop| shown::address(hop, "ip")).collect(),
        as_path: shown::as_path(shown::text(&inner("aspath"), "string").unwrap_or_default()),
        med: shown::number(of, "metric"),
        local_pref: shown::number(of, "locPrf"),
        communities: communities.iter().map(|name| shown::community(name)).collect(),
        large_communities: shown::texts(&inner("largeCommunity"), "list"),
        is_best: inner("bestpath").get("overall").is_some(),
        is_stale: of.get("stale").and_then(Value::as_bool).unwrap_or_default(),
    }
}

pub(super) fn bfd_sessions(told: &str) -> Result<Vec<BfdSession>> {
    let all: Vec<Value> = serde_json::from_str(told).context("FRR's BFD peers")?;
    let sessions = all.iter().filter_map(|peer| {
        let word = |name: &str| shown::text(peer, name).unwrap_or_default().to_owned();
        let state = word("status");
        let millis = |name: &str| shown::number(peer, name).unwrap_or_default();
        Some(BfdSession {
            peer: shown::address(peer, "peer")?,
            is_up: state == "up",
            state,
            transmit_ms: millis("transmit-interval"),
            remote: Some((
                millis("remote-transmit-interval"),
                millis("remote-receive-interval"),
                millis("remote-detect-multiplier"),
            )),
            detection_ms: None,
            diagnostics: Some((word("diagnostic"), word("remote-diagnostic"))),
        })
    });
    Ok(sessions.collect())
}
