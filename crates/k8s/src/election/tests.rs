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
    assert_eq!(election.epoch(at(2)), Some(Epoch { token: 0, valid_until: at(11) }), "from the begin of the request");
    assert_eq!(election.epoch(at(11)), None);
    assert_eq!(election.next(at(2)), Next::Wait(at(3)));
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
