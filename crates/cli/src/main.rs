//! The `ironlb` binary: every role and every command in one file.

#![forbid(unsafe_code)]

mod cluster;
mod crds;
mod explain;
mod plugin;
mod status;
mod table;

use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Parser, Subcommand};
use ironlb_telemetry::Endpoint;
use tokio::signal::unix::{SignalKind, signal};
use tokio_util::sync::CancellationToken;

/// A bare-metal load balancer for Kubernetes: addresses for Services of type LoadBalancer, announced by ARP, NDP and BGP.
#[derive(Debug, Parser)]
#[command(name = "ironlb", version)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Give vips to Services (the Deployment ironlb-controller).
    Controller(ironlb_controller::Args),
    /// Bring the traffic for the vips to this node (the DaemonSet ironlb-speaker).
    Speaker(ironlb_speaker::Args),
    /// Why a Service is served as it is, or is not.
    #[command(subcommand)]
    Explain(explain::Command),
    /// Is ironlb well here, and which Services wait for what.
    Status(status::Args),
    /// The custom resource definitions.
    #[command(subcommand)]
    Crds(crds::Command),
    /// Ask the ironlb process behind an admin socket how it is; exit code 0 when it is well.
    Probe {
        /// What to ask: is it alive, or is it ready.
        #[arg(value_enum)]
        endpoint: Endpoint,
        /// The process's unix socket.
        #[arg(long, default_value = "/run/ironlb/admin.sock")]
        admin_socket: PathBuf,
    },
}

fn main() -> ExitCode {
    match run(plugin::parse(std::env::args_os())) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("ironlb: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn run(command: Command) -> anyhow::Result<()> {
    match command {
        // Blocking, and done in milliseconds: a probe runs every few seconds on every node.
        Command::Probe { endpoint, admin_socket } => Ok(ironlb_telemetry::probe(&admin_socket, endpoint)?),
        Command::Controller(args) => runtime()?.block_on(async { ironlb_controller::run(args, shutdown()?).await }),
        Command::Speaker(args) => runtime()?.block_on(async { ironlb_speaker::run(args, shutdown()?).await }),
        Command::Explain(command) => runtime()?.block_on(explain::run(command)),
        Command::Status(args) => runtime()?.block_on(status::run(args)),
        Command::Crds(command) => runtime()?.block_on(crds::run(command)),
    }
}

/// Two workers: one that waits for the API server never keeps the other from the rest; more would only cost memory.
fn runtime() -> anyhow::Result<tokio::runtime::Runtime> {
    Ok(tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build()?)
}

/// The first SIGTERM or SIGINT asks the process to leave in order, the second ends it at once.
fn shutdown() -> anyhow::Result<CancellationToken> {
    let token = CancellationToken::new();
    let (mut terminate, mut interrupt) = (signal(SignalKind::terminate())?, signal(SignalKind::interrupt())?);
    let asked = token.clone();
    tokio::spawn(async move {
        for turn in 0.. {
            tokio::select! {
                _ = terminate.recv() => (),
                _ = interrupt.recv() => (),
            }
            if turn > 0 {
                // The code of a process that ended by SIGINT: the shell's 128 + 2.
                std::process::exit(130);
            }
            asked.cancel();
        }
    });
    Ok(token)
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;

    #[test]
    fn the_commands_are_well_formed() {
        Cli::command().debug_assert();
    }

    #[test]
    fn the_chart_s_arguments_are_understood() {
        for line in [
            "ironlb controller --load-balancer-class=ironlb.io/ironlb --service-selection=annotated --log-format=json --log-level=info --metrics-address=:7472",
            "ironlb speaker --node-name=n1 --load-balancer-class=ironlb.io/ironlb --service-selection=all --membership=lease --metrics-address=",
            "ironlb crds apply",
            "ironlb probe ready",
        ] {
            if let Err(error) = Cli::try_parse_from(line.split(' ')) {
                panic!("{line}: {error}");
            }
        }
    }
}
