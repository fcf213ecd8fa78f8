//! What happens to Eips, labels and pools moves no address that a Service has.

use anyhow::{Result, bail, ensure};
use ironlb_api::Eip;
use ironlb_api::names::{annotation, event, label};
use ironlb_lab::wait_for;
use kube::ResourceExt;
use kube::api::{Api, Patch, PatchParams};
use serde_json::json;

use crate::ground::Ground;
use crate::ledger::Ledger;
use crate::row::{self, Row, row};
use crate::runner::Scenario;
use crate::stage::PATIENCE;

/// One disturbance after the other, under a watch.
pub const SCENARIO: Scenario = Scenario {
    name: "addresses-stay",
    shows: "a full pool, a better Eip, a lost label, an Eip that is disabled, shrunk, wiped, deleted or made anew, a wish that cannot be granted: no address moves",
    first_address: 24,
    run: |ground| Box::pin(run(ground)),
};

const POOL: &str = "10.204.0.0-10.204.0.2";
/// In the order of the names, in which addresses are given to Services that were made in one second.
const ADDRESSES: [(&str, &str); 3] = [("one", "10.204.0.0"), ("three", "10.204.0.1"), ("two", "10.204.0.2")];

async fn run(ground: &Ground<'_>) -> Result<()> {
    let bound = json!([ground.name()]);
    let pool = |address: &str, disable: bool| json!({"address": address, "namespaces": bound, "disable": disable});
    row::eip(ground, "pool", pool(POOL, false)).await?;
    let holders: Vec<Row> = ADDRESSES.iter().map(|(name, address)| row(name).gets(address)).collect();
    row::hold(ground, &holders).await?;
    let ledger = Ledger::open(ground).await?;

    // Pool pressure; then a better Eip, from which the one that waited is served.
    row::hold(ground, &[row("four").waits("EipFull", &["3 of 3", &ground.further("pool")])]).await?;
    row::eip(ground, "better", json!({"address": "10.204.1.0/30", "namespaces": bound, "priority": -10})).await?;
    let four = row("four").gets("10.204.1.0");
    row::come_true(ground, &[holders.clone(), vec![four.clone()]].concat()).await?;

    // What a user strips or overwrites by mistake is put right.
    marks_come_back(ground, &ledger).await?;
    row::come_true(ground, &holders).await?;

    row::eip(ground, "pool", pool(POOL, true)).await?;
    let late = row("late").eip(&ground.further("pool")).waits("EipDisabled", &[&ground.further("pool")]);
    row::hold(ground, &[holders.clone(), vec![late]].concat()).await?;

    // Shrunk, so that it has only the first; enlarged again.
    row::eip(ground, "pool", pool("10.204.0.0", true)).await?;
    row::come_true(ground, &but(&holders[..1], "HeldOutsideEip", true)).await?;
    outside(ground, true).await?;
    row::eip(ground, "pool", pool(POOL, false)).await?;
    row::come_true(ground, &holders).await?;
    outside(ground, false).await?;

    wiped_eip_is_filled_again(ground).await?;
    row::come_true(ground, &holders).await?;

    deleted(ground).await?;
    row::come_true(ground, &but(&[], "PoolMissing", false)).await?;
    row::eip(ground, "pool", pool(POOL, false)).await?;
    row::come_true(ground, &holders).await?;

    vain_wishes(ground, &holders).await?;
    ledger.nobody_moved().await?;
    granted_wish(ground).await?;
    row::come_true(ground, &holders).await
}

/// The rows of the holders: `well` are, the others have what they had, for a reason.
fn but(well: &[Row], reason: &str, names_eip: bool) -> Vec<Row> {
    let told = |address| if names_eip { vec![address, "addresses-stay-pool"] } else { vec![address] };
    let others = ADDRESSES.iter().skip(well.len());
    let others = others.map(|(name, address)| row(name).has(address, reason, &told(*address)));
    well.iter().cloned().chain(others).collect()
}

/// The label and the annotation that ironlb wrote.
async fn marks_come_back(ground: &Ground<'_>, ledger: &Ledger) -> Result<()> {
    let eip = ground.further("pool");
    let before = ledger.states("one", 0).await?.len();
    ground.kubectl(&["label", "service", "one", &format!("{}-", label::EIP)]).await?;
    ground.kubectl(&["label", "service", "two", "--overwrite", &format!("{}=elsewhere", label::EIP)]).await?;
    ground.kubectl(&["annotate", "service", "three", &format!("{}-", annotation::ADDRESSES)]).await?;
    let foreign = format!("{}=10.204.1.3", annotation::ADDRESSES);
    ground.kubectl(&["annotate", "service", "one", "--overwrite", &foreign]).await?;
    wait_for(PATIENCE, "what ironlb wrote on the Services to be back", || async {
        for (name, address) in ADDRESSES {
            let service = ground.get_service(name).await?;
            let (label, remembered) =
                (service.labels().get(label::EIP), service.annotations().get(annotation::ADDRESSES));
            let is_back = label == Some(&eip) && remembered.map(String::as_str) == Some(address);
            ensure!(is_back, "{name} has {label:?} and {remembered:?}");
        }
        Ok(Some(()))
    })
    .await?;
    // The label was really gone for a moment, and nobody wrote more often than that takes.
    let states = ledger.states("one", before).await?;
    ensure!(states.iter().any(|state| !state.labels().contains_key(label::EIP)), "the label was never gone");
    // What is said of its announcement may change meanwhile, and before the first of the changes.
    let marks = states.iter().map(|state| {
        let remembered = state.annotations().get(annotation::ADDRESSES);
        (state.labels().get(label::EIP).map(String::as_str), remembered.map(String::as_str))
    });
    let whole = (Some(eip.as_str()), Some(ADDRESSES[0].1));
    let mut marks: Vec<_> = marks.skip_while(|marks| *marks == whole).collect();
    marks.dedup();
    ensure!(marks.len() <= 4, "two changes and two corrections make {} states: {marks:?}", marks.len());
    Ok(())
}

/// Waits until the Eip says that Services hold what its spec no longer has, or no longer says so.
async fn outside(ground: &Ground<'_>, wanted: bool) -> Result<()> {
    let eip = ground.further("pool");
    wait_for(PATIENCE, &format!("HeldOutside of Eip {eip} to be {wanted}"), || async {
        let status = ground.eip_status(&eip).await?;
        let told = status.conditions.unwrap_or_default().iter().any(|condition| condition.type_ == "HeldOutside");
        let shown = status.used.unwrap_or_default().len();
        ensure!(shown == ADDRESSES.len() && status.usage == Some(3), "it shows {shown} and counts {:?}", status.usage);
        Ok((told == wanted).then_some(()))
    })
    .await
}

async fn wiped_eip_is_filled_again(ground: &Ground<'_>) -> Result<()> {
    let eip = ground.further("pool");
    let before = ground.eip_status(&eip).await?;
    let api: Api<Eip> = Api::all(ground.stage().site.client());
    api.patch_status(&eip, &PatchParams::default(), &Patch::Merge(&json!({"status": null}))).await?;
    wait_for(PATIENCE, "the wiped status of the Eip to be as it was", || async {
        let status = ground.eip_status(&eip).await?;
        Ok((status.used == before.used && status.usage == before.usage && status.pool_size == Some(3)).then_some(()))
    })
    .await
}

/// By force; without it is refused.
async fn deleted(ground: &Ground<'_>) -> Result<()> {
    let (site, eip) = (&ground.stage().site, ground.further("pool"));
    let Err(refusal) = site.kubectl(&["delete", "eip", &eip]).await else { bail!("an Eip in use could be deleted") };
    ensure!(format!("{refusal:#}").contains("still gives 3 address(es)"), "refused with other words: {refusal:#}");
    site.kubectl(&["annotate", "eip", &eip, &format!("{}=true", annotation::ALLOW_DELETE)]).await?;
    site.kubectl(&["delete", "eip", &eip, "--timeout=20s"]).await.map(drop)
}

/// A new wish that cannot be granted changes nothing and says so.
async fn vain_wishes(ground: &Ground<'_>, holders: &[Row]) -> Result<()> {
    let [one, three, two] = holders else { bail!("three holders") };
    let vain = [
        one.clone().asks("192.0.2.77").has("10.204.0.0", "WishOutsideEveryEip", &["10.204.0.0", "192.0.2.77"]),
        two.clone().eip("not-there").has("10.204.0.2", "EipNotFound", &["10.204.0.2", "not-there"]),
        three.clone().asks("10.204.0.0").has(
            "10.204.0.1",
            "WishTaken",
            &["10.204.0.1", "addresses-stay/one", "80/TCP"],
        ),
    ];
    row::hold(ground, &vain).await?;
    ground.event("three", event::ASSIGN_IP_FAILED).await?;
    row::hold(ground, holders).await
}

/// One that can be granted moves the Service, and what it gives back is free for the next.
async fn granted_wish(ground: &Ground<'_>) -> Result<()> {
    let mover = row("four").asks("10.204.1.3");
    row::hold(ground, &[mover.gets("10.204.1.3")]).await?;
    ground.event("four", event::RELEASE_IP).await?;
    row::hold(ground, &[row("next").gets("10.204.1.0")]).await
}
