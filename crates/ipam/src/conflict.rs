//! Addresses that a host outside the cluster was heard to claim, from what the speakers report.
//!
//! A claim counts for a while after it was last heard. That while is measured on this controller's clock, from the moment at which it
//! saw the report change: what stands in a report is another machine's time. So this is memory, and a controller that has just become
//! leader counts what it finds reported as heard now; it may keep an address back for that while longer, and never for less.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::time::Duration;

use ironlb_model::{ConditionStatus, ConflictDetection, MacAddr, NodeName, Snapshot, Timestamp, WallTime};

use crate::condition::CONFLICT;
use crate::territory::Territory;

/// How many claims a message names. Chosen: as many as fit a line; the Speaker objects list more.
const MAX_NAMED: usize = 3;

/// A claim of a host outside the cluster to an address.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Claim {
    /// The host's Ethernet address.
    pub mac: MacAddr,
    /// A node that heard it: the first by name.
    pub node: NodeName,
}

/// Which claim, and who heard it.
type Heard = (IpAddr, MacAddr, NodeName);

/// The claims that were reported, and when that was news.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Conflicts {
    heard: BTreeMap<Heard, (WallTime, Timestamp)>,
}

impl Conflicts {
    /// Takes in what the speakers report, and says which addresses are claimed now.
    pub(crate) fn observe(&mut self, snapshot: &Snapshot, counts: Duration, now: Timestamp) -> BTreeMap<IpAddr, Claim> {
        let reported = reported(snapshot);
        for (heard, last) in &reported {
            let entry = self.heard.entry(heard.clone()).or_insert((*last, now));
            if entry.0 != *last {
                *entry = (*last, now);
            }
        }
        // What is still in a report although it no longer counts has to be known as old.
        self.heard.retain(|heard, (_, at)| reported.contains_key(heard) || *at + counts > now);
        claims(self.heard.iter().filter(|(_, (_, at))| *at + counts > now).map(|(heard, _)| heard))
    }

    /// When the first of the claims that count now no longer does.
    pub(crate) fn first_end(&self, counts: Duration, now: Timestamp) -> Option<Timestamp> {
        self.heard.values().map(|(_, at)| *at + counts).filter(|end| *end > now).min()
    }
}

/// The claims that stand in the reports and are told on their Eip: what a person knows who has no controller's memory.
pub(crate) fn known_to_people(snapshot: &Snapshot) -> BTreeMap<IpAddr, Claim> {
    let is_told = |address: &IpAddr| {
        let mut eips = snapshot.eips.values().filter(|eip| eip.spans(*address));
        eips.any(|eip| eip.status.conditions.iter().any(|c| c.kind == CONFLICT && c.status == ConditionStatus::True))
    };
    let mut claims = claims(reported(snapshot).keys());
    claims.retain(|address, _| is_told(address));
    claims
}

/// What the speakers of this cluster's nodes report, with the time in the report. A frame from a member is no stranger's.
fn reported(snapshot: &Snapshot) -> BTreeMap<Heard, WallTime> {
    let is_member = |mac: &MacAddr| snapshot.speakers.values().any(|report| report.macs.contains(mac));
    let present = snapshot.speakers.iter().filter(|(node, _)| snapshot.nodes.contains_key(*node));
    let all = present.flat_map(|(node, report)| report.conflicts.iter().map(move |conflict| (node, conflict)));
    all.filter(|(_, conflict)| !is_member(&conflict.mac))
        .map(|(node, conflict)| ((conflict.vip, conflict.mac, node.clone()), conflict.last_heard))
        .collect()
}

/// One claim for each address: the first of several.
fn claims<'h>(heard: impl Iterator<Item = &'h Heard>) -> BTreeMap<IpAddr, Claim> {
    let mut claims = BTreeMap::new();
    for (address, mac, node) in heard {
        claims.entry(*address).or_insert_with(|| Claim { mac: *mac, node: node.clone() });
    }
    claims
}

/// What an Eip does about claims to this address; one that is in no Eip is nobody's to give.
pub(crate) fn detection(territory: &Territory<'_>, address: IpAddr) -> ConflictDetection {
    territory.spanning(address).map_or(ConflictDetection::Off, |eip| territory.eip(eip).conflict_detection)
}

/// What an Eip tells of the claims to its addresses. It changes only with them: each change is told by an Event.
pub(crate) fn message(detection: ConflictDetection, claims: &[(IpAddr, &Claim)]) -> String {
    let one = |(address, claim): &(IpAddr, &Claim)| {
        format!("{address} is claimed by {} (heard by node {})", claim.mac, claim.node)
    };
    let mut text = claims.iter().take(MAX_NAMED).map(one).collect::<Vec<_>>().join("; ");
    if claims.len() > MAX_NAMED {
        text.push_str(&format!("; and {} more addresses", claims.len() - MAX_NAMED));
    }
    text.push_str(match detection {
        ConflictDetection::Enforce => {
            ": find that host by its Ethernet address, or put the address into spec.exclude; whoever holds it keeps it, and no other \
             Service gets it until the host has been silent for a while"
        }
        ConflictDetection::Warn | ConflictDetection::Off => {
            ": find that host by its Ethernet address, or put the address into spec.exclude; it is given out all the same \
             (spec.layer2.conflictDetection)"
        }
    });
    text
}

#[cfg(test)]
mod tests;
