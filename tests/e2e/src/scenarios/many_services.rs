//! Many Services at once.

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::time::Instant;

use anyhow::{Result, ensure};
use ironlb_lab::wait_for;
use k8s_openapi::api::core::v1::Service;
use kube::api::{Api, ListParams};

use crate::ground::{Ground, addresses};
use crate::manifests;
use crate::runner::Scenario;
use crate::stage::PATIENCE;

/// As many as the scale says; their pool is of another network, because the LAN has not room for so many.
pub const SCENARIO: Scenario = Scenario {
    name: "many-services",
    shows: "many Services at once get an address each, no two the same, and all are free again when they are gone",
    first_address: 154,
    run: |ground| Box::pin(run(ground)),
};

async fn run(ground: &Ground<'_>) -> Result<()> {
    let count = ground.stage().scale.services;
    ground.apply(&manifests::eip(ground.name(), ground.name(), "198.18.0.0/22")).await?;
    let mut all = String::new();
    for number in 0..count {
        writeln!(all, "---\n{}", manifests::service(&format!("many-{number}"), ground.name(), ""))?;
    }
    let start = Instant::now();
    ground.apply(&all).await?;
    let applied = start.elapsed();
    let api: Api<Service> = Api::namespaced(ground.stage().site.client(), ground.name());
    let given = wait_for(PATIENCE, &format!("addresses for {count} Services"), || async {
        let list = api.list(&ListParams::default()).await?;
        let given: Vec<String> = list.iter().flat_map(addresses).collect();
        ensure!(given.len() == count, "{} have one", given.len());
        Ok(Some(given))
    })
    .await?;
    ground
        .say(&format!("{count} Services: applied in {applied:.1?}, all with an address after {:.1?}", start.elapsed()));
    let distinct: BTreeSet<&String> = given.iter().collect();
    ensure!(distinct.len() == count, "{} addresses for {count} Services: {given:?}", distinct.len());
    wait_for(PATIENCE, "the Eip to show them all", || async {
        let status = ground.eip_status(ground.name()).await?;
        Ok((status.usage == Some(i64::try_from(count)?)).then_some(()))
    })
    .await?;
    let start = Instant::now();
    ground.kubectl(&["delete", "services", "--all"]).await?;
    let deleted = start.elapsed();
    ground.eip_shows(ground.name(), &[]).await?;
    ground.say(&format!("deleted in {deleted:.1?}, all free after {:.1?}", start.elapsed()));
    Ok(())
}
