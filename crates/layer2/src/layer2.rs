//! The public face: which vips to answer for, until when, and what was seen.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;

use ironlb_layer2_proto::{self as proto, Responder};
use ironlb_model::{InterfaceName, Interfaces, MacAddr, Timestamp};
use tokio::sync::{mpsc, watch};
use tokio::task::JoinSet;

use crate::counters::{Counters, InterfaceMetrics};
use crate::driver::Driver;
use crate::interfaces::{self, ReadError, Session};
use crate::mailbox::{Fence, Mailbox, applied};
use crate::raw::{ArpSocket, Waker};

/// How many observations wait for a reader. Chosen, because a claim is told once a second and whoever reads is done within
/// milliseconds: room for 256 vips claimed at once.
const OBSERVATIONS: usize = 256;

/// How to answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Config {
    /// How much may be sent.
    pub limits: proto::Config,
    /// Ask for real-time priority, which needs CAP_SYS_NICE; without it, go on at ordinary priority.
    pub realtime: bool,
}

impl Default for Config {
    fn default() -> Self {
        Self { limits: proto::Config::default(), realtime: true }
    }
}

/// What was seen on an interface.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Observation {
    /// A station that is not this host says that it has a vip this node answers for. Whether it is a member of the cluster or a
    /// stranger is for the reader to judge.
    ForeignClaim {
        /// Where.
        interface: InterfaceName,
        /// The vip.
        vip: IpAddr,
        /// The station.
        mac: MacAddr,
        /// When, on the clock of [`crate::boottime`].
        at: Timestamp,
    },
}

/// Why Layer 2 cannot start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// No packet socket; the process lacks CAP_NET_RAW.
    #[error("cannot open a packet socket, for which CAP_NET_RAW is needed")]
    PacketSocket(#[source] std::io::Error),
    /// The interfaces cannot be read.
    #[error("cannot read the network interfaces")]
    Interfaces(#[from] ReadError),
}

impl StartError {
    /// Its name as a metric label.
    #[must_use]
    pub const fn category(&self) -> &'static str {
        match self {
            Self::PacketSocket(_) => "packet_socket",
            Self::Interfaces(_) => "interfaces",
        }
    }
}

/// Why some of what was asked for is not in effect.
#[derive(Debug, thiserror::Error)]
pub enum SetError {
    /// No thread for an interface; the next call tries again.
    #[error("cannot start answering on {interface}")]
    Start {
        /// The interface.
        interface: InterfaceName,
        /// The reason.
        #[source]
        source: std::io::Error,
    },
    /// An interface's thread ended by itself, which is a fault of ours. Nothing is answered there; the next call starts another.
    #[error("the thread that answers on {interface} has ended")]
    Ended {
        /// The interface.
        interface: InterfaceName,
    },
}

impl SetError {
    /// Its name as a metric label.
    #[must_use]
    pub const fn category(&self) -> &'static str {
        match self {
            Self::Start { .. } => "start",
            Self::Ended { .. } => "ended",
        }
    }
}

/// One interface's thread, as seen from outside.
#[derive(Debug)]
struct Worker {
    mailbox: Arc<Mailbox>,
    progress: watch::Receiver<u64>,
    thread: JoinHandle<()>,
}

type Workers = Arc<Mutex<BTreeMap<InterfaceName, Worker>>>;

/// Answers ARP on this node's interfaces for the vips it is told, one thread per interface in use.
///
/// It owns those threads and the task that follows the interfaces. Dropping it stops all of them; nothing is answered after the drop.
#[derive(Debug)]
pub struct Layer2 {
    config: Config,
    interfaces: watch::Receiver<Arc<Interfaces>>,
    fence: Arc<Fence>,
    workers: Workers,
    /// Held during [`Layer2::set`], so that two calls do not mix.
    setting: tokio::sync::Mutex<()>,
    counters: Mutex<BTreeMap<InterfaceName, Arc<Counters>>>,
    observations: mpsc::Sender<Observation>,
    _tasks: JoinSet<()>,
}

impl Layer2 {
    /// Reads the interfaces and starts following them. Nothing is answered until [`Layer2::set`].
    ///
    /// Observations come through the receiver; they are dropped and counted while nobody reads.
    ///
    /// # Errors
    /// [`StartError`], all of them the environment's: a missing capability, a kernel that refuses.
    pub async fn start(config: Config) -> Result<(Self, mpsc::Receiver<Observation>), StartError> {
        ArpSocket::check_permission().map_err(StartError::PacketSocket)?;
        let (session, first) = Session::open().await?;
        let (publish, interfaces) = watch::channel(Arc::new(first));
        let (observations, receiver) = mpsc::channel(OBSERVATIONS);
        let workers = Workers::default();
        let mut tasks = JoinSet::new();
        tasks.spawn(interfaces::follow(session, publish));
        tasks.spawn(wake_on_change(interfaces.clone(), Arc::clone(&workers)));
        let layer2 = Self {
            config,
            interfaces,
            fence: Arc::new(Fence::new()),
            workers,
            setting: tokio::sync::Mutex::new(()),
            counters: Mutex::default(),
            observations,
            _tasks: tasks,
        };
        Ok((layer2, receiver))
    }

    /// The node's interfaces, now and whenever they change.
    #[must_use]
    pub fn interfaces(&self) -> watch::Receiver<Arc<Interfaces>> {
        self.interfaces.clone()
    }

    /// Answers for exactly these vips, on these interfaces, and for no other.
    ///
    /// When it returns, what was taken away is answered no more, and what is new is answered and has been announced once where the
    /// interface is up. Removals come first, on every interface, so a vip that moves between two is never answered on both. An interface
    /// that does not exist (yet) is waited for in the background. A vip of a family that [`crate::serves`] denies is accepted and left
    /// alone.
    ///
    /// Cancel safety: dropped half-way, some of the removals or additions may not have been asked for; call it again with the whole.
    ///
    /// # Errors
    /// [`SetError`] for the first interface that failed; all others are in effect, and so are all removals.
    pub async fn set(&self, desired: BTreeMap<InterfaceName, BTreeSet<IpAddr>>) -> Result<(), SetError> {
        let _one_at_a_time = self.setting.lock().await;
        let mut outcome = self.take_away(&desired).await;
        let added = self.add(&desired).await;
        outcome = outcome.and(added);
        self.stop_idle().await;
        outcome
    }

    /// The moment from which nothing is answered or announced unless it is put off again; `None` lifts the limit, and is the state at
    /// the start.
    ///
    /// It is read for each frame, so it holds also for a process that was frozen and goes on after it. Take away by [`Layer2::set`]
    /// what this node has lost before putting off a moment that has passed: every vip still held is then announced.
    pub fn set_valid_until(&self, until: Option<Timestamp>) {
        self.fence.set(until);
        for worker in lock(&self.workers).values() {
            worker.mailbox.waker.wake();
        }
    }

    /// What has been counted, for each interface that was ever in use.
    #[must_use]
    pub fn metrics(&self) -> BTreeMap<InterfaceName, InterfaceMetrics> {
        let workers = lock(&self.workers);
        let vips = |name| workers.get(name).map_or(0, |w| w.mailbox.vips().len());
        lock(&self.counters).iter().map(|(name, counters)| (name.clone(), counters.read(vips(name)))).collect()
    }

    /// First half of a change: every interface keeps what it has and is to have, and nothing else.
    async fn take_away(&self, desired: &BTreeMap<InterfaceName, BTreeSet<IpAddr>>) -> Result<(), SetError> {
        let none = BTreeSet::new();
        let mut waits = Vec::new();
        for (name, worker) in &*lock(&self.workers) {
            let wanted = desired.get(name).unwrap_or(&none);
            let held = worker.mailbox.vips();
            if !held.is_subset(wanted) {
                let kept: BTreeSet<IpAddr> = held.intersection(wanted).copied().collect();
                let generation = worker.mailbox.change(|letter| letter.vips = kept);
                waits.push((name.clone(), worker.progress.clone(), generation));
            }
        }
        self.wait_for(waits).await
    }

    /// Second half: every interface gets what it is to have.
    async fn add(&self, desired: &BTreeMap<InterfaceName, BTreeSet<IpAddr>>) -> Result<(), SetError> {
        let mut outcome = Ok(());
        let mut waits = Vec::new();
        {
            let mut workers = lock(&self.workers);
            for (name, vips) in desired {
                if vips.is_empty() {
                    continue;
                }
                if !workers.contains_key(name) {
                    match self.spawn(name) {
                        Ok(worker) => {
                            workers.insert(name.clone(), worker);
                        }
                        Err(source) => {
                            let interface = name.clone();
                            outcome = outcome.and(Err(SetError::Start { interface, source }));
                        }
                    }
                }
                if let Some(worker) = workers.get(name)
                    && worker.mailbox.vips() != *vips
                {
                    let generation = worker.mailbox.change(|letter| letter.vips = vips.clone());
                    waits.push((name.clone(), worker.progress.clone(), generation));
                }
            }
        }
        outcome.and(self.wait_for(waits).await)
    }

    /// Waits until each of these threads has come as far; forgets those that ended instead.
    async fn wait_for(&self, waits: Vec<(InterfaceName, watch::Receiver<u64>, u64)>) -> Result<(), SetError> {
        let mut outcome = Ok(());
        for (interface, mut progress, generation) in waits {
            if !applied(&mut progress, generation).await {
                lock(&self.workers).remove(&interface);
                outcome = outcome.and(Err(SetError::Ended { interface }));
            }
        }
        outcome
    }

    /// Ends the threads that have no vip left.
    async fn stop_idle(&self) {
        // Told to stop before anything is waited for: a thread that nobody holds any more still ends.
        let stopping: Vec<(Worker, u64)> = {
            let mut workers = lock(&self.workers);
            let idle = |_: &InterfaceName, w: &mut Worker| w.mailbox.vips().is_empty();
            let idle = workers.extract_if(.., idle);
            idle.map(|(_, worker)| {
                let generation = worker.mailbox.change(|letter| letter.stop = true);
                (worker, generation)
            })
            .collect()
        };
        for (mut worker, generation) in stopping {
            applied(&mut worker.progress, generation).await;
            // It has left its loop and has nothing more to wait for; a panic was reported where it happened.
            let _ = worker.thread.join();
        }
    }

    fn spawn(&self, name: &InterfaceName) -> std::io::Result<Worker> {
        let mailbox = Arc::new(Mailbox::new(Waker::new()?));
        let (progress, applied) = watch::channel(0);
        let counters = Arc::clone(lock(&self.counters).entry(name.clone()).or_default());
        let driver = Driver {
            interface: name.clone(),
            mailbox: Arc::clone(&mailbox),
            fence: Arc::clone(&self.fence),
            interfaces: self.interfaces.clone(),
            observations: self.observations.clone(),
            counters,
            progress,
            machine: Responder::new(self.config.limits),
            realtime: self.config.realtime,
        };
        let thread = std::thread::Builder::new().name(format!("arp-{name}")).spawn(move || driver.run())?;
        Ok(Worker { mailbox, progress: applied, thread })
    }
}

impl Drop for Layer2 {
    fn drop(&mut self) {
        let workers = std::mem::take(&mut *lock(&self.workers));
        for worker in workers.values() {
            worker.mailbox.change(|letter| {
                letter.vips.clear();
                letter.stop = true;
            });
        }
        for worker in workers.into_values() {
            // Woken just now and busy for microseconds.
            let _ = worker.thread.join();
        }
    }
}

/// Wakes every thread when the interfaces have changed. Ends when nobody publishes any more; safe to abort.
async fn wake_on_change(mut interfaces: watch::Receiver<Arc<Interfaces>>, workers: Workers) {
    while interfaces.changed().await.is_ok() {
        for worker in lock(&workers).values() {
            worker.mailbox.waker.wake();
        }
    }
}

/// A poisoned lock still guards whole values: each is written in one step.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
