//! The page for programs. Fields are added and never change their meaning; a part that may not be read is null.

use ironlb_k8s::once::{Leader, Missing, Part};
use ironlb_model::{Eip, Snapshot};
use serde_json::{Value, json};

use super::{Lacking, Served, by_node, speaker_is};
use crate::cluster::Running;
use crate::explain::json::{condition, missing as left_out};

/// The page.
pub(super) fn render(snapshot: &Snapshot, running: &Running, leader: Option<&Leader>, missing: &[Missing]) -> Value {
    let lacks = |part| missing.iter().any(|missing| missing.part == part);
    let unless = |lacks: bool, value: Value| if lacks { Value::Null } else { value };
    let controller = running.controller.as_ref().map(|controller| {
        json!({
            "deployment": controller.deployment,
            "wanted": controller.wanted,
            "ready": controller.ready,
            "lease": leader.map(lease),
            "removeFirst": snapshot.openelb,
        })
    });
    let served = Served::of(snapshot);
    let services = json!({
        "total": served.all,
        "withAddress": served.all - served.waiting.len(),
        "withoutAddress": served.waiting.iter().map(lacking).collect::<Vec<_>>(),
        "notAnnounced": served.silent.iter().map(lacking).collect::<Vec<_>>(),
    });
    let speakers = by_node(snapshot, !lacks(Part::Nodes)).map(|(name, node, report)| {
        json!({
            "node": name.to_string(),
            "nodeIs": node,
            "speaker": speaker_is(report),
            "answersFor": report.map(|report| report.owned_count),
            "advertises": report.map(|report| report.bgp.advertised_count),
            "claims": report.map(|report| report.conflicts.iter().map(|claim| json!({
                "vip": claim.vip.to_string(), "mac": claim.mac.to_string(),
            })).collect::<Vec<_>>()),
        })
    });
    json!({
        "controller": controller,
        "speakers": unless(lacks(Part::Speakers), speakers.collect()),
        "eips": unless(lacks(Part::Eips), snapshot.eips.values().map(|eip| self::eip(eip)).collect()),
        "services": unless(lacks(Part::Services), services),
        "leftOut": missing.iter().map(left_out).collect::<Vec<_>>(),
    })
}

fn lease(leader: &Leader) -> Value {
    json!({
        "holder": leader.holder,
        "lastsSeconds": leader.lasts.as_secs(),
        "renewedSecondsAgo": leader.renewed_ago.map(|ago| ago.as_secs()),
        "hasRunOut": leader.has_run_out(),
    })
}

fn eip(eip: &Eip) -> Value {
    json!({
        "name": eip.name.to_string(),
        "protocol": eip.announcement.to_string(),
        "used": eip.status.usage,
        "total": eip.status.pool_size,
        "conditions": eip.status.conditions.iter().map(condition).collect::<Vec<_>>(),
    })
}

fn lacking((service, reason, message): &Lacking) -> Value {
    json!({"service": service, "reason": reason, "message": message})
}
