//! The description of a site: how many hosts, which proxy mode, which images. And the plan of its addresses.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Result, bail};

use crate::router::Software;

/// What a site consists of.
///
/// ```
/// use ironlb_lab::{ProxyMode, SiteSpec};
/// let spec = SiteSpec::new(3).clients(2).proxy_mode(ProxyMode::Iptables);
/// assert_eq!(spec.nodes, 3);
/// ```
#[derive(Debug, Clone)]
pub struct SiteSpec {
    /// Nodes `n1`, `n2`, ...; 1 to 90.
    pub nodes: u8,
    /// Client hosts `c1`, `c2`, ... on the same LAN; 0 to 40.
    pub clients: u8,
    /// Routers `r1`, `r2`, ... on the same LAN; at most 9.
    pub routers: Vec<RouterSpec>,
    /// How kube-proxy programs the kernel.
    pub proxy_mode: ProxyMode,
    /// OCI archives that every node has before its kubelet starts. One of them must hold [`SANDBOX_IMAGE`].
    pub images: Vec<PathBuf>,
    /// How long a silent node stays Ready; None for Kubernetes' own default.
    pub node_monitor_grace: Option<Duration>,
    /// More flags for a component, behind the lab's own.
    pub flags: Vec<(Component, String)>,
    /// Whether each step is told on standard error.
    pub progress: bool,
}

/// A router of the site.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RouterSpec {
    /// Which daemon it runs.
    pub software: Software,
    /// A client host is behind it.
    pub client: bool,
}

/// The image that holds a pod's namespaces.
pub const SANDBOX_IMAGE: &str = "localhost/lab/pause:1";

/// How kube-proxy programs the kernel.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ProxyMode {
    /// `--proxy-mode=nftables`.
    Nftables,
    /// `--proxy-mode=iptables`.
    Iptables,
}

/// A program of Kubernetes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Component {
    /// The store, on the control plane's host.
    Etcd,
    /// kube-apiserver.
    ApiServer,
    /// kube-controller-manager.
    ControllerManager,
    /// kube-scheduler.
    Scheduler,
    /// The container runtime of a node.
    Containerd,
    /// The kubelet of a node.
    Kubelet,
    /// kube-proxy of a node.
    KubeProxy,
}

impl Component {
    /// The name of its process and of its log.
    pub fn name(self) -> &'static str {
        match self {
            Self::Etcd => "etcd",
            Self::ApiServer => "apiserver",
            Self::ControllerManager => "controller-manager",
            Self::Scheduler => "scheduler",
            Self::Containerd => "containerd",
            Self::Kubelet => "kubelet",
            Self::KubeProxy => "proxy",
        }
    }
}

impl SiteSpec {
    /// A site of so many nodes, one client, kube-proxy in nftables mode, and the images that the environment names
    /// (`IRONLB_IMAGES`, a folder; every `*.tar` in it).
    pub fn new(nodes: u8) -> Self {
        Self {
            nodes,
            clients: 1,
            routers: Vec::new(),
            proxy_mode: ProxyMode::Nftables,
            images: images_from_environment(),
            node_monitor_grace: None,
            flags: Vec::new(),
            progress: true,
        }
    }

    /// Sets the number of clients.
    #[must_use]
    pub fn clients(mut self, clients: u8) -> Self {
        self.clients = clients;
        self
    }

    /// Adds a router. Its daemon starts when a test says with which configuration.
    #[must_use]
    pub fn router(mut self, software: Software) -> Self {
        self.routers.push(RouterSpec { software, client: false });
        self
    }

    /// Adds a router with a client host behind it, which reaches the LAN through the router's kernel alone: `r1c` behind `r1`.
    #[must_use]
    pub fn router_with_client(mut self, software: Software) -> Self {
        self.routers.push(RouterSpec { software, client: true });
        self
    }

    /// Sets the proxy mode.
    #[must_use]
    pub fn proxy_mode(mut self, mode: ProxyMode) -> Self {
        self.proxy_mode = mode;
        self
    }

    /// Adds an image that every node has from the start.
    #[must_use]
    pub fn image(mut self, archive: impl Into<PathBuf>) -> Self {
        self.images.push(archive.into());
        self
    }

    /// Sets how long a silent node stays Ready.
    #[must_use]
    pub fn node_monitor_grace(mut self, grace: Duration) -> Self {
        self.node_monitor_grace = Some(grace);
        self
    }

    /// Adds a flag to a component.
    #[must_use]
    pub fn flag(mut self, component: Component, flag: &str) -> Self {
        self.flags.push((component, flag.to_owned()));
        self
    }

    /// The flags added for a component.
    pub(crate) fn flags_of(&self, component: Component) -> impl Iterator<Item = String> + '_ {
        self.flags.iter().filter(move |(of, _)| *of == component).map(|(_, flag)| flag.clone())
    }

    /// The hosts on the LAN beside the control plane's.
    pub(crate) fn hosts(&self) -> Vec<Address> {
        let nodes = (1..=self.nodes).map(Address::node);
        let routers = (1..).zip(&self.routers).map(|(number, router)| Address::router(number, router.client));
        nodes.chain((1..=self.clients).map(Address::client)).chain(routers).collect()
    }

    pub(crate) fn check(&self) -> Result<()> {
        if !(1..=90).contains(&self.nodes) || self.clients > 40 {
            bail!("a site has 1 to 90 nodes and at most 40 clients, not {} and {}", self.nodes, self.clients);
        }
        if self.routers.len() > 9 {
            bail!("a site has at most 9 routers, not {}", self.routers.len());
        }
        if self.images.is_empty() {
            bail!("no images: IRONLB_IMAGES names no folder with archives, and the description none");
        }
        Ok(())
    }
}

fn images_from_environment() -> Vec<PathBuf> {
    let Some(folder) = std::env::var_os("IRONLB_IMAGES") else { return Vec::new() };
    let entries = std::fs::read_dir(folder).into_iter().flatten().flatten().map(|entry| entry.path());
    let mut archives: Vec<PathBuf> = entries.filter(|path| path.extension().is_some_and(|end| end == "tar")).collect();
    archives.sort();
    archives
}

/// A host of the LAN and its addresses.
///
/// The LAN is 192.168.0.0/24 and fd00::/64: nodes from .1, clients from .201, routers from .241, the control plane and gateway at
/// .254. The
/// manifests in `examples/` give out .61 to .130 and so apply as they stand; .131 to .200 is the tests' own, for vips. In
/// the IPv6 addresses the same numbers are read as they are written: node 12 is fd00::12.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Address {
    pub(crate) name: String,
    pub(crate) v4: Ipv4Addr,
    pub(crate) v6: Ipv6Addr,
    pub(crate) mac: String,
    /// The number of a node, which also names its pods' networks; None for a host without pods.
    pub(crate) node: Option<u8>,
    /// Is it a router, and who is behind it?
    pub(crate) router: bool,
    pub(crate) behind: Option<Behind>,
}

/// The client behind a router: on a link of its own, 172.20.N.0/24 and fd20:N::/64 for router N, where the router is .1.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Behind {
    pub(crate) host: String,
    number: u8,
}

impl Behind {
    pub(crate) fn networks(&self) -> (String, String) {
        (format!("172.20.{}.0/24", self.number), format!("fd20:{}::/64", self.number))
    }

    pub(crate) fn addresses(&self, last: u8) -> (String, String) {
        (format!("172.20.{}.{last}", self.number), format!("fd20:{}::{last}", self.number))
    }
}

impl Address {
    pub(crate) fn node(number: u8) -> Self {
        Self { node: Some(number), ..Self::host(format!("n{number}"), number) }
    }

    pub(crate) fn client(number: u8) -> Self {
        Self::host(format!("c{number}"), number + 200)
    }

    pub(crate) fn router(number: u8, client: bool) -> Self {
        let name = format!("r{number}");
        let behind = client.then(|| Behind { host: format!("{name}c"), number });
        Self { router: true, behind, ..Self::host(name, number + 240) }
    }

    pub(crate) fn control_plane() -> Self {
        Self::host(crate::netns::CONTROL_PLANE.to_owned(), 254)
    }

    fn host(name: String, last: u8) -> Self {
        let digits = u16::from_str_radix(&last.to_string(), 16).unwrap_or_default();
        Self {
            name,
            v4: Ipv4Addr::new(192, 168, 0, last),
            v6: Ipv6Addr::new(0xfd00, 0, 0, 0, 0, 0, 0, digits),
            // Locally administered; the last byte is the IPv4 address's, so that a capture can be read.
            mac: format!("02:00:00:00:00:{last:02x}"),
            node: None,
            router: false,
            behind: None,
        }
    }

    /// Its own address of the same family.
    pub(crate) fn of_family(&self, other: &IpAddr) -> IpAddr {
        if other.is_ipv4() { self.v4.into() } else { self.v6.into() }
    }

    /// The networks that lie behind this host: a node's pods, a router's client.
    pub(crate) fn networks(&self) -> Option<(String, String)> {
        self.pods().or_else(|| self.behind.as_ref().map(Behind::networks))
    }

    /// The networks of the pods on this node.
    pub(crate) fn pods(&self) -> Option<(String, String)> {
        self.node.map(|number| (format!("10.244.{number}.0/24"), format!("fd00:244:{number}::/64")))
    }
}

/// All pods of all nodes, for kube-proxy.
pub(crate) const POD_NETWORKS: &str = "10.244.0.0/16,fd00:244::/32";
/// Where Services get their cluster addresses from.
pub(crate) const SERVICE_NETWORKS: &str = "10.96.0.0/16,fd00:96::/112";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_carry_the_hosts_number() {
        let node = Address::node(12);
        assert_eq!((node.v4.to_string(), node.v6.to_string()), ("192.168.0.12".into(), "fd00::12".into()));
        assert_eq!(node.pods(), Some(("10.244.12.0/24".into(), "fd00:244:12::/64".into())));
        assert_eq!(Address::client(1).v4.to_string(), "192.168.0.201");
        let router = Address::router(2, true);
        assert_eq!((router.v4.to_string(), router.v6.to_string()), ("192.168.0.242".into(), "fd00::242".into()));
        assert_eq!(router.networks(), Some(("172.20.2.0/24".into(), "fd20:2::/64".into())));
        assert_eq!(Address::control_plane().v6.to_string(), "fd00::254");
        assert_eq!(Address::control_plane().mac, "02:00:00:00:00:fe");
    }

    #[test]
    fn a_site_that_cannot_be_numbered_is_refused() {
        let spec = |nodes| SiteSpec { images: vec!["pause.tar".into()], ..SiteSpec::new(nodes) };
        assert!(spec(0).check().is_err());
        assert!(spec(91).check().is_err());
        assert!(spec(3).clients(41).check().is_err());
        assert!(spec(90).clients(40).check().is_ok());
        let many = (0..10).fold(spec(3), |spec, _| spec.router(Software::Bird));
        assert!(many.check().is_err());
        assert!(SiteSpec { images: Vec::new(), ..SiteSpec::new(3) }.check().is_err());
    }
}
