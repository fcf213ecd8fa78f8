//! The routers of a site, ironlb's sessions with them, and the ways their kernels know to a vip.

use std::collections::BTreeSet;
use std::fmt;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::time::{Duration, SystemTime};

use anyhow::{Context, Result, ensure};
use ironlb_lab::probe::{Attempt, Failure, Probe, Probing, Report};
use ironlb_lab::router::PeerSession;
use ironlb_lab::{Bfd, Neighbour, Node, Router, RouterConfig, Software, wait_for};
use serde_json::{Value, json};

use crate::ground::{Ground, SCENARIO};
use crate::stage::PATIENCE;

/// The cluster's AS number.
pub const CLUSTER_AS: u32 = 64512;
/// The routers' AS number.
pub const ROUTERS_AS: u32 = 64513;

/// BFD as the project's bars have it: three packets of 50 ms.
const BFD_MS: u32 = 50;
const BFD_MULTIPLIER: u8 = 3;

/// The hold time in seconds. Chosen: short, so that who waits for it does not wait long; three times the shortest there is (RFC 4271
/// section 4.2), which an end that stands still for two seconds breaks.
pub const HOLD_TIME: u16 = 9;

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
    /// The routers are of the cluster's AS (iBGP).
    pub internal: bool,
}

impl Protection {
    /// Nothing but TCP and the hold time.
    pub const PLAIN: Self = Self { name: "plain", graceful: false, bfd: false, strict: false, internal: false };
    /// Graceful restart.
    pub const GRACEFUL: Self = Self { name: "graceful restart", graceful: true, ..Self::PLAIN };
    /// BFD.
    pub const BFD: Self = Self { name: "BFD", bfd: true, ..Self::PLAIN };
    /// Graceful restart and BFD.
    pub const BOTH: Self = Self { name: "graceful restart and BFD", graceful: true, bfd: true, ..Self::PLAIN };
    /// BFD first.
    pub const STRICT: Self = Self { name: "strict BFD", bfd: true, strict: true, ..Self::PLAIN };
    /// Graceful restart, within one AS.
    pub const INTERNAL: Self = Self { name: "within one AS", graceful: true, internal: true, ..Self::PLAIN };
    /// All of them.
    pub const ALL: [Self; 6] = [Self::PLAIN, Self::GRACEFUL, Self::INTERNAL, Self::BFD, Self::BOTH, Self::STRICT];
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
        let neighbours = nodes.map(|node| {
            // BIRD would look for the way to a next hop from within among the routes that it was told.
            let is_looked_for = protection.internal && router.software() == Software::Bird;
            let extra = if is_looked_for { "direct;".to_owned() } else { String::new() };
            Neighbour { extra, ..neighbour(node.ipv4(), protection) }
        });
        let mut config = neighbours.fold(RouterConfig::new(routers_as(protection)), RouterConfig::neighbour);
        if protection.internal && router.software() == Software::Frr {
            // Another number of ways for routes from within, one without it.
            config.extra = format!("router bgp {CLUSTER_AS}\n address-family ipv4 unicast\n  maximum-paths ibgp 16\n");
        }
        router.start(config).await?;
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

fn routers_as(protection: Protection) -> u32 {
    if protection.internal { CLUSTER_AS } else { ROUTERS_AS }
}

fn peer(router: Ipv4Addr, protection: Protection) -> Value {
    json!({
        "conf": {"peerAs": routers_as(protection), "neighborAddress": router},
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
        more_answers_of(router, probe).await?;
    }
    Ok(())
}

/// Waits until this client has had a second of answers more.
///
/// # Errors
/// It has not.
pub async fn more_answers_of(router: &Router, probe: &Probe) -> Result<()> {
    let before = probe.so_far().ok();
    wait_for(PATIENCE, &format!("answers behind {}", router.name()), || async {
        Ok((probe.so_far().ok() >= before + 100).then_some(()))
    })
    .await
}

/// A router's session with a node, as it shows it.
///
/// # Errors
/// It was told of no such neighbour.
pub async fn session(router: &Router, node: &Node) -> Result<PeerSession> {
    let session = router.sessions().await?.into_iter().find(|session| session.peer == IpAddr::from(node.ipv4()));
    session.with_context(|| format!("{} was not told of {}", router.name(), node.name()))
}

/// Which of its lives a session is in: it stays the same for as long as the session stays established.
///
/// # Errors
/// The router does not show it.
pub fn life(router: &Router, session: &PeerSession) -> Result<String> {
    let found = match router.software() {
        Software::Frr => {
            let details: Value = serde_json::from_str(&session.details)?;
            details.get("connectionsEstablished").map(Value::to_string)
        }
        // `n1         BGP        ---        up     17:25:33.123  Established`
        _ => session.details.split_whitespace().nth(4).map(str::to_owned),
    };
    found.with_context(|| format!("{} does not show since when it has a session: {}", router.name(), session.details))
}

/// Did the node say at the beginning of the session that it had restarted (the R bit of RFC 4724)?
///
/// # Errors
/// The router shows it in another way.
pub fn was_restarted(router: &Router, session: &PeerSession) -> Result<bool> {
    match router.software() {
        Software::Frr => {
            let details: Value = serde_json::from_str(&session.details)?;
            let bit = details.get("gracefulRestartInfo").and_then(|info| info.get("rBit")?.as_bool());
            bit.with_context(|| format!("no rBit in {details}"))
        }
        _ => {
            let theirs =
                session.details.split("Neighbor capabilities").nth(1).context("no neighbour's capabilities")?;
            Ok(theirs.contains("Restart recovery"))
        }
    }
}

/// What a client saw of a disruption.
#[derive(Debug)]
pub struct Seen {
    /// So many connections were tried.
    pub attempts: usize,
    /// Those that failed.
    pub failures: Vec<Failed>,
    /// From the disruption to the start of the last attempt that failed.
    pub until_last: Duration,
}

/// A connection that failed.
#[derive(Debug)]
pub struct Failed {
    /// Why.
    pub why: Failure,
    /// When it was begun.
    pub started: SystemTime,
    /// When it had failed.
    pub ended: SystemTime,
}

impl Failed {
    /// Was it under way then, as far as moments can be told apart that are less than `blur` from each other?
    #[must_use]
    pub fn was_under_way(&self, at: SystemTime, blur: Duration) -> bool {
        self.started <= at + blur && at <= self.ended + blur
    }
}

impl Seen {
    /// Reads it from what a client measured; `begun` is the moment of the disruption.
    #[must_use]
    pub fn of(report: &Report, begun: SystemTime) -> Self {
        let failed = |attempt: &Attempt| {
            let why = *attempt.outcome.as_ref().err()?;
            Some(Failed { why, started: report.started + attempt.started, ended: report.started + attempt.ended })
        };
        let failures: Vec<Failed> = report.attempts.iter().filter_map(failed).collect();
        let since = |failed: &Failed| failed.started.duration_since(begun).unwrap_or_default();
        let until_last = failures.iter().map(since).max().unwrap_or_default();
        Self { attempts: report.attempts.len(), failures, until_last }
    }
}

impl fmt::Display for Seen {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} of {} connections failed", self.failures.len(), self.attempts)?;
        if self.failures.is_empty() { Ok(()) } else { write!(f, ", the last {:.0?} after", self.until_last) }
    }
}
