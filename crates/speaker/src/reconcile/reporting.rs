//! Step 5: what is written into the Speaker object and into the statuses of the BGP objects.

use std::collections::BTreeMap;
use std::net::IpAddr;

use ironlb_announce::{Action, Announcements, BgpPlan, Drain, REPORT_INTERVAL};
use ironlb_k8s::{Outcome, clock};
use ironlb_model::{ServiceId, Snapshot, Timestamp, WallTime};
use tracing::{debug, warn};

use super::turn::Standing;
use super::{Answer, REFUSED_RETRY, RETRY, Speaker};
use crate::bgp::{Due, Moment, Target, Written};
use crate::status::Telling;

impl Speaker {
    /// Writes the Speaker object where it does not say what there is to say; returns when to look again.
    pub(super) fn report(
        &mut self,
        announcements: &Announcements,
        drain: Option<Drain>,
        actions: &[Action],
        now: Timestamp,
    ) -> Option<Timestamp> {
        if matches!(self.standing, Standing::GivenUp) {
            // The object is another one's now.
            return None;
        }
        let telling = self.telling(announcements, drain);
        if self.reported.as_ref() == Some(&telling) {
            return None;
        }
        let is_asked_for = actions.iter().any(|action| matches!(action, Action::Report(_)));
        // What the decision does not know of (members, conflicts) keeps to the same interval.
        let last = self.memory.applied.report.as_ref().map(|(_, at)| *at);
        let paced = if is_asked_for { now } else { last.map_or(now, |at| at + REPORT_INTERVAL) };
        let due = paced.max(self.report_not_before);
        if self.reporting {
            return None;
        }
        if due > now {
            return Some(due);
        }
        self.reporting = true;
        let (writer, node) = (self.context.writer.clone(), self.context.node.clone());
        let status = telling.status(env!("CARGO_PKG_VERSION"), clock::wall_time());
        self.answers.spawn(async move {
            let outcome = writer.apply_speaker(&node, &status).await;
            Answer::Reported(Box::new(telling), outcome)
        });
        None
    }

    /// Writes this node's keys in the statuses of BgpConf and BgpPeers where there is news; returns when to look again.
    pub(super) fn write_keys(
        &mut self,
        plan: Option<&BgpPlan>,
        snapshot: &Snapshot,
        now: Timestamp,
    ) -> Option<Timestamp> {
        if matches!(self.standing, Standing::GivenUp) {
            return None;
        }
        let telling = self.context.speaking.telling(plan?);
        let (due, wake_at) = self.keys.due(&telling, snapshot, &self.context.node, now);
        for due in due {
            let (writer, node) = (self.context.writer.clone(), self.context.node.clone());
            let is_key = due.news.is_some();
            let (conf, peer) = match &due.target {
                Target::Conf(_) => (telling.conf_key().filter(|_| is_key), None),
                Target::Peer(peer) => (None, telling.peer_key(peer, Moment::read()).filter(|_| is_key)),
            };
            self.answers.spawn(async move {
                let outcome = match &due.target {
                    Target::Conf(name) => writer.apply_conf_key(&node, name, conf.as_ref()).await,
                    Target::Peer(name) => writer.apply_peer_key(&node, name, peer.as_ref()).await,
                };
                Answer::Keyed(due, outcome)
            });
        }
        wake_at
    }

    pub(super) fn note_key(&mut self, due: Due, outcome: &Outcome) {
        let written = match outcome {
            Outcome::Written { .. } | Outcome::Unchanged { .. } => Written::Yes,
            Outcome::Gone => Written::Gone,
            Outcome::Refused { code, message } => {
                warn!(code, message, target = ?due.target, "the API server refuses this node's key in a status; trying again later");
                Written::No
            }
            failed => {
                debug!(outcome = failed.category(), target = ?due.target, "this node's key in a status was not written");
                Written::No
            }
        };
        self.keys.note(due, written, clock::now());
    }

    pub(super) fn telling(&self, announcements: &Announcements, drain: Option<Drain>) -> Telling {
        let own = self.context.node.clone();
        let interfaces = self.interfaces.borrow();
        let macs = interfaces.by_name.values().filter_map(|i| i.mac.map(|mac| (i.name.clone(), mac)));
        let owned = announcements.report.owned.keys().filter_map(|vip| {
            let spec = announcements.layer2.get(vip)?;
            Some((*vip, (spec.service.clone(), *self.since.get(vip)?)))
        });
        Telling {
            macs: macs.collect(),
            members: self.membership.alive().map(|(node, _)| node.clone()).chain([own]).collect(),
            owned: owned.collect::<BTreeMap<IpAddr, (ServiceId, WallTime)>>(),
            conflicts: self.conflicts.told(),
            drain,
            bgp: announcements.bgp.as_ref().map(|plan| self.context.speaking.telling(plan)),
            staleness: self.fallback.staleness(),
            incarnation: self.context.incarnation.clone(),
            report: announcements.report.clone(),
        }
    }

    pub(super) fn note_report(&mut self, telling: Telling, outcome: &Outcome) {
        self.reporting = false;
        let now = clock::now();
        match outcome {
            Outcome::Written { .. } | Outcome::Unchanged { .. } => {
                self.memory.applied.record(&Action::Report(telling.report.clone()), now);
                self.reported = Some(telling);
            }
            Outcome::Refused { code, message } => {
                warn!(code, message, "the API server refuses this node's Speaker object; trying again later");
                self.report_not_before = now + REFUSED_RETRY;
            }
            failed => {
                debug!(outcome = failed.category(), "the Speaker object was not written");
                self.report_not_before = now + RETRY;
            }
        }
    }
}
