//! The API server, the watch and the controller in one.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use ironlb_model::{
    ConditionStatus, Eip, EipName, OptIn, Pool, ResourceVersion, Service, ServiceId, Snapshot, Timestamp, WallTime,
};

use super::{Fate, Op, Rules};
use crate::action::{Action, ActionId};
use crate::sharing::Clash;
use crate::testing::*;
use crate::{ADDRESS_ASSIGNED, Limits, Memory, Outcome, Planned, step};
use ironlb_model::{EipPatch, ServicePatch};

const TIMEOUT: Duration = Duration::from_secs(4);

#[derive(Debug, Clone)]
enum Change {
    Service(ServiceId, Option<Arc<Service>>),
    Eip(EipName, Option<Arc<Eip>>),
}

/// All of it, with the user.
pub(super) struct World {
    rules: Rules,
    now: Timestamp,
    version: u64,
    pub(super) services: BTreeMap<ServiceId, Arc<Service>>,
    eips: BTreeMap<EipName, Arc<Eip>>,
    log: Vec<Change>,
    view: Snapshot,
    seen: usize,
    memory: Memory,
    outbox: VecDeque<Planned>,
    answers: VecDeque<(ActionId, Outcome)>,
    limbo: Vec<(Timestamp, Action)>,
    /// How often each address was given to each Service, and how often that was told.
    given: BTreeMap<(ServiceId, IpAddr), usize>,
    told: BTreeMap<(ServiceId, IpAddr), usize>,
    /// Which were given because they were wished for.
    asked: BTreeSet<(ServiceId, IpAddr)>,
    /// What Services held whose status was lost, as long as nothing else happened that bears on it.
    lost: BTreeMap<ServiceId, Vec<IpAddr>>,
}

pub(super) fn id(who: u8) -> ServiceId {
    ServiceId::new("n", &format!("s{who}"))
}

fn address(n: u8) -> IpAddr {
    IpAddr::from([10, 0, 0, n])
}

fn pool() -> Eip {
    eip("a", "10.0.0.1-10.0.0.3").default_eip()
}

impl World {
    pub(super) fn new(rules: Rules) -> Self {
        let mut world = Self {
            rules,
            now: seconds(1000),
            version: 1,
            services: BTreeMap::new(),
            eips: BTreeMap::new(),
            log: Vec::new(),
            view: Snapshot::default(),
            seen: 0,
            memory: Memory::new(Limits { request_timeout: TIMEOUT, conflict_counts: TIMEOUT }),
            outbox: VecDeque::new(),
            answers: VecDeque::new(),
            limbo: Vec::new(),
            given: BTreeMap::new(),
            told: BTreeMap::new(),
            asked: BTreeSet::new(),
            lost: BTreeMap::new(),
        };
        world.store_eip(pool());
        world.deliver(usize::MAX);
        world
    }

    // --- the server ---

    pub(super) fn store(&mut self, mut service: Service) -> ResourceVersion {
        self.version += 1;
        service.version = ResourceVersion(self.version);
        let service = Arc::new(service);
        self.services.insert(service.id.clone(), Arc::clone(&service));
        self.log.push(Change::Service(service.id.clone(), Some(service)));
        ResourceVersion(self.version)
    }

    fn store_eip(&mut self, mut eip: Eip) -> ResourceVersion {
        self.version += 1;
        eip.version = ResourceVersion(self.version);
        let eip = Arc::new(eip);
        self.eips.insert(eip.name.clone(), Arc::clone(&eip));
        self.log.push(Change::Eip(eip.name.clone(), Some(eip)));
        ResourceVersion(self.version)
    }

    fn remove(&mut self, id: &ServiceId) {
        self.version += 1;
        if self.services.remove(id).is_some() {
            self.log.push(Change::Service(id.clone(), None));
        }
    }

    /// Carries a request out. The error is a broken invariant.
    fn carry_out(&mut self, action: &Action) -> Result<Outcome, String> {
        match action {
            Action::PatchService(patch) => self.patch_service(patch),
            Action::PatchEip(patch) => Ok(self.patch_eip(patch)),
            Action::RemoveFinalizer { .. }
            | Action::PatchObject(_)
            | Action::RemoveKeys { .. }
            | Action::DeleteSpeaker(_) => Err(format!("nobody asked for {action:?}")),
            Action::Emit(event) => {
                if let Some(text) = event.message.strip_prefix("success to assign ip: ") {
                    let ironlb_model::ObjectRef::Service(id) = &event.object else { return Err(format!("{event:?}")) };
                    let key = (id.clone(), ip(text));
                    *self.told.entry(key.clone()).or_default() += 1;
                    if self.told.get(&key) > self.given.get(&key) {
                        return Err(format!("told more often than done: {event:?}"));
                    }
                }
                Ok(Outcome::Unchanged)
            }
        }
    }

    fn patch_service(&mut self, patch: &ServicePatch) -> Result<Outcome, String> {
        let Some(before) = self.services.get(&patch.id).cloned() else { return Ok(Outcome::Gone) };
        if before.version != patch.version {
            return Ok(Outcome::Conflict);
        }
        let after = patched(&before, patch, WallTime(i64::try_from(self.now.as_nanos() / 1_000_000_000).unwrap()));
        if after == *before {
            return Ok(Outcome::Written { version: before.version });
        }
        for new in after.addresses().filter(|a| before.addresses().all(|held| held != *a)) {
            *self.given.entry((after.id.clone(), new)).or_default() += 1;
            if after.wish.contains(&new) {
                self.asked.insert((after.id.clone(), new));
            }
            for other in self.services.values().filter(|o| o.id != after.id && o.addresses().any(|held| held == new)) {
                // Where answers are lost the one that asked to share may be written before the one it asked to share with.
                let asked = after.wish.contains(&new) || self.asked.contains(&(other.id.clone(), new));
                if !asked || Clash::between(&after, other).is_some() {
                    return Err(format!("{new} is given to {} and held by {}", after.id, other.id));
                }
            }
        }
        for lost in before.addresses().filter(|a| after.addresses().all(|held| held != *a)) {
            let left = before.opt_in != OptIn::Ours || before.deleting;
            let moved = before.wish.iter().any(|wish| *wish != lost && after.addresses().any(|held| held == *wish));
            if !left && !moved {
                return Err(format!("{} lost {lost} by nobody's doing", before.id));
            }
        }
        let is_gone = after.deleting && !after.has_openelb_finalizer;
        let version = self.store(after);
        if is_gone {
            self.remove(&patch.id);
        }
        Ok(Outcome::Written { version })
    }

    fn patch_eip(&mut self, patch: &EipPatch) -> Outcome {
        let Some(before) = self.eips.get(&patch.eip).cloned() else { return Outcome::Gone };
        if before.version != patch.version {
            return Outcome::Conflict;
        }
        let after = patched_eip(&before, patch);
        if after == *before {
            return Outcome::Written { version: before.version };
        }
        Outcome::Written { version: self.store_eip(after) }
    }

    // --- the watch ---

    fn deliver(&mut self, count: usize) {
        for change in self.log.iter().skip(self.seen).take(count) {
            self.seen += 1;
            match change.clone() {
                Change::Service(id, Some(service)) => {
                    self.view.services.insert(id, service);
                }
                Change::Service(id, None) => {
                    self.view.services.remove(&id);
                }
                Change::Eip(name, Some(eip)) => {
                    self.view.eips.insert(name, eip);
                }
                Change::Eip(name, None) => {
                    self.view.eips.remove(&name);
                }
            }
        }
    }

    fn relist(&mut self) {
        self.deliver(usize::MAX);
        self.memory.on_relisted(self.now);
    }

    // --- the controller ---

    fn step(&mut self) -> Option<Timestamp> {
        if self.rules == Rules::Forgetful {
            self.memory = Memory::new(Limits { request_timeout: TIMEOUT, conflict_counts: TIMEOUT });
        }
        let view = self.seen_by_the_rules();
        let step = step(&view, &mut self.memory, self.now);
        self.outbox.extend(step.actions);
        [step.next_wake, step.relist_after].into_iter().flatten().min()
    }

    /// The view, for a controller that looks away from a part of it.
    fn seen_by_the_rules(&self) -> Snapshot {
        let mut view = self.view.clone();
        for service in view.services.values_mut().map(Arc::make_mut) {
            match self.rules {
                Rules::NothingRemembered if service.ingress.is_empty() => service.remembered.clear(),
                Rules::OnlyWithAnEip if service.opt_in == OptIn::Ours && view.eips.is_empty() => {
                    service.opt_in = OptIn::Other
                }
                _ => {}
            }
        }
        view
    }

    fn send(&mut self, fate: Fate) -> Result<(), String> {
        let Some(Planned { id, action }) = self.outbox.pop_front() else { return Ok(()) };
        let unknown = match self.rules {
            Rules::NoAnswerIsNo => Outcome::Refused { message: "no answer".to_owned() },
            Rules::Real | Rules::Forgetful | Rules::HastyTakeOver | Rules::NothingRemembered | Rules::OnlyWithAnEip => {
                Outcome::Unknown
            }
        };
        let outcome = match fate {
            Fate::Answered => self.carry_out(&action)?,
            Fate::AnsweredLate => {
                let outcome = self.carry_out(&action)?;
                self.answers.push_back((id, outcome));
                return Ok(());
            }
            Fate::Refused => Outcome::Refused { message: "a policy says no".to_owned() },
            Fate::AnswerLost => {
                self.carry_out(&action)?;
                unknown
            }
            Fate::InLimbo => {
                if !matches!(action, Action::Emit(_)) {
                    self.limbo.push((self.now + TIMEOUT, action));
                }
                unknown
            }
        };
        self.memory.on_written(id, outcome, self.now);
        Ok(())
    }

    fn answer(&mut self) {
        if let Some((id, outcome)) = self.answers.pop_front() {
            self.memory.on_written(id, outcome, self.now);
        }
    }

    fn arrive_late(&mut self) -> Result<(), String> {
        if self.limbo.is_empty() {
            return Ok(());
        }
        let (_, action) = self.limbo.remove(0);
        self.carry_out(&action).map(|_| ())
    }

    fn wait(&mut self, time: Duration) {
        self.now = self.now + time;
        let now = self.now;
        self.limbo.retain(|(deadline, _)| *deadline > now);
    }

    fn take_over(&mut self) {
        self.outbox.clear();
        self.answers.clear();
        if self.rules != Rules::HastyTakeOver {
            self.wait(TIMEOUT);
            self.deliver(usize::MAX);
        }
        self.memory = Memory::new(Limits { request_timeout: TIMEOUT, conflict_counts: TIMEOUT });
    }

    // --- the user ---

    fn change(&mut self, who: u8, change: impl FnOnce(&mut Service)) {
        if let Some(before) = self.services.get(&id(who)) {
            let mut after = (**before).clone();
            change(&mut after);
            if after != **before {
                self.store(after);
            }
        }
    }

    /// What this does to a Service or Eip is reason enough for an address not to come back.
    fn note_what_bears_on_lost(&mut self, op: &Op) {
        match op {
            Op::Create { who, .. } if self.services.contains_key(&id(*who)) => {}
            Op::Create { wish, .. } | Op::Wish { wish: wish @ Some(_), .. } => {
                // Another may ask for it, and a wish goes before what was held.
                let wish = wish.map(address);
                self.lost.retain(|_, held| held.iter().all(|held| Some(*held) != wish));
            }
            Op::Eip { .. } | Op::EipGone { .. } | Op::BetterEip { .. } => self.lost.clear(),
            _ => {}
        }
        if let Op::Delete { who } | Op::Wish { who, .. } | Op::OptIn { who, .. } = op {
            self.lost.remove(&id(*who));
        }
    }

    pub(super) fn perform(&mut self, op: &Op) -> Result<(), String> {
        self.note_what_bears_on_lost(op);
        match op {
            Op::Create { who, wish, port } if !self.services.contains_key(&id(*who)) => {
                let created = WallTime(i64::try_from(self.version).unwrap() / 3);
                self.store(service(&id(*who).to_string()).ports(&[*port]).with(|s| {
                    s.wish.extend(wish.map(address));
                    s.created = created;
                    // Some carry OpenELB's finalizer, so that deleting them takes a patch of ours.
                    s.has_openelb_finalizer = *who == 0;
                }));
            }
            Op::Create { .. } => {}
            Op::Delete { who } => {
                if self.services.get(&id(*who)).is_some_and(|s| s.has_openelb_finalizer) {
                    self.change(*who, |s| s.deleting = true);
                } else {
                    self.remove(&id(*who));
                }
            }
            Op::Wish { who, wish } => self.change(*who, |s| s.wish = wish.map(address).into_iter().collect()),
            Op::OptIn { who, is_in } => {
                self.change(*who, |s| s.opt_in = if *is_in { OptIn::Ours } else { OptIn::Absent });
            }
            Op::LoseStatus { who } => self.lose_status(&id(*who)),
            Op::LoseEipStatus => {
                if let Some(eip) = self.eips.get(&EipName::from("a")) {
                    let status = ironlb_model::EipStatus::default();
                    self.store_eip(Eip { status, ..(**eip).clone() });
                }
            }
            Op::Strip { who } => self.change(*who, |s| (s.eip_label, s.has_openelb_finalizer) = (None, false)),
            Op::BetterEip { is_there } => {
                self.have_eip(eip("better", "10.0.0.1-10.0.0.2").default_eip().with(|e| e.priority = -5), *is_there);
            }
            Op::EipGone { is_gone } => self.have_eip(pool(), !is_gone),
            Op::Eip { disabled, shrunk } => {
                let Some(eip) = self.eips.get(&EipName::from("a")) else { return Ok(()) };
                let mut eip = (**eip).clone();
                eip.disabled = *disabled;
                eip.span = if *shrunk { Pool::new(&ranges("10.0.0.1"), &[]) } else { pool().span };
                eip.pool = eip.span.clone();
                self.store_eip(eip);
            }
            Op::Deliver { count } => self.deliver(usize::from(*count)),
            Op::Step => {
                self.step();
            }
            Op::Send { fate } => self.send(*fate)?,
            Op::Answer => self.answer(),
            Op::ArriveLate => self.arrive_late()?,
            Op::Wait { seconds } => self.wait(Duration::from_secs(u64::from(*seconds))),
            Op::Relist => self.relist(),
            Op::TakeOver => self.take_over(),
        }
        Ok(())
    }

    fn have_eip(&mut self, eip: Eip, is_there: bool) {
        match (is_there, self.eips.contains_key(&eip.name)) {
            (true, false) => {
                self.store_eip(eip);
            }
            (false, true) => {
                self.version += 1;
                self.eips.remove(&eip.name);
                self.log.push(Change::Eip(eip.name, None));
            }
            _ => {}
        }
    }

    fn lose_status(&mut self, id: &ServiceId) {
        let Some(before) = self.services.get(id).cloned() else { return };
        let held: Vec<IpAddr> = before.addresses().collect();
        let mut after = (*before).clone();
        (after.ingress, after.conditions, after.assigned_at) = (Vec::new(), Vec::new(), None);
        if after == *before {
            return;
        }
        // Only one that an enabled Eip has, that nobody shares or asks for, and that is written down, comes back for certain.
        let others = || self.services.values().filter(|o| o.id != *id);
        let is_clear = |a: &IpAddr| {
            self.eips.values().any(|e| e.spans(*a) && !e.disabled)
                && self.eips.values().all(|e| !e.disabled)
                && others()
                    .all(|o| !o.wish.contains(a) && !o.remembered.contains(a) && o.addresses().all(|held| held != *a))
        };
        let wishes_for_another = before.wish.iter().any(|wish| !held.contains(wish));
        if before.opt_in == OptIn::Ours
            && !held.is_empty()
            && !before.deleting
            && !wishes_for_another
            && held == before.remembered
            && held.iter().all(is_clear)
        {
            self.lost.insert(id.clone(), held);
        }
        self.store(after);
    }

    /// Lets everything come to rest, all requests succeeding, and looks at what is shown.
    pub(super) fn settle(&mut self) -> Result<(), String> {
        let mut quiet = 0;
        for _ in 0..200 {
            while !self.answers.is_empty() {
                self.answer();
            }
            self.deliver(usize::MAX);
            let wake = self.step();
            if self.outbox.is_empty() && wake.is_none() && self.limbo.is_empty() {
                quiet += 1;
                if quiet == 2 {
                    return self.shows_what_is();
                }
            } else {
                quiet = 0;
            }
            while !self.outbox.is_empty() {
                self.send(Fate::Answered)?;
            }
            let until = wake.map_or(Duration::from_secs(1), |at| at.since(self.now)).max(Duration::from_millis(1));
            self.wait(until);
            self.relist();
        }
        Err("it never comes to rest".to_owned())
    }

    fn shows_what_is(&self) -> Result<(), String> {
        for (id, held) in &self.lost {
            let now: Vec<IpAddr> = self.services.get(id).map(|s| s.addresses().collect()).unwrap_or_default();
            if now != *held {
                return Err(format!("{held:?} was not given back to {id}, which has {now:?}"));
            }
        }
        let mut held: BTreeMap<IpAddr, BTreeSet<ServiceId>> = BTreeMap::new();
        for service in self.services.values() {
            let is_ours = service.opt_in == OptIn::Ours && !service.deleting;
            let status = service.condition(ADDRESS_ASSIGNED).map(|c| c.status);
            let want = if !is_ours {
                None
            } else if service.ingress.is_empty() {
                Some(ConditionStatus::False)
            } else {
                Some(ConditionStatus::True)
            };
            if status != want || (!is_ours && !service.ingress.is_empty()) {
                return Err(format!("in the end {service:?}"));
            }
            let vips: Vec<IpAddr> = service.addresses().collect();
            // What a disabled or shrunk Eip does not give back now is remembered for later.
            if service.remembered != vips && !(vips.is_empty() && is_ours) {
                return Err(format!("{} holds {vips:?} and remembers {:?}", service.id, service.remembered));
            }
            for address in vips {
                held.entry(address).or_default().insert(service.id.clone());
            }
        }
        // With another Eip beside it, or without it, it depends on the order of events which one shows an address.
        let Some(eip) = self.eips.get(&EipName::from("a")).filter(|_| self.eips.len() == 1) else { return Ok(()) };
        // What lies outside a shrunk Eip is listed as long as its status lists it, which a lost status may have ended.
        for (address, holders) in held.iter().filter(|(address, _)| eip.spans(**address)) {
            if eip.status.used.get(address).is_none_or(|shown| !shown.iter().eq(holders)) {
                return Err(format!("{held:?} is shown as {:?}", eip.status.used));
            }
        }
        Ok(())
    }
}
