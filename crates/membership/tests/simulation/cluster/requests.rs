//! What passes between speakers and the API server: requests and their answers, watches, and silence.

use std::time::Duration;

use ironlb_membership::{Input, LeaseWrite, RenewFailure, SeenLease, Timing};
use ironlb_model::Timestamp;

use super::speakers::Process;
use super::{Bug, Cluster, Event, Pid};
use crate::api_server::Health;
use crate::site;

#[derive(Debug, Clone, PartialEq)]
pub(super) enum Request {
    Renew(LeaseWrite),
    List,
    /// The list a watch begins with.
    Watch,
}

#[derive(Debug, Clone)]
pub(super) enum Message {
    Renewed(Result<SeenLease, RenewFailure>),
    Listed(Timestamp, Vec<SeenLease>),
    Watched(Box<Input>),
    TimedOut,
}

impl Cluster {
    pub(super) fn request(&mut self, pid: Pid, request: Request) {
        self.sequence += 1;
        let id = self.sequence;
        self.processes[pid].under_way.insert(id, request.clone());
        let timeout = Timing::lease().request_timeout;
        let way = self.about(self.delays.request);
        let started = self.now;
        self.at(self.now + timeout, Event::ToProcess(pid, Some(id), Message::TimedOut));
        self.at(self.now + way, Event::ToServer(pid, id, started, request));
    }

    pub(super) fn serve(&mut self, pid: Pid, id: u64, started: Timestamp, request: Request) {
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
    pub(super) fn publish(&mut self, input: &Input) {
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

    pub(super) fn receive(&mut self, pid: Pid, id: Option<u64>, message: Message) {
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

    pub(super) fn set_health(&mut self, health: Health) {
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

    pub(super) fn break_watches(&mut self, which: impl Fn(&Process) -> bool) {
        self.processes.iter_mut().filter(|p| which(p)).for_each(|p| p.is_watching = false);
    }

    /// Those without a watch begin one within a second.
    pub(super) fn begin_watches(&mut self) {
        for pid in 0..self.processes.len() {
            if !self.processes[pid].is_watching {
                let after = self.random.between(0, 1000);
                self.after(after, Event::BeginWatch(pid));
            }
        }
    }
}
