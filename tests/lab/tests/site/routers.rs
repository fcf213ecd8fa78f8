//! Routers: four daemons, what each shows of the others, and real packets through their kernels.

use std::net::IpAddr;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use ironlb_bfd_proto::Hops;
use ironlb_lab::router::{KernelRoute, NextHop};
use ironlb_lab::{Bfd, Neighbour, Router, RouterConfig, Site, SiteSpec, Software, wait_for};

use crate::bfd;

/// Long against what it takes: BGP 1 to 4 s, BFD 1 s.
const PATIENCE: Duration = Duration::from_secs(40);
/// Both BIRD and FRR announce it, so the fifth router has two ways to it.
const SHARED: &str = "203.0.113.1/32";

pub(crate) fn spec() -> SiteSpec {
    let routers = [Software::Frr, Software::Bird, Software::GoBgp, Software::OpenBgpd];
    let spec = routers.into_iter().fold(SiteSpec::new(1), SiteSpec::router);
    spec.router_with_client(Software::Frr).router_with_client(Software::Bird)
}

fn asn(number: u32) -> u32 {
    65240 + number
}

/// FRR with BIRD (BFD, TCP MD5), GoBGP with OpenBGPD, and two more with clients behind them that hear both FRR and BIRD.
pub(crate) async fn speak_and_show(site: &Site) -> Result<()> {
    let [frr, bird, gobgp, openbgpd, ways_frr, ways_bird] = [1, 2, 3, 4, 5, 6].map(|number| site.router(number));
    let to = |router: &Router, number| Neighbour::new(router.ipv4(), asn(number));
    let fast = Some(Bfd::each(50, 3));
    let secret = Some("sesame".to_owned());
    let near = |router, number| Neighbour { bfd: fast, password: secret.clone(), ipv6: true, ..to(router, number) };
    let listeners = |mut config: RouterConfig| {
        for (router, number) in [(ways_frr, 5), (ways_bird, 6)] {
            config = config.neighbour(Neighbour { next_hop_self: true, ..to(router, number) });
        }
        config.originate(SHARED)
    };
    let own = site.node(1).ipv4();
    let of_frr = RouterConfig::new(asn(1)).neighbour(near(bird, 2)).originate("2001:db8::1/128");
    let of_frr = of_frr.bfd_peer(bfd::as_peer(own, false, false));
    let of_bird = RouterConfig::new(asn(2)).neighbour(Neighbour { passive: true, ..near(frr, 1) });
    let of_bird = of_bird.originate("203.0.113.2/32").bfd_peer(bfd::as_peer(own, true, false));
    let of_gobgp = RouterConfig::new(asn(3)).neighbour(to(openbgpd, 4)).originate("203.0.113.3/32");
    let of_openbgpd = RouterConfig::new(asn(4)).neighbour(to(gobgp, 3)).originate("203.0.113.4/32");
    let hears = |number| RouterConfig::new(asn(number)).neighbour(to(frr, 1)).neighbour(to(bird, 2));
    let begin = Instant::now();
    tokio::try_join!(
        frr.start(listeners(of_frr)),
        bird.start(listeners(of_bird)),
        // GoBGP waits 5 s and more before it connects; OpenBGPD connects at once to one that is there.
        async {
            gobgp.start(of_gobgp).await?;
            openbgpd.start(of_openbgpd).await
        },
        ways_frr.start(hears(5).bfd_peer(bfd::as_peer(own, true, false))),
        ways_bird.start(hears(6).bfd_peer(bfd::as_peer(own, false, true))),
    )?;
    println!("six routers answer: {:.1} s", begin.elapsed().as_secs_f32());
    for (router, others) in [
        (frr, [bird, ways_frr].as_slice()),
        (bird, &[frr, ways_bird]),
        (gobgp, &[openbgpd]),
        (openbgpd, &[gobgp]),
        (ways_frr, &[frr, bird]),
        (ways_bird, &[frr, bird]),
    ] {
        for other in others {
            router.established(other.ipv4(), PATIENCE).await?;
        }
    }
    println!("all sessions established: {:.1} s", begin.elapsed().as_secs_f32());
    routes_are_shown(frr, bird, gobgp, openbgpd).await?;
    bfd_is_shown(frr, bird).await?;
    kernels_spread(site, &[ways_frr, ways_bird]).await?;
    println!("routes, BFD and kernels: {:.1} s", begin.elapsed().as_secs_f32());
    // FRR sends with 255 over several hops too, BIRD with what the kernel has, 64.
    let far = |minimum_ttl| Hops::Multi { minimum_ttl };
    let ends = [
        (frr, Hops::Single, false),
        (bird, far(63), false),
        (ways_frr, far(254), false),
        (ways_bird, Hops::Single, true),
    ];
    bfd::speaks_with_routers(&site.node(1).netns(), own, ends).await?;
    for (router, other) in [(frr, bird), (bird, frr)] {
        router.established(other.ipv4(), PATIENCE).await?;
    }
    silence_is_found(frr, bird).await?;
    println!("a silent router is found and comes back: {:.1} s", begin.elapsed().as_secs_f32());
    every_word_is_understood(frr, bird, gobgp, openbgpd).await?;
    println!("every word of a description is understood: {:.1} s", begin.elapsed().as_secs_f32());
    Ok(())
}

/// A path to the prefix that came from this neighbour alone.
async fn learnt(router: &Router, prefix: &str, from: &Router, asn: u32) -> Result<()> {
    let what = format!("{} ({:?}) to learn {prefix}", router.name(), router.software());
    let path = wait_for(PATIENCE, &what, || async {
        let paths = router.paths(prefix).await?;
        let path = paths.iter().find(|path| path.as_path == [asn]).with_context(|| format!("{paths:?}"))?;
        // A router chooses among its paths after it has stored a new one.
        ensure!(path.is_best, "{path:?}");
        Ok(Some(path.clone()))
    })
    .await?;
    ensure!(!path.is_stale, "{path:?}");
    let next_hop = if prefix.contains(':') { from.ipv6().into() } else { from.ipv4().into() };
    ensure!(path.next_hops.first() == Some(&next_hop), "{}: {path:?}", router.name());
    ensure!(router.paths("198.51.100.77/32").await?.is_empty(), "a route that nobody announces");
    Ok(())
}

async fn routes_are_shown(frr: &Router, bird: &Router, gobgp: &Router, openbgpd: &Router) -> Result<()> {
    learnt(frr, "203.0.113.2/32", bird, asn(2)).await?;
    learnt(bird, "2001:db8::1/128", frr, asn(1)).await?;
    learnt(gobgp, "203.0.113.4/32", openbgpd, asn(4)).await?;
    learnt(openbgpd, "203.0.113.3/32", gobgp, asn(3)).await
}

async fn bfd_is_shown(frr: &Router, bird: &Router) -> Result<()> {
    for (router, other) in [(frr, bird), (bird, frr)] {
        // Until it is up a session is slow; the intervals are agreed on after that (RFC 5880 section 6.8.3).
        wait_for(PATIENCE, &format!("BFD on {}, as it was told", router.name()), || async {
            let all = router.bfd_sessions().await?;
            let session = all.iter().find(|session| session.peer == other.ipv4() && session.is_up);
            let session = session.with_context(|| format!("{all:?}"))?;
            ensure!(session.transmit_ms == 50, "{session:?}");
            ensure!(session.remote.is_none_or(|remote| remote == (50, 50, 3)), "{session:?}");
            ensure!(session.detection_ms.is_none_or(|detection| detection == 150), "{session:?}");
            Ok(Some(()))
        })
        .await?;
    }
    Ok(())
}

/// A route by two next hops stands in each kernel, and connections from the client behind it leave by both.
async fn kernels_spread(site: &Site, routers: &[&Router]) -> Result<()> {
    let via = |number| NextHop { via: site.router(number).ipv4().into(), weight: 1 };
    for router in routers {
        let wanted = [via(1), via(2)];
        let route: KernelRoute = wait_for(PATIENCE, &format!("two ways in {}'s kernel", router.name()), || async {
            let all = router.kernel_routes().await?;
            Ok(all.into_iter().find(|route| SHARED.starts_with(&route.destination) && route.next_hops == wanted))
        })
        .await?;
        ensure!(["bgp", "bird"].contains(&route.protocol.as_str()), "{route:?}");
        let client = router.client()?;
        // The router answers by its address at the client's side; what it forwards reaches the LAN and comes back.
        client.exec(&["ping", "-q", "-n", "-c", "1", "-W", "2", "192.168.0.1"]).await.context("through the router")?;
        client.exec(&["ping", "-q", "-n", "-c", "1", "-W", "2", "fd00::1"]).await.context("through the router")?;
        let mut taken = std::collections::BTreeSet::new();
        for port in 2001..2033 {
            let asked = format!(
                "203.0.113.1 from 172.20.{}.2 iif clients ipproto tcp sport {port} dport 80",
                &router.name()[1..]
            );
            let argv: Vec<&str> = ["ip", "route", "get"].into_iter().chain(asked.split(' ')).collect();
            let told = router.netns().exec(&argv).await?;
            taken.extend(told.split_whitespace().skip_while(|word| *word != "via").nth(1).map(str::to_owned));
        }
        ensure!(taken.len() == 2, "32 connections all went by {taken:?}");
    }
    Ok(())
}

/// A frozen daemon is found by BFD at once, and is back when it goes on; a killed one leaves the rest of its router alone.
async fn silence_is_found(frr: &Router, bird: &Router) -> Result<()> {
    bird.freeze()?;
    let begin = Instant::now();
    wait_for(PATIENCE, "FRR to lose BIRD", || async {
        let all = frr.bfd_sessions().await?;
        Ok(all.iter().any(|session| session.peer == bird.ipv4() && !session.is_up).then_some(()))
    })
    .await?;
    ensure!(begin.elapsed() < Duration::from_secs(3), "found after {:?}: by the hold time?", begin.elapsed());
    bird.thaw()?;
    frr.established(bird.ipv4(), PATIENCE).await?;
    ensure!(frr.kill_program("bird").is_err(), "FRR runs no bird");
    frr.kill_program("bfdd")?;
    ensure!(frr.bfd_sessions().await.is_err() && frr.sessions().await.is_ok(), "bfdd alone is dead");
    frr.resume().await?;
    frr.established(bird.ipv4(), PATIENCE).await.map(drop)
}

/// All that a description can say, to each daemon; and a line that is none is told.
async fn every_word_is_understood(frr: &Router, bird: &Router, gobgp: &Router, openbgpd: &Router) -> Result<()> {
    let full = |router: &Router, number, ipv6| Neighbour {
        port: 1790,
        hold_time: 30,
        ipv4: true,
        ipv6: true,
        password: Some("sesame".to_owned()),
        add_path: true,
        graceful_restart: true,
        next_hop_self: true,
        ..Neighbour::new(if ipv6 { router.ipv6().into() } else { IpAddr::from(router.ipv4()) }, asn(number))
    };
    // The first two by IPv6 and one hop, the others by IPv4 and up to three.
    let near = |router, number| Neighbour { ttl_security: true, extended_next_hop: true, ..full(router, number, true) };
    let far = |router, number, passive| Neighbour { multihop: Some(3), passive, ..full(router, number, false) };
    let listens = |number| RouterConfig { port: 1790, ..RouterConfig::new(asn(number)) };
    let of_bird = listens(2).neighbour(near(frr, 1)).originate("203.0.113.12/32").originate("2001:db8::12/128");
    let of_openbgpd = listens(4).neighbour(far(gobgp, 3, false)).originate("203.0.113.14/32");
    tokio::try_join!(frr.start(listens(1).neighbour(near(bird, 2))), bird.start(of_bird))?;
    gobgp.start(listens(3).neighbour(far(openbgpd, 4, true)).originate("203.0.113.13/32")).await?;
    openbgpd.start(of_openbgpd).await?;
    frr.established(bird.ipv6(), PATIENCE).await?;
    bird.established(frr.ipv6(), PATIENCE).await?;
    gobgp.established(openbgpd.ipv4(), PATIENCE).await?;
    openbgpd.established(gobgp.ipv4(), PATIENCE).await?;
    for (router, prefix, number) in [
        (frr, "203.0.113.12/32", 2),
        (frr, "2001:db8::12/128", 2),
        (gobgp, "203.0.113.14/32", 4),
        (openbgpd, "203.0.113.13/32", 3),
    ] {
        wait_for(PATIENCE, &format!("{} to learn {prefix}", router.name()), || async {
            Ok(router.paths(prefix).await?.into_iter().find(|path| path.as_path == [asn(number)]))
        })
        .await?;
    }
    for (router, other, prefixes) in [
        (frr, IpAddr::from(bird.ipv6()), 2),
        (bird, frr.ipv6().into(), 0),
        (gobgp, openbgpd.ipv4().into(), 1),
        (openbgpd, gobgp.ipv4().into(), 1),
    ] {
        wait_for(PATIENCE, &format!("{:?} to count {prefixes} prefixes", router.software()), || async {
            let session = router.established(other, PATIENCE).await?;
            ensure!(session.prefixes == prefixes, "it counts {}: {session:?}", session.prefixes);
            Ok(Some(()))
        })
        .await?;
    }
    let wrong = RouterConfig { extra: "this is no line\n".to_owned(), ..listens(1) };
    for router in [frr, bird, openbgpd] {
        let outcome = router.start(wrong.clone()).await;
        ensure!(outcome.is_err(), "{:?} started with a line that is none", router.software());
    }
    Ok(())
}
