//! One Service whose status the API server will not let anybody write, among others.

use anyhow::{Context, Result, ensure};
use ironlb_api::names::event;
use ironlb_lab::wait_for;

use crate::ground::{Ground, SCENARIO as LABEL};
use crate::manifests;
use crate::release;
use crate::runner::Scenario;
use crate::stage::PATIENCE;

/// With a ValidatingAdmissionPolicy.
pub const SCENARIO: Scenario = Scenario {
    name: "refused-status-write",
    shows: "a Service whose status the API server refuses to have written stops no other; it is retried with back-off and counted",
    first_address: 146,
    run: |ground| Box::pin(run(ground)),
};

/// The policy's name, as in the message of the refusal.
const POLICY: &str = "refused-status-write.e2e.ironlb.io";

fn policy(scenario: &str) -> String {
    format!(
        "apiVersion: admissionregistration.k8s.io/v1
kind: ValidatingAdmissionPolicy
metadata: {{name: {POLICY}, labels: {{{LABEL}: {scenario}}}}}
spec:
  failurePolicy: Fail
  matchConstraints:
    resourceRules:
      - {{apiGroups: [''], apiVersions: [v1], resources: [services/status], operations: [UPDATE]}}
  validations:
    - {{expression: \"object.metadata.namespace != '{scenario}' || object.metadata.name != 'refused'\", message: not this one}}
---
apiVersion: admissionregistration.k8s.io/v1
kind: ValidatingAdmissionPolicyBinding
metadata: {{name: {POLICY}, labels: {{{LABEL}: {scenario}}}}}
spec: {{policyName: {POLICY}, validationActions: [Deny]}}
"
    )
}

async fn run(ground: &Ground<'_>) -> Result<()> {
    ground.eip(5).await?;
    ground.apply(&policy(ground.name())).await?;
    // Not ours at first, so that the policy is in force before anybody writes.
    let theirs = manifests::service("refused", ground.name(), "").replace(": openelb,", ": somebody-else,");
    ground.apply(&theirs).await?;
    in_force(ground).await?;
    let before = refusals(ground).await?;
    ground.kubectl(&["annotate", "--overwrite", "service", "refused", "lb.kubesphere.io/v1alpha1=openelb"]).await?;

    for name in ["one", "two", "three"] {
        ground.service(name).await?;
    }
    for name in ["one", "two", "three"] {
        ground.served(name).await.context("beside the refused one")?;
    }
    let addresses = ground.addresses("refused").await?;
    ensure!(addresses.is_empty(), "the refused one has {addresses:?}");

    // Retried, and ever more seldom: of the time that three tries take, a loop without back-off would make thousands.
    let counted = wait_for(PATIENCE, "three refused writes in the metrics", || async {
        let now = refusals(ground).await? - before;
        Ok((now >= 3.0).then_some(now))
    })
    .await?;
    ensure!(counted < 30.0, "{counted} writes were refused while three were waited for: that is no back-off");
    ground.event("refused", event::UPDATE_SERVICE_STATUS).await?;

    let label = format!("{LABEL}={}", ground.name());
    let kinds = "validatingadmissionpolicybindings,validatingadmissionpolicies";
    ground.stage().site.kubectl(&["delete", kinds, "-l", &label]).await?;
    ground.served("refused").await.context("once the policy is gone").map(drop)
}

/// Waits until the API server refuses the write to us as well.
async fn in_force(ground: &Ground<'_>) -> Result<()> {
    wait_for(PATIENCE, "the policy to be in force", || async {
        let patch = [
            "--subresource=status",
            "--type=merge",
            "--dry-run=server",
            "--patch",
            r#"{"status":{"loadBalancer":{}}}"#,
        ];
        let tried = ground.kubectl(&[["patch", "service", "refused"].as_slice(), &patch].concat()).await;
        match tried {
            Err(error) if format!("{error:#}").contains("not this one") => Ok(Some(())),
            Err(error) => Err(error),
            Ok(_) => Ok(None),
        }
    })
    .await
}

/// How many writes of a Service's status the leader has been refused.
async fn refusals(ground: &Ground<'_>) -> Result<f64> {
    let leader = release::leader(ground.stage()).await?.context("no controller leads")?;
    let metrics = release::metrics(ground.stage(), &leader).await?;
    Ok(metrics.sum("ironlb_controller_writes_total", &["action=\"PatchService\"", "outcome=\"Refused\""]))
}
