//! The driver with each of the four routers: over IPv4 and IPv6, with passwords, GTSM and several hops, connecting and connected to, and
//! unnumbered with FRR, and with BFD beside. Each route is asked of the router's own command line.
//!
//! `cargo test -p ironlb-interop --test driver [-- TEXT]`, as root. It shows that connections are what they have to be; what is said over
//! them is the matrix's.

mod bfd;
mod link;

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::process::ExitCode;
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use futures::future::try_join_all;
use ironlb_bgp::{Leave, Listener, Session, SessionStatus, Setup};
use ironlb_bgp_proto::{Asn, Attributes, Config, Family, FamilyConfig, NextHop, RouteKey, RouterId, Routes, State};
use ironlb_interop::Speaker;
use ironlb_lab::{
    Capsule, Lifetime, Neighbour, Network, Router, RouterConfig, RouterSpec, Software, Turns, capsule, wait_for,
};
use ironlb_model::{Distance, Neighbor, Prefix};

/// Long against what it takes: GoBGP waits 5 s before it connects.
const PATIENCE: Duration = Duration::from_secs(30);
const OWN_AS: u32 = 65001;
const PASSWORD: &str = "sesame";
const V4: &str = "203.0.113.7/32";
const V6: &str = "2001:db8:7::7/128";

/// How a session is made, and what the router is told of it.
struct Kind {
    name: &'static str,
    is_v6: bool,
    passive: bool,
    /// The router waits.
    router_passive: bool,
    distance: Distance,
    password: Option<&'static str>,
}

/// Between them, each daemon is met in each way.
const ROUNDS: [[Kind; 2]; 2] = [
    [
        Kind {
            name: "plain",
            is_v6: false,
            passive: false,
            router_passive: false,
            distance: Distance::Default,
            password: None,
        },
        Kind {
            name: "signed, near",
            is_v6: true,
            passive: false,
            router_passive: true,
            distance: Distance::Security(1),
            password: Some(PASSWORD),
        },
    ],
    [
        Kind {
            name: "connected to, signed, near",
            is_v6: false,
            passive: true,
            router_passive: false,
            distance: Distance::Security(1),
            password: Some(PASSWORD),
        },
        Kind {
            name: "several hops",
            is_v6: true,
            passive: false,
            router_passive: false,
            distance: Distance::Ttl(5),
            password: None,
        },
    ],
];

fn main() -> Result<ExitCode> {
    capsule::play_role()?;
    let capsule = capsule::enter(Lifetime::OfTheCommand)?;
    tracing_subscriber::fmt().with_env_filter(tracing_subscriber::EnvFilter::from_default_env()).init();
    let runtime = tokio::runtime::Runtime::new()?;
    let begin = Instant::now();
    let outcome = runtime.block_on(play(&capsule));
    runtime.shutdown_background();
    let took = begin.elapsed().as_secs_f32();
    match outcome {
        Ok(()) => {
            println!(
                "test with_four_routers ... ok ({took:.1} s)\n\ntest result: ok. 1 passed; 0 failed; 0 ignored; 0 measured\n"
            );
            Ok(ExitCode::SUCCESS)
        }
        Err(error) => {
            println!(
                "test with_four_routers ... FAILED ({took:.1} s): {error:#}\n\ntest result: FAILED. 0 passed; 1 failed; 0 ignored; 0 measured\n"
            );
            Ok(ExitCode::FAILURE)
        }
    }
}

async fn play(capsule: &Capsule) -> Result<()> {
    let _turn = Turns::of_this_machine()?.alone().await;
    let routers = Software::ALL.map(|software| RouterSpec { software, client: false });
    let network = Network::up(capsule, 2, &routers).await?;
    let outcome = converse(&network).await;
    if outcome.is_err() {
        network.dump_logs();
    }
    outcome
}

async fn converse(network: &Network) -> Result<()> {
    for (number, kinds) in ROUNDS.iter().enumerate() {
        if number > 0 {
            try_join_all(network.routers().iter().map(Router::stop)).await?;
        }
        round(network, kinds).await?;
    }
    try_join_all(network.routers().iter().map(Router::stop)).await?;
    unnumbered(network).await?;
    link_local(network).await?;
    discard_routes(network).await?;
    bfd::beside(network).await?;
    link::lost(network).await
}

pub(crate) fn own(is_v6: bool) -> Result<IpAddr> {
    Ok(if is_v6 { "fd00::1".parse()? } else { "192.168.0.1".parse()? })
}

fn peer_as(router: &Router) -> u32 {
    65010 + u32::from(router.ipv4().octets()[3])
}

fn config(peer_as: u32, families: &[Family]) -> Result<Config> {
    let asn = |number| Asn::new(number).context("AS 0");
    let id = RouterId::new(Ipv4Addr::new(192, 168, 0, 1)).context("no identifier")?;
    let mut config = Config::new(asn(OWN_AS)?, asn(peer_as)?, id);
    config.families = families.iter().map(|family| (*family, FamilyConfig::default())).collect();
    config.timing.connect_retry = Duration::from_secs(1);
    Ok(config)
}

fn routes() -> Result<Routes> {
    let attributes = Arc::new(Attributes::new(NextHop::Own));
    let key = |text: &str| Ok::<_, anyhow::Error>(RouteKey::own(text.parse::<Prefix>()?));
    Ok(Routes::from([(key(V4)?, Arc::clone(&attributes)), (key(V6)?, attributes)]))
}

fn name(router: &Router, kind: &Kind) -> String {
    format!("{:?}, {}, {}", router.software(), if kind.is_v6 { "IPv6" } else { "IPv4" }, kind.name)
}

fn session(router: &Router, kind: &Kind) -> Result<Session> {
    let (address, family): (IpAddr, _) = match kind.is_v6 {
        true => (router.ipv6().into(), Family::Ipv6Unicast),
        false => (router.ipv4().into(), Family::Ipv4Unicast),
    };
    let mut session = Session::new(config(peer_as(router), &[family])?, Neighbor::Address(address));
    session.config.passive = kind.passive;
    session.distance = kind.distance;
    session.password = kind.password.map(Into::into);
    Ok(session)
}

fn neighbour(router: &Router, kind: &Kind) -> Result<Neighbour> {
    // What connects to OpenBGPD 7.7 with a password gets no answer, over either family (measured): those sessions it has to open.
    let must_connect = router.software() == Software::OpenBgpd && kind.password.is_some();
    let multihop = match kind.distance {
        Distance::Ttl(hops) => Some(hops),
        Distance::Default | Distance::Security(_) => None,
    };
    Ok(Neighbour {
        passive: kind.router_passive && !must_connect,
        multihop,
        ttl_security: matches!(kind.distance, Distance::Security(_)),
        password: kind.password.map(str::to_owned),
        ..Neighbour::new(own(kind.is_v6)?, OWN_AS)
    })
}

/// Each router with a session of each of two kinds.
async fn round(network: &Network, kinds: &[Kind; 2]) -> Result<()> {
    let begin = Instant::now();
    let starts = network.routers().iter().map(async |router| {
        let config = RouterConfig::new(peer_as(router));
        let config = kinds
            .iter()
            .try_fold(config, |config, kind| Ok::<_, anyhow::Error>(config.neighbour(neighbour(router, kind)?)));
        router.start(config?).await
    });
    try_join_all(starts).await?;
    let speaker = Speaker::start(&network.host(1), false)?;
    let ends: Vec<_> =
        network.routers().iter().flat_map(|router| kinds.iter().map(move |kind| (router, kind))).collect();
    let sessions = ends.iter().map(|(router, kind)| Ok((name(router, kind), session(router, kind)?)));
    let sessions: BTreeMap<_, _> = sessions.collect::<Result<_>>()?;
    let names: Vec<String> = sessions.keys().cloned().collect();
    let listener = Some(Listener { port: 179, addresses: Vec::new() });
    speaker.configure(&Setup { listener, sessions });
    for name in &names {
        speaker.advertise(name, routes()?);
    }
    try_join_all(ends.iter().map(|(router, kind)| shown(&speaker, router, kind))).await?;
    for name in &names {
        println!("  {name}: up, and its route is shown");
    }
    // For good: every router hears it, and shows no route any more.
    speaker.bgp().leave(Leave::ForGood("the round is over".to_owned())).await;
    let gone = ends.iter().map(|(router, kind)| {
        let prefix = if kind.is_v6 { V6 } else { V4 };
        wait_for(PATIENCE, "the route to go", async move || Ok(router.paths(prefix).await?.is_empty().then_some(())))
    });
    try_join_all(gone).await?;
    println!("  round: {:.1} s", begin.elapsed().as_secs_f32());
    Ok(())
}

/// The session is up, and the router shows the route with our address as its next hop.
async fn shown(speaker: &Speaker, router: &Router, kind: &Kind) -> Result<()> {
    let name = name(router, kind);
    let up = speaker.reaches(&name, "up", PATIENCE, |status| status.state == State::Established).await?;
    ensure!(up.interface.as_deref() == Some("eth0"), "{up:?}");
    router.established(own(kind.is_v6)?, PATIENCE).await?;
    let prefix = if kind.is_v6 { V6 } else { V4 };
    let own = own(kind.is_v6)?;
    wait_for(PATIENCE, &format!("{name} to show {prefix}"), || async {
        let paths = router.paths(prefix).await?;
        ensure!(!paths.is_empty(), "no path");
        ensure!(paths.iter().any(|path| path.next_hops.contains(&own) && path.as_path == [OWN_AS]), "{paths:?}");
        Ok(Some(()))
    })
    .await
}

/// With FRR by the name of the interface alone: each finds the other's link-local address, and IPv4 goes to an IPv6 next hop (RFC 8950).
async fn unnumbered(network: &Network) -> Result<()> {
    let begin = Instant::now();
    let frr = network.router(1);
    let mut described = RouterConfig::new(peer_as(frr));
    // Without `capability extended-nexthop`, which FRR says by itself to such a peer.
    described.extra = format!(
        "router bgp {}\n neighbor eth0 interface remote-as {OWN_AS}\n neighbor eth0 timers connect 1\n neighbor eth0 password {PASSWORD}\n \
         address-family ipv6 unicast\n  neighbor eth0 activate\n exit-address-family\nexit\n",
        peer_as(frr)
    );
    frr.start(described).await?;
    let speaker = Speaker::start(&network.host(1), false)?;
    let mut config = config(peer_as(frr), &Family::ALL)?;
    config.extended_next_hop = true;
    let mut session = Session::new(config, Neighbor::Interface("eth0".into()));
    session.password = Some(PASSWORD.into());
    let listener = Some(Listener { port: 179, addresses: Vec::new() });
    speaker.configure(&Setup { listener, sessions: BTreeMap::from([("eth0".to_owned(), session)]) });
    speaker.advertise("eth0", routes()?);
    let up = speaker.reaches("eth0", "up", PATIENCE, |status| status.state == State::Established).await?;
    ensure!(up.own.link_local.is_some() && up.interface.as_deref() == Some("eth0"), "{up:?}");
    for prefix in [V4, V6] {
        wait_for(PATIENCE, &format!("FRR to show {prefix}"), || async {
            let paths = frr.paths(prefix).await?;
            let link_local = up.own.link_local.map(IpAddr::V6).context("none")?;
            ensure!(paths.iter().any(|path| path.next_hops.contains(&link_local)), "{paths:?}, not {link_local}");
            Ok(Some(()))
        })
        .await?;
    }
    println!("  FRR, unnumbered: up, IPv4 and IPv6 by link-local next hops ({:.1} s)", begin.elapsed().as_secs_f32());
    frr.stop().await
}

/// A node sees whether its kernel would pass a router's packet on: by its default route it would, and none of the ways to discard that
/// `docs/bgp.md` knows is overlooked.
async fn discard_routes(network: &Network) -> Result<()> {
    let router = network.router(1);
    // As a node does.
    network.host(2).exec(&["sysctl", "-qw", "net.ipv4.ip_forward=1", "net.ipv6.conf.all.forwarding=1"]).await?;
    for (option, gateway, pool, unused, from) in [
        ("-4", "192.168.0.254", "198.18.7.0/24", "198.18.7.9", IpAddr::from(router.ipv4())),
        ("-6", "fd00::254", "2001:db8:7::/64", "2001:db8:7::9", IpAddr::from(router.ipv6())),
    ] {
        let ip = async |words: &str| {
            let command: Vec<&str> = ["ip", option].into_iter().chain(words.split_whitespace()).collect();
            network.host(2).exec(&command).await.map(drop)
        };
        let asks = async |from: Option<IpAddr>| {
            let (host, unused) = (network.host(2), unused.parse()?);
            let ask = move || -> Result<bool> {
                let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
                Ok(runtime.block_on(ironlb_bgp::passes_on(unused, from))?)
            };
            tokio::task::spawn_blocking(move || host.run(ask)).await??
        };
        let is = async |wanted: [bool; 2], when: &str| -> Result<()> {
            let found = [asks(None).await?, asks(Some(from)).await?];
            ensure!(found == wanted, "{option}, {when}: {found:?}");
            Ok(())
        };
        ip(&format!("route replace default via {gateway}")).await?;
        is([true, true], "by the default route").await?;
        for kind in ["blackhole", "unreachable", "prohibit"] {
            ip(&format!("route add {kind} {pool}")).await?;
            is([false, false], kind).await?;
            ip(&format!("route del {kind} {pool}")).await?;
        }
        ip(&format!("rule add pref 100 iif lo to {pool} lookup main")).await?;
        ip(&format!("rule add pref 101 to {pool} blackhole")).await?;
        is([true, false], "by rules, for what it forwards").await?;
        ip("rule del pref 100").await?;
        ip("rule del pref 101").await?;
        ip(&format!("route add {pool} dev eth0")).await?;
        is([false, false], "on a link").await?;
        ip(&format!("route del {pool} dev eth0")).await?;
        ip("route del default").await?;
        is([false, false], "without a route").await?;
    }
    println!("  discard routes are seen");
    Ok(())
}

/// Between two drivers, by link-local addresses, signed and near; each connects.
async fn link_local(network: &Network) -> Result<()> {
    let begin = Instant::now();
    let address = |host: u8| Ipv6Addr::from([0xfe80, 0, 0, 0, 0, 0xff, 0xfe00, u16::from(host)]);
    let ends = [(1_u8, 2_u8), (2, 1)].map(|(own, other)| -> Result<Speaker> {
        let speaker = Speaker::start(&network.host(own.into()), false)?;
        let mut config = config(65000 + u32::from(other), &Family::ALL)?;
        config.local_as = Asn::new(65000 + u32::from(own)).context("AS 0")?;
        config.router_id = RouterId::new(Ipv4Addr::new(192, 168, 0, own)).context("no identifier")?;
        let neighbor = Neighbor::LinkLocal { address: address(other), interface: "eth0".into() };
        let session = Session {
            distance: Distance::Security(1),
            password: Some(PASSWORD.into()),
            ..Session::new(config, neighbor)
        };
        let listener = Some(Listener { port: 179, addresses: Vec::new() });
        speaker.configure(&Setup { listener, sessions: BTreeMap::from([("other".to_owned(), session)]) });
        speaker.advertise("other", routes()?);
        Ok(speaker)
    });
    let [first, second] = ends;
    let ends: [Speaker; 2] = [first?, second?];
    for (host, end) in [1, 2].into_iter().zip(&ends) {
        let is_known = |status: &SessionStatus| status.received.get(&Family::Ipv6Unicast) == Some(&1);
        let up = end.reaches("other", "up, with the route", PATIENCE, is_known).await?;
        let own = up.own.link_local.context("no link-local address")?;
        ensure!(own == address(host) && up.interface.as_deref() == Some("eth0"), "{up:?}");
    }
    println!("  two drivers, link-local, signed, near: up ({:.1} s)", begin.elapsed().as_secs_f32());
    Ok(())
}
