//! Options of TCP sockets that no safe wrapper offers: signatures and GTSM.

use std::io::{self, ErrorKind};
use std::net::{IpAddr, SocketAddr};
use std::os::fd::AsRawFd as _;

use socket2::{SockAddr, Socket};

use super::{set_option, socket_length};

/// The longest password that the kernel takes (TCP_MD5SIG_MAXKEYLEN).
const MAX_KEY: usize = 80;

/// `struct tcp_md5sig` of linux/tcp.h, which libc does not have.
#[repr(C)]
struct TcpMd5Sig {
    address: libc::sockaddr_storage,
    flags: u8,
    prefix_length: u8,
    key_length: u16,
    interface: i32,
    key: [u8; MAX_KEY],
}

/// Has the kernel sign all segments to this address with the password, and drop all from it that are not (RFC 2385); with none, ends
/// that. On a listening socket it is passed on to what is accepted.
///
/// # Errors
/// `InvalidInput` for a password that is empty or longer than the kernel takes; `ENOPROTOOPT` where the kernel is built without it.
pub(crate) fn set_md5(socket: &Socket, peer: IpAddr, password: Option<&str>) -> io::Result<()> {
    let mut key = [0; MAX_KEY];
    let password = password.map(str::as_bytes);
    if let Some(password) = password {
        let room = key.get_mut(..password.len()).filter(|room| !room.is_empty());
        let room = room.ok_or_else(|| io::Error::new(ErrorKind::InvalidInput, "a password has 1 to 80 bytes"))?;
        room.copy_from_slice(password);
    }
    let key_length = u16::try_from(password.map_or(0, <[u8]>::len)).map_err(io::Error::other)?;
    // The port does not matter to the kernel.
    let address = SockAddr::from(SocketAddr::new(peer, 0));
    // SAFETY: a SockAddr is as large as a sockaddr_storage and was zeroed before; every bit pattern is a valid one, and
    // `read_unaligned` asks for no alignment.
    let address = unsafe { address.as_ptr().cast::<libc::sockaddr_storage>().read_unaligned() };
    let signature = TcpMd5Sig { address, flags: 0, prefix_length: 0, key_length, interface: 0, key };
    let (level, option, length) = (libc::IPPROTO_TCP, libc::TCP_MD5SIG, socket_length::<TcpMd5Sig>()?);
    // SAFETY: the value is a tcp_md5sig of that length, which the kernel only reads, and it outlives the call.
    let result = unsafe { libc::setsockopt(socket.as_raw_fd(), level, option, (&raw const signature).cast(), length) };
    if result == 0 {
        return Ok(());
    }
    match password {
        Some(_) => Err(io::Error::last_os_error()),
        // There was none to be ended. If there was, segments without it are still dropped, which is not the unsafe side.
        None => Ok(()),
    }
}

/// Has the kernel drop all segments that come with a smaller TTL or hop limit than this (RFC 5082); 0 ends that.
///
/// # Errors
/// None in practice: Linux has had these options since 2.6.34 and 2.6.35.
pub(crate) fn set_least_ttl(socket: &Socket, is_v6: bool, ttl: u8) -> io::Result<()> {
    let (level, option) =
        if is_v6 { (libc::IPPROTO_IPV6, libc::IPV6_MINHOPCOUNT) } else { (libc::IPPROTO_IP, libc::IP_MINTTL) };
    set_option(socket, level, option, ttl.into())
}
