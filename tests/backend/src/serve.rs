//! The server's life: listen, serve, and on SIGTERM leave without hurting a client.

use std::io::{self, Write as _};
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use nix::sys::signal::Signal;

use crate::connection;
use crate::identity::Identity;
use crate::signals::Signals;

/// How long the last connections may take to finish once the listener is closed; chosen, well above one round trip.
const FINISH: Duration = Duration::from_secs(2);

/// A connection's thread only reads a head and writes a line, so that thousands of streams fit.
const STACK: usize = 128 * 1024;

/// What the command line says.
#[derive(Debug, PartialEq)]
pub(crate) struct Options {
    pub(crate) port: u16,
    /// How long to go on accepting after SIGTERM, until every node has forgotten this endpoint.
    pub(crate) grace: Duration,
}

/// Where the server is in its life. It only ever moves forward.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Phase {
    /// Serving, healthy.
    Serving = 0,
    /// SIGTERM came: still accepting, but `/healthz` says no.
    Leaving = 1,
    /// Nothing new is accepted; every connection ends after what it is doing.
    Closing = 2,
}

/// What the connections share.
#[derive(Debug)]
pub(crate) struct Server {
    pub(crate) identity: Identity,
    phase: AtomicUsize,
    open: AtomicUsize,
}

impl Server {
    /// The present phase.
    pub(crate) fn phase(&self) -> Phase {
        match self.phase.load(Ordering::Acquire) {
            0 => Phase::Serving,
            1 => Phase::Leaving,
            _ => Phase::Closing,
        }
    }

    fn enter(&self, phase: Phase) {
        self.phase.store(phase as usize, Ordering::Release);
    }
}

/// Serves until SIGTERM or SIGINT, then leaves in order.
///
/// # Errors
/// The port cannot be bound, or a thread cannot be started.
pub(crate) fn run(options: &Options, identity: Identity) -> io::Result<()> {
    // Before any thread, so that all of them inherit the mask.
    let signals = Signals::block(&[Signal::SIGTERM, Signal::SIGINT])?;
    let listener = listen(options.port)?;
    let address = listener.local_addr()?;
    let server =
        Arc::new(Server { identity, phase: AtomicUsize::new(Phase::Serving as usize), open: AtomicUsize::new(0) });
    println!("listening on {address}");
    io::stdout().flush()?;

    let acceptor = {
        let server = Arc::clone(&server);
        std::thread::Builder::new().name("accept".to_owned()).spawn(move || accept(listener, &server))?
    };

    signals.wait()?;
    server.enter(Phase::Leaving);
    println!("leaving: accepting for another {:?}", options.grace);
    std::thread::sleep(options.grace);
    server.enter(Phase::Closing);
    wake(address);
    // A panic in the acceptor has been printed by then, and there is nothing left to do but end.
    let _ = acceptor.join();

    let deadline = Instant::now() + FINISH;
    while server.open.load(Ordering::Acquire) > 0 && Instant::now() < deadline {
        std::thread::sleep(Duration::from_millis(5));
    }
    println!("ended");
    Ok(())
}

/// Listens on every address of both families, or of IPv4 alone where the kernel has no IPv6.
fn listen(port: u16) -> io::Result<TcpListener> {
    TcpListener::bind(SocketAddr::from((Ipv6Addr::UNSPECIFIED, port))).or_else(|error| {
        TcpListener::bind(SocketAddr::from((Ipv4Addr::UNSPECIFIED, port)))
            .map_err(|_| io::Error::new(error.kind(), format!("cannot listen on port {port}: {error}")))
    })
}

/// A connection to ourselves makes a blocking `accept` look at the phase.
fn wake(address: SocketAddr) {
    let own = match address {
        SocketAddr::V4(_) => SocketAddr::from((Ipv4Addr::LOCALHOST, address.port())),
        SocketAddr::V6(_) => SocketAddr::from((Ipv6Addr::LOCALHOST, address.port())),
    };
    // Where there is no loopback the acceptor stays blocked and ends with the process.
    let _ = TcpStream::connect_timeout(&own, Duration::from_millis(200));
}

fn accept(listener: TcpListener, server: &Arc<Server>) {
    while server.phase() < Phase::Closing {
        match listener.accept() {
            Ok((stream, peer)) => start(stream, peer, server),
            // Out of descriptors or memory: the client will try again, and so do we.
            Err(error) => {
                eprintln!("accept: {error}");
                std::thread::sleep(Duration::from_millis(10));
            }
        }
    }
    // Handshakes that the kernel has finished would be reset by the close: serve those too.
    if listener.set_nonblocking(true).is_ok() {
        while let Ok((stream, peer)) = listener.accept() {
            if stream.set_nonblocking(false).is_ok() {
                start(stream, peer, server);
            }
        }
    }
}

fn start(stream: TcpStream, peer: SocketAddr, server: &Arc<Server>) {
    server.open.fetch_add(1, Ordering::AcqRel);
    let shared = Arc::clone(server);
    let started = std::thread::Builder::new().stack_size(STACK).spawn(move || {
        // A client that goes away in the middle is its own affair.
        let _ = connection::run(stream, peer, &shared);
        shared.open.fetch_sub(1, Ordering::AcqRel);
    });
    if let Err(error) = started {
        eprintln!("connection from {peer}: {error}");
        server.open.fetch_sub(1, Ordering::AcqRel);
    }
}
