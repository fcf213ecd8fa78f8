//! What fifty sessions of BFD cost, and how soon silence is told.

use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use ironlb_bfd_proto::{Config, Path};
use ironlb_bgp_proto::BfdState;
use ironlb_interop::Watcher;
use ironlb_lab::Network;

use crate::Report;
use crate::bfd::{PATIENCE, ms, plain};

/// Two routers on each of 25 nodes' uplinks would be a large fabric; a node has two.
const SESSIONS: u8 = 50;
const MEASURED: Duration = Duration::from_secs(3);
/// Of one core, for one end; in a build without optimisation, and loose, because others use the cores. Measured: 4 to 6 %.
const BAR: f64 = 20.0;

pub(crate) async fn of_fifty_sessions(network: &Network, report: &mut Report) -> Result<()> {
    let mut ends = Vec::new();
    for (host, own, other) in [(2, 30, 31), (3, 31, 30)] {
        let netns = network.host(host);
        let each = format!("for i in $(seq {SESSIONS}); do ip address add 10.{own}.0.$i/32 dev eth0; done");
        netns.exec(&["sh", "-c", &each]).await?;
        let via = format!("192.168.0.{}", if host == 2 { 3 } else { 2 });
        netns.exec(&["ip", "route", "add", &format!("10.{other}.0.0/24"), "via", &via]).await?;
        ends.push((netns, own, other));
    }
    let session = |number: u8, own: u8, other: u8| -> Result<(String, Path, Config)> {
        let (local, remote) = ([10, own, 0, number].into(), [10, other, 0, number].into());
        Ok((format!("{number}"), Path { remote, local: Some(local), interface: None }, plain(50, 50)?))
    };
    let watchers = ends.into_iter().map(|(netns, own, other)| -> Result<Watcher> {
        let watcher = Watcher::start(&netns)?;
        let all: Result<Vec<_>> = (1..=SESSIONS).map(|number| session(number, own, other)).collect();
        watcher.set(all?);
        Ok(watcher)
    });
    let [one, two] = <[Watcher; 2]>::try_from(watchers.collect::<Result<Vec<_>>>()?).ok().context("two ends")?;
    for number in 1..=SESSIONS {
        one.reaches(&number.to_string(), "up", PATIENCE, |seen| {
            seen.bfd == BfdState::Up && seen.status.detection_time == Some(ms(150))
        })
        .await?;
    }
    let (begin, before) = (Instant::now(), processor_time()?);
    tokio::time::sleep(MEASURED).await;
    let used = processor_time()?.saturating_sub(before).as_secs_f64() / begin.elapsed().as_secs_f64();
    let percent = 100.0 * used / 2.0;
    ensure!(percent < BAR, "{percent:.1} % of a core");
    report.row(&format!("BFD {SESSIONS} sessions x 50 ms: {percent:.1} % of a core for one end"));
    let begin = Instant::now();
    drop(two);
    let mut took = Vec::new();
    for number in 1..=SESSIONS {
        let down = one.reaches(&number.to_string(), "down", PATIENCE, |seen| seen.bfd == BfdState::Down).await?;
        took.push(down.at.duration_since(begin).as_millis());
    }
    took.sort_unstable();
    let (least, middle, most) = (took[0], took[took.len() / 2], took[took.len() - 1]);
    ensure!(most < 1000, "{took:?}");
    report.row(&format!(
        "BFD {SESSIONS} sessions x 50 ms fall silent: told after {least}, {middle}, {most} ms (least, middle, most)"
    ));
    Ok(())
}

/// What the threads of all BFD drivers of this process have used of the cores.
fn processor_time() -> Result<Duration> {
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
