//! What sessions that are up do to each other: refresh, shutdown with words, a restart that is bridged, and many routes.

use std::collections::BTreeSet;
use std::net::Ipv4Addr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, anyhow, ensure};
use futures::future::join_all;
use ironlb_bgp::{Leave, SessionStatus};
use ironlb_bgp_proto::{Attributes, DownReason, NextHop, RestartConfig, RouteKey, Routes, State};
use ironlb_lab::router::{PeerSession, RoutePath};
use ironlb_lab::{Metronome, Network, Router, Software, wait_for};
use ironlb_model::Prefix;

use crate::Report;
use crate::bfd::{CALM_WITHIN, STILL};
use crate::bgp::{PATIENCE, Speakers, come_up, daemons, shows};
use crate::row::{Place, Row, name_of, session_name};

/// Place of ROUTE-REFRESH in the counters of messages.
const ROUTE_REFRESH: usize = 4;
/// So many routes does a large cluster have, as of 2026, and then some.
const MANY: u32 = 10_000;

pub(crate) async fn all(network: &Network, metronome: &Metronome, report: &mut Report) -> Result<()> {
    let mut speakers = come_up(network, report).await?;
    let routers = daemons(network);
    // GoBGP 3.10 answers such a question and never asks it.
    let asking = routers.into_iter().filter(|router| router.software() != Software::GoBgp);
    for (router, outcome) in join_all(asking.map(async |router| (router, refresh(&speakers, router).await))).await {
        report.check(&format!("{} route refresh", name_of(router)), outcome);
    }
    graceful_shutdown(&mut speakers, &routers, report).await?;
    our_shutdown(&mut speakers, &routers, report).await?;
    let outcomes = join_all(routers.map(async |router| (router, their_shutdown(&speakers, router).await))).await;
    for (router, outcome) in outcomes {
        report.check(&format!("{} shutdown message of the router", name_of(router)), outcome);
    }
    restart(network, &mut speakers, report).await?;
    notified(&mut speakers, &routers, report).await?;
    many(&speakers, [routers[0], routers[1]], report).await?;
    too_many(&mut speakers, &routers, report).await?;
    for router in [routers[0], routers[1]] {
        // Three packets missing either way beforehand, and something else has ended it.
        let silent = async || silence(&speakers, router, metronome).await;
        let outcome = metronome.again_where_still(STILL, CALM_WITHIN, silent).await;
        report.check(&format!("{} falls silent, found by BFD", name_of(router)), outcome);
    }
    Ok(())
}

/// The router asks for everything again, and has it.
async fn refresh(speakers: &Speakers, router: &Router) -> Result<()> {
    let (row, name) = (Row::Ipv4, session_name(router, Row::Ipv4));
    let own = row.address().to_string();
    let speaker = speakers.of(row)?;
    let before = speaker.session(&name)?;
    let protocol = bird_protocol(row);
    match router.software() {
        Software::Frr => router.order(&["clear", "bgp", "ipv4", "unicast", &own, "soft", "in"]).await?,
        Software::Bird => router.order(&["reload", "in", &protocol]).await?,
        Software::GoBgp => anyhow::bail!("GoBGP never asks"),
        Software::OpenBgpd => router.order(&["neighbor", &own, "refresh"]).await?,
    };
    // Between marks of its begin and its end, where the router knows them (RFC 7313). OpenBGPD is not told to.
    let has_marks = before.negotiated.as_ref().is_some_and(|agreed| agreed.enhanced_route_refresh);
    ensure!(has_marks || router.software() == Software::OpenBgpd, "no marks: {before:?}");
    let marks = if has_marks { 2 } else { 0 };
    let asked = |status: &SessionStatus| {
        status.counters.received[ROUTE_REFRESH] > before.counters.received[ROUTE_REFRESH]
            && status.counters.sent[ROUTE_REFRESH] == before.counters.sent[ROUTE_REFRESH] + marks
            && status.counters.sent[1] > before.counters.sent[1]
    };
    let after = speaker.reaches(&name, "asked for everything again", PATIENCE, asked).await?;
    ensure!(after.flaps == 0 && after.state == State::Established, "{after:?}");
    for prefix in row.prefixes()? {
        shows(router, row, prefix, 1).await?;
    }
    Ok(())
}

/// BIRD calls its neighbours by the order in which they are described.
fn bird_protocol(row: Row) -> String {
    let before = Row::ALL.into_iter().filter(|other| other.is_had_by(Software::Bird)).take_while(|other| *other != row);
    format!("n{}", before.count() + 1)
}

/// All routes of a session are marked as about to go (RFC 8326), and are not any more; the session stays.
async fn graceful_shutdown(speakers: &mut Speakers, routers: &[&Router], report: &mut Report) -> Result<()> {
    let row = Row::Internal;
    for is_going in [true, false] {
        speakers.change(row, routers, |session| session.graceful_shutdown = is_going)?;
        let outcomes =
            join_all(routers.iter().map(async |router| (*router, is_marked_as_going(router, row, is_going).await)));
        for (router, outcome) in outcomes.await {
            let outcome = outcome.and_then(|()| {
                let flaps = speakers.of(row)?.session(&session_name(router, row))?.flaps;
                ensure!(flaps == 0, "{flaps} flaps");
                Ok(())
            });
            let what = if is_going { "GRACEFUL_SHUTDOWN" } else { "GRACEFUL_SHUTDOWN taken back" };
            report.check(&format!("{} {what}", name_of(router)), outcome);
        }
    }
    Ok(())
}

async fn is_marked_as_going(router: &Router, row: Row, is_going: bool) -> Result<()> {
    for prefix in row.prefixes()? {
        let text = prefix.to_string();
        wait_for(PATIENCE, &format!("{} to show the mark of {text}", name_of(router)), || async {
            let all = router.paths(&text).await?;
            let ours = all.iter().find(|path| path.peer == Some(row.address())).with_context(|| format!("{all:?}"))?;
            let wanted = if is_going { 0 } else { crate::row::LOCAL_PREF };
            let is_marked = ours.communities.iter().any(|community| community == "65535:0");
            ensure!(is_marked == is_going && ours.local_pref == Some(wanted), "{ours:?}");
            Ok(Some(()))
        })
        .await?;
    }
    Ok(())
}

/// We shut a session down with words; the router shows them, and is back when we are.
async fn our_shutdown(speakers: &mut Speakers, routers: &[&Router], report: &mut Report) -> Result<()> {
    const WORDS: &str = "rack 7 moves until noon";
    let row = Row::Md5;
    speakers.change(row, routers, |session| session.admin_down = Some(WORDS.to_owned()))?;
    let outcomes = join_all(routers.iter().map(async |router| {
        let what = format!("{} to show why", name_of(router));
        let outcome = wait_for(PATIENCE, &what, || async {
            let session = session_of(router, row).await?;
            ensure!(!session.is_established, "established");
            let told = match router.software() {
                // In its log and nowhere else.
                Software::GoBgp => router.log("gobgpd")?,
                _ => session.details,
            };
            ensure!(told.contains(WORDS), "{told}");
            Ok(Some(()))
        });
        (*router, outcome.await)
    }))
    .await;
    for (router, outcome) in outcomes {
        report.check(&format!("{} shutdown message of ours", name_of(router)), outcome);
    }
    speakers.change(row, routers, |session| session.admin_down = None)
}

async fn session_of(router: &Router, row: Row) -> Result<PeerSession> {
    let all = router.sessions().await?;
    all.into_iter().find(|session| session.peer == row.address()).context("no such neighbour")
}

/// The router shuts a session down with words; our status has them, and we are back when it is.
async fn their_shutdown(speakers: &Speakers, router: &Router) -> Result<()> {
    const WORDS: &str = "cooling fails";
    let (row, name) = (Row::RouterPassive, session_name(router, Row::RouterPassive));
    let own = row.address().to_string();
    let protocol = bird_protocol(row);
    let at_frr = |word: &str| {
        let asn = crate::row::asn_of(router);
        format!("configure terminal\nrouter bgp {asn}\n{word}neighbor {own} shutdown")
    };
    match router.software() {
        Software::Frr => router.order(&[&at_frr(""), "message", WORDS]).await?,
        Software::Bird => router.order(&["disable", &protocol, &format!("\"{WORDS}\"")]).await?,
        Software::GoBgp => router.order(&["neighbor", &own, "disable", "--reason", WORDS]).await?,
        Software::OpenBgpd => router.order(&["neighbor", &own, "down", WORDS]).await?,
    };
    // GoBGP 3.10 takes the words and does not send them.
    let words = if router.software() == Software::GoBgp { "Administrative Shutdown" } else { WORDS };
    let told = |status: &SessionStatus| {
        let told = status.last_down.as_ref().map(|down| down.reason.to_string()).unwrap_or_default();
        status.state != State::Established && told.contains(words)
    };
    speakers.of(row)?.reaches(&name, "shut down by the router", PATIENCE, told).await?;
    match router.software() {
        Software::Frr => router.order(&[&at_frr("no ")]).await?,
        Software::Bird => router.order(&["enable", &protocol]).await?,
        Software::GoBgp => router.order(&["neighbor", &own, "enable"]).await?,
        Software::OpenBgpd => router.order(&["neighbor", &own, "up"]).await?,
    };
    speakers.of(row)?.reaches(&name, "back", PATIENCE, |status| status.state == State::Established).await.map(drop)
}

/// Our process ends and comes back: the routers keep the routes meanwhile, call them stale, and do not any more when they have been
/// told anew.
async fn restart(network: &Network, speakers: &mut Speakers, report: &mut Report) -> Result<()> {
    let routers = daemons(network);
    let mut all: Vec<(&Router, Row)> = routers.map(|router| (router, Row::Restart)).to_vec();
    all.extend(
        routers.into_iter().filter(|router| router.software().forwards()).map(|router| (router, Row::RestartBfd)),
    );
    for (router, row) in all.iter().copied() {
        // A busy machine may have ended a session by BFD a moment ago.
        let agreed = |status: &SessionStatus| {
            let negotiated = status.negotiated.as_ref().filter(|_| status.state == State::Established);
            negotiated.and_then(|negotiated| negotiated.graceful_restart).is_some_and(|restart| restart.is_mutual)
        };
        let name = session_name(router, row);
        speakers.of(row)?.reaches(&name, "agreed on restarts", PATIENCE, agreed).await?;
    }
    speakers.leave(Row::Restart, Leave::ForRestart).await?;
    let outcomes =
        join_all(all.into_iter().map(async |(router, row)| (router, row, is_stale(router, row).await))).await;
    speakers.start(network, Place::Host2, true)?;
    for (router, row, outcome) in outcomes {
        let outcome = match outcome {
            Ok(()) => is_fresh(speakers, router, row).await,
            error => error,
        };
        let beside = if row == Row::RestartBfd { ", BFD beside it" } else { "" };
        report.check(&format!("{} bridges our restart{beside}", name_of(router)), outcome);
    }
    Ok(())
}

/// A session that we end with a Cease and begin again costs no route where both ends know RFC 8538; one that we end for good does.
async fn notified(speakers: &mut Speakers, routers: &[&Router], report: &mut Report) -> Result<()> {
    let row = Row::Restart;
    let knows = |router: &&&Router| {
        let status = speakers.of(row).and_then(|speaker| speaker.session(&session_name(router, row)));
        let agreed = status.ok().and_then(|status| status.negotiated.clone()?.graceful_restart);
        agreed.is_some_and(|restart| restart.notification)
    };
    let routers: Vec<&Router> = routers.iter().filter(knows).copied().collect();
    for software in [Software::Frr, Software::GoBgp] {
        ensure!(routers.iter().any(|router| router.software() == software), "{software:?} does not know it");
    }
    let before: Vec<u64> = routers.iter().map(|router| flaps(speakers, router, row)).collect::<Result<_>>()?;
    // An OPEN that says something else needs another session, which does not come before it has been looked at without one.
    speakers.listen(row, false)?;
    speakers.change(row, &routers, |session| {
        session.config.graceful_restart = RestartConfig::new(31, true);
        session.config.passive = true;
    })?;
    let marked = join_all(routers.iter().map(|router| is_stale(router, row))).await;
    speakers.listen(row, true)?;
    speakers.change(row, &routers, |session| session.config.passive = false)?;
    let speaking = &*speakers;
    let outcomes = join_all(routers.iter().zip(marked).zip(before).map(async |((router, marked), before)| {
        marked?;
        outlives(speaking, router, row, before).await
    }));
    let outcomes = outcomes.await;
    speakers.change(row, &routers, |session| session.admin_down = Some("for good".to_owned()))?;
    for (router, outcome) in routers.iter().zip(outcomes) {
        report.check(&format!("{} bridges a NOTIFICATION", name_of(router)), outcome);
        report.check(&format!("{} takes a hard reset for the end", name_of(router)), is_gone(router, row).await);
    }
    speakers.change(row, &routers, |session| session.admin_down = None)
}

fn flaps(speakers: &Speakers, router: &Router, row: Row) -> Result<u64> {
    Ok(speakers.of(row)?.session(&session_name(router, row))?.flaps)
}

/// The routes are there at each look until another session is up and has told them anew.
async fn outlives(speakers: &Speakers, router: &Router, row: Row, before: u64) -> Result<()> {
    let (name, begin) = (session_name(router, row), Instant::now());
    loop {
        for prefix in row.prefixes()? {
            let all = router.paths(&prefix.to_string()).await?;
            let is_there = all.iter().any(|path| path.peer == Some(row.address()));
            ensure!(is_there, "{prefix} is gone after {:?}: {all:?}", begin.elapsed());
        }
        let status = speakers.of(row)?.session(&name)?;
        if status.state == State::Established && status.flaps > before {
            return is_fresh(speakers, router, row).await;
        }
        ensure!(begin.elapsed() < PATIENCE, "no other session: {status:?}");
    }
}

/// The routes go long before the time is over for which they would be kept.
async fn is_gone(router: &Router, row: Row) -> Result<()> {
    for prefix in row.prefixes()? {
        let text = prefix.to_string();
        wait_for(Duration::from_secs(10), &format!("{} to drop {text}", name_of(router)), || async {
            let all = router.paths(&text).await?;
            ensure!(all.iter().all(|path| path.peer != Some(row.address())), "{all:?}");
            Ok(Some(()))
        })
        .await?;
    }
    Ok(())
}

/// The router announces two prefixes where one is allowed: it is told so and shows it, and without the limit the session is back.
async fn too_many(speakers: &mut Speakers, routers: &[&Router], report: &mut Report) -> Result<()> {
    let row = Row::Gtsm;
    speakers.change(row, routers, |session| session.admin_down = Some(String::new()))?;
    let is_down = |status: &SessionStatus| status.state == State::Idle;
    for router in routers {
        speakers.of(row)?.reaches(&session_name(router, row), "taken down", PATIENCE, is_down).await?;
    }
    speakers.change(row, routers, |session| {
        session.admin_down = None;
        session.config.families.values_mut().for_each(|family| family.maximum_prefixes = Some(1));
    })?;
    let outcomes =
        join_all(routers.iter().map(async |router| (*router, is_refused(speakers, router, row).await))).await;
    for (router, outcome) in outcomes {
        report.check(&format!("{} announces more prefixes than it may", name_of(router)), outcome);
    }
    speakers.change(row, routers, |session| {
        session.config.families.values_mut().for_each(|family| family.maximum_prefixes = None);
    })?;
    let up = |status: &SessionStatus| status.state == State::Established;
    // OpenBGPD 7.7 that was told so lets nobody in for half a minute.
    for router in routers.iter().filter(|router| router.software() != Software::OpenBgpd) {
        speakers.of(row)?.reaches(&session_name(router, row), "back without the limit", PATIENCE, up).await?;
    }
    Ok(())
}

async fn is_refused(speakers: &Speakers, router: &Router, row: Row) -> Result<()> {
    let refused = |status: &SessionStatus| {
        let down = status.last_down.as_ref();
        down.is_some_and(|down| {
            matches!(down.reason, DownReason::MaximumPrefixes { limit: 1, .. }) && down.sent.is_some()
        })
    };
    speakers.of(row)?.reaches(&session_name(router, row), "ended by the limit", PATIENCE, refused).await?;
    wait_for(PATIENCE, &format!("{} to show why", name_of(router)), || async {
        let told = match router.software() {
            // In its log and nowhere else.
            Software::GoBgp => router.log("gobgpd")?,
            _ => session_of(router, row).await?.details,
        };
        let told = told.to_lowercase();
        let words = ["maximum number of prefixes", "maximum prefixes", "max-prefix", "max prefix"];
        ensure!(words.iter().any(|word| told.contains(word)), "{told}");
        Ok(Some(()))
    })
    .await
}

/// Does the router say that it keeps the path over a restart of ours? BIRD 2.0 says it of the session.
fn is_marked(router: &Router, session: &PeerSession, path: &RoutePath) -> bool {
    match router.software() {
        Software::Bird => session.details.contains("Neighbor graceful restart active"),
        _ => path.is_stale,
    }
}

/// The router keeps our routes from the moment it has seen the end of the session, and for longer than BFD takes to find silence.
async fn is_stale(router: &Router, row: Row) -> Result<()> {
    for prefix in row.prefixes()? {
        let text = prefix.to_string();
        let look = async || {
            let session = session_of(router, row).await?;
            ensure!(!session.is_established, "established");
            let all = router.paths(&text).await?;
            let ours = all.into_iter().find(|path| path.peer == Some(row.address()));
            anyhow::Ok(ours.map(|path| (is_marked(router, &session, &path), path, session.details)))
        };
        wait_for(PATIENCE, &format!("{} to keep {text}", name_of(router)), || async {
            let Some((is_marked, path, details)) = look().await? else { return Ok(Some(Err(anyhow!("it is gone")))) };
            ensure!(is_marked, "{path:?}: {details}");
            Ok(Some(Ok(())))
        })
        .await??;
        let begin = Instant::now();
        while begin.elapsed() < Duration::from_secs(1) {
            ensure!(look().await?.is_some(), "it is gone after {:?}", begin.elapsed());
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    }
    Ok(())
}

async fn is_fresh(speakers: &Speakers, router: &Router, row: Row) -> Result<()> {
    let up = |status: &SessionStatus| status.state == State::Established;
    speakers.of(row)?.reaches(&session_name(router, row), "back", PATIENCE, up).await?;
    for prefix in row.prefixes()? {
        let text = prefix.to_string();
        wait_for(PATIENCE, &format!("{} to take {text} anew", name_of(router)), || async {
            let session = session_of(router, row).await?;
            let all = router.paths(&text).await?;
            let ours = all.iter().find(|path| path.peer == Some(row.address())).with_context(|| format!("{all:?}"))?;
            ensure!(!is_marked(router, &session, ours), "{ours:?}: {}", session.details);
            Ok(Some(()))
        })
        .await?;
    }
    Ok(())
}

/// Ten thousand routes to two routers, and back to one.
async fn many(speakers: &Speakers, routers: [&Router; 2], report: &mut Report) -> Result<()> {
    let row = Row::Ipv4;
    let speaker = speakers.of(row)?;
    let begin = Instant::now();
    let attributes = Arc::new(Attributes::new(NextHop::Own));
    let of = |number: u32| -> Result<Prefix> { Ok(format!("{}/32", Ipv4Addr::from(0x0a00_0000 + number)).parse()?) };
    let mut routes: Routes = row.routes()?;
    let own = routes.len();
    for number in 0..MANY {
        routes.insert(RouteKey::own(of(number)?), attributes.clone());
    }
    for router in routers {
        speaker.advertise(&session_name(router, row), routes.clone());
    }
    for router in routers {
        counts(router, row, u64::from(MANY) + u64::try_from(own)?).await?;
    }
    report.row(&format!("FRR and BIRD: {MANY} routes to both after {} ms", begin.elapsed().as_millis()));
    let begin = Instant::now();
    for router in routers {
        speaker.advertise(&session_name(router, row), row.routes()?);
    }
    for router in routers {
        counts(router, row, u64::try_from(own)?).await?;
    }
    report.row(&format!("FRR and BIRD: withdrawn again after {} ms", begin.elapsed().as_millis()));
    let flaps: BTreeSet<u64> = routers
        .into_iter()
        .map(|router| anyhow::Ok(speaker.session(&session_name(router, row))?.flaps))
        .collect::<Result<_>>()?;
    ensure!(flaps == BTreeSet::from([0]), "sessions went down: {flaps:?}");
    Ok(())
}

async fn counts(router: &Router, row: Row, wanted: u64) -> Result<()> {
    wait_for(PATIENCE, &format!("{} to count {wanted} routes", name_of(router)), || async {
        let session = session_of(router, row).await?;
        ensure!(session.prefixes == wanted, "{}", session.prefixes);
        Ok(Some(()))
    })
    .await
}

/// The router's programs stop where they are: BFD ends the session beside it long before the hold time, and no other one.
async fn silence(speakers: &Speakers, router: &Router, metronome: &Metronome) -> Result<()> {
    let (row, name) = (Row::Bfd, session_name(router, Row::Bfd));
    let speaker = speakers.of(row)?;
    let other = session_name(router, Row::Ipv4);
    let before = speaker.session(&other)?;
    let up = |status: &SessionStatus| status.state == State::Established;
    let stood = speaker.reaches(&name, "up", PATIENCE, up).await?;
    let begin = Instant::now();
    router.freeze()?;
    let down = speaker.reaches(&name, "down", PATIENCE, |status| status.flaps > stood.flaps).await;
    let (took, stood_still) = (begin.elapsed(), metronome.sum_since(begin));
    router.thaw()?;
    let reason = down?.last_down.map(|down| down.reason);
    ensure!(reason == Some(DownReason::BfdDown), "something else has ended it: {reason:?}");
    // 150 ms if the machine has nothing else to do; the hold time is 9 s.
    ensure!(took < Duration::from_secs(2) + stood_still, "found after {took:?}");
    speaker.reaches(&name, "back", PATIENCE, up).await?;
    let after = speaker.session(&other)?;
    ensure!(after.flaps == before.flaps && up(&after), "a session without BFD went down, too: {after:?}");
    Ok(())
}
