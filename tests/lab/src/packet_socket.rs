//! A raw Ethernet socket on one interface: every frame in and out, with the kernel's time stamp.

use std::io::{self, IoSliceMut};
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::time::{Duration, SystemTime};

use ironlb_model::MacAddr;
use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::socket::{
    AddressFamily, ControlMessageOwned, LinkAddr, MsgFlags, SockFlag, SockProtocol, SockType, bind, recvmsg, send,
    setsockopt, socket, sockopt,
};
use nix::sys::time::TimeSpec;

/// Room for what arrives while the reading thread waits for a processor: 16 MiB hold a second of 10,000 small frames.
const RECEIVE_BUFFER: usize = 16 * 1024 * 1024;

/// What the kernel says beside a frame's bytes.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Received {
    /// When the frame passed the interface.
    pub(crate) at: SystemTime,
    /// How many bytes of it are in the buffer.
    pub(crate) length: usize,
    /// Its real length.
    pub(crate) original_length: usize,
    /// How many frames this socket has lost so far for want of room.
    pub(crate) lost: u32,
    /// It is on its way out of this interface.
    pub(crate) outgoing: bool,
}

/// The socket.
#[derive(Debug)]
pub(crate) struct PacketSocket {
    fd: OwnedFd,
    index: usize,
    mac: MacAddr,
}

impl PacketSocket {
    /// Opens the interface of the calling thread's namespace.
    ///
    /// # Errors
    /// There is no such interface, or the process lacks CAP_NET_RAW.
    pub(crate) fn open(interface: &str) -> io::Result<Self> {
        let link = link_address(interface)?;
        let fd = socket(
            AddressFamily::Packet,
            SockType::Raw,
            SockFlag::SOCK_CLOEXEC | SockFlag::SOCK_NONBLOCK,
            SockProtocol::EthAll,
        )?;
        setsockopt(&fd, sockopt::RcvBufForce, &RECEIVE_BUFFER)?;
        setsockopt(&fd, sockopt::ReceiveTimestampns, &true)?;
        setsockopt(&fd, sockopt::RxqOvfl, &1)?;
        bind(fd.as_raw_fd(), &link)?;
        let mac = MacAddr(link.addr().unwrap_or_default());
        Ok(Self { fd, index: link.ifindex(), mac })
    }

    /// The interface's own address.
    pub(crate) fn mac(&self) -> MacAddr {
        self.mac
    }

    /// The next frame that is there already, or `None`.
    pub(crate) fn receive(&self, buffer: &mut [u8]) -> io::Result<Option<Received>> {
        let mut control = nix::cmsg_space!(TimeSpec, u32);
        loop {
            let mut parts = [IoSliceMut::new(&mut *buffer)];
            // MSG_TRUNC makes the kernel return the real length of a frame that is longer than the buffer.
            let message =
                match recvmsg::<LinkAddr>(self.fd.as_raw_fd(), &mut parts, Some(&mut control), MsgFlags::MSG_TRUNC) {
                    Ok(message) => message,
                    Err(Errno::EAGAIN) => return Ok(None),
                    // The link went down: said once, and the socket works again when the link is back.
                    Err(Errno::EINTR | Errno::ENETDOWN) => continue,
                    Err(errno) => return Err(errno.into()),
                };
            // Between its creation and its binding the socket hears every interface.
            if message.address.is_some_and(|from| from.ifindex() != self.index) {
                continue;
            }
            let outgoing = message.address.is_some_and(|from| from.pkttype() == libc::PACKET_OUTGOING);
            let (mut at, mut lost) = (None, 0);
            for extra in message.cmsgs()? {
                match extra {
                    ControlMessageOwned::ScmTimestampns(stamp) => at = Some(wall_clock(stamp)),
                    ControlMessageOwned::RxqOvfl(frames) => lost = frames,
                    _ => {}
                }
            }
            let original_length = message.bytes;
            return Ok(Some(Received {
                at: at.unwrap_or_else(SystemTime::now),
                length: original_length.min(buffer.len()),
                original_length,
                lost,
                outgoing,
            }));
        }
    }

    /// Waits until a frame is there or the time is over.
    pub(crate) fn wait(&self, at_most: Duration) -> io::Result<()> {
        // A part of a millisecond more, never less: a caller that waits for a deadline must not spin before it.
        let millis = at_most.as_nanos().div_ceil(1_000_000);
        let timeout = PollTimeout::try_from(millis).unwrap_or(PollTimeout::MAX);
        match poll(&mut [PollFd::new(self.fd.as_fd(), PollFlags::POLLIN)], timeout) {
            Ok(_) | Err(Errno::EINTR) => Ok(()),
            Err(errno) => Err(errno.into()),
        }
    }

    /// Sends one whole Ethernet frame.
    pub(crate) fn send(&self, frame: &[u8]) -> io::Result<()> {
        send(self.fd.as_raw_fd(), frame, MsgFlags::empty())?;
        Ok(())
    }
}

/// The kernel's own address value of an interface, which is what a packet socket is bound to.
fn link_address(interface: &str) -> io::Result<LinkAddr> {
    nix::ifaddrs::getifaddrs()?
        .filter(|entry| entry.interface_name == interface)
        .find_map(|entry| entry.address?.as_link_addr().copied())
        .ok_or_else(|| io::Error::new(io::ErrorKind::NotFound, format!("there is no interface {interface}")))
}

fn wall_clock(stamp: TimeSpec) -> SystemTime {
    SystemTime::UNIX_EPOCH + Duration::from(stamp)
}
