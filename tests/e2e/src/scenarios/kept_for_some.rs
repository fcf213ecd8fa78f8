//! Addresses that are not for everybody: reserved ones, a namespace's share, and those that rest after they were given back.

use anyhow::Result;
use serde_json::json;

use crate::ground::Ground;
use crate::row::{self, row};
use crate::runner::Scenario;

/// Reservations, quota and reuse delay.
pub const SCENARIO: Scenario = Scenario {
    name: "kept-for-some",
    shows: "a reserved address outlives its Service and is nobody else's, a namespace gets no more than its quota, and an address given back rests",
    first_address: 28,
    run: |ground| Box::pin(run(ground)),
};

async fn run(ground: &Ground<'_>) -> Result<()> {
    reservations(ground).await?;
    quota(ground).await?;
    reuse_delay(ground).await
}

async fn reservations(ground: &Ground<'_>) -> Result<()> {
    let eip = ground.further("reserved");
    let spec = json!({
        "address": "10.208.0.0/30",
        "reservations": [
            {"address": "10.208.0.0", "namespace": ground.name(), "name": "by-name"},
            {"address": "10.208.0.2", "serviceSelector": {"matchLabels": {"tier": "gold"}}},
        ],
    });
    row::eip(ground, "reserved", spec).await?;
    let from = |name: &str| row(name).eip(&eip);
    let by_name = from("by-name").gets("10.208.0.0");
    let others = [
        from("anybody-1").gets("10.208.0.1"),
        from("anybody-2").gets("10.208.0.3"),
        from("anybody-3").waits("EipFull", &["2 of 2", "2 more reserved", "spec.reservations"]),
        from("wishes").asks("10.208.0.0").waits("Reserved", &["10.208.0.0", "kept-for-some/by-name"]),
    ];
    // Those whom nothing is reserved for come first, and get nothing of it.
    row::hold(ground, &others).await?;
    let gold = from("gold").labelled("tier", "gold").gets("10.208.0.2");
    row::hold(ground, &[gold, by_name.clone()]).await?;
    ground.kubectl(&["delete", "service", "by-name"]).await?;
    row::come_true(ground, &others).await?;
    row::hold(ground, &[by_name]).await?;
    row::come_true(ground, &others).await
}

async fn quota(ground: &Ground<'_>) -> Result<()> {
    ground.further_namespace("other", &[]).await?;
    let eip = ground.further("quota");
    let spec = json!({"address": "10.208.1.0/28", "quota": {"addressesPerNamespace": 2}});
    row::eip(ground, "quota", spec).await?;
    let from = |name: &str| row(name).eip(&eip);
    let third = from("quota-3");
    row::hold(
        ground,
        &[
            from("quota-1").gets("10.208.1.0"),
            from("quota-2").gets("10.208.1.1"),
            third.clone().waits("QuotaExceeded", &["2 of the 2", "kept-for-some", &eip]),
            from("quota-wish").asks("10.208.1.9").waits("QuotaExceeded", &["2 of the 2"]),
            // One that the namespace has already costs it nothing.
            from("quota-shared").asks("10.208.1.0").port("TCP", 443).has("10.208.1.0", "Shared", &["quota-1"]),
            from("quota-other").within("other").gets("10.208.1.2"),
        ],
    )
    .await?;
    ground.kubectl(&["delete", "service", "quota-2", "quota-wish"]).await?;
    row::come_true(ground, &[third.gets("10.208.1.1")]).await
}

async fn reuse_delay(ground: &Ground<'_>) -> Result<()> {
    let eip = ground.further("rests");
    let spec = |delay: &str| json!({"address": "10.208.2.0/31", "reuseDelay": delay});
    row::eip(ground, "rests", spec("1h")).await?;
    let from = |name: &str| row(name).eip(&eip);
    let back = from("comes-back").gets("10.208.2.0");
    row::hold(ground, &[back.clone(), from("stays").gets("10.208.2.1")]).await?;
    ground.kubectl(&["delete", "service", "comes-back"]).await?;
    let heir = from("heir");
    row::hold(ground, &[heir.clone().waits("EipFull", &["spec.reuseDelay"])]).await?;
    row::hold(ground, &[back]).await?;
    ground.kubectl(&["delete", "service", "comes-back"]).await?;
    row::come_true(ground, &[heir.clone().waits("EipFull", &["spec.reuseDelay"])]).await?;
    // A delay that is changed counts at once.
    row::eip(ground, "rests", spec("1s")).await?;
    row::come_true(ground, &[heir.gets("10.208.2.0")]).await
}
