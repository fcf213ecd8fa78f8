//! A connection that lasts: made once, and asked again and again whether it still works.

use std::io::{Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpStream};
use std::time::Duration;

use anyhow::{Context, Result, ensure};

use crate::stage::{CLIENT, Stage};

/// How long one answer may take on a busy machine; a connection that is reset says so at once.
const PATIENT: Duration = Duration::from_secs(5);

/// A connection of the measured client to port 80 of a vip.
#[derive(Debug)]
pub struct Lasting {
    stream: TcpStream,
    vip: Ipv4Addr,
}

impl Lasting {
    /// Makes it, and asks once.
    ///
    /// # Errors
    /// There is no connection, or no answer.
    pub fn begin(stage: &Stage, vip: Ipv4Addr) -> Result<Self> {
        let target = SocketAddr::from((vip, 80));
        let stream = stage.netns(CLIENT).run(|| TcpStream::connect_timeout(&target, PATIENT))??;
        stream.set_read_timeout(Some(PATIENT))?;
        let mut lasting = Self { stream, vip };
        lasting.works()?;
        Ok(lasting)
    }

    /// Asks again, on the same connection.
    ///
    /// # Errors
    /// It was reset or closed, or is not answered on any more.
    pub fn works(&mut self) -> Result<()> {
        let of = || format!("the connection to {} that lasts", self.vip);
        let request = format!("GET / HTTP/1.1\r\nHost: {}\r\n\r\n", self.vip);
        self.stream.write_all(request.as_bytes()).with_context(of)?;
        // The answer comes in one segment (`tests/backend`).
        let mut answer = [0; 4096];
        let length = self.stream.read(&mut answer).with_context(of)?;
        ensure!(answer[..length].starts_with(b"HTTP/1.1 200"), "{} was closed", of());
        Ok(())
    }
}
