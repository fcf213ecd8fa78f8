//! When the routes in a router's kernel change, as the kernel tells it.

use std::collections::BTreeSet;
use std::fs;
use std::net::IpAddr;
use std::path::Path;
use std::time::{Duration, SystemTime};

use anyhow::{Context, Result};

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
fn moment(stamp: &str) -> Option<SystemTime> {
    let (date, time) = stamp.split_once('T')?;
    let (time, micros) = time.split_once('.')?;
    let numbers = |text: &str, sign| text.split(sign).map(|word| word.parse::<u64>().ok()).collect::<Option<Vec<_>>>();
    let (date, time) = (numbers(date, '-')?, numbers(time, ':')?);
    let (&[year, month, day], &[hour, minute, second]) = (date.as_slice(), time.as_slice()) else { return None };
    // The year begins in March, so that the day that is not always there is its last.
    let (year, month) = if month > 2 { (year, month - 3) } else { (year - 1, month + 9) };
    let days = year * 365 + year / 4 - year / 100 + year / 400 + (month * 153 + 2) / 5 + day;
    // Counted the same way, 1970-01-01 is day 719 469.
    let seconds = (days.checked_sub(719_469)? * 24 + hour) * 3600 + minute * 60 + second;
    Some(SystemTime::UNIX_EPOCH + Duration::from_secs(seconds) + Duration::from_micros(micros.parse().ok()?))
}

#[cfg(test)]
mod tests {
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

    #[test]
    fn moments_are_counted_from_1970() {
        let rows = [
            ("1970-01-01T00:00:00.000000", 0),
            ("1999-12-31T23:59:59.000000", 946_684_799),
            ("2000-02-29T00:00:00.000000", 951_782_400),
            ("2026-03-01T00:00:01.000000", 1_772_323_201),
        ];
        for (stamp, seconds) in rows {
            assert_eq!(moment(stamp), Some(SystemTime::UNIX_EPOCH + Duration::from_secs(seconds)), "{stamp}");
        }
        assert_eq!(moment("yesterday"), None);
    }
}
