//! BFD beside the sessions of BGP: one thread drives the machine of all of them over one set of sockets.
//!
//! It runs apart from the runtime of the rest, in front of ordinary threads where the process may do that: with 10 ms between packets
//! and three of them missing a router takes a node for dead whose threads were busy for 30 ms.
//!
//! It holds no rule of the protocol. What is due, what is sent and what a packet means comes from [`ironlb_bfd_proto::Sessions`], and
//! its contract is kept here: sockets are emptied before a Detection Time may have passed.
//!
//! [`crate::Bgp`] has one for its sessions. Start reading at [`Driver`], then `worker`.

mod allowance;
mod held;
mod listeners;
mod sender;
mod worker;

use std::collections::BTreeMap;
use std::io;
use std::sync::Arc;
use std::sync::mpsc::{Sender, channel};
use std::thread::JoinHandle;
use std::time::Duration;

use ironlb_bfd_proto::{Cause, Config, Diagnostic, DropReason, MULTI_HOP_PORT, Path, SINGLE_HOP_PORT, State};
use ironlb_bgp_proto::BfdState;
use ironlb_model::Timestamp;
use tokio::sync::{mpsc, oneshot};

use self::worker::Worker;
use crate::raw::Waker;

/// How a session of BGP is watched by BFD.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Setup {
    /// Intervals, multiplier, distance and signature. The distance chooses the UDP port.
    pub config: Config,
}

/// How a session of BFD stands.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Status {
    /// Its state.
    pub state: State,
    /// In this state since.
    pub since: Timestamp,
    /// Why our state last changed, as the peer is told; prints as words.
    pub diagnostic: Diagnostic,
    /// The state that the peer last told; `None` while it is not heard.
    pub remote_state: Option<State>,
    /// Why the peer's state last changed, as it told us; prints as words.
    pub remote_diagnostic: Diagnostic,
    /// How long the peer may be silent; `None` before it was heard.
    pub detection_time: Option<Duration>,
    /// The interval at which packets go to the peer, before jitter; `None` while none go.
    pub transmit_interval: Option<Duration>,
    /// How often it went down after it had been up, on purpose or not.
    pub downs: u64,
    /// Why it last did, and when.
    pub last_down: Option<(Cause, Timestamp)>,
    /// Why the last packet that was for this session, and was not taken, was not; `None` once one was.
    pub dropped: Option<DropReason>,
    /// What keeps it from working at all, in words: the port taken by another daemon, no route to the peer.
    pub trouble: Option<Arc<str>>,
}

/// One session stands otherwise than before.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Change {
    /// Which, by the name it was set up with.
    pub session: Arc<str>,
    /// What BGP is to make of it.
    pub bfd: BfdState,
    /// All of it.
    pub status: Status,
}

/// What the thread is told.
#[derive(Debug)]
enum Command {
    Set(BTreeMap<String, (Path, Setup)>),
    AdminDown(oneshot::Sender<()>),
    Stop,
}

/// The UDP ports of the two distances: where this end listens, and where packets are sent to.
#[derive(Debug, Clone, Copy)]
struct Ports {
    single_hop: (u16, u16),
    multi_hop: (u16, u16),
}

impl Ports {
    /// Those of the RFCs. Others are for tests, where two ends share a network.
    const STANDARD: Self =
        Self { single_hop: (SINGLE_HOP_PORT, SINGLE_HOP_PORT), multi_hop: (MULTI_HOP_PORT, MULTI_HOP_PORT) };

    /// For the port that the protocol has for a distance.
    fn of(self, port: u16) -> (u16, u16) {
        if port == MULTI_HOP_PORT { self.multi_hop } else { self.single_hop }
    }
}

/// The thread, and how to talk to it. Dropped, it ends in silence: peers find that out, as they do when this process dies.
#[derive(Debug)]
pub struct Driver {
    commands: Sender<Command>,
    waker: Arc<Waker>,
    thread: Option<JoinHandle<()>>,
}

impl Driver {
    /// Starts the thread, with no sessions. `seed` is for discriminators, ports and jitter: drawn anew at each start.
    ///
    /// Each change of a session comes by the receiver, in order. It ends only when the thread has: by dropping this, or by a panic,
    /// after which no session is watched any more.
    ///
    /// # Errors
    /// No thread or no descriptor is left.
    pub fn start(seed: u64) -> io::Result<(Self, mpsc::UnboundedReceiver<Change>)> {
        Self::start_at(seed, Ports::STANDARD)
    }

    fn start_at(seed: u64, ports: Ports) -> io::Result<(Self, mpsc::UnboundedReceiver<Change>)> {
        let waker = Arc::new(Waker::new()?);
        let (commands, told) = channel();
        // Not bounded, because the thread must not wait, and need not be: a session changes its state a few times a second at most.
        let (changes, changed) = mpsc::unbounded_channel();
        let worker = Worker::new(seed, ports, told, changes, waker.clone());
        let thread = std::thread::Builder::new().name("bfd".into()).spawn(move || worker.run())?;
        Ok((Self { commands, waker, thread: Some(thread) }, changed))
    }

    /// All sessions that are to be, by name; those that are and stay the same are left alone. One that is not among them any more is
    /// taken down on purpose, so that its peer does not take the path for broken. No two may have the same path.
    pub fn set(&self, sessions: BTreeMap<String, (Path, Setup)>) {
        self.tell(Command::Set(sessions));
    }

    /// Takes all sessions down on purpose and returns when the peers have been told and had a Detection Time, a second at most, to act on
    /// it: this process is about to end, and to come back. Later calls of [`Driver::set`] do nothing.
    pub async fn admin_down(&self) {
        let (done, is_done) = oneshot::channel();
        self.tell(Command::AdminDown(done));
        // An error says that the thread has ended, and with it all sessions.
        let _ = is_done.await;
    }

    fn tell(&self, command: Command) {
        // It fails only when the thread has ended, which its receiver of changes tells.
        let _ = self.commands.send(command);
        self.waker.wake();
    }
}

impl Drop for Driver {
    fn drop(&mut self) {
        self.tell(Command::Stop);
        if let Some(thread) = self.thread.take() {
            // A panic was told by the end of the changes.
            let _ = thread.join();
        }
    }
}

#[cfg(test)]
mod tests;
