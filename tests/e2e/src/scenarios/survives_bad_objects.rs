//! Objects that no rule would let in today, stored under an older CRD; Services whose annotations and conditions are absurd.

use anyhow::{Context, Result, ensure};
use ironlb_api::names::{annotation, condition};
use ironlb_lab::wait_for;
use kube::ResourceExt;
use serde_json::{Value, json};

use crate::ground::Ground;
use crate::release;
use crate::runner::Scenario;
use crate::stage::{PATIENCE, Stage};

/// Written past the schema, which is taken away for as long as that takes.
pub const SCENARIO: Scenario = Scenario {
    name: "survives-bad-objects",
    shows: "objects with wrong types in every field and Services with absurd annotations and conditions are told of and stop nobody",
    first_address: 174,
    run: |ground| Box::pin(run(ground)),
};

const CRDS: [&str; 3] =
    ["eips.network.kubesphere.io", "bgpconfs.network.kubesphere.io", "bgppeers.network.kubesphere.io"];

/// Kind, name, spec, status; the kinds of faults: another type, null for a list, a number beyond every number, a giant.
fn bad_objects() -> Vec<(&'static str, &'static str, Value, Value)> {
    let giant = "192.0.2.1,".repeat(20_000);
    vec![
        ("Eip", "bad-address", json!({"address": 7}), json!({})),
        ("Eip", "bad-priority", json!({"address": "198.51.100.1", "priority": "high"}), json!({})),
        ("Eip", "bad-lists", json!({"address": "198.51.100.2", "namespaces": {"a": 1}, "exclude": "all"}), json!({})),
        (
            "Eip",
            "bad-status",
            json!({"address": "198.51.100.3"}),
            json!({"used": [1], "conditions": "none", "usage": 1e30}),
        ),
        ("Eip", "bad-spec", json!([1, 2]), json!({})),
        ("Eip", "bad-giant", json!({"address": giant, "namespaces": null, "exclude": null}), json!(null)),
        ("BgpConf", "bad-as", json!({"as": "x", "listenPort": 1e30}), json!({"nodesConfStatus": 5})),
        ("BgpPeer", "bad-peer", json!({"conf": "x", "afiSafis": null}), json!([])),
    ]
}

async fn run(ground: &Ground<'_>) -> Result<()> {
    let site = &ground.stage().site;
    let restarts = restarts(ground.stage()).await?;
    ground.eip(8).await?;
    ground.service("before").await?;
    let before = ground.served("before").await?;

    let kept = lax(ground).await?;
    let written = write(ground).await;
    for crd in kept {
        site.kubectl_with(&["replace", "-f", "-"], &crd).await?;
    }
    written?;
    // Those that parse into nothing have an Event; the giant parses and has its condition, or is told of as well.
    for (kind, name, ..) in bad_objects().iter().filter(|(_, name, ..)| *name != "bad-giant") {
        let fields = format!("--field-selector=involvedObject.name={name},reason=Unreadable");
        wait_for(PATIENCE, &format!("an Event on {kind} {name}"), || async {
            let notes = site
                .kubectl(&["--namespace=default", "get", "events", &fields, "-o=jsonpath={.items[*].message}"])
                .await?;
            Ok(notes.contains("cannot be read").then_some(()))
        })
        .await?;
    }

    absurd_services(ground).await?;
    ground.service("after").await?;
    ground.served("after").await.context("beside all these")?;
    ensure!(ground.addresses("before").await? == [before.to_string()], "the address of one that was served has moved");

    for (kind, name, ..) in bad_objects() {
        // An Eip that says it gives 1e30 addresses is in use: its own words, so it takes the annotation for that.
        if name == "bad-status" {
            site.kubectl(&["annotate", kind, name, &format!("{}=true", annotation::ALLOW_DELETE)]).await?;
        }
        site.kubectl(&["delete", kind, name, "--timeout=20s"]).await.with_context(|| format!("{kind} {name}"))?;
    }
    no_restart(ground.stage(), restarts).await
}

/// Lets everything into our CRDs, as one of an older version might, and gives the CRDs as they were.
async fn lax(ground: &Ground<'_>) -> Result<Vec<String>> {
    let site = &ground.stage().site;
    let mut kept = Vec::new();
    for name in CRDS {
        let text = site.kubectl(&["get", "crd", name, "-o", "json"]).await?;
        let mut crd: Value = serde_json::from_str(&text)?;
        if let Some(metadata) = crd["metadata"].as_object_mut() {
            metadata.remove("resourceVersion");
            metadata.remove("managedFields");
        }
        kept.push(crd.to_string());
        for version in crd["spec"]["versions"].as_array_mut().into_iter().flatten() {
            version["schema"] =
                json!({"openAPIV3Schema": {"type": "object", "x-kubernetes-preserve-unknown-fields": true}});
            if let Some(version) = version.as_object_mut() {
                version.remove("subresources");
                version.remove("selectableFields");
            }
        }
        site.kubectl_with(&["replace", "-f", "-"], &crd.to_string()).await?;
    }
    Ok(kept)
}

async fn write(ground: &Ground<'_>) -> Result<()> {
    for (kind, name, spec, status) in bad_objects() {
        let object = json!({"apiVersion": "network.kubesphere.io/v1alpha2", "kind": kind, "metadata": {"name": name},
                            "spec": spec, "status": status});
        // Until the changed schema is in force, the old one refuses, or keeps the status out.
        wait_for(PATIENCE, &format!("{kind} {name} to be let in"), || async {
            ground.stage().site.kubectl_with(&["create", "--validate=false", "-f", "-"], &object.to_string()).await?;
            Ok(Some(()))
        })
        .await?;
    }
    Ok(())
}

/// Services that the API server accepts, each with something in it that nobody would write.
async fn absurd_services(ground: &Ground<'_>) -> Result<()> {
    let wishes = [
        ("giant-wish", "9".repeat(200 * 1024)),
        ("control-characters", "192.0.2.1\u{0}\u{1b}[31m\u{7f}\u{202e}".to_owned()),
        ("astronomic", format!("1{}", "0".repeat(30))),
        ("many", "192.0.2.1,".repeat(10_000)),
    ];
    for (name, wish) in &wishes {
        let text = json!({
            "apiVersion": "v1", "kind": "Service",
            "metadata": {"name": name, "annotations": {
                annotation::OPT_IN: annotation::OPT_IN_VALUE, annotation::WANTED_EIP: ground.name(), annotation::WANTED_ADDRESS: wish}},
            "spec": {"type": "LoadBalancer", "ports": [{"port": 80}]},
        })
        .to_string();
        // An escape that stands for no character, as no serializer writes it.
        let text = text.replace("192.0.2.1\\u0000", "192.0.2.1\\ud800\\u0000");
        ground.stage().site.kubectl_with(&["--namespace", ground.name(), "create", "-f", "-"], &text).await?;
    }
    for (name, _) in &wishes {
        let told = ground.condition(name, condition::ADDRESS_ASSIGNED, "False").await?;
        ensure!(told.message.len() <= 1024, "{name} is told in {} bytes", told.message.len());
    }

    // A condition that lacks its time, and one of a time that no calendar here has.
    for (name, time) in [("timeless", Value::Null), ("end-of-time", json!("9999-12-31T23:59:59Z"))] {
        ground.service(name).await?;
        let condition = json!({"type": "example.org/Absurd", "status": "True", "reason": "R", "message": "m", "lastTransitionTime": time});
        let patch = json!({"status": {"conditions": [condition]}}).to_string();
        ground
            .kubectl(&["patch", "service", name, "--subresource=status", "--type=strategic", "--patch", &patch])
            .await?;
        let text = ground.kubectl(&["get", "service", name, "-o", "json"]).await?;
        ensure!(text.contains("example.org/Absurd"), "the API server does not keep it: {text}");
        // Not read as a Service: the client here would fail as the product once did.
        wait_for(PATIENCE, &format!("{name} to be served"), || async {
            let address =
                ground.kubectl(&["get", "service", name, "-o=jsonpath={.status.loadBalancer.ingress[*].ip}"]).await?;
            Ok((!address.is_empty()).then_some(()))
        })
        .await?;
        ground.kubectl(&["delete", "service", name]).await?;
    }
    Ok(())
}

/// How often the containers of ironlb's pods have been started anew, summed over all pods; waits until all of them are ready.
pub(super) async fn restarts(stage: &Stage) -> Result<i32> {
    wait_for(PATIENCE, "every pod of ironlb to be ready", || async { restarts_of_ready(stage).await.map(Some) }).await
}

async fn restarts_of_ready(stage: &Stage) -> Result<i32> {
    let mut sum = 0;
    for component in ["controller", "speaker"] {
        for pod in release::pods(stage, component).await?.values() {
            let statuses = pod.status.iter().filter_map(|status| status.container_statuses.as_ref()).flatten();
            sum += statuses.map(|status| status.restart_count).sum::<i32>();
            ensure!(release::is_ready(pod), "{} is not ready", pod.name_any());
        }
    }
    Ok(sum)
}

/// Nothing of ironlb was started anew since `before`, and all of it is ready.
pub(super) async fn no_restart(stage: &Stage, before: i32) -> Result<()> {
    let now = restarts(stage).await?;
    ensure!(now == before, "containers were started anew {} times", now - before);
    Ok(())
}
