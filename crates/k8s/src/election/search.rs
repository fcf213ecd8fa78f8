//! Every interleaving of two candidates, the API server and the clock: no epoch begins while another is valid, or while a request that
//! was begun under another is still waited for.
//!
//! The world is a Lease with a version, two candidates, requests under way and a clock of whole ticks. What may happen next, in any
//! order and as late as it likes: a candidate does its next step; a request reaches the server; its answer reaches the candidate; the
//! candidate gives up on it, and a write that had not reached the server is carried out later or never (a
//! proxy may hold it back); a candidate is told to stop; a tick passes. That nothing *has* to happen covers a candidate that is frozen, a
//! lost answer and a server that is down.
//!
//! Times are kept relative to now and versions by their order, so the worlds are finitely many and all of them are visited.

use std::collections::{BTreeSet, VecDeque};
use std::hash::{DefaultHasher, Hash, Hasher};

use super::*;

/// Lengths in ticks, as short as the rule allows: renew deadline and request time-out together stay below the lease duration.
const TIMING: Timing = Timing {
    lease_duration: Duration::from_millis(4),
    renew_deadline: Duration::from_millis(2),
    retry_period: Duration::from_millis(1),
    request_timeout: Duration::from_millis(1),
};

/// Now, in every world. What lies further back than this has no effect any more: all lengths are shorter.
const NOW: Timestamp = Timestamp::from_millis(20);
const TICK: Duration = Duration::from_millis(1);

#[derive(Debug, Clone, PartialEq, Eq, Hash)]
enum Request {
    Read,
    Write(Claim),
}

#[derive(Debug, Clone, PartialEq, Eq, Hash)]
enum Answer {
    Found(Option<(Record, ResourceVersion)>),
    Written(ResourceVersion),
    Conflict,
}

/// The request a candidate waits for.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
enum Phase {
    Idle,
    Sent(Request),
    Answered(Request, Answer),
}

#[derive(Debug, Clone, PartialEq, Eq, Hash)]
struct Candidate {
    machine: Election,
    phase: Phase,
    /// A write it gave up on, which may still be carried out.
    late: Option<Claim>,
    /// Until when a request that it began as leader may be under way: it began the last one at the last moment at which it might.
    works_until: Timestamp,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash)]
struct World {
    lease: Option<(Record, ResourceVersion)>,
    candidates: [Candidate; 2],
}

/// Makes a candidate: the right rule, or a broken one that the search must catch.
type Make = fn(&str) -> Election;

fn right(name: &str) -> Election {
    Election::new(name.to_owned(), TIMING)
}

/// Leads longer than others wait.
fn leads_too_long(name: &str) -> Election {
    Election { renew_deadline: Duration::from_millis(5), ..right(name) }
}

/// Leads for as long as others wait, less a tick: its last request is under way when another begins.
fn works_too_long(name: &str) -> Election {
    Election { renew_deadline: Duration::from_millis(4), ..right(name) }
}

impl World {
    fn new(make: Make) -> Self {
        let candidate =
            |name| Candidate { machine: make(name), phase: Phase::Idle, late: None, works_until: Timestamp::ZERO };
        Self { lease: None, candidates: [candidate("a"), candidate("b")] }
    }

    /// Does one hold a valid epoch while the other does, or works for an earlier one?
    fn has_two_leaders(&self) -> bool {
        let [a, b] = &self.candidates;
        let beside = |one: &Candidate, other: &Candidate| {
            one.machine.epoch(NOW).is_some() && (other.machine.epoch(NOW).is_some() || other.works_until > NOW)
        };
        beside(a, b) || beside(b, a)
    }

    /// Whoever may begin a request before the next tick does so at the last moment.
    fn work(&mut self) {
        for candidate in &mut self.candidates {
            if candidate.machine.epoch(NOW).is_some() {
                candidate.works_until = NOW + TICK + TIMING.request_timeout;
            }
        }
    }

    /// Carries out a write at the server.
    fn write(&mut self, claim: &Claim) -> Answer {
        let current = self.lease.as_ref().map(|(_, version)| *version);
        if current != claim.expected {
            return Answer::Conflict;
        }
        // Higher than every number in this world; `normal` makes it small again.
        let version = ResourceVersion(1000);
        let (holder, transitions) = (claim.holder.clone(), claim.transitions);
        let record = Record { holder, duration: TIMING.lease_duration, renewed: Some(1000), transitions };
        self.lease = Some((record, version));
        Answer::Written(version)
    }

    /// Every world that may be next.
    fn nexts(&self) -> Vec<Self> {
        let mut nexts = Vec::new();
        let mut tick = self.clone();
        tick.each_time(|time| *time = *time - TICK);
        nexts.push(tick);
        for who in 0..2 {
            for step in [Self::act, Self::reach, Self::tell, Self::give_up, Self::carry_out, Self::stop] {
                let mut next = self.clone();
                if step(&mut next, who) {
                    nexts.push(next);
                }
            }
        }
        nexts
    }

    /// The candidate does what its machine wants.
    fn act(&mut self, who: usize) -> bool {
        let candidate = &mut self.candidates[who];
        if candidate.phase != Phase::Idle {
            return false;
        }
        candidate.phase = match candidate.machine.next(NOW) {
            Next::Read => Phase::Sent(Request::Read),
            Next::Write(claim) => Phase::Sent(Request::Write(claim)),
            Next::Wait(_) | Next::Done => Phase::Idle,
        };
        true
    }

    /// The request reaches the server and is carried out.
    fn reach(&mut self, who: usize) -> bool {
        let Phase::Sent(request) = self.candidates[who].phase.clone() else { return false };
        let answer = match &request {
            Request::Read => Answer::Found(self.lease.clone()),
            Request::Write(claim) => self.write(claim),
        };
        self.candidates[who].phase = Phase::Answered(request, answer);
        true
    }

    /// The answer reaches the candidate; one that was frozen may take it long after its time-out.
    fn tell(&mut self, who: usize) -> bool {
        let candidate = &mut self.candidates[who];
        let Phase::Answered(request, answer) = std::mem::replace(&mut candidate.phase, Phase::Idle) else {
            return false;
        };
        match (request, answer) {
            (Request::Write(claim), Answer::Written(version)) => {
                let renewed = i64::try_from(version.0).unwrap();
                candidate.machine.on_written(NOW, &claim, renewed, version);
            }
            (Request::Write(_), _) => candidate.machine.on_write_failed(NOW, Failure::Conflict),
            (Request::Read, Answer::Found(found)) => candidate.machine.on_read(NOW, found),
            (Request::Read, _) => candidate.machine.on_read_failed(NOW),
        }
        true
    }

    /// The candidate waits no longer; a write that is still on its way stays there.
    fn give_up(&mut self, who: usize) -> bool {
        let candidate = &mut self.candidates[who];
        if candidate.phase == Phase::Idle {
            return false;
        }
        match std::mem::replace(&mut candidate.phase, Phase::Idle) {
            Phase::Sent(Request::Write(claim)) => {
                candidate.late = Some(claim);
                candidate.machine.on_write_failed(NOW, Failure::Unknown);
            }
            Phase::Answered(Request::Write(_), _) => candidate.machine.on_write_failed(NOW, Failure::Unknown),
            _ => candidate.machine.on_read_failed(NOW),
        }
        true
    }

    /// A write that was given up on is carried out after all.
    fn carry_out(&mut self, who: usize) -> bool {
        let late = self.candidates[who].late.take();
        late.is_some_and(|claim| self.write(&claim) != Answer::Conflict)
    }

    /// The first candidate is told to stop; that the second might as well would only show the same once more.
    fn stop(&mut self, who: usize) -> bool {
        let machine = &mut self.candidates[who].machine;
        if who != 0 || machine.stopping {
            return false;
        }
        machine.stop();
        // Whoever stops a candidate has waited for its requests.
        self.candidates[who].works_until = Timestamp::ZERO;
        true
    }

    /// Visits every time in the world.
    fn each_time(&mut self, mut visit: impl FnMut(&mut Timestamp)) {
        for candidate in &mut self.candidates {
            visit(&mut candidate.works_until);
            let machine = &mut candidate.machine;
            visit(&mut machine.leads_from);
            machine.seen.iter_mut().for_each(|(_, since)| visit(since));
            machine.epoch.iter_mut().for_each(|(_, until)| visit(until));
            visit(&mut machine.begun);
            visit(&mut machine.next_at);
        }
    }

    /// Visits every Lease in the world, and every version that is only a number.
    fn each_version(&mut self, visit: &mut dyn FnMut(&mut u64)) {
        fn record(record: &mut Record, visit: &mut dyn FnMut(&mut u64)) {
            // `renewed` is the version it was written at.
            if let Some(renewed) = &mut record.renewed {
                let mut number = u64::try_from(*renewed).unwrap();
                visit(&mut number);
                *renewed = i64::try_from(number).unwrap();
            }
            record.transitions = 0;
        }
        fn found(found: &mut Option<(Record, ResourceVersion)>, visit: &mut dyn FnMut(&mut u64)) {
            if let Some((lease, version)) = found {
                record(lease, visit);
                visit(&mut version.0);
            }
        }
        fn claim(claim: &mut Claim, visit: &mut dyn FnMut(&mut u64)) {
            claim.expected.iter_mut().for_each(|version| visit(&mut version.0));
            (claim.transitions, claim.is_taken) = (0, false);
        }
        found(&mut self.lease, visit);
        for candidate in &mut self.candidates {
            candidate.late.iter_mut().for_each(|late| claim(late, visit));
            match &mut candidate.phase {
                Phase::Idle | Phase::Sent(Request::Read) => {}
                Phase::Sent(Request::Write(sent)) => claim(sent, visit),
                Phase::Answered(request, answer) => {
                    if let Request::Write(sent) = request {
                        claim(sent, visit);
                    }
                    match answer {
                        Answer::Found(lease) => found(lease, visit),
                        Answer::Written(version) => visit(&mut version.0),
                        Answer::Conflict => {}
                    }
                }
            }
            let machine = &mut candidate.machine;
            machine.seen.iter_mut().for_each(|(lease, _)| record(lease, visit));
            machine.version.iter_mut().for_each(|version| visit(&mut version.0));
            // The number of an epoch is for people; that there is one at a time is what is searched.
            machine.epoch.iter_mut().for_each(|(token, _)| *token = 0);
        }
    }

    /// Forgets what a write says that can no longer succeed, since versions never come back.
    fn forget_the_doomed(&mut self) {
        let doomed = Claim { expected: Some(ResourceVersion(0)), holder: None, transitions: 0, is_taken: false };
        let current = self.lease.as_ref().map(|(_, version)| *version);
        for Candidate { machine, phase, late, .. } in &mut self.candidates {
            late.take_if(|claim| claim.expected != current);
            match phase {
                Phase::Sent(Request::Write(claim)) if claim.expected != current => *claim = doomed.clone(),
                Phase::Answered(Request::Write(claim), Answer::Conflict) => *claim = doomed.clone(),
                _ => {}
            }
            if machine.version.is_some_and(|version| Some(version) != current) {
                machine.version = Some(ResourceVersion(0));
            }
        }
    }

    /// The same world with small numbers: versions by their order, times that have passed for good at their earliest.
    fn normal(mut self) -> Self {
        self.forget_the_doomed();
        let mut versions = BTreeSet::new();
        self.each_version(&mut |version| {
            versions.insert(*version);
        });
        let order: Vec<u64> = versions.into_iter().collect();
        self.each_version(&mut |version| *version = 1 + u64::try_from(order.partition_point(|v| v < version)).unwrap());
        self.work();
        for Candidate { machine, phase, works_until, .. } in &mut self.candidates {
            // What is over is over, however long ago.
            *works_until = (*works_until).max(NOW);
            machine.leads_from = machine.leads_from.max(NOW);
            machine.epoch.take_if(|(_, until)| *until <= NOW);
            // Pauses only keep a candidate from doing what it may do at any time here.
            machine.next_at = NOW;
            // When a request was begun matters only where an epoch will count from it.
            let counts = matches!(
                phase,
                Phase::Sent(Request::Write(_)) | Phase::Answered(Request::Write(_), Answer::Written(_))
            );
            machine.begun = if counts { machine.begun.max(NOW - machine.renew_deadline) } else { NOW };
            if !machine.is_known {
                machine.version = None;
            }
            // Since when a Lease is the way it is matters only where somebody else holds it.
            let me = machine.identity.as_str();
            if let Some((record, since)) = &mut machine.seen {
                let theirs = record.holder.as_deref().is_some_and(|holder| holder != me);
                *since = if theirs { (*since).max(NOW - TIMING.lease_duration) } else { NOW };
            }
        }
        self
    }
}

/// Visits all worlds; returns how many there are, or the nearest in which two lead.
fn search(make: Make) -> Result<usize, Box<World>> {
    // 64 bits stand for a world: of a million, two are taken for one with a chance of one in thirty million.
    let digest = |world: &World| {
        let mut hasher = DefaultHasher::new();
        world.hash(&mut hasher);
        hasher.finish()
    };
    let mut seen = BTreeSet::new();
    let mut waiting = VecDeque::from([World::new(make).normal()]);
    while let Some(world) = waiting.pop_front() {
        if world.has_two_leaders() {
            return Err(Box::new(world));
        }
        for next in world.nexts().into_iter().map(World::normal) {
            if seen.insert(digest(&next)) {
                waiting.push_back(next);
            }
        }
    }
    Ok(seen.len())
}

#[test]
fn of_all_interleavings_none_has_two_leaders() {
    let worlds = search(right).unwrap_or_else(|world| panic!("two lead: {world:#?}"));
    assert!(worlds > 10_000, "the search went astray: {worlds} worlds");
}

#[test]
fn the_search_finds_two_leaders_where_the_rule_is_broken() {
    assert!(search(leads_too_long).is_err());
    assert!(search(works_too_long).is_err());
}
