use super::*;
use ironlb_model::{Condition, ConditionStatus, ResourceVersion, WallTime};
use serde_json::{Value, json};

fn read(value: Value) -> (Service, Vec<Issue>) {
    service(&serde_json::from_value(value).unwrap())
}

fn addresses(texts: &[&str]) -> Vec<IpAddr> {
    texts.iter().map(|text| text.parse().unwrap()).collect()
}

#[test]
fn the_quick_start_is_read_as_it_is_meant() {
    let (read, issues) = read(json!({
        "metadata": {
            "name": "web", "namespace": "shop", "uid": "u-1", "resourceVersion": "4711", "creationTimestamp": "2026-01-02T03:04:05Z",
            "annotations": {
                "lb.kubesphere.io/v1alpha1": "openelb", "protocol.openelb.kubesphere.io/v1alpha1": "layer2",
                "eip.openelb.kubesphere.io/v1alpha2": "pool",
            },
            "labels": {"eip.openelb.kubesphere.io/v1alpha2": "pool", "app": "web"},
            "finalizers": ["service.kubernetes.io/load-balancer-cleanup", "finalizer.lb.kubesphere.io/v1alpha1"],
        },
        "spec": {
            "type": "LoadBalancer", "ipFamilies": ["IPv4"], "ipFamilyPolicy": "SingleStack", "externalTrafficPolicy": "Local",
            "healthCheckNodePort": 30123, "selector": {"app": "web"},
            "ports": [{"port": 80}, {"port": 53, "protocol": "UDP"}, {"port": 0}, {"port": 70000}, {"port": 1, "protocol": "DCCP"}],
        },
        "status": {
            "loadBalancer": {"ingress": [{"ip": "192.0.2.7", "ipMode": "VIP"}]},
            "conditions": [
                {"type": "ironlb.io/AddressAssigned", "status": "True", "reason": "Assigned", "message": "m",
                 "lastTransitionTime": "2026-01-02T03:04:06Z"},
                {"type": "example.org/Other", "status": "True", "reason": "R", "message": "m", "lastTransitionTime": "2026-01-02T03:04:05Z"},
            ],
        },
    }));
    assert_eq!(issues, []);
    assert_eq!(
        read,
        Service {
            id: ServiceId::new("shop", "web"),
            uid: "u-1".to_owned(),
            version: ResourceVersion(4711),
            created: WallTime(1_767_323_045),
            deleting: false,
            is_load_balancer: true,
            load_balancer_class: None,
            opt_in: OptIn::Ours,
            wanted_eip: Some("pool".into()),
            wanted_protocol: Some(Announcement::Layer2),
            wish: vec![],
            wish_source: None,
            overruled_wish: None,
            wish_unreadable: None,
            remembered: vec![],
            families: vec![IpFamily::V4],
            family_policy: FamilyPolicy::SingleStack,
            traffic_policy: TrafficPolicy::Local,
            health_check_node_port: Some(30123),
            ports: [Port { transport: Transport::Tcp, number: 80 }, Port { transport: Transport::Udp, number: 53 }]
                .into(),
            selector: [("app", "web")].into(),
            labels: [("app", "web"), ("eip.openelb.kubesphere.io/v1alpha2", "pool")].into(),
            eip_label: Some("pool".into()),
            has_openelb_finalizer: true,
            ingress: vec![IngressAddress::Ip("192.0.2.7".parse().unwrap())],
            conditions: vec![Condition {
                kind: "ironlb.io/AddressAssigned".to_owned(),
                status: ConditionStatus::True,
                reason: "Assigned".to_owned(),
                message: "m".to_owned(),
            }],
            assigned_at: Some(WallTime(1_767_323_046)),
            status_writer: None,
        }
    );
}

#[test]
fn an_object_with_nothing_in_it_asks_for_nothing() {
    let (read, issues) = read(json!({"metadata": {"name": "web", "namespace": "shop"}}));
    assert_eq!(issues, []);
    assert!(!read.is_load_balancer && read.opt_in == OptIn::Absent && read.wish.is_empty() && read.ingress.is_empty());
    assert_eq!(read.version, ResourceVersion(0));
}

#[test]
fn the_annotation_opts_in_only_with_its_exact_value() {
    for (value, want) in [
        ("openelb", OptIn::Ours),
        ("porter", OptIn::Other),
        ("OpenELB", OptIn::Other),
        ("openelb ", OptIn::Other),
        ("", OptIn::Other),
    ] {
        let (read, _) = read(json!({"metadata": {"name": "s", "annotations": {"lb.kubesphere.io/v1alpha1": value}}}));
        assert_eq!(read.opt_in, want, "{value:?}");
    }
}

#[test]
fn the_wish_is_the_annotations_before_the_specs() {
    let none: Option<&str> = None;
    for (annotation, field, wish, unreadable) in [
        (none, none, &[][..], None),
        (None, Some("192.0.2.1"), &["192.0.2.1"], None),
        (Some("192.0.2.2"), Some("192.0.2.1"), &["192.0.2.2"], None),
        // As OpenELB: the key counts, and empty means any.
        (Some(""), Some("192.0.2.1"), &[], None),
        (Some("2001:DB8::0:2, 192.0.2.2"), None, &["2001:db8::2", "192.0.2.2"], None),
        (Some("pool"), Some("192.0.2.1"), &[], Some("pool")),
        (None, Some("192.0.2.1-192.0.2.9"), &[], Some("192.0.2.1-192.0.2.9")),
    ] {
        let mut object = json!({"metadata": {"name": "s", "namespace": "d", "annotations": {}}, "spec": {}});
        if let Some(text) = annotation {
            object["metadata"]["annotations"]["eip.openelb.kubesphere.io/v1alpha1"] = json!(text);
        }
        if let Some(text) = field {
            object["spec"]["loadBalancerIP"] = json!(text);
        }
        let (read, issues) = read(object.clone());
        let source = annotation.map(|_| WishSource::Annotation).or(field.map(|_| WishSource::LoadBalancerIp));
        assert_eq!(read.wish_source, source, "{object}");
        let overruled = annotation.and(field).map(|text| text.parse().unwrap());
        assert_eq!(read.overruled_wish, overruled, "{object}");
        assert_eq!((read.wish, read.wish_unreadable.as_deref()), (addresses(wish), unreadable), "{object}");
        assert_eq!(issues.len(), usize::from(unreadable.is_some()), "{object}");
    }
}

#[test]
fn a_fault_names_the_service_the_field_and_the_mend() {
    let (_, issues) = read(json!({"metadata": {"name": "web", "namespace": "shop", "annotations": {
        "eip.openelb.kubesphere.io/v1alpha1": "192.0.2.0/24", "protocol.openelb.kubesphere.io/v1alpha1": "ospf"}}}));
    let said: Vec<String> = issues.iter().map(|i| format!("{}: {}: {}", i.object, i.field, i.message)).collect();
    assert_eq!(
        said,
        [
            "Service shop/web: metadata.annotations[eip.openelb.kubesphere.io/v1alpha1]: the wished address cannot be read: \
             \"192.0.2.0/24\" is not an IP address",
            "Service shop/web: metadata.annotations[protocol.openelb.kubesphere.io/v1alpha1]: \"ospf\" is no protocol and is \
             ignored: write bgp, layer2 or vip",
        ]
    );
}

#[test]
fn what_it_holds_is_read_in_every_spelling_and_what_is_foreign_is_kept() {
    let (read, _) = read(
        json!({"metadata": {"name": "s", "annotations": {"ironlb.io/addresses": "192.0.2.7,2001:db8::7"}},
        "status": {"loadBalancer": {"ingress": [
            {"ip": "192.000.002.007"}, {"ip": "2001:DB8:0::7"}, {"ip": "::ffff:192.0.2.9"}, {"hostname": "lb.example.org"}, {"ip": "1.2..3"}, {},
        ]}}}),
    );
    let foreign = |text: &str| IngressAddress::Foreign(text.to_owned());
    let ip = |text: &str| IngressAddress::Ip(text.parse().unwrap());
    assert_eq!(
        read.ingress,
        [
            ip("192.0.2.7"),
            ip("2001:db8::7"),
            ip("192.0.2.9"),
            foreign("lb.example.org"),
            foreign("1.2..3"),
            foreign("")
        ]
    );
    assert_eq!(read.remembered, addresses(&["192.0.2.7", "2001:db8::7"]));
}

#[test]
fn who_else_wrote_the_status_is_known_by_its_fields() {
    let entry = |manager: &str, subresource: &str, time: &str, fields: Value| {
        json!({"manager": manager, "operation": "Update", "subresource": subresource, "time": time, "apiVersion": "v1",
            "fieldsType": "FieldsV1", "fieldsV1": {"f:status": fields}})
    };
    let addresses = || json!({"f:loadBalancer": {"f:ingress": {}}});
    let (early, late) = ("2026-01-02T03:04:05Z", "2026-01-02T03:04:06Z");
    for (entries, want) in [
        (vec![], None),
        (vec![entry("ironlb-controller", "status", late, addresses())], None),
        (vec![entry("kubectl", "", late, addresses())], None),
        (
            vec![
                entry("ironlb-controller", "status", early, json!({"f:conditions": {}})),
                entry("other-lb", "status", early, addresses()),
            ],
            Some("other-lb"),
        ),
        (vec![entry("one", "status", early, addresses()), entry("two", "status", late, addresses())], Some("two")),
        (
            vec![entry("one", "status", early, addresses()), entry("two", "status", late, json!({"f:conditions": {}}))],
            Some("one"),
        ),
        (vec![entry("two", "status", late, json!({"f:conditions": {}}))], Some("two")),
    ] {
        let (read, _) = read(json!({"metadata": {"name": "web", "namespace": "shop", "managedFields": entries}}));
        assert_eq!(read.status_writer.as_deref(), want, "{entries:?}");
    }
}
