//! The second half: BGP with two routers.

use std::net::Ipv4Addr;
use std::time::SystemTime;

use anyhow::{Context, Result, ensure};
use ironlb_api::SpeakerStatus;
use ironlb_e2e::console::Console;
use ironlb_e2e::fabric::{self, Protection, Seen};
use ironlb_e2e::ground::Ground;
use ironlb_e2e::release::{self, checkout};
use ironlb_e2e::stage::{PATIENCE, Stage};
use ironlb_e2e::{owner, web};
use ironlb_lab::{Node, Router, wait_for};

use crate::{CONNECTIONS, kubectl};

/// The pool of `examples/bgp/eip.yaml`.
const EIP: &str = "bgp-pool";

pub(crate) async fn show(console: &mut Console, ground: &Ground<'_>) -> Result<()> {
    sessions(console, ground).await?;
    let vip = routed(console, ground).await?;
    spread(console, ground, vip).await?;
    node_dies(console, ground, vip).await
}

async fn sessions(console: &mut Console, ground: &Ground<'_>) -> Result<()> {
    console.step("Two routers, and BGP with every node");
    let stage = ground.stage();
    let names: Vec<&str> = stage.site.routers().iter().map(Router::name).collect();
    console.say(&format!(
        "{} run FRR. A BgpConf says who the cluster is, a BgpPeer names each router, with BFD of 3 x 50 ms.",
        names.join(" and ")
    ));
    let (up, took) =
        console.waiting("sessions and BFD of all nodes with both", fabric::raise(ground, Protection::BFD)).await;
    up?;
    console.fact(&format!("all established, after {:.1} s with the start of the routers", took.as_secs_f64()));
    kubectl(console, stage, &["get", "bgpconfs,bgppeers"]).await?;
    let router = stage.site.router(1);
    for question in ["show bgp ipv4 summary", "show bfd peers brief"] {
        console.command(&format!("vtysh -c '{question}'   # on {}", router.name()), &router.cli(question).await?);
    }
    Ok(())
}

async fn routed(console: &mut Console, ground: &Ground<'_>) -> Result<Ipv4Addr> {
    console.step("A pool of BGP, and a Service that takes an address of it");
    console
        .say("The addresses are of no subnet here: the routers learn each as a route, with every node as a next hop.");
    for file in ["bgp/eip.yaml", "bgp/service.yaml"] {
        let said = ground.apply_example(&checkout("examples").join(file)).await?;
        console.command(&format!("kubectl apply -f examples/{file}"), &said);
    }
    let vip = ground.served("web-bgp").await?;
    let nodes: Vec<&str> = ground.stage().site.nodes().iter().map(Node::name).collect();
    let (led, took) =
        console.waiting("routes in the routers' kernels", fabric::leads_over(ground, vip, &nodes, PATIENCE)).await;
    led?;
    console.fact(&format!("web-bgp has {vip}; {} ms later every router's kernel had the route", took.as_millis()));
    for router in ground.stage().site.routers() {
        let text = vip.to_string();
        let said = router.netns().exec(&["ip", "route", "show", &text]).await?;
        console.command(&format!("ip route show {vip}   # on {}", router.name()), &said);
    }
    // Statuses are written after what they tell of.
    wait_for(PATIENCE, "the Eip to count its address", || async {
        Ok((ground.eip_status(EIP).await?.usage == Some(1)).then_some(()))
    })
    .await?;
    kubectl(console, ground.stage(), &["get", "eip", EIP]).await?;
    Ok(vip)
}

async fn spread(console: &mut Console, ground: &Ground<'_>, vip: Ipv4Addr) -> Result<()> {
    console.step("The router spreads connections over the nodes");
    let stage = ground.stage();
    let router = stage.site.router(1);
    let probe = fabric::probe(ground, router, vip, "spread").await?;
    // Not before: the router itself connects until the way works. So the first connections are not in it.
    let mut capture = stage.capture("demo-spread")?;
    let (come, _) = console
        .waiting("connections from behind a router", async {
            wait_for(PATIENCE, "answers", || async { Ok((probe.so_far().ok() >= CONNECTIONS).then_some(())) }).await
        })
        .await;
    come?;
    let report = tokio::task::spawn_blocking(move || probe.stop()).await??;
    let openings = capture.look(|recording| recording.openings_to(vip))?;
    console.say(&format!(
        "{} connections from {}, {} answered. By the node that the router chose:",
        report.attempts.len(),
        client(router)?,
        report.ok()
    ));
    for node in stage.site.nodes() {
        let count = openings.get(&owner::mac_of(node)?).copied().unwrap_or_default();
        console.fact(&format!("{count:4} by {}", node.name()));
    }
    console.say("By the pod that answered:");
    let nodes = web::ready_pods(ground).await?;
    for (pod, count) in report.by_pod() {
        console.fact(&format!("{count:4} by {pod} on {}", nodes.get(&pod).map_or("?", String::as_str)));
    }
    Ok(())
}

async fn node_dies(console: &mut Console, ground: &Ground<'_>, vip: Ipv4Addr) -> Result<()> {
    let stage = ground.stage();
    let (doomed, survivor) = (stage.site.nodes().last().context("a node")?, stage.site.node(1));
    console.step(&format!("The power of {} is cut", doomed.name()));
    console.say(&format!("The pods are moved to {}, so that only a way there is lost. Behind each router a client connects 100 times a second.", survivor.name()));
    console.waiting("moving the pods", ground.web_on(survivor.name())).await.0?;
    let probes = fabric::probes(ground, vip, "demo").await?;
    doomed.cable(false)?;
    let begun = SystemTime::now();
    doomed.cut_power().await?;
    let others: Vec<&str> = stage.site.nodes().iter().map(Node::name).filter(|name| *name != doomed.name()).collect();
    let rerouted = fabric::leads_over(ground, vip, &others, PATIENCE);
    console.waiting("routers that lead around it", rerouted).await.0?;
    fabric::more_answers(&probes).await?;
    for (router, probe) in probes {
        let report = tokio::task::spawn_blocking(move || probe.stop()).await??;
        console.fact(&format!("behind {}: {}", router.name(), Seen::of(&report, begun)));
    }
    let router = stage.site.router(1);
    let said = router.netns().exec(&["ip", "route", "show", &vip.to_string()]).await?;
    console.command(&format!("ip route show {vip}   # on {}", router.name()), &said);
    power_back(console, stage, ground, vip, doomed).await
}

async fn power_back(
    console: &mut Console,
    stage: &Stage,
    ground: &Ground<'_>,
    vip: Ipv4Addr,
    back: &Node,
) -> Result<()> {
    console.step(&format!("{} gets its power back", back.name()));
    back.power_on().await?;
    let all: Vec<&str> = stage.site.nodes().iter().map(Node::name).collect();
    let returned = async {
        stage.site.nodes_ready(PATIENCE).await?;
        release::all_well(stage, PATIENCE).await?;
        fabric::leads_over(ground, vip, &all, PATIENCE).await
    };
    let (done, took) = console.waiting(&format!("{} starts", back.name()), returned).await;
    done?;
    console.fact(&format!("the routers lead over it again after {:.1} s", took.as_secs_f64()));
    let addresses = ground.addresses("web-bgp").await?;
    ensure!(addresses == [vip.to_string()], "web-bgp has {addresses:?}");
    let sessions = stage.site.routers().len();
    let whole = format!("{sessions}/{sessions}");
    wait_for(PATIENCE, "the speakers to tell of every session", || async {
        let told = |status: &SpeakerStatus| {
            let bgp = status.bgp.as_ref().and_then(|bgp| bgp.established.as_deref());
            bgp == Some(&whole) && status.members_count.is_some_and(|members| usize::try_from(members) == Ok(all.len()))
        };
        Ok(owner::speakers(stage).await?.values().all(told).then_some(()))
    })
    .await?;
    kubectl(console, stage, &["get", "speakers", "-o", "wide"]).await
}

fn client(router: &Router) -> Result<String> {
    Ok(router.client()?.name().to_owned())
}
