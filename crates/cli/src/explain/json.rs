//! The page for programs. Fields are added and never change their meaning.

use ironlb_ipam::{Finding, LostAddress, Reason, Search, Sought, Standing, VipReport};
use ironlb_k8s::once::Missing;
use ironlb_model::{Condition, IngressAddress, WishSource};
use serde_json::{Value, json};

use crate::explain::{Page, next, words};

/// The page.
pub(crate) fn render(page: &Page<'_>) -> Value {
    let explanation = page.explanation;
    let (service, verdict) = (&explanation.service, &explanation.verdict);
    let settings = &page.running.settings;
    let not_ours = match verdict.standing {
        Standing::Ours => Value::Null,
        Standing::NotOurs(why) => json!(why.category()),
    };
    let is_decided = page.is_decided();
    // What was decided without all the facts is not told.
    let decided = |value: Value| if is_decided { value } else { Value::Null };
    json!({
        "service": service.id.to_string(),
        "ours": verdict.standing == Standing::Ours,
        "rule": format!("{:?}", explanation.rule),
        "notOurs": not_ours,
        "settings": {
            "loadBalancerClass": settings.load_balancer_class,
            "serviceSelection": words::selection(settings.service_selection),
            "source": page.running.source,
        },
        "wish": {
            "addresses": texts(&service.wish),
            "source": service.wish_source.map(|source| match source {
                WishSource::Annotation => "annotation",
                WishSource::LoadBalancerIp => "spec.loadBalancerIP",
            }),
            "unreadable": service.wish_unreadable,
            "eip": service.wanted_eip.as_ref().map(ToString::to_string),
            "protocol": service.wanted_protocol.map(|protocol| protocol.to_string()),
            "families": texts(&service.families),
            "familyPolicy": words::family_policy(service.family_policy),
            "remembered": texts(&service.remembered),
        },
        "verdict": decided(json!(verdict.kind().category())),
        "families": decided(explanation.families.iter().map(family).collect()),
        "status": service.ingress.iter().map(|entry| match entry {
            IngressAddress::Ip(address) => address.to_string(),
            IngressAddress::Foreign(text) => text.clone(),
        }).collect::<Vec<_>>(),
        "addresses": decided(explanation.vips.iter().map(vip).collect()),
        "released": decided(json!(texts(&verdict.released))),
        "unmet": decided(verdict.unmet.iter().map(reason).collect()),
        "notes": decided(verdict.notes.iter().map(reason).collect()),
        "endpoints": explanation.endpoints.as_ref().map(|all| json!({
            "ready": all.endpoints.iter().filter(|endpoint| endpoint.ready).count(),
            "total": all.endpoints.len(),
        })),
        "conditions": service.conditions.iter().map(condition).collect::<Vec<_>>(),
        "conditionsDue": decided(explanation.conditions.iter().map(condition).collect()),
        "faults": explanation.issues.iter().map(|issue| json!({
            "object": issue.object.to_string(), "field": issue.field, "reason": issue.reason.category(), "message": issue.message,
        })).collect::<Vec<_>>(),
        "leftOut": page.missing.iter().map(missing).collect::<Vec<_>>(),
        "next": next::steps(page),
    })
}

fn family(search: &Search) -> Value {
    let (kind, address) = match search.sought {
        Sought::Nothing => ("Nothing", None),
        Sought::Wish(address) => ("Wish", Some(address)),
        Sought::Remembered(address) => ("Remembered", Some(address)),
        Sought::Reserved(address) => ("Reserved", Some(address)),
        Sought::Again(address) => ("Again", Some(address)),
        Sought::Any => ("Any", None),
    };
    let eips = search.eips.iter().map(|report| {
        let addresses = match &report.finding {
            Finding::Holds(addresses) => texts(addresses),
            Finding::Gives(address) => vec![address.to_string()],
            _ => Vec::new(),
        };
        json!({
            "name": report.eip.name.to_string(),
            "offer": report.offer.map(|offer| format!("{offer:?}")),
            "used": number(report.used),
            "total": number(report.total),
            "reserved": number(report.reserved),
            "finding": report.finding.category(),
            "addresses": addresses,
            "message": words::finding(report, search),
        })
    });
    json!({
        "family": search.family.to_string(),
        "sought": kind,
        "soughtAddress": address.map(|address| address.to_string()),
        "lost": search.lost.as_ref().map(lost),
        "eips": eips.collect::<Vec<_>>(),
        "gets": search.outcome.as_ref().and_then(|outcome| outcome.as_ref().ok()).map(ToString::to_string),
        "refused": search.outcome.as_ref().and_then(|outcome| outcome.as_ref().err()).map(reason),
    })
}

fn lost(lost: &LostAddress) -> Value {
    json!({
        "address": lost.address.to_string(),
        "because": lost.because.as_ref().map(reason),
        "heldBy": texts(&lost.held_by),
    })
}

fn vip(report: &VipReport) -> Value {
    json!({
        "address": report.vip.address.to_string(),
        "eip": report.vip.eip.as_ref().map(ToString::to_string),
        "held": !report.vip.is_new,
        "sharedWith": report.vip.shared_with.as_ref().map(ToString::to_string),
        "others": texts(&report.others),
        "answering": report.answering.iter().map(|(node, interface)| json!({
            "node": node.to_string(), "interface": interface.to_string(),
        })).collect::<Vec<_>>(),
        "advertising": report.advertising.iter().map(|(node, peers)| json!({
            "node": node.to_string(), "peers": peers,
        })).collect::<Vec<_>>(),
        "claimedBy": report.claim.as_ref().map(|claim| json!({
            "mac": claim.mac.to_string(), "node": claim.node.to_string(),
        })),
        "withheld": report.withheld.iter().map(|(node, withheld)| json!({
            "node": node.to_string(), "reason": withheld.reason, "message": withheld.message,
        })).collect::<Vec<_>>(),
        "silent": report.silent.iter().map(|(node, why)| json!({
            "node": node.to_string(), "reason": why.category(), "message": why.to_string(),
        })).collect::<Vec<_>>(),
    })
}

/// A condition without its time.
pub(crate) fn condition(condition: &Condition) -> Value {
    json!({
        "type": condition.kind,
        "status": condition.status.as_str(),
        "reason": condition.reason,
        "message": condition.message,
    })
}

/// What could not be read.
pub(crate) fn missing(missing: &Missing) -> Value {
    json!({"right": missing.part.right(), "error": missing.error, "forbidden": missing.is_forbidden})
}

fn reason(reason: &Reason) -> Value {
    json!({"reason": reason.category(), "message": reason.to_string()})
}

/// A number that a program can read exactly; as text where it is too large for that.
fn number(number: u128) -> Value {
    u64::try_from(number).map_or_else(|_| json!(number.to_string()), |number| json!(number))
}

fn texts<T: ToString>(things: &[T]) -> Vec<String> {
    things.iter().map(ToString::to_string).collect()
}
