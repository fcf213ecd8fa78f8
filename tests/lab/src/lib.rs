//! The lab: a site with a real Kubernetes cluster, real nodes and real clients, on one Linux machine.

pub mod netns;

pub use netns::Netns;
