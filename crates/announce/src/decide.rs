//! What this node announces, and why not the rest.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::sync::Arc;

use ironlb_model::{
    Announcement, Eip, EipName, InterfaceName, IpFamily, NodeName, ServiceId, Snapshot, SpeakerReport, Timestamp,
};

use crate::bgp::{self, BgpPlan};
use crate::eip_of::EipIndex;
use crate::elect::{Ballot, elect, preferred};
use crate::eligible::{Grounds, eligible, own_reason};
use crate::holders::{Holders, holders};
use crate::report::report;
use crate::roster::{NOT_READY_FOR, Roster};
use crate::{LocalView, Memory, Reason, Remark};

/// A vip that this node is to own in Layer 2.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Layer2Spec {
    /// The interface it is answered on.
    pub interface: InterfaceName,
    /// The Service it is announced for, the oldest of several.
    pub service: ServiceId,
    /// Its Eip.
    pub eip: EipName,
    /// What is remarkable about it, each once.
    pub remarks: Vec<Remark>,
}

/// What this node announces, and why not the rest. Every vip of a Service of ours is in exactly one of `layer2`, `bgp`
/// and `withheld`.
#[derive(Debug, Clone, PartialEq)]
pub struct Announcements {
    /// The vips this node is to own in Layer 2: what membership is to claim and keep.
    pub layer2: BTreeMap<IpAddr, Layer2Spec>,
    /// What this node does in BGP; `None` where this speaker runs none.
    pub bgp: Option<BgpPlan>,
    /// Every other vip, with the reason.
    pub withheld: BTreeMap<IpAddr, Reason>,
    /// Services for which an address they hold is not announced although it is for an older one.
    pub clashes: Vec<(IpAddr, Reason)>,
    /// What this speaker has to report.
    pub report: SpeakerReport,
    /// When time alone may change the decision.
    pub wake_at: Option<Timestamp>,
}

/// The Eip a vip is announced by.
pub(crate) struct Settings<'a> {
    pub(crate) eip: &'a Arc<Eip>,
    /// No Eip of the snapshot is its own any more.
    pub(crate) is_remembered: bool,
}

/// One vip on its way through the decision.
struct Case<'a> {
    vip: IpAddr,
    held: &'a Holders<'a>,
    settings: Option<Settings<'a>>,
    remarks: Vec<Remark>,
    /// The number of its ballot, or why nobody announces it.
    ballot: Result<usize, Reason>,
}

/// Decides for one speaker. A function of its arguments; `now` matters only for how long nodes have been NotReady.
#[must_use]
pub fn decide(snapshot: &Snapshot, view: &LocalView, memory: &Memory, now: Timestamp) -> Announcements {
    decide_on(&Vips::new(snapshot), snapshot, view, memory, now)
}

/// The vips of a snapshot: who holds each, and the Eips.
#[derive(Debug)]
pub(crate) struct Vips<'a> {
    pub(crate) held: BTreeMap<IpAddr, Holders<'a>>,
    pub(crate) eips: EipIndex<'a>,
}

impl<'a> Vips<'a> {
    pub(crate) fn new(snapshot: &'a Snapshot) -> Self {
        Self { held: holders(snapshot), eips: EipIndex::new(snapshot) }
    }
}

/// [`decide`], with the vips already gathered.
pub(crate) fn decide_on(
    vips: &Vips<'_>,
    snapshot: &Snapshot,
    view: &LocalView,
    memory: &Memory,
    now: Timestamp,
) -> Announcements {
    let roster = Roster::new(snapshot, view, memory, now);
    // By the Eip's place in memory: what is remembered may bear the name of one that is there now. Never walked.
    let mut grounds: BTreeMap<*const Eip, Grounds<'_>> = BTreeMap::new();
    let mut ballots: Vec<Ballot> = Vec::new();
    let mut cases: Vec<Case<'_>> = Vec::with_capacity(vips.held.len());
    for (vip, held) in &vips.held {
        let settings = settings_of(*vip, held, &vips.eips, memory);
        if view.bgp && settings.as_ref().is_some_and(|s| s.eip.announcement == Announcement::Bgp) {
            continue;
        }
        let mut remarks = Vec::new();
        let ballot = servable_by(snapshot, view, *vip, settings.as_ref()).and_then(|eip| {
            let ground = grounds.entry(Arc::as_ptr(eip)).or_insert_with(|| Grounds::new(eip, &roster, view));
            let eligible = eligible(snapshot, &roster, ground, *vip, &held.served)?;
            let owner = view.owners.get(vip).and_then(|node| roster.place(node));
            let owner = owner.filter(|n| eligible.nodes.contains(*n) || eligible.perhaps.contains(*n));
            ballots.push(Ballot { vip: *vip, nodes: eligible.nodes, owner });
            remarks = eligible.remarks;
            Ok(ballots.len() - 1)
        });
        cases.push(Case { vip: *vip, held, settings, remarks, ballot });
    }
    let elected = elect(&ballots, &roster);

    let (mut layer2, mut withheld, mut clashes) = (BTreeMap::new(), BTreeMap::new(), Vec::new());
    let mut to_tell: Vec<(IpAddr, Reason)> = Vec::new();
    for case in cases {
        let winner = case.ballot.as_ref().ok().and_then(|n| elected.get(*n).copied().flatten());
        let eip = case.settings.as_ref().map(|s| s.eip);
        let ground = eip.and_then(|eip| grounds.get(&Arc::as_ptr(eip)));
        let is_own = winner.is_some() && winner == roster.own;
        let is_clash_ours = if winner.is_some() { is_own } else { is_spokesman(&roster, case.vip) };
        for (service, older, port) in case.held.clashing.iter().filter(|_| is_clash_ours) {
            let (service, older) = ((*service).clone(), (*older).clone());
            clashes.push((case.vip, Reason::PortClash { service, older, port: *port }));
        }
        let outcome = match (case.ballot, ground.zip(eip)) {
            (Err(reason), _) => Err(reason),
            (Ok(_), None) => Err(Reason::NoPool),
            (Ok(_), Some((ground, eip))) if is_own => own_spec(&roster, ground, eip, view, &case.held.served, case.vip)
                .map(|mut spec| {
                    let is_remembered = case.settings.as_ref().is_some_and(|s| s.is_remembered);
                    spec.remarks.extend(case.remarks);
                    spec.remarks.extend(is_remembered.then_some(Remark::PoolMissing));
                    spec.remarks.extend((eip.announcement == Announcement::Vip).then_some(Remark::VipAsLayer2));
                    spec.remarks.sort_unstable();
                    spec.remarks.dedup();
                    spec
                }),
            (Ok(number), Some((ground, eip))) => {
                let may = roster.own.is_some_and(|own| ballots.get(number).is_some_and(|b| b.nodes.contains(own)));
                let own = || own_reason(snapshot, &roster, ground, view, case.vip, &case.held.served, eip);
                let elsewhere = || elsewhere(&roster, winner, view.owners.get(&case.vip));
                Err(if may { elsewhere() } else { own().unwrap_or_else(elsewhere) })
            }
        };
        match outcome {
            Ok(spec) => {
                layer2.insert(case.vip, spec);
            }
            Err(reason) => {
                if is_own || (winner.is_none() && is_spokesman(&roster, case.vip)) {
                    to_tell.push((case.vip, reason.clone()));
                }
                withheld.insert(case.vip, reason);
            }
        }
    }
    to_tell.extend(clashes.iter().cloned());
    let mut wake_at = next_change(snapshot, memory, now);
    let bgp = view.bgp.then(|| {
        let outcome = bgp::plan(vips, snapshot, view, memory, now);
        wake_at = [wake_at, outcome.wake_at].into_iter().flatten().min();
        to_tell.extend(outcome.plan.without_session(view));
        // What keeps every node from it is told by one.
        let is_told = |(vip, reason): &(&IpAddr, &Reason)| reason.is_of_all_nodes() && is_spokesman(&roster, **vip);
        to_tell.extend(outcome.withheld.iter().filter(is_told).map(|(vip, reason)| (*vip, reason.clone())));
        withheld.extend(outcome.withheld);
        outcome.plan
    });
    let report = report(snapshot, view, &layer2, bgp.as_ref(), to_tell);
    Announcements { layer2, bgp, withheld, clashes, report, wake_at }
}

/// The Eip of a vip, or the last one known.
pub(crate) fn settings_of<'a>(
    vip: IpAddr,
    held: &Holders<'_>,
    index: &EipIndex<'a>,
    memory: &'a Memory,
) -> Option<Settings<'a>> {
    let known = held.first().and_then(|holder| index.eip_of(vip, &holder.id));
    let known = known.map(|eip| Settings { eip, is_remembered: false });
    known.or_else(|| memory.last_eip.get(&vip).map(|eip| Settings { eip, is_remembered: true }))
}

/// The Eip by which a vip may be announced at all; an error is why nobody does, whatever the node.
fn servable_by<'a>(
    snapshot: &Snapshot,
    view: &LocalView,
    vip: IpAddr,
    settings: Option<&Settings<'a>>,
) -> Result<&'a Arc<Eip>, Reason> {
    if let Some(workload) = snapshot.openelb.first() {
        return Err(Reason::OpenElbRunning { workload: workload.clone() });
    }
    let eip = settings.ok_or(Reason::NoPool)?.eip;
    match eip.announcement {
        Announcement::Bgp => Err(Reason::ProtocolNotServed { eip: eip.name.clone(), protocol: eip.announcement }),
        Announcement::Layer2 | Announcement::Vip if view.layer2.is_empty() => Err(Reason::Layer2Disabled),
        Announcement::Layer2 | Announcement::Vip if !view.layer2.contains(&IpFamily::of(vip)) => {
            Err(Reason::FamilyNotServed { family: IpFamily::of(vip) })
        }
        Announcement::Layer2 | Announcement::Vip => Ok(eip),
    }
}

/// How this node announces a vip that falls to it.
fn own_spec(
    roster: &Roster<'_>,
    ground: &Grounds<'_>,
    eip: &Eip,
    view: &LocalView,
    services: &[&ironlb_model::Service],
    vip: IpAddr,
) -> Result<Layer2Spec, Reason> {
    let node = roster.own.and_then(|own| roster.candidates.get(own)).map(|c| c.node).ok_or(Reason::SpeakerNotReady)?;
    let on_subnet = ground.choice.on_subnet(&ground.own_nics, vip);
    let nic = on_subnet.or_else(|| ground.choice.off_subnet(&ground.own_nics, node, Some(IpFamily::of(vip))));
    let nic = nic.ok_or_else(|| ground.choice.reason(view))?;
    let service = services.first().ok_or(Reason::NoPool)?;
    Ok(Layer2Spec {
        interface: nic.name.clone(),
        service: service.id.clone(),
        eip: eip.name.clone(),
        remarks: Vec::new(),
    })
}

/// Where a vip is that is not here.
fn elsewhere(roster: &Roster<'_>, winner: Option<usize>, owner: Option<&NodeName>) -> Reason {
    match winner.and_then(|n| roster.candidates.get(n)).map(|c| c.name) {
        Some(node) if Some(node) == owner => Reason::OwnedElsewhere { node: node.clone() },
        Some(node) => Reason::ElectedElsewhere { node: node.clone() },
        None => Reason::SpeakerNotReady,
    }
}

/// Does it fall to this node to tell about a vip that nobody announces? One node does, or all reports would change at once whenever
/// a Service loses its last endpoint.
fn is_spokesman(roster: &Roster<'_>, vip: IpAddr) -> bool {
    roster.own.is_some() && preferred(vip, 0..roster.size(), roster, |_| true) == roster.own
}

/// When a node will have been NotReady for long.
fn next_change(snapshot: &Snapshot, memory: &Memory, now: Timestamp) -> Option<Timestamp> {
    let since = snapshot.nodes.values().filter(|n| !n.ready).filter_map(|n| memory.not_ready_since.get(&n.name));
    since.map(|since| *since + NOT_READY_FOR).filter(|at| *at > now).min()
}

#[cfg(test)]
mod properties;
#[cfg(test)]
mod tests;
