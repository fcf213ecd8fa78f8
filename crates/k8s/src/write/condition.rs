//! Conditions, as they are written.

use ironlb_model::{Condition, ConditionWrite, TimedCondition, WallTime};
use serde_json::{Value, json};

/// A time in the API's form; what lies outside the calendar becomes 1970.
pub(super) fn time(time: WallTime) -> String {
    jiff::Timestamp::from_second(time.0).unwrap_or_default().to_string()
}

/// The list of a strategic merge patch.
pub(super) fn changes(changes: &[ConditionWrite], now: WallTime) -> Value {
    changes
        .iter()
        .map(|change| match change {
            ConditionWrite::Set { condition, transition } => {
                let mut entry = plain(condition);
                if *transition {
                    entry["lastTransitionTime"] = json!(time(now));
                }
                entry
            }
            ConditionWrite::Remove { kind } => json!({"$patch": "delete", "type": kind}),
        })
        .collect()
}

/// A whole list.
pub(super) fn list(conditions: &[TimedCondition], generation: i64, now: WallTime) -> Value {
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
