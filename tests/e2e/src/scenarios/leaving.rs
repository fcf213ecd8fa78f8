//! A Service that is not ironlb's any more.

use anyhow::Result;
use ironlb_api::names::{annotation, event};
use ironlb_lab::wait_for;
use serde_json::json;

use crate::ground::Ground;
use crate::row::{self, Row, row};
use crate::runner::Scenario;
use crate::stage::PATIENCE;

/// By annotation, type, class and deletion.
pub const SCENARIO: Scenario = Scenario {
    name: "leaving",
    shows: "a Service that opts out, changes its type or its class, or is deleted gives its address back, keeps no trace of ironlb, and others get the address",
    first_address: 26,
    run: |ground| Box::pin(run(ground)),
};

/// In the order of their names, which is that of the addresses they get when they are made in one second.
const NAMES: [&str; 5] = ["a-opts-out", "b-says-nothing", "c-changes-type", "d-changes-class", "e-deleted"];

async fn run(ground: &Ground<'_>) -> Result<()> {
    let eip = ground.further("pool");
    row::eip(ground, "pool", json!({"address": "10.206.0.0-10.206.0.4"})).await?;
    let numbered = |names: &[&str]| -> Vec<Row> {
        let rows = names.iter().enumerate();
        rows.map(|(number, name)| row(name).eip(&eip).gets(&format!("10.206.0.{number}"))).collect()
    };
    row::hold(ground, &numbered(&NAMES)).await?;
    let heirs = ["heir-0", "heir-1", "heir-2", "heir-3", "heir-4"];
    let waiting: Vec<Row> = heirs.iter().map(|name| row(name).eip(&eip).waits("EipFull", &["5 of 5"])).collect();
    row::hold(ground, &waiting).await?;

    let leaves = |name: &str| row(name).eip(&eip).is_released();
    let cluster_ip = |name: &str| leaves(name).with("type", json!("ClusterIP"));
    let left = [
        leaves("a-opts-out").annotated(annotation::OPT_IN, "somebody-else"),
        leaves("b-says-nothing").opts_in_by(""),
        cluster_ip("c-changes-type"),
        cluster_ip("d-changes-class"),
    ];
    row::hold(ground, &left[..1]).await?;
    row::come_true(ground, &[row("heir-0").gets("10.206.0.0")]).await?;
    row::hold(ground, &left[1..]).await?;
    // The class can only be set when the type is.
    let of_another = leaves("d-changes-class").with("loadBalancerClass", json!("example.org/lb"));
    row::hold(ground, &[of_another]).await?;
    ground.kubectl(&["delete", "service", "e-deleted"]).await?;
    row::come_true(ground, &left).await?;
    for name in &NAMES[..4] {
        ground.event(name, event::RELEASE_IP).await?;
    }
    wait_for(PATIENCE, "the Eip to show the heirs alone", || async {
        let used = ground.eip_status(&eip).await?.used.unwrap_or_default();
        Ok((used.len() == heirs.len() && used.values().all(|holder| holder.contains("/heir-"))).then_some(()))
    })
    .await
}
