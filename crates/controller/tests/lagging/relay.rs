//! A way to the API server on which watches lag: what the server sends unasked is held back, what it answers is not.
//!
//! Everything on the way is encrypted, so what is an answer is told by time: a connection that has just carried a request carries its
//! answer, and one that has carried none for a while is a watch that tells of a change. An answer that takes longer counts as unasked
//! and comes late, as from a slow server.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use anyhow::Result;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{mpsc, watch};
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep_until};

/// What comes so long after the last request is unasked. Chosen: an idle API server answers a write within milliseconds, and the
/// changes that matter come later than that.
const UNASKED: Duration = Duration::from_millis(300);

/// The relay; its connections end when it is dropped.
#[derive(Debug)]
pub(crate) struct Relay {
    /// Where it listens.
    pub(crate) port: u16,
    held_back: Arc<AtomicUsize>,
    _task: JoinSet<()>,
}

impl Relay {
    /// Begins to lead to a port of this machine; what is unasked comes so much later.
    pub(crate) async fn start(to: u16, lag: Duration) -> Result<Self> {
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let port = listener.local_addr()?.port();
        let held_back = Arc::new(AtomicUsize::new(0));
        let count = Arc::clone(&held_back);
        let mut task = JoinSet::new();
        task.spawn(async move {
            let mut connections = JoinSet::new();
            while let Ok((near, _)) = listener.accept().await {
                let Ok(far) = TcpStream::connect(("127.0.0.1", to)).await else { continue };
                let count = Arc::clone(&count);
                connections.spawn(carry(near, far, lag, count));
            }
        });
        Ok(Self { port, held_back, _task: task })
    }

    /// How many pieces it has held back so far.
    pub(crate) fn held_back(&self) -> usize {
        self.held_back.load(Ordering::Relaxed)
    }
}

async fn carry(near: TcpStream, far: TcpStream, lag: Duration, held_back: Arc<AtomicUsize>) {
    let (from_client, to_client) = near.into_split();
    let (from_server, to_server) = far.into_split();
    let (asked, last_asked) = watch::channel(Instant::now());
    // As deep as memory: what is held back must not hold up the reading, or the lag would grow.
    let (hold, held) = mpsc::unbounded_channel();
    tokio::select! {
        () = requests(from_client, to_server, asked) => {}
        () = answers(from_server, hold, last_asked, lag, held_back) => {}
        () = late(held, to_client) => {}
    }
}

async fn requests(mut from: OwnedReadHalf, mut to: OwnedWriteHalf, asked: watch::Sender<Instant>) {
    let mut buffer = vec![0; 64 << 10];
    while let Ok(length @ 1..) = from.read(&mut buffer).await {
        asked.send_replace(Instant::now());
        if to.write_all(&buffer[..length]).await.is_err() {
            return;
        }
    }
}

async fn answers(
    mut from: OwnedReadHalf,
    hold: mpsc::UnboundedSender<(Instant, Vec<u8>)>,
    last_asked: watch::Receiver<Instant>,
    lag: Duration,
    held_back: Arc<AtomicUsize>,
) {
    let mut buffer = vec![0; 64 << 10];
    let mut due = Instant::now();
    while let Ok(length @ 1..) = from.read(&mut buffer).await {
        let now = Instant::now();
        let is_unasked = now.duration_since(*last_asked.borrow()) > UNASKED;
        held_back.fetch_add(usize::from(is_unasked), Ordering::Relaxed);
        // In their order, whatever each was taken for.
        due = due.max(if is_unasked { now + lag } else { now });
        if hold.send((due, buffer[..length].to_vec())).is_err() {
            return;
        }
    }
    // What is held is still to be told.
    hold.closed().await;
}

async fn late(mut held: mpsc::UnboundedReceiver<(Instant, Vec<u8>)>, mut to: OwnedWriteHalf) {
    while let Some((due, bytes)) = held.recv().await {
        sleep_until(due).await;
        if to.write_all(&bytes).await.is_err() {
            return;
        }
    }
}
