//! Connecting to the peer.

use std::io::{self, ErrorKind};
use std::net::{IpAddr, SocketAddr, SocketAddrV6};
use std::time::Duration;

use ironlb_model::Neighbor;
use socket2::{Domain, Protocol, SockRef, Socket, Type};
use tokio::net::{TcpSocket, TcpStream};

use crate::Session;
use crate::neighbor::{self, NeighborError};
use crate::place::{Place, scope_of};
use crate::transport::Transport;

/// The longest wait for an answer. The kernel asks after 1, 3 and 7 seconds again; a peer that is silent for so long is not there.
const LONGEST: Duration = Duration::from_secs(10);

/// Why no connection came about.
#[derive(Debug, thiserror::Error)]
pub(crate) enum DialError {
    #[error(transparent)]
    Neighbor(#[from] NeighborError),
    #[error("no router has shown itself on {0}")]
    NoRouter(String),
    #[error("cannot connect from {0}: {1}")]
    Source(IpAddr, io::Error),
    #[error("TCP MD5 cannot be used: {0}")]
    Signature(io::Error),
    #[error("{peer} {}", words(.error))]
    Connect { peer: SocketAddr, error: io::Error },
    #[error("{peer} has not answered for {} ms{}", .wait.as_millis(), if *.is_signed { "; it would not if the passwords differ" } else { "" })]
    Silent { peer: SocketAddr, wait: Duration, is_signed: bool },
}

impl DialError {
    /// The kernel says that the peer is not there.
    pub(crate) fn is_unreachable(&self) -> bool {
        matches!(self, Self::Connect { error, .. } if error.kind() == ErrorKind::HostUnreachable)
    }

    /// Nobody has said anything.
    pub(crate) fn is_silence(&self) -> bool {
        matches!(self, Self::Silent { .. })
    }
}

/// What the kernel's error says of the peer.
fn words(error: &io::Error) -> String {
    match error.kind() {
        ErrorKind::ConnectionRefused => "refuses the connection: nothing listens there, or not for us".to_owned(),
        ErrorKind::NetworkUnreachable => "cannot be reached: there is no route to it".to_owned(),
        ErrorKind::HostUnreachable => {
            "cannot be reached: it does not answer on its link, or a router says so".to_owned()
        }
        ErrorKind::ConnectionReset => "resets the connection".to_owned(),
        ErrorKind::TimedOut => "does not answer".to_owned(),
        _ => format!("cannot be connected to: {error}"),
    }
}

/// How to reach the peer, and how long to try.
#[derive(Debug, Clone)]
pub(crate) struct Dial {
    neighbor: Neighbor,
    port: u16,
    source: Option<IpAddr>,
    transport: Transport,
    wait: Duration,
}

impl Dial {
    pub(crate) fn of(session: &Session) -> Self {
        // Below ConnectRetryTime even where jitter shortens that to three quarters: an attempt ends before the next begins.
        let wait = (session.config.timing.connect_retry * 7 / 10).min(LONGEST);
        Self {
            neighbor: session.neighbor.clone(),
            port: session.port,
            source: session.source,
            transport: Transport::of(session),
            wait,
        }
    }

    /// Where to, as far as it is known before the look-up.
    pub(crate) fn address(&self) -> Option<SocketAddr> {
        match &self.neighbor {
            Neighbor::Address(address) => Some(SocketAddr::new(*address, self.port)),
            Neighbor::LinkLocal { address, .. } => Some(SocketAddr::new((*address).into(), self.port)),
            Neighbor::Interface(_) => None,
        }
    }

    /// Connects. Cancel-safe: what has begun is closed.
    pub(crate) async fn connect(self) -> Result<(TcpStream, Place), DialError> {
        let until = tokio::time::Instant::now() + self.wait;
        let peer = match tokio::time::timeout_at(until, neighbor::address_of(&self.neighbor, self.port)).await {
            Ok(found) => found?,
            Err(_) => return Err(DialError::NoRouter(self.neighbor.to_string())),
        };
        let stream = match tokio::time::timeout_at(until, self.connect_to(peer)).await {
            Ok(connected) => connected?,
            Err(_) => {
                let is_signed = self.transport.password().is_some();
                return Err(DialError::Silent { peer, wait: self.wait, is_signed });
            }
        };
        let failed = |error| DialError::Connect { peer, error };
        let (local, remote) = (stream.local_addr().map_err(failed)?, stream.peer_addr().map_err(failed)?);
        // Where it runs may be told later, so that a connection that is there is not given up for it.
        let place = tokio::time::timeout_at(until, Place::find(local, remote)).await;
        Ok((stream, place.unwrap_or_else(|_| Place::unknown(local, remote))))
    }

    async fn connect_to(&self, peer: SocketAddr) -> Result<TcpStream, DialError> {
        let failed = |error| DialError::Connect { peer, error };
        let domain = Domain::for_address(peer);
        let socket = Socket::new(domain, Type::STREAM.nonblocking(), Some(Protocol::TCP)).map_err(failed)?;
        self.transport.apply(&socket, peer.ip()).map_err(|error| match self.transport.password() {
            Some(_) => DialError::Signature(error),
            None => failed(error),
        })?;
        if let Some(source) = self.source {
            // A link-local source is one of the interface by which the peer is reached.
            let from = match (source, scope_of(peer)) {
                (IpAddr::V6(v6), Some(scope)) if v6.is_unicast_link_local() => {
                    SocketAddrV6::new(v6, 0, 0, scope).into()
                }
                (source, _) => SocketAddr::new(source, 0),
            };
            socket.bind(&from.into()).map_err(|error| DialError::Source(source, error))?;
        }
        TcpSocket::from_std_stream(socket.into()).connect(peer).await.map_err(failed)
    }
}

/// Makes a connection that the peer has opened what the session wants it to be.
pub(crate) async fn admit(stream: TcpStream, transport: &Transport) -> io::Result<(TcpStream, Place)> {
    let (local, remote) = (stream.local_addr()?, stream.peer_addr()?);
    transport.apply(&SockRef::from(&stream), remote.ip())?;
    Ok((stream, Place::find(local, remote).await))
}
