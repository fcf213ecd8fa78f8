//! The only file with unsafe code: packet sockets, waiting on two descriptors, the clock, and thread priority.
//!
//! Each function wraps one system call that no safe wrapper offers, and states why the call is sound.
#![expect(
    unsafe_code,
    reason = "sockaddr_ll, ppoll, clock_gettime and eventfd have no safe wrapper among our dependencies"
)]

use std::fs::File;
use std::io::{self, Read as _, Write as _};
use std::mem::MaybeUninit;
use std::os::fd::{AsRawFd as _, FromRawFd as _, OwnedFd, RawFd};
use std::time::Duration;

use ironlb_layer2_proto::PacketType;
use ironlb_model::{MacAddr, Timestamp};
use socket2::{Domain, SockAddr, SockAddrStorage, SockFilter, Socket, Type};

/// ETH_P_ARP, the frames a socket receives.
const ETH_P_ARP: u16 = 0x0806;

/// Receive buffer of a socket in bytes: about 500 frames as the kernel accounts for them, half a second at the bar of 1,000 a second.
const RECEIVE_BUFFER: usize = 256 * 1024;

/// Bytes read of a frame. An ARP frame for IPv4 has 42, padded by the sender's card to 60; what is longer is cut.
pub const FRAME_BUFFER: usize = 128;

/// Classic BPF, run by the kernel on each frame before it is queued: ARP for IPv4 over Ethernet that this host did not send.
///
/// Everything else in ARP is not ours to answer, and the copies of our own answers would double the work.
fn arp_filter() -> [SockFilter; 10] {
    const LOAD_BYTE: u16 = 0x30;
    const LOAD_HALF: u16 = 0x28;
    const LOAD_WORD: u16 = 0x20;
    const JUMP_IF_EQUAL: u16 = 0x15;
    const RETURN: u16 = 0x06;
    // SKF_AD_OFF (-0x1000) + SKF_AD_PKTTYPE (4): not a byte of the frame but how the kernel classified it.
    const PACKET_TYPE: u32 = 0xffff_f004;
    let outgoing = u32::from(libc::PACKET_OUTGOING);
    [
        SockFilter::new(LOAD_BYTE, 0, 0, PACKET_TYPE),
        SockFilter::new(JUMP_IF_EQUAL, 7, 0, outgoing),
        SockFilter::new(LOAD_HALF, 0, 0, 12), // Ethernet type
        SockFilter::new(JUMP_IF_EQUAL, 0, 5, u32::from(ETH_P_ARP)),
        SockFilter::new(LOAD_WORD, 0, 0, 14), // ar$hrd, ar$pro
        SockFilter::new(JUMP_IF_EQUAL, 0, 3, 0x0001_0800),
        SockFilter::new(LOAD_HALF, 0, 0, 18), // ar$hln, ar$pln
        SockFilter::new(JUMP_IF_EQUAL, 0, 1, 0x0604),
        SockFilter::new(RETURN, 0, 0, u32::MAX),
        SockFilter::new(RETURN, 0, 0, 0),
    ]
}

/// What a socket is bound to, as the kernel has it at this moment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Binding {
    /// The interface's index; `None` once the interface is gone, and then for ever.
    pub index: Option<u32>,
    /// The interface's Ethernet address now.
    pub mac: Option<MacAddr>,
}

/// An AF_PACKET socket for the ARP frames of one interface. It never blocks.
#[derive(Debug)]
pub struct ArpSocket {
    socket: Socket,
}

impl ArpSocket {
    /// Opens one for the interface with this index, which may be down.
    ///
    /// # Errors
    /// `PermissionDenied` without CAP_NET_RAW; `ENODEV` when there is no such interface (wait for it and try again).
    pub fn open(index: u32) -> io::Result<Self> {
        let socket = Self::unbound()?;
        let index = i32::try_from(index).map_err(io::Error::other)?;
        let mut storage = SockAddrStorage::zeroed();
        // SAFETY: sockaddr_ll is one of the platform's sockaddr types, and smaller than the storage.
        let link: &mut libc::sockaddr_ll = unsafe { storage.view_as() };
        link.sll_family = u16::try_from(libc::AF_PACKET).map_err(io::Error::other)?;
        link.sll_protocol = ETH_P_ARP.to_be();
        link.sll_ifindex = index;
        let length = socket_length::<libc::sockaddr_ll>()?;
        // SAFETY: the storage holds a sockaddr_ll of that length with its family set.
        let address = unsafe { SockAddr::new(storage, length) };
        socket.bind(&address)?;
        Ok(Self { socket })
    }

    /// May this process open packet sockets at all?
    ///
    /// # Errors
    /// `PermissionDenied` without CAP_NET_RAW.
    pub fn check_permission() -> io::Result<()> {
        Self::unbound().map(drop)
    }

    /// A socket that receives nothing yet: protocol 0, so that no frame is queued before the filter is in place.
    fn unbound() -> io::Result<Socket> {
        let socket = Socket::new(Domain::PACKET, Type::RAW, None)?;
        socket.set_nonblocking(true)?;
        socket.set_recv_buffer_size(RECEIVE_BUFFER)?;
        socket.attach_filter(&arp_filter())?;
        Ok(socket)
    }

    /// Sends a frame.
    ///
    /// # Errors
    /// `ENETDOWN` while the interface is down, `ENOBUFS` or `WouldBlock` when its queue is full, `ENXIO` when it is gone.
    pub fn send(&self, frame: &[u8]) -> io::Result<()> {
        self.socket.send(frame).map(drop)
    }

    /// Takes the next frame that has arrived; its bytes and how the kernel classified it, or `None` when there is none.
    ///
    /// # Errors
    /// `ENETDOWN` once after the interface went down; the socket stays usable.
    pub fn receive<'a>(&self, buffer: &'a mut [u8; FRAME_BUFFER]) -> io::Result<Option<(&'a [u8], PacketType)>> {
        // SAFETY: bytes that are initialised are also valid as maybe initialised ones, and `recv_from` writes nothing uninitialised.
        let writable =
            unsafe { std::slice::from_raw_parts_mut(buffer.as_mut_ptr().cast::<MaybeUninit<u8>>(), FRAME_BUFFER) };
        let (length, address) = match self.socket.recv_from(writable) {
            Ok(received) => received,
            Err(error) if matches!(error.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::Interrupted) => {
                return Ok(None);
            }
            Err(error) => return Err(error),
        };
        let packet_type = match link_address(&address).sll_pkttype {
            libc::PACKET_HOST => PacketType::Host,
            libc::PACKET_BROADCAST => PacketType::Broadcast,
            libc::PACKET_MULTICAST => PacketType::Multicast,
            libc::PACKET_OTHERHOST => PacketType::OtherHost,
            // PACKET_OUTGOING, and the kernel's own loops.
            _ => PacketType::Outgoing,
        };
        Ok(buffer.get(..length).map(|bytes| (bytes, packet_type)))
    }

    /// What the socket is bound to.
    ///
    /// # Errors
    /// None in practice; the system call has no failure that applies.
    pub fn binding(&self) -> io::Result<Binding> {
        let address = link_address(&self.socket.local_addr()?);
        let [a, b, c, d, e, f, ..] = address.sll_addr;
        let is_ethernet = address.sll_hatype == libc::ARPHRD_ETHER && address.sll_halen == 6;
        Ok(Binding {
            index: u32::try_from(address.sll_ifindex).ok().filter(|index| *index > 0),
            mac: Some(MacAddr([a, b, c, d, e, f])).filter(|mac| is_ethernet && mac.is_unicast()),
        })
    }
}

/// A packet socket's address, wherever the kernel gave one.
fn link_address(address: &SockAddr) -> libc::sockaddr_ll {
    // SAFETY: a SockAddr is a zeroed sockaddr_storage that the kernel has written into; it is larger than a sockaddr_ll, every bit
    // pattern is a valid one, and `read_unaligned` asks for no alignment.
    unsafe { address.as_ptr().cast::<libc::sockaddr_ll>().read_unaligned() }
}

fn socket_length<T>() -> io::Result<libc::socklen_t> {
    libc::socklen_t::try_from(size_of::<T>()).map_err(io::Error::other)
}

/// Wakes a thread that waits in [`wait`].
#[derive(Debug)]
pub struct Waker {
    counter: File,
}

impl Waker {
    /// A new one.
    ///
    /// # Errors
    /// Only when the process has no descriptor left.
    pub fn new() -> io::Result<Self> {
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
    pub fn wake(&self) {
        // The only failure is a full counter, which is as good as a wake.
        let _ = (&self.counter).write(&1_u64.to_ne_bytes());
    }

    /// Forgets the wakes so far.
    fn clear(&self) {
        let _ = (&self.counter).read(&mut [0; 8]);
    }
}

/// Waits until a frame has arrived on `socket`, `waker` is woken, or `timeout` has passed; says whether the socket is to be read.
///
/// # Errors
/// Only when the kernel is out of memory.
pub fn wait(socket: Option<&ArpSocket>, waker: &Waker, timeout: Option<Duration>) -> io::Result<bool> {
    let watch = |fd: RawFd| libc::pollfd { fd, events: libc::POLLIN, revents: 0 };
    // A negative descriptor is skipped by the kernel.
    let mut watched = [watch(waker.counter.as_raw_fd()), watch(socket.map_or(-1, |socket| socket.socket.as_raw_fd()))];
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
        return match error.kind() {
            io::ErrorKind::Interrupted => Ok(false),
            _ => Err(error),
        };
    }
    let [woken, arrived] = watched;
    if woken.revents != 0 {
        waker.clear();
    }
    // An error on the socket (the interface went down) is taken by reading, too.
    Ok(arrived.revents != 0)
}

/// The time now on the clock that [`Timestamp`] stands for, CLOCK_BOOTTIME: it never goes back and counts time spent suspended.
#[must_use]
pub fn boottime() -> Timestamp {
    Timestamp::ZERO + read_clock(libc::CLOCK_BOOTTIME)
}

/// How long the calling thread has been on a core.
pub(crate) fn thread_cpu_time() -> Duration {
    read_clock(libc::CLOCK_THREAD_CPUTIME_ID)
}

fn read_clock(clock: libc::clockid_t) -> Duration {
    let mut now = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    // SAFETY: `now` is valid for a write. The call cannot fail for the two clocks asked for, which every Linux since 2.6.39 has.
    unsafe { libc::clock_gettime(clock, &raw mut now) };
    let seconds = u64::try_from(now.tv_sec).unwrap_or_default();
    let nanos = u32::try_from(now.tv_nsec).unwrap_or_default();
    Duration::new(seconds, nanos)
}

/// Puts the calling thread in front of all ordinary ones (SCHED_FIFO, lowest real-time priority).
///
/// With both cores busy an ordinary thread answers after milliseconds or, when frames pile up, not at all; in front it answers within
/// tens of microseconds (measured). It runs for microseconds at a time.
///
/// # Errors
/// `PermissionDenied` without CAP_SYS_NICE.
pub fn request_realtime() -> io::Result<()> {
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
