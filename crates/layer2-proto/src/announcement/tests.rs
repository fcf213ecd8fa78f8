//! The schedule on a virtual clock.

use std::net::Ipv4Addr;

use super::*;

/// The moment at which the tests begin; any.
const START: Timestamp = Timestamp::from_millis(60_000);

pub(super) fn vip(number: u32) -> IpAddr {
    Ipv4Addr::from(0x0a4d_0000 + number).into()
}

/// Runs the schedule until it is idle; what was announced, with milliseconds since the start.
fn run(schedule: &mut Schedule) -> Vec<(u128, IpAddr)> {
    let mut log = Vec::new();
    let mut now = START;
    while let Some(due) = schedule.poll_timeout() {
        now = now.max(due);
        while let Some(vip) = schedule.take_due(now) {
            log.push((now.since(START).as_millis(), vip));
        }
    }
    log
}

fn unpaced() -> Schedule {
    Schedule::new(Rate::new(1_000_000, 1_000_000))
}

#[test]
fn a_gained_vip_is_announced_at_0_100_1100_2200_and_4000_ms() {
    let mut schedule = unpaced();
    schedule.gain(START, vip(1));
    assert_eq!(run(&mut schedule), [0, 100, 1_100, 2_200, 4_000].map(|ms| (ms, vip(1))));
    assert!(schedule.is_empty());
}

#[test]
fn a_lost_vip_is_announced_no_more() {
    let mut schedule = unpaced();
    schedule.gain(START, vip(1));
    schedule.gain(START, vip(2));
    assert_eq!(schedule.take_due(START), Some(vip(1)));
    schedule.lose(vip(1));
    schedule.lose(vip(7));
    assert_eq!(run(&mut schedule), [0, 100, 1_100, 2_200, 4_000].map(|ms| (ms, vip(2))));
}

#[test]
fn a_vip_gained_again_starts_again() {
    let mut schedule = unpaced();
    schedule.gain(START, vip(1));
    assert_eq!(schedule.take_due(START), Some(vip(1)));
    assert_eq!(schedule.take_due(START), None);
    schedule.gain(START, vip(1));
    assert_eq!(run(&mut schedule).len(), 5);
}

#[test]
fn a_thousand_vips_are_paced_and_every_first_goes_before_any_repeat() {
    let mut schedule = Schedule::new(Rate::new(500, 50));
    for number in 0..1_000 {
        schedule.gain(START, vip(number));
    }
    let log = run(&mut schedule);
    assert_eq!(log.len(), 5_000);
    let (first_round, repeats) = log.split_at(1_000);
    let firsts: BTreeSet<_> = first_round.iter().map(|(_, vip)| *vip).collect();
    assert_eq!(firsts.len(), 1_000);
    // 50 at once and then one every 2 ms.
    assert_eq!(first_round.last().map(|(ms, _)| *ms), Some(1_900));
    assert!(repeats.iter().all(|(ms, _)| *ms >= 1_900));
    for vip in firsts {
        let times: Vec<_> = log.iter().filter(|(_, v)| *v == vip).map(|e| e.0).collect();
        let pauses = times.windows(2).map(|pair| pair[1] - pair[0]);
        for (pause, least) in pauses.zip(SPACING) {
            assert!(pause >= least.as_millis(), "{vip}: {times:?}");
        }
    }
}

#[test]
fn a_vip_gained_amid_repeats_goes_first() {
    let mut schedule = Schedule::new(Rate::new(100, 1));
    for number in 0..50 {
        schedule.gain(START, vip(number));
    }
    let mut now = START;
    let mut taken = 0;
    while taken < 60 {
        now = now.max(schedule.poll_timeout().unwrap());
        taken += usize::from(schedule.take_due(now).is_some());
    }
    schedule.gain(now, vip(99));
    let next = schedule.poll_timeout().unwrap();
    assert_eq!(schedule.take_due(next), Some(vip(99)));
}
