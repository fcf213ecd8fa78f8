use serde_json::{Value, json};

use super::*;

/// Calls `visit` with every schema below `schema` and its path.
fn walk(schema: &Value, path: &str, visit: &mut impl FnMut(&str, &Value)) {
    visit(path, schema);
    for (name, property) in schema["properties"].as_object().into_iter().flatten() {
        walk(property, &format!("{path}.{name}"), visit);
    }
    for (below, mark) in [("items", "[]"), ("additionalProperties", "{}")] {
        if schema[below].is_object() {
            walk(&schema[below], &format!("{path}{mark}"), visit);
        }
    }
}

/// Every schema: `Kind/version`, path, schema.
fn schemas() -> Vec<(String, String, Value)> {
    let mut all = Vec::new();
    for crd in crds() {
        for version in &crd.spec.versions {
            let root = version.schema.as_ref().and_then(|schema| schema.open_api_v3_schema.as_ref()).expect("a schema");
            let root = serde_json::to_value(root).expect("a schema is JSON");
            let name = format!("{}/{}", crd.spec.names.kind, version.name);
            walk(&root, "", &mut |path, schema| all.push((name.clone(), path.to_owned(), schema.clone())));
        }
    }
    all
}

#[test]
fn no_schema_is_nullable_or_has_a_format_kubectl_does_not_know() {
    for (version, path, schema) in schemas() {
        assert_eq!(schema.get("nullable"), None, "{version} {path}");
        let format = schema.get("format").and_then(Value::as_str);
        assert!(matches!(format, None | Some("int64" | "date-time")), "{version} {path} has format {format:?}");
        assert!(schema.get("type").is_some(), "{version} {path} has no type");
        assert_eq!(schema.get("anyOf").or(schema.get("oneOf")), None, "{version} {path}");
    }
}

#[test]
fn every_field_of_a_spec_says_what_it_is() {
    for (version, path, schema) in schemas() {
        let own = !path.ends_with("[]") && !path.ends_with("{}") && path != ".metadata" && !path.is_empty();
        assert!(!own || schema["description"].is_string(), "{version} {path} has no description");
    }
}

#[test]
fn both_versions_have_one_schema_but_for_the_interface_rules() {
    for crd in crds().iter().filter(|crd| crd.spec.group == "network.kubesphere.io") {
        let [old, stored] = &crd.spec.versions[..] else { panic!("two versions of {}", crd.spec.names.kind) };
        assert_eq!((old.name.as_str(), old.served, old.storage), (OLD_VERSION, true, false));
        assert_eq!((stored.name.as_str(), stored.served, stored.storage), (STORED_VERSION, true, true));
        assert_eq!(old.additional_printer_columns, stored.additional_printer_columns);
        for version in [old, stored] {
            assert!(version.subresources.as_ref().is_some_and(|sub| sub.status.is_some()), "{}", version.name);
        }
        let mut without_rules = [old, stored].map(|version| serde_json::to_value(&version.schema).expect("JSON"));
        for schema in &mut without_rules {
            let spec = &mut schema["openAPIV3Schema"]["properties"]["spec"];
            spec.as_object_mut().expect("a spec").remove("x-kubernetes-validations");
        }
        assert_eq!(without_rules[0], without_rules[1]);
    }
}

#[test]
fn every_rule_stands_where_it_says() {
    for rule in RULES {
        for version in [OLD_VERSION, STORED_VERSION] {
            let (name, path) = (format!("{}/{version}", rule.kind), format!(".{}", rule.path.join(".")));
            let found = schemas().into_iter().any(|(kind, at, schema)| {
                let rules = schema["x-kubernetes-validations"].as_array();
                kind == name && at == path && rules.is_some_and(|list| list.iter().any(|one| one["rule"] == rule.rule))
            });
            assert_eq!(found, version == STORED_VERSION || rule.versions == Versions::All, "{name} {path}");
        }
    }
}

#[test]
fn as_numbers_take_four_bytes() {
    let mut seen = 0;
    for (version, path, schema) in schemas() {
        let field = path.rsplit('.').next().unwrap_or_default();
        if matches!(field, "as" | "peerAs" | "localAs" | "asPerRack{}") {
            seen += 1;
            assert_eq!(schema["format"], "int64", "{version} {path}");
            assert_eq!(schema["minimum"], 0.0, "{version} {path}");
            assert_eq!(schema["maximum"], f64::from(u32::MAX), "{version} {path}");
        }
    }
    // BgpConf: spec.as, spec.asPerRack, status; BgpPeer: conf twice, config, status twice; in two versions. Speaker: one, in one.
    assert_eq!(seen, 17);
}

#[test]
fn names_and_columns_are_those_scripts_know() {
    let eip = &crds()[0];
    assert_eq!(eip.metadata.name.as_deref(), Some("eips.network.kubesphere.io"));
    assert_eq!(eip.spec.scope, "Cluster");
    assert_eq!(eip.spec.names.list_kind.as_deref(), Some("EipList"));
    assert_eq!(eip.spec.names.categories, Some(vec!["networking".to_owned()]));
    assert_eq!(eip.spec.names.short_names, None);
    let columns = eip.spec.versions[0].additional_printer_columns.as_deref().expect("columns");
    let shown: Vec<_> = columns.iter().map(|c| (c.name.as_str(), c.type_.as_str(), c.json_path.as_str())).collect();
    assert_eq!(
        &shown[..3],
        &[
            ("cidr", "string", ".spec.address"),
            ("usage", "integer", ".status.usage"),
            ("total", "integer", ".status.poolSize"),
        ]
    );
    for crd in crds() {
        assert_eq!(crd.spec.scope, "Cluster");
        let columns = crd.spec.versions[0].additional_printer_columns.as_deref().expect("columns");
        let has = |name: &str| columns.iter().any(|column| column.name == name);
        assert!(has("ready") && has("age"), "{:?}", crd.spec.names);
    }
}

#[test]
fn a_newer_crd_is_told_from_an_older_one_and_from_openelbs() {
    let mut crd = Eip::crd();
    assert_eq!((crd_version(&crd), is_newer_than_ours(&crd)), (None, false));
    for (text, version, newer) in
        [("1", Some(1), CRD_VERSION < 1), ("4000000000", Some(4_000_000_000), true), ("x", None, false)]
    {
        crd.metadata.annotations.get_or_insert_default().insert(annotation::CRD_VERSION.to_owned(), text.to_owned());
        assert_eq!((crd_version(&crd), is_newer_than_ours(&crd)), (version, newer), "{text}");
    }
    assert!(crds().iter().all(|crd| crd_version(crd) == Some(CRD_VERSION)));
}

#[test]
fn a_speaker_has_no_spec() {
    let speaker = Speaker::new("n1", crate::SpeakerSpec {});
    let value = serde_json::to_value(&speaker).expect("JSON");
    assert_eq!(value, json!({"apiVersion": "ironlb.io/v1alpha1", "kind": "Speaker", "metadata": {"name": "n1"}}));
    assert_eq!(serde_json::from_value::<Speaker>(value).expect("a Speaker"), speaker);
}

#[test]
fn the_limits_of_an_address_are_those_of_its_schema() {
    let found = schemas().into_iter().find(|(kind, path, _)| kind == "Eip/v1alpha2" && path == ".spec.address");
    let (_, _, schema) = found.expect("spec.address");
    assert_eq!(schema["maxLength"], crate::rules::MAX_ADDRESS_CHARACTERS);
    let rule = schema["x-kubernetes-validations"][0]["rule"].as_str().expect("a rule");
    assert!(rule.contains(&format!("split(',', {})", crate::rules::MAX_ADDRESS_PARTS)), "{rule}");
}
