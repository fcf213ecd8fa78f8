//! Objects that the API server accepts although something is wrong with them: each is told what, and stops no other.

use std::net::IpAddr;

use anyhow::{Context, Result, ensure};
use ironlb_lab::wait_for;

use crate::ground::Ground;
use crate::runner::Scenario;
use crate::stage::PATIENCE;

/// A BgpConf that is not used, and Eips whose address is reversed, belongs to another, or cannot be served yet.
pub const SCENARIO: Scenario = Scenario {
    name: "objects-with-faults",
    shows: "a BgpConf under another name than default, a reversed range and an overlap are accepted and told by a condition; others are served",
    first_address: 171,
    run: |ground| Box::pin(run(ground)),
};

async fn run(ground: &Ground<'_>) -> Result<()> {
    let (site, name) = (&ground.stage().site, ground.name());
    let (unused, reversed, second) = (format!("{name}-unused"), format!("{name}-reversed"), format!("{name}-second"));
    ground.eip(3).await?;
    let first: IpAddr = ground.vip(0).into();
    site.apply(&format!(
        "{{apiVersion: network.kubesphere.io/v1alpha2, kind: BgpConf, metadata: {{name: {unused}}}, spec: {{as: 4294967295, routerId: 192.0.2.1}}}}
---
{{apiVersion: network.kubesphere.io/v1alpha2, kind: Eip, metadata: {{name: {reversed}}}, spec: {{address: 198.51.100.9-198.51.100.1, interface: eth0, protocol: layer2}}}}
---
{{apiVersion: network.kubesphere.io/v1alpha2, kind: Eip, metadata: {{name: {second}}}, spec: {{address: '{first}', interface: eth0, protocol: layer2}}}}
"
    ))
    .await?;

    told(ground, "bgpconf", &unused, "Ignored", "True").await?;
    let asn = site.kubectl(&["get", "bgpconf", &unused, "-o", "jsonpath={.spec.as}"]).await?;
    ensure!(asn.trim() == "4294967295", "the 4-octet AS number became {asn}");
    told(ground, "eip", &reversed, "Ready", "False").await?;
    told(ground, "eip", &second, "Overlapping", "True").await?;

    ground.service("beside").await?;
    let vip = ground.served("beside").await?;
    ground.eip_shows(name, &[(vip, "beside")]).await?;
    ground.kubectl(&["delete", "service", "beside"]).await?;
    site.kubectl(&["delete", "bgpconf", &unused]).await?;
    site.kubectl(&["delete", "eip", &reversed, &second, "--timeout=20s"]).await.map(drop)
}

/// Waits until the object has the condition, with a sentence for people.
async fn told(ground: &Ground<'_>, kind: &str, name: &str, condition: &str, status: &str) -> Result<()> {
    let path = format!(
        "jsonpath={{.status.conditions[?(@.type==\"{condition}\")].status}}/{{.status.conditions[?(@.type==\"{condition}\")].message}}"
    );
    let what = format!("condition {condition}={status} on {kind} {name}");
    let shown = wait_for(PATIENCE, &what, || async {
        let shown = ground.stage().site.kubectl(&["get", kind, name, "-o", &path]).await?;
        Ok(shown.starts_with(&format!("{status}/")).then_some(shown))
    })
    .await?;
    let message = shown.split_once('/').map(|(_, message)| message).context("a message")?;
    ensure!(message.len() > 10, "{what} says only {message:?}");
    Ok(())
}
