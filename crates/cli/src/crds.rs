//! `ironlb crds`: the custom resource definitions.

use std::path::PathBuf;

use anyhow::Context;
use ironlb_k8s::crds::apply_crds;
use ironlb_k8s::{Clients, Source};

/// The custom resource definitions.
#[derive(Debug, clap::Subcommand)]
pub(crate) enum Command {
    /// Put them into the cluster, over OpenELB's too; a newer version that is there already stays.
    Apply {
        /// A kubeconfig file; without it KUBECONFIG, or the pod's service account.
        #[arg(long, value_name = "PATH")]
        kubeconfig: Option<PathBuf>,
    },
}

pub(crate) async fn run(command: Command) -> anyhow::Result<()> {
    let Command::Apply { kubeconfig } = command;
    let clients = Clients::connect(&Source { kubeconfig, context: None }).await?;
    let server = &clients.server;
    apply_crds(&clients.ordinary, |line| println!("{line}"))
        .await
        .with_context(|| format!("cannot apply the custom resource definitions at {server}"))?;
    Ok(())
}
