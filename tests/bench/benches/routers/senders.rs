//! 100,000 routes to one BIRD, from our driver, from GoBGP and from another BIRD: how long from the session's beginning until the router
//! counts all, and what they cost the sender in memory.

use std::fs;
use std::net::IpAddr;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use ironlb_bench::row;
use ironlb_lab::router::PeerSession;
use ironlb_lab::{Neighbour, Network, Router, RouterConfig};

use crate::sender::{ASN, Sender, memory};
use crate::{ROUTES, mrt, prefixes};

/// Longer than any of it takes, on a machine that does something else as well.
const PATIENCE: Duration = Duration::from_secs(60);
/// Between two looks at the router, which cost it a fifth of a millisecond.
const LOOK: Duration = Duration::from_millis(2);
/// More than GoBGP's command loses at the end of a file.
const UNHEARD: u32 = 5_000;
/// Of each sender the best counts: what else runs on the machine only adds.
const ROUNDS: usize = 3;

/// A GoBGP that is as quick would be a surprise; a BIRD that is far quicker would be a fault of ours. Chosen.
const TIME_BARS: [(Who, f64); 2] = [(Who::GoBgp, 1.0), (Who::Bird, 2.0)];
const MEMORY_BARS: [(Who, f64); 2] = [(Who::GoBgp, 0.5), (Who::Bird, 2.0)];
/// What 10,000 routes may add to one session, in MiB. Chosen: a twentieth of the speaker's bar for so many Services.
const MEMORY_BAR: f64 = 3.0;

/// Who sends, beside us.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Who {
    GoBgp,
    Bird,
}

/// What one sender needs.
#[derive(Debug, Clone, Copy)]
struct Cost {
    time: Duration,
    memory: f64,
}

pub(crate) async fn compare(network: &Network) -> Result<bool> {
    let [receiver, gobgp, bird] = [1, 2, 3].map(|number| network.router(number));
    let own = IpAddr::from([192, 168, 0, 1]);
    let mut kept = true;

    // Ours from the beginning: without routes, and with them.
    let mut sender = Sender::start(&network.host(1), receiver.ipv4())?;
    sender.advertise(0)?;
    listen(receiver, own).await?;
    established(receiver).await?;
    let before = memory(sender.id())?;
    sender.advertise(ROUTES)?;
    counted(receiver).await?;
    let added = (memory(sender.id())? - before) / (f64::from(ROUTES) / 10_000.0);
    let told = format!("{added:.2} MiB");
    kept &= row("BGP: memory for 10,000 routes to one peer", &told, &format!("{MEMORY_BAR} MiB"), added <= MEMORY_BAR);

    let neighbour = || Neighbour { hold_time: 90, ..Neighbour::new(receiver.ipv4(), ASN[1]) };
    gobgp.start(RouterConfig::new(ASN[0]).neighbour(neighbour())).await?;
    let file = std::path::Path::new("/run/lab/routes.mrt");
    // GoBGP 3.10's command ends before the last hundreds have been taken (measured), so that those are some that it has already.
    let all = prefixes(ROUTES).chain(prefixes(UNHEARD));
    fs::write(file, mrt::dump(all, 65099, gobgp.ipv4())?)?;
    gobgp.order(&["mrt", "inject", "global", &file.display().to_string()]).await?;
    let own_routes = prefixes(ROUTES).map(|address| format!("{address}/32"));
    let config = own_routes.fold(RouterConfig::new(ASN[0]), |config, prefix| config.originate(&prefix));
    bird.start(config.neighbour(neighbour())).await?;

    let ironlb = cost(receiver, own, sender.id()).await.context("ironlb")?;
    let others = [
        (Who::GoBgp, cost(receiver, gobgp.ipv4().into(), gobgp.process_of("gobgpd")?).await.context("GoBGP")?),
        (Who::Bird, cost(receiver, bird.ipv4().into(), bird.process_of("bird")?).await.context("BIRD")?),
    ];
    for (who, bar) in TIME_BARS {
        let (_, other) = others.iter().find(|(other, _)| *other == who).context("measured")?;
        let ratio = ironlb.time.as_secs_f64() / other.time.as_secs_f64();
        let told = format!("{ratio:.2} x ({:.0?} against {:.0?})", ironlb.time, other.time);
        kept &= row(&format!("100,000 routes to BIRD: time against {who:?}"), &told, &format!("{bar} x"), ratio <= bar);
    }
    for (who, bar) in MEMORY_BARS {
        let (_, other) = others.iter().find(|(other, _)| *other == who).context("measured")?;
        let ratio = ironlb.memory / other.memory;
        let told = format!("{ratio:.2} x ({:.0} against {:.0} MiB)", ironlb.memory, other.memory);
        kept &=
            row(&format!("100,000 routes to BIRD: memory against {who:?}"), &told, &format!("{bar} x"), ratio <= bar);
    }
    for router in [receiver, gobgp, bird] {
        router.stop().await?;
    }
    Ok(kept)
}

/// A BIRD that knows nothing takes all routes from this sender, several times.
async fn cost(receiver: &Router, sender: IpAddr, process: u32) -> Result<Cost> {
    let mut times = Vec::new();
    for _ in 0..ROUNDS {
        listen(receiver, sender).await?;
        let begun = established(receiver).await?;
        times.push(counted(receiver).await?.duration_since(begun));
    }
    let memory = memory(process)?;
    println!("  100,000 routes from {sender}: {times:.0?}, {memory:.0} MiB");
    Ok(Cost { time: times.into_iter().min().context("a round")?, memory })
}

/// Starts the router anew, with one neighbour. It writes nothing into the kernel, which would be measured as well.
async fn listen(receiver: &Router, sender: IpAddr) -> Result<()> {
    let neighbour = Neighbour { hold_time: 90, extra: "disabled;".to_owned(), ..Neighbour::new(sender, ASN[0]) };
    receiver.start(RouterConfig::new(ASN[1]).neighbour(neighbour)).await?;
    receiver.order(&["disable", "kernel_ipv4"]).await?;
    receiver.order(&["enable", "n1"]).await.map(drop)
}

/// When the session was last seen not to be up.
async fn established(receiver: &Router) -> Result<Instant> {
    let mut last = Instant::now();
    looks(receiver, "a session", |session, now| {
        if !session.is_established {
            last = now;
        }
        session.is_established
    })
    .await?;
    Ok(last)
}

/// When all routes were there.
async fn counted(receiver: &Router) -> Result<Instant> {
    looks(receiver, "all routes", |session, _| session.prefixes == u64::from(ROUTES)).await
}

/// Looks at the session until it is as wanted; gives when that was seen.
async fn looks(receiver: &Router, what: &str, mut is_so: impl FnMut(&PeerSession, Instant) -> bool) -> Result<Instant> {
    let begun = Instant::now();
    loop {
        let asked = Instant::now();
        let sessions = receiver.sessions().await?;
        let session = sessions.first().context("BIRD was told of nobody")?;
        if is_so(session, asked) {
            return Ok(Instant::now());
        }
        ensure!(begun.elapsed() < PATIENCE, "waited for {what}: {}", session.details);
        tokio::time::sleep(LOOK).await;
    }
}
