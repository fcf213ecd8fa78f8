//! The task that owns all others: it turns what is to be into sessions and listeners, and hands each what is its own.

mod bfd_beside;
mod listeners;

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use ironlb_bgp_proto::{BfdState, Routes, Stop};
use tokio::net::TcpStream;
use tokio::sync::{mpsc, oneshot, watch};
use tokio::task::{Id, JoinError, JoinSet};
use tracing::{error, info, warn};

use self::bfd_beside::BfdBeside;
use self::listeners::Listeners;
use crate::bgp::Order;
use crate::clock::now;
use crate::session::{self, INCOMING, Inlet, Outlet, Wanted, seed_of};
use crate::status::{Board, SessionStatus};
use crate::{Leave, Session, Setup, addresses, bfd, neighbor};

/// Unknown peers are named in the log, and those who wait for changes woken for them, so often at most.
const REFUSALS_TOLD: Duration = Duration::from_secs(10);

/// How long the sessions may take to end: a connection gets one second to say its last words. BFD ends after them, within a second.
const LEAVING: Duration = Duration::from_secs(3);

/// How long a session rests whose task failed: a fault of ours, which the log names, and not to be repeated a thousand times.
const AFTER_A_FAULT: Duration = Duration::from_secs(5);

/// A session's task, seen from here.
#[derive(Debug)]
struct Running {
    task: Id,
    wanted: watch::Sender<Wanted>,
    incoming: mpsc::Sender<TcpStream>,
    /// Where an unnumbered peer was found.
    found: Option<SocketAddr>,
}

/// See the module.
#[derive(Debug)]
pub(crate) struct Supervisor {
    board: Arc<Board>,
    seed: u64,
    /// Sessions that begin now may have routes with their peers from an earlier life.
    restarted: bool,
    present: Setup,
    running: BTreeMap<String, Running>,
    routes: BTreeMap<String, Arc<Routes>>,
    tasks: JoinSet<()>,
    listeners: Listeners,
    bfd: BfdBeside,
    outlet: Outlet,
    addresses: watch::Receiver<u64>,
    refused_at: Option<ironlb_model::Timestamp>,
    /// Refused since it was logged last.
    unlogged: u64,
}

/// Carries out orders until it is told to leave or nobody is left to give any.
pub(crate) async fn supervise(
    mut orders: mpsc::UnboundedReceiver<Order>,
    board: Arc<Board>,
    seed: u64,
    restarted: bool,
) {
    let (accepted, mut incoming) = mpsc::channel(INCOMING * 4);
    let (found, mut founds) = mpsc::unbounded_channel();
    let (changes, mut addresses) = watch::channel(0);
    let mut following = JoinSet::new();
    following.spawn(addresses::follow(changes));
    let mut supervisor = Supervisor {
        seed,
        restarted,
        present: Setup::default(),
        running: BTreeMap::new(),
        routes: BTreeMap::new(),
        tasks: JoinSet::new(),
        listeners: Listeners::new(accepted, Arc::clone(&board)),
        bfd: BfdBeside::new(seed_of("bfd", seed)),
        outlet: Outlet { board: Arc::clone(&board), found },
        addresses: addresses.clone(),
        refused_at: None,
        unlogged: 0,
        board,
    };
    loop {
        tokio::select! {
            order = orders.recv() => match order {
                Some(Order::Configure(setup)) => supervisor.configure(setup),
                Some(Order::Advertise(session, routes)) => supervisor.advertise(session, routes),
                Some(Order::Leave(how, done)) => return supervisor.leave(how, done).await,
                None => return,
            },
            Some(stream) = incoming.recv() => supervisor.accepted(stream),
            Some((name, address)) = founds.recv() => supervisor.found(&name, address),
            Some(ended) = supervisor.tasks.join_next_with_id() => supervisor.ended(ended),
            change = supervisor.bfd.changed() => supervisor.bfd_changed(change),
            Ok(()) = addresses.changed() => supervisor.watch(),
        }
    }
}

impl Supervisor {
    fn configure(&mut self, setup: Setup) {
        if setup == self.present {
            return;
        }
        let before = std::mem::replace(&mut self.present, setup);
        let names: Vec<String> = before.sessions.keys().cloned().collect();
        for name in names {
            let after = self.present.sessions.get(&name);
            // Another neighbor is another session, whatever its name.
            if after.map(|session| &session.neighbor) != before.sessions.get(&name).map(|session| &session.neighbor) {
                self.end(&name);
            }
        }
        let sessions: Vec<(String, Session)> =
            self.present.sessions.iter().map(|(name, session)| (name.clone(), session.clone())).collect();
        let are_there_any = !sessions.is_empty();
        for (name, session) in sessions {
            match self.running.get(&name) {
                Some(running) => {
                    let setup = Arc::new(session);
                    running.wanted.send_if_modified(|wanted| {
                        let is_new = wanted.setup != setup;
                        wanted.setup = setup;
                        is_new
                    });
                }
                None => self.begin(&name, Arc::new(session), Duration::ZERO),
            }
        }
        // Of sessions that are configured later nobody holds routes.
        self.restarted &= !are_there_any;
        self.routes.retain(|name, _| self.present.sessions.contains_key(name) || !before.sessions.contains_key(name));
        self.listeners.listen(self.present.listener.as_ref());
        self.watch();
    }

    fn begin(&mut self, name: &str, setup: Arc<Session>, rest: Duration) {
        let shared: Arc<str> = name.into();
        let first = Wanted { setup, routes: self.routes.get(name).cloned(), bfd: None, stop: None };
        let (wanted, told) = watch::channel(first);
        let (incoming, taken) = mpsc::channel(INCOMING);
        let inlet = Inlet { wanted: told, incoming: taken, addresses: self.addresses.clone() };
        let (seed, restarted, outlet) = (seed_of(name, self.seed), self.restarted, self.outlet.clone());
        let task = self.tasks.spawn(async move {
            tokio::time::sleep(rest).await;
            session::run(shared, seed, restarted, inlet, outlet).await;
        });
        let running = Running { task: task.id(), wanted, incoming, found: None };
        self.running.insert(name.to_owned(), running);
        self.board.post(|status| status.sessions.insert(name.to_owned(), SessionStatus::new(now())).is_none());
    }

    /// The session is configured no more.
    fn end(&mut self, name: &str) {
        if let Some(running) = self.running.remove(name) {
            running.wanted.send_modify(|wanted| wanted.stop = Some(Stop::Deconfigured));
            info!(peer = name, "session is configured no more");
        }
        self.board.post(|status| status.sessions.remove(name).is_some());
    }

    fn advertise(&mut self, session: String, routes: Arc<Routes>) {
        if let Some(running) = self.running.get(&session) {
            running.wanted.send_modify(|wanted| wanted.routes = Some(Arc::clone(&routes)));
        }
        self.routes.insert(session, routes);
    }

    /// A connection that some peer has opened.
    fn accepted(&mut self, stream: TcpStream) {
        let (Ok(local), Ok(remote)) = (stream.local_addr(), stream.peer_addr()) else { return };
        let is_from = |session: &&Session| {
            neighbor::is_from(&session.neighbor, remote) && session.source.is_none_or(|source| source == local.ip())
        };
        let sessions = self.present.sessions.iter().filter(|(_, session)| is_from(session));
        // One that was told where it ends is meant before one that takes any end.
        let session = sessions.max_by_key(|(_, session)| session.source.is_some()).map(|(name, _)| name);
        let taken = session.and_then(|name| self.running.get(name)).map(|running| running.incoming.try_send(stream));
        match taken {
            Some(Ok(())) => {}
            // It has others to look at; this peer connects again.
            Some(Err(_)) => warn!(address = %remote, "a peer connects faster than its session can look at it"),
            None => self.refused(remote),
        }
    }

    fn refused(&mut self, remote: SocketAddr) {
        self.unlogged += 1;
        let is_told = self.refused_at.is_none_or(|at| now().since(at) >= REFUSALS_TOLD);
        // Who connects a thousand times a second wakes nobody a thousand times a second; the number is right all the same.
        self.board.post(|status| {
            status.listener.refused += 1;
            is_told
        });
        if is_told {
            let count = std::mem::take(&mut self.unlogged);
            info!(address = %remote, count, "closed a connection of a peer that is not configured");
            self.refused_at = Some(now());
        }
    }

    fn found(&mut self, name: &str, address: SocketAddr) {
        if let Some(running) = self.running.get_mut(name).filter(|running| running.found != Some(address)) {
            info!(peer = name, %address, "found the router of an unnumbered session");
            running.found = Some(address);
            self.watch();
        }
    }

    /// Tells BFD and the listeners which peers there are.
    fn watch(&mut self) {
        let found = |name: &str| self.running.get(name).and_then(|running| running.found);
        self.listeners.set_keys(&self.present, found);
        let without = self.bfd.set(&self.present, found);
        for name in without {
            self.tell_bfd(&name, None);
        }
    }

    fn bfd_changed(&self, change: bfd::Change) {
        self.tell_bfd(&change.session, Some((change.bfd, change.status)));
    }

    fn tell_bfd(&self, name: &str, bfd: Option<(BfdState, bfd::Status)>) {
        if let Some(running) = self.running.get(name) {
            running.wanted.send_if_modified(|wanted| {
                let is_new = wanted.bfd != bfd;
                wanted.bfd = bfd;
                is_new
            });
        }
    }

    /// A task has ended: one that was to, or by a fault of ours.
    fn ended(&mut self, ended: Result<(Id, ()), JoinError>) {
        let id = match &ended {
            Ok((id, ())) => *id,
            Err(error) => error.id(),
        };
        let running = self.running.iter().find(|(_, running)| running.task == id);
        let Some(name) = running.map(|(name, _)| name.clone()) else { return };
        let Some(setup) = self.present.sessions.get(&name).cloned() else { return };
        error!(peer = name, ?ended, retry_in = ?AFTER_A_FAULT, "the task of a session ended by a fault of its own");
        // Its peer may bridge this like a restart, and holds routes if so.
        let restarted = std::mem::replace(&mut self.restarted, true);
        self.begin(&name, Arc::new(setup), AFTER_A_FAULT);
        self.restarted = restarted;
        self.board.post(|status| match status.sessions.get_mut(&name) {
            Some(session) => {
                session.trouble = Some("a fault in ironlb ended the session; it begins again".to_owned());
                true
            }
            None => false,
        });
        self.bfd.forget();
        self.watch();
    }

    async fn leave(mut self, how: Leave, done: oneshot::Sender<()>) {
        self.listeners.listen(None);
        let stop = match &how {
            Leave::ForRestart => {
                info!("leaving for a restart: routers with graceful restart keep the routes");
                Stop::Quiet
            }
            Leave::ForGood(text) => {
                info!(text, "leaving for good");
                Stop::Shutdown(text.clone())
            }
        };
        for running in self.running.values() {
            running.wanted.send_modify(|wanted| wanted.stop = Some(stop.clone()));
        }
        let all = async { while self.tasks.join_next().await.is_some() {} };
        if tokio::time::timeout(LEAVING, all).await.is_err() {
            warn!("not all sessions have ended in time");
        }
        // Last, when the routers bridge the restart already: see `Leave::ForRestart`.
        self.bfd.admin_down().await;
        // Its sockets, too, are the next process's from here on.
        self.bfd.forget();
        // Nobody waits only if the handle is gone.
        let _ = done.send(());
    }
}
