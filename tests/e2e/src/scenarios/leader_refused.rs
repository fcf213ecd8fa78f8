//! The API server answers the controller that leads and refuses what it asks for.

use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};

use crate::ground::{Ground, SCENARIO as LABEL};
use crate::load::Load;
use crate::runner::Scenario;
use crate::stage::PATIENCE;
use crate::{release, takeover};

/// By a policy in the API server that knows the pod by its token: everything else of the two is answered as ever.
pub const SCENARIO: Scenario = Scenario {
    name: "leader-refused",
    shows: "a leading controller whose renewals the API server refuses stops before another leads; no address is lost or given twice",
    first_address: 198,
    run: |ground| Box::pin(run(ground)),
};

/// The policy's name, as in the message of the refusal.
const POLICY: &str = "leader-refused.e2e.ironlb.io";

/// From the refusal on: the policy is in force a moment after it was made, so the last renewal may be later than that.
const IN_FORCE: Duration = Duration::from_secs(5);

fn policy(scenario: &str, pod: &str) -> String {
    format!(
        "apiVersion: admissionregistration.k8s.io/v1
kind: ValidatingAdmissionPolicy
metadata: {{name: {POLICY}, labels: {{{LABEL}: {scenario}}}}}
spec:
  failurePolicy: Fail
  matchConstraints:
    resourceRules:
      - {{apiGroups: [coordination.k8s.io], apiVersions: [v1], resources: [leases], operations: [CREATE, UPDATE]}}
  validations:
    - expression: \"!('{pod}' in request.userInfo.?extra['authentication.kubernetes.io/pod-name'].orValue([]))\"
      message: not this pod
---
apiVersion: admissionregistration.k8s.io/v1
kind: ValidatingAdmissionPolicyBinding
metadata: {{name: {POLICY}, labels: {{{LABEL}: {scenario}}}}}
spec: {{policyName: {POLICY}, validationActions: [Deny]}}
"
    )
}

async fn run(ground: &Ground<'_>) -> Result<()> {
    let stage = ground.stage();
    let load = Load::begin(ground, "198.18.14").await?;
    let old = takeover::leader(stage).await?;
    let lost = takeover::lost_terms(stage, &old).await?;
    let (_, container) = release::container(stage, &old).await?;

    ground.apply(&policy(ground.name(), &old)).await?;
    let bar = takeover::GONE_BESIDE_OTHERS + IN_FORCE;
    let (new, took) = takeover::by_another(stage, &load, &old, Instant::now(), bar).await?;
    println!("    {old} was refused its renewals; {new} gave the first address {took:.1?} later");
    takeover::deposed(stage, &old, lost + 1.0).await?;
    let (_, now) = release::container(stage, &old).await?;
    ensure!(now.lab_pid == container.lab_pid, "{old} was started again");

    // It is let in again, and the other leads on.
    let label = format!("{LABEL}={}", ground.name());
    let kinds = "validatingadmissionpolicybindings,validatingadmissionpolicies";
    stage.site.kubectl(&["delete", kinds, "-l", &label]).await?;
    load.given_after(Instant::now(), PATIENCE).await.context("once the policy is gone")?;
    ensure!(takeover::leader(stage).await? == new, "{new} leads no more");
    println!("    {}", load.end().await?);
    release::all_well(stage, PATIENCE).await
}
