//! What was on the wire: a packet capture for the length of a scenario, as a file for people and as values for assertions.
//!
//! The file is a pcap that tcpdump and Wireshark read. Beside it the capture keeps every ARP packet and one short note per
//! frame, so that a test asks ("which MACs claimed this vip, and when?") instead of parsing.
//!
//! On a bridge the capture sees the frames between its ports as well, because it makes the interface promiscuous for its time.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{self, BufWriter};
use std::net::Ipv4Addr;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::mpsc::{Receiver, Sender, TryRecvError, channel};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, SystemTime};

use ironlb_model::MacAddr;

pub use crate::arp_frame::{ArpFrame, ArpOperation};
use crate::instrument;
use crate::netns::Netns;
use crate::packet_socket::{PacketSocket, Received};
use crate::pcap;

/// How much of each frame is kept: every header that can occur here and the first line of an HTTP answer, chosen.
const SNAP: usize = 256;

/// How long the capture may sleep before it looks for a question or the end.
const TICK: Duration = Duration::from_millis(20);

/// An ARP packet and when it passed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct CapturedArp {
    /// The kernel's time stamp.
    pub at: SystemTime,
    /// The packet.
    pub frame: ArpFrame,
}

/// One frame, whatever it carried.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct CapturedFrame {
    /// The kernel's time stamp.
    pub at: SystemTime,
    /// Where it came from.
    pub source: MacAddr,
    /// Where it was sent to.
    pub destination: MacAddr,
    /// What it carried, by IANA's number.
    pub ether_type: u16,
    /// Where its packet was to go, if it carried one of IPv4.
    pub ipv4_destination: Option<Ipv4Addr>,
    /// By what the packet is known again on its way: the identification of IPv4 and the first eight octets of what it carries.
    pub ipv4_mark: Option<(u16, [u8; 8])>,
    /// It opens a TCP connection: SYN without ACK.
    pub is_opening: bool,
}

/// How one MAC claimed an address.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Claim {
    /// The first packet that did.
    pub first: SystemTime,
    /// The last one.
    pub last: SystemTime,
    /// How many there were.
    pub count: usize,
}

/// What a capture has seen.
#[derive(Debug, Clone)]
pub struct Recording {
    /// The pcap file.
    pub file: PathBuf,
    /// When the capture began: frames before it were not seen.
    pub started: SystemTime,
    /// Every ARP packet, in the order the kernel handed them over.
    pub arp: Vec<CapturedArp>,
    /// Every frame, likewise.
    pub frames: Vec<CapturedFrame>,
    /// Frames the kernel had to drop because the capture did not keep up. An assertion that something was *not* seen
    /// means nothing unless this is 0.
    pub lost: u32,
}

impl Recording {
    /// Every MAC that told the LAN to be at `vip`, by a request (a gratuitous one or any other) or a reply.
    #[must_use]
    pub fn macs_claiming(&self, vip: Ipv4Addr) -> BTreeMap<MacAddr, Claim> {
        self.macs_claiming_since(vip, self.started)
    }

    /// The same, from a moment on.
    #[must_use]
    pub fn macs_claiming_since(&self, vip: Ipv4Addr, since: SystemTime) -> BTreeMap<MacAddr, Claim> {
        let mut claims = BTreeMap::new();
        for seen in self.arp.iter().filter(|seen| seen.at >= since && seen.frame.claims(vip)) {
            let claim =
                claims.entry(seen.frame.sender_mac).or_insert(Claim { first: seen.at, last: seen.at, count: 0 });
            claim.last = seen.at;
            claim.count += 1;
        }
        claims
    }

    /// The frames that one station sent after a moment: none, once its power is cut.
    #[must_use]
    pub fn frames_from(&self, mac: MacAddr, after: SystemTime) -> Vec<CapturedFrame> {
        self.frames.iter().filter(|frame| frame.source == mac && frame.at > after).copied().collect()
    }

    /// How often each packet to this address crossed the LAN: several times if it went to and fro.
    #[must_use]
    pub fn crossings_to(&self, address: Ipv4Addr) -> Vec<usize> {
        let mut crossings: BTreeMap<_, usize> = BTreeMap::new();
        for frame in self.frames.iter().filter(|frame| frame.ipv4_destination == Some(address)) {
            *crossings.entry(frame.ipv4_mark).or_default() += 1;
        }
        crossings.into_values().collect()
    }

    /// How many TCP connections to this address each station was handed the opening of.
    #[must_use]
    pub fn openings_to(&self, address: Ipv4Addr) -> BTreeMap<MacAddr, usize> {
        let mut openings = BTreeMap::new();
        for frame in self.frames.iter().filter(|f| f.is_opening && f.ipv4_destination == Some(address)) {
            *openings.entry(frame.destination).or_default() += 1;
        }
        openings
    }

    fn note(&mut self, received: &Received, bytes: &[u8]) {
        self.lost = received.lost;
        let Some((destination, source, ether_type)) = ethernet_header(bytes) else { return };
        let ipv4_destination = ipv4_destination(bytes).filter(|_| ether_type == 0x0800);
        let is_opening = ipv4_destination.is_some() && opens_tcp(bytes);
        let ipv4_mark = ipv4_destination.and_then(|_| ipv4_mark(bytes));
        let at = received.at;
        let frame = CapturedFrame { at, source, destination, ether_type, ipv4_destination, ipv4_mark, is_opening };
        self.frames.push(frame);
        if let Some(frame) = ArpFrame::parse(bytes) {
            self.arp.push(CapturedArp { at: received.at, frame });
        }
    }
}

fn ethernet_header(bytes: &[u8]) -> Option<(MacAddr, MacAddr, u16)> {
    let (destination, rest) = bytes.split_first_chunk::<6>()?;
    let (source, rest) = rest.split_first_chunk::<6>()?;
    let (ether_type, _) = rest.split_first_chunk::<2>()?;
    Some((MacAddr(*destination), MacAddr(*source), u16::from_be_bytes(*ether_type)))
}

/// Octets 16 to 19 of the IPv4 header (RFC 791 section 3.1), which follows the 14 of Ethernet's.
fn ipv4_destination(bytes: &[u8]) -> Option<Ipv4Addr> {
    let (_, rest) = bytes.split_at_checked(14 + 16)?;
    let (address, _) = rest.split_first_chunk::<4>()?;
    Some(Ipv4Addr::from(*address))
}

/// Octets 4 and 5 of the IPv4 header, and eight octets of what is behind it: the ports and the number of a segment of TCP, the number of
/// a ping.
fn ipv4_mark(bytes: &[u8]) -> Option<(u16, [u8; 8])> {
    let (_, packet) = bytes.split_at_checked(14)?;
    let identification = packet.get(4..)?.first_chunk::<2>()?;
    let header = usize::from(packet.first()? & 0x0f) * 4;
    Some((u16::from_be_bytes(*identification), *packet.get(header..)?.first_chunk::<8>()?))
}

/// Protocol 6 with SYN and without ACK (RFC 9293 section 3.1), behind a header of IPv4 without a fragment's offset.
fn opens_tcp(bytes: &[u8]) -> bool {
    let Some((_, packet)) = bytes.split_at_checked(14) else { return false };
    let header = usize::from(packet.first().copied().unwrap_or_default() & 0x0f) * 4;
    let is_tcp =
        packet.get(9) == Some(&6) && packet.get(6).is_some_and(|byte| byte & 0x1f == 0) && packet.get(7) == Some(&0);
    is_tcp && packet.get(header + 13).is_some_and(|flags| flags & 0x12 == 0x02)
}

/// A capture that is running. Dropping it ends it; the file is complete then too.
#[derive(Debug)]
pub struct Capture {
    recording: Arc<Mutex<Recording>>,
    /// Each sender put in is answered when everything that was on the wire by then has been noted.
    questions: Option<Sender<Sender<()>>>,
    thread: Option<JoinHandle<io::Result<io::Result<()>>>>,
}

impl Capture {
    /// Begins to capture on an interface of a namespace. When this returns, the socket is open: nothing after it is missed.
    ///
    /// # Errors
    /// The namespace, the interface or the file cannot be opened.
    pub fn start(netns: &Netns, interface: &str, file: &Path) -> io::Result<Self> {
        let recording = Arc::new(Mutex::new(Recording {
            file: file.to_owned(),
            started: SystemTime::now(),
            arp: Vec::new(),
            frames: Vec::new(),
            lost: 0,
        }));
        let (questions, asked) = channel();
        let (opened, is_open) = channel();
        let output = File::create(file)?;
        let shared = Arc::clone(&recording);
        let interface = interface.to_owned();
        let thread = netns.spawn(move || {
            let socket = PacketSocket::open(&interface)?;
            let promiscuous = Promiscuous::on(&interface)?;
            locked(&shared).started = SystemTime::now();
            // The other end waits for this; it is there.
            let _ = opened.send(());
            let outcome = run(&socket, output, &shared, &asked);
            drop(promiscuous);
            outcome
        })?;
        let mut capture = Self { recording, questions: Some(questions), thread: Some(thread) };
        if is_open.recv().is_err() {
            capture.end()?;
        }
        Ok(capture)
    }

    /// Looks at what has been captured by now, including the last frame on the wire before the call.
    ///
    /// # Errors
    /// The capture has ended by itself; the error says why.
    pub fn look<T>(&mut self, at: impl FnOnce(&Recording) -> T) -> io::Result<T> {
        let (noted, is_noted) = channel();
        let asked = self.questions.as_ref().is_some_and(|questions| questions.send(noted).is_ok());
        if !asked || is_noted.recv().is_err() {
            self.end()?;
        }
        Ok(at(&locked(&self.recording)))
    }

    /// Ends the capture and hands over all of it.
    ///
    /// # Errors
    /// The capture could not go on, or the file could not be written to its end.
    pub fn stop(mut self) -> io::Result<Recording> {
        self.end()?;
        Ok(locked(&self.recording).clone())
    }

    fn end(&mut self) -> io::Result<()> {
        self.questions = None;
        match self.thread.take() {
            Some(thread) => instrument::ended(thread),
            None => Ok(()),
        }
    }
}

impl Drop for Capture {
    fn drop(&mut self) {
        // A test that fails drops its captures; the test's own failure is what matters then.
        let _ = self.end();
    }
}

/// The recording is only ever added to, so a panic elsewhere leaves it whole.
fn locked(recording: &Mutex<Recording>) -> MutexGuard<'_, Recording> {
    recording.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Notes frames until the questions end. A question is answered when the socket has been found empty after it was asked.
fn run(
    socket: &PacketSocket,
    output: File,
    recording: &Mutex<Recording>,
    asked: &Receiver<Sender<()>>,
) -> io::Result<()> {
    let mut file = pcap::Writer::new(BufWriter::new(output), SNAP)?;
    let mut open = true;
    while open {
        let question = match asked.try_recv() {
            Ok(question) => Some(question),
            Err(TryRecvError::Empty) => None,
            Err(TryRecvError::Disconnected) => {
                open = false;
                None
            }
        };
        let mut buffer = [0; SNAP];
        while let Some(received) = socket.receive(&mut buffer)? {
            let bytes = buffer.get(..received.length).unwrap_or_default();
            file.write(received.at, bytes, received.original_length)?;
            locked(recording).note(&received, bytes);
        }
        // A reader who looks now finds a whole file, and so does one after a crash.
        file.flush()?;
        match question {
            // Whoever asked has gone, if this fails.
            Some(question) => drop(question.send(())),
            None if open => socket.wait(TICK)?,
            None => {}
        }
    }
    Ok(())
}

/// An interface that takes every frame, for as long as this value lives.
struct Promiscuous<'a>(&'a str);

impl<'a> Promiscuous<'a> {
    fn on(interface: &'a str) -> io::Result<Self> {
        set_promiscuous(interface, "on")?;
        Ok(Self(interface))
    }
}

impl Drop for Promiscuous<'_> {
    fn drop(&mut self) {
        // The interface may have gone with its node.
        let _ = set_promiscuous(self.0, "off");
    }
}

/// A child of this thread is in this thread's namespace.
fn set_promiscuous(interface: &str, state: &str) -> io::Result<()> {
    let done = Command::new("ip").args(["link", "set", "dev", interface, "promisc", state]).output()?;
    if done.status.success() {
        return Ok(());
    }
    Err(io::Error::other(format!(
        "ip link set {interface} promisc {state}: {}",
        String::from_utf8_lossy(&done.stderr).trim()
    )))
}
