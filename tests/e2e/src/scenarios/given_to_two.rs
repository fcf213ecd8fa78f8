//! Two Services that do not fit together come to hold one address while no controller can see it: what the wire shows, and what is
//! left of it when the controllers are back.

use anyhow::{Context, Result, ensure};
use ironlb_api::names::{annotation, condition, label};
use ironlb_lab::{Node, wait_for};
use k8s_openapi::api::core::v1::Service;
use k8s_openapi::jiff::Timestamp;
use kube::api::{Api, Patch, PatchParams};
use serde_json::{Value, json};

use crate::ground::{Ground, addresses};
use crate::ledger::Ledger;
use crate::row::{self, Row, row};
use crate::runner::Scenario;
use crate::stage::PATIENCE;
use crate::{owner, release};

/// One as a leader writes it that was deposed meanwhile, one as an administrator does who fills in a status by hand.
pub const SCENARIO: Scenario = Scenario {
    name: "given-to-two",
    shows: "of incompatible Services on one address only the first is announced, also while it has no endpoint and the newer have; the newer get addresses of their own, and the first never moves",
    first_address: 195,
    run: |ground| Box::pin(run(ground)),
};

async fn run(ground: &Ground<'_>) -> Result<()> {
    let stage = ground.stage();
    ground.eip(3).await?;
    ground.web(1).await?;
    let vip = ground.vip(0).to_string();
    let first = on_its_node("first", ground).with("selector", json!({"app": "web"})).gets(&vip);
    row::hold(ground, std::slice::from_ref(&first)).await?;
    let node = owner::of(stage, ground.vip(0)).await?;
    let elsewhere = stage.site.nodes().iter().find(|other| other.name() != node.name()).context("a second node")?;
    let ledger = Ledger::open(ground).await?;

    let mut frozen = Vec::new();
    for pod in release::pods(stage, "controller").await?.into_keys() {
        let (at, container) = release::container(stage, &pod).await?;
        at.freeze(container.lab_pid)?;
        frozen.push((at, container.lab_pid));
    }
    let seen = doubled(ground, node, elsewhere).await;
    // They must not stay frozen, whatever came of it.
    for (at, process) in frozen {
        at.thaw(process)?;
    }
    seen?;

    let newer = ["deposed", "by-hand"].map(|name| on_its_node(name, ground));
    let [deposed, by_hand] = newer;
    let each = one_each(ground).await?;
    row::come_true(ground, &[first, deposed.gets(&each[0]), by_hand.gets(&each[1])]).await?;
    owner::stays_with(stage, ground.vip(0), node).await?;
    for number in [1, 2] {
        let own = owner::of(stage, ground.vip(number)).await?;
        ensure!(own.name() == elsewhere.name(), "{} is answered by {}", ground.vip(number), own.name());
    }
    let strange: Vec<_> =
        ledger.states("first", 0).await?.iter().map(addresses).filter(|a| *a != [vip.as_str()]).collect();
    ensure!(strange.is_empty(), "the first had {strange:?} meanwhile");
    release::all_well(stage, PATIENCE).await
}

/// A Service that only nodes with an endpoint of its own may announce.
fn on_its_node(name: &str, ground: &Ground<'_>) -> Row {
    row(name).eip(ground.name()).with("externalTrafficPolicy", json!("Local")).with("selector", Value::Null)
}

/// Makes the two newer ones, with endpoints on another node, and lets their statuses show the first one's address.
async fn doubled(ground: &Ground<'_>, node: &Node, elsewhere: &Node) -> Result<()> {
    let stage = ground.stage();
    let vip = ground.vip(0);
    let ingress = json!({"loadBalancer": {"ingress": [{"ip": vip, "ipMode": "VIP"}]}});
    let mut of_a_leader = ingress.clone();
    of_a_leader["conditions"] = json!([{
        "type": condition::ADDRESS_ASSIGNED, "status": "True", "reason": "Assigned", "message": "from an Eip",
        "lastTransitionTime": Timestamp::now(),
    }]);
    let deposed = on_its_node("deposed", ground).annotated(annotation::ADDRESSES, &vip.to_string());
    row::apply(ground, &[deposed, on_its_node("by-hand", ground)]).await?;
    let services: Api<Service> = Api::namespaced(stage.site.client(), ground.name());
    for (name, status) in [("deposed", of_a_leader), ("by-hand", ingress)] {
        ground.apply(&endpoint(name, elsewhere.name()).to_string()).await?;
        services.patch_status(name, &PatchParams::default(), &Patch::Merge(&json!({"status": status}))).await?;
    }
    let clashes = ["deposed", "by-hand"].map(|name| format!("{}/{name}", ground.name()));
    wait_for(PATIENCE, "the Speakers to say for whom the address is not announced", || async {
        let speakers = owner::speakers(stage).await?;
        let withheld = speakers.values().filter_map(|status| status.withheld.as_ref()).flatten();
        let told: Vec<String> = withheld
            .filter(|withheld| withheld.vip == vip.to_string() && withheld.reason.as_deref() == Some("PortClash"))
            .filter_map(|withheld| withheld.message.clone())
            .collect();
        let names = |service: &String| told.iter().any(|message| message.contains(service.as_str()));
        Ok(clashes.iter().all(names).then_some(()))
    })
    .await?;
    owner::reported_as(stage, vip, node).await?;
    owner::stays_with(stage, vip, node).await?;

    // Announced for nobody else, even while there is nobody behind the first and somebody behind the others.
    let selector = |app: &str| json!({"spec": {"selector": {"app": app}}});
    services.patch("first", &PatchParams::default(), &Patch::Merge(&selector("nobody"))).await?;
    owner::nobody(stage, vip, PATIENCE).await?;
    services.patch("first", &PatchParams::default(), &Patch::Merge(&selector("web"))).await?;
    let now = owner::of(stage, vip).await?;
    ensure!(now.name() == node.name(), "{vip} went from {} to {}", node.name(), now.name());
    let doubles =
        futures::future::try_join_all(["first", "deposed", "by-hand"].map(|name| ground.addresses(name))).await?;
    ensure!(doubles.iter().all(|held| *held == [vip.to_string()]), "they were to hold one address: {doubles:?}");
    Ok(())
}

/// A ready endpoint of a Service without a selector, on this node.
fn endpoint(service: &str, node: &str) -> Value {
    json!({
        "apiVersion": "discovery.k8s.io/v1", "kind": "EndpointSlice", "addressType": "IPv4",
        "metadata": {"name": service, "labels": {label::SERVICE_NAME: service}},
        "endpoints": [{"addresses": ["198.18.77.7"], "nodeName": node, "conditions": {"ready": true}}],
        "ports": [{"name": "p", "protocol": "TCP", "port": 8080}],
    })
}

/// Waits until the two newer ones have the two addresses that were free, and gives those, the deposed leader's Service's first.
async fn one_each(ground: &Ground<'_>) -> Result<[String; 2]> {
    wait_for(PATIENCE, "the newer Services to have the addresses that were free", || async {
        let (deposed, by_hand) = (ground.addresses("deposed").await?, ground.addresses("by-hand").await?);
        let free = [ground.vip(1).to_string(), ground.vip(2).to_string()];
        Ok(match (&deposed[..], &by_hand[..]) {
            ([a], [b]) if a != b && free.contains(a) && free.contains(b) => Some([a.clone(), b.clone()]),
            _ => None,
        })
    })
    .await
}
