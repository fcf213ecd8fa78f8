//! Sees who answers for what, at every moment, and measures what must not be.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;

use ironlb_model::{NodeName, Timestamp};

/// A stretch of time.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Stretch {
    pub(crate) vip: IpAddr,
    pub(crate) from: u64,
    pub(crate) millis: f64,
    pub(crate) nodes: BTreeSet<NodeName>,
}

/// What was seen of one vip.
#[derive(Debug, Clone, Default)]
struct Seen {
    unanswered_since: Option<Timestamp>,
    doubled_since: Option<(Timestamp, BTreeSet<NodeName>)>,
    last: Option<NodeName>,
}

#[derive(Debug, Default)]
pub(crate) struct Watcher {
    seen: BTreeMap<IpAddr, Seen>,
    /// Stretches in which two nodes answered for one vip.
    pub(crate) doubles: Vec<Stretch>,
    /// Stretches in which nobody answered.
    pub(crate) gaps: Vec<Stretch>,
    /// Each time a vip was answered by another node than the one before: when, and which.
    pub(crate) moves: Vec<(u64, IpAddr, NodeName)>,
}

fn millis(from: Timestamp, to: Timestamp) -> f64 {
    to.since(from).as_secs_f64() * 1000.0
}

impl Watcher {
    /// From `from` to `to` nothing happened; each of `answering` answered for a vip until its moment, or to the end.
    pub(crate) fn see(
        &mut self,
        from: Timestamp,
        to: Timestamp,
        vips: &[IpAddr],
        answering: &[(IpAddr, NodeName, Timestamp)],
    ) {
        if from == to {
            return;
        }
        for vip in vips {
            let mut spans: Vec<(Timestamp, &NodeName)> = answering
                .iter()
                .filter(|(v, _, until)| v == vip && *until > from)
                .map(|(_, node, until)| ((*until).min(to), node))
                .collect();
            spans.sort_unstable();
            // The last two to stop on different nodes: until the earlier of them stops, it is double.
            let last = spans.last().copied();
            let rival = last.and_then(|(_, node)| spans.iter().rev().find(|(_, other)| *other != node).copied());
            let single_from = rival.map_or(from, |(until, _)| until);
            let none_from = last.map_or(from, |(until, _)| until);
            let nodes: BTreeSet<NodeName> = spans.iter().map(|(_, node)| (*node).clone()).collect();
            let seen = self.seen.entry(*vip).or_default();
            if single_from > from {
                seen.doubled_since.get_or_insert((from, nodes));
            }
            let ended = seen.doubled_since.take_if(|_| single_from < to);
            self.doubles.extend(ended.map(|(since, nodes)| Stretch {
                vip: *vip,
                from: ms(since),
                millis: millis(since, single_from),
                nodes,
            }));
            let ended = seen.unanswered_since.take_if(|_| none_from > from);
            self.gaps.extend(ended.map(|since| Stretch {
                vip: *vip,
                from: ms(since),
                millis: millis(since, from),
                nodes: seen.last.iter().cloned().collect(),
            }));
            if none_from < to {
                seen.unanswered_since.get_or_insert(none_from);
            }
            if let Some((_, node)) = last
                && seen.last.as_ref() != Some(node)
            {
                self.moves.push((ms(from), *vip, node.clone()));
                seen.last = Some(node.clone());
            }
        }
    }

    /// Ends what is still going on.
    pub(crate) fn finish(&mut self, now: Timestamp) {
        for (vip, seen) in std::mem::take(&mut self.seen) {
            if let Some((since, nodes)) = seen.doubled_since {
                self.doubles.push(Stretch { vip, from: ms(since), millis: millis(since, now), nodes });
            }
            if let Some(since) = seen.unanswered_since {
                let nodes = seen.last.into_iter().collect();
                self.gaps.push(Stretch { vip, from: ms(since), millis: millis(since, now), nodes });
            }
        }
    }

    /// The longest stretch in which two answered.
    pub(crate) fn longest_double(&self) -> f64 {
        self.doubles.iter().map(|s| s.millis).fold(0.0, f64::max)
    }

    /// The longest stretch without answer that began at `from` ms or later.
    pub(crate) fn longest_gap(&self, from: u64) -> f64 {
        self.gaps.iter().filter(|s| s.from >= from).map(|s| s.millis).fold(0.0, f64::max)
    }
}

fn ms(at: Timestamp) -> u64 {
    at.as_nanos() / 1_000_000
}
