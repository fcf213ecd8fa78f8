//! One interface's thread: waits for frames, deadlines and news, feeds the machine, does what it puts out.
//!
//! Owned by [`crate::Layer2`], which starts it for the first vip on an interface and ends it after the last. It owns the interface's
//! socket. It ends when its mailbox says so and on nothing else: an interface that is down, gone or made anew is waited for. It is never
//! aborted; a panic would end it and is seen by the next [`crate::Layer2::set`].

use std::io;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use ironlb_layer2_proto::{Input, Output, PacketType, Purpose, Responder};
use ironlb_model::{InterfaceName, Interfaces, Timestamp};
use tokio::sync::{mpsc, watch};
use tracing::{debug, info, trace, warn};

use crate::backoff::Backoff;
use crate::budget::Budget;
use crate::counters::Counters;
use crate::layer2::Observation;
use crate::mailbox::{Fence, Mailbox};
use crate::raw::{self, ArpSocket, FRAME_BUFFER, boottime};

/// Frames taken before deadlines and news are looked at again. Chosen, because 64 frames take well under a millisecond.
const BATCH: usize = 64;

/// Waits between attempts to open a socket. Chosen: short, because vips are unreachable meanwhile; news of the interfaces ends a wait.
const REOPEN: (Duration, Duration) = (Duration::from_millis(50), Duration::from_secs(1));

/// What a thread is made of.
#[derive(Debug)]
pub(crate) struct Driver {
    pub(crate) interface: InterfaceName,
    pub(crate) mailbox: Arc<Mailbox>,
    pub(crate) fence: Arc<Fence>,
    pub(crate) interfaces: watch::Receiver<Arc<Interfaces>>,
    pub(crate) observations: mpsc::Sender<Observation>,
    pub(crate) counters: Arc<Counters>,
    pub(crate) progress: watch::Sender<u64>,
    pub(crate) machine: Responder,
    pub(crate) realtime: bool,
}

/// The socket, or when to try for one again.
#[derive(Debug)]
struct Link {
    socket: Option<ArpSocket>,
    backoff: Backoff,
    retry_at: Option<Timestamp>,
}

impl Driver {
    /// The thread's whole life.
    pub(crate) fn run(mut self) {
        if self.realtime {
            match raw::request_realtime() {
                Ok(()) => debug!(iface = %self.interface, "answering in front of ordinary threads"),
                Err(error) => {
                    debug!(iface = %self.interface, %error, "answering at ordinary priority");
                }
            }
        }
        let mut link = Link { socket: None, backoff: Backoff::new(REOPEN.0, REOPEN.1), retry_at: None };
        let mut known = None;
        let mut limit = None;
        let mut applied = 0;
        let mut readable = false;
        let mut budget = Budget::new(boottime(), raw::thread_cpu_time());
        let mut frames = 0;
        loop {
            let wanted = self.mailbox.newer_than(applied);
            if let Some(wanted) = &wanted {
                self.machine.handle_input(boottime(), Input::SetVips(wanted.vips.clone()));
            }
            self.pass_on_fence(&mut limit);
            self.pass_on_interfaces(&mut known, &mut link);
            self.pass_on_link(known.as_deref(), &mut link);
            self.machine.handle_timeout(boottime());
            self.flush(&mut link);
            if let Some(wanted) = wanted {
                applied = wanted.generation;
                self.progress.send_replace(applied);
                if wanted.stop {
                    break;
                }
            }
            if readable {
                frames += self.receive(&mut link, &mut limit);
            }
            if frames >= BATCH {
                frames = 0;
                self.rest(&mut budget);
            }
            readable = self.wait(&link);
        }
        self.counters.socket_open.store(false, Ordering::Relaxed);
        info!(iface = %self.interface, "stopped answering");
    }

    /// Leaves the core to others when this thread has used its share. What does not fit into the socket meanwhile is lost, as it would be
    /// to the rate limit. News ends the rest: what is taken away is taken away at once.
    fn rest(&self, budget: &mut Budget) {
        let pause = budget.pause(boottime(), raw::thread_cpu_time());
        if !pause.is_zero() {
            let _ = raw::wait(None, &self.mailbox.waker, Some(pause));
        }
    }

    /// Until the next frame, deadline or news; says whether there is a frame.
    fn wait(&self, link: &Link) -> bool {
        let next = [self.machine.poll_timeout(), link.retry_at];
        let next = next.into_iter().flatten().min();
        let timeout = next.map(|next| next.since(boottime()));
        match raw::wait(link.socket.as_ref(), &self.mailbox.waker, timeout) {
            Ok(readable) => readable,
            Err(error) => {
                warn!(iface = %self.interface, %error, "cannot wait for frames");
                std::thread::sleep(REOPEN.0);
                false
            }
        }
    }

    fn pass_on_fence(&mut self, limit: &mut Option<Timestamp>) {
        let until = self.fence.read();
        if until != *limit {
            *limit = until;
            self.machine.handle_input(boottime(), Input::ValidUntil(until));
        }
    }

    /// What the kernel says about this host's interfaces, when it is news; and whether it has another interface under our name now.
    fn pass_on_interfaces(&mut self, known: &mut Option<Arc<Interfaces>>, link: &mut Link) {
        if known.is_some() && !self.interfaces.has_changed().unwrap_or(false) {
            return;
        }
        let now = Arc::clone(&self.interfaces.borrow_and_update());
        let macs = now.by_name.values().filter_map(|i| i.mac).collect();
        self.machine.handle_input(boottime(), Input::SetHostMacs(macs));
        // Whatever failed before may work now.
        link.retry_at = link.retry_at.map(|_| Timestamp::ZERO);
        *known = Some(now);
    }

    /// Opens the socket where it is missing or bound to an interface that is gone, and tells the machine of link and MAC.
    fn pass_on_link(&mut self, known: Option<&Interfaces>, link: &mut Link) {
        let facts = known.and_then(|all| all.by_name.get(&self.interface));
        let mut mac = None;
        if let Some(socket) = &link.socket {
            let binding = socket.binding().ok();
            mac = binding.and_then(|binding| binding.mac);
            let bound = binding.and_then(|binding| binding.index);
            if bound.is_none() || facts.map(|facts| facts.index) != bound {
                info!(iface = %self.interface, "interface is gone, renamed or made anew");
                self.close(link);
            }
        }
        if link.socket.is_none()
            && let Some(facts) = facts
            && link.retry_at.is_none_or(|at| at <= boottime())
        {
            self.open(link, facts.index);
            mac = link.socket.as_ref().and_then(|socket| socket.binding().ok()?.mac);
        }
        let now = boottime();
        if link.socket.is_some() {
            self.machine.handle_input(now, Input::SetMac(mac));
        }
        let up = link.socket.is_some() && facts.is_some_and(|facts| facts.up);
        self.machine.handle_input(now, Input::SetLink { up });
    }

    fn open(&self, link: &mut Link, index: u32) {
        match ArpSocket::open(index) {
            Ok(socket) => {
                info!(iface = %self.interface, index, "listening for ARP");
                link.socket = Some(socket);
                link.retry_at = None;
                link.backoff.succeeded();
                self.counters.opened.add_one();
                self.counters.socket_open.store(true, Ordering::Relaxed);
            }
            Err(error) => {
                let wait = link.backoff.failed();
                warn!(iface = %self.interface, index, %error, ?wait, "cannot open a packet socket");
                link.retry_at = Some(boottime() + wait);
            }
        }
    }

    fn close(&self, link: &mut Link) {
        link.socket = None;
        self.counters.socket_open.store(false, Ordering::Relaxed);
    }

    /// Takes a batch of frames and does at once what each leads to; says how many there were. Time and fence
    /// are read for each: the thread may have been frozen between two.
    fn receive(&mut self, link: &mut Link, limit: &mut Option<Timestamp>) -> usize {
        let mut buffer = [0; FRAME_BUFFER];
        for taken in 0..BATCH {
            let Some(socket) = &link.socket else {
                return taken;
            };
            match socket.receive(&mut buffer) {
                Ok(Some((bytes, packet_type))) => {
                    self.counters.received.add_one();
                    self.pass_on_fence(limit);
                    self.pass_on_frame(bytes, packet_type);
                    self.flush(link);
                }
                Ok(None) => return taken,
                Err(error) => {
                    self.counters.receive_failed.add_one();
                    // The kernel says this once when the interface goes down; the socket goes on when it comes up.
                    if error.raw_os_error() == Some(libc::ENETDOWN) {
                        debug!(iface = %self.interface, "interface went down");
                        // Told here as well, in case it is up again before the news of both is read.
                        self.machine.handle_input(boottime(), Input::SetLink { up: false });
                    } else {
                        warn!(iface = %self.interface, %error, "cannot receive");
                        self.close(link);
                        link.retry_at = Some(boottime() + link.backoff.failed());
                    }
                    return taken;
                }
            }
        }
        BATCH
    }

    fn pass_on_frame(&mut self, bytes: &[u8], packet_type: PacketType) {
        self.machine.handle_input(boottime(), Input::Frame { bytes, packet_type });
    }

    /// Does everything the machine has put out.
    fn flush(&mut self, link: &mut Link) {
        while let Some(output) = self.machine.poll_output() {
            match output {
                Output::Send { frame, purpose } => {
                    let sent = link.socket.as_ref().map_or_else(
                        || Err(io::Error::from(io::ErrorKind::NotConnected)),
                        |socket| socket.send(frame.as_bytes()),
                    );
                    match (sent, purpose) {
                        (Ok(()), Purpose::Answer { vip, asker }) => {
                            self.counters.answered.add_one();
                            trace!(iface = %self.interface, %vip, %asker, "answered");
                        }
                        (Ok(()), Purpose::Announcement { vip }) => {
                            self.counters.announced.add_one();
                            trace!(iface = %self.interface, %vip, "announced");
                        }
                        (Err(error), _) => {
                            self.counters.send_failed.add_one();
                            debug!(iface = %self.interface, vip = %purpose.vip(), %error, "cannot send");
                        }
                    }
                }
                Output::Ignored(reason) => {
                    self.counters.ignored(reason);
                    trace!(iface = %self.interface, reason = reason.category(), "ignored");
                }
                Output::ForeignClaim { vip, mac } => {
                    self.counters.foreign_claims.add_one();
                    let observation =
                        Observation::ForeignClaim { interface: self.interface.clone(), vip, mac, at: boottime() };
                    if self.observations.try_send(observation).is_err() {
                        self.counters.observations_dropped.add_one();
                    }
                }
            }
        }
    }
}
