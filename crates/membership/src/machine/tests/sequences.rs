//! Any inputs in any order: what must hold after each, shown to fail on machines that are wrong on purpose.

use proptest::prelude::*;

use super::*;
use crate::Epoch;

/// Node, version, holder, claims.
type SmallLease = (u8, u64, u8, Vec<(u8, u64)>);

/// One thing that happens, in small numbers.
#[derive(Debug, Clone)]
enum Op {
    Wait(u64),
    Lease { node: u8, version: u64, holder: u8, claims: Vec<(u8, u64)>, ready: bool },
    Gone { node: u8, version: u64 },
    Listed { ago: u64, leases: Vec<SmallLease> },
    ListFailed,
    Renewed,
    RenewFailed(RenewFailure),
    Ready(bool),
    Wanted(Vec<u8>),
    Foreign(u8),
    Shutdown,
}

fn any_claims() -> impl Strategy<Value = Vec<(u8, u64)>> {
    prop::collection::vec((0..4_u8, 0..4_u64), 0..4)
}

fn any_op() -> impl Strategy<Value = Op> {
    let failure = prop_oneof![
        4 => Just(RenewFailure::Unreachable),
        1 => Just(RenewFailure::Conflict),
        1 => Just(RenewFailure::Refused),
    ];
    let lease = || (0..3_u8, 90..400_u64, 0..4_u8, any_claims());
    prop_oneof![
        6 => (0..1500_u64).prop_map(Op::Wait),
        1 => (3000..6000_u64).prop_map(Op::Wait),
        4 => (lease(), any::<bool>())
            .prop_map(|((node, version, holder, claims), ready)| Op::Lease { node, version, holder, claims, ready }),
        1 => (0..3_u8, 90..400_u64).prop_map(|(node, version)| Op::Gone { node, version }),
        6 => (0..50_u64, prop::collection::vec(lease(), 0..3)).prop_map(|(ago, leases)| Op::Listed { ago, leases }),
        1 => Just(Op::ListFailed),
        8 => Just(Op::Renewed),
        2 => failure.prop_map(Op::RenewFailed),
        1 => prop::bool::weighted(0.9).prop_map(Op::Ready),
        4 => prop::collection::vec(0..4_u8, 0..4).prop_map(Op::Wanted),
        1 => (0..4_u8).prop_map(Op::Foreign),
        1 => prop::bool::weighted(0.05).prop_map(|ends| if ends { Op::Shutdown } else { Op::Wait(100) }),
    ]
}

fn node_name(node: u8) -> NodeName {
    if node == 0 { OWN.into() } else { NodeName::from(format!("n{node}")) }
}

fn seen(node: u8, version: u64, holder: u8, claims: &[(u8, u64)], ready: bool) -> SeenLease {
    let holder = match (node, holder) {
        (_, 0) => String::new(),
        (0, 1 | 2) => INCARNATION.to_owned(),
        (_, life) => format!("other-{life}"),
    };
    let claims = Claims(claims.iter().map(|(n, epoch)| (vip(*n), Epoch(*epoch))).collect());
    SeenLease { ready, claims, ..lease(node_name(node).as_str(), version, &holder, "") }
}

/// Mistakes in how the machine's word is taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Mistake {
    None,
    /// What is claimed is taken for what may be answered.
    AnswersClaims,
    /// Writes are sent before what stops.
    WritesFirst,
    /// A write is sent again while one is under way.
    WritesTwice,
    /// Until when is not looked at.
    NoFence,
}

/// Runs the operations and checks after each; an error says what did not hold.
fn run(ops: &[Op], mistake: Mistake) -> Result<(), String> {
    let mut rig = Rig::new();
    let mut now = 0;
    let (mut answered, mut acknowledged): (BTreeSet<IpAddr>, BTreeSet<IpAddr>) = Default::default();
    let mut sent: Option<(u64, BTreeSet<IpAddr>)> = None;
    let mut last_success: Option<u64> = None;
    let mut was_unreachable = false;
    let mut lists: BTreeSet<IpAddr> = BTreeSet::new();
    let mut version = 1000;
    for op in ops {
        match op {
            Op::Wait(millis) => {
                now += millis;
                rig.tick(now);
            }
            Op::Lease { node, version, holder, claims, ready } => {
                rig.tell(now, Input::Lease(seen(*node, *version, *holder, claims, *ready)));
            }
            Op::Gone { node, version } => {
                rig.tell(now, Input::LeaseGone { node: node_name(*node), version: ResourceVersion(*version) });
            }
            Op::Listed { ago, leases } => {
                let leases = leases.iter().map(|(n, v, h, c)| seen(*n, *v, *h, c, true)).collect();
                lists.extend(acknowledged.iter().copied());
                rig.tell(now, Input::Listed { started: at(now) - Duration::from_millis(*ago), leases });
            }
            Op::ListFailed => rig.tell(now, Input::ListFailed),
            Op::Renewed => {
                version += 1;
                if let Some((at, claims)) = sent.take() {
                    last_success = last_success.max(Some(at));
                    acknowledged.extend(claims);
                }
                rig.tell(now, Input::Renewed { version: ResourceVersion(version) });
            }
            Op::RenewFailed(failure) => {
                was_unreachable |= sent.is_some() && *failure == RenewFailure::Unreachable;
                sent = None;
                rig.tell(now, Input::RenewFailed(*failure));
            }
            Op::Ready(ready) => rig.tell(now, Input::Ready(*ready)),
            Op::Wanted(wanted) => rig.tell(now, Input::Wanted(wanted.iter().map(|n| vip(*n)).collect())),
            Op::Foreign(n) => rig.tell(now, Input::ForeignClaim { vip: vip(*n), member: "n1".into() }),
            Op::Shutdown => rig.tell(now, Input::Shutdown),
        }
        let mut outputs = std::mem::take(&mut rig.outputs);
        if mistake == Mistake::WritesFirst {
            outputs.sort_by_key(|o| !is_renew(o));
        }
        if mistake == Mistake::WritesTwice {
            outputs =
                outputs.into_iter().flat_map(|o| if is_renew(&o) { vec![o.clone(), o] } else { vec![o] }).collect();
        }
        for output in outputs {
            match output {
                Output::StopAnswering(vips) => vips.iter().for_each(|vip| {
                    answered.remove(vip);
                }),
                Output::Renew(write) => {
                    let claims: BTreeSet<IpAddr> = write.claims.0.keys().copied().collect();
                    if !answered.is_subset(&claims) {
                        return Err(format!("{answered:?} are answered and written away"));
                    }
                    if sent.replace((now, claims)).is_some() {
                        return Err("a second write".to_owned());
                    }
                }
                _ => {}
            }
        }
        let machine = &rig.machine;
        let may = if mistake == Mistake::AnswersClaims {
            machine.claims().0.into_keys().collect()
        } else {
            machine.may_answer()
        };
        if !answered.is_subset(&may) && mistake == Mistake::None {
            return Err(format!("{answered:?} were never told to stop: {may:?}"));
        }
        if !may.is_subset(&acknowledged) {
            return Err(format!("{may:?} were never written: {acknowledged:?}"));
        }
        if !may.is_subset(&lists) {
            return Err(format!("{may:?} were never confirmed"));
        }
        for (node, _) in machine.alive() {
            if may.iter().any(|vip| machine.owners().get(vip) == Some(node)) {
                return Err(format!("a vip of {node}'s is answered"));
            }
        }
        let until = if mistake == Mistake::NoFence { Some(at(now + 60_000)) } else { machine.valid_until() };
        // Without an unreachable server the fence stands at most 3.5 s after a renewal that was written.
        if !may.is_empty() && !was_unreachable {
            let fence = last_success.map(|sent| at(sent) + Timing::lease().fence_after());
            if until > fence {
                return Err(format!("{until:?} is later than {fence:?}"));
            }
        }
        answered = may;
        // Before the call, it may want one at once; after it, never: the loop would turn on the spot.
        rig.machine.handle_timeout(at(now));
        if let Some(due) = rig.machine.poll_timeout().filter(|due| *due <= at(now)) {
            return Err(format!("called at {now}, it wants to be called at {due}"));
        }
        if rig.machine.standing() == Standing::Left {
            return Ok(());
        }
    }
    Ok(())
}

proptest! {
    #[test]
    fn whatever_happens_the_invariants_hold(ops in prop::collection::vec(any_op(), 0..120)) {
        prop_assert_eq!(run(&ops, Mistake::None), Ok(()));
    }
}

#[test]
fn each_mistake_is_found() {
    use proptest::strategy::ValueTree;
    use proptest::test_runner::TestRunner;
    for mistake in [Mistake::AnswersClaims, Mistake::WritesFirst, Mistake::WritesTwice, Mistake::NoFence] {
        let mut runner = TestRunner::deterministic();
        let sequences = prop::collection::vec(any_op(), 0..120);
        let found = (0..2000).any(|_| run(&sequences.new_tree(&mut runner).unwrap().current(), mistake).is_err());
        assert!(found, "{mistake:?} is not found");
    }
}
