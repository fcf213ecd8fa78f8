//! An API server that is busy, slow, or silent: what cannot be written now is written later, and nothing else waits for it.

use std::time::Duration;

use anyhow::{Context, Result, ensure};
use ironlb_api::names::event;
use ironlb_lab::wait_for;
use serde_json::json;
use tokio::net::TcpListener;

use super::survives_bad_objects::{no_restart, restarts};
use crate::ground::{Ground, SCENARIO as LABEL};
use crate::manifests;
use crate::release::{self, NAMESPACE};
use crate::runner::Scenario;
use crate::stage::PATIENCE;

/// One fault after another.
pub const SCENARIO: Scenario = Scenario {
    name: "survives-slow-server",
    shows: "conflicts, 429s, a webhook that never answers for one Service and a frozen API server delay only what they hit, with back-off",
    first_address: 182,
    run: |ground| Box::pin(run(ground)),
};

async fn run(ground: &Ground<'_>) -> Result<()> {
    let before = restarts(ground.stage()).await?;
    let pool = manifests::eip(ground.name(), ground.name(), "198.19.0.0/24");
    ground.apply(&pool).await?;
    busy_object(ground).await.context("an object that changes all the time")?;
    slow_webhook(ground).await.context("a webhook that never answers")?;
    throttled(ground).await.context("too many requests")?;
    frozen(ground).await.context("a frozen API server")?;
    no_restart(ground.stage(), before).await
}

/// Another writer changes the Service as fast as it can, until the one beside it is served: each of our writes is likely to come too
/// late.
async fn busy_object(ground: &Ground<'_>) -> Result<()> {
    let theirs = manifests::service("busy", ground.name(), "").replace(": openelb,", ": somebody-else,");
    ground.apply(&theirs).await?;
    let api = kube::Api::<k8s_openapi::api::core::v1::Service>::namespaced(ground.stage().site.client(), ground.name());
    let conflicts = written(ground, "Conflict").await?;
    let served = std::cell::Cell::new(false);
    let other = async {
        let begun = tokio::time::Instant::now();
        let mut number = 0;
        while !served.get() || begun.elapsed() < Duration::from_secs(3) {
            number += 1;
            let opt_in = json!({"lb.kubesphere.io/v1alpha1": "openelb", "example.org/number": number.to_string()});
            let patch = kube::api::Patch::Merge(json!({"metadata": {"annotations": opt_in}}));
            api.patch("busy", &kube::api::PatchParams::default(), &patch).await?;
        }
        anyhow::Ok(number)
    };
    let beside = async {
        ground.service("beside-busy").await?;
        ground.served("beside-busy").await?;
        served.set(true);
        Ok(())
    };
    let (changes, ()) = tokio::try_join!(other, beside)?;
    ground.served("busy").await?;
    let conflicts = written(ground, "Conflict").await? - conflicts;
    println!("    {changes} changes by another, {conflicts} conflicts");
    ensure!(conflicts < 60.0, "{conflicts} writes were refused for {changes} changes: that is no back-off");
    Ok(())
}

/// A webhook for the status of one Service that takes connections and says nothing.
async fn slow_webhook(ground: &Ground<'_>) -> Result<()> {
    let site = &ground.stage().site;
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let port = listener.local_addr()?.port();
    let silent = tokio::spawn(async move {
        let mut held = Vec::new();
        while let Ok((connection, _)) = listener.accept().await {
            held.push(connection);
        }
    });
    let name = "slow.e2e.ironlb.io";
    site.apply(&format!(
        "apiVersion: admissionregistration.k8s.io/v1
kind: ValidatingWebhookConfiguration
metadata: {{name: {name}, labels: {{{LABEL}: {}}}}}
webhooks:
  - name: {name}
    clientConfig: {{url: 'https://127.0.0.1:{port}/'}}
    rules: [{{apiGroups: [''], apiVersions: [v1], resources: [services/status], operations: [UPDATE]}}]
    matchConditions: [{{name: one, expression: \"object.metadata.name == 'slow'\"}}]
    timeoutSeconds: 10
    failurePolicy: Ignore
    sideEffects: None
    admissionReviewVersions: [v1]
",
        ground.name()
    ))
    .await?;
    let unknown = written(ground, "Unknown").await?;
    // The configuration is in force some moments after it is stored; a write that slips through takes another try. Where the address
    // slipped through, it may be the write about the announcement that has no answer.
    let mut number = 0;
    wait_for(PATIENCE, "a write without an answer in the metrics", || {
        number += 1;
        let fresh = number % 8 == 1;
        async move {
            if fresh {
                ground.kubectl(&["delete", "service", "slow", "--ignore-not-found"]).await?;
                ground.service("slow").await?;
            }
            tokio::time::sleep(Duration::from_millis(500)).await;
            let is_held = ground.addresses("slow").await?.is_empty();
            Ok((is_held && written(ground, "Unknown").await? > unknown).then_some(()))
        }
    })
    .await?;
    for name in ["beside-1", "beside-2", "beside-3"] {
        ground.service(name).await?;
        ground.served(name).await?;
    }
    // However long that took: they did not wait for the one that the webhook holds up.
    ensure!(ground.addresses("slow").await?.is_empty(), "the webhook holds nothing up");
    site.kubectl(&["delete", "validatingwebhookconfiguration", name]).await?;
    ground.served("slow").await.context("once the webhook is gone")?;
    silent.abort();
    let unknown = written(ground, "Unknown").await? - unknown;
    ensure!(unknown < 10.0, "{unknown} writes had no answer: that is no back-off");
    Ok(())
}

/// The API server has no seat for the controller's writes on Services, and refuses each with 429, until it has again.
async fn throttled(ground: &Ground<'_>) -> Result<()> {
    let site = &ground.stage().site;
    let name = "throttled.e2e.ironlb.io";
    site.apply(&format!(
        "apiVersion: flowcontrol.apiserver.k8s.io/v1
kind: PriorityLevelConfiguration
metadata: {{name: {name}}}
spec:
  type: Limited
  limited: {{nominalConcurrencyShares: 0, lendablePercent: 0, borrowingLimitPercent: 0, limitResponse: {{type: Reject}}}}
---
apiVersion: flowcontrol.apiserver.k8s.io/v1
kind: FlowSchema
metadata: {{name: {name}}}
spec:
  priorityLevelConfiguration: {{name: {name}}}
  matchingPrecedence: 2
  distinguisherMethod: {{type: ByUser}}
  rules:
    - subjects: [{{kind: ServiceAccount, serviceAccount: {{name: ironlb-controller, namespace: {NAMESPACE}}}}}]
      resourceRules:
        - {{verbs: ['*'], apiGroups: [''], resources: [services/status], namespaces: ['*']}}
"
    ))
    .await?;
    let before = throttles(ground).await?;
    let mut round = 0;
    // In force some moments after it is stored: what comes before that is served.
    let outcome = wait_for(PATIENCE, "a 429 in the metrics", || {
        round += 1;
        async move {
            ground.service(&format!("throttled-{round}")).await?;
            tokio::time::sleep(Duration::from_millis(500)).await;
            Ok((throttles(ground).await? > before).then_some(round))
        }
    })
    .await;
    // More that wait, for longer than the first rest.
    let waiting: Vec<String> =
        (0..40).map(|number| manifests::service(&format!("waiting-{number}"), ground.name(), "")).collect();
    ground.apply(&waiting.join("---\n")).await?;
    tokio::time::sleep(Duration::from_secs(3)).await;
    let count = throttles(ground).await? - before;
    site.kubectl(&["delete", "flowschema,prioritylevelconfiguration", name]).await?;
    let last = outcome?;
    let waited = [0, 20, 39].map(|number| format!("waiting-{number}"));
    for name in [format!("throttled-{last}")].iter().chain(&waited) {
        ground.served(name).await?;
    }
    let fields = format!("--field-selector=reason={}", event::UPDATE_SERVICE_STATUS);
    let told = ground.kubectl(&["get", "events", &fields, "-o=name"]).await?;
    ensure!(told.trim().is_empty(), "a Service was told that it is refused, when the API server was busy");
    println!("    {count} answers of 429 before there were seats again");
    // A write of each of 41 Services at once, and again every second: chosen as what would show that nobody waits.
    ensure!(count < 200.0, "{count} answers of 429: that is no back-off");
    ground.kubectl(&["delete", "services", "--all", "--wait=false"]).await.map(drop)
}

/// The API server keeps its connections and answers nothing for longer than a request may take.
async fn frozen(ground: &Ground<'_>) -> Result<()> {
    let api_server = ground.stage().site.api_server();
    let leader = release::leader(ground.stage()).await?;
    ground.service("before-frost").await?;
    api_server.freeze()?;
    tokio::time::sleep(Duration::from_secs(6)).await;
    api_server.thaw()?;
    ground.stage().site.api_ready(PATIENCE).await?;
    ground.service("after-frost").await?;
    for name in ["before-frost", "after-frost"] {
        ground.served(name).await?;
    }
    ensure!(release::leader(ground.stage()).await? == leader, "the leader changed, although it could renew in time");
    Ok(())
}

/// How many writes on Services have had this outcome.
async fn written(ground: &Ground<'_>, outcome: &str) -> Result<f64> {
    let labels = ["action=\"PatchService\"".to_owned(), format!("outcome=\"{outcome}\"")];
    metric(ground, "ironlb_controller_writes_total", &labels.each_ref().map(String::as_str)).await
}

async fn throttles(ground: &Ground<'_>) -> Result<f64> {
    metric(ground, "ironlb_controller_throttled_total", &[]).await
}

async fn metric(ground: &Ground<'_>, name: &str, labels: &[&str]) -> Result<f64> {
    let leader = release::leader(ground.stage()).await?.context("no controller leads")?;
    Ok(release::metrics(ground.stage(), &leader).await?.sum(name, labels))
}
