//! BIRD: one file, one program, and a command line that prints text.

use std::fmt::Write as _;
use std::path::Path;

use anyhow::Result;

use super::Program;
use super::describe::{Bfd, Files, Neighbour, RouterConfig, is_link_local};
use super::shown::{self, BfdSession, PeerSession, RoutePath};
use crate::netns::NIC;
use crate::spec::Address;

pub(super) const SESSIONS: &str = "show protocols all";
pub(super) const BFD: &str = "show bfd sessions";

pub(super) fn question(prefix: &str) -> String {
    // Not `for`, which fails where there is none.
    format!("show route all where net = {prefix}")
}

pub(super) fn describe(address: &Address, config: &RouterConfig, folder: &Path) -> (Files, Vec<Program>) {
    let folder = folder.display().to_string();
    let mut text = format!("log stderr all;\nrouter id {};\nprotocol device {{ scan time 1; }}\n", address.v4);
    for (ipv6, family) in [(false, "ipv4"), (true, "ipv6")] {
        _ = writeln!(
            text,
            "protocol kernel kernel_{family} {{ merge paths on limit 16; {family} {{ import none; export where source = RTS_BGP; }}; }}"
        );
        let own: String = config.originates(ipv6).map(|prefix| format!(" route {prefix} blackhole;")).collect();
        _ = writeln!(text, "protocol static own_{family} {{ {family};{own} }}");
    }
    text += &bfd(address, config);
    for (number, neighbour) in (1..).zip(&config.neighbours) {
        _ = writeln!(text, "protocol bgp n{number} {{ {} }}", session(address, config, neighbour));
    }
    let argv = ["bird", "-f", "-c", &format!("{folder}/bird.conf"), "-s", &format!("{folder}/bird.ctl")];
    let argv = argv.map(str::to_owned).to_vec();
    (vec![("bird.conf".into(), text + &config.extra)], vec![Program { name: "bird", argv }])
}

fn timers(bfd: &Bfd) -> String {
    format!(
        "min rx interval {} ms; min tx interval {} ms; multiplier {};",
        bfd.receive_ms, bfd.transmit_ms, bfd.multiplier
    )
}

fn bfd(address: &Address, config: &RouterConfig) -> String {
    let mut text = "protocol bfd {\n".to_owned();
    for peer in &config.bfd_peers {
        // Its intervals belong to an interface, or to all sessions over several hops.
        let (way, place) = if peer.multihop {
            (format!("local {} multihop on", address.of_family(&peer.address)), "multihop".to_owned())
        } else {
            (format!("dev \"{NIC}\""), format!("interface \"{NIC}\""))
        };
        let signed = peer.password.as_ref().map_or_else(String::new, |password| {
            format!(" authentication meticulous keyed sha1; password \"{password}\" {{ id 1; }};")
        });
        _ = writeln!(text, " {place} {{ {}{signed} }};\n neighbor {} {way};", timers(&peer.bfd), peer.address);
    }
    text + "}\n"
}

fn session(address: &Address, config: &RouterConfig, neighbour: &Neighbour) -> String {
    let Neighbour { address: peer, asn, port, hold_time, .. } = neighbour;
    // Towards a link-local address it speaks from its own.
    let (local, place) = if is_link_local(peer) {
        (String::new(), format!(" interface \"{NIC}\";"))
    } else {
        (format!("{} ", address.of_family(peer)), String::new())
    };
    let mut text = format!(
        "local {local}port {} as {}; neighbor {peer} port {port} as {asn};{place} hold time {hold_time}; keepalive time {}; \
         connect retry time 1; connect delay time 1; error wait time 1,2;",
        config.port,
        config.asn,
        neighbour.keepalive(),
    );
    if let Some(password) = &neighbour.password {
        _ = write!(text, " password \"{password}\";");
    }
    if let Some(hops) = neighbour.multihop {
        _ = write!(text, " multihop {hops};");
    }
    if let Some(bfd) = &neighbour.bfd {
        _ = write!(text, " bfd {{ {} }};", timers(bfd));
    }
    for (is_wanted, line) in [(neighbour.passive, " passive on;"), (neighbour.ttl_security, " ttl security on;")] {
        text += if is_wanted { line } else { "" };
    }
    text += if neighbour.graceful_restart { " graceful restart on;" } else { " graceful restart off;" };
    for (is_wanted, family) in [(neighbour.ipv4, "ipv4"), (neighbour.ipv6, "ipv6")] {
        if is_wanted {
            let mut channel = "import all; export where source = RTS_STATIC;".to_owned();
            channel += if neighbour.next_hop_self { " next hop self;" } else { "" };
            channel += if neighbour.add_path { " add paths rx;" } else { "" };
            channel += if neighbour.extended_next_hop && family == "ipv4" { " extended next hop on;" } else { "" };
            _ = write!(text, " {family} {{ {channel} }};");
        }
    }
    text + " " + &neighbour.extra
}

pub(super) fn sessions(told: &str) -> Result<Vec<PeerSession>> {
    let blocks = blocks(told, |line| !line.starts_with(char::is_whitespace));
    let sessions = blocks.into_iter().filter_map(|block| {
        let value = |name: &str| block.lines().find_map(|line| line.trim().strip_prefix(name)).map(str::trim);
        let state = value("BGP state:")?.to_owned();
        // A link-local one with its interface.
        let peer = value("Neighbor address:")?.split('%').next()?.parse().ok()?;
        let is_established = state == "Established";
        // `Routes:         3 imported, 1 exported, 2 preferred`, for each family.
        let routes = block.lines().filter_map(|line| line.trim().strip_prefix("Routes:"));
        let imported = routes.filter_map(|line| line.split_whitespace().next()?.parse::<u64>().ok());
        let prefixes = imported.sum();
        Some(PeerSession { peer, state, is_established, prefixes, details: block })
    });
    Ok(sessions.collect())
}

/// The text cut before each line that begins one.
fn blocks(told: &str, begins: impl Fn(&str) -> bool) -> Vec<String> {
    let mut blocks: Vec<String> = Vec::new();
    for line in told.lines().filter(|line| !line.trim().is_empty()) {
        match blocks.last_mut() {
            Some(block) if !begins(line) => *block += &format!("\n{line}"),
            _ => blocks.push(line.to_owned()),
        }
    }
    blocks
}

pub(super) fn paths(told: &str, prefix: &str) -> Result<Vec<RoutePath>> {
    // A path's first line has in brackets where it comes from: `[n1 11:39:43.964 from 192.168.0.241] * (100) [AS65241i]`.
    let is_first = |line: &str| line.contains(" [") && !line.trim_start().starts_with("BGP.");
    let blocks = blocks(told, |line| is_first(line) || line.starts_with("Table"));
    let mut seen = "";
    let mut paths = Vec::new();
    for block in &blocks {
        let first = block.lines().next().unwrap_or_default();
        if let Some(word) = first.split_whitespace().next().filter(|word| word.contains('/')) {
            seen = if first.starts_with(char::is_whitespace) { seen } else { word };
        }
        if seen == prefix && is_first(first) {
            paths.push(path(first, block));
        }
    }
    Ok(paths)
}

fn path(first: &str, block: &str) -> RoutePath {
    let value = |name: &str| block.lines().find_map(|line| line.trim().strip_prefix(name)).map(str::trim);
    let number = |name: &str| value(name).and_then(|word| word.parse().ok());
    let next_hops: Vec<_> =
        value("BGP.next_hop:").unwrap_or_default().split_whitespace().filter_map(|hop| hop.parse().ok()).collect();
    // `(65000,1) (65535,65281)`, `(65000, 1, 2)`.
    let tuples = |name: &str| {
        let groups =
            value(name).unwrap_or_default().split(')').map(|group| group.replace(['(', ' '], "").replace(',', ":"));
        groups.filter(|group| !group.is_empty()).collect()
    };
    let brackets = first.split_once('[').and_then(|(_, rest)| rest.split_once(']')).map_or("", |(inside, _)| inside);
    let from = brackets.split_once(" from ").and_then(|(_, peer)| peer.trim().parse().ok());
    RoutePath {
        // Where it is not said apart, it is the gateway.
        peer: from.or_else(|| value("via")?.split_whitespace().next()?.parse().ok()),
        next_hops,
        as_path: shown::as_path(value("BGP.as_path:").unwrap_or_default()),
        med: number("BGP.med:"),
        local_pref: number("BGP.local_pref:"),
        communities: tuples("BGP.community:"),
        large_communities: tuples("BGP.large_community:"),
        is_best: first.contains("] * "),
        // `(100s)` instead of `(100)`.
        is_stale: first.contains("s) ["),
    }
}

pub(super) fn bfd_sessions(told: &str) -> Result<Vec<BfdSession>> {
    let sessions = told.lines().filter_map(|line| {
        let words: Vec<&str> = line.split_whitespace().collect();
        let &[peer, _, state, _, interval, timeout] = words.as_slice() else { return None };
        Some(BfdSession {
            peer: peer.parse().ok()?,
            state: state.to_owned(),
            is_up: state == "Up",
            transmit_ms: millis(interval)?,
            remote: None,
            detection_ms: Some(millis(timeout)?),
            diagnostics: None,
        })
    });
    Ok(sessions.collect())
}

/// `0.150` in milliseconds.
fn millis(seconds: &str) -> Option<u32> {
    let (whole, part) = seconds.split_once('.')?;
    Some(whole.parse::<u32>().ok()? * 1000 + part.get(..3)?.parse::<u32>().ok()?)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// As BIRD 2.0.12 prints it.
    const ROUTES: &str = "BIRD 2.0.12 ready.
Table master4:
203.0.113.3/32       unicast [n3 11:39:40.951] * (100) [AS65243i]
\tvia 192.168.0.243 on eth0
\tType: BGP univ
\tBGP.origin: IGP
\tBGP.as_path: 65243
\tBGP.next_hop: 192.168.0.243
\tBGP.med: 3
\tBGP.local_pref: 100
\tBGP.community: (65000,3)
\tBGP.large_community: (65000, 3, 3)
                     unicast [n1 11:39:43.964 from 192.168.0.241] (100s) [AS65243i]
\tvia 192.168.0.243 on eth0
\tType: BGP univ
\tBGP.as_path: 65241 65243
\tBGP.next_hop: 192.168.0.243
\tBGP.community: (65000,1) (65535,65281)
";

    #[test]
    fn paths_are_read_with_their_attributes() {
        let paths = paths(ROUTES, "203.0.113.3/32").unwrap();
        let [first, second] = paths.as_slice() else { panic!("{paths:?}") };
        assert_eq!(first.peer, Some([192, 168, 0, 243].into()));
        assert_eq!((first.med, first.local_pref, first.is_best, first.is_stale), (Some(3), Some(100), true, false));
        assert_eq!((first.communities[0].as_str(), first.large_communities[0].as_str()), ("65000:3", "65000:3:3"));
        assert_eq!(second.peer, Some([192, 168, 0, 241].into()));
        assert_eq!((second.as_path.as_slice(), second.is_best, second.is_stale), (&[65241, 65243][..], false, true));
        assert_eq!(second.communities, ["65000:1", "65535:65281"]);
        assert!(super::paths(ROUTES, "203.0.113.0/24").unwrap().is_empty(), "another prefix's");
        assert!(super::paths("BIRD 2.0.12 ready.\nNetwork not found\n", "203.0.113.3/32").unwrap().is_empty());
    }

    #[test]
    fn bfd_sessions_are_read() {
        let told = "BIRD 2.0.12 ready.\nbfd1:\nIP address                Interface  State      Since         Interval  Timeout\n\
                    192.168.0.241             eth0       Up         11:39:41.380    0.050    0.150\n";
        let sessions = bfd_sessions(told).unwrap();
        assert_eq!(sessions.len(), 1);
        assert_eq!((sessions[0].is_up, sessions[0].transmit_ms, sessions[0].detection_ms), (true, 50, Some(150)));
    }
}
