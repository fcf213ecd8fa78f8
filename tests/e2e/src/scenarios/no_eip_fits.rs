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

/// The annotation that names an Eip, as the messages have it.
const WANTED_EIP: &str = "eip.openelb.kubesphere.io/v1alpha2";

async fn run(ground: &Ground<'_>) -> Result<()> {
    let eip = ground.name();
    ground.service("first").await?;
    let told = format!("Eip {eip} does not exist; create it, or correct annotation {WANTED_EIP}");
    let heard = format!("failed to construct allocate request: EipNotFound: {told}");
    pending(ground, "first", ("EipNotFound", &told), (event::CONSTRUCT_REQUEST, &heard)).await?;

    // Room for one.
    ground.eip(1).await?;
    let vip = ground.served("first").await?;
    ensure!(vip == ground.vip(0), "first got {vip}");
    ground.service("second").await?;
    let told =
        format!("no free address: 1 of 1 in use in Eip {eip}; enlarge spec.address or delete a Service that holds one");
    let heard = format!("EipFull: {told}");
    pending(ground, "second", ("EipFull", &told), (event::ASSIGN_IP_FAILED, &heard)).await?;
    ground.kubectl(&["delete", "service", "first"]).await?;
    ensure!(ground.served("second").await? == vip, "second got another address than the one that was freed");

    // A wish that cannot be granted changes nothing for the others.
    let wish = ground.vip(4);
    ground.apply(&manifests::service("third", eip, &format!("loadBalancerIP: {wish}"))).await?;
    let told = format!(
        "the wished address {wish} is not in Eip {eip}; wish for one that is, or name another Eip in annotation {WANTED_EIP}"
    );
    let heard = format!("WishOutsideEip: {told}");
    pending(ground, "third", ("WishOutsideEip", &told), (event::ASSIGN_IP_FAILED, &heard)).await?;
    ground.eip_shows(eip, &[(vip, "second")]).await.map(drop)
}

/// The Service has no address, and says why and what to do: the condition with its reason from the closed list and its message, and
/// one Event of this reason with the same words.
async fn pending(
    ground: &Ground<'_>,
    service: &str,
    (reason, message): (&str, &str),
    (event, note): (&str, &str),
) -> Result<()> {
    let told = ground.condition(service, condition::ADDRESS_ASSIGNED, "False").await?;
    ensure!(told.reason == reason, "{service} is to be pending because of {reason}, and says {told:?}");
    ensure!(told.message == message, "the condition is to say {message:?}, and says {:?}", told.message);
    let addresses = ground.addresses(service).await?;
    ensure!(addresses.is_empty(), "{service} has {addresses:?}");
    let heard = ground.event(service, event).await?;
    ensure!(heard == note, "the Event is to say {note:?}, and says {heard:?}");
    let listed = ground.kubectl(&["get", "service", service]).await?;
    ensure!(listed.contains("<pending>"), "kubectl get service:\n{listed}");
    Ok(())
}
