//! `lab`: a site for people. Brings one up, runs kubectl, Helm and any command in it, takes it down.

use std::process::ExitCode;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use clap::{Args, Parser, Subcommand, ValueEnum};
use ironlb_lab::capsule::{self, State};
use ironlb_lab::{Lifetime, ProxyMode, Site, SiteSpec, visit};

/// A site with a real Kubernetes cluster on this machine, in namespaces of its own. Needs root.
#[derive(Debug, Parser)]
#[command(name = "lab")]
struct Lab {
    #[command(subcommand)]
    what: What,
}

#[derive(Debug, Subcommand)]
enum What {
    /// Bring a site up, until Ctrl-C or, with --keep, until `lab down`.
    Up(Up),
    /// List the sites that run.
    Status,
    /// Run kubectl against a site.
    Kubectl(Inside),
    /// Run Helm against a site.
    Helm(Inside),
    /// Run a command on a host: a node (n1), a client (c1), the control plane (cp) or the switch (lan).
    Exec(Exec),
    /// Take a site down.
    Down {
        /// The site, as `lab status` names it; needed only where several run.
        #[arg(long, env = "IRONLB_LAB_TARGET")]
        site: Option<String>,
        /// Take down all sites of this user, also those of running tests.
        #[arg(long)]
        all: bool,
    },
}

#[derive(Debug, Args)]
struct Up {
    /// Number of nodes.
    #[arg(long, default_value_t = 3)]
    nodes: u8,
    /// Number of clients.
    #[arg(long, default_value_t = 1)]
    clients: u8,
    /// How kube-proxy programs the kernel.
    #[arg(long, value_enum, default_value_t = Proxy::Nftables)]
    proxy_mode: Proxy,
    /// Leave the site up and return.
    #[arg(long)]
    keep: bool,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
enum Proxy {
    Nftables,
    Iptables,
}

#[derive(Debug, Args)]
struct Inside {
    /// The site, as `lab status` names it; needed only where several run.
    #[arg(long, env = "IRONLB_LAB_TARGET")]
    site: Option<String>,
    /// The command's own arguments.
    #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
    arguments: Vec<String>,
}

#[derive(Debug, Args)]
struct Exec {
    /// n1, c1, cp or lan.
    host: String,
    #[command(flatten)]
    command: Inside,
}

fn main() -> Result<ExitCode> {
    capsule::play_role()?;
    match Lab::parse().what {
        What::Up(up) => bring_up(&up),
        What::Status => status(),
        What::Kubectl(inside) => within(inside.site.as_deref(), || visit::kubectl(&inside.arguments)),
        What::Helm(inside) => within(inside.site.as_deref(), || visit::helm(&inside.arguments)),
        What::Exec(Exec { host, command }) => {
            within(command.site.as_deref(), || visit::on_host(&host, &command.arguments))
        }
        What::Down { site, all } => take_down(site.as_deref(), all),
    }
}

fn bring_up(up: &Up) -> Result<ExitCode> {
    let capsule = capsule::enter(if up.keep { Lifetime::UntilTakenDown } else { Lifetime::OfTheCommand })?;
    let proxy_mode = match up.proxy_mode {
        Proxy::Nftables => ProxyMode::Nftables,
        Proxy::Iptables => ProxyMode::Iptables,
    };
    let spec = SiteSpec::new(up.nodes).clients(up.clients).proxy_mode(proxy_mode);
    tokio::runtime::Runtime::new()?.block_on(async {
        let site = Site::up(&capsule, spec).await?;
        print!("{}", site.kubectl(&["get", "nodes", "-o", "wide"]).await?);
        println!(
            "lab kubectl get pods -A    lab exec c1 curl http://...    lab exec n1 sh    lab exec lan tcpdump -ni n1"
        );
        if up.keep {
            capsule.keep()?;
            println!("lab down takes it down");
        } else {
            println!("Ctrl-C takes it down");
            tokio::signal::ctrl_c().await?;
        }
        Ok(ExitCode::SUCCESS)
    })
}

/// Does `work` inside the chosen site: this command is started there again, and is inside then.
fn within(site: Option<&str>, work: impl FnOnce() -> Result<ExitCode>) -> Result<ExitCode> {
    if capsule::is_inside() {
        return work();
    }
    Ok(visit::exit_code(State::choose(site)?.run_again_inside()?))
}

fn status() -> Result<ExitCode> {
    let sites = State::all()?;
    if sites.is_empty() {
        println!("no site runs");
    }
    for site in sites {
        println!("{}  {}  {}", site.id, if site.kept { "kept   " } else { "command" }, site.command.join(" "));
    }
    Ok(ExitCode::SUCCESS)
}

fn take_down(name: Option<&str>, all: bool) -> Result<ExitCode> {
    let sites = if all { State::all()? } else { vec![State::choose(name)?] };
    for site in &sites {
        site.end(Duration::from_secs(30)).with_context(|| site.id.clone())?;
        println!("{} is down", site.id);
    }
    if sites.is_empty() {
        bail!("no site runs");
    }
    Ok(ExitCode::SUCCESS)
}
