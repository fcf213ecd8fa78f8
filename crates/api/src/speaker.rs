//! Kind `Speaker`: what the speaker of one node sees and does. Named after the node, written by that speaker alone.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::{Condition, Time};
use kube::CustomResource;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::Asn;

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
    /// Its AS number.
    #[serde(rename = "as", skip_serializing_if = "Option::is_none")]
    pub asn: Option<Asn>,
    /// Its BGP identifier.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub router_id: Option<String>,
    /// Why it has no sessions at all.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub message: Option<String>,
    /// Where routers can connect to.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub listeners: Option<Vec<SpeakerListener>>,
    /// How many vips it advertises in an established session.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub advertised_count: Option<i64>,
    /// The first 1000 of them.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub advertised: Option<Vec<String>>,
    /// The first 100 of the aggregates it advertises although its node would send packets for their unused addresses back to a
    /// router, which sends them round again: the node needs a discard route for each.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub looping_aggregates: Option<Vec<String>>,
    /// How many of its sessions are established, of how many: `2/2`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub established: Option<String>,
    /// Its sessions.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub sessions: Option<Vec<SpeakerSession>>,
}

/// An address that routers can connect to.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct SpeakerListener {
    /// The address; `0.0.0.0` and `::` are all of a family.
    pub address: String,
    /// The TCP port; absent where it does not listen.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub port: Option<i64>,
    /// Why it does not.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub message: Option<String>,
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
    /// Why there can be no session although the BgpPeer selects this node; a reason from a closed list.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// Since when it is in this state.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub since: Option<Time>,
    /// Since when it is established, if it is.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub established_time: Option<Time>,
    /// This end of the connection, `192.0.2.1:179`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub local_address: Option<String>,
    /// The router's end of the connection, or the address that is tried.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub remote_address: Option<String>,
    /// The interface through which the router is reached.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub interface: Option<String>,
    /// How many times it went down after it had been established.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub flaps: Option<i64>,
    /// The families spoken, while it is established.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub families: Option<Vec<SpeakerSessionFamily>>,
    /// The router keeps the routes while this speaker restarts.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub graceful_restart: Option<bool>,
    /// BFD beside it, where there is any.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub bfd: Option<SpeakerBfd>,
    /// Why it last went down, or does not come up: what the router said, and what was said to it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub last_error: Option<String>,
    /// When that was.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub last_error_time: Option<Time>,
    /// Why the last session that was established ended: what the router said, and what was said to it. Attempts since then leave it as
    /// it is.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub last_end: Option<String>,
    /// When it ended.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub last_end_time: Option<Time>,
}

/// One family of addresses in a session.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct SpeakerSessionFamily {
    /// `ipv4-unicast` or `ipv6-unicast`.
    pub family: String,
    /// How many prefixes the router was told.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub advertised: Option<i64>,
    /// How many prefixes the router has announced and not withdrawn; they are counted, up to 10000, and not used.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub received: Option<i64>,
}

/// BFD beside a session.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct SpeakerBfd {
    /// `AdminDown`, `Down`, `Init` or `Up`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub state: Option<String>,
    /// The router's state, as it tells.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub remote_state: Option<String>,
    /// Why the own state last changed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub diagnostic: Option<String>,
    /// Why the router's state last changed, as it tells.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub remote_diagnostic: Option<String>,
    /// So long the router may be silent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub detection_milliseconds: Option<i64>,
    /// The interval at which packets are sent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub transmit_milliseconds: Option<i64>,
    /// How many times it went down after it had been up.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub downs: Option<i64>,
    /// Why no packet goes out, if none does.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub message: Option<String>,
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
