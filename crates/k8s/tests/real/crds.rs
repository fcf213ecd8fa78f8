//! The CRDs: created, repeated, over another's, never over a newer.

use std::time::Duration;

use anyhow::Result;
use ironlb_k8s::crds::{CrdOutcome, apply_crds};
use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition;
use kube::Api;
use kube::api::{DeleteParams, DynamicObject, Patch, PatchParams, PostParams};
use kube::core::{ApiResource, GroupVersionKind};
use serde_json::json;

use crate::alone;

const EIPS: &str = "eips.network.kubesphere.io";

async fn outcomes(client: &kube::Client) -> Result<Vec<(String, CrdOutcome)>> {
    let lines = apply_crds(client, |_| {}).await?;
    Ok(lines.into_iter().map(|line| (line.name, line.outcome)).collect())
}

#[tokio::test]
async fn crds_are_applied_over_openelbs_and_never_an_older_over_a_newer() -> Result<()> {
    let server = alone().await?;
    let client = server.clients().await?.ordinary;
    let api: Api<CustomResourceDefinition> = Api::all(client.clone());

    let first = outcomes(&client).await?;
    assert_eq!(first.len(), 4);
    assert!(first.iter().all(|(_, outcome)| *outcome == CrdOutcome::Created), "{first:?}");
    let again = outcomes(&client).await?;
    assert!(again.iter().all(|(_, outcome)| *outcome == CrdOutcome::Unchanged), "{again:?}");

    // OpenELB's has no mark of ours, its own manager, and a narrower schema.
    api.delete(EIPS, &DeleteParams::default()).await?;
    kube_gone(&api).await?;
    let mut theirs = serde_json::to_value(ironlb_api::crds().remove(0))?;
    theirs["metadata"] = json!({"name": EIPS, "annotations": {"controller-gen.kubebuilder.io/version": "v0.12.1"}});
    for version in theirs["spec"]["versions"].as_array_mut().into_iter().flatten() {
        version["schema"] =
            json!({"openAPIV3Schema": {"type": "object", "x-kubernetes-preserve-unknown-fields": true}});
    }
    api.patch(EIPS, &PatchParams::apply("helm"), &Patch::Apply(&theirs)).await?;
    let taken = outcomes(&client).await?;
    assert!(taken.contains(&(EIPS.to_owned(), CrdOutcome::Updated { from: None })), "{taken:?}");

    let newer = json!({"metadata": {"annotations": {"ironlb.io/crd-version": "999"}}});
    api.patch(EIPS, &PatchParams::default(), &Patch::Merge(&newer)).await?;
    let before = api.get(EIPS).await?.metadata.resource_version;
    let kept = outcomes(&client).await?;
    assert!(kept.contains(&(EIPS.to_owned(), CrdOutcome::NewerInstalled { installed: 999 })), "{kept:?}");
    assert_eq!(api.get(EIPS).await?.metadata.resource_version, before);

    let refused = apply_crds(&server.powerless().await?.ordinary, |_| {}).await.map_err(|error| error.to_string());
    assert_eq!(refused, Err("eips.network.kubesphere.io: the API server does not take it".to_owned()));
    Ok(())
}

/// As a user does it who has `crds.apply: false`: the files as they are committed, and again, and over what the hook has applied.
#[tokio::test]
async fn the_files_apply_with_kubectl() -> Result<()> {
    let server = alone().await?;
    let client = server.clients().await?.ordinary;
    let api: Api<CustomResourceDefinition> = Api::all(client.clone());
    let apply =
        || server.kubectl(&["apply", "--server-side", "-f", concat!(env!("CARGO_MANIFEST_DIR"), "/../../crds")]);
    let wait = || server.kubectl(&["wait", "--for=condition=Established", "--timeout=60s", "crd", "--all"]);

    let said = apply()?;
    wait()?;
    let names: Vec<String> = ironlb_api::crds().into_iter().filter_map(|crd| crd.metadata.name).collect();
    for (ours, name) in ironlb_api::crds().into_iter().zip(&names) {
        let line = format!("customresourcedefinition.apiextensions.k8s.io/{name} serverside-applied");
        assert!(said.lines().any(|said| said == line), "{name}: {said}");
        let theirs = api.get(name).await?;
        // Nothing of it was dropped; what is left out of a CRD the API server fills in.
        assert_eq!(json!(theirs.spec.versions), json!(ours.spec.versions), "{name}");
        assert_eq!(theirs.metadata.annotations, ours.metadata.annotations, "{name}");
    }
    assert_eq!(said.lines().count(), names.len(), "{said}");
    let mut versions = Vec::new();
    for name in &names {
        versions.push(api.get(name).await?.metadata.resource_version);
    }
    apply()?;
    for (name, version) in names.iter().zip(versions) {
        assert_eq!(api.get(name).await?.metadata.resource_version, version, "{name} was changed by the same files");
    }
    // The hook goes over them, and they over it: neither takes a field from the other.
    outcomes(&client).await?;
    apply().map(drop)
}

/// The oldest cluster there is: its objects are stored in `v1alpha1`, and a webhook that is long gone was to convert them.
#[tokio::test]
async fn objects_stored_by_an_old_openelb_stay_readable_and_writable() -> Result<()> {
    let server = alone().await?;
    let client = server.clients().await?.ordinary;
    let crds: Api<CustomResourceDefinition> = Api::all(client.clone());
    let spec = json!({"type": "object", "required": ["address"], "properties": {
        "address": {"type": "string"}, "protocol": {"type": "string", "enum": ["bgp", "layer2"]},
        "disable": {"type": "boolean"}, "usingKnownIPs": {"type": "boolean"}}});
    let status = json!({"type": "object", "properties": {
        "occupied": {"type": "boolean"}, "poolSize": {"type": "integer"}, "usage": {"type": "integer"}}});
    let version = |name: &str, storage: bool| {
        json!({"name": name, "served": true, "storage": storage, "schema": {"openAPIV3Schema":
            {"type": "object", "properties": {"spec": spec, "status": status}}}})
    };
    let mut theirs = json!({
        "apiVersion": "apiextensions.k8s.io/v1", "kind": "CustomResourceDefinition", "metadata": {"name": EIPS},
        "spec": {
            "group": "network.kubesphere.io", "scope": "Cluster",
            "names": {"kind": "Eip", "listKind": "EipList", "plural": "eips", "singular": "eip"},
            "versions": [version("v1alpha1", true)],
        },
    });
    let kubectl = PatchParams::apply("kubectl").force();
    crds.patch(EIPS, &kubectl, &Patch::Apply(&theirs)).await?;
    let kind = |version| ApiResource::from_gvk(&GroupVersionKind::gvk("network.kubesphere.io", version, "Eip"));
    let (old, new): (Api<DynamicObject>, Api<DynamicObject>) =
        (Api::all_with(client.clone(), &kind("v1alpha1")), Api::all_with(client.clone(), &kind("v1alpha2")));
    let eip = json!({"apiVersion": "network.kubesphere.io/v1alpha1", "kind": "Eip", "metadata": {"name": "old"},
        "spec": {"address": "192.0.2.1-192.0.2.9", "protocol": "layer2", "usingKnownIPs": true},
        "status": {"occupied": false, "poolSize": 9, "usage": 1}});
    let created = tokio::time::timeout(Duration::from_secs(30), async {
        // The kind is served a moment after its CRD is there.
        while old.create(&PostParams::default(), &serde_json::from_value(eip.clone())?).await.is_err() {
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        anyhow::Ok(())
    });
    created.await??;

    theirs["spec"]["versions"] = json!([version("v1alpha1", false), version("v1alpha2", true)]);
    theirs["spec"]["conversion"] = json!({"strategy": "Webhook", "webhook": {
        "conversionReviewVersions": ["v1"], "clientConfig": {"service": {"namespace": "gone", "name": "gone", "path": "/convert"}}}});
    crds.patch(EIPS, &kubectl, &Patch::Apply(&theirs)).await?;
    let stored = crds.get(EIPS).await?.status.and_then(|status| status.stored_versions).unwrap_or_default();
    assert_eq!(stored, ["v1alpha1", "v1alpha2"]);
    assert!(new.get("old").await.is_err(), "nobody converts it");

    let taken = outcomes(&client).await?;
    assert!(taken.contains(&(EIPS.to_owned(), CrdOutcome::Updated { from: None })), "{taken:?}");
    let conversion = crds.get(EIPS).await?.spec.conversion.map(|c| (c.strategy, c.webhook));
    assert_eq!(conversion, Some(("None".to_owned(), None)));
    for api in [&old, &new] {
        let read = tokio::time::timeout(Duration::from_secs(30), async {
            loop {
                // The API server takes up a changed CRD a moment later.
                match api.get("old").await {
                    Ok(read) => return read,
                    Err(_) => tokio::time::sleep(Duration::from_millis(50)).await,
                }
            }
        });
        let read = read.await?;
        assert_eq!((&read.data["spec"], &read.data["status"]), (&eip["spec"], &eip["status"]));
    }
    let eips: Api<ironlb_api::Eip> = Api::all(client.clone());
    let status = json!({"status": {"usage": 2, "used": {"192.0.2.1": "a/b;c/d"}}});
    let written = eips.patch_status("old", &PatchParams::default(), &Patch::Merge(status)).await?;
    assert_eq!((written.spec.address.as_str(), written.spec.using_known_ips), ("192.0.2.1-192.0.2.9", Some(true)));
    assert_eq!(old.get("old").await?.data["status"]["used"], json!({"192.0.2.1": "a/b;c/d"}));
    let again = outcomes(&client).await?;
    assert!(again.iter().all(|(_, outcome)| *outcome == CrdOutcome::Unchanged), "{again:?}");
    Ok(())
}

async fn kube_gone(api: &Api<CustomResourceDefinition>) -> Result<()> {
    while api.get_opt(EIPS).await?.is_some() {
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    Ok(())
}
