//! The policy file of a BgpConf: key `gobgp.conf` of a ConfigMap, in the language of GoBGP's configuration (TOML).
//!
//! Read are the tables that OpenELB passed on: `global.apply-policy.config`, `defined-sets` and `policy-definitions`. Every other key
//! is told with its path and left out. A statement that cannot be read is told and left out, the others count. A file that is no
//! TOML counts as none: routes go out as their Eips say, as they did in OpenELB.

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

/// Reads a policy file; `config_map` is its ConfigMap's name, for messages. Its faults are told on the BgpConf that names it.
#[must_use]
pub fn policy(config_map: &str, text: &str) -> (Option<Policy>, Vec<Issue>) {
    let mut faults = Faults { config_map: config_map.to_owned(), issues: Vec::new() };
    let mut unknown = Vec::new();
    let parsed = toml::Deserializer::parse(text).map_err(|error| error.to_string()).and_then(|input| {
        serde_ignored::deserialize(input, |path| unknown.push(path.to_string()))
            .map_err(|error: toml::de::Error| error.message().to_owned())
    });
    let file: File = match parsed {
        Ok(file) => file,
        Err(said) => {
            let said = format!("{}; until this is mended there is no policy", said.trim().replace('\n', " "));
            faults.add("", IssueReason::InvalidField, &said);
            return (None, faults.issues);
        }
    };
    for key in unknown {
        faults.add(&key, IssueReason::Ignored, "the key is not served and is left out");
    }
    let sets = Sets::read(&file.defined_sets, &mut faults);
    let config = &file.global.apply_policy.config;
    let chain = |list: &str, names: &[String], default: Option<&str>, faults: &mut Faults| Chain {
        statements: statements(list, names, &file, &sets, faults),
        default: default.and_then(|word| disposition(word, list, faults)).unwrap_or(Disposition::Accept),
    };
    let import = chain("import", &config.import_policy_list, config.default_import_policy.as_deref(), &mut faults);
    let export = chain("export", &config.export_policy_list, config.default_export_policy.as_deref(), &mut faults);
    (Some(Policy { import, export }), faults.issues)
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
    issues: Vec<Issue>,
}

impl Faults {
    /// `place` is the path in the file.
    fn add(&mut self, place: &str, reason: IssueReason, said: &str) {
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
