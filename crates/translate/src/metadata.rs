//! What every object carries: version, age, finalizers, conditions.

use std::collections::BTreeMap;

use ironlb_model::{Condition, ConditionStatus, Labels, ResourceVersion, WallTime};
use k8s_openapi::apimachinery::pkg::apis::meta::v1 as meta;

/// The API server's version of the object as a number; zero where there is none, which no server ever sends.
pub(crate) fn version(metadata: &meta::ObjectMeta) -> ResourceVersion {
    parse_version(metadata.resource_version.as_deref().unwrap_or_default())
}

/// A resource version as the server spells it; zero for what is not a number.
#[must_use]
pub fn parse_version(text: &str) -> ResourceVersion {
    ResourceVersion(text.parse().unwrap_or(0))
}

/// When the object was created.
pub(crate) fn created(metadata: &meta::ObjectMeta) -> WallTime {
    WallTime(metadata.creation_timestamp.as_ref().map_or(0, |time| time.0.as_second()))
}

/// Is `name` among the finalizers?
pub(crate) fn has_finalizer(metadata: &meta::ObjectMeta, name: &str) -> bool {
    metadata.finalizers.iter().flatten().any(|f| f == name)
}

/// The labels, empty where there are none.
pub(crate) fn labels(metadata: &meta::ObjectMeta) -> Labels {
    pairs(metadata.labels.as_ref())
}

/// The pairs of a map that may be absent.
pub(crate) fn pairs(given: Option<&BTreeMap<String, String>>) -> Labels {
    given.into_iter().flatten().map(|(key, value)| (key.as_str(), value.as_str())).collect()
}

/// The annotation of that name.
pub(crate) fn annotation<'a>(metadata: &'a meta::ObjectMeta, name: &str) -> Option<&'a str> {
    metadata.annotations.as_ref()?.get(name).map(String::as_str)
}

/// The path of an annotation, as messages name it.
pub(crate) fn annotation_path(name: &str) -> String {
    format!("metadata.annotations[{name}]")
}

/// The conditions whose type passes `wanted`, without their times, in the object's order.
pub(crate) fn conditions(given: Option<&[meta::Condition]>, wanted: impl Fn(&str) -> bool) -> Vec<Condition> {
    given.unwrap_or_default().iter().filter(|c| wanted(&c.type_)).map(condition).collect()
}

/// When each condition last changed its status, by type.
pub(crate) fn condition_times(given: Option<&[meta::Condition]>) -> BTreeMap<String, WallTime> {
    let time = |c: &meta::Condition| (c.type_.clone(), WallTime(c.last_transition_time.0.as_second()));
    given.unwrap_or_default().iter().map(time).collect()
}

fn condition(given: &meta::Condition) -> Condition {
    Condition {
        kind: given.type_.clone(),
        status: match given.status.as_str() {
            "True" => ConditionStatus::True,
            "False" => ConditionStatus::False,
            _ => ConditionStatus::Unknown,
        },
        reason: given.reason.clone(),
        message: given.message.clone(),
    }
}
