//! Services of one family and of two, from one Eip and from two, and a family that comes later.

use anyhow::{Result, ensure};
use ironlb_api::names::event;
use serde_json::json;

use crate::ground::Ground;
use crate::row::{self, Row, row};
use crate::runner::Scenario;

/// Every `ipFamilyPolicy`.
pub const SCENARIO: Scenario = Scenario {
    name: "two-families",
    shows: "ipFamilyPolicy decides how many families are served, in the order of ipFamilies; a family that has no pool is served once it has",
    first_address: 22,
    run: |ground| Box::pin(run(ground)),
};

const FOUR_FIRST: &[&str] = &["IPv4", "IPv6"];

async fn run(ground: &Ground<'_>) -> Result<()> {
    for number in 0..6 {
        let address = format!("10.202.{number}.0/30,fd00:202:{number}::/126");
        row::eip(ground, &format!("pair-{number}"), json!({"address": address})).await?;
    }
    row::eip(ground, "four", json!({"address": "10.202.8.0/30"})).await?;
    row::eip(ground, "six", json!({"address": "fd00:202:9::/126"})).await?;
    ground.further_namespace("later", &[]).await?;
    let later = json!([ground.further("later")]);
    row::eip(ground, "later-four", json!({"address": "10.202.10.0/29", "namespaces": later})).await?;

    let from = |name: &str, eip: &str| {
        row(name).eip(&eip.split(',').map(|eip| ground.further(eip)).collect::<Vec<_>>().join(","))
    };
    let require = from("require", "pair-0").families("RequireDualStack", FOUR_FIRST);
    let single = from("single", "pair-3").families("SingleStack", &[]);
    row::hold(
        ground,
        &[
            require.clone().gets("10.202.0.0,fd00:202::"),
            from("prefer", "pair-1").families("PreferDualStack", &[]).gets("10.202.1.0,fd00:202:1::"),
            from("six-first", "pair-2").families("RequireDualStack", &["IPv6", "IPv4"]).gets("fd00:202:2::,10.202.2.0"),
            single.clone().gets("10.202.3.0"),
            from("single-six", "pair-4").families("SingleStack", &["IPv6"]).gets("fd00:202:4::"),
            from("one-wish", "pair-5")
                .families("RequireDualStack", FOUR_FIRST)
                .asks("fd00:202:5::2")
                .gets("10.202.5.0,fd00:202:5::2"),
            from("of-two-eips", "six,four").families("RequireDualStack", FOUR_FIRST).gets("10.202.8.0,fd00:202:9::"),
        ],
    )
    .await?;
    later_family(ground).await?;
    changed_policy(ground, &require, &single).await
}

/// What is preferred is told, what is required is missed, and both are served as soon as there is a pool.
async fn later_family(ground: &Ground<'_>) -> Result<()> {
    let later = |name: &str, policy: &str| row(name).within("later").families(policy, &[]);
    let prefer = later("prefer", "PreferDualStack");
    let require = later("require", "RequireDualStack");
    let single = later("single", "SingleStack").gets("10.202.10.2");
    row::hold(
        ground,
        &[
            prefer.clone().has("10.202.10.0", "Assigned", &["no IPv6 address", "two-families-later-four"]),
            require.clone().lacks("10.202.10.1", "WrongFamily", &["10.202.10.1", "IPv6"]),
            single.clone(),
        ],
    )
    .await?;
    let eip = json!({"address": "fd00:202:10::/126", "namespaces": [ground.further("later")]});
    row::eip(ground, "later-six", eip).await?;
    // Whose earlier write is still on its way when the pool appears is asked a moment later, so either may be first.
    let served = |first: &str, second: &str| {
        let prefer = prefer.clone().gets(&format!("10.202.10.0,{first}"));
        vec![prefer, require.clone().gets(&format!("10.202.10.1,{second}")), single.clone()]
    };
    let (one, other) = ("fd00:202:10::", "fd00:202:10::1");
    row::one_comes_true(ground, &[served(one, other), served(other, one)]).await
}

/// The user takes a family away, and adds one: the address of the family that stays does not move.
async fn changed_policy(ground: &Ground<'_>, require: &Row, single: &Row) -> Result<()> {
    let dropped = require.clone().families("SingleStack", &["IPv4"]).gets("10.202.0.0");
    let added = single.clone().families("RequireDualStack", FOUR_FIRST).gets("10.202.3.0,fd00:202:3::");
    row::hold(ground, &[dropped, added]).await?;
    let told = ground.event("require", event::RELEASE_IP).await?;
    ensure!(told.contains("fd00:202::"), "the Event names another address: {told}");
    Ok(())
}
