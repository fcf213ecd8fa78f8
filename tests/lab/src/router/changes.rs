//! When the routes in a router's kernel change, as the kernel tells it.

use std::collections::BTreeSet;
use std::fs;
use std::net::IpAddr;
use std::path::Path;
use std::time::SystemTime;

use anyhow::{Context, Result};
use jiff::civil::DateTime;
use jiff::tz::TimeZone;

use super::{PATH, Router};
use crate::daemon::Daemon;
use crate::place::Place;

/// One change of a route.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RouteChange {
    /// When whoever listens heard of it: after it, by as long as a busy machine keeps a process waiting.
    pub at: SystemTime,
    /// The gateways from then on; none where the route is gone.
    pub ways: BTreeSet<IpAddr>,
}

/// Writes down every change of the routes for IPv4 in a router's kernel until it is dropped.
#[derive(Debug)]
pub struct RouteWatch(Daemon);

impl Router {
    /// Begins to watch the routes for IPv4 in its kernel, with `log` as the raw record.
    ///
    /// # Errors
    /// `ip` cannot be started.
    pub fn watch_routes(&self, log: &Path) -> Result<RouteWatch> {
        let argv = ["env", "TZ=UTC", "ip", "-4", "-oneline", "-tshort", "monitor", "route"].map(str::to_owned);
        let name = format!("{}/route-watch", self.name());
        let watch = Daemon::new(&name, Place::Host(self.name().to_owned()), argv.to_vec(), PATH, log.to_owned());
        watch.start()?;
        Ok(RouteWatch(watch))
    }
}

impl RouteWatch {
    /// The changes of the route to `destination` so far, a host without its length; what only says again what was is left out.
    ///
    /// # Errors
    /// The record cannot be read, or it has ended.
    pub fn changes(&self, destination: &str) -> Result<Vec<RouteChange>> {
        anyhow::ensure!(self.0.ended().is_none(), "{} has ended", self.0.name());
        let told = fs::read_to_string(self.0.log()).with_context(|| self.0.log().display().to_string())?;
        changes(&told, destination)
    }
}

impl Drop for RouteWatch {
    fn drop(&mut self) {
        // It ends with the capsule at the latest.
        let _ = self.0.kill();
    }
}

fn changes(told: &str, destination: &str) -> Result<Vec<RouteChange>> {
    let mut changes: Vec<RouteChange> = Vec::new();
    // The last line may be half there.
    for line in told.split_inclusive('\n').filter(|line| line.ends_with('\n')) {
        let Some((stamp, rest)) = line.strip_prefix('[').and_then(|line| line.split_once("] ")) else { continue };
        let (is_gone, rest) = rest.strip_prefix("Deleted ").map_or((false, rest), |rest| (true, rest));
        let mut words = rest.split_whitespace();
        if words.next() != Some(destination) {
            continue;
        }
        let rest: Vec<&str> = words.collect();
        let gateways = rest.windows(2).filter(|pair| matches!(pair.first(), Some(&"via")));
        let ways = gateways.filter_map(|pair| pair.last()?.parse().ok()).filter(|_| !is_gone).collect();
        if changes.last().is_none_or(|last| last.ways != ways) {
            changes.push(RouteChange { at: moment(stamp).with_context(|| line.to_owned())?, ways });
        }
    }
    Ok(changes)
}

/// Reads `2026-11-21T17:25:47.501018`, in UTC.
fn moment(stamp: &str) -> Result<SystemTime> {
    let stamp: DateTime = stamp.parse()?;
    Ok(stamp.to_zoned(TimeZone::UTC)?.timestamp().into())
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn changes_are_read_as_ip_prints_them() {
        let told = "[2026-11-21T17:25:47.501018] 10.1.1.1 proto bird \\\tnexthop via 192.168.0.1 dev eth0 weight 1 \\\tnexthop via 192.168.0.2 dev eth0 weight 1 \n\
            [2026-11-21T17:25:47.505000] 10.1.1.2 nhid 7 via 192.168.0.1 dev eth0 proto bgp \n\
            [2026-11-21T17:25:47.510565] 10.1.1.1 via 192.168.0.1 dev eth0 proto bird \n\
            [2026-11-21T17:25:47.510600] 10.1.1.1 via 192.168.0.1 dev eth0 proto bird metric 32 \n\
            [2026-11-21T17:25:47.548246] Deleted 10.1.1.1 via 192.168.0.1 dev eth0 proto bird \n\
            [2026-11-21T17:25:48.5";
        let micros = |micros: u64| SystemTime::UNIX_EPOCH + Duration::from_micros(1_795_281_947_000_000 + micros);
        let ways = |last: &[u8]| last.iter().map(|last| IpAddr::from([192, 168, 0, *last])).collect();
        let expected = [(501_018, ways(&[1, 2])), (510_565, ways(&[1])), (548_246, ways(&[]))];
        let expected = expected.map(|(at, ways)| RouteChange { at: micros(at), ways });
        assert_eq!(changes(told, "10.1.1.1").unwrap(), expected);
    }
}
