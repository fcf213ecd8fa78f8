//! What a speaker applies: its Speaker object, as a whole, and its node's key in the statuses of BgpConf and BgpPeers.

use ironlb_api::{Speaker, SpeakerStatus};
use ironlb_model::NodeName;
use kube::Resource;
use serde::Serialize;
use serde_json::{Value, json};

/// The object to apply; without a status to create it.
pub(super) fn body(node: &NodeName, status: Option<&SpeakerStatus>) -> Value {
    let mut body = json!({
        "apiVersion": Speaker::api_version(&()),
        "kind": Speaker::kind(&()),
        "metadata": {"name": node.as_str()},
    });
    if let Some(status) = status {
        body["status"] = json!(status);
    }
    body
}

/// The longest name of a manager in `managedFields` that the API server takes.
const MAX_MANAGER: usize = 128;

/// The name under which a node's key is written: one for each node, or the API server would take what one does not mention for its wish
/// to have it gone.
pub(super) fn manager(node: &NodeName) -> String {
    let name = format!("{}-{node}", super::SPEAKER_MANAGER);
    if name.len() <= MAX_MANAGER {
        return name;
    }
    // FNV-1a, 64 bits: names that only differ in what is cut stay different.
    let hash = node
        .as_str()
        .bytes()
        .fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3));
    let mark = format!("-{hash:016x}");
    let end = name.floor_char_boundary(MAX_MANAGER - mark.len());
    format!("{}{mark}", name.get(..end).unwrap_or_default())
}

/// The object to apply that holds this node's key in a map of the status and nothing else; without one it is taken out.
pub(super) fn key<K>(node: &NodeName, name: &str, map: &str, key: Option<&impl Serialize>) -> Value
where
    K: Resource<DynamicType = ()>,
{
    let mut status = json!({});
    if let Some(key) = key {
        status[map] = json!({node.as_str(): key});
    }
    json!({
        "apiVersion": K::api_version(&()),
        "kind": K::kind(&()),
        "metadata": {"name": name},
        "status": status,
    })
}

#[cfg(test)]
mod tests {
    use ironlb_api::{BgpConf, NodeConfStatus};

    use super::*;

    #[test]
    fn a_key_is_applied_alone_and_taken_out_by_leaving_it_out() {
        let own = NodeConfStatus { router_id: Some("192.0.2.1".to_owned()), asn: Some(65000.into()) };
        let applied = |own: Option<&NodeConfStatus>| key::<BgpConf>(&"n1".into(), "default", "nodesConfStatus", own);
        let written = applied(Some(&own));
        assert_eq!(written["apiVersion"], "network.kubesphere.io/v1alpha2");
        assert_eq!(written["status"], json!({"nodesConfStatus": {"n1": {"routerId": "192.0.2.1", "as": 65000}}}));
        assert_eq!(applied(None)["status"], json!({}));
    }

    #[test]
    fn each_node_has_a_manager_of_its_own_however_long_its_name() {
        assert_eq!(manager(&"n1".into()), "ironlb-speaker-n1");
        let long = |end: &str| manager(&NodeName::from(format!("{}{end}", "n".repeat(250))));
        assert!(long("1").len() <= MAX_MANAGER && long("1") != long("2"));
    }
}
