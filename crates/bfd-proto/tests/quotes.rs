//! Each sentence of an RFC that stands beside the line that keeps it stands also above a test that shows it, and the other way about.
#![expect(clippy::disallowed_methods, reason = "it looks at this crate's own text")]

#[path = "quotes/check.rs"]
mod check;

use std::collections::BTreeMap;
use std::path::Path;

use check::{faults, of_crate, quotes};

#[test]
fn each_sentence_has_its_line_and_its_test() {
    let (beside_code, above_tests) = of_crate(Path::new(env!("CARGO_MANIFEST_DIR")));
    assert!(beside_code.len() > 30, "{}", beside_code.len());
    let found = faults(&beside_code, &above_tests);
    assert!(found.is_empty(), "{}", found.join("\n"));
    let musts: BTreeMap<&str, usize> = beside_code.iter().fold(BTreeMap::new(), |mut all, (section, _)| {
        *all.entry(section.as_str()).or_default() += 1;
        all
    });
    assert!(musts.contains_key("https://www.rfc-editor.org/rfc/rfc5880#section-6.8.6"));
}

#[test]
fn a_sentence_without_a_test_and_a_test_without_a_sentence_are_found() {
    let text = "//= a\n//# one two three four five\ncode();\n//= a\n//= type=test\n//# two three four five\n#[test]\n";
    let (code, tests) = quotes(text);
    assert!(faults(&code, &tests).is_empty());
    assert_eq!(faults(&code, &[]), ["no test: a: one two three four five"]);
    assert_eq!(faults(&[], &tests), ["no code: a: two three four five"]);
    assert_eq!(faults(&code, &[("a".into(), "one two three".into())]).len(), 2, "too little is quoted");
}
