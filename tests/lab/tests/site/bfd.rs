//! Our BFD machine against FRR's and BIRD's, over sockets in a node's network: one hop, several hops, signed.

use std::collections::BTreeMap;
use std::io::IoSliceMut;
use std::net::{IpAddr, Ipv4Addr, SocketAddr, UdpSocket};
use std::num::NonZeroU8;
use std::os::fd::{AsFd, AsRawFd};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant, SystemTime};

use anyhow::{Context, Result, ensure};
use ironlb_bfd_proto::authentication::{Authentication, Key};
use ironlb_bfd_proto::{
    Cause, Config, Datagram, Disable, Discriminator, Hops, Input, Interval, MULTI_HOP_PORT, Notice, Output, Path,
    SINGLE_HOP_PORT, Sessions, State, TTL,
};
use ironlb_lab::router::BfdSession;
use ironlb_lab::{Bfd, BfdPeer, Metronome, Netns, Router, wait_for};
use ironlb_model::Timestamp;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::socket::{ControlMessageOwned, MsgFlags, SockaddrIn, recvmsg, setsockopt, sockopt};

const PATIENCE: Duration = Duration::from_secs(30);
/// A machine that stands still for so long ends sessions of 3 x 50 ms: the last packet may be 50 ms old, and the next one is late.
const STILL: Duration = Duration::from_millis(50);
/// How long what that spoils is begun anew. Chosen: many seconds that are not all spoilt.
const CALM_WITHIN: Duration = Duration::from_secs(60);
/// Longest between two looks at what the test wants. It does not hold up packets: those end the wait.
const LOOK: Duration = Duration::from_millis(5);
pub(crate) const PASSWORD: &str = "open sesame";

/// How each router is told of us: each 50 ms, three missing.
pub(crate) fn as_peer(of: Ipv4Addr, multihop: bool, signed: bool) -> BfdPeer {
    BfdPeer { address: of.into(), bfd: Bfd::each(50, 3), multihop, password: signed.then(|| PASSWORD.to_owned()) }
}

/// One of our sessions, and the router at its other end.
struct End<'a> {
    router: &'a Router,
    config: Config,
    id: Discriminator,
}

/// What our end did: the last state, and every change with its cause.
type Seen = Arc<Mutex<BTreeMap<Discriminator, Vec<(Instant, State, Cause)>>>>;

enum Command {
    Configure(Discriminator, Config),
    Disable(Discriminator),
    Enable(Discriminator),
    Stop,
}

/// FRR over one hop, BIRD over one and signed, and both over several hops.
pub(crate) async fn speaks_with_routers(
    host: &Netns,
    own: Ipv4Addr,
    routers: [(&Router, Hops, bool); 4],
) -> Result<()> {
    let begin = Instant::now();
    let mut sessions =
        Sessions::new(u64::try_from(SystemTime::UNIX_EPOCH.elapsed()?.as_nanos() & u128::from(u64::MAX))?);
    let now = Timestamp::ZERO;
    let mut ends = Vec::new();
    for (router, hops, signed) in routers {
        let config = Config { hops, ..config(50, 50, signed)? };
        let path = Path { remote: router.ipv4().into(), local: Some(own.into()), interface: None };
        ends.push(End { router, id: sessions.add(now, path, config.clone())?, config });
    }
    let seen = Seen::default();
    let (commands, orders) = channel();
    let driver = drive(host, own, sessions, orders, seen.clone())?;
    let outcome = converse(&ends, &commands, &seen).await;
    // It has ended by itself if this fails, and says why below.
    _ = commands.send(Command::Stop);
    let driven = driver.join().map_err(|_| anyhow::anyhow!("the driver panicked"))?;
    outcome.and(driven?)?;
    println!("BFD with FRR and BIRD: {:.1} s", begin.elapsed().as_secs_f32());
    Ok(())
}

fn config(tx_ms: u32, rx_ms: u32, signed: bool) -> Result<Config> {
    let interval = |millis| Interval::from_millis(millis).context("an interval of 0");
    let key = Key::new(1, PASSWORD.as_bytes())?;
    Ok(Config {
        required_min_rx: interval(rx_ms)?,
        authentication: signed.then_some(Authentication { key, meticulous: true }),
        ..Config::single_hop(interval(tx_ms)?, NonZeroU8::new(3).context("0")?)
    })
}

async fn converse(ends: &[End<'_>], commands: &Sender<Command>, seen: &Seen) -> Result<()> {
    let state = |end: &End<'_>| {
        let seen = seen.lock().unwrap_or_else(PoisonError::into_inner);
        seen.get(&end.id).and_then(|changes| changes.last().copied())
    };
    let reaches = async |end: &End<'_>, wanted: State| {
        wait_for(PATIENCE, &format!("our session with {} to be {wanted}", end.router.name()), || async {
            Ok(state(end).filter(|(_, now, _)| *now == wanted))
        })
        .await
    };
    for end in ends {
        reaches(end, State::Up).await?;
        shown(end, "up", |session| session.is_up && negotiated(session, (50, 50))).await?;
    }
    let ups = |seen: &Seen| seen.lock().unwrap_or_else(PoisonError::into_inner).values().map(Vec::len).sum::<usize>();
    // Intervals change both ways, by Poll Sequences, and nobody goes down.
    let metronome = Metronome::start()?;
    let change = async || {
        for end in ends {
            reaches(end, State::Up).await?;
        }
        let changes = ups(seen);
        for (tx, rx) in [(100, 200), (1000, 1000), (10, 10), (50, 50)] {
            for end in ends {
                let signed = end.config.authentication.is_some();
                commands
                    .send(Command::Configure(end.id, Config { hops: end.config.hops, ..config(tx, rx, signed)? }))?;
            }
            for end in ends {
                shown(end, &format!("{tx} and {rx} ms"), |session| session.is_up && negotiated(session, (tx, rx)))
                    .await?;
            }
        }
        ensure!(ups(seen) == changes, "it flapped: {seen:?}");
        Ok(())
    };
    metronome.again_where_still(STILL, CALM_WITHIN, change).await?;
    // Held down on purpose: told, and taken for that.
    for end in ends {
        commands.send(Command::Disable(end.id))?;
        shown(end, "down", |session| !session.is_up).await?;
    }
    for end in ends {
        commands.send(Command::Enable(end.id))?;
        reaches(end, State::Up).await?;
        shown(end, "up again", |session| session.is_up).await?;
    }
    // Killed: found by its silence.
    for end in ends {
        let router = end.router;
        let kill = async || {
            reaches(end, State::Up).await?;
            let begin = Instant::now();
            router.kill()?;
            let down = reaches(end, State::Down).await;
            let stood_still = metronome.sum_since(begin);
            router.resume().await?;
            reaches(end, State::Up).await?;
            let (at, _, cause) = down?;
            ensure!(cause == Cause::DetectionTimeExpired, "{}: {cause:?}", router.name());
            // 150 ms if the machine has nothing else to do.
            let took = at.duration_since(begin);
            let bar = Duration::from_secs(1) + stood_still;
            ensure!(took < bar, "{} was found silent after {took:?}", router.name());
            Ok(took)
        };
        let took = metronome.again_where_still(STILL, CALM_WITHIN, kill).await?;
        println!("{:?}, {:?}: silence found after {} ms", router.software(), end.config.hops, took.as_millis());
    }
    Ok(())
}

/// Does the router show what follows from what both want? It wants 50 ms both ways.
fn negotiated(session: &BfdSession, (tx, rx): (u32, u32)) -> bool {
    let as_told = session.remote.is_none_or(|remote| remote == (tx, rx, 3));
    // BIRD shows what came of it: how often it sends, and how long we may be silent.
    let as_used = session.detection_ms.is_none_or(|time| time == 3 * tx.max(50) && session.transmit_ms == rx.max(50));
    as_told && as_used
}

async fn shown(end: &End<'_>, what: &str, is_so: impl Fn(&BfdSession) -> bool) -> Result<()> {
    let router = end.router;
    wait_for(PATIENCE, &format!("{} ({:?}) to show {what}", router.name(), router.software()), || async {
        let all = router.bfd_sessions().await?;
        let ours = all.iter().find(|session| session.peer == end_address(end));
        let ours = ours.with_context(|| format!("no session with us: {all:?}"))?;
        ensure!(is_so(ours), "{ours:?}");
        Ok(Some(()))
    })
    .await
}

/// By which address the routers know us; all our ends have the same.
fn end_address(_: &End<'_>) -> IpAddr {
    OWN
}

/// Node 1 of every site.
const OWN: IpAddr = IpAddr::V4(Ipv4Addr::new(192, 168, 0, 1));

/// Runs the sessions on a thread in the host's network until it is told to stop.
fn drive(
    host: &Netns,
    own: Ipv4Addr,
    mut sessions: Sessions,
    orders: Receiver<Command>,
    seen: Seen,
) -> Result<JoinHandle<Result<Result<()>>>> {
    let work = move || -> Result<()> {
        let ports = [SINGLE_HOP_PORT, MULTI_HOP_PORT];
        let sockets = ports.map(|port| listen(own, port)).into_iter().collect::<Result<Vec<_>>>()?;
        let mut senders: BTreeMap<Discriminator, UdpSocket> = BTreeMap::new();
        let start = Instant::now();
        let now = || Timestamp::from_nanos(u64::try_from(start.elapsed().as_nanos()).unwrap_or(u64::MAX));
        loop {
            match orders.try_recv() {
                Ok(Command::Configure(id, config)) => sessions.handle_input(now(), id, Input::Configure(config)),
                Ok(Command::Disable(id)) => {
                    sessions.handle_input(now(), id, Input::Disable(Disable::Administratively));
                }
                Ok(Command::Enable(id)) => sessions.handle_input(now(), id, Input::Enable),
                Ok(Command::Stop) => return Ok(()),
                Err(_) => {}
            }
            for (port, socket) in ports.into_iter().zip(&sockets) {
                while let Some((source, ttl, payload)) = receive(socket)? {
                    let datagram = Datagram {
                        port,
                        source,
                        destination: Some(own.into()),
                        interface: None,
                        ttl,
                        payload: &payload,
                    };
                    sessions.handle_datagram(now(), &datagram);
                }
            }
            sessions.handle_timeout(now());
            while let Some(notice) = sessions.poll_output() {
                if let Notice::Of(id, output) = notice {
                    act(&sessions, id, output, own, &mut senders, &seen)?;
                }
            }
            let wait = sessions.poll_timeout().map_or(LOOK, |at| at.since(now()).min(LOOK));
            let mut files: Vec<PollFd<'_>> =
                sockets.iter().map(|socket| PollFd::new(socket.as_fd(), PollFlags::POLLIN)).collect();
            // Rounded up: a millisecond late is jitter's own size, a busy loop is not.
            let millis = u16::try_from(wait.as_nanos().div_ceil(1_000_000)).unwrap_or(u16::MAX);
            poll(&mut files, PollTimeout::from(millis))?;
        }
    };
    let thread = host.spawn(work)?;
    Ok(std::thread::spawn(move || match thread.join() {
        Ok(inner) => Ok(inner?),
        Err(_) => anyhow::bail!("the driver panicked"),
    }))
}

fn act(
    sessions: &Sessions,
    id: Discriminator,
    output: Output,
    own: Ipv4Addr,
    senders: &mut BTreeMap<Discriminator, UdpSocket>,
    seen: &Seen,
) -> Result<()> {
    match output {
        Output::Send(bytes) => {
            let sender = match senders.entry(id) {
                std::collections::btree_map::Entry::Occupied(entry) => entry.into_mut(),
                std::collections::btree_map::Entry::Vacant(entry) => {
                    let port = sessions.source_port(id).context("a session without a port")?;
                    let socket = UdpSocket::bind(SocketAddr::from((own, port)))?;
                    socket.set_ttl(TTL.into())?;
                    entry.insert(socket)
                }
            };
            let (path, session) = (sessions.path(id).context("no path")?, sessions.get(id).context("no session")?);
            // A router that is just starting answers with ICMP that its port is closed.
            _ = sender.send_to(bytes.as_ref(), SocketAddr::from((path.remote, session.config().hops.port())));
        }
        Output::Changed { to, cause, .. } => {
            let mut seen = seen.lock().unwrap_or_else(PoisonError::into_inner);
            seen.entry(id).or_default().push((Instant::now(), to, cause));
        }
        Output::PollEnded | Output::Dropped(_) => {}
    }
    Ok(())
}

fn listen(own: Ipv4Addr, port: u16) -> Result<UdpSocket> {
    let socket = UdpSocket::bind((own, port))?;
    socket.set_nonblocking(true)?;
    setsockopt(&socket, sockopt::Ipv4RecvTtl, &true)?;
    Ok(socket)
}

/// The next datagram: from where, with which TTL, what.
fn receive(socket: &UdpSocket) -> Result<Option<(IpAddr, u8, Vec<u8>)>> {
    let mut buffer = [0_u8; 256];
    let mut control = nix::cmsg_space!(i32);
    let mut slices = [IoSliceMut::new(&mut buffer)];
    let received =
        match recvmsg::<SockaddrIn>(socket.as_raw_fd(), &mut slices, Some(&mut control), MsgFlags::MSG_DONTWAIT) {
            Ok(received) => received,
            Err(nix::errno::Errno::EAGAIN) => return Ok(None),
            Err(error) => return Err(error.into()),
        };
    let ttl = received.cmsgs()?.find_map(|message| match message {
        ControlMessageOwned::Ipv4Ttl(ttl) => u8::try_from(ttl).ok(),
        _ => None,
    });
    let source = received.address.context("a datagram from nowhere")?.ip();
    let length = received.bytes;
    let payload = buffer.get(..length).unwrap_or_default().to_vec();
    Ok(Some((source.into(), ttl.context("a datagram without its TTL")?, payload)))
}
