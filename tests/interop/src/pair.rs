//! Two drivers of BFD with many sessions between them, and what they cost.

use std::time::Duration;

use anyhow::{Context, Result};
use ironlb_bfd_proto::{Config, Path};
use ironlb_lab::Network;

use crate::Watcher;

/// Starts a driver in each of two hosts of the LAN, with so many sessions between them, called `1`, `2`, ...
///
/// Each session has an address of its own at both ends, as if each were another router's.
///
/// # Errors
/// An address is there already, or no thread is left.
///
/// # Panics
/// Outside a tokio runtime.
pub async fn pair(network: &Network, hosts: [usize; 2], sessions: u8, config: &Config) -> Result<[Watcher; 2]> {
    let [one, other] = hosts;
    // Networks that nothing else in the lab has.
    let network_of = |host: usize| u8::try_from(host + 28).context("a host of the LAN");
    let mut watchers = Vec::new();
    for (host, peer) in [(one, other), (other, one)] {
        let (netns, own, far) = (network.host(host), network_of(host)?, network_of(peer)?);
        let each = format!("for i in $(seq {sessions}); do ip address replace 10.{own}.0.$i/32 dev eth0; done");
        netns.exec(&["sh", "-c", &each]).await?;
        let (to, via) = (format!("10.{far}.0.0/24"), format!("192.168.0.{peer}"));
        netns.exec(&["ip", "route", "replace", &to, "via", &via]).await?;
        let watcher = Watcher::start(&netns)?;
        watcher.set((1..=sessions).map(|number| {
            let (local, remote) = ([10, own, 0, number].into(), [10, far, 0, number].into());
            (number.to_string(), Path { remote, local: Some(local), interface: None }, config.clone())
        }));
        watchers.push(watcher);
    }
    <[Watcher; 2]>::try_from(watchers).ok().context("two ends")
}

/// What the threads of all BFD drivers of this process have used of the cores.
///
/// # Errors
/// The kernel does not tell.
pub fn processor_time() -> Result<Duration> {
    let mut ticks = 0;
    for task in std::fs::read_dir("/proc/self/task")?.flatten() {
        // One may end while it is looked at.
        let read = |name: &str| std::fs::read_to_string(task.path().join(name)).unwrap_or_default();
        if read("comm").trim() == "bfd" {
            let stat = read("stat");
            // utime and stime, the 12th and 13th behind the name in brackets; a tick is 10 ms on every architecture (USER_HZ).
            let numbers = stat.rsplit(')').next().unwrap_or_default().split_whitespace().skip(11).take(2);
            ticks += numbers.filter_map(|number| number.parse::<u64>().ok()).sum::<u64>();
        }
    }
    Ok(Duration::from_millis(10 * ticks))
}
