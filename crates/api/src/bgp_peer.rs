//! Kind `BgpPeer`: a router that speakers have BGP sessions with.

mod status;

use k8s_openapi::apimachinery::pkg::apis::meta::v1::LabelSelector;
use kube::CustomResource;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

pub use status::{BgpPeerStatus, MessageCounts, Messages, NodePeerStatus, PeerState, Queues, TimersState};

use crate::{Asn, GracefulRestart};

/// A BGP peer and which nodes have a session with it.
#[derive(CustomResource, Debug, Clone, PartialEq, Default, Serialize, Deserialize, JsonSchema)]
#[kube(
    group = "network.kubesphere.io",
    version = "v1alpha2",
    kind = "BgpPeer",
    plural = "bgppeers",
    singular = "bgppeer",
    status = "BgpPeerStatus",
    derive = "PartialEq",
    derive = "Default",
    doc = "A router that speakers have BGP sessions with."
)]
#[serde(rename_all = "camelCase")]
pub struct BgpPeerSpec {
    /// The peer itself.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub conf: Option<PeerConf>,
    /// The spelling of `conf` in v1alpha1.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub config: Option<PeerConfigV1alpha1>,
    /// ADD-PATH as v1alpha1 spells it; in v1alpha2 it stands under `afiSafis`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub add_paths: Option<AddPathsV1alpha1>,
    /// Accepted and without effect, as in OpenELB since 0.4 (a field of v1alpha1).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub using_port_forward: Option<bool>,
    /// A peer that is not directly connected.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ebgp_multihop: Option<EbgpMultihop>,
    /// Timers.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub timers: Option<Timers>,
    /// The TCP connection.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub transport: Option<Transport>,
    /// Graceful restart (RFC 4724) for this session.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub graceful_restart: Option<GracefulRestart>,
    /// Address families; empty: unicast of the neighbour address' own family, ADD-PATH with 10 paths.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub afi_safis: Option<Vec<AfiSafi>>,
    /// The nodes whose speakers have this session; absent is all.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(extend("x-kubernetes-map-type" = "atomic"))]
    pub node_selector: Option<LabelSelector>,

    /// Bidirectional forwarding detection (RFC 5880) beside the session.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub bfd: Option<Bfd>,
    /// A Secret in ironlb's namespace that holds the TCP MD5 password; goes before `conf.authPassword`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub password_secret_ref: Option<PasswordSecretRef>,
    /// Refuse packets that came over more hops than this (GTSM, RFC 5082); 1 is a directly connected peer.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ttl_security: Option<i64>,
    /// The local address of the session.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub source_address: Option<String>,
    /// True: the node is the next hop of all it advertises here, also on behalf of other nodes.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub next_hop_self: Option<bool>,
}

/// The peer itself.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct PeerConf {
    /// The peer's address, IPv4 or IPv6.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub neighbor_address: Option<String>,
    /// The peer's AS number.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub peer_as: Option<Asn>,
    /// The own AS number towards this peer; absent or 0: that of the BgpConf.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub local_as: Option<Asn>,
    /// TCP MD5 password (RFC 2385) in clear text; `passwordSecretRef` is the better place.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub auth_password: Option<String>,
    /// For people.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub description: Option<String>,
    /// Accepted and without effect: there are no peer groups.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub peer_group: Option<String>,
    /// Accepted and without effect: equal AS numbers make an internal peer.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub peer_type: Option<i64>,
    /// What becomes of private AS numbers (RFC 6996) in paths to an external peer, where a policy has put some there: `NONE` keeps
    /// them, `ALL` takes them out, `REPLACE` puts the own number in their place. The own number stays.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub remove_private_as: Option<String>,
    /// Accepted and without effect: no routes of the peer's are used.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub route_flap_damping: Option<bool>,
    /// Accepted and without effect: communities are always sent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub send_community: Option<i64>,
    /// The interface to an unnumbered or link-local peer.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub neighbor_interface: Option<String>,
    /// Accepted and without effect: there are no VRFs.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub vrf: Option<String>,
    /// Accepted and without effect: no routes of the peer's are used.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub allow_own_as: Option<i64>,
    /// Replace the peer's AS number in paths by the own, for an external peer.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub replace_peer_as: Option<bool>,
    /// Keep the session down.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub admin_down: Option<bool>,
}

/// The peer itself, as v1alpha1 spells it.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct PeerConfigV1alpha1 {
    /// The peer's address.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub neighbor_address: Option<String>,
    /// The peer's AS number.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub peer_as: Option<Asn>,
}

/// ADD-PATH (RFC 7911), as v1alpha1 spells it.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct AddPathsV1alpha1 {
    /// How many paths to send for one prefix; absent: 10.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub send_max: Option<i64>,
}

/// A peer that is not directly connected.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct EbgpMultihop {
    /// Allow it; without, packets to an external peer leave with TTL 1.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub enabled: Option<bool>,
    /// The TTL; absent or 0: 255.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub multihop_ttl: Option<i64>,
}

/// Timers, one level up from the values.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Timers {
    /// The values.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub config: Option<TimersConfig>,
}

/// Timers, each a text that holds whole seconds.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct TimersConfig {
    /// Between attempts to connect; absent: 5.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub connect_retry: Option<String>,
    /// Without a message from the peer for this long the session ends; absent: 90.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub hold_time: Option<String>,
    /// Between KEEPALIVEs; absent: a third of the hold time.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub keepalive_interval: Option<String>,
    /// Accepted and without effect: the peer hears of a change at once.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub minimum_advertisement_interval: Option<String>,
}

/// The TCP connection of a session.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Transport {
    /// Wait for the peer to connect.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub passive_mode: Option<bool>,
    /// The peer's port; absent or 0: 179.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub remote_port: Option<i64>,
    /// Accepted and without effect, as in OpenELB.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub mtu_discovery: Option<bool>,
    /// Accepted and without effect, as in OpenELB.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub remote_address: Option<String>,
    /// Accepted and without effect, as in OpenELB.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tcp_mss: Option<i64>,
}

/// One address family of a session.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct AfiSafi {
    /// Which family.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub config: Option<AfiSafiConfig>,
    /// ADD-PATH (RFC 7911) in this family.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub add_paths: Option<AddPaths>,
    /// Graceful restart in this family, where the session has it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub mp_graceful_restart: Option<MpGracefulRestart>,
}

/// Which address family.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct AfiSafiConfig {
    /// The family; absent: unicast of the neighbour address' own family.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub family: Option<Family>,
    /// Accepted and without effect: a family that is listed is enabled.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub enabled: Option<bool>,
}

/// An address family by GoBGP's names.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Family {
    /// `AFI_IP` or `AFI_IP6`; others are accepted and reported.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub afi: Option<String>,
    /// `SAFI_UNICAST`; others are accepted and reported.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub safi: Option<String>,
}

/// ADD-PATH, one level up from the values.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct AddPaths {
    /// The values.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub config: Option<AddPathsConfig>,
}

/// ADD-PATH (RFC 7911).
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct AddPathsConfig {
    /// How many paths to send for one prefix; absent: 1.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub send_max: Option<i64>,
    /// Accepted and without effect: no routes of the peer's are used.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub receive: Option<bool>,
}

/// Graceful restart in one family, one level up from the values.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct MpGracefulRestart {
    /// The values.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub config: Option<MpGracefulRestartConfig>,
}

/// Graceful restart in one family.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct MpGracefulRestartConfig {
    /// Ask the peer to keep this family's routes over a restart; absent: true.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub enabled: Option<bool>,
}

/// Bidirectional forwarding detection (RFC 5880); intervals in milliseconds.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Bfd {
    /// Run it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub enabled: Option<bool>,
    /// The shortest interval at which packets are taken (`RequiredMinRxInterval`); absent: 300.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub receive_interval: Option<i64>,
    /// The shortest interval at which packets are sent (`DesiredMinTxInterval`); absent: 300.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub transmit_interval: Option<i64>,
    /// How many missing packets mean down (`DetectMult`); absent: 3.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub detect_multiplier: Option<i64>,
    /// The peer is not directly connected (RFC 5883).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub multihop: Option<bool>,
    /// The smallest TTL a packet of a multihop session may arrive with; absent: 254.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub minimum_ttl: Option<i64>,
    /// True: no BGP session before BFD is up.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub strict: Option<bool>,
}

/// A key of a Secret in ironlb's namespace.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct PasswordSecretRef {
    /// The Secret's name.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// The key; absent: `password`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub key: Option<String>,
}
