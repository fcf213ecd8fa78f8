//! A second load balancer in the cluster: a task that writes statuses of Services as others do.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use anyhow::Result;
use k8s_openapi::api::core::v1::Service;
use kube::ResourceExt;
use kube::api::{Api, ListParams, Patch, PatchParams};
use serde_json::{Value, json};
use tokio::task::JoinHandle;

use crate::ground::{Ground, addresses};

/// Its name in `managedFields`.
pub const MANAGER: &str = "rival-lb";

/// On a Service: the address that the other one gives it; empty, it takes every address away.
pub const GIVES: &str = "e2e.ironlb.io/other-gives";

/// Between two looks. Chosen: as fast as a controller with a watch, so that whoever fights it has no rest.
const PAUSE: Duration = Duration::from_millis(50);

/// Keeps the statuses of the annotated Services of a namespace as it wants them, until it is dropped.
#[derive(Debug)]
pub struct OtherWriter {
    writes: Arc<AtomicUsize>,
    task: JoinHandle<()>,
}

impl OtherWriter {
    /// Begins, in the scenario's own namespace.
    #[must_use]
    pub fn start(ground: &Ground<'_>) -> Self {
        let services: Api<Service> = Api::namespaced(ground.stage().site.client(), ground.name());
        let writes = Arc::new(AtomicUsize::new(0));
        let counter = Arc::clone(&writes);
        let task = tokio::spawn(async move {
            loop {
                // What fails, for a conflict perhaps, is tried again with the next look.
                if let Ok(written) = look(&services).await {
                    counter.fetch_add(written, Ordering::Relaxed);
                }
                tokio::time::sleep(PAUSE).await;
            }
        });
        Self { writes, task }
    }

    /// How often it has written so far.
    #[must_use]
    pub fn writes(&self) -> usize {
        self.writes.load(Ordering::Relaxed)
    }
}

impl Drop for OtherWriter {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn look(services: &Api<Service>) -> Result<usize> {
    let mut written = 0;
    for service in services.list(&ListParams::default()).await? {
        let Some(gives) = service.annotations().get(GIVES) else { continue };
        if addresses(&service).join(",") == *gives {
            continue;
        }
        let ingress = if gives.is_empty() { Value::Null } else { json!([{"ip": gives}]) };
        let status = json!({
            "metadata": {"resourceVersion": service.resource_version()}, "status": {"loadBalancer": {"ingress": ingress}},
        });
        let params = PatchParams { field_manager: Some(MANAGER.to_owned()), ..PatchParams::default() };
        services.patch_status(&service.name_any(), &params, &Patch::Merge(&status)).await?;
        written += 1;
    }
    Ok(written)
}
