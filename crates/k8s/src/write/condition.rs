//! Conditions, as they are written.

use ironlb_model::{Condition, WallTime};
use serde_json::{Value, json};

/// One change of a Service's conditions. They are merged by their type, so each is written alone, other writers' stay, and a time that
/// is not written stays as well.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ConditionPatch {
    /// Write it.
    Set {
        /// What it says.
        condition: Condition,
        /// Its status differs from what it was, or it is new: its `lastTransitionTime` becomes now. Else that is left alone.
        transition: bool,
    },
    /// Remove it.
    Remove {
        /// Its type.
        kind: String,
    },
}

/// A condition in a list that is replaced as a whole.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DatedCondition {
    /// What it says.
    pub condition: Condition,
    /// Its `lastTransitionTime`; `None` is now.
    pub since: Option<WallTime>,
}

/// A time in the API's form; what lies outside the calendar becomes 1970.
pub(super) fn time(time: WallTime) -> String {
    jiff::Timestamp::from_second(time.0).unwrap_or_default().to_string()
}

/// The list of a strategic merge patch.
pub(super) fn changes(changes: &[ConditionPatch], now: WallTime) -> Value {
    changes
        .iter()
        .map(|change| match change {
            ConditionPatch::Set { condition, transition } => {
                let mut entry = plain(condition);
                if *transition {
                    entry["lastTransitionTime"] = json!(time(now));
                }
                entry
            }
            ConditionPatch::Remove { kind } => json!({"$patch": "delete", "type": kind}),
        })
        .collect()
}

/// A whole list.
pub(super) fn list(conditions: &[DatedCondition], generation: i64, now: WallTime) -> Value {
    conditions
        .iter()
        .map(|dated| {
            let mut entry = plain(&dated.condition);
            entry["lastTransitionTime"] = json!(time(dated.since.unwrap_or(now)));
            // Zero is what an object without a generation has; the field is left out then.
            if generation > 0 {
                entry["observedGeneration"] = json!(generation);
            }
            entry
        })
        .collect()
}

fn plain(condition: &Condition) -> Value {
    json!({
        "type": condition.kind,
        "status": condition.status.as_str(),
        "reason": condition.reason,
        "message": condition.message,
    })
}
