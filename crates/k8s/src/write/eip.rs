//! An Eip: its status is replaced as a whole, because a key of `used` that goes must go.

use ironlb_model::{EipPatch, ResourceVersion, WallTime};
use json_patch::jsonptr::PointerBuf;
use json_patch::{AddOperation, PatchOperation, RemoveOperation, ReplaceOperation};
use serde_json::{Value, json};

use super::condition;

pub(super) fn status(patch: &EipPatch, now: WallTime) -> Value {
    let given = &patch.status;
    let mut status = json!({
        "occupied": given.occupied,
        "usage": given.usage,
        "poolSize": given.pool_size,
        "ready": given.ready,
        "conditions": condition::list(&given.conditions, patch.generation, now),
    });
    if given.v4 {
        status["v4"] = json!(true);
    }
    if let Some(first) = &given.first_ip {
        status["firstIP"] = json!(first);
    }
    if let Some(last) = &given.last_ip {
        status["lastIP"] = json!(last);
    }
    if !given.used.is_empty() {
        status["used"] = json!(given.used);
    }
    status
}

/// A JSON patch that puts `status` in the place of the old one. Writing the version the object was seen at back into it makes the API
/// server refuse (409) when it has another by now.
pub(super) fn replace_status(seen: ResourceVersion, status: Value) -> json_patch::Patch {
    let path = PointerBuf::from_tokens(["status"]);
    json_patch::Patch(vec![at_version(seen), PatchOperation::Add(AddOperation { path, value: status })])
}

/// A JSON patch that takes a finalizer off; `None` when it is not on.
pub(super) fn without_finalizer(
    finalizers: &[String],
    finalizer: &str,
    seen: ResourceVersion,
) -> Option<json_patch::Patch> {
    let at = finalizers.iter().position(|f| f == finalizer)?;
    let path = PointerBuf::from_tokens(["metadata", "finalizers", &at.to_string()]);
    Some(json_patch::Patch(vec![at_version(seen), PatchOperation::Remove(RemoveOperation { path })]))
}

fn at_version(seen: ResourceVersion) -> PatchOperation {
    let path = PointerBuf::from_tokens(["metadata", "resourceVersion"]);
    PatchOperation::Replace(ReplaceOperation { path, value: json!(seen.to_string()) })
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use ironlb_api::names::finalizer;
    use ironlb_model::{Condition, ConditionStatus, EipStatusText, TimedCondition};

    use super::*;

    fn eip_patch(status: EipStatusText) -> EipPatch {
        EipPatch { eip: "pool".into(), version: ResourceVersion(7), generation: 3, status }
    }

    #[test]
    fn the_status_is_in_openelbs_form() {
        let ready = Condition {
            kind: "Ready".to_owned(),
            status: ConditionStatus::True,
            reason: "Ready".to_owned(),
            message: "m".to_owned(),
        };
        let full = eip_patch(EipStatusText {
            occupied: false,
            usage: 1,
            pool_size: 10,
            first_ip: Some("192.0.2.1".to_owned()),
            last_ip: Some("192.0.2.10".to_owned()),
            v4: true,
            ready: true,
            used: [("192.0.2.1".to_owned(), "default/a;default/b".to_owned())].into(),
            conditions: vec![
                TimedCondition { condition: ready.clone(), since: Some(WallTime(0)) },
                TimedCondition { condition: ready, since: None },
            ],
        });
        let condition = |time: &str| {
            json!({"type": "Ready", "status": "True", "reason": "Ready", "message": "m", "observedGeneration": 3,
                   "lastTransitionTime": time})
        };
        assert_eq!(
            status(&full, WallTime(1_767_323_045)),
            json!({
                "occupied": false, "usage": 1, "poolSize": 10, "firstIP": "192.0.2.1", "lastIP": "192.0.2.10", "v4": true, "ready": true,
                "used": {"192.0.2.1": "default/a;default/b"},
                "conditions": [condition("1970-01-01T00:00:00Z"), condition("2026-01-02T03:04:05Z")],
            })
        );
    }

    #[test]
    fn an_empty_pool_of_ipv6_has_neither_v4_nor_used() {
        let empty = eip_patch(EipStatusText {
            occupied: true,
            usage: 0,
            pool_size: 0,
            first_ip: None,
            last_ip: None,
            v4: false,
            ready: false,
            used: BTreeMap::new(),
            conditions: vec![],
        });
        assert_eq!(
            status(&empty, WallTime(0)),
            json!({"occupied": true, "usage": 0, "poolSize": 0, "ready": false, "conditions": []})
        );
    }

    #[test]
    fn only_openelbs_finalizer_is_taken_off() {
        let names = |list: &[&str]| list.iter().map(|name| (*name).to_owned()).collect::<Vec<_>>();
        assert_eq!(without_finalizer(&names(&["example.org/other"]), finalizer::EIP, ResourceVersion(7)), None);
        let patch = without_finalizer(
            &names(&["example.org/other", "finalizer.ipam.kubesphere.io/v1alpha1"]),
            finalizer::EIP,
            ResourceVersion(7),
        );
        assert_eq!(
            serde_json::to_value(patch).unwrap(),
            json!([{"op": "replace", "path": "/metadata/resourceVersion", "value": "7"}, {"op": "remove", "path": "/metadata/finalizers/1"}])
        );
    }
}
