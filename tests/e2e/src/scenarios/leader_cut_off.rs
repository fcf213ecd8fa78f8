//! The API server and the controller that leads do not hear each other any more, and then they do again.

use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use ironlb_lab::Node;

use crate::ground::Ground;
use crate::load::Load;
use crate::runner::Scenario;
use crate::stage::PATIENCE;
use crate::{release, takeover};

/// What it wrote when the cut came lies in its kernel, which is told to drop it when it cannot be sent in time.
pub const SCENARIO: Scenario = Scenario {
    name: "leader-cut-off",
    shows: "a leading controller that the API server does not hear stops before another leads, and nothing it wrote arrives later",
    first_address: 191,
    run: |ground| Box::pin(run(ground)),
};

async fn run(ground: &Ground<'_>) -> Result<()> {
    let stage = ground.stage();
    let load = Load::begin(ground, "198.18.10").await?;
    let old = takeover::leader(stage).await?;
    let lost = takeover::lost_terms(stage, &old).await?;
    let (node, container) = release::container(stage, &old).await?;
    let pods = release::pods(stage, "controller").await?;
    let address =
        pods[&old].status.as_ref().and_then(|status| status.pod_ip.clone()).context("a pod without address")?;

    cut(node, &address).await?;
    let taken_over = takeover::by_another(stage, &load, &old, Instant::now(), takeover::GONE_BESIDE_OTHERS).await;
    node.netns().exec(&["nft", "delete table ip cut"]).await?;
    let (new, took) = taken_over?;
    println!("    {old} was cut off; {new} gave the first address {took:.1?} later");

    takeover::deposed(stage, &old, lost + 1.0).await?;
    let (_, now) = release::container(stage, &old).await?;
    ensure!(now.lab_pid == container.lab_pid, "{old} was started again");
    // And the other goes on.
    load.given_after(Instant::now() + Duration::from_secs(1), PATIENCE).await?;
    ensure!(takeover::leader(stage).await? == new, "{new} leads no more");
    println!("    {}", load.end().await?);
    release::all_well(stage, PATIENCE).await
}

/// Drops what the node forwards from and to a pod; its kubelet still reaches the pod, so nothing is restarted.
async fn cut(node: &Node, pod: &str) -> Result<()> {
    let rules = format!(
        "add table ip cut; add chain ip cut forward {{ type filter hook forward priority -10; }}; \
         add rule ip cut forward ip saddr {pod} drop; add rule ip cut forward ip daddr {pod} drop"
    );
    node.netns().exec(&["nft", &rules]).await.map(drop)
}
