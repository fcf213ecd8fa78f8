//! The hand-over between two speakers of one node, as at every upgrade.
//!
//! A node has one *turn*: who has it holds the sessions with routers and takes the node's Lease. It is a lock on a file in the state
//! directory, which the kernel takes back from a process that dies, so a dead speaker holds nobody up. Who has it listens on a socket beside
//! the file. A new speaker that is ready to take over connects there; the old one gives its sessions up in the way that keeps the routes,
//! gives the turn back, and says so. One that does not answer is waited for no longer than [`TAKE_WITHIN`].
//!
//! `docs/design/upgrade.md` has the whole course.

use std::fs::{File, OpenOptions, Permissions, TryLockError};
use std::io;
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};
use std::time::Duration;

use ironlb_telemetry::fields;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{UnixListener, UnixStream};
use tokio::time::{Instant, sleep, timeout_at};
use tracing::{info, warn};

use crate::state_directory::{HAND_OVER_SOCKET, SPEAKING, StateDirectory};

/// So long a speaker waits for the one before it. Chosen: more than the end of sessions (3 s) and of BFD after it (1 s)
/// may take, so one that needs longer has stopped; and routers keep routes for 30 s.
pub(crate) const TAKE_WITHIN: Duration = Duration::from_secs(5);

/// How soon again after a try that came to nothing. Chosen: nobody feels it, and it costs two system calls.
const RETRY: Duration = Duration::from_millis(50);

/// How long the answer to a request may take to leave. It is six bytes into a socket's buffer.
const TELL_WITHIN: Duration = Duration::from_secs(1);

/// What is said when the turn is given back.
const YOURS: &[u8] = b"yours\n";

/// This node's turn. It is given back when this is dropped.
#[derive(Debug)]
pub(crate) struct Turn {
    _lock: File,
    requests: UnixListener,
}

/// Somebody asks for the turn.
#[derive(Debug)]
pub(crate) struct Request(UnixStream);

impl Turn {
    /// Takes the turn, from another speaker of this node if one has it. `None`, told in the log, when that did not come to pass in time or
    /// cannot: then this speaker goes on without, as one without a state directory does.
    pub(crate) async fn take(directory: Option<StateDirectory>) -> Option<Self> {
        let directory = directory?;
        let taken = Self::take_until(&directory, Instant::now() + TAKE_WITHIN).await;
        match &taken {
            Ok(Some(_)) => (),
            Ok(None) => warn!("the other speaker of this node does not give way: going on beside it"),
            Err(error) => warn!({ fields::ERROR } = %error, "no hand-over between speakers of this node is possible"),
        }
        taken.ok().flatten()
    }

    async fn take_until(directory: &StateDirectory, limit: Instant) -> io::Result<Option<Self>> {
        let path = directory.file(SPEAKING);
        let lock = OpenOptions::new().write(true).create(true).truncate(false).mode(0o600).open(path)?;
        let mut is_asking = false;
        loop {
            match lock.try_lock() {
                Ok(()) => return Self::begin(directory, lock).map(Some),
                Err(TryLockError::WouldBlock) => (),
                Err(TryLockError::Error(error)) => return Err(error),
            }
            if Instant::now() >= limit {
                return Ok(None);
            }
            if !std::mem::replace(&mut is_asking, true) {
                info!("another speaker of this node has the turn: asking for it");
            }
            let asked = timeout_at(limit, ask(directory)).await;
            if !matches!(asked, Ok(Ok(()))) {
                sleep(RETRY).await;
            }
        }
    }

    fn begin(directory: &StateDirectory, lock: File) -> io::Result<Self> {
        // What lies there is of one that is gone: it would have the lock.
        directory.remove(HAND_OVER_SOCKET)?;
        let path = directory.file(HAND_OVER_SOCKET);
        let requests = UnixListener::bind(&path)?;
        std::fs::set_permissions(&path, Permissions::from_mode(0o600))?;
        Ok(Self { _lock: lock, requests })
    }

    /// Waits until somebody asks for the turn. Cancel-safe.
    pub(crate) async fn asked(&self) -> Request {
        loop {
            match self.requests.accept().await {
                Ok((stream, _)) => return Request(stream),
                Err(error) => {
                    warn!({ fields::ERROR } = %error, "cannot take a request for the hand-over; trying again");
                    sleep(Duration::from_secs(1)).await;
                }
            }
        }
    }

    /// Gives the turn to who asked, who may speak from then on.
    pub(crate) async fn give(self, request: Request) {
        drop(self);
        let Request(mut stream) = request;
        // Who asked and is gone by now has no use for an answer, and who did not get one looks at the lock.
        let _ = tokio::time::timeout(TELL_WITHIN, stream.write_all(YOURS)).await;
    }
}

/// Asks for the turn and waits until it is given.
async fn ask(directory: &StateDirectory) -> io::Result<()> {
    let mut stream = UnixStream::connect(directory.file(HAND_OVER_SOCKET)).await?;
    let mut said = Vec::new();
    stream.read_to_end(&mut said).await?;
    if said == YOURS { Ok(()) } else { Err(io::ErrorKind::UnexpectedEof.into()) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::Folder;

    fn directory(folder: &Folder) -> StateDirectory {
        StateDirectory::open_on(folder.path(), "boot").expect("a folder of our own")
    }

    async fn take(directory: &StateDirectory, limit: Duration) -> Option<Turn> {
        Turn::take_until(directory, Instant::now() + limit).await.expect("a folder of our own")
    }

    #[tokio::test]
    async fn who_comes_second_gets_the_turn_once_the_first_has_given_it_up() {
        let folder = Folder::new();
        let directory = directory(&folder);
        let first = take(&directory, TAKE_WITHIN).await.expect("nobody has it");
        let another = directory.clone();
        let second = tokio::spawn(async move { take(&another, TAKE_WITHIN).await });
        let request = first.asked().await;
        assert!(!second.is_finished());
        first.give(request).await;
        let second = second.await.expect("no panic").expect("it was given");
        // And it can be asked in its turn.
        let third = tokio::spawn(async move { take(&directory, TAKE_WITHIN).await });
        let request = second.asked().await;
        second.give(request).await;
        assert!(third.await.expect("no panic").is_some());
    }

    #[tokio::test]
    async fn one_that_does_not_answer_is_not_waited_for_and_neither_is_a_dead_one() {
        let folder = Folder::new();
        let directory = directory(&folder);
        let deaf = take(&directory, TAKE_WITHIN).await.expect("nobody has it");
        assert!(take(&directory, Duration::from_millis(120)).await.is_none());
        // What a dead one leaves behind: the file, unlocked, and a socket that nobody reads.
        drop(deaf);
        assert!(directory.file(HAND_OVER_SOCKET).exists());
        assert!(take(&directory, Duration::ZERO).await.is_some());
    }

    #[tokio::test]
    async fn one_that_dies_while_it_is_asked_gives_way() {
        let folder = Folder::new();
        let directory = directory(&folder);
        let first = take(&directory, TAKE_WITHIN).await.expect("nobody has it");
        let second = tokio::spawn(async move { take(&directory, TAKE_WITHIN).await });
        let request = first.asked().await;
        drop((first, request));
        assert!(second.await.expect("no panic").is_some());
    }
}
