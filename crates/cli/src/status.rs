//! `ironlb status`: is ironlb well here, and who waits for what?
//!
//! Nothing is decided here. What stands in the objects is told: the controller's Deployment and Lease, what the speakers report, the
//! Eips' and the Services' own conditions.

use std::fmt::Write as _;

use ironlb_ipam::{ADDRESS_ASSIGNED, ANNOUNCED, READY};
use ironlb_k8s::once::{Missing, Part, leader, look};
use ironlb_model::{Condition, ConditionStatus, Eip, Service, Snapshot};

use crate::cluster::{Connection, Running};
use crate::table::Table;

/// How many Services are listed under a heading. Chosen: a screen has some forty lines, and the reason is mostly the same.
const MAX_LISTED: usize = 20;

/// Of which cluster.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    #[command(flatten)]
    connection: Connection,
}

pub(crate) async fn run(args: Args) -> anyhow::Result<()> {
    let clients = args.connection.connect().await?;
    let client = &clients.ordinary;
    let running = args.connection.settings(client).await;
    let namespace = running.controller.as_ref().and_then(|controller| controller.deployment.split_once('/'));
    let (leads, unknown) = match namespace {
        Some((namespace, _)) => {
            leader(client, namespace).await.map_or_else(|error| (None, Some(error)), |found| (found, None))
        }
        None => (None, None),
    };
    let sight = look(client, &running.settings, None).await;
    let missing: Vec<Missing> = sight.missing.into_iter().chain(running.missing.clone()).chain(unknown).collect();
    print!("{}", render(&sight.snapshot, &running, leads.as_deref(), &missing));
    Ok(())
}

/// The page.
fn render(snapshot: &Snapshot, running: &Running, leader: Option<&str>, missing: &[Missing]) -> String {
    let lacks = |part| missing.iter().any(|missing| missing.part == part);
    let mut text = String::new();
    section(&mut text, "Controller", &controller(snapshot, running, leader, missing));
    if !lacks(Part::Speakers) {
        section(&mut text, "Speakers", &speakers(snapshot, !lacks(Part::Nodes)));
    }
    if !lacks(Part::Eips) {
        section(&mut text, "Eips", &eips(snapshot));
    }
    if !lacks(Part::Services) {
        services(&mut text, snapshot);
    }
    let left_out = missing.iter().map(|missing| match missing.is_forbidden {
        true => format!("  you lack the right to {} ({})\n", missing.part.right(), missing.error),
        false => format!("  cannot {} ({})\n", missing.part.right(), missing.error),
    });
    section(&mut text, "Left out", &left_out.collect::<String>());
    text
}

fn section(text: &mut String, heading: &str, content: &str) {
    if !content.is_empty() {
        let gap = if text.is_empty() { "" } else { "\n" };
        // Writing to a string cannot fail.
        let _ = write!(text, "{gap}{heading}\n{content}");
    }
}

fn controller(snapshot: &Snapshot, running: &Running, leader: Option<&str>, missing: &[Missing]) -> String {
    let Some(controller) = &running.controller else {
        return match running.missing {
            Some(_) => "  not known\n".to_owned(),
            None => "  none: there is no Deployment ironlb-controller\n".to_owned(),
        };
    };
    let leads = match leader {
        Some(leader) => format!("{leader} leads, as its Lease says"),
        None if missing.iter().any(|missing| missing.part == Part::Leader) => "who leads is not known".to_owned(),
        None => "nobody leads, so nothing is decided".to_owned(),
    };
    let mut text = format!(
        "  Deployment {}: {} of {} replicas ready; {leads}\n",
        controller.deployment, controller.ready, controller.wanted
    );
    if !snapshot.openelb.is_empty() {
        text.push_str(&format!("  it only observes, because OpenELB is still here: {}\n", snapshot.openelb.join(", ")));
    }
    text
}

/// A row for each node, and for each speaker whose node is gone.
fn speakers(snapshot: &Snapshot, knows_nodes: bool) -> String {
    let mut names: Vec<_> = snapshot.nodes.keys().chain(snapshot.speakers.keys()).collect();
    names.sort_unstable();
    names.dedup();
    if names.is_empty() {
        return "  none\n".to_owned();
    }
    let mut table = Table::new(&["NODE", "NODE IS", "SPEAKER", "ANSWERS FOR", "ADVERTISES", "STRANGERS' CLAIMS"]);
    for name in names {
        let node = match snapshot.nodes.get(name) {
            Some(node) if node.ready => "ready",
            Some(_) => "not ready",
            None if knows_nodes => "gone",
            None => "not known",
        };
        let cells = match snapshot.speakers.get(name) {
            Some(report) => [
                if report.ready { "ready" } else { "not ready" }.to_owned(),
                report.owned_count.to_string(),
                report.bgp.advertised_count.to_string(),
                report.conflicts.len().to_string(),
            ],
            None => ["never reported".to_owned(), String::new(), String::new(), String::new()],
        };
        let [speaker, answers, advertises, claims] = cells;
        table.row([name.to_string(), node.to_owned(), speaker, answers, advertises, claims]);
    }
    table.text("  ")
}

fn eips(snapshot: &Snapshot) -> String {
    if snapshot.eips.is_empty() {
        return "  none\n".to_owned();
    }
    let mut table = Table::new(&["EIP", "PROTOCOL", "IN USE", "CONDITIONS"]);
    for eip in snapshot.eips.values() {
        let in_use = format!("{}/{}", eip.status.usage, eip.status.pool_size);
        table.row([eip.name.to_string(), eip.announcement.to_string(), in_use, conditions(eip)]);
    }
    table.text("  ")
}

/// What stands out: that it is not ready, and whatever else is true of it.
fn conditions(eip: &Eip) -> String {
    let shown = &eip.status.conditions;
    if shown.is_empty() {
        return "the controller has not written it yet".to_owned();
    }
    let is_amiss = |c: &&Condition| (c.kind == READY) == (c.status != ConditionStatus::True);
    let amiss: Vec<String> =
        shown.iter().filter(is_amiss).map(|c| format!("{}={}", c.kind, c.status.as_str())).collect();
    if amiss.is_empty() { "Ready".to_owned() } else { amiss.join(", ") }
}

/// How many Services there are, and those that lack something, with the reason that stands on them.
fn services(text: &mut String, snapshot: &Snapshot) {
    let ours: Vec<&Service> =
        snapshot.services.values().map(AsRef::as_ref).filter(|s| snapshot.settings.selects(s) && !s.deleting).collect();
    let says = |service: &Service, kind: &str| {
        service.condition(kind).map(|c| (c.status, c.reason.clone(), c.message.clone()))
    };
    let mut waiting = Vec::new();
    let mut silent = Vec::new();
    for service in &ours {
        match says(service, ADDRESS_ASSIGNED) {
            Some((ConditionStatus::True, ..)) => {
                if let Some((ConditionStatus::False, reason, message)) = says(service, ANNOUNCED) {
                    silent.push((service.id.to_string(), reason, message));
                }
            }
            Some((_, reason, message)) => waiting.push((service.id.to_string(), reason, message)),
            None => waiting.push((
                service.id.to_string(),
                String::new(),
                "the controller has not written it yet".to_owned(),
            )),
        }
    }
    let summary = format!(
        "  {} of {} have their address; {} of those are not announced\n",
        ours.len() - waiting.len(),
        ours.len(),
        silent.len()
    );
    section(text, "Services of ironlb's", &summary);
    section(text, "Services without their address", &listed(&waiting));
    section(text, "Services that have one and are not announced", &listed(&silent));
}

fn listed(services: &[(String, String, String)]) -> String {
    if services.is_empty() {
        return String::new();
    }
    let mut table = Table::new(&["SERVICE", "REASON", "WHAT TO DO"]);
    for (name, reason, message) in services.iter().take(MAX_LISTED) {
        table.row([name.clone(), reason.clone(), message.clone()]);
    }
    let mut text = table.text("  ");
    if services.len() > MAX_LISTED {
        let _ = writeln!(text, "  and {} more", services.len() - MAX_LISTED);
    }
    text
}

#[cfg(test)]
mod tests;
