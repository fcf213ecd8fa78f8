//! Which node owns each vip.
//!
//! Who owns a vip keeps it while it may. A vip that is nobody's goes, among the candidates of the best preference, to the one it
//! prefers by the rendezvous hash whose load is below a bound: ceil(1.25 x the even share). Vips with the same set of candidates
//! share a load; those with different ones have nothing to share out among them.

use std::collections::BTreeMap;
use std::net::IpAddr;

use ironlb_model::VipKey;

use crate::node_set::NodeSet;
use crate::roster::Roster;

/// A vip to be given an owner.
#[derive(Debug)]
pub(crate) struct Ballot {
    pub(crate) vip: IpAddr,
    /// Who may; not empty.
    pub(crate) nodes: NodeSet,
    /// Who owns it by its claim, if that one still may.
    pub(crate) owner: Option<usize>,
}

/// The vips that the same nodes contend for.
#[derive(Debug, Default)]
struct Contest {
    vips: usize,
    load: BTreeMap<usize, usize>,
}

impl Contest {
    /// The most vips one of `nodes` nodes takes: ceil(1.25 x vips / nodes). Chosen as in the paper on bounded loads
    /// (<https://arxiv.org/abs/1608.01350>): a quarter above even costs few moves and no node twice its share.
    fn bound(&self, nodes: usize) -> usize {
        (5 * self.vips).div_ceil(4 * nodes.max(1))
    }
}

/// The owner's place for each ballot, in their order.
pub(crate) fn elect(ballots: &[Ballot], roster: &Roster<'_>) -> Vec<Option<usize>> {
    let mut contests: Vec<Contest> = Vec::new();
    let mut numbers: BTreeMap<NodeSet, usize> = BTreeMap::new();
    let best: Vec<(NodeSet, usize)> = ballots
        .iter()
        .map(|ballot| {
            let best = best_of(&ballot.nodes, roster);
            let number = *numbers.entry(best.clone()).or_insert_with(|| {
                contests.push(Contest::default());
                contests.len() - 1
            });
            if let Some(contest) = contests.get_mut(number) {
                contest.vips += 1;
                if let Some(owner) = ballot.owner {
                    *contest.load.entry(owner).or_default() += 1;
                }
            }
            (best, number)
        })
        .collect();
    let mut elected = Vec::with_capacity(ballots.len());
    for (ballot, (best, number)) in ballots.iter().zip(best) {
        elected.push(ballot.owner.or_else(|| {
            let contest = contests.get_mut(number)?;
            let winner = winner(ballot.vip, &best, contest, roster)?;
            *contest.load.entry(winner).or_default() += 1;
            Some(winner)
        }));
    }
    elected
}

/// Those of the best preference that has any.
fn best_of(nodes: &NodeSet, roster: &Roster<'_>) -> NodeSet {
    roster.by_preference.iter().find_map(|preferred| nodes.both(preferred)).unwrap_or_else(|| nodes.clone())
}

/// The node the vip prefers among those with room; among all, should none have any.
fn winner(vip: IpAddr, nodes: &NodeSet, contest: &Contest, roster: &Roster<'_>) -> Option<usize> {
    let bound = contest.bound(nodes.len());
    let has_room = |n| contest.load.get(&n).is_none_or(|load| *load < bound);
    preferred(vip, nodes.iter(), roster, has_room).or_else(|| preferred(vip, nodes.iter(), roster, |_| true))
}

/// The node the vip prefers among those of which `suits` says yes. It is asked only about a node that would win so far, which is
/// seldom.
pub(crate) fn preferred(
    vip: IpAddr,
    nodes: impl Iterator<Item = usize>,
    roster: &Roster<'_>,
    suits: impl Fn(usize) -> bool,
) -> Option<usize> {
    let key = VipKey::of(vip);
    let mut best: Option<(u64, usize)> = None;
    for n in nodes {
        let Some(candidate) = roster.candidates.get(n) else { continue };
        let score = candidate.key.score(key);
        // Candidates stand in the order of their names, so of equal scores the name that sorts first stays.
        if best.is_none_or(|(highest, _)| score > highest) && suits(n) {
            best = Some((score, n));
        }
    }
    best.map(|(_, n)| n)
}
