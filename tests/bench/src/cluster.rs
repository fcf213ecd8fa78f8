//! A cluster of many Services, as a controller sees it.

use std::collections::{BTreeMap, BTreeSet};
use std::net::{IpAddr, Ipv4Addr};
use std::sync::Arc;
use std::time::Duration;

use ironlb_ipam::{Action, InFlight, Limits, Memory, plan, step};
use ironlb_model::{
    AddressRange, Announcement, BgpReport, Change, ConditionWrite, ConflictDetection, Eip, EipStatus, FamilyPolicy,
    IngressAddress, InterfaceChoice, IpFamily, Labels, Node, NodeName, OptIn, Pool, Port, Prefix, ResourceVersion,
    RouteSettings, Service, ServiceId, ServicePatch, Sharing, Snapshot, SpeakerReport, Timestamp, TrafficPolicy,
    Transport, WallTime,
};

/// What is in a cluster.
#[derive(Debug, Clone, Copy)]
pub struct Cluster {
    /// How many Services.
    pub services: u32,
    /// How many nodes, each with a speaker.
    pub nodes: u32,
    /// How many Eips share the addresses.
    pub eips: u32,
    /// How many addresses each Eip has, as a prefix length.
    pub prefix_length: u8,
    /// How long the Services' names are.
    pub name_length: usize,
}

impl Cluster {
    /// The cluster with no address given yet.
    ///
    /// # Panics
    /// When there are more Eips than IPv4 has prefixes of that length.
    #[must_use]
    pub fn fresh(&self) -> Snapshot {
        let mut snapshot = Snapshot::default();
        for n in 0..self.eips {
            let name = format!("pool-{n}");
            let first = Ipv4Addr::from((10 << 24) + (n << (32 - u32::from(self.prefix_length))));
            let prefix = Prefix::new(IpAddr::V4(first), self.prefix_length).expect("a prefix length of IPv4");
            snapshot.eips.insert(name.as_str().into(), Arc::new(eip(&name, AddressRange::prefix(prefix))));
        }
        for n in 0..self.services {
            let id = ServiceId::new(&format!("team-{}", n % 50), &format!("{n:0width$}", width = self.name_length));
            let service = service(id, &format!("pool-{}", n % self.eips), i64::from(n));
            snapshot.services.insert(service.id.clone(), Arc::new(service));
        }
        for n in 0..self.nodes {
            let name = NodeName::from(format!("node-{n}"));
            snapshot.nodes.insert(name.clone(), Arc::new(node(&name)));
        }
        snapshot
    }

    /// The cluster with every address given, every status written and every vip announced.
    #[must_use]
    pub fn settled(&self) -> Snapshot {
        let mut snapshot = self.fresh();
        let nodes: Vec<NodeName> = snapshot.nodes.keys().cloned().collect();
        let mut owned: BTreeMap<&NodeName, BTreeMap<IpAddr, _>> = BTreeMap::new();
        let given = plan(&snapshot, &InFlight::default());
        let vips = given.services.iter().flat_map(|entry| entry.verdict.addresses());
        for (vip, node) in vips.zip(nodes.iter().cycle()) {
            owned.entry(node).or_default().insert(vip, "eth0".into());
        }
        for (node, owned) in owned {
            let report = SpeakerReport {
                node: node.clone(),
                ready: true,
                macs: Vec::new(),
                interfaces: Vec::new(),
                owned_count: u64::try_from(owned.len()).unwrap_or(u64::MAX),
                owned,
                withheld: Vec::new(),
                conflicts: Vec::new(),
                bgp: BgpReport::default(),
            };
            snapshot.speakers.insert(node.clone(), Arc::new(report));
        }
        settled(snapshot)
    }
}

/// 10,000 Services with an address each, and one without that names Eip `room` of this prefix. Where the room is full, all 10,000 are in
/// it, everything after them is excluded, and its last address alone is free; otherwise they are in another Eip and the room is empty.
///
/// # Panics
/// Never: the one prefix that is made here is sound.
#[must_use]
pub fn newcomer(room: Prefix, is_full: bool) -> Snapshot {
    const SERVICES: u32 = 10_000;
    let (range, mut snapshot) = (AddressRange::prefix(room), Snapshot::default());
    let (first, length) = match IpFamily::of(range.first()) {
        IpFamily::V4 => (IpAddr::from([172, 16, 0, 0]), 16),
        IpFamily::V6 => (IpAddr::from([0xfd16, 0, 0, 0, 0, 0, 0, 0]), 112),
    };
    let beside = AddressRange::prefix(Prefix::new(first, length).expect("a prefix length of its family"));
    let filled = if is_full { range } else { beside };
    let at = |n: u32| match filled.first() {
        IpAddr::V4(first) => IpAddr::V4((u32::from(first) + n).into()),
        IpAddr::V6(first) => IpAddr::V6((u128::from(first) + u128::from(n)).into()),
    };
    let mut eips = [eip("room", range), eip("beside", beside)];
    let single = AddressRange::single(range.last());
    if let Some(held) = AddressRange::new(range.first(), at(SERVICES - 1)).filter(|_| is_full) {
        eips[0].pool = Pool::new(&[held, single], &[]);
    }
    snapshot.eips.extend(eips.map(|eip| (eip.name.clone(), Arc::new(eip))));
    let family = IpFamily::of(range.first());
    for n in 0..SERVICES {
        let mut held = service(ServiceId::new("team", &format!("{n:05}")), "room", i64::from(n));
        held.families = vec![IpFamily::of(at(n))];
        held.ingress = vec![IngressAddress::Ip(at(n))];
        held.wanted_eip = None;
        snapshot.services.insert(held.id.clone(), Arc::new(held));
    }
    let mut new = service(ServiceId::new("team", "newcomer"), "room", i64::from(SERVICES));
    new.families = vec![family];
    snapshot.services.insert(new.id.clone(), Arc::new(new));
    snapshot
}

/// What the snapshot looks like once the controller has nothing left to write.
#[must_use]
pub fn settled(mut snapshot: Snapshot) -> Snapshot {
    for second in 0..100 {
        let mut memory =
            Memory::new(Limits { request_timeout: Duration::from_secs(4), conflict_counts: Duration::from_mins(5) });
        let done = step(&snapshot, &mut memory, Timestamp::from_millis(second * 1000));
        if done.actions.is_empty() {
            break;
        }
        for planned in done.actions {
            match planned.action {
                Action::PatchService(patch) => write_service(&mut snapshot, &patch),
                Action::PatchEip(patch) => {
                    if let Some(eip) = snapshot.eips.get_mut(&patch.eip) {
                        let eip = Arc::make_mut(eip);
                        eip.version = ResourceVersion(eip.version.0 + 1);
                        eip.status = EipStatus {
                            occupied: patch.status.occupied,
                            usage: patch.status.usage,
                            pool_size: patch.status.pool_size,
                            first_ip: patch.status.first_ip,
                            last_ip: patch.status.last_ip,
                            v4: patch.status.v4,
                            ready: patch.status.ready,
                            used: patch.status.used.iter().filter_map(|(k, v)| used_entry(k, v)).collect(),
                            has_unreadable_used: false,
                            conditions: patch.status.conditions.into_iter().map(|timed| timed.condition).collect(),
                            condition_times: BTreeMap::new(),
                        };
                    }
                }
                Action::PatchObject(_)
                | Action::RemoveFinalizer { .. }
                | Action::RemoveKeys { .. }
                | Action::DeleteSpeaker(_)
                | Action::Emit(_) => {}
            }
        }
    }
    snapshot
}

fn used_entry(address: &str, holders: &str) -> Option<(IpAddr, Box<[ServiceId]>)> {
    Some((address.parse().ok()?, holders.split(';').filter_map(ServiceId::parse).collect()))
}

fn write_service(snapshot: &mut Snapshot, patch: &ServicePatch) {
    let Some(service) = snapshot.services.get_mut(&patch.id) else { return };
    let service = Arc::make_mut(service);
    service.version = ResourceVersion(service.version.0 + 1);
    if let Some(ingress) = &patch.ingress {
        service.ingress.clone_from(ingress);
        service.remembered = service.addresses().collect();
        service.assigned_at = Some(WallTime(0));
    }
    if let Some(Change::Set(label)) = &patch.label {
        service.eip_label = Some(label.clone());
    }
    for write in &patch.conditions {
        if let ConditionWrite::Set { condition, .. } = write {
            service.conditions.retain(|c| c.kind != condition.kind);
            service.conditions.push(condition.clone());
        }
    }
}

fn eip(name: &str, range: AddressRange) -> Eip {
    Eip {
        name: name.into(),
        uid: name.to_owned(),
        version: ResourceVersion(1),
        created: WallTime(0),
        generation: 1,
        deleting: false,
        address_text: range.to_string(),
        pool: Pool::new(&[range], &[]),
        span: Pool::new(&[range], &[]),
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
        sharing: Sharing::Cluster,
        routes: RouteSettings::default(),
        reservations: Vec::new(),
        addresses_per_namespace: None,
        reuse_delay: Duration::ZERO,
        withholds: false,
        has_openelb_finalizer: false,
        status: EipStatus::default(),
    }
}

fn service(id: ServiceId, eip: &str, created: i64) -> Service {
    Service {
        uid: id.to_string(),
        version: ResourceVersion(1),
        created: WallTime(created),
        deleting: false,
        is_load_balancer: true,
        load_balancer_class: None,
        opt_in: OptIn::Ours,
        wanted_eip: Some(eip.into()),
        wanted_protocol: Some(Announcement::Layer2),
        wish: Vec::new(),
        wish_source: None,
        overruled_wish: None,
        wish_unreadable: None,
        remembered: Vec::new(),
        families: vec![IpFamily::V4],
        family_policy: FamilyPolicy::SingleStack,
        traffic_policy: TrafficPolicy::Cluster,
        health_check_node_port: None,
        ports: [80, 443].map(|number| Port { transport: Transport::Tcp, number }).into(),
        selector: [("app", id.name.as_ref())].into(),
        labels: [("app", id.name.as_ref())].into(),
        eip_label: None,
        has_openelb_finalizer: false,
        ingress: Vec::<IngressAddress>::new(),
        conditions: Vec::new(),
        assigned_at: None,
        status_writer: None,
        id,
    }
}

fn node(name: &NodeName) -> Node {
    Node {
        name: name.clone(),
        labels: Labels::default(),
        addresses: Vec::new(),
        ready: true,
        cordoned: false,
        excluded: false,
        drain: None,
    }
}
