//! The quick start of the README and of OpenELB, as its files stand, from the first Service to the last one's deletion.

use std::net::Ipv4Addr;

use anyhow::{Context, Result, ensure};
use ironlb_api::names::{condition, event, label};
use ironlb_lab::Node;
use ironlb_model::MacAddr;
use kube::ResourceExt;
use serde_json::json;

use crate::ground::Ground;
use crate::release::checkout;
use crate::runner::Scenario;
use crate::stage::PATIENCE;
use crate::{handover, owner, web};

/// The pool of `examples/layer2/eip.yaml`.
const EIP: &str = "layer2-pool";

/// The whole of it.
pub const SCENARIO: Scenario = Scenario {
    name: "quick-start",
    shows: "the quick start, unchanged: an address, one node that answers for it, all pods behind it, and the address free in the end",
    // The examples' own.
    first_address: 91,
    run: |ground| Box::pin(run(ground)),
};

async fn run(ground: &Ground<'_>) -> Result<()> {
    let stage = ground.stage();
    for file in ["web.yaml", "layer2/eip.yaml", "layer2/service.yaml"] {
        ground.apply_example(&checkout("examples").join(file)).await?;
    }
    let vip = ground.served("web").await?;
    ensure!(vip == ground.vip(0), "the lowest free address is {}, not {vip}", ground.vip(0));
    let mut capture = stage.capture(&ground.record("lan"))?;
    is_told(ground, vip).await?;

    // One owner at each step, and the same one: nothing here gives it a reason to move.
    let first = owner::of(stage, vip).await?;
    owner::reported_as(stage, vip, first).await?;
    ground.condition("web", condition::ANNOUNCED, "True").await?;
    for pods in [2, 3, 1] {
        let replicas = format!("--replicas={pods}");
        ground.kubectl(&["scale", "deployment/web", &replicas]).await?;
        web::answers_come_from_all(ground, vip, pods).await?;
        same_owner(ground, vip, first).await?;
    }

    ground.apply_example(&checkout("examples/layer2/service-fixed-address.yaml")).await?;
    let fixed = ground.served("web-fixed").await?;
    ensure!(fixed == ground.vip(9), "web-fixed asks for {}, and got {fixed}", ground.vip(9));
    owner::of(stage, fixed).await?;
    web::answers_come_from_all(ground, fixed, 1).await?;
    ground.eip_shows(EIP, &[(vip, "web"), (fixed, "web-fixed")]).await?;
    same_owner(ground, vip, first).await?;

    let second = change_owner(ground, vip, first).await?;
    web::answers_come_from_all(ground, vip, 1).await?;

    ground.kubectl(&["delete", "service", "web"]).await?;
    owner::nobody(stage, vip, PATIENCE).await?;
    ground.eip_shows(EIP, &[(fixed, "web-fixed")]).await?;
    ground.kubectl(&["delete", "service", "web-fixed"]).await?;
    ground.eip_shows(EIP, &[]).await?;
    owner::nobody(stage, fixed, PATIENCE).await?;

    // From the first answer to the last, whoever held it held it alone.
    let turns: Vec<MacAddr> = [first, second].into_iter().map(owner::mac_of).collect::<Result<_>>()?;
    handover::check_turns(&capture.look(Clone::clone)?, vip, &turns)
}

/// The Service and the Eip say what happened, to machines and to people.
async fn is_told(ground: &Ground<'_>, vip: Ipv4Addr) -> Result<()> {
    let service = ground.get_service("web").await?;
    let status = service.status.as_ref().and_then(|status| status.load_balancer.as_ref());
    let mode = status.and_then(|status| status.ingress.as_ref()?.first()?.ip_mode.clone());
    ensure!(mode.as_deref() == Some("VIP"), "ipMode is {mode:?}");
    ensure!(service.labels().get(label::EIP).map(String::as_str) == Some(EIP), "labels are {:?}", service.labels());
    ensure!(service.finalizers().is_empty(), "a finalizer was put on the Service: {:?}", service.finalizers());

    let status = ground.eip_shows(EIP, &[(vip, "web")]).await?;
    ensure!((status.usage, status.pool_size) == (Some(1), Some(10)), "usage and size of the Eip: {status:?}");
    ensure!(status.occupied != Some(true), "an Eip with nine free addresses is not occupied");

    ground.event("web", event::ASSIGN_IP).await?;
    let described = ground.kubectl(&["describe", "service", "web"]).await?;
    ensure!(
        described.contains(event::ASSIGN_IP) && described.contains(&vip.to_string()),
        "kubectl describe:\n{described}"
    );
    let listed = ground.stage().site.kubectl(&["get", "eip", EIP]).await?;
    ensure!(listed.contains("layer2") && listed.contains("192.168.0.91-192.168.0.100"), "kubectl get eip:\n{listed}");
    Ok(())
}

async fn same_owner(ground: &Ground<'_>, vip: Ipv4Addr, expected: &Node) -> Result<()> {
    let now = owner::of(ground.stage(), vip).await?;
    ensure!(now.name() == expected.name(), "{vip} moved from {} to {} for no reason", expected.name(), now.name());
    Ok(())
}

/// Forbids the pool to the owner's node: another takes over, and keeps the address when the first one may have it again.
async fn change_owner<'a>(ground: &Ground<'a>, vip: Ipv4Addr, first: &Node) -> Result<&'a Node> {
    let stage = ground.stage();
    let elsewhere = json!({"key": "kubernetes.io/hostname", "operator": "NotIn", "values": [first.name()]});
    let forbid = json!({"spec": {"nodeSelector": {"matchExpressions": [elsewhere]}}});
    let patch = |patch: serde_json::Value| async move {
        stage.site.kubectl(&["patch", "eip", EIP, "--type=merge", "--patch", &patch.to_string()]).await
    };
    patch(forbid).await?;
    let second = owner::moved_from(stage, vip, first, PATIENCE).await.context("when its node was forbidden")?;
    owner::reported_as(stage, vip, second).await?;
    patch(json!({"spec": {"nodeSelector": null}})).await?;
    owner::stays_with(stage, vip, second).await.context("when another node was allowed again")?;
    Ok(second)
}
