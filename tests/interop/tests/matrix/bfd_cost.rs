//! What fifty sessions of BFD cost, how soon silence is told, and what a flood does.

use std::net::UdpSocket;
use std::time::{Duration, Instant};

use anyhow::{Result, ensure};
use ironlb_bfd_proto::{Config, Path};
use ironlb_bgp_proto::BfdState;
use ironlb_interop::{Seen, Watcher, pair, processor_time};
use ironlb_lab::{Metronome, Network};

use crate::Report;
use crate::bfd::{CALM_WITHIN, PATIENCE, STILL, ms, plain};

/// Two routers on each of 25 nodes' uplinks would be a large fabric; a node has two.
const SESSIONS: u8 = 50;
const MEASURED: Duration = Duration::from_secs(3);
/// How long a flood lasts: several Detection Times.
const FLOOD: Duration = Duration::from_secs(1);
/// Of one core, for one end; in a build without optimisation, and loose, because others use the cores. Measured: 4 to 6 %.
const BAR: f64 = 20.0;

pub(crate) async fn of_fifty_sessions(network: &Network, metronome: &Metronome, report: &mut Report) -> Result<()> {
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
    let stood_still = metronome.sum_since(begin);
    ensure!(most < 1000 + stood_still.as_millis(), "{took:?}, and the machine stood still for {stood_still:?}");
    report.row(&format!(
        "BFD {SESSIONS} sessions x 50 ms fall silent: told after {least}, {middle}, {most} ms (least, middle, most)"
    ));
    Ok(())
}

/// Somebody sends as many packets as the machine takes to the port of BFD. From afar they cost nothing, and a session of 3 x 50 ms stays
/// up. On the link, with the right TTL, they can fill its queue, which is told and not asserted; half of a core is left to others.
pub(crate) async fn under_a_flood(network: &Network, metronome: &Metronome, report: &mut Report) -> Result<()> {
    let session = |remote: [u8; 4]| -> Result<[(String, Path, Config); 1]> {
        let path = Path { remote: remote.into(), local: None, interface: None };
        Ok([("peer".to_owned(), path, plain(50, 50)?)])
    };
    let (one, two) = (Watcher::start(&network.host(2))?, Watcher::start(&network.host(3))?);
    one.set(session([192, 168, 0, 3])?);
    two.set(session([192, 168, 0, 2])?);
    let downs = || -> u64 { [&one, &two].iter().filter_map(|end| Some(end.seen("peer").last()?.status.downs)).sum() };
    for (ttl, place, bar) in [(64, "from afar", 5.0), (255, "on the link", 70.0)] {
        let hold = async || {
            for watcher in [&one, &two] {
                let fast = |seen: &Seen| seen.bfd == BfdState::Up && seen.status.detection_time == Some(ms(150));
                watcher.reaches("peer", "up", PATIENCE, fast).await?;
            }
            let before = downs();
            let flooded = flooded(network, ttl, bar).await?;
            let flaps = downs() - before;
            ensure!(ttl == 255 || flaps == 0, "{flaps} flaps in a flood {place} of {}", flooded.packets);
            Ok((flooded, flaps))
        };
        let (Flooded { packets, percent }, flaps) = metronome.again_where_still(STILL, CALM_WITHIN, hold).await?;
        report.row(&format!(
            "BFD in a flood {place}: {packets} packets a second, {percent:.0} % of a core, {flaps} flaps"
        ));
    }
    Ok(())
}

/// What a flood was, and what it cost.
struct Flooded {
    /// In a second.
    packets: u64,
    /// Of a core.
    percent: f64,
}

async fn flooded(network: &Network, ttl: u32, bar: f64) -> Result<Flooded> {
    let (begin, before) = (Instant::now(), processor_time()?);
    let flood = network.host(1).spawn(move || flood(ttl))?;
    let packets =
        tokio::task::spawn_blocking(move || flood.join()).await?.map_err(|_| anyhow::anyhow!("a panic"))???;
    let used = processor_time()?.saturating_sub(before).as_secs_f64() / begin.elapsed().as_secs_f64();
    let percent = 100.0 * used;
    ensure!(percent < bar, "{percent:.0} % of a core");
    Ok(Flooded { packets, percent })
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
