//! What holds whatever is claimed and whenever, each shown once to fail on a version that is broken on purpose.

use std::collections::BTreeSet;

use ironlb_model::{IngressAddress, IpFamily};
use proptest::prelude::*;
use proptest::test_runner::Config;

use super::*;
use crate::plan::properties::any_snapshot;
use crate::verdict::Vip;

/// A planner: the real one, or one broken on purpose.
type Planner = fn(&Snapshot, &InFlight) -> Plan;

/// A snapshot whose Eips do this or that about claims, and what strangers claim.
fn any_cluster() -> impl Strategy<Value = (Snapshot, InFlight)> {
    let address = prop_oneof![
        3 => (1_u8..7).prop_map(|n| IpAddr::from([10, 0, 0, n])),
        1 => (1_u16..4).prop_map(|n| IpAddr::from([0xfd00, 0, 0, 0, 0, 0, 0, n])),
    ];
    let detections = prop::collection::vec(0_u8..5, 3);
    (any_snapshot(), detections, prop::collection::btree_set(address, 0..5)).prop_map(
        |(mut snapshot, detections, claimed)| {
            for (eip, detection) in snapshot.eips.values_mut().zip(detections) {
                Arc::make_mut(eip).conflict_detection = match detection {
                    0 => ConflictDetection::Warn,
                    1 => ConflictDetection::Off,
                    _ => ConflictDetection::Enforce,
                };
            }
            let claimed = claimed.into_iter().map(|address| (address, claim("n1"))).collect();
            (snapshot, InFlight { claimed, ..InFlight::default() })
        },
    )
}

/// 1. Nobody gets a claimed address whose Eip enforces, save who held it before.
fn nobody_new_gets_a_claimed_address(
    planner: Planner,
    snapshot: &Snapshot,
    in_flight: &InFlight,
) -> Result<(), String> {
    for entry in planner(snapshot, in_flight).services {
        let service = &entry.service;
        for Vip { address, .. } in entry.verdict.vips.iter().filter(|vip| vip.is_new) {
            let mut eips = snapshot.eips.values().filter(|eip| eip.spans(*address));
            let enforces =
                eips.clone().count() > 0 && eips.all(|eip| eip.conflict_detection == ConflictDetection::Enforce);
            let had_it = service.remembered.contains(address) || service.addresses().any(|held| held == *address);
            if enforces && !had_it && in_flight.claimed.contains_key(address) {
                return Err(format!("{} got {address}, which a stranger claims", service.id));
            }
        }
    }
    Ok(())
}

/// 2. No claim takes an address from a Service that keeps it without the claim.
fn nobody_loses_an_address(planner: Planner, snapshot: &Snapshot, in_flight: &InFlight) -> Result<(), String> {
    let kept = |plan: Plan| -> BTreeSet<(ServiceId, IpAddr)> {
        let of_one = |entry: crate::ServiceVerdict| {
            let kept = entry.verdict.vips.into_iter().filter(|vip| !vip.is_new);
            kept.map(|vip| (entry.service.id.clone(), vip.address)).collect::<Vec<_>>()
        };
        plan.services.into_iter().flat_map(of_one).collect()
    };
    let (with, without) = (kept(planner(snapshot, in_flight)), kept(plan(snapshot, &InFlight::default())));
    match without.difference(&with).next() {
        Some((id, address)) => Err(format!("{id} lost {address}")),
        None => Ok(()),
    }
}

/// 3. Who gets nothing because of a claim is told a reason.
fn every_refusal_has_a_reason(planner: Planner, snapshot: &Snapshot, in_flight: &InFlight) -> Result<(), String> {
    for entry in planner(snapshot, in_flight).services {
        let (service, verdict) = (&entry.service, &entry.verdict);
        let has = |family: &IpFamily| verdict.addresses().any(|a| IpFamily::of(a) == *family);
        let lacks = verdict.standing == crate::Standing::Ours && !crate::keep::wanted_families(service).iter().all(has);
        if lacks && verdict.unmet.is_empty() && verdict.notes.is_empty() {
            return Err(format!("{} lacks an address and has no reason", service.id));
        }
    }
    Ok(())
}

fn without_claims(snapshot: &Snapshot, _: &InFlight) -> Plan {
    plan(snapshot, &InFlight::default())
}

/// Who holds a claimed address is moved to another.
fn moving_holders(snapshot: &Snapshot, in_flight: &InFlight) -> Plan {
    let mut changed = snapshot.clone();
    for service in changed.services.values_mut() {
        let is_claimed =
            |entry: &IngressAddress| matches!(entry, IngressAddress::Ip(a) if in_flight.claimed.contains_key(a));
        Arc::make_mut(service).ingress.retain(|entry| !is_claimed(entry));
    }
    plan(&changed, in_flight)
}

fn without_reasons(snapshot: &Snapshot, in_flight: &InFlight) -> Plan {
    let mut plan = plan(snapshot, in_flight);
    for entry in &mut plan.services {
        entry.verdict.unmet.retain(|reason| reason.category() != "InConflict");
    }
    plan
}

type Property = fn(Planner, &Snapshot, &InFlight) -> Result<(), String>;

#[test]
fn each_property_sees_a_planner_that_breaks_it() {
    let is_seen = |property: Property, broken: Planner| {
        finds(2000, any_cluster(), |(snapshot, in_flight)| property(broken, &snapshot, &in_flight).is_err())
    };
    assert!(is_seen(nobody_new_gets_a_claimed_address, without_claims), "1");
    assert!(is_seen(nobody_loses_an_address, moving_holders), "2");
    assert!(is_seen(every_refusal_has_a_reason, without_reasons), "3");
}

// --- over time ---

/// What happens: so many seconds pass, then the report lists each of two addresses or not, with something new heard or not.
type Turn = (u64, [Option<bool>; 2]);

/// What remembers the claims: the real thing, or something broken on purpose.
type Observe = fn(&mut Conflicts, &Snapshot, Timestamp) -> BTreeMap<IpAddr, Claim>;

fn really(conflicts: &mut Conflicts, snapshot: &Snapshot, now: Timestamp) -> BTreeMap<IpAddr, Claim> {
    conflicts.observe(snapshot, COUNTS, now)
}

/// What is no longer reported is forgotten at once.
fn forgetful(conflicts: &mut Conflicts, snapshot: &Snapshot, now: Timestamp) -> BTreeMap<IpAddr, Claim> {
    let mut claims = conflicts.observe(snapshot, COUNTS, now);
    claims.retain(|address, _| reported(snapshot).keys().any(|(reported, ..)| reported == address));
    claims
}

/// What is reported counts, however long ago it was heard.
fn never_ending(conflicts: &mut Conflicts, snapshot: &Snapshot, now: Timestamp) -> BTreeMap<IpAddr, Claim> {
    let mut claims = conflicts.observe(snapshot, COUNTS, now);
    claims.extend(super::claims(reported(snapshot).keys()));
    claims
}

/// 4. An address is claimed exactly while something new was heard of it less than a minute ago, and the controller is woken at the end.
fn a_claim_lasts_a_minute(observe: Observe, turns: &[Turn]) -> Result<(), String> {
    let addresses = ["10.0.0.1", "10.0.0.2"];
    let mut snapshot = snapshot(&[eip("a", "10.0.0.1-10.0.0.9")], &[]);
    let mut conflicts = Conflicts::default();
    let mut heard: [Option<u64>; 2] = [None, None];
    let (mut times, mut now) = ([0_i64; 2], 100);
    for (pause, listed) in turns {
        now += pause;
        let mut lines = Vec::new();
        for (n, listed) in listed.iter().enumerate() {
            let Some(is_new) = listed else { continue };
            // What was never listed, or is listed again after it was forgotten, is new whatever its time.
            let is_new = *is_new || heard[n].is_none();
            if is_new {
                times[n] += 1;
                heard[n] = Some(now);
            }
            lines.push((addresses[n], 0xee, times[n]));
        }
        report(&mut snapshot, "n1", &lines);
        let claims = observe(&mut conflicts, &snapshot, seconds(now));
        for (n, address) in addresses.iter().enumerate() {
            let want = heard[n].is_some_and(|at| at + 60 > now);
            if claims.contains_key(&ip(address)) != want {
                return Err(format!("at {now} {address} is{} claimed", if want { " not" } else { "" }));
            }
            // A report that lists it no more after the end is a clean slate.
            if !want && listed[n].is_none() {
                heard[n] = None;
            }
        }
        let end = heard.iter().flatten().map(|at| at + 60).filter(|end| *end > now).min();
        if conflicts.first_end(COUNTS, seconds(now)) != end.map(seconds) {
            return Err(format!("at {now} the end is to be at {end:?}"));
        }
    }
    Ok(())
}

fn any_turns() -> impl Strategy<Value = Vec<Turn>> {
    let listed = || prop::option::weighted(0.7, any::<bool>());
    prop::collection::vec((0_u64..90, [listed(), listed()]), 1..12)
}

#[test]
fn the_property_of_time_sees_what_breaks_it() {
    for (what, broken) in [("forgetful", forgetful as Observe), ("never ending", never_ending)] {
        assert!(finds(500, any_turns(), |turns| a_claim_lasts_a_minute(broken, &turns).is_err()), "{what}");
    }
}

proptest! {
    #![proptest_config(Config { cases: 256, failure_persistence: None, ..Config::default() })]

    #[test]
    fn every_plan_with_claims_keeps_the_rules((snapshot, in_flight) in any_cluster()) {
        prop_assert_eq!(nobody_new_gets_a_claimed_address(plan, &snapshot, &in_flight), Ok(()));
        prop_assert_eq!(nobody_loses_an_address(plan, &snapshot, &in_flight), Ok(()));
        prop_assert_eq!(every_refusal_has_a_reason(plan, &snapshot, &in_flight), Ok(()));
    }

    #[test]
    fn claims_come_and_go_with_what_is_heard(turns in any_turns()) {
        prop_assert_eq!(a_claim_lasts_a_minute(really, &turns), Ok(()));
    }
}
