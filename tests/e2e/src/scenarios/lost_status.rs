//! Statuses are lost, one by one or with all Services: every Service gets its address back.

use anyhow::{Context, Result, ensure};
use ironlb_api::names::annotation;
use k8s_openapi::api::core::v1::Service;
use kube::ResourceExt;
use kube::api::{Api, ListParams, Patch, PatchParams, PostParams};
use serde_json::{Value, json};

use crate::ground::{Ground, addresses};
use crate::ledger::Ledger;
use crate::row::{self, Row, row};
use crate::runner::Scenario;

/// While another Service waits for any address of the same pool.
pub const SCENARIO: Scenario = Scenario {
    name: "lost-status",
    shows: "Services whose status was wiped, or that a backup without statuses restored, get back the addresses they had, also while others wait for one",
    first_address: 25,
    run: |ground| Box::pin(run(ground)),
};

/// By name; given out in another order, so that the lowest free address is not the right one.
const ADDRESSES: [(&str, &str); 4] =
    [("b-one", "10.205.0.3"), ("c-two", "10.205.0.2"), ("d-three", "10.205.0.1"), ("e-four", "10.205.0.0")];

async fn run(ground: &Ground<'_>) -> Result<()> {
    let pool = json!({"address": "10.205.0.0/30", "namespaces": [ground.name()]});
    row::eip(ground, "pool", pool.clone()).await?;
    let held: Vec<Row> = ADDRESSES.iter().map(|(name, address)| row(name).gets(address)).collect();
    let asking: Vec<Row> = ADDRESSES.iter().map(|(name, address)| row(name).asks(address).gets(address)).collect();
    row::hold(ground, &asking).await?;
    // From here on nobody wishes for the address that he has.
    row::hold(ground, &held).await?;
    let waiting = row("waiting").waits("EipFull", &["4 of 4"]);
    row::hold(ground, std::slice::from_ref(&waiting)).await?;
    let mut used = Vec::new();
    for (name, address) in ADDRESSES {
        used.push((address.parse()?, name));
    }
    ground.eip_shows(&ground.further("pool"), &used).await?;

    let ledger = Ledger::open(ground).await?;
    wipe(ground).await?;
    row::come_true(ground, &[held.clone(), vec![waiting.clone()]].concat()).await?;
    for (name, address) in ADDRESSES {
        let states = ledger.states(name, 0).await?;
        ensure!(states.iter().any(|state| addresses(state).is_empty()), "the status of {name} was never wiped");
        let strange = states.iter().flat_map(addresses).find(|shown| shown != address);
        ensure!(strange.is_none(), "{name} had {strange:?} meanwhile");
    }
    let waited = ledger.states("waiting", 0).await?;
    ensure!(waited.iter().all(|state| addresses(state).is_empty()), "the one that waits had an address meanwhile");

    // All objects go; of the backup the Services are there first, and among them a new one that sorts before all.
    let backup = backup(ground).await?;
    ground.kubectl(&["delete", "services", "--all"]).await?;
    let eip = ground.further("pool");
    let site = &ground.stage().site;
    site.kubectl(&["annotate", "eip", &eip, &format!("{}=true", annotation::ALLOW_DELETE)]).await?;
    site.kubectl(&["delete", "eip", &eip, "--timeout=20s"]).await?;
    let competitor = row("a-new-one");
    row::hold(ground, &[competitor.clone().waits("NoEip", &[])]).await?;
    restore(ground, backup).await?;
    let lost: Vec<Row> = ADDRESSES.iter().map(|(name, _)| row(name).waits("NoEip", &[])).collect();
    row::come_true(ground, &lost).await?;
    row::eip(ground, "pool", pool).await?;
    row::come_true(ground, &held).await?;
    row::come_true(ground, &[competitor.waits("EipFull", &["4 of 4"])]).await?;
    ground.eip_shows(&eip, &used).await.map(drop)
}

/// Empties the status of every Service, the last one first.
async fn wipe(ground: &Ground<'_>) -> Result<()> {
    let api: Api<Service> = Api::namespaced(ground.stage().site.client(), ground.name());
    for (name, _) in ADDRESSES.iter().rev() {
        let nothing = json!({"status": {"loadBalancer": {"ingress": null}, "conditions": null}});
        api.patch_status(name, &PatchParams::default(), &Patch::Merge(&nothing)).await?;
    }
    Ok(())
}

/// The Services that hold addresses, as a backup tool keeps them: without what only the server can know, and without status.
async fn backup(ground: &Ground<'_>) -> Result<Vec<Value>> {
    let api: Api<Service> = Api::namespaced(ground.stage().site.client(), ground.name());
    let mut kept = Vec::new();
    for service in api.list(&ListParams::default()).await?.items {
        if addresses(&service).is_empty() {
            continue;
        }
        ensure!(service.annotations().contains_key(annotation::ADDRESSES), "{} remembers nothing", service.name_any());
        let mut value = serde_json::to_value(&service)?;
        let object = value.as_object_mut().context("an object")?;
        object.remove("status");
        let metadata = object.get_mut("metadata").and_then(Value::as_object_mut).context("its metadata")?;
        for field in ["uid", "resourceVersion", "creationTimestamp", "managedFields"] {
            metadata.remove(field);
        }
        // Nor what the server chose from what is everybody's: another Service may have got it meanwhile.
        let spec = object.get_mut("spec").and_then(Value::as_object_mut).context("its spec")?;
        spec.remove("clusterIP");
        spec.remove("clusterIPs");
        for port in spec.get_mut("ports").and_then(Value::as_array_mut).into_iter().flatten() {
            port.as_object_mut().and_then(|port| port.remove("nodePort"));
        }
        kept.push(value);
    }
    Ok(kept)
}

async fn restore(ground: &Ground<'_>, backup: Vec<Value>) -> Result<()> {
    let api: Api<Service> = Api::namespaced(ground.stage().site.client(), ground.name());
    for service in backup {
        let service: Service = serde_json::from_value(service)?;
        api.create(&PostParams::default(), &service).await.with_context(|| service.name_any())?;
    }
    Ok(())
}
