//! The socket that one session sends by: its own source port, TTL 255, marked as network control.

use std::io::{self, ErrorKind};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, SocketAddrV6};
use std::sync::Arc;

use ironlb_bfd_proto::{Discriminator, Path, Sessions, TTL};
use socket2::{Domain, SockFilter, Socket, Type};
use tracing::debug;

use crate::raw;

/// DSCP CS6, network control (RFC 4594 §3.1), as IP_TOS has it: ahead of what would fill a queue on the way.
const NETWORK_CONTROL: u32 = 0xc0;

/// Classic BPF: takes nothing. What is sent to a session's source port is nobody's.
const NOTHING: SockFilter = SockFilter::new(0x06, 0, 0, 0);

/// So many source ports are tried when others have them. Chosen: more than ever collide on a node.
const ATTEMPTS: usize = 16;

/// A session's socket, opened with its first packet.
#[derive(Debug, Default)]
pub(super) struct Sender {
    socket: Option<Socket>,
    trouble: Option<Arc<str>>,
}

impl Sender {
    /// Sends a packet of this session. What fails is told as trouble, and is tried again with the next packet.
    pub(super) fn send(&mut self, bytes: &[u8], id: Discriminator, path: &Path, port: u16, sessions: &mut Sessions) {
        let outcome = self.socket(id, path, sessions).and_then(|socket| socket.send_to(bytes, &to(path, port).into()));
        match outcome {
            Ok(_) => self.trouble = None,
            // A full queue. The next packet is as good.
            Err(error) if error.kind() == ErrorKind::WouldBlock || error.raw_os_error() == Some(libc::ENOBUFS) => {}
            Err(error) => {
                debug!(peer = %path.remote, %error, "cannot send a BFD packet");
                // An interface that was made anew, or an address that moved, needs another one. The port stays the same.
                self.socket = None;
                let words = format!("cannot send to {}: {error}", path.remote);
                if self.trouble.as_deref() != Some(words.as_str()) {
                    self.trouble = Some(words.into());
                }
            }
        }
    }

    /// What the last packet failed by.
    pub(super) fn trouble(&self) -> Option<&Arc<str>> {
        self.trouble.as_ref()
    }

    fn socket(&mut self, id: Discriminator, path: &Path, sessions: &mut Sessions) -> io::Result<&Socket> {
        let socket = match self.socket.take() {
            Some(socket) => socket,
            None => open(id, path, sessions)?,
        };
        Ok(self.socket.insert(socket))
    }
}

/// Opens it at the session's source port, or at another one where somebody has that.
fn open(id: Discriminator, path: &Path, sessions: &mut Sessions) -> io::Result<Socket> {
    let mut port = sessions.source_port(id);
    for _ in 0..ATTEMPTS {
        let Some(wanted) = port else { break };
        match open_at(path, wanted) {
            Err(error) if error.kind() == ErrorKind::AddrInUse => port = sessions.change_source_port(id),
            outcome => return outcome,
        }
    }
    Err(io::Error::new(ErrorKind::AddrInUse, "no source port is free"))
}

fn open_at(path: &Path, port: u16) -> io::Result<Socket> {
    let is_v6 = path.remote.is_ipv6();
    let socket = Socket::new(if is_v6 { Domain::IPV6 } else { Domain::IPV4 }, Type::DGRAM, None)?;
    socket.set_nonblocking(true)?;
    socket.attach_filter(&[NOTHING])?;
    if is_v6 {
        socket.set_only_v6(true)?;
        socket.set_unicast_hops_v6(TTL.into())?;
        socket.set_tclass_v6(NETWORK_CONTROL)?;
    } else {
        socket.set_ttl_v4(TTL.into())?;
        socket.set_tos_v4(NETWORK_CONTROL)?;
    }
    if let Some(interface) = path.interface {
        raw::bind_to_interface(&socket, interface)?;
    }
    let any: IpAddr = if is_v6 { Ipv6Addr::UNSPECIFIED.into() } else { Ipv4Addr::UNSPECIFIED.into() };
    socket.bind(&scoped(path.local.unwrap_or(any), port, path.interface).into())?;
    Ok(socket)
}

fn to(path: &Path, port: u16) -> SocketAddr {
    scoped(path.remote, port, path.interface)
}

/// A link-local address says nothing without the interface it is on.
fn scoped(address: IpAddr, port: u16, interface: Option<u32>) -> SocketAddr {
    match address {
        IpAddr::V6(v6) if v6.is_unicast_link_local() => {
            SocketAddrV6::new(v6, port, 0, interface.unwrap_or_default()).into()
        }
        other => (other, port).into(),
    }
}
