//! The speakers: each the real machine and the real decision, in a process that runs, stands still, or is gone.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::net::IpAddr;
use std::time::Duration;

use ironlb_announce::{Action, LocalView, Memory, step};
use ironlb_membership::{Config, Incarnation, Input, Membership, Output, Timing};
use ironlb_model::{Snapshot, Timestamp};

use super::requests::Request;
use super::{Bug, Cluster, Event, Pid};
use crate::site;

#[derive(Debug)]
pub(super) struct Process {
    pub(super) node: u32,
    pub(super) machine: Membership,
    pub(super) memory: Memory,
    pub(super) is_running: bool,
    pub(super) is_stopped: bool,
    pub(super) inbox: VecDeque<Event>,
    /// Requests under way; the answer of one that is not here any more comes too late.
    pub(super) under_way: BTreeMap<u64, Request>,
    pub(super) timer: Option<Timestamp>,
    pub(super) is_decision_due: bool,
    /// What frames are answered for, and until when.
    pub(super) answers: BTreeSet<IpAddr>,
    pub(super) valid_until: Option<Timestamp>,
    pub(super) is_watching: bool,
    pub(super) last_watched: Timestamp,
    pub(super) snapshot: Snapshot,
    pub(super) has_left: bool,
}

impl Cluster {
    pub(super) fn start(&mut self, node: u32) {
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

    pub(super) fn runs(&mut self, pid: Pid) {
        let now = self.now;
        if self.processes[pid].is_running && !self.processes[pid].is_stopped {
            self.processes[pid].machine.handle_timeout(now);
            self.drain(pid);
        }
    }

    pub(super) fn tell(&mut self, pid: Pid, input: Input) {
        let now = self.now;
        self.processes[pid].machine.handle_input(now, input);
        self.drain(pid);
    }

    /// What the speaker's loop does after every call of the machine.
    pub(super) fn drain(&mut self, pid: Pid) {
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

    pub(super) fn wants_decision(&mut self, pid: Pid) {
        if !std::mem::replace(&mut self.processes[pid].is_decision_due, true) {
            let late = self.about(self.delays.decide);
            self.at(self.now + late, Event::Decide(pid));
        }
    }

    pub(super) fn decide(&mut self, pid: Pid) {
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

    pub(super) fn announce(&mut self, pid: Pid, vip: IpAddr) {
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
}
