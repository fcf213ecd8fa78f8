//! One TCP connection of a session: what waits to be sent, and what has come.

use std::io::{self, ErrorKind};
use std::net::Shutdown;
use std::task::{Context, Poll};
use std::time::Duration;

use socket2::SockRef;
use tokio::net::TcpStream;

use crate::place::Place;
use crate::transport;

/// How much of the routes is taken from the machine at once. One call of the kernel for many messages; chosen, the longest message.
const BATCH: usize = 64 * 1024;

/// How much is read before anything else gets its turn: a peer that never stops sending holds nothing up.
const READ_AT_MOST: usize = 256 * 1024;

/// How long a connection that is being closed may take to send what waits: the contract of the machine.
const FLUSH: Duration = Duration::from_secs(1);

/// An open connection.
#[derive(Debug)]
pub(crate) struct Connection {
    stream: TcpStream,
    pub(crate) place: Place,
    /// Bytes of which `sent` are with the kernel.
    waiting: Vec<u8>,
    sent: usize,
}

/// What reading came to.
#[derive(Debug)]
pub(crate) enum Ending {
    /// There may be more later.
    Open,
    /// The peer has closed its end.
    Closed,
    /// The connection is broken.
    Broken(io::Error),
}

impl Connection {
    pub(crate) fn new(stream: TcpStream, place: Place) -> Self {
        Self { stream, place, waiting: Vec::new(), sent: 0 }
    }

    /// To be sent after all that waits.
    pub(crate) fn push(&mut self, bytes: &[u8]) {
        self.waiting.extend_from_slice(bytes);
    }

    /// Everything that was pushed is with the kernel.
    pub(crate) fn is_drained(&self) -> bool {
        self.waiting.is_empty()
    }

    /// Is there so little waiting that routes may follow?
    pub(crate) fn has_room(&self) -> bool {
        self.waiting.len() < BATCH
    }

    /// Hands the kernel what it takes; true if it took something.
    ///
    /// # Errors
    /// The connection is broken.
    pub(crate) fn send(&mut self) -> io::Result<bool> {
        let before = self.sent;
        while let Some(rest) = self.waiting.get(self.sent..).filter(|rest| !rest.is_empty()) {
            match self.stream.try_write(rest) {
                Ok(taken) => self.sent += taken,
                Err(error) if error.kind() == ErrorKind::WouldBlock => break,
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        let took = self.sent > before;
        if self.sent >= self.waiting.len() {
            // A large buffer is not kept for a session that says KEEPALIVE from now on.
            self.waiting = Vec::new();
            self.sent = 0;
        }
        Ok(took)
    }

    /// Takes what has come, a limited amount of it. `all`: also what the runtime has not been told of yet, without a limit on what one
    /// call takes but the receive buffer's; for the moment before a timer goes off.
    pub(crate) fn read(&mut self, buffer: &mut [u8], all: bool, mut each: impl FnMut(&[u8])) -> Ending {
        let mut taken = 0;
        while taken < READ_AT_MOST {
            let read = if all { self.read_now(buffer) } else { self.stream.try_read(buffer) };
            match read {
                Ok(0) => return Ending::Closed,
                Ok(count) => {
                    taken += count;
                    each(buffer.get(..count).unwrap_or_default());
                }
                Err(error) if error.kind() == ErrorKind::WouldBlock => return Ending::Open,
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) => return Ending::Broken(error),
            }
        }
        Ending::Open
    }

    fn read_now(&self, buffer: &mut [u8]) -> io::Result<usize> {
        use std::io::Read as _;
        (&*SockRef::from(&self.stream)).read(buffer)
    }

    /// Is there something to be read, or, if that is wanted, room for more?
    pub(crate) fn poll_ready(&self, context: &mut Context<'_>, wants_room: bool) -> Poll<()> {
        // An error is found by reading.
        let is_readable = self.stream.poll_read_ready(context).is_ready();
        let has_room = (wants_room || !self.is_drained()) && self.stream.poll_write_ready(context).is_ready();
        if is_readable || has_room { Poll::Ready(()) } else { Poll::Pending }
    }

    /// The session has no hold time: let the kernel look whether the peer is there.
    pub(crate) fn ask_for_signs_of_life(&self) {
        if let Err(error) = transport::ask_for_signs_of_life(&SockRef::from(&self.stream)) {
            tracing::warn!(address = %self.place.remote, %error, "cannot ask for signs of life of the peer");
        }
    }

    /// Sends what waits, and closes.
    pub(crate) async fn close(mut self) {
        transport::limit_last_words(&SockRef::from(&self.stream));
        let orderly = async {
            while !self.is_drained() {
                self.stream.writable().await?;
                self.send()?;
            }
            // With unread bytes in its buffer a socket that is closed sends a RST, which may overtake the NOTIFICATION: the end is told
            // first, and what comes is taken until the peer has told its own.
            SockRef::from(&self.stream).shutdown(Shutdown::Write)?;
            let mut buffer = [0; 4096];
            loop {
                self.stream.readable().await?;
                match self.stream.try_read(&mut buffer) {
                    Ok(0) => return Ok::<_, io::Error>(()),
                    Ok(_) => {}
                    Err(error) if error.kind() == ErrorKind::WouldBlock => {}
                    Err(error) => return Err(error),
                }
            }
        };
        // Late or broken: there is nothing more that could be done.
        let _ = tokio::time::timeout(FLUSH, orderly).await;
    }
}
