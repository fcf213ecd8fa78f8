//! OpenBGPD: one file that only root may read, one program with children. It writes nothing into Linux' kernel and knows no BFD.

use std::fmt::Write as _;
use std::path::Path;

use anyhow::{Context, Result};
use serde_json::Value;

use super::Program;
use super::describe::{Files, Neighbour, RouterConfig};
use super::shown::{self, PeerSession, RoutePath};
use crate::spec::Address;

pub(super) const SESSIONS: &str = "-j show neighbor";

/// It shows one prefix in a form without attributes only, so all are asked for.
pub(super) fn question(prefix: &str) -> String {
    format!("-j show rib detail {}", if prefix.contains(':') { "inet6" } else { "inet" })
}

/// Its children go to the home of its user, which systemd makes elsewhere.
pub(super) fn home() -> Result<()> {
    std::fs::create_dir_all("/run/openbgpd").context("/run/openbgpd")
}

pub(super) fn describe(address: &Address, config: &RouterConfig, folder: &Path) -> (Files, Vec<Program>) {
    let folder = folder.display().to_string();
    let mut text = format!(
        "socket \"{folder}/bgpd.sock\"\nAS {asn}\nrouter-id {v4}\nfib-update no\n\
         listen on {v4} port {port}\nlisten on {v6} port {port}\n",
        asn = config.asn,
        v4 = address.v4,
        v6 = address.v6,
        port = config.port,
    );
    config.originate.iter().for_each(|prefix| _ = writeln!(text, "network {prefix}"));
    config.neighbours.iter().for_each(|neighbour| text += &session(address, neighbour));
    // Everything from everybody; of what goes out, only its own.
    text += "allow from any\ndeny to any\n";
    config.originate.iter().for_each(|prefix| _ = writeln!(text, "allow to any prefix {prefix}"));
    text += &config.extra;
    let argv = ["/usr/sbin/bgpd", "-d", "-v", "-f", &format!("{folder}/bgpd.conf")].map(str::to_owned).to_vec();
    (vec![("bgpd.conf".into(), text)], vec![Program { name: "bgpd", argv }])
}

fn session(address: &Address, neighbour: &Neighbour) -> String {
    let Neighbour { address: peer, asn, port, hold_time, .. } = neighbour;
    let mut lines = vec![
        format!("remote-as {asn}"),
        format!("local-address {}", address.of_family(peer)),
        format!("holdtime {hold_time}"),
        format!("port {port}"),
        format!("announce IPv4 {}", if neighbour.ipv4 { "unicast" } else { "none" }),
        format!("announce IPv6 {}", if neighbour.ipv6 { "unicast" } else { "none" }),
        format!("announce restart {}", if neighbour.graceful_restart { "yes" } else { "no" }),
    ];
    lines.extend(neighbour.password.as_ref().map(|password| format!("tcp md5sig password \"{password}\"")));
    lines.extend(neighbour.passive.then(|| "passive".into()));
    lines.extend(neighbour.multihop.map(|hops| format!("multihop {hops}")));
    lines.extend(neighbour.ttl_security.then(|| "ttl-security yes".into()));
    lines.extend(neighbour.add_path.then(|| "announce add-path recv yes".into()));
    lines.extend(neighbour.next_hop_self.then(|| "set nexthop self".into()));
    lines.extend(neighbour.extra.lines().map(str::to_owned));
    format!("neighbor {peer} {{\n\t{}\n}}\n", lines.join("\n\t"))
}

pub(super) fn sessions(told: &str) -> Result<Vec<PeerSession>> {
    let all: Value = serde_json::from_str(told).context("OpenBGPD's neighbours")?;
    let peers = all.get("neighbors").and_then(Value::as_array).into_iter().flatten();
    let sessions = peers.filter_map(|peer| {
        let state = shown::text(peer, "state")?.to_owned();
        let is_established = state == "Established";
        Some(PeerSession {
            peer: shown::address(peer, "remote_addr")?,
            state,
            is_established,
            prefixes: shown::sum(peer.get("stats").and_then(|stats| stats.get("prefixes")), "received"),
            details: peer.to_string(),
        })
    });
    Ok(sessions.collect())
}

pub(super) fn paths(told: &str, prefix: &str) -> Result<Vec<RoutePath>> {
    if told.trim().is_empty() {
        return Ok(Vec::new());
    }
    let all: Value = serde_json::from_str(told).context("OpenBGPD's routes")?;
    let routes = all.get("rib").and_then(Value::as_array).into_iter().flatten();
    Ok(routes.filter(|route| shown::text(route, "prefix") == Some(prefix)).map(path).collect())
}

fn path(of: &Value) -> RoutePath {
    let flag = |name: &str| of.get(name).and_then(Value::as_bool).unwrap_or_default();
    RoutePath {
        // "???" for its own.
        peer: of.get("neighbor").and_then(|neighbour| shown::address(neighbour, "remote_addr")),
        next_hops: shown::address(of, "exit_nexthop").into_iter().collect(),
        as_path: shown::as_path(shown::text(of, "aspath").unwrap_or_default()),
        med: shown::number(of, "metric"),
        local_pref: shown::number(of, "localpref"),
        communities: shown::texts(of, "communities").iter().map(|name| shown::community(name)).collect(),
        large_communities: shown::texts(of, "large_communities"),
        is_best: flag("best"),
        is_stale: flag("stale"),
    }
}
