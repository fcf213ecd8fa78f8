//! Writes: what the API server makes of them.

use std::collections::BTreeMap;

use anyhow::{Context, Result};
use ironlb_api as api;
use ironlb_k8s::{Events, Outcome, Reporter, Telling, Tone, Writer};
use ironlb_model::{
    Change, Condition, ConditionStatus, ConditionWrite, EipPatch, EipStatusText, IngressAddress, ObjectPatch,
    ObjectRef, ResourceVersion, ServiceId, ServicePatch, TimedCondition, WallTime,
};
use ironlb_translate::parse_version;
use k8s_openapi::api::core::v1::Service;
use k8s_openapi::api::events::v1::Event;
use kube::Api;
use kube::api::{ListParams, Patch, PatchParams};
use serde_json::{Value, json};
use tokio::task::JoinSet;

use crate::{clients, create};

fn condition(kind: &str, status: ConditionStatus, message: &str) -> Condition {
    Condition { kind: kind.to_owned(), status, reason: "Because".to_owned(), message: message.to_owned() }
}

fn version(meta: &k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta) -> ResourceVersion {
    parse_version(meta.resource_version.as_deref().unwrap_or_default())
}

fn nothing(name: &str, version: ResourceVersion) -> ServicePatch {
    ServicePatch {
        id: ServiceId::new("default", name),
        version,
        ingress: None,
        label: None,
        addresses: None,
        conditions: vec![],
        remove_finalizer: false,
    }
}

#[tokio::test]
async fn one_patch_writes_status_label_annotation_and_finalizer_of_a_service() -> Result<()> {
    let clients = clients().await?;
    let services: Api<Service> = Api::namespaced(clients.ordinary.clone(), "default");
    let writer = Writer::new(clients.ordinary.clone());
    create(
        &services,
        json!({
            "metadata": {"name": "written", "labels": {"app": "x"}, "annotations": {"a": "b"},
                         "finalizers": ["example.org/keep", "finalizer.lb.kubesphere.io/v1alpha1"]},
            "spec": {"type": "LoadBalancer", "ports": [{"port": 80}]},
        }),
    )
    .await?;
    // Somebody else's condition stays, whatever we do.
    let foreign = json!({"status": {"conditions": [{"type": "example.org/Other", "status": "True", "reason": "R", "message": "m",
                                                    "lastTransitionTime": "2026-01-01T00:00:00Z"}]}});
    let seen =
        version(&services.patch_status("written", &PatchParams::default(), &Patch::Merge(foreign)).await?.metadata);

    let patch = ServicePatch {
        ingress: Some(vec![IngressAddress::Ip("192.0.2.7".parse()?)]),
        label: Some(Change::Set("pool".into())),
        addresses: Some(Change::Set("192.0.2.7".to_owned())),
        conditions: vec![ConditionWrite::Set {
            condition: condition("ironlb.io/AddressAssigned", ConditionStatus::True, "first"),
            transition: true,
        }],
        remove_finalizer: true,
        ..nothing("written", seen)
    };
    let Outcome::Written { version: written } = writer.patch_service(&patch).await else { panic!("not written") };

    let after = services.get("written").await?;
    assert_eq!(version(&after.metadata), written);
    let meta = &after.metadata;
    let pair = |key: &str, value: &str| (key.to_owned(), value.to_owned());
    assert_eq!(meta.labels, Some([pair("app", "x"), pair("eip.openelb.kubesphere.io/v1alpha2", "pool")].into()));
    assert_eq!(meta.annotations, Some([pair("a", "b"), pair("ironlb.io/addresses", "192.0.2.7")].into()));
    // The last one is what the service controller of a cloud would add; ironlb leaves it alone.
    assert_eq!(meta.finalizers.as_deref(), Some(&["example.org/keep".to_owned()][..]));
    let ingress = after.status.as_ref().and_then(|s| s.load_balancer.as_ref()?.ingress.as_ref()).context("ingress")?;
    assert_eq!(serde_json::to_value(ingress)?, json!([{"ip": "192.0.2.7", "ipMode": "VIP"}]));
    let conditions = |service: &Service| -> BTreeMap<String, (String, i64)> {
        let list = service.status.as_ref().and_then(|s| s.conditions.clone()).unwrap_or_default();
        list.into_iter().map(|c| (c.type_, (c.message, c.last_transition_time.0.as_second()))).collect()
    };
    let first = conditions(&after);
    assert_eq!(first.keys().collect::<Vec<_>>(), ["example.org/Other", "ironlb.io/AddressAssigned"]);

    // What was seen before is too old now, and nothing is written.
    assert_eq!(writer.patch_service(&patch).await, Outcome::Conflict);
    // The same again changes nothing and says so: no watch would tell of it.
    let again = ServicePatch { version: written, conditions: vec![], ..patch.clone() };
    assert_eq!(writer.patch_service(&again).await, Outcome::Unchanged { version: written });

    // A message that changes keeps the time of a status that does not.
    let set = |message: &str| ConditionWrite::Set {
        condition: condition("ironlb.io/AddressAssigned", ConditionStatus::True, message),
        transition: false,
    };
    let second = ServicePatch { conditions: vec![set("second")], ..nothing("written", written) };
    let Outcome::Written { version: written } = writer.patch_service(&second).await else { panic!("not written") };
    let shown = conditions(&services.get("written").await?);
    assert_eq!(shown["ironlb.io/AddressAssigned"], ("second".to_owned(), first["ironlb.io/AddressAssigned"].1));

    // And all of it goes again.
    let released = ServicePatch {
        ingress: Some(vec![]),
        label: Some(Change::Remove),
        addresses: Some(Change::Remove),
        conditions: vec![ConditionWrite::Remove { kind: "ironlb.io/AddressAssigned".to_owned() }],
        ..nothing("written", written)
    };
    assert_eq!(writer.patch_service(&released).await.category(), "Written");
    let after = services.get("written").await?;
    assert_eq!(after.metadata.labels, Some([pair("app", "x")].into()));
    assert_eq!(after.metadata.annotations, Some([pair("a", "b")].into()));
    assert_eq!(after.status.as_ref().and_then(|s| s.load_balancer.as_ref()?.ingress.clone()), None);
    assert_eq!(conditions(&after).keys().collect::<Vec<_>>(), ["example.org/Other"]);
    Ok(())
}

#[tokio::test]
async fn a_write_says_what_became_of_it() -> Result<()> {
    let clients = clients().await?;
    let writer = Writer::new(clients.ordinary.clone());
    assert_eq!(writer.patch_service(&nothing("absent", ResourceVersion(1))).await, Outcome::Gone);

    // An address on a Service that is no load balancer: the API server's own rule.
    let services: Api<Service> = Api::namespaced(clients.ordinary.clone(), "default");
    let plain = create(&services, json!({"metadata": {"name": "plain"}, "spec": {"ports": [{"port": 80}]}})).await?;
    let patch = ServicePatch {
        ingress: Some(vec![IngressAddress::Ip("192.0.2.9".parse()?)]),
        ..nothing("plain", version(&plain.metadata))
    };
    let outcome = writer.patch_service(&patch).await;
    assert!(matches!(&outcome, Outcome::Refused { code: 422, message } if message.contains("type")), "{outcome:?}");

    // Nobody listens.
    let nowhere = kube::Client::try_from(kube::Config::new("http://127.0.0.1:1".parse()?))?;
    let outcome = Writer::new(nowhere).patch_service(&patch).await;
    assert!(matches!(outcome, Outcome::Unreachable { .. }), "{outcome:?}");
    Ok(())
}

fn eip_status(used: &[(&str, &str)], since: Option<WallTime>) -> EipStatusText {
    EipStatusText {
        occupied: false,
        usage: 1,
        pool_size: 9,
        first_ip: Some("192.0.2.1".to_owned()),
        last_ip: Some("192.0.2.9".to_owned()),
        v4: true,
        ready: true,
        used: used.iter().map(|(ip, holders)| ((*ip).to_owned(), (*holders).to_owned())).collect(),
        conditions: vec![TimedCondition { condition: condition("Ready", ConditionStatus::True, "m"), since }],
    }
}

#[tokio::test]
async fn the_status_of_an_eip_is_replaced_and_its_finalizer_removed() -> Result<()> {
    let clients = clients().await?;
    let eips: Api<api::Eip> = Api::all(clients.ordinary.clone());
    let writer = Writer::new(clients.ordinary.clone());
    let created = create(
        &eips,
        json!({"apiVersion": "network.kubesphere.io/v1alpha2", "kind": "Eip",
               "metadata": {"name": "written", "finalizers": ["finalizer.ipam.kubesphere.io/v1alpha1"], "labels": {"a": "b"}},
               "spec": {"address": "192.0.2.1-192.0.2.9", "protocol": "layer2", "interface": "eth0"}}),
    )
    .await?;
    let patch = |version, used: &[(&str, &str)], since| EipPatch {
        eip: "written".into(),
        version,
        generation: 1,
        status: eip_status(used, since),
    };
    let seen = version(&created.metadata);
    let two = [("192.0.2.1", "default/a;default/b"), ("192.0.2.2", "default/c")];
    let Outcome::Written { version: written } = writer.patch_eip(&patch(seen, &two, None)).await else {
        panic!("not written")
    };
    assert_eq!(writer.patch_eip(&patch(seen, &two, None)).await, Outcome::Conflict, "it was seen too long ago");

    let since = WallTime(1_767_323_045);
    let Outcome::Written { version: written } = writer.patch_eip(&patch(written, &two[..1], Some(since))).await else {
        panic!("not written")
    };
    let after = eips.get("written").await?;
    let status = serde_json::to_value(after.status)?;
    assert_eq!(status["used"], json!({"192.0.2.1": "default/a;default/b"}), "a key that goes is gone");
    assert_eq!(status["conditions"][0]["lastTransitionTime"], "2026-01-02T03:04:05Z");
    assert_eq!(status["conditions"][0]["observedGeneration"], 1);
    assert_eq!(
        writer.patch_eip(&patch(written, &two[..1], Some(since))).await,
        Outcome::Unchanged { version: written }
    );

    // The status subresource of a custom resource leaves metadata alone: the finalizer needs a write of its own.
    let through_status = json!({"metadata": {"finalizers": null, "labels": {"c": "d"}}});
    let untouched = eips.patch_status("written", &PatchParams::default(), &Patch::Merge(through_status)).await?;
    assert_eq!(untouched.metadata.finalizers.map(|f| f.len()), Some(1));

    assert_eq!(writer.remove_finalizer(&ObjectRef::Eip("written".into()), seen).await, Outcome::Conflict);
    assert_eq!(writer.remove_finalizer(&ObjectRef::Eip("written".into()), written).await.category(), "Written");
    let after = eips.get("written").await?;
    assert!(after.metadata.finalizers.unwrap_or_default().is_empty());
    assert_eq!(after.spec.interface.as_deref(), Some("eth0"));
    let now = version(&eips.get("written").await?.metadata);
    assert_eq!(
        writer.remove_finalizer(&ObjectRef::Eip("written".into()), now).await,
        Outcome::Unchanged { version: now }
    );
    assert_eq!(writer.remove_finalizer(&ObjectRef::Eip("absent".into()), now).await, Outcome::Gone);
    Ok(())
}

#[tokio::test]
async fn conditions_of_a_bgp_conf_leave_the_rest_of_its_status_alone() -> Result<()> {
    let clients = clients().await?;
    let confs: Api<api::BgpConf> = Api::all(clients.ordinary.clone());
    create(&confs, json!({"apiVersion": "network.kubesphere.io/v1alpha2", "kind": "BgpConf", "metadata": {"name": "second"}, "spec": {}}))
        .await?;
    let theirs = json!({"status": {"nodesConfStatus": {"n1": {"routerId": "192.0.2.1", "as": 65000}}}});
    let seen = version(&confs.patch_status("second", &PatchParams::default(), &Patch::Merge(theirs)).await?.metadata);
    let patch = ObjectPatch {
        object: ObjectRef::BgpConf("second".to_owned()),
        version: seen,
        generation: 1,
        conditions: vec![TimedCondition { condition: condition("Ignored", ConditionStatus::True, "m"), since: None }],
    };
    let writer = Writer::new(clients.ordinary.clone());
    assert_eq!(writer.patch_conditions(&patch).await.category(), "Written");
    assert_eq!(writer.patch_conditions(&patch).await, Outcome::Conflict);
    let status = serde_json::to_value(confs.get("second").await?.status)?;
    assert_eq!(status["nodesConfStatus"]["n1"]["as"], 65000);
    assert_eq!(status["conditions"][0]["type"], "Ignored");
    let elsewhere = ObjectPatch { object: ObjectRef::Node("n1".into()), ..patch };
    assert_eq!(writer.patch_conditions(&elsewhere).await.category(), "Refused");
    Ok(())
}

#[tokio::test]
async fn a_speaker_is_created_reported_and_deleted() -> Result<()> {
    let clients = clients().await?;
    let speakers: Api<api::Speaker> = Api::all(clients.ordinary.clone());
    let writer = Writer::new(clients.ordinary.clone());
    let status = |ready, version: Option<&str>| api::SpeakerStatus {
        ready: Some(ready),
        version: version.map(str::to_owned),
        ..api::SpeakerStatus::default()
    };
    let node = "written-node".into();
    assert_eq!(writer.apply_speaker(&node, &status(false, Some("1"))).await.category(), "Written");
    assert_eq!(writer.apply_speaker(&node, &status(true, None)).await.category(), "Written");
    let shown = speakers.get("written-node").await?.status.context("a status")?;
    assert_eq!((shown.ready, shown.version), (Some(true), None), "what is not reported any more goes");
    assert_eq!(writer.delete_speaker(&node).await, Outcome::Gone);
    assert!(speakers.get_opt("written-node").await?.is_none());
    assert_eq!(writer.delete_speaker(&node).await, Outcome::Gone);
    Ok(())
}

#[tokio::test]
async fn people_are_told_through_events() -> Result<()> {
    let clients = clients().await?;
    let mut tasks = JoinSet::new();
    let reporter = Reporter { controller: "ironlb-controller".to_owned(), instance: "test".to_owned() };
    let events = Events::start(&clients, reporter, &mut tasks);
    let tell = |object, message: &str| {
        events.tell(Telling {
            object,
            uid: "00000000-0000-0000-0000-000000000001".to_owned(),
            tone: Tone::Warning,
            reason: "AssignIPFailed".to_owned(),
            message: message.to_owned(),
        });
    };
    let service = ObjectRef::Service(ServiceId::new("default", "told"));
    tell(service.clone(), "one");
    tell(service.clone(), "two");
    tell(ObjectRef::Eip("told-pool".into()), "three");
    tell(ObjectRef::Service(ServiceId::new("no-such-namespace", "told")), "four");
    tell(service, &"x".repeat(5000));
    crate::eventually("every Event", || events.counters().written.get() == 4 && events.counters().failed.get() == 1)
        .await?;

    let api: Api<Event> = Api::namespaced(clients.ordinary.clone(), "default");
    let params = ListParams::default().fields("reason=AssignIPFailed,reportingController=ironlb-controller");
    let mut told: Vec<Value> = Vec::new();
    for event in api.list(&params).await?.items {
        let about = event.regarding.context("an object")?;
        told.push(json!([
            about.kind,
            about.name,
            event.type_,
            event.note.map(|note| note.chars().take(5).collect::<String>())
        ]));
    }
    told.sort_by_key(Value::to_string);
    assert_eq!(
        told,
        [
            json!(["Eip", "told-pool", "Warning", "three"]),
            json!(["Service", "told", "Warning", "one"]),
            json!(["Service", "told", "Warning", "two"]),
            json!(["Service", "told", "Warning", "xxxxx"]),
        ]
    );
    Ok(())
}
