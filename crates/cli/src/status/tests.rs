//! The page for a few situations, each out of objects as the API server has them.

use std::sync::Arc;

use ironlb_k8s::once::Controller;
use ironlb_model::Settings;
use ironlb_translate as translate;
use serde_json::{Value, json};

use super::*;

fn running(ready: i32) -> Running {
    let deployment = "ironlb-system/ironlb-controller".to_owned();
    Running {
        settings: Settings::default(),
        source: String::new(),
        controller: Some(Controller { deployment, arguments: Vec::new(), wanted: 2, ready }),
        missing: None,
    }
}

fn condition(kind: &str, status: &str, reason: &str, message: &str) -> Value {
    let since = "2026-01-02T03:04:05Z";
    json!({"type": kind, "status": status, "reason": reason, "message": message, "lastTransitionTime": since})
}

fn with_service(snapshot: &mut Snapshot, name: &str, conditions: &[Value]) {
    let object = json!({
        "metadata": {"namespace": "shop", "name": name, "annotations": {"lb.kubesphere.io/v1alpha1": "openelb"}},
        "spec": {"type": "LoadBalancer", "ipFamilies": ["IPv4"], "ports": [{"port": 80}]},
        "status": {"conditions": conditions},
    });
    let (service, _) = translate::service(&serde_json::from_value(object).unwrap());
    snapshot.services.insert(service.id.clone(), Arc::new(service));
}

fn with_eip(snapshot: &mut Snapshot, name: &str, usage: u8, conditions: &[Value]) {
    let object = json!({
        "metadata": {"name": name}, "spec": {"address": "10.0.0.0/30", "protocol": "layer2"},
        "status": {"usage": usage, "poolSize": 4, "conditions": conditions},
    });
    let (eip, _) = translate::eip(&serde_json::from_value(object).unwrap());
    snapshot.eips.insert(eip.name.clone(), Arc::new(eip));
}

fn with_node(snapshot: &mut Snapshot, name: &str, ready: &str, speaker: Option<Value>) {
    let object = json!({"metadata": {"name": name}, "status": {"conditions": [{"type": "Ready", "status": ready}]}});
    let (node, _) = translate::node(&serde_json::from_value(object).unwrap());
    snapshot.nodes.insert(node.name.clone(), Arc::new(node));
    if let Some(status) = speaker {
        let object = json!({"metadata": {"name": name}, "spec": {}, "status": status});
        let (report, _) = translate::speaker(&serde_json::from_value(object).unwrap());
        snapshot.speakers.insert(report.node.clone(), Arc::new(report));
    }
}

fn led_by(holder: &str, renewed_ago: Option<u64>) -> Leader {
    let renewed_ago = renewed_ago.map(Duration::from_secs);
    Leader { holder: holder.to_owned(), lasts: Duration::from_secs(15), renewed_ago }
}

#[test]
fn a_lease_is_told_by_its_age() {
    let told = |ago| controller(&Snapshot::default(), &running(2), Some(&led_by("abc", ago)), &[]);
    for (ago, says) in [
        (None, "; abc leads, as its Lease says\n"),
        (Some(3), "; abc leads, as its Lease says, which it renewed 3 s ago\n"),
        (Some(16), "; abc leads if clocks differ: it renewed its Lease 16 s ago, and it lasts 15 s\n"),
        (Some(900), "; nobody leads, so nothing is decided: abc renewed its Lease 900 s ago, and it lasts 15 s\n"),
    ] {
        assert!(told(ago).ends_with(says), "{}", told(ago));
    }
}

/// Something is amiss with nearly everything.
fn amiss() -> Snapshot {
    let mut cluster = Snapshot::default();
    let heard = json!([{"vip": "10.0.0.1", "mac": "02:00:00:00:00:ee", "lastSeen": "2026-01-02T03:04:05Z"}]);
    with_node(
        &mut cluster,
        "n1",
        "True",
        Some(json!({"ready": true, "layer2": {"ownedCount": 3}, "conflicts": heard})),
    );
    with_node(&mut cluster, "n2", "False", Some(json!({"ready": false})));
    with_node(&mut cluster, "n3", "True", None);
    let free = condition("Exhausted", "False", "FreeAddresses", "");
    with_eip(&mut cluster, "good", 3, &[condition("Ready", "True", "Ready", ""), free.clone()]);
    let claimed = condition("Conflict", "True", "Conflict", "");
    with_eip(&mut cluster, "claimed", 1, &[condition("Ready", "True", "Ready", ""), free.clone(), claimed]);
    with_eip(&mut cluster, "bad", 0, &[condition("Ready", "False", "Unreadable", ""), free]);
    with_eip(&mut cluster, "new", 0, &[]);
    let held = condition(ADDRESS_ASSIGNED, "True", "Assigned", "10.0.0.1 from Eip good");
    with_service(&mut cluster, "fine", &[held.clone(), condition(ANNOUNCED, "True", "Layer2", "")]);
    let silent = condition(ANNOUNCED, "False", "NoEndpoints", "no endpoint of the Service can take a connection");
    with_service(&mut cluster, "silent", &[held, silent]);
    with_service(&mut cluster, "full", &[condition(ADDRESS_ASSIGNED, "False", "EipFull", "no free address")]);
    with_service(&mut cluster, "new", &[]);
    cluster
}

#[test]
fn what_is_amiss_stands_out() {
    let leader = led_by("ironlb-controller-abc", Some(2));
    insta::assert_snapshot!(render(&amiss(), &running(2), Some(&leader), &[]));
}

#[test]
fn programs_get_the_same() {
    let leader = led_by("ironlb-controller-abc", Some(2));
    let page = json::render(&amiss(), &running(2), Some(&leader), &[]);
    insta::assert_snapshot!(serde_json::to_string_pretty(&page).unwrap());
}

#[test]
fn programs_get_null_for_what_may_not_be_read() {
    let missing = |part| Missing { part, error: "refused (403): no".to_owned(), is_forbidden: true };
    let all = [Part::Services, Part::Eips, Part::Speakers, Part::Leader].map(missing);
    let page = json::render(&Snapshot::default(), &running(2), None, &all);
    for part in ["services", "eips", "speakers"] {
        assert!(page[part].is_null(), "{part}: {page}");
    }
    assert!(page["controller"]["lease"].is_null() && page["leftOut"][0]["forbidden"] == true, "{page}");
}

#[test]
fn long_lists_are_cut_and_counted() {
    let mut cluster = Snapshot::default();
    for n in 0..MAX_LISTED + 7 {
        with_service(&mut cluster, &format!("s{n:02}"), &[condition(ADDRESS_ASSIGNED, "False", "EipFull", "full")]);
    }
    let text = render(&cluster, &running(1), None, &[]);
    assert!(text.contains("0 of 27 have their address") && text.contains("  and 7 more\n"), "{text}");
    assert!(text.contains("1 of 2 replicas ready; nobody leads, so nothing is decided"), "{text}");
}

#[test]
fn what_may_not_be_read_is_left_out_and_not_taken_for_nothing() {
    let missing = |part| Missing { part, error: "refused (403): no".to_owned(), is_forbidden: true };
    let all = [Part::Services, Part::Eips, Part::Speakers, Part::Leader].map(missing);
    let text = render(&Snapshot::default(), &running(2), None, &all);
    assert!(text.contains("who leads is not known"), "{text}");
    assert!(["Speakers\n", "Eips\n", "Services of"].iter().all(|heading| !text.contains(heading)), "{text}");
    assert!(text.contains("you lack the right to list services in all namespaces"), "{text}");
    let absent = Running { controller: None, ..running(0) };
    assert!(render(&Snapshot::default(), &absent, None, &[]).contains("there is no Deployment ironlb-controller"));
}
