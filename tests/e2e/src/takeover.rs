//! From one leading controller to the next, while Services come and go.

use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use ironlb_lab::wait_for;
use k8s_openapi::api::coordination::v1::Lease;
use kube::api::Api;

use crate::late;
use crate::load::Load;
use crate::release::{self, LEADER, NAMESPACE};
use crate::stage::{PATIENCE, Stage};

/// Of a leader that was stopped. It gives its Lease back once its writes have their answers; the standby sees so at once, lists and
/// writes. Without its watch it would look within 2.4 s.
pub const STOPPED: Duration = Duration::from_secs(3);

/// Of a leader that is gone or hears nothing. Its Lease lasts 15 s from its last renewal; then a new leader waits 4 s, in which a
/// request of the old one could still be carried out, lists and writes.
pub const GONE: Duration = Duration::from_secs(20);

/// The same where another site stands beside: the scenario shows that another leads, and who may write. Chosen: twice the bar, which
/// `controller-leader-killed` keeps with the machine to itself.
pub const GONE_BESIDE_OTHERS: Duration = Duration::from_secs(40);

/// Waits until another controller than `old` leads and has given a Service an address; gives its name and how long after `since`
/// that was, which is at most `bar`.
///
/// # Errors
/// None does, or it takes longer.
pub async fn by_another(
    stage: &Stage,
    load: &Load,
    old: &str,
    since: Instant,
    bar: Duration,
) -> Result<(String, Duration)> {
    let new = wait_for(PATIENCE, &format!("another leader than {old}"), || async {
        Ok(release::leader(stage).await?.filter(|now| now != old))
    })
    .await?;
    let leads = Instant::now();
    let after = load.given_after(leads, PATIENCE).await?;
    let took = leads.duration_since(since) + after;
    late::within(&format!("the first address by {new} after {old} was gone"), took, bar)?;
    Ok((new, took))
}

/// The pod that leads.
///
/// # Errors
/// None does.
pub async fn leader(stage: &Stage) -> Result<String> {
    release::leader(stage).await?.context("no controller leads")
}

/// How often the leader's Lease has changed hands.
///
/// # Errors
/// There is none.
pub async fn changes(stage: &Stage) -> Result<i32> {
    let api: Api<Lease> = Api::namespaced(stage.site.client(), NAMESPACE);
    let spec = api.get(LEADER).await?.spec.context("a Lease without a spec")?;
    Ok(spec.lease_transitions.unwrap_or_default())
}

/// How often a controller lost the right to lead, as it says itself.
///
/// # Errors
/// It does not answer.
pub async fn lost_terms(stage: &Stage, pod: &str) -> Result<f64> {
    Ok(release::metrics(stage, pod).await?.sum("ironlb_controller_terms_lost_total", &[]))
}

/// Waits until a pod says that it does not lead, and has lost the right to so many times.
///
/// # Errors
/// It does not come to that.
pub async fn deposed(stage: &Stage, pod: &str, times: f64) -> Result<()> {
    wait_for(PATIENCE, &format!("{pod} to say that it leads no more"), || async {
        let metrics = release::metrics(stage, pod).await?;
        let lost = metrics.sum("ironlb_controller_terms_lost_total", &[]);
        ensure!(lost <= times, "it says that it lost {lost} terms");
        Ok((metrics.sum("ironlb_controller_leading", &[]) < 1.0 && lost >= times).then_some(()))
    })
    .await
}
