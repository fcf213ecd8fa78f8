//! What people see: Events, columns, `kubectl describe`. Each state is told once.

use std::collections::BTreeMap;

use anyhow::{Context, Result, ensure};
use ironlb_api::names::event;
use ironlb_lab::wait_for;
use k8s_openapi::api::core::v1::{Event, Service};
use kube::api::{Api, ListParams, Patch, PatchParams};
use serde_json::json;

use crate::ground::Ground;
use crate::row::{self, row};
use crate::runner::Scenario;
use crate::stage::PATIENCE;

/// Beside things that happen and concern nobody who was told.
pub const SCENARIO: Scenario = Scenario {
    name: "told-once",
    shows: "an address given, refused or given back is told by one Event each, however much goes on beside; kubectl shows it on the Service and the Eip",
    first_address: 29,
    run: |ground| Box::pin(run(ground)),
};

/// How often something happens that is nobody's news. Chosen: a controller that told a state with each run would tell it as often.
const ROUNDS: usize = 8;

async fn run(ground: &Ground<'_>) -> Result<()> {
    let eip = ground.further("pool");
    row::eip(ground, "pool", json!({"address": "10.209.0.0/31"})).await?;
    row::eip(ground, "beside", json!({"address": "10.209.1.0/28"})).await?;
    // Otherwise whoever names it may be told first that it does not exist.
    ground.eip_counted(&eip).await?;
    let from = |name: &str| row(name).eip(&eip);
    let refused = from("refused").waits("EipFull", &["2 of 2"]);
    row::hold(ground, &[from("given").gets("10.209.0.0"), from("other").gets("10.209.0.1")]).await?;
    row::hold(ground, std::slice::from_ref(&refused)).await?;
    let nowhere = row("nowhere").eip("not-there").waits("EipNotFound", &["not-there"]);
    row::hold(ground, std::slice::from_ref(&nowhere)).await?;

    let services: Api<Service> = Api::namespaced(ground.stage().site.client(), ground.name());
    for round in 0..ROUNDS {
        let passing = row(&format!("passing-{round}")).eip(&ground.further("beside"));
        row::hold(ground, &[passing.gets(&format!("10.209.1.{round}"))]).await?;
        // Each of them changes, though nothing of what they ask for.
        for told in ["given", "refused", "nowhere"] {
            let change = json!({"metadata": {"annotations": {"example.org/round": round.to_string()}}});
            services.patch(told, &PatchParams::default(), &Patch::Merge(&change)).await?;
        }
    }
    row::come_true(ground, &[refused.clone(), nowhere]).await?;
    let told = |events: &[(&str, &str)]| -> BTreeMap<String, usize> {
        events.iter().map(|(about, reason)| (format!("{about} {reason}"), 1)).collect()
    };
    let once =
        [("given", event::ASSIGN_IP), ("refused", event::ASSIGN_IP_FAILED), ("nowhere", event::CONSTRUCT_REQUEST)];
    events_are(ground, &["given", "refused", "nowhere"], &told(&once)).await?;
    ground.eip_shows(&eip, &[([10, 209, 0, 0].into(), "given"), ([10, 209, 0, 1].into(), "other")]).await?;
    shown(ground, &eip).await?;

    ground.kubectl(&["annotate", "--overwrite", "service", "given", "lb.kubesphere.io/v1alpha1=another"]).await?;
    row::come_true(ground, &[from("refused").gets("10.209.0.0")]).await?;
    let later = [("given", event::RELEASE_IP), ("refused", event::ASSIGN_IP)];
    events_are(ground, &["given", "refused", "nowhere"], &told(&[&once[..], &later].concat())).await
}

/// Waits until exactly these Events are told about these Services, each as often as it says. Whether a vip is announced is another
/// matter: that changes with the nodes.
async fn events_are(ground: &Ground<'_>, about: &[&str], wanted: &BTreeMap<String, usize>) -> Result<()> {
    let api: Api<Event> = Api::namespaced(ground.stage().site.client(), ground.name());
    wait_for(PATIENCE, &format!("the Events to be {wanted:?}"), || async {
        let mut told: BTreeMap<String, usize> = BTreeMap::new();
        for event in api.list(&ListParams::default()).await? {
            let (name, reason) = (event.involved_object.name.unwrap_or_default(), event.reason.unwrap_or_default());
            if about.contains(&name.as_str()) && reason != event::SET_BALANCER {
                let times = event.count.filter(|count| *count > 0).unwrap_or(1);
                *told.entry(format!("{name} {reason}")).or_default() += usize::try_from(times)?;
            }
        }
        ensure!(told == *wanted, "they are {told:?}");
        Ok(Some(()))
    })
    .await
}

/// As a person looks at it.
async fn shown(ground: &Ground<'_>, eip: &str) -> Result<()> {
    let table = ground.kubectl(&["get", "eip", eip]).await?;
    let mut lines = table.lines().map(|line| line.split_whitespace().collect::<Vec<_>>());
    let (columns, values) = (lines.next().context("no columns")?, lines.next().context("no line")?);
    ensure!(columns[..4] == ["NAME", "CIDR", "USAGE", "TOTAL"], "OpenELB's columns come first:\n{table}");
    let value = |column: &str| columns.iter().position(|name| *name == column).and_then(|at| values.get(at).copied());
    for (column, wanted) in
        [("CIDR", "10.209.0.0/31"), ("USAGE", "2"), ("TOTAL", "2"), ("READY", "True"), ("PROTOCOL", "layer2")]
    {
        ensure!(value(column) == Some(wanted), "{column} is to be {wanted}:\n{table}");
    }
    ensure!(value("AGE").is_some(), "no age:\n{table}");

    let described = ground.kubectl(&["describe", "service", "given"]).await?;
    for text in ["LoadBalancer Ingress:", "10.209.0.0 (VIP)", "AssignIP", "success to assign ip: 10.209.0.0"] {
        ensure!(described.contains(text), "kubectl describe service does not show {text:?}:\n{described}");
    }
    let described = ground.kubectl(&["describe", "service", "refused"]).await?;
    for text in ["AssignIPFailed", "EipFull", "2 of 2 in use", "enlarge spec.address"] {
        ensure!(described.contains(text), "kubectl describe service does not show {text:?}:\n{described}");
    }
    let described = ground.kubectl(&["describe", "eip", eip]).await?;
    for text in ["Exhausted", "NoFreeAddress", "2 of 2", "told-once/given"] {
        ensure!(described.contains(text), "kubectl describe eip does not show {text:?}:\n{described}");
    }
    Ok(())
}
