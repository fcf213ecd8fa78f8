//! Values for tests: everything that does not matter for a row has a default.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::sync::Arc;

use ironlb_model::{
    AddressRange, Announcement, BgpReport, Condition, ConditionStatus, ConflictDetection, Eip, EipStatus, FamilyPolicy,
    IngressAddress, InterfaceChoice, InterfaceName, IpFamily, Labels, Namespace, Node, NodeName, OptIn, Pool, Port,
    Prefix, Reservation, Reservee, ResourceVersion, RouteSettings, Service, ServiceId, Sharing, Snapshot,
    SpeakerReport, Timestamp, TrafficPolicy, Transport, WallTime, WithheldVip,
};
use proptest::strategy::{Strategy, ValueTree};
use proptest::test_runner::TestRunner;

use crate::action::Action;
use crate::in_flight::InFlight;
use crate::memory::{Limits, Memory, Outcome};
use crate::plan::{Plan, plan};
use crate::step::{Step, step};
use ironlb_model::{Change, ConditionWrite, EipPatch, ServicePatch};

pub(crate) fn ip(text: &str) -> IpAddr {
    text.parse().unwrap_or_else(|_| panic!("{text} is no address"))
}

pub(crate) fn ips(texts: &[&str]) -> Vec<IpAddr> {
    texts.iter().map(|text| ip(text)).collect()
}

pub(crate) fn tcp(number: u16) -> Port {
    Port { transport: Transport::Tcp, number }
}

pub(crate) fn seconds(seconds: u64) -> Timestamp {
    Timestamp::from_millis(seconds * 1000)
}

/// A memory whose requests time out after four seconds.
pub(crate) fn memory() -> Memory {
    Memory::new(Limits {
        request_timeout: std::time::Duration::from_secs(4),
        conflict_counts: std::time::Duration::from_secs(60),
    })
}

/// A Service that opted in by annotation: IPv4, TCP port 80, created at 0.
pub(crate) fn service(id: &str) -> Service {
    let id = ServiceId::parse(id).unwrap_or_else(|| panic!("{id} is no namespace/name"));
    Service {
        uid: format!("uid-{id}"),
        version: ResourceVersion(1),
        created: WallTime(0),
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
        family_policy: FamilyPolicy::SingleStack,
        traffic_policy: TrafficPolicy::Cluster,
        health_check_node_port: None,
        ports: [tcp(80)].into(),
        selector: Labels::default(),
        labels: Labels::default(),
        eip_label: None,
        has_openelb_finalizer: false,
        ingress: Vec::new(),
        conditions: Vec::new(),
        assigned_at: None,
        status_writer: None,
        id,
    }
}

pub(crate) trait ServiceWith: Sized {
    fn with(self, change: impl FnOnce(&mut Service)) -> Self;
    fn eip(self, name: &str) -> Self;
    fn wish(self, addresses: &[&str]) -> Self;
    fn holds(self, addresses: &[&str]) -> Self;
    fn created(self, at: i64) -> Self;
    fn ports(self, ports: &[u16]) -> Self;
    fn dual(self, policy: FamilyPolicy) -> Self;
}

impl ServiceWith for Service {
    fn with(mut self, change: impl FnOnce(&mut Service)) -> Self {
        change(&mut self);
        self
    }
    fn eip(self, name: &str) -> Self {
        self.with(|s| s.wanted_eip = Some(name.into()))
    }
    fn wish(self, addresses: &[&str]) -> Self {
        self.with(|s| s.wish = ips(addresses))
    }
    fn holds(self, addresses: &[&str]) -> Self {
        self.with(|s| s.ingress = ips(addresses).into_iter().map(IngressAddress::Ip).collect())
    }
    fn created(self, at: i64) -> Self {
        self.with(|s| s.created = WallTime(at))
    }
    fn ports(self, ports: &[u16]) -> Self {
        self.with(|s| s.ports = ports.iter().map(|port| tcp(*port)).collect())
    }
    fn dual(self, policy: FamilyPolicy) -> Self {
        self.with(|s| {
            s.families = vec![IpFamily::V4, IpFamily::V6];
            s.family_policy = policy;
        })
    }
}

pub(crate) fn ranges(text: &str) -> Vec<AddressRange> {
    let range = |part: &str| {
        if let Ok(prefix) = part.parse::<Prefix>() {
            return AddressRange::prefix(prefix);
        }
        let (first, last) = part.split_once('-').unwrap_or((part, part));
        AddressRange::new(ip(first), ip(last)).unwrap_or_else(|| panic!("{part} is no range"))
    };
    text.split(',').map(str::trim).filter(|part| !part.is_empty()).map(range).collect()
}

/// A Layer 2 Eip with these addresses, created at 0.
pub(crate) fn eip(name: &str, addresses: &str) -> Eip {
    Eip {
        name: name.into(),
        uid: format!("uid-{name}"),
        version: ResourceVersion(1),
        created: WallTime(0),
        generation: 1,
        deleting: false,
        address_text: addresses.to_owned(),
        pool: Pool::new(&ranges(addresses), &[]),
        span: Pool::new(&ranges(addresses), &[]),
        announcement: Announcement::Layer2,
        interface: InterfaceChoice::BySubnet,
        interfaces: Vec::new(),
        conflict_detection: ConflictDetection::Enforce,
        disabled: false,
        priority: 0,
        namespaces: std::collections::BTreeSet::new(),
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
        reuse_delay: std::time::Duration::ZERO,
        withholds: false,
        has_openelb_finalizer: false,
        status: EipStatus::default(),
    }
}

pub(crate) trait EipWith: Sized {
    fn with(self, change: impl FnOnce(&mut Eip)) -> Self;
    fn default_eip(self) -> Self;
    fn exclude(self, addresses: &str) -> Self;
    fn for_namespace(self, name: &str) -> Self;
    fn used(self, entries: &[(&str, &str)]) -> Self;
    fn reserve(self, addresses: &str, reservee: Reservee) -> Self;
    fn quota(self, limit: u64) -> Self;
    fn reuse_delay(self, seconds: u64) -> Self;
}

impl EipWith for Eip {
    fn with(mut self, change: impl FnOnce(&mut Eip)) -> Self {
        change(&mut self);
        self
    }
    fn default_eip(self) -> Self {
        self.with(|e| e.is_default = true)
    }
    fn exclude(self, addresses: &str) -> Self {
        self.with(|e| e.pool = Pool::new(e.span.ranges(), &ranges(addresses)))
    }
    fn for_namespace(self, name: &str) -> Self {
        self.with(|e| {
            e.namespaces.insert(name.into());
        })
    }
    fn used(self, entries: &[(&str, &str)]) -> Self {
        self.with(|e| {
            for (address, holders) in entries {
                let holders = holders.split(';').map(|id| ServiceId::parse(id).expect("namespace/name"));
                e.status.used.insert(ip(address), holders.collect());
            }
        })
    }
    fn reserve(self, addresses: &str, reservee: Reservee) -> Self {
        self.with(|e| {
            let claimed: Vec<AddressRange> =
                e.reservations.iter().flat_map(|one| one.addresses.ranges().to_vec()).collect();
            let (index, addresses) = (e.reservations.len(), Pool::new(&ranges(addresses), &claimed));
            e.reservations.push(Reservation { index, addresses, reservee });
        })
    }
    fn quota(self, limit: u64) -> Self {
        self.with(|e| e.addresses_per_namespace = Some(limit))
    }
    fn reuse_delay(self, seconds: u64) -> Self {
        self.with(|e| e.reuse_delay = std::time::Duration::from_secs(seconds))
    }
}

/// Reserved for this Service.
pub(crate) fn for_service(id: &str) -> Reservee {
    Reservee::Service(ServiceId::parse(id).expect("namespace/name"))
}

/// Reserved for the Services with this label.
pub(crate) fn for_label(namespace: Option<&str>, key: &str, value: &str) -> Reservee {
    let selector = ironlb_model::Selector::labels([(key.to_owned(), value.to_owned())].into());
    Reservee::Selected { namespace: namespace.map(Into::into), selector }
}

/// A snapshot of these.
pub(crate) fn snapshot(eips: &[Eip], services: &[Service]) -> Snapshot {
    let mut snapshot = Snapshot::default();
    for eip in eips {
        snapshot.eips.insert(eip.name.clone(), Arc::new(eip.clone()));
    }
    for service in services {
        let namespace = &service.id.namespace;
        let labels = Labels::default();
        snapshot
            .namespaces
            .entry(namespace.clone())
            .or_insert_with(|| Arc::new(Namespace { name: namespace.clone(), labels }));
        snapshot.services.insert(service.id.clone(), Arc::new(service.clone()));
    }
    snapshot
}

/// Adds a ready node with a speaker that answers for these vips and withholds those.
pub(crate) fn add_speaker(
    snapshot: &mut Snapshot,
    node: &str,
    answers: &[(&str, &str)],
    withheld: &[(&str, &str, &str)],
) {
    let name: NodeName = node.into();
    let owned: BTreeMap<IpAddr, InterfaceName> = answers.iter().map(|(vip, nic)| (ip(vip), (*nic).into())).collect();
    let withheld = withheld.iter().map(|(vip, reason, message)| WithheldVip {
        vip: ip(vip),
        reason: (*reason).to_owned(),
        message: (*message).to_owned(),
    });
    let report = SpeakerReport {
        node: name.clone(),
        ready: true,
        macs: Vec::new(),
        interfaces: Vec::new(),
        owned_count: u64::try_from(owned.len()).expect("small"),
        owned,
        withheld: withheld.collect(),
        conflicts: Vec::new(),
        bgp: BgpReport::default(),
    };
    snapshot.speakers.insert(name.clone(), Arc::new(report));
    let ready = Node {
        name: name.clone(),
        labels: Labels::default(),
        addresses: Vec::new(),
        ready: true,
        cordoned: false,
        excluded: false,
        drain: None,
    };
    snapshot.nodes.insert(name, Arc::new(ready));
}

/// The plan with nothing in flight.
pub(crate) fn planned(snapshot: &Snapshot) -> Plan {
    plan(snapshot, &InFlight::default())
}

/// The addresses the plan gives a Service.
pub(crate) fn vips(plan: &Plan, id: &str) -> Vec<IpAddr> {
    let id = ServiceId::parse(id).expect("namespace/name");
    plan.verdict(&id).unwrap_or_else(|| panic!("no verdict on {id}")).addresses().collect()
}

/// The categories of everything the plan has to say about a Service, unmet first.
pub(crate) fn reasons(plan: &Plan, id: &str) -> Vec<&'static str> {
    let id = ServiceId::parse(id).expect("namespace/name");
    let verdict = plan.verdict(&id).unwrap_or_else(|| panic!("no verdict on {id}"));
    verdict.unmet.iter().chain(&verdict.notes).map(|reason| reason.category()).collect()
}

/// The patches of Services in a step, by Service.
pub(crate) fn service_patches(step: &Step) -> BTreeMap<String, ServicePatch> {
    let patch = |action: &Action| match action {
        Action::PatchService(patch) => Some((patch.id.to_string(), patch.clone())),
        _ => None,
    };
    step.actions.iter().filter_map(|planned| patch(&planned.action)).collect()
}

/// What the API server makes of a patch of a Service: the object afterwards, at its old version.
pub(crate) fn patched(service: &Service, patch: &ServicePatch, now: WallTime) -> Service {
    let mut after = service.clone();
    if let Some(ingress) = &patch.ingress {
        after.ingress.clone_from(ingress);
    }
    match &patch.label {
        Some(Change::Set(label)) => after.eip_label = Some(label.clone()),
        Some(Change::Remove) => after.eip_label = None,
        None => {}
    }
    match &patch.addresses {
        Some(Change::Set(text)) => {
            after.remembered = text.split(',').map(ip).collect();
        }
        Some(Change::Remove) => after.remembered.clear(),
        None => {}
    }
    for write in &patch.conditions {
        match write {
            ConditionWrite::Set { condition, transition } => {
                after.conditions.retain(|c| c.kind != condition.kind);
                after.conditions.push(condition.clone());
                if *transition && condition.kind == crate::ADDRESS_ASSIGNED {
                    after.assigned_at = Some(now);
                }
            }
            ConditionWrite::Remove { kind } => after.conditions.retain(|c| c.kind != *kind),
        }
    }
    if !after.conditions.iter().any(|c| c.kind == crate::ADDRESS_ASSIGNED) {
        after.assigned_at = None;
    }
    after.has_openelb_finalizer &= !patch.remove_finalizer;
    after
}

/// What the API server makes of a patch of an Eip: the object afterwards, at its old version.
pub(crate) fn patched_eip(eip: &Eip, patch: &EipPatch) -> Eip {
    let text = &patch.status;
    let holders = |text: &String| text.split(';').map(|id| ServiceId::parse(id).expect("namespace/name")).collect();
    let status = EipStatus {
        occupied: text.occupied,
        usage: text.usage,
        pool_size: text.pool_size,
        first_ip: text.first_ip.clone(),
        last_ip: text.last_ip.clone(),
        v4: text.v4,
        ready: text.ready,
        used: text.used.iter().map(|(address, text)| (ip(address), holders(text))).collect(),
        has_unreadable_used: false,
        conditions: text.conditions.iter().map(|c| c.condition.clone()).collect(),
        condition_times: text
            .conditions
            .iter()
            .map(|c| (c.condition.kind.clone(), c.since.unwrap_or(WallTime(1))))
            .collect(),
    };
    Eip { status, ..eip.clone() }
}

/// The snapshot once every write of a step is done and seen, with the outcomes told to the memory.
pub(crate) fn carried_out(snapshot: &Snapshot, step: &Step, memory: &mut Memory, now: Timestamp) -> Snapshot {
    let mut after = snapshot.clone();
    for planned in &step.actions {
        let next = |version: ResourceVersion| ResourceVersion(version.0 + 1);
        let version = match &planned.action {
            Action::PatchService(patch) => {
                let before = &snapshot.services[&patch.id];
                let mut service = patched(before, patch, WallTime(1));
                service.version = next(before.version);
                let version = service.version;
                if service.deleting && !service.has_openelb_finalizer && before.has_openelb_finalizer {
                    after.services.remove(&patch.id);
                } else {
                    after.services.insert(patch.id.clone(), Arc::new(service));
                }
                version
            }
            Action::PatchEip(patch) => {
                let before = &snapshot.eips[&patch.eip];
                let eip = Eip { version: next(before.version), ..patched_eip(before, patch) };
                after.eips.insert(patch.eip.clone(), Arc::new(eip));
                next(before.version)
            }
            Action::RemoveFinalizer { object: ironlb_model::ObjectRef::Eip(eip), .. } => {
                let mut without = (*snapshot.eips[eip]).clone();
                without.has_openelb_finalizer = false;
                without.version = next(without.version);
                let version = without.version;
                after.eips.insert(eip.clone(), Arc::new(without));
                version
            }
            Action::RemoveFinalizer { .. }
            | Action::PatchObject(_)
            | Action::RemoveKeys { .. }
            | Action::DeleteSpeaker(_)
            | Action::Emit(_) => continue,
        };
        memory.on_written(planned.id, Outcome::Written { version }, now);
    }
    after
}

/// Steps and carries out until nothing is left to do at this time: every step, of which the last has no action.
pub(crate) fn settle(snapshot: &mut Snapshot, memory: &mut Memory, now: Timestamp) -> Vec<Step> {
    let mut steps = Vec::new();
    loop {
        let step = step(snapshot, memory, now);
        let is_last = step.actions.is_empty();
        if !is_last {
            *snapshot = carried_out(snapshot, &step, memory, now);
        }
        steps.push(step);
        if is_last {
            return steps;
        }
    }
}

/// Is one of so many values such? Always the same values: a property is asked in this way whether it sees what breaks it.
pub(crate) fn finds<S: Strategy>(tries: usize, strategy: S, mut is_such: impl FnMut(S::Value) -> bool) -> bool {
    let mut runner = TestRunner::deterministic();
    (0..tries).any(|_| is_such(strategy.new_tree(&mut runner).expect("no filter").current()))
}

/// The condition of an Eip that ironlb has written to.
pub(crate) fn ready() -> Condition {
    Condition {
        kind: "Ready".to_owned(),
        status: ConditionStatus::True,
        reason: "Ready".to_owned(),
        message: String::new(),
    }
}

/// The Service as it shows that it was told so at that time.
pub(crate) fn told(s: Service, reason: &str, at: i64) -> Service {
    let reason = reason.to_owned();
    s.with(|s| {
        s.assigned_at = Some(WallTime(at));
        s.conditions = vec![Condition {
            kind: crate::ADDRESS_ASSIGNED.to_owned(),
            status: ConditionStatus::True,
            reason,
            message: String::new(),
        }];
    })
}
