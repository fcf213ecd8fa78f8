//! The controller that leads is stopped in order while Services come and go.

use std::time::Instant;

use anyhow::{Result, ensure};

use crate::ground::Ground;
use crate::load::Load;
use crate::runner::Scenario;
use crate::stage::PATIENCE;
use crate::{release, takeover};

/// Alone, because it measures.
pub const SCENARIO: Scenario = Scenario {
    name: "leader-stopped",
    shows: "when the pod of the leading controller is deleted another gives addresses within 3 s",
    first_address: 192,
    run: |ground| Box::pin(run(ground)),
};

async fn run(ground: &Ground<'_>) -> Result<()> {
    let stage = ground.stage();
    let load = Load::begin(ground, "198.18.11").await?;
    let (old, changes) = (takeover::leader(stage).await?, takeover::changes(stage).await?);
    stage.site.kubectl(&["-n", release::NAMESPACE, "delete", "pod", &old, "--wait=false"]).await?;
    let (new, took) = takeover::by_another(stage, &load, &old, Instant::now(), takeover::STOPPED).await?;
    println!("    {old} was stopped; {new} gave the first address {took:.1?} later");
    ensure!(takeover::changes(stage).await? == changes + 1, "the Lease changed hands more than once");
    println!("    {}", load.end().await?);
    release::all_well(stage, PATIENCE).await
}
