//! The controller on a real API server whose watches lag, while more Services come and go than there are addresses, beside an object that
//! no rule would let in today and a Service whose status a policy lets nobody write: no address is ever shown by two, and every other
//! Service gets one. `IRONLB_SOAK=1` makes it 10,000 Services.

mod relay;

use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use clap::Parser;
use futures::stream::{self, StreamExt, TryStreamExt};
use ironlb_api::names::annotation;
use ironlb_api::{Eip, crds};
use ironlb_apiserver::ApiServer;
use ironlb_k8s::crds::{CrdError, apply_crds};
use k8s_openapi::api::core::v1::{Namespace, Service};
use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition;
use kube::api::{Api, DeleteParams, DynamicObject, ListParams, PostParams, WatchEvent, WatchParams};
use kube::core::{ApiResource, GroupVersionKind};
use kube::{Client, ResourceExt};
use serde_json::{Value, json};
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;

use relay::Relay;

/// How late the controller hears of a change. Chosen: many times what a write takes, so that it decides a dozen times on what was.
const LAG: Duration = Duration::from_secs(1);

/// How long anything may take on a busy machine.
const PATIENCE: Duration = Duration::from_secs(120);

/// How many requests are under way at once.
const AT_ONCE: usize = 16;

/// So many Services are there before the controller leads.
const EARLY: usize = 10;

const NAMESPACE: &str = "crowd";
/// How the names of those begin that stay.
const LASTING: &str = "lasting-";
const POLICY: &str = "refused.tests.ironlb.io";

/// How many Services stay, how many come and go in turn, and how many addresses there are for all of them.
struct Numbers {
    lasting: usize,
    passing: usize,
    addresses: &'static str,
}

impl Numbers {
    fn from_environment() -> Self {
        if std::env::var_os("IRONLB_SOAK").is_some_and(|value| value == "1") {
            // 10,192 addresses.
            Self { lasting: 10_000, passing: 4000, addresses: "10.64.0.0/19,10.64.32.0-10.64.39.207" }
        } else {
            // 400 addresses.
            Self { lasting: 300, passing: 400, addresses: "10.64.0.0/24,10.64.1.0-10.64.1.143" }
        }
    }
}

#[derive(Debug, Parser)]
struct Arguments {
    #[command(flatten)]
    controller: ironlb_controller::Args,
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn on_a_lagging_watch_no_address_is_given_twice() -> Result<()> {
    let numbers = Numbers::from_environment();
    let server = ApiServer::start(&[]).await?;
    let client = server.client().await?;
    prepare(&client, &numbers).await?;
    let services: Api<Service> = Api::namespaced(client.clone(), NAMESPACE);

    let relay = Relay::start(server.port(), LAG).await?;
    let kubeconfig = server.admin_by_way_of(relay.port)?;
    let socket = server.folder().join("admin.sock");
    let line: [&std::ffi::OsStr; 8] = [
        "controller".as_ref(),
        "--metrics-address=".as_ref(),
        "--log-level=error".as_ref(),
        "--pod-name=lagging".as_ref(),
        "--kubeconfig".as_ref(),
        kubeconfig.as_os_str(),
        "--admin-socket".as_ref(),
        socket.as_os_str(),
    ];
    let shutdown = CancellationToken::new();
    let controller = tokio::spawn(ironlb_controller::run(Arguments::parse_from(line).controller, shutdown.clone()));
    let mut ledger = Ledger::open(services.clone()).await?;

    let refused = service("refused")?;
    services.create(&PostParams::default(), &refused).await?;
    // Some are there before the controller leads; the others it hears of late.
    let name = |number| format!("{LASTING}{number:05}");
    create(&services, (0..EARLY).map(name)).await?;
    ledger.served(EARLY).await?;
    let others = create(&services, (EARLY..numbers.lasting).map(name));
    tokio::try_join!(others, come_and_go(&services, numbers.passing))?;
    ledger.served(numbers.lasting).await?;
    let held = lasting(&services).await?;
    ensure!(held.len() == numbers.lasting, "{} of {} have an address", held.len(), numbers.lasting);
    let distinct: BTreeSet<&String> = held.values().collect();
    ensure!(distinct.len() == held.len(), "{} addresses for {} Services", distinct.len(), held.len());
    let refused = services.get("refused").await?;
    ensure!(address(&refused).is_none(), "what the policy refuses was written");

    shutdown.cancel();
    controller.await?.context("the controller")?;
    let seen = ledger.close().await?;
    println!("{} states, {} addresses given, {} pieces held back", seen.states, seen.given, relay.held_back());
    ensure!(seen.doubles.is_empty(), "addresses shown by two: {:#?}", seen.doubles);
    ensure!(seen.moved.is_empty(), "addresses that moved: {:#?}", seen.moved);
    ensure!(seen.given > numbers.lasting, "none of those that came and went had an address");
    ensure!(relay.held_back() > 10, "the watch did not lag");
    Ok(())
}

/// Makes Services of which each is there for about as long as the watch lags: some are gone before the controller hears of them, some
/// while it writes them an address, and of what they give back it hears late.
async fn come_and_go(services: &Api<Service>, count: usize) -> Result<()> {
    stream::iter((0..count).map(anyhow::Ok))
        .try_for_each_concurrent(AT_ONCE * 8, |number| async move {
            let name = format!("passing-{number:05}");
            services.create(&PostParams::default(), &service(&name)?).await?;
            tokio::time::sleep(LAG + LAG / 8 * u32::try_from(number % 4)?).await;
            services.delete(&name, &DeleteParams::default()).await?;
            Ok(())
        })
        .await
}

/// CRDs, namespaces, the Eip, an Eip that cannot be read, and the policy.
async fn prepare(client: &Client, numbers: &Numbers) -> Result<()> {
    unreadable_eip(client).await?;
    // A busy server may take longer than the product waits.
    let mut tries = 1;
    while let Err(error) = apply_crds(client, |_| {}).await {
        ensure!(tries < 10 && matches!(error, CrdError::Timeout { .. }), "in try {tries}: {error:#}");
        tries += 1;
    }
    let namespaces: Api<Namespace> = Api::all(client.clone());
    for name in ["ironlb-system", NAMESPACE] {
        let namespace = serde_json::from_value(json!({"metadata": {"name": name}}))?;
        namespaces.create(&PostParams::default(), &namespace).await?;
    }
    let eip = json!({
        "apiVersion": "network.kubesphere.io/v1alpha2", "kind": "Eip", "metadata": {"name": "crowded"},
        "spec": {"address": numbers.addresses, "protocol": "layer2", "interface": "eth0"},
    });
    let eips: Api<Eip> = Api::all(client.clone());
    eips.create(&PostParams::default(), &serde_json::from_value(eip)?).await?;
    let policy = json!({
        "metadata": {"name": POLICY},
        "spec": {
            "failurePolicy": "Fail",
            "matchConstraints": {"resourceRules": [
                {"apiGroups": [""], "apiVersions": ["v1"], "resources": ["services/status"], "operations": ["UPDATE"]},
            ]},
            "validations": [{"expression": "object.metadata.name != 'refused'", "message": "not this one"}],
        },
    });
    let binding = json!({"metadata": {"name": POLICY}, "spec": {"policyName": POLICY, "validationActions": ["Deny"]}});
    for (kind, object) in [("ValidatingAdmissionPolicy", policy), ("ValidatingAdmissionPolicyBinding", binding)] {
        create_any(client, "admissionregistration.k8s.io", "v1", kind, object).await?;
    }
    Ok(())
}

/// Stores an Eip of wrong types under a CRD that lets everything in, as one of an older version might.
async fn unreadable_eip(client: &Client) -> Result<()> {
    let mut ours = crds().into_iter().find(|crd| crd.name_any().starts_with("eips.")).context("no CRD of Eips")?;
    let mut lax = serde_json::to_value(&ours)?;
    for version in lax["spec"]["versions"].as_array_mut().into_iter().flatten() {
        version["schema"] =
            json!({"openAPIV3Schema": {"type": "object", "x-kubernetes-preserve-unknown-fields": true}});
        if let Some(version) = version.as_object_mut() {
            version.remove("selectableFields");
        }
    }
    let crds: Api<CustomResourceDefinition> = Api::all(client.clone());
    let lax = crds.create(&PostParams::default(), &serde_json::from_value(lax)?).await?;
    let begun = Instant::now();
    let bad = json!({"metadata": {"name": "bad"}, "spec": {"address": 7, "namespaces": {"a": 1}, "priority": "high"}});
    while let Err(error) = create_any(client, "network.kubesphere.io", "v1alpha2", "Eip", bad.clone()).await {
        ensure!(begun.elapsed() < PATIENCE, "the bad Eip is not let in: {error:#}");
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    let now = crds.get(&lax.name_any()).await?;
    ours.metadata.resource_version = now.metadata.resource_version;
    crds.replace(&lax.name_any(), &PostParams::default(), &ours).await?;
    Ok(())
}

async fn create_any(client: &Client, group: &str, version: &str, kind: &str, object: Value) -> Result<()> {
    let resource = ApiResource::from_gvk(&GroupVersionKind::gvk(group, version, kind));
    let resource = match kind {
        "ValidatingAdmissionPolicy" => ApiResource { plural: "validatingadmissionpolicies".to_owned(), ..resource },
        _ => resource,
    };
    let mut object = object;
    object["apiVersion"] = json!(format!("{group}/{version}"));
    object["kind"] = json!(kind);
    let api: Api<DynamicObject> = Api::all_with(client.clone(), &resource);
    api.create(&PostParams::default(), &serde_json::from_value(object)?).await.with_context(|| kind.to_owned())?;
    Ok(())
}

fn service(name: &str) -> Result<Service> {
    let (opt_in, value, wanted) = (annotation::OPT_IN, annotation::OPT_IN_VALUE, annotation::WANTED_EIP);
    serde_json::from_value(json!({
        "metadata": {"name": name, "annotations": {opt_in: value, wanted: "crowded"}},
        "spec": {"type": "LoadBalancer", "allocateLoadBalancerNodePorts": false, "ports": [{"port": 80}]},
    }))
    .context("a Service")
}

async fn create(services: &Api<Service>, names: impl Iterator<Item = String>) -> Result<()> {
    stream::iter(names.map(anyhow::Ok))
        .try_for_each_concurrent(AT_ONCE, |name| async move {
            services.create(&PostParams::default(), &service(&name)?).await.map(drop).context(name)
        })
        .await
}

fn address(service: &Service) -> Option<String> {
    let status = service.status.as_ref()?.load_balancer.as_ref()?;
    status.ingress.as_ref()?.first()?.ip.clone()
}

/// The addresses of those that stay, by name.
async fn lasting(services: &Api<Service>) -> Result<BTreeMap<String, String>> {
    let all = services.list(&ListParams::default()).await?;
    let held = all.iter().filter(|service| service.name_any().starts_with(LASTING));
    Ok(held.filter_map(|service| Some((service.name_any(), address(service)?))).collect())
}

/// Every state that the API server shows, by a watch that does not lag.
struct Ledger {
    task: JoinHandle<Result<Seen>>,
    lasting: watch::Receiver<usize>,
    stop: CancellationToken,
}

#[derive(Debug, Default)]
struct Seen {
    /// How many of those that stay have an address.
    lasting: watch::Sender<usize>,
    states: usize,
    given: usize,
    holders: BTreeMap<String, String>,
    held: BTreeMap<String, String>,
    doubles: Vec<String>,
    moved: Vec<String>,
}

impl Ledger {
    async fn open(services: Api<Service>) -> Result<Self> {
        let version = services.list(&ListParams::default()).await?.metadata.resource_version.unwrap_or_default();
        let stop = CancellationToken::new();
        let seen = Seen::default();
        let lasting = seen.lasting.subscribe();
        let task = tokio::spawn(follow(services, version, seen, stop.clone()));
        Ok(Self { task, lasting, stop })
    }

    /// Waits until so many of those that stay have an address.
    async fn served(&mut self, count: usize) -> Result<()> {
        let served =
            timeout(PATIENCE, self.lasting.wait_for(|lasting| *lasting == count)).await.map(|told| told.is_ok());
        match served {
            Ok(true) => Ok(()),
            Ok(false) => (&mut self.task).await?.map(drop),
            Err(_) => bail!("{} of {count} have an address", *self.lasting.borrow()),
        }
    }

    async fn close(self) -> Result<Seen> {
        self.stop.cancel();
        self.task.await?
    }
}

async fn follow(services: Api<Service>, mut version: String, mut seen: Seen, stop: CancellationToken) -> Result<Seen> {
    loop {
        let mut events = services.watch(&WatchParams::default().timeout(290), &version).await?.boxed();
        loop {
            let event = tokio::select! {
                () = stop.cancelled() => return Ok(seen),
                event = events.next() => event,
            };
            let Some(event) = event else { break };
            match event? {
                WatchEvent::Added(service) | WatchEvent::Modified(service) => {
                    version = service.resource_version().unwrap_or_default();
                    seen.shows(&service.name_any(), address(&service));
                }
                WatchEvent::Deleted(service) => {
                    version = service.resource_version().unwrap_or_default();
                    seen.gone(&service.name_any());
                }
                WatchEvent::Bookmark(_) => {}
                WatchEvent::Error(error) => anyhow::bail!("the watch of the test: {error}"),
            }
        }
    }
}

impl Seen {
    fn shows(&mut self, name: &str, address: Option<String>) {
        self.states += 1;
        if self.held.get(name) == address.as_ref() {
            return;
        }
        if let Some(old) = self.held.remove(name) {
            self.moved.push(format!("{name}: {old} became {address:?}"));
            self.holders.remove(&old);
            self.count(name, -1);
        }
        let Some(address) = address else { return };
        self.given += 1;
        if let Some(other) = self.holders.insert(address.clone(), name.to_owned()) {
            self.doubles.push(format!("{address}: {other} and {name}"));
        }
        self.held.insert(name.to_owned(), address);
        self.count(name, 1);
    }

    fn gone(&mut self, name: &str) {
        self.states += 1;
        if let Some(old) = self.held.remove(name) {
            self.holders.remove(&old);
            self.count(name, -1);
        }
    }

    fn count(&self, name: &str, more: isize) {
        if name.starts_with(LASTING) {
            self.lasting.send_modify(|lasting| *lasting = lasting.saturating_add_signed(more));
        }
    }
}

#[test]
fn a_double_is_seen() {
    let mut seen = Seen::default();
    seen.shows("a", Some("10.0.0.1".to_owned()));
    seen.gone("a");
    seen.shows("b", Some("10.0.0.1".to_owned()));
    assert!(seen.doubles.is_empty());
    seen.shows("c", Some("10.0.0.1".to_owned()));
    assert_eq!(seen.doubles, ["10.0.0.1: b and c"]);
}
