//! Both families on one session to each router: between global IPv6 addresses, and between link-local ones of an interface.

use std::collections::{BTreeMap, BTreeSet};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use anyhow::{Context, Result, ensure};
use ironlb_lab::{Neighbour, Node, Router, RouterConfig, wait_for};
use serde_json::{Value, json};

use super::bgp_routes::{count, paths, pool};
use crate::fabric::{self, CLUSTER_AS, HOLD_TIME, ROUTERS_AS};
use crate::ground::{Ground, addresses};
use crate::runner::Scenario;
use crate::stage::PATIENCE;

/// With FRR by global addresses and BIRD by link-local ones.
pub const SCENARIO: Scenario = Scenario {
    name: "bgp-families",
    shows: "IPv4 and IPv6 vips on one session over IPv6, by global and by link-local addresses: routes over all nodes in the routers' kernels, and clients behind them are answered in both families",
    first_address: 15,
    run: |ground| Box::pin(run(ground)),
};

/// How many connections are looked at for each address and router.
const CONNECTIONS: usize = 60;

async fn run(ground: &Ground<'_>) -> Result<()> {
    let site = &ground.stage().site;
    let (frr, bird) = (site.router(1), site.router(2));
    let nodes = site.nodes();
    let both = |address: IpAddr| Neighbour {
        ipv4: true,
        ipv6: true,
        hold_time: HOLD_TIME,
        ..Neighbour::new(address, CLUSTER_AS)
    };
    let global = nodes.iter().map(|node| both(node.ipv6().into()));
    frr.start(global.fold(RouterConfig::new(ROUTERS_AS), RouterConfig::neighbour)).await?;
    let near = nodes.iter().map(|node| both(link_local(node.ipv4()).into()));
    bird.start(near.fold(RouterConfig::new(ROUTERS_AS), RouterConfig::neighbour)).await?;

    ground.apply(&fabric::object(ground, "BgpConf", "default", json!({"as": CLUSTER_AS}))).await?;
    let by_global = json!({"peerAs": ROUTERS_AS, "neighborAddress": frr.ipv6()});
    ground.apply(&peer(ground, frr, by_global)).await?;
    let by_interface =
        json!({"peerAs": ROUTERS_AS, "neighborAddress": link_local(bird.ipv4()), "neighborInterface": "eth0"});
    ground.apply(&peer(ground, bird, by_interface)).await?;

    pool(ground, "both", "172.22.14.1,fd22:14::1", json!({})).await?;
    ground.web(3).await?;
    let families = "ipFamilyPolicy: RequireDualStack";
    ground.apply(&crate::manifests::service("both", &ground.further("both"), families)).await?;
    let (v4, v6): (IpAddr, IpAddr) = ("172.22.14.1".parse()?, "fd22:14::1".parse()?);
    wait_for(PATIENCE, "an address of each family", || async {
        let held: BTreeSet<String> = addresses(&ground.get_service("both").await?).into_iter().collect();
        Ok((held == BTreeSet::from([v4.to_string(), v6.to_string()])).then_some(()))
    })
    .await?;
    for node in nodes {
        frr.established(node.ipv6(), PATIENCE).await?;
        bird.established(link_local(node.ipv4()), PATIENCE).await.context("between link-local addresses")?;
    }

    let by = |address: fn(&Node) -> IpAddr| nodes.iter().map(address).collect::<BTreeSet<IpAddr>>();
    leads(frr, v4, &[by(|node| node.ipv4().into())]).await?;
    // Which of the two next hops of RFC 2545 a router takes is its own business.
    leads(frr, v6, &[by(|node| node.ipv6().into()), by(|node| link_local(node.ipv4()).into())]).await?;
    // Only an unnumbered peer is told IPv6 next hops for IPv4; that one has its interface to itself, and the interop tests show it.
    leads(bird, v4, &[by(|node| node.ipv4().into())]).await.context("IPv4 between link-local addresses")?;
    leads(bird, v6, &[by(|node| link_local(node.ipv4()).into()), by(|node| node.ipv6().into())]).await?;
    paths(frr, &format!("{v6}/128"), |paths| {
        count(paths, nodes.len())?;
        let both = |node: &Node| [node.ipv6().into(), link_local(node.ipv4()).into()];
        let has_both = |node: &Node| paths.iter().any(|path| both(node).iter().all(|hop| path.next_hops.contains(hop)));
        ensure!(nodes.iter().all(has_both), "not the global and the link-local address of each node");
        Ok(())
    })
    .await?;
    for router in [frr, bird] {
        for vip in [v4, v6] {
            is_answered(ground, router, vip).await.with_context(|| format!("{vip} behind {}", router.name()))?;
        }
    }
    Ok(())
}

/// What the kernel makes of the Ethernet address that the lab gives to the host with this number.
fn link_local(of: Ipv4Addr) -> Ipv6Addr {
    let [.., number] = of.octets();
    Ipv6Addr::from([0xfe80, 0, 0, 0, 0, 0x00ff, 0xfe00, u16::from(number)])
}

fn peer(ground: &Ground<'_>, router: &Router, conf: Value) -> String {
    let family = |afi: &str| json!({"config": {"family": {"afi": afi, "safi": "SAFI_UNICAST"}}});
    let spec = json!({
        "conf": conf,
        "timers": {"config": {"holdTime": HOLD_TIME.to_string(), "connectRetry": "1"}},
        "afiSafis": [family("AFI_IP"), family("AFI_IP6")],
    });
    fabric::object(ground, "BgpPeer", &fabric::peer_name(ground, router), spec)
}

/// Waits until the router's kernel leads to the vip over one of these sets of next hops.
async fn leads(router: &Router, vip: IpAddr, wanted: &[BTreeSet<IpAddr>]) -> Result<()> {
    wait_for(PATIENCE, &format!("{} to lead {vip} over all nodes", router.name()), || async {
        let ways = fabric::ways(router, vip).await?;
        ensure!(wanted.contains(&ways), "it leads over {ways:?}");
        Ok(Some(()))
    })
    .await
}

/// Every connection from behind the router is answered, and every pod answers some.
async fn is_answered(ground: &Ground<'_>, router: &Router, vip: IpAddr) -> Result<()> {
    let name = if vip.is_ipv4() { "ipv4" } else { "ipv6" };
    let probe = fabric::probe(ground, router, vip, name).await?;
    wait_for(PATIENCE, "answers", || async { Ok((probe.so_far().attempts.len() >= CONNECTIONS).then_some(())) })
        .await?;
    let report = tokio::task::spawn_blocking(move || probe.stop()).await??;
    ensure!(report.failed() == 0, "{} of {} failed: {:?}", report.failed(), report.attempts.len(), report.by_failure());
    let by_pod: BTreeMap<_, _> = report.by_pod();
    ensure!(by_pod.len() == 3, "answered by {by_pod:?}");
    Ok(())
}
