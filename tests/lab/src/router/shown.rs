//! What routers show, in one form whichever daemon it comes from.

use std::net::IpAddr;

use anyhow::{Context, Result};
use serde_json::Value;

/// A session as the router shows it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PeerSession {
    /// The neighbour.
    pub peer: IpAddr,
    /// Its state, in the router's own words.
    pub state: String,
    /// Is that Established?
    pub is_established: bool,
    /// How many prefixes it has from the neighbour, of all families.
    pub prefixes: u64,
    /// What else the router shows of it: JSON, or BIRD's text.
    pub details: String,
}

/// One path to a prefix as the router shows it.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct RoutePath {
    /// From whom; `None` for its own.
    pub peer: Option<IpAddr>,
    /// The next hops, a link-local one after the global one.
    pub next_hops: Vec<IpAddr>,
    /// The AS path, as numbers in their order.
    pub as_path: Vec<u32>,
    /// MED.
    pub med: Option<u32>,
    /// LOCAL_PREF.
    pub local_pref: Option<u32>,
    /// As `65000:1`; well-known ones as numbers too.
    pub communities: Vec<String>,
    /// As `65000:1:2`.
    pub large_communities: Vec<String>,
    /// The router prefers it.
    pub is_best: bool,
    /// Kept over a restart of its neighbour and not told anew since.
    pub is_stale: bool,
}

/// A BFD session as the router shows it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BfdSession {
    /// The peer.
    pub peer: IpAddr,
    /// Its state, in the router's own words.
    pub state: String,
    /// Is that Up?
    pub is_up: bool,
    /// The interval in milliseconds at which it sends: negotiated in BIRD; what it wants in FRR.
    pub transmit_ms: u32,
    /// The peer's wishes and multiplier, where it shows them (FRR): transmit, receive, multiplier.
    pub remote: Option<(u32, u32, u32)>,
    /// The Detection Time in milliseconds, where it shows it (BIRD).
    pub detection_ms: Option<u32>,
    /// Why it or the peer went down last, where it shows that (FRR): its own and the peer's diagnostic.
    pub diagnostics: Option<(String, String)>,
}

/// A route in the router's kernel.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KernelRoute {
    /// To where; a host route without its length.
    pub destination: String,
    /// Who wrote it: `bgp` (FRR), `bird`, `static`, ...
    pub protocol: String,
    /// Its next hops, in the order of their addresses.
    pub next_hops: Vec<NextHop>,
}

/// One of the ways that a route leads.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct NextHop {
    /// The gateway.
    pub via: IpAddr,
    /// Its share, against the others'.
    pub weight: u32,
}

/// Reads `ip -j route`; what the kernel wrote itself is left out.
pub(super) fn kernel_routes(told: &str) -> Result<Vec<KernelRoute>> {
    let all: Vec<Value> = serde_json::from_str(told).context("ip -j route")?;
    let routes = all.iter().filter_map(|route| {
        let protocol = text(route, "protocol").unwrap_or("static").to_owned();
        let ways = route.get("nexthops").and_then(Value::as_array).map_or(std::slice::from_ref(route), Vec::as_slice);
        let mut next_hops: Vec<NextHop> = ways.iter().filter_map(next_hop).collect();
        next_hops.sort();
        let destination = text(route, "dst")?.to_owned();
        (protocol != "kernel").then_some(KernelRoute { destination, protocol, next_hops })
    });
    Ok(routes.collect())
}

fn next_hop(way: &Value) -> Option<NextHop> {
    // `via` names a gateway of the other family.
    let via = text(way, "gateway").or_else(|| text(way.get("via")?, "host"))?;
    let weight = number(way, "weight").unwrap_or(1);
    Some(NextHop { via: via.parse().ok()?, weight })
}

pub(super) fn text<'a>(of: &'a Value, name: &str) -> Option<&'a str> {
    of.get(name)?.as_str()
}

pub(super) fn number(of: &Value, name: &str) -> Option<u32> {
    let value = of.get(name)?;
    value.as_u64().and_then(|number| u32::try_from(number).ok()).or_else(|| value.as_str()?.parse().ok())
}

pub(super) fn address(of: &Value, name: &str) -> Option<IpAddr> {
    text(of, name)?.parse().ok()
}

/// The texts of an array.
pub(super) fn texts(of: &Value, name: &str) -> Vec<String> {
    let all = of.get(name).and_then(Value::as_array).into_iter().flatten();
    all.filter_map(|value| Some(value.as_str()?.to_owned())).collect()
}

/// The sum of what stands under `name` in each of several values.
pub(super) fn sum<'a>(all: impl IntoIterator<Item = &'a Value>, name: &str) -> u64 {
    all.into_iter().filter_map(|of| of.get(name)?.as_u64()).sum()
}

/// The numbers in a text such as `65001 65002`.
pub(super) fn as_path(words: &str) -> Vec<u32> {
    words.split(|letter: char| !letter.is_ascii_digit()).filter_map(|word| word.parse().ok()).collect()
}

/// A well-known community as numbers, by the names that FRR and OpenBGPD give it (IANA's list).
pub(super) fn community(name: &str) -> String {
    let plain: String = name.chars().filter(char::is_ascii_alphanumeric).collect::<String>().to_ascii_lowercase();
    let value = match plain.as_str() {
        "gshut" | "gracefulshutdown" => 0,
        "acceptown" => 1,
        "llgrstale" => 6,
        "nollgr" => 7,
        "blackhole" => 666,
        "noexport" => 65281,
        "noadvertise" => 65282,
        "localas" | "noexportsubconfed" => 65283,
        "nopeer" => 65284,
        _ => return name.to_owned(),
    };
    format!("65535:{value}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn kernel_routes_are_read_with_one_next_hop_and_with_several() {
        let told = r#"[
            {"dst":"192.168.0.0/24","dev":"eth0","protocol":"kernel","scope":"link","flags":[]},
            {"dst":"default","gateway":"192.168.0.254","dev":"eth0","flags":[]},
            {"dst":"203.0.113.3","nhid":11,"gateway":"192.168.0.243","dev":"eth0","protocol":"bgp","metric":20,"flags":[]},
            {"dst":"203.0.113.4","protocol":"bird","flags":[],"nexthops":[
                {"gateway":"192.168.0.3","dev":"eth0","weight":3,"flags":[]},
                {"via":{"family":"inet6","host":"fe80::2"},"dev":"eth0","weight":1,"flags":[]}]}]"#;
        let routes = kernel_routes(told).unwrap();
        let via = |text: &str, weight| NextHop { via: text.parse().unwrap(), weight };
        let expected = [
            ("default", "static", vec![via("192.168.0.254", 1)]),
            ("203.0.113.3", "bgp", vec![via("192.168.0.243", 1)]),
            ("203.0.113.4", "bird", vec![via("192.168.0.3", 3), via("fe80::2", 1)]),
        ];
        let expected = expected.map(|(destination, protocol, next_hops)| KernelRoute {
            destination: destination.into(),
            protocol: protocol.into(),
            next_hops,
        });
        assert_eq!(routes, expected);
    }

    #[test]
    fn communities_are_numbers_whoever_names_them() {
        assert_eq!(community("65000:1"), "65000:1");
        assert_eq!([community("noExport"), community("NO_EXPORT")], ["65535:65281", "65535:65281"]);
        assert_eq!([community("gracefulShutdown"), community("GRACEFUL_SHUTDOWN")], ["65535:0", "65535:0"]);
    }
}
