//! ARP for IPv4 over Ethernet (RFC 826) as the instruments need it: built by the asker, parsed by the capture.

use std::net::Ipv4Addr;

use ironlb_model::MacAddr;
use pnet_packet::Packet;
use pnet_packet::arp::{ArpHardwareTypes, ArpOperation as Opcode, ArpOperations, ArpPacket, MutableArpPacket};
use pnet_packet::ethernet::{EtherTypes, EthernetPacket, MutableEthernetPacket};

/// What an ARP packet is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ArpOperation {
    /// Who has the target address? Also one form of a gratuitous announcement.
    Request,
    /// The sender has the sender address.
    Reply,
    /// Anything else, by its number.
    Other(u16),
}

/// An ARP packet with the Ethernet header that carried it. Field names are RFC 826's in words: sender is `ar$sha` and
/// `ar$spa`, target is `ar$tha` and `ar$tpa`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ArpFrame {
    /// The address the frame came from, which need not be the one it speaks for.
    pub ethernet_source: MacAddr,
    /// The address the frame was sent to.
    pub ethernet_destination: MacAddr,
    /// Request or reply.
    pub operation: ArpOperation,
    /// Whose MAC the packet gives.
    pub sender_mac: MacAddr,
    /// For which address.
    pub sender_ip: Ipv4Addr,
    /// The MAC it is meant for; in a request usually zero.
    pub target_mac: MacAddr,
    /// The address asked for or answered to.
    pub target_ip: Ipv4Addr,
}

impl ArpFrame {
    /// Reads a whole Ethernet frame; `None` when it is not ARP for IPv4 over Ethernet, or cut short.
    #[must_use]
    pub fn parse(frame: &[u8]) -> Option<Self> {
        let ethernet = EthernetPacket::new(frame)?;
        if ethernet.get_ethertype() != EtherTypes::Arp {
            return None;
        }
        let arp = ArpPacket::new(ethernet.payload())?;
        if arp.get_hardware_type() != ArpHardwareTypes::Ethernet
            || arp.get_protocol_type() != EtherTypes::Ipv4
            || (arp.get_hw_addr_len(), arp.get_proto_addr_len()) != (6, 4)
        {
            return None;
        }
        Some(Self {
            ethernet_source: MacAddr(ethernet.get_source().octets()),
            ethernet_destination: MacAddr(ethernet.get_destination().octets()),
            operation: match arp.get_operation() {
                ArpOperations::Request => ArpOperation::Request,
                ArpOperations::Reply => ArpOperation::Reply,
                Opcode(number) => ArpOperation::Other(number),
            },
            sender_mac: MacAddr(arp.get_sender_hw_addr().octets()),
            sender_ip: arp.get_sender_proto_addr(),
            target_mac: MacAddr(arp.get_target_hw_addr().octets()),
            target_ip: arp.get_target_proto_addr(),
        })
    }

    /// A broadcast request by `sender` for `target_ip`; from 0.0.0.0 it is a probe (RFC 5227, section 1.1).
    #[must_use]
    pub fn request(sender_mac: MacAddr, sender_ip: Ipv4Addr, target_ip: Ipv4Addr) -> Self {
        Self {
            ethernet_source: sender_mac,
            ethernet_destination: MacAddr::BROADCAST,
            operation: ArpOperation::Request,
            sender_mac,
            sender_ip,
            target_mac: MacAddr::ZERO,
            target_ip,
        }
    }

    /// Does the packet tell its hearers that `vip` is at the sender's MAC? A request does so as well as a reply; a probe,
    /// whose sender address is 0.0.0.0, does not.
    #[must_use]
    pub fn claims(&self, vip: Ipv4Addr) -> bool {
        self.sender_ip == vip && !vip.is_unspecified()
    }

    /// The frame's bytes, padded to Ethernet's least length of 60 without the checksum.
    #[must_use]
    pub fn to_bytes(self) -> [u8; 60] {
        let mut bytes = [0; 60];
        if let Some(mut ethernet) = MutableEthernetPacket::new(&mut bytes) {
            ethernet.set_source(self.ethernet_source.0.into());
            ethernet.set_destination(self.ethernet_destination.0.into());
            ethernet.set_ethertype(EtherTypes::Arp);
        }
        if let Some(mut arp) = bytes.get_mut(14..).and_then(MutableArpPacket::new) {
            arp.set_hardware_type(ArpHardwareTypes::Ethernet);
            arp.set_protocol_type(EtherTypes::Ipv4);
            arp.set_hw_addr_len(6);
            arp.set_proto_addr_len(4);
            arp.set_operation(match self.operation {
                ArpOperation::Request => ArpOperations::Request,
                ArpOperation::Reply => ArpOperations::Reply,
                ArpOperation::Other(number) => Opcode(number),
            });
            arp.set_sender_hw_addr(self.sender_mac.0.into());
            arp.set_sender_proto_addr(self.sender_ip);
            arp.set_target_hw_addr(self.target_mac.0.into());
            arp.set_target_proto_addr(self.target_ip);
        }
        bytes
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ASKER: MacAddr = MacAddr([2, 0, 0, 0, 0, 9]);
    const VIP: Ipv4Addr = Ipv4Addr::new(192, 0, 2, 200);

    #[test]
    fn a_request_reads_back_as_it_was_built() {
        let request = ArpFrame::request(ASKER, Ipv4Addr::new(192, 0, 2, 9), VIP);
        assert_eq!(ArpFrame::parse(&request.to_bytes()), Some(request));
        assert!(!request.claims(VIP) && request.claims(Ipv4Addr::new(192, 0, 2, 9)));
    }

    #[test]
    fn the_bytes_are_those_of_rfc_826() {
        let mut reply = ArpFrame::request(ASKER, VIP, VIP);
        reply.operation = ArpOperation::Reply;
        let expected = [
            &[0xff; 6][..],
            &ASKER.0,
            &[8, 6],
            &[0, 1],
            &[8, 0],
            &[6],
            &[4],
            &[0, 2],
            &ASKER.0,
            &VIP.octets(),
            &[0; 6],
            &VIP.octets(),
            &[0; 18],
        ]
        .concat();
        assert_eq!(reply.to_bytes().to_vec(), expected);
        assert!(reply.claims(VIP));
    }

    #[test]
    fn a_probe_claims_nothing() {
        let probe = ArpFrame::request(ASKER, Ipv4Addr::UNSPECIFIED, VIP);
        assert!(!probe.claims(VIP) && !probe.claims(Ipv4Addr::UNSPECIFIED));
    }

    #[test]
    fn what_is_not_whole_arp_for_ipv4_is_passed_over() {
        let whole = ArpFrame::request(ASKER, VIP, VIP).to_bytes();
        for length in 0..42 {
            assert_eq!(ArpFrame::parse(&whole[..length]), None, "{length} bytes");
        }
        assert!(ArpFrame::parse(&whole[..42]).is_some());
        // EtherType, hardware type, protocol type, both lengths.
        for offset in [13, 15, 17, 18, 19] {
            let mut other = whole;
            other[offset] ^= 1;
            assert_eq!(ArpFrame::parse(&other), None, "byte {offset}");
        }
    }
}
