//! Who announces a vip, or why nobody does, from what the speakers report.

use std::collections::BTreeMap;
use std::net::IpAddr;

use ironlb_model::{Condition, ConditionStatus, InterfaceName, NodeName, Snapshot, WithheldVip};

use crate::condition::{ANNOUNCED, condition};
use crate::verdict::Verdict;

/// How many nodes a message names at most. Chosen: the reason is mostly the same on all.
const MAX_NODES: usize = 3;

/// Every speaker's report, by vip.
#[derive(Debug)]
pub(crate) struct Announcers<'a> {
    answering: BTreeMap<IpAddr, Vec<(&'a NodeName, &'a InterfaceName)>>,
    withheld: BTreeMap<IpAddr, Vec<(&'a NodeName, &'a WithheldVip)>>,
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
        let mut all = Self { answering: BTreeMap::new(), withheld: BTreeMap::new(), cut: None, any: false };
        for (node, report) in &snapshot.speakers {
            // A report of a node that is not ready may be the last one it ever made.
            let Some(known) = snapshot.nodes.get(node) else { continue };
            all.any = true;
            for (vip, interface) in report.owned.iter().filter(|_| known.ready) {
                all.answering.entry(*vip).or_default().push((node, interface));
            }
            for withheld in &report.withheld {
                all.withheld.entry(withheld.vip).or_default().push((node, withheld));
            }
            if known.ready && report.owned_count > u64::try_from(report.owned.len()).unwrap_or(u64::MAX) {
                all.cut = all.cut.or(Some(node));
            }
        }
        all
    }

    /// The condition of a Service that is to hold these vips; none where it has none.
    pub(crate) fn condition(&self, verdict: &Verdict) -> Option<Condition> {
        let findings: Vec<(IpAddr, Finding)> = verdict.addresses().map(|vip| (vip, self.finding(vip))).collect();
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

    fn finding(&self, vip: IpAddr) -> Finding {
        let found = |status, reason: &str, message: String| Finding { status, reason: reason.to_owned(), message };
        if let Some(nodes) = self.answering.get(&vip) {
            let answers: Vec<String> =
                nodes.iter().map(|(node, nic)| format!("node {node} answers on {nic}")).collect();
            return found(ConditionStatus::True, "Layer2", answers.join(", "));
        }
        if let Some(reports) = self.withheld.get(&vip) {
            let reason = most_frequent(reports);
            let told: Vec<String> = reports
                .iter()
                .filter(|(_, withheld)| withheld.reason == reason)
                .take(MAX_NODES)
                .map(|(node, withheld)| format!("{node}: {}", withheld.message))
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

/// The reason of a vip that was given a moment ago.
pub(crate) const NOT_YET: &str = "NotYetAnnounced";

/// The reason most nodes have; the first by name of several.
fn most_frequent<'a>(reports: &[(&NodeName, &'a WithheldVip)]) -> &'a str {
    let mut counts: BTreeMap<&str, usize> = BTreeMap::new();
    for (_, withheld) in reports {
        *counts.entry(&withheld.reason).or_default() += 1;
    }
    counts.into_iter().rev().max_by_key(|(_, count)| *count).map_or("", |(reason, _)| reason)
}

/// The API's rule for a condition's reason. Reports come from other processes, perhaps of another version.
fn is_condition_reason(text: &str) -> bool {
    let inner = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | ',' | ':');
    text.starts_with(|c: char| c.is_ascii_alphabetic())
        && text.ends_with(|c: char| c.is_ascii_alphanumeric() || c == '_')
        && text.len() <= 1024
        && text.chars().all(inner)
}

#[cfg(test)]
mod tests;
