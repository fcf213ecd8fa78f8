//! BGP with all four daemons at once: every row of [`Row`] comes up and its routes are shown, then what sessions do to each other.

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv6Addr};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use futures::future::{join_all, try_join_all};
use ironlb_bgp::{Leave, Listener, Session, SessionStatus, Setup};
use ironlb_bgp_proto::State;
use ironlb_interop::Speaker;
use ironlb_lab::router::RoutePath;
use ironlb_lab::{Network, Router, RouterConfig, wait_for};
use ironlb_model::Prefix;

use crate::Report;
use crate::row::{
    ANOTHER, ASN, COMMUNITIES, LARGE_COMMUNITY, LOCAL_PREF, MED, Place, Row, asn_of, name_of, session_name,
};

pub(crate) const PATIENCE: Duration = Duration::from_secs(30);

/// The four daemons.
pub(crate) fn daemons(network: &Network) -> [&Router; 4] {
    [1, 2, 3, 4].map(|number| network.router(number))
}

/// Our drivers, and how each is configured.
pub(crate) struct Speakers(BTreeMap<Place, (Speaker, Setup)>);

impl Speakers {
    pub(crate) fn of(&self, row: Row) -> Result<&Speaker> {
        self.0.get(&row.place()).map(|(speaker, _)| speaker).context("nobody speaks there")
    }

    /// Changes the sessions of this row with each of the routers.
    pub(crate) fn change(&mut self, row: Row, routers: &[&Router], change: impl Fn(&mut Session)) -> Result<()> {
        let (speaker, setup) = self.0.get_mut(&row.place()).context("nobody speaks there")?;
        for router in routers {
            change(setup.sessions.get_mut(&session_name(router, row)).context("no such session")?);
        }
        speaker.configure(setup);
        Ok(())
    }

    /// Lets routers connect to the driver of a row, or not.
    pub(crate) fn listen(&mut self, row: Row, listens: bool) -> Result<()> {
        let (speaker, setup) = self.0.get_mut(&row.place()).context("nobody speaks there")?;
        setup.listener = listens.then(listener);
        speaker.configure(setup);
        Ok(())
    }

    /// Ends the driver of a row.
    pub(crate) async fn leave(&mut self, row: Row, how: Leave) -> Result<()> {
        let (speaker, _) = self.0.remove(&row.place()).context("nobody speaks there")?;
        speaker.bgp().leave(how).await;
        Ok(())
    }

    /// Starts the driver of a place, with all its rows.
    pub(crate) fn start(&mut self, network: &Network, place: Place, restarted: bool) -> Result<()> {
        let speaker = Speaker::start(&place.netns(network)?, restarted)?;
        let mut setup = Setup { listener: Some(listener()), sessions: BTreeMap::new() };
        for router in daemons(network) {
            for row in rows(router).filter(|row| row.place() == place) {
                setup.sessions.insert(session_name(router, row), row.session(router)?);
                speaker.advertise(&session_name(router, row), row.routes()?);
            }
        }
        speaker.configure(&setup);
        self.0.insert(place, (speaker, setup));
        Ok(())
    }
}

fn listener() -> Listener {
    Listener { port: 179, addresses: Vec::new() }
}

/// Which rows a router has.
pub(crate) fn rows(router: &Router) -> impl Iterator<Item = Row> {
    let software = router.software();
    Row::ALL.into_iter().filter(move |row| row.is_had_by(software))
}

/// Every row with every router.
pub(crate) async fn come_up(network: &Network, report: &mut Report) -> Result<Speakers> {
    for row in Row::ALL.into_iter().filter(|row| row.needs_addresses()) {
        let (v4, v6) = row.own();
        let host = row.place().netns(network)?;
        host.exec(&["ip", "address", "add", &format!("{v4}/24"), "dev", "eth0"]).await?;
        host.exec(&["ip", "address", "add", &format!("{v6}/64"), "dev", "eth0", "nodad"]).await?;
    }
    let routers = daemons(network);
    // First, because OpenBGPD that finds nobody listening tries again after two minutes.
    let mut speakers = Speakers(BTreeMap::new());
    for place in [Place::Host1, Place::Host2, Place::Host3, Place::BehindRouter5] {
        speakers.start(network, place, false)?;
    }
    try_join_all(routers.map(async |router| {
        let back = ["ip", "route", "add", "172.20.5.0/24", "via", "192.168.0.245"];
        router.netns().exec(&back).await?;
        let config =
            rows(router).fold(RouterConfig::new(asn_of(router)), |all, row| all.neighbour(row.neighbour(router)));
        let [.., number] = router.ipv4().octets();
        let own = [format!("203.0.113.{number}/32"), format!("198.18.{number}.0/24")];
        router.start(own.iter().fold(config, |config, own| config.originate(own))).await
    }))
    .await?;
    let all = routers.into_iter().flat_map(|router| rows(router).map(move |row| (router, row)));
    let begin = Instant::now();
    let outcomes = all.map(async |(router, row)| {
        let outcome = is_up(&speakers, router, row).await;
        (session_name(router, row), begin.elapsed(), outcome)
    });
    for (name, took, outcome) in join_all(outcomes).await {
        report.check(&format!("{name}, shown after {:.1} s", took.as_secs_f32()), outcome);
    }
    Ok(speakers)
}

/// Established at both ends, with what was asked for negotiated; and the router shows our routes, each word of them.
async fn is_up(speakers: &Speakers, router: &Router, row: Row) -> Result<()> {
    let name = session_name(router, row);
    let speaker = speakers.of(row)?;
    let status = speaker.reaches(&name, "established", PATIENCE, |status| status.state == State::Established).await?;
    router.established(row.address(), PATIENCE).await?;
    let negotiated = status.negotiated.as_ref().context("nothing is negotiated")?;
    ensure!(negotiated.families.keys().eq(row.families()), "families: {negotiated:?}");
    ensure!(negotiated.hold_time == Some(Duration::from_secs(9)) && negotiated.four_octet_as, "{negotiated:?}");
    ensure!(
        row != Row::AddPath || negotiated.families.values().all(|family| family.add_path.is_some()),
        "{negotiated:?}"
    );
    for prefix in row.prefixes()? {
        let paths = if row == Row::AddPath { 2 } else { 1 };
        shows(router, row, prefix, paths).await?;
    }
    if matches!(row, Row::Bfd | Row::RestartBfd) {
        let is_up = |status: &SessionStatus| {
            status.bfd.as_ref().is_some_and(|beside| beside.state == ironlb_bfd_proto::State::Up)
        };
        let status = speaker.reaches(&name, "watched by BFD", PATIENCE, is_up).await?;
        let beside = status.bfd.as_ref().context("no BFD beside it")?;
        ensure!(beside.detection_time.is_some_and(|time| time >= Duration::from_millis(150)), "{beside:?}");
        // The end that hears of it second is up a packet later.
        wait_for(PATIENCE, &format!("{} to show BFD up", name_of(router)), || async {
            let all = router.bfd_sessions().await?;
            ensure!(all.iter().any(|session| session.peer == row.address() && session.is_up), "{all:?}");
            Ok(Some(()))
        })
        .await?;
    }
    // Its own route has come to us, and is counted; GoBGP passes on what it has from others, too.
    if row == Row::Ipv4 {
        let is_told = |status: &SessionStatus| status.received.values().sum::<u64>() > 0;
        speaker.reaches(&name, "told the router's own route", PATIENCE, is_told).await?;
    }
    Ok(())
}

/// Waits until the router shows so many paths of ours to this prefix, and holds each beside what was sent.
pub(crate) async fn shows(router: &Router, row: Row, prefix: Prefix, count: usize) -> Result<()> {
    let text = prefix.to_string();
    let paths = wait_for(PATIENCE, &format!("{} to show {text}", name_of(router)), || async {
        let all = router.paths(&text).await?;
        let ours: Vec<RoutePath> = all.iter().filter(|path| path.peer == Some(row.address())).cloned().collect();
        ensure!(ours.len() == count, "{all:?}");
        // It chooses after it has stored them.
        ensure!(ours.iter().any(|path| path.is_best) || count > 1, "not the best of one: {all:?}");
        Ok(Some(ours))
    })
    .await?;
    let mut next_hops: Vec<IpAddr> = Vec::new();
    for path in &paths {
        match row {
            Row::Internal => {
                ensure!(path.as_path.is_empty() && path.local_pref == Some(LOCAL_PREF), "{path:?}");
            }
            _ => ensure!(path.as_path == [ASN, ASN], "AS path: {path:?}"),
        }
        ensure!(path.med == Some(MED), "MED: {path:?}");
        ensure!(COMMUNITIES.iter().all(|wanted| path.communities.iter().any(|own| own == wanted)), "{path:?}");
        ensure!(path.communities.len() == COMMUNITIES.len(), "{path:?}");
        ensure!(path.large_communities == [LARGE_COMMUNITY], "{path:?}");
        ensure!(!path.is_stale, "{path:?}");
        next_hops.push(*path.next_hops.first().context("no next hop")?);
    }
    let is_ipv6 = prefix.addr().is_ipv6();
    let own: Vec<IpAddr> = if is_ipv6 && (row == Row::LinkLocal || row.address().is_ipv4()) {
        // The host has several, and the session runs over none of them.
        let at_its_place = Row::ALL.into_iter().filter(|other| other.place() == row.place());
        let first_of_all =
            (row.place() == Place::Host1).then_some(IpAddr::from(Ipv6Addr::new(0xfd00, 0, 0, 0, 0, 0, 0, 1)));
        at_its_place.map(|row| row.own().1.into()).chain(first_of_all).collect()
    } else if is_ipv6 || row == Row::Ipv6NextHop {
        vec![row.own().1.into()]
    } else {
        vec![row.own().0.into()]
    };
    let another: IpAddr = if is_ipv6 { ANOTHER.1.into() } else { ANOTHER.0.into() };
    next_hops.retain(|hop| row != Row::AddPath || *hop != another);
    ensure!(next_hops.len() == 1 && own.contains(&next_hops[0]), "{paths:?}: a next hop is none of {own:?}");
    Ok(())
}
