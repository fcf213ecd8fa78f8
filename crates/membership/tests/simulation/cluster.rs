//! A cluster in virtual time: speakers made of the real machine and the real decision, an API server, a LAN, and faults.

mod faults;
mod requests;
mod speakers;

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;
use std::time::Duration;

use ironlb_membership::{Input, Standing};
use ironlb_model::{NodeName, Snapshot, Timestamp};

pub(crate) use self::faults::Fault;
use self::requests::{Message, Request};
use self::speakers::Process;
use crate::api_server::ApiServer;
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
}
