//! Values to decide on, every field that does not matter at its default: nodes `n0`, `n1`, ... on one LAN, one Eip, Services on it.
//!
//! Included by this crate's unit tests, its examples and the simulation of membership, which each use a part of it.

use std::collections::{BTreeMap, BTreeSet};
use std::net::{IpAddr, Ipv4Addr};
use std::sync::Arc;

use ironlb_model::{
    AddressRange, Announcement, BgpReport, ConflictDetection, Eip, EipName, EipStatus, Endpoint, Endpoints,
    FamilyPolicy, IngressAddress, Interface, InterfaceChoice, Interfaces, IpFamily, Labels, MacAddr, Node, NodeName,
    OptIn, Pool, Port, Prefix, ReportedInterface, ResourceVersion, RouteSettings, Service, ServiceId, Sharing,
    Snapshot, SpeakerReport, TrafficPolicy, Transport, WallTime,
};

/// An address from its text.
pub(crate) fn ip(text: &str) -> IpAddr {
    text.parse().unwrap()
}

/// The `n`th vip of the site: 10.0.0.0 and on.
pub(crate) fn vip(n: u32) -> IpAddr {
    IpAddr::V4(Ipv4Addr::from(0x0a00_0000 + n))
}

/// The name of the `n`th node.
pub(crate) fn node_name(n: u32) -> NodeName {
    NodeName::from(format!("n{n}"))
}

/// A Service of ours that holds these addresses, TCP port 80, policy Cluster.
pub(crate) fn service(name: &str, vips: &[IpAddr]) -> Service {
    Service {
        id: ServiceId::new("default", name),
        uid: format!("uid-{name}"),
        version: ResourceVersion(1),
        created: WallTime(1_700_000_000),
        deleting: false,
        is_load_balancer: true,
        load_balancer_class: None,
        opt_in: OptIn::Ours,
        wanted_eip: None,
        wanted_protocol: None,
        wish: Vec::new(),
        wish_source: None,
        overruled_wish: None,
        wish_unreadable: None,
        remembered: Vec::new(),
        families: vec![IpFamily::V4],
        family_policy: FamilyPolicy::default(),
        traffic_policy: TrafficPolicy::Cluster,
        health_check_node_port: None,
        ports: BTreeSet::from([Port { transport: Transport::Tcp, number: 80 }]),
        selector: Labels::default(),
        labels: Labels::default(),
        eip_label: None,
        has_openelb_finalizer: false,
        ingress: vips.iter().map(|vip| IngressAddress::Ip(*vip)).collect(),
        conditions: Vec::new(),
        assigned_at: None,
        status_writer: None,
    }
}

/// An Eip with protocol layer2 and no interface.
pub(crate) fn eip(name: &str, prefix: &str) -> Eip {
    let pool = Pool::new(&[AddressRange::prefix(prefix.parse().unwrap())], &[]);
    Eip {
        name: EipName::from(name),
        uid: format!("uid-{name}"),
        version: ResourceVersion(1),
        created: WallTime(1_700_000_000),
        generation: 1,
        deleting: false,
        address_text: prefix.to_owned(),
        span: pool.clone(),
        pool,
        announcement: Announcement::Layer2,
        interface: InterfaceChoice::BySubnet,
        interfaces: Vec::new(),
        conflict_detection: ConflictDetection::default(),
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
        sharing: Sharing::default(),
        routes: RouteSettings::default(),
        reservations: Vec::new(),
        addresses_per_namespace: None,
        reuse_delay: std::time::Duration::ZERO,
        withholds: false,
        has_openelb_finalizer: false,
        status: EipStatus::default(),
    }
}

/// A healthy node.
pub(crate) fn node(n: u32) -> Node {
    Node {
        name: node_name(n),
        labels: Labels::default(),
        addresses: vec![node_address(n)],
        ready: true,
        cordoned: false,
        excluded: false,
        drain: None,
    }
}

/// The node's own address, on a subnet that holds every vip of the site.
pub(crate) fn node_address(n: u32) -> IpAddr {
    IpAddr::V4(Ipv4Addr::from(0x0aff_0001 + n))
}

/// An interface that is up.
pub(crate) fn interface(name: &str, prefixes: &[&str]) -> Interface {
    Interface {
        name: name.into(),
        index: 2,
        mac: Some(MacAddr([2, 0, 0, 0, 0, 1])),
        up: true,
        prefixes: prefixes.iter().map(|p| p.parse().unwrap()).collect(),
        controller: None,
        loopback: false,
    }
}

/// The interfaces of the `n`th node: `eth0` on the LAN, and a bridge for its pods.
pub(crate) fn interfaces(n: u32) -> Interfaces {
    let mut all = [
        interface("cni0", &[&format!("172.20.{}.1/24", n % 250)]),
        interface("eth0", &[&format!("{}/8", node_address(n))]),
        Interface { loopback: true, ..interface("lo", &["127.0.0.1/8"]) },
    ];
    if let Some(mac) = &mut all[1].mac {
        mac.0[4..].copy_from_slice(&u16::try_from(n).unwrap().to_be_bytes());
    }
    Interfaces { by_name: all.into_iter().map(|i| (i.name.clone(), i)).collect() }
}

/// What the speaker of the `n`th node reports about them.
pub(crate) fn report(n: u32) -> SpeakerReport {
    let nics = interfaces(n);
    let suitable: Vec<&Interface> = nics.by_name.values().filter(|i| !i.loopback).collect();
    SpeakerReport {
        node: node_name(n),
        ready: true,
        macs: suitable.iter().filter_map(|i| i.mac).collect(),
        interfaces: suitable
            .iter()
            .map(|i| ReportedInterface { name: i.name.clone(), up: i.up, prefixes: i.prefixes.clone() })
            .collect(),
        owned: BTreeMap::new(),
        owned_count: 0,
        bgp: BgpReport::default(),
        withheld: Vec::new(),
        conflicts: Vec::new(),
    }
}

/// A report of these interfaces.
pub(crate) fn reports(n: u32, interfaces: &[(&str, bool, &[&str])]) -> SpeakerReport {
    let prefix = |text: &&str| -> Prefix { text.parse().unwrap() };
    SpeakerReport {
        interfaces: interfaces
            .iter()
            .map(|(name, up, prefixes)| ReportedInterface {
                name: (*name).into(),
                up: *up,
                prefixes: prefixes.iter().map(prefix).collect(),
            })
            .collect(),
        ..report(n)
    }
}

/// Ready endpoints on these nodes.
pub(crate) fn endpoints(nodes: &[u32]) -> Endpoints {
    let ready = |n: &u32| Endpoint { node: Some(node_name(*n)), ready: true, serving: true, terminating: false };
    let mut endpoints: Vec<Endpoint> = nodes.iter().map(ready).collect();
    endpoints.sort_unstable();
    Endpoints { endpoints }
}

/// A site of `nodes` nodes and `services` Services, each with a vip of its own and three endpoints.
pub(crate) fn site(nodes: u32, services: u32) -> Snapshot {
    let mut site = Snapshot::default();
    for n in 0..nodes {
        site.nodes.insert(node_name(n), Arc::new(node(n)));
        site.speakers.insert(node_name(n), Arc::new(report(n)));
    }
    site.eips.insert("pool".into(), Arc::new(eip("pool", "10.0.0.0/12")));
    for n in 0..services {
        put_service(&mut site, service(&format!("s{n}"), &[vip(n)]));
        put_endpoints(&mut site, &format!("s{n}"), &[n, n + 1, n + 2].map(|n| n % nodes.max(1)));
    }
    site
}

pub(crate) fn put_service(site: &mut Snapshot, service: Service) {
    site.services.insert(service.id.clone(), Arc::new(service));
}

pub(crate) fn put_endpoints(site: &mut Snapshot, name: &str, nodes: &[u32]) {
    site.endpoints.insert(ServiceId::new("default", name), Arc::new(endpoints(nodes)));
}

/// Changes the Service of that name.
pub(crate) fn edit_service(site: &mut Snapshot, name: &str, change: impl FnOnce(&mut Service)) {
    change(Arc::make_mut(site.services.get_mut(&ServiceId::new("default", name)).unwrap()));
}

/// Changes the `n`th node.
pub(crate) fn edit_node(site: &mut Snapshot, n: u32, change: impl FnOnce(&mut Node)) {
    change(Arc::make_mut(site.nodes.get_mut(&node_name(n)).unwrap()));
}

/// Changes the one Eip.
pub(crate) fn edit_eip(site: &mut Snapshot, change: impl FnOnce(&mut Eip)) {
    change(Arc::make_mut(site.eips.get_mut(&EipName::from("pool")).unwrap()));
}
