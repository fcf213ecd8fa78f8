//! One long-running program of the site: started with its output in a log, stopped, killed, frozen, started again.

use std::fs::OpenOptions;
use std::path::{Path, PathBuf};
use std::process::{Child, ExitStatus, Stdio};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use crate::place::Place;

/// How long a program may take to end after SIGTERM before it is killed. Chosen: all end within 1 s but the API server, which
/// takes no new connection from the first moment on, but waits up to a minute for its clients to leave.
const PATIENCE: Duration = Duration::from_secs(2);

/// A program of the site and how to start it.
#[derive(Debug)]
pub struct Daemon {
    name: String,
    place: Place,
    argv: Vec<String>,
    environment: Vec<(String, String)>,
    log: PathBuf,
    running: Mutex<Option<Child>>,
}

impl Daemon {
    pub(crate) fn new(name: &str, place: Place, argv: Vec<String>, path: &str, log: PathBuf) -> Self {
        let environment = vec![("PATH".to_owned(), path.to_owned())];
        Self { name: name.to_owned(), place, argv, environment, log, running: Mutex::new(None) }
    }

    /// The program's name, as its log file is called.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Where its output goes; a restart appends.
    pub fn log(&self) -> &Path {
        &self.log
    }

    /// Starts it; nothing happens if it runs already.
    ///
    /// # Errors
    /// The program cannot be started.
    pub fn start(&self) -> Result<()> {
        let mut running = self.running();
        if let Some(child) = running.as_mut()
            && child.try_wait()?.is_none()
        {
            return Ok(());
        }
        let log = OpenOptions::new().create(true).append(true).open(&self.log);
        let log = log.with_context(|| self.log.display().to_string())?;
        let mut command = self.place.command(&self.argv)?;
        command.envs(self.environment.iter().cloned()).stdin(Stdio::null()).stdout(log.try_clone()?).stderr(log);
        *running = Some(self.place.spawn(&mut command).with_context(|| format!("starting {}", self.name))?);
        Ok(())
    }

    /// Asks it to end (SIGTERM), and kills it when it takes too long.
    ///
    /// # Errors
    /// The signal cannot be sent.
    pub async fn stop(&self) -> Result<()> {
        self.signal(Signal::SIGTERM)?;
        let deadline = Instant::now() + PATIENCE;
        while self.pid().is_some() {
            if Instant::now() > deadline {
                return self.kill();
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        Ok(())
    }

    /// Kills it (SIGKILL) and waits for its end.
    ///
    /// # Errors
    /// The signal cannot be sent.
    pub fn kill(&self) -> Result<()> {
        if let Some(child) = self.running().as_mut() {
            child.kill()?;
            child.wait()?;
        }
        Ok(())
    }

    /// [`Daemon::stop`], then [`Daemon::start`].
    ///
    /// # Errors
    /// As both.
    pub async fn restart(&self) -> Result<()> {
        self.stop().await?;
        self.start()
    }

    /// Stops it where it is (SIGSTOP): it keeps its sockets and answers nothing.
    ///
    /// # Errors
    /// The signal cannot be sent.
    pub fn freeze(&self) -> Result<()> {
        self.signal(Signal::SIGSTOP)
    }

    /// Lets it go on.
    ///
    /// # Errors
    /// The signal cannot be sent.
    pub fn thaw(&self) -> Result<()> {
        self.signal(Signal::SIGCONT)
    }

    /// Its process id in the capsule; None if it does not run.
    pub fn pid(&self) -> Option<u32> {
        let mut running = self.running();
        let child = running.as_mut()?;
        matches!(child.try_wait(), Ok(None)).then(|| child.id())
    }

    /// How it ended; None while it runs, or before its first start.
    pub fn ended(&self) -> Option<ExitStatus> {
        self.running().as_mut()?.try_wait().ok()?
    }

    fn signal(&self, signal: Signal) -> Result<()> {
        if let Some(pid) = self.pid() {
            kill(Pid::from_raw(i32::try_from(pid)?), signal).with_context(|| format!("{signal} to {}", self.name))?;
        }
        Ok(())
    }

    fn running(&self) -> MutexGuard<'_, Option<Child>> {
        // A panic elsewhere leaves the child as it was.
        self.running.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
