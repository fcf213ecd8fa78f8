//! The machine: one node's part in the protocol.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::net::IpAddr;

use ironlb_model::{MacAddr, NodeName, ResourceVersion, Timestamp};

use crate::fence::Fence;
use crate::own::OwnClaims;
use crate::view::View;
use crate::{Incarnation, Input, Notice, Output, Timing};

/// Who this machine speaks for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Config {
    /// The node.
    pub node: NodeName,
    /// This life of the process; no two may be equal.
    pub incarnation: Incarnation,
    /// The numbers of the protocol; every node of a cluster has the same `renew_interval` and `expiry`.
    pub timing: Timing,
}

/// Where the machine stands with its node's Lease.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Standing {
    /// It has not held the Lease yet: not listed, or not ready.
    Outside,
    /// It holds the Lease, or tries to.
    Member,
    /// Another process of the node took the Lease over.
    Superseded,
    /// It releases the Lease.
    Leaving,
    /// It has nothing more to do.
    Left,
}

/// What our own Lease is known to be.
#[derive(Debug, Clone, Default)]
struct OwnLease {
    version: Option<ResourceVersion>,
    seen_at: Timestamp,
    transitions: i32,
    /// The first time a write of ours was acknowledged.
    taken_at: Option<Timestamp>,
}

/// A renewal under way, and the next one.
#[derive(Debug, Clone, Default)]
struct Renewal {
    under_way: Option<UnderWay>,
    due_at: Timestamp,
    /// When the last one that was written had been sent.
    last_sent: Timestamp,
    failing: bool,
    conflicts: u32,
    /// The content last acknowledged.
    written: u64,
}

#[derive(Debug, Clone)]
struct UnderWay {
    sent: Timestamp,
    content: u64,
    releases: bool,
    /// A list was asked for because it takes long.
    probed: bool,
}

impl Renewal {
    /// When a list is to be asked for, should the renewal under way have no answer by then.
    fn probe_at(&self, timing: &Timing) -> Option<Timestamp> {
        self.under_way
            .as_ref()
            .filter(|under_way| !under_way.probed)
            .map(|under_way| under_way.sent + timing.probe_after)
    }
}

/// A list under way, and the one wanted.
#[derive(Debug, Clone, Default)]
struct Listing {
    begun_at: Option<Timestamp>,
    /// A list begun at this moment or later is wanted.
    wanted_from: Option<Timestamp>,
    not_before: Timestamp,
    /// One was taken in.
    done: bool,
}

/// One node's part in the protocol: which nodes are alive, which vips this one claims, and until when it may answer for them.
///
/// See the crate's text for the contract, and `docs/design/membership-lease.md` for why it is as it is.
#[derive(Debug, Clone)]
pub struct Membership {
    config: Config,
    now: Timestamp,
    standing: Standing,
    ready: bool,
    macs: BTreeSet<MacAddr>,
    wanted: Option<BTreeSet<IpAddr>>,
    lease: OwnLease,
    claims: OwnClaims,
    /// Counts the changes of what our Lease is to say.
    content: u64,
    renewal: Renewal,
    listing: Listing,
    view: View,
    fence: Fence,
    lapsed: bool,
    frozen: bool,
    left_out: usize,
    /// What `settle` last looked at: the view's generation and our content.
    settled_at: Option<(u64, u64)>,
    /// What `follow_wishes` last looked at: the same, and whether it could claim. `None`: the wishes are new.
    followed_at: Option<(u64, u64, bool)>,
    told_generation: u64,
    is_changed: bool,
    outputs: VecDeque<Output>,
}

impl Membership {
    /// A process that has just started.
    #[must_use]
    pub fn new(config: Config) -> Self {
        let fence = Fence::new(config.timing);
        Self {
            config,
            now: Timestamp::ZERO,
            standing: Standing::Outside,
            ready: false,
            macs: BTreeSet::new(),
            wanted: None,
            lease: OwnLease::default(),
            claims: OwnClaims::default(),
            content: 1,
            renewal: Renewal::default(),
            listing: Listing { wanted_from: Some(Timestamp::ZERO), ..Listing::default() },
            view: View::default(),
            fence,
            lapsed: false,
            frozen: false,
            left_out: 0,
            settled_at: None,
            followed_at: None,
            told_generation: 0,
            is_changed: false,
            outputs: VecDeque::new(),
        }
    }

    /// The only way in.
    pub fn handle_input(&mut self, now: Timestamp, input: Input) {
        self.pass(now);
        match input {
            Input::Lease(lease) => self.observe(lease, None),
            Input::LeaseGone { node, version } => {
                if node == self.config.node && self.lease.version.is_some_and(|known| known < version) {
                    self.lease.version = None;
                    self.renewal.due_at = self.now;
                }
            }
            Input::Listed { started, leases } => self.listed(started, leases),
            Input::ListFailed => {
                if let Some(begun) = self.listing.begun_at.take() {
                    self.fence.probed(begun);
                }
                self.listing.not_before = self.now + self.config.timing.retry;
            }
            Input::Renewed { version } => self.renewed(version),
            Input::RenewFailed(failure) => self.renew_failed(failure),
            Input::Ready(ready) => self.set_ready(ready),
            Input::Macs(macs) => {
                if self.macs != macs {
                    self.macs = macs;
                    self.content += 1;
                }
            }
            Input::Wanted(vips) => (self.wanted, self.followed_at) = (Some(vips), None),
            Input::ForeignClaim { vip, member } => self.foreign_claim(vip, member),
            Input::Shutdown => self.shut_down(),
        }
        self.act();
    }

    /// Does what is due. Calling early is harmless; calling late is noticed.
    pub fn handle_timeout(&mut self, now: Timestamp) {
        self.pass(now);
        self.act();
    }

    /// The only way out; asked until `None`.
    pub fn poll_output(&mut self) -> Option<Output> {
        self.outputs.pop_front()
    }

    /// When [`Membership::handle_timeout`] is needed next.
    #[must_use]
    pub fn poll_timeout(&self) -> Option<Timestamp> {
        let timing = &self.config.timing;
        if matches!(self.standing, Standing::Superseded | Standing::Left) {
            return None;
        }
        let renewal = self.may_renew().then_some(self.renewal.due_at);
        let listing = (self.listing.begun_at.is_none() && self.listing.wanted_from.is_some())
            .then_some(self.listing.not_before.max(self.now));
        let expiry = self.may_expire().then(|| self.view.next_expiry(timing.expiry)).flatten();
        let expiry = expiry.filter(|_| self.listing.begun_at.is_none()).map(|at| at.max(self.listing.not_before));
        let probe = self.renewal.probe_at(timing).filter(|_| self.standing == Standing::Member);
        let fence = self.valid_until();
        let start = self.lease.taken_at.map(|at| at + timing.start_wait).filter(|at| *at > self.now);
        let tick = (self.standing == Standing::Member).then(|| self.now + timing.tick);
        [renewal, listing, expiry, probe, fence, start, tick].into_iter().flatten().min()
    }

    /// The nodes that are alive and ready, this one included once it is ready: the candidates of an election.
    #[must_use]
    pub fn candidates(&self) -> BTreeSet<NodeName> {
        let own =
            (self.ready && matches!(self.standing, Standing::Outside | Standing::Member)).then_some(&self.config.node);
        self.view.alive().filter(|(_, ready)| *ready).map(|(node, _)| node).chain(own).cloned().collect()
    }

    /// Every node that is alive and whether it is ready, this one not included.
    pub fn alive(&self) -> impl Iterator<Item = (&NodeName, bool)> {
        self.view.alive()
    }

    /// Who owns which vip: the claim that wins among those of the nodes alive, ours included however far it has come.
    #[must_use]
    pub fn owners(&self) -> BTreeMap<IpAddr, NodeName> {
        let others = self.view.claimed().filter_map(|vip| Some((vip, self.view.best_claim(vip)?.0.clone())));
        let mut owners: BTreeMap<IpAddr, NodeName> = others.collect();
        // What a rival wins is given up in the same call, so what is left here wins over every rival.
        owners.extend(self.claims.vips().map(|vip| (vip, self.config.node.clone())));
        owners
    }

    /// What our Lease claims, or will with the next renewal.
    #[must_use]
    pub fn claims(&self) -> crate::Claims {
        self.claims.to_write()
    }

    /// The vips this node may answer for, before [`Membership::valid_until`] and only of those it still wants.
    #[must_use]
    pub fn may_answer(&self) -> BTreeSet<IpAddr> {
        self.claims.held()
    }

    /// Until when it may, unless this moves first. It is checked where frames are answered: this process may be stopped at any
    /// point and go on much later. `None`: not at all.
    #[must_use]
    pub fn valid_until(&self) -> Option<Timestamp> {
        self.fence.valid_until().filter(|_| self.standing == Standing::Member && !self.lapsed)
    }

    /// Whose Ethernet address is this, of the other nodes?
    #[must_use]
    pub fn member_macs(&self) -> BTreeMap<MacAddr, NodeName> {
        self.view.macs().map(|(mac, node)| (mac, node.clone())).collect()
    }

    /// Where the machine stands with its node's Lease.
    #[must_use]
    pub fn standing(&self) -> Standing {
        self.standing
    }

    /// Is everything left as it is because the API server is silent towards everybody?
    #[must_use]
    pub fn is_frozen(&self) -> bool {
        self.frozen
    }

    /// Is nothing answered until our claims are confirmed anew?
    #[must_use]
    pub fn is_lapsed(&self) -> bool {
        self.lapsed
    }

    /// How many vips that fall to us stay unclaimed for want of room in the Lease.
    #[must_use]
    pub fn left_out(&self) -> usize {
        self.left_out
    }

    /// Time goes on: first of all at every call.
    fn pass(&mut self, now: Timestamp) {
        self.now = self.now.max(now);
        let passed = self.fence.pass(self.now);
        if passed && !self.lapsed && self.lease.taken_at.is_some() && self.standing == Standing::Member {
            self.lapsed = true;
            self.is_changed = true;
            self.content += 1;
            let held = self.claims.lapse(self.content);
            self.stop_answering(held);
            self.notice(Notice::Lapsed);
        }
        let frozen = self.standing == Standing::Member && !self.lapsed && self.fence.is_outage(self.now);
        if frozen != self.frozen {
            self.frozen = frozen;
            self.notice(if frozen { Notice::Frozen } else { Notice::Thawed });
        }
    }

    fn stop_answering(&mut self, vips: BTreeSet<IpAddr>) {
        if !vips.is_empty() {
            self.outputs.push_back(Output::StopAnswering(vips));
        }
    }

    fn notice(&mut self, notice: Notice) {
        self.outputs.push_back(Output::Notice(notice));
    }
}

mod act;
mod learn;

#[cfg(test)]
mod tests;
