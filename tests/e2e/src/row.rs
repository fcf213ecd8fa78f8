//! Tables of Services: what each asks for, and what it is to come to.
//!
//! A scenario about rules applies all of its rows at once and waits until every one has come true, so a rule costs a line and
//! hardly any time.

use std::collections::BTreeMap;

use anyhow::{Context, Result, bail, ensure};
use ironlb_api::names::{annotation, condition, label};
use ironlb_lab::wait_for;
use k8s_openapi::api::core::v1::{Event, Service};
use kube::ResourceExt;
use kube::api::{Api, DynamicObject, ListParams, Patch, PatchParams};
use kube::core::{ApiResource, GroupVersionKind};
use serde_json::{Map, Value, json};

use crate::ground::{Ground, SCENARIO, addresses, condition_of};
use crate::stage::PATIENCE;

/// Who the scenarios are in `managedFields`.
pub const MANAGER: &str = "e2e";

/// What a Service is to come to.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Want {
    /// These addresses, in this order, with this reason.
    Addresses { addresses: Vec<String>, reason: String, told: Vec<String> },
    /// The addresses that it has must not be called enough.
    NotEnough { addresses: Vec<String>, reason: String, told: Vec<String> },
    /// This address, which another load balancer gave it.
    OfOther { address: String },
    /// Nothing of ironlb's on it, and nothing said about it.
    Nothing,
    /// Nothing of ironlb's on it any more, and no address.
    Released,
}

/// A Service of type LoadBalancer, and what it is to come to.
#[derive(Debug, Clone)]
pub struct Row {
    name: String,
    namespace: Option<&'static str>,
    annotations: BTreeMap<&'static str, String>,
    labels: BTreeMap<&'static str, &'static str>,
    spec: Map<String, Value>,
    want: Want,
}

/// A Service that opts in by annotation, for port 80.
#[must_use]
pub fn row(name: &str) -> Row {
    let mut spec = Map::new();
    spec.insert("type".to_owned(), json!("LoadBalancer"));
    spec.insert("selector".to_owned(), json!({"app": "web"}));
    let row = Row {
        name: name.to_owned(),
        namespace: None,
        annotations: BTreeMap::from([(annotation::OPT_IN, annotation::OPT_IN_VALUE.to_owned())]),
        labels: BTreeMap::new(),
        spec,
        want: Want::Nothing,
    };
    row.port("TCP", 80)
}

impl Row {
    /// In another namespace of the scenario, see [`Ground::further_namespace`].
    #[must_use]
    pub fn within(mut self, namespace: &'static str) -> Self {
        self.namespace = Some(namespace);
        self
    }

    /// With this instead of the annotation that opts in; none if it is empty.
    #[must_use]
    pub fn opts_in_by(mut self, value: &str) -> Self {
        self.annotations.remove(annotation::OPT_IN);
        if value.is_empty() { self } else { self.annotated(annotation::OPT_IN, value) }
    }

    /// With an annotation.
    #[must_use]
    pub fn annotated(mut self, key: &'static str, value: &str) -> Self {
        self.annotations.insert(key, value.to_owned());
        self
    }

    /// Names an Eip, or several.
    #[must_use]
    pub fn eip(self, name: &str) -> Self {
        self.annotated(annotation::WANTED_EIP, name)
    }

    /// Wishes for an address by annotation.
    #[must_use]
    pub fn asks(self, addresses: &str) -> Self {
        self.annotated(annotation::WANTED_ADDRESS, addresses)
    }

    /// With a label.
    #[must_use]
    pub fn labelled(mut self, key: &'static str, value: &'static str) -> Self {
        self.labels.insert(key, value);
        self
    }

    /// With a field of its spec.
    #[must_use]
    pub fn with(mut self, field: &str, value: Value) -> Self {
        self.spec.insert(field.to_owned(), value);
        self
    }

    /// With this policy for these families.
    #[must_use]
    pub fn families(self, policy: &str, families: &[&str]) -> Self {
        let row = self.with("ipFamilyPolicy", json!(policy));
        if families.is_empty() { row } else { row.with("ipFamilies", json!(families)) }
    }

    /// With this port alone.
    #[must_use]
    pub fn port(self, transport: &str, number: u16) -> Self {
        self.with("ports", json!([{"name": "p", "protocol": transport, "port": number, "targetPort": 8080}]))
    }

    /// It is to get these addresses (separated by a comma), and nothing is amiss.
    #[must_use]
    pub fn gets(self, addresses: &str) -> Self {
        self.has(addresses, "Assigned", &[])
    }

    /// It is to have these addresses, with this reason and a message that holds these texts.
    #[must_use]
    pub fn has(mut self, addresses: &str, reason: &str, told: &[&str]) -> Self {
        self.want = Want::Addresses { addresses: split(addresses), reason: reason.to_owned(), told: owned(told) };
        self
    }

    /// It is to wait without an address, with this reason and a message that holds these texts.
    #[must_use]
    pub fn waits(self, reason: &str, told: &[&str]) -> Self {
        self.lacks("", reason, told)
    }

    /// It is to have only these addresses, which are not enough, with this reason and a message that holds these texts.
    #[must_use]
    pub fn lacks(mut self, addresses: &str, reason: &str, told: &[&str]) -> Self {
        self.want = Want::NotEnough { addresses: split(addresses), reason: reason.to_owned(), told: owned(told) };
        self
    }

    /// It is to keep this address, which another load balancer gave it, and to say so.
    #[must_use]
    pub fn is_held_by_other(mut self, address: &str) -> Self {
        self.want = Want::OfOther { address: address.to_owned() };
        self
    }

    /// ironlb is to leave it alone.
    #[must_use]
    pub fn is_left_alone(mut self) -> Self {
        self.want = Want::Nothing;
        self
    }

    /// ironlb is to take everything from it that it had.
    #[must_use]
    pub fn is_released(mut self) -> Self {
        self.want = Want::Released;
        self
    }

    fn manifest(&self, namespace: &str) -> Value {
        json!({
            "apiVersion": "v1",
            "kind": "Service",
            "metadata": {
                "name": self.name, "namespace": namespace, "annotations": self.annotations, "labels": self.labels,
            },
            "spec": self.spec,
        })
    }

    fn namespace(&self, ground: &Ground<'_>) -> String {
        self.namespace.map_or_else(|| ground.name().to_owned(), |further| ground.further(further))
    }

    /// Has it come true? If not, what is there instead.
    fn check(&self, service: &Service) -> Result<()> {
        let has = addresses(service);
        let told = condition_of(service, condition::ADDRESS_ASSIGNED);
        let label = service.labels().get(label::EIP);
        let remembered = service.annotations().get(annotation::ADDRESSES);
        let (wanted, status, reason, texts) = match &self.want {
            Want::OfOther { address } => {
                let told = told.with_context(|| format!("{} has no condition yet", self.name))?;
                let is_told = told.status == "False" && told.reason == "HeldByOther" && told.message.contains(address);
                ensure!(has == [address.as_str()] && is_told, "{} has {has:?} and says {told:?}", self.name);
                return Ok(());
            }
            Want::Nothing | Want::Released => {
                let untouched = told.is_none() && label.is_none() && remembered.is_none();
                ensure!(untouched, "{} is not left alone: {label:?} {remembered:?} {told:?}", self.name);
                ensure!(self.want == Want::Nothing || has.is_empty(), "{} still has {has:?}", self.name);
                return Ok(());
            }
            Want::Addresses { addresses, reason, told } => (addresses, "True", reason, told),
            Want::NotEnough { addresses, reason, told } => (addresses, "False", reason, told),
        };
        let told = told.with_context(|| format!("{} has no condition yet", self.name))?;
        let said = format!("{}={}: {}", told.reason, told.status, told.message);
        ensure!(has == *wanted, "{} has {has:?} instead of {wanted:?} ({said})", self.name);
        ensure!(told.status == status && told.reason == *reason, "{} is to say {reason}={status}: {said}", self.name);
        for text in texts {
            ensure!(told.message.contains(text), "{} is to name {text:?}: {said}", self.name);
        }
        if !wanted.is_empty() {
            ensure!(label.is_some(), "{} has no label", self.name);
            ensure!(remembered == Some(&wanted.join(",")), "{} remembers {remembered:?}", self.name);
        }
        Ok(())
    }
}

fn split(addresses: &str) -> Vec<String> {
    addresses.split(',').filter(|part| !part.is_empty()).map(str::to_owned).collect()
}

fn owned(texts: &[&str]) -> Vec<String> {
    texts.iter().map(|&text| text.to_owned()).collect()
}

/// Applies Services, or applies them again.
///
/// # Errors
/// One is refused.
pub async fn apply(ground: &Ground<'_>, rows: &[Row]) -> Result<()> {
    for row in rows {
        let api: Api<Service> = Api::namespaced(ground.stage().site.client(), &row.namespace(ground));
        let manifest = row.manifest(&row.namespace(ground));
        let params = PatchParams::apply(MANAGER).force().validation_strict();
        api.patch(&row.name, &params, &Patch::Apply(&manifest)).await.with_context(|| row.name.clone())?;
    }
    Ok(())
}

/// Waits until every row has come true.
///
/// # Errors
/// Some have not; they are told.
pub async fn come_true(ground: &Ground<'_>, rows: &[Row]) -> Result<()> {
    wait_for(PATIENCE, &format!("{} Services to be as their rows say", rows.len()), || async {
        let wrong = wrong(ground, rows).await?;
        ensure!(wrong.is_empty(), "{} are not:\n      {}", wrong.len(), wrong.join("\n      "));
        Ok(Some(()))
    })
    .await?;
    for row in rows.iter().filter(|row| row.want == Want::Nothing) {
        let api: Api<Event> = Api::namespaced(ground.stage().site.client(), &row.namespace(ground));
        let about = ListParams::default().fields(&format!("involvedObject.name={}", row.name));
        let told = api.list(&about).await?.items;
        ensure!(told.is_empty(), "Events about {}, which did not opt in: {told:?}", row.name);
    }
    Ok(())
}

/// Waits until every row of one of the alternatives has come true, whichever.
///
/// # Errors
/// Something is otherwise in each of them, or the API server does not answer.
pub async fn one_comes_true(ground: &Ground<'_>, alternatives: &[Vec<Row>]) -> Result<()> {
    wait_for(PATIENCE, "Services to be as one set of rows says", || async {
        let mut otherwise = Vec::new();
        for rows in alternatives {
            let wrong = wrong(ground, rows).await?;
            if wrong.is_empty() {
                return Ok(Some(()));
            }
            otherwise.push(wrong.join("\n      "));
        }
        bail!("they are not:\n      {}", otherwise.join("\n    nor:\n      "))
    })
    .await
}

/// Applies the rows and waits until every one has come true.
///
/// # Errors
/// As [`apply`] and [`come_true`].
pub async fn hold(ground: &Ground<'_>, rows: &[Row]) -> Result<()> {
    apply(ground, rows).await?;
    come_true(ground, rows).await
}

/// What is not as the rows say.
async fn wrong(ground: &Ground<'_>, rows: &[Row]) -> Result<Vec<String>> {
    let mut by_namespace: BTreeMap<String, Vec<&Row>> = BTreeMap::new();
    for row in rows {
        by_namespace.entry(row.namespace(ground)).or_default().push(row);
    }
    let mut wrong = Vec::new();
    for (namespace, rows) in by_namespace {
        let api: Api<Service> = Api::namespaced(ground.stage().site.client(), &namespace);
        let list = api.list(&ListParams::default()).await?;
        for row in rows {
            let found = list.iter().find(|service| service.metadata.name.as_deref() == Some(&row.name));
            let judged = found.context("it is not there").and_then(|service| row.check(service));
            wrong.extend(judged.err().map(|error| format!("{error:#}")));
        }
    }
    Ok(wrong)
}

/// Makes an Eip of Layer 2, or replaces what the scenario said about it before. Its name begins with the scenario's.
///
/// # Errors
/// It is refused.
pub async fn eip(ground: &Ground<'_>, name: &str, spec: Value) -> Result<()> {
    annotated_eip(ground, name, json!({}), spec).await
}

/// [`eip`], with annotations.
///
/// # Errors
/// It is refused.
pub async fn annotated_eip(ground: &Ground<'_>, name: &str, annotations: Value, spec: Value) -> Result<()> {
    let mut full = json!({"protocol": "layer2", "interface": "eth0"});
    if let (Value::Object(full), Value::Object(given)) = (&mut full, spec) {
        full.extend(given);
    }
    let name = ground.further(name);
    let manifest = json!({
        "apiVersion": "network.kubesphere.io/v1alpha2",
        "kind": "Eip",
        "metadata": {"name": name, "labels": {SCENARIO: ground.name()}, "annotations": annotations},
        "spec": full,
    });
    // Dynamic, because a field that the type does not know must be refused by the server and not be dropped here.
    let kind = ApiResource::from_gvk(&GroupVersionKind::gvk("network.kubesphere.io", "v1alpha2", "Eip"));
    let api: Api<DynamicObject> = Api::all_with(ground.stage().site.client(), &kind);
    let params = PatchParams::apply(MANAGER).force().validation_strict();
    api.patch(&name, &params, &Patch::Apply(&manifest)).await.map(drop).with_context(|| format!("Eip {name}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(addresses: &[&str], status: &str, reason: &str) -> Service {
        serde_json::from_value(json!({
            "metadata": {
                "labels": {label::EIP: "pool"}, "annotations": {annotation::ADDRESSES: addresses.join(",")},
            },
            "status": {
                "loadBalancer": {"ingress": addresses.iter().map(|ip| json!({"ip": ip})).collect::<Vec<_>>()},
                "conditions": [{
                    "type": condition::ADDRESS_ASSIGNED, "status": status, "reason": reason, "message": "from Eip pool",
                    "lastTransitionTime": "2026-01-01T00:00:00Z",
                }],
            },
        }))
        .unwrap()
    }

    #[test]
    fn a_row_comes_true_only_as_a_whole() {
        let (one, other) = ("192.0.2.1", "192.0.2.2");
        let bare: Service = serde_json::from_value(json!({"metadata": {}})).unwrap();
        let served = shown(&[one], "True", "Assigned");
        let taken: Service =
            serde_json::from_value(json!({"status": {"loadBalancer": {"ingress": [{"ip": other}]}}})).unwrap();
        let mut unlabelled = served.clone();
        unlabelled.metadata.labels = None;
        let mut forgetful = served.clone();
        forgetful.metadata.annotations = None;
        for (number, (want, service, comes_true)) in [
            (row("a").gets(one), &served, true),
            (row("a").gets(other), &served, false),
            (row("a").gets("192.0.2.1,192.0.2.2"), &served, false),
            (row("a").gets(one), &bare, false),
            (row("a").gets(one), &unlabelled, false),
            (row("a").gets(one), &forgetful, false),
            (row("a").gets(one), &shown(&[one], "True", "PoolMissing"), false),
            (row("a").has(one, "PoolMissing", &["Eip pool"]), &shown(&[one], "True", "PoolMissing"), true),
            (row("a").has(one, "PoolMissing", &["Eip other"]), &shown(&[one], "True", "PoolMissing"), false),
            (row("a").waits("EipFull", &[]), &shown(&[], "False", "EipFull"), true),
            (row("a").waits("EipFull", &[]), &shown(&[], "True", "EipFull"), false),
            (row("a").waits("EipFull", &[]), &shown(&[one], "False", "EipFull"), false),
            (row("a").lacks(one, "EipFull", &[]), &shown(&[one], "False", "EipFull"), true),
            (row("a").is_held_by_other(one), &shown(&[one], "False", "HeldByOther"), false),
            (row("a").is_held_by_other("Eip pool"), &shown(&["Eip pool"], "False", "HeldByOther"), true),
            (row("a").is_held_by_other("Eip pool"), &shown(&["Eip pool"], "True", "HeldByOther"), false),
            (row("a").is_left_alone(), &bare, true),
            (row("a").is_left_alone(), &served, false),
            (row("a").is_left_alone(), &taken, true),
            (row("a").is_released(), &bare, true),
            (row("a").is_released(), &taken, false),
        ]
        .into_iter()
        .enumerate()
        {
            assert_eq!(want.check(service).is_ok(), comes_true, "row {number}: {want:?}");
        }
    }
}
