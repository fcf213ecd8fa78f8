//! ironlb as a user has it: installed by Helm, its pods, its leader, its metrics.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};
use ironlb_lab::node::{Container, Process};
use ironlb_lab::{Node, wait_for};
use k8s_openapi::api::coordination::v1::Lease;
use k8s_openapi::api::core::v1::Pod;
use kube::api::{Api, ListParams};

use crate::owner;
use crate::stage::{PATIENCE, Stage};

/// The namespace that the README installs into.
pub const NAMESPACE: &str = "ironlb-system";
/// The release's name.
pub const RELEASE: &str = "ironlb";
/// The Lease that the leading controller holds.
pub const LEADER: &str = "ironlb-controller";
/// The port of the metrics.
const METRICS: u16 = 7472;

/// A file or folder of the checkout.
#[must_use]
pub fn checkout(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..").join(path)
}

/// Runs `helm ACTION ironlb charts/ironlb` as the README says it, and waits until it is done.
///
/// # Errors
/// Helm fails.
pub async fn helm(stage: &Stage, action: &str, more: &[&str]) -> Result<String> {
    let chart = checkout("charts/ironlb").canonicalize().context("charts/ironlb")?;
    let chart = chart.to_str().context("a path that is not text")?;
    let told = ["--namespace", NAMESPACE, "--create-namespace", "--wait", "--timeout", "300s"];
    stage.site.helm(&[&[action, RELEASE, chart], told.as_slice(), more].concat()).await
}

/// Installs ironlb with the values of the site's plan (mostly none), and waits until all of it is well.
///
/// # Errors
/// Helm fails, or a speaker does not become ready.
pub async fn install(stage: &Stage) -> Result<()> {
    let values: Vec<&str> = stage.values.iter().flat_map(|value| ["--set", *value]).collect();
    helm(stage, "install", &values).await?;
    all_well(stage, PATIENCE).await
}

/// Waits until every node has a ready speaker, each of which hears all others, and the controller has a leader.
///
/// # Errors
/// It does not come to that.
pub async fn all_well(stage: &Stage, within: Duration) -> Result<()> {
    let nodes = stage.site.nodes().len();
    wait_for(within, "a ready speaker on every node that hears all others", || async {
        let pods = pods(stage, "speaker").await?;
        let unready: Vec<&String> = pods.iter().filter(|(_, pod)| !is_ready(pod)).map(|(name, _)| name).collect();
        ensure!(pods.len() == nodes && unready.is_empty(), "of {} pods {unready:?} are not ready", pods.len());
        let speakers = owner::speakers(stage).await?;
        let whole = |status: &ironlb_api::SpeakerStatus| {
            status.ready == Some(true) && status.members.as_ref().is_some_and(|members| members.len() == nodes)
        };
        let broken: Vec<&String> = speakers.iter().filter(|(_, status)| !whole(status)).map(|(node, _)| node).collect();
        ensure!(
            speakers.len() == nodes && broken.is_empty(),
            "of {} Speakers those of {broken:?} are not so",
            speakers.len()
        );
        Ok(Some(()))
    })
    .await?;
    wait_for(within, "ready controllers with a leader", || async {
        let pods = pods(stage, "controller").await?;
        Ok((!pods.is_empty() && pods.values().all(is_ready) && leader(stage).await?.is_some()).then_some(()))
    })
    .await
}

/// ironlb's pods of a component, by name.
///
/// # Errors
/// The API server does not answer.
pub async fn pods(stage: &Stage, component: &str) -> Result<BTreeMap<String, Pod>> {
    let api: Api<Pod> = Api::namespaced(stage.site.client(), NAMESPACE);
    let of_component = format!("app.kubernetes.io/name=ironlb,app.kubernetes.io/component={component}");
    let list = api.list(&ListParams::default().labels(&of_component)).await?;
    Ok(list.into_iter().filter_map(|pod| Some((pod.metadata.name.clone()?, pod))).collect())
}

/// Whether a pod is ready and not on its way out.
#[must_use]
pub fn is_ready(pod: &Pod) -> bool {
    let conditions = pod.status.iter().filter_map(|status| status.conditions.as_ref()).flatten();
    pod.metadata.deletion_timestamp.is_none()
        && conditions.into_iter().any(|condition| condition.type_ == "Ready" && condition.status == "True")
}

/// The pod that holds the leader's Lease.
///
/// # Errors
/// The API server does not answer.
pub async fn leader(stage: &Stage) -> Result<Option<String>> {
    let api: Api<Lease> = Api::namespaced(stage.site.client(), NAMESPACE);
    let holder = api.get_opt(LEADER).await?.and_then(|lease| lease.spec?.holder_identity);
    let pods = pods(stage, "controller").await?;
    // The identity may say more than the pod's name.
    Ok(holder.and_then(|holder| pods.into_keys().find(|pod| holder.starts_with(pod.as_str()))))
}

/// Where the container of a pod of ironlb runs.
///
/// # Errors
/// It does not run.
pub async fn container<'a>(stage: &'a Stage, pod: &str) -> Result<(&'a Node, Container)> {
    for node in stage.site.nodes().iter().filter(|node| node.has_power()) {
        let found = node
            .containers()
            .await?
            .into_iter()
            .find(|container| container.namespace == NAMESPACE && container.pod == pod && container.name.is_some());
        if let Some(container) = found {
            return Ok((node, container));
        }
    }
    bail!("no node runs a container of {pod}")
}

/// The speaker's container of a node.
///
/// # Errors
/// It does not run.
pub async fn speaker_on(node: &Node) -> Result<Container> {
    let all = node.containers().await?;
    let mut found = all.into_iter().filter(|c| c.namespace == NAMESPACE && c.name.as_deref() == Some("speaker"));
    let container = found.next().with_context(|| format!("no speaker runs on {}", node.name()))?;
    ensure!(found.next().is_none(), "two speakers run on {}", node.name());
    Ok(container)
}

/// Whether a process is one of ironlb's, by the name of its executable.
#[must_use]
pub fn is_ironlb(process: &Process) -> bool {
    let program = process.command.split_whitespace().next().unwrap_or_default();
    program.rsplit('/').next() == Some("ironlb")
}

/// The metrics of a pod, as Prometheus would read them.
///
/// # Errors
/// It does not answer.
pub async fn metrics(stage: &Stage, pod: &str) -> Result<Metrics> {
    let path = format!("/api/v1/namespaces/{NAMESPACE}/pods/{pod}:{METRICS}/proxy/metrics");
    let request = http::Request::get(path).body(Vec::new())?;
    Ok(Metrics(stage.site.client().request_text(request).await.with_context(|| format!("metrics of {pod}"))?))
}

/// A page of metrics.
#[derive(Debug, Clone)]
pub struct Metrics(String);

impl Metrics {
    /// The sum of a metric over those of its label sets that hold every text of `labels`.
    #[must_use]
    pub fn sum(&self, metric: &str, labels: &[&str]) -> f64 {
        let lines = self.0.lines().filter(|line| !line.starts_with('#'));
        let values = lines.filter_map(|line| {
            let (series, value) = line.rsplit_once(' ')?;
            let (name, set) = series.split_once('{').unwrap_or((series, ""));
            (name == metric && labels.iter().all(|label| set.contains(label))).then(|| value.parse::<f64>().ok())?
        });
        values.sum()
    }

    /// The page.
    #[must_use]
    pub fn text(&self) -> &str {
        &self.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_metric_is_summed_over_the_label_sets_that_match() {
        let page =
            "# HELP a_total words\na_total{kind=\"x\",why=\"1\"} 2\na_total{kind=\"y\"} 3\na_total_more 9\nb 4.5\n";
        let metrics = Metrics(page.to_owned());
        let sums = [metrics.sum("a_total", &[]), metrics.sum("a_total", &["kind=\"x\""]), metrics.sum("b", &[])];
        assert_eq!(sums.map(|sum| format!("{sum}")), ["5", "2", "4.5"]);
    }
}
