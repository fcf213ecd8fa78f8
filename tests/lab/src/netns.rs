//! Network namespaces by name: where a node's, a client's or the switch's sockets and commands live.

use std::fs::File;
use std::io;
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::thread;

use anyhow::{Context, Result, bail};
use nix::sched::{CloneFlags, setns};

/// The name of the namespace that holds the bridge; each host's cable is an interface there, named like the host.
pub const SWITCH: &str = "lan";
/// The name by which the control plane's host is known: the capsule's own namespace.
pub const CONTROL_PLANE: &str = "cp";
/// The interface by which every host hangs on the LAN.
pub const NIC: &str = "eth0";

/// One network namespace of the site.
///
/// A handle is a name, not a file that is kept open: a node that lost its power gets a fresh namespace under its old
/// name, and a handle made before leads to the new one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Netns {
    name: String,
    path: PathBuf,
}

impl Netns {
    /// The namespace called `name`: `n1`, `c1`, [`SWITCH`] or [`CONTROL_PLANE`].
    pub fn named(name: &str) -> Self {
        let path = if name == CONTROL_PLANE {
            // The capsule's first process never changes its network namespace.
            PathBuf::from("/proc/1/ns/net")
        } else {
            PathBuf::from("/run/netns").join(name)
        };
        Self { name: name.to_owned(), path }
    }

    /// The host's name.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The file that stands for the namespace, for `nsenter --net=`.
    pub fn path(&self) -> &PathBuf {
        &self.path
    }

    /// Runs `work` on a thread of its own inside the namespace and waits for it.
    ///
    /// Blocks the caller. A socket opened in `work` stays in the namespace where it was made, so `work` may return it.
    /// The thread ends with `work`; it is never one of a runtime's pool, whose later tasks would be in the wrong place.
    ///
    /// # Errors
    /// The namespace is gone or cannot be entered.
    pub fn run<T: Send>(&self, work: impl FnOnce() -> T + Send) -> io::Result<T> {
        thread::scope(|scope| {
            let worker = thread::Builder::new().name(format!("in-{}", self.name)).spawn_scoped(scope, || {
                self.enter()?;
                Ok(work())
            })?;
            worker.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))
        })
    }

    /// Starts `work` on a thread of its own inside the namespace, for instruments that go on for a while.
    ///
    /// # Errors
    /// The namespace is gone or cannot be entered (told by the join handle), or no thread could be made.
    pub fn spawn<T: Send + 'static>(
        &self,
        work: impl FnOnce() -> T + Send + 'static,
    ) -> io::Result<thread::JoinHandle<io::Result<T>>> {
        let namespace = self.clone();
        thread::Builder::new().name(format!("in-{}", self.name)).spawn(move || {
            namespace.enter()?;
            Ok(work())
        })
    }

    /// Runs a command inside and gives its standard output; a failure carries its standard error.
    ///
    /// # Errors
    /// The command cannot be started, or ends with a code other than 0.
    pub async fn exec(&self, argv: &[&str]) -> Result<String> {
        let (program, arguments) = argv.split_first().context("an empty command")?;
        let mut command = Command::new(program);
        command.args(arguments).stdin(Stdio::null());
        let namespace = self.clone();
        let output = off_runtime(move || namespace.run(|| command.output())).await?;
        let output = output.and_then(|inner| inner).with_context(|| format!("{} in {}", argv.join(" "), self.name))?;
        if !output.status.success() {
            bail!(
                "{} in {}: {}: {}",
                argv.join(" "),
                self.name,
                output.status,
                String::from_utf8_lossy(&output.stderr)
            );
        }
        Ok(String::from_utf8_lossy(&output.stdout).into_owned())
    }

    /// Moves the calling thread for good; only for a thread that ends soon.
    fn enter(&self) -> io::Result<()> {
        let file = File::open(&self.path)
            .map_err(|error| io::Error::new(error.kind(), format!("network namespace {}: {error}", self.name)))?;
        Ok(setns(file, CloneFlags::CLONE_NEWNET)?)
    }
}

/// Runs blocking work on a thread of its own and waits for it without holding up the runtime.
pub(crate) async fn off_runtime<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> Result<T> {
    let (done, outcome) = tokio::sync::oneshot::channel();
    thread::Builder::new().name("lab-work".into()).spawn(move || {
        // The receiver is gone only if the caller no longer wants the outcome.
        let _ = done.send(work());
    })?;
    outcome.await.context("the work panicked")
}
