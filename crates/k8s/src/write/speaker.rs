//! A Speaker: applied by the server, as a whole, by the speaker of its node alone.

use ironlb_api::{Speaker, SpeakerStatus};
use ironlb_model::NodeName;
use kube::Resource;
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
