//! Kind `Eip`: a pool of addresses and how they are announced.

use std::collections::BTreeMap;

use k8s_openapi::apimachinery::pkg::apis::meta::v1::{Condition, LabelSelector};
use kube::CustomResource;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// How the addresses of an Eip are announced.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Protocol {
    /// By BGP; also what an absent field means.
    Bgp,
    /// By ARP and NDP: one node answers for an address.
    Layer2,
    /// OpenELB's keepalived mode; ironlb serves it as `layer2`.
    Vip,
}

/// What the user wants of a pool of addresses.
#[derive(CustomResource, Debug, Clone, PartialEq, Default, Serialize, Deserialize, JsonSchema)]
#[kube(
    group = "network.kubesphere.io",
    version = "v1alpha2",
    kind = "Eip",
    plural = "eips",
    singular = "eip",
    category = "networking",
    status = "EipStatus",
    derive = "PartialEq",
    doc = "A pool of addresses for Services of type LoadBalancer, and how they are announced."
)]
#[serde(rename_all = "camelCase")]
pub struct EipSpec {
    /// The addresses: one address, a CIDR, a range `first-last`, or a comma-separated list of these, of IPv4 or IPv6.
    /// May grow and shrink: an address that is held stays with its Service.
    #[schemars(length(max = 4096))]
    pub address: String,
    /// How the addresses are announced: `bgp` (when absent), `layer2` or `vip`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub protocol: Option<Protocol>,
    /// The network interface that answers for the addresses: its name, or `can_reach:<address>` for the interface of
    /// each node's route to that address. For `layer2` and `vip` only.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub interface: Option<String>,
    /// Give out no further address; those given out stay.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub disable: Option<bool>,
    /// Accepted and without effect, as in OpenELB.
    #[serde(rename = "usingKnownIPs", skip_serializing_if = "Option::is_none")]
    pub using_known_ips: Option<bool>,
    /// Which Eip comes first when several would do; the smaller number wins, absent is 0.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub priority: Option<i64>,
    /// Services of these namespaces take their address from here when they name no Eip.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub namespaces: Option<Vec<String>>,
    /// As `namespaces`, for namespaces that carry all these labels.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub namespace_selector: Option<BTreeMap<String, String>>,

    /// Addresses that are never given out, each in the grammar of `address`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub exclude: Option<Vec<String>>,
    /// False: only Services that ask for this Eip, or for an address in it, get one. Absent is true.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub auto_assign: Option<bool>,
    /// True: never give out an IPv4 address that ends in .0 or .255. Absent is false.
    #[serde(rename = "avoidBuggyIPs", skip_serializing_if = "Option::is_none")]
    pub avoid_buggy_ips: Option<bool>,
    /// Services that take their address from here when they name no Eip.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(extend("x-kubernetes-map-type" = "atomic"))]
    pub service_selector: Option<LabelSelector>,
    /// The nodes that may announce the addresses; absent is all.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(extend("x-kubernetes-map-type" = "atomic"))]
    pub node_selector: Option<LabelSelector>,
    /// True: `namespaces` and the selectors also bind Services that ask for this Eip by name. Absent is false, as in
    /// OpenELB.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub enforce_selectors: Option<bool>,
    /// Who may share an address: `Cluster` (when absent), `Namespace` or `Never`. The ports must differ in every case.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub sharing: Option<String>,
    /// Addresses kept for certain Services, also while those do not exist.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reservations: Option<Vec<Reservation>>,
    /// How many addresses a namespace may hold.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub quota: Option<Quota>,
    /// How long an address that was given back is kept from other Services, such as `5m` or `1h30m`; the Service that had it
    /// gets it back at once. Absent is no time at all.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reuse_delay: Option<String>,
    /// Settings for `layer2` and `vip`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub layer2: Option<EipLayer2>,
    /// Settings for `bgp`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub bgp: Option<EipBgp>,
}

/// An address, or several, kept for a Service by name, or for Services by label.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Reservation {
    /// The address, in the grammar of the Eip's `address`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub address: Option<String>,
    /// The namespace of the Service it is kept for; with `serviceSelector` it may be left out, and is then any.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub namespace: Option<String>,
    /// The name of the Service it is kept for.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// The labels of the Services it is kept for, instead of a name.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(extend("x-kubernetes-map-type" = "atomic"))]
    pub service_selector: Option<LabelSelector>,
}

/// How many addresses a namespace may hold.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Quota {
    /// The number for each namespace; absent is without limit. An address that several Services of a namespace share counts
    /// once.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub addresses_per_namespace: Option<i64>,
}

/// Settings for `layer2` and `vip`.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct EipLayer2 {
    /// Network interfaces to choose from, each in the grammar of `interface`; goes before `interface`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub interfaces: Option<Vec<String>>,
    /// What to do when another host uses an address: `Enforce` (when absent) does not announce it, `Warn` only reports,
    /// `Off` does not look.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub conflict_detection: Option<String>,
}

/// Settings for `bgp`: how the routes to the addresses are advertised.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct EipBgp {
    /// Prefix length of the IPv4 routes; absent is 32.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub aggregation_length: Option<i64>,
    /// Prefix length of the IPv6 routes; absent is 128.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub aggregation_length_v6: Option<i64>,
    /// `LOCAL_PREF` towards internal peers.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub local_pref: Option<i64>,
    /// `MULTI_EXIT_DISC`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub med: Option<i64>,
    /// Communities, `65000:1` or a well-known name such as `no-export`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub communities: Option<Vec<String>>,
    /// Large communities, `64496:1:2`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub large_communities: Option<Vec<String>>,
    /// How many times the own AS number is put before the path once more.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub as_path_prepend: Option<i64>,
    /// Names of the BgpPeers to advertise to; absent is all.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub peers: Option<Vec<String>>,
    /// True: routes of Services with `externalTrafficPolicy: Local` carry how many endpoints the node has, as a
    /// link-bandwidth community.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub weighted: Option<bool>,
}

/// What is in use of a pool, in OpenELB's form, and conditions.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct EipStatus {
    /// Every address is in use.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub occupied: Option<bool>,
    /// How many addresses are in use.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub usage: Option<i64>,
    /// How many addresses the pool has; a larger pool shows 9223372036854775807.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub pool_size: Option<i64>,
    /// Which Service holds an address: `namespace/name`, several joined by `;`.
    // Atomic: the controller alone writes it, and `managedFields` would name each of up to 20,000 addresses once more.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(extend("x-kubernetes-map-type" = "atomic"))]
    pub used: Option<BTreeMap<String, String>>,
    /// The first address.
    #[serde(rename = "firstIP", skip_serializing_if = "Option::is_none")]
    pub first_ip: Option<String>,
    /// The last address.
    #[serde(rename = "lastIP", skip_serializing_if = "Option::is_none")]
    pub last_ip: Option<String>,
    /// OpenELB 0.5 set it; newer versions do not.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ready: Option<bool>,
    /// The pool is of IPv4 addresses.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub v4: Option<bool>,
    /// Conditions; OpenELB writes none.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(extend("x-kubernetes-list-type" = "map", "x-kubernetes-list-map-keys" = ["type"]))]
    pub conditions: Option<Vec<Condition>>,
}
