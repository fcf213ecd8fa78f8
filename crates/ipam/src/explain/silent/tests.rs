//! A row for each thing that keeps a node from it.

use ironlb_model::{Announcement, Endpoint, Endpoints, Selector};

use crate::explain::explain;
use crate::testing::*;

use super::*;

/// Two nodes: n1 advertises the vip to `leaf1`, and n2 has a session with `leaf1` as well, and does not say more.
fn site() -> Snapshot {
    let pool = eip("a", "10.0.0.1-10.0.0.9").with(|e| e.announcement = Announcement::Bgp);
    let mut site = snapshot(&[pool], &[service("n/s").holds(&["10.0.0.1"])]);
    for node in ["n1", "n2"] {
        add_speaker(&mut site, node, &[], &[]);
        edit_report(&mut site, node, |report| _ = report.bgp.established.insert("leaf1".to_owned()));
    }
    edit_report(&mut site, "n1", |report| {
        report.bgp.advertised = [ip("10.0.0.1")].into();
        report.bgp.advertised_count = 1;
    });
    site
}

fn edit_report(site: &mut Snapshot, node: &str, edit: impl FnOnce(&mut SpeakerReport)) {
    edit(std::sync::Arc::make_mut(site.speakers.get_mut(&NodeName::from(node)).unwrap()));
}

fn edit_node(site: &mut Snapshot, node: &str, edit: impl FnOnce(&mut Node)) {
    edit(std::sync::Arc::make_mut(site.nodes.get_mut(&NodeName::from(node)).unwrap()));
}

fn edit_eip(site: &mut Snapshot, edit: impl FnOnce(&mut Eip)) {
    edit(std::sync::Arc::make_mut(site.eips.get_mut(&EipName::from("a")).unwrap()));
}

/// What is told of the nodes that do not say why.
fn told(site: &Snapshot) -> Vec<String> {
    let explained = explain(site, &ironlb_model::ServiceId::new("n", "s")).unwrap();
    explained.vips[0].silent.iter().map(|(node, why)| format!("{} {}", node.as_str(), why.category())).collect()
}

#[test]
fn each_thing_that_keeps_a_node_from_it_is_told() {
    type Edit = fn(&mut Snapshot);
    let rows: [(Edit, &str); 11] = [
        (|_| {}, "NotYetAnnounced"),
        (|site| _ = site.speakers.remove(&NodeName::from("n2")), "NoSpeaker"),
        (|site| edit_node(site, "n2", |node| node.ready = false), "NodeNotReady"),
        (|site| edit_report(site, "n2", |report| report.ready = false), "SpeakerNotReady"),
        (
            |site| {
                edit_node(site, "n1", |node| node.labels = [("edge", "yes")].into());
                let edge = Selector::labels([("edge".to_owned(), "yes".to_owned())].into());
                edit_eip(site, |eip| eip.node_selector = Some(edge));
            },
            "NodeNotSelected",
        ),
        (|site| edit_report(site, "n2", |report| report.bgp.established.clear()), "NoBgpPeer"),
        (|site| edit_eip(site, |eip| eip.routes.peers = Some(["leaf7".to_owned()].into())), "NoBgpPeer"),
        (
            |site| {
                edit_report(site, "n2", |report| {
                    report.bgp.established.clear();
                    report.bgp.down.insert("leaf1".to_owned(), Some("connection refused".to_owned()));
                });
            },
            "NoSession",
        ),
        (|site| edit_node(site, "n2", |node| node.drain = Some(DrainCause::Annotation)), "Draining"),
        (|site| edit_node(site, "n2", |node| node.cordoned = true), "OthersPreferred"),
        (|site| edit_report(site, "n2", |report| report.bgp.advertised_count = 5000), "NotListed"),
    ];
    for (edit, want) in rows {
        let mut site = site();
        edit(&mut site);
        assert_eq!(told(&site), [format!("n2 {want}")]);
    }
}

#[test]
fn a_local_service_is_advertised_where_its_endpoints_are() {
    let mut site = site();
    let local = service("n/s").holds(&["10.0.0.1"]).with(|s| s.traffic_policy = TrafficPolicy::Local);
    let on_n1 = Endpoint { node: Some("n1".into()), ready: true, serving: true, terminating: false };
    site.endpoints.insert(local.id.clone(), Endpoints { endpoints: vec![on_n1] }.into());
    site.services.insert(local.id.clone(), local.into());
    assert_eq!(told(&site), ["n2 NoLocalEndpoint"]);
}

#[test]
fn only_peers_that_may_have_it_are_told() {
    let mut site = site();
    edit_report(&mut site, "n1", |report| _ = report.bgp.established.insert("leaf7".to_owned()));
    edit_eip(&mut site, |eip| eip.routes.peers = Some(["leaf7".to_owned()].into()));
    let explained = explain(&site, &ironlb_model::ServiceId::new("n", "s")).unwrap();
    assert_eq!(explained.vips[0].advertising, [("n1".into(), BTreeSet::from(["leaf7".to_owned()]))]);
    let announced = explained.conditions.iter().find(|told| told.kind == crate::ANNOUNCED).unwrap();
    assert_eq!(announced.message, "advertised by 1 node (n1) to 1 BgpPeer (leaf7)");
}

#[test]
fn what_one_node_tells_for_all_is_not_guessed_at_again() {
    let mut site = site();
    add_speaker(&mut site, "n1", &[], &[("10.0.0.1", "NoEndpoints", "no endpoint is ready")]);
    assert_eq!(told(&site), Vec::<String>::new());
    // A session that is down is told by each node for itself.
    add_speaker(&mut site, "n1", &[], &[("10.0.0.1", "NoSession", "no session is established with leaf1")]);
    assert_eq!(told(&site), ["n2 NotYetAnnounced"]);
    // In Layer 2 one node is enough.
    edit_eip(&mut site, |eip| eip.announcement = Announcement::Layer2);
    assert_eq!(told(&site), Vec::<String>::new());
}
