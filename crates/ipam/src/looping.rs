//! Which nodes would send packets for unused addresses of an Eip's aggregates back to a router, by what their speakers report.

use std::collections::{BTreeMap, BTreeSet};

use ironlb_model::{AddressRange, Announcement, Eip, NodeName, Prefix, Snapshot};

/// How many nodes and aggregates a message names at most. Chosen: who has more to mend sees what it is by three.
const MAX_NAMED: usize = 3;

/// The aggregates reported, with the nodes.
#[derive(Debug, Default)]
pub(crate) struct Looping<'a>(BTreeMap<Prefix, BTreeSet<&'a NodeName>>);

impl<'a> Looping<'a> {
    /// Reports of nodes that are gone count no more.
    pub(crate) fn new(snapshot: &'a Snapshot) -> Self {
        let mut all: BTreeMap<Prefix, BTreeSet<&NodeName>> = BTreeMap::new();
        for (node, report) in snapshot.speakers.iter().filter(|(node, _)| snapshot.nodes.contains_key(*node)) {
            for aggregate in &report.bgp.looping {
                all.entry(*aggregate).or_default().insert(node);
            }
        }
        Self(all)
    }

    /// What is to be told of it on an Eip; `None` where there is nothing amiss.
    pub(crate) fn message(&self, eip: &Eip) -> Option<String> {
        if self.0.is_empty() || eip.announcement != Announcement::Bgp {
            return None;
        }
        let found = || self.0.iter().filter(|(aggregate, _)| is_of(eip, **aggregate));
        let nodes: BTreeSet<&NodeName> = found().flat_map(|(_, nodes)| nodes.iter().copied()).collect();
        if nodes.is_empty() {
            return None;
        }
        let aggregates = named(found().map(|(aggregate, _)| aggregate));
        let (nodes, count) = (named(nodes.iter()), nodes.len());
        let nodes = if count == 1 { format!("node {nodes}") } else { format!("{count} nodes ({nodes})") };
        Some(format!(
            "{nodes} would send packets for unused addresses of {aggregates} back to a router, and so round and round: give each node a \
             discard route for it, see docs/bgp.md"
        ))
    }
}

/// Is it an aggregate of this Eip's vips?
fn is_of(eip: &Eip, aggregate: Prefix) -> bool {
    let length = match aggregate {
        Prefix::V4(_) => eip.routes.aggregation_v4,
        Prefix::V6(_) => eip.routes.aggregation_v6,
    };
    let range = AddressRange::prefix(aggregate);
    length == Some(aggregate.prefix_len()) && eip.span.ranges().iter().any(|own| own.overlaps(&range))
}

fn named(all: impl Iterator<Item = impl std::fmt::Display>) -> String {
    let all: Vec<String> = all.map(|one| one.to_string()).collect();
    let more = all.len().saturating_sub(MAX_NAMED);
    let first = all.into_iter().take(MAX_NAMED).collect::<Vec<_>>().join(", ");
    if more > 0 { format!("{first} and {more} more") } else { first }
}
