//! Nothing is lost on its way through `v1alpha1`: every field of spec and status, by every verb.

use anyhow::Context;
use serde_json::{Value, json};

use super::server::{Answer, Collection, Server};
use super::{Report, crds, samples};

const NAME: &str = "full";

pub(super) async fn run(server: &Server, report: &mut Report) -> anyhow::Result<()> {
    for kind in ["Eip", "BgpConf", "BgpPeer"] {
        keeps_everything(server, report, kind).await?;
    }
    nulls_count_as_absent(server, report).await?;
    an_absent_spec_is_empty(server, report).await
}

/// Writes an object with every field through one version after the other and compares all of it each time.
async fn keeps_everything(server: &Server, report: &mut Report, kind: &str) -> anyhow::Result<()> {
    let (old, new) = (crds::copy(kind, "v1alpha1"), crds::copy(kind, "v1alpha2"));
    let mut wanted = samples::full(kind);
    let field = match kind {
        "Eip" => "disable",
        "BgpConf" => "useMultiplePaths",
        _ => "nextHopSelf",
    };

    done(server.create(&old, &old.object(NAME, &wanted["spec"])).await?)?;
    let mut as_created = wanted.clone();
    as_created["status"] = Value::Null;
    both(server, report, &as_created, [&old, &new], "create through v1alpha1").await?;

    done(server.merge_status(&new, NAME, &json!({"status": wanted["status"]})).await?)?;
    both(server, report, &wanted, [&old, &new], "status patch through v1alpha2").await?;

    // The one-field patch that a narrower schema turned into a loss of every field it did not know.
    wanted["spec"][field] = json!(false);
    done(server.merge(&old, NAME, &json!({"spec": {field: false}})).await?)?;
    both(server, report, &wanted, [&old, &new], "merge patch through v1alpha1").await?;

    wanted["spec"][field] = json!(true);
    done(server.replace(&old, &old.object(NAME, &wanted["spec"])).await?)?;
    both(server, report, &wanted, [&old, &new], "PUT through v1alpha1 without a status").await?;

    let mut with_status = old.object(NAME, &wanted["spec"]);
    with_status["status"] = json!({"conditions": []});
    done(server.replace(&old, &with_status).await?)?;
    both(server, report, &wanted, [&old, &new], "PUT through v1alpha1 with another status").await?;

    with_status["status"] = wanted["status"].clone();
    with_status["status"]["conditions"] = json!([]);
    wanted["status"]["conditions"] = json!([]);
    with_status["spec"][field] = json!(false);
    done(server.replace_status(&old, &with_status).await?)?;
    both(server, report, &wanted, [&old, &new], "PUT of the status through v1alpha1").await?;

    wanted["spec"][field] = json!(false);
    let mut applied = old.object(NAME, &json!({field: false}));
    if kind == "Eip" {
        applied["spec"]["address"] = wanted["spec"]["address"].clone();
    }
    done(server.apply(&old, &applied).await?)?;
    both(server, report, &wanted, [&old, &new], "server-side apply through v1alpha1").await?;

    let labelled = json!({"metadata": {"labels": {"a": "b"}}});
    done(server.merge(&old, NAME, &labelled).await?)?;
    both(server, report, &wanted, [&old, &new], "label through v1alpha1").await
}

/// Compares what each version shows with what must be there.
async fn both(
    server: &Server,
    report: &mut Report,
    wanted: &Value,
    versions: [&Collection; 2],
    after: &str,
) -> anyhow::Result<()> {
    for of in versions {
        let shown = done(server.get(of, NAME).await?)?;
        for part in ["spec", "status"] {
            let outcome =
                if shown[part] == wanted[part] { Ok(()) } else { Err(difference(&wanted[part], &shown[part])) };
            report.check(&format!("{} {} {part} after {after}", of.kind, of.version), outcome);
        }
    }
    Ok(())
}

/// The fields that differ, one a line.
pub(super) fn difference(wanted: &Value, shown: &Value) -> String {
    let mut lines = Vec::new();
    list_differences("", wanted, shown, &mut lines);
    lines.join("\n       ")
}

fn list_differences(path: &str, wanted: &Value, shown: &Value, lines: &mut Vec<String>) {
    match (wanted, shown) {
        (Value::Object(wanted), Value::Object(shown)) => {
            let names: std::collections::BTreeSet<_> = wanted.keys().chain(shown.keys()).collect();
            for name in names {
                let of = |map: &serde_json::Map<String, Value>| map.get(name).cloned().unwrap_or(Value::Null);
                list_differences(&format!("{path}.{name}"), &of(wanted), &of(shown), lines);
            }
        }
        (Value::Array(wanted), Value::Array(shown)) if wanted.len() == shown.len() => {
            for (at, (wanted, shown)) in wanted.iter().zip(shown).enumerate() {
                list_differences(&format!("{path}[{at}]"), wanted, shown, lines);
            }
        }
        _ if wanted == shown => {}
        _ => lines.push(format!("{path}: wanted {wanted}, found {shown}")),
    }
}

/// A template that renders `field: null` means what one without the field means.
async fn nulls_count_as_absent(server: &Server, report: &mut Report) -> anyhow::Result<()> {
    let of = crds::copy("Eip", "v1alpha2");
    let mut spec = samples::full("Eip")["spec"].clone();
    for (_, value) in spec.as_object_mut().into_iter().flatten().filter(|(name, _)| *name != "address") {
        *value = Value::Null;
    }
    let stored = done(server.create(&of, &of.object("nulls", &spec)).await?)?;
    let wanted = json!({"address": spec["address"]});
    let outcome = if stored["spec"] == wanted { Ok(()) } else { Err(difference(&wanted, &stored["spec"])) };
    report.check("Eip v1alpha2: nulls are not stored", outcome);
    Ok(())
}

/// An object without a spec reads as one with an empty spec, so that whoever reads it need not know.
async fn an_absent_spec_is_empty(server: &Server, report: &mut Report) -> anyhow::Result<()> {
    for kind in ["BgpConf", "BgpPeer"] {
        let of = crds::copy(kind, "v1alpha1");
        done(server.create(&of, &of.object("empty", &Value::Null)).await?)?;
        let shown = done(server.get(&crds::copy(kind, "v1alpha2"), "empty").await?)?;
        let outcome = if shown["spec"] == json!({}) { Ok(()) } else { Err(format!("spec is {}", shown["spec"])) };
        report.check(&format!("{kind}: a spec left out reads as an empty one"), outcome);
    }
    Ok(())
}

/// A request that has to work for the check to mean something.
pub(super) fn done(answer: Answer) -> anyhow::Result<Value> {
    answer.map_err(|refusal| anyhow::anyhow!("{}", refusal.message)).context("the API server refused")
}
