//! The owner's speaker is killed; the kubelet starts it again.

use std::time::Duration;

use anyhow::{Result, ensure};
use ironlb_lab::wait_for;

use crate::ground::Ground;
use crate::runner::Scenario;
use crate::stage::PATIENCE;
use crate::{handover, owner, release};

/// The kubelet's longest back-off for a container that ends again and again is 5 min; it comes into play where it is killed often.
const RESTART: Duration = Duration::from_secs(330);

/// By SIGKILL, so that it can say goodbye to nobody.
pub const SCENARIO: Scenario = Scenario {
    name: "speaker-killed",
    shows: "when the owner's speaker is killed, the address is answered for again, and never by two nodes at once",
    first_address: 156,
    run: |ground| Box::pin(run(ground)),
};

async fn run(ground: &Ground<'_>) -> Result<()> {
    let stage = ground.stage();
    ground.eip(1).await?;
    ground.web(2).await?;
    ground.service("web").await?;
    let vip = ground.served("web").await?;
    for _ in 0..stage.scale.process_faults {
        let mut capture = stage.capture(&ground.record("lan"))?;
        let node = owner::of(stage, vip).await?;
        let killed = release::speaker_on(node).await?;
        node.kill(killed.lab_pid)?;
        wait_for(RESTART, &format!("the kubelet of {} to start the speaker again", node.name()), || async {
            Ok((release::speaker_on(node).await?.lab_pid != killed.lab_pid).then_some(()))
        })
        .await?;
        release::all_well(stage, PATIENCE).await?;
        let now = owner::of(stage, vip).await?;
        println!("    killed on {}; {} answers", node.name(), now.name());
        handover::check_no_overlap(&capture.look(Clone::clone)?, vip)?;
        ensure!(ground.addresses("web").await? == [vip.to_string()], "the Service's address changed");
    }
    Ok(())
}
