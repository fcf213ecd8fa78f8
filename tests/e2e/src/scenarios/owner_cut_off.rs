//! The owner reaches its clients but not the API server: the one partition in which two could answer a client.

use anyhow::{Result, ensure};
use ironlb_lab::netns::CONTROL_PLANE;

use crate::ground::Ground;
use crate::runner::Scenario;
use crate::stage::PATIENCE;
use crate::{handover, owner, release};

/// Between the owner and the control plane alone.
pub const SCENARIO: Scenario = Scenario {
    name: "owner-cut-off",
    shows: "an owner that cannot reach the API server stops answering before another begins",
    first_address: 158,
    run: |ground| Box::pin(run(ground)),
};

async fn run(ground: &Ground<'_>) -> Result<()> {
    let stage = ground.stage();
    ground.eip(1).await?;
    ground.web(2).await?;
    ground.service("web").await?;
    let vip = ground.served("web").await?;
    let mut capture = stage.capture(&ground.record("lan"))?;
    let first = owner::of(stage, vip).await?;

    stage.site.partition(&[first.name()], &[CONTROL_PLANE])?;
    let moved = owner::moved_from(stage, vip, first, PATIENCE).await;
    stage.site.heal()?;
    let second = moved?;
    stage.site.nodes_ready(PATIENCE).await?;
    release::all_well(stage, PATIENCE).await?;
    let now = owner::of(stage, vip).await?;
    ensure!(
        now.name() == second.name(),
        "{vip} went from {} to {} when the LAN was whole again",
        second.name(),
        now.name()
    );
    handover::check_turns(&capture.look(Clone::clone)?, vip, &[owner::mac_of(first)?, owner::mac_of(second)?])
}
