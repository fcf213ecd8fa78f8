//! The Lease by which a speaker shows that it lives, for membership by Lease.

use std::collections::BTreeMap;

use ironlb_model::{NodeName, ResourceVersion};
use ironlb_translate::parse_version;
use k8s_openapi::api::coordination::v1::Lease;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;

/// What a speaker's Lease is called, before its node's name.
pub const PREFIX: &str = "ironlb-speaker-";

/// The label that finds the speakers' Leases among all others in the namespace.
pub const LABEL: &str = "ironlb.io/lease";

/// The value of [`LABEL`] on a speaker's Lease.
pub const LABEL_VALUE: &str = "speaker";

/// A speaker's Lease, as last heard of.
///
/// How old it is can only be told by whoever watches: `renewed` is another machine's clock and says no more than that something
/// has changed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NodeLease {
    /// The node.
    pub node: NodeName,
    /// Who holds it: names this life of the speaker. `None` when it was given back.
    pub holder: Option<String>,
    /// `renewTime` in microseconds since 1970, on the holder's clock.
    pub renewed: Option<i64>,
    /// What else the speaker says of itself.
    pub annotations: BTreeMap<String, String>,
    /// The version this was read at.
    pub version: ResourceVersion,
}

/// The name of a node's Lease.
#[must_use]
pub fn lease_name(node: &NodeName) -> String {
    format!("{PREFIX}{node}")
}

/// The node a Lease belongs to.
pub(crate) fn node_of(metadata: &ObjectMeta) -> NodeName {
    let name = metadata.name.as_deref().unwrap_or_default();
    name.strip_prefix(PREFIX).unwrap_or(name).into()
}

pub(crate) fn read_node_lease(object: &Lease) -> NodeLease {
    let spec = object.spec.as_ref();
    NodeLease {
        node: node_of(&object.metadata),
        holder: spec.and_then(|s| s.holder_identity.clone()).filter(|holder| !holder.is_empty()),
        renewed: spec.and_then(|s| s.renew_time.as_ref()).map(|time| time.0.as_microsecond()),
        annotations: object.metadata.annotations.clone().unwrap_or_default(),
        version: parse_version(object.metadata.resource_version.as_deref().unwrap_or_default()),
    }
}
