//! The owner's power cut, measured from a client: used by the scenario and shown by the demo.

use std::net::Ipv4Addr;
use std::time::{Duration, SystemTime};

use anyhow::{Context, Result, ensure};
use ironlb_lab::capture::Recording;
use ironlb_lab::probe::Report;
use ironlb_lab::{Node, wait_for};

use crate::owner;
use crate::stage::{PATIENCE, Stage};

/// How many attempts are made before the cut and after the address is answered again: 1 s.
const STEADY: usize = 100;

/// What a power cut came to.
#[derive(Debug)]
pub struct Failover<'a> {
    /// The node that lost its power.
    pub from: &'a Node,
    /// The node that answers now.
    pub to: &'a Node,
    /// The moment from which on nothing of the old owner could reach the LAN.
    pub dark_since: SystemTime,
    /// From then until the new owner told the LAN.
    pub taken_over_after: Duration,
    /// What the client saw.
    pub report: Report,
    /// What was on the wire, from before the cut.
    pub recording: Recording,
}

impl Failover<'_> {
    /// The longest time in which no connection of the client's was answered.
    #[must_use]
    pub fn outage(&self) -> Duration {
        self.report.longest_gap().length()
    }
}

/// Cuts the power of the node that owns `vip`, while a client connects 100 times a second, and waits until it is served again.
/// The node stays without power.
///
/// # Errors
/// The client is not served before, or not again after; or an instrument fails.
pub async fn cut_power_of_owner<'a>(stage: &'a Stage, vip: Ipv4Addr, name: &str) -> Result<Failover<'a>> {
    // Before the first question, so that the old owner's answers are in it.
    let mut capture = stage.capture(name)?;
    let from = owner::of(stage, vip).await?;
    let probe = stage.probe(name, vip)?;
    wait_for(PATIENCE, "a second of answers before the cut", || async {
        Ok((probe.so_far().ok() >= STEADY).then_some(()))
    })
    .await?;

    // What the power cut does first as well; here it marks the moment.
    from.cable(false)?;
    let dark_since = SystemTime::now();
    from.cut_power().await?;

    let old = owner::mac_of(from)?;
    let (mac, first) = taken_over(&mut capture, vip, dark_since).await?;
    ensure!(mac != old, "{old} spoke for {vip} after its cable was pulled");
    let to = stage.site.nodes().iter().find(|node| owner::mac_of(node).is_ok_and(|of_node| of_node == mac));
    let to = to.with_context(|| format!("{vip} was taken over by {mac}, which is no node"))?;

    let answered = |report: &Report| {
        let after = dark_since.duration_since(report.started).unwrap_or_default();
        report.successes().filter(|(attempt, _)| attempt.ended > after + Duration::from_millis(50)).count()
    };
    wait_for(PATIENCE, "a second of answers after the cut", || async {
        Ok((answered(&probe.so_far()) >= STEADY).then_some(()))
    })
    .await?;
    let report = tokio::task::spawn_blocking(move || probe.stop()).await??;
    let recording = tokio::task::spawn_blocking(move || capture.stop()).await??;
    let taken_over_after = first.duration_since(dark_since).unwrap_or_default();
    Ok(Failover { from, to, dark_since, taken_over_after, report, recording })
}

async fn taken_over(
    capture: &mut ironlb_lab::capture::Capture,
    vip: Ipv4Addr,
    since: SystemTime,
) -> Result<(ironlb_model::MacAddr, SystemTime)> {
    let deadline = tokio::time::Instant::now() + PATIENCE;
    let mut tick = tokio::time::interval(Duration::from_millis(50));
    loop {
        tick.tick().await;
        let claims = capture.look(|recording| recording.macs_claiming_since(vip, since))?;
        if let Some((mac, claim)) = claims.into_iter().min_by_key(|(_, claim)| claim.first) {
            return Ok((mac, claim.first));
        }
        ensure!(tokio::time::Instant::now() < deadline, "nobody took {vip} over within {} s", PATIENCE.as_secs());
    }
}
