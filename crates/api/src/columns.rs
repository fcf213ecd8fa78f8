//! What `kubectl get` shows. The first three columns of an Eip are OpenELB's, by name, type and order: scripts read them.

use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceColumnDefinition;

struct Column {
    kind: &'static str,
    name: &'static str,
    type_: &'static str,
    json_path: &'static str,
    /// Shown with `-o wide` only.
    wide: bool,
}

const fn column(kind: &'static str, name: &'static str, type_: &'static str, json_path: &'static str) -> Column {
    Column { kind, name, type_, json_path, wide: false }
}

const fn wide(kind: &'static str, name: &'static str, type_: &'static str, json_path: &'static str) -> Column {
    Column { kind, name, type_, json_path, wide: true }
}

const READY: &str = ".status.conditions[?(@.type=='Ready')].status";
const CREATED: &str = ".metadata.creationTimestamp";

const COLUMNS: &[Column] = &[
    column("Eip", "cidr", "string", ".spec.address"),
    column("Eip", "usage", "integer", ".status.usage"),
    column("Eip", "total", "integer", ".status.poolSize"),
    column("Eip", "ready", "string", READY),
    column("Eip", "protocol", "string", ".spec.protocol"),
    column("Eip", "age", "date", CREATED),
    column("BgpConf", "as", "integer", ".spec.as"),
    column("BgpConf", "ready", "string", READY),
    column("BgpConf", "age", "date", CREATED),
    // The first of both spellings that is there, as they are read: v1alpha1 says `config`.
    column("BgpPeer", "address", "string", ".spec['conf','config'].neighborAddress"),
    column("BgpPeer", "as", "integer", ".spec['conf','config'].peerAs"),
    column("BgpPeer", "ready", "string", ".status.conditions[?(@.type=='Accepted')].status"),
    column("BgpPeer", "established", "string", ".status.conditions[?(@.type=='Established')].status"),
    column("BgpPeer", "age", "date", CREATED),
    column("Speaker", "ready", "boolean", ".status.ready"),
    column("Speaker", "vips", "integer", ".status.layer2.ownedCount"),
    column("Speaker", "bgp", "string", ".status.bgp.established"),
    column("Speaker", "withheld", "integer", ".status.withheldCount"),
    column("Speaker", "members", "integer", ".status.membersCount"),
    column("Speaker", "version", "string", ".status.version"),
    column("Speaker", "drain", "string", ".status.drain"),
    wide("Speaker", "advertised", "integer", ".status.bgp.advertisedCount"),
    wide("Speaker", "router-id", "string", ".status.bgp.routerId"),
    wide("Speaker", "observed", "date", ".status.observedTime"),
    column("Speaker", "age", "date", CREATED),
];

/// The columns of a kind.
pub(crate) fn of(kind: &str) -> Vec<CustomResourceColumnDefinition> {
    COLUMNS
        .iter()
        .filter(|column| column.kind == kind)
        .map(|column| CustomResourceColumnDefinition {
            name: column.name.to_owned(),
            type_: column.type_.to_owned(),
            json_path: column.json_path.to_owned(),
            priority: column.wide.then_some(1),
            ..CustomResourceColumnDefinition::default()
        })
        .collect()
}
