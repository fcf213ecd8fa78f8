//! The site's own faults do what they say: otherwise the scenarios that stand on them show nothing.

use std::time::Duration;

use anyhow::{Result, bail, ensure};
use ironlb_lab::netns::NIC;
use ironlb_lab::wait_for;

use crate::ground::Ground;
use crate::runner::Scenario;
use crate::stage::{ASKER, CLIENT, PATIENCE};
use crate::web;

/// Between hosts that no other scenario needs just now.
pub const SCENARIO: Scenario = Scenario {
    name: "faults",
    shows: "a partition, a pulled cable and a drain of the lab do what they say, and are undone",
    first_address: 155,
    run: |ground| Box::pin(run(ground)),
};

async fn run(ground: &Ground<'_>) -> Result<()> {
    let site = &ground.stage().site;
    let [one, other] = [CLIENT, ASKER];
    reaches(ground, one, other, true).await?;

    site.partition(&[one], &[other])?;
    reaches(ground, one, other, false).await?;
    reaches(ground, one, "n1", true).await?;
    site.heal()?;
    reaches(ground, one, other, true).await?;

    site.cable(one, false)?;
    ensure!(!carrier(ground, one)?, "{one} still has carrier without a cable");
    reaches(ground, other, one, false).await?;
    site.cable(one, true)?;
    wait_for(PATIENCE, "the carrier to come back", || async { Ok(carrier(ground, one)?.then_some(())) }).await?;
    reaches(ground, one, other, true).await?;

    drained(ground).await
}

/// A drain empties the node of what may go, and lets nothing onto it.
async fn drained(ground: &Ground<'_>) -> Result<()> {
    let site = &ground.stage().site;
    ground.web(1).await?;
    let Some((pod, node)) = web::ready_pods(ground).await?.into_iter().next() else { bail!("no pod is ready") };
    site.drain(&node, PATIENCE).await?;
    let moved = wait_for(PATIENCE, &format!("the pod of {node} to be replaced elsewhere"), || async {
        let pods = web::ready_pods(ground).await?;
        Ok(pods.into_iter().find(|(name, _)| *name != pod))
    })
    .await;
    site.uncordon(&node).await?;
    let (_, elsewhere) = moved?;
    ensure!(elsewhere != node, "a pod was put on the drained node {node}");
    // The controller's replicas have moved too.
    crate::release::all_well(ground.stage(), PATIENCE).await
}

/// Whether a client sees its cable plugged in.
fn carrier(ground: &Ground<'_>, host: &str) -> Result<bool> {
    let netns = ground.stage().netns(host);
    let shown = netns.run(|| std::process::Command::new("ip").args(["-o", "link", "show", NIC]).output())??;
    Ok(String::from_utf8_lossy(&shown.stdout).contains("LOWER_UP"))
}

/// Whether `from` reaches `to`: waited for if it should, tried for a second if it should not.
async fn reaches(ground: &Ground<'_>, from: &str, to: &str, wanted: bool) -> Result<()> {
    let netns = ground.stage().netns(from);
    let address = match to.strip_prefix('c').and_then(|number| number.parse::<u8>().ok()) {
        Some(client) => ground.stage().lan_address(200 + client),
        None => ground.stage().site.node_named(to)?.ipv4(),
    };
    let address = address.to_string();
    if wanted {
        return wait_for(Duration::from_secs(5), &format!("{from} to reach {to}"), || async {
            netns.exec(&["ping", "-n", "-c", "1", "-W", "1", &address]).await?;
            Ok(Some(()))
        })
        .await;
    }
    ensure!(
        netns.exec(&["ping", "-n", "-c", "3", "-i", "0.2", "-W", "1", &address]).await.is_err(),
        "{from} reaches {to}"
    );
    Ok(())
}
