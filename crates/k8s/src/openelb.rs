//! Does OpenELB still run here? While it does, ironlb only observes: two controllers would fight over every Service.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use ironlb_api::names::openelb as names;
use k8s_openapi::api::admissionregistration::v1::{MutatingWebhookConfiguration, ValidatingWebhookConfiguration};
use k8s_openapi::api::apps::v1::{DaemonSet, Deployment};
use kube::api::ListParams;
use kube::{Api, Client, Resource};
use serde::de::DeserializeOwned;
use tokio::task::JoinSet;
use tokio::time::timeout;

use crate::backoff::spread;
use crate::client::REQUEST_TIMEOUT;
use crate::signal::Signal;
use crate::watch::WatchError;

/// How often it is looked for. Chosen, because it is removed once in a cluster's life and four small requests in half a minute weigh
/// nothing; a person who has just removed it waits no longer than this.
const INTERVAL: Duration = Duration::from_secs(30);

/// How soon again after a look that failed, or while it was found: somebody is removing it just now.
const SOON: Duration = Duration::from_secs(5);

/// What was found at the last look that succeeded.
#[derive(Debug, Default)]
pub struct Detection {
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    found: Option<Vec<String>>,
    trouble: Option<String>,
}

impl Detection {
    /// Starts looking, as a task in `tasks` that ends only with it.
    pub(crate) fn start(client: Client, signal: Signal, tasks: &mut JoinSet<&'static str>) -> Arc<Self> {
        let detection = Arc::new(Self::default());
        let shared = Arc::clone(&detection);
        tasks.spawn(async move {
            loop {
                let pause = shared.look(&client, &signal).await;
                tokio::time::sleep(spread(pause)).await;
            }
        });
        detection
    }

    /// What runs, as `Kind namespace/name`; `None` until a look has succeeded.
    #[must_use]
    pub fn found(&self) -> Option<Vec<String>> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner).found.clone()
    }

    /// Why the last look failed, if it did.
    #[must_use]
    pub fn trouble(&self) -> Option<String> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner).trouble.clone()
    }

    /// Looks once and says when to look again.
    async fn look(&self, client: &Client, signal: &Signal) -> Duration {
        let looked = find(client).await;
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        match looked {
            Ok(found) => {
                let pause = if found.is_empty() { INTERVAL } else { SOON };
                state.trouble = None;
                if state.found.as_ref() != Some(&found) {
                    if !found.is_empty() {
                        tracing::warn!(openelb = ?found, "OpenELB runs here, so ironlb only observes: remove what is listed");
                    } else if state.found.is_some() {
                        tracing::info!("OpenELB is gone; ironlb takes over");
                    }
                    state.found = Some(found);
                    signal.raise();
                }
                pause
            }
            Err(error) => {
                if state.trouble.is_none() {
                    tracing::warn!(%error, "cannot look for OpenELB; what was found last counts");
                }
                state.trouble = Some(error.to_string());
                SOON
            }
        }
    }
}

/// What of OpenELB runs in the cluster, in every namespace: workloads that have, or want, at least one pod, and its webhooks.
///
/// # Errors
/// [`WatchError`] when one of the questions was not answered.
pub async fn find(client: &Client) -> Result<Vec<String>, WatchError> {
    let mut found = Vec::new();
    for name in [names::CONTROLLER, names::MANAGER] {
        for deployment in named::<Deployment>(client, name).await? {
            let wanted = deployment.spec.as_ref().and_then(|spec| spec.replicas).unwrap_or(1);
            let running = deployment.status.as_ref().and_then(|status| status.replicas).unwrap_or(0);
            if wanted > 0 || running > 0 {
                found.push(path("Deployment", &deployment));
            }
        }
    }
    for set in named::<DaemonSet>(client, names::SPEAKER).await? {
        let status = set.status.as_ref();
        // A set that no controller has looked at yet may be about to start.
        let unseen = status.and_then(|s| s.observed_generation).is_none();
        if unseen || status.is_some_and(|s| s.desired_number_scheduled > 0 || s.current_number_scheduled > 0) {
            found.push(path("DaemonSet", &set));
        }
    }
    for webhook in named::<ValidatingWebhookConfiguration>(client, names::ADMISSION).await? {
        found.push(path("ValidatingWebhookConfiguration", &webhook));
    }
    for webhook in named::<MutatingWebhookConfiguration>(client, names::ADMISSION).await? {
        found.push(path("MutatingWebhookConfiguration", &webhook));
    }
    found.sort_unstable();
    Ok(found)
}

/// The objects of one kind with this name, in every namespace.
async fn named<O>(client: &Client, name: &str) -> Result<Vec<O>, WatchError>
where
    O: Resource<DynamicType = ()> + Clone + DeserializeOwned + std::fmt::Debug,
{
    let params = ListParams::default().fields(&format!("metadata.name={name}"));
    let listed = timeout(REQUEST_TIMEOUT, Api::<O>::all(client.clone()).list(&params)).await;
    Ok(listed.map_err(|_| WatchError::Timeout(REQUEST_TIMEOUT))??.items)
}

fn path<O: Resource>(kind: &str, object: &O) -> String {
    let meta = object.meta();
    let name = meta.name.as_deref().unwrap_or_default();
    match meta.namespace.as_deref() {
        Some(namespace) => format!("{kind} {namespace}/{name}"),
        None => format!("{kind} {name}"),
    }
}
