//! Many Services on a real API server: made, deleted, read, and written to by the loop that the controller is compared with.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use futures::stream::{self, StreamExt, TryStreamExt};
use ironlb_api::names::{annotation, label};
use k8s_openapi::api::core::v1::{Namespace, Service};
use kube::api::{DeleteParams, ListParams, Patch, PatchParams, PostParams};
use kube::core::PartialObjectMeta;
use kube::{Api, Client, ResourceExt};
use serde_json::{Value, json};

/// How many requests are under way at once where nothing is measured.
const AT_ONCE: usize = 16;

/// Over so many namespaces the Services are spread.
const NAMESPACES: usize = 20;

/// Services that differ in number alone.
#[derive(Clone)]
pub struct Herd {
    client: Client,
    /// What the names of its namespaces begin with.
    prefix: &'static str,
    /// The Eip that they want an address of.
    eip: &'static str,
}

impl std::fmt::Debug for Herd {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Herd").field("prefix", &self.prefix).finish_non_exhaustive()
    }
}

/// What of a Service must not change by itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Shown {
    /// Its version.
    pub version: String,
    /// Its addresses.
    pub addresses: Vec<String>,
}

impl Herd {
    /// Makes the namespaces.
    ///
    /// # Errors
    /// The API server refuses.
    pub async fn settle(client: Client, prefix: &'static str, eip: &'static str) -> Result<Self> {
        let namespaces: Api<Namespace> = Api::all(client.clone());
        for number in 0..NAMESPACES {
            let namespace = serde_json::from_value(json!({"metadata": {"name": format!("{prefix}-{number}")}}))?;
            namespaces.create(&PostParams::default(), &namespace).await?;
        }
        Ok(Self { client, prefix, eip })
    }

    fn api(&self, number: usize) -> Api<Service> {
        Api::namespaced(self.client.clone(), &format!("{}-{}", self.prefix, number % NAMESPACES))
    }

    /// The name of a Service: 63 characters, the longest that one may have.
    #[must_use]
    pub fn name(number: usize) -> String {
        format!("service-with-a-name-as-long-as-names-may-be-in-kubernetes-{number:05}")
    }

    fn manifest(&self, number: usize) -> Value {
        json!({
            "metadata": {
                "name": Self::name(number),
                "labels": {"app.kubernetes.io/name": "web", "app.kubernetes.io/instance": format!("web-{number}")},
                "annotations": {annotation::OPT_IN: annotation::OPT_IN_VALUE, annotation::WANTED_EIP: self.eip},
            },
            "spec": {
                "type": "LoadBalancer", "allocateLoadBalancerNodePorts": false,
                "selector": {"app.kubernetes.io/instance": format!("web-{number}")},
                "ports": [{"name": "http", "port": 80, "targetPort": 8080}, {"name": "https", "port": 443, "targetPort": 8443}],
            },
        })
    }

    /// Makes Services.
    ///
    /// # Errors
    /// The API server refuses.
    pub async fn create(&self, numbers: impl IntoIterator<Item = usize>) -> Result<Vec<Service>> {
        let made = stream::iter(numbers).map(|number| async move {
            let service: Service = serde_json::from_value(self.manifest(number))?;
            anyhow::Ok(self.api(number).create(&PostParams::default(), &service).await?)
        });
        made.buffered(AT_ONCE).try_collect().await
    }

    /// Deletes Services.
    ///
    /// # Errors
    /// The API server refuses.
    pub async fn delete(&self, numbers: impl IntoIterator<Item = usize>) -> Result<()> {
        let gone = stream::iter(numbers).map(|number| async move {
            self.api(number).delete(&Self::name(number), &DeleteParams::default()).await.map(drop)
        });
        Ok(gone.buffer_unordered(AT_ONCE).try_collect().await?)
    }

    /// Every Service that is there, by its number's name.
    ///
    /// # Errors
    /// The API server refuses.
    pub async fn shown(&self) -> Result<BTreeMap<String, Shown>> {
        let mut all = BTreeMap::new();
        for namespace in 0..NAMESPACES {
            for service in self.api(namespace).list(&ListParams::default()).await? {
                let status = service.status.as_ref().and_then(|status| status.load_balancer.as_ref());
                let ingress = status.and_then(|status| status.ingress.as_ref()).into_iter().flatten();
                let addresses = ingress.filter_map(|ingress| ingress.ip.clone()).collect();
                let version = service.resource_version().unwrap_or_default();
                all.insert(service.name_any(), Shown { version, addresses });
            }
        }
        Ok(all)
    }

    /// How large one of them is, as JSON without its names' keepers.
    ///
    /// # Errors
    /// It is not there.
    pub async fn size_of(&self, number: usize) -> Result<usize> {
        let service = self.api(number).get(&Self::name(number)).await.context("one of the Services")?;
        Ok(serde_json::to_string(&service)?.len())
    }

    /// Writes the status of each of the Services once, so many at a time, and tells how long that took. What is written is what the
    /// controller would write: same fields, same size; `round` makes it differ from what was written before.
    ///
    /// # Errors
    /// The API server refuses.
    pub async fn write_statuses(&self, services: &mut [Service], at_once: usize, round: usize) -> Result<Duration> {
        let begun = Instant::now();
        let written = stream::iter(services.iter_mut().enumerate()).map(|(number, service)| async move {
            let namespace = service.namespace().unwrap_or_default();
            let api: Api<PartialObjectMeta<Service>> = Api::namespaced(self.client.clone(), &namespace);
            let patch = Patch::Strategic(self.status(number, round, service));
            let params = PatchParams { field_manager: Some("reference".to_owned()), ..PatchParams::default() };
            let written = api.patch_status(&service.name_any(), &params, &patch).await?;
            service.metadata.resource_version = written.metadata.resource_version;
            Ok::<(), kube::Error>(())
        });
        written.buffer_unordered(at_once).try_collect::<()>().await?;
        Ok(begun.elapsed())
    }

    fn status(&self, number: usize, round: usize, service: &Service) -> Value {
        let address = format!("10.{}.{}.{}", 10 + round, number / 256 % 256, number % 256);
        let condition = |kind: &str, status: &str, reason: &str, message: &str| {
            json!({"type": kind, "status": status, "reason": reason, "message": message,
                   "lastTransitionTime": "2026-01-02T03:04:05Z"})
        };
        json!({
            "metadata": {
                "resourceVersion": service.resource_version(),
                "labels": {label::EIP: self.eip},
                "annotations": {annotation::ADDRESSES: address},
            },
            "status": {
                "loadBalancer": {"ingress": [{"ip": address, "ipMode": "VIP"}]},
                "conditions": [
                    condition("ironlb.io/AddressAssigned", "True", "Assigned", &format!("{address} from Eip {}", self.eip)),
                    condition("ironlb.io/Announced", "False", "NotAnnounced", "no speaker reports that it announces the address"),
                ],
            },
        })
    }
}
