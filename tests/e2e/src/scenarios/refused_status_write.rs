//! One Service whose status the API server will not let anybody write, among others.

use std::time::{Duration, Instant};

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

/// So many refusals are waited for: the last two are 1.6 s apart at least. A writer that tries again at a fixed pace of a second, or
/// faster, does not pass.
const REFUSALS: usize = 5;

/// From the first refusal to the second at least, and each distance at least twice the one before: the controller's back-off
/// (`crates/ipam/src/backoff.rs`).
const FIRST_WAIT: Duration = Duration::from_millis(200);

/// Between two looks at the counter. Chosen: short beside the distances.
const LOOK: Duration = Duration::from_millis(50);

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
    let begun = Instant::now();
    ground.kubectl(&["annotate", "--overwrite", "service", "refused", "lb.kubesphere.io/v1alpha1=openelb"]).await?;
    let ((), times) = tokio::try_join!(beside(ground), counted(ground, before, begun))?;
    for (number, pair) in times.windows(2).enumerate() {
        let [(earliest, _), (_, latest)] = pair else { continue };
        let (apart, least) = (latest.duration_since(*earliest), FIRST_WAIT * 2_u32.pow(u32::try_from(number)?));
        ensure!(
            apart >= least,
            "refusals {} and {} are {apart:.2?} apart at most: no back-off",
            number + 1,
            number + 2
        );
    }
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

/// The others get addresses while the one gets none.
async fn beside(ground: &Ground<'_>) -> Result<()> {
    for name in ["one", "two", "three"] {
        ground.service(name).await?;
    }
    for name in ["one", "two", "three"] {
        ground.served(name).await.context("beside the refused one")?;
    }
    let addresses = ground.addresses("refused").await?;
    ensure!(addresses.is_empty(), "the refused one has {addresses:?}");
    Ok(())
}

/// Waits until so many writes have been refused since `begun`; tells of each between which two looks at the counter that was.
async fn counted(ground: &Ground<'_>, before: f64, begun: Instant) -> Result<Vec<(Instant, Instant)>> {
    let deadline = begun + PATIENCE;
    let (mut times, mut last) = (Vec::new(), begun);
    while times.len() < REFUSALS {
        ensure!(Instant::now() < deadline, "{} writes were refused, and {REFUSALS} were waited for", times.len());
        let asked = Instant::now();
        let now = refusals(ground).await? - before;
        let answered = Instant::now();
        while times.len() < REFUSALS && now > times.len() as f64 {
            times.push((last, answered));
        }
        last = asked;
        tokio::time::sleep(LOOK).await;
    }
    Ok(times)
}

/// How many writes of a Service's status the leader has been refused.
async fn refusals(ground: &Ground<'_>) -> Result<f64> {
    let leader = release::leader(ground.stage()).await?.context("no controller leads")?;
    let metrics = release::metrics(ground.stage(), &leader).await?;
    Ok(metrics.sum("ironlb_controller_writes_total", &["action=\"PatchService\"", "outcome=\"Refused\""]))
}
