use std::slice::from_ref;

use super::*;
use crate::site::{eip, interface, ip, node};

fn of(all: &[Interface]) -> Interfaces {
    Interfaces { by_name: all.iter().map(|i| (i.name.clone(), i.clone())).collect() }
}

fn down(name: &str, prefixes: &[&str]) -> Interface {
    Interface { up: false, ..interface(name, prefixes) }
}

fn port(name: &str, of: &str) -> Interface {
    Interface { controller: Some(of.into()), ..interface(name, &[]) }
}

/// What is taken for `vip`: the interface, or the reason for none.
fn taken(choice: InterfaceChoice, list: &[&str], all: &[Interface], route: Option<&str>, vip: &str) -> String {
    let mut eip = eip("pool", "192.0.2.0/24");
    eip.interface = choice;
    eip.interfaces = list.iter().map(|name| (*name).into()).collect();
    let mut view = LocalView::new("n".into());
    view.interfaces = of(all);
    let target = if let InterfaceChoice::CanReach(target) = eip.interface { Some(target) } else { None };
    view.can_reach.extend(target.zip(route.map(InterfaceName::from)));
    let node = Node { addresses: vec![ip("198.51.100.9"), ip("2001:db8::9")], ..node(1) };
    let choice = Choice::of(&eip);
    let nics = own_nics(&view.interfaces);
    let allowed = choice.allows_own(&nics, target.and_then(|target| view.can_reach.get(&target)));
    let family = Some(IpFamily::of(ip(vip)));
    match choice.on_subnet(&allowed, ip(vip)).or_else(|| choice.off_subnet(&allowed, &node, family)) {
        Some(nic) => nic.name.to_string(),
        None => choice.reason(&view).category().to_owned(),
    }
}

#[test]
fn the_interface_is_chosen_as_the_eip_says() {
    let lan = interface("eth0", &["192.0.2.9/24"]);
    let wide = interface("eth1", &["192.0.0.9/16"]);
    let other = interface("eth2", &["198.51.100.9/24", "2001:db8::9/64"]);
    let named = |name: &str| InterfaceChoice::Named(name.into());
    let all = [lan.clone(), wide.clone(), other.clone()];
    /// What the Eip says (`interface`, `layer2.interfaces`), what the node has (interfaces, route), the vip, and what is taken.
    type Row<'a> = (InterfaceChoice, &'a [&'a str], &'a [Interface], Option<&'a str>, &'a str, &'a str);
    let rows: &[Row<'_>] = &[
        (InterfaceChoice::BySubnet, &[], &all, None, "192.0.2.1", "eth0"),
        (InterfaceChoice::BySubnet, &[], &all, None, "192.0.3.1", "eth1"),
        (InterfaceChoice::BySubnet, &[], &all, None, "203.0.113.1", "eth2"),
        (InterfaceChoice::BySubnet, &[], &all, None, "2001:db8:1::1", "eth2"),
        (InterfaceChoice::BySubnet, &[], from_ref(&wide), None, "203.0.113.1", "NoSubnet"),
        (InterfaceChoice::BySubnet, &[], &[down("eth0", &["192.0.2.9/24"]), wide.clone()], None, "192.0.2.1", "eth1"),
        (named("eth1"), &[], &all, None, "192.0.2.1", "eth1"),
        (named("eth9"), &[], &all, None, "192.0.2.1", "InterfaceMissing"),
        (named("eth0"), &[], &[down("eth0", &[])], None, "192.0.2.1", "InterfaceDown"),
        (named("eth0"), &[], &[port("eth0", "br0"), interface("br0", &[])], None, "192.0.2.1", "InterfaceUnsuitable"),
        (named("eth0"), &["eth1", "eth2"], &all, None, "192.0.2.1", "eth1"),
        (named("eth0"), &["eth2", "eth1", "eth0"], &all, None, "192.0.2.1", "eth1"),
        (named("eth0"), &["eth9", "eth2"], &all, None, "203.0.113.1", "eth2"),
        (InterfaceChoice::CanReach(ip("203.0.113.1")), &[], &all, Some("eth1"), "192.0.2.1", "eth1"),
        (InterfaceChoice::CanReach(ip("203.0.113.1")), &[], &all, None, "192.0.2.1", "CannotReach"),
        (
            InterfaceChoice::CanReach(ip("203.0.113.1")),
            &[],
            &[down("eth1", &[])],
            Some("eth1"),
            "192.0.2.1",
            "InterfaceDown",
        ),
    ];
    for (choice, list, interfaces, route, vip, want) in rows {
        assert_eq!(taken(choice.clone(), list, interfaces, *route, vip), *want, "{choice:?} {list:?} {vip}");
    }
}

#[test]
fn another_nodes_route_is_known_only_to_its_own_subnets() {
    let (a, b) = (["192.0.2.9/24".parse().unwrap()], ["198.51.100.9/24".parse().unwrap()]);
    let (eth0, eth1): (InterfaceName, InterfaceName) = ("eth0".into(), "eth1".into());
    let nics = [Nic { name: &eth0, up: true, prefixes: &a }, Nic { name: &eth1, up: true, prefixes: &b }];
    let names = |target: &str| -> Option<Vec<&str>> {
        Some(Choice::CanReach(ip(target)).allows_other(&nics)?.iter().map(|nic| nic.name.as_str()).collect())
    };
    assert_eq!(names("198.51.100.1"), Some(vec!["eth1"]));
    assert_eq!(names("203.0.113.1"), None);
}

#[test]
fn pods_interfaces_are_not_reported_unless_an_eip_names_them() {
    let all = of(&[
        interface("eth0", &["192.0.2.9/24", "fe80::1/64"]),
        interface("veth1", &["fe80::2/64"]),
        interface("eth1", &[]),
        port("eth2", "eth1"),
        Interface { loopback: true, ..interface("lo", &["127.0.0.1/8"]) },
    ]);
    let names: Vec<String> = to_report(&all, |name| name.as_str() == "eth1").map(|i| i.name.to_string()).collect();
    assert_eq!(names, ["eth0", "eth1"]);
    assert_eq!(reported(&all.by_name[&"eth0".into()]).prefixes, ["192.0.2.9/24".parse().unwrap()]);
}
