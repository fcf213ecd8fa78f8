//! Every write on an object, save Leases: what is asked for is turned into one request, and what became of it is reported.
//!
//! The requests are plain data, so that a dry run can print them and a decision need not know how Kubernetes spells a patch.

mod condition;
mod eip;
mod service;
mod speaker;

use std::collections::BTreeSet;

use ironlb_api as api;
use ironlb_api::names::finalizer;
use ironlb_model::{EipPatch, NodeName, ObjectPatch, ObjectRef, ResourceVersion, ServicePatch};
use k8s_openapi::api::core::v1::Service;
use kube::api::{DeleteParams, Patch, PatchParams};
use kube::core::PartialObjectMeta;
use kube::{Api, Client, Resource};
use serde_json::Value;

use crate::client::REQUEST_TIMEOUT;
use crate::outcome::{Outcome, outcome_of};

/// The name under which the controller's writes stand in `managedFields`.
pub const CONTROLLER_MANAGER: &str = ironlb_api::names::manager::CONTROLLER;

/// The name under which a speaker's writes stand in `managedFields`.
pub const SPEAKER_MANAGER: &str = "ironlb-speaker";

/// Writes on objects. Clones share the connections.
#[derive(Clone)]
pub struct Writer {
    client: Client,
}

impl std::fmt::Debug for Writer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Writer").finish_non_exhaustive()
    }
}

impl Writer {
    /// Writes through this client.
    #[must_use]
    pub fn new(client: Client) -> Self {
        Self { client }
    }

    /// Changes status, label, annotation and finalizer of a Service in one request: it is done whole or not at all.
    pub async fn patch_service(&self, patch: &ServicePatch) -> Outcome {
        // Only the metadata comes back: of everything that is returned, the version is what matters.
        let services: Api<PartialObjectMeta<Service>> =
            Api::namespaced(self.client.clone(), patch.id.namespace.as_str());
        let body = Patch::Strategic(service::body(patch, crate::clock::wall_time()));
        let params = PatchParams { field_manager: Some(CONTROLLER_MANAGER.to_owned()), ..PatchParams::default() };
        let request = services.patch_status(&patch.id.name, &params, &body);
        outcome_of(REQUEST_TIMEOUT, Some(patch.version), request).await
    }

    /// Replaces the status of an Eip.
    pub async fn patch_eip(&self, patch: &EipPatch) -> Outcome {
        let status = eip::status(patch, crate::clock::wall_time());
        self.replace_status::<api::Eip>(patch.eip.as_str(), patch.version, status).await
    }

    /// Replaces the conditions of a BgpConf or BgpPeer; what else is in its status stays.
    pub async fn patch_conditions(&self, patch: &ObjectPatch) -> Outcome {
        let conditions = condition::list(&patch.conditions, patch.generation, crate::clock::wall_time());
        match &patch.object {
            ObjectRef::BgpConf(name) => self.merge_conditions::<api::BgpConf>(name, patch.version, conditions).await,
            ObjectRef::BgpPeer(name) => self.merge_conditions::<api::BgpPeer>(name, patch.version, conditions).await,
            other => Outcome::Refused { code: 0, message: format!("{other} has no conditions of this kind") },
        }
    }

    /// Takes OpenELB's finalizer off an Eip, BgpConf or BgpPeer. The status subresource of a custom resource leaves metadata alone, so
    /// this is a request of its own, on the object.
    pub async fn remove_finalizer(&self, object: &ObjectRef, seen: ResourceVersion) -> Outcome {
        match object {
            ObjectRef::Eip(name) => self.without::<api::Eip>(name.as_str(), finalizer::EIP, seen).await,
            ObjectRef::BgpConf(name) => self.without::<api::BgpConf>(name, finalizer::BGP, seen).await,
            ObjectRef::BgpPeer(name) => self.without::<api::BgpPeer>(name, finalizer::BGP, seen).await,
            other => Outcome::Refused { code: 0, message: format!("{other} has no finalizer of this kind") },
        }
    }

    async fn without<K>(&self, name: &str, finalizer: &str, seen: ResourceVersion) -> Outcome
    where
        K: Resource<DynamicType = (), Scope = kube::core::ClusterResourceScope>,
        PartialObjectMeta<K>: Resource<DynamicType = (), Scope = kube::core::ClusterResourceScope> + Clone,
        K: Clone + std::fmt::Debug,
    {
        let objects: Api<PartialObjectMeta<K>> = Api::all(self.client.clone());
        // Both requests together take no longer than one may: whoever asked looked at its term before the first.
        let begun = tokio::time::Instant::now();
        let read = match tokio::time::timeout(REQUEST_TIMEOUT, objects.get(name)).await {
            Ok(Ok(read)) => read,
            Ok(Err(error)) => return Outcome::of_error(&error),
            Err(_) => return Outcome::Unreachable { message: format!("no answer within {REQUEST_TIMEOUT:?}") },
        };
        let finalizers = read.metadata.finalizers.unwrap_or_default();
        let current = ironlb_translate::parse_version(read.metadata.resource_version.as_deref().unwrap_or_default());
        let Some(body) = eip::without_finalizer(&finalizers, finalizer, current) else {
            return Outcome::Unchanged { version: current };
        };
        if current != seen {
            return Outcome::Conflict;
        }
        let patch: Patch<PartialObjectMeta<K>> = Patch::Json(body);
        let params = PatchParams { field_manager: Some(CONTROLLER_MANAGER.to_owned()), ..PatchParams::default() };
        let left = REQUEST_TIMEOUT.saturating_sub(begun.elapsed());
        outcome_of(left, Some(current), objects.patch(name, &params, &patch)).await
    }

    /// Writes what the speaker of `node` reports, the whole status; creates the object if it is not there.
    pub async fn apply_speaker(&self, node: &NodeName, status: &api::SpeakerStatus) -> Outcome {
        let speakers: Api<PartialObjectMeta<api::Speaker>> = Api::all(self.client.clone());
        let params = PatchParams::apply(SPEAKER_MANAGER).force();
        let patch = Patch::Apply(speaker::body(node, Some(status)));
        let written = outcome_of(REQUEST_TIMEOUT, None, speakers.patch_status(node.as_str(), &params, &patch)).await;
        if written != Outcome::Gone {
            return written;
        }
        let object = Patch::Apply(speaker::body(node, None));
        match outcome_of(REQUEST_TIMEOUT, None, speakers.patch(node.as_str(), &params, &object)).await {
            Outcome::Written { .. } | Outcome::Unchanged { .. } => {
                outcome_of(REQUEST_TIMEOUT, None, speakers.patch_status(node.as_str(), &params, &patch)).await
            }
            other => other,
        }
    }

    /// Writes the key of `node` in the status of a BgpPeer, and no other; without a value it is taken out.
    pub async fn apply_peer_key(&self, node: &NodeName, peer: &str, key: Option<&api::NodePeerStatus>) -> Outcome {
        self.apply_key::<api::BgpPeer>(node, peer, speaker::key::<api::BgpPeer>(node, peer, "nodesPeerStatus", key))
            .await
    }

    /// Writes the key of `node` in the status of a BgpConf, and no other; without a value it is taken out.
    pub async fn apply_conf_key(&self, node: &NodeName, conf: &str, key: Option<&api::NodeConfStatus>) -> Outcome {
        self.apply_key::<api::BgpConf>(node, conf, speaker::key::<api::BgpConf>(node, conf, "nodesConfStatus", key))
            .await
    }

    async fn apply_key<K>(&self, node: &NodeName, name: &str, body: Value) -> Outcome
    where
        K: Resource<DynamicType = (), Scope = kube::core::ClusterResourceScope>,
        PartialObjectMeta<K>: Resource<DynamicType = (), Scope = kube::core::ClusterResourceScope> + Clone,
        K: Clone + std::fmt::Debug,
    {
        let objects: Api<PartialObjectMeta<K>> = Api::all(self.client.clone());
        let params = PatchParams::apply(&speaker::manager(node)).force();
        outcome_of(REQUEST_TIMEOUT, None, objects.patch_status(name, &params, &Patch::Apply(body))).await
    }

    /// Takes the keys of nodes out of the status of a BgpConf or BgpPeer. Whose they were writes no more.
    pub async fn remove_keys(&self, object: &ObjectRef, nodes: &BTreeSet<NodeName>, seen: ResourceVersion) -> Outcome {
        let gone: serde_json::Map<String, Value> = nodes.iter().map(|node| (node.to_string(), Value::Null)).collect();
        match object {
            ObjectRef::BgpConf(name) => {
                self.merge_status::<api::BgpConf>(name, seen, serde_json::json!({"nodesConfStatus": gone})).await
            }
            ObjectRef::BgpPeer(name) => {
                self.merge_status::<api::BgpPeer>(name, seen, serde_json::json!({"nodesPeerStatus": gone})).await
            }
            other => Outcome::Refused { code: 0, message: format!("{other} has no keys of nodes") },
        }
    }

    /// Deletes the Speaker of a node that is gone.
    pub async fn delete_speaker(&self, node: &NodeName) -> Outcome {
        let speakers: Api<PartialObjectMeta<api::Speaker>> = Api::all(self.client.clone());
        match tokio::time::timeout(REQUEST_TIMEOUT, speakers.delete(node.as_str(), &DeleteParams::default())).await {
            Ok(Ok(_)) => Outcome::Gone,
            Ok(Err(error)) => Outcome::of_error(&error),
            Err(_) => Outcome::Unknown { message: format!("no answer within {REQUEST_TIMEOUT:?}") },
        }
    }

    /// Puts `status` in the place of the whole status.
    async fn replace_status<K>(&self, name: &str, seen: ResourceVersion, status: Value) -> Outcome
    where
        K: Resource<DynamicType = (), Scope = kube::core::ClusterResourceScope>,
        PartialObjectMeta<K>: Resource<DynamicType = (), Scope = kube::core::ClusterResourceScope> + Clone,
        K: Clone + std::fmt::Debug,
    {
        let objects: Api<PartialObjectMeta<K>> = Api::all(self.client.clone());
        let patch: Patch<PartialObjectMeta<K>> = Patch::Json(eip::replace_status(seen, status));
        let params = PatchParams { field_manager: Some(CONTROLLER_MANAGER.to_owned()), ..PatchParams::default() };
        outcome_of(REQUEST_TIMEOUT, Some(seen), objects.patch_status(name, &params, &patch)).await
    }

    async fn merge_conditions<K>(&self, name: &str, seen: ResourceVersion, conditions: Value) -> Outcome
    where
        K: Resource<DynamicType = (), Scope = kube::core::ClusterResourceScope>,
        PartialObjectMeta<K>: Resource<DynamicType = (), Scope = kube::core::ClusterResourceScope> + Clone,
        K: Clone + std::fmt::Debug,
    {
        self.merge_status::<K>(name, seen, serde_json::json!({"conditions": conditions})).await
    }

    async fn merge_status<K>(&self, name: &str, seen: ResourceVersion, status: Value) -> Outcome
    where
        K: Resource<DynamicType = (), Scope = kube::core::ClusterResourceScope>,
        PartialObjectMeta<K>: Resource<DynamicType = (), Scope = kube::core::ClusterResourceScope> + Clone,
        K: Clone + std::fmt::Debug,
    {
        let objects: Api<PartialObjectMeta<K>> = Api::all(self.client.clone());
        let body = serde_json::json!({
            "metadata": {"resourceVersion": seen.to_string()},
            "status": status,
        });
        let params = PatchParams { field_manager: Some(CONTROLLER_MANAGER.to_owned()), ..PatchParams::default() };
        outcome_of(REQUEST_TIMEOUT, Some(seen), objects.patch_status(name, &params, &Patch::Merge(body))).await
    }
}
