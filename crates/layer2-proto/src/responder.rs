//! One interface: frames in; answers, announcements and observations out.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::net::{IpAddr, Ipv4Addr};
use std::time::Duration;

use ironlb_model::{MacAddr, Timestamp};

use crate::announcement::Schedule;
use crate::drop_reason::DropReason;
use crate::packet::arp::{Operation, Packet};
use crate::packet::{DecodeError, Frame};
use crate::rate::{Bucket, Rate, Sources};

/// A claim that goes on is reported once in this time. Chosen, because whoever listens acts within seconds and a storm must not
/// drown the first report of another vip.
const CLAIM_REPEAT: Duration = Duration::from_secs(1);

/// How much a responder sends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Config {
    /// Answers to one sender. By default 2,000 a second, chosen, because a router that lost its table asks for all its vips at once and
    /// must not be made to wait; far below what the node notices.
    pub per_source: Rate,
    /// Answers to all senders. By default 10,000 a second, chosen, because that is a twentieth of a core (measured: 20,000 a second
    /// take 10.7 % of one). Probes are refused when three quarters are used up, so that a storm of them leaves room for requests.
    pub total: Rate,
    /// Vips announced, two frames each. By default 500 a second, chosen, because access switches police ARP at about 1,000 frames a
    /// second; and 50 at once, because a small policer's bucket holds as many.
    pub announcements: Rate,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            per_source: Rate::new(2_000, 2_000),
            total: Rate::new(10_000, 10_000),
            announcements: Rate::new(500, 50),
        }
    }
}

/// How the kernel classified a frame on its way in (packet(7), `sll_pkttype`).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum PacketType {
    /// To this host's own address.
    Host,
    /// To everyone.
    Broadcast,
    /// To a group.
    Multicast,
    /// To another station; seen because the card is promiscuous or the switch flooded it.
    OtherHost,
    /// Sent by this host.
    Outgoing,
}

/// What a responder is told.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Input<'a> {
    /// The vips this interface answers for, all of them. One that is missing is neither answered nor announced from here on; one
    /// that is new is announced.
    SetVips(BTreeSet<IpAddr>),
    /// The interface's Ethernet address, `None` while it has none. A change is announced for every vip.
    SetMac(Option<MacAddr>),
    /// The Ethernet addresses of every interface of this host; their frames are neither answered nor claims.
    SetHostMacs(BTreeSet<MacAddr>),
    /// Frames can be sent, or not (administratively down, no carrier, no socket). Every vip is announced when the link comes up.
    SetLink {
        /// They can.
        up: bool,
    },
    /// The moment from which this node must not own vips unless told anew; `None` lifts the limit. Every vip is announced when a
    /// limit is put off that had already passed, since another node may have answered meanwhile.
    ValidUntil(Option<Timestamp>),
    /// A frame that arrived on the interface.
    Frame {
        /// From the Ethernet header on.
        bytes: &'a [u8],
        /// The kernel's word on whom it is for.
        packet_type: PacketType,
    },
}

/// What a frame is sent for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Purpose {
    /// Somebody asked.
    Answer {
        /// For this address.
        vip: IpAddr,
        /// Who asked.
        asker: MacAddr,
    },
    /// Nobody asked; one of the two frames of an announcement.
    Announcement {
        /// Of this address.
        vip: IpAddr,
    },
}

impl Purpose {
    /// The vip the frame is about.
    #[must_use]
    pub fn vip(self) -> IpAddr {
        match self {
            Self::Answer { vip, .. } | Self::Announcement { vip } => vip,
        }
    }
}

/// What a responder wants done, or wants known.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Output {
    /// Send this frame on the interface.
    Send {
        /// The frame.
        frame: Frame,
        /// What for; counted once it has been sent.
        purpose: Purpose,
    },
    /// The frame just handed in was not answered.
    Ignored(DropReason),
    /// A station that is not this host says that it has a vip of ours (RFC 5227 §2.4). Told once a second for each vip and station.
    ForeignClaim {
        /// The vip.
        vip: IpAddr,
        /// The station.
        mac: MacAddr,
    },
}

/// The machine of one interface: whom to answer, what to announce, what to report.
///
/// ```text
///  frame --> for us? --> well-formed? --> a claim? --> request for a vip? --> fence --> rate --> answer
///               |             |              |                |                 |        |
///               +-------------+--------------+----- Ignored --+-----------------+--------+
/// ```
///
/// See the crate's text for the contract.
#[derive(Debug)]
pub struct Responder {
    config: Config,
    now: Timestamp,
    vips: BTreeSet<Ipv4Addr>,
    mac: Option<MacAddr>,
    host_macs: BTreeSet<MacAddr>,
    link_up: bool,
    valid_until: Option<Timestamp>,
    schedule: Schedule,
    sources: Sources,
    total: Bucket,
    claims: BTreeMap<Ipv4Addr, (MacAddr, Timestamp)>,
    outputs: VecDeque<Output>,
}

impl Responder {
    /// One that holds no vip, knows no address of its own, and takes the link to be down.
    #[must_use]
    pub fn new(config: Config) -> Self {
        Self {
            config,
            now: Timestamp::ZERO,
            vips: BTreeSet::new(),
            mac: None,
            host_macs: BTreeSet::new(),
            link_up: false,
            valid_until: None,
            schedule: Schedule::new(config.announcements),
            sources: Sources::new(),
            total: Bucket::default(),
            claims: BTreeMap::new(),
            outputs: VecDeque::new(),
        }
    }

    /// The only way in.
    pub fn handle_input(&mut self, now: Timestamp, input: Input<'_>) {
        self.now = self.now.max(now);
        match input {
            Input::SetVips(vips) => self.set_vips(&vips),
            Input::SetMac(mac) => {
                if self.mac != mac {
                    self.mac = mac;
                    self.announce_all();
                }
            }
            Input::SetHostMacs(macs) => self.host_macs = macs,
            Input::SetLink { up } => {
                let came_up = up && !self.link_up;
                self.link_up = up;
                if came_up {
                    self.announce_all();
                }
            }
            Input::ValidUntil(until) => {
                let was_fenced = self.is_fenced();
                self.valid_until = until;
                if was_fenced {
                    self.announce_all();
                }
            }
            Input::Frame { bytes, packet_type } => match self.judge(bytes, packet_type) {
                Ok(output) => self.outputs.push_back(output),
                Err(reason) => self.outputs.push_back(Output::Ignored(reason)),
            },
        }
        self.announce_due();
    }

    /// Makes the announcements that are due; harmless when none is.
    pub fn handle_timeout(&mut self, now: Timestamp) {
        self.now = self.now.max(now);
        self.announce_due();
    }

    /// The only way out; asked until `None`.
    pub fn poll_output(&mut self) -> Option<Output> {
        self.outputs.pop_front()
    }

    /// When [`Responder::handle_timeout`] is needed next.
    #[must_use]
    pub fn poll_timeout(&self) -> Option<Timestamp> {
        if !self.may_announce() {
            return None;
        }
        let due = self.schedule.poll_timeout()?;
        self.valid_until.is_none_or(|until| due < until).then_some(due)
    }

    /// Is it past the moment until which this node may own vips, as far as it has been told the time?
    #[must_use]
    pub fn is_fenced(&self) -> bool {
        self.valid_until.is_some_and(|until| self.now >= until)
    }

    fn set_vips(&mut self, vips: &BTreeSet<IpAddr>) {
        // An IPv6 vip needs Neighbour Discovery; until that is here it is left alone, as `serves` says.
        let wanted: BTreeSet<Ipv4Addr> = vips
            .iter()
            .filter_map(|vip| match vip {
                IpAddr::V4(vip) => Some(*vip),
                IpAddr::V6(_) => None,
            })
            .collect();
        for lost in self.vips.difference(&wanted) {
            self.schedule.lose(IpAddr::V4(*lost));
            self.claims.remove(lost);
        }
        self.outputs.retain(|output| match output {
            Output::Send { purpose, .. } => vips.contains(&purpose.vip()),
            Output::ForeignClaim { vip, .. } => vips.contains(vip),
            Output::Ignored(_) => true,
        });
        for gained in wanted.difference(&self.vips) {
            self.schedule.gain(self.now, IpAddr::V4(*gained));
        }
        self.vips = wanted;
    }

    fn may_announce(&self) -> bool {
        self.link_up && self.mac.is_some() && !self.is_fenced()
    }

    fn announce_all(&mut self) {
        if self.may_announce() {
            for vip in &self.vips {
                self.schedule.gain(self.now, IpAddr::V4(*vip));
            }
        }
    }

    fn announce_due(&mut self) {
        let Some(mac) = self.mac.filter(|_| self.may_announce()) else {
            return;
        };
        while let Some(vip) = self.schedule.take_due(self.now) {
            let purpose = Purpose::Announcement { vip };
            let IpAddr::V4(address) = vip else { continue };
            //= https://www.rfc-editor.org/rfc/rfc5227#section-2.3
            //# Having probed to determine that a desired address may be used safely,
            //# a host implementing this specification MUST then announce that it is
            //# commencing to use this address by broadcasting ANNOUNCE_NUM ARP
            //# Announcements, spaced ANNOUNCE_INTERVAL seconds apart.
            for packet in [Packet::announcement_request(mac, address), Packet::announcement_reply(mac, address)] {
                self.outputs.push_back(Output::Send { frame: packet.frame_to(MacAddr::BROADCAST), purpose });
            }
        }
    }

    /// The answer to a frame, or why there is none. A claim is put out on the way.
    fn judge(&mut self, bytes: &[u8], packet_type: PacketType) -> Result<Output, DropReason> {
        match packet_type {
            PacketType::Outgoing => return Err(DropReason::OwnFrame),
            PacketType::OtherHost => return Err(DropReason::OtherHost),
            PacketType::Host | PacketType::Broadcast | PacketType::Multicast => {}
        }
        let (header, packet) = Packet::parse_frame(bytes).map_err(|error| match error {
            DecodeError::Truncated => DropReason::Truncated,
            DecodeError::EtherType(_) => DropReason::NotArp,
            DecodeError::Hardware { .. } | DecodeError::Protocol { .. } => DropReason::NotIpv4OverEthernet,
        })?;
        let mac = self.mac.ok_or(DropReason::NoMac)?;
        let ours = |address| address == mac || self.host_macs.contains(&address);
        if ours(header.source) || ours(packet.sender_mac) {
            return Err(DropReason::OwnFrame);
        }
        if header.destination != MacAddr::BROADCAST && header.destination != mac {
            return Err(DropReason::OtherHost);
        }
        if !packet.sender_mac.is_unicast() {
            return Err(DropReason::SenderNotUnicast);
        }
        if packet.operation != Operation::REQUEST && packet.operation != Operation::REPLY {
            return Err(DropReason::UnknownOperation);
        }
        //= https://www.rfc-editor.org/rfc/rfc5227#section-2.4
        //# At any time, if a host receives an ARP packet (Request *or* Reply)
        //# where the 'sender IP address' is (one of) the host's own IP
        //# address(es) configured on that interface, but the 'sender hardware
        //# address' does not match any of the host's own interface addresses,
        //# then this is a conflicting ARP packet, indicating some other host
        //# also thinks it is validly using this address.
        if self.vips.contains(&packet.sender_ip) {
            self.report_claim(packet.sender_ip, packet.sender_mac);
            return Err(DropReason::ForeignClaim);
        }
        if packet.operation == Operation::REPLY {
            return Err(DropReason::Reply);
        }
        //= https://www.rfc-editor.org/rfc/rfc5227#section-2.5
        //# Specifically, this means that whenever a host
        //# receives an ARP Request, that's not a conflicting ARP packet as
        //# described above in Section 2.4, where the 'target IP address' of the
        //# ARP Request is (one of) the host's own IP address(es) configured on
        //# that interface, the host MUST respond with an ARP Reply as described
        //# in RFC 826.  This applies equally for both standard ARP Requests with
        //# non-zero sender IP addresses and Probe Requests with all-zero sender
        //# IP addresses.
        if !self.vips.contains(&packet.target_ip) {
            return Err(DropReason::NotOurs);
        }
        if self.is_fenced() {
            return Err(DropReason::Fenced);
        }
        self.spend(&packet)?;
        //= https://www.rfc-editor.org/rfc/rfc826
        //# Send the packet to the (new) target hardware address on
        //# the same hardware on which the request was received.
        Ok(Output::Send {
            frame: packet.answer(mac).frame_to(packet.sender_mac),
            purpose: Purpose::Answer { vip: IpAddr::V4(packet.target_ip), asker: packet.sender_mac },
        })
    }

    /// Takes the tokens for one answer.
    fn spend(&mut self, request: &Packet) -> Result<(), DropReason> {
        let Config { per_source, total, .. } = self.config;
        let reserve = if request.is_probe() { total.quarter() } else { 0 };
        let source = self
            .sources
            .of(request.sender_mac)
            .filter(|bucket| bucket.has(per_source, 0, self.now))
            .ok_or(DropReason::RateLimitedSource)?;
        if !self.total.has(total, reserve, self.now) {
            return Err(DropReason::RateLimitedTotal);
        }
        source.take(per_source, self.now);
        self.total.take(total, self.now);
        Ok(())
    }

    fn report_claim(&mut self, vip: Ipv4Addr, mac: MacAddr) {
        let told = self.claims.get(&vip).is_some_and(|(who, when)| *who == mac && self.now.since(*when) < CLAIM_REPEAT);
        if !told {
            self.claims.insert(vip, (mac, self.now));
            self.outputs.push_back(Output::ForeignClaim { vip: IpAddr::V4(vip), mac });
        }
    }
}

#[cfg(test)]
mod properties;
#[cfg(test)]
mod tests;
