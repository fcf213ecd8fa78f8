//! The policy file of a BgpConf: key `gobgp.conf` of a ConfigMap, in the language of GoBGP's configuration (TOML).
//!
//! Read are the tables that OpenELB passed on: `global.apply-policy.config`, `defined-sets` and `policy-definitions`. GoBGP's other
//! tables have nothing to do with what goes out; they are told with their path and left out.
//!
//! A file counts as a whole or not at all. Without a statement that cannot be read, or a condition whose name is mistyped, routes would
//! go out that the file is there to stop; and GoBGP does not start with such a file either.

mod definitions;
mod file;
mod sets;

use ironlb_model::{Chain, Disposition, Issue, IssueReason, ObjectRef, Policy, Statement};

use self::definitions::statement;
use self::file::File;
use self::sets::Sets;
use crate::quote::quoted;

/// The key of the ConfigMap.
pub const POLICY_KEY: &str = "gobgp.conf";

/// GoBGP's tables and keys that are not about policies, or only about those of a route server.
const NOT_OF_POLICIES: [&str; 19] = [
    "global.config",
    "global.state",
    "global.afi-safis",
    "global.confederation",
    "global.default-route-distance",
    "global.graceful-restart",
    "global.route-selection-options",
    "global.use-multiple-paths",
    "global.apply-policy.config.in-policy-list",
    "global.apply-policy.config.default-in-policy",
    "defined-sets.tag-sets",
    "neighbors",
    "peer-groups",
    "dynamic-neighbors",
    "rpki-servers",
    "bmp-servers",
    "vrfs",
    "mrt-dump",
    "zebra",
];

/// Reads a policy file, `None` unless all of it can be; `config_map` is its ConfigMap's name, for messages. Its faults are told on the
/// BgpConf that names it.
#[must_use]
pub fn policy(config_map: &str, text: &str) -> (Option<Policy>, Vec<Issue>) {
    let mut faults = Faults { config_map: config_map.to_owned(), is_unreadable: false, issues: Vec::new() };
    let mut unknown = Vec::new();
    let parsed = toml::Deserializer::parse(text).map_err(|error| error.to_string()).and_then(|input| {
        serde_ignored::deserialize(input, |path| unknown.push(path.to_string()))
            .map_err(|error: toml::de::Error| error.message().to_owned())
    });
    let file: File = match parsed {
        Ok(file) => file,
        Err(said) => {
            faults.add("", IssueReason::InvalidField, &said.trim().replace('\n', " "));
            return (None, faults.issues);
        }
    };
    for key in unknown {
        let is_in =
            |table: &&str| key.strip_prefix(*table).is_some_and(|rest| rest.is_empty() || rest.starts_with('.'));
        if NOT_OF_POLICIES.iter().any(is_in) {
            faults.add(&key, IssueReason::Ignored, "the key is not served and is left out");
        } else {
            faults.add(&key, IssueReason::InvalidField, "there is no such key");
        }
    }
    let sets = Sets::read(&file.defined_sets, &mut faults);
    let config = &file.global.apply_policy.config;
    let chain = |list: &str, names: &[String], default: Option<&str>, faults: &mut Faults| Chain {
        statements: statements(list, names, &file, &sets, faults),
        default: default.and_then(|word| disposition(word, list, faults)).unwrap_or(Disposition::Accept),
    };
    let import = chain("import", &config.import_policy_list, config.default_import_policy.as_deref(), &mut faults);
    let export = chain("export", &config.export_policy_list, config.default_export_policy.as_deref(), &mut faults);
    let policy = (!faults.is_unreadable).then_some(Policy { import, export });
    (policy, faults.issues)
}

/// The statements of the named policies.
fn statements(list: &str, names: &[String], file: &File, sets: &Sets, faults: &mut Faults) -> Vec<Statement> {
    let mut statements = Vec::new();
    for name in names {
        match file.policy_definitions.iter().find(|policy| policy.name == *name) {
            Some(policy) => {
                statements
                    .extend(policy.statements.iter().filter_map(|given| statement(given, &policy.name, sets, faults)));
            }
            None => {
                let said = format!("there is no policy {} among policy-definitions", quoted(name));
                faults.add(&format!("global.apply-policy.config.{list}-policy-list"), IssueReason::InvalidField, &said);
            }
        }
    }
    statements
}

fn disposition(word: &str, place: &str, faults: &mut Faults) -> Option<Disposition> {
    match word {
        "accept-route" => Some(Disposition::Accept),
        "reject-route" => Some(Disposition::Reject),
        "" | "none" => None,
        other => {
            let said = format!("{} is neither accept-route nor reject-route", quoted(other));
            faults.add(place, IssueReason::InvalidField, &said);
            None
        }
    }
}

/// The faults found in one file.
struct Faults {
    config_map: String,
    /// One of them is more than a key that is left out.
    is_unreadable: bool,
    issues: Vec<Issue>,
}

impl Faults {
    /// `place` is the path in the file.
    fn add(&mut self, place: &str, reason: IssueReason, said: &str) {
        self.is_unreadable |= reason != IssueReason::Ignored;
        let file = format!("key {POLICY_KEY} of ConfigMap {}", self.config_map);
        let message = if place.is_empty() { format!("{file}: {said}") } else { format!("{file}, {place}: {said}") };
        // A file has no bound; what is told of it has one.
        const MOST: usize = 20;
        if self.issues.len() < MOST {
            self.issues.push(Issue {
                object: ObjectRef::BgpConf(ironlb_api::names::BGP_CONF_NAME.to_owned()),
                field: "spec.policy".to_owned(),
                reason,
                message,
            });
        }
    }
}

#[cfg(test)]
mod tests;
