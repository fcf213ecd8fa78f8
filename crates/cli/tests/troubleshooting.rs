//! docs/troubleshooting.md has every reason of the closed lists, and no other: the words are taken out of the functions that give them,
//! so a new reason fails here until the page has it.

use std::collections::BTreeSet;
use std::path::Path;

use anyhow::{Context, Result};

/// A chapter of the page, and where the words come from.
struct List {
    heading: &'static str,
    words: fn() -> Result<BTreeSet<String>>,
    /// Fewer would mean that they were not found.
    at_least: usize,
}

const LISTS: [List; 9] = [
    List {
        heading: "## Services that are not ironlb's",
        words: || categories("crates/ipam/src/eligible.rs", "NotOurs"),
        at_least: 5,
    },
    List {
        heading: "## The condition `ironlb.io/AddressAssigned`",
        words: || {
            let mut words = categories("crates/ipam/src/reason.rs", "Reason")?;
            words.extend(constants("crates/ipam/src/condition.rs", "/// The reason of [`ADDRESS_ASSIGNED`]")?);
            Ok(words)
        },
        at_least: 28,
    },
    List {
        heading: "## The condition `ironlb.io/Announced`",
        words: || {
            let mut words = categories("crates/announce/src/reason.rs", "Reason")?;
            words.extend(categories("crates/announce/src/reason.rs", "Remark")?);
            words.extend(said_by_the_controller()?);
            words.extend(categories("crates/ipam/src/explain/silent.rs", "Silent")?);
            Ok(words)
        },
        at_least: 30,
    },
    List {
        heading: "## Eips that are not asked",
        words: || categories("crates/ipam/src/precedence.rs", "NotOffered"),
        at_least: 6,
    },
    List {
        heading: "## Conditions of an Eip",
        words: || constants("crates/ipam/src/condition.rs", "/// Of an Eip"),
        at_least: 8,
    },
    List {
        heading: "## Conditions of a BgpPeer and of the BgpConf",
        words: || {
            let mut words = constants("crates/ipam/src/condition.rs", "/// Of a Bgp")?;
            words.extend(categories("crates/announce/src/bgp/sessions.rs", "NoSession")?);
            Ok(words)
        },
        at_least: 4,
    },
    List {
        heading: "## Speakers",
        words: || {
            let source = read("crates/speaker/src/status.rs")?;
            let kinds = source.lines().filter(|line| line.trim_start().starts_with("type_: \""));
            Ok(kinds.flat_map(quoted).collect())
        },
        at_least: 1,
    },
    List {
        heading: "## Faults in objects",
        words: || categories("crates/model/src/issue.rs", "IssueReason"),
        at_least: 4,
    },
    // What is under no heading above.
    List { heading: "## Where to look", words: || Ok(BTreeSet::new()), at_least: 0 },
];

fn read(path: &str) -> Result<String> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..").join(path);
    std::fs::read_to_string(&path).with_context(|| path.display().to_string())
}

/// Every text in quotes between two marks of a file.
fn quoted(text: &str) -> BTreeSet<String> {
    text.split('"').skip(1).step_by(2).map(str::to_owned).collect()
}

/// The words that an enum's `category` gives.
fn categories(path: &str, name: &str) -> Result<BTreeSet<String>> {
    let source = read(path)?;
    let start = source.find(&format!("\nimpl {name} {{")).with_context(|| format!("{path}: no impl {name}"))?;
    let rest = source.get(start..).unwrap_or_default();
    let body =
        rest.find("fn category(").and_then(|at| rest.get(at..)).with_context(|| format!("{path}: no category"))?;
    Ok(quoted(body.split("\n    }\n").next().unwrap_or_default()))
}

/// The texts of the constants whose comment begins so.
fn constants(path: &str, comment: &str) -> Result<BTreeSet<String>> {
    let source = read(path)?;
    let after = source.split(comment).skip(1);
    Ok(after.filter_map(|text| quoted(text.split_once("const ")?.1.split(';').next()?).into_iter().next()).collect())
}

/// The reasons that the controller gives of its own where it says who announces a vip.
fn said_by_the_controller() -> Result<BTreeSet<String>> {
    let source = read("crates/ipam/src/announced.rs")?;
    let mut words: BTreeSet<String> = source
        .split("found(ConditionStatus::")
        .skip(1)
        .filter_map(|text| {
            let argument = text.split_once(", ")?.1;
            quoted(argument.split(',').next()?).into_iter().next()
        })
        .collect();
    words.extend(constants("crates/ipam/src/announced.rs", "/// The reason of a vip that was given a moment ago.")?);
    words.extend(source.contains("{ reason } else { \"Withheld\" }").then(|| "Withheld".to_owned()));
    Ok(words)
}

/// The words that a chapter has entries for.
fn entries(page: &str, heading: &str) -> BTreeSet<String> {
    let chapter = page.split("\n## ").find(|chapter| format!("## {chapter}").starts_with(heading)).unwrap_or_default();
    chapter.lines().filter_map(|line| Some(line.strip_prefix("- **`")?.split_once('`')?.0.to_owned())).collect()
}

#[test]
fn the_page_has_every_reason_and_no_other() -> Result<()> {
    let page = read("docs/troubleshooting.md")?;
    for List { heading, words, at_least } in LISTS {
        let words = words()?;
        assert!(words.len() >= at_least, "{heading}: found only {words:?}");
        let entries = entries(&page, heading);
        let lacks: Vec<&String> = words.difference(&entries).collect();
        let invents: Vec<&String> = entries.difference(&words).collect();
        assert!(lacks.is_empty(), "docs/troubleshooting.md, {heading}: say what {lacks:?} means");
        assert!(invents.is_empty(), "docs/troubleshooting.md, {heading}: no code gives {invents:?}");
    }
    let known: BTreeSet<&str> = LISTS.iter().map(|list| list.heading).collect();
    let chapters: BTreeSet<&str> = page.lines().filter(|line| line.starts_with("## ")).collect();
    assert_eq!(chapters, known, "a chapter that is compared with nothing");
    Ok(())
}
