//! The only module with unsafe code: options of sockets that no safe wrapper offers, datagrams with what the kernel tells of them, waiting on
//! several descriptors, and thread priority.
//!
//! Each function wraps one system call, and states why the call is sound.
#![expect(unsafe_code, reason = "cmsg, ppoll and eventfd have no safe wrapper among our dependencies")]

pub(crate) mod tcp;

use std::fs::File;
use std::io::{self, ErrorKind, Read as _, Write as _};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::os::fd::{AsRawFd as _, FromRawFd as _, OwnedFd, RawFd};
use std::time::Duration;

use socket2::Socket;

/// Bytes read of a BFD packet. The longest that RFC 5880 §4.1 knows has 255: its length field is one byte.
pub(crate) const DATAGRAM_BUFFER: usize = 256;

/// A datagram that [`receive`] took, as the kernel tells of it.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Arrival {
    /// Bytes in the buffer.
    pub(crate) length: usize,
    /// From where.
    pub(crate) source: IpAddr,
    /// To which address.
    pub(crate) destination: Option<IpAddr>,
    /// By which interface.
    pub(crate) interface: Option<u32>,
    /// With which TTL or hop limit; 0, the least, if it is not told.
    pub(crate) ttl: u8,
}

/// Has the kernel tell TTL, interface and destination of each datagram.
///
/// # Errors
/// None in practice: Linux has had these options for longer than it has had network namespaces.
pub(crate) fn tell_of_arrivals(socket: &Socket, is_v6: bool) -> io::Result<()> {
    let options = if is_v6 {
        [(libc::IPPROTO_IPV6, libc::IPV6_RECVHOPLIMIT), (libc::IPPROTO_IPV6, libc::IPV6_RECVPKTINFO)]
    } else {
        [(libc::IPPROTO_IP, libc::IP_RECVTTL), (libc::IPPROTO_IP, libc::IP_PKTINFO)]
    };
    options.into_iter().try_for_each(|(level, option)| set_option(socket, level, option, 1))
}

/// Binds to an interface by its number, for both directions.
///
/// # Errors
/// `ENODEV` when there is none of that number; `PermissionDenied` without CAP_NET_RAW on Linux before 5.7.
pub(crate) fn bind_to_interface(socket: &Socket, index: u32) -> io::Result<()> {
    let index = i32::try_from(index).map_err(io::Error::other)?;
    set_option(socket, libc::SOL_SOCKET, libc::SO_BINDTOIFINDEX, index)
}

fn set_option(socket: &Socket, level: i32, option: i32, value: i32) -> io::Result<()> {
    let length = socket_length::<i32>()?;
    // SAFETY: the value is an integer of that length, which the kernel only reads, and it outlives the call.
    let result = unsafe { libc::setsockopt(socket.as_raw_fd(), level, option, (&raw const value).cast(), length) };
    if result == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}

fn socket_length<T>() -> io::Result<libc::socklen_t> {
    libc::socklen_t::try_from(size_of::<T>()).map_err(io::Error::other)
}

/// Room for what the kernel tells beside a datagram: TTL (24 bytes with its head) and packet info (40 at most), twice over.
#[repr(C, align(8))]
struct Control([u8; 128]);

/// Takes the next datagram; `None` when there is none. What is longer than the buffer is cut.
///
/// # Errors
/// The socket cannot be read any more.
pub(crate) fn receive(socket: &Socket, buffer: &mut [u8]) -> io::Result<Option<Arrival>> {
    // SAFETY: both are made of integers and pointers, for which zero is valid.
    let (mut source, mut message): (libc::sockaddr_storage, libc::msghdr) = unsafe { std::mem::zeroed() };
    let mut control = Control([0; 128]);
    let mut part = libc::iovec { iov_base: buffer.as_mut_ptr().cast(), iov_len: buffer.len() };
    message.msg_name = (&raw mut source).cast();
    message.msg_namelen = socket_length::<libc::sockaddr_storage>()?;
    message.msg_iov = &raw mut part;
    message.msg_iovlen = 1;
    message.msg_control = control.0.as_mut_ptr().cast();
    // The length of `control`; a literal, because its type is not the same everywhere.
    message.msg_controllen = 128;
    // SAFETY: all that `message` points to lives until the end of this function, and has the lengths that it says.
    let length = unsafe { libc::recvmsg(socket.as_raw_fd(), &raw mut message, libc::MSG_DONTWAIT) };
    let Ok(length) = usize::try_from(length) else {
        let error = io::Error::last_os_error();
        return match error.kind() {
            ErrorKind::WouldBlock | ErrorKind::Interrupted => Ok(None),
            _ => Err(error),
        };
    };
    let source = address(&source).ok_or_else(|| io::Error::other("a datagram from nowhere"))?;
    let mut arrival = Arrival { length, source, destination: None, interface: None, ttl: 0 };
    // SAFETY: the kernel has set `msg_controllen` to what it wrote into `control`, which is aligned as a cmsghdr is.
    let mut next = unsafe { libc::CMSG_FIRSTHDR(&raw const message) };
    while !next.is_null() {
        // SAFETY: CMSG_FIRSTHDR and CMSG_NXTHDR give only pointers to a whole cmsghdr inside of `control`.
        let (head, data) = unsafe { (next.read_unaligned(), libc::CMSG_DATA(next)) };
        // SAFETY: the kernel writes an int, an in_pktinfo or an in6_pktinfo behind the head of these kinds, each a plain value.
        unsafe {
            match (head.cmsg_level, head.cmsg_type) {
                (libc::IPPROTO_IP, libc::IP_TTL) | (libc::IPPROTO_IPV6, libc::IPV6_HOPLIMIT) => {
                    arrival.ttl = u8::try_from(data.cast::<libc::c_int>().read_unaligned()).unwrap_or_default();
                }
                (libc::IPPROTO_IP, libc::IP_PKTINFO) => {
                    let info = data.cast::<libc::in_pktinfo>().read_unaligned();
                    arrival.destination = Some(Ipv4Addr::from(info.ipi_addr.s_addr.to_ne_bytes()).into());
                    arrival.interface = u32::try_from(info.ipi_ifindex).ok();
                }
                (libc::IPPROTO_IPV6, libc::IPV6_PKTINFO) => {
                    let info = data.cast::<libc::in6_pktinfo>().read_unaligned();
                    arrival.destination = Some(Ipv6Addr::from(info.ipi6_addr.s6_addr).into());
                    arrival.interface = Some(info.ipi6_ifindex);
                }
                _ => {}
            }
            next = libc::CMSG_NXTHDR(&raw const message, next);
        }
    }
    Ok(Some(arrival))
}

/// The address in a sockaddr of one of the two families.
fn address(of: &libc::sockaddr_storage) -> Option<IpAddr> {
    let from: *const libc::sockaddr_storage = of;
    match i32::from(of.ss_family) {
        libc::AF_INET => {
            // SAFETY: the family says that it is one, and the storage is larger.
            let v4 = unsafe { from.cast::<libc::sockaddr_in>().read() };
            Some(Ipv4Addr::from(v4.sin_addr.s_addr.to_ne_bytes()).into())
        }
        libc::AF_INET6 => {
            // SAFETY: as above.
            let v6 = unsafe { from.cast::<libc::sockaddr_in6>().read() };
            Some(Ipv6Addr::from(v6.sin6_addr.s6_addr).into())
        }
        _ => None,
    }
}

/// Wakes a thread that waits in [`wait`].
#[derive(Debug)]
pub(crate) struct Waker {
    counter: File,
}

impl Waker {
    /// A new one.
    ///
    /// # Errors
    /// Only when the process has no descriptor left.
    pub(crate) fn new() -> io::Result<Self> {
        // SAFETY: takes no pointer.
        let fd = unsafe { libc::eventfd(0, libc::EFD_CLOEXEC | libc::EFD_NONBLOCK) };
        if fd < 0 {
            return Err(io::Error::last_os_error());
        }
        // SAFETY: the descriptor is open, and nobody else has it.
        let fd = unsafe { OwnedFd::from_raw_fd(fd) };
        Ok(Self { counter: File::from(fd) })
    }

    /// Ends the present or the next wait.
    pub(crate) fn wake(&self) {
        // The only failure is a full counter, which is as good as a wake.
        let _ = (&self.counter).write(&1_u64.to_ne_bytes());
    }
}

/// Waits until one of the sockets has something to be read, `waker` is woken, or `timeout` has passed.
///
/// # Errors
/// Only when the kernel is out of memory.
pub(crate) fn wait(sockets: [Option<&Socket>; 4], waker: &Waker, timeout: Option<Duration>) -> io::Result<()> {
    let watch = |fd: RawFd| libc::pollfd { fd, events: libc::POLLIN, revents: 0 };
    // A negative descriptor is skipped by the kernel.
    let [a, b, c, d] = sockets.map(|socket| watch(socket.map_or(-1, |socket| socket.as_raw_fd())));
    let mut watched = [watch(waker.counter.as_raw_fd()), a, b, c, d];
    let timeout = timeout.map(|timeout| libc::timespec {
        // Cut to 68 years, which every platform's seconds can hold.
        tv_sec: i32::try_from(timeout.as_secs()).unwrap_or(i32::MAX).into(),
        tv_nsec: timeout.subsec_nanos().into(),
    });
    let timeout = timeout.as_ref().map_or(std::ptr::null(), std::ptr::from_ref);
    let count = libc::nfds_t::try_from(watched.len()).map_err(io::Error::other)?;
    // SAFETY: `watched` holds `count` entries and outlives the call, as does the timeout; a null signal mask changes nothing.
    let ready = unsafe { libc::ppoll(watched.as_mut_ptr(), count, timeout, std::ptr::null()) };
    if ready < 0 {
        let error = io::Error::last_os_error();
        return if error.kind() == ErrorKind::Interrupted { Ok(()) } else { Err(error) };
    }
    let [woken, ..] = watched;
    if woken.revents != 0 {
        // Forgets the wakes so far.
        let _ = (&waker.counter).read(&mut [0; 8]);
    }
    Ok(())
}

/// Puts the calling thread in front of all ordinary ones (SCHED_FIFO, lowest real-time priority).
///
/// # Errors
/// `PermissionDenied` without CAP_SYS_NICE.
pub(crate) fn request_realtime() -> io::Result<()> {
    // SAFETY: all fields are integers, for which zero is valid (musl has more of them than the standard names).
    let mut parameter: libc::sched_param = unsafe { std::mem::zeroed() };
    parameter.sched_priority = 1;
    // SAFETY: the thread is the calling one, and the parameter outlives the call. (Not `sched_setscheduler`, which musl refuses.)
    let result = unsafe { libc::pthread_setschedparam(libc::pthread_self(), libc::SCHED_FIFO, &raw const parameter) };
    match result {
        0 => Ok(()),
        error => Err(io::Error::from_raw_os_error(error)),
    }
}

/// Puts the calling thread in front of the other ordinary ones of its control group: nice -20, and looked at again after 0.1 ms.
///
/// For where [`request_realtime`] is refused, as in a control group of version 1 on a kernel that gives real time to groups.
///
/// # Errors
/// `PermissionDenied` without CAP_SYS_NICE.
pub(crate) fn request_precedence() -> io::Result<()> {
    /// The kernel's `struct sched_attr` in its first form, which every kernel takes.
    #[repr(C)]
    struct Attributes {
        size: u32,
        policy: u32,
        flags: u64,
        nice: i32,
        priority: u32,
        /// In nanoseconds; for an ordinary thread the length of its turns, from Linux 6.12 on.
        runtime: u64,
        deadline: u64,
        period: u64,
    }
    let attributes = Attributes {
        size: u32::try_from(size_of::<Attributes>()).map_err(io::Error::other)?,
        policy: 0,
        flags: 0,
        nice: -20,
        priority: 0,
        runtime: 100_000,
        deadline: 0,
        period: 0,
    };
    // SAFETY: thread 0 is the calling one; the attributes have the size that they say, are only read, and outlive the call.
    let result = unsafe { libc::syscall(libc::SYS_sched_setattr, 0, &raw const attributes, 0) };
    if result == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}
