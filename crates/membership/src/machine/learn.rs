//! What each input teaches the machine; what follows from it is done afterwards, in `act`.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;
use std::time::Duration;

use ironlb_model::{NodeName, ResourceVersion, Timestamp};

use super::{Membership, Standing};
use crate::own::OwnClaims;
use crate::{Epoch, Incarnation, Notice, Output, RenewFailure, SeenLease};

impl Membership {
    pub(super) fn observe(&mut self, lease: SeenLease, list_started: Option<Timestamp>) {
        if lease.node == self.config.node {
            if !matches!(self.standing, Standing::Superseded | Standing::Left) {
                self.observe_own(lease, list_started);
            }
            return;
        }
        if self.view.observe(self.now, lease, list_started) {
            self.fence.heard(self.now);
        }
    }

    fn observe_own(&mut self, lease: SeenLease, list_started: Option<Timestamp>) {
        let authoritative = list_started.is_some_and(|started| self.lease.seen_at < started);
        if self.lease.version.is_some_and(|known| lease.version < known) && !authoritative {
            return;
        }
        let is_newer = self.lease.version.is_some_and(|known| known < lease.version);
        (self.lease.version, self.lease.seen_at) = (Some(lease.version), self.now);
        let is_ours = lease.holder.as_ref() == Some(&self.config.incarnation);
        match (self.lease.taken_at, lease.holder) {
            (_, Some(_)) if is_ours => self.lease.transitions = lease.transitions,
            (None, _) if self.standing == Standing::Leaving => self.leave_unheld(),
            (None, holder) => {
                // What an older process of this node claimed is ours to go on with.
                self.lease.transitions = lease.transitions.saturating_add(i32::from(holder.is_some()));
                self.adopt(&lease.claims.0);
            }
            (Some(_), Some(by)) if is_newer => self.be_superseded(by),
            // Cleared by somebody, or set back with the server's store: ours again with the next renewal.
            (Some(_), _) => self.renewal.due_at = self.now,
        }
    }

    fn adopt(&mut self, claims: &BTreeMap<IpAddr, Epoch>) {
        if self.claims.to_write().0 == *claims {
            return;
        }
        // Wishes from before were made without knowing of these.
        self.wanted = None;
        let gone: Vec<IpAddr> = self.claims.vips().filter(|vip| !claims.contains_key(vip)).collect();
        for vip in gone {
            self.claims.remove(vip);
        }
        self.content += 1;
        for (vip, epoch) in claims {
            self.view.note_epoch(*vip, *epoch);
            self.claims.add(*vip, *epoch, self.content);
        }
        self.is_changed = true;
    }

    fn be_superseded(&mut self, by: Incarnation) {
        let held = self.claims.lapse(self.content);
        self.claims = OwnClaims::default();
        self.stop_answering(held);
        let was_leaving = self.standing == Standing::Leaving;
        self.standing = if was_leaving { Standing::Left } else { Standing::Superseded };
        self.is_changed = true;
        self.notice(Notice::Superseded { by });
        if was_leaving {
            self.outputs.push_back(Output::Left);
        }
    }

    pub(super) fn listed(&mut self, started: Timestamp, leases: Vec<SeenLease>) {
        let nodes: BTreeSet<NodeName> = leases.iter().map(|lease| lease.node.clone()).collect();
        if !nodes.contains(&self.config.node) && self.lease.version.is_some() && self.lease.seen_at < started {
            self.lease.version = None;
            self.renewal.due_at = self.now;
        }
        if !nodes.contains(&self.config.node) && self.standing == Standing::Leaving && self.lease.taken_at.is_none() {
            self.leave_unheld();
        }
        for lease in leases {
            self.observe(lease, Some(started));
        }
        if self.may_expire() {
            let dead = self.view.expire(started, self.config.timing.expiry);
            for node in dead {
                self.notice(Notice::Expired { node });
            }
        }
        self.fence.probed(started);
        self.view.drop_gone(&nodes, started);
        self.claims.listed(started);
        // `settle` looks again: what this list confirmed is not in its key.
        self.settled_at = None;
        self.listing.done = true;
        if self.listing.begun_at.is_some_and(|begun| begun <= started) {
            self.listing.begun_at = None;
        }
        if self.listing.wanted_from.is_some_and(|from| from <= started) {
            self.listing.wanted_from = None;
        }
    }

    pub(super) fn renewed(&mut self, version: ResourceVersion) {
        let Some(done) = self.renewal.under_way.take() else { return };
        self.fence.renewed(self.now, done.sent);
        if self.now.since(self.renewal.last_sent) > self.config.timing.grace_after {
            // After an outage of the server the others may find it later than we did.
            let timing = &self.config.timing;
            self.view.grace(self.now, if self.frozen { timing.outage_return } else { timing.expiry });
        }
        (self.renewal.failing, self.renewal.conflicts) = (false, 0);
        (self.renewal.last_sent, self.renewal.written) = (done.sent, done.content);
        self.renewal.due_at = done.sent + self.config.timing.renew_interval;
        if self.lease.version.is_none_or(|known| known < version) {
            (self.lease.version, self.lease.seen_at) = (Some(version), self.now);
        }
        if done.releases {
            self.standing = Standing::Left;
            self.outputs.push_back(Output::Left);
            return;
        }
        if self.lease.taken_at.is_none() {
            self.lease.taken_at = Some(self.now);
            self.standing = if self.standing == Standing::Outside { Standing::Member } else { self.standing };
            self.is_changed = true;
            self.notice(Notice::Joined);
        }
        if self.lapsed && self.fence.holds(self.now) {
            self.lapsed = false;
            self.is_changed = true;
        }
        self.claims.written(self.now, done.content);
    }

    pub(super) fn renew_failed(&mut self, failure: RenewFailure) {
        if self.renewal.under_way.take().is_none() {
            return;
        }
        let timing = self.config.timing;
        self.renewal.failing = true;
        // A first write that may or may not have arrived is looked for before it is taken back.
        let is_unsure = self.standing == Standing::Leaving && self.lease.taken_at.is_none();
        match if is_unsure { RenewFailure::Conflict } else { failure } {
            RenewFailure::Unreachable => {
                self.fence.unreachable(self.now);
                self.renewal.due_at = self.now + timing.retry;
                self.want_list(self.now);
            }
            RenewFailure::Refused => {
                self.fence.heard(self.now);
                self.renewal.due_at = self.now + timing.renew_interval;
            }
            RenewFailure::Conflict => {
                self.fence.heard(self.now);
                // The first is most often an answer that came too late; whoever goes on writing our Lease is not raced with.
                let wait = if self.renewal.conflicts == 0 { Duration::ZERO } else { timing.retry };
                self.renewal.conflicts = self.renewal.conflicts.saturating_add(1);
                self.renewal.due_at = self.now + wait;
                self.want_list(self.now);
            }
        }
    }

    pub(super) fn set_ready(&mut self, ready: bool) {
        if self.ready == ready {
            return;
        }
        self.ready = ready;
        self.content += 1;
        self.is_changed = true;
        if !ready && self.standing == Standing::Member {
            // Who cannot answer does not hold on to what others could answer for.
            self.give_up(|_| true);
        }
    }

    pub(super) fn foreign_claim(&mut self, vip: IpAddr, member: NodeName) {
        if self.claims.doubt(self.now, vip) {
            self.is_changed = true;
            self.stop_answering([vip].into());
            self.notice(Notice::ForeignClaim { vip, member });
        }
    }

    pub(super) fn shut_down(&mut self) {
        match self.standing {
            Standing::Leaving | Standing::Left => {}
            Standing::Member => {
                self.give_up(|_| true);
                self.standing = Standing::Leaving;
                self.renewal.due_at = self.now;
                self.is_changed = true;
            }
            Standing::Outside if self.renewal.under_way.is_some() => {
                self.claims = OwnClaims::default();
                self.standing = Standing::Leaving;
            }
            Standing::Outside | Standing::Superseded => {
                self.standing = Standing::Left;
                self.outputs.push_back(Output::Left);
            }
        }
    }

    /// Leaves without having held the Lease; while the first write is under way that is not known yet.
    fn leave_unheld(&mut self) {
        if self.renewal.under_way.is_none() {
            self.standing = Standing::Left;
            self.outputs.push_back(Output::Left);
        }
    }

    /// Takes back the claims `which` says, answering first.
    pub(super) fn give_up(&mut self, which: impl Fn(IpAddr) -> bool) {
        let vips: Vec<IpAddr> = self.claims.vips().filter(|vip| which(*vip)).collect();
        if vips.is_empty() {
            return;
        }
        let held: BTreeSet<IpAddr> = vips.into_iter().filter(|vip| self.claims.remove(*vip)).collect();
        self.content += 1;
        self.is_changed = true;
        self.stop_answering(held);
    }
}
