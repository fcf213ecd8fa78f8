//! The rejection table, and what else is asked of the CRDs, on a site where ironlb runs.

use anyhow::Result;

use crate::ground::Ground;
use crate::runner::Scenario;

/// Beside a running ironlb.
pub const SCENARIO: Scenario = Scenario {
    name: "crd-rules",
    shows: "the API server refuses what OpenELB's admission refused, with the same words in both versions, and loses nothing",
    first_address: 131,
    run: |ground| Box::pin(run(ground)),
};

async fn run(ground: &Ground<'_>) -> Result<()> {
    crate::crd_rules::run(ground.stage().site.client()).await
}
