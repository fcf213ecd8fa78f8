//! Into a running site from outside, for people: a command starts itself again inside, and there becomes what was asked.

use std::fs::File;
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::path::Path;
use std::process::{Command, ExitCode, ExitStatus};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use nix::sched::{CloneFlags, setns};
use nix::sys::signal::{SigSet, Signal, kill};
use nix::unistd::Pid;

use crate::binaries::Binaries;
use crate::capsule::{INSIDE, SITE_FOLDER, State};
use crate::netns::{CONTROL_PLANE, Netns, SWITCH};
use crate::owner::SiteId;
use crate::place::{Place, enter_namespaces, enter_pid_namespace, node_folder};
use crate::site::with_kubeconfig;

impl State {
    /// The site of this name; without a name the one that somebody kept. A site that a running command uses, a test's
    /// perhaps, is only ever entered or ended by its name.
    ///
    /// # Errors
    /// None fits, or several do.
    pub fn choose(name: Option<&str>) -> Result<Self> {
        let sites = Self::all()?;
        if let Some(name) = name {
            return sites.into_iter().find(|site| site.id == name).with_context(|| format!("no site {name} runs"));
        }
        let mut kept = sites.into_iter().filter(|site| site.kept);
        match (kept.next(), kept.next()) {
            (Some(only), None) => Ok(only),
            (None, _) => bail!("no site is kept (`lab up --keep` brings one up; --site enters a command's own)"),
            _ => bail!("several sites are kept; --site chooses one of those that `lab status` lists"),
        }
    }

    /// Starts this command, with the same arguments, inside the site and waits for it. The calling process must have one
    /// thread, and is good for nothing else afterwards: it has moved.
    ///
    /// # Errors
    /// The site is gone, or cannot be entered.
    pub fn run_again_inside(&self) -> Result<ExitStatus> {
        let command = std::env::current_exe()?;
        hold_terminal_signals()?;
        enter_namespaces(self.first_process, &["pid", "cgroup", "ipc", "uts", "net", "mnt"])
            .with_context(|| format!("entering {}", self.id))?;
        let mut again = Command::new(command);
        again.args(std::env::args_os().skip(1)).env(INSIDE, &self.id);
        Ok(again.status()?)
    }

    /// Takes the site down and waits until it is gone.
    ///
    /// # Errors
    /// It is not gone in time.
    pub fn end(&self, within: Duration) -> Result<()> {
        let id = SiteId::parse(&self.id).context("a site's name")?;
        kill(Pid::from_raw(i32::try_from(id.pid())?), Signal::SIGTERM).context("its supervisor")?;
        let deadline = Instant::now() + within;
        while !id.is_gone() {
            if Instant::now() > deadline {
                bail!("it is still there after {} s", within.as_secs());
            }
            thread::sleep(Duration::from_millis(20));
        }
        Ok(())
    }
}

/// Inside: becomes kubectl, with all rights.
///
/// # Errors
/// There is no kubectl; else this does not return.
pub fn kubectl(arguments: &[String]) -> Result<ExitCode> {
    let binaries = Binaries::find()?;
    let argv = [&[binaries.path("controlplane"), "kubectl".to_owned()], arguments].concat();
    become_command(with_kubeconfig(&argv, &binaries)?)
}

/// Inside: becomes Helm, with all rights.
///
/// # Errors
/// There is no Helm; else this does not return.
pub fn helm(arguments: &[String]) -> Result<ExitCode> {
    let binaries = Binaries::find()?;
    become_command(with_kubeconfig(&[&[binaries.path("helm")], arguments].concat(), &binaries)?)
}

/// Inside: runs a command on a host and gives its exit code.
///
/// # Errors
/// There is no such host, or no such command.
pub fn on_host(host: &str, arguments: &[String]) -> Result<ExitCode> {
    let binaries = Binaries::find()?;
    if node_folder(host).is_dir() {
        enter_pid_namespace(host)?;
        let mut command = Place::Node(host.to_owned()).command(arguments)?;
        let status = command.env("PATH", binaries.search_path()).status()?;
        return Ok(exit_code(status));
    }
    let namespace = Netns::named(host);
    if !namespace.path().exists() {
        bail!("no host {host}: nodes are n1, n2, ..., clients c1, ..., and there are {CONTROL_PLANE} and {SWITCH}");
    }
    setns(File::open(namespace.path())?, CloneFlags::CLONE_NEWNET)?;
    become_command(with_kubeconfig(arguments, &binaries)?)
}

/// Whether the site's folder is there, which is so inside and nowhere else.
pub(crate) fn is_inside() -> bool {
    std::env::var_os(INSIDE).is_some() && Path::new(SITE_FOLDER).is_dir()
}

/// As a shell tells it.
#[must_use]
pub fn exit_code(status: ExitStatus) -> ExitCode {
    let code = status.code().unwrap_or_else(|| 128 + status.signal().unwrap_or_default());
    ExitCode::from(u8::try_from(code).unwrap_or(1))
}

/// Ctrl-C is for the command that runs inside, not for the one that waits for it.
fn hold_terminal_signals() -> Result<()> {
    Ok(SigSet::from_iter([Signal::SIGINT, Signal::SIGQUIT]).thread_block()?)
}

fn become_command(mut command: Command) -> Result<ExitCode> {
    // What the waiting process held back was inherited.
    SigSet::all().thread_unblock()?;
    let error = command.exec();
    Err(error).with_context(|| command.get_program().display().to_string())
}
