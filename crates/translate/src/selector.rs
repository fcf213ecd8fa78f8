//! Label selectors as the API writes them.

use ironlb_model::{Operator, Requirement, Selector};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{LabelSelector, LabelSelectorRequirement};

use crate::quote::quoted;

/// Reads a selector. One that cannot be read holds for nothing: guessing would open a pool or a node that the user meant to
/// close.
pub(crate) fn read(given: &LabelSelector) -> Result<Selector, String> {
    let expressions = given.match_expressions.iter().flatten().map(requirement).collect::<Result<_, _>>()?;
    Ok(Selector { labels: given.match_labels.clone().unwrap_or_default(), expressions })
}

fn requirement(given: &LabelSelectorRequirement) -> Result<Requirement, String> {
    let values = given.values.iter().flatten().cloned().collect();
    let operator = match given.operator.as_str() {
        "In" => Operator::In,
        "NotIn" => Operator::NotIn,
        "Exists" => Operator::Exists,
        "DoesNotExist" => Operator::DoesNotExist,
        other => return Err(format!("{} is no operator: write In, NotIn, Exists or DoesNotExist", quoted(other))),
    };
    match (operator, given.values.as_ref().is_none_or(Vec::is_empty)) {
        (Operator::In | Operator::NotIn, true) => {
            Err(format!("operator {} of key {} has no values", given.operator, quoted(&given.key)))
        }
        _ => Ok(Requirement { key: given.key.clone(), operator, values }),
    }
}
