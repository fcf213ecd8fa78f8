//! Several Services on one address.

use anyhow::{Context, Result, ensure};
use ironlb_lab::wait_for;
use serde_json::json;

use crate::ground::Ground;
use crate::row::{self, Row, row};
use crate::runner::Scenario;
use crate::stage::PATIENCE;

/// Under each of the Eip's rules.
pub const SCENARIO: Scenario = Scenario {
    name: "shared-addresses",
    shows: "Services share an address they ask for where the Eip lets them and they fit together; who does not fit waits, is told for whom, and is next",
    first_address: 23,
    run: |ground| Box::pin(run(ground)),
};

const CLUSTER: &str = "10.203.0.1";
const NAMESPACE: &str = "10.203.1.1";
const NEVER: &str = "10.203.2.1";

fn asks(name: &str, address: &str, transport: &str, port: u16) -> Row {
    row(name).asks(address).port(transport, port)
}

async fn run(ground: &Ground<'_>) -> Result<()> {
    ground.further_namespace("other", &[]).await?;
    row::eip(ground, "cluster", json!({"address": "10.203.0.0/28"})).await?;
    row::eip(ground, "namespace", json!({"address": "10.203.1.0/28", "sharing": "Namespace"})).await?;
    row::eip(ground, "never", json!({"address": "10.203.2.0/28", "sharing": "Never"})).await?;
    let first = asks("first", CLUSTER, "TCP", 80).gets(CLUSTER);
    let holders = [
        first.clone(),
        asks("namesake", NAMESPACE, "TCP", 80).gets(NAMESPACE),
        asks("alone", NEVER, "TCP", 80).gets(NEVER),
    ];
    row::hold(ground, &holders).await?;

    let (by_first, by_alone) = ("shared-addresses/first", "shared-addresses/alone");
    let second = asks("second", CLUSTER, "TCP", 443).has(CLUSTER, "Shared", &[by_first]);
    let third = asks("third", CLUSTER, "UDP", 80).within("other").has(CLUSTER, "Shared", &[by_first]);
    // Of two created in one second the one that comes first by name counts as the older: no name here is before "second".
    let twin = asks("twin", CLUSTER, "TCP", 80);
    let local = asks("local", CLUSTER, "TCP", 8443).with("externalTrafficPolicy", json!("Local"));
    let not_alone = asks("not-alone", NEVER, "TCP", 443);
    let newcomers = [
        second.clone(),
        third.clone(),
        twin.clone().waits("WishTaken", &[CLUSTER, by_first, "80/TCP"]),
        local.clone().waits("SharingWouldMoveOwner", &[CLUSTER, by_first, "externalTrafficPolicy"]),
        asks("neighbour", NAMESPACE, "TCP", 443).has(NAMESPACE, "Shared", &["shared-addresses/namesake"]),
        asks("stranger", NAMESPACE, "TCP", 443)
            .within("other")
            .waits("SharingForbidden", &[NAMESPACE, "shared-addresses/", "one namespace"]),
        not_alone.clone().waits("SharingForbidden", &[NEVER, by_alone, "nobody"]),
    ];
    row::hold(ground, &newcomers).await?;
    row::come_true(ground, &holders).await?;
    shown_together(ground).await?;

    // A port that is changed later makes two clash that hold the address: both keep it, and both are told.
    let clashes = second.clone().port("TCP", 80).has(CLUSTER, "SharedClash", &[by_first, "80/TCP", "kept"]);
    row::hold(ground, &[clashes]).await?;
    let clashes = first.clone().has(CLUSTER, "SharedClash", &["shared-addresses/second", "80/TCP", "kept"]);
    row::come_true(ground, &[clashes]).await?;
    row::hold(ground, &[second, first, third.clone()]).await?;

    // Those that waited are next; who still does not fit goes on waiting.
    ground.kubectl(&["delete", "service", "first", "alone"]).await?;
    let heirs = [
        twin.has(CLUSTER, "Shared", &["shared-addresses/second"]),
        third.has(CLUSTER, "Shared", &["shared-addresses/second"]),
        not_alone.gets(NEVER),
        local.waits("SharingWouldMoveOwner", &[CLUSTER]),
    ];
    row::come_true(ground, &heirs).await
}

/// The Eip shows all holders of an address in OpenELB's form, as one address in use.
async fn shown_together(ground: &Ground<'_>) -> Result<()> {
    let eip = ground.further("cluster");
    wait_for(PATIENCE, &format!("Eip {eip} to show its address in use by three"), || async {
        let status = ground.eip_status(&eip).await?;
        let used = status.used.unwrap_or_default();
        let mut holders: Vec<&str> = used.get(CLUSTER).context("it is not shown in use")?.split(';').collect();
        holders.sort_unstable();
        let wanted = ["shared-addresses-other/third", "shared-addresses/first", "shared-addresses/second"];
        ensure!(holders == wanted, "it shows {holders:?}");
        ensure!(used.len() == 1 && status.usage == Some(1), "one address is in use, and it counts {:?}", status.usage);
        Ok(Some(()))
    })
    .await
}
