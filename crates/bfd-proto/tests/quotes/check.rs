//! Looks whether each sentence of an RFC that stands beside the line that keeps it stands also above a test that shows it, and the
//! other way about.
//!
//! A test may quote a part of the sentence, of at least four words.

use std::path::Path;

/// What is quoted at one place: section, words.
pub(crate) type Quote = (String, String);

/// The quotes of a text, those above tests apart from the others.
pub(crate) fn quotes(text: &str) -> (Vec<Quote>, Vec<Quote>) {
    let (mut beside_code, mut above_tests) = (Vec::new(), Vec::new());
    let mut current: Option<(String, bool, Vec<String>)> = None;
    for line in text.lines().map(str::trim).chain([""]) {
        if let Some(words) = line.strip_prefix("//#") {
            if let Some((_, _, quoted)) = &mut current {
                quoted.extend(words.split_whitespace().map(str::to_owned));
            }
            continue;
        }
        if line == "//= type=test" {
            if let Some((_, is_test, _)) = &mut current {
                *is_test = true;
            }
            continue;
        }
        if let Some((section, is_test, quoted)) = current.take() {
            let quote = (section, quoted.join(" "));
            if is_test { above_tests.push(quote) } else { beside_code.push(quote) }
        }
        if let Some(section) = line.strip_prefix("//= ") {
            current = Some((section.to_owned(), false, Vec::new()));
        }
    }
    (beside_code, above_tests)
}

fn read(folder: &Path, beside_code: &mut Vec<Quote>, above_tests: &mut Vec<Quote>) {
    for entry in std::fs::read_dir(folder).unwrap().flatten() {
        let path = entry.path();
        if path.is_dir() {
            read(&path, beside_code, above_tests);
        } else if path.extension().is_some_and(|end| end == "rs") {
            let (code, tests) = quotes(&std::fs::read_to_string(&path).unwrap());
            beside_code.extend(code);
            above_tests.extend(tests);
        }
    }
}

/// What is wrong: a sentence without a test, or a test of no sentence.
pub(crate) fn faults(beside_code: &[Quote], above_tests: &[Quote]) -> Vec<String> {
    let shows = |(section, sentence): &Quote, (of, part): &Quote| {
        section == of && sentence.contains(part.as_str()) && part.split(' ').count() >= 4
    };
    let untested = beside_code.iter().filter(|quote| !above_tests.iter().any(|test| shows(quote, test)));
    let strays = above_tests.iter().filter(|test| !beside_code.iter().any(|quote| shows(quote, test)));
    let untested = untested.map(|(section, words)| format!("no test: {section}: {words}"));
    untested.chain(strays.map(|(section, words)| format!("no code: {section}: {words}"))).collect()
}

/// What is quoted in a crate's text: beside code, and above tests.
pub(crate) fn of_crate(folder: &Path) -> (Vec<Quote>, Vec<Quote>) {
    let (mut beside_code, mut above_tests) = (Vec::new(), Vec::new());
    read(&folder.join("src"), &mut beside_code, &mut above_tests);
    (beside_code, above_tests)
}
