//! What must hold for every site and every view, shown to fail on a decision that is wrong on purpose.

use std::collections::{BTreeMap, BTreeSet};

use ironlb_model::{DrainCause, InterfaceChoice, Labels, NodeName, Selector, ServiceId, TrafficPolicy};
use proptest::prelude::*;

use super::*;
use crate::site::{
    edit_eip, edit_node, interface, interfaces, node_name, put_endpoints, put_service, report, service, site, vip,
};
use crate::{Applied, ExcludeLabel, diff};

const NOW: Timestamp = Timestamp::from_millis(1_000_000);

/// A decision: the real one, or one that is wrong on purpose.
type Decide = fn(&Snapshot, &LocalView, &Memory, Timestamp) -> Announcements;

/// A site, and what each of its speakers knows; all see the same.
#[derive(Debug, Clone)]
struct Site {
    snapshot: Snapshot,
    views: Vec<LocalView>,
}

prop_compose! {
    fn any_service(nodes: u32)(
        vips in prop::collection::btree_set(0..12_u32, 1..3),
        is_local in any::<bool>(),
        on in prop::collection::btree_set(0..nodes, 0..4),
        port in 80..83_u16,
        created in 0..3_i64,
    ) -> (Vec<u32>, bool, Vec<u32>, u16, i64) {
        (vips.into_iter().collect(), is_local, on.into_iter().collect(), port, created)
    }
}

prop_compose! {
    fn any_site()(nodes in 1..6_u32)(
        services in prop::collection::vec(any_service(nodes), 0..12),
        marks in prop::collection::vec((any::<bool>(), any::<bool>(), any::<bool>(), 0..6_u8, any::<bool>()), nodes as usize),
        alive in prop::collection::vec(prop::bool::weighted(0.8), nodes as usize),
        owners in prop::collection::btree_map(0..12_u32, 0..nodes, 0..12),
        selects in any::<bool>(),
        choice in 0..3_u8,
        exclude in 0..3_u8,
        nodes in Just(nodes),
    ) -> Site {
        let mut snapshot = site(nodes, 0);
        for (n, (cordoned, excluded, ready, drain, is_off_lan)) in (0..).zip(marks) {
            edit_node(&mut snapshot, n, |node| {
                (node.cordoned, node.excluded, node.ready) = (cordoned, excluded, ready);
                node.drain = (drain == 0).then_some(DrainCause::Annotation);
                node.labels = [("rack", (n % 2).to_string())].into();
            });
            let mut reported = report(n);
            if is_off_lan && choice == 0 {
                reported.interfaces.retain(|i| i.name.as_str() != "eth0");
            }
            snapshot.speakers.insert(node_name(n), Arc::new(reported));
        }
        edit_eip(&mut snapshot, |eip| {
            eip.node_selector = selects.then(|| Selector::labels([("rack".to_owned(), "0".to_owned())].into()));
            eip.interface = if choice == 2 { InterfaceChoice::Named("eth0".into()) } else { InterfaceChoice::BySubnet };
        });
        for (n, (vips, is_local, on, port, created)) in services.into_iter().enumerate() {
            let addresses: Vec<IpAddr> = vips.into_iter().map(vip).collect();
            let mut service = service(&format!("s{n}"), &addresses);
            service.traffic_policy = if is_local { TrafficPolicy::Local } else { TrafficPolicy::Cluster };
            service.ports = [ironlb_model::Port { transport: ironlb_model::Transport::Tcp, number: port }].into();
            service.created = ironlb_model::WallTime(created);
            put_service(&mut snapshot, service);
            put_endpoints(&mut snapshot, &format!("s{n}"), &on);
        }
        let candidates: BTreeSet<NodeName> =
            alive.iter().zip(0..).filter(|(alive, _)| **alive).map(|(_, n)| node_name(n)).collect();
        let owners: BTreeMap<IpAddr, NodeName> = owners.into_iter().map(|(v, n)| (vip(v), node_name(n))).collect();
        let owners: BTreeMap<IpAddr, NodeName> = owners.into_iter().filter(|(_, n)| candidates.contains(n)).collect();
        let exclude_label = [ExcludeLabel::Prefer, ExcludeLabel::Strict, ExcludeLabel::Ignore][usize::from(exclude)];
        let views = (0..nodes)
            .filter(|n| candidates.contains(&node_name(*n)))
            .map(|n| {
                let mut own = interfaces(n);
                let is_on_lan = |name: &str| snapshot.speakers[&node_name(n)].interfaces.iter().any(|i| i.name.as_str() == name);
                own.by_name.retain(|name, _| name.as_str() == "lo" || is_on_lan(name.as_str()));
                LocalView {
                    interfaces: own,
                    candidates: candidates.clone(),
                    owners: owners.clone(),
                    ready: true,
                    exclude_label,
                    ..LocalView::new(node_name(n))
                }
            })
            .collect();
        Site { snapshot, views }
    }
}

/// Every vip that a Service of the site holds.
fn vips(site: &Site) -> BTreeSet<IpAddr> {
    site.snapshot.services.values().flat_map(|s| s.addresses().collect::<Vec<_>>()).collect()
}

fn all(site: &Site, decide: Decide) -> Vec<Announcements> {
    site.views.iter().map(|view| decide(&site.snapshot, view, &Memory::default(), NOW)).collect()
}

fn owners_of(site: &Site, found: &[Announcements], vip: IpAddr) -> Vec<NodeName> {
    let owning = site.views.iter().zip(found).filter(|(_, f)| f.layer2.contains_key(&vip));
    owning.map(|(view, _)| view.node.clone()).collect()
}

/// Every vip is either announced or withheld by each node.
fn each_vip_is_in_exactly_one(site: &Site, decide: Decide) -> Result<(), String> {
    for found in all(site, decide) {
        let (announced, withheld): (BTreeSet<IpAddr>, BTreeSet<IpAddr>) =
            (found.layer2.keys().copied().collect(), found.withheld.keys().copied().collect());
        if announced.intersection(&withheld).next().is_some() || &announced | &withheld != vips(site) {
            return Err(format!("{announced:?} {withheld:?}"));
        }
    }
    Ok(())
}

/// Nodes with one view agree: one owner, or none and each has a reason of its own.
fn one_owner_or_a_reason_each(site: &Site, decide: Decide) -> Result<(), String> {
    let found = all(site, decide);
    for vip in vips(site) {
        match owners_of(site, &found, vip).as_slice() {
            [_] => {}
            [] => {
                let says_elsewhere = |f: &Announcements| {
                    matches!(
                        f.withheld.get(&vip),
                        None | Some(Reason::OwnedElsewhere { .. } | Reason::ElectedElsewhere { .. })
                    )
                };
                if found.iter().any(says_elsewhere) {
                    return Err(format!("{vip} is thought to be elsewhere and is nowhere"));
                }
                let told = found.iter().filter(|f| f.report.withheld.iter().any(|w| w.vip == vip)).count();
                // Who is shut out tells nothing; if all are, there is nobody who could.
                if told > 1 {
                    return Err(format!("{vip} is told about by {told}"));
                }
            }
            several => return Err(format!("{vip} is owned by {several:?}")),
        }
    }
    Ok(())
}

/// A node that leaves moves nothing but its own.
fn a_leaver_moves_only_its_own(site: &Site, decide: Decide) -> Result<(), String> {
    let before = all(site, decide);
    let owners: BTreeMap<IpAddr, NodeName> =
        vips(site).into_iter().filter_map(|vip| Some((vip, owners_of(site, &before, vip).pop()?))).collect();
    for leaver in site.views.iter().map(|view| view.node.clone()) {
        let mut left = site.clone();
        left.views.retain(|view| view.node != leaver);
        for view in &mut left.views {
            view.candidates.remove(&leaver);
            view.owners = owners.clone().into_iter().filter(|(_, node)| *node != leaver).collect();
        }
        let after = all(&left, decide);
        for (vip, owner) in owners.iter().filter(|(_, owner)| **owner != leaver) {
            // On another subnet than the leaver one may become a candidate, never cease to be one... unless drained while
            // the last: that is judged anew, so it is left out.
            let was_last =
                before.iter().any(|f| f.layer2.get(vip).is_some_and(|s| s.remarks.contains(&Remark::DrainRefusedLast)));
            if !was_last && owners_of(&left, &after, *vip) != std::slice::from_ref(owner) {
                return Err(format!("{vip} left {owner} when {leaver} went"));
            }
        }
    }
    Ok(())
}

/// With policy Local alone, who announces has an endpoint.
fn local_needs_an_endpoint(site: &Site, decide: Decide) -> Result<(), String> {
    for (view, found) in site.views.iter().zip(all(site, decide)) {
        for vip in found.layer2.keys() {
            let may = site.snapshot.services.values().filter(|s| s.addresses().any(|a| a == *vip)).any(|s| {
                let endpoints = site.snapshot.endpoints.get(&s.id);
                endpoints.is_some_and(|e| match s.traffic_policy {
                    TrafficPolicy::Local => e.endpoints.iter().any(|e| e.ready && e.node.as_ref() == Some(&view.node)),
                    TrafficPolicy::Cluster => e.endpoints.iter().any(|e| e.ready),
                })
            });
            if !may {
                return Err(format!("{} announces {vip} without an endpoint", view.node));
            }
        }
    }
    Ok(())
}

/// Nothing changes by itself while nobody's minute of being NotReady ends.
fn time_alone_changes_nothing(site: &Site, decide: Decide) -> Result<(), String> {
    let later = NOW + std::time::Duration::from_secs(3600);
    for view in &site.views {
        let at = |now| decide(&site.snapshot, view, &Memory::default(), now);
        if at(NOW) != at(later) {
            return Err(format!("{} thinks otherwise later", view.node));
        }
    }
    Ok(())
}

/// Done once, there is nothing left to do.
fn diff_then_apply_arrives(site: &Site, decide: Decide) -> Result<(), String> {
    for view in &site.views {
        let mut view = view.clone();
        view.may_answer = (0..12).filter(|n| n % 3 != 0).map(vip).collect();
        let desired = decide(&site.snapshot, &view, &Memory::default(), NOW);
        let mut applied = Applied::default();
        applied.answering.insert(vip(1), "eth7".into());
        applied.answering.insert(vip(3), "eth0".into());
        for action in diff(&applied, &desired, &view, NOW) {
            applied.record(&action, NOW);
        }
        let answered: BTreeMap<IpAddr, InterfaceName> = desired
            .layer2
            .iter()
            .filter(|(vip, _)| view.may_answer.contains(*vip))
            .map(|(vip, spec)| (*vip, spec.interface.clone()))
            .collect();
        if applied.answering != answered || !diff(&applied, &desired, &view, NOW).is_empty() {
            return Err(format!("{:?} instead of {answered:?}", applied.answering));
        }
    }
    Ok(())
}

/// A decision, and a property that it breaks.
type Broken = (&'static str, Decide, fn(&Site, Decide) -> Result<(), String>);

/// Decisions that are wrong on purpose, each with the property that finds it.
const BROKEN: &[Broken] = &[
    (
        "every node owns what it may",
        |s, v, m, n| {
            let alone = LocalView { candidates: [v.node.clone()].into(), owners: BTreeMap::new(), ..v.clone() };
            decide(s, &alone, m, n)
        },
        one_owner_or_a_reason_each,
    ),
    (
        "nobody owns anything",
        |s, v, m, n| {
            let mut found = decide(s, v, m, n);
            let elsewhere = |vip: &IpAddr| (*vip, Reason::OwnedElsewhere { node: "x".into() });
            found.withheld.extend(found.layer2.keys().map(elsewhere).collect::<Vec<_>>());
            found.layer2.clear();
            found
        },
        one_owner_or_a_reason_each,
    ),
    (
        "withheld vips without endpoints are forgotten",
        |s, v, m, n| {
            let mut found = decide(s, v, m, n);
            found.withheld.retain(|_, reason| !matches!(reason, Reason::NoEndpoints { .. }));
            found
        },
        each_vip_is_in_exactly_one,
    ),
    (
        "owners are forgotten",
        |s, v, m, n| {
            // By place instead of by the hash: whoever stands after the leaver moves up.
            let mut found = decide(s, v, m, n);
            let place = v.candidates.iter().position(|c| *c == v.node);
            let vips: Vec<IpAddr> = found.layer2.keys().chain(found.withheld.keys()).copied().collect();
            let spec = found.layer2.values().next().cloned();
            for (turn, vip) in vips.into_iter().enumerate() {
                if Some(turn % v.candidates.len().max(1)) == place {
                    found.layer2.extend(spec.clone().map(|spec| (vip, spec)));
                } else {
                    found.layer2.remove(&vip);
                }
            }
            found
        },
        a_leaver_moves_only_its_own,
    ),
    (
        "policy Local is taken for Cluster",
        |s, v, m, n| {
            let mut s = s.clone();
            for service in s.services.values_mut() {
                Arc::make_mut(service).traffic_policy = TrafficPolicy::Cluster;
            }
            decide(&s, v, m, n)
        },
        local_needs_an_endpoint,
    ),
    (
        "nodes are judged by the clock",
        |s, v, m, n| {
            let mut s = s.clone();
            for node in s.nodes.values_mut().filter(|_| n > NOW) {
                Arc::make_mut(node).labels = Labels::default();
            }
            decide(&s, v, m, n)
        },
        time_alone_changes_nothing,
    ),
    (
        "another interface each time",
        |s, v, m, n| {
            let mut found = decide(s, v, m, n);
            found.layer2.retain(|vip, _| !v.may_answer.contains(vip));
            found.layer2.insert(
                vip(3),
                Layer2Spec {
                    interface: "eth0".into(),
                    service: ServiceId::new("default", "s0"),
                    eip: "pool".into(),
                    remarks: Vec::new(),
                },
            );
            found
        },
        |site, broken| {
            // What is applied must be what the sound decision desires.
            for view in &site.views {
                let view = LocalView { may_answer: (0..12).map(vip).collect(), ..view.clone() };
                let desired = decide(&site.snapshot, &view, &Memory::default(), NOW);
                let mut applied = Applied::default();
                for action in
                    diff(&applied.clone(), &broken(&site.snapshot, &view, &Memory::default(), NOW), &view, NOW)
                {
                    applied.record(&action, NOW);
                }
                if !diff(&applied, &desired, &view, NOW).is_empty() {
                    return Err("differs".to_owned());
                }
            }
            Ok(())
        },
    ),
];

proptest! {
    #[test]
    fn the_decision_holds_all_properties(site in any_site()) {
        for property in [
            each_vip_is_in_exactly_one,
            one_owner_or_a_reason_each,
            a_leaver_moves_only_its_own,
            local_needs_an_endpoint,
            time_alone_changes_nothing,
            diff_then_apply_arrives,
        ] {
            prop_assert_eq!(property(&site, decide), Ok(()));
        }
    }

    #[test]
    fn any_interfaces_and_addresses_are_decided_on(site in any_site(), text in "[a-z]{0,3}", v6: u128, length in 0..=128_u8) {
        let mut site = site;
        let odd = IpAddr::V6(v6.into());
        put_service(&mut site.snapshot, service("odd", &[odd, IpAddr::V4(std::net::Ipv4Addr::BROADCAST)]));
        put_endpoints(&mut site.snapshot, "odd", &[0]);
        for view in &mut site.views {
            view.interfaces.by_name.insert(text.as_str().into(), interface(&text, &[&format!("{odd}/{length}")]));
        }
        prop_assert_eq!(each_vip_is_in_exactly_one(&site, decide), Ok(()));
    }
}

#[test]
fn each_property_finds_what_breaks_it() {
    use proptest::strategy::ValueTree;
    use proptest::test_runner::TestRunner;
    for (what, broken, property) in BROKEN {
        let mut runner = TestRunner::deterministic();
        let found = (0..400).any(|_| property(&any_site().new_tree(&mut runner).unwrap().current(), *broken).is_err());
        assert!(found, "{what}: not found");
    }
}
