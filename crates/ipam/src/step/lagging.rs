//! The controller against a model of the API server, through a watch that lags.
//!
//! Requests wait before they are sent, answers are late or never come, some requests are carried out after they were given up, the
//! leader changes, and the user goes on changing things. At every write that the server accepts: no two Services get one address
//! against the rules, and nothing moves but by the user's doing. In the end all is quiet and everything is shown as it is.

use ironlb_model::IngressAddress;
use proptest::prelude::*;
use proptest::test_runner::Config;

use crate::ADDRESS_ASSIGNED;
use crate::testing::*;

mod world;

use world::{World, id};

/// What happens next.
#[derive(Debug, Clone)]
enum Op {
    /// The user creates a Service, or nothing if it is there.
    Create { who: u8, wish: Option<u8>, port: u16 },
    /// The user deletes it.
    Delete { who: u8 },
    /// The user changes its wish.
    Wish { who: u8, wish: Option<u8> },
    /// The user opts it in or out.
    OptIn { who: u8, is_in: bool },
    /// The user disables the Eip or shrinks it, or makes it as it was.
    Eip { disabled: bool, shrunk: bool },
    /// A backup is restored without the statuses of Services: this one's is empty, its annotation is there.
    LoseStatus { who: u8 },
    /// The Eip's status is emptied.
    LoseEipStatus,
    /// Somebody takes the label and OpenELB's finalizer off.
    Strip { who: u8 },
    /// An Eip of more priority comes or goes.
    BetterEip { is_there: bool },
    /// The Eip is deleted by force, or is there again.
    EipGone { is_gone: bool },
    /// The watch shows so many more changes.
    Deliver { count: u8 },
    /// The controller makes a step.
    Step,
    /// It sends the next request.
    Send { fate: Fate },
    /// The next late answer comes in.
    Answer,
    /// A request that was given up arrives after all.
    ArriveLate,
    /// Time passes.
    Wait { seconds: u8 },
    /// The store is replaced by a fresh list.
    Relist,
    /// Another leader takes over.
    TakeOver,
}

/// What becomes of a request.
#[derive(Debug, Clone, Copy)]
enum Fate {
    /// Carried out and answered.
    Answered,
    /// Carried out, the answer is late.
    AnsweredLate,
    /// Refused.
    Refused,
    /// Carried out, the answer is lost.
    AnswerLost,
    /// Given up; it may arrive later.
    InLimbo,
}

/// By which rules the controller plays.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Rules {
    /// Ours.
    Real,
    /// It forgets what it wrote; only the version in the patch protects.
    Forgetful,
    /// A new leader goes on with the lagging view of a follower.
    HastyTakeOver,
    /// No answer counts as a refusal.
    NoAnswerIsNo,
    /// What a Service held before its status was lost is not looked at.
    NothingRemembered,
    /// What lies in no Eip is let go.
    OnlyWithAnEip,
}

fn any_op() -> impl Strategy<Value = Op> {
    let who = || 0_u8..5;
    let wish = || prop::option::weighted(0.4, 1_u8..4);
    prop_oneof![
        6 => (who(), wish(), 80_u16..82).prop_map(|(who, wish, port)| Op::Create { who, wish, port }),
        2 => who().prop_map(|who| Op::Delete { who }),
        2 => (who(), wish()).prop_map(|(who, wish)| Op::Wish { who, wish }),
        1 => (who(), any::<bool>()).prop_map(|(who, is_in)| Op::OptIn { who, is_in }),
        1 => (any::<bool>(), any::<bool>()).prop_map(|(disabled, shrunk)| Op::Eip { disabled, shrunk }),
        2 => who().prop_map(|who| Op::LoseStatus { who }),
        1 => Just(Op::LoseEipStatus),
        1 => who().prop_map(|who| Op::Strip { who }),
        1 => any::<bool>().prop_map(|is_there| Op::BetterEip { is_there }),
        1 => any::<bool>().prop_map(|is_gone| Op::EipGone { is_gone }),
        6 => (0_u8..4).prop_map(|count| Op::Deliver { count }),
        8 => Just(Op::Step),
        10 => prop_oneof![
            5 => Just(Fate::Answered), 2 => Just(Fate::AnsweredLate), 1 => Just(Fate::Refused), 1 => Just(Fate::AnswerLost),
            2 => Just(Fate::InLimbo),
        ]
        .prop_map(|fate| Op::Send { fate }),
        3 => Just(Op::Answer),
        2 => Just(Op::ArriveLate),
        2 => (0_u8..6).prop_map(|seconds| Op::Wait { seconds }),
        1 => Just(Op::Relist),
        1 => Just(Op::TakeOver),
    ]
}

fn run(rules: Rules, ops: &[Op]) -> Result<(), String> {
    let mut world = World::new(rules);
    for op in ops {
        world.perform(op)?;
    }
    world.settle()
}

proptest! {
    #![proptest_config(Config { cases: 1024, failure_persistence: None, ..Config::default() })]

    #[test]
    fn no_address_is_given_twice_and_none_moves(ops in prop::collection::vec(any_op(), 5..80)) {
        prop_assert_eq!(run(Rules::Real, &ops), Ok(()));
    }
}

/// Does one of so many random sequences end in a fault of this kind?
fn is_found(tries: usize, rules: Rules, how: &str) -> bool {
    let sequences = prop::collection::vec(any_op(), 5..80);
    finds(tries, sequences, |ops| run(rules, &ops).is_err_and(|fault| fault.contains(how)))
}

#[test]
fn each_rule_is_needed() {
    for rules in [Rules::Forgetful, Rules::HastyTakeOver, Rules::NoAnswerIsNo] {
        assert!(is_found(5000, rules, "is given to"), "{rules:?}");
    }
}

#[test]
fn lost_statuses_and_lost_eips_are_seen() {
    assert!(is_found(3000, Rules::NothingRemembered, "was not given back"));
    assert!(is_found(3000, Rules::OnlyWithAnEip, "by nobody's doing"));
}

#[test]
fn a_foreign_entry_of_the_status_stays() {
    let mut world = World::new(Rules::Real);
    world.store(service("n/s0").with(|s| s.ingress = vec![IngressAddress::Foreign("lb.example.org".to_owned())]));
    assert_eq!(world.settle(), Err(format!("in the end {:?}", world.services[&id(0)])));
    let after = &world.services[&id(0)];
    assert_eq!(after.ingress, [IngressAddress::Foreign("lb.example.org".to_owned())]);
    assert_eq!(after.condition(ADDRESS_ASSIGNED).map(|c| c.reason.as_str()), Some("HeldByOther"));
}
