use super::*;

const TIMING: Timing = Timing {
    lease_duration: Duration::from_secs(15),
    renew_deadline: Duration::from_secs(10),
    retry_period: Duration::from_secs(2),
    request_timeout: Duration::from_secs(4),
};

fn at(seconds: u64) -> Timestamp {
    Timestamp::from_millis(seconds * 1000)
}

fn candidate() -> Election {
    Election::new("me".to_owned(), TIMING)
}

fn held_by(holder: Option<&str>, renewed: i64, transitions: i32) -> Record {
    Record { holder: holder.map(str::to_owned), duration: Duration::from_secs(15), renewed: Some(renewed), transitions }
}

fn wanted(next: Next) -> Claim {
    match next {
        Next::Write(claim) => claim,
        other => panic!("wanted a write, got {other:?}"),
    }
}

/// A candidate that leads since `now`.
fn leader(now: Timestamp) -> Election {
    let mut election = candidate();
    assert_eq!(election.next(now), Next::Read);
    election.on_read(now, None);
    let claim = wanted(election.next(now));
    election.on_written(now, &claim, 1, ResourceVersion(1));
    election.leads_from = now;
    election
}

#[test]
fn the_default_timing_is_safe_and_others_are_refused() {
    assert_eq!(Timing::default().check(), Ok(TIMING));
    let seconds = Duration::from_secs;
    assert!(Timing { request_timeout: seconds(5), ..TIMING }.check().is_err());
    assert!(Timing { lease_duration: seconds(14), ..TIMING }.check().is_err());
    assert!(Timing { retry_period: seconds(5), ..TIMING }.check().is_err());
    assert!(Timing { retry_period: seconds(0), ..TIMING }.check().is_err());
}

#[test]
fn a_lease_that_is_not_there_is_created() {
    let mut election = candidate();
    assert_eq!(election.next(at(1)), Next::Read);
    election.on_read(at(1), None);
    let claim = wanted(election.next(at(1)));
    assert_eq!(claim, Claim { expected: None, holder: Some("me".to_owned()), transitions: 0, is_taken: true });
    assert_eq!(election.epoch(at(1)), None, "not before it is acknowledged");
    election.on_written(at(2), &claim, 1, ResourceVersion(1));
    assert_eq!(election.next(at(2)), Next::Wait(at(3)));
    // Somebody may have deleted it under a leader, who tries to renew it within a period and has an answer one time-out later.
    for moment in [3, 5] {
        let renewal = wanted(election.next(at(moment)));
        election.on_written(at(moment), &renewal, 1, ResourceVersion(moment));
        assert_eq!(election.epoch(at(moment)), None);
    }
    assert_eq!(election.next(at(6)), Next::Wait(at(7)));
    assert_eq!(election.epoch(at(7)), Some(Epoch { token: 0, valid_until: at(15) }), "from the begin of the request");
    assert_eq!(election.epoch(at(15)), None);
}

#[test]
fn whoever_creates_the_lease_waits_also_when_the_answer_is_lost() {
    let mut election = candidate();
    election.next(at(0));
    election.on_read(at(0), None);
    wanted(election.next(at(0)));
    election.on_write_failed(at(1), Failure::Unknown);
    assert_eq!(election.next(at(3)), Next::Read);
    election.on_read(at(3), Some((held_by(Some("me"), 1, 0), ResourceVersion(1))));
    let renewal = wanted(election.next(at(3)));
    election.on_written(at(3), &renewal, 2, ResourceVersion(2));
    assert_eq!((election.epoch(at(5)), election.epoch(at(6)).map(|e| e.token)), (None, Some(0)));
}

/// A request under way: when its answer comes, and what it says.
struct Waiting {
    until: u64,
    asked: Next,
    done: Result<(), Failure>,
    found: Option<(Record, ResourceVersion)>,
}

/// A leader, its Lease deleted at some moment, and a candidate that never saw it: what each wants is carried out, and takes as long
/// as a request may take. Does the second ever lead beside the first?
fn two_lead_after_a_deletion(deleted: u64, started: u64, creation_wait: Duration) -> bool {
    let mut lease = None;
    let mut version = 0;
    let mut both: [Election; 2] = [candidate(), candidate()];
    both[1].identity = "other".to_owned();
    both[1].creation_wait = creation_wait;
    let mut waiting: [Option<Waiting>; 2] = [None, None];
    for now in 0..60 {
        if now == deleted {
            lease = None;
        }
        for who in 0..2 {
            let election = &mut both[who];
            if who == 1 && now < started {
                continue;
            }
            if waiting[who].as_ref().is_some_and(|waiting| now < waiting.until) {
                continue;
            }
            if let Some(Waiting { asked, done, found, .. }) = waiting[who].take() {
                match (asked, done) {
                    (Next::Write(claim), Ok(())) => {
                        let (record, version) = found.unwrap();
                        election.on_written(at(now), &claim, record.renewed.unwrap(), version);
                    }
                    (Next::Write(_), Err(failure)) => election.on_write_failed(at(now), failure),
                    (_, _) => election.on_read(at(now), found),
                }
            }
            let next = election.next(at(now));
            let current = lease.as_ref().map(|(_, version): &(Record, ResourceVersion)| *version);
            let done = match &next {
                Next::Wait(_) | Next::Done => continue,
                Next::Write(claim) if claim.expected != current => Err(Failure::Conflict),
                Next::Write(claim) => {
                    version += 1;
                    let renewed = i64::try_from(version).unwrap();
                    lease =
                        Some((held_by(claim.holder.as_deref(), renewed, claim.transitions), ResourceVersion(version)));
                    Ok(())
                }
                Next::Read => Ok(()),
            };
            waiting[who] = Some(Waiting { until: now + 1, asked: next, done, found: lease.clone() });
        }
        if both.iter().all(|election| election.epoch(at(now)).is_some()) {
            return true;
        }
    }
    assert!(both[1].epoch(at(59)).is_some() || both[0].epoch(at(59)).is_some(), "nobody leads in the end");
    false
}

#[test]
fn a_deleted_lease_makes_no_second_leader_where_the_api_server_answers() {
    let tries = || (10_u64..20).flat_map(|deleted| (0..6).map(move |later| (deleted, deleted + later)));
    let wait = candidate().creation_wait;
    assert!(tries().all(|(deleted, started)| !two_lead_after_a_deletion(deleted, started, wait)));
    // Without the wait there are two.
    assert!(tries().any(|(deleted, started)| two_lead_after_a_deletion(deleted, started, Duration::ZERO)));
}

#[test]
fn a_hint_makes_a_candidate_look_at_once_but_not_ever_so_often() {
    let mut election = candidate();
    election.next(at(0));
    election.on_read(at(0), Some((held_by(Some("other"), 1, 0), ResourceVersion(1))));
    assert_eq!(election.next(at(0)), Next::Wait(at(2)));
    election.hint(at(1));
    assert_eq!(election.next(at(1)), Next::Read);
    election.on_read(at(1), Some((held_by(Some("other"), 2, 0), ResourceVersion(2))));
    assert_eq!(election.next(at(1)), Next::Wait(at(3)));
    election.hint(at(1));
    assert_eq!(election.next(at(1)), Next::Wait(Timestamp::from_millis(1200)), "a tenth of a period after the last");
    // A leader knows what it wrote, and renews in its own time.
    let mut leader = leader(at(0));
    leader.hint(at(1));
    assert_eq!(leader.next(at(1)), Next::Wait(at(2)));
}

#[test]
fn a_leader_renews_without_reading_and_keeps_its_token() {
    let mut election = leader(at(1));
    let claim = wanted(election.next(at(3)));
    assert_eq!(
        claim,
        Claim { expected: Some(ResourceVersion(1)), holder: Some("me".to_owned()), transitions: 0, is_taken: false }
    );
    election.on_written(at(3), &claim, 2, ResourceVersion(2));
    assert_eq!(election.epoch(at(3)), Some(Epoch { token: 0, valid_until: at(13) }));
}

#[test]
fn somebody_elses_lease_is_taken_when_it_has_not_changed_for_its_duration() {
    let mut election = candidate();
    assert_eq!(election.next(at(0)), Next::Read);
    election.on_read(at(1), Some((held_by(Some("other"), 100, 4), ResourceVersion(7))));
    assert_eq!(election.next(at(1)), Next::Wait(at(3)));
    // It is renewed once more, seen at 9.
    assert_eq!(election.next(at(9)), Next::Read);
    election.on_read(at(9), Some((held_by(Some("other"), 101, 4), ResourceVersion(8))));
    for moment in [11, 14, 20] {
        assert!(matches!(election.next(at(moment)), Next::Wait(_)));
        election.is_known = false;
        election.next_at = at(moment);
        assert_eq!(election.next(at(moment)), Next::Read);
        election.on_read(at(moment), Some((held_by(Some("other"), 101, 4), ResourceVersion(8))));
    }
    // The next look is at its expiry, not a whole period later.
    assert_eq!(election.next(at(23)), Next::Wait(at(24)));
    assert_eq!(election.next(at(24)), Next::Read);
    election.on_read(at(24), Some((held_by(Some("other"), 101, 4), ResourceVersion(8))));
    let claim = wanted(election.next(at(24)));
    assert_eq!(
        claim,
        Claim { expected: Some(ResourceVersion(8)), holder: Some("me".to_owned()), transitions: 5, is_taken: true }
    );
}

#[test]
fn a_longer_duration_in_the_lease_is_respected() {
    let mut election = candidate();
    election.next(at(0));
    let patient = Record { duration: Duration::from_secs(60), ..held_by(Some("other"), 1, 0) };
    election.on_read(at(0), Some((patient.clone(), ResourceVersion(7))));
    assert!(!election.is_free(at(59)) && election.is_free(at(60)));
    let hasty = Record { duration: Duration::from_secs(1), ..patient };
    election.on_read(at(60), Some((hasty, ResourceVersion(8))));
    assert!(!election.is_free(at(74)) && election.is_free(at(75)));
}

#[test]
fn a_lease_that_was_given_back_is_taken_at_once() {
    let mut election = candidate();
    election.next(at(0));
    election.on_read(at(0), Some((held_by(None, 1, 3), ResourceVersion(9))));
    assert_eq!(wanted(election.next(at(0))).transitions, 4);
}

#[test]
fn a_lease_deleted_under_its_holder_is_not_taken_before_the_holders_time_is_over() {
    let mut election = candidate();
    election.next(at(0));
    election.on_read(at(0), Some((held_by(Some("other"), 1, 3), ResourceVersion(9))));
    assert!(matches!(election.next(at(0)), Next::Wait(_)));
    assert_eq!(election.next(at(14)), Next::Read);
    election.on_read(at(14), None);
    assert_eq!(election.next(at(14)), Next::Wait(at(15)));
    assert_eq!(election.next(at(15)), Next::Read);
    election.on_read(at(15), None);
    let claim = wanted(election.next(at(15)));
    assert_eq!((claim.expected, claim.transitions), (None, 4));
}

#[test]
fn a_write_under_way_when_stopping_makes_no_leader() {
    let mut election = candidate();
    election.next(at(0));
    election.on_read(at(0), None);
    let claim = wanted(election.next(at(0)));
    election.stop();
    election.on_written(at(1), &claim, 1, ResourceVersion(1));
    assert_eq!(election.epoch(at(1)), None);
    assert_eq!(wanted(election.next(at(1))).holder, None, "what it got after all, it gives back");
}

#[test]
fn a_leader_that_is_refused_looks_at_once_and_steps_down_before_another() {
    let mut election = leader(at(0));
    assert!(matches!(election.next(at(2)), Next::Write(_)));
    election.on_write_failed(at(2), Failure::Conflict);
    assert_eq!(election.epoch(at(2)).map(|e| e.valid_until), Some(at(10)), "its time was promised by the last renewal");
    assert_eq!(election.next(at(2)), Next::Read);
    election.on_read(at(2), Some((held_by(Some("other"), 5, 1), ResourceVersion(3))));
    assert_eq!(election.epoch(at(2)), None);

    let mut election = leader(at(0));
    election.next(at(2));
    election.on_write_failed(at(2), Failure::Conflict);
    election.next(at(2));
    election.on_read(at(2), None);
    assert_eq!(election.epoch(at(2)), None, "a Lease that somebody deleted may be anybody's");
}

#[test]
fn a_renewal_that_got_no_answer_is_looked_up_and_renewed() {
    let mut election = leader(at(0));
    let claim = wanted(election.next(at(2)));
    election.on_write_failed(at(6), Failure::Unknown);
    assert_eq!(election.next(at(8)), Next::Read);
    // It had been written after all.
    election.on_read(at(8), Some((held_by(Some("me"), 2, 0), ResourceVersion(2))));
    assert_eq!(
        election.epoch(at(8)).map(|e| e.valid_until),
        Some(at(10)),
        "a renewal counts only once it is acknowledged"
    );
    let again = wanted(election.next(at(8)));
    assert_eq!(
        (again.expected, again.transitions, again.is_taken),
        (Some(ResourceVersion(2)), claim.transitions, false)
    );
}

#[test]
fn without_an_answer_a_leader_is_deposed_by_time_alone() {
    let mut election = leader(at(0));
    election.next(at(2));
    assert!(election.epoch(at(9)).is_some());
    assert_eq!(election.epoch(at(10)), None);
    election.on_write_failed(at(10), Failure::Unknown);
    assert_eq!(election.epoch(at(10)), None);
}

#[test]
fn stopping_gives_back_what_is_ours_and_only_that() {
    let mut election = leader(at(0));
    election.stop();
    assert_eq!(election.epoch(at(1)), None);
    let claim = wanted(election.next(at(1)));
    assert_eq!((claim.holder.clone(), claim.expected), (None, Some(ResourceVersion(1))));
    election.on_written(at(1), &claim, 2, ResourceVersion(2));
    assert_eq!(election.next(at(1)), Next::Done);

    let mut election = candidate();
    election.next(at(0));
    election.on_read(at(0), Some((held_by(Some("other"), 1, 0), ResourceVersion(1))));
    election.stop();
    assert_eq!(election.next(at(0)), Next::Done);
}
