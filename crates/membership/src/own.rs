//! This node's own claims, and how far each has come.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;

use ironlb_model::{NodeName, Timestamp};

use crate::view::View;
use crate::{Claims, Epoch, wins};

/// The most text a Lease's claims may take. Chosen, because an object's annotations may be 256 KiB together (Kubernetes'
/// `ValidateAnnotations`), and what others put there needs room too.
const MAX_CLAIMS_TEXT: usize = 224 * 1024;

/// How far a claim has come.
///
/// ```text
///   Unwritten ──acknowledged──▶ Written ──a list begun later, no rival alive──▶ Held
///       ▲                          ▲                                             │
///       │                          └───────── claimed by a member on the wire ───┤
///       └──────────────────────────────────── lapsed ────────────────────────────┘
///                             (any) ──a rival's claim wins, or no longer wanted──▶ gone
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Progress {
    /// It is in no Lease yet that was written since; it will be in what is written at this content or a later one.
    Unwritten { content: u64 },
    /// It stands in our Lease. A list begun at `since` or later must confirm it; `confirmed`: one was taken in, so that what is
    /// missing is only that rivals go.
    Written { since: Timestamp, confirmed: bool },
    /// We own the vip.
    Held,
}

/// One claim.
#[derive(Debug, Clone, Copy)]
struct Claim {
    epoch: Epoch,
    progress: Progress,
}

/// What [`OwnClaims::settle`] changed.
#[derive(Debug, Clone, Default)]
pub(crate) struct Settled {
    /// Lost to a claim that wins: the vip, to whom, and whether it was held.
    pub(crate) yielded: Vec<(IpAddr, NodeName, Epoch, bool)>,
    /// Held from now on.
    pub(crate) gained: Vec<(IpAddr, Epoch)>,
}

/// This node's own claims.
#[derive(Debug, Clone, Default)]
pub(crate) struct OwnClaims {
    claims: BTreeMap<IpAddr, Claim>,
}

impl OwnClaims {
    /// What our Lease is to say.
    pub(crate) fn to_write(&self) -> Claims {
        Claims(self.claims.iter().map(|(vip, claim)| (*vip, claim.epoch)).collect())
    }

    /// The vips we own.
    pub(crate) fn held(&self) -> BTreeSet<IpAddr> {
        self.claims.iter().filter(|(_, c)| c.progress == Progress::Held).map(|(vip, _)| *vip).collect()
    }

    pub(crate) fn epoch(&self, vip: IpAddr) -> Option<Epoch> {
        self.claims.get(&vip).map(|c| c.epoch)
    }

    pub(crate) fn vips(&self) -> impl Iterator<Item = IpAddr> + '_ {
        self.claims.keys().copied()
    }

    /// Those of `more`, from the first on, for which the Lease has room beside what it holds.
    pub(crate) fn fitting(&self, more: Vec<(IpAddr, Epoch)>) -> Vec<(IpAddr, Epoch)> {
        if more.is_empty() {
            return more;
        }
        let mut length = self.to_write().to_string().len();
        let fits = |(vip, epoch): &(IpAddr, Epoch)| {
            length += Claims([(*vip, *epoch)].into()).to_string().len() + 1;
            length <= MAX_CLAIMS_TEXT
        };
        more.into_iter().take_while(fits).collect()
    }

    /// Adds a claim that is to be written with `content`.
    pub(crate) fn add(&mut self, vip: IpAddr, epoch: Epoch, content: u64) {
        self.claims.insert(vip, Claim { epoch, progress: Progress::Unwritten { content } });
    }

    /// Takes a claim back; says whether it was held.
    pub(crate) fn remove(&mut self, vip: IpAddr) -> bool {
        self.claims.remove(&vip).is_some_and(|claim| claim.progress == Progress::Held)
    }

    /// Our Lease was written with `content`.
    pub(crate) fn written(&mut self, now: Timestamp, content: u64) {
        for claim in self.claims.values_mut() {
            if matches!(claim.progress, Progress::Unwritten { content: wanted } if wanted <= content) {
                claim.progress = Progress::Written { since: now, confirmed: false };
            }
        }
    }

    /// Every claim must be written anew, with `content`. Returns those that were held.
    pub(crate) fn lapse(&mut self, content: u64) -> BTreeSet<IpAddr> {
        let held = self.held();
        for claim in self.claims.values_mut() {
            claim.progress = Progress::Unwritten { content };
        }
        held
    }

    /// A held claim must be confirmed anew by a list begun at `now` or later; says whether it was held.
    pub(crate) fn doubt(&mut self, now: Timestamp, vip: IpAddr) -> bool {
        let Some(claim) = self.claims.get_mut(&vip).filter(|c| c.progress == Progress::Held) else { return false };
        claim.progress = Progress::Written { since: now, confirmed: false };
        true
    }

    /// A list begun at `started` was taken in.
    pub(crate) fn listed(&mut self, started: Timestamp) {
        for claim in self.claims.values_mut() {
            if let Progress::Written { since, confirmed } = &mut claim.progress {
                *confirmed |= *since <= started;
            }
        }
    }

    /// The latest moment from which a list is still wanted.
    pub(crate) fn wants_list_from(&self) -> Option<Timestamp> {
        let unconfirmed = self.claims.values().filter_map(|c| match c.progress {
            Progress::Written { since, confirmed: false } => Some(since),
            _ => None,
        });
        unconfirmed.max()
    }

    /// Yields what a rival wins, and holds what is confirmed and nobody else's, if `may_hold`.
    ///
    /// A claim that wins waits for the loser to write its own away or to die: only then has it stopped answering.
    pub(crate) fn settle(&mut self, view: &View, node: &NodeName, may_hold: bool) -> Settled {
        let mut settled = Settled::default();
        self.claims.retain(|vip, claim| {
            let rival = view.best_claim(*vip);
            if let Some((other, epoch)) = rival
                && wins(*vip, (epoch, other), (claim.epoch, node))
            {
                settled.yielded.push((*vip, other.clone(), epoch, claim.progress == Progress::Held));
                return false;
            }
            if may_hold && rival.is_none() && matches!(claim.progress, Progress::Written { confirmed: true, .. }) {
                claim.progress = Progress::Held;
                settled.gained.push((*vip, claim.epoch));
            }
            true
        });
        settled
    }
}
