//! The thread: waits for packets, deadlines and commands, feeds the machine, does what it puts out.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::mpsc::Receiver;
use std::time::Duration;

use ironlb_bfd_proto::{AddError, Datagram, Disable, Discriminator, Input, Notice, Output, Path, Sessions, State};
use ironlb_bgp_proto::BfdState;
use ironlb_model::Timestamp;
use tokio::sync::mpsc::UnboundedSender;
use tokio::sync::oneshot;
use tracing::{debug, error, info, trace};

use super::allowance::Allowance;
use super::held::Held;
use super::listeners::{Family, Key, Listeners, least_ttl};
use super::{Change, Command, Ports, Setup, Status};
use crate::clock;
use crate::raw::{self, Waker};

/// Datagrams taken in one round. Chosen: more than the receive buffers of four sockets hold, so that a round ends before them only
/// under a flood.
const BATCH: usize = 2048;

/// How often all sessions are looked at for what no event tells, such as another interval of the peer. Chosen: what a status shows is
/// read by people.
const LOOK: Duration = Duration::from_millis(500);

/// Peers are given no more than this to take down what depends on BFD, however slow the session is. Chosen: the node is without sessions
/// meanwhile, and a router has the packet within milliseconds.
const LINGER_AT_MOST: Duration = Duration::from_secs(1);

/// How long to wait when waiting itself fails, for lack of memory in the kernel.
const PAUSE: Duration = Duration::from_millis(10);

/// All that the thread owns.
#[derive(Debug)]
pub(super) struct Worker {
    ports: Ports,
    commands: Receiver<Command>,
    changes: UnboundedSender<Change>,
    waker: Arc<Waker>,
    sessions: Sessions,
    held: BTreeMap<Discriminator, Held>,
    listeners: Listeners,
    look_at: Timestamp,
    /// Taken down for a restart of the process; stays so.
    is_leaving: bool,
    /// Who waits for the peers to have been told, and until when.
    lingering: Option<(Timestamp, oneshot::Sender<()>)>,
}

impl Worker {
    pub(super) fn new(
        seed: u64,
        ports: Ports,
        commands: Receiver<Command>,
        changes: UnboundedSender<Change>,
        waker: Arc<Waker>,
    ) -> Self {
        Self {
            ports,
            commands,
            changes,
            waker,
            sessions: Sessions::new(seed),
            held: BTreeMap::new(),
            listeners: Listeners::default(),
            look_at: Timestamp::ZERO,
            is_leaving: false,
            lingering: None,
        }
    }

    /// The thread's whole life.
    pub(super) fn run(mut self) {
        match raw::request_realtime().or_else(|_| raw::request_precedence()) {
            Ok(()) => debug!("BFD runs in front of other threads"),
            Err(error) => debug!(%error, "BFD runs at ordinary priority"),
        }
        let mut allowance = Allowance::new(clock::now(), clock::used_by_thread());
        loop {
            while let Ok(command) = self.commands.try_recv() {
                match command {
                    Command::Set(_) if self.is_leaving => {}
                    Command::Set(wanted) => self.set(wanted),
                    Command::AdminDown(done) => self.leave(done),
                    Command::Stop => return,
                }
            }
            if self.listeners.open_missing(clock::now(), self.ports) {
                self.look_at = Timestamp::ZERO;
            }
            // Read before the sockets are emptied: what has not arrived by then is late, and not this thread.
            let now = clock::now();
            self.receive();
            self.sessions.handle_timeout(now);
            self.flush();
            self.look();
            if let Some((_, done)) = self.lingering.take_if(|(until, _)| *until <= now) {
                // Nobody has to wait for it.
                let _ = done.send(());
            }
            match allowance.rest_after(clock::now(), clock::used_by_thread()) {
                // A flood. Half of a core is left to others, whatever arrives.
                Some(rest) => _ = raw::wait([None; 4], &self.waker, Some(rest)),
                None => self.wait(),
            }
        }
    }

    fn wait(&self) {
        let lingers_until = self.lingering.as_ref().map(|(until, _)| *until);
        let next = [self.sessions.poll_timeout(), self.listeners.retry_at(), lingers_until].into_iter().flatten().min();
        let timeout = next.map(|next| next.since(clock::now()));
        if let Err(error) = raw::wait(self.listeners.sockets(), &self.waker, timeout) {
            error!(%error, "cannot wait for BFD packets");
            std::thread::sleep(PAUSE);
        }
    }

    /// Makes the sessions those that are wanted.
    fn set(&mut self, mut wanted: BTreeMap<String, (Path, Setup)>) {
        let now = clock::now();
        let mut gone = Vec::new();
        for (id, held) in &mut self.held {
            match wanted.remove(&*held.name) {
                Some((path, setup)) if held.is_same_session(&path, &setup) => {
                    if held.setup != setup {
                        self.sessions.handle_input(now, *id, Input::Configure(setup.config.clone()));
                        held.setup = setup;
                    }
                }
                Some(other) => {
                    wanted.insert(held.name.to_string(), other);
                    gone.push(*id);
                }
                None => gone.push(*id),
            }
        }
        for id in &gone {
            self.sessions.handle_input(now, *id, Input::Disable(Disable::Administratively));
        }
        self.flush();
        for id in gone {
            self.sessions.remove(id);
            self.held.remove(&id);
        }
        let mut needed: BTreeMap<Key, u8> = BTreeMap::new();
        let held = self.held.values().map(|held| (&held.path, &held.setup));
        for (path, setup) in held.chain(wanted.values().map(|(path, setup)| (path, setup))) {
            let least = needed.entry(Key::of(path, setup)).or_insert(u8::MAX);
            *least = least_ttl(setup).min(*least);
        }
        self.listeners.keep(&needed);
        self.listeners.open_missing(now, self.ports);
        for (name, (path, setup)) in wanted {
            self.add(now, name.into(), path, setup);
        }
        self.look_at = Timestamp::ZERO;
    }

    fn add(&mut self, now: Timestamp, name: Arc<str>, path: Path, setup: Setup) {
        match self.sessions.add(now, path.clone(), setup.config.clone()) {
            Ok(id) => {
                info!(session = %name, peer = %path.remote, port = setup.config.hops.port(), "BFD begins");
                self.held.insert(id, Held::new(name, path, setup, now));
                self.flush();
            }
            Err(error @ AddError::Exists(_)) => {
                let status = Status { since: now, trouble: Some(error.to_string().into()), ..Status::default() };
                self.tell(Change { session: name, bfd: BfdState::Unknown, status });
            }
        }
    }

    /// Takes everything down on purpose, and says so once the peers had time to act on it.
    fn leave(&mut self, done: oneshot::Sender<()>) {
        self.is_leaving = true;
        let now = clock::now();
        let up = self.sessions.iter().filter(|(_, session)| session.state() == State::Up);
        let lingering = up.filter_map(|(_, session)| session.remote_detection_time()).max().unwrap_or_default();
        for id in self.held.keys() {
            self.sessions.handle_input(now, *id, Input::Disable(Disable::Administratively));
        }
        self.flush();
        // Whoever misses the packet takes the session down by himself within a Detection Time.
        // And a router needs time for what it does then: FRR tells its BGP through two other processes, and ends whatever session there is
        // by the time it hears it, such as the one that the next process has brought up since (measured).
        self.lingering = Some((now + lingering.min(LINGER_AT_MOST), done));
    }

    /// Empties the sockets; says how many datagrams were in them, at most a batch.
    fn receive(&mut self) {
        let mut buffer = [0; raw::DATAGRAM_BUFFER];
        let mut taken = 0;
        for key in Key::ALL {
            while let Some(arrival) = self.listeners.receive(key, &mut buffer) {
                let datagram = Datagram {
                    port: key.port(),
                    source: arrival.source,
                    destination: arrival.destination,
                    interface: arrival.interface,
                    ttl: arrival.ttl,
                    payload: buffer.get(..arrival.length).unwrap_or_default(),
                };
                self.sessions.handle_datagram(clock::now(), &datagram);
                self.flush();
                taken += 1;
                if taken == BATCH {
                    return;
                }
            }
        }
    }

    /// Does everything that the machine has put out.
    fn flush(&mut self) {
        while let Some(notice) = self.sessions.poll_output() {
            match notice {
                Notice::Of(id, output) => self.act(id, output),
                Notice::Dropped(reason) => trace!(reason = reason.category(), "a BFD packet for nobody"),
            }
        }
    }

    fn act(&mut self, id: Discriminator, output: Output) {
        let Some(held) = self.held.get_mut(&id) else { return };
        match output {
            Output::Send(bytes) => {
                let key = Key::of(&held.path, &held.setup);
                // With another daemon on our port, its sessions and ours would take each other's packets down.
                if self.listeners.is_open(key) {
                    let to = self.ports.of(key.port()).1;
                    held.sender.send(bytes.as_ref(), id, &held.path, to, &mut self.sessions);
                }
            }
            Output::Changed { from, to, cause } => {
                held.changed(from, to, cause, clock::now());
                let (session, peer) = (&held.name, held.path.remote);
                let cause = cause.category();
                if from == State::Up || to == State::Up {
                    info!(%session, %peer, %from, %to, cause, "BFD");
                } else {
                    debug!(%session, %peer, %from, %to, cause, "BFD");
                }
                self.show(id);
            }
            Output::PollEnded => self.show(id),
            Output::Dropped(reason) => held.dropped(reason),
        }
    }

    /// Looks at all sessions, now and then.
    fn look(&mut self) {
        let now = clock::now();
        if now < self.look_at {
            return;
        }
        self.look_at = now + LOOK;
        let all: Vec<Discriminator> = self.held.keys().copied().collect();
        all.into_iter().for_each(|id| self.show(id));
    }

    /// Tells how a session stands, if it stands otherwise than was told last.
    fn show(&mut self, id: Discriminator) {
        let Some((held, session)) = self.held.get_mut(&id).zip(self.sessions.get(id)) else { return };
        let listener = self.listeners.trouble(Key::of(&held.path, &held.setup));
        if let Some(change) = held.change(session, listener) {
            self.tell(change);
        }
    }

    fn tell(&self, change: Change) {
        // Whoever listened is about to drop the driver.
        let _ = self.changes.send(change);
    }
}

impl Family {
    /// Of a peer's address.
    pub(super) fn of(path: &Path) -> Self {
        if path.remote.is_ipv4() { Self::V4 } else { Self::V6 }
    }
}
