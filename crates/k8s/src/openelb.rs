//! Is OpenELB still in this cluster? While it is, ironlb only observes: two controllers would fight over every Service, and two speakers
//! would answer for every vip.
//!
//! What counts is that its objects exist, not that they have pods: what is scaled to nothing may be scaled up again at any time, by a
//! person, a GitOps tool or an autoscaler.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use ironlb_api::names::openelb as names;
use k8s_openapi::api::admissionregistration::v1::{MutatingWebhookConfiguration, ValidatingWebhookConfiguration};
use k8s_openapi::api::apps::v1::{DaemonSet, Deployment};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use kube::api::ListParams;
use kube::{Api, Client, Resource};
use serde::de::DeserializeOwned;
use tokio::task::JoinSet;
use tokio::time::timeout;

use crate::backoff::spread;
use crate::client::REQUEST_TIMEOUT;
use crate::signal::Signal;
use crate::watch::WatchError;

/// How often it is looked for. Chosen, because it is installed at most once more in a cluster's life, and six small requests in half a
/// minute weigh nothing.
const INTERVAL: Duration = Duration::from_secs(30);

/// How soon again after a look that failed, or while it was found. Chosen, because between its removal and the next look nobody answers
/// for its addresses. A speaker's look is then one request, which a hundred of them can make at this rate.
const SOON: Duration = Duration::from_secs(2);

/// How much is looked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Search {
    /// Everything, because a person is to be told what to remove.
    All,
    /// Whether there is anything: the first that is found ends the look.
    First,
}

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
    pub(crate) fn start(
        client: Client,
        search: Search,
        signal: Signal,
        tasks: &mut JoinSet<&'static str>,
    ) -> Arc<Self> {
        let detection = Arc::new(Self::default());
        let shared = Arc::clone(&detection);
        tasks.spawn(async move {
            loop {
                let pause = shared.look(&client, search, &signal).await;
                tokio::time::sleep(spread(pause)).await;
            }
        });
        detection
    }

    /// What is there, as `Kind namespace/name`; `None` until a look has succeeded.
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
    async fn look(&self, client: &Client, search: Search, signal: &Signal) -> Duration {
        let looked = find(client, search).await;
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        match looked {
            Ok(found) => {
                let pause = if found.is_empty() { INTERVAL } else { SOON };
                state.trouble = None;
                if state.found.as_ref() != Some(&found) {
                    if !found.is_empty() {
                        let remove = found.join(", ");
                        tracing::warn!(
                            remove,
                            "OpenELB is in this cluster, so ironlb only observes until that is removed"
                        );
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

/// What of OpenELB is in the cluster, in every namespace: its workloads, whether they have pods or not, and its webhooks.
///
/// # Errors
/// [`WatchError`] when one of the questions was not answered.
pub async fn find(client: &Client, search: Search) -> Result<Vec<String>, WatchError> {
    let mut found = Vec::new();
    let is_enough = |found: &[String]| search == Search::First && !found.is_empty();
    // Speakers first: they are what a second answer to ARP would contradict.
    for name in [names::SPEAKER, names::KEEPALIVE_VIP] {
        found.extend(named::<DaemonSet>(client, name).await?);
        if is_enough(&found) {
            return Ok(found);
        }
    }
    for name in [names::CONTROLLER, names::MANAGER] {
        found.extend(named::<Deployment>(client, name).await?);
        if is_enough(&found) {
            return Ok(found);
        }
    }
    found.extend(named::<ValidatingWebhookConfiguration>(client, names::ADMISSION).await?);
    if !is_enough(&found) {
        found.extend(named::<MutatingWebhookConfiguration>(client, names::ADMISSION).await?);
    }
    found.sort_unstable();
    Ok(found)
}

/// The objects of one kind with this name, in every namespace, as `Kind namespace/name`.
async fn named<O>(client: &Client, name: &str) -> Result<Vec<String>, WatchError>
where
    O: Resource<DynamicType = ()> + Clone + DeserializeOwned + std::fmt::Debug,
{
    let params = ListParams::default().fields(&format!("metadata.name={name}"));
    let listed = timeout(REQUEST_TIMEOUT, Api::<O>::all(client.clone()).list_metadata(&params)).await;
    let listed = listed.map_err(|_| WatchError::Timeout(REQUEST_TIMEOUT))??;
    Ok(listed.items.into_iter().map(|object| path(&O::kind(&()), &object.metadata)).collect())
}

fn path(kind: &str, meta: &ObjectMeta) -> String {
    let name = meta.name.as_deref().unwrap_or_default();
    match meta.namespace.as_deref() {
        Some(namespace) => format!("{kind} {namespace}/{name}"),
        None => format!("{kind} {name}"),
    }
}
