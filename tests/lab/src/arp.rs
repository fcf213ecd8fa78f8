//! Asking a LAN who has an address: broadcast ARP requests, and every answer to them, not only the first.
//!
//! The question that matters for a vip is whether *exactly one* station answers. A kernel, and most tools, stop at the first
//! reply; here the window after each request is always waited out, so that a second answerer is seen.

use std::collections::BTreeMap;
use std::io;
use std::net::Ipv4Addr;
use std::time::{Duration, Instant};

use ironlb_model::MacAddr;

use crate::arp_frame::{ArpFrame, ArpOperation};
use crate::netns::Netns;
use crate::packet_socket::PacketSocket;

/// How to ask.
#[derive(Debug, Clone, Copy)]
pub struct Asking {
    /// How many requests are sent.
    pub requests: u32,
    /// The time from one request to the next, in which its answers are collected.
    pub window: Duration,
    /// How much longer answers are waited for after the last window.
    pub linger: Duration,
}

impl Default for Asking {
    /// 20 requests, as many as the project's criterion for "exactly one node answers" asks for; a 50 ms window is 100 times
    /// the answer time of a speaker with a processor to itself.
    fn default() -> Self {
        Self { requests: 20, window: Duration::from_millis(50), linger: Duration::from_millis(250) }
    }
}

/// How long one that has answered some requests may take for the others. Chosen: longer than a busy machine holds anybody up.
const HELD_UP: Duration = Duration::from_secs(5);

/// One reply.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ArpAnswer {
    /// The MAC the reply gives for the address (`ar$sha`).
    pub mac: MacAddr,
    /// The MAC the frame came from.
    pub ethernet_source: MacAddr,
    /// How long after the request sent last before it.
    pub after: Duration,
}

/// All that came back.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ArpAnswers {
    /// The replies in the window of each request, in the order they came. A reply that is later than its window is found
    /// in the next one's.
    pub by_request: Vec<Vec<ArpAnswer>>,
}

impl ArpAnswers {
    /// How many requests were sent.
    #[must_use]
    pub fn requests(&self) -> usize {
        self.by_request.len()
    }

    /// How many requests got no reply in their window.
    #[must_use]
    pub fn unanswered(&self) -> usize {
        self.by_request.iter().filter(|answers| answers.is_empty()).count()
    }

    /// How many replies each MAC gave in all.
    #[must_use]
    pub fn by_mac(&self) -> BTreeMap<MacAddr, usize> {
        let mut counts = BTreeMap::new();
        for answer in self.by_request.iter().flatten() {
            *counts.entry(answer.mac).or_default() += 1;
        }
        counts
    }

    /// The one MAC that answered, if every request was answered once and always by the same; `None` otherwise.
    #[must_use]
    pub fn sole_answerer(&self) -> Option<MacAddr> {
        let mut macs = self.by_mac().into_keys();
        let (mac, None) = (macs.next()?, macs.next()) else { return None };
        self.by_request.iter().all(|answers| answers.len() == 1).then_some(mac)
    }
}

/// Asks for `ip` from an interface of a namespace and returns when the last window is over; blocks until then.
///
/// The requests carry the interface's own MAC and its first IPv4 address, so they teach the hearers where the asker is, as
/// any client's do, and replies update the asking kernel's own neighbour table if it holds the address.
///
/// # Errors
/// The namespace cannot be entered, there is no such interface, or it is down.
pub fn ask(netns: &Netns, interface: &str, ip: Ipv4Addr, asking: Asking) -> io::Result<ArpAnswers> {
    netns.run(|| ask_here(interface, ip, asking))?
}

/// Says once, to the whole LAN, that `ip` is at this interface, as a host does that has just been given the address; gives the MAC it
/// said. It neither has the address nor answers for it.
///
/// # Errors
/// As for [`ask`].
pub fn claim(netns: &Netns, interface: &str, ip: Ipv4Addr) -> io::Result<MacAddr> {
    netns.run(|| {
        let socket = PacketSocket::open(interface)?;
        socket.send(&ArpFrame::request(socket.mac(), ip, ip).to_bytes())?;
        Ok(socket.mac())
    })?
}

fn ask_here(interface: &str, ip: Ipv4Addr, asking: Asking) -> io::Result<ArpAnswers> {
    let socket = PacketSocket::open(interface)?;
    let request = ArpFrame::request(socket.mac(), own_address(interface)?, ip).to_bytes();
    let mut answers = ArpAnswers::default();
    for number in 1..=asking.requests {
        let last = number == asking.requests;
        let sent = Instant::now();
        socket.send(&request)?;
        let window = if last { asking.window + asking.linger } else { asking.window };
        answers.by_request.push(collect(&socket, ip, sent, window)?);
    }
    let heard = |answers: &ArpAnswers| answers.by_request.iter().map(Vec::len).sum::<usize>();
    let (begin, wanted) = (Instant::now(), answers.requests());
    // Somebody answers, and was held up: whatever is still to come comes before it answers somebody else.
    while (1..wanted).contains(&heard(&answers)) && begin.elapsed() < HELD_UP {
        let late = collect(&socket, ip, Instant::now(), asking.window + asking.linger)?;
        if let Some(last) = answers.by_request.last_mut() {
            last.extend(late);
        }
    }
    Ok(answers)
}

/// Every reply for `ip` to this interface in the window after `sent`.
fn collect(socket: &PacketSocket, ip: Ipv4Addr, sent: Instant, window: Duration) -> io::Result<Vec<ArpAnswer>> {
    let mut buffer = [0; 128];
    let mut found = Vec::new();
    loop {
        while let Some(received) = socket.receive(&mut buffer)? {
            let reply = buffer.get(..received.length).and_then(ArpFrame::parse).filter(|frame| {
                // A gratuitous reply is an announcement and answers nobody's question.
                frame.operation == ArpOperation::Reply
                    && frame.sender_ip == ip
                    && frame.target_mac == socket.mac()
                    && !received.outgoing
            });
            if let Some(frame) = reply {
                found.push(ArpAnswer {
                    mac: frame.sender_mac,
                    ethernet_source: frame.ethernet_source,
                    after: sent.elapsed(),
                });
            }
        }
        match window.checked_sub(sent.elapsed()) {
            Some(left) if !left.is_zero() => socket.wait(left)?,
            _ => return Ok(found),
        }
    }
}

/// The interface's first IPv4 address; without one the request is a probe from 0.0.0.0, which is answered as well.
fn own_address(interface: &str) -> io::Result<Ipv4Addr> {
    Ok(nix::ifaddrs::getifaddrs()?
        .filter(|entry| entry.interface_name == interface)
        .find_map(|entry| entry.address?.as_sockaddr_in().map(nix::sys::socket::SockaddrIn::ip))
        .unwrap_or(Ipv4Addr::UNSPECIFIED))
}

#[cfg(test)]
mod tests {
    use super::*;

    const A: MacAddr = MacAddr([2, 0, 0, 0, 0, 1]);
    const B: MacAddr = MacAddr([2, 0, 0, 0, 0, 2]);

    fn answers(by_request: &[&[MacAddr]]) -> ArpAnswers {
        let answer = |mac: &MacAddr| ArpAnswer { mac: *mac, ethernet_source: *mac, after: Duration::ZERO };
        ArpAnswers { by_request: by_request.iter().map(|macs| macs.iter().map(answer).collect()).collect() }
    }

    #[test]
    fn one_answer_per_request_from_one_station_is_what_a_vip_needs() {
        type Row = (&'static [&'static [MacAddr]], usize, Option<MacAddr>);
        let rows: [Row; 6] = [
            (&[&[A], &[A]], 0, Some(A)),
            (&[&[A], &[B]], 0, None),
            (&[&[A], &[]], 1, None),
            (&[&[A, A], &[A]], 0, None),
            (&[&[A, B], &[A, B]], 0, None),
            (&[], 0, None),
        ];
        for (given, unanswered, sole) in rows {
            let answers = answers(given);
            assert_eq!((answers.unanswered(), answers.sole_answerer()), (unanswered, sole), "{given:?}");
        }
        assert_eq!(answers(&[&[A, B], &[A]]).by_mac(), BTreeMap::from([(A, 2), (B, 1)]));
    }
}
