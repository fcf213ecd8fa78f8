use std::collections::{BTreeMap, BTreeSet};

use ironlb_model::{
    Announcement, DrainCause, Endpoint, InterfaceChoice, NodeName, OptIn, Port, Selector, ServiceId, Snapshot,
    Timestamp, TrafficPolicy, Transport, WallTime,
};

use super::*;
use crate::site::{
    edit_eip, edit_node, edit_service, eip, interface, interfaces, ip, node_name, put_endpoints, put_service, reports,
    service, site, vip,
};
use crate::{ExcludeLabel, LocalView, Memory, Reason, Remark};

const NOW: Timestamp = Timestamp::from_millis(1_000_000);

/// What the speaker of the `n`th of `nodes` nodes knows when all are alive and nothing is owned.
fn view(n: u32, nodes: u32) -> LocalView {
    LocalView {
        interfaces: interfaces(n),
        candidates: (0..nodes).map(node_name).collect(),
        ready: true,
        ..LocalView::new(node_name(n))
    }
}

fn decide_at(n: u32, nodes: u32, site: &Snapshot) -> Announcements {
    decide(site, &view(n, nodes), &Memory::default(), NOW)
}

/// The nodes that would own `vip` if each decided by itself.
fn owners(site: &Snapshot, vip: IpAddr, views: &[LocalView]) -> Vec<NodeName> {
    let owns = |view: &&LocalView| decide(site, view, &Memory::default(), NOW).layer2.contains_key(&vip);
    views.iter().filter(owns).map(|view| view.node.clone()).collect()
}

fn views(nodes: u32) -> Vec<LocalView> {
    (0..nodes).map(|n| view(n, nodes)).collect()
}

fn reason_at(n: u32, nodes: u32, site: &Snapshot) -> &'static str {
    decide_at(n, nodes, site).withheld.get(&vip(0)).map_or("announced", Reason::category)
}

#[test]
fn what_keeps_a_vip_from_being_announced_by_anybody() {
    type Change = fn(&mut Snapshot);
    let rows: &[(&str, Change)] = &[
        ("announced", |_| {}),
        ("announced", |s| edit_eip(s, |e| e.announcement = Announcement::Vip)),
        ("announced", |s| edit_eip(s, |e| e.disabled = true)),
        ("announced", |s| edit_eip(s, |e| e.deleting = true)),
        ("ProtocolNotServed", |s| edit_eip(s, |e| e.announcement = Announcement::Bgp)),
        ("OpenElbRunning", |s| s.openelb.push("Deployment openelb-system/openelb-controller".to_owned())),
        ("NoPool", |s| s.eips.clear()),
        ("NoEndpoints", |s| s.endpoints.clear()),
        ("NoEndpoints", |s| put_endpoints(s, "s0", &[])),
        ("NodeNotSelected", |s| {
            edit_eip(s, |e| e.node_selector = Some(Selector::labels([("rack".into(), "1".into())].into())))
        }),
        ("InterfaceMissing", |s| edit_eip(s, |e| e.interface = InterfaceChoice::Named("eth9".into()))),
        ("CannotReach", |s| edit_eip(s, |e| e.interface = InterfaceChoice::CanReach(ip("203.0.113.1")))),
        ("NodeMissing", |s| s.nodes.clear()),
        ("NoLocalEndpoint", |s| {
            edit_service(s, "s0", |x| x.traffic_policy = TrafficPolicy::Local);
            s.endpoints.values_mut().for_each(|e| {
                Arc::make_mut(e).endpoints.iter_mut().for_each(|e| e.node = Some("elsewhere".into()));
            });
        }),
    ];
    for (want, change) in rows {
        let mut site = site(1, 1);
        change(&mut site);
        assert_eq!(reason_at(0, 1, &site), *want);
        let told: Vec<String> = decide_at(0, 1, &site).report.withheld.into_iter().map(|w| w.reason).collect();
        let nobody_to_tell = matches!(*want, "announced" | "NodeMissing");
        assert_eq!(told, if nobody_to_tell { vec![] } else { vec![(*want).to_owned()] }, "{want}");
    }
}

#[test]
fn a_service_that_is_not_ours_or_going_away_has_no_vip() {
    for change in [
        (|s| s.deleting = true) as fn(&mut ironlb_model::Service),
        |s| s.is_load_balancer = false,
        |s| s.opt_in = OptIn::Absent,
        |s| s.load_balancer_class = Some("other".to_owned()),
        |s| s.ingress.clear(),
    ] {
        let mut site = site(1, 1);
        edit_service(&mut site, "s0", change);
        let found = decide_at(0, 1, &site);
        assert!(found.layer2.is_empty() && found.withheld.is_empty());
    }
}

#[test]
fn a_speaker_that_is_not_ready_announces_nothing() {
    let mut view = view(0, 2);
    view.candidates.remove(&node_name(0));
    view.ready = false;
    let found = decide(&site(2, 3), &view, &Memory::default(), NOW);
    assert!(found.layer2.is_empty());
    assert!(found.withheld.values().all(|reason| *reason == Reason::SpeakerNotReady));
    assert!(found.report.withheld.is_empty(), "others tell");
}

#[test]
fn layer2_can_be_switched_off() {
    let mut view = view(0, 1);
    view.layer2.clear();
    let found = decide(&site(1, 1), &view, &Memory::default(), NOW);
    assert_eq!(found.withheld.get(&vip(0)), Some(&Reason::Layer2Disabled));
}

#[test]
fn a_family_that_is_not_served_is_withheld_and_told() {
    let mut view = view(0, 1);
    view.layer2 = [IpFamily::V6].into();
    let found = decide(&site(1, 1), &view, &Memory::default(), NOW);
    assert_eq!(found.withheld.get(&vip(0)), Some(&Reason::FamilyNotServed { family: IpFamily::V4 }));
    assert!(found.layer2.is_empty() && found.report.withheld.len() == 1);
}

#[test]
fn an_owner_keeps_its_vip_while_it_may() {
    let site = site(3, 1);
    let mut views = views(3);
    let first = owners(&site, vip(0), &views);
    assert_eq!(first.len(), 1);
    for n in 0..3 {
        for view in &mut views {
            view.owners.insert(vip(0), node_name(n));
        }
        assert_eq!(owners(&site, vip(0), &views), [node_name(n)]);
    }
    // Cordoned or excluded it is not what one would choose, yet moving would cost more.
    let mut site = site;
    edit_node(&mut site, 2, |n| (n.cordoned, n.excluded, n.ready) = (true, true, false));
    assert_eq!(owners(&site, vip(0), &views), [node_name(2)]);
    // Dead it is no candidate.
    for view in &mut views {
        view.candidates.remove(&node_name(2));
    }
    let next = owners(&site, vip(0), &views);
    assert!(next.len() == 1 && next != [node_name(2)]);
}

#[test]
fn the_better_preference_comes_before_the_hash() {
    type Change = fn(&mut ironlb_model::Node);
    let cordoned: Change = |n| n.cordoned = true;
    let excluded: Change = |n| n.excluded = true;
    let fine: Change = |_| {};
    for (changes, may) in
        [([cordoned, fine], 1), ([fine, cordoned], 0), ([excluded, cordoned], 1), ([cordoned, excluded], 0)]
    {
        let mut site = site(2, 20);
        for (n, change) in (0..).zip(changes) {
            edit_node(&mut site, n, change);
        }
        for n in 0..20 {
            assert_eq!(owners(&site, vip(n), &views(2)), [node_name(may)]);
        }
    }
}

#[test]
fn the_exclude_label_is_obeyed_as_it_is_set() {
    for (setting, all_excluded, want) in [
        (ExcludeLabel::Prefer, false, 1),
        (ExcludeLabel::Prefer, true, 2),
        (ExcludeLabel::Strict, false, 1),
        (ExcludeLabel::Strict, true, 0),
        (ExcludeLabel::Ignore, false, 2),
        (ExcludeLabel::Ignore, true, 2),
    ] {
        let mut site = site(2, 20);
        edit_node(&mut site, 0, |n| n.excluded = true);
        edit_node(&mut site, 1, |n| n.excluded = all_excluded);
        let views: Vec<LocalView> =
            views(2).into_iter().map(|view| LocalView { exclude_label: setting, ..view }).collect();
        let nodes: BTreeSet<NodeName> = (0..20).flat_map(|n| owners(&site, vip(n), &views)).collect();
        assert_eq!(nodes.len(), want, "{setting:?} {all_excluded}");
        if want == 0 {
            let found = decide(&site, &views[0], &Memory::default(), NOW);
            assert_eq!(found.withheld.get(&vip(0)), Some(&Reason::ExcludedByLabel));
        }
    }
}

#[test]
fn a_node_counts_as_down_after_a_minute_unless_most_are() {
    for (down, since, want) in
        [(vec![0], 59, vec![0, 1, 2]), (vec![0], 60, vec![1, 2]), (vec![0, 1], 60, vec![0, 1, 2])]
    {
        let mut site = site(3, 30);
        let mut memory = Memory::default();
        for n in down {
            edit_node(&mut site, n, |node| node.ready = false);
            memory.not_ready_since.insert(node_name(n), NOW - std::time::Duration::from_secs(since));
        }
        let owns = |n: &u32| !decide(&site, &view(*n, 3), &memory, NOW).layer2.is_empty();
        assert_eq!((0..3).filter(owns).collect::<Vec<_>>(), want);
        let wakes = decide(&site, &view(1, 3), &memory, NOW).wake_at;
        assert_eq!(wakes.is_some(), since < 60, "time alone changes it only before");
    }
}

#[test]
fn local_policy_takes_only_nodes_with_a_usable_endpoint() {
    let mut site = site(4, 1);
    edit_service(&mut site, "s0", |s| s.traffic_policy = TrafficPolicy::Local);
    for n in 0..4 {
        put_endpoints(&mut site, "s0", &[n]);
        assert_eq!(owners(&site, vip(0), &views(4)), [node_name(n)]);
    }
    assert_eq!(reason_at(0, 4, &site), "NoLocalEndpoint");

    let endpoint = |n, ready, terminating| Endpoint { node: Some(node_name(n)), ready, serving: true, terminating };
    let mut put = |endpoints: Vec<Endpoint>| {
        site.endpoints.insert(ServiceId::new("default", "s0"), Arc::new(Endpoints { endpoints }));
        owners(&site, vip(0), &views(4))
    };
    use ironlb_model::Endpoints;
    assert_eq!(put(vec![endpoint(1, false, true), endpoint(2, true, false)]), [node_name(2)]);
    assert_eq!(put(vec![endpoint(1, false, true)]), [node_name(1)], "the last one that still serves");
    assert_eq!(put(vec![endpoint(1, false, false)]), [], "serving although not ready and not going away: unready");
}

#[test]
fn only_nodes_on_the_subnet_are_taken_if_there_are_any() {
    let mut site = site(3, 1);
    site.speakers.insert(node_name(1), reports(1, &[("eth0", true, &["192.0.2.1/24"])]).into());
    let mut views = views(3);
    views[1].interfaces.by_name = [("eth0".into(), interface("eth0", &["192.0.2.1/24"]))].into();
    edit_node(&mut site, 1, |n| n.addresses = vec![ip("192.0.2.1")]);
    for n in [0, 2] {
        for view in &mut views {
            view.owners.insert(vip(0), node_name(1));
            view.candidates = [node_name(1), node_name(n)].into();
        }
        assert_eq!(owners(&site, vip(0), &views), [node_name(n)], "even the owner yields");
        let found = decide(&site, &views[1], &Memory::default(), NOW);
        assert_eq!(found.withheld.get(&vip(0)), Some(&Reason::NotOnSubnet));
    }
    // Alone it is better than nobody.
    for view in &mut views {
        view.candidates = [node_name(1)].into();
    }
    let found = decide(&site, &views[1], &Memory::default(), NOW);
    let spec = found.layer2.get(&vip(0)).unwrap();
    assert_eq!((spec.interface.as_str(), spec.remarks.as_slice()), ("eth0", &[Remark::OffSubnet][..]));
}

#[test]
fn an_address_bound_to_an_interface_is_no_subnet() {
    // kube-proxy in IPVS mode binds every vip on every node.
    let mut site = site(2, 1);
    let bound = format!("{}/32", vip(0));
    site.speakers.insert(node_name(0), reports(0, &[("kube-ipvs0", true, &[&bound])]).into());
    let mut views = views(2);
    views[0].interfaces.by_name = [("kube-ipvs0".into(), interface("kube-ipvs0", &[&bound]))].into();
    assert_eq!(owners(&site, vip(0), &views), [node_name(1)]);
}

#[test]
fn a_node_being_emptied_hands_over_unless_it_is_the_last() {
    let mut site = site(2, 1);
    edit_node(&mut site, 0, |n| n.drain = Some(DrainCause::Annotation));
    let mut views = views(2);
    for view in &mut views {
        view.owners.insert(vip(0), node_name(0));
    }
    assert_eq!(owners(&site, vip(0), &views), [node_name(1)]);
    assert_eq!(reason_at(0, 2, &site), "Draining");
    edit_node(&mut site, 1, |n| n.drain = Some(DrainCause::OutOfService));
    let found = decide(&site, &views[0], &Memory::default(), NOW);
    assert_eq!(found.layer2.get(&vip(0)).unwrap().remarks, [Remark::DrainRefusedLast]);
}

#[test]
fn a_vip_whose_eip_is_gone_keeps_its_last_settings() {
    let mut site = site(1, 1);
    edit_eip(&mut site, |e| e.announcement = Announcement::Vip);
    let mut memory = Memory::default();
    let seen = crate::step(&site, &view(0, 1), &mut memory, NOW);
    assert_eq!(seen.announcements.layer2.get(&vip(0)).unwrap().remarks, [Remark::VipAsLayer2]);
    site.eips.clear();
    let found = crate::step(&site, &view(0, 1), &mut memory, NOW).announcements;
    assert_eq!(found.layer2.get(&vip(0)).unwrap().remarks, [Remark::PoolMissing, Remark::VipAsLayer2]);
    assert_eq!(decide_at(0, 1, &site).withheld.get(&vip(0)), Some(&Reason::NoPool), "who has never seen one");
}

#[test]
fn a_vip_outside_every_spec_belongs_to_the_eip_that_lists_it() {
    let mut site = site(1, 1);
    let vip = ip("203.0.113.7");
    put_service(&mut site, service("s0", &[vip]));
    assert_eq!(decide_at(0, 1, &site).withheld.get(&vip), Some(&Reason::NoPool));
    let mut lists = eip("lists", "198.51.100.0/24");
    lists.status.used.insert(vip, [ServiceId::new("default", "s0")].into());
    site.eips.insert("lists".into(), lists.into());
    let found = decide_at(0, 1, &site);
    assert_eq!(found.layer2.get(&vip).unwrap().eip.as_str(), "lists");
}

#[test]
fn of_overlapping_eips_the_one_that_came_first_counts() {
    let mut site = site(1, 1);
    let mut younger = eip("a-younger", "10.0.0.0/30");
    younger.created = WallTime(1_800_000_000);
    site.eips.insert("a-younger".into(), younger.into());
    assert_eq!(decide_at(0, 1, &site).layer2.get(&vip(0)).unwrap().eip.as_str(), "pool");
    let ready = |status| ironlb_model::Condition {
        kind: "Ready".to_owned(),
        status,
        reason: String::new(),
        message: String::new(),
    };
    let younger = Arc::make_mut(site.eips.get_mut(&"a-younger".into()).unwrap());
    younger.status.conditions.push(ready(ironlb_model::ConditionStatus::True));
    assert_eq!(decide_at(0, 1, &site).layer2.get(&vip(0)).unwrap().eip.as_str(), "a-younger");
}

#[test]
fn services_that_share_are_announced_from_the_union() {
    let mut site = site(3, 0);
    for (name, number, policy, nodes) in [("a", 80, TrafficPolicy::Local, [1]), ("b", 443, TrafficPolicy::Local, [2])] {
        let ports = BTreeSet::from([Port { transport: Transport::Tcp, number }]);
        put_service(&mut site, ironlb_model::Service { ports, traffic_policy: policy, ..service(name, &[vip(0)]) });
        put_endpoints(&mut site, name, &nodes);
    }
    let owner = owners(&site, vip(0), &views(3));
    assert!(owner == [node_name(1)] || owner == [node_name(2)]);
    assert_eq!(reason_at(0, 3, &site), "NoLocalEndpoint");
    let n = if owner == [node_name(1)] { 1 } else { 2 };
    assert_eq!(decide_at(n, 3, &site).layer2.get(&vip(0)).unwrap().remarks, [Remark::Union]);
}

#[test]
fn of_two_services_with_one_port_the_older_is_served() {
    let mut site = site(2, 0);
    for (name, created, node) in [("a", 20, 0), ("b", 10, 1)] {
        let service = ironlb_model::Service { created: WallTime(created), ..service(name, &[vip(0)]) };
        put_service(&mut site, ironlb_model::Service { traffic_policy: TrafficPolicy::Local, ..service });
        put_endpoints(&mut site, name, &[node]);
    }
    assert_eq!(owners(&site, vip(0), &views(2)), [node_name(1)], "where the older one's endpoint is");
    let found = decide_at(1, 2, &site);
    assert_eq!(found.layer2.get(&vip(0)).unwrap().service.name.as_ref(), "b");
    let told: Vec<&str> = found.report.withheld.iter().map(|w| w.reason.as_str()).collect();
    assert_eq!(told, ["PortClash"]);
    assert!(decide_at(0, 2, &site).report.withheld.is_empty(), "one tells");
    // It was given later, so it is the newer one, whatever its age.
    edit_service(&mut site, "b", |s| s.assigned_at = Some(WallTime(30)));
    assert_eq!(owners(&site, vip(0), &views(2)), [node_name(0)]);
    // One was given it, and of the other, which has no time, only the status says so: somebody wrote it there.
    edit_service(&mut site, "b", |s| s.remembered = vec![vip(0)]);
    assert_eq!(owners(&site, vip(0), &views(2)), [node_name(1)]);
    edit_service(&mut site, "a", |s| s.has_openelb_finalizer = true);
    assert_eq!(owners(&site, vip(0), &views(2)), [node_name(0)], "OpenELB gave it that one, before ironlb came");
}

#[test]
fn a_report_lists_what_is_answered_and_counts_exactly() {
    let site = site(1, 1100);
    let mut view = view(0, 1);
    view.may_answer = (0..1050).map(vip).collect();
    let found = decide(&site, &view, &Memory::default(), NOW);
    assert_eq!(found.layer2.len(), 1100);
    assert_eq!((found.report.owned_count, found.report.owned.len()), (1050, crate::MAX_OWNED));
    let nics: Vec<&str> = found.report.interfaces.iter().map(|i| i.name.as_str()).collect();
    assert_eq!(nics, ["cni0", "eth0"], "the loopback is nobody's business");
}

#[test]
fn load_is_bounded() {
    let site = site(10, 1000);
    let shares: Vec<usize> = (0..10).map(|n| decide_at(n, 10, &site).layer2.len()).collect();
    assert_eq!(shares.iter().sum::<usize>(), 1000);
    assert!(shares.iter().all(|share| *share <= 125), "{shares:?}");
}

#[test]
fn what_a_dead_node_had_is_shared_out_and_nothing_else_moves() {
    let site = site(5, 200);
    let mut views = views(5);
    let owned: BTreeMap<IpAddr, NodeName> = views
        .iter()
        .flat_map(|view| {
            let node = view.node.clone();
            decide(&site, view, &Memory::default(), NOW).layer2.into_keys().map(move |vip| (vip, node.clone()))
        })
        .collect();
    assert_eq!(owned.len(), 200);
    for view in &mut views {
        view.owners = owned.clone();
        view.owners.retain(|_, node| *node != node_name(4));
        view.candidates.remove(&node_name(4));
    }
    let mut shares = BTreeMap::new();
    for view in &views[..4] {
        let now_own = decide(&site, view, &Memory::default(), NOW).layer2;
        assert!(owned.iter().filter(|(_, n)| **n == view.node).all(|(vip, _)| now_own.contains_key(vip)));
        shares.insert(view.node.clone(), now_own.len());
    }
    assert_eq!(shares.values().sum::<usize>(), 200);
    assert!(shares.values().all(|share| *share <= 63), "ceil(1.25 x 50): {shares:?}");
}

#[test]
fn a_route_only_its_node_knows_is_left_to_that_node_to_judge() {
    // 203.0.113.1 lies behind a router: each node knows its own route alone.
    let mut site = site(3, 1);
    let target = ip("203.0.113.1");
    edit_eip(&mut site, |e| e.interface = InterfaceChoice::CanReach(target));
    let mut views = views(3);
    for view in &mut views[..2] {
        view.can_reach.insert(target, "eth0".into());
    }
    // Each that could elects itself, and the claims settle it; who could not waits for nobody in particular.
    assert_eq!(owners(&site, vip(0), &views), [node_name(0), node_name(1)]);
    assert_eq!(decide(&site, &views[2], &Memory::default(), NOW).withheld[&vip(0)].category(), "CannotReach");
    for view in &mut views {
        view.owners.insert(vip(0), node_name(1));
    }
    assert_eq!(owners(&site, vip(0), &views), [node_name(1)]);
    // On a subnet of all it is known to all.
    edit_eip(&mut site, |e| e.interface = InterfaceChoice::CanReach(crate::site::node_address(77)));
    for view in &mut views {
        view.owners.clear();
        view.can_reach.insert(crate::site::node_address(77), "eth0".into());
    }
    assert_eq!(owners(&site, vip(0), &views).len(), 1);
}
