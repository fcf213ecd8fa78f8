//! When a status that somebody changes back is left alone, whatever the times, shown to fail on versions that are broken on purpose.

use std::sync::Arc;

use proptest::prelude::*;
use proptest::test_runner::Config;

use super::*;
use crate::testing::*;

/// What happens: so many seconds pass, then somebody takes the address out of the status or does not.
type Turn = (u64, bool);

/// What is done to the memory before each decision: nothing, or something broken on purpose.
type Before = fn(&mut Memory);

/// It fights for ever.
fn forgetful(memory: &mut Memory) {
    *memory = crate::testing::memory();
}

/// It gives in at the first reversal and not at the third.
fn faint_hearted(memory: &mut Memory) {
    for times in memory.reversals.values_mut() {
        let last = times.last().copied();
        times.extend(last.into_iter().cycle().take(CONTENTION_COUNT));
    }
}

/// The Service has its address after each decision, unless it was taken from it three times within a minute of each other and less than
/// ten minutes ago; then it is left as it is.
fn left_alone_exactly_after_three(before: Before, turns: &[Turn]) -> Result<(), String> {
    let id = ServiceId::new("n", "s");
    let mut cluster = snapshot(&[eip("a", "10.0.0.1").default_eip()], &[service("n/s")]);
    let mut memory = memory();
    let has_one = |cluster: &Snapshot| !cluster.services[&id].ingress.is_empty();
    let (mut now, mut rests_until) = (1000, 0);
    settle(&mut cluster, &mut memory, seconds(now));
    // When it was written last, as long as that is less than a minute ago; when it was taken away since the last rest.
    let (mut written, mut taken): (Option<u64>, Vec<u64>) = (Some(now), Vec::new());
    for (pause, takes) in turns {
        now += pause;
        let had_one = has_one(&cluster);
        if *takes && had_one {
            let service = Arc::make_mut(cluster.services.get_mut(&id).expect("it is there"));
            service.ingress.clear();
            service.version = ResourceVersion(service.version.0 + 1);
            taken.extend(written.take().map(|_| now));
            taken.retain(|at| now - at < 60);
            if taken.len() == 3 {
                rests_until = now + 600;
                taken.clear();
            }
        }
        before(&mut memory);
        settle(&mut cluster, &mut memory, seconds(now));
        let wanted = now >= rests_until || had_one && !takes;
        if has_one(&cluster) != wanted {
            return Err(format!("at {now} it is{} to have its address", if wanted { "" } else { " not" }));
        }
        if wanted && (*takes || !had_one) {
            written = Some(now);
        }
        written = written.filter(|at| now - at < 60);
    }
    Ok(())
}

fn any_turns() -> impl Strategy<Value = Vec<Turn>> {
    let pause = prop_oneof![6 => 0_u64..30, 2 => 30_u64..100, 1 => 500_u64..700];
    prop::collection::vec((pause, prop::bool::weighted(0.7)), 1..16)
}

#[test]
fn the_property_sees_what_breaks_it() {
    for (what, broken) in [("forgetful", forgetful as Before), ("faint-hearted", faint_hearted)] {
        assert!(finds(500, any_turns(), |turns| left_alone_exactly_after_three(broken, &turns).is_err()), "{what}");
    }
}

proptest! {
    #![proptest_config(Config { cases: 256, failure_persistence: None, ..Config::default() })]

    #[test]
    fn a_status_is_left_alone_exactly_after_three_reversals(turns in any_turns()) {
        prop_assert_eq!(left_alone_exactly_after_three(|_| (), &turns), Ok(()));
    }
}
