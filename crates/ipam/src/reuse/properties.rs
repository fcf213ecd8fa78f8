//! What holds of a delay whatever comes and goes, shown to fail on versions that are broken on purpose.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use ironlb_model::{EipName, ServiceId, Snapshot};
use proptest::prelude::*;
use proptest::test_runner::Config;

use crate::Memory;
use crate::testing::*;

/// How long an address rests.
const DELAY: u64 = 60;

/// What happens: so many seconds pass, then a Service of one of a few names is made, or goes.
type Turn = (u64, u8);

/// What is done to the cluster and the memory before each decision: nothing, or something broken on purpose.
type Before = fn(&mut Snapshot, &mut Memory);

fn forgetful(_: &mut Snapshot, memory: &mut Memory) {
    *memory = crate::testing::memory();
}

fn never_ending(snapshot: &mut Snapshot, _: &mut Memory) {
    let pool = snapshot.eips.get_mut(&EipName::from("a")).expect("there is one");
    Arc::make_mut(pool).reuse_delay = Duration::MAX;
}

fn holders(snapshot: &Snapshot) -> BTreeMap<IpAddr, BTreeSet<ServiceId>> {
    let mut held: BTreeMap<IpAddr, BTreeSet<ServiceId>> = BTreeMap::new();
    for service in snapshot.services.values() {
        for address in service.addresses() {
            held.entry(address).or_default().insert(service.id.clone());
        }
    }
    held
}

/// What was given back goes to nobody else for a minute, to who had it at any time, and to anybody afterwards: nobody waits while an
/// address neither is held nor rests.
fn an_address_rests_for_a_minute(before: Before, turns: &[Turn]) -> Result<(), String> {
    let mut snapshot = snapshot(&[eip("a", "10.0.0.1-10.0.0.3").default_eip().reuse_delay(DELAY)], &[]);
    let (mut memory, mut now, mut created) = (memory(), 100, 0);
    let mut held: BTreeMap<IpAddr, BTreeSet<ServiceId>> = BTreeMap::new();
    let mut resting: BTreeMap<IpAddr, (BTreeSet<ServiceId>, u64)> = BTreeMap::new();
    for (pause, name) in turns {
        now += pause;
        created += 1;
        let id = ServiceId::new("n", &format!("s{name}"));
        if snapshot.services.remove(&id).is_none() {
            snapshot.services.insert(id.clone(), Arc::new(service(&id.to_string()).created(created)));
        }
        before(&mut snapshot, &mut memory);
        // What is given back is seen before anything is given out.
        let shown = holders(&snapshot);
        for (address, by) in held.iter().filter(|(address, _)| !shown.contains_key(address)) {
            resting.insert(*address, (by.clone(), now));
        }
        resting.retain(|_, (_, since)| *since + DELAY > now);
        settle(&mut snapshot, &mut memory, seconds(now));
        held = holders(&snapshot);
        for (address, by) in held.iter().filter(|(address, _)| !shown.contains_key(*address)) {
            if resting.get(address).is_some_and(|(had, _)| by.is_disjoint(had)) {
                return Err(format!("at {now} {address}, which rests, went to {by:?}"));
            }
        }
        let pool = ["10.0.0.1", "10.0.0.2", "10.0.0.3"].map(ip);
        let free = pool.iter().find(|address| !held.contains_key(address) && !resting.contains_key(address));
        let waits = snapshot.services.values().find(|service| service.ingress.is_empty());
        if let Some((address, service)) = free.zip(waits) {
            return Err(format!("at {now} {} waits, and {address} is free", service.id));
        }
    }
    Ok(())
}

fn any_turns() -> impl Strategy<Value = Vec<Turn>> {
    prop::collection::vec((prop_oneof![3 => 0_u64..20, 1 => 50_u64..90], 0_u8..5), 1..20)
}

#[test]
fn the_property_sees_what_breaks_it() {
    for (what, broken) in [("forgetful", forgetful as Before), ("never ending", never_ending)] {
        assert!(finds(500, any_turns(), |turns| an_address_rests_for_a_minute(broken, &turns).is_err()), "{what}");
    }
}

proptest! {
    #![proptest_config(Config { cases: 256, failure_persistence: None, ..Config::default() })]

    #[test]
    fn an_address_that_was_given_back_rests(turns in any_turns()) {
        prop_assert_eq!(an_address_rests_for_a_minute(|_, _| (), &turns), Ok(()));
    }
}
