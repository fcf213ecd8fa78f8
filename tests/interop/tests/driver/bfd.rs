//! BFD beside the sessions, with FRR and BIRD: no OPEN before it is up, an end within its detection time, and an end on purpose that takes
//! nothing along.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::num::NonZeroU8;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use futures::future::try_join_all;
use ironlb_bfd_proto::{Config as BfdConfig, Interval, State as BfdState};
use ironlb_bgp::{Leave, Listener, Session, SessionStatus, Setup, bfd};
use ironlb_bgp_proto::{BfdUse, DownReason, Family, RestartConfig, State};
use ironlb_interop::Speaker;
use ironlb_lab::{Bfd, Neighbour, Network, Router, RouterConfig, Software, wait_for};
use ironlb_model::Neighbor;

use crate::{OWN_AS, PATIENCE, V4, config, own, peer_as, routes};

pub(crate) async fn beside(network: &Network) -> Result<()> {
    let begin = Instant::now();
    let routers = [network.router(1), network.router(2)];
    let with_bfd = |router: &Router| {
        let mut peer = Neighbour::new(own(false)?, OWN_AS);
        (peer.bfd, peer.graceful_restart) = (Some(Bfd::each(50, 3)), true);
        // Else BIRD gives the routes up when BFD goes down, whatever the reason, also when it already bridges the restart.
        if router.software() == Software::Bird {
            peer.extra = "bfd graceful;".into();
        }
        Ok::<_, anyhow::Error>(RouterConfig::new(peer_as(router)).neighbour(peer))
    };
    let without_bfd = RouterConfig::new(peer_as(routers[0])).neighbour(Neighbour::new(own(false)?, OWN_AS));
    // FRR knows of no BFD at first: nothing may come up.
    routers[0].start(without_bfd).await?;
    routers[1].start(with_bfd(routers[1])?).await?;
    let speaker = Speaker::start(&network.host(1), false)?;
    let sessions = routers.iter().map(|router| Ok((router.name().to_owned(), session(router)?)));
    let sessions: BTreeMap<_, _> = sessions.collect::<Result<_>>()?;
    let listener = Some(Listener { port: 179, addresses: Vec::new() });
    speaker.configure(&Setup { listener, sessions });
    for router in routers {
        speaker.advertise(router.name(), routes()?);
    }
    let [frr, bird] = routers;
    let is_up = |status: &SessionStatus| {
        let bfd = status.bfd.as_ref().is_some_and(|bfd| bfd.state == BfdState::Up);
        status.state == State::Established && bfd
    };
    speaker.reaches(bird.name(), "up, with BFD", PATIENCE, is_up).await?;
    let waits = speaker.session(frr.name())?;
    ensure!(waits.counters.sent[0] == 0, "an OPEN before BFD is up: {waits:?}");
    frr.stop().await?;
    frr.start(with_bfd(frr)?).await?;
    speaker.reaches(frr.name(), "up, with BFD", PATIENCE, is_up).await?;
    try_join_all(routers.map(has_route)).await?;
    println!("  FRR and BIRD with BFD: no OPEN before it is up ({:.1} s)", begin.elapsed().as_secs_f32());
    for router in routers {
        let killed = Instant::now();
        // Frozen, so that no end of a connection tells.
        router.freeze()?;
        let down =
            speaker.reaches(router.name(), "down", PATIENCE, |status| status.state != State::Established).await?;
        let took = killed.elapsed();
        let why = down.last_down.context("no reason")?.reason;
        ensure!(why == DownReason::BfdDown, "{why:?}");
        // 150 ms where nothing else runs; the hold time is 9 s.
        ensure!(took < Duration::from_secs(2), "{took:?}");
        router.thaw()?;
        speaker.reaches(router.name(), "up again", PATIENCE, is_up).await?;
        println!("  {:?} with BFD: silence ended the session after {} ms", router.software(), took.as_millis());
    }
    try_join_all(routers.map(has_route)).await?;
    // A restart of ours: BFD says that it is on purpose, and the routes stay as stale ones.
    speaker.bgp().leave(Leave::ForRestart).await;
    for router in routers {
        wait_for(PATIENCE, &format!("{} to bridge it", router.name()), async || {
            // BIRD says so of the session, FRR of the route.
            let sessions = router.sessions().await?;
            let is_bridged = sessions.iter().any(|session| session.details.contains("graceful restart active"));
            let paths = router.paths(V4).await?;
            ensure!(!paths.is_empty(), "the route is gone: {sessions:?}");
            Ok((is_bridged || paths.iter().any(|path| path.is_stale)).then_some(()))
        })
        .await?;
    }
    println!("  FRR and BIRD keep the routes over a restart, BFD or not ({:.1} s)", begin.elapsed().as_secs_f32());
    try_join_all(routers.map(Router::stop)).await.map(drop)
}

fn session(router: &Router) -> Result<Session> {
    let mut config = config(peer_as(router), &[Family::Ipv4Unicast])?;
    config.bfd = BfdUse::Strict;
    config.graceful_restart = RestartConfig::new(30, false);
    let each = Interval::from_millis(50).context("0 ms")?;
    let beside = bfd::Setup { config: BfdConfig::single_hop(each, NonZeroU8::new(3).context("0")?) };
    let address: IpAddr = router.ipv4().into();
    Ok(Session { bfd: Some(beside), ..Session::new(config, Neighbor::Address(address)) })
}

async fn has_route(router: &Router) -> Result<()> {
    wait_for(PATIENCE, &format!("{} to have the route", router.name()), async || {
        let paths = router.paths(V4).await?;
        Ok(paths.iter().any(|path| !path.is_stale).then_some(()))
    })
    .await
}
