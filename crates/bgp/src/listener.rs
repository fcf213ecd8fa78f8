//! One listening socket: bound, bound again when it fails, with the passwords of the peers that may connect to it.

use std::collections::BTreeMap;
use std::io::{self, ErrorKind};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use socket2::{Domain, Protocol, SockRef, Socket, Type};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{mpsc, watch};
use tracing::{info, warn};

use crate::backoff::Backoff;
use crate::raw::tcp;
use crate::status::{Board, Listening};
use crate::transport::set_ttl_and_class;

/// The passwords by the peers' addresses.
pub(crate) type Keys = Arc<BTreeMap<IpAddr, Arc<str>>>;

/// Peers that have connected and were not looked at yet. Chosen: more than a node has routers, and they come one by one.
const BACKLOG: i32 = 64;

/// How long to wait when the process has no descriptor left for a connection.
const OUT_OF_DESCRIPTORS: Duration = Duration::from_millis(200);

/// The sockets that a listener has: one for each address, and for "all" one for each family, so that a failure of one stops no other.
pub(crate) fn sockets_of(listener: &crate::Listener) -> Vec<SocketAddr> {
    let all = [IpAddr::V4(Ipv4Addr::UNSPECIFIED), IpAddr::V6(Ipv6Addr::UNSPECIFIED)];
    let addresses = if listener.addresses.is_empty() { &all[..] } else { &listener.addresses };
    addresses.iter().map(|address| SocketAddr::new(*address, listener.port)).collect()
}

/// Listens for as long as it runs, and hands over what connects.
pub(crate) async fn listen(
    address: SocketAddr,
    mut keys: watch::Receiver<Keys>,
    accepted: mpsc::Sender<TcpStream>,
    board: Arc<Board>,
) {
    // Often enough that a port which its holder gave up is ours within seconds; a bind that fails costs microseconds.
    let mut backoff = Backoff::new(Duration::from_secs(1), Duration::from_secs(5));
    let mut told = None;
    loop {
        let failed = match open(address) {
            Ok(socket) => {
                backoff.succeeded();
                info!(%address, "listening for BGP");
                tell(&board, address, Listening::On(address.port()));
                accept(&socket, &mut keys, &accepted).await
            }
            Err(error) => error,
        };
        let wait = backoff.failed();
        let words = words(&failed, address);
        if told.as_ref() != Some(&words) {
            warn!(%address, error = words, retry_in = ?wait, "cannot listen for BGP; sessions that connect by themselves go on");
        }
        tell(&board, address, Listening::Not(words.clone()));
        told = Some(words);
        tokio::time::sleep(wait).await;
    }
}

fn words(error: &io::Error, address: SocketAddr) -> String {
    match error.kind() {
        ErrorKind::AddrInUse => format!("another process on this node listens on {address}"),
        ErrorKind::AddrNotAvailable => format!("this node does not have the address {}", address.ip()),
        ErrorKind::PermissionDenied => format!("the right to listen on port {} is missing", address.port()),
        _ => format!("cannot listen on {address}: {error}"),
    }
}

fn tell(board: &Board, address: SocketAddr, listening: Listening) {
    board.post(|status| {
        let known = status.listener.addresses.insert(address.ip(), listening.clone());
        known != Some(listening)
    });
}

fn open(address: SocketAddr) -> io::Result<TcpListener> {
    let socket = Socket::new(Domain::for_address(address), Type::STREAM.nonblocking(), Some(Protocol::TCP))?;
    // Connections of a process that is gone do not keep the port.
    socket.set_reuse_address(true)?;
    if address.is_ipv6() {
        socket.set_only_v6(true)?;
    }
    // What answers a SYN leaves with these: 255 satisfies a peer that wants GTSM, and hurts no other. Each session has its own once its
    // connection is accepted.
    set_ttl_and_class(&socket, address.is_ipv6(), 255)?;
    socket.bind(&address.into())?;
    socket.listen(BACKLOG)?;
    TcpListener::from_std(socket.into())
}

/// Accepts until the socket fails, and says how.
async fn accept(
    listener: &TcpListener,
    keys: &mut watch::Receiver<Keys>,
    accepted: &mpsc::Sender<TcpStream>,
) -> io::Error {
    let is_v6 = listener.local_addr().is_ok_and(|address| address.is_ipv6());
    let mut set = Keys::default();
    loop {
        let wanted = Arc::clone(&keys.borrow_and_update());
        set = set_keys(listener, is_v6, &set, &wanted);
        tokio::select! {
            Ok(()) = keys.changed() => {}
            connection = listener.accept() => match connection {
                // A peer that is not looked at in time connects again.
                Ok((stream, _)) => drop(accepted.try_send(stream)),
                Err(error) if is_of_connection(&error) => {}
                Err(error) if matches!(error.raw_os_error(), Some(libc::EMFILE | libc::ENFILE | libc::ENOMEM | libc::ENOBUFS)) => {
                    warn!(%error, "cannot accept a connection");
                    tokio::time::sleep(OUT_OF_DESCRIPTORS).await;
                }
                Err(error) => return error,
            },
        }
    }
}

/// An error of the one connection that was to be accepted (accept(2), "Error handling").
fn is_of_connection(error: &io::Error) -> bool {
    use ErrorKind::{
        ConnectionAborted, ConnectionReset, HostUnreachable, Interrupted, NetworkDown, NetworkUnreachable,
    };
    matches!(
        error.kind(),
        ConnectionAborted | ConnectionReset | HostUnreachable | Interrupted | NetworkDown | NetworkUnreachable
    ) || matches!(error.raw_os_error(), Some(libc::EPROTO | libc::ENOPROTOOPT | libc::EHOSTDOWN | libc::EOPNOTSUPP))
}

/// Makes the socket's passwords the wanted ones, and gives what it has then. One that the kernel refuses is tried again with the next
/// change; a connection without it is refused by the session, which sets it anew.
fn set_keys(listener: &TcpListener, is_v6: bool, set: &Keys, wanted: &Keys) -> Keys {
    let socket = SockRef::from(listener);
    let mut now = BTreeMap::clone(set);
    let is_ours = |address: &&IpAddr| address.is_ipv6() == is_v6;
    for address in set.keys().filter(|address| !wanted.contains_key(address)) {
        match tcp::set_md5(&socket, *address, None) {
            Ok(()) => drop(now.remove(address)),
            Err(error) => warn!(%address, %error, "cannot take back the password of a peer"),
        }
    }
    for address in wanted.keys().filter(is_ours) {
        let password = wanted.get(address);
        if set.get(address) == password {
            continue;
        }
        match tcp::set_md5(&socket, *address, password.map(|text| &**text)) {
            Ok(()) => now.extend(password.map(|text| (*address, Arc::clone(text)))),
            Err(error) => warn!(%address, %error, "cannot set the password of a peer: it cannot connect to us"),
        }
    }
    Arc::new(now)
}
