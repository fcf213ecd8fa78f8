//! BFD through the driver: with FRR's bfdd and BIRD, and between two drivers on a machine that is busy.

use std::net::IpAddr;
use std::num::NonZeroU8;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use futures::future::try_join_all;
use ironlb_bfd_proto::authentication::{Authentication, Key};
use ironlb_bfd_proto::{Cause, Config, Hops, Interval, Path, State};
use ironlb_bgp_proto::BfdState;
use ironlb_interop::{Seen, Watcher};
use ironlb_lab::router::BfdSession;
use ironlb_lab::{Bfd, BfdPeer, Metronome, Netns, Network, Router, RouterConfig, Software, wait_for};

use crate::Report;

pub(crate) const PATIENCE: Duration = Duration::from_secs(30);
/// A machine that stands still for so long ends sessions of 3 x 50 ms: the last packet may be 50 ms old, and the next one is late.
pub(crate) const STILL: Duration = Duration::from_millis(50);
/// How long what that spoils is begun anew. Chosen: many seconds that are not all spoilt.
pub(crate) const CALM_WITHIN: Duration = Duration::from_secs(60);
const PASSWORD: &str = "open sesame";
/// Milliseconds: the least interval that both routers can be given.
const FASTEST: u32 = 10;

/// One of our sessions, and the router at its other end.
struct End<'a> {
    name: String,
    router: &'a Router,
    path: Path,
    /// Our address, by which the router knows the session.
    own: IpAddr,
    hops: Hops,
    is_signed: bool,
    /// The interval that the router wants both ways.
    wants_ms: u32,
}

pub(crate) async fn with_routers(network: &Network, metronome: &Metronome, report: &mut Report) -> Result<()> {
    converse(network, metronome, report).await?;
    holds_while_busy(network, metronome, report).await
}

/// The link-local address that the kernel makes out of a host's MAC address.
fn link_local(number: u8) -> IpAddr {
    IpAddr::from([0xfe80, 0, 0, 0, 0, 0xff, 0xfe00, u16::from(number)])
}

async fn converse(network: &Network, metronome: &Metronome, report: &mut Report) -> Result<()> {
    let [frr, bird] = [1, 2].map(|number| network.router(number));
    let (own4, own6): (IpAddr, IpAddr) = ([192, 168, 0, 1].into(), "fd00::1".parse()?);
    // Of its own, so that what a router shows of the session over several hops is not taken for the other one's.
    let own_far: IpAddr = [192, 168, 0, 101].into();
    let host = network.host(1);
    host.exec(&["ip", "address", "add", "192.168.0.101/24", "dev", "eth0"]).await?;
    let near = [own4, own6, link_local(1)].map(|address| BfdPeer {
        address,
        bfd: Bfd::each(50, 3),
        multihop: false,
        password: None,
    });
    let hears = |password: Option<&str>| {
        let password = password.map(str::to_owned);
        let far = BfdPeer { address: own_far, bfd: Bfd::each(FASTEST, 3), multihop: true, password };
        near.iter().cloned().fold(RouterConfig::new(65000), RouterConfig::bfd_peer).bfd_peer(far)
    };
    tokio::try_join!(frr.start(hears(None)), bird.start(hears(Some(PASSWORD))))?;
    let told = host.exec(&["ip", "-o", "link", "show", "dev", "eth0"]).await?;
    let interface: u32 = told.split(':').next().unwrap_or_default().parse().context(told.clone())?;
    let mut ends = Vec::new();
    // FRR sends with 255 over several hops too, BIRD with what the kernel has, 64.
    for (word, router, number, minimum_ttl) in [("FRR", frr, 0xf1, 255), ("BIRD", bird, 0xf2, 64)] {
        let end = |name: &str, remote: IpAddr, own| End {
            name: format!("{word} {name}"),
            router,
            path: Path { remote, local: None, interface: None },
            own,
            hops: Hops::Single,
            is_signed: false,
            wants_ms: 50,
        };
        ends.push(end("IPv4", router.ipv4().into(), own4));
        ends.push(end("IPv6", router.ipv6().into(), own6));
        let local = end("link-local", link_local(number), link_local(1));
        ends.push(End { path: Path { interface: Some(interface), ..local.path }, ..local });
        let far = end("multihop", router.ipv4().into(), own_far);
        let path = Path { local: Some(own_far), ..far.path };
        ends.push(End {
            path,
            hops: Hops::Multi { minimum_ttl },
            is_signed: router.software() == Software::Bird,
            wants_ms: FASTEST,
            ..far
        });
    }
    let watcher = Watcher::start(&host)?;
    let configured = |tx, rx| -> Result<Vec<_>> {
        let each = |end: &End<'_>| Ok((end.name.clone(), end.path.clone(), config(end, tx, rx)?));
        ends.iter().map(each).collect()
    };
    watcher.set(configured(50, 50)?);
    for end in &ends {
        up(&watcher, end).await?;
        shown(end, "up", |session| session.is_up && negotiated(end, session, (50, 50))).await?;
        report.row(&format!("BFD {}{}: up", end.name, if end.is_signed { ", keyed SHA1" } else { "" }));
    }
    // Where it may be 30 ms, a busy machine is silent for longer now and then.
    let usual = || ends.iter().filter(|end| end.wants_ms > FASTEST);
    let flaps = || -> u64 { usual().filter_map(|end| Some(watcher.seen(&end.name).last()?.status.downs)).sum() };
    // Intervals change both ways, by Poll Sequences, and nobody goes down.
    let change = async || {
        let before = flaps();
        for (tx, rx) in [(100, 200), (1000, 1000), (10, 10), (50, 50)] {
            watcher.set(configured(tx, rx)?);
            try_join_all(ends.iter().map(async |end| agree(&watcher, end, tx, rx).await)).await?;
        }
        let seen = || usual().map(|end| (&end.name, watcher.seen(&end.name))).collect::<Vec<_>>();
        ensure!(flaps() == before, "they flapped: {:?}", seen());
        Ok(())
    };
    metronome.again_where_still(STILL, CALM_WITHIN, change).await?;
    report.row("BFD with FRR and BIRD: 100/200, 1000/1000, 10/10, 50/50 ms agreed, and no flap at 50 ms or more");
    on_purpose(&watcher, &ends, &configured(50, 50)?).await?;
    report.row("BFD with FRR and BIRD: taken away on purpose, told to the router, and back");
    // Not the link's own, which both may hold: one at a time is killed.
    for router in [frr, bird] {
        // Before it is killed and after, the fastest one may fall to less than what others do.
        let kill = async || killed(&watcher, &ends, router, metronome).await;
        let slowest = metronome.again_where_still(ms(FASTEST), CALM_WITHIN, kill).await?;
        let (software, slowest) = (router.software(), slowest.as_millis());
        report.row(&format!("BFD {software:?} killed: 3 x 50 ms found after {slowest} ms, and back"));
    }
    // For a restart of ours.
    watcher.admin_down().await;
    for end in &ends {
        shown(end, "down", |session| !session.is_up).await?;
    }
    report.row("BFD with FRR and BIRD: admin down before a restart");
    tokio::try_join!(frr.stop(), bird.stop()).map(drop)
}

pub(crate) fn ms(millis: u32) -> Duration {
    Duration::from_millis(millis.into())
}

fn config(end: &End<'_>, tx_ms: u32, rx_ms: u32) -> Result<Config> {
    let key = Key::new(1, PASSWORD.as_bytes())?;
    let authentication = end.is_signed.then_some(Authentication { key, meticulous: true });
    Ok(Config { hops: end.hops, authentication, ..plain(tx_ms, rx_ms)? })
}

pub(crate) fn plain(tx_ms: u32, rx_ms: u32) -> Result<Config> {
    let interval = |millis| Interval::from_millis(millis).context("an interval of 0");
    let multiplier = NonZeroU8::new(3).context("a multiplier of 0")?;
    Ok(Config { required_min_rx: interval(rx_ms)?, ..Config::single_hop(interval(tx_ms)?, multiplier) })
}

/// Both ends come to what follows from these wishes of ours.
async fn agree(watcher: &Watcher, end: &End<'_>, tx: u32, rx: u32) -> Result<()> {
    shown(end, &format!("{tx} and {rx} ms"), |session| session.is_up && negotiated(end, session, (tx, rx))).await?;
    let wanted = (Some(ms(tx.max(end.wants_ms))), Some(ms(3 * rx.max(end.wants_ms))));
    let is_so = |seen: &Seen| (seen.status.transmit_interval, seen.status.detection_time) == wanted;
    watcher.reaches(&end.name, "agreed", PATIENCE, is_so).await.map(drop)
}

async fn up(watcher: &Watcher, end: &End<'_>) -> Result<()> {
    watcher.reaches(&end.name, "up", PATIENCE, |seen| seen.bfd == BfdState::Up).await.map(drop)
}

/// Does the router show what follows from what both want?
fn negotiated(end: &End<'_>, session: &BfdSession, (tx, rx): (u32, u32)) -> bool {
    let as_told = session.remote.is_none_or(|remote| remote == (tx, rx, 3));
    // BIRD shows what came of it: how often it sends, and how long we may be silent.
    let (transmits, silent) = (rx.max(end.wants_ms), 3 * tx.max(end.wants_ms));
    let as_used = session.detection_ms.is_none_or(|time| time == silent && session.transmit_ms == transmits);
    as_told && as_used
}

/// Waits until the router shows our session so.
async fn shown(end: &End<'_>, what: &str, is_so: impl Fn(&BfdSession) -> bool) -> Result<()> {
    let router = end.router;
    wait_for(PATIENCE, &format!("{:?} to show {} {what}", router.software(), end.name), || async {
        let all = router.bfd_sessions().await?;
        let ours: Vec<_> = all.iter().filter(|session| session.peer == end.own).collect();
        ensure!(!ours.is_empty() && ours.iter().all(|session| is_so(session)), "{all:?}");
        Ok(Some(()))
    })
    .await
}

type Configured = (String, Path, Config);

/// Sessions that are no more wanted are told as such, and routers that hold theirs down break nothing of ours.
async fn on_purpose(watcher: &Watcher, ends: &[End<'_>], all: &[Configured]) -> Result<()> {
    watcher.set([]);
    for end in ends {
        shown(end, "down", |session| !session.is_up).await?;
    }
    let frr = ends.first().context("no session")?;
    let all_sessions = frr.router.bfd_sessions().await?;
    let told = |session: &BfdSession| session.diagnostics.as_ref().is_some_and(|(_, remote)| remote.contains("admin"));
    ensure!(all_sessions.iter().all(told), "FRR was not told why: {all_sessions:?}");
    watcher.set(all.to_vec());
    for end in ends {
        up(watcher, end).await?;
        shown(end, "up again", |session| session.is_up).await?;
    }
    let own = frr.own;
    let at_frr = |word: &str| {
        format!("configure terminal\nbfd\npeer {own} local-address {} interface eth0\n{word}", frr.path.remote)
    };
    frr.router.cli(&at_frr("shutdown")).await?;
    let held =
        watcher.reaches(&frr.name, "held down by FRR", PATIENCE, |seen| seen.status.state == State::Down).await?;
    ensure!(held.bfd == BfdState::Unknown, "taken for a failure: {held:?}");
    ensure!(held.status.last_down.map(|(cause, _)| cause) == Some(Cause::NeighborAdminDown), "{held:?}");
    frr.router.cli(&at_frr("no shutdown")).await?;
    up(watcher, frr).await
}

/// Its silence is found in all its sessions, in not much more than the Detection Time; and it comes back. Gives the slowest one.
async fn killed(watcher: &Watcher, ends: &[End<'_>], router: &Router, metronome: &Metronome) -> Result<Duration> {
    let of_router = || ends.iter().filter(|end| end.router.name() == router.name());
    for end in of_router() {
        up(watcher, end).await?;
    }
    let begin = Instant::now();
    router.kill()?;
    let outcome = silent(watcher, of_router(), begin).await;
    // 150 ms if the machine has nothing else to do than to end a program.
    let stood_still = metronome.sum_since(begin);
    router.resume().await?;
    for end in ends {
        up(watcher, end).await?;
    }
    let slowest = outcome?;
    ensure!(
        slowest < Duration::from_secs(1) + stood_still,
        "{:?} was found silent after {slowest:?}, of which the machine stood still for {stood_still:?}",
        router.software()
    );
    Ok(slowest)
}

/// How long it took from its begin until all have found the silence.
async fn silent<'a>(watcher: &Watcher, ends: impl Iterator<Item = &'a End<'a>>, begin: Instant) -> Result<Duration> {
    let mut slowest = Duration::ZERO;
    for end in ends {
        let down = watcher.reaches(&end.name, "down", PATIENCE, |seen| seen.bfd == BfdState::Down).await?;
        ensure!(down.status.last_down.map(|(cause, _)| cause) == Some(Cause::DetectionTimeExpired), "{down:?}");
        slowest = slowest.max(down.at.duration_since(begin));
    }
    Ok(slowest)
}

/// Threads that do nothing but count, more than there are cores, until dropped.
struct Load {
    ends: Arc<AtomicBool>,
    threads: Vec<std::thread::JoinHandle<u64>>,
}

impl Load {
    fn start() -> Self {
        let ends = Arc::new(AtomicBool::new(false));
        let work = |ends: Arc<AtomicBool>| {
            move || {
                let mut count = 0_u64;
                while !ends.load(Ordering::Relaxed) {
                    count = std::hint::black_box(count.wrapping_add(1));
                }
                count
            }
        };
        let cores = std::thread::available_parallelism().map_or(2, std::num::NonZero::get);
        let threads = (0..2 * cores).map(|_| std::thread::spawn(work(ends.clone()))).collect();
        Self { ends, threads }
    }
}

impl Drop for Load {
    fn drop(&mut self) {
        self.ends.store(true, Ordering::Relaxed);
        for thread in self.threads.drain(..) {
            let _ = thread.join();
        }
    }
}

/// Between two hosts, with twice as many busy threads as there are cores: 3 x 50 ms do not flap, and silence is found in time.
///
/// 3 x 10 ms are told and not asserted: a virtual machine that its host stops for 50 ms (seen a few times a minute on one with both cores
/// busy, by threads of every priority) takes both ends with it.
async fn holds_while_busy(network: &Network, metronome: &Metronome, report: &mut Report) -> Result<()> {
    let sessions = |v4: &str, v6: &str| -> Result<[Configured; 2]> {
        let to = |remote: &str| anyhow::Ok(Path { remote: remote.parse()?, local: None, interface: None });
        Ok([("fast".to_owned(), to(v4)?, plain(10, 10)?), ("usual".to_owned(), to(v6)?, plain(50, 50)?)])
    };
    let start = |host: Netns, v4, v6| -> Result<Watcher> {
        let watcher = Watcher::start(&host)?;
        watcher.set(sessions(v4, v6)?);
        Ok(watcher)
    };
    let one = start(network.host(2), "192.168.0.3", "fd00::3")?;
    let two = start(network.host(3), "192.168.0.2", "fd00::2")?;
    for watcher in [&one, &two] {
        for (name, detection) in [("fast", ms(30)), ("usual", ms(150))] {
            let agreed = |seen: &Seen| seen.bfd == BfdState::Up && seen.status.detection_time == Some(detection);
            watcher.reaches(name, "up at its pace", PATIENCE, agreed).await?;
        }
    }
    let downs = |name: &str| [&one, &two].map(|watcher| watcher.seen(name).last().map_or(0, |last| last.status.downs));
    let load = Load::start();
    let hold = async || {
        one.reaches("usual", "up", PATIENCE, |seen| seen.bfd == BfdState::Up).await?;
        let before = downs("usual");
        tokio::time::sleep(Duration::from_secs(2)).await;
        ensure!(downs("usual") == before, "3 x 50 ms flapped: {:?}", one.seen("usual"));
        Ok(())
    };
    metronome.again_where_still(STILL, CALM_WITHIN, hold).await?;
    let fast = downs("fast")[0];
    let begin = Instant::now();
    drop(two);
    let down = one.reaches("usual", "down", PATIENCE, |seen| seen.bfd == BfdState::Down).await?;
    drop(load);
    let (took, stood_still) = (down.at.duration_since(begin), metronome.sum_since(begin));
    ensure!(
        took < Duration::from_millis(500) + stood_still,
        "found after {took:?}, of which the machine stood still for {stood_still:?}"
    );
    let took = took.as_millis();
    report.row(&format!("BFD with all cores busy: 3 x 50 ms no flap, 3 x 10 ms {fast}; silence told after {took} ms"));
    Ok(())
}
