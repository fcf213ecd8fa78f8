//! A watch that was away for too long: etcd has forgotten the version to go on from (410), and everything is listed afresh.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use anyhow::{Context, Result};
use ironlb_k8s::{Scope, Stores};
use ironlb_model::{ServiceId, Settings};
use k8s_openapi::api::core::v1::Service;
use kube::Api;
use kube::api::DeleteParams;
use serde_json::json;
use tokio::io::copy_bidirectional;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Notify;
use tokio::task::JoinSet;

use crate::{alone, create, eventually, with_crds};

/// A way to the API server that can be cut.
struct Way {
    port: u16,
    is_open: Arc<AtomicBool>,
    cut: Arc<Notify>,
}

impl Way {
    async fn to(server: u16, tasks: &mut JoinSet<&'static str>) -> Result<Self> {
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let port = listener.local_addr()?.port();
        let (is_open, cut) = (Arc::new(AtomicBool::new(true)), Arc::new(Notify::new()));
        let way = Self { port, is_open: Arc::clone(&is_open), cut: Arc::clone(&cut) };
        tasks.spawn(async move {
            let mut connections = JoinSet::new();
            while let Ok((mut near, _)) = listener.accept().await {
                if !is_open.load(Ordering::Relaxed) {
                    continue;
                }
                let cut = Arc::clone(&cut);
                connections.spawn(async move {
                    let Ok(mut far) = TcpStream::connect(("127.0.0.1", server)).await else { return };
                    tokio::select! {
                        _ = copy_bidirectional(&mut near, &mut far) => (),
                        () = cut.notified() => (),
                    }
                });
            }
            "way"
        });
        Ok(way)
    }

    fn cut(&self) {
        self.is_open.store(false, Ordering::Relaxed);
        self.cut.notify_waiters();
    }

    fn mend(&self) {
        self.is_open.store(true, Ordering::Relaxed);
    }
}

#[tokio::test]
async fn a_watch_whose_version_is_gone_lists_afresh_and_misses_nothing() -> Result<()> {
    let server = alone().await?;
    let direct = server.clients().await?;
    with_crds(&direct.ordinary).await?;
    let services: Api<Service> = Api::namespaced(direct.ordinary.clone(), "default");
    let service =
        |name: &str| json!({"metadata": {"name": name}, "spec": {"type": "LoadBalancer", "ports": [{"port": 80}]}});
    create(&services, service("expiry-goes")).await?;

    let mut tasks = JoinSet::new();
    let way = Way::to(server.port(), &mut tasks).await?;
    let clients = server.clients_of(server.admin_by_way_of(way.port)?).await?;
    let stores = Stores::start(&clients, "default", Scope::controller(), &mut tasks);
    let settings = Settings::default();
    eventually("a first snapshot", || stores.snapshot(&settings).is_some() && stores.are_connected()).await?;
    let seen = stores.services.version();
    assert_eq!(stores.services.counters().expiries.get(), 0);

    way.cut();
    eventually("the loss noticed", || !stores.are_connected()).await?;
    services.delete("expiry-goes", &DeleteParams::default()).await?;
    let mut last = 0;
    for number in 0..20 {
        let made = create(&services, service(&format!("expiry-{number}"))).await?;
        last = made.metadata.resource_version.context("a version")?.parse()?;
    }
    assert!(ironlb_model::ResourceVersion(last) > seen);
    // etcd forgets, and the API server's own memory of what was goes with the process.
    server.compact(last)?;
    server.signal("KILL")?;
    tokio::time::sleep(std::time::Duration::from_secs(1)).await;
    server.wait_until_ready().await?;
    way.mend();

    eventually("what came meanwhile", || stores.services.get(&ServiceId::new("default", "expiry-19")).is_some())
        .await?;
    assert!(stores.services.get(&ServiceId::new("default", "expiry-goes")).is_none(), "what went meanwhile is gone");
    assert!(stores.services.counters().expiries.get() >= 1, "it was told 410: {:?}", stores.services.counters());
    eventually("every watch", || stores.are_connected()).await?;
    // And it goes on from there.
    create(&services, service("expiry-after")).await?;
    eventually("what came after", || stores.services.get(&ServiceId::new("default", "expiry-after")).is_some()).await?;
    Ok(())
}
