//! One round of a speaker: remember, decide, and say what is to be done.

use std::collections::BTreeSet;
use std::net::IpAddr;

use ironlb_model::{NodeName, Snapshot, Timestamp};

use crate::decide::{Vips, decide_on};
use crate::diff::{diff, report_due};
use crate::holders::Holders;
use crate::{Action, Announcements, LocalView, Memory};

/// What one round comes to.
#[derive(Debug, Clone, PartialEq)]
pub struct Step {
    /// What this node announces, and why not the rest.
    pub announcements: Announcements,
    /// The vips this node is to own: handed to membership, which claims them.
    pub wanted: BTreeSet<IpAddr>,
    /// What is to be done now, in this order. Each that succeeds is written down with [`crate::Applied::record`].
    pub actions: Vec<Action>,
    /// When another round is needed although nothing else changed.
    pub wake_at: Option<Timestamp>,
}

/// One round of a speaker.
#[must_use]
pub fn step(snapshot: &Snapshot, view: &LocalView, memory: &mut Memory, now: Timestamp) -> Step {
    let vips = Vips::new(snapshot);
    remember(&vips, snapshot, memory, now);
    let announcements = decide_on(&vips, snapshot, view, memory, now);
    remember_routes(&announcements, memory);
    let actions = diff(&memory.applied, &announcements, view, now);
    let report_at = report_due(&memory.applied, &announcements).filter(|at| *at > now);
    Step {
        wanted: announcements.layer2.keys().copied().collect(),
        wake_at: announcements.wake_at.into_iter().chain(report_at).min(),
        actions,
        announcements,
    }
}

/// Takes note of which vips are advertised, and which of them until when.
fn remember_routes(announcements: &Announcements, memory: &mut Memory) {
    let routes = || announcements.bgp.iter().flat_map(|plan| &plan.vips);
    memory.advertised = routes().map(|(vip, _)| *vip).collect();
    memory.leaving = routes().filter_map(|(vip, route)| Some((*vip, route.withdraw_at?))).collect();
}

/// Takes note of which Eip each vip has, and since when nodes are NotReady; forgets vips and nodes that are gone.
fn remember(vips: &Vips<'_>, snapshot: &Snapshot, memory: &mut Memory, now: Timestamp) {
    let before = std::mem::take(&mut memory.last_eip);
    let eip = |vip: &IpAddr, held: &Holders<'_>| {
        let known = held.first().and_then(|holder| vips.eips.eip_of(*vip, &holder.id));
        known.or_else(|| before.get(vip)).cloned()
    };
    memory.last_eip = vips.held.iter().filter_map(|(vip, held)| Some((*vip, eip(vip, held)?))).collect();

    let since = |name: &NodeName| memory.not_ready_since.get(name).copied().unwrap_or(now);
    let not_ready = snapshot.nodes.values().filter(|node| !node.ready);
    memory.not_ready_since = not_ready.map(|node| (node.name.clone(), since(&node.name))).collect();
}

#[cfg(test)]
mod tests;
