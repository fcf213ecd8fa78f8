//! What follows from what is known: yield, hold, give up, claim, renew, list.

use std::collections::BTreeSet;
use std::net::IpAddr;

use ironlb_model::Timestamp;

use super::{Membership, Standing, UnderWay};
use crate::{Epoch, LeaseWrite, Notice, Output};

impl Membership {
    /// Everything that follows from what is known now: last of all at every call.
    pub(super) fn act(&mut self) {
        self.settle();
        self.follow_wishes();
        self.renew_if_due();
        self.list_if_due();
        if std::mem::take(&mut self.is_changed) {
            self.outputs.push_back(Output::Changed);
        }
    }

    fn settle(&mut self) {
        if self.standing == Standing::Leaving {
            return;
        }
        let key = (self.view.generation(), self.content);
        self.is_changed |= std::mem::replace(&mut self.told_generation, key.0) != key.0;
        if self.settled_at.replace(key) == Some(key) {
            return;
        }
        let may_hold = self.standing == Standing::Member && !self.lapsed && self.ready;
        let settled = self.claims.settle(&self.view, &self.config.node, may_hold);
        self.is_changed |= !settled.gained.is_empty() || !settled.yielded.is_empty();
        if !settled.yielded.is_empty() {
            self.content += 1;
            self.settled_at = Some((key.0, self.content));
            self.stop_answering(settled.yielded.iter().filter(|lost| lost.3).map(|lost| lost.0).collect());
        }
        for (vip, to, epoch, _) in settled.yielded {
            self.notice(Notice::Yielded { vip, to, epoch });
        }
        for (vip, epoch) in settled.gained {
            self.notice(Notice::Gained { vip, epoch });
        }
    }

    /// Gives up what is not wanted any more and claims what is wanted and nobody's.
    fn follow_wishes(&mut self) {
        let key = (self.view.generation(), self.content, self.may_claim());
        if self.followed_at == Some(key) {
            return;
        }
        let Some(wanted) = self.wanted.take() else { return };
        if self.ready && matches!(self.standing, Standing::Outside | Standing::Member) {
            self.give_up(|vip| !wanted.contains(&vip));
        }
        if self.may_claim() {
            self.claim_unowned(&wanted);
        }
        self.wanted = Some(wanted);
        self.followed_at = Some((key.0, self.content, key.2));
    }

    fn claim_unowned(&mut self, wanted: &BTreeSet<IpAddr>) {
        let is_free = |vip: &&IpAddr| self.claims.epoch(**vip).is_none() && self.view.best_claim(**vip).is_none();
        let free: Vec<(IpAddr, Epoch)> =
            wanted.iter().filter(is_free).map(|vip| (*vip, self.view.highest_epoch(*vip).next())).collect();
        let (count, mut added) = (free.len(), 0);
        for (vip, epoch) in self.claims.fitting(free) {
            self.content += u64::from(added == 0);
            self.is_changed = true;
            added += 1;
            self.view.note_epoch(vip, epoch);
            self.claims.add(vip, epoch, self.content);
        }
        let left_out = count - added;
        if left_out != self.left_out {
            self.left_out = left_out;
            self.notice(Notice::ClaimsFull { left_out });
        }
    }

    /// May we claim what is nobody's? Only while the API server serves us, so that what we see is what is.
    fn may_claim(&self) -> bool {
        self.standing == Standing::Member
            && self.ready
            && !self.lapsed
            && self.is_in_touch()
            && self.lease.taken_at.is_some_and(|taken| self.now >= taken + self.config.timing.start_wait)
    }

    /// May we declare others dead? Not while what keeps our own renewals from arriving may keep theirs.
    pub(super) fn may_expire(&self) -> bool {
        self.standing == Standing::Member && self.is_in_touch()
    }

    fn is_in_touch(&self) -> bool {
        !self.renewal.failing && self.now.since(self.renewal.last_sent) <= self.config.timing.grace_after
    }

    pub(super) fn may_renew(&self) -> bool {
        let wants_to = match self.standing {
            Standing::Outside => self.ready && self.listing.done,
            Standing::Member | Standing::Leaving => true,
            Standing::Superseded | Standing::Left => false,
        };
        // After a conflict the Lease is read before it is written again.
        let must_read = self.renewal.conflicts > 0 && self.listing.wanted_from.is_some();
        wants_to && !must_read && self.renewal.under_way.is_none()
    }

    fn renew_if_due(&mut self) {
        let has_news = self.content != self.renewal.written && !self.renewal.failing;
        if !self.may_renew() || (self.now < self.renewal.due_at && !has_news) {
            return;
        }
        let releases = self.standing == Standing::Leaving;
        self.renewal.under_way = Some(UnderWay { sent: self.now, content: self.content, releases, probed: false });
        self.outputs.push_back(Output::Renew(LeaseWrite {
            expected: self.lease.version,
            holder: (!releases).then(|| self.config.incarnation.clone()),
            transitions: self.lease.transitions,
            ready: self.ready && !releases,
            macs: self.macs.clone(),
            claims: self.claims.to_write(),
        }));
    }

    pub(super) fn want_list(&mut self, from: Timestamp) {
        self.listing.wanted_from = self.listing.wanted_from.max(Some(from));
    }

    fn list_if_due(&mut self) {
        if let Some(from) = self.claims.wants_list_from() {
            self.want_list(from);
        }
        if self.may_expire() && self.view.next_expiry(self.config.timing.expiry).is_some_and(|at| at <= self.now) {
            self.want_list(self.now);
        }
        if self.standing == Standing::Member
            && self.renewal.probe_at(&self.config.timing).is_some_and(|at| at <= self.now)
            && let Some(under_way) = &mut self.renewal.under_way
        {
            under_way.probed = true;
            self.want_list(self.now);
        }
        let is_over = matches!(self.standing, Standing::Superseded | Standing::Left);
        let is_wanted = self.listing.wanted_from.is_some() && self.now >= self.listing.not_before;
        if is_wanted && self.listing.begun_at.is_none() && !is_over {
            self.listing.begun_at = Some(self.now);
            self.outputs.push_back(Output::List);
        }
    }
}
