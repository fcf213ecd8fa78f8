//! The kinds ironlb watches, and how an object of each becomes a value.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Debug;
use std::sync::Arc;

use ironlb_api as api;
use ironlb_model as model;
use ironlb_model::{EipName, Issue, IssueReason, NamespaceName, NodeName, ObjectRef, ServiceId};
use ironlb_translate as translate;
use k8s_openapi::api::{coordination, core, discovery};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use kube::Resource;
use serde::de::DeserializeOwned;

use crate::node_lease::{NodeLease, read_node_lease};

/// A kind that is watched: its objects are translated as they arrive and dropped.
pub trait Kind: Sized + Send + Sync + 'static {
    /// The object as it arrives.
    type Object: Resource<DynamicType = ()> + Clone + DeserializeOwned + Debug + Send + 'static;
    /// What names an object.
    type Key: Ord + Clone + Debug + Send + Sync;
    /// What is kept of it.
    type Value: PartialEq + Debug + Send + Sync;
    /// What is kept beside the objects.
    type View: Default + Send;
    /// The kind's plural, for people and metrics.
    const NAME: &'static str;

    /// What names the object with this metadata.
    fn key(metadata: &ObjectMeta) -> Self::Key;

    /// The object of this name, for people; none where a fault in one is nothing to tell.
    fn object(_key: &Self::Key) -> Option<ObjectRef> {
        None
    }

    /// Translates an object; never fails.
    fn read(object: Self::Object) -> Reading<Self>;

    /// Keeps the view in step after `before` became `after` under `key`; `objects` holds the state afterwards.
    fn index(
        _view: &mut Self::View,
        _objects: &BTreeMap<Self::Key, Arc<Self::Value>>,
        _key: &Self::Key,
        _before: Option<&Self::Value>,
        _after: Option<&Self::Value>,
    ) {
    }
}

/// An object, translated.
#[derive(Debug)]
pub struct Reading<K: Kind> {
    /// Its name.
    pub key: K::Key,
    /// Its value; `None` for one that cannot be read or does not matter.
    pub value: Option<K::Value>,
    /// Its faults.
    pub issues: Vec<Issue>,
    /// The uid of one that cannot be read, else empty: a value has its own.
    pub uid: String,
}

impl<K: Kind> Reading<K> {
    fn of((value, issues): (K::Value, Vec<Issue>), key: K::Key) -> Self {
        Self { key, value: Some(value), issues, uid: String::new() }
    }

    /// What becomes of an object that does not parse: it is told and left out, and the others are read all the same.
    pub(crate) fn unreadable(metadata: &ObjectMeta, error: &str) -> Self {
        let key = K::key(metadata);
        let message = format!("the object cannot be read ({error}): correct it, or delete it and make it anew");
        let issue = K::object(&key).map(|object| Issue {
            object,
            field: String::new(),
            reason: IssueReason::Unreadable,
            message,
        });
        let uid = metadata.uid.clone().unwrap_or_default();
        Self { key, value: None, issues: issue.into_iter().collect(), uid }
    }
}

fn name(metadata: &ObjectMeta) -> &str {
    metadata.name.as_deref().unwrap_or_default()
}

/// Services.
#[derive(Debug)]
pub struct Services;

impl Kind for Services {
    type Object = core::v1::Service;
    type Key = ServiceId;
    type Value = model::Service;
    type View = ();
    const NAME: &'static str = "services";

    fn key(metadata: &ObjectMeta) -> ServiceId {
        ServiceId::new(metadata.namespace.as_deref().unwrap_or_default(), name(metadata))
    }

    fn object(key: &ServiceId) -> Option<ObjectRef> {
        Some(ObjectRef::Service(key.clone()))
    }

    fn read(object: core::v1::Service) -> Reading<Self> {
        let (value, issues) = translate::service(&object);
        // The same text as in the value, and not a second one.
        let key = value.id.clone();
        Reading::of((value, issues), key)
    }
}

/// Namespaces.
#[derive(Debug)]
pub struct Namespaces;

impl Kind for Namespaces {
    type Object = core::v1::Namespace;
    type Key = NamespaceName;
    type Value = model::Namespace;
    type View = ();
    const NAME: &'static str = "namespaces";

    fn key(metadata: &ObjectMeta) -> NamespaceName {
        name(metadata).into()
    }

    fn read(object: core::v1::Namespace) -> Reading<Self> {
        Reading::of((translate::namespace(&object), Vec::new()), Self::key(&object.metadata))
    }
}

/// Nodes.
#[derive(Debug)]
pub struct Nodes;

impl Kind for Nodes {
    type Object = core::v1::Node;
    type Key = NodeName;
    type Value = model::Node;
    type View = ();
    const NAME: &'static str = "nodes";

    fn key(metadata: &ObjectMeta) -> NodeName {
        name(metadata).into()
    }

    fn object(key: &NodeName) -> Option<ObjectRef> {
        Some(ObjectRef::Node(key.clone()))
    }

    fn read(object: core::v1::Node) -> Reading<Self> {
        Reading::of(translate::node(&object), Self::key(&object.metadata))
    }
}

/// Eips.
#[derive(Debug)]
pub struct Eips;

impl Kind for Eips {
    type Object = api::Eip;
    type Key = EipName;
    type Value = model::Eip;
    type View = ();
    const NAME: &'static str = "eips";

    fn key(metadata: &ObjectMeta) -> EipName {
        name(metadata).into()
    }

    fn object(key: &Self::Key) -> Option<ObjectRef> {
        Some(ObjectRef::Eip(key.clone()))
    }

    fn read(object: api::Eip) -> Reading<Self> {
        Reading::of(translate::eip(&object), Self::key(&object.metadata))
    }
}

/// BgpConfs.
#[derive(Debug)]
pub struct BgpConfs;

impl Kind for BgpConfs {
    type Object = api::BgpConf;
    type Key = String;
    type Value = model::BgpConf;
    type View = ();
    const NAME: &'static str = "bgpconfs";

    fn key(metadata: &ObjectMeta) -> String {
        name(metadata).to_owned()
    }

    fn object(key: &Self::Key) -> Option<ObjectRef> {
        Some(ObjectRef::BgpConf(key.clone()))
    }

    fn read(object: api::BgpConf) -> Reading<Self> {
        Reading::of(translate::bgp_conf(&object), Self::key(&object.metadata))
    }
}

/// BgpPeers.
#[derive(Debug)]
pub struct BgpPeers;

impl Kind for BgpPeers {
    type Object = api::BgpPeer;
    type Key = String;
    type Value = model::BgpPeer;
    type View = ();
    const NAME: &'static str = "bgppeers";

    fn key(metadata: &ObjectMeta) -> String {
        name(metadata).to_owned()
    }

    fn object(key: &Self::Key) -> Option<ObjectRef> {
        Some(ObjectRef::BgpPeer(key.clone()))
    }

    fn read(object: api::BgpPeer) -> Reading<Self> {
        Reading::of(translate::bgp_peer(&object), Self::key(&object.metadata))
    }
}

/// Speakers.
#[derive(Debug)]
pub struct Speakers;

impl Kind for Speakers {
    type Object = api::Speaker;
    type Key = NodeName;
    type Value = model::SpeakerReport;
    type View = ();
    const NAME: &'static str = "speakers";

    fn key(metadata: &ObjectMeta) -> NodeName {
        name(metadata).into()
    }

    fn object(key: &Self::Key) -> Option<ObjectRef> {
        Some(ObjectRef::Speaker(key.clone()))
    }

    fn read(object: api::Speaker) -> Reading<Self> {
        Reading::of(translate::speaker(&object), Self::key(&object.metadata))
    }
}

/// The Leases by which speakers show that they live.
#[derive(Debug)]
pub struct NodeLeases;

impl Kind for NodeLeases {
    type Object = coordination::v1::Lease;
    type Key = NodeName;
    type Value = NodeLease;
    type View = ();
    const NAME: &'static str = "leases";

    fn key(metadata: &ObjectMeta) -> NodeName {
        crate::node_lease::node_of(metadata)
    }

    fn read(object: coordination::v1::Lease) -> Reading<Self> {
        let key = Self::key(&object.metadata);
        Reading { value: Some(read_node_lease(&object)), key, issues: Vec::new(), uid: String::new() }
    }
}

/// EndpointSlices.
#[derive(Debug)]
pub struct EndpointSlices;

/// Namespace and name of an EndpointSlice.
pub type SliceKey = (NamespaceName, String);

/// The endpoints of each Service, out of all its slices.
#[derive(Debug, Default, Clone)]
pub struct EndpointsByService {
    slices: BTreeMap<ServiceId, BTreeSet<SliceKey>>,
    /// The endpoints.
    pub(crate) merged: BTreeMap<ServiceId, Arc<model::Endpoints>>,
}

impl Kind for EndpointSlices {
    type Object = discovery::v1::EndpointSlice;
    type Key = SliceKey;
    type Value = translate::Slice;
    type View = EndpointsByService;
    const NAME: &'static str = "endpointslices";

    fn key(metadata: &ObjectMeta) -> SliceKey {
        (metadata.namespace.as_deref().unwrap_or_default().into(), name(metadata).to_owned())
    }

    fn read(object: discovery::v1::EndpointSlice) -> Reading<Self> {
        Reading {
            value: translate::endpoint_slice(&object),
            key: Self::key(&object.metadata),
            issues: Vec::new(),
            uid: String::new(),
        }
    }

    fn index(
        view: &mut EndpointsByService,
        objects: &BTreeMap<SliceKey, Arc<translate::Slice>>,
        key: &SliceKey,
        before: Option<&translate::Slice>,
        after: Option<&translate::Slice>,
    ) {
        if let Some(before) = before {
            view.slices.entry(before.service.clone()).or_default().remove(key);
        }
        if let Some(after) = after {
            view.slices.entry(after.service.clone()).or_default().insert(key.clone());
        }
        let services: BTreeSet<&ServiceId> = before.into_iter().chain(after).map(|slice| &slice.service).collect();
        for service in services {
            let keys = view.slices.get(service).filter(|keys| !keys.is_empty());
            let Some(keys) = keys else {
                view.slices.remove(service);
                view.merged.remove(service);
                continue;
            };
            let slices = keys.iter().filter_map(|key| objects.get(key)).map(|slice| slice.endpoints.as_slice());
            view.merged.insert(service.clone(), Arc::new(translate::merge(slices)));
        }
    }
}
