//! The owner reaches its clients but not the API server: the one partition in which two could answer a client.

use std::collections::BTreeSet;
use std::time::Duration;

use anyhow::{Result, ensure};
use ironlb_lab::netns::CONTROL_PLANE;

use crate::ground::Ground;
use crate::runner::Scenario;
use crate::stage::PATIENCE;
use crate::{handover, owner, release};

/// The longest that two may answer: the project's bar. To the owner it looks as if the API server had stopped for
/// everybody, and then it has to go on; it learns better from the new owner's announcement.
const OVERLAP: Duration = Duration::from_millis(200);

/// Between the owner and the control plane alone.
pub const SCENARIO: Scenario = Scenario {
    name: "owner-cut-off",
    shows: "an owner that the API server cannot hear gives the address up the moment another takes it",
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
    let recording = capture.look(Clone::clone)?;
    let overlap = handover::overlap(&recording, vip)?;
    println!("    cut off was {}; {} answers; both for {overlap:?}", first.name(), second.name());
    ensure!(overlap <= OVERLAP, "two nodes answered for {vip} for {overlap:?}; capture {}", recording.file.display());
    let holders: BTreeSet<_> = handover::tenures(&recording, vip).into_iter().map(|tenure| tenure.mac).collect();
    let expected = BTreeSet::from([owner::mac_of(first)?, owner::mac_of(second)?]);
    ensure!(holders == expected, "{vip} was held by {holders:?}, and was to be by {expected:?}");
    Ok(())
}
