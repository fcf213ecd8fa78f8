//! Captured bytes taken apart and put together, hostile bytes, and another codec as the judge.

use proptest::prelude::*;

use super::*;

/// Captured on a veth pair: `arping 192.0.2.1` from 192.0.2.2.
const REQUEST: [u8; 42] = [
    0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x02, 0x00, 0x00, 0x00, 0x00, 0x0b, 0x08, 0x06, 0x00, 0x01, 0x08, 0x00, 0x06,
    0x04, 0x00, 0x01, 0x02, 0x00, 0x00, 0x00, 0x00, 0x0b, 0xc0, 0x00, 0x02, 0x02, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff,
    0xc0, 0x00, 0x02, 0x01,
];
/// Captured right after it: the Linux kernel's answer.
const KERNEL_ANSWER: [u8; 42] = [
    0x02, 0x00, 0x00, 0x00, 0x00, 0x0b, 0x02, 0x00, 0x00, 0x00, 0x00, 0x0a, 0x08, 0x06, 0x00, 0x01, 0x08, 0x00, 0x06,
    0x04, 0x00, 0x02, 0x02, 0x00, 0x00, 0x00, 0x00, 0x0a, 0xc0, 0x00, 0x02, 0x01, 0x02, 0x00, 0x00, 0x00, 0x00, 0x0b,
    0xc0, 0x00, 0x02, 0x02,
];
/// Captured: `arping -D 192.0.2.200`, a probe.
const PROBE: [u8; 42] = [
    0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x02, 0x00, 0x00, 0x00, 0x00, 0x0b, 0x08, 0x06, 0x00, 0x01, 0x08, 0x00, 0x06,
    0x04, 0x00, 0x01, 0x02, 0x00, 0x00, 0x00, 0x00, 0x0b, 0x00, 0x00, 0x00, 0x00, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff,
    0xc0, 0x00, 0x02, 0xc8,
];
/// Captured: `arping -A 192.0.2.2`, a gratuitous reply.
const GRATUITOUS_REPLY: [u8; 42] = [
    0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x02, 0x00, 0x00, 0x00, 0x00, 0x0b, 0x08, 0x06, 0x00, 0x01, 0x08, 0x00, 0x06,
    0x04, 0x00, 0x02, 0x02, 0x00, 0x00, 0x00, 0x00, 0x0b, 0xc0, 0x00, 0x02, 0x02, 0x02, 0x00, 0x00, 0x00, 0x00, 0x0b,
    0xc0, 0x00, 0x02, 0x02,
];

const HERE: MacAddr = MacAddr([2, 0, 0, 0, 0, 0x0a]);
const THERE: MacAddr = MacAddr([2, 0, 0, 0, 0, 0x0b]);
const HERE_IP: Ipv4Addr = Ipv4Addr::new(192, 0, 2, 1);
const THERE_IP: Ipv4Addr = Ipv4Addr::new(192, 0, 2, 2);

#[test]
fn a_captured_request_is_taken_apart() {
    let (header, packet) = Packet::parse_frame(&REQUEST).unwrap();
    assert_eq!(header.destination, MacAddr::BROADCAST);
    assert_eq!(header.source, THERE);
    assert_eq!(
        packet,
        Packet {
            operation: Operation::REQUEST,
            sender_mac: THERE,
            sender_ip: THERE_IP,
            target_mac: MacAddr::BROADCAST,
            target_ip: HERE_IP,
        }
    );
    assert!(!packet.is_probe());
}

#[test]
fn the_answer_is_byte_for_byte_the_kernels() {
    let (_, request) = Packet::parse_frame(&REQUEST).unwrap();
    let answer = request.answer(HERE);
    assert_eq!(answer.frame_to(THERE).as_bytes(), KERNEL_ANSWER);
}

#[test]
fn a_captured_probe_is_known_as_one() {
    let (_, packet) = Packet::parse_frame(&PROBE).unwrap();
    assert!(packet.is_probe());
    assert_eq!(packet.target_ip, Ipv4Addr::new(192, 0, 2, 200));
}

#[test]
fn the_reply_form_of_an_announcement_is_byte_for_byte_a_captured_one() {
    let frame = Packet::announcement_reply(THERE, THERE_IP).frame_to(MacAddr::BROADCAST);
    assert_eq!(frame.as_bytes(), GRATUITOUS_REPLY);
}

#[test]
fn the_request_form_has_both_addresses_and_no_target_mac() {
    let packet = Packet::announcement_request(HERE, HERE_IP);
    assert_eq!(packet.sender_ip, packet.target_ip);
    assert_eq!(packet.target_mac, MacAddr::ZERO);
    assert_eq!(packet.operation, Operation::REQUEST);
}

#[test]
fn padding_to_ethernets_minimum_is_ignored() {
    let mut padded = REQUEST.to_vec();
    padded.resize(60, 0xee);
    assert_eq!(Packet::parse_frame(&padded).unwrap(), Packet::parse_frame(&REQUEST).unwrap());
}

#[test]
fn each_field_that_does_not_fit_is_named() {
    let with = |at: usize, byte: u8| {
        let mut frame = REQUEST;
        frame[at] = byte;
        Packet::parse_frame(&frame)
    };
    let rows = [
        (with(13, 0x00), DecodeError::EtherType(EtherType::IPV4)),
        (with(15, 6), DecodeError::Hardware { kind: 6, length: 6 }),
        (with(18, 20), DecodeError::Hardware { kind: 1, length: 20 }),
        (with(16, 0x86), DecodeError::Protocol { kind: 0x8600, length: 4 }),
        (with(19, 16), DecodeError::Protocol { kind: 0x0800, length: 16 }),
    ];
    for (parsed, expected) in rows {
        assert_eq!(parsed, Err(expected));
    }
    for length in 0..REQUEST.len() {
        assert_eq!(Packet::parse_frame(&REQUEST[..length]), Err(DecodeError::Truncated), "{length} bytes");
    }
}

fn any_packet() -> impl Strategy<Value = Packet> {
    (any::<u16>(), any::<[u8; 6]>(), any::<u32>(), any::<[u8; 6]>(), any::<u32>()).prop_map(
        |(operation, sender_mac, sender_ip, target_mac, target_ip)| Packet {
            operation: Operation(operation),
            sender_mac: MacAddr(sender_mac),
            sender_ip: sender_ip.into(),
            target_mac: MacAddr(target_mac),
            target_ip: target_ip.into(),
        },
    )
}

/// What the other codec reads in the same bytes; `None` where it finds no packet or one that is not IPv4 over Ethernet.
fn judged_by_pnet(bytes: &[u8]) -> Option<Packet> {
    use pnet_packet::arp::{ArpHardwareTypes, ArpPacket};
    use pnet_packet::ethernet::EtherTypes;
    let packet = ArpPacket::new(bytes)?;
    let fits = packet.get_hardware_type() == ArpHardwareTypes::Ethernet
        && packet.get_protocol_type() == EtherTypes::Ipv4
        && packet.get_hw_addr_len() == 6
        && packet.get_proto_addr_len() == 4;
    fits.then(|| Packet {
        operation: Operation(packet.get_operation().0),
        sender_mac: MacAddr(packet.get_sender_hw_addr().octets()),
        sender_ip: packet.get_sender_proto_addr(),
        target_mac: MacAddr(packet.get_target_hw_addr().octets()),
        target_ip: packet.get_target_proto_addr(),
    })
}

/// Bytes that are often nearly a packet: a real one with a few of them changed, cut or padded.
fn nearly_a_packet() -> impl Strategy<Value = Vec<u8>> {
    (any_packet(), proptest::collection::vec((0..PACKET_LEN, any::<u8>()), 0..3), 0..=64_usize).prop_map(
        |(packet, changes, length)| {
            let mut bytes = packet.emit().to_vec();
            for (at, byte) in changes {
                bytes[at] = byte;
            }
            bytes.resize(length, 0);
            bytes
        },
    )
}

proptest! {
    #[test]
    fn what_is_emitted_parses_back(packet in any_packet(), destination in any::<[u8; 6]>()) {
        let frame = packet.frame_to(MacAddr(destination));
        let (header, parsed) = Packet::parse_frame(frame.as_bytes()).unwrap();
        prop_assert_eq!(parsed, packet);
        prop_assert_eq!(header.destination, MacAddr(destination));
        prop_assert_eq!(header.source, packet.sender_mac);
    }

    #[test]
    fn what_parses_is_emitted_again(bytes in nearly_a_packet()) {
        if let Ok(packet) = Packet::parse(&bytes) {
            prop_assert_eq!(&packet.emit()[..], &bytes[..PACKET_LEN]);
        }
    }

    #[test]
    fn no_bytes_panic(bytes in proptest::collection::vec(any::<u8>(), 0..128)) {
        let _ = Packet::parse_frame(&bytes);
        let _ = Packet::parse(&bytes);
    }

    #[test]
    fn another_codec_reads_the_same(bytes in nearly_a_packet()) {
        prop_assert_eq!(Packet::parse(&bytes).ok(), judged_by_pnet(&bytes));
    }
}
