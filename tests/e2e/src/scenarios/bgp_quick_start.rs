//! OpenELB's quick start of BGP, as the files in `examples/` stand: a session from each node to a real router, a route by all of them
//! in the router's kernel, and requests from behind the router that enter by every node.

use std::collections::{BTreeMap, BTreeSet};
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use ironlb_api::names::condition;
use ironlb_api::{BgpConf, BgpPeer, Speaker};
use ironlb_lab::probe::{Probe, Probing, Report};
use ironlb_lab::router::{KernelRoute, NextHop};
use ironlb_lab::{Neighbour, Router, RouterConfig, wait_for};
use kube::api::{Api, ListParams};
use serde_json::json;

use crate::fabric;
use crate::ground::Ground;
use crate::owner;
use crate::release::{self, checkout};
use crate::runner::Scenario;
use crate::stage::{PATIENCE, Stage};

/// The cluster's number in `examples/bgp/bgpconf.yaml`, and its port.
const CLUSTER: (u32, u16) = (50000, 17900);
/// The router's in `examples/bgp/bgppeer.yaml`.
const ROUTER: u32 = 50001;
/// The BgpPeer's name.
const PEER: &str = "router";
/// How many connections are looked at. Chosen: with three ways chosen by a hash of the ports, one is missed once in 10^17 times.
const CONNECTIONS: usize = 100;

/// A router that is away: an address of the nodes' LAN that nobody has.
const AWAY: &str = "192.168.0.239";
/// So long nobody may write anything, and twelve times as long in `make soak`. Chosen: what an agent writes periodically it mostly writes
/// every second or every thirty.
const REST: Duration = Duration::from_secs(5);

/// The whole of it.
pub const SCENARIO: Scenario = Scenario {
    name: "bgp-quick-start",
    shows: "the quick start of BGP, unchanged: a session from every node, a route by all of them in the router's kernel, and the route gone with the Service",
    // What the examples' Eip gives out is of no LAN.
    first_address: 131,
    run: |ground| Box::pin(run(ground)),
};

async fn run(ground: &Ground<'_>) -> Result<()> {
    let stage = ground.stage();
    let router = stage.site.router(1);
    router.start(config(stage)).await?;
    for file in ["web.yaml", "bgp/bgpconf.yaml", "bgp/bgppeer.yaml", "bgp/eip.yaml", "bgp/service.yaml"] {
        ground.apply_example(&checkout("examples").join(file)).await?;
    }
    let vip = ground.served("web-bgp").await?;
    for node in stage.site.nodes() {
        router.established(node.ipv4(), PATIENCE).await?;
    }
    let summary = router.cli("show bgp summary").await?;
    ground.say(&format!("{} nodes established, as the router shows them:\n{summary}", stage.site.nodes().len()));

    let route = spread(stage, router, vip).await?;
    ground.say(&format!("in the router's kernel: {route:?}"));
    for path in router.paths(&format!("{vip}/32")).await? {
        ensure!(path.as_path == [CLUSTER.0] && path.med.is_none_or(|med| med == 0), "{path:?}");
    }
    ground.rolled_out().await?;
    ground.condition("web-bgp", condition::ANNOUNCED, "True").await?;
    enters_by_all(ground, router, vip).await?;
    is_told(ground).await?;
    is_at_rest(ground).await.context("at rest")?;

    ground.kubectl(&["delete", "service", "web-bgp"]).await?;
    wait_for(PATIENCE, "the router to forget the vip", || async {
        ensure!(kernel_route(router, vip).await?.is_none(), "its kernel has a route yet");
        Ok(router.paths(&format!("{vip}/32")).await?.is_empty().then_some(()))
    })
    .await?;
    wait_for(PATIENCE, "sessions without a prefix", || async {
        for node in stage.site.nodes() {
            let session = router.established(node.ipv4(), PATIENCE).await?;
            ensure!(session.prefixes == 0, "{session:?}");
        }
        Ok(Some(()))
    })
    .await
}

/// A router that has every node as a neighbour.
#[must_use]
pub fn config(stage: &Stage) -> RouterConfig {
    let nodes = stage.site.nodes().iter();
    nodes.fold(RouterConfig::new(ROUTER), |config, node| {
        config.neighbour(Neighbour { port: CLUSTER.1, ..Neighbour::new(node.ipv4(), CLUSTER.0) })
    })
}

/// Waits until the router's kernel sends the vip's packets by every node.
async fn spread(stage: &Stage, router: &Router, vip: Ipv4Addr) -> Result<KernelRoute> {
    let wanted: Vec<NextHop> =
        stage.site.nodes().iter().map(|node| NextHop { via: node.ipv4().into(), weight: 1 }).collect();
    wait_for(PATIENCE, &format!("a route to {vip} by every node in the router's kernel"), || async {
        let route = kernel_route(router, vip).await?.context("there is none")?;
        ensure!(route.next_hops == wanted, "{route:?}");
        Ok(Some(route))
    })
    .await
}

/// The route to the vip in the router's kernel.
///
/// # Errors
/// `ip` fails.
pub async fn kernel_route(router: &Router, vip: Ipv4Addr) -> Result<Option<KernelRoute>> {
    let destination = vip.to_string();
    Ok(router.kernel_routes().await?.into_iter().find(|route| route.destination == destination))
}

/// Connections from the client behind the router come in by each node, and all are answered.
async fn enters_by_all(ground: &Ground<'_>, router: &Router, vip: Ipv4Addr) -> Result<()> {
    let stage = ground.stage();
    let all: BTreeSet<String> = stage.site.nodes().iter().map(|node| node.name().to_owned()).collect();
    wait_for(PATIENCE, "answers through each node", || async {
        let report = from_behind(ground, router, vip, CONNECTIONS).await?;
        let by_node = by_entry(stage, &report);
        ensure!(report.failed() == 0 && by_node.keys().eq(&all), "{report}; by the node they came in: {by_node:?}");
        ground.say(&format!("{CONNECTIONS} connections by the node they came in: {by_node:?}"));
        Ok(Some(()))
    })
    .await
}

/// Makes so many connections from the client behind the router.
///
/// # Errors
/// The client is broken.
pub async fn from_behind(ground: &Ground<'_>, router: &Router, vip: Ipv4Addr, count: usize) -> Result<Report> {
    let file = ground.stage().record(&format!("{}.log", ground.record("answers")));
    let probe = Probe::start(&router.client()?, SocketAddr::from((vip, 80)), Probing::default(), &file)?;
    wait_for(PATIENCE, "the client's attempts", || async {
        Ok((probe.so_far().attempts.len() >= count).then_some(()))
    })
    .await?;
    Ok(tokio::task::spawn_blocking(move || probe.stop()).await??)
}

/// How many of the connections came in by which node: kube-proxy gives each that node's own address as source.
#[must_use]
pub fn by_entry(stage: &Stage, report: &Report) -> BTreeMap<String, usize> {
    let mut by_node = BTreeMap::new();
    for (_, answer) in report.successes() {
        // The node's address on the LAN, or on the bridge of its pods, 10.244.N.1.
        let number = answer.client.parse::<IpAddr>().ok().and_then(|address| match address {
            IpAddr::V4(address) => match address.octets() {
                [192, 168, 0, number] | [10, 244, number, _] => Some(number),
                _ => None,
            },
            IpAddr::V6(_) => None,
        });
        let name = number
            .map_or_else(|| answer.client.clone(), |number| stage.site.node(usize::from(number)).name().to_owned());
        *by_node.entry(name).or_default() += 1;
    }
    by_node
}

/// The BgpPeer and the BgpConf show each node in OpenELB's form, the Speakers and the metrics show each session.
async fn is_told(ground: &Ground<'_>) -> Result<()> {
    let stage = ground.stage();
    let peers: Api<BgpPeer> = Api::all(stage.site.client());
    wait_for(PATIENCE, "the BgpPeer to show every session", || async {
        let status = peers.get(PEER).await?.status.unwrap_or_default();
        let shown = status.nodes_peer_status.unwrap_or_default();
        for node in stage.site.nodes() {
            let own = shown.get(node.name()).with_context(|| format!("{} is not there", node.name()))?;
            let state = own.peer_state.clone().unwrap_or_default();
            ensure!(state.session_state.as_deref() == Some("ESTABLISHED"), "{}: {state:?}", node.name());
            ensure!(state.peer_as.map(|asn| asn.0) == Some(ROUTER) && state.peer_type == Some(1), "{state:?}");
            let timers = own.timers_state.clone().unwrap_or_default();
            ensure!(timers.negotiated_hold_time.as_deref() == Some("9") && timers.uptime.is_some(), "{timers:?}");
        }
        let conditions = status.conditions.unwrap_or_default();
        let is_true = |kind: &str| conditions.iter().any(|c| c.type_ == kind && c.status == "True");
        ensure!(is_true(condition::ACCEPTED) && is_true(condition::ESTABLISHED), "{conditions:?}");
        Ok(Some(()))
    })
    .await?;
    let confs: Api<BgpConf> = Api::all(stage.site.client());
    wait_for(PATIENCE, "the BgpConf to show every node", || async {
        let status = confs.get("default").await?.status.unwrap_or_default();
        let shown = status.nodes_conf_status.unwrap_or_default();
        for node in stage.site.nodes() {
            let own = shown.get(node.name()).with_context(|| format!("{} is not there", node.name()))?;
            ensure!(own.router_id.as_deref() == Some(&node.ipv4().to_string()), "{own:?}");
            ensure!(own.asn.map(|asn| asn.0) == Some(CLUSTER.0), "{own:?}");
        }
        Ok(Some(()))
    })
    .await?;
    ground.cluster_event(PEER, "SessionUp").await?;
    wait_for(PATIENCE, "the Speakers to show their sessions", || async {
        for (node, status) in owner::speakers(stage).await? {
            let bgp = status.bgp.unwrap_or_default();
            ensure!(bgp.established.as_deref() == Some("1/1") && bgp.advertised_count == Some(1), "{node}: {bgp:?}");
            let session = bgp.sessions.unwrap_or_default().into_iter().next().context("a session")?;
            ensure!(session.local_address.is_some() && session.established_time.is_some(), "{node}: {session:?}");
        }
        Ok(Some(()))
    })
    .await?;
    for pod in release::pods(stage, "speaker").await?.into_keys() {
        let metrics = release::metrics(stage, &pod).await?;
        ensure!(metrics.sum("ironlb_speaker_bgp_session_up", &["peer=\"router\""]) > 0.0, "{}", metrics.text());
        let alias = metrics.sum("session_up", &["peerIP=\"192.168.0.241\""]);
        ensure!((alias - 5.0).abs() < f64::EPSILON, "OpenELB's number of Established is 5, not {alias}");
    }
    Ok(())
}

/// With a session up on each node and another router that is away, nobody writes anything of BGP's: neither counts nor another attempt
/// to connect are news.
async fn is_at_rest(ground: &Ground<'_>) -> Result<()> {
    let stage = ground.stage();
    let spec = json!({"conf": {"peerAs": ROUTER, "neighborAddress": AWAY}});
    ground.apply(&fabric::object(ground, "BgpPeer", &ground.further("away"), spec)).await?;
    let peers: Api<BgpPeer> = Api::all(stage.site.client());
    wait_for(PATIENCE, "every node to have found that a router is not there", || async {
        let conditions = peers.get(&ground.further("away")).await?.status.and_then(|status| status.conditions);
        let told =
            conditions.into_iter().flatten().find(|c| c.type_ == condition::ESTABLISHED).context("no condition")?;
        let found = told.message.matches("cannot be reached").count();
        ensure!(found == stage.site.nodes().len(), "{}", told.message);
        Ok(Some(()))
    })
    .await?;
    let rest = if stage.scale.everything { 12 * REST } else { REST };
    let mut before = versions(stage).await?;
    // What was on its way when all was told comes first: speakers write at most every two seconds.
    let begun = Instant::now();
    loop {
        tokio::time::sleep(Duration::from_secs(3)).await;
        let now = versions(stage).await?;
        if now == before {
            break;
        }
        ensure!(begun.elapsed() < PATIENCE, "something is written every three seconds: {now:?}");
        before = now;
    }
    tokio::time::sleep(rest).await;
    let after = versions(stage).await?;
    let written: Vec<&String> = after.keys().filter(|object| before.get(*object) != after.get(*object)).collect();
    ensure!(before == after, "written within {rest:?} in which nothing happened: {written:?}");
    ground.say(&format!("{} objects, none of them written in {rest:?}", after.len()));
    ground.kubectl(&["delete", "bgppeer", &ground.further("away")]).await.map(drop)
}

/// The versions of all BgpConfs, BgpPeers and Speakers, by kind and name.
async fn versions(stage: &Stage) -> Result<BTreeMap<String, String>> {
    let client = stage.site.client();
    let all = ListParams::default();
    let mut versions = BTreeMap::new();
    let confs =
        Api::<BgpConf>::all(client.clone()).list(&all).await?.items.into_iter().map(|it| ("BgpConf", it.metadata));
    let peers =
        Api::<BgpPeer>::all(client.clone()).list(&all).await?.items.into_iter().map(|it| ("BgpPeer", it.metadata));
    let speakers = Api::<Speaker>::all(client).list(&all).await?.items.into_iter().map(|it| ("Speaker", it.metadata));
    for (kind, metadata) in confs.chain(peers).chain(speakers) {
        let name = format!("{kind} {}", metadata.name.unwrap_or_default());
        versions.insert(name, metadata.resource_version.context("it has no version")?);
    }
    Ok(versions)
}
