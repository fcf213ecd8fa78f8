//! The cluster read once, for a person who asks: with that person's rights, so some of it may be missing.

use std::collections::BTreeMap;
use std::sync::Arc;

use ironlb_model::{Issue, ServiceId, Settings, Snapshot};
use k8s_openapi::NamespaceResourceScope;
use k8s_openapi::api::apps::v1::Deployment;
use k8s_openapi::api::coordination::v1::Lease;
use k8s_openapi::api::core::v1::{Namespace, Service};
use kube::api::ListParams;
use kube::{Api, Client, Resource};
use tokio::time::timeout;

use crate::client::REQUEST_TIMEOUT;
use crate::kind::{Eips, EndpointSlices, Kind, Namespaces, Nodes, Services, Speakers};
use crate::openelb;
use crate::signal::Signal;
use crate::store::Store;
use crate::watch::{Selection, WatchError, list};

/// The name of the controller's Deployment, in whatever namespace, and of the Lease beside it.
const CONTROLLER: &str = "ironlb-controller";

/// The namespace in which the controller is looked for by somebody who may not look in all.
const USUAL_NAMESPACE: &str = "ironlb-system";

/// The cluster as one person may see it.
#[derive(Debug)]
pub struct Sight {
    /// What could be read.
    pub snapshot: Snapshot,
    /// What could not.
    pub missing: Vec<Missing>,
}

/// A part of the cluster that could not be read. The snapshot holds nothing of it, or only what belongs to the Service asked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Missing {
    /// Which.
    pub part: Part,
    /// Why.
    pub error: String,
    /// The API server says that this user may not.
    pub is_forbidden: bool,
}

/// A part of the cluster.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Part {
    /// The Services of all namespaces.
    Services,
    /// Eips.
    Eips,
    /// Namespaces and their labels.
    Namespaces,
    /// Nodes.
    Nodes,
    /// What the speakers report.
    Speakers,
    /// The endpoints of the Service asked for.
    Endpoints,
    /// Whether OpenELB runs here.
    OpenElb,
    /// The controller's Deployment.
    Controller,
    /// The Lease of the controller that leads.
    Leader,
}

impl Part {
    /// The right that is needed to read it.
    #[must_use]
    pub fn right(self) -> &'static str {
        match self {
            Self::Services => "list services in all namespaces",
            Self::Eips => "list eips.network.kubesphere.io",
            Self::Namespaces => "list namespaces",
            Self::Nodes => "list nodes",
            Self::Speakers => "list speakers.ironlb.io",
            Self::Endpoints => "list endpointslices.discovery.k8s.io in the Service's namespace",
            Self::OpenElb => {
                "list deployments.apps, daemonsets.apps, validatingwebhookconfigurations.admissionregistration.k8s.io and \
                 mutatingwebhookconfigurations.admissionregistration.k8s.io in all namespaces"
            }
            Self::Leader => "get leases.coordination.k8s.io ironlb-controller in the namespace ironlb runs in",
            Self::Controller => "get deployments.apps ironlb-controller in the namespace ironlb runs in",
        }
    }
}

/// Reads the cluster once. For the Service asked for, its endpoints are read as well, and where not all Services or namespaces may
/// be read, its own are.
pub async fn look(client: &Client, settings: &Settings, asked: Option<&ServiceId>) -> Sight {
    let slices = |id: &ServiceId| Selection { labels: Some(format!("kubernetes.io/service-name={}", id.name)) };
    let endpoints = async {
        match asked {
            Some(id) => read_in::<EndpointSlices>(client, id, &slices(id)).await,
            None => Ok(Store::new(Signal::new())),
        }
    };
    let (services, eips, namespaces, nodes, speakers, endpoints, openelb) = futures::join!(
        read::<Services>(client),
        read::<Eips>(client),
        read::<Namespaces>(client),
        read::<Nodes>(client),
        read::<Speakers>(client),
        endpoints,
        openelb::find(client, openelb::Search::All),
    );
    let mut missing = Vec::new();
    let mut issues = Vec::new();
    let mut snapshot = Snapshot {
        settings: settings.clone(),
        services: objects(services, Part::Services, &mut missing, &mut issues),
        eips: objects(eips, Part::Eips, &mut missing, &mut issues),
        namespaces: objects(namespaces, Part::Namespaces, &mut missing, &mut issues),
        nodes: objects(nodes, Part::Nodes, &mut missing, &mut issues),
        speakers: objects(speakers, Part::Speakers, &mut missing, &mut issues),
        endpoints: note(endpoints, Part::Endpoints, &mut missing).map(|store| store.view().merged).unwrap_or_default(),
        openelb: note(openelb, Part::OpenElb, &mut missing).unwrap_or_default(),
        ..Snapshot::default()
    };
    if let Some(id) = asked {
        own(client, id, &mut snapshot, &mut issues, &missing).await;
    }
    issues.sort_unstable();
    snapshot.issues = issues;
    Sight { snapshot, missing }
}

/// Reads the Service asked for and its namespace by name, where not all may be listed. What may not be read by name either stays
/// missing.
async fn own(client: &Client, id: &ServiceId, snapshot: &mut Snapshot, issues: &mut Vec<Issue>, missing: &[Missing]) {
    let lacks = |part| missing.iter().any(|missing| missing.part == part);
    if lacks(Part::Services) {
        let api: Api<Service> = Api::namespaced(client.clone(), id.namespace.as_str());
        if let Ok(Ok(Some(object))) = timeout(REQUEST_TIMEOUT, api.get_opt(&id.name)).await {
            let reading = Services::read(object);
            issues.extend(reading.issues);
            snapshot.services.extend(reading.value.map(|value| (reading.key, Arc::new(value))));
        }
    }
    if lacks(Part::Namespaces) {
        let api: Api<Namespace> = Api::all(client.clone());
        if let Ok(Ok(Some(object))) = timeout(REQUEST_TIMEOUT, api.get_opt(id.namespace.as_str())).await {
            let reading = Namespaces::read(object);
            snapshot.namespaces.extend(reading.value.map(|value| (reading.key, Arc::new(value))));
        }
    }
}

/// How the controller runs here.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Controller {
    /// Its Deployment, as `namespace/name`.
    pub deployment: String,
    /// The arguments of its container.
    pub arguments: Vec<String>,
    /// How many replicas there are to be.
    pub wanted: i32,
    /// How many replicas are ready.
    pub ready: i32,
}

/// Finds the controller's Deployment: in every namespace, or, for somebody who may not look there, in the usual one. None where there
/// is none.
///
/// # Errors
/// [`Missing`], where it cannot be read.
pub async fn controller(client: &Client) -> Result<Option<Controller>, Missing> {
    let params = ListParams::default().fields(&format!("metadata.name={CONTROLLER}"));
    let everywhere: Api<Deployment> = Api::all(client.clone());
    let found = match answered(everywhere.list(&params)).await {
        Ok(listed) => listed.items.into_iter().next(),
        Err(WatchError::Refused { code: 403, .. }) => {
            let usual: Api<Deployment> = Api::namespaced(client.clone(), USUAL_NAMESPACE);
            answered(usual.get_opt(CONTROLLER)).await.map_err(|error| missing(Part::Controller, &error))?
        }
        Err(error) => return Err(missing(Part::Controller, &error)),
    };
    Ok(found.map(|deployment| {
        let name = |text: &Option<String>| text.clone().unwrap_or_default();
        let wanted = deployment.spec.as_ref().and_then(|spec| spec.replicas).unwrap_or(1);
        let pod = deployment.spec.and_then(|spec| spec.template.spec);
        let container = pod.and_then(|pod| pod.containers.into_iter().next());
        Controller {
            deployment: format!("{}/{}", name(&deployment.metadata.namespace), name(&deployment.metadata.name)),
            arguments: container.and_then(|container| container.args).unwrap_or_default(),
            wanted,
            ready: deployment.status.and_then(|status| status.ready_replicas).unwrap_or_default(),
        }
    }))
}

/// Who holds the controllers' Lease in this namespace; none where nobody does.
///
/// # Errors
/// [`Missing`], where it cannot be read.
pub async fn leader(client: &Client, namespace: &str) -> Result<Option<String>, Missing> {
    let api: Api<Lease> = Api::namespaced(client.clone(), namespace);
    let found = answered(api.get_opt(CONTROLLER)).await.map_err(|error| missing(Part::Leader, &error))?;
    let holder = found.and_then(|lease| lease.spec).and_then(|spec| spec.holder_identity);
    Ok(holder.filter(|holder| !holder.is_empty()))
}

async fn answered<T>(question: impl Future<Output = kube::Result<T>>) -> Result<T, WatchError> {
    Ok(timeout(REQUEST_TIMEOUT, question).await.map_err(|_| WatchError::Timeout(REQUEST_TIMEOUT))??)
}

async fn read<K: Kind>(client: &Client) -> Result<Store<K>, WatchError>
where
    K::Object: Resource<DynamicType = ()>,
{
    fill(&Api::all(client.clone()), &Selection::default()).await
}

async fn read_in<K: Kind>(client: &Client, id: &ServiceId, selection: &Selection) -> Result<Store<K>, WatchError>
where
    K::Object: Resource<DynamicType = (), Scope = NamespaceResourceScope>,
{
    fill(&Api::namespaced(client.clone(), id.namespace.as_str()), selection).await
}

/// A store that holds what one list has shown.
async fn fill<K: Kind>(api: &Api<K::Object>, selection: &Selection) -> Result<Store<K>, WatchError> {
    let store = Store::new(Signal::new());
    let (listing, version) = list::<K>(api, selection, &store).await?;
    store.replace(listing, version);
    Ok(store)
}

fn objects<K: Kind>(
    listed: Result<Store<K>, WatchError>,
    part: Part,
    missing: &mut Vec<Missing>,
    issues: &mut Vec<Issue>,
) -> BTreeMap<K::Key, Arc<K::Value>> {
    note(listed, part, missing).map_or_else(BTreeMap::new, |store| {
        issues.extend(store.issues());
        store.objects()
    })
}

fn note<T>(read: Result<T, WatchError>, part: Part, all: &mut Vec<Missing>) -> Option<T> {
    read.map_err(|error| all.push(missing(part, &error))).ok()
}

fn missing(part: Part, error: &WatchError) -> Missing {
    let is_forbidden = matches!(error, WatchError::Refused { code: 403, .. });
    Missing { part, error: error.to_string(), is_forbidden }
}
