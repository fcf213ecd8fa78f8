//! An Eip that gives addresses to Services is guarded by a policy in the API server, not by a finalizer.

use anyhow::{Result, bail, ensure};
use ironlb_api::names::annotation::ALLOW_DELETE;

use crate::ground::Ground;
use crate::runner::Scenario;

/// Refused, then forced.
pub const SCENARIO: Scenario = Scenario {
    name: "eip-in-use",
    shows: "an Eip in use cannot be deleted unless it is annotated; forced, its Services keep their addresses",
    first_address: 151,
    run: |ground| Box::pin(run(ground)),
};

async fn run(ground: &Ground<'_>) -> Result<()> {
    let (site, eip) = (&ground.stage().site, ground.name());
    ground.eip(3).await?;
    ground.service("holder").await?;
    let vip = ground.served("holder").await?;
    ground.eip_shows(eip, &[(vip, "holder")]).await?;
    let Err(refusal) = site.kubectl(&["delete", "eip", eip]).await else {
        bail!("the Eip could be deleted while in use")
    };
    let refusal = format!("{refusal:#}");
    let wanted = format!("Eip {eip} still gives 1 address(es) to Services");
    ensure!(refusal.contains(&wanted) && refusal.contains(ALLOW_DELETE), "refused with other words: {refusal}");

    site.kubectl(&["annotate", "eip", eip, &format!("{ALLOW_DELETE}=true")]).await?;
    site.kubectl(&["delete", "eip", eip, "--timeout=20s"]).await?;
    ground.condition("holder", ironlb_api::names::condition::ADDRESS_ASSIGNED, "True").await?;
    let kept = ground.addresses("holder").await?;
    ensure!(kept == [vip.to_string()], "the address went with its Eip: {kept:?}");

    // An Eip that nobody uses needs no annotation.
    ground.kubectl(&["delete", "service", "holder"]).await?;
    ground.eip(3).await?;
    ground.eip_counted(eip).await?;
    ground.eip_shows(eip, &[]).await?;
    site.kubectl(&["delete", "eip", eip, "--timeout=20s"]).await.map(drop)
}
