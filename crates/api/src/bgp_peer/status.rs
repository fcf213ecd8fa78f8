//! Status of a BgpPeer: the state of each node's session, in OpenELB's form.

use std::collections::BTreeMap;

use k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::Asn;

/// The sessions with a peer, by node.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct BgpPeerStatus {
    /// By node name.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub nodes_peer_status: Option<BTreeMap<String, NodePeerStatus>>,
    /// Conditions; OpenELB writes none.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(extend("x-kubernetes-list-type" = "map", "x-kubernetes-list-map-keys" = ["type"]))]
    pub conditions: Option<Vec<Condition>>,
}

/// One node's session.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct NodePeerStatus {
    /// The session.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub peer_state: Option<PeerState>,
    /// Its timers.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub timers_state: Option<TimersState>,
}

/// The state of a session.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct PeerState {
    /// Never written; in the form because OpenELB's has it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub auth_password: Option<String>,
    /// The description.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub description: Option<String>,
    /// The peer group.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub peer_group: Option<String>,
    /// The peer's address.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub neighbor_address: Option<String>,
    /// `IDLE`, `CONNECT`, `ACTIVE`, `OPENSENT`, `OPENCONFIRM` or `ESTABLISHED`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub session_state: Option<String>,
    /// Present only when the session is not administratively up.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub admin_state: Option<String>,
    /// The peer's BGP identifier.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub router_id: Option<String>,
    /// The own AS number.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub local_as: Option<Asn>,
    /// The peer's AS number.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub peer_as: Option<Asn>,
    /// 1 for an external peer, absent for an internal one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub peer_type: Option<i64>,
    /// GoBGP's number for `removePrivateAs`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub remove_private_as: Option<i64>,
    /// GoBGP's number for `sendCommunity`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub send_community: Option<i64>,
    /// Messages that wait to be sent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub out_q: Option<i64>,
    /// How often the session went down.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub flops: Option<i64>,
    /// Route flap damping is on.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub route_flap_damping: Option<bool>,
    /// Messages by type and direction.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub messages: Option<Messages>,
    /// Lengths of the queues.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub queues: Option<Queues>,
}

/// Messages by direction.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Messages {
    /// From the peer.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub received: Option<MessageCounts>,
    /// To the peer.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub sent: Option<MessageCounts>,
}

/// Messages by type, each count as text.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct MessageCounts {
    /// NOTIFICATION.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub notification: Option<String>,
    /// UPDATE.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub update: Option<String>,
    /// OPEN.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub open: Option<String>,
    /// KEEPALIVE.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub keepalive: Option<String>,
    /// ROUTE-REFRESH.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub refresh: Option<String>,
    /// Not understood.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub discarded: Option<String>,
    /// All types.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub total: Option<String>,
    /// UPDATEs that withdraw.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub withdraw_update: Option<String>,
    /// Prefixes withdrawn.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub withdraw_prefix: Option<String>,
}

/// Lengths of the queues.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Queues {
    /// Received and not yet handled.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub input: Option<i64>,
    /// Waiting to be sent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub output: Option<i64>,
}

/// The timers of a session: intervals as text in seconds, moments in the form of RFC 3339.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct TimersState {
    /// Between attempts to connect.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub connect_retry: Option<String>,
    /// The configured hold time.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub hold_time: Option<String>,
    /// Between KEEPALIVEs.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub keepalive_interval: Option<String>,
    /// Between two advertisements of one prefix.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub minimum_advertisement_interval: Option<String>,
    /// The hold time both sides agreed on.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub negotiated_hold_time: Option<String>,
    /// When the session came up.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub uptime: Option<String>,
    /// When the session went down.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub downtime: Option<String>,
}
