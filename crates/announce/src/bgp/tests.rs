use std::collections::BTreeSet;
use std::sync::Arc;

use ironlb_model::{
    Announcement, AsPathSettings, Asn, BgpConf, BgpPeer, BgpReport, Chain, Disposition, DrainCause, Eip,
    FamilySettings, IpFamily, Neighbor, NodeName, OwnSide, Peering, Prefix, PrivateAs, RouteAction, Selector,
    Statement, Timestamp, TrafficPolicy,
};

use super::*;
use crate::site::{edit_eip, edit_node, edit_service, ip, node_name, put_endpoints, put_service, service, site, vip};
use crate::{Announcements, SessionFacts, step};

fn own_side() -> OwnSide {
    OwnSide {
        asn: Asn::new(65000),
        listen_port: Some(179),
        families: [IpFamily::V4, IpFamily::V6].into(),
        ..OwnSide::default()
    }
}

fn conf(own_side: OwnSide) -> Arc<BgpConf> {
    Arc::new(BgpConf { name: "default".to_owned(), own_side: Some(own_side), ..BgpConf::default() })
}

fn peering(address: &str, asn: u32) -> Peering {
    Peering::new(Neighbor::Address(ip(address)), Asn::new(asn).unwrap())
}

fn put_peer(snapshot: &mut Snapshot, name: &str, peering: Peering) {
    let peer = BgpPeer { name: name.to_owned(), peering: Some(peering), ..BgpPeer::default() };
    snapshot.bgp_peers.insert(name.to_owned(), Arc::new(peer));
}

/// Nodes with a session each to one external peer, and Services in a pool with protocol bgp.
fn bgp_site(nodes: u32, services: u32) -> Snapshot {
    let mut snapshot = site(nodes, services);
    edit_eip(&mut snapshot, |eip| eip.announcement = Announcement::Bgp);
    snapshot.bgp_confs.insert("default".to_owned(), conf(own_side()));
    put_peer(&mut snapshot, "leaf1", peering("192.0.2.254", 65001));
    for n in 0..nodes {
        establish(&mut snapshot, n, &["leaf1"]);
    }
    snapshot
}

fn establish(snapshot: &mut Snapshot, n: u32, peers: &[&str]) {
    let report = Arc::make_mut(snapshot.speakers.get_mut(&node_name(n)).unwrap());
    report.bgp =
        BgpReport { established: peers.iter().map(|peer| (*peer).to_owned()).collect(), ..BgpReport::default() };
}

fn view(n: u32, nodes: u32) -> LocalView {
    LocalView {
        candidates: (0..nodes).map(node_name).collect(),
        bgp: true,
        ready: true,
        established: ["leaf1".to_owned()].into(),
        ..LocalView::new(node_name(n))
    }
}

fn at(seconds: u64) -> Timestamp {
    Timestamp::ZERO + Duration::from_secs(seconds)
}

fn decide_for(snapshot: &Snapshot, view: &LocalView, memory: &mut Memory, now: Timestamp) -> Announcements {
    step(snapshot, view, memory, now).announcements
}

/// The nodes that advertise the first vip.
fn advertisers(snapshot: &Snapshot, nodes: u32) -> BTreeSet<u32> {
    (0..nodes)
        .filter(|n| {
            let outcome = decide_for(snapshot, &view(*n, nodes), &mut Memory::default(), at(100));
            outcome.bgp.unwrap().vips.contains_key(&vip(0))
        })
        .collect()
}

/// Why the first vip is not advertised by the first node.
fn reason(snapshot: &Snapshot, nodes: u32) -> Option<&'static str> {
    let outcome = decide_for(snapshot, &view(0, nodes), &mut Memory::default(), at(100));
    let reason = outcome.withheld.get(&vip(0)).map(Reason::category);
    let is_advertised = outcome.bgp.unwrap().vips.contains_key(&vip(0));
    assert_ne!(reason.is_some(), is_advertised, "a vip is advertised or withheld");
    reason
}

#[test]
fn every_node_that_may_advertises() {
    let snapshot = bgp_site(3, 1);
    assert_eq!(advertisers(&snapshot, 3), [0, 1, 2].into());
}

#[test]
fn who_may_is_judged_by_selector_endpoints_and_peers() {
    let nodes = 5;
    let all: BTreeSet<u32> = (0..nodes).collect();
    type Change = fn(&mut Snapshot);
    let cases: [(&str, Change, BTreeSet<u32>); 9] = [
        ("nothing", |_| (), all.clone()),
        (
            "policy Local",
            |s| edit_service(s, "s0", |service| service.traffic_policy = TrafficPolicy::Local),
            [0, 1, 2].into(),
        ),
        ("no endpoint", |s| put_endpoints(s, "s0", &[]), [].into()),
        (
            "nodeSelector of the Eip",
            |s| {
                edit_node(s, 3, |node| node.labels = [("edge", "yes")].into());
                let edge = Selector::labels([("edge".to_owned(), "yes".to_owned())].into());
                edit_eip(s, |eip| eip.node_selector = Some(edge));
            },
            [3].into(),
        ),
        (
            "nodeSelector of the BgpPeer",
            |s| {
                edit_node(s, 4, |node| node.labels = [("edge", "yes")].into());
                let edge = Selector::labels([("edge".to_owned(), "yes".to_owned())].into());
                put_peer(s, "leaf1", Peering { node_selector: Some(edge), ..peering("192.0.2.254", 65001) });
            },
            [4].into(),
        ),
        ("another peer chosen", |s| edit_eip(s, |eip| eip.routes.peers = Some(["spine".to_owned()].into())), [].into()),
        (
            "no AS number",
            |s| _ = s.bgp_confs.insert("default".into(), conf(OwnSide { asn: None, ..own_side() })),
            [].into(),
        ),
        ("OpenELB", |s| s.openelb = vec!["Deployment a/b".to_owned()], [].into()),
        ("a node unknown to the API server", |s| _ = s.nodes.remove(&node_name(1)), [0, 2, 3, 4].into()),
    ];
    for (name, change, want) in cases {
        let mut snapshot = bgp_site(nodes, 1);
        change(&mut snapshot);
        assert_eq!(advertisers(&snapshot, nodes), want, "{name}");
    }
}

#[test]
fn each_refusal_has_its_reason() {
    type Change = fn(&mut Snapshot);
    let cases: [(&str, Change); 6] = [
        ("NoEndpoints", |s| put_endpoints(s, "s0", &[])),
        ("BgpNotConfigured", |s| s.bgp_confs.clear()),
        ("NoBgpPeer", |s| s.bgp_peers.clear()),
        ("NoBgpPeer", |s| edit_eip(s, |eip| eip.routes.peers = Some(BTreeSet::new()))),
        ("NodeNotSelected", |s| edit_eip(s, |eip| eip.node_selector = Some(Selector::never()))),
        ("NoLocalEndpoint", |s| {
            edit_service(s, "s0", |service| service.traffic_policy = TrafficPolicy::Local);
            put_endpoints(s, "s0", &[1]);
        }),
    ];
    for (want, change) in cases {
        let mut snapshot = bgp_site(3, 1);
        change(&mut snapshot);
        assert_eq!(reason(&snapshot, 3), Some(want));
    }
}

/// One node that is unwell leaves its routes to the others; what befalls all nodes withdraws nothing.
#[test]
fn a_node_steps_back_only_for_a_better_one_that_has_a_session() {
    let cordon = |snapshot: &mut Snapshot, nodes: &[u32]| {
        nodes.iter().for_each(|n| edit_node(snapshot, *n, |node| node.cordoned = true));
    };
    let mut one = bgp_site(3, 1);
    cordon(&mut one, &[0]);
    assert_eq!(advertisers(&one, 3), [1, 2].into());
    assert_eq!(reason(&one, 3), Some("OthersPreferred"));

    let mut all = bgp_site(3, 1);
    cordon(&mut all, &[0, 1, 2]);
    assert_eq!(advertisers(&all, 3), [0, 1, 2].into());

    let mut without_sessions = bgp_site(3, 1);
    cordon(&mut without_sessions, &[0]);
    establish(&mut without_sessions, 1, &[]);
    establish(&mut without_sessions, 2, &[]);
    assert_eq!(advertisers(&without_sessions, 3), [0, 1, 2].into(), "the others have no session");

    let mut drained = bgp_site(3, 1);
    (0..3).for_each(|n| edit_node(&mut drained, n, |node| node.drain = Some(DrainCause::Annotation)));
    assert_eq!(advertisers(&drained, 3), [0, 1, 2].into(), "the last ones do not drain");
    edit_node(&mut drained, 2, |node| node.drain = None);
    assert_eq!(advertisers(&drained, 3), [2].into());
    assert_eq!(reason(&drained, 3), Some("Draining"));
}

/// NotReady for a minute and more: one node leaves to the others, and where it is most of them that says nothing about them.
#[test]
fn a_node_that_is_not_ready_for_long_steps_back_unless_most_are() {
    for (unready, now, want) in [
        (&[0][..], 159, &[0, 1, 2][..]),
        (&[0], 160, &[1, 2]),
        (&[0, 1], 160, &[0, 1, 2]),
        (&[0, 1, 2], 160, &[0, 1, 2]),
        (&[0, 1, 2], 86_400, &[0, 1, 2]),
    ] {
        let mut snapshot = bgp_site(3, 1);
        unready.iter().for_each(|n| edit_node(&mut snapshot, *n, |node| node.ready = false));
        let advertises = |n: &u32| {
            let mut memory = Memory::default();
            decide_for(&snapshot, &view(*n, 3), &mut memory, at(100));
            let later = decide_for(&snapshot, &view(*n, 3), &mut memory, at(now)).bgp.unwrap();
            // One that steps back says so first.
            later.vips.get(&vip(0)).is_some_and(|route| route.withdraw_at.is_none())
        };
        assert_eq!((0..3).filter(advertises).collect::<Vec<_>>(), want, "{unready:?} NotReady since 100, at {now}");
    }
}

/// A node that cannot renew its Lease owns nothing in Layer 2, and goes on advertising.
#[test]
fn a_node_without_a_lease_goes_on_advertising() {
    let snapshot = bgp_site(3, 1);
    let alone = LocalView { candidates: BTreeSet::new(), ..view(0, 3) };
    let outcome = decide_for(&snapshot, &alone, &mut Memory::default(), at(1));
    assert!(outcome.bgp.unwrap().vips.contains_key(&vip(0)));
}

#[test]
fn a_vip_that_is_given_up_is_advertised_as_shut_down_for_a_while() {
    let mut snapshot = bgp_site(3, 1);
    let (view, mut memory) = (view(0, 3), Memory::default());
    let route = |outcome: &Announcements| outcome.bgp.as_ref().unwrap().vips.get(&vip(0)).cloned();
    assert_eq!(route(&decide_for(&snapshot, &view, &mut memory, at(10))).unwrap().withdraw_at, None);

    edit_node(&mut snapshot, 0, |node| node.drain = Some(DrainCause::Annotation));
    let leaving = decide_for(&snapshot, &view, &mut memory, at(20));
    assert_eq!(route(&leaving).unwrap().withdraw_at, Some(at(25)));
    assert_eq!(leaving.wake_at, Some(at(25)));
    assert_eq!(route(&decide_for(&snapshot, &view, &mut memory, at(24))).unwrap().withdraw_at, Some(at(25)));
    assert_eq!(route(&decide_for(&snapshot, &view, &mut memory, at(25))), None);
    assert_eq!(route(&decide_for(&snapshot, &view, &mut memory, at(26))), None, "it stays withdrawn");

    edit_node(&mut snapshot, 0, |node| node.drain = None);
    assert_eq!(route(&decide_for(&snapshot, &view, &mut memory, at(30))).unwrap().withdraw_at, None);
    edit_node(&mut snapshot, 0, |node| node.drain = Some(DrainCause::Annotation));
    put_endpoints(&mut snapshot, "s0", &[]);
    assert_eq!(
        route(&decide_for(&snapshot, &view, &mut memory, at(31))),
        None,
        "without endpoints there is nothing to wait for"
    );
}

fn facts() -> SessionFacts {
    SessionFacts { local_address: ip("10.255.0.1"), extended_next_hop: false, add_path: BTreeSet::new() }
}

/// What `leaf1` is told by the first node: prefix, next hop and attributes.
fn told(snapshot: &Snapshot, facts: &SessionFacts) -> Vec<(String, RouteValue)> {
    let plan = decide_for(snapshot, &view(0, 3), &mut Memory::default(), at(1)).bgp.unwrap();
    let routes = routes(&plan, "leaf1", &plan.sessions["leaf1"], facts, snapshot, &node_name(0));
    routes.into_iter().map(|(key, value)| (key.prefix.to_string(), value)).collect()
}

#[test]
fn a_policy_stops_a_route_and_one_that_is_not_there_stops_all() {
    let mut snapshot = bgp_site(3, 1);
    let named = OwnSide { policy: Some("export".to_owned()), ..own_side() };
    snapshot.bgp_confs.insert("default".to_owned(), conf(named));
    let decided = decide_for(&snapshot, &view(0, 3), &mut Memory::default(), at(1));
    assert_eq!(decided.withheld[&vip(0)].category(), "PolicyUnreadable");
    assert_eq!(decided.bgp.unwrap().sessions.len(), 1, "the session is there, and says nothing");
    assert_eq!(told(&snapshot, &facts()).len(), 0, "what the policy would stop is not known");
    let open = Policy { import: Chain::default(), export: Chain::default() };
    snapshot.policies.insert("export".to_owned(), Arc::new(open));
    assert_eq!(told(&snapshot, &facts()).len(), 1);
    let export = Chain { statements: Vec::new(), default: Disposition::Reject };
    snapshot.policies.insert("export".to_owned(), Arc::new(Policy { import: Chain::default(), export }));
    assert_eq!(told(&snapshot, &facts()).len(), 0);
}

/// Without a policy a path is the own number alone, so these settings are about what a policy puts into it.
#[test]
fn private_numbers_and_the_peers_own_go_out_as_its_bgppeer_says() {
    let (own, peer, private, long, public) = (65_000, 64_999, 64_512, 4_200_000_000, 3356);
    let mut snapshot = bgp_site(3, 1);
    snapshot.bgp_confs.insert("default".to_owned(), conf(OwnSide { policy: Some("export".to_owned()), ..own_side() }));
    let prepends = [public, private, peer, long, own].map(|number| RouteAction::Prepend(Some(number), 1));
    let statement =
        Statement { name: "s".to_owned(), conditions: Vec::new(), actions: prepends.into(), disposition: None };
    let export = Chain { statements: vec![statement], default: Disposition::Accept };
    snapshot.policies.insert("export".to_owned(), Arc::new(Policy { import: Chain::default(), export }));
    for (private_as, replace_peer, want) in [
        (PrivateAs::Keep, false, vec![own, long, peer, private, public, own]),
        (PrivateAs::Keep, true, vec![own, long, own, private, public, own]),
        (PrivateAs::Remove, false, vec![own, public, own]),
        (PrivateAs::Replace, false, vec![own, own, own, own, public, own]),
    ] {
        let as_path = AsPathSettings { private: private_as, replace_peer };
        put_peer(&mut snapshot, "leaf1", Peering { as_path, ..peering("192.0.2.254", peer) });
        assert_eq!(told(&snapshot, &facts())[0].1.attributes.as_path, want, "{as_path:?}");
    }
    let as_path = AsPathSettings { private: PrivateAs::Remove, replace_peer: true };
    put_peer(&mut snapshot, "leaf1", Peering { as_path, ..peering("192.0.2.254", own) });
    let internal = told(&snapshot, &facts())[0].1.attributes.as_path.clone();
    assert_eq!(internal, [own, long, peer, private, public], "to an internal peer the path stays as it is");
}

fn prefixes(snapshot: &Snapshot) -> Vec<String> {
    told(snapshot, &facts()).into_iter().map(|(prefix, _)| prefix).collect()
}

#[test]
fn a_vip_has_a_route_of_its_own_or_is_in_the_aggregate() {
    let mut snapshot = bgp_site(3, 2);
    assert_eq!(prefixes(&snapshot), ["10.0.0.0/32", "10.0.0.1/32"]);
    edit_eip(&mut snapshot, |eip| eip.routes.aggregation_v4 = Some(24));
    assert_eq!(prefixes(&snapshot), ["10.0.0.0/24"]);
    edit_service(&mut snapshot, "s1", |service| service.traffic_policy = TrafficPolicy::Local);
    assert_eq!(prefixes(&snapshot), ["10.0.0.0/24", "10.0.0.1/32"], "policy Local always has a route of its own");
}

#[test]
fn an_aggregate_without_a_discard_route_is_reported_while_it_is_advertised() {
    let mut snapshot = bgp_site(3, 2);
    let of: Prefix = "10.0.0.0/24".parse().unwrap();
    let view = LocalView { looping: [of, "10.1.0.0/24".parse().unwrap()].into(), ..view(0, 3) };
    let looping = |snapshot: &Snapshot| {
        let decided = decide_for(snapshot, &view, &mut Memory::default(), at(100));
        (decided.report.bgp.looping, decided.bgp.unwrap().aggregates())
    };
    assert_eq!(looping(&snapshot), (BTreeSet::new(), BTreeMap::new()), "host routes");
    edit_eip(&mut snapshot, |eip| eip.routes.aggregation_v4 = Some(24));
    // The vips are 10.0.0.0 and 10.0.0.1.
    assert_eq!(looping(&snapshot), ([of].into(), [(of, [ip("10.0.0.2"), ip("10.0.0.255")])].into()));
    edit_eip(&mut snapshot, |eip| eip.routes.aggregation_v4 = Some(31));
    let full: Prefix = "10.0.0.0/31".parse().unwrap();
    assert_eq!(looping(&snapshot), (BTreeSet::new(), [(full, [ip("10.0.0.0"), ip("10.0.0.1")])].into()), "full");
}

#[test]
fn an_external_peer_is_told_no_local_preference_and_an_internal_one_always() {
    let mut snapshot = bgp_site(3, 1);
    let change = |eip: &mut Eip| {
        eip.routes.med = Some(7);
        eip.routes.communities = [1].into();
        eip.routes.large_communities = [[1, 2, 3]].into();
        eip.routes.prepend = 2;
    };
    edit_eip(&mut snapshot, change);
    let external = told(&snapshot, &facts()).remove(0).1;
    assert_eq!(external.next_hop, ip("10.255.0.1"));
    assert_eq!(external.attributes.local_pref, None);
    assert_eq!((external.attributes.med, external.attributes.as_path.clone()), (Some(7), vec![65000; 3]));
    assert_eq!((external.attributes.communities.len(), external.attributes.large_communities.len()), (1, 1));
    put_peer(&mut snapshot, "leaf1", peering("192.0.2.254", 65000));
    let internal = told(&snapshot, &facts()).remove(0).1;
    assert_eq!((internal.attributes.local_pref, internal.attributes.as_path.len()), (Some(100), 0));
    edit_eip(&mut snapshot, |eip| eip.routes.local_pref = Some(50));
    assert_eq!(told(&snapshot, &facts()).remove(0).1.attributes.local_pref, Some(50));
}

#[test]
fn a_route_that_is_given_up_says_so() {
    let mut snapshot = bgp_site(3, 1);
    put_peer(&mut snapshot, "leaf1", peering("192.0.2.254", 65000));
    let (view, mut memory) = (view(0, 3), Memory::default());
    decide_for(&snapshot, &view, &mut memory, at(1));
    edit_node(&mut snapshot, 0, |node| node.drain = Some(DrainCause::Annotation));
    let plan = decide_for(&snapshot, &view, &mut memory, at(2)).bgp.unwrap();
    let told = routes(&plan, "leaf1", &plan.sessions["leaf1"], &facts(), &snapshot, &node_name(0));
    let attributes = &told.values().next().unwrap().attributes;
    assert_eq!((attributes.local_pref, attributes.communities.clone()), (Some(0), [0xFFFF_0000].into()));
}

#[test]
fn a_weighted_route_tells_how_many_endpoints_are_here() {
    let mut snapshot = bgp_site(3, 1);
    edit_eip(&mut snapshot, |eip| eip.routes.weighted = true);
    assert_eq!(told(&snapshot, &facts())[0].1.attributes.weight, None, "every node serves policy Cluster alike");
    edit_service(&mut snapshot, "s0", |service| service.traffic_policy = TrafficPolicy::Local);
    put_endpoints(&mut snapshot, "s0", &[0, 0, 1]);
    assert_eq!(told(&snapshot, &facts())[0].1.attributes.weight, Some(2));
}

/// With ADD-PATH the peer is told of the nodes it has no session with, in a bounded number; never of those it has one with.
#[test]
fn nodes_without_a_session_are_advertised_by_those_that_have_one() {
    let mut snapshot = bgp_site(3, 1);
    let with_paths = SessionFacts { add_path: [IpFamily::V4].into(), ..facts() };
    let next_hops = |snapshot: &Snapshot, facts: &SessionFacts| -> Vec<String> {
        told(snapshot, facts)
            .iter()
            .map(|(_, value)| value.next_hop.to_string())
            .collect::<BTreeSet<_>>()
            .into_iter()
            .collect()
    };
    assert_eq!(next_hops(&snapshot, &with_paths), ["10.255.0.1"], "the others have sessions of their own");
    edit_node(&mut snapshot, 0, |node| node.labels = [("edge", "yes")].into());
    let edge = Selector::labels([("edge".to_owned(), "yes".to_owned())].into());
    let only_one = Peering { node_selector: Some(edge), ..peering("192.0.2.254", 65001) };
    put_peer(&mut snapshot, "leaf1", only_one.clone());
    assert_eq!(next_hops(&snapshot, &with_paths), ["10.255.0.1", "10.255.0.2", "10.255.0.3"]);
    assert_eq!(next_hops(&snapshot, &facts()), ["10.255.0.1"], "without ADD-PATH there is one path");
    let two = [(IpFamily::V4, FamilySettings { add_path_send: 2, ..FamilySettings::default() })].into();
    put_peer(&mut snapshot, "leaf1", Peering { families: two, ..only_one.clone() });
    assert_eq!(next_hops(&snapshot, &with_paths), ["10.255.0.1", "10.255.0.2"]);
    put_peer(&mut snapshot, "leaf1", Peering { next_hop_self: true, ..only_one });
    assert_eq!(next_hops(&snapshot, &with_paths), ["10.255.0.1"]);
}

#[test]
fn a_route_goes_to_an_address_of_its_own_family() {
    let mut snapshot = bgp_site(3, 0);
    edit_node(&mut snapshot, 0, |node| node.addresses = vec![ip("10.255.0.1"), ip("2001:db8::1")]);
    snapshot.eips.insert(
        "six".into(),
        Arc::new(Eip { announcement: Announcement::Bgp, ..crate::site::eip("six", "2001:db8:1::/64") }),
    );
    let mut six = service("six", &[ip("2001:db8:1::5")]);
    six.families = vec![IpFamily::V6];
    put_service(&mut snapshot, six);
    put_endpoints(&mut snapshot, "six", &[0]);
    assert_eq!(prefixes(&snapshot), [""; 0], "IPv6 is not negotiated");
    let both = [IpFamily::V4, IpFamily::V6].map(|family| (family, FamilySettings::default()));
    put_peer(&mut snapshot, "leaf1", Peering { families: both.into(), ..peering("192.0.2.254", 65001) });
    let routes = told(&snapshot, &facts());
    assert_eq!((routes[0].0.as_str(), routes[0].1.next_hop), ("2001:db8:1::5/128", ip("2001:db8::1")));
    assert_eq!(routes[0].0.parse::<Prefix>().unwrap().prefix_len(), 128);
}

#[test]
fn racks_have_their_own_as_number_and_identifiers() {
    let mut snapshot = bgp_site(3, 1);
    let own = |snapshot: &Snapshot| {
        decide_for(snapshot, &view(0, 3), &mut Memory::default(), at(1)).bgp.unwrap().own.unwrap()
    };
    let racks = OwnSide {
        as_per_rack: Some([("a".to_owned(), Asn::new(65100).unwrap())].into()),
        router_id: Some("192.0.2.9".parse().unwrap()),
        ..own_side()
    };
    snapshot.bgp_confs.insert("default".to_owned(), conf(racks));
    assert_eq!((own(&snapshot).asn.get(), own(&snapshot).router_id.to_string()), (65000, "192.0.2.9".to_owned()));
    edit_node(&mut snapshot, 0, |node| node.labels = [("openelb.kubesphere.io/rack", "a")].into());
    assert_eq!((own(&snapshot).asn.get(), own(&snapshot).router_id.to_string()), (65100, "10.255.0.1".to_owned()));
}

#[test]
fn a_node_without_ipv4_still_has_an_identifier_and_it_is_its_own() {
    let node = |name: &str| ironlb_model::Node {
        name: NodeName::from(name),
        addresses: vec![ip("2001:db8::1")],
        ..crate::site::node(0)
    };
    // FNV-1a of "a" and of "b", from the reference tables of the hash's authors.
    assert_eq!(u32::from(router_id(&node("a"))), 0xe40c_292c);
    assert_eq!(u32::from(router_id(&node("b"))), 0xe70c_2de5);
}

#[test]
fn a_vip_whose_sessions_are_all_down_is_told() {
    let snapshot = bgp_site(1, 1);
    let down = LocalView { established: BTreeSet::new(), ..view(0, 1) };
    let outcome = decide_for(&snapshot, &down, &mut Memory::default(), at(1));
    let told: Vec<_> = outcome.report.withheld.iter().map(|withheld| withheld.reason.as_str()).collect();
    assert_eq!((told, outcome.report.bgp.advertised_count), (vec!["NoSession"], 0));
    let up = decide_for(&snapshot, &view(0, 1), &mut Memory::default(), at(1));
    assert_eq!((up.report.withheld.len(), up.report.bgp.advertised_count), (0, 1));
}
