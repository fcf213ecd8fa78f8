//! The site: bringing it up, and what a test asks of it.

mod commands;
mod faults;

pub(crate) use self::commands::{tail, with_kubeconfig};

use std::collections::BTreeMap;
use std::fmt;
use std::net::{IpAddr, Ipv4Addr, SocketAddr, TcpStream};
use std::path::Path;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant, SystemTime};

use anyhow::{Context, Result};
use futures::future::try_join_all;
use k8s_openapi::api::coordination::v1::Lease;
use k8s_openapi::api::core::v1::{Node as NodeObject, ServiceAccount};
use k8s_openapi::api::rbac::v1::ClusterRoleBinding;
use kube::api::{Api, ListParams, PostParams};
use serde_json::json;

use crate::binaries::Binaries;
use crate::capsule::state_folder;
use crate::control_plane::{ControlPlane, KUBELET_CLIENT, admin_client};
use crate::daemon::Daemon;
use crate::netns::{Netns, off_runtime};
use crate::node::Node;
use crate::router::Router;
use crate::spec::{Address, Component, SiteSpec};
use crate::wait::wait_for;
use crate::{Capsule, lan, watches};

/// How long a step of the start may take. Chosen: ten times what it takes on two idle cores.
const PATIENCE: Duration = Duration::from_secs(120);

/// The API server as pods know it: the first address of the Services' network.
const API_SERVICE: SocketAddr = SocketAddr::new(IpAddr::V4(Ipv4Addr::new(10, 96, 0, 1)), 443);

/// A running site. It ends with [`Site::down`], or with the capsule.
pub struct Site {
    spec: SiteSpec,
    binaries: Binaries,
    control_plane: ControlPlane,
    nodes: Vec<Node>,
    routers: Vec<Router>,
    client: kube::Client,
    timings: Vec<(String, Duration)>,
}

impl Site {
    /// Waits until the machine has room for such a site beside those that run, and takes it. [`Site::up`] does it too; who holds
    /// something that other sites wait for calls this before.
    ///
    /// # Errors
    /// There never is room, or not for a long time; the message says of what.
    pub async fn room(capsule: &Capsule, spec: &SiteSpec) -> Result<()> {
        watches::take(&state_folder()?, capsule.id(), spec).await
    }

    /// Brings the site up inside the capsule; every node is Ready when this returns.
    ///
    /// A capsule holds one site at a time.
    ///
    /// # Errors
    /// A program is missing, cannot be started, or does not become ready in time; its log's end is in the message.
    pub async fn up(capsule: &Capsule, spec: SiteSpec) -> Result<Self> {
        spec.check()?;
        Self::room(capsule, &spec).await?;
        let mut clock = Clock::start(spec.progress);
        let binaries = Binaries::find()?;
        let (control_plane, nodes, hosts) = {
            let (spec, binaries) = (spec.clone(), binaries.clone());
            off_runtime(move || describe(&spec, &binaries)).await??
        };
        clock.step("keys, certificates and configuration");
        control_plane.etcd.start()?;
        control_plane.api_server.start()?;
        off_runtime(move || lan::build(&hosts)).await??;
        clock.step("LAN, etcd and API server started");
        let client = admin_client().await?;
        let clock = Mutex::new(clock);
        let step = |what: &str| clock.lock().unwrap_or_else(PoisonError::into_inner).step(what);
        let hosts = (1..).zip(&spec.routers).map(|(number, router)| (Address::router(number, router.client), router));
        let routers = hosts.map(|(address, router)| Router::new(&address, router.software)).collect();
        let site = Self { spec, binaries, control_plane, nodes, routers, client, timings: Vec::new() };
        let brought_up = async {
            tokio::try_join!(site.bring_up_control_plane(&step), site.bring_up_nodes(&step))?;
            site.nodes_ready(PATIENCE).await?;
            step("all nodes Ready");
            tokio::try_join!(site.pods_can_be_made(), site.services_work(PATIENCE)).map(drop)
        };
        if let Err(error) = brought_up.await {
            site.dump_logs().await;
            return Err(error);
        }
        step("pods can be made, Services work on every node");
        let timings = clock.into_inner().unwrap_or_else(PoisonError::into_inner).steps;
        Ok(Self { timings, ..site })
    }

    /// Waits for the API server and starts what needs it.
    async fn bring_up_control_plane(&self, step: &impl Fn(&str)) -> Result<()> {
        self.api_ready(PATIENCE).await?;
        step("API server ready");
        self.control_plane.controller_manager.start()?;
        self.control_plane.scheduler.start()?;
        for node in &self.nodes {
            node.start_proxy()?;
        }
        self.let_api_server_call_kubelets().await
    }

    async fn bring_up_nodes(&self, step: &impl Fn(&str)) -> Result<()> {
        for node in &self.nodes {
            node.boot()?;
        }
        try_join_all(self.nodes.iter().map(|node| async {
            node.start_runtime(&self.spec.images).await?;
            node.start_kubelet()
        }))
        .await?;
        step("runtimes have their images, kubelets started");
        Ok(())
    }

    /// Waits until the API server says that it is ready.
    ///
    /// # Errors
    /// Time is up, or it has ended.
    pub async fn api_ready(&self, within: Duration) -> Result<()> {
        wait_for(within, "the API server", || async {
            if let Some(status) = self.control_plane.api_server.ended() {
                return Ok(Some(Err(anyhow::anyhow!("the API server ended: {status}"))));
            }
            let request = http::Request::get("/readyz").body(Vec::new())?;
            Ok((self.client.request_text(request).await? == "ok").then_some(Ok(())))
        })
        .await?
    }

    /// Waits until the nodes that have power have got over an outage of the API server: the kubelet of each has been heard since this
    /// was called, its node is Ready, and kube-proxy leads to the API server again. A kubelet that was connected when the API server
    /// stopped may take 45 s to see that its connection is dead; kube-proxy has heard that the Service of the API server has no endpoint
    /// any more, and asks again only after a minute (measured).
    ///
    /// # Errors
    /// Time is up.
    pub async fn nodes_back(&self, within: Duration) -> Result<()> {
        let leases: Api<Lease> = Api::namespaced(self.client.clone(), "kube-node-lease");
        let versions = || async {
            let list = leases.list(&ListParams::default()).await?;
            Ok::<_, anyhow::Error>(
                list.into_iter()
                    .map(|lease| (lease.metadata.name, lease.metadata.resource_version))
                    .collect::<BTreeMap<_, _>>(),
            )
        };
        let before = versions().await?;
        wait_for(within, "every kubelet to be heard again", || async {
            let now = versions().await?;
            let mut powered =
                self.nodes.iter().filter(|node| node.has_power()).map(|node| Some(node.name().to_owned()));
            Ok(powered.all(|name| now.get(&name).is_some_and(|new| Some(new) != before.get(&name))).then_some(()))
        })
        .await?;
        self.services_work(within).await?;
        self.nodes_ready(within).await
    }

    /// Waits until every node that has power is Ready, as its kubelet says since it has power: what the API server still
    /// believes of a node from before a power cut does not count.
    ///
    /// # Errors
    /// Time is up.
    pub async fn nodes_ready(&self, within: Duration) -> Result<()> {
        let api: Api<NodeObject> = Api::all(self.client.clone());
        wait_for(within, "all nodes to be Ready", || async {
            let list = api.list(&ListParams::default()).await?;
            let told = |node: &Node| list.iter().find(|object| object.metadata.name.as_deref() == Some(node.name()));
            let mut powered = self.nodes.iter().filter_map(|node| Some((node, node.powered_since()?)));
            Ok(powered
                .all(|(node, since)| told(node).is_some_and(|object| is_ready_since(object, since)))
                .then_some(()))
        })
        .await
    }

    /// Waits for what every pod has: a pod made before its ServiceAccount is refused.
    async fn pods_can_be_made(&self) -> Result<()> {
        let api: Api<ServiceAccount> = Api::default_namespaced(self.client.clone());
        wait_for(PATIENCE, "the default ServiceAccount", || async { Ok(api.get_opt("default").await?) }).await.map(drop)
    }

    /// Waits until the kube-proxy of each node that has power leads to the API server's own Service, which every pod asks first.
    async fn services_work(&self, within: Duration) -> Result<()> {
        let powered = self.nodes.iter().filter(|node| node.has_power());
        try_join_all(powered.map(|node| async {
            wait_for(within, &format!("kube-proxy of {}", node.name()), || async {
                let namespace = node.netns();
                off_runtime(move || {
                    namespace.run(|| TcpStream::connect_timeout(&API_SERVICE, Duration::from_millis(200)))
                })
                .await???;
                Ok(Some(()))
            })
            .await
        }))
        .await
        .map(drop)
    }

    /// What `kubectl logs` and `exec` need: the API server's own user may use the kubelets' API.
    async fn let_api_server_call_kubelets(&self) -> Result<()> {
        let binding: ClusterRoleBinding = serde_json::from_value(json!({
            "metadata": {"name": "lab:apiserver-calls-kubelets"},
            "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": "system:kubelet-api-admin"},
            "subjects": [{"apiGroup": "rbac.authorization.k8s.io", "kind": "User", "name": KUBELET_CLIENT}],
        }))?;
        let api: Api<ClusterRoleBinding> = Api::all(self.client.clone());
        api.create(&PostParams::default(), &binding).await.context("the API server's right to call kubelets")?;
        Ok(())
    }

    /// A client of the API server with all rights; clones share its connections.
    pub fn client(&self) -> kube::Client {
        self.client.clone()
    }

    /// The description it was made from.
    pub fn spec(&self) -> &SiteSpec {
        &self.spec
    }

    /// Node `number`, counted from 1 as in its name.
    ///
    /// # Panics
    /// The site has no such node, which is a fault of the test.
    pub fn node(&self, number: usize) -> &Node {
        assert!((1..=self.nodes.len()).contains(&number), "the site has nodes 1 to {}", self.nodes.len());
        &self.nodes[number - 1]
    }

    /// The node of this name, as a pod's `spec.nodeName` has it.
    ///
    /// # Errors
    /// The site has no such node.
    pub fn node_named(&self, name: &str) -> Result<&Node> {
        self.nodes.iter().find(|node| node.name() == name).with_context(|| format!("the site has no node {name}"))
    }

    /// All nodes.
    pub fn nodes(&self) -> &[Node] {
        &self.nodes
    }

    /// Router `number`, counted from 1 as in its name.
    ///
    /// # Panics
    /// The site has no such router, which is a fault of the test.
    pub fn router(&self, number: usize) -> &Router {
        assert!((1..=self.routers.len()).contains(&number), "the site has routers 1 to {}", self.routers.len());
        &self.routers[number - 1]
    }

    /// All routers.
    pub fn routers(&self) -> &[Router] {
        &self.routers
    }

    /// The network namespace of a host: a node, a client (`c1`), the control plane (`cp`) or the switch (`lan`), in which
    /// each host's cable is an interface of the host's name.
    pub fn netns(&self, name: &str) -> Netns {
        Netns::named(name)
    }

    /// A program of the control plane.
    ///
    /// # Errors
    /// The component runs on nodes.
    pub fn component(&self, component: Component) -> Result<&Daemon> {
        let plane = &self.control_plane;
        match component {
            Component::Etcd => Ok(&plane.etcd),
            Component::ApiServer => Ok(&plane.api_server),
            Component::ControllerManager => Ok(&plane.controller_manager),
            Component::Scheduler => Ok(&plane.scheduler),
            other => anyhow::bail!("{} runs on nodes", other.name()),
        }
    }

    /// Restarts a program of the control plane.
    ///
    /// # Errors
    /// The component runs on nodes, or cannot be started again.
    pub async fn restart(&self, component: Component) -> Result<()> {
        self.component(component)?.restart().await
    }

    /// The API server, to be stopped and started. After a start, [`Site::api_ready`] waits for it.
    pub fn api_server(&self) -> &Daemon {
        &self.control_plane.api_server
    }

    /// What each step of the start took, from the start of the site.
    pub fn timings(&self) -> &[(String, Duration)] {
        &self.timings
    }

    /// Gives every node that has power an image out of an OCI archive.
    ///
    /// # Errors
    /// The archive cannot be read, or a runtime does not run.
    pub async fn import_image(&self, archive: &Path) -> Result<()> {
        let powered = self.nodes.iter().filter(|node| node.has_power());
        try_join_all(powered.map(|node| node.import_image(archive))).await.map(drop)
    }

    /// The programs of the control plane and of all nodes.
    pub(crate) fn daemons(&self) -> impl Iterator<Item = &Daemon> {
        let plane = &self.control_plane;
        let own = [&plane.etcd, &plane.api_server, &plane.controller_manager, &plane.scheduler];
        own.into_iter().chain(self.nodes.iter().flat_map(Node::components))
    }

    /// Takes the site down, so that the capsule is as empty as before.
    ///
    /// # Errors
    /// Something cannot be removed.
    pub async fn down(self) -> Result<()> {
        try_join_all(self.routers.iter().map(Router::stop)).await?;
        for node in &self.nodes {
            node.remove().await?;
        }
        for daemon in self.daemons() {
            daemon.kill()?;
        }
        let hosts = self.spec.hosts();
        for host in hosts.iter().filter(|host| host.node.is_none()).chain([&Address::control_plane()]) {
            lan::detach(&host.name)?;
            host.behind.as_ref().map_or(Ok(()), lan::detach_behind)?;
        }
        lan::remove()?;
        for entry in std::fs::read_dir(crate::capsule::SITE_FOLDER)? {
            let path = entry?.path();
            if path.is_dir() { std::fs::remove_dir_all(path)? } else { std::fs::remove_file(path)? }
        }
        Ok(())
    }
}

impl fmt::Debug for Site {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // kube's client has nothing to show.
        f.debug_struct("Site").field("spec", &self.spec).field("nodes", &self.nodes).finish_non_exhaustive()
    }
}

/// Writes all files and describes all programs.
fn describe(spec: &SiteSpec, binaries: &Binaries) -> Result<(ControlPlane, Vec<Node>, Vec<Address>)> {
    let mut hosts = spec.hosts();
    hosts.push(Address::control_plane());
    let control_plane = ControlPlane::prepare(spec, binaries)?;
    let nodes = hosts.iter().filter(|host| host.node.is_some());
    let nodes = nodes.map(|host| Node::prepare(spec, host, &hosts, binaries)).collect::<Result<_>>()?;
    Ok((control_plane, nodes, hosts))
}

fn is_ready_since(node: &NodeObject, since: SystemTime) -> bool {
    let conditions = node.status.iter().filter_map(|status| status.conditions.as_ref()).flatten();
    let since = since.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default().as_secs();
    conditions.into_iter().any(|condition| {
        let told = condition.last_heartbeat_time.as_ref().map_or(0, |time| time.0.as_second());
        // The API server keeps whole seconds.
        condition.type_ == "Ready" && condition.status == "True" && u64::try_from(told).is_ok_and(|told| told >= since)
    })
}

/// Tells and remembers when each step was done.
struct Clock {
    start: Instant,
    told: bool,
    steps: Vec<(String, Duration)>,
}

impl Clock {
    fn start(told: bool) -> Self {
        Self { start: Instant::now(), told, steps: Vec::new() }
    }

    fn step(&mut self, what: &str) {
        let after = self.start.elapsed();
        if self.told {
            eprintln!("lab: {:5.1} s  {what}", after.as_secs_f32());
        }
        self.steps.push((what.to_owned(), after));
    }
}
