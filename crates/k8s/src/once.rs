//! The cluster read once, for a person who asks: with that person's rights, so some of it may be missing.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use http::StatusCode;
use http::header::DATE;
use ironlb_model::{Issue, ServiceId, Settings, Snapshot};
use jiff::fmt::rfc2822;
use k8s_openapi::NamespaceResourceScope;
use k8s_openapi::api::apps::v1::Deployment;
use k8s_openapi::api::coordination::v1::Lease;
use k8s_openapi::api::core::v1::{Namespace, Service};
use kube::api::{GetParams, ListParams};
use kube::client::Body;
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

/// Who holds the controllers' Lease, as far as it says so.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Leader {
    /// The holder's identity, which begins with the name of its pod.
    pub holder: String,
    /// How long the Lease lasts after it was renewed.
    pub lasts: Duration,
    /// How long ago it was renewed, by the API server's clock; none where it does not tell the time, or the Lease does not.
    pub renewed_ago: Option<Duration>,
}

/// So long after a Lease has run out its holder is believed to lead all the same: when it was renewed was written by the holder's clock,
/// and what time it is says the API server's. Chosen: clocks that are further apart make trouble elsewhere, and of a leader that is gone
/// another has taken over long before.
const CLOCKS_APART: Duration = Duration::from_mins(1);

impl Leader {
    /// Has the Lease run out so long ago that its holder cannot lead, however the clocks differ?
    #[must_use]
    pub fn has_run_out(&self) -> bool {
        self.renewed_ago.is_some_and(|ago| ago > self.lasts + CLOCKS_APART)
    }

    /// What a Lease says at a moment that the API server gives as the date of its answer.
    fn read(lease: Lease, date: Option<&str>) -> Option<Self> {
        let spec = lease.spec?;
        let holder = spec.holder_identity.filter(|holder| !holder.is_empty())?;
        let lasts = spec.lease_duration_seconds.and_then(|seconds| u64::try_from(seconds).ok()).unwrap_or_default();
        let now = date.and_then(|date| rfc2822::DateTimeParser::new().parse_timestamp(date).ok());
        let renewed_ago = now.zip(spec.renew_time).map(|(now, renewed)| {
            // The date has whole seconds, and the holder's clock may be ahead.
            let ago = now.as_second().saturating_sub(renewed.0.as_second());
            Duration::from_secs(u64::try_from(ago).unwrap_or_default())
        });
        Some(Self { holder, lasts: Duration::from_secs(lasts), renewed_ago })
    }
}

/// Who holds the controllers' Lease in this namespace; none where nobody does.
///
/// # Errors
/// [`Missing`], where it cannot be read.
pub async fn leader(client: &Client, namespace: &str) -> Result<Option<Leader>, Missing> {
    match timeout(REQUEST_TIMEOUT, dated_lease(client, namespace)).await {
        Ok(Ok(found)) => Ok(found.and_then(|(lease, date)| Leader::read(lease, date.as_deref()))),
        Ok(Err(error)) => Err(missing(Part::Leader, &error)),
        Err(_) => Err(missing(Part::Leader, &WatchError::Timeout(REQUEST_TIMEOUT))),
    }
}

/// The controllers' Lease, and what time it is by the answer's header. Not asked for by [`Api`], which keeps no headers.
async fn dated_lease(client: &Client, namespace: &str) -> Result<Option<(Lease, Option<String>)>, WatchError> {
    let unreadable = |error: &dyn std::fmt::Display| WatchError::Unreadable(error.to_string());
    let request = kube::core::Request::new(Lease::url_path(&(), Some(namespace)));
    let request = request.get(CONTROLLER, &GetParams::default()).map_err(|error| unreadable(&error))?;
    let answer = client.send(request.map(Body::from)).await?;
    let (status, date) = (answer.status(), answer.headers().get(DATE));
    let date = date.and_then(|date| date.to_str().ok()).map(str::to_owned);
    let body = answer.into_body().collect_bytes().await?;
    if status == StatusCode::NOT_FOUND {
        return Ok(None);
    }
    if !status.is_success() {
        let said: serde_json::Value = serde_json::from_slice(&body).unwrap_or_default();
        let message = said["message"].as_str().unwrap_or_default().to_owned();
        return Err(WatchError::Refused { code: status.as_u16(), message });
    }
    let lease = serde_json::from_slice(&body).map_err(|error| unreadable(&error))?;
    Ok(Some((lease, date)))
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_lease_is_believed_by_the_api_server_s_clock() {
        let lease = |holder: &str, renewed: &str| -> Lease {
            let spec = serde_json::json!({"holderIdentity": holder, "leaseDurationSeconds": 15, "renewTime": renewed});
            serde_json::from_value(serde_json::json!({"metadata": {}, "spec": spec})).unwrap()
        };
        let renewed = "2026-01-02T03:04:05.600000Z";
        for (date, ago, has_run_out) in [
            (Some("Fri, 02 Jan 2026 03:04:09 GMT"), Some(4), false),
            (Some("Fri, 02 Jan 2026 03:05:20 GMT"), Some(75), false),
            (Some("Fri, 02 Jan 2026 03:05:21 GMT"), Some(76), true),
            (Some("Fri, 02 Jan 2026 02:00:00 GMT"), Some(0), false),
            (Some("yesterday"), None, false),
            (None, None, false),
        ] {
            let found = Leader::read(lease("a-pod_1", renewed), date).unwrap();
            let want = Leader {
                holder: "a-pod_1".to_owned(),
                lasts: Duration::from_secs(15),
                renewed_ago: ago.map(Duration::from_secs),
            };
            assert_eq!((&found, found.has_run_out()), (&want, has_run_out), "{date:?}");
        }
        assert_eq!(Leader::read(lease("", renewed), None), None);
        assert_eq!(Leader::read(Lease::default(), None), None);
    }
}
