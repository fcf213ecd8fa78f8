//! `ironlb explain`: why a Service is served as it is.

pub(crate) mod json;
mod next;
mod text;
mod words;

use anyhow::bail;
use ironlb_ipam::{Explanation, explain};
use ironlb_k8s::once::{Missing, Part, look};
use ironlb_model::{ServiceId, Snapshot};

use crate::cluster::{Connection, Running};

/// Why something is as it is.
#[derive(Debug, clap::Subcommand)]
pub(crate) enum Command {
    /// The decision on one Service: whose it is, which Eips were considered and why not, its address, who announces it.
    #[command(visible_aliases = ["svc", "services"])]
    Service(ServiceArgs),
}

/// Which Service, and how it is told.
#[derive(Debug, clap::Args)]
pub(crate) struct ServiceArgs {
    /// The Service, as NAMESPACE/NAME, or as NAME in the namespace of --namespace.
    #[arg(value_name = "NAMESPACE/NAME")]
    service: String,

    /// The Service's namespace; without it that of the kubeconfig's context.
    #[arg(long, short, value_name = "NAMESPACE")]
    namespace: Option<String>,

    /// How it is printed.
    #[arg(long, short, value_enum, default_value = "text")]
    output: Output,

    #[command(flatten)]
    connection: Connection,
}

/// How something is printed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum Output {
    /// For people.
    Text,
    /// For programs.
    Json,
}

/// Everything that is told about a Service.
#[derive(Debug)]
pub(crate) struct Page<'a> {
    pub(crate) explanation: &'a Explanation,
    pub(crate) running: &'a Running,
    pub(crate) missing: &'a [Missing],
}

impl Page<'_> {
    /// Could everything be read that decides about addresses? If not, the decision is not known here.
    pub(crate) fn is_decided(&self) -> bool {
        !self.lacks(Part::Services) && !self.lacks(Part::Eips) && !self.lacks(Part::Namespaces)
    }

    /// Could everything be read that tells who announces?
    pub(crate) fn knows_speakers(&self) -> bool {
        !self.lacks(Part::Speakers) && !self.lacks(Part::Nodes)
    }

    pub(crate) fn lacks(&self, part: Part) -> bool {
        self.missing.iter().any(|missing| missing.part == part)
    }
}

pub(crate) async fn run(command: Command) -> anyhow::Result<()> {
    let Command::Service(args) = command;
    let clients = args.connection.connect().await?;
    let client = &clients.ordinary;
    let id = service_id(&args, client.default_namespace())?;
    let running = args.connection.settings(client).await;
    let sight = look(client, &running.settings, Some(&id)).await;
    let missing: Vec<Missing> = sight.missing.into_iter().chain(running.missing.clone()).collect();
    let Some(explanation) = explain(&sight.snapshot, &id) else {
        bail!("{}", nothing_to_explain(&id, &sight.snapshot, &missing, &clients.server));
    };
    let page = Page { explanation: &explanation, running: &running, missing: &missing };
    match args.output {
        Output::Text => print!("{}", text::render(&page)),
        Output::Json => println!("{}", serde_json::to_string_pretty(&json::render(&page))?),
    }
    Ok(())
}

fn service_id(args: &ServiceArgs, default_namespace: &str) -> anyhow::Result<ServiceId> {
    match (args.service.contains('/'), &args.namespace) {
        (false, namespace) => Ok(ServiceId::new(namespace.as_deref().unwrap_or(default_namespace), &args.service)),
        (true, namespace) => match ServiceId::parse(&args.service) {
            Some(id) if namespace.as_ref().is_none_or(|namespace| id.namespace.as_str() == namespace) => Ok(id),
            Some(id) => {
                bail!("{id} is not in namespace {}: leave --namespace out", namespace.as_deref().unwrap_or_default())
            }
            None => bail!("{:?} is no Service: write NAMESPACE/NAME, or NAME with --namespace NAMESPACE", args.service),
        },
    }
}

/// Why there is nothing to tell, and what there is instead.
fn nothing_to_explain(id: &ServiceId, snapshot: &Snapshot, missing: &[Missing], server: &str) -> String {
    match missing.iter().find(|missing| missing.part == Part::Services) {
        Some(missing) if missing.is_forbidden => format!(
            "cannot read Service {id}: there is none, or you lack the right to get services in namespace {} ({})",
            id.namespace, missing.error
        ),
        Some(missing) => format!("cannot read the Services at {server}: {}", missing.error),
        None => {
            let others = snapshot.services.values().filter(|other| other.is_load_balancer);
            let near: Vec<String> = others
                .filter(|other| other.id.namespace == id.namespace || other.id.name == id.name)
                .map(|other| other.id.to_string())
                .take(10)
                .collect();
            match near.as_slice() {
                [] => format!("there is no Service {id}"),
                near => format!("there is no Service {id}; of type LoadBalancer there are {}", near.join(", ")),
            }
        }
    }
}

#[cfg(test)]
mod tests;
