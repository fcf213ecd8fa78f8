//! An object of each kind with every field set, made from the schema itself: a field that is added is in it.

use serde_json::{Map, Value, json};

use super::crds;

/// `{spec, status}` of a kind with every field of its `v1alpha2` schema (a Speaker's only version is `v1alpha1`).
pub(super) fn full(kind: &str) -> Value {
    let version = if kind == "Speaker" { "v1alpha1" } else { "v1alpha2" };
    let root = crds::schema(kind, version);
    let mut number = 0;
    let mut object = Map::new();
    for part in ["spec", "status"] {
        let schema = &root["properties"][part];
        if schema.is_object() {
            object.insert(part.to_owned(), value_of(schema, &format!(".{part}"), &mut number));
        }
    }
    Value::Object(object)
}

/// A value of the schema; numbers and texts differ from field to field, so that none can take another's place.
fn value_of(schema: &Value, path: &str, number: &mut u32) -> Value {
    if let Some(value) = particular(path) {
        return value;
    }
    *number += 1;
    match schema["type"].as_str() {
        Some("object") if schema["properties"].is_object() => schema["properties"]
            .as_object()
            .into_iter()
            .flatten()
            .map(|(name, property)| (name.clone(), value_of(property, &format!("{path}.{name}"), number)))
            .collect(),
        Some("object") => json!({"one": value_of(&schema["additionalProperties"], &format!("{path}{{}}"), number)}),
        Some("array") => json!([value_of(&schema["items"], &format!("{path}[]"), number)]),
        Some("integer") => json!(number),
        Some("boolean") => json!(true),
        Some("string") if schema["format"] == "date-time" => json!(format!("2026-01-02T03:04:{:02}Z", *number % 60)),
        Some("string") => json!(format!("text-{number}")),
        other => panic!("{path} is of type {other:?}, of which there is no sample"),
    }
}

/// Values of fields that do not take any text.
fn particular(path: &str) -> Option<Value> {
    match path {
        ".spec.address" => Some(json!("192.0.2.0/24,2001:db8::/64")),
        ".spec.protocol" => Some(json!("layer2")),
        ".spec.interface" => Some(json!("eth0")),
        ".spec.routerId" => Some(json!("192.0.2.1")),
        ".spec.conf.neighborAddress" => Some(json!("192.0.2.2")),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn samples_have_the_fields_of_both_spellings() {
        let conf = &full("BgpConf")["spec"];
        for field in ["as", "routerId", "routerID", "listenPort", "port", "asPerRack", "gracefulRestart"] {
            assert!(!conf[field].is_null(), "{field}");
        }
        let peer = &full("BgpPeer")["spec"];
        assert!(peer["conf"]["peerAs"].is_number() && peer["config"]["peerAs"].is_number());
        assert!(peer["addPaths"]["sendMax"].is_number() && peer["usingPortForward"].is_boolean());
        let eip = full("Eip");
        assert!(eip["spec"]["usingKnownIPs"].is_boolean() && eip["status"]["used"]["one"].is_string());
        assert!(full("Speaker").get("spec").is_none());
    }
}
