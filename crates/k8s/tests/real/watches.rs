//! Watches and stores.

use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use ironlb_k8s::openelb::{Search, find};
use ironlb_k8s::{Scope, Stores};
use ironlb_model::{IssueReason, ServiceId, Settings};
use k8s_openapi::api::admissionregistration::v1::ValidatingWebhookConfiguration;
use k8s_openapi::api::apps::v1::{DaemonSet, Deployment};
use k8s_openapi::api::core::v1::{Namespace, Node, Service};
use k8s_openapi::api::discovery::v1::EndpointSlice;
use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition;
use kube::Api;
use kube::api::{DeleteParams, DynamicObject, Patch, PatchParams, PostParams};
use kube::core::{ApiResource, GroupVersionKind};
use serde_json::json;
use tokio::task::JoinSet;

use crate::{alone, clients, create, eventually, shared, with_crds};

const EVERYTHING: Scope = Scope { namespaces: true, openelb: Some(Search::All), ..Scope::speaker(true) };

fn service(name: &str) -> serde_json::Value {
    json!({"metadata": {"name": name}, "spec": {"type": "LoadBalancer", "ports": [{"port": 80}]}})
}

#[tokio::test]
async fn a_snapshot_holds_what_the_cluster_holds_and_follows_it() -> Result<()> {
    let clients = clients().await?;
    let mut tasks = JoinSet::new();
    let services: Api<Service> = Api::namespaced(clients.ordinary.clone(), "default");
    create(&services, service("watched-before")).await?;
    let stores = Stores::start(&clients, "default", EVERYTHING, &mut tasks);
    let settings = Settings::default();
    eventually("a first snapshot", || stores.snapshot(&settings).is_some()).await?;

    let id = ServiceId::new("default", "watched-before");
    let snapshot = stores.snapshot(&settings).context("a snapshot")?;
    assert!(snapshot.services.get(&id).is_some_and(|service| service.is_load_balancer));
    assert!(snapshot.namespaces.contains_key(&"default".into()));

    // Created, changed, deleted.
    let nodes: Api<Node> = Api::all(clients.ordinary.clone());
    create(&nodes, json!({"metadata": {"name": "watched-node"}, "spec": {"unschedulable": true}})).await?;
    eventually("the node", || stores.nodes.get(&"watched-node".into()).is_some_and(|node| node.cordoned)).await?;
    let open = json!({"spec": {"unschedulable": null}});
    nodes.patch("watched-node", &PatchParams::default(), &Patch::Merge(open)).await?;
    eventually("the node's change", || stores.nodes.get(&"watched-node".into()).is_some_and(|node| !node.cordoned))
        .await?;
    nodes.delete("watched-node", &DeleteParams::default()).await?;
    eventually("the node's end", || stores.nodes.get(&"watched-node".into()).is_none()).await?;

    // Slices of one Service merge; those of headless Services are not even sent.
    let slices: Api<EndpointSlice> = Api::namespaced(clients.ordinary.clone(), "default");
    for (name, node, headless) in [("watched-a", "n1", false), ("watched-b", "n2", false), ("watched-c", "n3", true)] {
        let mut object = json!({
            "metadata": {"name": name, "labels": {"kubernetes.io/service-name": "watched-before"}},
            "addressType": "IPv4", "endpoints": [{"addresses": ["10.0.0.1"], "nodeName": node}], "ports": []});
        if headless {
            object["metadata"]["labels"]["service.kubernetes.io/headless"] = json!("");
        }
        create(&slices, object).await?;
    }
    eventually("both slices", || {
        stores.snapshot(&settings).is_some_and(|s| s.endpoints.get(&id).is_some_and(|e| e.endpoints.len() == 2))
    })
    .await?;
    assert_eq!(stores.endpoints.objects().len(), 2);
    Ok(())
}

#[tokio::test]
async fn one_eip_that_does_not_parse_is_an_issue_and_the_others_are_served() -> Result<()> {
    // A CRD of another version lets in what ours does not, so this needs a server of its own.
    let server = alone().await?;
    let clients = server.clients().await?;
    let mut tasks = JoinSet::new();
    let stores = Stores::start(&clients, "default", Scope::controller(), &mut tasks);
    let settings = Settings::default();

    // No CRD at all: nothing dies, and it is said what is awaited.
    eventually("the missing CRDs told", || {
        stores.awaited().iter().any(|a| a.kind == "eips" && a.trouble.as_deref().is_some_and(|t| t.contains("CRD")))
    })
    .await?;
    assert!(stores.snapshot(&settings).is_none());
    assert!(stores.services.has_listed() || stores.awaited().iter().any(|a| a.kind == "services"));

    with_crds(&clients.ordinary).await?;
    eventually("a snapshot once the CRDs are there", || stores.snapshot(&settings).is_some()).await?;

    let crds: Api<CustomResourceDefinition> = Api::all(clients.ordinary.clone());
    let name = "eips.network.kubesphere.io";
    let mut lax = crds.get(name).await?;
    for version in &mut lax.spec.versions {
        version.schema = serde_json::from_value(
            json!({"openAPIV3Schema": {"type": "object", "x-kubernetes-preserve-unknown-fields": true}}),
        )?;
    }
    crds.replace(name, &PostParams::default(), &lax).await?;
    let resource = ApiResource::from_gvk(&GroupVersionKind::gvk("network.kubesphere.io", "v1alpha2", "Eip"));
    let eips: Api<DynamicObject> = Api::all_with(clients.ordinary.clone(), &resource);
    let eip = |name: &str, address: serde_json::Value| json!({"apiVersion": "network.kubesphere.io/v1alpha2", "kind": "Eip", "metadata": {"name": name}, "spec": {"address": address}});
    // Until the changed schema is in force everywhere, the first may still be refused.
    for _ in 0..100 {
        if create(&eips, eip("bad", json!(7))).await.is_ok() {
            break;
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    create(&eips, eip("good", json!("192.0.2.1"))).await?;
    eventually("the good one", || stores.eips.get(&"good".into()).is_some()).await?;
    eventually("the bad one's issue", || {
        stores.snapshot(&settings).is_some_and(|s| {
            s.issues.iter().any(|i| i.reason == IssueReason::Unreadable && i.object.to_string() == "Eip bad")
        })
    })
    .await?;
    assert!(stores.eips.get(&"bad".into()).is_none());

    // A fresh list reads the same.
    stores.eips.list_fresh(Duration::from_secs(10)).await?;
    assert_eq!((stores.eips.objects().len(), stores.eips.issues().len()), (1, 1));

    let repaired = json!({"spec": {"address": "192.0.2.2"}});
    eips.patch("bad", &PatchParams::default(), &Patch::Merge(repaired)).await?;
    eventually("the repaired one", || stores.eips.get(&"bad".into()).is_some() && stores.eips.issues().is_empty())
        .await?;
    Ok(())
}

#[tokio::test]
async fn a_fresh_list_holds_every_write_acknowledged_before_it() -> Result<()> {
    let clients = clients().await?;
    let mut tasks = JoinSet::new();
    let stores = Stores::start(&clients, "default", Scope::controller(), &mut tasks);
    let services: Api<Service> = Api::namespaced(clients.ordinary.clone(), "default");
    for number in 0..5 {
        let name = format!("fresh-{number}");
        let created = create(&services, service(&name)).await?;
        stores.services.list_fresh(Duration::from_secs(10)).await?;
        let seen = stores.services.get(&ServiceId::new("default", &name)).context("the Service just created")?;
        assert_eq!(Some(seen.version.to_string()), created.metadata.resource_version);
    }
    Ok(())
}

#[tokio::test]
async fn an_api_server_that_goes_takes_nothing_with_it_and_is_followed_again() -> Result<()> {
    let server = alone().await?;
    let clients = server.clients().await?;
    with_crds(&clients.ordinary).await?;
    let services: Api<Service> = Api::namespaced(clients.ordinary.clone(), "default");
    create(&services, service("before")).await?;
    let mut tasks = JoinSet::new();
    let stores = Stores::start(&clients, "default", EVERYTHING, &mut tasks);
    let settings = Settings::default();
    eventually("a first snapshot", || stores.snapshot(&settings).is_some() && stores.are_connected()).await?;

    server.signal("KILL")?;
    eventually("the loss noticed", || !stores.are_connected()).await?;
    let kept = stores.snapshot(&settings).context("a snapshot without API server")?;
    assert!(kept.services.contains_key(&ServiceId::new("default", "before")));
    let asked = stores.services.list_fresh(Duration::from_secs(1)).await;
    assert!(asked.is_err() || stores.are_connected(), "{asked:?}");

    server.wait_until_ready().await?;
    // It answers before it can give a Service an address of the cluster's; and what was not answered may have been carried out.
    let begun = Instant::now();
    while services.get_opt("after").await?.is_none() {
        if let Err(error) = create(&services, service("after")).await {
            ensure!(begun.elapsed() < Duration::from_secs(120), "the API server came back: {error:#}");
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    }
    eventually("what changed afterwards", || stores.services.get(&ServiceId::new("default", "after")).is_some())
        .await?;
    eventually("every watch", || stores.are_connected()).await?;
    assert!(tasks.try_join_next().is_none(), "no watch has ended");
    Ok(())
}

#[tokio::test]
async fn without_rights_nothing_is_taken_for_gone() -> Result<()> {
    let server = shared().await?;
    let clients = server.powerless().await?;
    let mut tasks = JoinSet::new();
    let stores = Stores::start(&clients, "default", Scope::speaker(true), &mut tasks);
    eventually("the refusal told", || {
        stores.awaited().iter().filter(|a| a.trouble.as_deref().is_some_and(|t| t.contains("refused (403)"))).count()
            >= 5
    })
    .await?;
    assert!(stores.snapshot(&Settings::default()).is_none());
    Ok(())
}

#[tokio::test]
async fn openelb_is_seen_while_it_is_there() -> Result<()> {
    let server = shared().await?;
    let client = server.clients().await?.ordinary;
    assert_eq!(find(&client, Search::All).await?, [""; 0]);
    let namespaces: Api<Namespace> = Api::all(client.clone());
    create(&namespaces, json!({"metadata": {"name": "lb"}})).await?;
    let deployments: Api<Deployment> = Api::namespaced(client.clone(), "lb");
    let labels = json!({"app": "openelb"});
    let pod = json!({"metadata": {"labels": labels}, "spec": {"containers": [{"name": "c", "image": "i"}]}});
    create(
        &deployments,
        json!({"metadata": {"name": "openelb-controller"}, "spec": {"selector": {"matchLabels": labels}, "template": pod}}),
    )
    .await?;
    let webhooks: Api<ValidatingWebhookConfiguration> = Api::all(client.clone());
    create(&webhooks, json!({"metadata": {"name": "openelb-admission"}})).await?;
    let all = ["Deployment lb/openelb-controller", "ValidatingWebhookConfiguration openelb-admission"];
    assert_eq!(find(&client, Search::All).await?, all);
    assert_eq!(find(&client, Search::First).await?, all[..1]);
    // Scaled to nothing it may be scaled up again by whatever manages it.
    let none = json!({"spec": {"replicas": 0}});
    deployments.patch("openelb-controller", &PatchParams::default(), &Patch::Merge(none)).await?;
    assert_eq!(find(&client, Search::All).await?, all);
    deployments.delete("openelb-controller", &DeleteParams::default()).await?;
    // What the manager of version 0.5 leaves behind still holds the addresses.
    let sets: Api<DaemonSet> = Api::namespaced(client.clone(), "lb");
    create(
        &sets,
        json!({"metadata": {"name": "openelb-keepalive-vip"}, "spec": {"selector": {"matchLabels": labels}, "template": pod}}),
    )
    .await?;
    assert_eq!(
        find(&client, Search::All).await?,
        ["DaemonSet lb/openelb-keepalive-vip", "ValidatingWebhookConfiguration openelb-admission"]
    );
    Ok(())
}
