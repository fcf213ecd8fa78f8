//! The API server is slow for longer than a leader leads without a renewal, while Services come and go.

use std::time::{Duration, Instant};

use anyhow::{Result, ensure};

use crate::ground::Ground;
use crate::load::Load;
use crate::runner::Scenario;
use crate::stage::{PATIENCE, Stage};
use crate::{release, takeover};

/// Slow by being stopped and let go on in turn.
pub const SCENARIO: Scenario = Scenario {
    name: "leader-stays",
    shows: "while every request to the API server takes up to 2 s the leader stays and gives addresses",
    first_address: 197,
    run: |ground| Box::pin(run(ground)),
};

/// The API server answers nothing for so long, then everything for [`ANSWERS`], in turn. Chosen: most requests take a second or two,
/// half of what is allowed for.
const SILENT: Duration = Duration::from_millis(2000);
const ANSWERS: Duration = Duration::from_millis(200);
/// So often. Chosen: longer than a leader leads without a renewal.
const TURNS: usize = 5;

async fn run(ground: &Ground<'_>) -> Result<()> {
    let stage = ground.stage();
    let load = Load::begin(ground, "198.18.15").await?;
    let (leader, changes) = (takeover::leader(stage).await?, takeover::changes(stage).await?);
    let lost = takeover::lost_terms(stage, &leader).await?;
    let begun = Instant::now();
    let slow = slow_down(stage).await;
    // Whatever came of it.
    stage.site.api_server().thaw()?;
    slow?;
    let slow_for = begun.elapsed();
    let given = load.given_after(begun + SILENT, PATIENCE).await?;
    println!("    the API server was slow for {slow_for:.1?}; addresses were given meanwhile");
    ensure!(SILENT + given < slow_for, "no address was given while the API server was slow");
    ensure!(takeover::changes(stage).await? == changes, "the leader changed because the API server was slow");
    ensure!(
        takeover::lost_terms(stage, &leader).await? <= lost,
        "{leader} lost its term because the API server was slow"
    );
    println!("    {}", load.end().await?);
    release::all_well(stage, PATIENCE).await
}

async fn slow_down(stage: &Stage) -> Result<()> {
    for _ in 0..TURNS {
        stage.site.api_server().freeze()?;
        tokio::time::sleep(SILENT).await;
        stage.site.api_server().thaw()?;
        tokio::time::sleep(ANSWERS).await;
    }
    Ok(())
}
