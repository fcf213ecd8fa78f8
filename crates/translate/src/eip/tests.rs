use super::*;
use ironlb_model::{Operator, Reservee, ResourceVersion, WallTime};
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
            conflict_detection: ConflictDetection::Enforce,
            disabled: false,
            priority: 0,
            namespaces: [].into(),
            namespace_selector: BTreeMap::new(),
            is_default: false,
            auto_assign: true,
            avoid_buggy_ips: false,
            service_selector: None,
            node_selector: None,
            enforce_selectors: false,
            sharing: Sharing::Cluster,
            routes: RouteSettings::default(),
            reservations: Vec::new(),
            addresses_per_namespace: None,
            reuse_delay: Duration::ZERO,
            withholds: false,
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
        "enforceSelectors": true, "sharing": "Namespace", "layer2": {"interfaces": ["eth1", "bond0"], "conflictDetection": "Warn"},
        "disable": true, "priority": -5, "namespaces": ["b", "a"], "namespaceSelector": {"team": "x"},
    }));
    assert_eq!(issues, [""; 0]);
    assert_eq!(ranges(&read.pool), ["192.0.2.0", "192.0.2.2-192.0.2.3", "192.0.2.6-192.0.2.7"]);
    assert_eq!(ranges(&read.span), ["192.0.2.0-192.0.2.7"]);
    assert!(!read.auto_assign && read.avoid_buggy_ips && read.enforce_selectors && read.disabled);
    assert_eq!(read.conflict_detection, ConflictDetection::Warn);
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
    assert!(bad.withholds, "nothing is given out");
    assert_eq!((ranges(&bad.pool).len(), ranges(&bad.span)), (2, vec!["192.0.2.0-192.0.2.3".to_owned()]));

    let (bad, issues) =
        read(json!({"address": "192.0.2.1", "interface": "can_reach:gw", "layer2": {"interfaces": ["a b"]}}));
    assert_eq!(bad.interface, InterfaceChoice::Named("can_reach:gw".into()));
    assert_eq!(bad.interfaces, ["a b".into()]);
    assert_eq!(issues.len(), 2);
    assert!(issues[1].starts_with("spec.layer2.interfaces[0]: "), "{issues:?}");

    for (word, want, faults) in [
        ("", ConflictDetection::Enforce, 0),
        ("Enforce", ConflictDetection::Enforce, 0),
        ("Off", ConflictDetection::Off, 0),
        ("warn", ConflictDetection::Enforce, 1),
    ] {
        let (read, issues) = read(json!({"address": "192.0.2.1", "layer2": {"conflictDetection": word}}));
        assert_eq!((read.conflict_detection, issues.len()), (want, faults), "{word:?}: {issues:?}");
        assert!(issues.iter().all(|issue| issue.starts_with("spec.layer2.conflictDetection: \"warn\"")), "{issues:?}");
    }

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
fn reservations_quota_and_delay_are_read() {
    let (read, issues) = read(json!({
        "address": "192.0.2.0/28",
        "reservations": [
            {"address": "192.0.2.3", "namespace": "shop", "name": "web"},
            {"address": "192.0.2.8/30, 192.0.2.1", "serviceSelector": {"matchLabels": {"tier": "edge"}}},
            {"address": "192.0.2.4-192.0.2.5", "namespace": "shop", "serviceSelector": {}},
        ],
        "quota": {"addressesPerNamespace": 3},
        "reuseDelay": "1h30m",
    }));
    assert_eq!(issues, [""; 0]);
    let listed: Vec<(usize, Vec<String>)> =
        read.reservations.iter().map(|one| (one.index, ranges(&one.addresses))).collect();
    assert_eq!(
        listed,
        [
            (0, vec!["192.0.2.3".to_owned()]),
            (1, vec!["192.0.2.1".to_owned(), "192.0.2.8-192.0.2.11".to_owned()]),
            (2, vec!["192.0.2.4-192.0.2.5".to_owned()])
        ]
    );
    assert_eq!(read.reservations[0].reservee, Reservee::Service(ServiceId::new("shop", "web")));
    let edge = Selector::labels([("tier".to_owned(), "edge".to_owned())].into());
    assert_eq!(read.reservations[1].reservee, Reservee::Selected { namespace: None, selector: edge });
    let all = Reservee::Selected { namespace: Some("shop".into()), selector: Selector::default() };
    assert_eq!(read.reservations[2].reservee, all);
    assert_eq!((read.addresses_per_namespace, read.reuse_delay), (Some(3), Duration::from_secs(5400)));
    assert!(!read.withholds);
}

#[test]
fn a_fault_in_a_reservation_is_told_and_gives_the_address_to_nobody() {
    let web = |address: &str| json!({"address": address, "namespace": "shop", "name": "web"});
    for (entry, told, reservee_is_known, withholds) in [
        (web("192.0.2.300"), "[1].address: \"192.0.2.300\" is not an IP address; until", true, true),
        (json!({"namespace": "shop", "name": "web"}), "[1].address: it is empty", true, true),
        (web("198.51.100.1"), "[1].address: 198.51.100.1 is not given out by this Eip", true, false),
        (web("192.0.2.6-192.0.2.9"), "[1].address: 192.0.2.8-192.0.2.9 is not given out", true, false),
        (web("192.0.2.2"), "[1].address: 192.0.2.2 is not given out by this Eip", true, false),
        (web("192.0.2.0-192.0.2.1"), "[1].address: 192.0.2.1 is in spec.reservations[0] as well", true, false),
        (json!({"address": "192.0.2.3"}), "[1]: it does not say for whom", false, false),
        (json!({"address": "192.0.2.3", "namespace": "shop"}), "[1]: it does not say for whom", false, false),
        (json!({"address": "192.0.2.3", "name": "web"}), "[1]: a name without a namespace", false, false),
        (
            json!({"address": "192.0.2.3", "namespace": "n", "name": "web", "serviceSelector": {}}),
            "[1]: it has both name and serviceSelector",
            false,
            false,
        ),
        (
            json!({"address": "192.0.2.3", "serviceSelector": {"matchExpressions": [{"key": "a", "operator": "Like"}]}}),
            "[1]: \"Like\" is no operator",
            false,
            false,
        ),
    ] {
        let (bad, issues) = read(json!({
            "address": "192.0.2.0/29", "exclude": ["192.0.2.2"],
            "reservations": [{"address": "192.0.2.1", "namespace": "shop", "name": "db"}, entry],
        }));
        assert_eq!(issues.len(), 1, "{issues:?}");
        assert!(issues[0].starts_with(&format!("spec.reservations{told}")), "{issues:?}");
        assert_eq!(bad.reservations[1].reservee != Reservee::Nobody, reservee_is_known, "{told}");
        assert_eq!(bad.withholds, withholds, "{told}");
        assert_eq!(ranges(&bad.reservations[0].addresses), ["192.0.2.1"], "the first one counts: {told}");
        assert!(!bad.reservations[1].addresses.contains("192.0.2.1".parse().unwrap()), "{told}");
    }
}

#[test]
fn a_quota_or_delay_that_means_nothing_gives_nothing_away() {
    let (bad, issues) =
        read(json!({"address": "192.0.2.1", "quota": {"addressesPerNamespace": -1}, "reuseDelay": "soon"}));
    assert_eq!((bad.addresses_per_namespace, bad.reuse_delay), (Some(0), Duration::MAX));
    assert!(issues[0].starts_with("spec.quota.addressesPerNamespace: -1 is taken for 0: "), "{issues:?}");
    assert!(
        issues[1].starts_with("spec.reuseDelay: \"soon\" is no duration: write it as 90s, 5m or 1h30m"),
        "{issues:?}"
    );
    let (fine, issues) = read(json!({"address": "192.0.2.1", "quota": {}, "reuseDelay": ""}));
    assert_eq!((fine.addresses_per_namespace, fine.reuse_delay, issues.len()), (None, Duration::ZERO, 0));
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
                   "used": {"192.0.2.1": "default/b;default/a;default/b", "192.0.2.2": "shop/web", "192.0.2.3": "", "x": "default/c", "192.0.2.9": "nonsense"}},
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
