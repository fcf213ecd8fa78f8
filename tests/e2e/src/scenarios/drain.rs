//! Nodes are being emptied, one and then all of them.
//!
//! Connections that last are not asked about: kube-proxy of the new owner does not know them, whichever pod they went to.

use std::time::{Duration, SystemTime};

use anyhow::{Context, Result, ensure};
use ironlb_lab::probe::{Attempt, Failure, Report};
use ironlb_lab::wait_for;

use crate::ground::Ground;
use crate::runner::Scenario;
use crate::stage::{PATIENCE, Stage};
use crate::{handover, owner};

/// By annotation, with a client that connects 100 times a second.
pub const SCENARIO: Scenario = Scenario {
    name: "drain",
    shows: "a node that is being emptied hands its address over without breaking a connection that is not under way just then, and says so, and the last one keeps it",
    first_address: 193,
    run: |ground| Box::pin(run(ground)),
};

/// How long after the switch has seen a gratuitous ARP a client may still send to the old owner: chosen, two of the probe's steps, because
/// the frame waits for the client's turn on a processor.
const HEARD: Duration = Duration::from_millis(20);

async fn run(ground: &Ground<'_>) -> Result<()> {
    let stage = ground.stage();
    ground.eip(1).await?;
    ground.web(2).await?;
    ground.service("web").await?;
    let vip = ground.served("web").await?;
    let old = owner::of(stage, vip).await?;
    let mut capture = stage.capture(&ground.record("lan"))?;
    let probe = stage.probe(&ground.record("client"), vip)?;

    drain(ground, old.name(), "true").await?;
    let new = owner::moved_from(stage, vip, old, PATIENCE).await?;
    shows(stage, old.name(), "Annotation").await?;
    let listed = ground.kubectl(&["get", "speakers", old.name()]).await?;
    ensure!(listed.contains("Annotation"), "kubectl get speakers shows no drain:\n{listed}");

    // All the others as well: the last one keeps what nobody else could announce, and says so.
    let others = stage.site.nodes().iter().filter(|node| node.name() != old.name() && node.name() != new.name());
    for node in others.chain([new]) {
        drain(ground, node.name(), "true").await?;
    }
    shows(stage, new.name(), "Annotation, DrainRefusedLast for 1").await?;
    owner::stays_with(stage, vip, new).await?;
    for node in stage.site.nodes() {
        drain(ground, node.name(), "false").await?;
    }
    shows(stage, new.name(), "").await?;

    let report = tokio::task::spawn_blocking(move || probe.stop()).await??;
    println!("    {report}");
    owner::stays_with(stage, vip, new).await?;
    let recording = capture.look(Clone::clone)?;
    handover::check_turns(&recording, vip, &[owner::mac_of(old)?, owner::mac_of(new)?])?;
    let handover = handover::tenures(&recording, vip).last().context("nobody held the vip")?.first;
    ensure!(are_of_the_handover(&report, handover), "connections failed: {report}");
    Ok(())
}

/// Whether nothing failed but connections that were under way when the new owner first spoke. The first packets of such a one went to the
/// old owner and its next ones go to the new one, where it is unknown: kube-proxy's translation of addresses is the node's own. On a quiet
/// machine a connection takes a millisecond of the ten between two, and mostly none is under way.
fn are_of_the_handover(report: &Report, handover: SystemTime) -> bool {
    let moment = handover.duration_since(report.started).unwrap_or_default();
    let mut failed = report.attempts.iter().filter(|attempt| attempt.outcome.is_err());
    let is_of_it = |attempt: &Attempt| {
        let was_under_way = attempt.started <= moment + HEARD && moment <= attempt.ended;
        was_under_way && attempt.outcome == Err(Failure::Broken)
    };
    failed.all(is_of_it)
}

async fn drain(ground: &Ground<'_>, node: &str, value: &str) -> Result<()> {
    let annotation = format!("{}={value}", ironlb_api::names::annotation::DRAIN);
    ground.stage().site.kubectl(&["annotate", "--overwrite", "node", node, &annotation]).await.map(drop)
}

/// Waits until a node's Speaker object shows this as its drain.
async fn shows(stage: &Stage, node: &str, drain: &str) -> Result<()> {
    wait_for(PATIENCE, &format!("the Speaker object of {node} to show drain {drain:?}"), || async {
        let speakers = owner::speakers(stage).await?;
        let shown = speakers.get(node).map(|status| status.drain.clone().unwrap_or_default());
        Ok((shown.as_deref() == Some(drain)).then_some(()))
    })
    .await
}
