//! The lab: a site with a real Kubernetes cluster, real nodes and real clients, on one Linux machine.

pub mod arp;
mod arp_frame;
pub mod capture;
mod instrument;
pub mod netns;
mod packet_socket;
mod pcap;
pub mod probe;

pub use netns::Netns;
