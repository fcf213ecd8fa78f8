//! A Service for which there is no pool, or no room in it: it says so, and is served when there is.

use anyhow::{Result, ensure};
use ironlb_api::names::{condition, event};

use crate::ground::Ground;
use crate::manifests;
use crate::runner::Scenario;

/// Without the Eip it names, then with a full one.
pub const SCENARIO: Scenario = Scenario {
    name: "no-eip-fits",
    shows: "a Service that no Eip fits stays pending, a condition and an Event say why and what to do, and it is served once one does",
    first_address: 141,
    run: |ground| Box::pin(run(ground)),
};

async fn run(ground: &Ground<'_>) -> Result<()> {
    ground.service("first").await?;
    pending(ground, "first", "EipNotFound", event::CONSTRUCT_REQUEST, ground.name()).await?;

    // Room for one.
    ground.eip(1).await?;
    let vip = ground.served("first").await?;
    ensure!(vip == ground.vip(0), "first got {vip}");
    ground.service("second").await?;
    pending(ground, "second", "EipFull", event::ASSIGN_IP_FAILED, ground.name()).await?;
    ground.kubectl(&["delete", "service", "first"]).await?;
    ensure!(ground.served("second").await? == vip, "second got another address than the one that was freed");

    // A wish that cannot be granted changes nothing for the others.
    let elsewhere = format!("loadBalancerIP: {}", ground.vip(4));
    ground.apply(&manifests::service("third", ground.name(), &elsewhere)).await?;
    pending(ground, "third", "WishOutsideEip", event::ASSIGN_IP_FAILED, &ground.vip(4).to_string()).await?;
    ground.eip_shows(ground.name(), &[(vip, "second")]).await.map(drop)
}

/// The Service has no address, and says why: the condition with its reason from the closed list, the Event with the same words.
async fn pending(ground: &Ground<'_>, service: &str, reason: &str, event: &str, names: &str) -> Result<()> {
    let told = ground.condition(service, condition::ADDRESS_ASSIGNED, "False").await?;
    ensure!(told.reason == reason, "{service} is to be pending because of {reason}, and says {told:?}");
    ensure!(told.message.contains(names), "the condition does not name {names}: {}", told.message);
    let addresses = ground.addresses(service).await?;
    ensure!(addresses.is_empty(), "{service} has {addresses:?}");
    let note = ground.event(service, event).await?;
    ensure!(note.contains(names), "the Event does not name {names}: {note}");
    let listed = ground.kubectl(&["get", "service", service]).await?;
    ensure!(listed.contains("<pending>"), "kubectl get service:\n{listed}");
    Ok(())
}
