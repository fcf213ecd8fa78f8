//! ironlb beside another load balancer that writes statuses of Services, some of them the same.

use std::time::Duration;

use anyhow::{Result, ensure};
use ironlb_api::names::event;
use ironlb_lab::wait_for;
use k8s_openapi::api::core::v1::Service;
use kube::api::{Api, Patch, PatchParams};
use serde_json::json;

use crate::ground::{Ground, addresses};
use crate::ledger::Ledger;
use crate::other_writer::{GIVES, MANAGER, OtherWriter};
use crate::row::{self, row};
use crate::runner::Scenario;
use crate::stage::PATIENCE;

/// Services of the other alone and of both, and some that the other changes whenever somebody gives them an address.
pub const SCENARIO: Scenario = Scenario {
    name: "other-load-balancer",
    shows: "beside another load balancer nobody fights: what it gave is left alone, and a status that it changes back three times as well, with its name told",
    first_address: 27,
    run: |ground| Box::pin(run(ground)),
};

/// So long nobody may write any more. Chosen: the other looks sixty times meanwhile, and a controller that fought would not wait
/// for one of them.
const REST: Duration = Duration::from_secs(3);

/// ironlb's name in `managedFields`.
const OURS: &str = "ironlb-controller";

async fn run(ground: &Ground<'_>) -> Result<()> {
    row::eip(ground, "pool", json!({"address": "10.207.0.0/28"})).await?;
    let eip = ground.further("pool");
    let theirs = row("theirs").with("loadBalancerClass", json!("example.org/lb"));
    let theirs = theirs.annotated(GIVES, "203.0.113.1").is_left_alone();
    let first_theirs = row("first-theirs").eip(&eip).annotated(GIVES, "203.0.113.2");
    let first_ours = row("first-ours").eip(&eip).asks("10.207.0.3");
    let emptied = row("emptied").eip(&eip).asks("10.207.0.4");
    let replaced = row("replaced").eip(&eip).asks("10.207.0.5");

    let before = [
        first_theirs.clone().opts_in_by("").is_left_alone(),
        first_ours.clone().gets("10.207.0.3"),
        emptied.clone().gets("10.207.0.4"),
        replaced.clone().gets("10.207.0.5"),
    ];
    row::hold(ground, &before).await?;
    row::hold(ground, std::slice::from_ref(&theirs)).await?;
    let ledger = Ledger::open(ground).await?;
    let other = OtherWriter::start(ground);
    gave(ground, "theirs", "203.0.113.1").await?;
    gave(ground, "first-theirs", "203.0.113.2").await?;

    // Now both are meant to serve it; then the other takes one from ironlb; then it empties one again and again.
    row::hold(ground, &[first_theirs.clone().is_held_by_other("203.0.113.2")]).await?;
    let taken = first_ours.clone().annotated(GIVES, "203.0.113.3").is_held_by_other("203.0.113.3");
    row::hold(ground, &[taken]).await?;
    let contended = [
        // Who takes something away leaves no name: the server keeps whose the fields are that are there.
        emptied.annotated(GIVES, "").waits("StatusContended", &["three times"]),
        // This is an address of ironlb's own, so what stands in its way is only that the user wishes for another.
        replaced.annotated(GIVES, "10.207.0.9").has("10.207.0.9", "StatusContended", &[MANAGER]),
    ];
    row::hold(ground, &contended).await?;
    row::come_true(ground, &[theirs]).await?;
    ground.event("emptied", event::ASSIGN_IP_FAILED).await?;

    let names = ["theirs", "first-theirs", "first-ours", "emptied", "replaced"];
    let rested = wait_for(PATIENCE, "three seconds in which nobody writes", || async {
        let (writes, mut seen) = (other.writes(), Vec::new());
        for name in names {
            seen.push(ledger.states(name, 0).await?.len());
        }
        tokio::time::sleep(REST).await;
        ensure!(other.writes() == writes, "the other wrote {} times more", other.writes() - writes);
        for (name, before) in names.iter().zip(seen) {
            let later = ledger.states(name, before).await?.len();
            ensure!(later == 0, "{name} was written {later} times more");
        }
        Ok(Some(writes))
    });
    let writes = rested.await?;

    let of_theirs = ledger.states("theirs", 0).await?;
    ensure!(
        of_theirs.iter().all(|state| managers(state).iter().all(|manager| *manager != OURS)),
        "ironlb wrote theirs"
    );
    let fought = ledger.states("emptied", 0).await?;
    let given = fought.windows(2).filter(|pair| addresses(&pair[0]).is_empty() && !addresses(&pair[1]).is_empty());
    let given = given.count();
    ensure!(
        given <= 3 && writes <= 15,
        "ironlb gave it an address {given} times again; the other wrote {writes} times"
    );
    ground
        .say(&format!("the other wrote {writes} times; ironlb gave an emptied Service its address back {given} times"));

    // When the other is gone, and with it what it gave, its Services are served.
    drop(other);
    let api: Api<Service> = Api::namespaced(ground.stage().site.client(), ground.name());
    for name in ["first-theirs", "first-ours"] {
        let nothing = json!({"status": {"loadBalancer": {"ingress": null}}});
        api.patch_status(name, &PatchParams::default(), &Patch::Merge(&nothing)).await?;
    }
    row::hold(ground, &[first_theirs.gets("10.207.0.0"), first_ours.gets("10.207.0.3")]).await
}

/// Waits until the Service has the address that the other one gives it.
async fn gave(ground: &Ground<'_>, service: &str, address: &str) -> Result<()> {
    wait_for(PATIENCE, &format!("the other load balancer to give {service} its address"), || async {
        Ok((ground.addresses(service).await? == [address]).then_some(()))
    })
    .await
}

/// Who has ever written what is on the Service now.
fn managers(service: &Service) -> Vec<&str> {
    let entries = service.metadata.managed_fields.iter().flatten();
    entries.filter_map(|entry| entry.manager.as_deref()).collect()
}
