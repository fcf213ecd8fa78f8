//! Nodes and namespaces.

use ironlb_api::names::{annotation, label, taint};
use ironlb_model::{DrainCause, Issue, IssueReason, Namespace, Node, NodeName, ObjectRef};
use k8s_openapi::api::core::v1 as core;

use crate::metadata;
use crate::quote::quoted;

/// Reads a Node and whatever is wrong with what it asks of ironlb.
#[must_use]
pub fn node(object: &core::Node) -> (Node, Vec<Issue>) {
    let meta = &object.metadata;
    let name = NodeName::from(meta.name.clone().unwrap_or_default());
    let (spec, status) = (object.spec.as_ref(), object.status.as_ref());
    let mut issues = Vec::new();

    let asked = match metadata::annotation(meta, annotation::DRAIN).map(str::trim) {
        None | Some("false" | "") => false,
        Some("true") => true,
        Some(other) => {
            // Whoever writes this wants the node empty; refusing over the value would surprise more than doing it.
            issues.push(Issue {
                object: ObjectRef::Node(name.clone()),
                field: metadata::annotation_path(annotation::DRAIN),
                reason: IssueReason::InvalidField,
                message: format!("{} is taken for true: write true or false", quoted(other)),
            });
            true
        }
    };
    let tainted =
        |key: &str| spec.and_then(|s| s.taints.as_ref()).is_some_and(|taints| taints.iter().any(|t| t.key == key));
    let drain = if asked {
        Some(DrainCause::Annotation)
    } else if tainted(taint::OUT_OF_SERVICE) {
        Some(DrainCause::OutOfService)
    } else if tainted(taint::TO_BE_DELETED) {
        Some(DrainCause::ToBeDeleted)
    } else if ready_condition(object).is_some_and(says_shutting_down) {
        Some(DrainCause::Shutdown)
    } else {
        None
    };

    let read = Node {
        labels: metadata::labels(meta),
        addresses: status
            .and_then(|s| s.addresses.as_deref())
            .unwrap_or_default()
            .iter()
            .filter(|address| address.type_ == "InternalIP")
            .filter_map(|address| address.address.parse().ok())
            .collect(),
        ready: ready_condition(object).is_some_and(|condition| condition.status == "True"),
        cordoned: spec.and_then(|s| s.unschedulable).unwrap_or(false),
        excluded: meta.labels.as_ref().is_some_and(|labels| labels.contains_key(label::EXCLUDE_FROM_LOAD_BALANCERS)),
        drain,
        name,
    };
    (read, issues)
}

fn ready_condition(object: &core::Node) -> Option<&core::NodeCondition> {
    let conditions = object.status.as_ref()?.conditions.as_deref()?;
    conditions.iter().find(|condition| condition.type_ == "Ready")
}

/// Does the kubelet say that the machine is on its way down? From the moment at which the machine announces it, the kubelet keeps it
/// up while pods end. It has no field for that: it says `KubeletNotReady` as for everything that keeps it from being ready, and this
/// among the messages (`ShutdownStatus` in its `nodeshutdown` package, the same since Kubernetes 1.20).
fn says_shutting_down(ready: &core::NodeCondition) -> bool {
    ready.status == "False" && ready.message.as_deref().is_some_and(|message| message.contains("node is shutting down"))
}

/// Reads a Namespace.
#[must_use]
pub fn namespace(object: &core::Namespace) -> Namespace {
    Namespace {
        name: object.metadata.name.as_deref().unwrap_or_default().into(),
        labels: metadata::labels(&object.metadata),
    }
}

#[cfg(test)]
mod tests {
    use ironlb_model::Labels;

    use super::*;
    use serde_json::{Value, json};

    fn read(value: Value) -> (Node, Vec<Issue>) {
        node(&serde_json::from_value(value).unwrap())
    }

    #[test]
    fn a_bare_node_is_not_ready_and_nothing_else() {
        let (read, issues) = read(json!({"metadata": {"name": "n1"}}));
        assert!(issues.is_empty());
        assert_eq!(
            read,
            Node {
                name: "n1".into(),
                labels: Labels::default(),
                addresses: vec![],
                ready: false,
                cordoned: false,
                excluded: false,
                drain: None,
            }
        );
    }

    #[test]
    fn readiness_addresses_and_marks_are_read() {
        let (read, _) = read(json!({
            "metadata": {"name": "n1", "labels": {"node.kubernetes.io/exclude-from-external-load-balancers": "", "rack": "a"}},
            "spec": {"unschedulable": true},
            "status": {
                "conditions": [{"type": "MemoryPressure", "status": "True"}, {"type": "Ready", "status": "True"}],
                "addresses": [{"type": "Hostname", "address": "n1"}, {"type": "InternalIP", "address": "192.0.2.1"},
                              {"type": "InternalIP", "address": "2001:db8::1"}, {"type": "ExternalIP", "address": "203.0.113.1"}],
            },
        }));
        assert!(read.ready && read.cordoned && read.excluded);
        assert_eq!(read.addresses, ["192.0.2.1".parse::<std::net::IpAddr>().unwrap(), "2001:db8::1".parse().unwrap()]);
        assert_eq!(read.labels.get("rack"), Some("a"));
    }

    #[test]
    fn a_node_is_drained_by_annotation_taint_or_shutdown() {
        let annotated = |value: &str| json!({"metadata": {"name": "n", "annotations": {"ironlb.io/drain": value}}});
        let tainted =
            |key: &str| json!({"metadata": {"name": "n"}, "spec": {"taints": [{"key": key, "effect": "NoExecute"}]}});
        let saying = |status: &str, message: &str| {
            let ready = json!({"type": "Ready", "status": status, "reason": "KubeletNotReady", "message": message});
            json!({"metadata": {"name": "n"}, "status": {"conditions": [ready]}})
        };
        for (object, want, faults) in [
            (annotated("true"), Some(DrainCause::Annotation), 0),
            (annotated("false"), None, 0),
            (annotated(""), None, 0),
            (annotated("yes please"), Some(DrainCause::Annotation), 1),
            (tainted("node.kubernetes.io/out-of-service"), Some(DrainCause::OutOfService), 0),
            (tainted("ToBeDeletedByClusterAutoscaler"), Some(DrainCause::ToBeDeleted), 0),
            (tainted("node.kubernetes.io/unreachable"), None, 0),
            (saying("False", "node is shutting down"), Some(DrainCause::Shutdown), 0),
            (saying("False", "[container runtime is down, node is shutting down]"), Some(DrainCause::Shutdown), 0),
            (saying("True", "node is shutting down"), None, 0),
            (saying("False", "container runtime is down"), None, 0),
            (saying("Unknown", "Kubelet stopped posting node status."), None, 0),
        ] {
            let (read, issues) = read(object.clone());
            assert_eq!((read.drain, issues.len()), (want, faults), "{object}");
        }
    }
}
