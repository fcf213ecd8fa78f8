//! The controller that leads is stopped in its tracks for longer than its Lease lasts, with writes under way, and then goes on.

use std::time::{Duration, Instant};

use anyhow::{Result, ensure};

use crate::ground::Ground;
use crate::load::Load;
use crate::runner::Scenario;
use crate::stage::{PATIENCE, Stage};
use crate::{release, takeover};

/// By SIGSTOP and SIGCONT: it wakes as a leader that knows nothing of the time that passed.
pub const SCENARIO: Scenario = Scenario {
    name: "leader-frozen",
    shows: "a leading controller that was frozen for longer than its Lease writes nothing when it wakes; another has led for it",
    first_address: 190,
    run: |ground| Box::pin(run(ground)),
};

async fn run(ground: &Ground<'_>) -> Result<()> {
    for _ in 0..ground.stage().scale.process_faults {
        once(ground).await?;
    }
    Ok(())
}

async fn once(ground: &Ground<'_>) -> Result<()> {
    let stage = ground.stage();
    let load = Load::begin(ground, "198.18.9").await?;
    let old = takeover::leader(stage).await?;
    let lost = takeover::lost_terms(stage, &old).await?;
    let (node, container) = release::container(stage, &old).await?;
    node.freeze(container.lab_pid)?;
    let taken_over = led_by_another(stage, &load, &old).await;
    // It must not stay frozen, whatever came of it.
    node.thaw(container.lab_pid)?;
    let (new, took) = taken_over?;
    println!("    {old} was frozen; {new} gave the first address {took:.1?} later");

    // It says itself that it was deposed; it is the same process.
    takeover::deposed(stage, &old, lost + 1.0).await?;
    let (_, now) = release::container(stage, &old).await?;
    ensure!(now.lab_pid == container.lab_pid, "{old} was started again");
    // And the other goes on.
    load.given_after(Instant::now() + Duration::from_secs(1), PATIENCE).await?;
    ensure!(takeover::leader(stage).await? == new, "{new} leads no more");
    println!("    {}", load.end().await?);
    release::all_well(stage, PATIENCE).await
}

async fn led_by_another(stage: &Stage, load: &Load, old: &str) -> Result<(String, Duration)> {
    takeover::by_another(stage, load, old, Instant::now(), takeover::GONE_BESIDE_OTHERS).await
}
