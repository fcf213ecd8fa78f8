//! Each sentence of an RFC that stands beside the line that keeps it stands also above a test that shows it, and the other way about; each
//! that is not kept stands in `specs/exceptions`, with the reason.
#![expect(clippy::disallowed_methods, reason = "it looks at this crate's own text")]

#[path = "../../bfd-proto/tests/quotes/check.rs"]
mod check;

use std::path::Path;

use check::{Quote, faults, of_crate, quotes};

/// The sentences that are not kept on purpose, one to a file of `specs/exceptions`: the section, the words, and what is wrong with the file.
fn exceptions(folder: &Path) -> (Vec<Quote>, Vec<String>) {
    let (mut all, mut wrong) = (Vec::new(), Vec::new());
    for entry in std::fs::read_dir(folder.join("specs/exceptions")).unwrap().flatten() {
        let (name, text) = (entry.path(), std::fs::read_to_string(entry.path()).unwrap());
        let section = text.lines().next().and_then(|line| line.strip_prefix("# ")).unwrap_or_default();
        let words: Vec<&str> =
            text.lines().filter_map(|line| line.strip_prefix("> ")).flat_map(str::split_whitespace).collect();
        let reason = text.lines().filter(|line| !line.starts_with(['#', '>'])).map(str::len).sum::<usize>();
        if section.is_empty() || words.len() < 4 || reason < 40 {
            wrong.push(format!("{}: a section, its words, and the reason", name.display()));
        }
        all.push((section.to_owned(), words.join(" ")));
    }
    (all, wrong)
}

#[test]
fn each_sentence_has_its_line_and_its_test() {
    let (beside_code, above_tests) = of_crate(Path::new(env!("CARGO_MANIFEST_DIR")));
    assert!(beside_code.len() > 80, "{}", beside_code.len());
    let found = faults(&beside_code, &above_tests);
    assert!(found.is_empty(), "{}", found.join("\n"));
}

#[test]
fn a_sentence_that_is_not_kept_is_claimed_nowhere_and_has_a_reason() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR"));
    let (broken, wrong) = exceptions(folder);
    assert!(wrong.is_empty(), "{wrong:?}");
    assert!(!broken.is_empty());
    let (kept, _) = of_crate(folder);
    for (section, words) in &broken {
        assert!(
            kept.iter().all(|(of, sentence)| of != section || !sentence.contains(words.as_str())),
            "{section}: {words}"
        );
    }
}

#[test]
fn a_quote_is_of_the_line_below_it_unless_it_says_that_it_is_a_tests() {
    let (code, tests) = quotes("//= a\n//# one two three four\ncode();\n//= b\n//= type=test\n//# five\n#[test]\n");
    assert_eq!(code, [("a".to_owned(), "one two three four".to_owned())]);
    assert_eq!(tests, [("b".to_owned(), "five".to_owned())]);
    assert_eq!(faults(&code, &tests).len(), 2);
}
