//! BgpConf and BgpPeer: which of them count, and whether their two spellings agree.

use std::fmt;

use ironlb_api::{self as api, names};
use ironlb_model::{BgpConf, BgpPeer, Issue, IssueReason, ObjectRef};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;

use crate::metadata;
use crate::quote::quoted;

/// Reads a BgpConf and whatever is wrong with it.
#[must_use]
pub fn bgp_conf(object: &api::BgpConf) -> (BgpConf, Vec<Issue>) {
    let (meta, spec) = (&object.metadata, &object.spec);
    let name = meta.name.clone().unwrap_or_default();
    let mut issues = Issues { object: ObjectRef::BgpConf(name.clone()), issues: Vec::new() };
    if name != names::BGP_CONF_NAME {
        let message = format!("only the BgpConf named {} is used: rename this one or delete it", names::BGP_CONF_NAME);
        issues.add("metadata.name", IssueReason::Ignored, message);
    }
    issues.belongs_to_cni(meta);
    issues.compare("spec.routerId", spec.router_id.as_ref(), "spec.routerID", spec.router_id_v1alpha1.as_ref());
    issues.compare("spec.listenPort", spec.listen_port.as_ref(), "spec.port", spec.port_v1alpha1.as_ref());
    let conditions = object.status.as_ref().and_then(|s| s.conditions.as_deref());
    let read = BgpConf {
        name,
        uid: meta.uid.clone().unwrap_or_default(),
        version: metadata::version(meta),
        generation: meta.generation.unwrap_or(0),
        has_openelb_finalizer: metadata::has_finalizer(meta, names::finalizer::BGP),
        conditions: metadata::conditions(conditions, |_| true),
        condition_times: metadata::condition_times(conditions),
    };
    (read, issues.issues)
}

/// Reads a BgpPeer and whatever is wrong with it.
#[must_use]
pub fn bgp_peer(object: &api::BgpPeer) -> (BgpPeer, Vec<Issue>) {
    let (meta, spec) = (&object.metadata, &object.spec);
    let name = meta.name.clone().unwrap_or_default();
    let mut issues = Issues { object: ObjectRef::BgpPeer(name.clone()), issues: Vec::new() };
    issues.belongs_to_cni(meta);
    let (new, old) = (spec.conf.as_ref(), spec.config.as_ref());
    issues.compare(
        "spec.conf.neighborAddress",
        new.and_then(|c| c.neighbor_address.as_ref()),
        "spec.config.neighborAddress",
        old.and_then(|c| c.neighbor_address.as_ref()),
    );
    issues.compare(
        "spec.conf.peerAs",
        new.and_then(|c| c.peer_as).map(|asn| asn.0).as_ref(),
        "spec.config.peerAs",
        old.and_then(|c| c.peer_as).map(|asn| asn.0).as_ref(),
    );
    let conditions = object.status.as_ref().and_then(|s| s.conditions.as_deref());
    let read = BgpPeer {
        name,
        uid: meta.uid.clone().unwrap_or_default(),
        version: metadata::version(meta),
        generation: meta.generation.unwrap_or(0),
        has_openelb_finalizer: metadata::has_finalizer(meta, names::finalizer::BGP),
        conditions: metadata::conditions(conditions, |_| true),
        condition_times: metadata::condition_times(conditions),
    };
    (read, issues.issues)
}

/// The issues found in one object.
struct Issues {
    object: ObjectRef,
    issues: Vec<Issue>,
}

impl Issues {
    fn add(&mut self, field: &str, reason: IssueReason, message: String) {
        self.issues.push(Issue { object: self.object.clone(), field: field.to_owned(), reason, message });
    }

    fn belongs_to_cni(&mut self, meta: &ObjectMeta) {
        let label = names::label::CNI;
        if meta.labels.as_ref().is_some_and(|labels| labels.contains_key(label)) {
            let message = format!("label {label} leaves this object to the CNI: remove the label to have it used");
            self.add(&format!("metadata.labels[{label}]"), IssueReason::Ignored, message);
        }
    }

    /// Tells when a field is set in both its spellings and they disagree.
    fn compare<T: PartialEq + fmt::Display>(&mut self, field: &str, new: Option<&T>, old_field: &str, old: Option<&T>) {
        if let (Some(new), Some(old)) = (new, old)
            && new != old
        {
            let message = format!(
                "it is {} and {old_field} (its older spelling) is {}: the first one counts, remove the other",
                quoted(&new.to_string()),
                quoted(&old.to_string())
            );
            self.add(field, IssueReason::SpellingsDisagree, message);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{Value, json};

    fn conf(name: &str, labels: Value, spec: Value) -> Vec<(String, IssueReason)> {
        let object = json!({"apiVersion": "network.kubesphere.io/v1alpha2", "kind": "BgpConf",
                            "metadata": {"name": name, "labels": labels}, "spec": spec});
        let (_, issues) = bgp_conf(&serde_json::from_value(object).unwrap());
        issues.into_iter().map(|issue| (issue.field, issue.reason)).collect()
    }

    #[test]
    fn only_the_conf_named_default_counts() {
        assert_eq!(conf("default", json!({}), json!({"as": 4_294_967_295_u32})), []);
        assert_eq!(
            conf("second", json!({}), json!({"as": 65000})),
            [("metadata.name".to_owned(), IssueReason::Ignored)]
        );
        let cni = ("metadata.labels[openelb.kubesphere.io/cni]".to_owned(), IssueReason::Ignored);
        assert_eq!(conf("default", json!({"openelb.kubesphere.io/cni": "calico"}), json!({})), [cni]);
    }

    #[test]
    fn spellings_that_disagree_are_told_and_those_that_agree_are_not() {
        let disagree = |field: &str| (field.to_owned(), IssueReason::SpellingsDisagree);
        for (spec, want) in [
            (json!({"routerId": "192.0.2.1", "routerID": "192.0.2.1", "port": 17900}), vec![]),
            (json!({"routerId": "192.0.2.1", "routerID": "192.0.2.2"}), vec![disagree("spec.routerId")]),
            (json!({"listenPort": 179, "port": 17900}), vec![disagree("spec.listenPort")]),
        ] {
            assert_eq!(conf("default", json!({}), spec.clone()), want, "{spec}");
        }
        let object = json!({"metadata": {"name": "leaf1"}, "spec": {
            "conf": {"neighborAddress": "192.0.2.1", "peerAs": 65001}, "config": {"neighborAddress": "192.0.2.2", "peerAs": 65002}}});
        let (read, issues) = bgp_peer(&serde_json::from_value(object).unwrap());
        assert_eq!(read.name, "leaf1");
        assert_eq!(
            issues.iter().map(|i| i.field.as_str()).collect::<Vec<_>>(),
            ["spec.conf.neighborAddress", "spec.conf.peerAs"]
        );
        assert_eq!(
            issues[1].message,
            "it is \"65001\" and spec.config.peerAs (its older spelling) is \"65002\": the first one counts, remove the other"
        );
    }
}
