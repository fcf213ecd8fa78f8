use std::time::Duration;

use super::*;
use crate::{Claims, LeaseWrite, RenewFailure, SeenLease};

mod sequences;

const OWN: &str = "own";
const INCARNATION: &str = "life-2";

fn at(millis: u64) -> Timestamp {
    Timestamp::from_millis(1_000_000 + millis)
}

fn vip(n: u8) -> IpAddr {
    IpAddr::from([192, 0, 2, n])
}

fn vips<const N: usize>(numbers: [u8; N]) -> BTreeSet<IpAddr> {
    numbers.map(vip).into()
}

fn lease(node: &str, version: u64, holder: &str, claims: &str) -> SeenLease {
    SeenLease {
        node: node.into(),
        version: ResourceVersion(version),
        holder: (!holder.is_empty()).then(|| Incarnation(holder.to_owned())),
        renewed: version.to_string(),
        transitions: 1,
        ready: true,
        macs: BTreeSet::new(),
        claims: Claims::parse(claims).0,
    }
}

/// A machine, its outputs taken as they come, and the version its Lease has on the server.
struct Rig {
    machine: Membership,
    outputs: Vec<Output>,
    version: u64,
}

impl Rig {
    fn new() -> Self {
        let config =
            Config { node: OWN.into(), incarnation: Incarnation(INCARNATION.to_owned()), timing: Timing::lease() };
        let mut rig = Self { machine: Membership::new(config), outputs: Vec::new(), version: 100 };
        rig.tick(0);
        rig
    }

    fn take(&mut self) {
        self.outputs.extend(std::iter::from_fn(|| self.machine.poll_output()));
    }

    fn tick(&mut self, millis: u64) {
        self.machine.handle_timeout(at(millis));
        self.take();
    }

    fn tell(&mut self, millis: u64, input: Input) {
        self.machine.handle_input(at(millis), input);
        self.take();
    }

    fn listed(&mut self, millis: u64, leases: &[SeenLease]) {
        self.tell(millis, Input::Listed { started: at(millis), leases: leases.to_vec() });
    }

    fn renewed(&mut self, millis: u64) {
        self.version += 1;
        self.tell(millis, Input::Renewed { version: ResourceVersion(self.version) });
    }

    /// The last write asked for.
    fn write(&self) -> &LeaseWrite {
        let writes =
            self.outputs.iter().rev().find_map(|o| if let Output::Renew(write) = o { Some(write) } else { None });
        writes.expect("a write")
    }

    fn count(&self, which: impl Fn(&Output) -> bool) -> usize {
        self.outputs.iter().filter(|o| which(o)).count()
    }

    fn notices(&self) -> Vec<&'static str> {
        let category = |o: &Output| if let Output::Notice(notice) = o { Some(notice.category()) } else { None };
        self.outputs.iter().filter_map(category).collect()
    }

    /// One that holds its Lease since 0 ms and may claim, at 3000 ms.
    fn member() -> Self {
        let mut rig = Self::new();
        rig.tell(0, Input::Ready(true));
        rig.listed(0, &[]);
        for millis in [0, 1000, 2000, 3000] {
            rig.tick(millis);
            rig.renewed(millis);
        }
        rig.outputs.clear();
        rig
    }

    /// One that owns vip 1, at 3000 ms.
    fn owner() -> Self {
        let mut rig = Self::member();
        rig.tell(3000, Input::Wanted(vips([1])));
        rig.renewed(3000);
        rig.listed(3000, &[]);
        assert_eq!(rig.machine.may_answer(), vips([1]));
        rig.outputs.clear();
        rig
    }

    /// Runs with renewals that are written and lists that show these, until `to`.
    fn go_on(&mut self, from: u64, to: u64, others: &[SeenLease]) {
        for millis in (from..=to).step_by(100) {
            self.tick(millis);
            for output in std::mem::take(&mut self.outputs) {
                match output {
                    Output::Renew(_) => self.renewed(millis),
                    Output::List => self.listed(millis, others),
                    other => self.outputs.push(other),
                }
            }
        }
    }
}

fn is_renew(output: &Output) -> bool {
    matches!(output, Output::Renew(_))
}

fn is_list(output: &Output) -> bool {
    matches!(output, Output::List)
}

#[test]
fn it_lists_first_and_writes_only_once_ready() {
    let mut rig = Rig::new();
    assert_eq!(rig.outputs, [Output::List]);
    rig.listed(10, &[lease(OWN, 50, "life-1", "192.0.2.1@4")]);
    assert_eq!(rig.count(is_renew), 0, "an older process may still hold it");
    rig.tell(20, Input::Ready(true));
    let write = rig.write();
    assert_eq!((write.expected, write.transitions), (Some(ResourceVersion(50)), 2));
    assert_eq!((write.claims.to_string().as_str(), write.ready), ("192.0.2.1@4", true), "it goes on with its claims");
    assert_eq!(rig.machine.standing(), Standing::Outside);
}

#[test]
fn a_claim_is_answered_once_it_is_written_and_then_confirmed() {
    let mut rig = Rig::member();
    rig.tell(3000, Input::Wanted(vips([1])));
    assert_eq!(rig.write().claims.to_string(), "192.0.2.1@1");
    assert_eq!(rig.machine.may_answer(), vips([]));
    rig.listed(3005, &[]);
    assert_eq!(rig.machine.may_answer(), vips([]), "a list begun before the write was acknowledged proves nothing");
    rig.renewed(3010);
    assert_eq!((rig.machine.may_answer(), rig.count(is_list)), (vips([]), 1));
    rig.tell(3020, Input::Listed { started: at(3009), leases: vec![] });
    assert_eq!(rig.machine.may_answer(), vips([]));
    rig.tell(3020, Input::Listed { started: at(3010), leases: vec![] });
    assert_eq!(rig.machine.may_answer(), vips([1]));
    assert_eq!(rig.notices(), ["Gained"]);
}

#[test]
fn nothing_new_is_claimed_before_others_had_time_to_be_seen() {
    let mut rig = Rig::new();
    rig.tell(0, Input::Ready(true));
    rig.listed(0, &[]);
    rig.renewed(0);
    rig.tell(10, Input::Wanted(vips([1])));
    rig.go_on(100, 2900, &[]);
    assert!(rig.machine.claims().0.is_empty());
    rig.go_on(3000, 3200, &[]);
    assert_eq!(rig.machine.may_answer(), vips([1]));
}

#[test]
fn a_takeover_is_one_epoch_above_the_highest_ever_seen() {
    let mut rig = Rig::member();
    rig.tell(3000, Input::Lease(lease("b", 900, "b", "192.0.2.1@7")));
    rig.tell(3000, Input::Lease(lease("b", 901, "", "")));
    rig.tell(3010, Input::Wanted(vips([1])));
    assert_eq!(rig.write().claims.to_string(), "192.0.2.1@8");
}

#[test]
fn what_somebody_alive_claims_is_left_alone() {
    let mut rig = Rig::member();
    rig.tell(3000, Input::Lease(lease("b", 900, "b", "192.0.2.1@7")));
    rig.tell(3010, Input::Wanted(vips([1])));
    assert!(rig.machine.claims().0.is_empty());
    rig.go_on(3100, 6900, &[lease("b", 900, "b", "192.0.2.1@7")]);
    assert!(rig.machine.claims().0.is_empty());
    rig.go_on(7000, 7200, &[lease("b", 900, "b", "192.0.2.1@7")]);
    assert_eq!(rig.machine.may_answer(), vips([1]));
    assert_eq!(rig.notices(), ["Expired", "Gained"]);
}

#[test]
fn the_winner_waits_until_the_loser_has_written_its_claim_away() {
    let mut rig = Rig::member();
    rig.tell(3000, Input::Wanted(vips([1])));
    rig.tell(3001, Input::Lease(lease("b", 900, "b", "192.0.2.1@0")));
    rig.renewed(3010);
    rig.listed(3020, &[lease("b", 900, "b", "192.0.2.1@0")]);
    assert_eq!(rig.machine.may_answer(), vips([]), "it may still be answering");
    rig.tell(3030, Input::Lease(lease("b", 901, "b", "")));
    assert_eq!(rig.machine.may_answer(), vips([1]));
}

#[test]
fn the_loser_stops_before_it_writes_its_claim_away() {
    let mut rig = Rig::owner();
    rig.tell(3100, Input::Lease(lease("b", 900, "b", "192.0.2.1@2")));
    let order: Vec<&Output> = rig.outputs.iter().filter(|o| !matches!(o, Output::Notice(_))).collect();
    assert_eq!(order[0], &Output::StopAnswering(vips([1])));
    assert!(matches!(order[1], Output::Renew(write) if write.claims.0.is_empty()), "{order:?}");
    assert_eq!(rig.machine.owners().get(&vip(1)), Some(&"b".into()));
}

#[test]
fn a_member_heard_on_the_wire_silences_until_a_list_has_judged() {
    for (shown, want) in [(vec![], vips([1])), (vec![lease("b", 900, "b", "192.0.2.1@2")], vips([]))] {
        let mut rig = Rig::owner();
        rig.tell(3100, Input::ForeignClaim { vip: vip(1), member: "b".into() });
        assert_eq!(rig.outputs[0], Output::StopAnswering(vips([1])));
        assert_eq!((rig.machine.may_answer(), rig.count(is_list)), (vips([]), 1));
        rig.listed(3120, &shown);
        assert_eq!(rig.machine.may_answer(), want);
    }
    let mut rig = Rig::owner();
    rig.tell(3100, Input::ForeignClaim { vip: vip(9), member: "b".into() });
    assert!(rig.outputs.is_empty(), "what is not ours is nobody's business");
}

#[test]
fn what_is_not_wanted_any_more_is_given_up() {
    let mut rig = Rig::owner();
    rig.tell(3100, Input::Wanted(vips([])));
    assert_eq!(rig.outputs[0], Output::StopAnswering(vips([1])));
    assert!(rig.write().claims.0.is_empty());
    rig.renewed(3110);
    rig.tell(3200, Input::Wanted(vips([1])));
    assert_eq!(rig.write().claims.to_string(), "192.0.2.1@2", "a new claim is a new epoch");
}

#[test]
fn a_speaker_that_cannot_answer_any_more_claims_nothing() {
    let mut rig = Rig::owner();
    rig.tell(3100, Input::Ready(false));
    assert_eq!(rig.outputs[0], Output::StopAnswering(vips([1])));
    assert!(!rig.write().ready && rig.write().claims.0.is_empty());
    assert!(rig.machine.candidates().is_empty());
}

#[test]
fn in_an_outage_it_goes_on_and_nobody_expires() {
    let mut rig = Rig::owner();
    rig.tell(3000, Input::Lease(lease("b", 900, "b", "192.0.2.2@1")));
    for millis in (3100..60_000).step_by(100) {
        rig.tick(millis);
        for output in std::mem::take(&mut rig.outputs) {
            match output {
                Output::Renew(_) => rig.tell(millis, Input::RenewFailed(RenewFailure::Unreachable)),
                Output::List => rig.tell(millis, Input::ListFailed),
                other => rig.outputs.push(other),
            }
        }
        assert!(rig.machine.valid_until().is_some_and(|until| until > at(millis)), "{millis}");
    }
    assert!(rig.machine.is_frozen());
    assert_eq!(rig.machine.alive().count(), 1);
    assert_eq!((rig.machine.may_answer(), rig.notices()), (vips([1]), vec!["Frozen"]));
    // It is back: b may find it later than we did, and has `outage_return` before it counts as dead.
    rig.go_on(60_000, 129_900, &[lease("b", 900, "b", "192.0.2.2@1")]);
    assert_eq!(rig.machine.alive().count(), 1);
    rig.go_on(130_000, 130_200, &[lease("b", 900, "b", "192.0.2.2@1")]);
    assert_eq!(rig.machine.alive().count(), 0);
    assert_eq!(rig.notices(), ["Frozen", "Thawed", "Expired"]);
}

#[test]
fn alone_without_renewals_it_stops_before_others_take_over() {
    for failure in [RenewFailure::Unreachable, RenewFailure::Refused] {
        let mut rig = Rig::owner();
        let mut lapsed_at = None;
        for millis in (3100..8000).step_by(100) {
            rig.tick(millis);
            for output in std::mem::take(&mut rig.outputs) {
                match output {
                    Output::Renew(_) => rig.tell(millis, Input::RenewFailed(failure)),
                    Output::List => rig.listed(millis, &[lease("b", 900 + millis, "b", "")]),
                    Output::Notice(Notice::Lapsed) => lapsed_at = Some(millis),
                    _ => {}
                }
            }
        }
        assert_eq!(lapsed_at, Some(6500), "{failure:?}: 3.5 s after the last renewal was sent");
        assert_eq!((rig.machine.may_answer(), rig.machine.valid_until()), (vips([]), None));
    }
}

#[test]
fn a_process_that_was_stopped_answers_nothing_until_renewed_and_confirmed() {
    let mut rig = Rig::owner();
    assert_eq!(rig.machine.valid_until(), Some(at(6500)), "what answers frames looks at this by itself");
    rig.tick(20_000);
    assert_eq!(rig.outputs[0], Output::StopAnswering(vips([1])));
    assert_eq!((rig.machine.may_answer(), rig.machine.valid_until()), (vips([]), None));
    rig.listed(20_010, &[]);
    assert_eq!(rig.machine.may_answer(), vips([]), "not before it is renewed");
    rig.renewed(20_020);
    assert_eq!(rig.machine.may_answer(), vips([]), "nor before the claims are read again");
    rig.listed(20_030, &[]);
    assert_eq!(rig.machine.may_answer(), vips([1]), "nobody took it: it is still ours");
}

#[test]
fn another_process_of_the_node_takes_over_and_the_old_one_is_silent_for_good() {
    let mut rig = Rig::owner();
    rig.tell(3100, Input::Lease(lease(OWN, 500, "life-3", "192.0.2.1@1")));
    assert_eq!(rig.outputs[0], Output::StopAnswering(vips([1])));
    assert_eq!(rig.machine.standing(), Standing::Superseded);
    rig.outputs.clear();
    for millis in (3200..20_000).step_by(100) {
        rig.tick(millis);
    }
    assert!(rig.outputs.is_empty() && rig.machine.poll_timeout().is_none());
    rig.tell(20_000, Input::Shutdown);
    assert_eq!(rig.outputs, [Output::Left], "the Lease is not released: it is the new process's");
}

#[test]
fn what_came_late_of_the_old_process_supersedes_nobody() {
    let mut rig = Rig::owner();
    rig.tell(3100, Input::Lease(lease(OWN, 99, "life-1", "")));
    assert_eq!((rig.machine.standing(), rig.machine.may_answer()), (Standing::Member, vips([1])));
}

#[test]
fn leaving_stops_first_then_releases() {
    let mut rig = Rig::owner();
    rig.tell(3100, Input::Shutdown);
    assert_eq!(rig.outputs[0], Output::StopAnswering(vips([1])));
    let write = rig.write();
    assert_eq!((write.holder.clone(), write.ready, write.claims.0.len()), (None, false, 0));
    assert_eq!(rig.count(|o| *o == Output::Left), 0);
    rig.renewed(3110);
    assert_eq!(rig.count(|o| *o == Output::Left), 1);
    assert_eq!(rig.machine.standing(), Standing::Left);
}

#[test]
fn leaving_waits_for_the_write_under_way_and_is_tried_again() {
    let mut rig = Rig::owner();
    rig.tick(4000);
    rig.outputs.clear();
    rig.tell(4010, Input::Shutdown);
    assert_eq!(rig.count(is_renew), 0);
    rig.tell(4020, Input::RenewFailed(RenewFailure::Unreachable));
    rig.tick(4270);
    assert_eq!(rig.write().holder, None);
    rig.tell(4280, Input::RenewFailed(RenewFailure::Conflict));
    rig.listed(4290, &[lease(OWN, 700, INCARNATION, "")]);
    assert_eq!(rig.write().expected, Some(ResourceVersion(700)));
    rig.renewed(4300);
    assert_eq!(rig.machine.standing(), Standing::Left);
}

#[test]
fn who_never_held_the_lease_leaves_it_alone() {
    let mut rig = Rig::new();
    rig.listed(0, &[lease(OWN, 50, "life-1", "")]);
    rig.tell(10, Input::Shutdown);
    assert_eq!(rig.outputs.last(), Some(&Output::Left));

    // Told to end while the first write is under way: it is read whose the Lease is.
    for (shown, releases) in [("life-1", false), (INCARNATION, true)] {
        let mut rig = Rig::new();
        rig.listed(0, &[lease(OWN, 50, "life-1", "")]);
        rig.tell(10, Input::Ready(true));
        rig.tell(20, Input::Shutdown);
        rig.tell(30, Input::RenewFailed(RenewFailure::Unreachable));
        rig.outputs.clear();
        rig.listed(40, &[lease(OWN, 51, shown, "")]);
        assert_eq!(rig.count(is_renew), usize::from(releases), "{shown}");
        assert_eq!(rig.count(|o| *o == Output::Left), usize::from(!releases), "{shown}");
    }
}

#[test]
fn a_conflict_is_read_before_it_is_written_again() {
    let mut rig = Rig::owner();
    rig.tick(4000);
    rig.outputs.clear();
    rig.tell(4010, Input::RenewFailed(RenewFailure::Conflict));
    assert_eq!((rig.count(is_renew), rig.count(is_list)), (0, 1));
    rig.listed(4020, &[lease(OWN, 700, INCARNATION, "192.0.2.1@1")]);
    assert_eq!(rig.write().expected, Some(ResourceVersion(700)));
    rig.version = 700;
    rig.renewed(4030);
    assert_eq!(rig.machine.may_answer(), vips([1]), "it was our own write, whose answer was lost");
}

#[test]
fn a_deleted_lease_is_written_anew_at_once() {
    let mut rig = Rig::owner();
    rig.tell(3500, Input::LeaseGone { node: OWN.into(), version: ResourceVersion(800) });
    assert_eq!(rig.write().expected, None);
    assert_eq!(rig.write().claims.to_string(), "192.0.2.1@1");
}

#[test]
fn a_restarted_speaker_goes_on_with_what_nobody_else_has_taken() {
    let mut rig = Rig::new();
    rig.tell(0, Input::Ready(true));
    rig.listed(0, &[lease(OWN, 50, "life-1", "192.0.2.1@1,192.0.2.2@1"), lease("b", 60, "b", "192.0.2.2@2")]);
    assert_eq!(rig.write().claims.to_string(), "192.0.2.1@1");
    rig.renewed(10);
    rig.tell(20, Input::Wanted(vips([1])));
    rig.listed(30, &[lease("b", 61, "b", "192.0.2.2@2")]);
    assert_eq!(rig.machine.may_answer(), vips([1]));
}

#[test]
fn wishes_from_before_the_list_do_not_give_up_what_it_showed() {
    let mut rig = Rig::new();
    rig.tell(0, Input::Ready(true));
    rig.tell(0, Input::Wanted(vips([])));
    rig.listed(10, &[lease(OWN, 50, "life-1", "192.0.2.1@1")]);
    assert_eq!(rig.write().claims.to_string(), "192.0.2.1@1");
}

#[test]
fn a_lease_takes_only_as_many_claims_as_it_has_room_for() {
    let mut rig = Rig::member();
    let many: BTreeSet<IpAddr> = (0..40_000_u32).map(|n| IpAddr::V4((0x0a00_0000 + n).into())).collect();
    rig.tell(3000, Input::Wanted(many));
    let text = rig.write().claims.to_string();
    assert!((200_000..=229_376).contains(&text.len()), "{}", text.len());
    assert_eq!(rig.machine.left_out() + rig.machine.claims().0.len(), 40_000);
    assert_eq!(rig.notices(), ["ClaimsFull"]);
}

#[test]
fn time_that_goes_backwards_is_taken_as_standing_still() {
    let mut rig = Rig::owner();
    rig.tick(0);
    assert_eq!((rig.machine.may_answer(), rig.machine.valid_until()), (vips([1]), Some(at(6500))));
}

#[test]
fn it_never_asks_to_be_called_in_the_past_for_ever() {
    // Called whenever it asks to be, it makes progress: no more than a few calls at one moment.
    let mut rig = Rig::owner();
    let mut now = at(3000);
    let (mut calls, mut at_once) = (0, 0);
    while now < at(63_000) {
        let due = rig.machine.poll_timeout().expect("a member is always waiting for something");
        at_once = if due <= now { at_once + 1 } else { 0 };
        assert!(at_once < 3, "{due} at {now}");
        now = now.max(due);
        rig.machine.handle_timeout(now);
        rig.take();
        for output in std::mem::take(&mut rig.outputs) {
            match output {
                Output::Renew(_) => rig.machine.handle_input(now, Input::RenewFailed(RenewFailure::Unreachable)),
                Output::List => rig.machine.handle_input(now, Input::ListFailed),
                _ => {}
            }
        }
        calls += 1;
    }
    assert!(calls < 60 * 20, "{calls} calls in a minute");
    assert!(now.since(at(0)) > Duration::from_secs(60));
}
