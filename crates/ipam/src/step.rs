//! One step of the controller: what is decided, and which writes are due now.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use ironlb_model::{
    Condition, NodeName, ObjectRef, ResourceVersion, ServiceId, ServicePatch, Snapshot, Timestamp, WallTime,
};

use crate::action::{Action, ActionId};
use crate::announced::Announcers;
use crate::bgp::{conf_conditions, is_bgp_condition, peer_conditions};
use crate::condition::{CONFLICT, DISCARD_ROUTE_MISSING, replacement};
use crate::diff;
use crate::eligible::Standing;
use crate::event::{self, Event, EventType, TAKEN_OVER};
use crate::in_flight::{Write, WriteState};
use crate::memory::Memory;
use crate::plan::{Plan, plan};
use crate::projection::project_with;
use crate::usage::{EipProjection, is_issue_condition, issue_conditions, usage};
use ironlb_model::ObjectPatch;

/// The status of an Eip is written at most once a second for each so many bytes of it: 64 KiB. Chosen: a full pool of 10,000 long
/// names then costs the API server about the same as one with ten.
const EIP_BYTES_PER_SECOND: usize = 64 * 1024;

/// So many patches of Services are handed out at once. Chosen: an API server of two cores takes about 1,000 a second, so whoever is made
/// or changed meanwhile waits a second at most, and a patch with its conditions and Events is 2 KiB, which 10,000 at once would make
/// 20 MiB.
const SERVICES_AT_ONCE: usize = 1024;

/// An action with the name under which its outcome is told.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Planned {
    /// The name.
    pub id: ActionId,
    /// What is to be done.
    pub action: Action,
}

/// What one step decided.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Step {
    /// What is to be done, the most urgent first: addresses given or given back, other patches of Services, Eips, Events. Of the patches
    /// of Services so many as are done in about a second; the next step has more.
    pub actions: Vec<Planned>,
    /// When the next step is due even if nothing happens.
    pub next_wake: Option<Timestamp>,
    /// From this time on a fresh list of the Services may begin, and one is wanted: a write got no answer.
    pub relist_after: Option<Timestamp>,
    /// What is decided about every Service, for metrics and `explain`.
    pub plan: Plan,
    /// OpenELB is there, so nothing is written; Events say so.
    pub only_observes: bool,
}

/// Decides, compares with what the objects show, and hands out the writes that are due.
///
/// What is handed out is noted in `memory` at once: the same step again hands out nothing.
#[must_use]
pub fn step(snapshot: &Snapshot, memory: &mut Memory, now: Timestamp) -> Step {
    memory.observe(snapshot, now);
    let plan = plan(snapshot, memory.in_flight());
    let only_observes = !snapshot.openelb.is_empty();
    let mut desk = Desk { snapshot, memory, now, actions: Vec::new(), wake: None, wanting: BTreeSet::new() };
    let mut has_more = false;
    if only_observes {
        desk.memory.note_openelb(snapshot);
    } else {
        desk.memory.forget_openelb();
        has_more = desk.services(&plan);
        desk.eips(&plan);
        desk.objects();
        let Desk { memory, wanting, .. } = &mut desk;
        memory.forget_failures(|object| wanting.contains(object));
        desk.wake_at(desk.memory.contention_ends());
        desk.wake_at(desk.memory.conflict_ends(now));
        if plan.waits_for_reuse() {
            desk.wake_at(desk.memory.reuse_begins());
        }
    }
    if has_more {
        desk.wake_at(Some(now));
    } else {
        // What is told is of no use to who waits for an address, and costs the API server as much.
        desk.tell();
    }
    let Desk { actions, wake, .. } = desk;
    Step { actions, next_wake: wake, relist_after: memory.relist_after(), plan, only_observes }
}

/// What orders the patches of Services: those that change no address come later; then the oldest Service first, then by name.
type Urgency<'a> = (bool, WallTime, &'a ServiceId);

/// Where the due writes are collected.
struct Desk<'a> {
    snapshot: &'a Snapshot,
    memory: &'a mut Memory,
    now: Timestamp,
    actions: Vec<Planned>,
    wake: Option<Timestamp>,
    /// Objects whose last write failed and on which there still is something to write, now or later.
    wanting: BTreeSet<ObjectRef>,
}

impl Desk<'_> {
    /// Hands out what is due on Services, the most urgent first. Says whether more is due than is handed out at once.
    fn services(&mut self, plan: &Plan) -> bool {
        let announcers = Announcers::new(self.snapshot);
        let mut due: BTreeMap<Urgency<'_>, (ServicePatch, Write)> = BTreeMap::new();
        let mut has_more = false;
        for entry in &plan.services {
            let (service, verdict) = (&entry.service, &entry.verdict);
            if verdict.in_flight {
                self.want(&ObjectRef::Service(service.id.clone()));
                continue;
            }
            let Some(wanted) = project_with(service, verdict, &announcers) else { continue };
            let Some((patch, events)) = diff::patch_service(service, verdict, &wanted) else { continue };
            if !self.may_write(&ObjectRef::Service(service.id.clone())) {
                continue;
            }
            let write = Write {
                id: ActionId::default(),
                sent: service.version,
                state: WriteState::Sent,
                addresses: if verdict.leaves { Vec::new() } else { verdict.addresses().collect() },
                conditions: wanted.conditions,
                events,
                uid: (verdict.standing == Standing::Ours).then(|| service.uid.clone()),
            };
            due.insert((patch.ingress.is_none(), service.created, &service.id), (patch, write));
            if due.len() > SERVICES_AT_ONCE {
                // The least urgent one; a later step finds it again.
                due.pop_last();
                has_more = true;
            }
        }
        for ((.., id), (patch, write)) in due {
            self.hand_out(ObjectRef::Service(id.clone()), write, Action::PatchService(patch));
        }
        has_more
    }

    fn eips(&mut self, plan: &Plan) {
        for projection in usage(self.snapshot, self.memory.in_flight()) {
            let object = ObjectRef::Eip(projection.name().clone());
            let eip = projection.eip;
            let write = |events| Write {
                id: ActionId::default(),
                sent: eip.version,
                state: WriteState::Sent,
                addresses: Vec::new(),
                conditions: Vec::new(),
                events,
                uid: None,
            };
            let patch = if is_awaited(&projection, plan) { None } else { projection.patch() };
            if patch.is_some() {
                self.want(&object);
            }
            let is_due = patch.is_some() && self.is_eip_due(&projection);
            if let Some(patch) = patch.filter(|_| is_due) {
                if self.may_write(&object) {
                    self.memory.set_eip_pace(projection.name(), self.now + interval(projection.bytes()));
                    let events = [taken_over(&projection), conflict(&projection), looping(&projection)]
                        .into_iter()
                        .flatten()
                        .collect();
                    self.hand_out(object, write(events), Action::PatchEip(patch));
                }
            } else if eip.has_openelb_finalizer && self.may_write(&object) {
                let remove = Action::RemoveFinalizer { object: object.clone(), version: eip.version };
                self.hand_out(object, write(Vec::new()), remove);
            }
        }
    }

    fn is_eip_due(&mut self, projection: &EipProjection<'_>) -> bool {
        match self.memory.eip_pace(projection.name(), self.now) {
            Ok(()) => true,
            Err(at) => {
                self.wake_at(Some(at));
                false
            }
        }
    }

    /// The conditions of BgpConfs and BgpPeers, what nodes that are gone have left in their statuses, and OpenELB's finalizer on them;
    /// and the Speakers of such nodes.
    fn objects(&mut self) {
        let (gone, look_at) = self.memory.watch_nodes(self.snapshot, self.now);
        self.wake_at(look_at);
        let issues = issue_conditions(&self.snapshot.issues);
        let ours = |kind: &str| is_issue_condition(kind) || is_bgp_condition(kind);
        let with_issues = |object: &ObjectRef, mut conditions: Vec<Condition>| {
            conditions.extend(issues.get(object).into_iter().flatten().cloned());
            conditions
        };
        let confs = self.snapshot.bgp_confs.values().map(|conf| {
            let object = ObjectRef::BgpConf(conf.name.clone());
            let wanted = with_issues(&object, conf_conditions(self.snapshot, conf));
            let conditions = replacement(&conf.conditions, &conf.condition_times, &wanted, ours);
            let nodes: BTreeSet<NodeName> = conf.nodes.keys().filter(|node| gone.contains(*node)).cloned().collect();
            (object, conf.version, conf.generation, conditions, nodes, conf.has_openelb_finalizer)
        });
        let peers = self.snapshot.bgp_peers.values().map(|peer| {
            let object = ObjectRef::BgpPeer(peer.name.clone());
            let wanted = with_issues(&object, peer_conditions(self.snapshot, peer));
            let conditions = replacement(&peer.conditions, &peer.condition_times, &wanted, ours);
            let nodes = &peer.nodes & &gone;
            (object, peer.version, peer.generation, conditions, nodes, peer.has_openelb_finalizer)
        });
        let mut due = Vec::new();
        for (object, version, generation, conditions, nodes, has_finalizer) in confs.chain(peers) {
            // One write at a time: what else is due goes once this one is seen.
            if let Some(conditions) = conditions {
                due.push((version, Action::PatchObject(ObjectPatch { object, version, generation, conditions })));
            } else if !nodes.is_empty() {
                due.push((version, Action::RemoveKeys { object, version, nodes }));
            } else if has_finalizer {
                due.push((version, Action::RemoveFinalizer { object, version }));
            }
        }
        let speakers = self.snapshot.speakers.keys().filter(|node| gone.contains(*node));
        due.extend(speakers.map(|node| (ResourceVersion(0), Action::DeleteSpeaker(node.clone()))));
        for (version, action) in due {
            let object = action.object();
            if self.may_write(&object) {
                let write = Write {
                    id: ActionId::default(),
                    sent: version,
                    state: WriteState::Sent,
                    addresses: Vec::new(),
                    conditions: Vec::new(),
                    events: Vec::new(),
                    uid: None,
                };
                self.hand_out(object, write, action);
            }
        }
    }

    fn tell(&mut self) {
        let events: Vec<Event> = self.memory.take_events();
        for event in events {
            let id = self.memory.new_id();
            self.actions.push(Planned { id, action: Action::Emit(event) });
        }
    }

    /// Notes that there is something to write on this object, now or later.
    fn want(&mut self, object: &ObjectRef) {
        if self.memory.has_failed(object) {
            self.wanting.insert(object.clone());
        }
    }

    /// Something is to be written on this object: may it be now?
    fn may_write(&mut self, object: &ObjectRef) -> bool {
        self.want(object);
        match self.memory.may_write(object, self.now) {
            Ok(()) => true,
            Err(at) => {
                self.wake_at(at);
                false
            }
        }
    }

    fn hand_out(&mut self, object: ObjectRef, write: Write, action: Action) {
        let id = self.memory.hand_out(object, write);
        self.actions.push(Planned { id, action });
    }

    fn wake_at(&mut self, at: Option<Timestamp>) {
        self.wake = [self.wake, at].into_iter().flatten().min();
    }
}

/// What is told on an Eip of OpenELB's when ironlb writes its status for the first time.
fn taken_over(projection: &EipProjection<'_>) -> Option<Event> {
    let eip = projection.eip;
    let is_openelbs = eip.has_openelb_finalizer || eip.status.first_ip.is_some();
    (is_openelbs && eip.status.conditions.is_empty()).then(|| Event {
        object: ObjectRef::Eip(eip.name.clone()),
        uid: eip.uid.clone(),
        kind: EventType::Normal,
        reason: TAKEN_OVER,
        message: format!(
            "taken over from OpenELB with {} addresses in use, held by {} Services as before",
            projection.usage,
            projection.used.iter().map(|(_, holder)| holder).collect::<BTreeSet<_>>().len()
        ),
    })
}

/// What is told on an Eip of which a stranger claims an address, when that is news.
fn conflict(projection: &EipProjection<'_>) -> Option<Event> {
    let eip = projection.eip;
    let told = projection.conditions.iter().find(|c| c.kind == CONFLICT)?;
    (!eip.status.conditions.contains(told)).then(|| Event {
        object: ObjectRef::Eip(eip.name.clone()),
        uid: eip.uid.clone(),
        kind: EventType::Warning,
        reason: event::CONFLICT,
        message: told.message.clone(),
    })
}

/// What is told on an Eip of which nodes lack a discard route, when none did before.
fn looping(projection: &EipProjection<'_>) -> Option<Event> {
    let eip = projection.eip;
    let is_that = |c: &&Condition| c.kind == DISCARD_ROUTE_MISSING;
    let told = projection.conditions.iter().find(is_that)?;
    eip.status.conditions.iter().find(is_that).is_none().then(|| Event {
        object: ObjectRef::Eip(eip.name.clone()),
        uid: eip.uid.clone(),
        kind: EventType::Warning,
        reason: event::DISCARD_ROUTE_MISSING,
        message: told.message.clone(),
    })
}

/// The time between two writes of a status of this size.
fn interval(bytes: usize) -> Duration {
    Duration::from_secs(u64::try_from(bytes.div_ceil(EIP_BYTES_PER_SECOND).max(1)).unwrap_or(u64::MAX))
}

/// OpenELB's record of who uses what is an input until the Eip has a condition of ours. So the first write of its status waits until
/// every Service that gets its address back by that record has it.
fn is_awaited(projection: &EipProjection<'_>, plan: &Plan) -> bool {
    let status = &projection.eip.status;
    status.conditions.is_empty()
        && status.used.iter().any(|(address, holders)| {
            holders.iter().filter_map(|id| plan.verdict(id)).any(|verdict| {
                verdict.vips.iter().any(|vip| vip.address == *address && (vip.is_new || verdict.in_flight))
            })
        })
}

#[cfg(test)]
mod lagging;
#[cfg(test)]
mod tests;
