//! An object on its arrival: text that becomes a typed object, is translated, and is dropped.
//!
//! Lists and watches are read as text first, and each object by itself: what is wrong with one stays with it. A typed list would fail
//! as a whole over a single Service whose condition lacks its time, which anybody may write who may write a status.

use std::collections::BTreeMap;

use ironlb_model::ResourceVersion;
use ironlb_translate::parse_version;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{ObjectMeta, Time};
use serde::Deserialize;
use serde_json::Value;
use serde_json::value::RawValue;

use crate::kind::{Kind, Reading};
use crate::watch::WatchError;
use crate::write::CONTROLLER_MANAGER;

/// One page of a list, its objects unread.
#[derive(Debug, Deserialize)]
pub(crate) struct Page<'a> {
    #[serde(default)]
    pub(crate) metadata: PageMetadata,
    /// Go writes an empty list as null.
    #[serde(borrow, default)]
    pub(crate) items: Option<Vec<&'a RawValue>>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(crate) struct PageMetadata {
    pub(crate) resource_version: Option<String>,
    #[serde(rename = "continue")]
    pub(crate) continue_token: Option<String>,
}

/// One line of a watch, its object unread.
#[derive(Debug, Deserialize)]
pub(crate) struct Line<'a> {
    #[serde(rename = "type")]
    pub(crate) kind: LineKind,
    #[serde(borrow)]
    pub(crate) object: &'a RawValue,
}

/// What a line of a watch tells.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "UPPERCASE")]
pub(crate) enum LineKind {
    Added,
    Modified,
    Deleted,
    Bookmark,
    Error,
}

/// Reads one object and translates it.
///
/// # Errors
/// Not even its name and version can be read: whoever goes on would skip a change.
pub(crate) fn arrive<K: Kind>(text: &str) -> Result<(ResourceVersion, Reading<K>), WatchError> {
    let slim = slim(text);
    let text = slim.as_deref().unwrap_or(text);
    let (version, metadata) = metadata::<K>(text)?;
    let error = match serde_json::from_str::<K::Object>(text) {
        Ok(object) => return Ok((version, K::read(object))),
        Err(error) => error,
    };
    let mended = serde_json::from_str::<Value>(text).ok().and_then(|mut object| {
        mend(&mut object);
        serde_json::from_value::<K::Object>(object).ok()
    });
    Ok((version, mended.map_or_else(|| Reading::unreadable(&metadata, &error.to_string()), K::read)))
}

/// Reads the name and the version of an object, whatever else is in it.
///
/// # Errors
/// They cannot be read.
pub(crate) fn metadata<K: Kind>(text: &str) -> Result<(ResourceVersion, ObjectMeta), WatchError> {
    #[derive(Deserialize)]
    struct Object {
        metadata: Metadata,
    }
    // What the API server itself sets, and the labels, which it checks.
    #[derive(Deserialize)]
    #[serde(rename_all = "camelCase")]
    struct Metadata {
        name: Option<String>,
        namespace: Option<String>,
        uid: Option<String>,
        resource_version: Option<String>,
        labels: Option<BTreeMap<String, String>>,
    }
    let unreadable = |why: String| WatchError::Unreadable(format!("one of {}: {why}", K::NAME));
    let Object { metadata } = serde_json::from_str(text).map_err(|error| unreadable(error.to_string()))?;
    let Metadata { name, namespace, uid, resource_version, labels } = metadata;
    let version = resource_version.as_deref().map(parse_version).filter(|version| *version > ResourceVersion(0));
    let version = version.ok_or_else(|| unreadable("an object without a version".to_owned()))?;
    Ok((version, ObjectMeta { name, namespace, uid, labels, resource_version, ..ObjectMeta::default() }))
}

/// The object without the `metadata.managedFields` that nothing reads, which are half of its text: those of its spec and our own. Whom
/// else its status was written by is told where two write it. `None` where nothing was left out.
fn slim(text: &str) -> Option<String> {
    let mut object: BTreeMap<&str, &RawValue> = serde_json::from_str(text).ok()?;
    let mut metadata: BTreeMap<&str, &RawValue> = serde_json::from_str(object.get("metadata")?.get()).ok()?;
    let mut entries: Vec<&RawValue> = serde_json::from_str(metadata.remove("managedFields")?.get()).ok()?;
    entries.retain(|entry| tells_of_another(entry));
    let kept = serde_json::value::to_raw_value(&entries).ok()?;
    if !entries.is_empty() {
        metadata.insert("managedFields", &kept);
    }
    let metadata = serde_json::value::to_raw_value(&metadata).ok()?;
    object.insert("metadata", &metadata);
    serde_json::to_string(&object).ok()
}

/// Is this the entry of somebody else who wrote the status?
fn tells_of_another(entry: &RawValue) -> bool {
    #[derive(Deserialize)]
    struct Entry<'a> {
        manager: Option<&'a str>,
        subresource: Option<&'a str>,
    }
    serde_json::from_str::<Entry<'_>>(entry.get())
        .is_ok_and(|entry| entry.subresource == Some("status") && entry.manager != Some(CONTROLLER_MANAGER))
}

/// Takes out the times that cannot be read. A condition must have one; the API server lets it be missing all the same.
fn mend(value: &mut Value) {
    match value {
        Value::Array(items) => items.iter_mut().for_each(mend),
        Value::Object(fields) => {
            fields.retain(|name, value| {
                let is_time = name.ends_with("Time") || name.ends_with("Timestamp");
                !is_time || !value.is_string() && !value.is_null() || Time::deserialize(&*value).is_ok()
            });
            fields.values_mut().for_each(mend);
            if let Some(Value::Array(conditions)) = fields.get_mut("conditions") {
                for condition in conditions.iter_mut().filter_map(Value::as_object_mut) {
                    condition.entry("lastTransitionTime").or_insert_with(|| "1970-01-01T00:00:00Z".into());
                }
            }
        }
        _ => (),
    }
}

#[cfg(test)]
mod tests {
    use ironlb_model::{IssueReason, ServiceId};
    use serde_json::json;

    use super::*;
    use crate::kind::{Eips, Services};

    fn service(conditions: Value) -> String {
        json!({
            "metadata": {"name": "web", "namespace": "shop", "uid": "u", "resourceVersion": "7",
                         "managedFields": [{"manager": "m", "time": "no time", "fieldsV1": {"f:spec": {}}}]},
            "spec": {"type": "LoadBalancer"},
            "status": {"loadBalancer": {"ingress": [{"ip": "192.0.2.7"}]}, "conditions": conditions},
        })
        .to_string()
    }

    #[test]
    fn a_condition_whose_time_is_missing_or_absurd_hides_no_service() {
        for time in [json!(null), json!("9999-12-31T23:59:59Z"), json!("yesterday"), json!("")] {
            let text = service(
                json!([{"type": "t", "status": "True", "reason": "r", "message": "m", "lastTransitionTime": time}]),
            );
            let (version, reading) = arrive::<Services>(&text).unwrap();
            let value = reading.value.unwrap_or_else(|| panic!("{time}: {:?}", reading.issues));
            assert_eq!((version, value.id), (ResourceVersion(7), ServiceId::new("shop", "web")));
            assert_eq!(value.ingress.len(), 1, "{time}");
        }
    }

    #[test]
    fn of_those_who_wrote_only_others_of_the_status_are_kept() {
        let entry = |manager: &str, subresource: Value| json!({"manager": manager, "subresource": subresource, "fieldsV1": {"f:x": {}}});
        let kept = |entries: Value| {
            let text =
                json!({"metadata": {"name": "n", "managedFields": entries}, "spec": {"a": [1, "\"b\""]}}).to_string();
            let slim: Value = serde_json::from_str(&slim(&text).unwrap()).unwrap();
            assert_eq!(slim["spec"], json!({"a": [1, "\"b\""]}));
            slim["metadata"]["managedFields"].clone()
        };
        let other = entry("another", json!("status"));
        let ours = entry(CONTROLLER_MANAGER, json!("status"));
        assert_eq!(kept(json!([entry("kubectl", json!(null)), other, ours])), json!([other]));
        assert_eq!(kept(json!([ours])), Value::Null);
        assert_eq!(slim(r#"{"metadata": {"name": "n"}}"#), None);
    }

    #[test]
    fn what_cannot_be_read_is_told_with_its_name_and_uid() {
        let text =
            r#"{"metadata": {"name": "bad", "uid": "u", "resourceVersion": "7"}, "spec": {"address": {"a": 7}}}"#;
        let (_, reading) = arrive::<Eips>(text).unwrap();
        assert!(reading.value.is_none());
        assert_eq!((reading.key.as_str(), reading.uid.as_str()), ("bad", "u"));
        assert_eq!(reading.issues[0].reason, IssueReason::Unreadable);
    }

    #[test]
    fn deep_nesting_and_absurd_numbers_do_no_harm() {
        let deep = format!("{}{}", "[".repeat(5000), "]".repeat(5000));
        for status in [deep.as_str(), "1e9999", "-0.0e-99999", "\"\\ud800\"", "99999999999999999999999999999999"] {
            let text = format!(r#"{{"metadata": {{"name": "bad", "resourceVersion": "7"}}, "spec": {status}}}"#);
            let (version, reading) = arrive::<Eips>(&text).unwrap();
            assert_eq!(version, ResourceVersion(7), "{status:.20}");
            assert!(reading.value.is_none() && reading.issues.len() == 1, "{status:.20}");
        }
    }

    #[test]
    fn what_names_no_version_is_an_error() {
        for text in ["", "{}", "null", r#"{"metadata": {"name": "a"}}"#, r#"{"metadata": {"resourceVersion": ""}}"#] {
            assert!(arrive::<Services>(text).is_err(), "{text}");
        }
    }

    #[test]
    fn a_page_may_have_no_items() {
        let page: Page<'_> = serde_json::from_str(r#"{"metadata": {"resourceVersion": "7"}, "items": null}"#).unwrap();
        assert!(page.items.is_none() && page.metadata.continue_token.is_none());
    }
}
