//! Kind `BgpConf`: the cluster's side of BGP. Only the object named `default` is used.

use std::collections::BTreeMap;

use k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition;
use kube::CustomResource;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::Asn;

/// The cluster's own BGP settings.
#[derive(CustomResource, Debug, Clone, PartialEq, Default, Serialize, Deserialize, JsonSchema)]
#[kube(
    group = "network.kubesphere.io",
    version = "v1alpha2",
    kind = "BgpConf",
    plural = "bgpconfs",
    singular = "bgpconf",
    status = "BgpConfStatus",
    derive = "PartialEq",
    derive = "Default",
    doc = "The cluster's own BGP settings; only the object named default is used."
)]
#[serde(rename_all = "camelCase")]
pub struct BgpConfSpec {
    /// The own AS number; absent or 0: BGP is off.
    #[serde(rename = "as", skip_serializing_if = "Option::is_none")]
    pub asn: Option<Asn>,
    /// The own AS number by rack: value of the node's label `openelb.kubesphere.io/rack` to AS number.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub as_per_rack: Option<BTreeMap<String, Asn>>,
    /// The BGP identifier, an IPv4 address; empty: each node's first InternalIP.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub router_id: Option<String>,
    /// The spelling of `routerId` in v1alpha1.
    #[serde(rename = "routerID", skip_serializing_if = "Option::is_none")]
    pub router_id_v1alpha1: Option<String>,
    /// The TCP port to listen on; absent or 0: 179, negative: none.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub listen_port: Option<i64>,
    /// The spelling of `listenPort` in v1alpha1.
    #[serde(rename = "port", skip_serializing_if = "Option::is_none")]
    pub port_v1alpha1: Option<i64>,
    /// The addresses to listen on; empty: all.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub listen_addresses: Option<Vec<String>>,
    /// Address families as numbers of GoBGP's list: 0 is IPv4 unicast, 1 is IPv6 unicast; empty: all.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub families: Option<Vec<i64>>,
    /// Accepted and without effect: ironlb imports no routes, so that there is nothing to choose among.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub use_multiple_paths: Option<bool>,
    /// Graceful restart (RFC 4724) for all sessions.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub graceful_restart: Option<GracefulRestart>,
    /// The name of a ConfigMap in ironlb's namespace whose key `gobgp.conf` holds an export policy.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub policy: Option<String>,
}

/// Graceful restart (RFC 4724); times in seconds.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct GracefulRestart {
    /// Negotiate it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub enabled: Option<bool>,
    /// How long the peer keeps our routes after the session is lost; absent or 0: 30.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub restart_time: Option<i64>,
    /// Accepted and without effect: no routes are chosen, so that nothing waits for the peer's.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub deferral_time: Option<i64>,
    /// Accepted and without effect: no routes of the peer's are kept.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub stale_routes_time: Option<i64>,
    /// Accepted and without effect: the peer's restart time is what the peer says.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub peer_restart_time: Option<i64>,
    /// Help a restarting peer, and do not ask for help.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub helper_only: Option<bool>,
    /// Keep routes also over a NOTIFICATION (RFC 8538).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub notification_enabled: Option<bool>,
    /// Accepted and without effect: long-lived graceful restart (RFC 9494) is not served.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub longlived_enabled: Option<bool>,
    /// Accepted and without effect: a state, not a setting.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub peer_restarting: Option<bool>,
    /// Accepted and without effect: a state, not a setting.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub local_restarting: Option<bool>,
    /// Accepted and without effect.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub mode: Option<String>,
}

/// What each node runs BGP with.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct BgpConfStatus {
    /// By node name.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub nodes_conf_status: Option<BTreeMap<String, NodeConfStatus>>,
    /// Conditions; OpenELB writes none.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(extend("x-kubernetes-list-type" = "map", "x-kubernetes-list-map-keys" = ["type"]))]
    pub conditions: Option<Vec<Condition>>,
}

/// What one node runs BGP with.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct NodeConfStatus {
    /// Its BGP identifier.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub router_id: Option<String>,
    /// Its AS number.
    #[serde(rename = "as", skip_serializing_if = "Option::is_none")]
    pub asn: Option<Asn>,
}
