//! The controller that leads is killed while Services come and go.

use std::time::Instant;

use anyhow::{Result, ensure};
use ironlb_lab::wait_for;

use crate::ground::Ground;
use crate::load::Load;
use crate::runner::Scenario;
use crate::stage::PATIENCE;
use crate::{late, owner, release, takeover};

/// Alone, because it measures. The kubelet starts it again at once, and it may well lead again: under another name than in its life before, so that it has to
/// wait as everybody does.
pub const SCENARIO: Scenario = Scenario {
    name: "controller-leader-killed",
    shows: "when the leading controller is killed addresses are given again within 20 s; none moves, and no two get the same",
    first_address: 160,
    run: |ground| Box::pin(run(ground)),
};

async fn run(ground: &Ground<'_>) -> Result<()> {
    let stage = ground.stage();
    ground.eip(1).await?;
    ground.web(1).await?;
    ground.service("before").await?;
    let vip = ground.served("before").await?;
    let owner_before = owner::of(stage, vip).await?;
    let load = Load::begin(ground, "198.18.8").await?;

    let old = takeover::leader(stage).await?;
    let changes = takeover::changes(stage).await?;
    let (node, container) = release::container(stage, &old).await?;
    node.kill(container.lab_pid)?;
    let killed = Instant::now();
    wait_for(PATIENCE, "the Lease to change hands", || async {
        Ok((takeover::changes(stage).await? > changes).then_some(()))
    })
    .await?;
    let leads = Instant::now();
    let took = leads.duration_since(killed) + load.given_after(leads, PATIENCE).await?;
    println!("    {old} was killed; {} gave the first address {took:.1?} later", takeover::leader(stage).await?);
    late::within("the first address", took, takeover::GONE)?;

    println!("    {}", load.end().await?);
    ensure!(ground.addresses("before").await? == [vip.to_string()], "the address of a Service changed with the leader");
    ensure!(owner::of(stage, vip).await?.name() == owner_before.name(), "{vip} moved with the leader");
    release::all_well(stage, PATIENCE).await
}
