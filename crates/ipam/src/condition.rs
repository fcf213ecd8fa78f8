//! Conditions: their names, and how those an object shows are turned into those it should show.
//!
//! Conditions are compared without their times. A condition that says the same is not written again, and one that was written is
//! the memory that people were told.

use std::collections::BTreeMap;

use ironlb_model::{Condition, ConditionStatus, ConditionWrite, TimedCondition, WallTime};

/// Of a Service: it has an address.
pub const ADDRESS_ASSIGNED: &str = "ironlb.io/AddressAssigned";
/// Of a Service: its addresses are announced.
pub const ANNOUNCED: &str = "ironlb.io/Announced";
/// Of an Eip: its addresses are understood.
pub const READY: &str = "Ready";
/// Of an Eip: some of its addresses are in an Eip that came first.
pub const OVERLAPPING: &str = "Overlapping";
/// Of an Eip: it has no free address.
pub const EXHAUSTED: &str = "Exhausted";
/// Of an Eip: `status.used` was cut; the counters are exact.
pub const USED_TRUNCATED: &str = "UsedTruncated";
/// Of an Eip: Services hold addresses that its spec no longer has.
pub const HELD_OUTSIDE: &str = "HeldOutside";
/// Of an Eip: Services hold addresses that are reserved for others.
pub const RESERVATION_HELD: &str = "ReservationHeld";
/// Of an Eip: hosts outside the cluster claim some of its addresses.
pub const CONFLICT: &str = "Conflict";
/// Of an Eip: nodes that advertise an aggregate of it would send packets for its unused addresses back to a router.
pub const DISCARD_ROUTE_MISSING: &str = "DiscardRouteMissing";
/// Of an Eip: another Eip is the default as well, and comes first.
pub const SECOND_DEFAULT: &str = "SecondDefault";
/// Of an Eip whose routes are weighted: Services for which that has no effect.
pub const NOT_WEIGHTED: &str = "NotWeighted";
/// Of an Eip with protocol `vip`: it is served by Layer 2.
pub const SERVED_AS_LAYER2: &str = "ServedAsLayer2";

/// Of a BgpConf or BgpPeer: its fields are understood.
pub const ACCEPTED: &str = "Accepted";
/// Of a BgpPeer: every node that is to have a session with it has one.
pub const ESTABLISHED: &str = "Established";

/// The reason of [`ADDRESS_ASSIGNED`] where nothing is amiss and nobody shares. Which of two Services gives way after a race of two
/// leaders depends on it, so it is never used for anything else.
pub(crate) const ASSIGNED: &str = "Assigned";
/// The reason of [`ADDRESS_ASSIGNED`] of a Service that joined another on its address.
pub(crate) const SHARED: &str = "Shared";

/// Longest message: a condition is for people, and 10,000 of them are kept in memory everywhere. Chosen.
const MAX_MESSAGE: usize = 1024;

/// A condition; a message that is too long is cut.
pub(crate) fn condition(kind: &str, status: ConditionStatus, reason: &str, message: String) -> Condition {
    Condition { kind: kind.to_owned(), status, reason: reason.to_owned(), message: cut(message) }
}

fn cut(mut message: String) -> String {
    const MARK: &str = " ...";
    if message.len() > MAX_MESSAGE {
        let end = message.floor_char_boundary(MAX_MESSAGE - MARK.len());
        message.truncate(end);
        message.push_str(MARK);
    }
    message
}

/// What to write on a Service so that it shows `wanted`. `anew` lists the types whose time starts again although their status is the
/// same.
pub(crate) fn changes(shown: &[Condition], wanted: &[Condition], anew: &[&str]) -> Vec<ConditionWrite> {
    let now = |kind: &str| shown.iter().find(|c| c.kind == kind);
    let set = wanted.iter().filter_map(|condition| {
        let before = now(&condition.kind);
        let transition = anew.contains(&condition.kind.as_str()) || before.is_none_or(|b| b.status != condition.status);
        (transition || before != Some(condition))
            .then(|| ConditionWrite::Set { condition: condition.clone(), transition })
    });
    let gone = shown.iter().filter(|c| wanted.iter().all(|w| w.kind != c.kind));
    set.chain(gone.map(|c| ConditionWrite::Remove { kind: c.kind.clone() })).collect()
}

/// The whole list to write where `wanted` replaces those of the kinds `ours`; `None` when it is there already.
pub(crate) fn replacement(
    shown: &[Condition],
    times: &BTreeMap<String, WallTime>,
    wanted: &[Condition],
    ours: impl Fn(&str) -> bool,
) -> Option<Vec<TimedCondition>> {
    let others = shown.iter().filter(|c| !ours(&c.kind));
    let now = shown.iter().filter(|c| ours(&c.kind));
    if now.count() == wanted.len() && wanted.iter().all(|w| shown.contains(w)) {
        return None;
    }
    let since = |c: &Condition| {
        let is_same = shown.iter().any(|s| s.kind == c.kind && s.status == c.status);
        times.get(&c.kind).copied().filter(|_| is_same)
    };
    Some(wanted.iter().chain(others).map(|c| TimedCondition { condition: c.clone(), since: since(c) }).collect())
}

#[cfg(test)]
mod tests;
