//! `helm uninstall`, and the installation after it.

use anyhow::{Result, ensure};
use ironlb_lab::wait_for;
use kube::ResourceExt;

use crate::ground::Ground;
use crate::release::{self, NAMESPACE, RELEASE};
use crate::runner::Scenario;
use crate::stage::PATIENCE;
use crate::{owner, web};

/// Among the last on its site, because it takes ironlb away and installs it anew.
pub const SCENARIO: Scenario = Scenario {
    name: "helm-uninstall",
    shows: "uninstalling keeps CRDs, Eips and addresses and blocks no deletion; installing again takes the addresses over as they are",
    first_address: 165,
    run: |ground| Box::pin(run(ground)),
};

async fn run(ground: &Ground<'_>) -> Result<()> {
    let stage = ground.stage();
    let site = &stage.site;
    ground.eip(3).await?;
    ground.web(1).await?;
    for name in ["goes", "stays"] {
        ground.service(name).await?;
    }
    let (goes, stays) = (ground.served("goes").await?, ground.served("stays").await?);
    owner::of(stage, stays).await?;

    site.helm(&["uninstall", RELEASE, "--namespace", NAMESPACE, "--wait", "--timeout", "120s"]).await?;
    wait_for(PATIENCE, "every pod of ironlb to be gone", || async {
        let left = release::pods(stage, "speaker").await?.len() + release::pods(stage, "controller").await?.len();
        Ok((left == 0).then_some(()))
    })
    .await?;
    for node in site.nodes() {
        wait_for(PATIENCE, &format!("every process of ironlb on {} to end", node.name()), || async {
            let left: Vec<_> = node.processes()?.into_iter().filter(release::is_ironlb).collect();
            ensure!(left.is_empty(), "left are {left:?}");
            Ok(Some(()))
        })
        .await?;
    }
    owner::nobody(stage, stays, PATIENCE).await?;

    let crds = site.kubectl(&["get", "crds", "-o", "name"]).await?;
    for crd in [
        "eips.network.kubesphere.io",
        "bgpconfs.network.kubesphere.io",
        "bgppeers.network.kubesphere.io",
        "speakers.ironlb.io",
    ] {
        ensure!(crds.contains(crd), "the CRD {crd} went with the release: {crds}");
    }
    site.kubectl(&["get", "eip", ground.name()]).await?;
    for (name, vip) in [("goes", goes), ("stays", stays)] {
        let service = ground.get_service(name).await?;
        ensure!(service.finalizers().is_empty(), "{name} has finalizers {:?}", service.finalizers());
        ensure!(crate::ground::addresses(&service) == [vip.to_string()], "{name} lost its address");
    }
    ground.kubectl(&["delete", "service", "goes", "--timeout=10s"]).await?;
    let leftovers =
        site.kubectl(&["get", "clusterroles,clusterrolebindings,validatingadmissionpolicies", "-o", "name"]).await?;
    ensure!(!leftovers.contains("ironlb"), "cluster-wide objects are left: {leftovers}");

    release::install(stage).await?;
    ensure!(ground.addresses("stays").await? == [stays.to_string()], "the address changed with the new installation");
    owner::of(stage, stays).await?;
    web::answers_come_from_all(ground, stays, 1).await?;
    ground.eip_shows(ground.name(), &[(stays, "stays")]).await.map(drop)
}
