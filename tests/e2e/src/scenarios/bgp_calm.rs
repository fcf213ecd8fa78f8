//! What befalls the whole cluster at once withdraws nothing that works.

use std::time::Duration;

use anyhow::{Context, Result, ensure};
use ironlb_lab::probe::Failure;
use ironlb_lab::{Node, wait_for};

use crate::fabric::{self, Protection};
use crate::ground::Ground;
use crate::release;
use crate::runner::Scenario;
use crate::stage::PATIENCE;

/// Under load.
pub const SCENARIO: Scenario = Scenario {
    name: "bgp-calm",
    shows: "all nodes cordoned or drained, the API server gone, a speaker restarted while it is gone: routers keep every route that works",
    first_address: 12,
    run: |ground| Box::pin(run(ground)),
};

async fn run(ground: &Ground<'_>) -> Result<()> {
    let stage = ground.stage();
    let site = &stage.site;
    let nodes: Vec<&str> = site.nodes().iter().map(Node::name).collect();
    let last = site.nodes().last().context("a node")?;
    fabric::raise(ground, Protection::GRACEFUL).await?;
    let spec = serde_json::json!({"address": "172.22.12.1", "protocol": "bgp"});
    ground.apply(&fabric::object(ground, "Eip", ground.name(), spec)).await?;
    ground.web(3).await?;
    ground.service("web").await?;
    let vip = ground.served("web").await?;
    fabric::leads_over(ground, vip, &nodes, PATIENCE).await?;
    let probe = fabric::probe(ground, site.router(1), vip, "calm").await?;
    let watch = Watch { started: tokio::time::Instant::now() };

    site.kubectl(&[&["cordon"], nodes.as_slice()].concat()).await?;
    watch.holds(ground, vip, &nodes, "all nodes are cordoned").await?;
    site.kubectl(&[&["uncordon"], nodes.as_slice()].concat()).await?;

    let drain = |value: &'static str| {
        let mut command = vec!["annotate", "node", "--overwrite"];
        command.extend(&nodes);
        command.push(value);
        command
    };
    site.kubectl(&drain("ironlb.io/drain=true")).await?;
    watch.holds(ground, vip, &nodes, "all nodes are to be drained").await?;
    site.kubectl(&drain("ironlb.io/drain-")).await?;

    site.api_server().stop().await?;
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
    println!("    {} of {} connections failed", report.failed(), report.attempts.len());
    // Marking node after node changes the router's ways four times; each may break a connection that is under way just then.
    let failures = report.by_failure();
    let broken = failures.get(&Failure::Broken).copied().unwrap_or_default();
    ensure!(report.failed() == broken && broken <= 4, "{} connections failed: {failures:?}", report.failed());
    Ok(())
}

/// Looks again and again that nothing changes.
struct Watch {
    started: tokio::time::Instant,
}

impl Watch {
    /// The routers lead over these nodes now, and for as long as a speaker would take to act several times over.
    async fn holds(&self, ground: &Ground<'_>, vip: std::net::Ipv4Addr, nodes: &[&str], why: &str) -> Result<()> {
        println!("    {:4.1} s: {why}", self.started.elapsed().as_secs_f64());
        // Nodes are marked one after the other: until the last one is, the others leave to it what it can take.
        fabric::leads_over(ground, vip, nodes, PATIENCE).await.with_context(|| format!("when {why}"))?;
        let begun = tokio::time::Instant::now();
        // What is to be seen is that nothing happens, so this takes its time: a change reaches a router within 0.1 s.
        while begun.elapsed() < Duration::from_secs(2) {
            for router in ground.stage().site.routers() {
                let ways = fabric::ways(router, vip).await?;
                ensure!(ways.len() == nodes.len(), "{} leads over {ways:?} when {why}", router.name());
            }
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
        Ok(())
    }
}
