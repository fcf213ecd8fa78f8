//! GoBGP: one file, one program. It writes nothing into the kernel and knows no BFD.

use std::fmt::Write as _;
use std::path::Path;

use anyhow::{Context, Result};
use serde_json::Value;

use super::Program;
use super::describe::{Files, Neighbour, RouterConfig};
use super::shown::{self, PeerSession, RoutePath};
use crate::spec::Address;

pub(super) const SESSIONS: &str = "neighbor -j";

fn family(prefix: &str) -> &'static str {
    if prefix.contains(':') { "ipv6" } else { "ipv4" }
}

pub(super) fn question(prefix: &str) -> String {
    format!("global rib {prefix} -a {} -j", family(prefix))
}

/// It takes its own routes from the command line only.
pub(super) fn originate(prefix: &str, address: &Address) -> String {
    let next_hop = if prefix.contains(':') { address.v6.to_string() } else { address.v4.to_string() };
    format!("global rib add {prefix} nexthop {next_hop} origin igp -a {}", family(prefix))
}

pub(super) fn describe(address: &Address, config: &RouterConfig, folder: &Path) -> (Files, Vec<Program>) {
    let mut text = format!(
        "[global.config]\nas = {}\nrouter-id = \"{}\"\nport = {}\n{}\n",
        config.asn, address.v4, config.port, config.extra
    );
    config.neighbours.iter().for_each(|neighbour| text += &session(address, neighbour));
    let file = folder.join("gobgpd.toml").display().to_string();
    // Its interface for commands is TCP; a namespace has one loopback, so the usual port does.
    let argv = ["gobgpd", "-f", &file, "--api-hosts", "127.0.0.1:50051", "--pprof-disable", "-p"];
    let argv = argv.map(str::to_owned).to_vec();
    (vec![("gobgpd.toml".into(), text)], vec![Program { name: "gobgpd", argv }])
}

fn session(address: &Address, neighbour: &Neighbour) -> String {
    let Neighbour { address: peer, asn, port, hold_time, passive, .. } = neighbour;
    let mut text = format!("[[neighbors]]\n[neighbors.config]\nneighbor-address = \"{peer}\"\npeer-as = {asn}\n");
    if let Some(password) = &neighbour.password {
        _ = writeln!(text, "auth-password = \"{password}\"");
    }
    _ = write!(
        text,
        "[neighbors.timers.config]\nconnect-retry = 1\nidle-hold-time-after-reset = 1\nhold-time = {hold_time}\n\
         keepalive-interval = {}\n\
         [neighbors.transport.config]\nlocal-address = \"{}\"\nremote-port = {port}\npassive-mode = {passive}\n",
        neighbour.keepalive(),
        address.of_family(peer),
    );
    if let Some(hops) = neighbour.multihop {
        _ = writeln!(text, "[neighbors.ebgp-multihop.config]\nenabled = true\nmultihop-ttl = {hops}");
    }
    if neighbour.ttl_security {
        text += "[neighbors.ttl-security.config]\nenabled = true\nttl-min = 255\n";
    }
    if neighbour.graceful_restart {
        text +=
            "[neighbors.graceful-restart.config]\nenabled = true\nrestart-time = 120\nnotification-enabled = true\n";
    }
    _ = writeln!(text, "{}", neighbour.extra);
    for (is_wanted, name) in [(neighbour.ipv4, "ipv4-unicast"), (neighbour.ipv6, "ipv6-unicast")] {
        if is_wanted {
            _ = writeln!(
                text,
                "[[neighbors.afi-safis]]\n[neighbors.afi-safis.config]\nafi-safi-name = \"{name}\"\n\
                 [neighbors.afi-safis.mp-graceful-restart.config]\nenabled = {}\n\
                 [neighbors.afi-safis.add-paths.config]\nreceive = {}",
                neighbour.graceful_restart, neighbour.add_path
            );
        }
    }
    text
}

pub(super) fn sessions(told: &str) -> Result<Vec<PeerSession>> {
    let all: Vec<Value> = serde_json::from_str(told).context("GoBGP's neighbours")?;
    // Its numbers: apipb.PeerState.SessionState.
    let names = ["Unknown", "Idle", "Connect", "Active", "OpenSent", "OpenConfirm", "Established"];
    let sessions = all.iter().filter_map(|peer| {
        let state = peer.get("state").cloned().unwrap_or_default();
        let number = shown::number(&state, "session_state").unwrap_or_default();
        let name = *usize::try_from(number).ok().and_then(|number| names.get(number)).unwrap_or(&"?");
        Some(PeerSession {
            peer: shown::address(peer.get("conf")?, "neighbor_address")?,
            state: name.to_owned(),
            is_established: name == "Established",
            prefixes: {
                let families = peer.get("afi_safis").and_then(Value::as_array).into_iter().flatten();
                shown::sum(families.filter_map(|family| family.get("state")), "accepted")
            },
            details: peer.to_string(),
        })
    });
    Ok(sessions.collect())
}

pub(super) fn paths(told: &str) -> Result<Vec<RoutePath>> {
    let all: serde_json::Map<String, Value> = match told.trim() {
        // What it prints where it has no route.
        "" | "Network not in table" => serde_json::Map::new(),
        told => serde_json::from_str(told).context("GoBGP's paths")?,
    };
    Ok(all.values().filter_map(Value::as_array).flatten().map(path).collect())
}

fn path(of: &Value) -> RoutePath {
    let flag = |name: &str| of.get(name).and_then(Value::as_bool).unwrap_or_default();
    let mut path = RoutePath {
        peer: shown::address(of, "neighbor-ip"),
        is_best: flag("best"),
        is_stale: flag("stale"),
        ..RoutePath::default()
    };
    let list = |of: &Value, name: &str| of.get(name).and_then(Value::as_array).cloned().unwrap_or_default();
    for attribute in of.get("attrs").and_then(Value::as_array).into_iter().flatten() {
        // The types of IANA's list of path attributes.
        match shown::number(attribute, "type") {
            Some(2) => {
                let asns = list(attribute, "as_paths").into_iter().flat_map(|segment| list(&segment, "asns"));
                path.as_path = asns.filter_map(|asn| u32::try_from(asn.as_u64()?).ok()).collect();
            }
            Some(3 | 14) => path.next_hops.extend(shown::address(attribute, "nexthop")),
            Some(4) => path.med = shown::number(attribute, "metric"),
            Some(5) => path.local_pref = shown::number(attribute, "value"),
            Some(8) => {
                let numbers = list(attribute, "communities");
                let numbers = numbers.iter().filter_map(Value::as_u64);
                path.communities = numbers.map(|number| format!("{}:{}", number >> 16, number & 0xffff)).collect();
            }
            Some(32) => {
                let parts = ["ASN", "LocalData1", "LocalData2"];
                let text =
                    |of: &Value| parts.map(|part| shown::number(of, part).unwrap_or_default().to_string()).join(":");
                path.large_communities = list(attribute, "value").iter().map(text).collect();
            }
            _ => {}
        }
    }
    path
}
