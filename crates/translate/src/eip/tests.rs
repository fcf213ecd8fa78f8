use super::*;
use ironlb_model::{Operator, ResourceVersion, WallTime};
use serde_json::{Value, json};

fn read(spec: Value) -> (Eip, Vec<String>) {
    read_object(
        json!({"apiVersion": "network.kubesphere.io/v1alpha2", "kind": "Eip", "metadata": {"name": "pool"}, "spec": spec}),
    )
}

fn read_object(object: Value) -> (Eip, Vec<String>) {
    let (read, issues) = eip(&serde_json::from_value(object).unwrap());
    (read, issues.into_iter().map(|issue| format!("{}: {}", issue.field, issue.message)).collect())
}

fn ranges(pool: &Pool) -> Vec<String> {
    pool.ranges().iter().map(ToString::to_string).collect()
}

#[test]
fn an_eip_of_openelb_means_what_it_meant() {
    let (read, issues) = read(json!({"address": "192.0.2.91-192.0.2.100", "interface": "eth0", "protocol": "layer2"}));
    assert_eq!(issues, [""; 0]);
    let span = Pool::new(&address::parse_list("192.0.2.91-192.0.2.100").0, &[]);
    assert_eq!(
        read,
        Eip {
            name: "pool".into(),
            uid: String::new(),
            version: ResourceVersion(0),
            created: WallTime(0),
            generation: 0,
            deleting: false,
            address_text: "192.0.2.91-192.0.2.100".to_owned(),
            pool: span.clone(),
            span,
            announcement: Announcement::Layer2,
            interface: InterfaceChoice::Named("eth0".into()),
            interfaces: vec![],
            disabled: false,
            priority: 0,
            namespaces: BTreeSet::new(),
            namespace_selector: BTreeMap::new(),
            is_default: false,
            auto_assign: true,
            avoid_buggy_ips: false,
            service_selector: None,
            node_selector: None,
            enforce_selectors: false,
            sharing: Sharing::Cluster,
            has_openelb_finalizer: false,
            status: EipStatus::default(),
        }
    );
}

#[test]
fn every_field_of_ours_is_read() {
    let (read, issues) = read(json!({
        "address": "192.0.2.0/29", "exclude": ["192.0.2.1", "192.0.2.4-192.0.2.5"], "autoAssign": false, "avoidBuggyIPs": true,
        "serviceSelector": {"matchLabels": {"tier": "edge"}},
        "nodeSelector": {"matchExpressions": [{"key": "rack", "operator": "In", "values": ["a", "b"]}]},
        "enforceSelectors": true, "sharing": "Namespace", "layer2": {"interfaces": ["eth1", "bond0"]},
        "disable": true, "priority": -5, "namespaces": ["b", "a"], "namespaceSelector": {"team": "x"},
    }));
    assert_eq!(issues, [""; 0]);
    assert_eq!(ranges(&read.pool), ["192.0.2.0", "192.0.2.2-192.0.2.3", "192.0.2.6-192.0.2.7"]);
    assert_eq!(ranges(&read.span), ["192.0.2.0-192.0.2.7"]);
    assert!(!read.auto_assign && read.avoid_buggy_ips && read.enforce_selectors && read.disabled);
    assert_eq!((read.announcement, read.priority, read.sharing), (Announcement::Bgp, -5, Sharing::Namespace));
    assert_eq!(read.interfaces, ["eth1".into(), "bond0".into()]);
    assert_eq!(read.service_selector, Some(Selector::labels([("tier".to_owned(), "edge".to_owned())].into())));
    let node = read.node_selector.unwrap();
    assert_eq!((node.expressions[0].operator, node.expressions[0].values.len()), (Operator::In, 2));
    assert_eq!(read.namespaces, ["a".into(), "b".into()].into());
    assert_eq!(read.namespace_selector, [("team".to_owned(), "x".to_owned())].into());
}

#[test]
fn a_fault_is_told_and_gives_nothing_away() {
    let (bad, issues) = read(json!({"address": "192.0.2.9-192.0.2.1"}));
    assert_eq!(issues, ["spec.address: the range 192.0.2.9-192.0.2.1 is reversed: write 192.0.2.1-192.0.2.9"]);
    assert!(bad.pool.ranges().is_empty() && bad.span.ranges().is_empty());

    let (bad, issues) = read(json!({"address": "192.0.2.0/30", "exclude": ["192.0.2.1", "192.0.2.300"]}));
    assert_eq!(
        issues,
        ["spec.exclude[1]: \"192.0.2.300\" is not an IP address; until this is mended the Eip gives out no address"]
    );
    assert_eq!((ranges(&bad.pool).len(), ranges(&bad.span)), (0, vec!["192.0.2.0-192.0.2.3".to_owned()]));

    let (bad, issues) =
        read(json!({"address": "192.0.2.1", "interface": "can_reach:gw", "layer2": {"interfaces": ["a b"]}}));
    assert_eq!(bad.interface, InterfaceChoice::Named("can_reach:gw".into()));
    assert_eq!(bad.interfaces, ["a b".into()]);
    assert_eq!(issues.len(), 2);
    assert!(issues[1].starts_with("spec.layer2.interfaces[0]: "), "{issues:?}");

    let (bad, issues) = read(json!({"address": "192.0.2.1", "sharing": "Everyone",
        "nodeSelector": {"matchExpressions": [{"key": "rack", "operator": "Like", "values": ["a"]}]},
        "serviceSelector": {"matchExpressions": [{"key": "rack", "operator": "In"}]}}));
    assert_eq!(
        (bad.sharing, bad.node_selector, bad.service_selector),
        (Sharing::Never, Some(Selector::never()), Some(Selector::never()))
    );
    assert_eq!(issues.len(), 3, "{issues:?}");
}

#[test]
fn only_the_exact_word_makes_the_default() {
    for (value, want, faults) in
        [("true", true, 0), ("True", false, 1), ("false", false, 0), ("", false, 0), ("1", false, 1)]
    {
        let (read, issues) = read_object(json!({"metadata": {"name": "pool", "annotations": {
            "eip.openelb.kubesphere.io/is-default-eip": value}}, "spec": {"address": "192.0.2.1"}}));
        assert_eq!((read.is_default, issues.len()), (want, faults), "{value:?}");
    }
}

#[test]
fn openelbs_status_is_taken_apart() {
    let (read, issues) = read_object(json!({
        "metadata": {"name": "pool", "finalizers": ["finalizer.ipam.kubesphere.io/v1alpha1"], "generation": 3},
        "spec": {"address": "192.0.2.1-192.0.2.3"},
        "status": {"occupied": true, "usage": 3, "poolSize": 3, "firstIP": "192.0.2.1", "lastIP": "192.0.2.3", "v4": true, "ready": true,
                   "used": {"192.0.2.1": "default/a;default/b", "192.0.2.2": "shop/web", "192.0.2.3": "", "x": "default/c", "192.0.2.9": "nonsense"}},
    }));
    assert_eq!(issues, [""; 0]);
    assert!(read.has_openelb_finalizer && read.generation == 3);
    let used: Vec<String> = read
        .status
        .used
        .iter()
        .map(|(ip, ids)| format!("{ip}={}", ids.iter().map(ToString::to_string).collect::<Vec<_>>().join(";")))
        .collect();
    assert_eq!(used, ["192.0.2.1=default/a;default/b", "192.0.2.2=shop/web"]);
    assert!(read.status.has_unreadable_used && read.status.occupied && read.status.v4 && read.status.ready);
    assert_eq!((read.status.usage, read.status.pool_size), (3, 3));
}
