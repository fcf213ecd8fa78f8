//! Who announces a vip, or why nobody does, from what the speakers report.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;

use ironlb_model::{Condition, ConditionStatus, EipName, InterfaceName, NodeName, Snapshot, WithheldVip};

use crate::condition::{ANNOUNCED, condition};
use crate::verdict::{Verdict, Vip};

/// How many nodes a message names at most. Chosen: the reason is mostly the same on all.
const MAX_NODES: usize = 3;

/// Where so many vips or fewer are advertised in BGP, the condition of each names the nodes and routers. Chosen: the coming and going of
/// one node is then written on all of their Services, and with more of them that would be a storm of writes; whoever has thousands
/// asks `explain`, or the Speakers.
const NAMED_UP_TO: usize = 500;

/// Every speaker's report, by vip.
#[derive(Debug)]
pub(crate) struct Announcers<'a> {
    /// Sorted by vip, then node.
    answering: Vec<(IpAddr, &'a NodeName, &'a InterfaceName)>,
    /// Who advertises it in BGP, with the BgpPeers of all sessions of that node. Sorted by vip, then node.
    advertising: Vec<(IpAddr, &'a NodeName, &'a BTreeSet<String>)>,
    /// How many vips that are.
    advertised: usize,
    /// The Eips that are advertised to some BgpPeers alone, with those.
    limited: BTreeMap<&'a EipName, &'a BTreeSet<String>>,
    /// Sorted by vip, then node.
    withheld: Vec<(IpAddr, &'a NodeName, &'a WithheldVip)>,
    /// A speaker whose list of vips was cut.
    cut: Option<&'a NodeName>,
    any: bool,
}

/// What is known about one vip.
struct Finding {
    status: ConditionStatus,
    reason: String,
    message: String,
}

impl<'a> Announcers<'a> {
    pub(crate) fn new(snapshot: &'a Snapshot) -> Self {
        let mut all = Self {
            answering: Vec::new(),
            advertising: Vec::new(),
            advertised: 0,
            limited: snapshot.eips.values().filter_map(|eip| Some((&eip.name, eip.routes.peers.as_ref()?))).collect(),
            withheld: Vec::new(),
            cut: None,
            any: false,
        };
        for (node, report) in &snapshot.speakers {
            // A report of a node that is not ready may be the last one it ever made.
            let Some(known) = snapshot.nodes.get(node) else { continue };
            all.any = true;
            if known.ready {
                all.answering.extend(report.owned.iter().map(|(vip, interface)| (*vip, node, interface)));
            }
            // A node that is not Ready may well go on advertising; one that is dead is taken for gone by its routers, and here with
            // the others' reports.
            if known.ready {
                let peers = &report.bgp.established;
                all.advertising.extend(report.bgp.advertised.iter().map(|vip| (*vip, node, peers)));
            }
            all.withheld.extend(report.withheld.iter().map(|withheld| (withheld.vip, node, withheld)));
            let is_cut = |count: u64, listed: usize| count > u64::try_from(listed).unwrap_or(u64::MAX);
            let is_cut = is_cut(report.owned_count, report.owned.len())
                || is_cut(report.bgp.advertised_count, report.bgp.advertised.len());
            if known.ready && is_cut {
                all.cut = all.cut.or(Some(node));
            }
        }
        // Stable: the nodes come in order.
        all.answering.sort_by_key(|(vip, ..)| *vip);
        all.advertising.sort_by_key(|(vip, ..)| *vip);
        all.advertised = all.advertising.chunk_by(|one, other| one.0 == other.0).count();
        all.withheld.sort_by_key(|(vip, ..)| *vip);
        all
    }

    /// The condition of a Service that is to hold these vips; none where it has none.
    pub(crate) fn condition(&self, verdict: &Verdict) -> Option<Condition> {
        let findings: Vec<(IpAddr, Finding)> =
            verdict.vips.iter().map(|vip| (vip.address, self.finding(vip))).collect();
        let rank = |finding: &Finding| match finding.status {
            ConditionStatus::False => 0,
            ConditionStatus::Unknown => 1,
            ConditionStatus::True => 2,
        };
        let (_, worst) = findings.iter().min_by_key(|(_, finding)| rank(finding))?;
        let text = match findings.as_slice() {
            [(_, one)] => one.message.clone(),
            several => several.iter().map(|(vip, f)| format!("{vip}: {}", f.message)).collect::<Vec<_>>().join("; "),
        };
        Some(condition(ANNOUNCED, worst.status, &worst.reason, text))
    }

    /// The nodes that answer for this vip.
    pub(crate) fn answering(&self, vip: IpAddr) -> Vec<(NodeName, InterfaceName)> {
        let answering = of_vip(&self.answering, vip, |(vip, ..)| *vip);
        answering.iter().map(|(_, node, interface)| ((*node).clone(), (*interface).clone())).collect()
    }

    /// The nodes that advertise this vip in BGP, each with the BgpPeers of its sessions that may have it.
    pub(crate) fn advertising(&self, vip: &Vip) -> Vec<(NodeName, BTreeSet<String>)> {
        let advertising = of_vip(&self.advertising, vip.address, |(vip, ..)| *vip);
        let told = |peers| self.may_have(vip, peers).map(str::to_owned).collect();
        advertising.iter().map(|(_, node, peers)| ((*node).clone(), told(peers))).collect()
    }

    /// Those of these BgpPeers to which this vip's Eip is advertised.
    fn may_have<'t>(&self, vip: &Vip, peers: &'t BTreeSet<String>) -> impl Iterator<Item = &'t str> {
        let limit = vip.eip.as_ref().and_then(|eip| self.limited.get(eip)).copied();
        peers.iter().filter(move |peer| limit.is_none_or(|limit| limit.contains(*peer))).map(String::as_str)
    }

    /// The nodes that say that they do not announce this vip.
    pub(crate) fn withheld(&self, vip: IpAddr) -> Vec<(NodeName, WithheldVip)> {
        let withheld = of_vip(&self.withheld, vip, |(vip, ..)| *vip);
        withheld.iter().map(|(_, node, withheld)| ((*node).clone(), (*withheld).clone())).collect()
    }

    fn finding(&self, of: &Vip) -> Finding {
        let vip = of.address;
        let found = |status, reason: &str, message: String| Finding { status, reason: reason.to_owned(), message };
        let answering = of_vip(&self.answering, vip, |(vip, ..)| *vip);
        if !answering.is_empty() {
            let answers: Vec<String> =
                answering.iter().map(|(_, node, nic)| format!("node {node} answers on {nic}")).collect();
            return found(ConditionStatus::True, "Layer2", answers.join(", "));
        }
        let advertising = of_vip(&self.advertising, vip, |(vip, ..)| *vip);
        if !advertising.is_empty() {
            let message = if self.advertised > NAMED_UP_TO {
                "advertised to routers; kubectl get speakers shows by which nodes".to_owned()
            } else {
                let nodes: BTreeSet<&str> = advertising.iter().map(|(_, node, _)| node.as_str()).collect();
                let peers = advertising.iter().flat_map(|(_, _, peers)| self.may_have(of, peers)).collect();
                format!("advertised by {} to {}", named("node", &nodes), named("BgpPeer", &peers))
            };
            return found(ConditionStatus::True, "Bgp", message);
        }
        let reports = of_vip(&self.withheld, vip, |(vip, ..)| *vip);
        if !reports.is_empty() {
            let reason = most_frequent(reports);
            let told: Vec<String> = reports
                .iter()
                .filter(|(_, _, withheld)| withheld.reason == reason)
                .take(MAX_NODES)
                .map(|(_, node, withheld)| format!("{node}: {}", withheld.message))
                .collect();
            let more = reports.len() - told.len();
            let rest = if more > 0 { format!("; and {more} more nodes") } else { String::new() };
            let reason = if is_condition_reason(reason) { reason } else { "Withheld" };
            return found(ConditionStatus::False, reason, format!("no node announces it ({}{rest})", told.join("; ")));
        }
        if let Some(node) = self.cut {
            let message =
                format!("not among the vips listed in Speaker {node}, whose list is cut; see that node's metrics");
            return found(ConditionStatus::Unknown, "NotListed", message);
        }
        if self.any {
            found(ConditionStatus::False, NOT_YET, "no node has reported yet that it announces it".to_owned())
        } else {
            let message = "no speaker has reported: see that the pods of the DaemonSet ironlb-speaker run";
            found(ConditionStatus::False, "NoSpeaker", message.to_owned())
        }
    }
}

/// How many there are, and some of their names.
fn named(what: &str, names: &BTreeSet<&str>) -> String {
    let some: Vec<&str> = names.iter().take(MAX_NODES).copied().collect();
    let plural = if names.len() == 1 { "" } else { "s" };
    let more = if names.len() > some.len() { ", ..." } else { "" };
    format!("{} {what}{plural} ({}{more})", names.len(), some.join(", "))
}

/// The reason of a vip that nodes advertise to routers, as it stands in what is found.
pub(crate) const BGP: &str = "Bgp";

/// The reason of a vip that was given a moment ago.
pub(crate) const NOT_YET: &str = "NotYetAnnounced";

/// The entries of one vip in a list sorted by vip.
fn of_vip<T>(sorted: &[T], vip: IpAddr, key: impl Fn(&T) -> IpAddr) -> &[T] {
    let begin = sorted.partition_point(|entry| key(entry) < vip);
    let rest = sorted.get(begin..).unwrap_or_default();
    rest.get(..rest.partition_point(|entry| key(entry) == vip)).unwrap_or_default()
}

/// The reason most nodes have; the first by name of several.
fn most_frequent<'a>(reports: &[(IpAddr, &NodeName, &'a WithheldVip)]) -> &'a str {
    let mut counts: BTreeMap<&str, usize> = BTreeMap::new();
    for (_, _, withheld) in reports {
        *counts.entry(&withheld.reason).or_default() += 1;
    }
    counts.into_iter().rev().max_by_key(|(_, count)| *count).map_or("", |(reason, _)| reason)
}

/// The API's rule for a condition's reason. Reports come from other processes, perhaps of another version.
pub(crate) fn is_condition_reason(text: &str) -> bool {
    let inner = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | ',' | ':');
    text.starts_with(|c: char| c.is_ascii_alphabetic())
        && text.ends_with(|c: char| c.is_ascii_alphanumeric() || c == '_')
        && text.len() <= 1024
        && text.chars().all(inner)
}

#[cfg(test)]
mod tests;
