//! The back end's pods: which are ready, and which of them a client gets answers from.

use std::collections::{BTreeMap, BTreeSet};
use std::net::Ipv4Addr;

use anyhow::{Result, ensure};
use ironlb_lab::probe::Report;
use ironlb_lab::wait_for;
use k8s_openapi::api::core::v1::Pod;
use kube::api::{Api, ListParams};

use crate::ground::Ground;
use crate::release;
use crate::stage::{PATIENCE, Stage};

/// How many answers in a row are looked at. Chosen: with three pods chosen at random, one of them is missed once in a million
/// times.
const ANSWERS: usize = 40;

/// The pods of the back end that are ready, each with its node.
///
/// # Errors
/// The API server does not answer.
pub async fn ready_pods(ground: &Ground<'_>) -> Result<BTreeMap<String, String>> {
    let api: Api<Pod> = Api::namespaced(ground.stage().site.client(), ground.name());
    let list = api.list(&ListParams::default().labels("app=web")).await?;
    let ready = list.into_iter().filter(release::is_ready);
    Ok(ready.filter_map(|pod| Some((pod.metadata.name?, pod.spec?.node_name?))).collect())
}

/// Waits until so many pods are ready and a client of the vip gets answers from each of them and from no other.
///
/// # Errors
/// It does not come to that; what was answered last is told.
pub async fn answers_come_from_all(ground: &Ground<'_>, vip: Ipv4Addr, pods: usize) -> Result<BTreeMap<String, usize>> {
    wait_for(PATIENCE, &format!("answers at {vip} from each of {pods} pods, and no other"), || async {
        let ready: BTreeSet<String> = ready_pods(ground).await?.into_keys().collect();
        ensure!(ready.len() == pods, "ready are {ready:?}");
        let report = attempts(ground.stage(), &ground.record("answers"), vip, ANSWERS).await?;
        let by_pod = report.by_pod();
        ensure!(report.failed() == 0 && by_pod.keys().eq(&ready), "{report}; ready are {ready:?}");
        Ok(Some(by_pod))
    })
    .await
}

/// Makes so many attempts to connect, 100 a second, and reports.
///
/// # Errors
/// The client is broken.
pub async fn attempts(stage: &Stage, name: &str, vip: Ipv4Addr, count: usize) -> Result<Report> {
    let probe = stage.probe(name, vip)?;
    wait_for(PATIENCE, "the client's attempts", || async {
        Ok((probe.so_far().attempts.len() >= count).then_some(()))
    })
    .await?;
    // Waits for the attempts under way.
    Ok(tokio::task::spawn_blocking(move || probe.stop()).await??)
}
