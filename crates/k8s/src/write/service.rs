//! A Service: one patch of its status subresource that carries everything.

use ironlb_api::names::{annotation, finalizer, label};
use ironlb_model::{Change, IngressAddress, ServicePatch, WallTime};
use serde_json::{Map, Value, json};

use super::condition;

/// The strategic merge patch. `services/status` takes metadata along (tried on 1.36), so all of it is one write.
pub(super) fn body(patch: &ServicePatch, now: WallTime) -> Value {
    let mut metadata = Map::new();
    metadata.insert("resourceVersion".to_owned(), json!(patch.version.to_string()));
    if let Some(change) = &patch.label {
        let value = match change {
            Change::Set(eip) => json!(eip.as_str()),
            Change::Remove => Value::Null,
        };
        metadata.insert("labels".to_owned(), json!({label::EIP: value}));
    }
    if let Some(change) = &patch.addresses {
        let value = match change {
            Change::Set(text) => json!(text),
            Change::Remove => Value::Null,
        };
        metadata.insert("annotations".to_owned(), json!({annotation::ADDRESSES: value}));
    }
    if patch.remove_finalizer {
        metadata.insert("$deleteFromPrimitiveList/finalizers".to_owned(), json!(finalizer::OF_SERVICES));
    }
    let mut body = Map::new();
    body.insert("metadata".to_owned(), Value::Object(metadata));
    let mut status = Map::new();
    if let Some(entries) = &patch.ingress {
        // An empty list is written as none: that is how a Service without an address looks.
        let list = if entries.is_empty() { Value::Null } else { entries.iter().map(ingress).collect() };
        status.insert("loadBalancer".to_owned(), json!({"ingress": list}));
    }
    if !patch.conditions.is_empty() {
        status.insert("conditions".to_owned(), condition::changes(&patch.conditions, now));
    }
    if !status.is_empty() {
        body.insert("status".to_owned(), Value::Object(status));
    }
    Value::Object(body)
}

fn ingress(entry: &IngressAddress) -> Value {
    match entry {
        IngressAddress::Ip(address) => json!({"ip": address, "ipMode": "VIP"}),
        IngressAddress::Foreign(text) if looks_like_an_address(text) => json!({"ip": text}),
        IngressAddress::Foreign(text) => json!({"hostname": text}),
    }
}

/// A host name has no colon, and its last label is not all digits (RFC 1123 section 2.1).
fn looks_like_an_address(text: &str) -> bool {
    text.contains(':')
        || text.rsplit('.').next().is_some_and(|l| !l.is_empty() && l.bytes().all(|b| b.is_ascii_digit()))
}

#[cfg(test)]
mod tests {
    use ironlb_model::{Condition, ConditionStatus, ConditionWrite, ResourceVersion, ServiceId};

    use super::*;

    fn patch() -> ServicePatch {
        ServicePatch {
            id: ServiceId::new("shop", "web"),
            version: ResourceVersion(7),
            ingress: None,
            label: None,
            addresses: None,
            conditions: vec![],
            remove_finalizer: false,
        }
    }

    #[test]
    fn what_is_not_asked_for_is_not_in_the_patch() {
        assert_eq!(body(&patch(), WallTime(0)), json!({"metadata": {"resourceVersion": "7"}}));
    }

    #[test]
    fn everything_goes_in_one_patch() {
        let condition = Condition {
            kind: "ironlb.io/AddressAssigned".to_owned(),
            status: ConditionStatus::True,
            reason: "Assigned".to_owned(),
            message: "m".to_owned(),
        };
        let full = ServicePatch {
            ingress: Some(vec![
                IngressAddress::Ip("192.0.2.7".parse().unwrap()),
                IngressAddress::Ip("2001:db8::7".parse().unwrap()),
                IngressAddress::Foreign("lb.example.org".to_owned()),
                IngressAddress::Foreign("1.2..3".to_owned()),
            ]),
            label: Some(Change::Set("pool".into())),
            addresses: Some(Change::Set("192.0.2.7,2001:db8::7".to_owned())),
            conditions: vec![
                ConditionWrite::Set { condition: condition.clone(), transition: true },
                ConditionWrite::Set { condition, transition: false },
                ConditionWrite::Remove { kind: "ironlb.io/Announced".to_owned() },
            ],
            remove_finalizer: true,
            ..patch()
        };
        assert_eq!(
            body(&full, WallTime(1_767_323_045)),
            json!({
                "metadata": {
                    "resourceVersion": "7",
                    "labels": {"eip.openelb.kubesphere.io/v1alpha2": "pool"},
                    "annotations": {"ironlb.io/addresses": "192.0.2.7,2001:db8::7"},
                    "$deleteFromPrimitiveList/finalizers":
                        ["finalizer.lb.kubesphere.io/v1alpha1", "node-proxy.openelb.kubesphere.io/finalizer"],
                },
                "status": {
                    "loadBalancer": {"ingress": [{"ip": "192.0.2.7", "ipMode": "VIP"}, {"ip": "2001:db8::7", "ipMode": "VIP"},
                                                 {"hostname": "lb.example.org"}, {"ip": "1.2..3"}]},
                    "conditions": [
                        {"type": "ironlb.io/AddressAssigned", "status": "True", "reason": "Assigned", "message": "m",
                         "lastTransitionTime": "2026-01-02T03:04:05Z"},
                        {"type": "ironlb.io/AddressAssigned", "status": "True", "reason": "Assigned", "message": "m"},
                        {"$patch": "delete", "type": "ironlb.io/Announced"},
                    ],
                },
            })
        );
    }

    #[test]
    fn giving_an_address_back_leaves_no_empty_list() {
        let released = ServicePatch {
            ingress: Some(vec![]),
            label: Some(Change::Remove),
            addresses: Some(Change::Remove),
            ..patch()
        };
        assert_eq!(
            body(&released, WallTime(0)),
            json!({
                "metadata": {"resourceVersion": "7", "labels": {"eip.openelb.kubesphere.io/v1alpha2": null},
                             "annotations": {"ironlb.io/addresses": null}},
                "status": {"loadBalancer": {"ingress": null}},
            })
        );
    }
}
