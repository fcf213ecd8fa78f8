//! What an explanation says agrees with what is decided, shown once to fail on explanations that are broken on purpose.

use std::collections::BTreeSet;
use std::net::IpAddr;

use ironlb_model::{EipName, ServiceId, Snapshot};
use proptest::prelude::*;
use proptest::test_runner::Config;

use super::*;
use crate::plan::properties::any_snapshot;
use crate::testing::{finds, planned};

/// An explainer: the real one, or one broken on purpose.
type Explainer = fn(&Snapshot, &ServiceId) -> Option<Explanation>;

/// For every Service: the verdict is the plan's, and what is told of the Eips comes to that verdict.
fn explanations_agree_with_the_plan(explainer: Explainer, snapshot: &Snapshot) -> Result<(), String> {
    let plan = planned(snapshot);
    for entry in &plan.services {
        let id = &entry.service.id;
        let explained = explainer(snapshot, id).ok_or_else(|| format!("{id} is not explained"))?;
        let fault = agrees(&explained, &entry.verdict, snapshot).err();
        if let Some(fault) = fault {
            return Err(format!("{id}: {fault}\n{explained:#?}"));
        }
    }
    Ok(())
}

fn agrees(explained: &Explanation, verdict: &Verdict, snapshot: &Snapshot) -> Result<(), String> {
    check(explained.verdict == *verdict, || format!("the plan says {verdict:?}"))?;
    let given: BTreeSet<(IpAddr, EipName)> = explained
        .families
        .iter()
        .flat_map(|search| &search.eips)
        .filter_map(|report| match &report.finding {
            Finding::Gives(address) => Some((*address, report.eip.name.clone())),
            _ => None,
        })
        .collect();
    let new = verdict.vips.iter().filter(|vip| vip.is_new);
    let new: BTreeSet<(IpAddr, EipName)> = new.filter_map(|vip| Some((vip.address, vip.eip.clone()?))).collect();
    check(given == new, || format!("it is told to get {given:?} and gets {new:?}"))?;
    for search in &explained.families {
        let names: BTreeSet<&EipName> = search.eips.iter().map(|report| &report.eip.name).collect();
        check(names.len() == search.eips.len() && names.len() == snapshot.eips.len(), || {
            "not every Eip once".to_owned()
        })?;
        check(search.outcome.is_some() || search.sought == Sought::Nothing, || "sought without outcome".to_owned())?;
        if let Some(Err(reason)) = &search.outcome {
            refusal_is_told(search, reason)?;
            let secondary =
                |note: &Reason| matches!(note, Reason::SecondFamilyMissing { because, .. } if **because == *reason);
            let is_told = verdict.unmet.contains(reason) || verdict.notes.iter().any(secondary);
            check(is_told, || format!("{reason:?} is not in the verdict"))?;
        }
        in_order(search)?;
    }
    Ok(())
}

/// The reason for which a family is not served is that of the Eips that were asked, or there was none to ask.
fn refusal_is_told(search: &Search, reason: &Reason) -> Result<(), String> {
    let refused: Vec<&Reason> = search
        .eips
        .iter()
        .filter_map(|report| match &report.finding {
            Finding::Refused(reason) => Some(reason),
            _ => None,
        })
        .collect();
    let is_told = match reason {
        Reason::EipFull { eips, .. } => eips.iter().all(|name| {
            let names_it = |r: &&Reason| matches!(r, Reason::EipFull { eips, .. } if eips.contains(name));
            refused.iter().any(names_it)
        }),
        _ => {
            refused.contains(&reason)
                || refused.is_empty() && search.eips.iter().all(|r| r.offer.is_none() || search.sought != Sought::Any)
        }
    };
    check(is_told, || format!("{reason:?} is not among {refused:?}"))
}

/// Whatever stands before the Eip that gives was asked and refused; whatever stands behind it was not.
fn in_order(search: &Search) -> Result<(), String> {
    if search.sought != Sought::Any {
        return Ok(());
    }
    let mut has_given = false;
    for report in &search.eips {
        let fits = match &report.finding {
            Finding::Gives(_) => !std::mem::replace(&mut has_given, true),
            Finding::Refused(_) | Finding::AfterOffer(_) => report.offer.is_some(),
            Finding::AfterGiver => has_given && report.offer.is_some(),
            Finding::NotOffered(_) => report.offer.is_none(),
            Finding::Holds(_) | Finding::WithoutWish | Finding::WishIsIn(_) | Finding::NotAsked => false,
        };
        check(fits, || format!("Eip {} is out of order", report.eip.name))?;
    }
    Ok(())
}

fn check(holds: bool, message: impl FnOnce() -> String) -> Result<(), String> {
    if holds { Ok(()) } else { Err(message()) }
}

proptest! {
    #![proptest_config(Config { cases: 512, failure_persistence: None, ..Config::default() })]

    #[test]
    fn every_explanation_agrees_with_the_plan(snapshot in any_snapshot()) {
        prop_assert_eq!(explanations_agree_with_the_plan(explain, &snapshot), Ok(()));
    }
}

/// Nobody looks at the other Services.
fn alone(snapshot: &Snapshot, id: &ServiceId) -> Option<Explanation> {
    let mut alone = snapshot.clone();
    alone.services.retain(|other, _| other == id);
    explain(&alone, id)
}

/// The Eips are asked once everything is given out, and not when the Service's turn came.
fn too_late(snapshot: &Snapshot, id: &ServiceId) -> Option<Explanation> {
    let mut after = snapshot.clone();
    for entry in planned(snapshot).services.iter().filter(|entry| entry.service.id != *id) {
        let mut service = (*entry.service).clone();
        service.ingress = entry.verdict.addresses().map(ironlb_model::IngressAddress::Ip).collect();
        after.services.insert(service.id.clone(), Arc::new(service));
    }
    Some(Explanation { families: explain(&after, id)?.families, ..explain(snapshot, id)? })
}

/// Every Eip that offers itself is told to have been asked.
fn all_asked(snapshot: &Snapshot, id: &ServiceId) -> Option<Explanation> {
    let mut explained = explain(snapshot, id)?;
    for search in &mut explained.families {
        search.eips.reverse();
    }
    Some(explained)
}

#[test]
fn broken_explanations_are_seen() {
    for (name, broken) in [("alone", alone as Explainer), ("too late", too_late), ("all asked", all_asked)] {
        let is_seen =
            finds(2000, any_snapshot(), |snapshot| explanations_agree_with_the_plan(broken, &snapshot).is_err());
        assert!(is_seen, "{name}");
    }
}
