use super::*;
use crate::testing::*;

/// What is told of a Service that holds these.
fn told(snapshot: &Snapshot) -> Option<(ConditionStatus, String, String)> {
    let plan = planned(snapshot);
    let condition = Announcers::new(snapshot).condition(&plan.services[0].verdict)?;
    assert_eq!(condition.kind, ANNOUNCED);
    Some((condition.status, condition.reason, condition.message))
}

fn holding(addresses: &[&str]) -> Snapshot {
    let held = service("n/s").holds(addresses).dual(ironlb_model::FamilyPolicy::PreferDualStack);
    snapshot(&[eip("a", "10.0.0.1-10.0.0.9,fd00::/120")], &[held])
}

fn text(status: ConditionStatus, reason: &str, message: &str) -> Option<(ConditionStatus, String, String)> {
    Some((status, reason.to_owned(), message.to_owned()))
}

#[test]
fn the_node_that_answers_is_named() {
    let mut one = holding(&["10.0.0.1"]);
    add_speaker(&mut one, "n1", &[("10.0.0.2", "eth0")], &[]);
    add_speaker(&mut one, "n2", &[("10.0.0.1", "eth0")], &[]);
    assert_eq!(told(&one), text(ConditionStatus::True, "Layer2", "node n2 answers on eth0"));
    let mut two = holding(&["10.0.0.1", "fd00::1"]);
    add_speaker(&mut two, "n2", &[("10.0.0.1", "eth0"), ("fd00::1", "eth1")], &[]);
    let message = "10.0.0.1: node n2 answers on eth0; fd00::1: node n2 answers on eth1";
    assert_eq!(told(&two), text(ConditionStatus::True, "Layer2", message));
}

#[test]
fn why_nobody_announces_is_told() {
    let mut one = holding(&["10.0.0.1"]);
    assert_eq!(told(&one).unwrap().1, "NoSpeaker");
    add_speaker(&mut one, "n1", &[], &[]);
    assert_eq!(told(&one).unwrap().1, "NotYetAnnounced");
    add_speaker(&mut one, "n2", &[], &[("10.0.0.1", "NoReadyEndpoint", "no endpoint is ready")]);
    add_speaker(&mut one, "n3", &[], &[("10.0.0.1", "NoReadyEndpoint", "no endpoint is ready")]);
    add_speaker(&mut one, "n4", &[], &[("10.0.0.1", "Excluded", "excluded")]);
    let message = "no node announces it (n2: no endpoint is ready; n3: no endpoint is ready; and 1 more nodes)";
    assert_eq!(told(&one), text(ConditionStatus::False, "NoReadyEndpoint", message));
    add_speaker(&mut one, "n5", &[], &[("10.0.0.1", "Excluded", "excluded")]);
    assert_eq!(told(&one).unwrap().1, "Excluded", "of two as frequent the first by name");
    let mut odd = holding(&["10.0.0.1"]);
    add_speaker(&mut odd, "n1", &[], &[("10.0.0.1", "not a reason!", "m")]);
    assert_eq!(told(&odd).unwrap().1, "Withheld");
}

#[test]
fn one_vip_without_announcer_makes_the_service_not_announced() {
    let mut two = holding(&["10.0.0.1", "fd00::1"]);
    add_speaker(&mut two, "n2", &[("10.0.0.1", "eth0")], &[]);
    let (status, reason, _) = told(&two).unwrap();
    assert_eq!((status, reason.as_str()), (ConditionStatus::False, "NotYetAnnounced"));
}

#[test]
fn the_last_report_of_a_dead_node_does_not_count() {
    let mut one = holding(&["10.0.0.1"]);
    add_speaker(&mut one, "n1", &[("10.0.0.1", "eth0")], &[]);
    let mut dead = (*one.nodes[&NodeName::from("n1")]).clone();
    dead.ready = false;
    one.nodes.insert("n1".into(), std::sync::Arc::new(dead));
    assert_eq!(told(&one).unwrap().0, ConditionStatus::False);
    one.nodes.clear();
    assert_eq!(told(&one).unwrap().1, "NoSpeaker", "the node is gone, its Speaker object is left over");
}

#[test]
fn beyond_a_cut_list_nothing_is_known() {
    let mut one = holding(&["10.0.0.1"]);
    add_speaker(&mut one, "n1", &[("10.0.0.7", "eth0")], &[]);
    let mut cut = (*one.speakers[&NodeName::from("n1")]).clone();
    cut.owned_count = 5000;
    one.speakers.insert("n1".into(), std::sync::Arc::new(cut));
    assert_eq!(told(&one).unwrap().0, ConditionStatus::Unknown);
}

#[test]
fn without_a_vip_there_is_nothing_to_announce() {
    assert_eq!(told(&snapshot(&[], &[service("n/s")])), None);
}

/// Gives a node's report what it does in BGP.
fn advertise(snapshot: &mut Snapshot, node: &str, vips: &[&str], peers: &[&str]) {
    add_speaker(snapshot, node, &[], &[]);
    let report = std::sync::Arc::make_mut(snapshot.speakers.get_mut(&NodeName::from(node)).unwrap());
    report.bgp.advertised = vips.iter().map(|vip| ip(vip)).collect();
    report.bgp.advertised_count = u64::try_from(vips.len()).unwrap();
    report.bgp.established = peers.iter().map(|peer| (*peer).to_owned()).collect();
}

#[test]
fn the_nodes_that_advertise_it_are_counted_and_some_named() {
    let mut one = holding(&["10.0.0.1"]);
    advertise(&mut one, "n1", &["10.0.0.1"], &["leaf1"]);
    let message = "advertised by 1 node (n1) to 1 BgpPeer (leaf1)";
    assert_eq!(told(&one), text(ConditionStatus::True, "Bgp", message));
    for node in ["n2", "n3", "n4"] {
        advertise(&mut one, node, &["10.0.0.1"], &["leaf1", "leaf2"]);
    }
    advertise(&mut one, "n5", &["10.0.0.2"], &["leaf9"]);
    let message = "advertised by 4 nodes (n1, n2, n3, ...) to 2 BgpPeers (leaf1, leaf2)";
    assert_eq!(told(&one), text(ConditionStatus::True, "Bgp", message));
}

#[test]
fn where_thousands_are_advertised_no_condition_names_a_node() {
    let mut many = holding(&["10.0.0.1"]);
    let vips: Vec<String> = (0..=NAMED_UP_TO).map(|n| format!("10.0.{}.{}", n / 200, 1 + n % 200)).collect();
    let vips: Vec<&str> = vips.iter().map(String::as_str).collect();
    advertise(&mut many, "n1", &vips, &["leaf1"]);
    assert!(!told(&many).unwrap().2.contains("n1"));
    advertise(&mut many, "n1", &vips[1..], &["leaf1"]);
    assert!(told(&many).unwrap().1 != "Bgp", "the vip itself is in the list alone of the first");
    advertise(&mut many, "n1", &vips[..NAMED_UP_TO], &["leaf1"]);
    assert!(told(&many).unwrap().2.contains("n1"));
}
