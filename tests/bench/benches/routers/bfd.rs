//! Fifty sessions of BFD, 3 x 50 ms: what they cost, and how long after a cut each says that its path is down.

use std::num::NonZeroU8;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use ironlb_bench::row;
use ironlb_bfd_proto::{Config, Interval};
use ironlb_bgp_proto::BfdState;
use ironlb_interop::{Watcher, pair, processor_time};
use ironlb_lab::netns::SWITCH;
use ironlb_lab::{Netns, Network};

const SESSIONS: u8 = 50;
/// As often is the cable pulled; each time each session is one case.
const CUTS: u32 = 10;
/// How long the cost at rest is watched.
const MEASURED: Duration = Duration::from_secs(5);
const PATIENCE: Duration = Duration::from_secs(30);
/// Of one core, for one end: 1,000 packets a second each way. Chosen, twice of what was measured with both cores busy.
const PROCESSOR_BAR: f64 = 8.0;
/// The path is down when nothing came for three intervals of 50 ms; the last packet came up to one interval before the cut.
const MEDIAN_BAR: Duration = Duration::from_millis(150);
/// What 150 ms may become with both cores busy: the switch takes a few to be told, and threads a few to be woken. Chosen.
const P99_BAR: Duration = Duration::from_millis(175);
/// What the project promises behind BIRD.
const WORST_BAR: Duration = Duration::from_millis(200);

pub(crate) async fn fifty(network: &Network) -> Result<bool> {
    let interval = Interval::from_millis(50).context("an interval of 0")?;
    let config = Config::single_hop(interval, NonZeroU8::new(3).context("a multiplier of 0")?);
    let [one, other] = pair(network, [2, 3], SESSIONS, &config).await?;
    up(&one).await?;
    up(&other).await?;
    let before = (processor_time()?, downs(&one));
    let begun = Instant::now();
    tokio::time::sleep(MEASURED).await;
    let used = processor_time()?.saturating_sub(before.0).as_secs_f64() / begun.elapsed().as_secs_f64();
    let percent = 100.0 * used / 2.0;
    let told = format!("{percent:.1} % of a core");
    let mut kept = row("BFD, 50 sessions x 50 ms", &told, &format!("{PROCESSOR_BAR} %"), percent <= PROCESSOR_BAR);
    let flaps = downs(&one) - before.1;
    kept &= row("BFD, 50 sessions x 3 x 50 ms: taken for down without a cut", &flaps.to_string(), "0", flaps == 0);

    let switch = Netns::named(SWITCH);
    let mut times = Vec::new();
    for _ in 0..CUTS {
        let begun = Instant::now();
        switch.exec(&["ip", "link", "set", "n3", "down"]).await?;
        for session in names() {
            let down = one.reaches(&session, "down", PATIENCE, |seen| seen.bfd == BfdState::Down).await?;
            // Before: it went down by itself in between, which is a flap.
            ensure!(down.at > begun, "{session} was down before the cut");
            times.push(down.at.duration_since(begun));
        }
        switch.exec(&["ip", "link", "set", "n3", "up"]).await?;
        up(&one).await?;
        up(&other).await?;
    }
    times.sort_unstable();
    let at = |share: usize| times.get(times.len() * share / 100).or(times.last()).copied().unwrap_or_default();
    let (least, worst) = (at(0), at(100));
    println!("  {} cases: least {least:.0?}", times.len());
    for (what, time, bar) in
        [("median", at(50), MEDIAN_BAR), ("99 of 100", at(99), P99_BAR), ("worst", worst, WORST_BAR)]
    {
        let what = format!("BFD 3 x 50 ms, {} cases: from the cut to down, {what}", times.len());
        kept &= row(&what, &format!("{time:.1?}"), &format!("{bar:.0?}"), time <= bar);
    }
    Ok(kept)
}

fn names() -> impl Iterator<Item = String> {
    (1..=SESSIONS).map(|number| number.to_string())
}

/// Waits until every session is up and as quick as it is to be.
async fn up(watcher: &Watcher) -> Result<()> {
    for session in names() {
        let is_quick = |seen: &ironlb_interop::Seen| {
            seen.bfd == BfdState::Up && seen.status.detection_time == Some(Duration::from_millis(150))
        };
        watcher.reaches(&session, "up", PATIENCE, is_quick).await?;
    }
    Ok(())
}

/// How often sessions have gone down.
fn downs(watcher: &Watcher) -> u64 {
    names().filter_map(|session| Some(watcher.seen(&session).last()?.status.downs)).sum()
}
