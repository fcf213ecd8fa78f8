//! The flags that say which cluster it is and which of its Services are ours.

use std::path::PathBuf;

use ironlb_model::{ServiceSelection, Settings};

use crate::client::Source;

/// Which cluster it is and which of its Services are ours; the same for every role, or they would not agree.
#[derive(Debug, Clone, clap::Args)]
pub struct ClusterArgs {
    /// A kubeconfig file; without it KUBECONFIG, or the pod's service account.
    #[arg(long, value_name = "PATH")]
    pub kubeconfig: Option<PathBuf>,

    /// The namespace ironlb runs in: its Leases are kept there.
    #[arg(long, env = "POD_NAMESPACE", default_value = "ironlb-system")]
    pub namespace: String,

    /// `spec.loadBalancerClass` of the Services that are ours.
    #[arg(long, default_value = "ironlb.io/ironlb", value_name = "CLASS")]
    pub load_balancer_class: String,

    /// Which Services that name no class and carry no opt-in are ours.
    #[arg(long, value_enum, default_value = "annotated")]
    pub service_selection: Selection,
}

/// Which Services that name no class and carry no opt-in are ours.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum Selection {
    /// None of them (OpenELB's rule).
    Annotated,
    /// Every one of type LoadBalancer.
    All,
}

impl ClusterArgs {
    /// Where the API server and the credentials come from.
    #[must_use]
    pub fn source(&self) -> Source {
        Source { kubeconfig: self.kubeconfig.clone(), context: None }
    }

    /// The part that decisions depend on.
    #[must_use]
    pub fn settings(&self) -> Settings {
        Settings {
            load_balancer_class: self.load_balancer_class.clone(),
            service_selection: match self.service_selection {
                Selection::Annotated => ServiceSelection::Annotated,
                Selection::All => ServiceSelection::All,
            },
        }
    }
}
