//! The routers of a site, ironlb's sessions with them, and the ways their kernels know to a vip.

use std::collections::BTreeSet;
use std::fmt;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::time::{Duration, SystemTime};

use anyhow::{Context, Result, ensure};
use ironlb_lab::probe::{Failure, Probe, Probing, Report};
use ironlb_lab::{Bfd, Neighbour, Router, RouterConfig, wait_for};
use serde_json::{Value, json};

use crate::ground::{Ground, SCENARIO};
use crate::stage::PATIENCE;

/// The cluster's AS number, and that of all routers.
pub const CLUSTER_AS: u32 = 64512;
/// The routers' AS number.
pub const ROUTERS_AS: u32 = 64513;

/// BFD as the project's bars have it: three packets of 50 ms.
const BFD_MS: u32 = 50;
const BFD_MULTIPLIER: u8 = 3;

/// The hold time in seconds: the shortest there is (RFC 4271 section 4.2), so that who waits for it does not wait long.
pub const HOLD_TIME: u16 = 3;

/// How the sessions are protected.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Protection {
    /// In a word.
    pub name: &'static str,
    /// Graceful restart (RFC 4724) on both sides.
    pub graceful: bool,
    /// BFD, 3 x 50 ms.
    pub bfd: bool,
    /// No session before BFD is up.
    pub strict: bool,
}

impl Protection {
    /// Nothing but TCP and the hold time.
    pub const PLAIN: Self = Self { name: "plain", graceful: false, bfd: false, strict: false };
    /// Graceful restart.
    pub const GRACEFUL: Self = Self { name: "graceful restart", graceful: true, ..Self::PLAIN };
    /// BFD.
    pub const BFD: Self = Self { name: "BFD", bfd: true, ..Self::PLAIN };
    /// Graceful restart and BFD.
    pub const BOTH: Self = Self { name: "graceful restart and BFD", graceful: true, bfd: true, strict: false };
    /// BFD first.
    pub const STRICT: Self = Self { name: "strict BFD", bfd: true, strict: true, ..Self::PLAIN };
    /// All of them.
    pub const ALL: [Self; 5] = [Self::PLAIN, Self::GRACEFUL, Self::BFD, Self::BOTH, Self::STRICT];
}

/// Starts every router of the site with every node as its neighbour, applies a BgpConf and a BgpPeer for each router, and waits
/// until all of them have their sessions.
///
/// # Errors
/// A router does not start, an object is refused, or a session does not come up.
pub async fn raise(ground: &Ground<'_>, protection: Protection) -> Result<()> {
    let site = &ground.stage().site;
    ground.apply(&object(ground, "BgpConf", "default", json!({"as": CLUSTER_AS, "listenPort": 179}))).await?;
    for router in site.routers() {
        let nodes = site.nodes().iter();
        let neighbours = nodes.map(|node| neighbour(node.ipv4(), protection));
        router.start(neighbours.fold(RouterConfig::new(ROUTERS_AS), RouterConfig::neighbour)).await?;
        ground.apply(&object(ground, "BgpPeer", &peer_name(ground, router), peer(router.ipv4(), protection))).await?;
    }
    established(ground, protection).await
}

/// Waits until every router has its session with every node that has power, and BFD beside it where that is wanted.
///
/// # Errors
/// It does not come to that.
pub async fn established(ground: &Ground<'_>, protection: Protection) -> Result<()> {
    let site = &ground.stage().site;
    for router in site.routers() {
        for node in site.nodes() {
            router.established(node.ipv4(), PATIENCE).await?;
        }
        if protection.bfd {
            wait_for(PATIENCE, &format!("BFD of {} with all nodes", router.name()), || async {
                let sessions = router.bfd_sessions().await?;
                let up = sessions.iter().filter(|session| session.is_up).count();
                ensure!(up >= site.nodes().len(), "{up} are up of {sessions:?}");
                Ok(Some(()))
            })
            .await?;
        }
    }
    Ok(())
}

/// The name of the BgpPeer for a router.
#[must_use]
pub fn peer_name(ground: &Ground<'_>, router: &Router) -> String {
    ground.further(router.name())
}

fn neighbour(node: Ipv4Addr, protection: Protection) -> Neighbour {
    Neighbour {
        hold_time: HOLD_TIME,
        graceful_restart: protection.graceful,
        bfd: protection.bfd.then(|| Bfd::each(BFD_MS, BFD_MULTIPLIER)),
        ..Neighbour::new(node, CLUSTER_AS)
    }
}

fn peer(router: Ipv4Addr, protection: Protection) -> Value {
    json!({
        "conf": {"peerAs": ROUTERS_AS, "neighborAddress": router},
        // A second between attempts: what is measured is what clients see, and a test waits for sessions.
        "timers": {"config": {"holdTime": HOLD_TIME.to_string(), "connectRetry": "1"}},
        "gracefulRestart": {"enabled": protection.graceful, "restartTime": 30},
        "bfd": {
            "enabled": protection.bfd, "receiveInterval": BFD_MS, "transmitInterval": BFD_MS,
            "detectMultiplier": BFD_MULTIPLIER, "strict": protection.strict,
        },
    })
}

/// An object of OpenELB's group that goes with the scenario.
#[must_use]
pub fn object(ground: &Ground<'_>, kind: &str, name: &str, spec: Value) -> String {
    let (api, label) = ("network.kubesphere.io/v1alpha2", ground.name());
    let metadata = json!({"name": name, "labels": {SCENARIO: label}});
    json!({"apiVersion": api, "kind": kind, "metadata": metadata, "spec": spec}).to_string()
}

/// The next hops of the router's kernel to a vip; none without a route.
///
/// # Errors
/// Its routes cannot be read.
pub async fn ways(router: &Router, vip: impl Into<IpAddr>) -> Result<BTreeSet<IpAddr>> {
    let vip = vip.into();
    let routes = router.kernel_routes().await?;
    let to_vip = routes.iter().filter(|route| route.destination == vip.to_string());
    Ok(to_vip.flat_map(|route| route.next_hops.iter().map(|hop| hop.via)).collect())
}

/// Waits until every router's kernel spreads the vip's traffic over exactly these nodes.
///
/// # Errors
/// It does not come to that.
pub async fn leads_over(ground: &Ground<'_>, vip: Ipv4Addr, nodes: &[&str], within: Duration) -> Result<()> {
    let site = &ground.stage().site;
    let wanted: Result<BTreeSet<IpAddr>> = nodes.iter().map(|name| Ok(site.node_named(name)?.ipv4().into())).collect();
    let wanted = wanted?;
    for router in site.routers() {
        wait_for(within, &format!("{} to lead {vip} over {nodes:?}", router.name()), || async {
            let ways = ways(router, vip).await?;
            ensure!(ways == wanted, "it leads over {ways:?}");
            Ok(Some(()))
        })
        .await?;
    }
    Ok(())
}

/// Begins to connect to port 80 of a vip from behind a router, 100 times a second, once all ways there work: kube-proxy makes a new
/// vip known to each node in its own time.
///
/// # Errors
/// The client cannot start, or not all ways come to work.
pub async fn probe(ground: &Ground<'_>, router: &Router, vip: impl Into<IpAddr>, name: &str) -> Result<Probe> {
    let target = SocketAddr::new(vip.into(), 80);
    let begin = |netns: &ironlb_lab::Netns, name: &str| {
        let file = ground.stage().record(&format!("{}-{name}.log", ground.record(router.name())));
        Probe::start(netns, target, Probing::default(), &file).context("a client behind a router")
    };
    // From the router itself: a node remembers for two minutes that a connection came before kube-proxy knew the vip, and treats
    // alike what comes from the same address and port again.
    let first = begin(&router.netns(), &format!("{name}-before"))?;
    wait_for(PATIENCE, &format!("{STEADY} connections behind {} without a failure", router.name()), || async {
        let report = first.so_far();
        let last = report.attempts.iter().rev().take(STEADY);
        Ok((last.filter(|attempt| attempt.outcome.is_ok()).count() == STEADY).then_some(()))
    })
    .await?;
    tokio::task::spawn_blocking(move || first.stop()).await??;
    begin(&router.client()?, name)
}

/// The same behind every router, and a second of answers.
///
/// # Errors
/// As one of them.
pub async fn probes<'a>(ground: &Ground<'a>, vip: Ipv4Addr, name: &str) -> Result<Vec<(&'a Router, Probe)>> {
    let mut probes = Vec::new();
    for router in ground.stage().site.routers() {
        probes.push((router, probe(ground, router, vip, name).await?));
    }
    more_answers(&probes).await?;
    Ok(probes)
}

/// So many connections in a row say that all ways work. Chosen: with three ways, one that does not is missed once in 600 000 times.
const STEADY: usize = 33;

/// Waits until each client has had a second of answers more.
///
/// # Errors
/// One has not.
pub async fn more_answers(probes: &[(&Router, Probe)]) -> Result<()> {
    for (router, probe) in probes {
        let before = probe.so_far().ok();
        wait_for(PATIENCE, &format!("answers behind {}", router.name()), || async {
            Ok((probe.so_far().ok() >= before + 100).then_some(()))
        })
        .await?;
    }
    Ok(())
}

/// What a client saw of a disruption.
#[derive(Debug)]
pub struct Seen {
    /// So many connections were tried.
    pub attempts: usize,
    /// Why those failed that did.
    pub failures: Vec<Failure>,
    /// In how many moments that was: failures less than half a second apart are of one.
    pub moments: usize,
    /// From the disruption to the start of the last attempt that failed.
    pub until_last: Duration,
}

impl Seen {
    /// Reads it from what a client measured; `begun` is the moment of the disruption.
    #[must_use]
    pub fn of(report: &Report, begun: SystemTime) -> Self {
        let failed = || report.attempts.iter().filter_map(|a| Some((a.started, a.outcome.as_ref().err()?)));
        let begun = begun.duration_since(report.started).unwrap_or_default();
        let mut ends: Vec<Duration> = report.attempts.iter().filter(|a| a.outcome.is_err()).map(|a| a.ended).collect();
        ends.sort_unstable();
        let apart = |pair: &[Duration]| pair.iter().copied().reduce(|a, b| b.saturating_sub(a)) >= Some(ONE_MOMENT);
        Self {
            attempts: report.attempts.len(),
            failures: failed().map(|(_, failure)| *failure).collect(),
            moments: usize::from(!ends.is_empty()) + ends.windows(2).filter(|pair| apart(pair)).count(),
            until_last: failed().map(|(started, _)| started.saturating_sub(begun)).max().unwrap_or_default(),
        }
    }
}

/// Failures that end less than this apart have one cause. Chosen: a connection that a busy machine takes a while over is under way
/// for that long, and changes of routes are farther apart.
const ONE_MOMENT: Duration = Duration::from_millis(500);

impl fmt::Display for Seen {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} of {} connections failed", self.failures.len(), self.attempts)?;
        match self.moments {
            0 => Ok(()),
            moments => write!(f, " in {moments} moments, the last {:.0?} after", self.until_last),
        }
    }
}
