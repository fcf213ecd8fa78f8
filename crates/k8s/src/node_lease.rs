//! The Lease by which a speaker shows that it lives, for membership by Lease.

use std::collections::BTreeMap;
use std::time::Duration;

use ironlb_model::{NodeName, ResourceVersion};
use ironlb_translate::parse_version;
use k8s_openapi::api::coordination::v1::{Lease, LeaseSpec};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use kube::api::{ListParams, PostParams};
use kube::{Api, Client};

use crate::clock;
use crate::outcome::{Outcome, outcome_of};
use crate::write::SPEAKER_MANAGER;

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
    /// `leaseTransitions`: how often it changed hands.
    pub transitions: i32,
    /// What else the speaker says of itself.
    pub annotations: BTreeMap<String, String>,
    /// The version this was read at.
    pub version: ResourceVersion,
}

/// What is written into a node's Lease; `renewTime` becomes the moment of the request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NodeLeaseWrite {
    /// The node.
    pub node: NodeName,
    /// Replace the Lease only if it stands at this version; `None`: create it.
    pub expected: Option<ResourceVersion>,
    /// `holderIdentity`; `None`: empty, given back.
    pub holder: Option<String>,
    /// `leaseTransitions`.
    pub transitions: i32,
    /// `leaseDurationSeconds`, for people: nobody of ours judges by it.
    pub duration: Duration,
    /// What else the speaker says of itself: all annotations of the Lease.
    pub annotations: BTreeMap<String, String>,
}

/// The speakers' Leases, read and written past any cache.
#[derive(Clone)]
pub struct NodeLeases {
    api: Api<Lease>,
}

impl std::fmt::Debug for NodeLeases {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("NodeLeases").finish_non_exhaustive()
    }
}

impl NodeLeases {
    /// Those of one namespace, through a client for leases ([`crate::Clients::lease`]).
    #[must_use]
    pub fn new(client: Client, namespace: &str) -> Self {
        Self { api: Api::namespaced(client, namespace) }
    }

    /// Writes one, whole, and waits no longer than `limit` for the answer.
    pub async fn write(&self, write: &NodeLeaseWrite, limit: Duration) -> Outcome {
        let lease = lease(write);
        let params = PostParams { field_manager: Some(SPEAKER_MANAGER.to_owned()), ..PostParams::default() };
        let name = lease_name(&write.node);
        match write.expected {
            None => outcome_of(limit, None, self.api.create(&params, &lease)).await,
            Some(_) => outcome_of(limit, write.expected, self.api.replace(&name, &params, &lease)).await,
        }
    }

    /// Reads all of them, not from a cache of the API server (resourceVersion unset); `None` when no whole answer came within `limit`.
    pub async fn list(&self, limit: Duration) -> Option<Vec<NodeLease>> {
        let ours = ListParams::default().labels(&format!("{LABEL}={LABEL_VALUE}"));
        let listed = tokio::time::timeout(limit, self.api.list(&ours)).await;
        match listed {
            Ok(Ok(list)) => Some(list.items.iter().map(read_node_lease).collect()),
            Ok(Err(error)) => {
                tracing::debug!(%error, "cannot list the speakers' Leases");
                None
            }
            Err(_) => None,
        }
    }
}

fn lease(write: &NodeLeaseWrite) -> Lease {
    Lease {
        metadata: ObjectMeta {
            name: Some(lease_name(&write.node)),
            resource_version: write.expected.map(|version| version.to_string()),
            labels: Some(BTreeMap::from([(LABEL.to_owned(), LABEL_VALUE.to_owned())])),
            annotations: Some(write.annotations.clone()),
            ..ObjectMeta::default()
        },
        spec: Some(LeaseSpec {
            holder_identity: Some(write.holder.clone().unwrap_or_default()),
            lease_duration_seconds: i32::try_from(write.duration.as_secs()).ok(),
            lease_transitions: Some(write.transitions),
            renew_time: Some(clock::micro_time()),
            ..LeaseSpec::default()
        }),
    }
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
        transitions: spec.and_then(|s| s.lease_transitions).unwrap_or_default(),
        annotations: object.metadata.annotations.clone().unwrap_or_default(),
        version: parse_version(object.metadata.resource_version.as_deref().unwrap_or_default()),
    }
}
