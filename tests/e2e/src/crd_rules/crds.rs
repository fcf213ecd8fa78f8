//! Puts CRDs into the API server: the real ones, and copies under another group.

use std::time::Duration;

use anyhow::Context;
use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition;
use kube::api::{Api, DeleteParams, Patch, PatchParams};
use serde_json::{Value, json};

use super::Report;
use super::lossless::difference;
use super::server::{Answer, Collection, MANAGER, Server};

/// The group of the copies.
const COPY_GROUP: &str = "crd-rules.ironlb.io";

/// A CRD is served within a second on an idle machine; chosen with room for a busy one.
const PATIENCE: Duration = Duration::from_secs(60);

/// Makes sure that the real CRDs are there, and that they are those of this source: applies what is absent, and touches
/// nothing that an installed ironlb brought.
pub(super) async fn real_ones_are_ours(server: &Server, report: &mut Report) -> anyhow::Result<()> {
    let api = Api::<CustomResourceDefinition>::all(server.client.clone());
    for crd in ironlb_api::crds() {
        let name = crd.metadata.name.clone().context("a CRD without a name")?;
        if api.get_opt(&name).await?.is_none() {
            apply(server, &serde_json::to_value(&crd)?).await?;
        }
        let installed = api.get(&name).await?;
        let (wanted, found) = (json!(crd.spec.versions), json!(installed.spec.versions));
        let outcome = if wanted == found { Ok(()) } else { Err(difference(&wanted, &found)) };
        report.check(&format!("CRD {name} is the one of this source"), outcome);
    }
    Ok(())
}

/// The real objects of a kind of OpenELB's.
pub(super) fn real(kind: &str, version: &str) -> Collection {
    collection("network.kubesphere.io", kind, version)
}

/// The objects of a copy.
pub(super) fn copy(kind: &str, version: &str) -> Collection {
    collection(COPY_GROUP, kind, version)
}

fn collection(group: &str, kind: &str, version: &str) -> Collection {
    Collection {
        group: group.to_owned(),
        version: version.to_owned(),
        plural: format!("{}s", kind.to_lowercase()),
        kind: kind.to_owned(),
    }
}

/// The copies, until they are removed.
#[derive(Debug)]
pub(super) struct Copies {
    names: Vec<String>,
}

impl Copies {
    /// Makes a copy of each CRD, after what an earlier run may have left is gone.
    pub(super) async fn make(server: &Server) -> anyhow::Result<Self> {
        let copies = copied_crds()?;
        let names = copies.iter().filter_map(|crd| crd["metadata"]["name"].as_str().map(str::to_owned)).collect();
        let copies_made = Self { names };
        copies_made.delete(server).await?;
        for crd in &copies {
            apply(server, crd).await?;
        }
        Ok(copies_made)
    }

    /// Removes the copies, and with them all their objects.
    pub(super) async fn remove(self, server: &Server) -> anyhow::Result<()> {
        self.delete(server).await
    }

    async fn delete(&self, server: &Server) -> anyhow::Result<()> {
        let api = Api::<CustomResourceDefinition>::all(server.client.clone());
        for name in &self.names {
            match api.delete(name, &DeleteParams::default()).await {
                Err(kube::Error::Api(status)) if status.code == 404 => {}
                outcome => drop(outcome.with_context(|| format!("delete CRD {name}"))?),
            }
        }
        for name in &self.names {
            until(&format!("CRD {name} is gone"), async || Ok(api.get_opt(name).await?.is_none())).await?;
        }
        Ok(())
    }
}

/// Our CRDs under [`COPY_GROUP`].
fn copied_crds() -> anyhow::Result<Vec<Value>> {
    ironlb_api::crds()
        .into_iter()
        .map(|mut crd| {
            crd.metadata.name = Some(format!("{}.{COPY_GROUP}", crd.spec.names.plural));
            COPY_GROUP.clone_into(&mut crd.spec.group);
            Ok(serde_json::to_value(crd)?)
        })
        .collect()
}

/// Takes every rule and bound out of the copies, as if they had not been thought of yet; waits until `probe`, an object
/// they refuse, is accepted.
pub(super) async fn drop_rules(server: &Server, probes: &[(Collection, Value)]) -> anyhow::Result<()> {
    for mut crd in copied_crds()? {
        strip_bounds(&mut crd);
        apply(server, &crd).await?;
    }
    for (of, probe) in probes {
        until("the rules are gone", async || Ok(dry_create(server, of, probe).await?.is_ok())).await?;
    }
    Ok(())
}

/// Puts the rules back; waits until every probe is refused again.
pub(super) async fn restore_rules(server: &Server, probes: &[(Collection, Value)]) -> anyhow::Result<()> {
    for crd in copied_crds()? {
        apply(server, &crd).await?;
    }
    for (of, probe) in probes {
        until("the rules are back", async || Ok(dry_create(server, of, probe).await?.is_err())).await?;
    }
    Ok(())
}

/// Creates a probe and takes it away again.
async fn dry_create(server: &Server, of: &Collection, object: &Value) -> anyhow::Result<Answer> {
    let answer = server.create(of, object).await?;
    if answer.is_ok() {
        server.delete(of, object["metadata"]["name"].as_str().context("a probe without a name")?).await?;
    }
    Ok(answer)
}

fn strip_bounds(value: &mut Value) {
    match value {
        Value::Object(map) => {
            // Only a schema has a type of the kinds below; a property that is called `maximum` keeps its place.
            if map.get("type").is_some_and(Value::is_string) {
                for bound in ["x-kubernetes-validations", "enum", "minimum", "maximum", "maxLength"] {
                    map.remove(bound);
                }
            }
            map.values_mut().for_each(strip_bounds);
        }
        Value::Array(list) => list.iter_mut().for_each(strip_bounds),
        _ => {}
    }
}

/// Applies a CRD and waits until it is established and every version of it can be listed.
async fn apply(server: &Server, crd: &Value) -> anyhow::Result<()> {
    let name = crd["metadata"]["name"].as_str().context("a CRD without a name")?;
    let api = Api::<CustomResourceDefinition>::all(server.client.clone());
    let params = PatchParams::apply(MANAGER).force();
    api.patch(name, &params, &Patch::Apply(crd)).await.with_context(|| format!("apply CRD {name}"))?;
    until(&format!("CRD {name} is established"), async || {
        let conditions = api.get(name).await?.status.and_then(|status| status.conditions).unwrap_or_default();
        Ok(conditions.iter().any(|condition| condition.type_ == "Established" && condition.status == "True"))
    })
    .await?;
    for version in crd["spec"]["versions"].as_array().into_iter().flatten() {
        let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
        let of = Collection {
            group: text(&crd["spec"]["group"]),
            version: text(&version["name"]),
            plural: text(&crd["spec"]["names"]["plural"]),
            kind: text(&crd["spec"]["names"]["kind"]),
        };
        until(&format!("{name} is served"), async || Ok(server.table(&of).await?.is_ok())).await?;
    }
    Ok(())
}

/// Asks every 50 ms until the answer is yes.
async fn until(what: &str, mut is_so: impl AsyncFnMut() -> anyhow::Result<bool>) -> anyhow::Result<()> {
    let asking = async {
        while !is_so().await? {
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        anyhow::Ok(())
    };
    tokio::time::timeout(PATIENCE, asking).await.with_context(|| format!("waited {PATIENCE:?} until {what}"))?
}

/// The schema of a version of one of our CRDs, for [`super::samples`].
pub(super) fn schema(kind: &str, version: &str) -> Value {
    let crds = ironlb_api::crds();
    let versions = crds.into_iter().filter(|crd| crd.spec.names.kind == kind).flat_map(|crd| crd.spec.versions);
    let found = versions.into_iter().find(|served| served.name == version).and_then(|served| served.schema);
    found.map_or(Value::Null, |schema| json!(schema.open_api_v3_schema))
}
