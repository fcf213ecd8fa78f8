//! What to do next.

use ironlb_api::names::annotation;
use ironlb_ipam::{ANNOUNCED, NotOurs, Standing};
use ironlb_model::ConditionStatus;

use crate::explain::{Page, words};

/// What to do next, the most urgent first; never empty.
pub(crate) fn steps(page: &Page<'_>) -> Vec<String> {
    let mut steps = Vec::new();
    for missing in page.missing.iter().filter(|missing| missing.is_forbidden) {
        steps.push(format!("to see all, ask for the right to {}", missing.part.right()));
    }
    if let Standing::NotOurs(why) = page.explanation.verdict.standing {
        steps.extend(opt_in(why, page));
    } else {
        steps.extend(controller(page));
        if page.is_decided() {
            let verdict = &page.explanation.verdict;
            steps.extend(
                verdict.unmet.iter().chain(&verdict.notes).map(|reason| format!("{}: {reason}", reason.category())),
            );
        }
        steps.extend(announcing(page));
        steps.extend(strangers(page));
    }
    if steps.is_empty() {
        steps.push("nothing".to_owned());
    }
    steps
}

fn opt_in(why: NotOurs, page: &Page<'_>) -> Option<String> {
    let service = &page.explanation.service;
    let (namespace, name) = (&service.id.namespace, &service.id.name);
    let annotate = format!(
        "kubectl -n {namespace} annotate --overwrite service {name} {}={}",
        annotation::OPT_IN,
        annotation::OPT_IN_VALUE
    );
    Some(match why {
        NotOurs::Deleting => return None,
        NotOurs::NotLoadBalancer => "to have it served, set its spec.type to LoadBalancer".to_owned(),
        NotOurs::OtherClass => format!(
            "to have it served by ironlb, make it anew without spec.loadBalancerClass or with {}: the class of a Service cannot be \
             changed",
            page.running.settings.load_balancer_class
        ),
        NotOurs::OtherAnnotation => format!("to have it served by ironlb: {annotate}"),
        NotOurs::NotAnnotated => {
            format!("to have it served by ironlb: {annotate}; or serve all by the chart's value serviceSelection: all")
        }
    })
}

/// Nothing happens where no controller runs.
fn controller(page: &Page<'_>) -> Option<String> {
    if page.running.missing.is_some() {
        return None;
    }
    let controller = page.running.controller.as_ref();
    match controller {
        None => {
            Some("no controller is installed (there is no Deployment ironlb-controller): install the chart".to_owned())
        }
        Some(controller) if controller.ready == 0 => Some(format!(
            "no replica of Deployment {} is ready, so nothing is decided: see its pods and their logs",
            controller.deployment
        )),
        Some(controller) => {
            let is_due = page.is_decided() && page.explanation.verdict.vips.iter().any(|vip| vip.is_new);
            is_due.then(|| {
                format!(
                    "wait a moment: the address is being written; if it stays like this, see the logs of Deployment {}",
                    controller.deployment
                )
            })
        }
    }
}

fn announcing(page: &Page<'_>) -> Option<String> {
    if !page.knows_speakers() || !page.is_decided() {
        return None;
    }
    let held = page.explanation.verdict.vips.iter().any(|vip| !vip.is_new);
    let told = page.explanation.conditions.iter().find(|c| c.kind == ANNOUNCED && c.status != ConditionStatus::True);
    told.filter(|_| held).map(|told| format!("{}: {}", told.reason, told.message))
}

/// Somebody else uses an address that the Service holds.
fn strangers<'p>(page: &'p Page<'_>) -> impl Iterator<Item = String> + 'p {
    page.explanation.vips.iter().filter_map(|report| {
        let (address, mac) = (report.vip.address, report.claim.as_ref()?.mac);
        Some(format!(
            "find the host with Ethernet address {mac} and take {address} from it; the Service keeps the address"
        ))
    })
}

/// What ironlb's controller says elsewhere than on the Service, in a phrase.
pub(crate) fn settings(page: &Page<'_>) -> String {
    let settings = &page.running.settings;
    format!(
        "class {}, --service-selection={} ({})",
        settings.load_balancer_class,
        words::selection(settings.service_selection),
        page.running.source
    )
}
