//! The lab: a site with a real Kubernetes cluster, real nodes and real clients, on one Linux machine.
//!
//! What it does: makes namespaces that vanish with the process ([`capsule`]), and in them a LAN, a control plane (etcd, API
//! server, controllers, scheduler) and nodes with containerd, a kubelet and kube-proxy ([`Site::up`]), and routers with Debian's
//! routing daemons ([`Router`]); causes faults; and
//! measures with instruments that run in a host's network namespace ([`probe`], [`arp`], [`capture`]).
//!
//! What it does not do: nothing here is a stand-in. There is no mock of Kubernetes, of the network or of the kubelet, and no
//! knowledge of ironlb, which reaches the site as Helm installs it. Images are imported; nothing is ever pulled.
//!
//! Invariants: whatever kills the site's process leaves no process, namespace or mount behind, and no control group after
//! the next start. Nothing of the machine outside the capsule is changed. A capsule holds one site at a time; any number
//! of capsules run side by side.
//!
//! Where to start reading: [`Site`], then [`SiteSpec`]; `README.md` beside this crate says what a site costs.
//!
//! ```no_run
//! use ironlb_lab::{Lifetime, Site, SiteSpec, capsule};
//!
//! fn main() -> anyhow::Result<()> {
//!     // First of all, before any thread: this returns inside the capsule.
//!     let capsule = capsule::enter(Lifetime::OfTheCommand)?;
//!     tokio::runtime::Runtime::new()?.block_on(async {
//!         let site = Site::up(&capsule, SiteSpec::new(3)).await?;
//!         println!("{}", site.kubectl(&["get", "nodes"]).await?);
//!         site.node(1).cut_power().await?;
//!         Ok(())
//!     })
//! }
//! ```

pub mod arp;
mod arp_frame;
mod binaries;
pub mod capsule;
pub mod capture;
mod cgroups;
mod control_plane;
mod daemon;
mod instrument;
mod lan;
mod metronome;
pub mod netns;
mod network;
pub mod node;
mod owner;
mod packet_socket;
mod pcap;
mod pki;
mod place;
pub mod probe;
pub mod router;
mod site;
mod spec;
mod turns;
pub mod visit;
mod wait;
mod watches;

pub use capsule::{Capsule, Lifetime};
pub use daemon::Daemon;
pub use metronome::Metronome;
pub use netns::Netns;
pub use network::Network;
pub use node::Node;
pub use owner::SiteId;
pub use router::{Bfd, BfdPeer, Neighbour, Router, RouterConfig, Software};
pub use site::Site;
pub use spec::{Component, ProxyMode, RouterSpec, SANDBOX_IMAGE, SiteSpec};
pub use turns::{Turn, Turns};
pub use wait::wait_for;
