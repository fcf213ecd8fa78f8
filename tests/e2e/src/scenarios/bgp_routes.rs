//! What is advertised, for whom and with what, as the routers show it and their kernels use it.

use std::collections::{BTreeMap, BTreeSet};
use std::net::{IpAddr, Ipv4Addr};
use std::time::{Duration, SystemTime};

use anyhow::{Context, Result, ensure};
use ironlb_api::names::condition;
use ironlb_lab::router::{NextHop, RoutePath};
use ironlb_lab::{Neighbour, Router, RouterConfig, wait_for};
use k8s_openapi::api::discovery::v1::EndpointSlice;
use kube::api::{Api, ListParams};
use serde_json::{Value, json};

use crate::fabric::{self, CLUSTER_AS, Protection, ROUTERS_AS};
use crate::ground::Ground;
use crate::late;
use crate::runner::Scenario;
use crate::stage::PATIENCE;

/// With FRR and BIRD as external peers.
pub const SCENARIO: Scenario = Scenario {
    name: "bgp-routes",
    shows: "routers have each vip's route with the attributes of its Eip, over the nodes that can take it, by weight where that is wanted, on behalf of nodes without a session, and as an aggregate",
    first_address: 11,
    run: |ground| Box::pin(run(ground)),
};

async fn run(ground: &Ground<'_>) -> Result<()> {
    let site = &ground.stage().site;
    let nodes: Vec<&str> = site.nodes().iter().map(ironlb_lab::Node::name).collect();
    fabric::raise(ground, Protection::PLAIN).await?;
    ground.web(3).await?;
    attributes(ground).await.context("attributes")?;
    chosen_peers(ground).await.context("chosen peers")?;
    chosen_nodes(ground).await.context("chosen nodes")?;
    local(ground).await.context("externalTrafficPolicy Local")?;
    aggregate(ground, &nodes).await.context("an aggregate")?;
    on_behalf(ground, &nodes).await.context("on behalf of nodes without a session")?;
    // The routes are looked at every ten seconds, in which the step before was shown.
    discarded(ground).await.context("discard routes")
}

/// A pool of one address and a Service that has it.
async fn vip(ground: &Ground<'_>, name: &str, address: &str, more: Value, service: &str) -> Result<Ipv4Addr> {
    pool(ground, name, address, more).await?;
    ground.apply(&crate::manifests::service(name, &ground.further(name), service)).await?;
    ground.served(name).await
}

/// A pool of BGP.
///
/// # Errors
/// It is refused.
pub async fn pool(ground: &Ground<'_>, name: &str, addresses: &str, more: Value) -> Result<()> {
    let mut spec = json!({"address": addresses, "protocol": "bgp"});
    if let (Some(spec), Some(more)) = (spec.as_object_mut(), more.as_object()) {
        spec.extend(more.clone());
    }
    ground.apply(&fabric::object(ground, "Eip", &ground.further(name), spec)).await.map(drop)
}

/// Waits until the paths that a router has to a prefix are as wanted.
///
/// # Errors
/// It does not come to that.
pub async fn paths(
    router: &Router,
    prefix: &str,
    wanted: impl Fn(&[RoutePath]) -> Result<()>,
) -> Result<Vec<RoutePath>> {
    wait_for(PATIENCE, &format!("{}'s paths to {prefix}", router.name()), || async {
        let paths = router.paths(prefix).await?;
        wanted(&paths).with_context(|| format!("{paths:?}"))?;
        Ok(Some(paths))
    })
    .await
}

/// Are there so many paths?
///
/// # Errors
/// There are not.
pub fn count(paths: &[RoutePath], wanted: usize) -> Result<()> {
    ensure!(paths.len() == wanted, "{} where {wanted} are wanted", paths.len());
    Ok(())
}

async fn attributes(ground: &Ground<'_>) -> Result<()> {
    let site = &ground.stage().site;
    let bgp = json!({"med": 77, "communities": ["64512:1", "no-advertise"], "largeCommunities": ["64512:1:2"], "asPathPrepend": 2});
    let vip = vip(ground, "attributes", "172.22.8.1", json!({"bgp": bgp}), "").await?;
    let told = |path: &RoutePath| {
        let communities: BTreeSet<&str> = path.communities.iter().map(String::as_str).collect();
        ensure!(path.med == Some(77), "MED");
        ensure!(path.as_path == [CLUSTER_AS; 3], "AS path");
        // Well-known ones are shown by name or by number.
        let no_advertise = ["65535:65282", "no-advertise", "noAdvertise"];
        ensure!(
            communities.contains("64512:1") && no_advertise.iter().any(|name| communities.contains(name)),
            "communities"
        );
        ensure!(path.large_communities == ["64512:1:2"], "large communities");
        Ok(())
    };
    for router in site.routers() {
        paths(router, &format!("{vip}/32"), |paths| {
            count(paths, site.nodes().len())?;
            paths.iter().try_for_each(told)
        })
        .await?;
    }
    // A change of the Eip is a change of the route, in the same session.
    let before = prefixes_and_states(site.router(1)).await?;
    pool(ground, "attributes", "172.22.8.1", json!({"bgp": {"med": 78}})).await?;
    for router in site.routers() {
        paths(router, &format!("{vip}/32"), |paths| {
            ensure!(paths.iter().all(|path| path.med == Some(78) && path.large_communities.is_empty()), "as before");
            Ok(())
        })
        .await?;
    }
    ensure!(prefixes_and_states(site.router(1)).await? == before, "sessions were reset for it");
    ground.kubectl(&["delete", "service", "attributes"]).await?;
    gone(ground, vip).await
}

/// Whom the router has a session with, and how often each came up.
async fn prefixes_and_states(router: &Router) -> Result<BTreeMap<IpAddr, Value>> {
    let sessions = router.sessions().await?;
    let ups = sessions.into_iter().map(|session| {
        let details: Value = serde_json::from_str(&session.details).unwrap_or_default();
        (session.peer, details.get("connectionsEstablished").cloned().unwrap_or_default())
    });
    Ok(ups.collect())
}

async fn gone(ground: &Ground<'_>, vip: Ipv4Addr) -> Result<()> {
    for router in ground.stage().site.routers() {
        paths(router, &format!("{vip}/32"), |paths| count(paths, 0)).await?;
    }
    Ok(())
}

async fn chosen_peers(ground: &Ground<'_>) -> Result<()> {
    let site = &ground.stage().site;
    let (one, other) = (site.router(1), site.router(2));
    let vip =
        vip(ground, "peers", "172.22.8.2", json!({"bgp": {"peers": [fabric::peer_name(ground, one)]}}), "").await?;
    let prefix = format!("{vip}/32");
    paths(one, &prefix, |paths| count(paths, site.nodes().len())).await?;
    ensure!(other.paths(&prefix).await?.is_empty(), "{} was told too", other.name());
    pool(ground, "peers", "172.22.8.2", json!({"bgp": {"peers": [fabric::peer_name(ground, other)]}})).await?;
    paths(one, &prefix, |paths| count(paths, 0)).await?;
    paths(other, &prefix, |paths| count(paths, site.nodes().len())).await?;
    Ok(())
}

async fn chosen_nodes(ground: &Ground<'_>) -> Result<()> {
    let node = ground.stage().site.node(2).name();
    let selector = json!({"nodeSelector": {"matchLabels": {"kubernetes.io/hostname": node}}});
    let vip = vip(ground, "nodes", "172.22.8.3", selector, "").await?;
    fabric::leads_over(ground, vip, &[node], PATIENCE).await
}

/// Only over nodes with a ready endpoint, by their number; and no longer than that.
async fn local(ground: &Ground<'_>) -> Result<()> {
    let site = &ground.stage().site;
    let (one, two) = (site.node(1), site.node(2));
    let bgp = json!({"bgp": {"weighted": true, "aggregationLength": 24}});
    let vip = vip(ground, "local", "172.22.9.1", bgp, "externalTrafficPolicy: Local").await?;
    pods_on(ground, &[(one.name(), 3), (two.name(), 1)]).await?;
    none_is_leaving(ground).await?;
    fabric::leads_over(ground, vip, &[one.name(), two.name()], PATIENCE).await?;
    let (frr, wanted) = (site.router(1), [3, 1]);
    wait_for(PATIENCE, "FRR's kernel to have the weights", || async {
        let routes = frr.kernel_routes().await?;
        let route = routes.iter().find(|route| route.destination == vip.to_string()).context("no host route")?;
        let weight = |node: &ironlb_lab::Node| {
            let hop = |hop: &&NextHop| hop.via == IpAddr::from(node.ipv4());
            route.next_hops.iter().find(hop).map_or(0, |hop| hop.weight)
        };
        let (first, second) = (weight(one), weight(two));
        ensure!(second > 0 && first == second * wanted[0] / wanted[1], "{first} to {second}");
        Ok(Some(()))
    })
    .await?;
    let probe = fabric::probe(ground, frr, vip, "weights").await?;
    wait_for(PATIENCE, "600 answers", || async { Ok((probe.so_far().ok() >= 600).then_some(())) }).await?;
    let report = tokio::task::spawn_blocking(move || probe.stop()).await??;
    let pods = crate::web::ready_pods(ground).await?;
    let by_pod = report.by_pod();
    let on_first = by_pod.iter().filter(|(pod, _)| pods.get(*pod).is_some_and(|node| node == one.name()));
    let share = on_first.map(|(_, count)| *count).sum::<usize>() as f64 / report.ok() as f64;
    println!("    of {} requests {:.0} % went to the node with 3 of 4 pods", report.ok(), share * 100.0);
    // The kernel hashes 600 pairs of ports: a standard deviation of 1.8 %.
    ensure!((0.66..0.84).contains(&share), "the requests went {by_pod:?}");
    ensure!(report.failed() == 0, "{} requests failed: {:?}", report.failed(), report.by_failure());

    pods_on(ground, &[(one.name(), 1)]).await?;
    fabric::leads_over(ground, vip, &[one.name()], PATIENCE).await?;
    last_endpoint_goes(ground, vip).await?;
    ground.kubectl(&["delete", "deployment", "-l", "e2e.ironlb.io/on-node"]).await?;
    ground.kubectl(&["scale", "deployment", "web", "--replicas=3"]).await.map(drop)
}

/// When the last endpoint that can take a connection is gone, so is the route; no later than a second after the API server has it so.
async fn last_endpoint_goes(ground: &Ground<'_>, vip: Ipv4Addr) -> Result<()> {
    let routers = ground.stage().site.routers().iter();
    let watches = routers.map(|router| {
        let log = ground.stage().record(&format!("{}-routes.log", ground.record(router.name())));
        Ok((router, router.watch_routes(&log)?))
    });
    let watches = watches.collect::<Result<Vec<_>>>()?;
    let ((), gone_at) = tokio::try_join!(pods_on(ground, &[]), nothing_serves(ground, "local"))?;
    gone(ground, vip).await?;
    for (router, watch) in watches {
        let change = wait_for(PATIENCE, &format!("{}'s kernel to lead {vip} nowhere", router.name()), || async {
            Ok(watch.changes(&vip.to_string())?.pop().filter(|change| change.ways.is_empty()))
        })
        .await?;
        let after = change.at.duration_since(gone_at).unwrap_or_default();
        println!("    {:?} led nowhere {after:.0?} after the last endpoint was gone", router.software());
        late::within(router.name(), after, AT_ONCE)?;
    }
    Ok(())
}

/// What "at once" comes to from an EndpointSlice to a router's kernel. Chosen: ten times what it takes on an idle machine.
const AT_ONCE: Duration = Duration::from_secs(1);

/// The last moment at which the API server may still have had an endpoint of a Service that can take a connection before it had none.
async fn nothing_serves(ground: &Ground<'_>, service: &str) -> Result<SystemTime> {
    let api: Api<EndpointSlice> = Api::namespaced(ground.stage().site.client(), ground.name());
    let of_service = ListParams::default().labels(&format!("kubernetes.io/service-name={service}"));
    let last_look = std::cell::Cell::new(SystemTime::now());
    wait_for(PATIENCE, "no endpoint to serve", || async {
        let before = last_look.replace(SystemTime::now());
        let endpoints = api.list(&of_service).await?.into_iter().flat_map(|slice| slice.endpoints);
        let mut conditions = endpoints.filter_map(|endpoint| endpoint.conditions);
        let serves = conditions.any(|conditions| conditions.ready == Some(true) || conditions.serving == Some(true));
        Ok((!serves).then_some(before))
    })
    .await
}

/// So many pods of the back end on each of these nodes, and none elsewhere.
async fn pods_on(ground: &Ground<'_>, wanted: &[(&str, usize)]) -> Result<()> {
    ground.kubectl(&["scale", "deployment", "web", "--replicas=0"]).await?;
    for node in ground.stage().site.nodes() {
        let replicas = wanted.iter().find(|(name, _)| *name == node.name()).map_or(0, |(_, count)| *count);
        let name = format!("web-{}", node.name());
        let mut deployment: Value =
            serde_json::from_str(&ground.kubectl(&["get", "deployment", "web", "-o", "json"]).await?)?;
        deployment["metadata"] = json!({"name": name, "labels": {"e2e.ironlb.io/on-node": node.name()}});
        deployment["spec"]["replicas"] = json!(replicas);
        deployment["spec"]["selector"] = json!({"matchLabels": {"app": "web", "on": node.name()}});
        deployment["spec"]["template"]["metadata"]["labels"] = json!({"app": "web", "on": node.name()});
        deployment["spec"]["template"]["spec"]["nodeSelector"] = json!({"kubernetes.io/hostname": node.name()});
        deployment["status"] = Value::Null;
        ground.apply(&deployment.to_string()).await?;
    }
    let total: usize = wanted.iter().map(|(_, count)| count).sum();
    wait_for(PATIENCE, &format!("the back ends to be on {wanted:?}"), || async {
        let pods = crate::web::ready_pods(ground).await?;
        let of = |name: &str| pods.values().filter(|on| *on == name).count();
        Ok((pods.len() == total && wanted.iter().all(|(name, count)| of(name) == *count)).then_some(()))
    })
    .await
}

/// Waits until no pod of the back end is on its way out: for up to a second kube-proxy sends connections to one that takes none any more,
/// whoever answers for the vip.
async fn none_is_leaving(ground: &Ground<'_>) -> Result<()> {
    wait_for(PATIENCE, "the former back ends to be gone", || async {
        let pods = ground.kubectl(&["get", "pods", "-l", "app=web", "-o", "name"]).await?;
        let ready = crate::web::ready_pods(ground).await?;
        ensure!(pods.lines().count() == ready.len(), "{pods} of which are ready {ready:?}");
        Ok(Some(()))
    })
    .await
}

/// The aggregate of the pool `many`.
const AGGREGATE: &str = "172.22.10.0/24";

/// One route for many vips. Without a discard route that is told; with the rules of `docs/bgp.md`, what is sent to an address or a port
/// that nobody uses crosses the LAN once, and the nodes' own processes reach the vips.
async fn aggregate(ground: &Ground<'_>, nodes: &[&str]) -> Result<()> {
    let site = &ground.stage().site;
    pool(ground, "many", AGGREGATE, json!({"bgp": {"aggregationLength": 24}})).await?;
    for name in ["many-1", "many-2"] {
        ground.apply(&crate::manifests::service(name, &ground.further("many"), "")).await?;
    }
    let vips = [ground.served("many-1").await?, ground.served("many-2").await?];
    for router in site.routers() {
        paths(router, AGGREGATE, |paths| count(paths, nodes.len())).await?;
        for vip in vips {
            ensure!(
                !router.kernel_routes().await?.iter().any(|route| route.destination == vip.to_string()),
                "a host route for {vip}"
            );
        }
    }
    discards_are_missed(ground, Some(nodes.len())).await?;
    let told = ground.cluster_event(&ground.further("many"), condition::DISCARD_ROUTE_MISSING).await?;
    ensure!(told.contains(AGGREGATE), "the Event says {told}");
    // A way back to the router, as a node's default route often is one.
    let back = site.router(1).ipv4().to_string();
    for node in site.nodes() {
        node.exec(&["ip", "route", "replace", "172.22.0.0/16", "via", &back]).await?;
    }
    let looping = crossings(ground, vips[0]).await?;
    ensure!(looping.iter().any(|times| *times > 2), "without a discard route packets cross the LAN {looping:?} times");
    for node in site.nodes() {
        for rule in DISCARD {
            node.exec(&[["ip", "rule", "add"].as_slice(), rule].concat()).await?;
        }
    }
    let crossings = crossings(ground, vips[0]).await?;
    println!("    without discard routes packets crossed the LAN {looping:?} times, with them {crossings:?}");
    ensure!(
        crossings.len() >= 4 && crossings.iter().all(|times| *times <= 2),
        "they crossed the LAN {crossings:?} times"
    );
    let connect = format!("echo > /dev/tcp/{}/80", vips[0]);
    site.nodes()[0].exec(&["timeout", "2", "bash", "-c", &connect]).await.context("from a node itself")?;
    Ok(())
}

/// The rules of `docs/bgp.md`: what a node forwards to the aggregate is discarded, what it sends itself is not.
const DISCARD: [&[&str]; 2] =
    [&["pref", "100", "iif", "lo", "to", AGGREGATE, "lookup", "main"], &["pref", "101", "to", AGGREGATE, "blackhole"]];

/// Waits until the Eip says that so many nodes lack a discard route, or none.
async fn discards_are_missed(ground: &Ground<'_>, nodes: Option<usize>) -> Result<()> {
    wait_for(PATIENCE, &format!("the Eip to miss the discard routes of {nodes:?} nodes"), || async {
        let conditions = ground.eip_status(&ground.further("many")).await?.conditions.unwrap_or_default();
        let told = conditions.iter().find(|shown| shown.type_ == condition::DISCARD_ROUTE_MISSING);
        let begins = nodes.map(|nodes| format!("{nodes} nodes ("));
        let is_so = match &begins {
            Some(begins) => told.is_some_and(|told| told.message.starts_with(begins)),
            None => told.is_none(),
        };
        ensure!(is_so, "{told:?}");
        Ok(Some(()))
    })
    .await
}

/// How often each of a few packets to an unused address of the aggregate, and to a port that a vip does not serve, crosses the LAN.
async fn crossings(ground: &Ground<'_>, vip: Ipv4Addr) -> Result<Vec<usize>> {
    let client = ground.stage().site.router(1).client()?;
    let unused: Ipv4Addr = "172.22.10.200".parse()?;
    let mut capture = ground.stage().capture(&ground.record("unused"))?;
    // Nobody is to answer.
    let _ = client.exec(&["ping", "-c", "3", "-i", "0.2", "-W", "1", &unused.to_string()]).await;
    let before = capture.look(|recording| recording.crossings_to(vip).len())?;
    ensure!(before == 0, "{before} packets to {vip} that nobody sent");
    // Shorter than until the opening is sent again.
    let _ = client.exec(&["timeout", "0.8", "bash", "-c", &format!("echo > /dev/tcp/{vip}/81")]).await;
    capture.look(|recording| [recording.crossings_to(unused), recording.crossings_to(vip)].concat()).map_err(Into::into)
}

/// The Eip says that all is well, and the nodes are as before.
async fn discarded(ground: &Ground<'_>) -> Result<()> {
    let outcome = discards_are_missed(ground, None).await;
    for node in ground.stage().site.nodes() {
        node.exec(&["ip", "route", "del", "172.22.0.0/16"]).await?;
        for rule in DISCARD {
            node.exec(&[["ip", "rule", "del"].as_slice(), rule].concat()).await?;
        }
    }
    outcome
}

/// The session of one node carries the next hops of the others.
async fn on_behalf(ground: &Ground<'_>, nodes: &[&str]) -> Result<()> {
    let site = &ground.stage().site;
    let (frr, first) = (site.router(1), site.node(1));
    let neighbour =
        Neighbour { hold_time: fabric::HOLD_TIME, add_path: true, ..Neighbour::new(first.ipv4(), CLUSTER_AS) };
    frr.start(RouterConfig::new(ROUTERS_AS).neighbour(neighbour)).await?;
    let family = json!({"config": {"family": {"afi": "AFI_IP", "safi": "SAFI_UNICAST"}, "enabled": true},
                        "addPaths": {"config": {"sendMax": 10}}});
    let spec = json!({
        "conf": {"peerAs": ROUTERS_AS, "neighborAddress": frr.ipv4()},
        "timers": {"config": {"connectRetry": "1"}}, "afiSafis": [family],
        "nodeSelector": {"matchLabels": {"kubernetes.io/hostname": first.name()}},
    });
    ground.apply(&fabric::object(ground, "BgpPeer", &fabric::peer_name(ground, frr), spec)).await?;
    frr.established(first.ipv4(), PATIENCE).await?;
    let vip = vip(ground, "behalf", "172.22.8.4", json!({}), "").await?;
    fabric::leads_over(ground, vip, nodes, PATIENCE).await
}
