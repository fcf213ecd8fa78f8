//! A cluster in virtual time: speakers made of the real machine and the real decision, an API server, a LAN, and faults.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::net::IpAddr;
use std::time::Duration;

use ironlb_announce::{Action, LocalView, Memory, step};
use ironlb_membership::{
    Config, Incarnation, Input, LeaseWrite, Membership, Output, RenewFailure, SeenLease, Standing, Timing,
};
use ironlb_model::{NodeName, Snapshot, Timestamp};

use crate::api_server::{ApiServer, Health};
use crate::random::Random;
use crate::site;
use crate::watcher::Watcher;

/// What is wrong with every speaker, to show that the properties find it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Bug {
    None,
    /// Frames are answered without looking at `valid_until`.
    NoValidUntil,
    /// What is claimed is answered, confirmed or not.
    AnswersOnClaim,
    /// Answering ends only with the next decision, not when the machine says so.
    StopsLate,
    /// Lists are answered from a copy that is up to half a second old.
    StaleLists,
    /// An outage is taken for a refusal.
    NeverFreezes,
    /// The election does not know who owns what.
    ForgetsOwners,
    /// A member's frames are not looked at.
    IgnoresMembers,
    /// Every other speaker believes that the rest wait for twice as long as they do.
    TrustsLongExpiry,
    /// What an older process of the node claimed is not taken over.
    AdoptsNothing,
}

/// How slow things are, in milliseconds.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Delays {
    /// One way between a node and the API server.
    pub(crate) request: u64,
    /// Of a watch event, mostly; one in thirty takes ten times as long.
    pub(crate) watch: u64,
    /// From a change of the view to the next decision.
    pub(crate) decide: u64,
    /// Until a process that was continued, or whose timer fell due, runs.
    pub(crate) schedule: u64,
}

pub(crate) const DELAYS: Delays = Delays { request: 15, watch: 20, decide: 10, schedule: 5 };

type Pid = usize;

#[derive(Debug, Clone, PartialEq)]
enum Request {
    Renew(LeaseWrite),
    List,
    /// The list a watch begins with.
    Watch,
}

#[derive(Debug, Clone)]
enum Message {
    Renewed(Result<SeenLease, RenewFailure>),
    Listed(Timestamp, Vec<SeenLease>),
    Watched(Box<Input>),
    TimedOut,
}

#[derive(Debug, Clone)]
enum Event {
    /// The process looks at its clock.
    Timer(Pid),
    Decide(Pid),
    ToServer(Pid, u64, Timestamp, Request),
    ToProcess(Pid, Option<u64>, Message),
    /// A gratuitous announcement goes out, if the vip is still answered.
    Announce(Pid, IpAddr),
    Heard(Pid, IpAddr, NodeName),
    BeginWatch(Pid),
    Fault(Fault),
    /// A continued process runs again.
    Runs(Pid),
}

/// What happens to the cluster.
#[derive(Debug, Clone)]
pub(crate) enum Fault {
    /// The newest process of the node is gone at once.
    Kill(u32),
    /// A new process on the node; an old one, if there is one, goes on (surge).
    Start(u32),
    /// SIGTERM to the oldest process of the node.
    Terminate(u32),
    Stop(u32),
    Continue(u32),
    Server(Health),
    /// The node and the API server do not hear each other.
    Cut(u32, bool),
    /// Only the node's writes go unanswered.
    CutWrites(u32, bool),
    /// Only the node's writes are refused.
    RefuseWrites(u32, bool),
    /// The node's watch says nothing more, and nobody notices until it begins anew.
    MuteWatch(u32, bool),
    DeleteLease(u32),
    Drain(u32, bool),
}

#[derive(Debug)]
struct Process {
    node: u32,
    machine: Membership,
    memory: Memory,
    is_running: bool,
    is_stopped: bool,
    inbox: VecDeque<Event>,
    /// Requests under way; the answer of one that is not here any more comes too late.
    under_way: BTreeMap<u64, Request>,
    timer: Option<Timestamp>,
    is_decision_due: bool,
    /// What frames are answered for, and until when.
    answers: BTreeSet<IpAddr>,
    valid_until: Option<Timestamp>,
    is_watching: bool,
    last_watched: Timestamp,
    snapshot: Snapshot,
    has_left: bool,
}

#[derive(Debug)]
pub(crate) struct Cluster {
    pub(crate) now: Timestamp,
    bug: Bug,
    pub(crate) delays: Delays,
    random: Random,
    queue: BTreeMap<(Timestamp, u64), Event>,
    sequence: u64,
    server: ApiServer,
    waiting: Vec<(Pid, u64, Timestamp, Request)>,
    processes: Vec<Process>,
    site: Snapshot,
    vips: Vec<IpAddr>,
    cut: BTreeSet<u32>,
    cut_writes: BTreeSet<u32>,
    refuse_writes: BTreeSet<u32>,
    muted: BTreeSet<u32>,
    pub(crate) watcher: Watcher,
    pub(crate) log: Vec<String>,
}

impl Cluster {
    /// `nodes` nodes that start within a second, and `vips` vips.
    pub(crate) fn new(nodes: u32, vips: u32, seed: u64, bug: Bug) -> Self {
        let mut cluster = Self {
            now: Timestamp::from_millis(1_000_000),
            bug,
            delays: DELAYS,
            random: Random(seed),
            queue: BTreeMap::new(),
            sequence: 0,
            server: ApiServer::new(),
            waiting: Vec::new(),
            processes: Vec::new(),
            site: site::site(nodes, vips),
            vips: (0..vips).map(site::vip).collect(),
            cut: BTreeSet::new(),
            cut_writes: BTreeSet::new(),
            refuse_writes: BTreeSet::new(),
            muted: BTreeSet::new(),
            watcher: Watcher::default(),
            log: Vec::new(),
        };
        for n in 0..nodes {
            let after = cluster.random.between(0, 1000);
            cluster.after(after, Event::Fault(Fault::Start(n)));
        }
        cluster
    }

    /// Milliseconds since the beginning.
    pub(crate) fn millis(&self) -> u64 {
        self.now.as_nanos() / 1_000_000 - 1_000_000
    }

    pub(crate) fn fault_after(&mut self, millis: u64, fault: Fault) {
        self.after(millis, Event::Fault(fault));
    }

    pub(crate) fn run(&mut self, millis: u64) {
        let end = self.now + Duration::from_millis(millis);
        while let Some(((at, _), event)) = self.queue.first_key_value().map(|(k, v)| (*k, v.clone())) {
            if at > end {
                break;
            }
            self.queue.pop_first();
            self.pass(at);
            self.happen(event);
        }
        self.pass(end);
    }

    /// The nodes that answer for each vip now.
    pub(crate) fn owners(&self) -> BTreeMap<IpAddr, BTreeSet<NodeName>> {
        let mut owners: BTreeMap<IpAddr, BTreeSet<NodeName>> =
            self.vips.iter().map(|v| (*v, BTreeSet::new())).collect();
        for (vip, node, until) in self.answering() {
            if until > self.now {
                owners.entry(vip).or_default().insert(node);
            }
        }
        owners
    }

    /// The one node that answers for each vip; panics where it is not one.
    pub(crate) fn sole_owners(&self) -> BTreeMap<IpAddr, NodeName> {
        let one = |nodes: BTreeSet<NodeName>, vip: IpAddr| {
            assert_eq!(nodes.len(), 1, "{vip} at {} ms: {nodes:?}", self.millis());
            nodes.into_iter().next().unwrap()
        };
        self.owners().into_iter().map(|(vip, nodes)| (vip, one(nodes, vip))).collect()
    }

    pub(crate) fn standing(&self, node: u32) -> Vec<Standing> {
        self.processes.iter().filter(|p| p.node == node && p.is_running).map(|p| p.machine.standing()).collect()
    }

    pub(crate) fn is_frozen(&self, node: u32) -> bool {
        self.processes.iter().any(|p| p.node == node && p.is_running && p.machine.is_frozen())
    }

    fn answering(&self) -> Vec<(IpAddr, NodeName, Timestamp)> {
        let far = Timestamp::from_nanos(u64::MAX);
        let mut all = Vec::new();
        for process in self.processes.iter().filter(|p| p.is_running && !p.is_stopped) {
            let until = if self.bug == Bug::NoValidUntil { Some(far) } else { process.valid_until };
            let Some(until) = until else { continue };
            all.extend(process.answers.iter().map(|vip| (*vip, site::node_name(process.node), until)));
        }
        all
    }

    fn pass(&mut self, to: Timestamp) {
        let answering = self.answering();
        self.watcher.see(self.now, to, &self.vips, &answering);
        self.now = to;
    }

    fn after(&mut self, millis: u64, event: Event) {
        self.at(self.now + Duration::from_millis(millis), event);
    }

    fn at(&mut self, at: Timestamp, event: Event) {
        self.sequence += 1;
        self.queue.insert((at.max(self.now), self.sequence), event);
    }

    /// About `millis`, to a tenth of a millisecond, so that things seldom happen at once.
    fn about(&mut self, millis: u64) -> Duration {
        Duration::from_micros(100 * self.random.between(1, 20 * millis.max(1)))
    }

    fn happen(&mut self, event: Event) {
        let pid = match &event {
            Event::Timer(pid) | Event::Decide(pid) | Event::ToProcess(pid, ..) | Event::Announce(pid, _) => Some(*pid),
            Event::Heard(pid, ..) | Event::BeginWatch(pid) => Some(*pid),
            Event::ToServer(..) | Event::Fault(_) | Event::Runs(_) => None,
        };
        if let Some(pid) = pid {
            let process = &mut self.processes[pid];
            if !process.is_running {
                return;
            }
            if process.is_stopped {
                process.inbox.push_back(event);
                return;
            }
        }
        match event {
            Event::Timer(pid) => {
                if self.processes[pid].timer.is_some_and(|at| at <= self.now) {
                    self.processes[pid].timer = None;
                    let now = self.now;
                    self.processes[pid].machine.handle_timeout(now);
                    self.drain(pid);
                }
            }
            Event::Decide(pid) => self.decide(pid),
            Event::ToServer(pid, id, started, request) => self.serve(pid, id, started, request),
            Event::ToProcess(pid, id, message) => self.receive(pid, id, message),
            Event::Announce(pid, vip) => self.announce(pid, vip),
            Event::Heard(pid, vip, member) => {
                if self.processes[pid].answers.contains(&vip) && self.bug != Bug::IgnoresMembers {
                    self.tell(pid, Input::ForeignClaim { vip, member });
                }
            }
            Event::BeginWatch(pid) => {
                let begins = self.processes[pid].under_way.values().any(|request| *request == Request::Watch);
                if !self.processes[pid].is_watching && !begins {
                    self.request(pid, Request::Watch);
                }
            }
            Event::Runs(pid) => self.runs(pid),
            Event::Fault(fault) => self.fault(fault),
        }
    }

    fn tell(&mut self, pid: Pid, input: Input) {
        let now = self.now;
        self.processes[pid].machine.handle_input(now, input);
        self.drain(pid);
    }

    /// What the speaker's loop does after every call of the machine.
    fn drain(&mut self, pid: Pid) {
        while let Some(output) = self.processes[pid].machine.poll_output() {
            match output {
                Output::StopAnswering(vips) => {
                    if self.bug != Bug::StopsLate {
                        for vip in vips {
                            self.processes[pid].answers.remove(&vip);
                            self.processes[pid].memory.applied.answering.remove(&vip);
                        }
                    }
                }
                Output::Renew(write) => self.request(pid, Request::Renew(write)),
                Output::List => self.request(pid, Request::List),
                Output::Changed => self.wants_decision(pid),
                Output::Notice(notice) => {
                    let line = format!("{} p{pid} n{}: {notice:?}", self.millis(), self.processes[pid].node);
                    self.log.push(line);
                }
                Output::Left => self.processes[pid].has_left = true,
            }
        }
        if self.processes[pid].has_left {
            self.processes[pid].is_running = false;
        }
        let process = &mut self.processes[pid];
        process.valid_until = process.machine.valid_until();
        let timer = process.machine.poll_timeout();
        if timer != process.timer {
            process.timer = timer;
            if let Some(at) = timer {
                let late = self.about(self.delays.schedule);
                self.at(at + late, Event::Timer(pid));
            }
        }
    }

    fn wants_decision(&mut self, pid: Pid) {
        if !std::mem::replace(&mut self.processes[pid].is_decision_due, true) {
            let late = self.about(self.delays.decide);
            self.at(self.now + late, Event::Decide(pid));
        }
    }

    fn decide(&mut self, pid: Pid) {
        let (bug, now) = (self.bug, self.now);
        let process = &mut self.processes[pid];
        process.is_decision_due = false;
        let machine = &process.machine;
        let view = LocalView {
            interfaces: site::interfaces(process.node),
            candidates: machine.candidates(),
            owners: if bug == Bug::ForgetsOwners { BTreeMap::new() } else { machine.owners() },
            may_answer: if bug == Bug::AnswersOnClaim {
                machine.claims().0.into_keys().collect()
            } else {
                machine.may_answer()
            },
            ready: true,
            ..LocalView::new(site::node_name(process.node))
        };
        let step = step(&process.snapshot, &view, &mut process.memory, now);
        let mut announced = Vec::new();
        for action in &step.actions {
            match action {
                Action::StopAnswering { vip, .. } => {
                    process.answers.remove(vip);
                }
                Action::Answer { vip, .. } => {
                    process.answers.insert(*vip);
                    announced.push(*vip);
                }
                Action::Report(_) => {}
            }
            process.memory.applied.record(action, now);
        }
        for vip in announced {
            for after in [0, 100, 1100, 2200, 4000] {
                self.after(after, Event::Announce(pid, vip));
            }
        }
        self.tell(pid, Input::Wanted(step.wanted));
    }

    fn announce(&mut self, pid: Pid, vip: IpAddr) {
        let process = &self.processes[pid];
        let node = process.node;
        let is_fenced = process.valid_until.is_none_or(|until| until <= self.now);
        if is_fenced || !process.answers.contains(&vip) {
            return;
        }
        for other in 0..self.processes.len() {
            let to = self.processes[other].node;
            if to != node {
                let wire = self.about(1);
                self.at(self.now + wire, Event::Heard(other, vip, site::node_name(node)));
            }
        }
    }

    fn request(&mut self, pid: Pid, request: Request) {
        self.sequence += 1;
        let id = self.sequence;
        self.processes[pid].under_way.insert(id, request.clone());
        let timeout = Timing::lease().request_timeout;
        let way = self.about(self.delays.request);
        let started = self.now;
        self.at(self.now + timeout, Event::ToProcess(pid, Some(id), Message::TimedOut));
        self.at(self.now + way, Event::ToServer(pid, id, started, request));
    }

    fn serve(&mut self, pid: Pid, id: u64, started: Timestamp, request: Request) {
        let node = self.processes[pid].node;
        let is_write = matches!(request, Request::Renew(_));
        if self.cut.contains(&node) || (is_write && self.cut_writes.contains(&node)) {
            return;
        }
        match self.server.health {
            Health::Serving => {}
            Health::Down => {
                let message = Message::TimedOut;
                let way = self.about(self.delays.request);
                self.at(self.now + way, Event::ToProcess(pid, Some(id), message));
                return;
            }
            Health::Hanging => {
                self.waiting.push((pid, id, started, request));
                return;
            }
        }
        let way = self.about(self.delays.request);
        let back = self.now + way;
        match request {
            Request::Renew(_) if self.refuse_writes.contains(&node) => {
                self.at(back, Event::ToProcess(pid, Some(id), Message::Renewed(Err(RenewFailure::Refused))));
            }
            Request::Renew(write) => {
                let before = self.server.list();
                let renewed = format!("{:?}", self.now);
                let result = self.server.write(&site::node_name(node), &write, renewed);
                if let Ok(lease) = &result {
                    if self.bug == Bug::StaleLists && self.random.one_in(3) {
                        self.server.stale = before;
                    }
                    self.publish(&Input::Lease(lease.clone()));
                }
                self.at(back, Event::ToProcess(pid, Some(id), Message::Renewed(result)));
            }
            Request::List => {
                let leases = if self.bug == Bug::StaleLists { self.server.stale.clone() } else { self.server.list() };
                self.at(back, Event::ToProcess(pid, Some(id), Message::Listed(started, leases)));
            }
            Request::Watch => {
                let leases = self.server.list();
                self.processes[pid].is_watching = true;
                self.processes[pid].last_watched = back;
                self.at(back, Event::ToProcess(pid, Some(id), Message::Listed(started, leases)));
            }
        }
    }

    /// Sends a change to all who watch, to each in order.
    fn publish(&mut self, input: &Input) {
        for pid in 0..self.processes.len() {
            let node = self.processes[pid].node;
            if !self.processes[pid].is_watching || self.muted.contains(&node) || self.cut.contains(&node) {
                continue;
            }
            let lag = if self.random.one_in(30) { self.delays.watch * 10 } else { self.delays.watch };
            let lag = self.about(lag);
            let at = (self.now + lag).max(self.processes[pid].last_watched + Duration::from_nanos(1));
            self.processes[pid].last_watched = at;
            self.at(at, Event::ToProcess(pid, None, Message::Watched(Box::new(input.clone()))));
        }
    }

    fn receive(&mut self, pid: Pid, id: Option<u64>, message: Message) {
        let node = self.processes[pid].node;
        let is_timeout = matches!(message, Message::TimedOut);
        if self.cut.contains(&node) && !is_timeout {
            return;
        }
        let request = id.map(|id| self.processes[pid].under_way.remove(&id));
        if request == Some(None) {
            return;
        }
        match message {
            Message::Renewed(Ok(lease)) => self.tell(pid, Input::Renewed { version: lease.version }),
            Message::Renewed(Err(failure)) => self.tell(pid, Input::RenewFailed(failure)),
            Message::Listed(started, leases) => {
                let input = self.listed(pid, started, leases);
                self.tell(pid, input);
            }
            Message::Watched(input) => {
                if self.processes[pid].is_watching {
                    self.tell(pid, *input);
                }
            }
            Message::TimedOut => match request.flatten() {
                Some(Request::Renew(_)) if self.bug == Bug::NeverFreezes => {
                    self.tell(pid, Input::RenewFailed(RenewFailure::Refused));
                }
                Some(Request::Renew(_)) => self.tell(pid, Input::RenewFailed(RenewFailure::Unreachable)),
                Some(Request::List) => self.tell(pid, Input::ListFailed),
                Some(Request::Watch) | None => {
                    let after = self.random.between(100, 800);
                    self.after(after, Event::BeginWatch(pid));
                }
            },
        }
    }

    fn listed(&self, pid: Pid, started: Timestamp, mut leases: Vec<SeenLease>) -> Input {
        if self.bug == Bug::AdoptsNothing {
            let node = site::node_name(self.processes[pid].node);
            leases.iter_mut().filter(|lease| lease.node == node).for_each(|lease| lease.claims.0.clear());
        }
        Input::Listed { started, leases }
    }

    fn fault(&mut self, fault: Fault) {
        self.log.push(format!("{} {fault:?}", self.millis()));
        let newest = |all: &[Process], node| all.iter().rposition(|p: &Process| p.node == node && p.is_running);
        match fault {
            Fault::Kill(node) => {
                if let Some(pid) = newest(&self.processes, node) {
                    self.processes[pid].is_running = false;
                }
            }
            Fault::Start(node) => self.start(node),
            Fault::Terminate(node) => {
                let oldest = self.processes.iter().position(|p| p.node == node && p.is_running && !p.is_stopped);
                if let Some(pid) = oldest {
                    self.tell(pid, Input::Shutdown);
                }
            }
            Fault::Stop(node) => {
                if let Some(pid) = newest(&self.processes, node) {
                    self.processes[pid].is_stopped = true;
                }
            }
            Fault::Continue(node) => {
                if let Some(pid) = newest(&self.processes, node).filter(|pid| self.processes[*pid].is_stopped) {
                    // Frames are answered by a thread of its own, which may run first.
                    self.processes[pid].is_stopped = false;
                    let inbox = std::mem::take(&mut self.processes[pid].inbox);
                    let late = self.about(self.delays.schedule);
                    for event in inbox {
                        self.at(self.now + late, event);
                    }
                    self.at(self.now + late, Event::Runs(pid));
                }
            }
            Fault::Server(health) => self.set_health(health),
            Fault::Cut(node, is_cut) => {
                set(&mut self.cut, node, is_cut);
                self.break_watches(|p| p.node == node);
                if !is_cut {
                    self.begin_watches();
                }
            }
            Fault::CutWrites(node, is_cut) => set(&mut self.cut_writes, node, is_cut),
            Fault::RefuseWrites(node, refused) => set(&mut self.refuse_writes, node, refused),
            Fault::MuteWatch(node, is_muted) => {
                set(&mut self.muted, node, is_muted);
                if !is_muted {
                    self.break_watches(|p| p.node == node);
                    self.begin_watches();
                }
            }
            Fault::DeleteLease(node) => {
                let node = site::node_name(node);
                if let Some(version) = self.server.delete(&node) {
                    self.publish(&Input::LeaseGone { node, version });
                }
            }
            Fault::Drain(node, is_drained) => {
                let drain = is_drained.then_some(ironlb_model::DrainCause::Annotation);
                site::edit_node(&mut self.site, node, |n| n.drain = drain);
                for pid in 0..self.processes.len() {
                    self.processes[pid].snapshot = self.site.clone();
                    self.wants_decision(pid);
                }
            }
        }
    }

    fn start(&mut self, node: u32) {
        let pid = self.processes.len();
        let mut timing = Timing::lease();
        if self.bug == Bug::TrustsLongExpiry && node.is_multiple_of(2) {
            timing.margin = Duration::ZERO;
            timing.expiry *= 2;
        }
        let incarnation = Incarnation(format!("{pid:04x}"));
        self.processes.push(Process {
            node,
            machine: Membership::new(Config { node: site::node_name(node), incarnation, timing }),
            memory: Memory::default(),
            is_running: true,
            is_stopped: false,
            inbox: VecDeque::new(),
            under_way: BTreeMap::new(),
            timer: None,
            is_decision_due: false,
            answers: BTreeSet::new(),
            valid_until: None,
            is_watching: false,
            last_watched: self.now,
            snapshot: self.site.clone(),
            has_left: false,
        });
        let now = self.now;
        self.processes[pid].machine.handle_timeout(now);
        self.drain(pid);
        self.request(pid, Request::Watch);
        self.tell(pid, Input::Ready(true));
        self.wants_decision(pid);
    }

    fn runs(&mut self, pid: Pid) {
        let now = self.now;
        if self.processes[pid].is_running && !self.processes[pid].is_stopped {
            self.processes[pid].machine.handle_timeout(now);
            self.drain(pid);
        }
    }

    fn set_health(&mut self, health: Health) {
        self.server.health = health;
        if health == Health::Serving {
            for (pid, id, started, request) in std::mem::take(&mut self.waiting) {
                self.after(1, Event::ToServer(pid, id, started, request));
            }
            self.begin_watches();
        } else {
            self.break_watches(|_| true);
        }
    }

    fn break_watches(&mut self, which: impl Fn(&Process) -> bool) {
        self.processes.iter_mut().filter(|p| which(p)).for_each(|p| p.is_watching = false);
    }

    /// Those without a watch begin one within a second.
    fn begin_watches(&mut self) {
        for pid in 0..self.processes.len() {
            if !self.processes[pid].is_watching {
                let after = self.random.between(0, 1000);
                self.after(after, Event::BeginWatch(pid));
            }
        }
    }
}

fn set(of: &mut BTreeSet<u32>, node: u32, is_in: bool) {
    if is_in {
        of.insert(node);
    } else {
        of.remove(&node);
    }
}
