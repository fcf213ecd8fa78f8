//! The controller that leads is killed.

use std::time::Duration;

use anyhow::{Context, Result, ensure};
use ironlb_lab::wait_for;

use crate::ground::Ground;
use crate::owner;
use crate::release;
use crate::runner::Scenario;
use crate::stage::PATIENCE;

/// By stopping it first, so that the kubelet cannot start it again under its old name before another leads.
pub const SCENARIO: Scenario = Scenario {
    name: "controller-leader-killed",
    shows: "when the leading controller is gone another leads; addresses stay, and new Services are served",
    first_address: 160,
    run: |ground| Box::pin(run(ground)),
};

/// A Lease of 15 s, a request's time-out of 4 s that a new leader waits, and room for a busy machine.
const BOUND: Duration = Duration::from_secs(25);

async fn run(ground: &Ground<'_>) -> Result<()> {
    let stage = ground.stage();
    ground.eip(1).await?;
    ground.apply(&crate::manifests::eip("after-the-leader", ground.name(), "198.18.8.0/28")).await?;
    ground.web(1).await?;
    ground.service("before").await?;
    let vip = ground.served("before").await?;
    let owner_before = owner::of(stage, vip).await?;

    let old = release::leader(stage).await?.context("no controller leads")?;
    let (node, container) = release::container(stage, &old).await?;
    node.freeze(container.lab_pid)?;
    ground.apply(&crate::manifests::service("after", "after-the-leader", "")).await?;
    let served = ground.served_within("after", BOUND).await;
    let new = release::leader(stage).await;
    node.kill(container.lab_pid)?;
    let after = served?;
    let new = new?.context("no controller leads")?;
    ensure!(new != old, "{old} leads although it is frozen");
    println!("    {old} is gone; {new} gave {after}");

    ensure!(ground.addresses("before").await? == [vip.to_string()], "the address of a Service changed with the leader");
    ensure!(owner::of(stage, vip).await?.name() == owner_before.name(), "{vip} moved with the leader");
    wait_for(PATIENCE, &format!("the kubelet to start {old} again"), || async {
        let (_, now) = release::container(stage, &old).await?;
        Ok((now.lab_pid != container.lab_pid).then_some(()))
    })
    .await?;
    release::all_well(stage, PATIENCE).await
}
