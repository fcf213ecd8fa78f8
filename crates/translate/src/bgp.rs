//! BgpConf and BgpPeer: which of them count, and what they ask for.

mod fields;
mod own_side;
mod peering;
mod routes;
mod without_effect;

use std::collections::BTreeSet;
use std::net::Ipv4Addr;

use ironlb_api::{self as api, names};
use ironlb_model::{BgpConf, BgpPeer, Issue, IssueReason, NodeName, ObjectRef};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;

pub(crate) use self::fields::Faults;
pub(crate) use self::routes::{community, large_community, routes, well_known_community};
use crate::metadata;

/// Reads a BgpConf and whatever is wrong with it.
#[must_use]
pub fn bgp_conf(object: &api::BgpConf) -> (BgpConf, Vec<Issue>) {
    let meta = &object.metadata;
    let name = meta.name.clone().unwrap_or_default();
    let mut faults = Faults::of(ObjectRef::BgpConf(name.clone()));
    let is_default = name == names::BGP_CONF_NAME;
    if !is_default {
        let message = format!("only the BgpConf named {} is used: rename this one or delete it", names::BGP_CONF_NAME);
        faults.add("metadata.name", IssueReason::Ignored, message);
    }
    let is_ours = !belongs_to_cni(meta, &mut faults) && is_default;
    let own_side = own_side::own_side(&object.spec, &mut faults);
    let conditions = object.status.as_ref().and_then(|s| s.conditions.as_deref());
    let read = BgpConf {
        name,
        uid: meta.uid.clone().unwrap_or_default(),
        version: metadata::version(meta),
        generation: meta.generation.unwrap_or(0),
        has_openelb_finalizer: metadata::has_finalizer(meta, names::finalizer::BGP),
        own_side: is_ours.then_some(own_side),
        nodes: object.status.iter().filter_map(|s| s.nodes_conf_status.as_ref()).flatten().map(node_of_conf).collect(),
        conditions: metadata::conditions(conditions, |_| true),
        condition_times: metadata::condition_times(conditions),
    };
    (read, faults.issues)
}

/// Reads a BgpPeer and whatever is wrong with it.
#[must_use]
pub fn bgp_peer(object: &api::BgpPeer) -> (BgpPeer, Vec<Issue>) {
    let meta = &object.metadata;
    let name = meta.name.clone().unwrap_or_default();
    let mut faults = Faults::of(ObjectRef::BgpPeer(name.clone()));
    let is_ours = !belongs_to_cni(meta, &mut faults);
    let peering = peering::peering(&object.spec, &mut faults);
    let conditions = object.status.as_ref().and_then(|s| s.conditions.as_deref());
    let read = BgpPeer {
        name,
        uid: meta.uid.clone().unwrap_or_default(),
        version: metadata::version(meta),
        generation: meta.generation.unwrap_or(0),
        has_openelb_finalizer: metadata::has_finalizer(meta, names::finalizer::BGP),
        peering: peering.filter(|_| is_ours),
        nodes: nodes_of_peer(object),
        conditions: metadata::conditions(conditions, |_| true),
        condition_times: metadata::condition_times(conditions),
    };
    (read, faults.issues)
}

fn node_of_conf((node, own): (&String, &api::NodeConfStatus)) -> (NodeName, Option<Ipv4Addr>) {
    (node.as_str().into(), own.router_id.as_deref().and_then(|text| text.parse().ok()))
}

fn nodes_of_peer(object: &api::BgpPeer) -> BTreeSet<NodeName> {
    let shown = object.status.iter().filter_map(|status| status.nodes_peer_status.as_ref()).flatten();
    shown.map(|(node, _)| node.as_str().into()).collect()
}

/// Is the object another's (OpenELB's label for a CNI)? Told then.
fn belongs_to_cni(meta: &ObjectMeta, faults: &mut Faults) -> bool {
    let label = names::label::CNI;
    let is_theirs = meta.labels.as_ref().is_some_and(|labels| labels.contains_key(label));
    if is_theirs {
        let message = format!("label {label} leaves this object to the CNI: remove the label to have it used");
        faults.add(&format!("metadata.labels[{label}]"), IssueReason::Ignored, message);
    }
    is_theirs
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
