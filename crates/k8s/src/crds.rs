//! Putting the CRDs into the cluster: server-side, over OpenELB's too, never an older over a newer.

use std::fmt;
use std::time::Duration;

use ironlb_api::crd::{CRD_VERSION, crd_version, crds, is_newer_than_ours};
use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition;
use kube::api::{Patch, PatchParams};
use kube::{Api, Client};
use serde_json::{Value, json};
use tokio::time::{Instant, sleep, timeout};

use crate::client::REQUEST_TIMEOUT;

/// The name under which the CRDs stand in `managedFields`.
pub const CRD_MANAGER: &str = "ironlb";

/// How long the API server may take to serve a new kind. Chosen, because it takes about a second, and an API server that starts just now
/// some ten.
const ESTABLISHED_WITHIN: Duration = Duration::from_secs(60);

/// What became of one CRD.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum CrdOutcome {
    /// It was not there.
    Created,
    /// It was there, and has changed.
    Updated {
        /// The version it was made with before; `None` for OpenELB's own.
        from: Option<u32>,
    },
    /// It was there, as it should be.
    Unchanged,
    /// A newer one is there and stays.
    NewerInstalled {
        /// Its version.
        installed: u32,
    },
}

/// One CRD and what became of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CrdLine {
    /// The CRD's name.
    pub name: String,
    /// What became of it.
    pub outcome: CrdOutcome,
}

impl fmt::Display for CrdLine {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let name = &self.name;
        match &self.outcome {
            CrdOutcome::Created => write!(f, "{name}: created (version {CRD_VERSION})"),
            CrdOutcome::Updated { from: Some(from) } if *from == CRD_VERSION => {
                write!(f, "{name}: restored (version {CRD_VERSION})")
            }
            CrdOutcome::Updated { from: Some(from) } => {
                write!(f, "{name}: updated from version {from} to {CRD_VERSION}")
            }
            CrdOutcome::Updated { from: None } => {
                write!(f, "{name}: taken over from OpenELB (version {CRD_VERSION}); its objects stay as they are")
            }
            CrdOutcome::Unchanged => write!(f, "{name}: unchanged (version {CRD_VERSION})"),
            CrdOutcome::NewerInstalled { installed } => {
                write!(
                    f,
                    "{name}: left alone, because version {installed} is installed and this program has {CRD_VERSION}"
                )
            }
        }
    }
}

/// Why the CRDs could not be put in place. The operator has to act.
#[derive(Debug, thiserror::Error)]
pub enum CrdError {
    /// The API server did not answer, or refused.
    #[error("{name}: the API server does not take it")]
    Request {
        /// The CRD's name.
        name: String,
        /// What it says.
        source: Box<kube::Error>,
    },
    /// The API server did not answer in time.
    #[error("{name}: no answer from the API server within {REQUEST_TIMEOUT:?}")]
    Timeout {
        /// The CRD's name.
        name: String,
    },
    /// It was taken and is not served.
    #[error("{name}: the API server does not serve it after {ESTABLISHED_WITHIN:?}: {message}")]
    NotEstablished {
        /// The CRD's name.
        name: String,
        /// What its conditions say.
        message: String,
    },
}

/// Applies every CRD and waits until each is served; tells of each as soon as it is done.
///
/// # Errors
/// [`CrdError`] at the first that cannot be put in place, for the operator; those before it are in place, and it can be repeated.
pub async fn apply_crds(client: &Client, mut tell: impl FnMut(&CrdLine)) -> Result<Vec<CrdLine>, CrdError> {
    let api: Api<CustomResourceDefinition> = Api::all(client.clone());
    let mut lines = Vec::new();
    for crd in crds() {
        let name = crd.metadata.name.clone().unwrap_or_default();
        let outcome = apply(&api, &name, &crd).await?;
        established(&api, &name).await?;
        let line = CrdLine { name, outcome };
        tell(&line);
        lines.push(line);
    }
    Ok(lines)
}

async fn apply(
    api: &Api<CustomResourceDefinition>,
    name: &str,
    crd: &CustomResourceDefinition,
) -> Result<CrdOutcome, CrdError> {
    let installed = answered(name, api.get_opt(name)).await?;
    if let Some(installed) = installed.as_ref().filter(|installed| is_newer_than_ours(installed)) {
        return Ok(CrdOutcome::NewerInstalled { installed: crd_version(installed).unwrap_or(CRD_VERSION) });
    }
    if let Some(replacement) = installed.as_ref().and_then(|installed| without_leftovers(installed, crd)) {
        let params = PatchParams { field_manager: Some(CRD_MANAGER.to_owned()), ..PatchParams::default() };
        answered(name, api.patch(name, &params, &Patch::Merge(replacement))).await?;
    }
    let params = PatchParams::apply(CRD_MANAGER).force();
    let applied = answered(name, api.patch(name, &params, &Patch::Apply(crd))).await?;
    Ok(match installed {
        None => CrdOutcome::Created,
        Some(before) if before.metadata.resource_version == applied.metadata.resource_version => CrdOutcome::Unchanged,
        Some(before) => CrdOutcome::Updated { from: crd_version(&before) },
    })
}

/// What server-side apply cannot take away because another manager set it and we say nothing about it, and what then stands against our
/// schema: a conversion webhook (ours converts without one, and a webhook whose server is gone makes every object unreadable), and
/// the leave to keep unknown fields of the days before schemas. `None` where there is nothing of the kind.
///
/// Our whole spec goes along, because the API server looks at the result and not at the parts.
fn without_leftovers(installed: &CustomResourceDefinition, ours: &CustomResourceDefinition) -> Option<Value> {
    let has_webhook = installed.spec.conversion.as_ref().is_some_and(|c| c.strategy != "None" || c.webhook.is_some());
    if !has_webhook && installed.spec.preserve_unknown_fields != Some(true) {
        return None;
    }
    let mut spec = serde_json::to_value(&ours.spec).ok()?;
    spec["conversion"] = json!({"strategy": "None", "webhook": null});
    spec["preserveUnknownFields"] = json!(false);
    Some(json!({"spec": spec}))
}

/// Waits until the API server serves the kind.
async fn established(api: &Api<CustomResourceDefinition>, name: &str) -> Result<(), CrdError> {
    let begun = Instant::now();
    loop {
        let crd = answered(name, api.get(name)).await?;
        let conditions = crd.status.and_then(|status| status.conditions).unwrap_or_default();
        if conditions.iter().any(|c| c.type_ == "Established" && c.status == "True") {
            return Ok(());
        }
        if begun.elapsed() > ESTABLISHED_WITHIN {
            let said: Vec<&str> = conditions.iter().filter_map(|c| c.message.as_deref()).collect();
            return Err(CrdError::NotEstablished { name: name.to_owned(), message: said.join("; ") });
        }
        sleep(Duration::from_millis(100)).await;
    }
}

async fn answered<T>(name: &str, request: impl Future<Output = kube::Result<T>>) -> Result<T, CrdError> {
    match timeout(REQUEST_TIMEOUT, request).await {
        Ok(answer) => answer.map_err(|source| CrdError::Request { name: name.to_owned(), source: Box::new(source) }),
        Err(_) => Err(CrdError::Timeout { name: name.to_owned() }),
    }
}
