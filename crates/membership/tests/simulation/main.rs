//! The protocol in virtual time: real machines and real decisions, and everything around them that can go wrong.
//!
//! Each scenario runs with many seeds and measures who answered for what at every moment. Every one of them fails on a speaker
//! that is broken in the way it is there to find (`BROKEN`).

mod api_server;
mod cluster;
mod random;
#[expect(dead_code, reason = "it uses a part of it")]
#[path = "../../../announce/tests/site/mod.rs"]
mod site;
mod watcher;

use std::collections::BTreeMap;
use std::net::IpAddr;

use ironlb_membership::Standing;
use ironlb_model::NodeName;

use api_server::Health;
use cluster::{Bug, Cluster, Fault};
use random::Random;

/// What was found, with what led to it.
type Verdict = Result<(), String>;

/// 4 s expiry, 1 s for the phase of the renewals, and what it takes to see, decide, write and read.
const TAKEOVER: f64 = 5000.0 + 300.0;

/// How long a frame takes to be heard, at most, on the simulated LAN; two may answer that long when one of them hears only the LAN.
const WIRE: f64 = 2.5;

fn fail(cluster: &Cluster, what: &str) -> Verdict {
    Err(format!(
        "{what}\ndoubles {:?}\ngaps {:?}\n{}",
        cluster.watcher.doubles,
        cluster.watcher.gaps,
        cluster.log.join("\n")
    ))
}

/// A cluster whose vips all have an owner.
fn started(seed: u64, bug: Bug) -> (Cluster, Random) {
    let mut random = Random(seed ^ 0xdead);
    let nodes = u32::try_from(random.between(2, 5)).unwrap();
    let mut cluster = Cluster::new(nodes, 6, seed, bug);
    cluster.run(8000 + random.between(0, 1000));
    (cluster, random)
}

fn number(node: &NodeName) -> u32 {
    node.as_str()[1..].parse().unwrap()
}

/// Forgets what was measured so far.
fn measure(cluster: &mut Cluster) {
    let now = cluster.now;
    cluster.watcher.finish(now);
    (cluster.watcher.gaps, cluster.watcher.moves) = (Vec::new(), Vec::new());
}

fn has_one_owner_each(cluster: &Cluster) -> bool {
    cluster.owners().values().all(|nodes| nodes.len() == 1)
}

/// Ends a scenario: what was double ever, and what was without answer since `measure`.
fn judge(cluster: &mut Cluster, longest_gap: f64, longest_double: f64) -> Verdict {
    let now = cluster.now;
    let is_whole = has_one_owner_each(cluster);
    cluster.watcher.finish(now);
    if !is_whole {
        fail(cluster, "not every vip has one owner in the end")
    } else if cluster.watcher.longest_double() > longest_double {
        fail(cluster, "two nodes answered")
    } else if cluster.watcher.longest_gap(0) > longest_gap {
        fail(cluster, "nobody answered for too long")
    } else {
        Ok(())
    }
}

fn nothing_moved(cluster: &Cluster, before: &BTreeMap<IpAddr, NodeName>) -> Verdict {
    if has_one_owner_each(cluster) && cluster.sole_owners() == *before {
        Ok(())
    } else {
        fail(cluster, &format!("something moved; before {before:?}"))
    }
}

/// A node that owns something.
fn some_owner(cluster: &Cluster, random: &mut Random) -> Option<u32> {
    let owners: Vec<NodeName> = cluster.owners().into_values().flatten().collect();
    let n = random.between(0, owners.len().max(1) as u64 - 1);
    owners.get(usize::try_from(n).unwrap()).map(number)
}

/// A node is killed, others take over in time, and nothing moves back when it returns.
fn kill(seed: u64, bug: Bug) -> Verdict {
    let (mut cluster, mut random) = started(seed, bug);
    let Some(victim) = some_owner(&cluster, &mut random) else { return fail(&cluster, "nobody owns anything") };
    let before = cluster.owners();
    measure(&mut cluster);
    cluster.fault_after(0, Fault::Kill(victim));
    cluster.run(8000);
    judge(&mut cluster, TAKEOVER, 0.0)?;
    let moved = |(vip, node): (&IpAddr, &NodeName)| {
        !before[vip].contains(node) && !before[vip].contains(&site::node_name(victim))
    };
    let after = cluster.sole_owners();
    if after.iter().any(moved) {
        return fail(&cluster, "a vip moved that was not the victim's");
    }
    measure(&mut cluster);
    cluster.fault_after(0, Fault::Start(victim));
    cluster.run(10_000);
    judge(&mut cluster, 0.0, 0.0)?;
    nothing_moved(&cluster, &after)
}

/// A process is stopped for a while and goes on as if nothing had been.
fn stop_and_continue(seed: u64, bug: Bug) -> Verdict {
    let (mut cluster, mut random) = started(seed, bug);
    let Some(victim) = some_owner(&cluster, &mut random) else { return fail(&cluster, "nobody owns anything") };
    measure(&mut cluster);
    cluster.fault_after(0, Fault::Stop(victim));
    cluster.fault_after(random.between(200, 12_000), Fault::Continue(victim));
    cluster.run(20_000);
    judge(&mut cluster, TAKEOVER, 0.0)
}

/// The API server is gone or hangs for a while: who owns what stays as it is, and is answered all the time.
fn outage(seed: u64, bug: Bug) -> Verdict {
    let (mut cluster, mut random) = started(seed, bug);
    if !has_one_owner_each(&cluster) {
        return fail(&cluster, "not every vip has one owner");
    }
    let before = cluster.sole_owners();
    measure(&mut cluster);
    let health = if random.one_in(2) { Health::Down } else { Health::Hanging };
    let length = random.between(100, 30_000);
    cluster.fault_after(0, Fault::Server(health));
    cluster.fault_after(length, Fault::Server(Health::Serving));
    cluster.run(length);
    if length > 4000 && (0..2).any(|n| !cluster.is_frozen(n)) {
        return fail(&cluster, "not frozen");
    }
    cluster.run(10_000);
    judge(&mut cluster, 0.0, 0.0)?;
    nothing_moved(&cluster, &before)
}

/// A node's renewals alone fail: it stops before others take over.
fn renewals_fail_alone(seed: u64, bug: Bug) -> Verdict {
    let (mut cluster, mut random) = started(seed, bug);
    let Some(victim) = some_owner(&cluster, &mut random) else { return fail(&cluster, "nobody owns anything") };
    measure(&mut cluster);
    let fault = if random.one_in(2) { Fault::CutWrites } else { Fault::RefuseWrites };
    let length = random.between(3000, 20_000);
    cluster.fault_after(0, fault(victim, true));
    cluster.fault_after(length, fault(victim, false));
    cluster.run(length + 10_000);
    judge(&mut cluster, TAKEOVER, 0.0)
}

/// A node does not hear the API server although everybody else does: it cannot tell that from an outage and goes on, and hears of the
/// takeover on the LAN.
fn cut_from_the_server(seed: u64, bug: Bug) -> Verdict {
    let (mut cluster, mut random) = started(seed, bug);
    let Some(victim) = some_owner(&cluster, &mut random) else { return fail(&cluster, "nobody owns anything") };
    measure(&mut cluster);
    let length = random.between(3000, 20_000);
    cluster.fault_after(0, Fault::Cut(victim, true));
    cluster.fault_after(length, Fault::Cut(victim, false));
    cluster.run(length + 10_000);
    judge(&mut cluster, TAKEOVER, WIRE)
}

/// Every speaker is replaced, the new one of a node ready before the old one goes: nothing moves.
fn upgrade(seed: u64, bug: Bug) -> Verdict {
    let (mut cluster, mut random) = started(seed, bug);
    if !has_one_owner_each(&cluster) {
        return fail(&cluster, "not every vip has one owner");
    }
    let before = cluster.sole_owners();
    measure(&mut cluster);
    for n in 0..5 {
        if cluster.standing(n).is_empty() {
            break;
        }
        cluster.fault_after(0, Fault::Start(n));
        cluster.run(random.between(500, 3000));
        if cluster.standing(n) != [Standing::Superseded, Standing::Member] {
            return fail(&cluster, "the new speaker has not taken the Lease over");
        }
        cluster.fault_after(0, Fault::Terminate(n));
        cluster.run(random.between(100, 2000));
    }
    cluster.run(6000);
    // From when the old process hears of the new one until that one's claims are confirmed: a write's way back, a list, a decision.
    judge(&mut cluster, 200.0, 0.0)?;
    nothing_moved(&cluster, &before)
}

/// A speaker crashes and is back before others may count it out: nothing moves.
fn crash_and_restart(seed: u64, bug: Bug) -> Verdict {
    let (mut cluster, mut random) = started(seed, bug);
    let Some(victim) = some_owner(&cluster, &mut random) else { return fail(&cluster, "nobody owns anything") };
    if !has_one_owner_each(&cluster) {
        return fail(&cluster, "not every vip has one owner");
    }
    let before = cluster.sole_owners();
    measure(&mut cluster);
    let down = random.between(50, 2500);
    cluster.fault_after(0, Fault::Kill(victim));
    cluster.fault_after(down, Fault::Start(victim));
    cluster.run(12_000);
    judge(&mut cluster, 2500.0 + 300.0, 0.0)?;
    nothing_moved(&cluster, &before)
}

/// A speaker is told to end: others take over at once.
fn leave(seed: u64, bug: Bug) -> Verdict {
    let (mut cluster, mut random) = started(seed, bug);
    let Some(victim) = some_owner(&cluster, &mut random) else { return fail(&cluster, "nobody owns anything") };
    measure(&mut cluster);
    cluster.fault_after(0, Fault::Terminate(victim));
    cluster.run(6000);
    if !cluster.standing(victim).is_empty() {
        return fail(&cluster, "it has not left");
    }
    // A write, a watch that may lag ten times, a decision, a write, a list, a decision; each delay is up to twice its mean.
    judge(&mut cluster, 900.0, 0.0)
}

/// A node is being emptied: its vips go to others, one answer at any moment, also when speakers decide slowly.
fn drain(seed: u64, bug: Bug) -> Verdict {
    let (mut cluster, mut random) = started(seed, bug);
    let Some(victim) = some_owner(&cluster, &mut random) else { return fail(&cluster, "nobody owns anything") };
    cluster.delays.decide = 400;
    measure(&mut cluster);
    cluster.fault_after(0, Fault::Drain(victim, true));
    cluster.run(9000);
    if cluster.owners().values().any(|nodes| nodes.contains(&site::node_name(victim))) {
        return fail(&cluster, "it still owns something");
    }
    cluster.fault_after(0, Fault::Drain(victim, false));
    cluster.run(5000);
    judge(&mut cluster, 3000.0, 0.0)
}

/// A watch goes silent unnoticed, a Lease is deleted: nothing moves and nothing is silent.
fn small_faults(seed: u64, bug: Bug) -> Verdict {
    let (mut cluster, mut random) = started(seed, bug);
    if !has_one_owner_each(&cluster) {
        return fail(&cluster, "not every vip has one owner");
    }
    let before = cluster.sole_owners();
    measure(&mut cluster);
    let victim = u32::try_from(random.between(0, 1)).unwrap();
    let length = random.between(1000, 40_000);
    if random.one_in(2) {
        cluster.fault_after(0, Fault::MuteWatch(victim, true));
        cluster.fault_after(length, Fault::MuteWatch(victim, false));
    }
    cluster.fault_after(random.between(0, length), Fault::DeleteLease(victim));
    cluster.run(length + 8000);
    judge(&mut cluster, 0.0, 0.0)?;
    nothing_moved(&cluster, &before)
}

/// Two speakers come to different conclusions, by starting at different moments and deciding slowly: never two answers.
fn duel(seed: u64, bug: Bug) -> Verdict {
    let mut random = Random(seed ^ 0xd0e1);
    let mut cluster = Cluster::new(u32::try_from(random.between(2, 5)).unwrap(), 6, seed, bug);
    cluster.delays.decide = random.between(1, 600);
    cluster.delays.watch = random.between(1, 400);
    for _ in 0..4 {
        let (node, at) = (u32::try_from(random.between(0, 4)).unwrap(), random.between(0, 15_000));
        cluster.fault_after(at, Fault::Drain(node.min(1), true));
        cluster.fault_after(at + random.between(0, 2000), Fault::Drain(node.min(1), false));
    }
    cluster.run(30_000);
    measure(&mut cluster);
    judge(&mut cluster, 0.0, 0.0)
}

/// Everything at random for a minute; then all is mended, and soon every vip has its one owner.
fn storm(seed: u64, bug: Bug) -> Verdict {
    let (mut cluster, mut random) = started(seed, bug);
    weather(&mut cluster, &mut random, &mut false)
}

/// The same cluster goes through one storm after the other: what one leaves behind must not be what breaks in a later one. Three storms,
/// which are five minutes of its time; many more when `PROPTEST_CASES` asks for more than is usual.
fn long_storm(seed: u64, bug: Bug) -> Verdict {
    let storms = (3 * asked_for()).div_ceil(USUAL);
    let (mut cluster, mut random) = started(seed, bug);
    let mut is_cut_ever = false;
    for number in 0..storms {
        weather(&mut cluster, &mut random, &mut is_cut_ever).map_err(|found| format!("storm {number}: {found}"))?;
        // Who was told to end, or was killed, comes back as a DaemonSet's pod does.
        for n in 0..5 {
            if cluster.standing(n).is_empty() {
                cluster.fault_after(0, Fault::Start(n));
            }
        }
        cluster.run(15_000);
        cluster.log.clear();
    }
    Ok(())
}

fn weather(cluster: &mut Cluster, random: &mut Random, is_cut_ever: &mut bool) -> Verdict {
    for _ in 0..random.between(3, 14) {
        let n = u32::try_from(random.between(0, 4)).unwrap();
        let (at, length) = (random.between(0, 60_000), random.between(50, 14_000));
        let end = at + length;
        match random.between(0, 10) {
            0 => {
                cluster.fault_after(at, Fault::Kill(n));
                cluster.fault_after(end, Fault::Start(n));
            }
            1 | 2 => {
                cluster.fault_after(at, Fault::Stop(n));
                cluster.fault_after(end, Fault::Continue(n));
            }
            3 | 4 => {
                let health = if random.one_in(2) { Health::Down } else { Health::Hanging };
                cluster.fault_after(at, Fault::Server(health));
                cluster.fault_after(end, Fault::Server(Health::Serving));
            }
            5 => {
                *is_cut_ever = true;
                cluster.fault_after(at, Fault::Cut(n, true));
                cluster.fault_after(end, Fault::Cut(n, false));
            }
            6 => {
                cluster.fault_after(at, Fault::CutWrites(n, true));
                cluster.fault_after(end, Fault::CutWrites(n, false));
            }
            7 => {
                cluster.fault_after(at, Fault::Start(n));
                cluster.fault_after(end, Fault::Terminate(n));
            }
            8 => {
                cluster.fault_after(at, Fault::MuteWatch(n, true));
                cluster.fault_after(end, Fault::MuteWatch(n, false));
            }
            9 => cluster.fault_after(at, Fault::DeleteLease(n)),
            _ => {
                cluster.fault_after(at, Fault::RefuseWrites(n, true));
                cluster.fault_after(end, Fault::RefuseWrites(n, false));
            }
        }
    }
    cluster.run(80_000);
    cluster.fault_after(0, Fault::Server(Health::Serving));
    for n in 0..5 {
        for mended in [Fault::Cut, Fault::CutWrites, Fault::RefuseWrites, Fault::MuteWatch] {
            cluster.fault_after(0, mended(n, false));
        }
        cluster.fault_after(0, Fault::Continue(n));
    }
    cluster.run(1);
    // Whoever ran beside a newer process of its node has been told to end by now, and some node must be there.
    if (0..5).all(|n| !cluster.standing(n).contains(&Standing::Member)) {
        cluster.fault_after(0, Fault::Start(0));
    }
    cluster.run(15_000);
    measure(cluster);
    // A node that hears only the LAN, or that has heard nothing at all for a while, learns of a takeover from the first frame.
    judge(cluster, 0.0, if *is_cut_ever { WIRE } else { 0.0 })
}

type Scenario = fn(u64, Bug) -> Verdict;

/// How many cases proptest runs where nobody asks for more.
const USUAL: u64 = 256;

/// How many it is asked for.
fn asked_for() -> u64 {
    u64::from(proptest::test_runner::Config::default().cases)
}

/// Runs a scenario with that many seeds, more when `PROPTEST_CASES` asks for more than is usual.
fn holds(seeds: u64, scenario: Scenario) {
    for seed in 0..(seeds * asked_for()).div_ceil(USUAL) {
        if let Err(found) = scenario(seed, Bug::None) {
            panic!("seed {seed}: {found}");
        }
    }
}

#[test]
fn a_killed_owner_is_replaced_in_time_and_nothing_moves_back() {
    holds(60, kill);
}

#[test]
fn a_process_that_was_stopped_answers_nothing_it_lost() {
    holds(60, stop_and_continue);
}

#[test]
fn an_outage_of_the_server_moves_nothing_and_silences_nobody() {
    holds(60, outage);
}

#[test]
fn who_alone_cannot_renew_stops_before_others_take_over() {
    holds(60, renewals_fail_alone);
}

#[test]
fn who_is_cut_from_the_server_hears_of_the_takeover_on_the_lan() {
    holds(60, cut_from_the_server);
}

#[test]
fn an_upgrade_moves_nothing() {
    holds(30, upgrade);
}

#[test]
fn a_quick_restart_moves_nothing() {
    holds(60, crash_and_restart);
}

#[test]
fn who_leaves_is_replaced_at_once() {
    holds(60, leave);
}

#[test]
fn a_node_being_emptied_gives_its_vips_away_one_answer_at_a_time() {
    holds(40, drain);
}

#[test]
fn a_silent_watch_and_a_deleted_lease_move_nothing() {
    holds(40, small_faults);
}

#[test]
fn different_views_never_make_two_answers() {
    holds(60, duel);
}

#[test]
fn after_any_storm_every_vip_has_its_one_owner() {
    holds(150, storm);
}

#[test]
fn one_storm_after_the_other_leaves_nothing_behind() {
    for seed in 0..3 {
        if let Err(found) = long_storm(seed, Bug::None) {
            panic!("seed {seed}: {found}");
        }
    }
}

/// Speakers that are broken, each with the scenario that finds it.
const BROKEN: &[(Bug, Scenario)] = &[
    (Bug::NoValidUntil, stop_and_continue),
    (Bug::AnswersOnClaim, duel),
    (Bug::StopsLate, cut_from_the_server),
    (Bug::StaleLists, duel),
    (Bug::NeverFreezes, outage),
    (Bug::ForgetsOwners, kill),
    (Bug::IgnoresMembers, cut_from_the_server),
    (Bug::TrustsLongExpiry, renewals_fail_alone),
    (Bug::AdoptsNothing, crash_and_restart),
];

#[test]
fn each_scenario_finds_what_it_is_there_to_find() {
    for (bug, scenario) in BROKEN {
        assert!((0..60).any(|seed| scenario(seed, *bug).is_err()), "{bug:?} is not found");
    }
}
