//! `ironlb status`: is ironlb well here, and who waits for what?
//!
//! Nothing is decided here. What stands in the objects is told: the controller's Deployment and Lease, what the speakers report, the
//! Eips' and the Services' own conditions.

mod json;

use std::fmt::Write as _;
use std::time::Duration;

use ironlb_ipam::{ADDRESS_ASSIGNED, ANNOUNCED, READY};
use ironlb_k8s::once::{Leader, Missing, Part, leader, look};
use ironlb_model::{Condition, ConditionStatus, Eip, NodeName, Service, Snapshot, SpeakerReport};

use crate::cluster::{Connection, Running};
use crate::explain::Output;
use crate::table::Table;

/// How many Services are listed under a heading. Chosen: a screen has some forty lines, and the reason is mostly the same.
const MAX_LISTED: usize = 20;

/// Of which cluster, and how it is told.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// How it is printed.
    #[arg(long, short, value_enum, default_value = "text")]
    output: Output,

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
    let leads = leads.as_ref();
    match args.output {
        Output::Text => print!("{}", render(&sight.snapshot, &running, leads, &missing)),
        Output::Json => {
            let page = json::render(&sight.snapshot, &running, leads, &missing);
            println!("{}", serde_json::to_string_pretty(&page)?);
        }
    }
    Ok(())
}

/// The page.
fn render(snapshot: &Snapshot, running: &Running, leader: Option<&Leader>, missing: &[Missing]) -> String {
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

fn controller(snapshot: &Snapshot, running: &Running, leader: Option<&Leader>, missing: &[Missing]) -> String {
    let Some(controller) = &running.controller else {
        return match running.missing {
            Some(_) => "  not known\n".to_owned(),
            None => "  none: there is no Deployment ironlb-controller\n".to_owned(),
        };
    };
    let who = match leader {
        Some(leader) => leads(leader),
        None if missing.iter().any(|missing| missing.part == Part::Leader) => "who leads is not known".to_owned(),
        None => "nobody leads, so nothing is decided".to_owned(),
    };
    let mut text = format!(
        "  Deployment {}: {} of {} replicas ready; {who}\n",
        controller.deployment, controller.ready, controller.wanted
    );
    if !snapshot.openelb.is_empty() {
        text.push_str(&format!("  it only observes, because OpenELB is still here: {}\n", snapshot.openelb.join(", ")));
    }
    text
}

/// What a Lease says about who leads. That it was renewed is news of the past; how old it is says whether it can be believed.
fn leads(leader: &Leader) -> String {
    let Leader { holder, lasts, renewed_ago } = leader;
    let seconds = |time: &Duration| time.as_secs();
    match renewed_ago {
        Some(ago) if leader.has_run_out() => format!(
            "nobody leads, so nothing is decided: {holder} renewed its Lease {} s ago, and it lasts {} s",
            seconds(ago),
            seconds(lasts)
        ),
        Some(ago) if ago > lasts => format!(
            "{holder} leads if clocks differ: it renewed its Lease {} s ago, and it lasts {} s",
            seconds(ago),
            seconds(lasts)
        ),
        Some(ago) => format!("{holder} leads, as its Lease says, which it renewed {} s ago", seconds(ago)),
        None => format!("{holder} leads, as its Lease says"),
    }
}

/// What is known of each node, and of each speaker whose node is gone: its name, the node, its speaker's report.
fn by_node(
    snapshot: &Snapshot,
    knows_nodes: bool,
) -> impl Iterator<Item = (&NodeName, &'static str, Option<&SpeakerReport>)> {
    let mut names: Vec<_> = snapshot.nodes.keys().chain(snapshot.speakers.keys()).collect();
    names.sort_unstable();
    names.dedup();
    names.into_iter().map(move |name| {
        let node = match snapshot.nodes.get(name) {
            Some(node) if node.ready => "ready",
            Some(_) => "not ready",
            None if knows_nodes => "gone",
            None => "not known",
        };
        (name, node, snapshot.speakers.get(name).map(AsRef::as_ref))
    })
}

/// How a speaker is.
fn speaker_is(report: Option<&SpeakerReport>) -> &'static str {
    match report {
        Some(report) if report.ready => "ready",
        Some(_) => "not ready",
        None => "never reported",
    }
}

/// A row for each node.
fn speakers(snapshot: &Snapshot, knows_nodes: bool) -> String {
    if snapshot.nodes.is_empty() && snapshot.speakers.is_empty() {
        return "  none\n".to_owned();
    }
    let mut table = Table::new(&["NODE", "NODE IS", "SPEAKER", "ANSWERS FOR", "ADVERTISES", "STRANGERS' CLAIMS"]);
    for (name, node, report) in by_node(snapshot, knows_nodes) {
        let cells = match report {
            Some(report) => [
                report.owned_count.to_string(),
                report.bgp.advertised_count.to_string(),
                report.conflicts.len().to_string(),
            ],
            None => [String::new(), String::new(), String::new()],
        };
        let [answers, advertises, claims] = cells;
        let speaker = speaker_is(report).to_owned();
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

/// A Service that lacks something: its name, the reason that stands on it, what that means.
type Lacking = (String, String, String);

/// How many Services of ironlb's there are, and those that lack something.
#[derive(Debug, Default)]
struct Served {
    all: usize,
    waiting: Vec<Lacking>,
    silent: Vec<Lacking>,
}

impl Served {
    fn of(snapshot: &Snapshot) -> Self {
        let mut served = Self::default();
        let services = snapshot.services.values().map(AsRef::as_ref);
        for service in services.filter(|s| snapshot.settings.selects(s) && !s.deleting) {
            served.all += 1;
            let lacking = |told: &Condition| (service.id.to_string(), told.reason.clone(), told.message.clone());
            match service.condition(ADDRESS_ASSIGNED) {
                Some(told) if told.status == ConditionStatus::True => {
                    let announced = service.condition(ANNOUNCED);
                    served.silent.extend(announced.filter(|told| told.status == ConditionStatus::False).map(lacking));
                }
                Some(told) => served.waiting.push(lacking(told)),
                None => served.waiting.push(not_written(service)),
            }
        }
        served
    }
}

fn not_written(service: &Service) -> Lacking {
    (service.id.to_string(), String::new(), "the controller has not written it yet".to_owned())
}

fn services(text: &mut String, snapshot: &Snapshot) {
    let Served { all, waiting, silent } = Served::of(snapshot);
    let summary =
        format!("  {} of {all} have their address; {} of those are not announced\n", all - waiting.len(), silent.len());
    section(text, "Services of ironlb's", &summary);
    section(text, "Services without their address", &listed(&waiting));
    section(text, "Services that have one and are not announced", &listed(&silent));
}

fn listed(services: &[Lacking]) -> String {
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
