//! The rejection table: how a row reads, and how it is checked.

use anyhow::Context;
use serde_json::Value;

use super::server::{Answer, Collection, Server};
use super::{Report, bgp_rows, crds, eip_rows};

/// The name of the objects that the rows make.
const NAME: &str = "crd-rules";

/// The versions a row holds in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum In {
    /// Both.
    Both,
    /// `v1alpha1` alone.
    V1alpha1,
    /// `v1alpha2` alone.
    V1alpha2,
}

impl In {
    fn versions(self) -> &'static [&'static str] {
        match self {
            Self::Both => &["v1alpha1", "v1alpha2"],
            Self::V1alpha1 => &["v1alpha1"],
            Self::V1alpha2 => &["v1alpha2"],
        }
    }
}

/// What the API server is to say, to a create and to an update.
#[derive(Debug, Clone, Copy)]
pub(super) enum Expect {
    /// Yes.
    Accept,
    /// No, because of this field alone, in exactly these words after the value.
    Reject {
        /// The field the API server names.
        field: &'static str,
        /// The end of its message.
        message: &'static str,
    },
}

/// One line of the table.
#[derive(Debug, Clone)]
pub(super) struct Row {
    /// What is tried.
    pub(super) name: &'static str,
    /// The kind.
    pub(super) kind: &'static str,
    /// In which versions.
    pub(super) versions: In,
    /// The spec; null leaves it out.
    pub(super) spec: Value,
    /// What must come of it.
    pub(super) expect: Expect,
}

fn all() -> Vec<Row> {
    [eip_rows::rows(), bgp_rows::rows()].concat()
}

/// What an update starts from.
fn base(kind: &str) -> Value {
    match kind {
        "Eip" => eip_rows::base(),
        "BgpConf" => bgp_rows::conf_base(),
        _ => bgp_rows::peer_base(),
    }
}

pub(super) async fn run(server: &Server, report: &mut Report) -> anyhow::Result<()> {
    let (mut accepted, mut rejected) = (0, 0);
    for row in all() {
        match row.expect {
            Expect::Accept => accepted += 1,
            Expect::Reject { .. } => rejected += 1,
        }
        for version in row.versions.versions() {
            let real = crds::real(row.kind, version);
            let answer = server.create_dry(&real, &real.object(NAME, &row.spec)).await?;
            report.check(&title(&row, version, "dry create"), judge(&row.expect, &answer));

            let of = crds::copy(row.kind, version);
            let object = of.object(NAME, &row.spec);

            server.delete(&of, NAME).await?;
            let answer = server.create(&of, &object).await?;
            report.check(&title(&row, version, "create"), judge(&row.expect, &answer));

            server.delete(&of, NAME).await?;
            let from = of.object(NAME, &base(row.kind));
            server.create(&of, &from).await?.map_err(|no| anyhow::anyhow!("the base of {}: {no:?}", row.kind))?;
            let answer = replace(server, &of, &object).await?;
            report.check(&title(&row, version, "update"), judge(&row.expect, &answer));
            server.delete(&of, NAME).await?;
        }
    }
    println!("rejection table: {accepted} rows that accept, {rejected} that refuse");
    Ok(())
}

async fn replace(server: &Server, of: &Collection, object: &Value) -> anyhow::Result<Answer> {
    server.replace(of, object).await.with_context(|| format!("update {}", of.kind))
}

fn title(row: &Row, version: &str, verb: &str) -> String {
    format!("{} {version} {verb}: {}", row.kind, row.name)
}

/// Is the answer what the row says?
fn judge(expect: &Expect, answer: &Answer) -> Result<(), String> {
    match (expect, answer) {
        (Expect::Accept, Ok(_)) => Ok(()),
        (Expect::Accept, Err(refusal)) => {
            Err(format!("must be accepted, and the API server said: {}", refusal.message))
        }
        (Expect::Reject { field, message }, Ok(_)) => {
            Err(format!("must be refused ({field}: {message}), was accepted"))
        }
        (Expect::Reject { field, message }, Err(refusal)) => {
            let right = refusal.causes.iter().filter(|(at, said)| at == field && said.ends_with(message)).count();
            // What the API server did not look at because of the first fault it says in a cause without a field.
            let other = refusal.causes.iter().any(|(at, said)| at != field && !said.contains("were not checked"));
            if right == 1 && !other {
                Ok(())
            } else {
                Err(format!(
                    "must be refused for {field} alone with '{message}', and the API server said: {}",
                    refusal.message
                ))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::server::Refusal;
    use super::*;

    #[test]
    fn the_table_accepts_as_often_as_it_refuses() {
        let rows = all();
        let accepted = rows.iter().filter(|row| matches!(row.expect, Expect::Accept)).count();
        assert!(accepted >= rows.len() - accepted, "{accepted} of {} rows accept", rows.len());
    }

    #[test]
    fn no_two_rows_have_one_name() {
        let mut names: Vec<_> = all().iter().map(|row| (row.kind, row.name)).collect();
        names.sort_unstable();
        assert!(names.windows(2).all(|pair| pair[0] != pair[1]), "{names:?}");
    }

    #[test]
    fn a_refusal_in_other_words_or_for_another_field_fails_the_row() {
        let expect = Expect::Reject { field: "spec.as", message: "too large" };
        let refusal = |causes: &[(&str, &str)]| {
            Err(Refusal {
                causes: causes.iter().map(|(field, said)| ((*field).to_owned(), (*said).to_owned())).collect(),
                message: String::new(),
                code: 422,
            })
        };
        assert!(judge(&expect, &refusal(&[("spec.as", "Invalid value: 1: too large")])).is_ok());
        assert!(judge(&expect, &refusal(&[("spec.as", "Invalid value: 1: too small")])).is_err());
        assert!(judge(&expect, &refusal(&[("spec.at", "Invalid value: 1: too large")])).is_err());
        assert!(judge(&expect, &refusal(&[("spec.as", "1: too large"), ("spec.at", "1: too large")])).is_err());
        assert!(judge(&expect, &refusal(&[])).is_err());
        assert!(judge(&expect, &Ok(Value::Null)).is_err());
        assert!(judge(&Expect::Accept, &refusal(&[])).is_err());
    }
}
