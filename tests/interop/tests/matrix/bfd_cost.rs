//! What fifty sessions of BFD cost, how soon silence is told, and what a flood does.

use std::net::UdpSocket;
use std::time::{Duration, Instant};

use anyhow::{Result, ensure};
use ironlb_bfd_proto::{Config, Path};
use ironlb_bgp_proto::BfdState;
use ironlb_interop::{Seen, Watcher, pair, processor_time};
use ironlb_lab::Network;

use crate::Report;
use crate::bfd::{PATIENCE, ms, plain};

/// Two routers on each of 25 nodes' uplinks would be a large fabric; a node has two.
const SESSIONS: u8 = 50;
const MEASURED: Duration = Duration::from_secs(3);
/// How long a flood lasts: several Detection Times.
const FLOOD: Duration = Duration::from_secs(1);
/// How many floods from afar may find the sessions down for another reason.
const ROUNDS: u32 = 4;
/// Of one core, for one end; in a build without optimisation, and loose, because others use the cores. Measured: 4 to 6 %.
const BAR: f64 = 20.0;

pub(crate) async fn of_fifty_sessions(network: &Network, report: &mut Report) -> Result<()> {
    let [one, two] = pair(network, [2, 3], SESSIONS, &plain(50, 50)?).await?;
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
    ensure!(most < 5000, "{took:?}");
    report.row(&format!(
        "BFD {SESSIONS} sessions x 50 ms fall silent: told after {least}, {middle}, {most} ms (least, middle, most)"
    ));
    Ok(())
}

/// Somebody sends as many packets as the machine takes to the port of BFD. From afar they cost nothing, and a session of 3 x 50 ms stays
/// up. On the link, with the right TTL, they can fill its queue, which is told and not asserted; half of a core is left to others.
pub(crate) async fn under_a_flood(network: &Network, report: &mut Report) -> Result<()> {
    let session = |remote: [u8; 4]| -> Result<[(String, Path, Config); 1]> {
        let path = Path { remote: remote.into(), local: None, interface: None };
        Ok([("peer".to_owned(), path, plain(50, 50)?)])
    };
    let (one, two) = (Watcher::start(&network.host(2))?, Watcher::start(&network.host(3))?);
    one.set(session([192, 168, 0, 3])?);
    two.set(session([192, 168, 0, 2])?);
    let downs =
        || -> [u64; 2] { [&one, &two].map(|watcher| watcher.seen("peer").last().map_or(0, |last| last.status.downs)) };
    let mut rounds_left = ROUNDS;
    let mut ttls = vec![255, 64];
    while let Some(ttl) = ttls.pop() {
        for watcher in [&one, &two] {
            let fast = |seen: &Seen| seen.bfd == BfdState::Up && seen.status.detection_time == Some(ms(150));
            watcher.reaches("peer", "up", PATIENCE, fast).await?;
        }
        let (begin, downs_before) = (Instant::now(), downs());
        let before = processor_time()?;
        let flood = network.host(1).spawn(move || flood(ttl))?;
        let sent =
            tokio::task::spawn_blocking(move || flood.join()).await?.map_err(|_| anyhow::anyhow!("a panic"))???;
        let used = processor_time()?.saturating_sub(before).as_secs_f64() / begin.elapsed().as_secs_f64();
        let flaps = downs()[0] + downs()[1] - downs_before[0] - downs_before[1];
        let percent = 100.0 * used;
        let (bar, place) = if ttl == 255 { (70.0, "on the link") } else { (5.0, "from afar") };
        ensure!(percent < bar, "{percent:.0} % of a core");
        if ttl != 255 && flaps > 0 {
            // A machine that stands still for 150 ms ends them, too; not each time.
            ensure!(rounds_left > 0, "it flapped in each flood");
            rounds_left -= 1;
            ttls.push(ttl);
            continue;
        }
        report
            .row(&format!("BFD in a flood {place}: {sent} packets a second, {percent:.0} % of a core, {flaps} flaps"));
    }
    Ok(())
}

fn flood(ttl: u32) -> std::io::Result<u64> {
    let socket = UdpSocket::bind((std::net::Ipv4Addr::UNSPECIFIED, 50_000))?;
    socket.set_ttl(ttl)?;
    let begin = Instant::now();
    let mut sent = 0;
    while begin.elapsed() < FLOOD {
        for _ in 0..100 {
            // Well formed, for a session that does not exist.
            let packet = [0x20, 0xc0, 3, 24, 1, 2, 3, 4, 5, 6, 7, 8, 0, 0, 195, 80, 0, 0, 195, 80, 0, 0, 0, 0];
            // Queues are full at times.
            sent += u64::from(socket.send_to(&packet, ("192.168.0.2", 3784)).is_ok());
        }
    }
    Ok(sent / FLOOD.as_secs())
}
