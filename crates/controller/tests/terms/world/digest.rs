//! When two worlds are the same.

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::net::IpAddr;

use ironlb_ipam::{Outcome, WriteState};
use ironlb_model::{ResourceVersion, Service, ServicePatch, WallTime};

use super::{Fault, Request, Stray, World};

impl World {
    /// Stands for the world: what matters of it, with versions and times by their order alone.
    pub(crate) fn digest(&self) -> u64 {
        let mut text = String::new();
        let mut numbers = Numbers::default();
        // Twice: the first time to learn the numbers.
        for _ in 0..2 {
            text.clear();
            self.spell(&mut text, &mut numbers);
            numbers.are_known = true;
        }
        let mut hasher = DefaultHasher::new();
        text.hash(&mut hasher);
        hasher.finish()
    }

    fn spell(&self, text: &mut String, numbers: &mut Numbers) {
        write!(text, "{} {}", self.limits.edits, self.limits.terms).unwrap();
        for service in self.services.values() {
            spell_service(text, numbers, service);
        }
        if self.limits.fault == Fault::NoList {
            for service in self.standby.values() {
                spell_service(text, numbers, service);
            }
        }
        for Stray { patch, made, is_frozen } in &self.strays {
            text.push_str(if *is_frozen { " frozen" } else { " stray" });
            spell_patch(text, numbers, patch, *made);
        }
        let Some(leader) = &self.leader else { return };
        text.push_str(if leader.may_freeze { " leads, may freeze" } else { " leads" });
        for service in leader.view.values() {
            spell_service(text, numbers, service);
        }
        for (id, service) in &leader.unseen {
            write!(text, " unseen {}", id.name).unwrap();
            if let Some(service) = service {
                spell_service(text, numbers, service);
            }
        }
        for Request { patch, made, outcome, .. } in &leader.requests {
            spell_patch(text, numbers, patch, *made);
            match outcome {
                Some(Outcome::Written { version }) => write!(text, " -> {}", numbers.version(*version)).unwrap(),
                Some(other) => write!(text, " -> {other:?}").unwrap(),
                None => {}
            }
        }
        for Stray { patch, made, .. } in &leader.strays {
            text.push_str(" late");
            spell_patch(text, numbers, patch, *made);
        }
        for (id, write) in &leader.memory.in_flight().services {
            let state = match write.state {
                WriteState::Sent => "sent".to_owned(),
                WriteState::Written(version) => format!("written {}", numbers.version(version)),
                WriteState::Unknown { .. } => "unknown".to_owned(),
            };
            let sent = numbers.version(write.sent);
            write!(text, " {} {state} {sent} {:?}", id.name, write.addresses).unwrap();
        }
    }
}

/// Versions and times, by which only the order matters.
#[derive(Default)]
struct Numbers {
    are_known: bool,
    versions: BTreeSet<u64>,
    times: BTreeSet<i64>,
}

impl Numbers {
    fn version(&mut self, version: ResourceVersion) -> usize {
        if !self.are_known {
            self.versions.insert(version.0);
        }
        self.versions.range(..version.0).count()
    }

    fn time(&mut self, time: WallTime) -> usize {
        if !self.are_known {
            self.times.insert(time.0);
        }
        self.times.range(..time.0).count()
    }
}

fn spell_service(text: &mut String, numbers: &mut Numbers, service: &Service) {
    let (version, created) = (numbers.version(service.version), numbers.time(service.created));
    let assigned = service.assigned_at.map(|at| numbers.time(at));
    let held: Vec<IpAddr> = service.addresses().collect();
    write!(text, " [{} {version} {created} {assigned:?} {held:?} {:?}", service.id.name, service.remembered).unwrap();
    for condition in &service.conditions {
        write!(text, " {} {}", condition.reason, condition.message).unwrap();
    }
    text.push(']');
}

fn spell_patch(text: &mut String, numbers: &mut Numbers, patch: &ServicePatch, made: WallTime) {
    let (version, made) = (numbers.version(patch.version), numbers.time(made));
    write!(text, " ({} {version} {made} {:?} {:?}", patch.id.name, patch.ingress, patch.conditions).unwrap();
    text.push(')');
}
