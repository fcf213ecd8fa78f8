//! Everything that Services went through: each state that the API server ever showed, for the length of a scenario.
//!
//! What a scenario asks from time to time can miss an address that vanished and came back in between; a watch cannot.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

use anyhow::{Context, Result, ensure};
use futures::StreamExt;
use ironlb_lab::wait_for;
use k8s_openapi::api::core::v1::Service;
use kube::ResourceExt;
use kube::api::{Api, ListParams};
use kube::runtime::watcher::{self, watcher};
use tokio::task::JoinHandle;

use crate::ground::{Ground, addresses};
use crate::stage::PATIENCE;

/// Watches the Services of a scenario's own namespace until it is dropped.
#[derive(Debug)]
pub struct Ledger {
    services: Api<Service>,
    seen: Arc<Mutex<Seen>>,
    task: JoinHandle<()>,
}

/// Each state of each Service, in their order, by name.
#[derive(Debug, Default)]
struct Seen {
    ready: bool,
    states: BTreeMap<String, Vec<Service>>,
}

impl Ledger {
    /// Begins; what is there now is the first entry.
    ///
    /// # Errors
    /// The watch does not begin.
    pub async fn open(ground: &Ground<'_>) -> Result<Self> {
        let services: Api<Service> = Api::namespaced(ground.stage().site.client(), ground.name());
        let seen = Arc::new(Mutex::new(Seen::default()));
        let task = tokio::spawn(follow(services.clone(), Arc::clone(&seen)));
        let ledger = Self { services, seen, task };
        wait_for(PATIENCE, "the watch of Services to begin", || async { Ok(ledger.look(|s| s.ready).then_some(())) })
            .await?;
        Ok(ledger)
    }

    /// Every state of a Service from the `from`-th on, once the watch has seen what is there now.
    ///
    /// # Errors
    /// The watch does not come so far.
    pub async fn states(&self, service: &str, from: usize) -> Result<Vec<Service>> {
        wait_for(PATIENCE, &format!("the watch to see Service {service} as it is"), || async {
            let now = self.services.get(service).await?;
            let states = self.look(|seen| seen.states.get(service).cloned()).context("not seen at all")?;
            let is_last = states.last().is_some_and(|last| last.resource_version() == now.resource_version());
            Ok(is_last.then(|| states.get(from..).unwrap_or_default().to_vec()))
        })
        .await
    }

    /// No Service that is there ever showed anything but the address it shows now, once it had shown that.
    ///
    /// # Errors
    /// One did.
    pub async fn nobody_moved(&self) -> Result<()> {
        for service in self.services.list(&ListParams::default()).await? {
            let name = service.name_any();
            let mut shown: Vec<Vec<String>> = self.states(&name, 0).await?.iter().map(addresses).collect();
            shown.dedup();
            // A new one waits for a moment.
            let first = shown.iter().position(|addresses| !addresses.is_empty()).unwrap_or_default();
            ensure!(shown.len() <= first + 1, "the addresses of {name} were {shown:?}, one after the other");
        }
        Ok(())
    }

    fn look<T>(&self, with: impl FnOnce(&Seen) -> T) -> T {
        with(&self.seen.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

impl Drop for Ledger {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn follow(services: Api<Service>, seen: Arc<Mutex<Seen>>) {
    let mut events = std::pin::pin!(watcher(services, watcher::Config::default()));
    while let Some(event) = events.next().await {
        let mut seen = seen.lock().unwrap_or_else(PoisonError::into_inner);
        match event {
            Ok(watcher::Event::Apply(service) | watcher::Event::InitApply(service)) => {
                seen.states.entry(service.name_any()).or_default().push(service);
            }
            Ok(watcher::Event::Delete(service)) => {
                seen.states.remove(&service.name_any());
            }
            Ok(watcher::Event::InitDone) => seen.ready = true,
            // It begins again by itself, and says so.
            Ok(watcher::Event::Init) | Err(_) => {}
        }
    }
}
