//! The controller against a model of the API server, through a watch that lags.
//!
//! Requests wait before they are sent, answers are late or never come, some requests are carried out after they were given up, the
//! leader changes, and the user goes on changing things. At every write that the server accepts: no two Services get one address
//! against the rules, and nothing moves but by the user's doing. In the end all is quiet and everything is shown as it is.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use ironlb_model::{
    ConditionStatus, Eip, EipName, IngressAddress, OptIn, Pool, ResourceVersion, Service, ServiceId, Snapshot,
    Timestamp, WallTime,
};
use proptest::prelude::*;
use proptest::strategy::ValueTree;
use proptest::test_runner::{Config, TestRunner};

use crate::action::{Action, ActionId, EipPatch, ServicePatch};
use crate::sharing::Clash;
use crate::testing::*;
use crate::{ADDRESS_ASSIGNED, Limits, Memory, Outcome, Planned, step};

const TIMEOUT: Duration = Duration::from_secs(4);

/// What happens next.
#[derive(Debug, Clone)]
enum Op {
    /// The user creates a Service, or nothing if it is there.
    Create { who: u8, wish: Option<u8>, port: u16 },
    /// The user deletes it.
    Delete { who: u8 },
    /// The user changes its wish.
    Wish { who: u8, wish: Option<u8> },
    /// The user opts it in or out.
    OptIn { who: u8, is_in: bool },
    /// The user disables the Eip or shrinks it, or makes it as it was.
    Eip { disabled: bool, shrunk: bool },
    /// The watch shows so many more changes.
    Deliver { count: u8 },
    /// The controller makes a step.
    Step,
    /// It sends the next request.
    Send { fate: Fate },
    /// The next late answer comes in.
    Answer,
    /// A request that was given up arrives after all.
    ArriveLate,
    /// Time passes.
    Wait { seconds: u8 },
    /// The store is replaced by a fresh list.
    Relist,
    /// Another leader takes over.
    TakeOver,
}

/// What becomes of a request.
#[derive(Debug, Clone, Copy)]
enum Fate {
    /// Carried out and answered.
    Answered,
    /// Carried out, the answer is late.
    AnsweredLate,
    /// Refused.
    Refused,
    /// Carried out, the answer is lost.
    AnswerLost,
    /// Given up; it may arrive later.
    InLimbo,
}

/// By which rules the controller plays.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Rules {
    /// Ours.
    Real,
    /// It forgets what it wrote; only the version in the patch protects.
    Forgetful,
    /// A new leader goes on with the lagging view of a follower.
    HastyTakeOver,
    /// No answer counts as a refusal.
    NoAnswerIsNo,
}

#[derive(Debug, Clone)]
enum Change {
    Service(ServiceId, Option<Arc<Service>>),
    Eip(Arc<Eip>),
}

/// The API server, the watch and the controller in one.
struct World {
    rules: Rules,
    now: Timestamp,
    version: u64,
    services: BTreeMap<ServiceId, Arc<Service>>,
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
}

fn id(who: u8) -> ServiceId {
    ServiceId::new("n", &format!("s{who}"))
}

fn address(n: u8) -> IpAddr {
    IpAddr::from([10, 0, 0, n])
}

fn pool() -> Eip {
    eip("a", "10.0.0.1-10.0.0.3").default_eip()
}

impl World {
    fn new(rules: Rules) -> Self {
        let mut world = Self {
            rules,
            now: seconds(1000),
            version: 1,
            services: BTreeMap::new(),
            eips: BTreeMap::new(),
            log: Vec::new(),
            view: Snapshot::default(),
            seen: 0,
            memory: Memory::new(Limits { request_timeout: TIMEOUT }),
            outbox: VecDeque::new(),
            answers: VecDeque::new(),
            limbo: Vec::new(),
            given: BTreeMap::new(),
            told: BTreeMap::new(),
            asked: BTreeSet::new(),
        };
        world.store_eip(pool());
        world.deliver(usize::MAX);
        world
    }

    // --- the server ---

    fn store(&mut self, mut service: Service) -> ResourceVersion {
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
        self.log.push(Change::Eip(eip));
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
            Action::RemoveEipFinalizer { .. } | Action::PatchObject(_) => Err(format!("nobody asked for {action:?}")),
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
                Change::Eip(eip) => {
                    self.view.eips.insert(eip.name.clone(), eip);
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
            self.memory = Memory::new(Limits { request_timeout: TIMEOUT });
        }
        let step = step(&self.view, &mut self.memory, self.now);
        self.outbox.extend(step.actions);
        [step.next_wake, step.relist_after].into_iter().flatten().min()
    }

    fn send(&mut self, fate: Fate) -> Result<(), String> {
        let Some(Planned { id, action }) = self.outbox.pop_front() else { return Ok(()) };
        let unknown = match self.rules {
            Rules::NoAnswerIsNo => Outcome::Refused { message: "no answer".to_owned() },
            Rules::Real | Rules::Forgetful | Rules::HastyTakeOver => Outcome::Unknown,
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
        self.memory = Memory::new(Limits { request_timeout: TIMEOUT });
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

    fn perform(&mut self, op: &Op) -> Result<(), String> {
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
            Op::Eip { disabled, shrunk } => {
                let mut eip = (*self.eips[&EipName::from("a")]).clone();
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

    /// Lets everything come to rest, all requests succeeding, and looks at what is shown.
    fn settle(&mut self) -> Result<(), String> {
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
            if service.remembered != vips {
                return Err(format!("{} holds {vips:?} and remembers {:?}", service.id, service.remembered));
            }
            for address in vips {
                held.entry(address).or_default().insert(service.id.clone());
            }
        }
        let eip = &self.eips[&EipName::from("a")];
        // What lies outside a shrunk Eip is listed as long as its status lists it, which a lost status may have ended.
        for (address, holders) in held.iter().filter(|(address, _)| eip.spans(**address)) {
            if eip.status.used.get(address) != Some(holders) {
                return Err(format!("{held:?} is shown as {:?}", eip.status.used));
            }
        }
        Ok(())
    }
}

fn any_op() -> impl Strategy<Value = Op> {
    let who = || 0_u8..5;
    let wish = || prop::option::weighted(0.4, 1_u8..4);
    prop_oneof![
        6 => (who(), wish(), 80_u16..82).prop_map(|(who, wish, port)| Op::Create { who, wish, port }),
        2 => who().prop_map(|who| Op::Delete { who }),
        2 => (who(), wish()).prop_map(|(who, wish)| Op::Wish { who, wish }),
        1 => (who(), any::<bool>()).prop_map(|(who, is_in)| Op::OptIn { who, is_in }),
        1 => (any::<bool>(), any::<bool>()).prop_map(|(disabled, shrunk)| Op::Eip { disabled, shrunk }),
        6 => (0_u8..4).prop_map(|count| Op::Deliver { count }),
        8 => Just(Op::Step),
        10 => prop_oneof![
            5 => Just(Fate::Answered), 2 => Just(Fate::AnsweredLate), 1 => Just(Fate::Refused), 1 => Just(Fate::AnswerLost),
            2 => Just(Fate::InLimbo),
        ]
        .prop_map(|fate| Op::Send { fate }),
        3 => Just(Op::Answer),
        2 => Just(Op::ArriveLate),
        2 => (0_u8..6).prop_map(|seconds| Op::Wait { seconds }),
        1 => Just(Op::Relist),
        1 => Just(Op::TakeOver),
    ]
}

fn run(rules: Rules, ops: &[Op]) -> Result<(), String> {
    let mut world = World::new(rules);
    for op in ops {
        world.perform(op)?;
    }
    world.settle()
}

proptest! {
    #![proptest_config(Config { cases: 1024, failure_persistence: None, ..Config::default() })]

    #[test]
    fn no_address_is_given_twice_and_none_moves(ops in prop::collection::vec(any_op(), 5..80)) {
        prop_assert_eq!(run(Rules::Real, &ops), Ok(()));
    }
}

/// Do random sequences find that a rule set gives one address twice?
fn gives_one_twice(rules: Rules) -> bool {
    let mut runner = TestRunner::deterministic();
    let strategy = prop::collection::vec(any_op(), 5..80);
    let mut faults =
        (0..5000).filter_map(|_| run(rules, &strategy.new_tree(&mut runner).expect("no filter").current()).err());
    faults.any(|fault| fault.contains("is given to"))
}

#[test]
fn each_rule_is_needed() {
    for rules in [Rules::Forgetful, Rules::HastyTakeOver, Rules::NoAnswerIsNo] {
        assert!(gives_one_twice(rules), "{rules:?}");
    }
}

#[test]
fn a_foreign_entry_of_the_status_stays() {
    let mut world = World::new(Rules::Real);
    world.store(service("n/s0").with(|s| s.ingress = vec![IngressAddress::Foreign("lb.example.org".to_owned())]));
    assert_eq!(world.settle(), Err(format!("in the end {:?}", world.services[&id(0)])));
    let after = &world.services[&id(0)];
    assert_eq!(after.ingress, [IngressAddress::Foreign("lb.example.org".to_owned())]);
    assert_eq!(after.condition(ADDRESS_ASSIGNED).map(|c| c.reason.as_str()), Some("HeldByOther"));
}
