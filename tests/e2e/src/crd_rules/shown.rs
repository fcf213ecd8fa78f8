//! What `kubectl get` shows, and a Speaker as its speaker writes it.

use ironlb_api::{OwnedVip, SpeakerBgp, SpeakerLayer2, SpeakerStatus};
use serde_json::{Value, json};

use super::lossless::{difference, done};
use super::server::Server;
use super::{Report, crds};

pub(super) async fn run(server: &Server, report: &mut Report) -> anyhow::Result<()> {
    eip_columns(server, report).await?;
    bgp_conf_columns(server, report).await?;
    bgp_peer_columns(server, report).await?;
    speaker_columns(server, report).await
}

async fn eip_columns(server: &Server, report: &mut Report) -> anyhow::Result<()> {
    for version in ["v1alpha1", "v1alpha2"] {
        let of = crds::copy("Eip", version);
        done(server.apply(&of, &of.object("shown", &json!({"address": "192.0.2.0/24", "protocol": "bgp"}))).await?)?;
        let status = json!({"status": {"usage": 3, "poolSize": 256, "conditions": [condition("Ready", "True")]}});
        done(server.merge_status(&of, "shown", &status).await?)?;
        let table = done(server.table(&of).await?)?;
        let cells = json!(["shown", "192.0.2.0/24", 3, 256, "True", "bgp"]);
        let columns = ["cidr", "usage", "total", "ready", "protocol", "age"];
        check_table(report, &format!("Eip {version}"), &table, &columns, &cells);
        server.delete(&of, "shown").await?;
    }
    Ok(())
}

async fn bgp_conf_columns(server: &Server, report: &mut Report) -> anyhow::Result<()> {
    for version in ["v1alpha1", "v1alpha2"] {
        let of = crds::copy("BgpConf", version);
        done(server.apply(&of, &of.object("shown", &json!({"as": 4_294_967_295_u32}))).await?)?;
        let status = json!({"status": {"conditions": [condition("Accepted", "True"), condition("Ready", "False")]}});
        done(server.merge_status(&of, "shown", &status).await?)?;
        let table = done(server.table(&of).await?)?;
        let cells = json!(["shown", 4_294_967_295_u32, "False"]);
        check_table(report, &format!("BgpConf {version}"), &table, &["as", "ready", "age"], &cells);
        server.delete(&of, "shown").await?;
    }
    Ok(())
}

/// In both spellings; where both are there the newer one counts, field by field.
async fn bgp_peer_columns(server: &Server, report: &mut Report) -> anyhow::Result<()> {
    let spellings = [
        ("conf", json!({"conf": {"neighborAddress": "192.0.2.1", "peerAs": 64_513}})),
        ("config", json!({"config": {"neighborAddress": "192.0.2.1", "peerAs": 64_513}})),
        (
            "both",
            json!({"conf": {"neighborAddress": "192.0.2.1"}, "config": {"neighborAddress": "192.0.2.9", "peerAs": 64_513}}),
        ),
    ];
    for version in ["v1alpha1", "v1alpha2"] {
        let of = crds::copy("BgpPeer", version);
        for (spelling, spec) in &spellings {
            done(server.apply(&of, &of.object("shown", spec)).await?)?;
            let conditions = [condition("Accepted", "True"), condition("Established", "False")];
            done(server.merge_status(&of, "shown", &json!({"status": {"conditions": conditions}})).await?)?;
            let table = done(server.table(&of).await?)?;
            let columns = ["address", "as", "ready", "established", "age"];
            let cells = json!(["shown", "192.0.2.1", 64_513, "True", "False"]);
            check_table(report, &format!("BgpPeer {version}, {spelling}"), &table, &columns, &cells);
            server.delete(&of, "shown").await?;
        }
    }
    Ok(())
}

fn condition(kind: &str, status: &str) -> Value {
    json!({"type": kind, "status": status, "reason": "Reason", "message": "",
           "lastTransitionTime": "2026-01-02T03:04:05Z"})
}

/// The status as the types give it, sent with server-side apply as a speaker does.
async fn speaker_columns(server: &Server, report: &mut Report) -> anyhow::Result<()> {
    let of = crds::copy("Speaker", "v1alpha1");
    done(server.apply(&of, &of.object("shown", &Value::Null)).await?)?;
    let owned = OwnedVip {
        vip: "192.0.2.10".to_owned(),
        interface: Some("eth0".to_owned()),
        service: Some("default/web".to_owned()),
        since: serde_json::from_value(json!("2026-01-02T03:04:05Z"))?,
    };
    let status = SpeakerStatus {
        version: Some("0.1.0".to_owned()),
        ready: Some(true),
        members: Some(vec!["n1".to_owned(), "n2".to_owned()]),
        members_count: Some(2),
        bgp: Some(SpeakerBgp { established: Some("1/2".to_owned()), ..SpeakerBgp::default() }),
        layer2: Some(SpeakerLayer2 { owned_count: Some(1), owned: Some(vec![owned]) }),
        withheld_count: Some(0),
        ..SpeakerStatus::default()
    };
    let mut applied = of.object("shown", &Value::Null);
    applied["status"] = serde_json::to_value(&status)?;
    let stored = done(server.apply_status(&of, &applied).await?)?;
    let read: SpeakerStatus = serde_json::from_value(stored["status"].clone())?;
    let outcome = if read == status { Ok(()) } else { Err(difference(&applied["status"], &stored["status"])) };
    report.check("Speaker: what is applied is what is read", outcome);
    let table = done(server.table(&of).await?)?;
    let columns = ["ready", "vips", "bgp", "withheld", "members", "version", "drain", "age"];
    check_table(report, "Speaker", &table, &columns, &json!(["shown", true, 1, "1/2", 0, 2, "0.1.0", null]));
    server.delete(&of, "shown").await
}

/// Compares the columns that show without `-o wide`, and the cells of the row named `shown` up to its age.
fn check_table(report: &mut Report, what: &str, table: &Value, columns: &[&str], cells: &Value) {
    let all: Vec<&Value> = table["columnDefinitions"].as_array().into_iter().flatten().collect();
    let narrow: Vec<usize> = (0..all.len()).filter(|at| all[*at]["priority"] == 0).collect();
    let names: Vec<&str> = narrow.iter().skip(1).filter_map(|at| all[*at]["name"].as_str()).collect();
    let lower: Vec<String> = names.iter().map(|name| name.to_lowercase()).collect();
    let outcome = if lower == columns { Ok(()) } else { Err(format!("wanted {columns:?}, found {names:?}")) };
    report.check(&format!("{what}: the columns of kubectl get"), outcome);

    let rows = table["rows"].as_array().cloned().unwrap_or_default();
    let row = rows.iter().find(|row| row["cells"][0] == "shown").cloned().unwrap_or_default();
    let shown: Vec<Value> =
        narrow.iter().take(narrow.len().saturating_sub(1)).map(|at| row["cells"][at].clone()).collect();
    let outcome = if json!(shown) == *cells { Ok(()) } else { Err(format!("wanted {cells}, found {}", json!(shown))) };
    report.check(&format!("{what}: the cells of kubectl get"), outcome);
}
