//! The API server is stopped for a while: what is served goes on being served.

use std::collections::BTreeMap;

use anyhow::{Context, Result, ensure};
use ironlb_lab::wait_for;
use k8s_openapi::api::coordination::v1::Lease;
use kube::ResourceExt;
use kube::api::{Api, ListParams};

use crate::ground::Ground;
use crate::release::NAMESPACE;
use crate::runner::Scenario;
use crate::stage::{PATIENCE, Stage};
use crate::{handover, owner, release};

/// For twice as long as a Lease lasts.
pub const SCENARIO: Scenario = Scenario {
    name: "api-server-stopped",
    shows: "while the API server is stopped the owner goes on answering, no connection fails, and nothing has moved on its return",
    first_address: 159,
    run: |ground| Box::pin(run(ground)),
};

/// Twice the Lease's 4 s, in attempts of the client, of which there are 100 a second.
const ATTEMPTS: usize = 800;

async fn run(ground: &Ground<'_>) -> Result<()> {
    let stage = ground.stage();
    ground.eip(1).await?;
    ground.web(2).await?;
    ground.service("web").await?;
    let vip = ground.served("web").await?;
    let mut capture = stage.capture(&ground.record("lan"))?;
    let node = owner::of(stage, vip).await?;
    let mac = owner::mac_of(node)?;
    let probe = stage.probe(&ground.record("client"), vip)?;

    // In order: it leaves its Service, and each node's kube-proxy finds it there again at another time within a minute.
    stage.site.api_server().stop().await?;
    let stopped_at = probe.so_far().attempts.len();
    wait_for(PATIENCE, "the client's attempts while the API server is stopped", || async {
        Ok((probe.so_far().attempts.len() >= stopped_at + ATTEMPTS).then_some(()))
    })
    .await?;
    let answers = owner::ask(stage, vip, ironlb_lab::arp::Asking::default()).await;
    stage.site.api_server().start()?;
    stage.site.api_ready(PATIENCE).await?;
    stage.site.nodes_back(2 * PATIENCE).await?;
    let holder = owner::sole(&answers?).context("while the API server was stopped")?;
    ensure!(holder == mac, "{vip} was answered by {holder} while the API server was stopped");

    // Each speaker has renewed its Lease, twice: the time in which one could be counted out wrongly is over.
    for _ in 0..2 {
        all_renewed(stage).await?;
    }
    release::all_well(stage, PATIENCE).await?;
    let report = tokio::task::spawn_blocking(move || probe.stop()).await??;
    println!("    {report}");
    ensure!(owner::of(stage, vip).await?.name() == node.name(), "{vip} moved when the API server came back");
    handover::check_turns(&capture.look(Clone::clone)?, vip, &[mac])?;
    ensure!(report.failed() == 0, "connections failed: {report}");
    ensure!(ground.addresses("web").await? == [vip.to_string()], "the Service's address changed");
    // What comes after is served as well.
    ground.kubectl(&["delete", "service", "web"]).await?;
    owner::nobody(stage, vip, PATIENCE).await
}

/// Waits until every Lease of ironlb's namespace is at another version than it is now.
async fn all_renewed(stage: &Stage) -> Result<()> {
    let api: Api<Lease> = Api::namespaced(stage.site.client(), NAMESPACE);
    let versions = || async {
        let list = api.list(&ListParams::default()).await?;
        let each = list.iter().map(|lease| (lease.name_any(), lease.resource_version()));
        Ok::<BTreeMap<_, _>, anyhow::Error>(each.collect())
    };
    let before = versions().await?;
    wait_for(PATIENCE, "every Lease to be renewed", || async {
        let now = versions().await?;
        Ok(before.iter().all(|(name, version)| now.get(name).is_some_and(|new| new != version)).then_some(()))
    })
    .await
}
