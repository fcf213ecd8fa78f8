//! The CRDs: created, repeated, over another's, never over a newer.

use anyhow::Result;
use ironlb_k8s::crds::{CrdOutcome, apply_crds};
use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition;
use kube::Api;
use kube::api::{DeleteParams, Patch, PatchParams};
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

async fn kube_gone(api: &Api<CustomResourceDefinition>) -> Result<()> {
    while api.get_opt(EIPS).await?.is_some() {
        tokio::time::sleep(std::time::Duration::from_millis(50)).await;
    }
    Ok(())
}
