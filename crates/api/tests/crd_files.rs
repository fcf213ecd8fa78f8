//! The files under `crds/` are what the types give.

#![expect(clippy::disallowed_methods, reason = "a test reads the committed files; the rule is for the crate itself")]

#[path = "../examples/crds/render.rs"]
mod render;

use std::collections::BTreeMap;
use std::path::Path;

#[test]
fn committed_crd_files_are_what_the_types_give() {
    let directory = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../crds");
    let mut committed = BTreeMap::new();
    for entry in std::fs::read_dir(directory).expect("crds/ exists") {
        let path = entry.expect("an entry").path();
        let name = path.file_name().expect("a name").to_string_lossy().into_owned();
        committed.insert(name, std::fs::read_to_string(&path).expect("a text file"));
    }
    let generated = render::files().expect("the CRDs are YAML");
    assert_eq!(generated.keys().collect::<Vec<_>>(), committed.keys().collect::<Vec<_>>());
    for (name, text) in generated {
        assert!(
            committed.get(&name) == Some(&text),
            "crds/{name} is out of date: run cargo run -p ironlb-api --example crds -- crds/"
        );
    }
}

#[test]
fn the_yaml_reads_back_as_the_same_crds() {
    let files = render::files().expect("the CRDs are YAML");
    for crd in ironlb_api::crds() {
        let text = &files[&format!("{}_{}.yaml", crd.spec.group, crd.spec.names.plural)];
        let read: serde_json::Value = serde_saphyr::from_str(text).expect("YAML");
        assert_eq!(read, serde_json::to_value(crd).expect("JSON"));
    }
}
