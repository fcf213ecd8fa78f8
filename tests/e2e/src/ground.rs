//! What a scenario stands on: a namespace and a range of addresses of its own, and what it asks of the objects in there.

use std::collections::BTreeMap;
use std::net::Ipv4Addr;
use std::path::Path;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use ironlb_api::{Eip, EipStatus};
use ironlb_lab::wait_for;
use k8s_openapi::api::core::v1::{Namespace, Service};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition;
use kube::ResourceExt;
use kube::api::{Api, DeleteParams, ListParams, Patch, PatchParams, PostParams};
use serde_json::json;

use crate::manifests;
use crate::stage::{PATIENCE, Stage};

/// The label that every cluster-wide object of a scenario carries.
pub const SCENARIO: &str = "e2e.ironlb.io/scenario";

/// A namespace and a range of addresses, for the length of a scenario.
#[derive(Debug)]
pub struct Ground<'a> {
    stage: &'a Stage,
    namespace: String,
    first: u8,
}

impl<'a> Ground<'a> {
    /// Makes the namespace. `first` is the last number of the range's first address.
    ///
    /// # Errors
    /// The API server refuses, or the namespace of an earlier run does not go away.
    pub async fn lay(stage: &'a Stage, name: &str, first: u8) -> Result<Self> {
        wait_for(PATIENCE, &format!("namespace {name}"), || async {
            stage.site.kubectl(&["create", "namespace", name]).await?;
            Ok(Some(()))
        })
        .await?;
        Ok(Self::at(stage, name, first))
    }

    /// A namespace that is there already.
    #[must_use]
    pub fn at(stage: &'a Stage, name: &str, first: u8) -> Self {
        Self { stage, namespace: name.to_owned(), first }
    }

    /// The stage it is on.
    #[must_use]
    pub fn stage(&self) -> &'a Stage {
        self.stage
    }

    /// The namespace's name, which is also the value of [`SCENARIO`].
    #[must_use]
    pub fn name(&self) -> &str {
        &self.namespace
    }

    /// The name of a further object of the scenario that must differ from other scenarios' objects.
    #[must_use]
    pub fn further(&self, name: &str) -> String {
        format!("{}-{name}", self.namespace)
    }

    /// Makes a further namespace, `SCENARIO-NAME`, with labels; it goes with the scenario.
    ///
    /// # Errors
    /// The API server refuses, or the namespace of an earlier run does not go away.
    pub async fn further_namespace(&self, name: &str, labels: &[(&str, &str)]) -> Result<()> {
        let name = self.further(name);
        let labels: BTreeMap<_, _> = labels.iter().copied().chain([(SCENARIO, self.name())]).collect();
        let api: Api<Namespace> = Api::all(self.stage.site.client());
        let namespace = serde_json::from_value(json!({"metadata": {"name": name, "labels": labels}}))?;
        wait_for(PATIENCE, &format!("namespace {name}"), || async {
            api.create(&PostParams::default(), &namespace).await?;
            Ok(Some(()))
        })
        .await
    }

    /// Prints a line for a reader. It names the scenario, because others may run beside it.
    pub fn say(&self, text: &str) {
        println!("    {}: {text}", self.namespace);
    }

    /// The name for a measurement of this scenario.
    #[must_use]
    pub fn record(&self, what: &str) -> String {
        format!("{}-{what}", self.namespace)
    }

    /// The address `number` of the range, from 0.
    #[must_use]
    pub fn vip(&self, number: u8) -> Ipv4Addr {
        self.stage.lan_address(self.first + number)
    }

    /// The first `count` addresses, as an Eip has them.
    #[must_use]
    pub fn range(&self, count: u8) -> String {
        format!("{}-{}", self.vip(0), self.vip(count.saturating_sub(1)))
    }

    /// Runs kubectl in the namespace.
    ///
    /// # Errors
    /// kubectl fails.
    pub async fn kubectl(&self, arguments: &[&str]) -> Result<String> {
        self.stage.site.kubectl(&[["--namespace", &self.namespace].as_slice(), arguments].concat()).await
    }

    /// Applies manifests to the namespace; a field that the API server does not know is an error.
    ///
    /// # Errors
    /// One of them is refused.
    pub async fn apply(&self, manifests: &str) -> Result<String> {
        let arguments = ["--namespace", &self.namespace, "apply", "--validate=strict", "-f", "-"];
        self.stage.site.kubectl_with(&arguments, manifests).await
    }

    /// Applies a file of `examples/`, as it stands but for the image of the pods, and labels what is cluster-wide, so that it
    /// goes with the scenario.
    ///
    /// # Errors
    /// It is refused.
    pub async fn apply_example(&self, file: &Path) -> Result<String> {
        let text = manifests::example(file)?;
        let said = self.apply(&text).await.with_context(|| file.display().to_string())?;
        for line in said.lines() {
            // "eip.network.kubesphere.io/layer2-pool created"
            let object = line.split_whitespace().next().unwrap_or_default();
            if object.contains(".network.kubesphere.io/") {
                let label = format!("{SCENARIO}={}", self.namespace);
                self.stage.site.kubectl(&["label", "--overwrite", object, &label]).await?;
            }
        }
        Ok(said)
    }

    /// Makes an Eip for Layer 2, named after the scenario, of the first `count` addresses.
    ///
    /// # Errors
    /// It is refused.
    pub async fn eip(&self, count: u8) -> Result<()> {
        self.apply(&manifests::eip(&self.namespace, &self.namespace, &self.range(count))).await.map(drop)
    }

    /// Makes a Service that takes an address of the scenario's Eip for the pods of the back end.
    ///
    /// # Errors
    /// It is refused.
    pub async fn service(&self, name: &str) -> Result<()> {
        self.apply(&manifests::service(name, &self.namespace, "")).await.map(drop)
    }

    /// Makes so many pods of the back end and waits until they are ready.
    ///
    /// # Errors
    /// They do not become ready.
    pub async fn web(&self, replicas: u8) -> Result<()> {
        self.apply(&manifests::web(replicas)?).await?;
        self.rolled_out().await
    }

    /// Waits until the back end is as its Deployment wants it.
    ///
    /// # Errors
    /// It does not come to that.
    pub async fn rolled_out(&self) -> Result<()> {
        self.kubectl(&["rollout", "status", "deployment/web", "--timeout=60s"]).await.map(drop)
    }

    /// Binds the back end to one node, and waits until it has moved there.
    ///
    /// # Errors
    /// It does not come to that.
    pub async fn web_on(&self, node: &str) -> Result<()> {
        let patch = json!({"spec": {"template": {"spec": {"nodeSelector": {"kubernetes.io/hostname": node}}}}});
        self.kubectl(&["patch", "deployment", "web", "--type=merge", "--patch", &patch.to_string()]).await?;
        self.rolled_out().await?;
        wait_for(PATIENCE, &format!("all back ends to be on {node}"), || async {
            let pods = crate::web::ready_pods(self).await?;
            Ok((!pods.is_empty() && pods.values().all(|on| on == node)).then_some(()))
        })
        .await
    }

    /// The Service as it is now.
    ///
    /// # Errors
    /// There is none.
    pub async fn get_service(&self, name: &str) -> Result<Service> {
        let api: Api<Service> = Api::namespaced(self.stage.site.client(), &self.namespace);
        api.get(name).await.with_context(|| format!("Service {}/{name}", self.namespace))
    }

    /// The addresses in the Service's status.
    ///
    /// # Errors
    /// There is no such Service.
    pub async fn addresses(&self, name: &str) -> Result<Vec<String>> {
        Ok(addresses(&self.get_service(name).await?))
    }

    /// Waits until the Service has an address and says so in its condition; gives the address.
    ///
    /// # Errors
    /// It gets none.
    pub async fn served(&self, name: &str) -> Result<Ipv4Addr> {
        self.served_within(name, PATIENCE).await
    }

    /// [`Ground::served`], with its own patience.
    ///
    /// # Errors
    /// As there.
    pub async fn served_within(&self, name: &str, within: Duration) -> Result<Ipv4Addr> {
        wait_for(within, &format!("Service {}/{name} to get an address", self.namespace), || async {
            let service = self.get_service(name).await?;
            let assigned = condition_of(&service, ironlb_api::names::condition::ADDRESS_ASSIGNED);
            let [address] = &addresses(&service)[..] else { return Ok(None) };
            Ok(if assigned.is_some_and(|c| c.status == "True") { Some(address.parse()?) } else { None })
        })
        .await
    }

    /// Waits until a condition of the Service has a status (`True`, `False`), and gives it.
    ///
    /// # Errors
    /// It does not come to that.
    pub async fn condition(&self, service: &str, kind: &str, status: &str) -> Result<Condition> {
        wait_for(PATIENCE, &format!("condition {kind}={status} of Service {}/{service}", self.namespace), || async {
            Ok(condition_of(&self.get_service(service).await?, kind).filter(|condition| condition.status == status))
        })
        .await
    }

    /// The Eip's status; empty where it has none yet.
    ///
    /// # Errors
    /// There is no such Eip.
    pub async fn eip_status(&self, eip: &str) -> Result<EipStatus> {
        let api: Api<Eip> = Api::all(self.stage.site.client());
        Ok(api.get(eip).await.with_context(|| format!("Eip {eip}"))?.status.unwrap_or_default())
    }

    /// Waits until the controller has seen the Eip and counted its addresses. It sees Eips and Services by different watches: of a Service
    /// that is made at once it may first say that there is no such Eip, or fill in a new Eip's status by a Service that is just gone.
    ///
    /// # Errors
    /// It does not come to that.
    pub async fn eip_counted(&self, eip: &str) -> Result<()> {
        wait_for(PATIENCE, &format!("Eip {eip} to be counted"), || async {
            Ok(self.eip_status(eip).await?.pool_size.map(drop))
        })
        .await
    }

    /// Waits until the Eip shows exactly these addresses in use, each with its Services.
    ///
    /// # Errors
    /// It does not come to that; the last status is told.
    pub async fn eip_shows(&self, eip: &str, used: &[(Ipv4Addr, &str)]) -> Result<EipStatus> {
        let wanted =
            used.iter().map(|(vip, service)| (vip.to_string(), format!("{}/{service}", self.namespace))).collect();
        wait_for(PATIENCE, &format!("Eip {eip} to show {used:?}"), || async {
            let status = self.eip_status(eip).await?;
            let shown = status.used.clone().unwrap_or_default();
            ensure!(
                status.usage.unwrap_or_default() == i64::try_from(shown.len())?,
                "usage is not the number of used: {status:?}"
            );
            ensure!(shown == wanted, "it shows {shown:?}");
            Ok(Some(status))
        })
        .await
    }

    /// Waits until the Events of an object hold one of this reason; gives its note.
    ///
    /// # Errors
    /// There is none.
    pub async fn event(&self, object: &str, reason: &str) -> Result<String> {
        wait_for(PATIENCE, &format!("an Event {reason} on {}/{object}", self.namespace), || async {
            let fields = format!("--field-selector=involvedObject.name={object},reason={reason}");
            let notes = self.kubectl(&["get", "events", &fields, "-o=jsonpath={.items[*].message}"]).await?;
            Ok((!notes.is_empty()).then_some(notes))
        })
        .await
    }

    /// Waits until the Events of a cluster-wide object hold one of this reason; gives its note.
    ///
    /// # Errors
    /// There is none.
    pub async fn cluster_event(&self, object: &str, reason: &str) -> Result<String> {
        wait_for(PATIENCE, &format!("an Event {reason} on {object}"), || async {
            let fields = format!("--field-selector=involvedObject.name={object},reason={reason}");
            let ask = ["get", "events", "-A", &fields, "-o=jsonpath={.items[*].message}"];
            let notes = self.stage.site.kubectl(&ask).await?;
            Ok((!notes.is_empty()).then_some(notes))
        })
        .await
    }

    /// Takes everything away: Services and cluster-wide objects at once, and the namespace with the pods in its own time.
    ///
    /// # Errors
    /// An object does not go.
    pub async fn clear(&self) -> Result<()> {
        let client = self.stage.site.client();
        let ours = ListParams::default().labels(&format!("{SCENARIO}={}", self.namespace));
        let namespaces = Api::<Namespace>::all(client.clone()).list(&ours).await?;
        let namespaces: Vec<String> =
            namespaces.iter().map(ResourceExt::name_any).chain([self.namespace.clone()]).collect();
        let services = |namespace: &str| -> Api<Service> { Api::namespaced(client.clone(), namespace) };
        let eips: Api<Eip> = Api::all(client.clone());
        for namespace in &namespaces {
            services(namespace).delete_collection(&DeleteParams::default(), &ListParams::default()).await?;
        }
        wait_for(PATIENCE, &format!("Services and Eips of {} to go", self.namespace), || async {
            let mut left = Vec::new();
            for namespace in &namespaces {
                left.extend(services(namespace).list(&ListParams::default()).await?.items);
            }
            ensure!(
                left.is_empty(),
                "Services are left: {:?}",
                left.iter().map(ResourceExt::name_any).collect::<Vec<_>>()
            );
            let left = eips.list(&ours).await?.items;
            for eip in &left {
                // Whatever a failed scenario has left in its status must not keep it.
                let allow = json!({"metadata": {"annotations": {ironlb_api::names::annotation::ALLOW_DELETE: "true"}}});
                eips.patch(&eip.name_any(), &PatchParams::default(), &Patch::Merge(&allow)).await?;
                eips.delete(&eip.name_any(), &DeleteParams::default()).await?;
            }
            Ok(left.is_empty().then_some(()))
        })
        .await?;
        let label = format!("{SCENARIO}={}", self.namespace);
        let kinds = "bgpconfs,bgppeers,validatingadmissionpolicies,validatingadmissionpolicybindings";
        self.stage.site.kubectl(&["delete", kinds, "-l", &label, "--ignore-not-found"]).await?;
        for namespace in &namespaces {
            Api::<Namespace>::all(client.clone()).delete(namespace, &DeleteParams::background()).await?;
        }
        Ok(())
    }
}

/// The addresses in a Service's status.
#[must_use]
pub fn addresses(service: &Service) -> Vec<String> {
    let status = service.status.as_ref().and_then(|status| status.load_balancer.as_ref());
    let ingress = status.and_then(|status| status.ingress.as_ref()).into_iter().flatten();
    ingress.filter_map(|ingress| ingress.ip.clone()).collect()
}

/// A condition of a Service.
#[must_use]
pub fn condition_of(service: &Service, kind: &str) -> Option<Condition> {
    let conditions = service.status.iter().filter_map(|status| status.conditions.as_ref()).flatten();
    conditions.into_iter().find(|condition| condition.type_ == kind).cloned()
}
