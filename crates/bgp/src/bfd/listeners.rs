//! The sockets that packets come in by: one for each family and distance that some session needs.

use std::collections::BTreeMap;
use std::io::{self, ErrorKind};
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use ironlb_bfd_proto::{Hops, MULTI_HOP_PORT, Path, SINGLE_HOP_PORT, TTL};
use ironlb_model::Timestamp;
use socket2::{Domain, SockFilter, Socket, Type};
use tracing::{debug, info, warn};

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

/// The least TTL that some session takes.
pub(super) fn least_ttl(setup: &Setup) -> u8 {
    match setup.config.hops {
        Hops::Single => TTL,
        Hops::Multi { minimum_ttl } => minimum_ttl,
    }
}

/// Classic BPF, run by the kernel on each packet before it is queued: those that no session takes for where they come from.
///
/// The machine looks at the TTL itself. This keeps what is sent from afar, as much as the wire carries, from filling the queue and this
/// thread: with 200,000 packets a second of TTL 64 sessions of 3 x 50 ms flapped every second, and do not with the filter (measured).
fn not_from_afar(family: Family, least: u8) -> [SockFilter; 4] {
    const LOAD_BYTE: u16 = 0x30;
    const JUMP_IF_AT_LEAST: u16 = 0x35;
    const RETURN: u16 = 0x06;
    // SKF_NET_OFF (-0x100000): from the begin of the IP header. The TTL is its 9th byte, the hop limit its 8th.
    let place = 0xfff0_0000 + if family == Family::V4 { 8 } else { 7 };
    [
        SockFilter::new(LOAD_BYTE, 0, 0, place),
        SockFilter::new(JUMP_IF_AT_LEAST, 0, 1, least.into()),
        SockFilter::new(RETURN, 0, 0, u32::MAX),
        SockFilter::new(RETURN, 0, 0, 0),
    ]
}

#[derive(Debug, Default)]
struct Listener {
    /// Some session needs it; none takes a packet with a smaller TTL than this.
    least_ttl: Option<u8>,
    socket: Option<Socket>,
    retry_at: Option<Timestamp>,
    trouble: Option<Arc<str>>,
}

/// The four, open or not.
#[derive(Debug, Default)]
pub(super) struct Listeners([Listener; 4]);

impl Listeners {
    /// Makes these the ones that are needed, with the least TTL that some session of each takes; closes the others.
    pub(super) fn keep(&mut self, needed: &BTreeMap<Key, u8>) {
        for (key, listener) in Key::ALL.into_iter().zip(&mut self.0) {
            let least = needed.get(&key).copied();
            match (&listener.socket, least) {
                (_, None) => *listener = Listener::default(),
                (Some(socket), Some(ttl)) if listener.least_ttl != least => bound(socket, key.family, ttl),
                _ => {}
            }
            listener.least_ttl = least;
        }
    }

    /// Opens what is needed and missing, if it is time to try; says whether it did anything.
    pub(super) fn open_missing(&mut self, now: Timestamp, ports: Ports) -> bool {
        let mut has_tried = false;
        for (key, listener) in Key::ALL.into_iter().zip(&mut self.0) {
            let is_due = listener.retry_at.is_none_or(|at| at <= now);
            if let Some(ttl) = listener.least_ttl.filter(|_| listener.socket.is_none() && is_due) {
                listener.open(key.family, ports.of(key.port()).0, ttl, now);
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
    fn open(&mut self, family: Family, port: u16, ttl: u8, now: Timestamp) {
        match listen(family, port, ttl) {
            Ok(socket) => {
                info!(?family, port, "listening for BFD");
                *self = Self { least_ttl: Some(ttl), socket: Some(socket), retry_at: None, trouble: None };
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

/// Has the kernel drop what comes from farther away. (IP_MINTTL is for TCP alone.)
fn bound(socket: &Socket, family: Family, ttl: u8) {
    if let Err(error) = socket.attach_filter(&not_from_afar(family, ttl)) {
        // The machine drops it all the same.
        debug!(%error, "no filter for BFD packets from afar");
    }
}

/// Not bound to an address: an interface may get one later, and the machine says which packet is for which session.
fn listen(family: Family, port: u16, ttl: u8) -> io::Result<Socket> {
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
    bound(&socket, family, ttl);
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
