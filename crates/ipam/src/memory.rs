//! What the controller remembers between two steps: plain data.
//!
//! Nothing here is the truth of who holds what; that is in the Services. A controller that starts has an empty memory and loses
//! nothing but the waits of failed writes.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;
use std::time::Duration;

use ironlb_model::{EipName, NodeName, ObjectRef, ResourceVersion, ServiceId, Snapshot, Timestamp};

use crate::action::ActionId;
use crate::backoff::delay;
use crate::bgp::Watch;
use crate::conflict::Conflicts;
use crate::eligible::{Standing, standing};
use crate::event::{self, Event, EventType};
use crate::in_flight::{InFlight, Write, WriteState};
use crate::reason::Reason;
use crate::reuse::Reuse;

/// Within this time three reversals of a status make it contended.
const CONTENTION_WINDOW: Duration = Duration::from_mins(1);
/// So many reversals make a status contended.
const CONTENTION_COUNT: usize = 3;
/// So long a contended status is left alone. Chosen: long enough to be seen, short enough to heal by itself.
const CONTENTION_REST: Duration = Duration::from_mins(10);

/// What the memory has to know about its surroundings.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// After this time a request is given up; the server may carry it out that much later.
    pub request_timeout: Duration,
    /// So long after it was last heard a stranger's claim to an address counts.
    pub conflict_counts: Duration,
}

/// What became of an action.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Outcome {
    /// The server carried it out and returned the object at this version. The version that was sent means that it changed nothing.
    Written {
        /// The version returned.
        version: ResourceVersion,
    },
    /// The server said that it changes nothing.
    Unchanged,
    /// The object has another version (409).
    Conflict,
    /// The object is gone (404).
    Gone,
    /// The server refused it, for now or for good (403, 422, 429): it was certainly not carried out. A server's own fault (5xx) says
    /// nothing of the kind and is [`Unknown`](Self::Unknown).
    Refused {
        /// What the server said.
        message: String,
    },
    /// No answer (time-out, connection lost): it may have been carried out or may still be.
    Unknown,
    /// It was never sent (the lease was lost, the process is stopping).
    NotSent,
}

/// A write that failed and is tried again.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Retry {
    /// How often it failed in a row.
    pub attempts: u32,
    /// Not before this time.
    pub until: Timestamp,
    /// What the server said last.
    pub message: String,
    /// It failed because the object had changed: it need not wait once the snapshot shows a newer version than this.
    pub stale: Option<ResourceVersion>,
}

/// An address list this controller wrote, and when.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Shown {
    addresses: Vec<IpAddr>,
    at: Timestamp,
}

/// A status that another writer changes back again and again.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Contention {
    until: Timestamp,
    by: Option<String>,
}

/// What the controller remembers between two steps.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Memory {
    limits: Limits,
    next_id: u64,
    in_flight: InFlight,
    objects: BTreeMap<ObjectRef, Write>,
    outstanding: BTreeMap<ActionId, ObjectRef>,
    retries: BTreeMap<ObjectRef, Retry>,
    eip_not_before: BTreeMap<EipName, Timestamp>,
    to_tell: Vec<Event>,
    shown: BTreeMap<ServiceId, Shown>,
    reversals: BTreeMap<ServiceId, Vec<Timestamp>>,
    contended: BTreeMap<ServiceId, Contention>,
    reuse: Reuse,
    conflicts: Conflicts,
    watch: Watch,
    /// What of OpenELB was found last, and on which Eips that was told.
    told_openelb: (Vec<String>, BTreeSet<EipName>),
}

impl Memory {
    /// An empty memory: of a controller that has just become leader and has listed everything afresh.
    #[must_use]
    pub fn new(limits: Limits) -> Self {
        Self {
            limits,
            next_id: 1,
            in_flight: InFlight::default(),
            objects: BTreeMap::new(),
            outstanding: BTreeMap::new(),
            retries: BTreeMap::new(),
            eip_not_before: BTreeMap::new(),
            to_tell: Vec::new(),
            shown: BTreeMap::new(),
            reversals: BTreeMap::new(),
            contended: BTreeMap::new(),
            reuse: Reuse::default(),
            conflicts: Conflicts::default(),
            watch: Watch::default(),
            told_openelb: (Vec::new(), BTreeSet::new()),
        }
    }

    /// What was written and has not been seen to come back.
    #[must_use]
    pub fn in_flight(&self) -> &InFlight {
        &self.in_flight
    }

    /// Writes that failed and wait to be tried again.
    pub fn retries(&self) -> impl Iterator<Item = (&ObjectRef, &Retry)> {
        self.retries.iter()
    }

    /// Takes in what became of an action. Every action but `Emit` has exactly one outcome; one that is told for an unknown id is ignored.
    pub fn on_written(&mut self, id: ActionId, outcome: Outcome, now: Timestamp) {
        let Some(object) = self.outstanding.remove(&id) else { return };
        let Some(mut write) = self.take(&object) else { return };
        match outcome {
            Outcome::Written { version } if version != write.sent => {
                self.retries.remove(&object);
                self.to_tell.append(&mut write.events);
                if let ObjectRef::Service(id) = &object {
                    self.shown.insert(id.clone(), Shown { addresses: write.addresses.clone(), at: now });
                }
                write.state = WriteState::Written(version);
                self.put(object, write);
            }
            // Nothing came of it, so what it was meant to change would be tried again at once, for ever.
            Outcome::Written { .. } | Outcome::Unchanged => {
                self.fail(&object, "the write changed nothing".to_owned(), None, now);
            }
            Outcome::Conflict => self.fail(&object, "the object had changed".to_owned(), Some(write.sent), now),
            Outcome::Refused { message } => {
                self.tell_refusal(&object, &write, &message);
                self.fail(&object, message, None, now);
            }
            Outcome::Unknown => {
                self.fail(&object, "no answer".to_owned(), None, now);
                // Only addresses must not be given out twice; what else was written is compared again when it is due.
                if matches!(object, ObjectRef::Service(_)) {
                    write.state = WriteState::Unknown { at: now };
                    self.put(object, write);
                }
            }
            Outcome::Gone => {
                self.retries.remove(&object);
            }
            Outcome::NotSent => {}
        }
    }

    /// Takes in that the store of Services was replaced by a list whose request was sent at `begun_at`. A write without answer that was
    /// given up one request time-out before that can no longer be carried out, and the list shows whether it was.
    pub fn on_relisted(&mut self, begun_at: Timestamp) {
        let timeout = self.limits.request_timeout;
        self.in_flight.services.retain(|_, write| match write.state {
            WriteState::Unknown { at } => at + timeout > begun_at,
            WriteState::Sent | WriteState::Written(_) => true,
        });
    }

    /// When a fresh list of the Services is wanted: it may begin from this time on.
    pub(crate) fn relist_after(&self) -> Option<Timestamp> {
        let unknown = self.in_flight.services.values().filter_map(|write| match write.state {
            WriteState::Unknown { at } => Some(at + self.limits.request_timeout),
            WriteState::Sent | WriteState::Written(_) => None,
        });
        unknown.min()
    }

    /// Compares what is remembered with what the snapshot shows, and forgets what it settles.
    pub(crate) fn observe(&mut self, snapshot: &Snapshot, now: Timestamp) {
        let to_tell = &mut self.to_tell;
        self.in_flight.services.retain(|id, write| {
            let Some(service) = snapshot.services.get(id) else { return write.state == WriteState::Sent };
            if !write.is_settled_by(service.version) {
                return true;
            }
            // Without an answer it was never told; the conditions say whether it was carried out.
            if write.conditions.iter().all(|wanted| service.condition(&wanted.kind) == Some(wanted)) {
                to_tell.append(&mut write.events);
            }
            false
        });
        self.objects.retain(|object, write| match version_of(object, snapshot) {
            Some(version) => !write.is_settled_by(version),
            None => write.state == WriteState::Sent,
        });
        self.retries.retain(|object, retry| {
            version_of(object, snapshot).is_some_and(|version| retry.stale.is_none_or(|stale| version <= stale))
        });
        self.eip_not_before.retain(|_, not_before| *not_before > now);
        self.notice_reversals(snapshot, now);
        self.in_flight.freed = self.reuse.observe(snapshot, &self.in_flight, now);
        self.in_flight.claimed = self.conflicts.observe(snapshot, self.limits.conflict_counts, now);
    }

    /// Notices that another writer changed back what this one wrote.
    fn notice_reversals(&mut self, snapshot: &Snapshot, now: Timestamp) {
        let (in_flight, reversals) = (&self.in_flight.services, &mut self.reversals);
        self.shown.retain(|id, shown| {
            let Some(service) = snapshot.services.get(id) else { return false };
            if in_flight.contains_key(id) {
                return true;
            }
            let is_reversed = shown.addresses.iter().any(|a| service.addresses().all(|held| held != *a));
            if is_reversed && standing(service, &snapshot.settings) == Standing::Ours {
                reversals.entry(id.clone()).or_default().push(now);
            }
            !is_reversed && now.since(shown.at) < CONTENTION_WINDOW
        });
        let contended = &mut self.contended;
        self.reversals.retain(|id, times| {
            times.retain(|at| now.since(*at) < CONTENTION_WINDOW);
            let is_contended = times.len() >= CONTENTION_COUNT;
            if is_contended {
                let by = snapshot.services.get(id).and_then(|service| service.status_writer.clone());
                contended.insert(id.clone(), Contention { until: now + CONTENTION_REST, by });
            }
            !is_contended && !times.is_empty()
        });
        self.contended.retain(|id, contention| contention.until > now && snapshot.services.contains_key(id));
        self.in_flight.contended =
            self.contended.iter().map(|(id, contention)| (id.clone(), contention.by.clone())).collect();
    }

    /// May this object be written now? If not, when, as far as that is known: a write that is under way has no time.
    pub(crate) fn may_write(&self, object: &ObjectRef, now: Timestamp) -> Result<(), Option<Timestamp>> {
        let is_under_way = match object {
            ObjectRef::Service(id) => self.in_flight.services.contains_key(id),
            other => self.objects.contains_key(other),
        };
        if is_under_way {
            return Err(None);
        }
        match self.retries.get(object) {
            Some(retry) if retry.until > now => Err(Some(retry.until)),
            _ => Ok(()),
        }
    }

    /// May the status of this Eip be written now? If not, when.
    pub(crate) fn eip_pace(&self, eip: &EipName, now: Timestamp) -> Result<(), Timestamp> {
        self.eip_not_before.get(eip).filter(|at| **at > now).map_or(Ok(()), |at| Err(*at))
    }

    /// Notes that the status of this Eip is written now, and the next time not before the given one.
    pub(crate) fn set_eip_pace(&mut self, eip: &EipName, not_before: Timestamp) {
        self.eip_not_before.insert(eip.clone(), not_before);
    }

    /// Notes that an action is handed out. `write.id` is set.
    pub(crate) fn hand_out(&mut self, object: ObjectRef, mut write: Write) -> ActionId {
        let id = self.new_id();
        write.id = id;
        self.outstanding.insert(id, object.clone());
        self.put(object, write);
        id
    }

    /// A fresh id, for an action whose outcome is told to nobody.
    pub(crate) fn new_id(&mut self) -> ActionId {
        let id = ActionId(self.next_id);
        self.next_id += 1;
        id
    }

    /// Tells on every Eip what of OpenELB is to be removed, once, and again when it is something else. A condition would be a write on
    /// an object that is OpenELB's yet; on Services nothing is told, because there may be ten thousand of them.
    pub(crate) fn note_openelb(&mut self, snapshot: &Snapshot) {
        let (what, told) = &mut self.told_openelb;
        if *what != snapshot.openelb {
            what.clone_from(&snapshot.openelb);
            told.clear();
        }
        let reason = Reason::OpenElbRunning { what: what.clone() };
        for eip in snapshot.eips.values().filter(|eip| !told.contains(&eip.name)) {
            self.to_tell.push(Event {
                object: ObjectRef::Eip(eip.name.clone()),
                uid: eip.uid.clone(),
                kind: EventType::Warning,
                reason: reason.category(),
                message: reason.to_string(),
            });
        }
        told.extend(snapshot.eips.keys().cloned());
    }

    /// OpenELB is gone: should it come back, that is told again.
    pub(crate) fn forget_openelb(&mut self) {
        self.told_openelb = (Vec::new(), BTreeSet::new());
    }

    /// The nodes that are gone and have left something behind, and when to look again. What is news about sessions is told.
    pub(crate) fn watch_nodes(
        &mut self,
        snapshot: &Snapshot,
        now: Timestamp,
    ) -> (BTreeSet<NodeName>, Option<Timestamp>) {
        let (events, tell_at) = self.watch.observe(snapshot, now);
        self.to_tell.extend(events);
        let (gone, look_at) = self.watch.gone(snapshot, now);
        (gone, [tell_at, look_at].into_iter().flatten().min())
    }

    /// The Events that are due.
    pub(crate) fn take_events(&mut self) -> Vec<Event> {
        std::mem::take(&mut self.to_tell)
    }

    /// Did the last write on this object fail?
    pub(crate) fn has_failed(&self, object: &ObjectRef) -> bool {
        self.retries.contains_key(object)
    }

    /// Forgets the failures of objects on which there is nothing left to write.
    pub(crate) fn forget_failures(&mut self, wanting: impl Fn(&ObjectRef) -> bool) {
        self.retries.retain(|object, _| wanting(object));
    }

    /// When the first address that was given back may go to another Service; an unreadable delay never ends.
    pub(crate) fn reuse_begins(&self) -> Option<Timestamp> {
        let never = Timestamp::from_nanos(u64::MAX);
        self.in_flight.freed.values().map(|freed| freed.until).filter(|until| *until != never).min()
    }

    /// When the first claim of a stranger no longer counts.
    pub(crate) fn conflict_ends(&self, now: Timestamp) -> Option<Timestamp> {
        self.conflicts.first_end(self.limits.conflict_counts, now)
    }

    /// When the first contended status is looked at again.
    pub(crate) fn contention_ends(&self) -> Option<Timestamp> {
        self.contended.values().map(|contention| contention.until).min()
    }

    fn fail(&mut self, object: &ObjectRef, message: String, stale: Option<ResourceVersion>, now: Timestamp) {
        let attempts = self.retries.get(object).map_or(0, |retry| retry.attempts).saturating_add(1);
        let until = now + delay(&object.to_string(), attempts);
        self.retries.insert(object.clone(), Retry { attempts, until, message, stale });
    }

    /// A refusal cannot be told by a condition, since those are what is refused; so the first one of its kind is told by an Event.
    fn tell_refusal(&mut self, object: &ObjectRef, write: &Write, message: &str) {
        let told = self.retries.get(object).is_some_and(|retry| retry.message == message);
        if let (false, Some(uid)) = (told, &write.uid) {
            self.to_tell.push(Event {
                object: object.clone(),
                uid: uid.clone(),
                kind: EventType::Warning,
                reason: event::UPDATE_SERVICE_STATUS,
                message: format!("the status could not be written and is tried again: {message}"),
            });
        }
    }

    fn put(&mut self, object: ObjectRef, write: Write) {
        match object {
            ObjectRef::Service(id) => self.in_flight.services.insert(id, write),
            other => self.objects.insert(other, write),
        };
    }

    fn take(&mut self, object: &ObjectRef) -> Option<Write> {
        match object {
            ObjectRef::Service(id) => self.in_flight.services.remove(id),
            other => self.objects.remove(other),
        }
    }
}

/// The version at which the snapshot shows this object; `None` when it is gone.
fn version_of(object: &ObjectRef, snapshot: &Snapshot) -> Option<ResourceVersion> {
    match object {
        ObjectRef::Service(id) => snapshot.services.get(id).map(|s| s.version),
        ObjectRef::Eip(name) => snapshot.eips.get(name).map(|e| e.version),
        ObjectRef::BgpConf(name) => snapshot.bgp_confs.get(name).map(|c| c.version),
        ObjectRef::BgpPeer(name) => snapshot.bgp_peers.get(name).map(|p| p.version),
        // It is deleted and never changed, so any version does.
        ObjectRef::Speaker(node) => snapshot.speakers.get(node).map(|_| ResourceVersion(0)),
        ObjectRef::Node(_) => None,
    }
}

#[cfg(test)]
mod properties;
#[cfg(test)]
mod tests;
