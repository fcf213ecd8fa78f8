//! A host whose cable is pulled: its external session ends at once, the internal one beside it stands until the hold timer would end it.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use ironlb_bgp::{Listener, Session, SessionStatus, Setup};
use ironlb_bgp_proto::{Asn, DownReason, Family, State};
use ironlb_interop::Speaker;
use ironlb_lab::netns::SWITCH;
use ironlb_lab::{Neighbour, Netns, Network, RouterConfig, wait_for};
use ironlb_model::Neighbor;

use crate::{OWN_AS, PATIENCE, config, own, peer_as, routes};

/// The hold time is 9 s; netlink tells in milliseconds.
const AT_ONCE: Duration = Duration::from_secs(2);

pub(crate) async fn lost(network: &Network) -> Result<()> {
    let begin = Instant::now();
    let [external, internal] = [network.router(2), network.router(1)];
    let neighbour = || Ok::<_, anyhow::Error>(Neighbour::new(own(false)?, OWN_AS));
    external.start(RouterConfig::new(peer_as(external)).neighbour(neighbour()?)).await?;
    internal.start(RouterConfig::new(OWN_AS).neighbour(neighbour()?)).await?;
    let speaker = Speaker::start(&network.host(1), false)?;
    let families = [Family::Ipv4Unicast];
    let mut inside = config(peer_as(internal), &families)?;
    inside.peer_as = Asn::new(OWN_AS).context("AS 0")?;
    let sessions = [(external, config(peer_as(external), &families)?), (internal, inside)].map(|(router, config)| {
        (router.name().to_owned(), Session::new(config, Neighbor::Address(router.ipv4().into())))
    });
    let listener = Some(Listener { port: 179, addresses: Vec::new() });
    speaker.configure(&Setup { listener, sessions: BTreeMap::from(sessions) });
    let is_up = |status: &SessionStatus| status.state == State::Established;
    for router in [external, internal] {
        speaker.advertise(router.name(), routes()?);
        speaker.reaches(router.name(), "up", PATIENCE, is_up).await?;
    }
    let cable = async |word| Netns::named(SWITCH).exec(&["ip", "link", "set", "n1", word]).await;
    cable("down").await?;
    let pulled = Instant::now();
    let ended = |status: &SessionStatus| status.last_end.is_some();
    let down = speaker.reaches(external.name(), "ended", AT_ONCE, ended).await?;
    let took = pulled.elapsed();
    let why = down.last_end.context("no reason")?.reason;
    ensure!(why == DownReason::LinkDown, "{why:?}");
    ensure!(is_up(&speaker.session(internal.name())?), "an internal session may find another way");
    cable("up").await?;
    speaker.reaches(external.name(), "up again", PATIENCE, is_up).await?;
    wait_for(PATIENCE, "the router to have the route again", || async {
        let paths = external.paths(crate::V4).await?;
        Ok((!paths.is_empty()).then_some(()))
    })
    .await?;
    println!(
        "  a cable pulled: the external session ended after {} ms ({:.1} s)",
        took.as_millis(),
        begin.elapsed().as_secs_f32()
    );
    for router in [external, internal] {
        router.stop().await?;
    }
    Ok(())
}
