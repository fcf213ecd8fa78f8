//! The owner's speaker is stopped in its tracks for longer than its Lease lasts, and then goes on.

use std::net::Ipv4Addr;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use ironlb_lab::Node;
use ironlb_lab::arp::Asking;

use crate::ground::Ground;
use crate::runner::Scenario;
use crate::stage::{PATIENCE, Stage};
use crate::{handover, owner, release};

/// By SIGSTOP and SIGCONT: it wakes with the questions of the meantime in its socket, and knows nothing of the time that passed.
pub const SCENARIO: Scenario = Scenario {
    name: "speaker-frozen",
    shows: "when the owner's speaker is frozen another takes over, and the first answers nothing when it wakes",
    first_address: 157,
    run: |ground| Box::pin(run(ground)),
};

async fn run(ground: &Ground<'_>) -> Result<()> {
    let stage = ground.stage();
    ground.eip(1).await?;
    ground.web(2).await?;
    ground.service("web").await?;
    let vip = ground.served("web").await?;
    for _ in 0..stage.scale.process_faults {
        once(ground, vip).await?;
    }
    Ok(())
}

async fn once(ground: &Ground<'_>, vip: Ipv4Addr) -> Result<()> {
    let stage = ground.stage();
    let capture = stage.capture(&ground.record("lan"))?;
    let first = owner::of(stage, vip).await?;
    let frozen = release::speaker_on(first).await?;
    first.freeze(frozen.lab_pid)?;
    let second = owner::moved_from(stage, vip, first, PATIENCE).await;
    // It must not stay frozen, whatever came of it.
    let (second, answers) = match second {
        Ok(second) => {
            let asked = asked_through_the_thaw(stage, vip, first, frozen.lab_pid).await;
            (second, asked?)
        }
        Err(error) => {
            first.thaw(frozen.lab_pid)?;
            return Err(error);
        }
    };
    println!("    frozen on {}; {} answers", first.name(), second.name());
    let mac = owner::sole(&answers).context("through the thaw")?;
    ensure!(mac == owner::mac_of(second)?, "through the thaw {vip} was answered by {mac}");
    release::all_well(stage, PATIENCE).await?;
    let now = owner::of(stage, vip).await?;
    ensure!(now.name() == second.name(), "{vip} went from {} to {}", second.name(), now.name());
    let recording = tokio::task::spawn_blocking(move || capture.stop()).await??;
    handover::check_turns(&recording, vip, &[owner::mac_of(first)?, owner::mac_of(second)?])
}

/// Asks without a pause from before the moment at which the speaker goes on until 3 s after it.
async fn asked_through_the_thaw(
    stage: &Stage,
    vip: Ipv4Addr,
    node: &Node,
    frozen: u32,
) -> Result<ironlb_lab::arp::ArpAnswers> {
    let asking = Asking { requests: 80, ..Asking::default() };
    let asked = owner::ask(stage, vip, asking);
    let thawed = async {
        let mut capture = stage.capture("thaw")?;
        let heard = wait_for_requests(&mut capture, vip).await;
        // Whatever came of the waiting.
        node.thaw(frozen)?;
        heard
    };
    let (answers, thawed) = tokio::join!(asked, thawed);
    thawed?;
    answers
}

/// Waits until ten more requests for the vip were on the wire.
async fn wait_for_requests(capture: &mut ironlb_lab::capture::Capture, vip: Ipv4Addr) -> Result<()> {
    let mut tick = tokio::time::interval(Duration::from_millis(20));
    for _ in 0..200 {
        tick.tick().await;
        let requests =
            capture.look(|recording| recording.arp.iter().filter(|seen| seen.frame.target_ip == vip).count())?;
        if requests >= 10 {
            return Ok(());
        }
    }
    anyhow::bail!("no requests for {vip} were seen")
}
