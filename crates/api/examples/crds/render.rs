//! The files under `crds/`: name and text of each.

use std::collections::BTreeMap;

const HEADER: &str = "# Generated from crates/api; change the types there and run\n\
                      # cargo run -p ironlb-api --example crds -- crds/\n";

/// Each CRD as YAML, by file name (its plural and group).
pub(crate) fn files() -> anyhow::Result<BTreeMap<String, String>> {
    ironlb_api::crds()
        .into_iter()
        .map(|crd| {
            let name = format!("{}_{}.yaml", crd.spec.group, crd.spec.names.plural);
            Ok((name, format!("{HEADER}{}", serde_saphyr::to_string(&crd)?)))
        })
        .collect()
}
