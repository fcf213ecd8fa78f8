//! A node: a host whose namespaces hold a container runtime, a kubelet and a kube-proxy.

mod config;
mod power;
mod processes;

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::path::{Path, PathBuf};
use std::process::{Child, Stdio};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, SystemTime};

use anyhow::{Context, Result, bail};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

pub use self::processes::{Container, Process};
use crate::binaries::Binaries;
use crate::cgroups::Cgroups;
use crate::control_plane::{log_folder, pki_folder};
use crate::daemon::Daemon;
use crate::lan;
use crate::netns::{Netns, off_runtime};
use crate::place::{Place, node_folder};
use crate::spec::{Address, Component, SiteSpec};
use crate::wait::wait_for;

/// The runtime's socket, on the node.
const RUNTIME_SOCKET: &str = "run/containerd/containerd.sock";

/// How long a program of a node may take to serve. Chosen: ten times what it takes on two busy cores.
const STARTED_WITHIN: Duration = Duration::from_secs(60);

/// A node of the site.
#[derive(Debug)]
pub struct Node {
    address: Address,
    hosts: Vec<Address>,
    binaries: Binaries,
    /// The first process of its namespaces, while it has power, and since when that is.
    power: Mutex<Option<(Child, SystemTime)>>,
    containerd: Daemon,
    kubelet: Daemon,
    proxy: Daemon,
}

impl Node {
    /// Describes the node and writes its programs' configuration; starts nothing.
    pub(crate) fn prepare(spec: &SiteSpec, address: &Address, hosts: &[Address], binaries: &Binaries) -> Result<Self> {
        config::write(address)?;
        let name = &address.name;
        let logs = log_folder().join(name);
        std::fs::create_dir_all(&logs)?;
        let (folder, pki) = (node_folder(name).display().to_string(), pki_folder().display().to_string());
        let program = |component: Component, arguments: String| {
            let mut argv: Vec<String> = arguments.split_whitespace().map(str::to_owned).collect();
            argv.extend(spec.flags_of(component));
            let log = logs.join(format!("{}.log", component.name()));
            let label = format!("{name}/{}", component.name());
            Daemon::new(&label, Place::Node(name.clone()), argv, &binaries.search_path(), log)
        };
        let controlplane = binaries.path("controlplane");
        Ok(Self {
            containerd: program(
                Component::Containerd,
                format!("{} --config {folder}/containerd.toml", binaries.path("containerd")),
            ),
            kubelet: program(
                Component::Kubelet,
                format!(
                    "{controlplane} kubelet --config {folder}/kubelet.json --kubeconfig {pki}/{name}.conf
                     --hostname-override {name} --node-ip {},{}",
                    address.v4, address.v6
                ),
            ),
            proxy: program(Component::KubeProxy, config::proxy_command(spec, address, &controlplane, &pki)),
            address: address.clone(),
            hosts: hosts.to_vec(),
            binaries: binaries.clone(),
            power: Mutex::new(None),
        })
    }

    /// The node's name, in the cluster and on the LAN.
    pub fn name(&self) -> &str {
        &self.address.name
    }

    /// Its IPv4 address on the LAN.
    pub fn ipv4(&self) -> Ipv4Addr {
        self.address.v4
    }

    /// Its IPv6 address on the LAN.
    pub fn ipv6(&self) -> Ipv6Addr {
        self.address.v6
    }

    /// The MAC address of its `eth0`, as `02:00:00:00:00:01`.
    pub fn mac(&self) -> &str {
        &self.address.mac
    }

    /// Its network namespace, for instruments.
    pub fn netns(&self) -> Netns {
        Netns::named(self.name())
    }

    /// Its addresses, IPv4 first.
    pub fn addresses(&self) -> [IpAddr; 2] {
        [self.address.v4.into(), self.address.v6.into()]
    }

    /// One of its programs.
    ///
    /// # Errors
    /// The component belongs to the control plane.
    pub fn component(&self, component: Component) -> Result<&Daemon> {
        match component {
            Component::Containerd => Ok(&self.containerd),
            Component::Kubelet => Ok(&self.kubelet),
            Component::KubeProxy => Ok(&self.proxy),
            other => bail!("{} does not run on a node", other.name()),
        }
    }

    /// Restarts one of its programs, and waits until it is so far that it survives a restart of another.
    ///
    /// # Errors
    /// The component belongs to the control plane, or cannot be started again.
    pub async fn restart(&self, component: Component) -> Result<()> {
        self.component(component)?.restart().await?;
        match component {
            Component::Containerd => self.runtime_answers().await,
            // One that finds no runtime while it starts ends; it serves its port once it has found it.
            Component::Kubelet => {
                wait_for(STARTED_WITHIN, &format!("the kubelet of {} to serve", self.name()), || async {
                    self.exec(&["bash", "-c", "exec 3<>/dev/tcp/127.0.0.1/10250"]).await.map(|_| Some(()))
                })
                .await
            }
            _ => Ok(()),
        }
    }

    /// All programs of the lab's own on this node.
    pub fn components(&self) -> [&Daemon; 3] {
        [&self.containerd, &self.kubelet, &self.proxy]
    }

    /// Runs a command on the node, in all its namespaces, and gives its standard output.
    ///
    /// # Errors
    /// The node has no power or is frozen, or the command fails; its standard error is in the message.
    pub async fn exec(&self, argv: &[&str]) -> Result<String> {
        // The command would stop in the moment in which it became one of the node's.
        if self.is_frozen() {
            bail!("{} is frozen", self.name());
        }
        let place = Place::Node(self.name().to_owned());
        let mut command = place.command(&argv.iter().map(|word| (*word).to_owned()).collect::<Vec<_>>())?;
        command.stdin(Stdio::null()).env("PATH", self.binaries.search_path());
        let what = format!("{} on {}", argv.join(" "), self.name());
        let output = off_runtime(move || place.output(&mut command)).await?.with_context(|| what.clone())?;
        if !output.status.success() {
            bail!("{what}: {}: {}", output.status, String::from_utf8_lossy(&output.stderr).trim());
        }
        Ok(String::from_utf8_lossy(&output.stdout).into_owned())
    }

    /// Gives the node's runtime an image out of an OCI archive.
    ///
    /// # Errors
    /// The archive cannot be read, or the runtime does not run.
    pub async fn import_image(&self, archive: &Path) -> Result<()> {
        let archive = archive.to_str().context("an archive whose path is not text")?;
        // From the capsule: the client reads the archive and streams it, so it need not be visible on the node.
        let socket = self.runtime_socket();
        let socket = socket.to_str().unwrap_or_default();
        let ctr = self.binaries.path("ctr");
        let argv = [&ctr, "-a", socket, "-n", "k8s.io", "image", "import", "--snapshotter", "overlayfs", archive];
        Netns::named(crate::netns::CONTROL_PLANE).exec(&argv).await.map(drop)
    }

    /// Starts the runtime, waits until it answers, and gives it the images.
    pub(crate) async fn start_runtime(&self, images: &[PathBuf]) -> Result<()> {
        self.containerd.start()?;
        self.runtime_answers().await?;
        for image in images {
            self.import_image(image).await?;
        }
        Ok(())
    }

    async fn runtime_answers(&self) -> Result<()> {
        let socket = self.runtime_socket();
        wait_for(STARTED_WITHIN, &format!("the runtime of {}", self.name()), || async {
            if let Some(status) = self.containerd.ended() {
                return Ok(Some(Err(anyhow::anyhow!("containerd of {} ended: {status}", self.name()))));
            }
            Ok(std::os::unix::net::UnixStream::connect(&socket).is_ok().then_some(Ok(())))
        })
        .await?
    }

    pub(crate) fn start_kubelet(&self) -> Result<()> {
        self.kubelet.start()
    }

    pub(crate) fn start_proxy(&self) -> Result<()> {
        self.proxy.start()
    }

    /// Plugs the node's cable in, or pulls it: the node sees its carrier come and go.
    ///
    /// # Errors
    /// The switch has no such port.
    pub fn cable(&self, plugged: bool) -> Result<()> {
        lan::set_cable(self.name(), plugged)
    }

    /// Freezes a process of the node (SIGSTOP), by its id in the capsule ([`Process::lab_pid`]).
    ///
    /// # Errors
    /// There is no such process.
    pub fn freeze(&self, lab_pid: u32) -> Result<()> {
        signal(lab_pid, Signal::SIGSTOP)
    }

    /// Lets a frozen process go on.
    ///
    /// # Errors
    /// There is no such process.
    pub fn thaw(&self, lab_pid: u32) -> Result<()> {
        signal(lab_pid, Signal::SIGCONT)
    }

    /// Freezes every process of the node at once, its programs' and its containers', by the control groups' freezer; none is told, and
    /// none is seen by another to have stopped. What the kernel does goes on: the carrier stays, it answers ARP and pings for the
    /// node's own addresses, and forwards to Services. Until [`Node::thaw_all`] or a power cut no command can be run on the node.
    ///
    /// # Errors
    /// The node has no power, or the machine has no such freezer.
    pub fn freeze_all(&self) -> Result<()> {
        if !self.has_power() {
            bail!("{} has no power", self.name());
        }
        Cgroups::detect()?.set_frozen(self.name(), true)
    }

    /// Lets every process of a frozen node go on; one that was frozen by itself stays so.
    ///
    /// # Errors
    /// As [`Node::freeze_all`].
    pub fn thaw_all(&self) -> Result<()> {
        if !self.has_power() {
            bail!("{} has no power", self.name());
        }
        Cgroups::detect()?.set_frozen(self.name(), false)
    }

    /// Whether all of the node stands still.
    pub fn is_frozen(&self) -> bool {
        Cgroups::detect().is_ok_and(|cgroups| cgroups.is_frozen(self.name()))
    }

    /// Kills a process of the node (SIGKILL).
    ///
    /// # Errors
    /// There is no such process.
    pub fn kill(&self, lab_pid: u32) -> Result<()> {
        signal(lab_pid, Signal::SIGKILL)
    }

    /// Asks a process of the node to end (SIGTERM), as a shutdown does.
    ///
    /// # Errors
    /// There is no such process.
    pub fn terminate(&self, lab_pid: u32) -> Result<()> {
        signal(lab_pid, Signal::SIGTERM)
    }

    fn runtime_socket(&self) -> PathBuf {
        node_folder(self.name()).join(RUNTIME_SOCKET)
    }

    /// Whether the node's first process runs.
    pub fn has_power(&self) -> bool {
        self.powered_since().is_some()
    }

    /// Since when the node has power; None while it has none.
    pub fn powered_since(&self) -> Option<SystemTime> {
        self.power.lock().unwrap_or_else(PoisonError::into_inner).as_ref().map(|(_, since)| *since)
    }
}

fn signal(pid: u32, signal: Signal) -> Result<()> {
    kill(Pid::from_raw(i32::try_from(pid)?), signal).with_context(|| format!("{signal} to process {pid}"))
}
