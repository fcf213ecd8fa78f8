//! What BGP objects name in ironlb's namespace: a policy, and a password.

use anyhow::{Context, Result};
use ironlb_api::{BgpConf, BgpPeer};
use ironlb_k8s::{Scope, Stores};
use ironlb_model::{Disposition, Settings, Snapshot};
use k8s_openapi::api::core::v1::{ConfigMap, Namespace, Secret};
use kube::Api;
use kube::api::{DeleteParams, Patch, PatchParams};
use serde_json::json;
use tokio::task::JoinSet;

use crate::{clients, create, eventually};

/// No other test has a BgpConf that is used, nor looks here.
const NAMESPACE: &str = "references";
const REJECTS: &str = "[global.apply-policy.config]\ndefault-export-policy = \"reject-route\"";

fn stops_all(snapshot: &Snapshot) -> bool {
    snapshot.policies.get("export").is_some_and(|policy| policy.export.default == Disposition::Reject)
}

/// A password that is changed is noticed; a policy that is gone goes on to stop what it stopped, and who starts then has none.
#[tokio::test]
async fn what_is_named_is_read_and_followed_and_a_policy_outlives_its_configmap() -> Result<()> {
    let clients = clients().await?;
    let client = &clients.ordinary;
    create(&Api::<Namespace>::all(client.clone()), json!({"metadata": {"name": NAMESPACE}})).await?;
    let policies: Api<ConfigMap> = Api::namespaced(client.clone(), NAMESPACE);
    let secrets: Api<Secret> = Api::namespaced(client.clone(), NAMESPACE);
    create(&policies, json!({"metadata": {"name": "export"}, "data": {"gobgp.conf": REJECTS}})).await?;
    create(&secrets, json!({"metadata": {"name": "leaf"}, "stringData": {"password": "one"}})).await?;
    let (confs, peers): (Api<BgpConf>, Api<BgpPeer>) = (Api::all(client.clone()), Api::all(client.clone()));
    let group = "network.kubesphere.io/v1alpha2";
    let spec = json!({"as": 65000, "policy": "export"});
    create(&confs, json!({"apiVersion": group, "kind": "BgpConf", "metadata": {"name": "default"}, "spec": spec}))
        .await?;
    let spec =
        json!({"conf": {"neighborAddress": "192.0.2.1", "peerAs": 65001}, "passwordSecretRef": {"name": "leaf"}});
    create(&peers, json!({"apiVersion": group, "kind": "BgpPeer", "metadata": {"name": "leaf"}, "spec": spec})).await?;

    let (mut tasks, settings) = (JoinSet::new(), Settings::default());
    let stores = Stores::start(&clients, NAMESPACE, Scope::speaker(true), &mut tasks);
    eventually("a first snapshot", || stores.snapshot(&settings).is_some()).await?;
    assert!(stops_all(&stores.snapshot(&settings).context("a snapshot")?), "the first one has the policy already");
    let has = |password: &str| stores.password("leaf", "password").is_ok_and(|read| *read == *password);
    eventually("the password", || has("one")).await?;

    let changed = json!({"stringData": {"password": "two"}});
    secrets.patch("leaf", &PatchParams::default(), &Patch::Merge(changed)).await?;
    policies.delete("export", &DeleteParams::default()).await?;
    eventually("the other password", || has("two")).await?;
    let is_told = |snapshot: &Snapshot| {
        snapshot
            .issues
            .iter()
            .any(|issue| issue.message == format!("there is no ConfigMap export in namespace {NAMESPACE}"))
    };
    eventually("the missing policy told", || stores.snapshot(&settings).is_some_and(|s| is_told(&s))).await?;
    assert!(stops_all(&stores.snapshot(&settings).context("a snapshot")?), "what it stopped does not go out");
    let later = Stores::start(&clients, NAMESPACE, Scope::speaker(true), &mut tasks);
    eventually("a snapshot of who starts later", || later.snapshot(&settings).is_some()).await?;
    let snapshot = later.snapshot(&settings).context("a snapshot")?;
    assert!(is_told(&snapshot) && snapshot.policies.is_empty());
    confs.delete("default", &DeleteParams::default()).await?;
    peers.delete("leaf", &DeleteParams::default()).await?;
    Ok(())
}
