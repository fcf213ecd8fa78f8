//! What befalls the whole cluster at once withdraws nothing that works.

use std::net::Ipv4Addr;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use ironlb_lab::probe::Failure;
use ironlb_lab::{Component, Node, wait_for};
use kube::api::{Api, ListParams};
use serde_json::json;

use crate::fabric::{self, Protection};
use crate::ground::Ground;
use crate::runner::Scenario;
use crate::stage::PATIENCE;
use crate::{manifests, release};

/// Under load.
pub const SCENARIO: Scenario = Scenario {
    name: "bgp-calm",
    shows: "all nodes cordoned, drained or NotReady, the API server gone, a speaker restarted while it is gone: routers keep every route that works",
    first_address: 12,
    run: |ground| Box::pin(run(ground)),
};

async fn run(ground: &Ground<'_>) -> Result<()> {
    let stage = ground.stage();
    let site = &stage.site;
    let nodes: Vec<&str> = site.nodes().iter().map(Node::name).collect();
    let last = site.nodes().last().context("a node")?;
    fabric::raise(ground, Protection::GRACEFUL).await?;
    let spec = json!({"address": "172.22.12.1", "protocol": "bgp"});
    ground.apply(&fabric::object(ground, "Eip", ground.name(), spec)).await?;
    ground.web(3).await?;
    // Where no kubelet is heard of, Kubernetes takes every pod for one that is not ready; to a Service that is led to such pods as well
    // that makes no difference, so what is seen is what becomes of the nodes.
    ground.apply(&manifests::service("web", ground.name(), "publishNotReadyAddresses: true")).await?;
    let vip = ground.served("web").await?;
    fabric::leads_over(ground, vip, &nodes, PATIENCE).await?;
    let capture = stage.capture(&ground.record("lan"))?;
    let probe = fabric::probe(ground, site.router(1), vip, "calm").await?;
    let watch = Watch { started: tokio::time::Instant::now() };

    let all = |command: &[&'static str], value: &[&'static str]| [command, nodes.as_slice(), value].concat();
    site.kubectl(&all(&["cordon"], &[])).await?;
    watch.settles(ground, vip, &nodes, "all nodes are cordoned").await?;
    site.kubectl(&all(&["uncordon"], &[])).await?;
    watch.settles(ground, vip, &nodes, "no node is cordoned").await?;
    let annotate = ["annotate", "node", "--overwrite"];
    site.kubectl(&all(&annotate, &["ironlb.io/drain=true"])).await?;
    watch.settles(ground, vip, &nodes, "all nodes are to be drained").await?;
    site.kubectl(&all(&annotate, &["ironlb.io/drain-"])).await?;
    watch.settles(ground, vip, &nodes, "no node is to be drained").await?;
    let report = tokio::task::spawn_blocking(move || probe.stop()).await??;
    println!("    {} of {} connections failed while nodes were marked", report.failed(), report.attempts.len());
    // Node after node changes the routers' ways, and what is under way just then may break; nothing else may.
    let failures = report.by_failure();
    ensure!(failures.keys().all(|failure| *failure == Failure::Broken), "connections failed: {failures:?}");

    let probe = fabric::probe(ground, site.router(1), vip, "unheard").await?;
    nobody_is_heard_of(ground).await?;
    watch.holds(ground, vip, &nodes, "no node is ready").await?;
    if stage.scale.everything {
        // A node alone would be left after a minute.
        tokio::time::sleep(Duration::from_secs(65)).await;
        watch.holds(ground, vip, &nodes, "no node has been ready for a minute").await?;
    }
    for node in site.nodes() {
        node.component(Component::Kubelet)?.thaw()?;
    }
    site.nodes_ready(PATIENCE).await?;
    release::all_well(stage, PATIENCE).await?;
    watch.holds(ground, vip, &nodes, "all nodes are ready").await?;
    let report = tokio::task::spawn_blocking(move || probe.stop()).await??;
    println!("    {} of {} connections failed while no node was ready", report.failed(), report.attempts.len());
    ensure!(report.failed() == 0, "{} connections failed: {:?}", report.failed(), report.by_failure());

    let probe = fabric::probe(ground, site.router(1), vip, "alone").await?;
    // Not in order: what comes after would wait for kube-proxy to find it again.
    site.api_server().kill()?;
    watch.holds(ground, vip, &nodes, "the API server is gone").await?;
    let speaker = release::speaker_on(last).await?;
    last.kill(speaker.lab_pid)?;
    wait_for(PATIENCE, "the kubelet to start the speaker again", || async {
        Ok((release::speaker_on(last).await?.lab_pid != speaker.lab_pid).then_some(()))
    })
    .await?;
    for router in site.routers() {
        router.established(last.ipv4(), PATIENCE).await.context("without an API server")?;
    }
    watch.holds(ground, vip, &nodes, "a speaker was restarted without an API server").await?;
    site.api_server().start()?;
    site.api_ready(PATIENCE).await?;
    release::all_well(stage, PATIENCE).await?;
    watch.holds(ground, vip, &nodes, "the API server is back").await?;
    let report = tokio::task::spawn_blocking(move || probe.stop()).await??;
    println!("    {} of {} connections failed without an API server", report.failed(), report.attempts.len());
    ensure!(report.failed() == 0, "{} connections failed: {:?}", report.failed(), report.by_failure());
    // Its file is for whoever wants to know where a connection went that failed.
    drop(capture);
    Ok(())
}

/// Freezes every kubelet, until all nodes are NotReady for it. That takes Kubernetes' node controller 50 s; where there is no time for
/// it, its words are written in its place.
async fn nobody_is_heard_of(ground: &Ground<'_>) -> Result<()> {
    let (site, in_full) = (&ground.stage().site, ground.stage().scale.everything);
    for node in site.nodes() {
        node.component(Component::Kubelet)?.freeze()?;
    }
    let unknown = json!({
        "type": "Ready", "status": "Unknown",
        "reason": "NodeStatusUnknown", "message": "Kubelet stopped posting node status.",
    });
    let patch = json!({"status": {"conditions": [unknown]}}).to_string();
    let api: Api<k8s_openapi::api::core::v1::Node> = Api::all(site.client());
    wait_for(2 * PATIENCE, "all nodes to be NotReady", || async {
        // Each time: a kubelet may have had a write under way when it was frozen.
        for node in site.nodes().iter().filter(|_| !in_full) {
            site.kubectl(&["patch", "node", node.name(), "--subresource=status", "--patch", &patch]).await?;
        }
        let conditions = api.list(&ListParams::default()).await?.into_iter();
        let conditions =
            conditions.flat_map(|node| node.status.and_then(|status| status.conditions).unwrap_or_default());
        let unknown =
            conditions.filter(|condition| condition.type_ == "Ready" && condition.status == "Unknown").count();
        Ok((unknown == site.nodes().len()).then_some(()))
    })
    .await
}

/// Looks again and again that nothing changes.
struct Watch {
    started: tokio::time::Instant,
}

impl Watch {
    /// Nodes are marked one after the other, and until the last one is, the others leave to it what it can take: there is always a
    /// way, and in the end all of them.
    async fn settles(&self, ground: &Ground<'_>, vip: Ipv4Addr, nodes: &[&str], why: &str) -> Result<()> {
        self.tell(why);
        let calm = std::cell::Cell::new(0_usize);
        wait_for(PATIENCE, &format!("the routers to keep leading over all nodes when {why}"), || async {
            let mut all = true;
            for router in ground.stage().site.routers() {
                let ways = fabric::ways(router, vip).await?;
                if ways.is_empty() {
                    return Ok(Some(Err(anyhow::anyhow!("{} has no way to {vip} when {why}", router.name()))));
                }
                all &= ways.len() == nodes.len();
            }
            calm.set(if all { calm.get() + 1 } else { 0 });
            Ok((calm.get() >= LOOKS).then_some(Ok(())))
        })
        .await?
    }

    /// The routers lead over these nodes now, and for as long as a speaker would take to act several times over.
    async fn holds(&self, ground: &Ground<'_>, vip: Ipv4Addr, nodes: &[&str], why: &str) -> Result<()> {
        self.tell(why);
        for _ in 0..LOOKS {
            for router in ground.stage().site.routers() {
                let ways = fabric::ways(router, vip).await?;
                ensure!(ways.len() == nodes.len(), "{} leads over {ways:?} when {why}", router.name());
            }
            // What is to be seen is that nothing happens, so this takes its time: a change reaches a router within 0.1 s.
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
        Ok(())
    }

    fn tell(&self, why: &str) {
        println!("    {:4.1} s: {why}", self.started.elapsed().as_secs_f64());
    }
}

/// So many looks in a row show that nothing changes any more. Chosen: at 0.1 s from one to the next 2 s, in which a speaker acts twenty times.
const LOOKS: usize = 20;
