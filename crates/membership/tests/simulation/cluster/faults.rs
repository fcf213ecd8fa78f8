//! What happens to the cluster: processes come, go and stand still, and the API server is not to be reached.

use std::collections::BTreeSet;

use ironlb_membership::Input;

use super::speakers::Process;
use super::{Cluster, Event};
use crate::api_server::Health;
use crate::site;

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

impl Cluster {
    pub(super) fn fault(&mut self, fault: Fault) {
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
}

fn set(of: &mut BTreeSet<u32>, node: u32, is_in: bool) {
    if is_in {
        of.insert(node);
    } else {
        of.remove(&node);
    }
}
