//! Kind `Speaker`: what the speaker of one node sees and does. Named after the node, written by that speaker alone.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::{Condition, Time};
use kube::CustomResource;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// How many entries `layer2.owned` may have; the count beside it is exact. Chosen, because an entry takes about 150
/// bytes: the list stays below 150 KiB, a tenth of what the store takes for one object.
pub const MAX_OWNED: usize = 1000;

/// How many entries `withheld` may have; the count beside it is exact. Chosen, because nobody reads more, and each
/// carries a sentence.
pub const MAX_WITHHELD: usize = 100;

/// Nothing: a Speaker has a status only, there is nothing to want of it.
#[derive(CustomResource, Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[kube(
    group = "ironlb.io",
    version = "v1alpha1",
    kind = "Speaker",
    plural = "speakers",
    singular = "speaker",
    no_spec,
    status = "SpeakerStatus",
    derive = "PartialEq",
    derive = "Default",
    doc = "What the ironlb speaker of one node sees and does; written by that speaker, named after the node."
)]
pub struct SpeakerSpec {}

/// What a speaker reports, on change and at most every few seconds.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct SpeakerStatus {
    /// The version of ironlb it runs.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub version: Option<String>,
    /// Names this life of the process; a restarted speaker has another.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub incarnation: Option<String>,
    /// It has seen all it watches and its sockets are open.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ready: Option<bool>,
    /// The node's network interfaces.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub interfaces: Option<Vec<SpeakerInterface>>,
    /// The nodes whose speakers this one regards as alive, itself included.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub members: Option<Vec<String>>,
    /// How many they are.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub members_count: Option<i64>,
    /// What it answers for in Layer 2.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub layer2: Option<SpeakerLayer2>,
    /// What it advertises to routers.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub bgp: Option<SpeakerBgp>,
    /// How many vips it could announce and does not.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub withheld_count: Option<i64>,
    /// The first 100 of them, with the reason.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub withheld: Option<Vec<WithheldVip>>,
    /// Vips that another host was seen to use.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub conflicts: Option<Vec<VipConflict>>,
    /// Why it hands its vips over, while it does.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub drain: Option<String>,
    /// When this was written.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub observed_time: Option<Time>,
    /// Conditions.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(extend("x-kubernetes-list-type" = "map", "x-kubernetes-list-map-keys" = ["type"]))]
    pub conditions: Option<Vec<Condition>>,
}

/// A network interface of the node.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct SpeakerInterface {
    /// Its name.
    pub name: String,
    /// Its Ethernet address, `02:00:00:00:00:01`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub mac: Option<String>,
    /// It is up and has carrier.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub up: Option<bool>,
    /// Its addresses with prefix length, `192.0.2.1/24`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub prefixes: Option<Vec<String>>,
}

/// What a speaker answers for in Layer 2.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct SpeakerLayer2 {
    /// How many vips it owns.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub owned_count: Option<i64>,
    /// The first 1000 of them.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub owned: Option<Vec<OwnedVip>>,
}

/// A vip this node owns.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct OwnedVip {
    /// The address.
    pub vip: String,
    /// The network interface it is answered on.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub interface: Option<String>,
    /// A Service that holds it, `namespace/name`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub service: Option<String>,
    /// Since when.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub since: Option<Time>,
}

/// What a speaker does in BGP.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct SpeakerBgp {
    /// Its BGP identifier.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub router_id: Option<String>,
    /// How many vips it advertises in an established session.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub advertised_count: Option<i64>,
    /// The first 1000 of them.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub advertised: Option<Vec<String>>,
    /// Its sessions.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub sessions: Option<Vec<SpeakerSession>>,
}

/// A BGP session of this node.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct SpeakerSession {
    /// The name of the BgpPeer.
    pub peer: String,
    /// `IDLE`, `CONNECT`, `ACTIVE`, `OPENSENT`, `OPENCONFIRM` or `ESTABLISHED`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub state: Option<String>,
    /// Since when it is in this state.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub since: Option<Time>,
    /// How many routes are advertised in it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub routes: Option<i64>,
    /// The state of BFD: `AdminDown`, `Down`, `Init` or `Up`; absent where there is none.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub bfd: Option<String>,
    /// Why it last went down, or does not come up.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub last_error: Option<String>,
}

/// A vip this node could announce and does not.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct WithheldVip {
    /// The address.
    pub vip: String,
    /// A reason from a closed list.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// A sentence for people.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub message: Option<String>,
}

/// A vip that another host was seen to use.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct VipConflict {
    /// The address.
    pub vip: String,
    /// The other host's Ethernet address.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub mac: Option<String>,
    /// When it was last seen.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub last_seen: Option<Time>,
}
