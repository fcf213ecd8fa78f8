//! Selectors on labels.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

use crate::Labels;

/// How a [`Requirement`] looks at a label.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub enum Operator {
    /// The label is there with one of the values.
    In,
    /// The label is absent or has none of the values.
    NotIn,
    /// The label is there.
    Exists,
    /// The label is absent.
    DoesNotExist,
}

/// One entry of `matchExpressions`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Requirement {
    /// The label's key.
    pub key: String,
    /// How it is looked at.
    pub operator: Operator,
    /// The values, for `In` and `NotIn`.
    pub values: BTreeSet<String>,
}

/// A label selector: every label and every requirement must hold; one without any holds for everything.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Default, Serialize, Deserialize)]
pub struct Selector {
    /// `matchLabels`.
    pub labels: BTreeMap<String, String>,
    /// `matchExpressions`.
    pub expressions: Vec<Requirement>,
}

impl Selector {
    /// The selector that wants exactly these labels.
    #[must_use]
    pub fn labels(labels: BTreeMap<String, String>) -> Self {
        Self { labels, expressions: Vec::new() }
    }

    /// The selector that holds for nothing: what stands for one that cannot be read.
    #[must_use]
    pub fn never() -> Self {
        let nothing = Requirement { key: String::new(), operator: Operator::In, values: BTreeSet::new() };
        Self { labels: BTreeMap::new(), expressions: vec![nothing] }
    }

    /// Does it hold for an object with these labels?
    #[must_use]
    pub fn matches(&self, labels: &Labels) -> bool {
        self.labels.iter().all(|(key, value)| labels.get(key) == Some(value.as_str()))
            && self.expressions.iter().all(|requirement| requirement.matches(labels))
    }
}

impl Requirement {
    fn matches(&self, labels: &Labels) -> bool {
        let value = labels.get(&self.key);
        match self.operator {
            Operator::In => value.is_some_and(|value| self.values.contains(value)),
            Operator::NotIn => value.is_none_or(|value| !self.values.contains(value)),
            Operator::Exists => value.is_some(),
            Operator::DoesNotExist => value.is_none(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn labels(pairs: &[(&str, &str)]) -> BTreeMap<String, String> {
        pairs.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect()
    }

    #[test]
    fn labels_and_requirements_must_all_hold() {
        let wants = |key: &str, operator, values: &[&str]| Requirement {
            key: key.to_owned(),
            operator,
            values: values.iter().map(|value| (*value).to_owned()).collect(),
        };
        let object = Labels::from([("zone", "a"), ("tier", "edge")]);
        for (pairs, expressions, want) in [
            (&[][..], vec![], true),
            (&[("zone", "a")], vec![], true),
            (&[("zone", "b")], vec![], false),
            (&[("zone", "a"), ("rack", "1")], vec![], false),
            (&[], vec![wants("zone", Operator::In, &["a", "b"])], true),
            (&[], vec![wants("zone", Operator::In, &[])], false),
            (&[], vec![wants("rack", Operator::In, &["1"])], false),
            (&[], vec![wants("zone", Operator::NotIn, &["a"])], false),
            (&[], vec![wants("rack", Operator::NotIn, &["1"])], true),
            (&[], vec![wants("zone", Operator::Exists, &[])], true),
            (&[], vec![wants("rack", Operator::DoesNotExist, &[])], true),
            (&[("zone", "a")], vec![wants("tier", Operator::DoesNotExist, &[])], false),
        ] {
            let selector = Selector { labels: labels(pairs), expressions };
            assert_eq!(selector.matches(&object), want, "{selector:?}");
        }
        assert!(!Selector::never().matches(&object) && !Selector::never().matches(&Labels::default()));
    }
}
