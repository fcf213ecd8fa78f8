use std::sync::Arc;

use ironlb_model::{Asn, Issue, Neighbor, OwnSide, Peering};

use super::*;
use crate::testing::*;

fn peer(name: &str, nodes: &[&str]) -> Arc<BgpPeer> {
    let peering = Peering::new(Neighbor::Address(ip("192.0.2.254")), Asn::new(65001).unwrap());
    Arc::new(BgpPeer {
        name: name.to_owned(),
        peering: Some(peering),
        nodes: nodes.iter().map(|node| NodeName::from(*node)).collect(),
        ..BgpPeer::default()
    })
}

fn conf(own_side: OwnSide, nodes: &[(&str, &str)]) -> BgpConf {
    let nodes = nodes.iter().map(|(node, id)| (NodeName::from(*node), id.parse().ok()));
    BgpConf { name: "default".to_owned(), own_side: Some(own_side), nodes: nodes.collect(), ..BgpConf::default() }
}

fn own_side() -> OwnSide {
    OwnSide { asn: Asn::new(65000), ..OwnSide::default() }
}

/// One peer, a BgpConf, and nodes whose session with it is up or down for a reason.
fn site(sessions: &[(&str, Result<(), &str>)]) -> Snapshot {
    let mut site = snapshot(&[], &[]);
    site.bgp_peers.insert("leaf".to_owned(), peer("leaf", &[]));
    site.bgp_confs.insert("default".to_owned(), Arc::new(conf(own_side(), &[])));
    for (node, session) in sessions {
        set(&mut site, node, *session);
    }
    site
}

fn set(site: &mut Snapshot, node: &str, session: Result<(), &str>) {
    add_speaker(site, node, &[], &[]);
    let report = Arc::make_mut(site.speakers.get_mut(&NodeName::from(node)).unwrap());
    match session {
        Ok(()) => _ = report.bgp.established.insert("leaf".to_owned()),
        Err(why) => _ = report.bgp.down.insert("leaf".to_owned(), Some(why.to_owned())),
    }
}

fn shown(site: &Snapshot) -> (ConditionStatus, String, String) {
    let all = peer_conditions(site, &site.bgp_peers["leaf"]);
    let found = all.into_iter().find(|condition| condition.kind == ESTABLISHED).unwrap();
    (found.status, found.reason, found.message)
}

fn said(status: ConditionStatus, reason: &str, message: &str) -> (ConditionStatus, String, String) {
    (status, reason.to_owned(), message.to_owned())
}

#[test]
fn a_peer_shows_on_how_many_nodes_it_is_established_and_why_not_on_the_others() {
    for (sessions, want) in [
        (&[][..], said(ConditionStatus::False, "NoSession", "no node that it selects has reported a session yet")),
        (
            &[("n1", Ok(())), ("n2", Ok(()))],
            said(ConditionStatus::True, "AllEstablished", "established on 2 of 2 nodes"),
        ),
        (
            &[("n1", Ok(())), ("n2", Err("refused"))],
            said(ConditionStatus::False, "SomeDown", "established on 1 of 2 nodes (n2: refused)"),
        ),
        (
            &[("n1", Err("a")), ("n2", Err("b")), ("n3", Err("c")), ("n4", Err("d")), ("n5", Err("e"))],
            said(
                ConditionStatus::False,
                "NoneEstablished",
                "established on 0 of 5 nodes (n1: a; n2: b; n3: c; and 2 more nodes)",
            ),
        ),
    ] {
        assert_eq!(shown(&site(sessions)), want);
    }
    let mut off = site(&[]);
    off.bgp_confs.clear();
    assert_eq!(shown(&off).2, "there is no BgpConf named default with an AS number");
    let mut dead = site(&[("n1", Ok(()))]);
    Arc::make_mut(dead.nodes.get_mut(&NodeName::from("n1")).unwrap()).ready = false;
    assert_eq!(shown(&dead).2, "established on 0 of 1 nodes (n1: the node is not Ready)");
}

#[test]
fn a_peer_that_can_have_no_session_shows_the_reason() {
    let refuse = |site: &mut Snapshot, node: &str, reason: &str| {
        let report = Arc::make_mut(site.speakers.get_mut(&NodeName::from(node)).unwrap());
        report.bgp.refused.insert("leaf".to_owned(), reason.to_owned());
    };
    let mut site = site(&[("n1", Err("other has it")), ("n2", Err("other has it"))]);
    refuse(&mut site, "n1", "SameNeighbor");
    assert_eq!(shown(&site).1, "NoneEstablished", "on one of two nodes");
    refuse(&mut site, "n2", "SameNeighbor");
    let message = "established on 0 of 2 nodes (n1: other has it; n2: other has it)";
    assert_eq!(shown(&site), said(ConditionStatus::False, "SameNeighbor", message));
    refuse(&mut site, "n1", "no reason");
    refuse(&mut site, "n2", "no reason");
    assert_eq!(shown(&site).1, "NoneEstablished", "another version may report what the API would refuse");
}

#[test]
fn what_is_not_understood_is_not_accepted() {
    let mut faulty = site(&[]);
    let issue = |reason| Issue {
        object: ObjectRef::BgpPeer("leaf".to_owned()),
        field: "spec.conf.peerAs".to_owned(),
        reason,
        message: "missing".to_owned(),
    };
    faulty.issues = vec![issue(IssueReason::InvalidField)];
    let first = |site: &Snapshot| peer_conditions(site, &site.bgp_peers["leaf"]).remove(0);
    assert_eq!((first(&faulty).status, first(&faulty).reason.as_str()), (ConditionStatus::True, "AcceptedWithFaults"));
    Arc::make_mut(faulty.bgp_peers.get_mut("leaf").unwrap()).peering = None;
    assert_eq!(peer_conditions(&faulty, &faulty.bgp_peers["leaf"]).len(), 1, "there is no session to have");
    assert_eq!(
        (first(&faulty).status, first(&faulty).message.as_str()),
        (ConditionStatus::False, "spec.conf.peerAs: missing")
    );
    faulty.issues = vec![issue(IssueReason::Ignored)];
    assert_eq!(first(&faulty).reason, "Ignored");
}

#[test]
fn nodes_with_one_identifier_are_named_on_the_bgpconf() {
    let site = site(&[("n1", Ok(())), ("n2", Ok(())), ("n3", Ok(()))]);
    let ready = |own: OwnSide, nodes: &[(&str, &str)]| {
        let last = conf_conditions(&site, &conf(own, nodes)).pop().unwrap();
        (last.status, last.reason, last.message)
    };
    let (status, reason, _) = ready(own_side(), &[("n1", "192.0.2.1"), ("n2", "192.0.2.2")]);
    assert_eq!((status, reason.as_str()), (ConditionStatus::True, "Ready"));
    let same = [("n1", "192.0.2.1"), ("n2", "192.0.2.2"), ("n3", "192.0.2.1")];
    let message = "2 nodes have the BGP identifier 192.0.2.1 (n1, n3): give each node an InternalIP of its own";
    assert_eq!(ready(own_side(), &same), said(ConditionStatus::False, "RouterIdClash", message));
    let fixed = OwnSide { router_id: Some("192.0.2.1".parse().unwrap()), ..own_side() };
    assert!(ready(fixed, &same).2.contains("leave out spec.routerId"));
    let gone = [("n1", "192.0.2.1"), ("n9", "192.0.2.1")];
    assert_eq!(ready(own_side(), &gone).1, "Ready", "n9 is no node any more");
    assert_eq!(ready(OwnSide::default(), &[]).1, "NoAsn");
}

fn at(seconds: u64) -> Timestamp {
    Timestamp::ZERO + Duration::from_secs(seconds)
}

fn told(events: &[Event]) -> Vec<(&str, &str)> {
    events.iter().map(|event| (event.reason, event.message.as_str())).collect()
}

#[test]
fn sessions_that_come_and_go_are_told_together_and_not_over_and_over() {
    let mut watch = Watch::default();
    let mut site = site(&[("n1", Ok(())), ("n2", Err("x"))]);
    judge(&mut site);
    assert_eq!(watch.observe(&site, at(0)).0, [], "a new leader tells no old news");
    set(&mut site, "n2", Ok(()));
    let (events, wake) = watch.observe(&site, at(1));
    assert_eq!((told(&events), wake), (vec![("SessionUp", "session established on n2")], None));
    set(&mut site, "n1", Err("hold timer expired"));
    assert_eq!(watch.observe(&site, at(2)), (vec![], Some(at(11))), "the first was told a second ago");
    set(&mut site, "n2", Err("the connection was closed"));
    set(&mut site, "n3", Ok(()));
    assert_eq!(watch.observe(&site, at(3)), (vec![], Some(at(11))));
    let (events, _) = watch.observe(&site, at(11));
    let down = "session down on n1 (hold timer expired), n2 (the connection was closed)";
    assert_eq!(told(&events), [("SessionDown", down), ("SessionUp", "session established on n3")]);
    assert_eq!(watch.observe(&site, at(30)), (vec![], None), "told once");
}

#[test]
fn a_first_leader_tells_of_sessions_that_were_sooner_than_its_first_look() {
    let mut site = site(&[("n1", Ok(()))]);
    let events = Watch::default().observe(&site, at(0)).0;
    assert_eq!(told(&events), [("SessionUp", "session established on n1")]);
    judge(&mut site);
    assert_eq!(Watch::default().observe(&site, at(0)).0, [], "an earlier leader told it");
}

/// As a leader leaves the BgpPeer.
fn judge(site: &mut Snapshot) {
    let conditions = peer_conditions(site, &site.bgp_peers["leaf"]);
    Arc::make_mut(site.bgp_peers.get_mut("leaf").unwrap()).conditions = conditions;
}

#[test]
fn what_a_node_leaves_behind_is_removed_a_minute_after_it_is_gone() {
    let mut watch = Watch::default();
    let mut site = site(&[("n1", Ok(()))]);
    site.bgp_peers.insert("leaf".to_owned(), peer("leaf", &["n1", "n2"]));
    assert_eq!(watch.gone(&site, at(0)), ([].into(), Some(at(60))));
    assert_eq!(watch.gone(&site, at(59)), ([].into(), Some(at(60))));
    assert_eq!(watch.gone(&site, at(60)), ([NodeName::from("n2")].into(), None));
    add_speaker(&mut site, "n2", &[], &[]);
    assert_eq!(watch.gone(&site, at(61)), ([].into(), None), "it is back");
    site.nodes.remove(&NodeName::from("n2"));
    assert_eq!(watch.gone(&site, at(62)), ([].into(), Some(at(122))), "its Speaker is left");
}
