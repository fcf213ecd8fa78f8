//! ARP for IPv4 over Ethernet (RFC 826, RFC 5227).

use std::net::Ipv4Addr;

use ironlb_model::MacAddr;

use super::ethernet::{self, EtherType};
use super::{DecodeError, Frame, take};

/// The length of an ARP packet for IPv4 over Ethernet; what follows in a frame is padding.
pub const PACKET_LEN: usize = 28;

/// ar$hrd for Ethernet (RFC 826, "ares_hrd$Ethernet").
const HARDWARE_ETHERNET: u16 = 1;
/// ar$hln: bytes in an Ethernet address.
const HARDWARE_LENGTH: u8 = 6;
/// ar$pln: bytes in an IPv4 address.
const PROTOCOL_LENGTH: u8 = 4;

/// ar$op, what the packet is for (<https://www.iana.org/assignments/arp-parameters>). Others than these two are lawful and not ours.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Operation(pub u16);

impl Operation {
    /// Who has the target address?
    pub const REQUEST: Self = Self(1);
    /// The sender has the sender address.
    pub const REPLY: Self = Self(2);
}

/// An ARP packet for IPv4 over Ethernet.
///
/// ```text
///  0       2       4   5   6       8                14          18               24         28
/// +-------+-------+---+---+-------+----------------+-----------+----------------+-----------+
/// | hrd=1 |pro=800|hln|pln|  op   |   sender MAC   | sender IP |   target MAC   | target IP |
/// +-------+-------+---+---+-------+----------------+-----------+----------------+-----------+
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Packet {
    /// ar$op.
    pub operation: Operation,
    /// ar$sha.
    pub sender_mac: MacAddr,
    /// ar$spa; all zero in a probe.
    pub sender_ip: Ipv4Addr,
    /// ar$tha; without meaning in a request.
    pub target_mac: MacAddr,
    /// ar$tpa.
    pub target_ip: Ipv4Addr,
}

impl Packet {
    /// From the payload of an Ethernet frame; padding after it is ignored.
    ///
    /// # Errors
    /// [`DecodeError`] with the field that does not fit.
    pub fn parse(bytes: &[u8]) -> Result<Self, DecodeError> {
        let (hardware, rest) = take(bytes)?;
        let (protocol, rest) = take(rest)?;
        let ([hardware_length, protocol_length], rest) = take(rest)?;
        let kind = u16::from_be_bytes(hardware);
        //= https://www.rfc-editor.org/rfc/rfc826
        //# ?Do I have the hardware type in ar$hrd?
        //# [optionally check the hardware length ar$hln]
        if (kind, hardware_length) != (HARDWARE_ETHERNET, HARDWARE_LENGTH) {
            return Err(DecodeError::Hardware { kind, length: hardware_length });
        }
        let kind = u16::from_be_bytes(protocol);
        //= https://www.rfc-editor.org/rfc/rfc826
        //# ?Do I speak the protocol in ar$pro?
        //# [optionally check the protocol length ar$pln]
        if (kind, protocol_length) != (EtherType::IPV4.0, PROTOCOL_LENGTH) {
            return Err(DecodeError::Protocol { kind, length: protocol_length });
        }
        let (operation, rest) = take(rest)?;
        let (sender_mac, rest) = take(rest)?;
        let (sender_ip, rest) = take::<4>(rest)?;
        let (target_mac, rest) = take(rest)?;
        let (target_ip, _padding) = take::<4>(rest)?;
        Ok(Self {
            operation: Operation(u16::from_be_bytes(operation)),
            sender_mac: MacAddr(sender_mac),
            sender_ip: sender_ip.into(),
            target_mac: MacAddr(target_mac),
            target_ip: target_ip.into(),
        })
    }

    /// Its bytes.
    #[must_use]
    pub fn emit(&self) -> [u8; PACKET_LEN] {
        let [o0, o1] = self.operation.0.to_be_bytes();
        let [h0, h1] = HARDWARE_ETHERNET.to_be_bytes();
        let [p0, p1] = EtherType::IPV4.0.to_be_bytes();
        let [s0, s1, s2, s3, s4, s5] = self.sender_mac.0;
        let [i0, i1, i2, i3] = self.sender_ip.octets();
        let [t0, t1, t2, t3, t4, t5] = self.target_mac.0;
        let [j0, j1, j2, j3] = self.target_ip.octets();
        #[rustfmt::skip]
        let bytes = [
            h0, h1, p0, p1, HARDWARE_LENGTH, PROTOCOL_LENGTH, o0, o1,
            s0, s1, s2, s3, s4, s5, i0, i1, i2, i3,
            t0, t1, t2, t3, t4, t5, j0, j1, j2, j3,
        ];
        bytes
    }

    /// The packet of a whole frame, with the frame's header.
    ///
    /// # Errors
    /// [`DecodeError`] when the frame is too short, is not ARP, or is ARP for other than IPv4 over Ethernet.
    pub fn parse_frame(frame: &[u8]) -> Result<(ethernet::Header, Self), DecodeError> {
        let (header, payload) = ethernet::Header::parse(frame)?;
        if header.ether_type != EtherType::ARP {
            return Err(DecodeError::EtherType(header.ether_type));
        }
        Ok((header, Self::parse(payload)?))
    }

    /// A frame of this packet to `destination`, from the station it names as its sender.
    #[must_use]
    pub fn frame_to(&self, destination: MacAddr) -> Frame {
        let header = ethernet::Header { destination, source: self.sender_mac, ether_type: EtherType::ARP };
        Frame::arp(header, self)
    }

    /// Is it somebody's question whether the target address is free (RFC 5227 §2.1.1)? It claims nothing.
    #[must_use]
    pub fn is_probe(&self) -> bool {
        self.operation == Operation::REQUEST && self.sender_ip.is_unspecified()
    }

    /// The answer to this request by the station `mac`, which has the target address.
    #[must_use]
    pub fn answer(&self, mac: MacAddr) -> Self {
        //= https://www.rfc-editor.org/rfc/rfc826
        //# Swap hardware and protocol fields, putting the local
        //# hardware and protocol addresses in the sender fields.
        //# Set the ar$op field to ares_op$REPLY
        Self {
            operation: Operation::REPLY,
            sender_mac: mac,
            sender_ip: self.target_ip,
            target_mac: self.sender_mac,
            target_ip: self.sender_ip,
        }
    }

    /// The announcement of `vip` in request form, as RFC 5227 has it.
    #[must_use]
    pub fn announcement_request(mac: MacAddr, vip: Ipv4Addr) -> Self {
        //= https://www.rfc-editor.org/rfc/rfc5227#section-2.3
        //# An ARP Announcement is identical to the ARP Probe described above,
        //# except that now the sender and target IP addresses are both set to
        //# the host's newly selected IPv4 address.
        Self {
            operation: Operation::REQUEST,
            sender_mac: mac,
            sender_ip: vip,
            //= https://www.rfc-editor.org/rfc/rfc5227#section-2.1.1
            //# The 'target hardware address' field is ignored and SHOULD be set to
            //# all zeroes.
            target_mac: MacAddr::ZERO,
            target_ip: vip,
        }
    }

    /// The announcement of `vip` in reply form, which some devices heed and the request form not.
    ///
    /// The target MAC is the sender's: Linux takes a gratuitous reply with a broadcast or zero target MAC for an unsolicited reply and
    /// leaves an entry that changed within the last second as it was (measured; `net.ipv4.neigh.*.locktime`).
    #[must_use]
    pub fn announcement_reply(mac: MacAddr, vip: Ipv4Addr) -> Self {
        Self { operation: Operation::REPLY, target_mac: mac, ..Self::announcement_request(mac, vip) }
    }
}

#[cfg(test)]
mod tests;
