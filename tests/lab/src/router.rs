//! A router: a host on the LAN with a BGP daemon from Debian's packages, and, if wanted, clients behind it.
//!
//! The daemon is the real one, started by hand in the router's network namespace with files that are written out of a
//! [`RouterConfig`]. What it shows is asked of its own command line, so that a test reads what an operator would.

mod bird;
mod changes;
mod connections;
mod describe;
mod frr;
mod gobgp;
mod openbgpd;
mod shown;

use std::fs;
use std::net::{Ipv4Addr, Ipv6Addr};
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use anyhow::{Context, Result, bail};

pub use self::changes::{RouteChange, RouteWatch};
pub use self::describe::{Bfd, BfdPeer, Neighbour, RouterConfig, Software};
pub use self::shown::{BfdSession, KernelRoute, NextHop, PeerSession, RoutePath};
use crate::control_plane::log_folder;
use crate::daemon::Daemon;
use crate::netns::Netns;
use crate::place::{Place, node_folder};
use crate::spec::Address;
use crate::wait::wait_for;

/// A router is a machine of its own, which the load of the nodes does not hold up: its programs come before theirs.
const PRECEDENCE: [&str; 3] = ["nice", "-n", "-10"];

/// How long a daemon may take until its command line answers. Measured: 0.2 to 0.6 s.
const PATIENCE: Duration = Duration::from_secs(30);
/// Debian's places and nothing of the caller's.
const PATH: &str = "/usr/sbin:/usr/bin:/sbin:/bin";

/// BIRD's command line takes no orders with this.
const READ_ONLY: &str = "-r";

/// A router of the site. Its daemon does not run until [`Router::start`].
#[derive(Debug)]
pub struct Router {
    address: Address,
    software: Software,
    running: Mutex<Option<Arc<Running>>>,
}

/// A configuration and the programs that were started with it, in the order of their start.
#[derive(Debug)]
struct Running {
    config: RouterConfig,
    daemons: Vec<Daemon>,
}

/// A program to start: its name, and its command line.
struct Program {
    name: &'static str,
    argv: Vec<String>,
}

impl Router {
    pub(crate) fn new(address: &Address, software: Software) -> Self {
        Self { address: address.clone(), software, running: Mutex::new(None) }
    }

    /// Its name on the LAN: `r1`, `r2`, ...
    pub fn name(&self) -> &str {
        &self.address.name
    }

    /// Which daemon it runs.
    pub fn software(&self) -> Software {
        self.software
    }

    /// Its IPv4 address on the LAN.
    pub fn ipv4(&self) -> Ipv4Addr {
        self.address.v4
    }

    /// Its IPv6 address on the LAN.
    pub fn ipv6(&self) -> Ipv6Addr {
        self.address.v6
    }

    /// Its network namespace.
    pub fn netns(&self) -> Netns {
        Netns::named(self.name())
    }

    /// The network namespace of the client behind it, if the site was described with one.
    ///
    /// # Errors
    /// It was not.
    pub fn client(&self) -> Result<Netns> {
        let Some(behind) = &self.address.behind else { bail!("{} has no clients behind it", self.name()) };
        Ok(Netns::named(&behind.host))
    }

    /// Starts the daemon with this configuration, and waits until its command line answers. One that runs is stopped before.
    ///
    /// # Errors
    /// A program is not installed, does not take its configuration, or does not answer in time.
    pub async fn start(&self, config: RouterConfig) -> Result<()> {
        self.stop().await?;
        let programs = self.write(&config)?;
        let logs = log_folder().join(self.name());
        fs::create_dir_all(&logs)?;
        let daemons = programs.into_iter().map(|program| {
            let log = logs.join(format!("{}.log", program.name));
            let label = format!("{}/{}", self.name(), program.name);
            let argv = PRECEDENCE.map(str::to_owned).into_iter().chain(program.argv).collect();
            Daemon::new(&label, Place::Host(self.name().to_owned()), argv, PATH, log)
        });
        let running = Arc::new(Running { config, daemons: daemons.collect() });
        *self.lock() = Some(running.clone());
        self.run(&running).await
    }

    /// Starts what was stopped or killed again, with the configuration it had.
    ///
    /// # Errors
    /// It never ran, or as [`Router::start`].
    pub async fn resume(&self) -> Result<()> {
        self.run(&*self.running()?).await
    }

    /// Asks all programs to end (SIGTERM), the last one first.
    ///
    /// # Errors
    /// A signal cannot be sent.
    pub async fn stop(&self) -> Result<()> {
        let Some(running) = self.lock().clone() else { return Ok(()) };
        for daemon in running.daemons.iter().rev() {
            daemon.stop().await?;
        }
        Ok(())
    }

    /// [`Router::stop`], then [`Router::resume`].
    ///
    /// # Errors
    /// As both.
    pub async fn restart(&self) -> Result<()> {
        self.stop().await?;
        self.resume().await
    }

    /// Kills all programs (SIGKILL). What they wrote into the kernel stays, as it does where a routing daemon crashes.
    ///
    /// # Errors
    /// A signal cannot be sent.
    pub fn kill(&self) -> Result<()> {
        let Some(running) = self.lock().clone() else { return Ok(()) };
        running.daemons.iter().try_for_each(Daemon::kill)
    }

    /// Kills one of its programs (SIGKILL) and leaves the others: `bgpd` or `bfdd` of FRR. [`Router::resume`] starts it again.
    ///
    /// # Errors
    /// It has no such program, or never ran.
    pub fn kill_program(&self, name: &str) -> Result<()> {
        self.program(&*self.running()?, name)?.kill()
    }

    /// The process id of one of its programs in the capsule, for who wants to know what it costs.
    ///
    /// # Errors
    /// It has no such program, or that does not run.
    pub fn process_of(&self, name: &str) -> Result<u32> {
        self.program(&*self.running()?, name)?.pid().with_context(|| format!("{name} does not run"))
    }

    /// Stops all programs where they are (SIGSTOP): the kernel goes on forwarding and answering for TCP, nobody speaks.
    ///
    /// # Errors
    /// A signal cannot be sent.
    pub fn freeze(&self) -> Result<()> {
        let Some(running) = self.lock().clone() else { return Ok(()) };
        running.daemons.iter().try_for_each(Daemon::freeze)
    }

    /// Lets them go on.
    ///
    /// # Errors
    /// A signal cannot be sent.
    pub fn thaw(&self) -> Result<()> {
        let Some(running) = self.lock().clone() else { return Ok(()) };
        running.daemons.iter().try_for_each(Daemon::thaw)
    }

    /// Runs one question on the daemon's own command line and gives what it prints: `vtysh -c`, `birdc`, `gobgp`, `bgpctl`.
    ///
    /// # Errors
    /// The daemon does not answer, or does not understand.
    pub async fn cli(&self, question: &str) -> Result<String> {
        let argv = self.cli_command(question);
        let argv: Vec<&str> = argv.iter().map(String::as_str).collect();
        self.netns().exec(&argv).await
    }

    /// Gives the daemon an order on its own command line, a word each: what [`Router::cli`] would not do, it only looks.
    ///
    /// # Errors
    /// The daemon does not answer, or does not understand.
    pub async fn order(&self, words: &[&str]) -> Result<String> {
        let argv = match self.software {
            Software::Frr => self.cli_command(&words.join(" ")),
            _ => self
                .cli_command("")
                .into_iter()
                .filter(|word| word != READ_ONLY)
                .chain(words.iter().map(|word| (*word).to_owned()))
                .collect(),
        };
        let argv: Vec<&str> = argv.iter().map(String::as_str).collect();
        self.netns().exec(&argv).await
    }

    /// What one of its programs has written into its log since the network was made.
    ///
    /// # Errors
    /// It never ran.
    pub fn log(&self, program: &str) -> Result<String> {
        let log = log_folder().join(self.name()).join(format!("{program}.log"));
        fs::read_to_string(&log).with_context(|| log.display().to_string())
    }

    /// Its sessions with all neighbours it was told of.
    ///
    /// # Errors
    /// The daemon does not answer.
    pub async fn sessions(&self) -> Result<Vec<PeerSession>> {
        match self.software {
            Software::Frr => frr::sessions(&self.cli(frr::SESSIONS).await?),
            Software::Bird => bird::sessions(&self.cli(bird::SESSIONS).await?),
            Software::GoBgp => gobgp::sessions(&self.cli(gobgp::SESSIONS).await?),
            Software::OpenBgpd => openbgpd::sessions(&self.cli(openbgpd::SESSIONS).await?),
        }
    }

    /// Waits until the session with this neighbour is established.
    ///
    /// # Errors
    /// Time is up.
    pub async fn established(&self, peer: impl Into<std::net::IpAddr>, within: Duration) -> Result<PeerSession> {
        let peer = peer.into();
        wait_for(within, &format!("{}'s session with {peer}", self.name()), || async {
            let all = self.sessions().await?;
            let session = all.into_iter().find(|session| session.peer == peer);
            let session = session.with_context(|| format!("{} was not told of {peer}", self.name()))?;
            if !session.is_established {
                bail!("it is {}", session.state);
            }
            Ok(Some(session))
        })
        .await
    }

    /// All paths it has to this prefix, its own included; none if it knows none.
    ///
    /// # Errors
    /// The daemon does not answer.
    pub async fn paths(&self, prefix: &str) -> Result<Vec<RoutePath>> {
        match self.software {
            Software::Frr => frr::paths(&self.cli(&frr::question(prefix)).await?),
            Software::Bird => bird::paths(&self.cli(&bird::question(prefix)).await?, prefix),
            Software::GoBgp => gobgp::paths(&self.cli(&gobgp::question(prefix)).await?),
            Software::OpenBgpd => openbgpd::paths(&self.cli(&openbgpd::question(prefix)).await?, prefix),
        }
    }

    /// Its BFD sessions; none where the daemon has no BFD (GoBGP and OpenBGPD of Debian 12).
    ///
    /// # Errors
    /// The daemon does not answer.
    pub async fn bfd_sessions(&self) -> Result<Vec<BfdSession>> {
        match self.software {
            Software::Frr => frr::bfd_sessions(&self.cli(frr::BFD).await?),
            Software::Bird => bird::bfd_sessions(&self.cli(bird::BFD).await?),
            Software::GoBgp | Software::OpenBgpd => Ok(Vec::new()),
        }
    }

    /// The routes that routing daemons wrote into its kernel, of both families.
    ///
    /// # Errors
    /// `ip` fails.
    pub async fn kernel_routes(&self) -> Result<Vec<KernelRoute>> {
        let mut routes = Vec::new();
        for family in ["-4", "-6"] {
            let told = self.netns().exec(&["ip", "-j", family, "route", "show"]).await?;
            routes.extend(shown::kernel_routes(&told)?);
        }
        Ok(routes)
    }

    /// The programs that were started last.
    pub(crate) fn ends(&self) -> Vec<String> {
        let running = self.lock().clone();
        let ended = running.iter().flat_map(|running| &running.daemons).filter_map(|daemon| {
            let status = daemon.ended()?;
            Some(format!("{} ended ({status}); its log is {}", daemon.name(), daemon.log().display()))
        });
        ended.collect()
    }

    /// The ends of the logs of the programs that were started last, by name.
    pub(crate) fn log_ends(&self) -> Vec<(String, String)> {
        let running = self.lock().clone();
        let daemons = running.iter().flat_map(|running| &running.daemons);
        daemons.map(|daemon| (daemon.name().to_owned(), crate::site::tail(daemon.log()))).collect()
    }

    fn program<'a>(&self, running: &'a Running, name: &str) -> Result<&'a Daemon> {
        let label = format!("{}/{name}", self.name());
        let daemon = running.daemons.iter().find(|daemon| daemon.name() == label);
        daemon.with_context(|| format!("{} runs no {name}", self.name()))
    }

    async fn run(&self, running: &Running) -> Result<()> {
        for daemon in &running.daemons {
            let before = fs::metadata(daemon.log()).map_or(0, |log| log.len());
            daemon.start().with_context(|| self.software.package_hint())?;
            self.answers(daemon).await?;
            if self.software == Software::Frr {
                let log = fs::read_to_string(daemon.log())?;
                let new = usize::try_from(before).ok().and_then(|before| log.get(before..));
                frr::took_every_line(new.unwrap_or_default()).with_context(|| daemon.name().to_owned())?;
            }
        }
        if self.software == Software::GoBgp {
            for prefix in &running.config.originate {
                self.cli(&gobgp::originate(prefix, &self.address)).await?;
            }
        }
        Ok(())
    }

    /// Waits until a program that was just started answers.
    async fn answers(&self, daemon: &Daemon) -> Result<()> {
        let what = format!("{} to answer", daemon.name());
        wait_for(PATIENCE, &what, || async {
            if let Some(status) = daemon.ended() {
                let log = fs::read_to_string(daemon.log()).unwrap_or_default();
                return Ok(Some(Err(anyhow::anyhow!("{} ended ({status}):\n{log}", daemon.name()))));
            }
            match self.software {
                // The files of its sockets are there before anybody listens.
                Software::Frr => frr::listens(&self.folder(), daemon.name())?,
                Software::Bird => _ = self.cli("show status").await?,
                Software::GoBgp => _ = self.cli("global").await?,
                Software::OpenBgpd => _ = self.cli("show summary").await?,
            }
            Ok(Some(Ok(())))
        })
        .await?
    }

    /// Writes the files of a configuration and says what is to be started.
    fn write(&self, config: &RouterConfig) -> Result<Vec<Program>> {
        let folder = self.folder();
        fs::create_dir_all(&folder)?;
        let (files, programs) = match self.software {
            Software::Frr => frr::describe(&self.address, config, &folder),
            Software::Bird => bird::describe(&self.address, config, &folder),
            Software::GoBgp => gobgp::describe(&self.address, config, &folder),
            Software::OpenBgpd => openbgpd::describe(&self.address, config, &folder),
        };
        for (name, text) in files {
            let file = folder.join(name);
            fs::write(&file, text)?;
            // OpenBGPD reads no file that others may read.
            fs::set_permissions(&file, fs::Permissions::from_mode(0o600))?;
        }
        match self.software {
            Software::Frr => frr::give_away(&folder)?,
            Software::OpenBgpd => openbgpd::home()?,
            Software::Bird | Software::GoBgp => {}
        }
        Ok(programs)
    }

    fn cli_command(&self, question: &str) -> Vec<String> {
        let folder = self.folder().display().to_string();
        let words = question.split_whitespace().map(str::to_owned);
        let command: Vec<String> = match self.software {
            Software::Frr => {
                let options = ["vtysh", "--vty_socket", &folder, "--config_dir", &folder, "-c", question];
                return options.map(str::to_owned).to_vec();
            }
            Software::Bird => vec!["birdc".into(), READ_ONLY.into(), "-s".into(), format!("{folder}/bird.ctl")],
            Software::GoBgp => vec!["gobgp".into()],
            Software::OpenBgpd => vec!["bgpctl".into(), "-s".into(), format!("{folder}/bgpd.sock")],
        };
        command.into_iter().chain(words).collect()
    }

    fn folder(&self) -> PathBuf {
        node_folder(self.name())
    }

    fn running(&self) -> Result<Arc<Running>> {
        self.lock().clone().with_context(|| format!("{} was never started", self.name()))
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Option<Arc<Running>>> {
        // A panic elsewhere leaves the value as it was.
        self.running.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
