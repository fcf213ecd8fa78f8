//! The owner's power is cut.

use std::net::Ipv4Addr;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use ironlb_lab::{Node, wait_for};

use crate::failover::{self, Failover};
use crate::ground::Ground;
use crate::runner::Scenario;
use crate::stage::{PATIENCE, Stage};
use crate::{handover, late, owner, release};

/// Alone on the site, because it measures.
pub const SCENARIO: Scenario = Scenario {
    name: "power-cut",
    shows: "when the owner loses its power another node takes the address within the Lease's time, alone, and keeps it",
    first_address: 161,
    run: |ground| Box::pin(run(ground)),
};

/// From the cut until another node speaks for the address. The dead node's Lease stands still for 4 s before it counts as dead, and
/// its last renewal may have come just before the cut; 1 s of slack for the list, the write and what confirms it. Measured on two busy
/// cores: 3.4 to 4.0 s. A Lease that lasted a second longer would not pass for long.
const TAKEN_OVER: Duration = Duration::from_secs(4 + 1);

/// What a client may have to wait: another second for its own memory of who has the address.
const OUTAGE: Duration = Duration::from_secs(4 + 1 + 1);

async fn run(ground: &Ground<'_>) -> Result<()> {
    let stage = ground.stage();
    ground.eip(1).await?;
    ground.web(2).await?;
    ground.service("web").await?;
    let vip = ground.served("web").await?;
    for number in 1..=stage.scale.power_cuts {
        once(ground, vip, &ground.record(&number.to_string())).await?;
    }
    Ok(())
}

async fn once(ground: &Ground<'_>, vip: Ipv4Addr, record: &str) -> Result<()> {
    let stage = ground.stage();
    survivors_serve(ground, owner::of(stage, vip).await?).await?;
    let before = ground.addresses("web").await?;

    let failover = failover::cut_power_of_owner(stage, vip, record).await?;
    println!(
        "    {} -> {}: taken over after {:.1?}; {}",
        failover.from.name(),
        failover.to.name(),
        failover.taken_over_after,
        failover.report
    );
    judge(vip, &failover)?;
    let now = owner::of(stage, vip).await?;
    ensure!(now.name() == failover.to.name(), "{vip} moved on to {}", now.name());
    ensure!(ground.addresses("web").await? == before, "the Service's address changed");

    comes_back(stage, vip, &failover).await
}

/// The pods are bound to another node than the owner, so that only the announcer is lost.
async fn survivors_serve(ground: &Ground<'_>, doomed: &Node) -> Result<()> {
    let survivor = ground.stage().site.nodes().iter().find(|node| node.name() != doomed.name());
    ground.web_on(survivor.unwrap_or(doomed).name()).await
}

fn judge(vip: Ipv4Addr, failover: &Failover<'_>) -> Result<()> {
    let (old, new) = (owner::mac_of(failover.from)?, owner::mac_of(failover.to)?);
    handover::check_turns(&failover.recording, vip, &[old, new])?;
    let ghosts = failover.recording.frames_from(old, failover.dark_since);
    ensure!(ghosts.is_empty(), "{} frames of {} after its cable was pulled", ghosts.len(), failover.from.name());
    late::within(&format!("the takeover by {}", failover.to.name()), failover.taken_over_after, TAKEN_OVER)?;
    late::within(&format!("the client's outage ({})", failover.report), failover.outage(), OUTAGE)
}

/// The node gets its power back, its speaker takes part again, and the address stays where it is.
async fn comes_back(stage: &Stage, vip: Ipv4Addr, failover: &Failover<'_>) -> Result<()> {
    let incarnation = |node: &str| {
        let node = node.to_owned();
        async move {
            Ok::<_, anyhow::Error>(owner::speakers(stage).await?.remove(&node).and_then(|speaker| speaker.incarnation))
        }
    };
    let node = failover.from.name();
    let died = incarnation(node).await?;
    let mut capture = stage.capture(&format!("return-of-{node}"))?;
    failover.from.power_on().await?;
    wait_for(PATIENCE, &format!("a new speaker on {node}"), || async {
        let now = incarnation(node).await?;
        Ok((now.is_some() && now != died).then_some(()))
    })
    .await?;
    stage.site.nodes_ready(PATIENCE).await?;
    release::all_well(stage, PATIENCE).await?;
    owner::stays_with(stage, vip, failover.to).await.with_context(|| format!("after the return of {node}"))?;
    let holder = owner::mac_of(failover.to)?;
    handover::check_turns(&capture.look(Clone::clone)?, vip, &[holder])
}
