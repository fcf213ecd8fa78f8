//! The API server, the watch, the leader and the user in one, as a value.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use ironlb_ipam::{Action, ActionId, Memory, Outcome, WriteState, step};
use ironlb_model::{
    Change, ConditionWrite, Eip, ResourceVersion, Service, ServiceId, ServicePatch, Snapshot, Timestamp, WallTime,
};

/// How far a search goes, and what is broken in it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Limits {
    /// So often the user makes or deletes a Service.
    pub(super) edits: u8,
    /// So many terms of leadership there are.
    pub(super) terms: u8,
    pub(super) fault: Fault,
}

/// What is broken.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Fault {
    /// Nothing.
    None,
    /// A leader may be stopped between the check of its term and the sending of one write, and send it at any time after.
    FrozenBeforeSending,
    /// A new leader does not wait until the writes of the one before can no longer be carried out.
    NoWait,
    /// A new leader goes on with what it has seen as a standby.
    NoList,
    /// A deposed leader checks nothing, and sends what it decided; nobody takes it back.
    Unchecked,
}

mod digest;

/// The user's Services, all there at the beginning.
const NAMES: [&str; 2] = ["a", "b"];

/// Longer than anything that the memory waits for: when a world goes on, every wait is over.
const AGE: Duration = Duration::from_secs(3600);

/// A patch that was handed out.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Request {
    id: ActionId,
    patch: ServicePatch,
    /// When its body was made: the time that its conditions carry.
    made: WallTime,
    /// What the server said, if it has reached it.
    outcome: Option<Outcome>,
}

/// A patch whose sender waits for it no more.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Stray {
    patch: ServicePatch,
    made: WallTime,
    /// It has not left its sender, who was frozen: no wait outlasts it.
    is_frozen: bool,
}

#[derive(Debug, Clone)]
struct Leader {
    view: BTreeMap<ServiceId, Arc<Service>>,
    /// What the watch has not shown yet.
    unseen: Vec<(ServiceId, Option<Arc<Service>>)>,
    memory: Memory,
    requests: Vec<Request>,
    /// Its requests that it gave up.
    strays: Vec<Stray>,
    may_freeze: bool,
}

/// All of it.
#[derive(Debug, Clone)]
pub(super) struct World {
    limits: Limits,
    eip: Arc<Eip>,
    clock: u32,
    version: u64,
    services: BTreeMap<ServiceId, Arc<Service>>,
    leader: Option<Leader>,
    /// What a standby has not seen yet, where it goes on with that.
    standby: BTreeMap<ServiceId, Arc<Service>>,
    /// Of leaders whose term is over.
    strays: Vec<Stray>,
}

type Next = (String, Result<World, String>);

impl World {
    pub(super) fn new(limits: Limits) -> Self {
        let mut world = Self {
            limits,
            eip: eip(),
            clock: 1,
            version: 1,
            services: BTreeMap::new(),
            leader: None,
            standby: BTreeMap::new(),
            strays: Vec::new(),
        };
        NAMES.into_iter().for_each(|name| world.make(name));
        world.standby = world.services.clone();
        world
    }

    /// Every world that may be next, or what is wrong with it.
    pub(super) fn nexts(&self) -> Vec<Next> {
        let mut nexts: Vec<Next> = Vec::new();
        let mut add = |what: String, change: &dyn Fn(&mut Self) -> Result<bool, String>| {
            let mut next = self.clone();
            next.clock += 1;
            match change(&mut next) {
                Ok(true) => nexts.push((what, Ok(next))),
                Ok(false) => {}
                Err(fault) => nexts.push((what, Err(fault))),
            }
        };
        for name in NAMES {
            add(format!("the user makes or deletes {name}"), &|world| Ok(world.edit(name)));
        }
        for which in 0..self.strays.len() {
            add(format!("what was given up is carried out: {:?}", self.strays[which].patch.id), &|world| {
                let stray = world.strays.remove(which);
                world.carry_out(&stray.patch, stray.made).map(|_| true)
            });
        }
        let Some(leader) = &self.leader else {
            add("a term begins".to_owned(), &|world| Ok(world.begin(false)));
            return nexts;
        };
        add("the leader decides".to_owned(), &|world| Ok(world.decide()));
        add("the watch shows a change".to_owned(), &|world| Ok(world.show()));
        add("the leader lists afresh".to_owned(), &|world| Ok(world.list()));
        add("the term ends by the clock".to_owned(), &|world| Ok(world.end()));
        add("the term ends in order, another begins".to_owned(), &|world| Ok(world.hand_over()));
        for which in 0..leader.requests.len() {
            let id = leader.requests[which].patch.id.clone();
            add(format!("the write of {id} reaches the server"), &|world| world.reach(which));
            add(format!("the answer on {id} arrives"), &|world| Ok(world.answer(which)));
            add(format!("the leader gives up on {id}"), &|world| Ok(world.give_up(which)));
            add(format!("the leader is frozen before it sends {id}"), &|world| Ok(world.freeze(which)));
        }
        for which in 0..leader.strays.len() {
            add(format!("the leader's own late write: {:?}", leader.strays[which].patch.id), &|world| {
                let Some(leader) = &mut world.leader else { return Ok(false) };
                let stray = leader.strays.remove(which);
                world.carry_out(&stray.patch, stray.made).map(|_| true)
            });
        }
        nexts
    }

    // --- the user ---

    fn make(&mut self, name: &str) {
        // One that wishes for the address is served before one that has waited longer, which then need not be written at all.
        let wishes = self.limits.fault == Fault::FrozenBeforeSending && name == NAMES[0];
        let mut service = service(name, wishes);
        service.created = WallTime(i64::from(self.clock));
        self.store(service);
    }

    fn edit(&mut self, name: &str) -> bool {
        let is_left_alone = self.limits.fault == Fault::FrozenBeforeSending && name != NAMES[0];
        if self.limits.edits == 0 || is_left_alone {
            return false;
        }
        self.limits.edits -= 1;
        let id = ServiceId::new("n", name);
        if self.services.remove(&id).is_some() {
            self.version += 1;
            self.tell(&id, None);
        } else {
            self.make(name);
        }
        true
    }

    // --- the server ---

    fn store(&mut self, mut service: Service) -> ResourceVersion {
        self.version += 1;
        service.version = ResourceVersion(self.version);
        let (id, service) = (service.id.clone(), Arc::new(service));
        self.services.insert(id.clone(), Arc::clone(&service));
        self.tell(&id, Some(service));
        ResourceVersion(self.version)
    }

    fn tell(&mut self, id: &ServiceId, now: Option<Arc<Service>>) {
        if let Some(leader) = &mut self.leader {
            leader.unseen.push((id.clone(), now));
        }
    }

    /// The error is a broken promise.
    fn carry_out(&mut self, patch: &ServicePatch, made: WallTime) -> Result<Outcome, String> {
        let Some(before) = self.services.get(&patch.id).cloned() else { return Ok(Outcome::Gone) };
        if before.version != patch.version {
            return Ok(Outcome::Conflict);
        }
        let after = patched(&before, patch, made);
        if after == *before {
            return Ok(Outcome::Unchanged);
        }
        // What a frozen leader sends late may be given to another before that one's leader sees it; it is taken back.
        let is_excused = self.limits.fault == Fault::FrozenBeforeSending;
        let other = |address: IpAddr| {
            self.services.values().find(|o| o.id != before.id && o.addresses().any(|held| held == address))
        };
        for new in after.addresses().filter(|a| before.addresses().all(|held| held != *a)) {
            if let Some(holder) = other(new).filter(|_| !is_excused) {
                return Err(format!("{new} is given to {} and held by {}", after.id, holder.id));
            }
        }
        for lost in before.addresses().filter(|a| after.addresses().all(|held| held != *a)) {
            if other(lost).is_none() {
                return Err(format!("{} lost {lost}", before.id));
            }
        }
        Ok(Outcome::Written { version: self.store(after) })
    }

    /// Is an address shown by two?
    pub(super) fn has_double(&self) -> bool {
        let mut held = BTreeSet::new();
        !self.services.values().flat_map(|service| service.addresses()).all(|address| held.insert(address))
    }

    // --- the leader ---

    fn begin(&mut self, was_free: bool) -> bool {
        if self.limits.terms == 0 {
            return false;
        }
        self.limits.terms -= 1;
        if !was_free && self.limits.fault != Fault::NoWait {
            self.strays.retain(|stray| stray.is_frozen);
        }
        let view = if self.limits.fault == Fault::NoList { self.standby.clone() } else { self.services.clone() };
        // Whatever a standby has not seen yet comes later.
        let mut unseen = Vec::new();
        for id in self.services.keys().chain(view.keys()).collect::<BTreeSet<_>>() {
            if self.services.get(id) != view.get(id) {
                unseen.push((id.clone(), self.services.get(id).cloned()));
            }
        }
        self.standby = self.services.clone();
        let may_freeze = self.limits.fault == Fault::FrozenBeforeSending;
        let memory = Memory::new(ironlb_ipam::Limits {
            request_timeout: Duration::from_secs(4),
            conflict_counts: Duration::from_mins(5),
        });
        self.leader = Some(Leader { view, unseen, memory, requests: Vec::new(), strays: Vec::new(), may_freeze });
        true
    }

    fn decide(&mut self) -> bool {
        let Some(leader) = &mut self.leader else { return false };
        let now = Timestamp::ZERO + AGE * self.clock;
        let mut snapshot = Snapshot { services: leader.view.clone(), ..Snapshot::default() };
        snapshot.eips.insert(self.eip.name.clone(), Arc::clone(&self.eip));
        let mut has_decided = false;
        for planned in step(&snapshot, &mut leader.memory, now).actions {
            match planned.action {
                Action::PatchService(patch) => {
                    has_decided = true;
                    let made = WallTime(i64::from(self.clock));
                    leader.requests.push(Request { id: planned.id, patch, made, outcome: None });
                }
                // What is told is not looked at here, and the Eip's status is no input once ironlb has written to it.
                _ => leader.memory.on_written(planned.id, Outcome::NotSent, now),
            }
        }
        has_decided
    }

    fn show(&mut self) -> bool {
        let Some(leader) = &mut self.leader else { return false };
        if leader.unseen.is_empty() {
            return false;
        }
        match leader.unseen.remove(0) {
            (id, Some(service)) => leader.view.insert(id, service),
            (id, None) => leader.view.remove(&id),
        };
        true
    }

    /// A list that began one request time-out after the last that was given up.
    fn list(&mut self) -> bool {
        let Some(leader) = &mut self.leader else { return false };
        let is_wanted =
            leader.memory.in_flight().services.values().any(|w| matches!(w.state, WriteState::Unknown { .. }));
        if !is_wanted {
            return false;
        }
        leader.strays.clear();
        leader.unseen.clear();
        leader.view = self.services.clone();
        leader.memory.on_relisted(Timestamp::ZERO + AGE * self.clock);
        true
    }

    fn reach(&mut self, which: usize) -> Result<bool, String> {
        let Some(leader) = &self.leader else { return Ok(false) };
        let Request { patch, made, outcome, .. } = leader.requests[which].clone();
        if outcome.is_some() {
            return Ok(false);
        }
        let outcome = self.carry_out(&patch, made)?;
        if let Some(leader) = &mut self.leader {
            leader.requests[which].outcome = Some(outcome);
        }
        Ok(true)
    }

    fn answer(&mut self, which: usize) -> bool {
        let Some(leader) = &mut self.leader else { return false };
        if leader.requests[which].outcome.is_none() {
            return false;
        }
        let Request { id, outcome, .. } = leader.requests.remove(which);
        let now = Timestamp::ZERO + AGE * self.clock;
        leader.memory.on_written(id, outcome.unwrap_or(Outcome::NotSent), now);
        true
    }

    fn give_up(&mut self, which: usize) -> bool {
        if self.limits.fault == Fault::FrozenBeforeSending {
            // One fault at a time, or the worlds are too many.
            return false;
        }
        let Some(leader) = &mut self.leader else { return false };
        let Request { id, patch, made, outcome } = leader.requests.remove(which);
        if outcome.is_none() {
            leader.strays.push(Stray { patch, made, is_frozen: false });
        }
        leader.memory.on_written(id, Outcome::Unknown, Timestamp::ZERO + AGE * self.clock);
        true
    }

    /// The process is stopped with this write decided and not sent. Its term runs out meanwhile; what else it had sent may go on.
    fn freeze(&mut self, which: usize) -> bool {
        let Some(leader) = &mut self.leader else { return false };
        if !leader.may_freeze || leader.requests[which].outcome.is_some() {
            return false;
        }
        let Request { patch, made, .. } = leader.requests.remove(which);
        self.end();
        self.strays.push(Stray { patch, made, is_frozen: true });
        true
    }

    fn end(&mut self) -> bool {
        let Some(leader) = self.leader.take() else { return false };
        let is_frozen = self.limits.fault == Fault::Unchecked;
        for Request { patch, made, outcome, .. } in leader.requests {
            if outcome.is_none() {
                self.strays.push(Stray { patch, made, is_frozen });
            }
        }
        self.strays.extend(leader.strays);
        true
    }

    fn hand_over(&mut self) -> bool {
        match &self.leader {
            Some(leader) if leader.requests.is_empty() && leader.strays.is_empty() => {
                self.leader = None;
                self.begin(true)
            }
            _ => false,
        }
    }

    // --- the search ---

    /// Lets everything come to rest with a leader that hears and is heard. Then no address is shown by two.
    pub(super) fn settle(mut self) -> Result<(), String> {
        self.strays.clear();
        if self.leader.is_none() {
            self.limits.terms = 1;
            self.begin(false);
        }
        for _ in 0..20 {
            self.clock += 1;
            while self.leader.as_ref().is_some_and(|leader| !leader.requests.is_empty()) {
                self.reach(0)?;
                self.answer(0);
            }
            while self.show() {}
            self.list();
            self.decide();
        }
        if self.has_double() { Err(format!("two keep an address: {:#?}", self.services)) } else { Ok(()) }
    }
}

/// What the API server makes of a patch.
fn patched(before: &Service, patch: &ServicePatch, made: WallTime) -> Service {
    let mut after = before.clone();
    if let Some(ingress) = &patch.ingress {
        after.ingress.clone_from(ingress);
    }
    match &patch.label {
        Some(Change::Set(label)) => after.eip_label = Some(label.clone()),
        Some(Change::Remove) => after.eip_label = None,
        None => {}
    }
    match &patch.addresses {
        Some(Change::Set(text)) => after.remembered = text.split(',').map(|a| a.parse().expect("an address")).collect(),
        Some(Change::Remove) => after.remembered.clear(),
        None => {}
    }
    for write in &patch.conditions {
        let kind = match write {
            ConditionWrite::Set { condition, .. } => &condition.kind,
            ConditionWrite::Remove { kind } => kind,
        };
        after.conditions.retain(|condition| condition.kind != *kind);
        if let ConditionWrite::Set { condition, transition } = write {
            after.conditions.push(condition.clone());
            if *transition && condition.kind == ironlb_ipam::ADDRESS_ASSIGNED {
                after.assigned_at = Some(made);
            }
        }
    }
    after
}

/// One that takes an address from the Eip, and perhaps wishes for the one there is.
fn service(name: &str, wishes: bool) -> Service {
    let mut object = serde_json::json!({
        "metadata": {"namespace": "n", "name": name, "annotations": {"lb.kubesphere.io/v1alpha1": "openelb"}},
        "spec": {"type": "LoadBalancer", "ports": [{"port": 80}], "ipFamilies": ["IPv4"]},
    });
    if wishes {
        object["spec"]["loadBalancerIP"] = "192.0.2.1".into();
    }
    ironlb_translate::service(&serde_json::from_value(object).expect("a Service")).0
}

/// The default one, of a single address, in which ironlb has written before.
fn eip() -> Arc<Eip> {
    let object = serde_json::json!({
        "apiVersion": "network.kubesphere.io/v1alpha2", "kind": "Eip",
        "metadata": {"name": "pool", "annotations": {"eip.openelb.kubesphere.io/is-default-eip": "true"}},
        "spec": {"address": "192.0.2.1", "protocol": "layer2"},
        "status": {"conditions": [{"type": "Ready", "status": "True", "reason": "Ready", "message": "",
                                   "lastTransitionTime": "2026-01-01T00:00:00Z"}]},
    });
    Arc::new(ironlb_translate::eip(&serde_json::from_value(object).expect("an Eip")).0)
}
