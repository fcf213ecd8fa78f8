//! Against a real etcd and kube-apiserver on the loopback interface. One server serves all tests that leave it alone, each with names of
//! its own; another serves the rest, one at a time.

mod crds;
mod expiry;
mod leadership;
mod references;
mod watches;
mod writes;

use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use ironlb_apiserver::ApiServer;
use ironlb_k8s::crds::{CrdError, apply_crds};
use ironlb_k8s::{Clients, Source};
use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition;
use kube::Api;
use kube::api::DeleteParams;
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::Value;
use tokio::sync::{Mutex, MutexGuard, OnceCell};

/// A server, with the clients of the crate under test.
struct Server(ApiServer);

impl std::ops::Deref for Server {
    type Target = ApiServer;

    fn deref(&self) -> &ApiServer {
        &self.0
    }
}

impl Server {
    async fn start() -> Result<Self> {
        Ok(Self(ApiServer::start(&[]).await?))
    }

    /// Clients with every right.
    async fn clients(&self) -> Result<Clients> {
        self.clients_of(self.admin()).await
    }

    /// Clients without any right.
    async fn powerless(&self) -> Result<Clients> {
        self.clients_of(self.nobody()).await
    }

    async fn clients_of(&self, kubeconfig: PathBuf) -> Result<Clients> {
        Ok(Clients::connect(&Source { kubeconfig: Some(kubeconfig), context: None }).await?)
    }
}

/// Applies the CRDs where that is not what is tested: once more when a busy server takes longer than the product waits.
async fn with_crds(client: &kube::Client) -> Result<()> {
    for _ in 0..10 {
        match apply_crds(client, |_| {}).await {
            Err(CrdError::Timeout { .. }) => {}
            applied => return applied.map(drop).context("applying the CRDs"),
        }
    }
    bail!("the API server has not taken the CRDs in ten tries")
}

/// The server of all tests that leave it alone, with the CRDs in place.
async fn shared() -> Result<&'static Server> {
    static SERVER: OnceCell<Server> = OnceCell::const_new();
    SERVER
        .get_or_try_init(|| async {
            let server = Server::start().await?;
            with_crds(&server.clients().await?.ordinary).await?;
            Ok(server)
        })
        .await
}

/// Clients of the [`shared`] server.
async fn clients() -> Result<Clients> {
    shared().await?.clients().await
}

/// The server of tests that kill it or change its CRDs, for one test at a time; it has no CRDs when a test gets it.
async fn alone() -> Result<MutexGuard<'static, Server>> {
    static SERVER: OnceCell<Mutex<Server>> = OnceCell::const_new();
    let server =
        SERVER.get_or_try_init(|| async { anyhow::Ok(Mutex::new(Server::start().await?)) }).await?.lock().await;
    let crds: Api<CustomResourceDefinition> = Api::all(server.clients().await?.ordinary);
    for crd in ironlb_api::crds() {
        let name = crd.metadata.name.unwrap_or_default();
        while crds.get_opt(&name).await?.is_some() {
            let _ = crds.delete(&name, &DeleteParams::default()).await;
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    }
    Ok(server)
}

/// An object out of JSON, created.
async fn create<K>(api: &Api<K>, object: Value) -> Result<K>
where
    K: Clone + DeserializeOwned + Serialize + std::fmt::Debug,
{
    let object: K = serde_json::from_value(object)?;
    api.create(&kube::api::PostParams::default(), &object).await.context("creating")
}

/// Waits until `check` holds; a watch is quick, so this long means never.
async fn eventually(what: &str, mut check: impl FnMut() -> bool) -> Result<()> {
    let waited = tokio::time::timeout(Duration::from_secs(120), async {
        while !check() {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    });
    waited.await.with_context(|| format!("never came: {what}"))
}
