//! The sockets that packets come in by: one for each family and distance that some session needs.

use std::collections::BTreeSet;
use std::io::{self, ErrorKind};
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use ironlb_bfd_proto::{MULTI_HOP_PORT, Path, SINGLE_HOP_PORT};
use ironlb_model::Timestamp;
use socket2::{Domain, Socket, Type};
use tracing::{info, warn};

use super::{Ports, Setup};
use crate::clock;
use crate::raw::{self, Arrival};

/// Between two attempts to open one. Chosen: soon after another daemon has let go of the port, and not worth a back-off.
const RETRY: Duration = Duration::from_secs(1);

/// Receive buffer in bytes: some 300 packets as the kernel accounts for them, all sessions of a node for several detection times.
const RECEIVE_BUFFER: usize = 256 * 1024;

/// A family of addresses.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Family {
    V4,
    V6,
}

/// Which socket.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Key {
    family: Family,
    is_multihop: bool,
}

impl Key {
    pub(super) const ALL: [Self; 4] = [
        Self { family: Family::V4, is_multihop: false },
        Self { family: Family::V4, is_multihop: true },
        Self { family: Family::V6, is_multihop: false },
        Self { family: Family::V6, is_multihop: true },
    ];

    /// The socket that a session's packets come in by.
    pub(super) fn of(path: &Path, setup: &Setup) -> Self {
        Self { family: Family::of(path), is_multihop: setup.config.hops.port() == MULTI_HOP_PORT }
    }

    /// The port that the protocol has for it.
    pub(super) fn port(self) -> u16 {
        if self.is_multihop { MULTI_HOP_PORT } else { SINGLE_HOP_PORT }
    }

    fn index(self) -> usize {
        2 * usize::from(self.family == Family::V6) + usize::from(self.is_multihop)
    }
}

#[derive(Debug, Default)]
struct Listener {
    is_needed: bool,
    socket: Option<Socket>,
    retry_at: Option<Timestamp>,
    trouble: Option<Arc<str>>,
}

/// The four, open or not.
#[derive(Debug, Default)]
pub(super) struct Listeners([Listener; 4]);

impl Listeners {
    /// Closes what is not needed any more.
    pub(super) fn keep(&mut self, needed: &BTreeSet<Key>) {
        for (key, listener) in Key::ALL.into_iter().zip(&mut self.0) {
            let is_needed = needed.contains(&key);
            if !is_needed {
                *listener = Listener::default();
            }
            listener.is_needed = is_needed;
        }
    }

    /// Opens what is needed and missing, if it is time to try; says whether it did anything.
    pub(super) fn open_missing(&mut self, now: Timestamp, ports: Ports) -> bool {
        let mut has_tried = false;
        for (key, listener) in Key::ALL.into_iter().zip(&mut self.0) {
            let is_due = listener.retry_at.is_none_or(|at| at <= now);
            if listener.is_needed && listener.socket.is_none() && is_due {
                listener.open(key.family, ports.of(key.port()).0, now);
                has_tried = true;
            }
        }
        has_tried
    }

    /// When to call [`Listeners::open_missing`] again.
    pub(super) fn retry_at(&self) -> Option<Timestamp> {
        self.0.iter().filter_map(|listener| listener.retry_at).min()
    }

    pub(super) fn sockets(&self) -> [Option<&Socket>; 4] {
        self.0.each_ref().map(|listener| listener.socket.as_ref())
    }

    pub(super) fn is_open(&self, key: Key) -> bool {
        self.get(key).is_some_and(|listener| listener.socket.is_some())
    }

    /// Why it is not open, in words.
    pub(super) fn trouble(&self, key: Key) -> Option<&Arc<str>> {
        self.get(key).and_then(|listener| listener.trouble.as_ref())
    }

    /// The next datagram of one socket, its bytes in the buffer.
    pub(super) fn receive(&mut self, key: Key, buffer: &mut [u8]) -> Option<Arrival> {
        let listener = self.0.get_mut(key.index())?;
        match raw::receive(listener.socket.as_ref()?, buffer) {
            Ok(arrival) => arrival,
            Err(error) => {
                warn!(port = key.port(), %error, "cannot receive BFD packets");
                listener.socket = None;
                listener.retry_at = Some(clock::now() + RETRY);
                listener.trouble = Some(format!("cannot receive on UDP port {}: {error}", key.port()).into());
                None
            }
        }
    }

    fn get(&self, key: Key) -> Option<&Listener> {
        self.0.get(key.index())
    }
}

impl Listener {
    fn open(&mut self, family: Family, port: u16, now: Timestamp) {
        match listen(family, port) {
            Ok(socket) => {
                info!(?family, port, "listening for BFD");
                *self = Self { is_needed: true, socket: Some(socket), retry_at: None, trouble: None };
            }
            Err(error) => {
                let words = if error.kind() == ErrorKind::AddrInUse {
                    format!("UDP port {port} is taken on this node, as by another BFD daemon")
                } else {
                    format!("cannot listen on UDP port {port}: {error}")
                };
                if self.trouble.as_deref() != Some(words.as_str()) {
                    warn!(?family, port, "{words}; trying again each second");
                }
                self.trouble = Some(words.into());
                self.retry_at = Some(now + RETRY);
            }
        }
    }
}

/// Not bound to an address: an interface may get one later, and the machine says which packet is for which session. The TTL is not
/// looked at by the kernel (IP_MINTTL is for TCP alone) but told with each packet.
fn listen(family: Family, port: u16) -> io::Result<Socket> {
    let (domain, address): (_, SocketAddr) = match family {
        Family::V4 => (Domain::IPV4, (Ipv4Addr::UNSPECIFIED, port).into()),
        Family::V6 => (Domain::IPV6, (Ipv6Addr::UNSPECIFIED, port).into()),
    };
    let socket = Socket::new(domain, Type::DGRAM, None)?;
    socket.set_nonblocking(true)?;
    if family == Family::V6 {
        socket.set_only_v6(true)?;
    }
    socket.set_recv_buffer_size(RECEIVE_BUFFER)?;
    raw::tell_of_arrivals(&socket, family == Family::V6)?;
    socket.bind(&address.into())?;
    Ok(socket)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_socket_has_its_place() {
        for (place, key) in Key::ALL.into_iter().enumerate() {
            assert_eq!(key.index(), place);
        }
    }
}
