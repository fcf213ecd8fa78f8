//! What the other nodes' Leases say, and which of those nodes count as alive.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;
use std::time::Duration;

use ironlb_model::{MacAddr, NodeName, Timestamp};

use crate::{Epoch, SeenLease, wins};

/// How many vips the memory of highest epochs may hold before those that no Lease mentions are dropped. Chosen, because it is
/// twice the size the project is built for; forgetting costs at most a vip's stickiness.
const REMEMBERED_EPOCHS: usize = 20_000;

/// Another node, as its Lease shows it.
#[derive(Debug, Clone)]
struct Member {
    lease: SeenLease,
    /// When holder, renew time or transitions last changed before our eyes.
    changed_at: Timestamp,
    /// When the Lease was last seen, changed or not.
    seen_at: Timestamp,
    expired: bool,
}

impl Member {
    fn is_alive(&self) -> bool {
        !self.expired && self.lease.holder.is_some()
    }

    /// When it counts as dead if it is not heard of again.
    fn expires_at(&self, (grace_from, length): (Timestamp, Duration), expiry: Duration) -> Timestamp {
        if self.changed_at >= grace_from { self.changed_at + expiry } else { grace_from + length.max(expiry) }
    }
}

/// What the other nodes' Leases say.
#[derive(Debug, Clone, Default)]
pub(crate) struct View {
    members: BTreeMap<NodeName, Member>,
    /// The claims of those alive.
    claims: BTreeMap<IpAddr, BTreeMap<NodeName, Epoch>>,
    highest: BTreeMap<IpAddr, Epoch>,
    /// Nobody's time without a change began before this moment; who has not been heard of since has this long.
    grace: (Timestamp, Duration),
    generation: u64,
}

impl View {
    /// Takes in a Lease. A version older than the known one is ignored, unless it comes from a list begun after that one was
    /// seen: then the server itself went back (a restored backup). Returns whether its holder did something.
    pub(crate) fn observe(&mut self, now: Timestamp, lease: SeenLease, list_started: Option<Timestamp>) -> bool {
        for (vip, epoch) in &lease.claims.0 {
            let highest = self.highest.entry(*vip).or_default();
            *highest = (*highest).max(*epoch);
        }
        let Some(known) = self.members.remove(&lease.node) else {
            self.generation += 1;
            let member = Member { lease, changed_at: now, seen_at: now, expired: false };
            self.index(&member);
            self.members.insert(member.lease.node.clone(), member);
            return true;
        };
        let authoritative = list_started.is_some_and(|started| known.seen_at < started);
        if lease.version < known.lease.version && !authoritative {
            self.members.insert(known.lease.node.clone(), known);
            return false;
        }
        let was = &known.lease;
        let acted = (&was.holder, &was.renewed, was.transitions) != (&lease.holder, &lease.renewed, lease.transitions);
        let member = Member {
            changed_at: if acted { now } else { known.changed_at },
            seen_at: now,
            expired: known.expired && !acted,
            lease,
        };
        let told = (known.is_alive(), &was.claims, was.ready, &was.macs);
        if told != (member.is_alive(), &member.lease.claims, member.lease.ready, &member.lease.macs) {
            self.generation += 1;
            self.unindex(&known);
            self.index(&member);
        }
        self.members.insert(member.lease.node.clone(), member);
        acted
    }

    /// Forgets the Leases that are gone and whose time has run out.
    ///
    /// A deleted Lease alone proves nothing about its node, which writes a new one as soon as it notices; until its time has run
    /// out it is treated as unchanged.
    pub(crate) fn drop_gone(&mut self, listed: &BTreeSet<NodeName>, started: Timestamp) {
        let gone: Vec<NodeName> = self
            .members
            .iter()
            .filter(|(node, member)| member.expired && member.seen_at < started && !listed.contains(*node))
            .map(|(node, _)| node.clone())
            .collect();
        for node in gone {
            self.members.remove(&node);
            self.generation += 1;
        }
    }

    /// Declares dead whose Lease a list begun at `started` shows unchanged for `expiry`. The list must have been taken in before.
    pub(crate) fn expire(&mut self, started: Timestamp, expiry: Duration) -> Vec<NodeName> {
        let (grace, mut dead) = (self.grace, Vec::new());
        for member in self.members.values_mut() {
            if !member.expired && started >= member.expires_at(grace, expiry) {
                member.expired = true;
                dead.push(member.lease.node.clone());
            }
        }
        dead.retain(|node| {
            // The released ones are dead already; that their Lease is old is no news.
            let Some(member) = self.members.remove(node) else { return false };
            self.unindex(&member);
            let is_news = member.lease.holder.is_some();
            self.members.insert(node.clone(), member);
            is_news
        });
        self.generation += u64::from(!dead.is_empty());
        dead
    }

    /// The next moment at which somebody would have been silent for `expiry`.
    pub(crate) fn next_expiry(&self, expiry: Duration) -> Option<Timestamp> {
        self.members.values().filter(|m| m.is_alive()).map(|m| m.expires_at(self.grace, expiry)).min()
    }

    /// Gives everybody `length` from `now` to be heard of again; who has been, has the usual time from then on.
    pub(crate) fn grace(&mut self, now: Timestamp, length: Duration) {
        self.grace = (now, length);
    }

    /// The best claim on `vip` of a node that is alive.
    pub(crate) fn best_claim(&self, vip: IpAddr) -> Option<(&NodeName, Epoch)> {
        let mut claims = self.claims.get(&vip)?.iter().map(|(node, epoch)| (node, *epoch));
        let first = claims.next()?;
        Some(claims.fold(first, |best, next| if wins(vip, (next.1, next.0), (best.1, best.0)) { next } else { best }))
    }

    /// Every vip that somebody alive claims.
    pub(crate) fn claimed(&self) -> impl Iterator<Item = IpAddr> + '_ {
        self.claims.keys().copied()
    }

    /// The highest epoch ever seen for `vip`.
    pub(crate) fn highest_epoch(&self, vip: IpAddr) -> Epoch {
        self.highest.get(&vip).copied().unwrap_or_default()
    }

    /// Takes note of an epoch of our own.
    pub(crate) fn note_epoch(&mut self, vip: IpAddr, epoch: Epoch) {
        let highest = self.highest.entry(vip).or_default();
        *highest = (*highest).max(epoch);
        if self.highest.len() > REMEMBERED_EPOCHS {
            let mentioned: BTreeSet<IpAddr> =
                self.members.values().flat_map(|m| m.lease.claims.0.keys().copied()).chain([vip]).collect();
            self.highest.retain(|vip, _| mentioned.contains(vip));
        }
    }

    /// Those alive, and whether each is ready.
    pub(crate) fn alive(&self) -> impl Iterator<Item = (&NodeName, bool)> {
        self.members.iter().filter(|(_, m)| m.is_alive()).map(|(node, m)| (node, m.lease.ready))
    }

    /// The Ethernet addresses of every node whose Lease is known, dead or alive: a dead node's frame is no stranger's either.
    pub(crate) fn macs(&self) -> impl Iterator<Item = (MacAddr, &NodeName)> {
        self.members.iter().flat_map(|(node, m)| m.lease.macs.iter().map(move |mac| (*mac, node)))
    }

    /// Counts the changes of what the getters above say.
    pub(crate) fn generation(&self) -> u64 {
        self.generation
    }

    fn index(&mut self, member: &Member) {
        if member.is_alive() {
            for (vip, epoch) in &member.lease.claims.0 {
                self.claims.entry(*vip).or_default().insert(member.lease.node.clone(), *epoch);
            }
        }
    }

    /// Takes a member's claims out, whether or not they were in.
    fn unindex(&mut self, member: &Member) {
        for vip in member.lease.claims.0.keys() {
            if let Some(claimants) = self.claims.get_mut(vip) {
                claimants.remove(&member.lease.node);
                if claimants.is_empty() {
                    self.claims.remove(vip);
                }
            }
        }
    }
}

#[cfg(test)]
mod tests;
