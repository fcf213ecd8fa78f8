//! The page for people.

use std::fmt::Write as _;

use ironlb_ipam::{ADDRESS_ASSIGNED, ANNOUNCED, LostAddress, VipReport};
use ironlb_k8s::once::Part;
use ironlb_model::{Condition, Endpoints, IngressAddress};

use crate::explain::{Page, next, words};
use crate::table::Table;

/// How many nodes are listed that advertise a vip, and how many that do not. Chosen: a screen has some forty lines, and the reason is mostly the same.
const MAX_NODES: usize = 10;

/// The page.
pub(crate) fn render(page: &Page<'_>) -> String {
    let mut text = String::new();
    let explanation = page.explanation;
    line(&mut text, "", &format!("Service {}", explanation.service.id));
    section(&mut text, "Whose", &[words::whose(page), format!("judged by {}", next::settings(page))]);
    section(&mut text, "Asks for", &words::wishes(&explanation.service));
    if page.is_decided() {
        eips(&mut text, page);
    }
    section(&mut text, "Address", &addresses(page));
    if !explanation.verdict.vips.is_empty() {
        section(&mut text, "Announced", &announced(page));
    }
    section(&mut text, "Conditions", &conditions(page));
    let faults = explanation.issues.iter().map(|issue| format!("{} {}: {}", issue.object, issue.field, issue.message));
    section(&mut text, "Faults in objects", &faults.collect::<Vec<_>>());
    let missing = page.missing.iter().map(|missing| match missing.is_forbidden {
        true => format!("you lack the right to {} ({})", missing.part.right(), missing.error),
        false => format!("cannot {} ({})", missing.part.right(), missing.error),
    });
    section(&mut text, "Left out", &missing.collect::<Vec<_>>());
    section(&mut text, "Next", &next::steps(page));
    text
}

fn line(text: &mut String, indent: &str, content: &str) {
    // Writing to a string cannot fail.
    let _ = writeln!(text, "{indent}{content}");
}

fn section(text: &mut String, heading: &str, lines: &[String]) {
    if lines.is_empty() {
        return;
    }
    line(text, "\n", heading);
    for content in lines {
        line(text, "  ", content);
    }
}

/// How each family was sought, with every Eip.
fn eips(text: &mut String, page: &Page<'_>) {
    for search in &page.explanation.families {
        line(text, "\n", &words::search(search, page));
        if let Some(lost) = &search.lost {
            line(text, "  ", &lost_address(lost));
        }
        if search.eips.is_empty() {
            line(text, "  ", "there is no Eip");
            continue;
        }
        let mut table = Table::new(&["EIP", "OFFERED AS", "IN USE", "WHAT CAME OF IT"]);
        for report in &search.eips {
            let name = report.eip.name.to_string();
            table.row([
                name,
                words::offer(report.offer).to_owned(),
                words::usage(report),
                words::finding(report, search),
            ]);
        }
        text.push_str(&table.text("  "));
    }
}

fn lost_address(lost: &LostAddress) -> String {
    let why = match (&lost.because, lost.held_by.as_slice()) {
        (Some(reason), _) => format!("{}: {reason}", reason.category()),
        (None, []) => "it is not free".to_owned(),
        (None, holders) => format!("Service {} holds it", words::list(holders)),
    };
    format!("{}, which it held before its status was lost, is not to be had: {why}", lost.address)
}

/// What it holds and is to hold.
fn addresses(page: &Page<'_>) -> Vec<String> {
    let (service, verdict) = (&page.explanation.service, &page.explanation.verdict);
    if !page.is_decided() || verdict.standing != ironlb_ipam::Standing::Ours && !verdict.leaves {
        let shown = service.ingress.iter().map(|entry| match entry {
            IngressAddress::Ip(address) => format!("{address}, as its status shows"),
            IngressAddress::Foreign(text) => format!("{text}, as its status shows"),
        });
        let shown: Vec<String> = shown.collect();
        return if shown.is_empty() { vec!["none".to_owned()] } else { shown };
    }
    let mut lines: Vec<String> = page.explanation.vips.iter().map(vip).collect();
    lines.extend(verdict.released.iter().map(|address| format!("{address} is given back")));
    if lines.is_empty() {
        lines.push("none".to_owned());
    }
    lines
}

fn vip(report: &VipReport) -> String {
    let vip = &report.vip;
    let eip = vip.eip.as_ref().map_or("which is in no Eip".to_owned(), |eip| format!("out of Eip {eip}"));
    let mut text = format!("{}, {eip}, {}", vip.address, if vip.is_new { "not yet written" } else { "held" });
    if let Some(first) = &vip.shared_with {
        text.push_str(&format!(", shared with Service {first}, which had it first"));
    } else if !report.others.is_empty() {
        text.push_str(&format!(", shared with Service {}", words::list(&report.others)));
    }
    if let Some(claim) = &report.claim {
        text.push_str(&format!(", claimed by another host as well: {}, heard by node {}", claim.mac, claim.node));
    }
    text
}

/// Who announces each vip, or why nobody does.
fn announced(page: &Page<'_>) -> Vec<String> {
    let mut lines = Vec::new();
    if !page.knows_speakers() {
        lines.push("not known: what the speakers report cannot be read".to_owned());
    } else if page.is_decided() {
        let told = page.explanation.conditions.iter().find(|condition| condition.kind == ANNOUNCED);
        let is_held = page.explanation.vips.iter().any(|report| !report.vip.is_new);
        lines.extend(told.filter(|_| is_held).map(|told| format!("{}: {}", told.reason, told.message)));
    }
    for report in page.explanation.vips.iter().filter(|_| page.knows_speakers()) {
        lines.extend(by_nodes(report));
    }
    lines.push(endpoints(page));
    lines
}

/// Which nodes advertise it to which BgpPeers, and which nodes do not announce it.
fn by_nodes(report: &VipReport) -> Vec<String> {
    let vip = report.vip.address;
    let advertising = report.advertising.iter().map(|(node, peers)| {
        let peers: Vec<&String> = peers.iter().collect();
        let plural = if peers.len() == 1 { "" } else { "s" };
        format!("{vip} by node {node}, to BgpPeer{plural} {}", words::list(&peers))
    });
    let mut lines = cut(advertising, &format!("{vip} by"));
    let withheld = report.withheld.iter().map(|(node, told)| (node, told.reason.clone(), told.message.clone()));
    let silent = report.silent.iter().map(|(node, why)| (node, why.category().to_owned(), why.to_string()));
    let mut without: Vec<_> = withheld.chain(silent).collect();
    without.sort();
    let without = without.into_iter().map(|(node, reason, told)| format!("{vip} not by node {node}: {reason}: {told}"));
    lines.extend(cut(without, &format!("{vip} not by")));
    lines
}

/// The first of these lines, and how many more nodes there are.
fn cut(mut lines: impl ExactSizeIterator<Item = String>, begins: &str) -> Vec<String> {
    let mut shown: Vec<String> = lines.by_ref().take(MAX_NODES).collect();
    if lines.len() > 0 {
        shown.push(format!("{begins} {} more nodes", lines.len()));
    }
    shown
}

fn endpoints(page: &Page<'_>) -> String {
    if page.lacks(Part::Endpoints) {
        return "endpoints: not known".to_owned();
    }
    let none = Endpoints::default();
    let all = page.explanation.endpoints.as_deref().unwrap_or(&none);
    let ready = all.endpoints.iter().filter(|endpoint| endpoint.ready).count();
    let mut nodes: Vec<String> = all.usable_nodes().map(ToString::to_string).collect();
    nodes.sort_unstable();
    nodes.dedup();
    let places = if nodes.is_empty() { String::new() } else { format!(", on {}", nodes.join(", ")) };
    format!("endpoints: {ready} of {} ready{places}", all.endpoints.len())
}

/// The conditions the Service shows, and what the controller will change in them.
fn conditions(page: &Page<'_>) -> Vec<String> {
    let shown = &page.explanation.service.conditions;
    let mut lines: Vec<String> = shown.iter().map(condition).collect();
    if page.is_decided() && page.knows_speakers() {
        let is_news = |due: &&Condition| {
            let now = shown.iter().find(|shown| shown.kind == due.kind);
            now.is_none_or(|now| (now.status, &now.reason) != (due.status, &due.reason))
        };
        let known = |due: &&Condition| [ADDRESS_ASSIGNED, ANNOUNCED].contains(&due.kind.as_str());
        let due = page.explanation.conditions.iter().filter(known).filter(is_news);
        lines.extend(due.map(|due| format!("to be written: {} is {}: {}", due.kind, due.status.as_str(), due.reason)));
    }
    lines
}

fn condition(condition: &Condition) -> String {
    let Condition { kind, status, reason, message } = condition;
    format!("{kind} is {}: {reason}: {message}", status.as_str())
}
