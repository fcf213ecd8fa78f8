//! One test per sentence: the RFCs' and the responder's own promises.

use std::net::Ipv6Addr;

use super::*;
use crate::packet::ethernet::{EtherType, Header};

pub(super) const MAC: MacAddr = MacAddr([2, 0, 0, 0, 0, 1]);
const SECOND_NIC: MacAddr = MacAddr([2, 0, 0, 0, 0, 2]);
pub(super) const CLIENT: MacAddr = MacAddr([2, 0, 0, 0, 0, 0xc1]);
const STRANGER: MacAddr = MacAddr([2, 0, 0, 0, 0, 0xee]);
const CLIENT_IP: Ipv4Addr = Ipv4Addr::new(10, 77, 0, 9);
const VIP: Ipv4Addr = Ipv4Addr::new(10, 77, 0, 200);
const OTHER_VIP: Ipv4Addr = Ipv4Addr::new(10, 77, 0, 201);

/// Milliseconds on the tests' clock.
pub(super) const fn at(ms: u64) -> Timestamp {
    Timestamp::from_millis(100_000 + ms)
}

pub(super) fn drain(responder: &mut Responder) -> Vec<Output> {
    std::iter::from_fn(|| responder.poll_output()).collect()
}

pub(super) fn set(vips: &[Ipv4Addr]) -> BTreeSet<IpAddr> {
    vips.iter().copied().map(IpAddr::V4).collect()
}

/// A responder on a link that is up, at 0 ms, its first outputs taken.
fn ready(config: Config) -> Responder {
    let mut responder = Responder::new(config);
    responder.handle_input(at(0), Input::SetMac(Some(MAC)));
    responder.handle_input(at(0), Input::SetHostMacs([MAC, SECOND_NIC].into()));
    responder.handle_input(at(0), Input::SetLink { up: true });
    responder.handle_input(at(0), Input::SetVips(set(&[VIP, OTHER_VIP])));
    drain(&mut responder);
    responder
}

fn request(sender_mac: MacAddr, sender_ip: Ipv4Addr, target_ip: Ipv4Addr) -> Packet {
    Packet { operation: Operation::REQUEST, sender_mac, sender_ip, target_mac: MacAddr::ZERO, target_ip }
}

fn receive(responder: &mut Responder, now: Timestamp, packet: &Packet) -> Vec<Output> {
    receive_frame(responder, now, packet.frame_to(MacAddr::BROADCAST).as_bytes(), PacketType::Broadcast)
}

/// The outputs for one frame, without the announcements that happen to be due.
fn receive_frame(responder: &mut Responder, now: Timestamp, bytes: &[u8], packet_type: PacketType) -> Vec<Output> {
    responder.handle_timeout(now);
    drain(responder);
    responder.handle_input(now, Input::Frame { bytes, packet_type });
    drain(responder)
}

fn ignored(reason: DropReason) -> Vec<Output> {
    vec![Output::Ignored(reason)]
}

fn claim(vip: Ipv4Addr, mac: MacAddr) -> Vec<Output> {
    vec![Output::ForeignClaim { vip: vip.into(), mac }, Output::Ignored(DropReason::ForeignClaim)]
}

/// The answer that one frame got, parsed; `None` when it got none.
fn answer(outputs: &[Output]) -> Option<(Header, Packet)> {
    outputs.iter().find_map(|output| match output {
        Output::Send { frame, purpose: Purpose::Answer { .. } } => Packet::parse_frame(frame.as_bytes()).ok(),
        _ => None,
    })
}

fn announced(outputs: &[Output]) -> Vec<(IpAddr, Operation)> {
    outputs
        .iter()
        .filter_map(|output| match output {
            Output::Send { frame, purpose: Purpose::Announcement { vip } } => {
                Some((*vip, Packet::parse_frame(frame.as_bytes()).unwrap().1.operation))
            }
            _ => None,
        })
        .collect()
}

fn both_forms(vips: &[Ipv4Addr]) -> Vec<(IpAddr, Operation)> {
    vips.iter().flat_map(|vip| [Operation::REQUEST, Operation::REPLY].map(|form| ((*vip).into(), form))).collect()
}

/// RFC 826: "Swap hardware and protocol fields, putting the local hardware and protocol addresses in the sender fields", "Send the
/// packet to the (new) target hardware address".
#[test]
fn a_request_for_a_vip_is_answered_to_the_asker_alone() {
    let mut responder = ready(Config::default());
    let outputs = receive(&mut responder, at(1), &request(CLIENT, CLIENT_IP, VIP));
    assert_eq!(outputs.len(), 1);
    let (header, packet) = answer(&outputs).unwrap();
    assert_eq!((header.source, header.destination), (MAC, CLIENT));
    assert_eq!(
        packet,
        Packet {
            operation: Operation::REPLY,
            sender_mac: MAC,
            sender_ip: VIP,
            target_mac: CLIENT,
            target_ip: CLIENT_IP,
        }
    );
}

#[test]
fn a_request_to_our_own_address_is_answered_too() {
    let mut responder = ready(Config::default());
    let frame = request(CLIENT, CLIENT_IP, VIP).frame_to(MAC);
    let outputs = receive_frame(&mut responder, at(1), frame.as_bytes(), PacketType::Host);
    assert!(answer(&outputs).is_some());
}

/// RFC 5227 §2.5: "This applies equally for both standard ARP Requests with non-zero sender IP addresses and Probe Requests with
/// all-zero sender IP addresses."
#[test]
fn a_probe_for_a_vip_is_answered_and_is_no_claim() {
    let mut responder = ready(Config::default());
    let outputs = receive(&mut responder, at(1), &request(STRANGER, Ipv4Addr::UNSPECIFIED, VIP));
    assert_eq!(outputs.len(), 1);
    assert_eq!(answer(&outputs).unwrap().1.target_ip, Ipv4Addr::UNSPECIFIED);
}

/// RFC 5227 §2.4: "if a host receives an ARP packet (Request *or* Reply) where the 'sender IP address' is (one of) the host's own IP
/// address(es) configured on that interface, but the 'sender hardware address' does not match any of the host's own interface
/// addresses, then this is a conflicting ARP packet".
#[test]
fn a_strangers_packet_from_a_vip_is_a_claim_in_every_form() {
    for packet in [
        Packet::announcement_request(STRANGER, VIP),
        Packet::announcement_reply(STRANGER, VIP),
        request(STRANGER, VIP, CLIENT_IP),
        request(STRANGER, VIP, OTHER_VIP),
        request(CLIENT, CLIENT_IP, VIP).answer(STRANGER),
    ] {
        let mut responder = ready(Config::default());
        let outputs = receive(&mut responder, at(1), &packet);
        assert_eq!(outputs, claim(VIP, STRANGER), "{packet:?}");
    }
}

#[test]
fn a_claim_that_goes_on_is_told_once_a_second_for_each_station() {
    let mut responder = ready(Config::default());
    let by = |mac| Packet::announcement_request(mac, VIP);
    let again = ignored(DropReason::ForeignClaim);
    let rows = [
        (1, STRANGER, claim(VIP, STRANGER)),
        (900, STRANGER, again.clone()),
        (950, CLIENT, claim(VIP, CLIENT)),
        (1_000, CLIENT, again),
        (2_100, CLIENT, claim(VIP, CLIENT)),
    ];
    for (ms, mac, expected) in rows {
        assert_eq!(receive(&mut responder, at(ms), &by(mac)), expected, "{ms}");
    }
}

#[test]
fn a_claim_of_an_address_that_is_not_ours_is_none() {
    let mut responder = ready(Config::default());
    let packet = Packet::announcement_reply(STRANGER, CLIENT_IP);
    assert_eq!(receive(&mut responder, at(1), &packet), ignored(DropReason::Reply));
}

#[test]
fn frames_of_this_host_are_neither_answered_nor_claims() {
    let mut responder = ready(Config::default());
    for mac in [MAC, SECOND_NIC] {
        for packet in [request(mac, CLIENT_IP, VIP), Packet::announcement_request(mac, VIP)] {
            assert_eq!(receive(&mut responder, at(1), &packet), ignored(DropReason::OwnFrame));
        }
    }
    // The kernel's word counts as much, and so does the Ethernet source where the ARP sender is another.
    let packet = request(CLIENT, CLIENT_IP, VIP);
    let frame = packet.frame_to(MacAddr::BROADCAST);
    assert_eq!(
        receive_frame(&mut responder, at(1), frame.as_bytes(), PacketType::Outgoing),
        ignored(DropReason::OwnFrame)
    );
    let relayed =
        Frame::arp(Header { destination: MacAddr::BROADCAST, source: SECOND_NIC, ether_type: EtherType::ARP }, &packet);
    assert_eq!(
        receive_frame(&mut responder, at(1), relayed.as_bytes(), PacketType::Broadcast),
        ignored(DropReason::OwnFrame)
    );
}

#[test]
fn each_reason_not_to_answer_has_its_frame() {
    let ask = request(CLIENT, CLIENT_IP, VIP);
    let broadcast = |packet: &Packet| packet.frame_to(MacAddr::BROADCAST).as_bytes().to_vec();
    let changed = |at: usize, byte: u8| {
        let mut bytes = broadcast(&ask);
        bytes[at] = byte;
        bytes
    };
    let multicast = MacAddr([1, 0, 0x5e, 0, 0, 1]);
    let rows = [
        (broadcast(&request(CLIENT, CLIENT_IP, CLIENT_IP)), DropReason::NotOurs),
        (ask.frame_to(STRANGER).as_bytes().to_vec(), DropReason::OtherHost),
        (ask.frame_to(multicast).as_bytes().to_vec(), DropReason::OtherHost),
        (broadcast(&ask)[..41].to_vec(), DropReason::Truncated),
        (Vec::new(), DropReason::Truncated),
        (changed(12, 0x86), DropReason::NotArp),
        (changed(15, 6), DropReason::NotIpv4OverEthernet),
        (changed(19, 16), DropReason::NotIpv4OverEthernet),
        (changed(21, 3), DropReason::UnknownOperation),
        (changed(21, 2), DropReason::Reply),
        (broadcast(&request(MacAddr::BROADCAST, CLIENT_IP, VIP)), DropReason::SenderNotUnicast),
        (broadcast(&request(MacAddr::ZERO, CLIENT_IP, VIP)), DropReason::SenderNotUnicast),
    ];
    for (bytes, reason) in rows {
        let mut responder = ready(Config::default());
        assert_eq!(receive_frame(&mut responder, at(1), &bytes, PacketType::Broadcast), ignored(reason));
    }
    let mut responder = ready(Config::default());
    let frame = broadcast(&ask);
    assert_eq!(receive_frame(&mut responder, at(1), &frame, PacketType::OtherHost), ignored(DropReason::OtherHost));
    responder.handle_input(at(1), Input::SetMac(None));
    assert_eq!(receive(&mut responder, at(1), &ask), ignored(DropReason::NoMac));
}

#[test]
fn a_lost_vip_is_not_answered_from_that_input_on() {
    let mut responder = ready(Config::default());
    responder.handle_input(at(1), Input::SetVips(set(&[OTHER_VIP])));
    assert_eq!(receive(&mut responder, at(1), &request(CLIENT, CLIENT_IP, VIP)), ignored(DropReason::NotOurs));
    assert!(answer(&receive(&mut responder, at(1), &request(CLIENT, CLIENT_IP, OTHER_VIP))).is_some());
}

#[test]
fn frames_not_yet_taken_go_with_the_vip_they_are_for() {
    let mut responder = ready(Config::default());
    responder.handle_input(at(100), Input::SetLink { up: true });
    responder.handle_input(at(100), Input::SetVips(set(&[OTHER_VIP])));
    assert_eq!(announced(&drain(&mut responder)), both_forms(&[OTHER_VIP]));
}

#[test]
fn nothing_is_answered_at_or_after_the_end_of_validity() {
    let mut responder = ready(Config::default());
    responder.handle_input(at(0), Input::ValidUntil(Some(at(4_500))));
    let ask = request(CLIENT, CLIENT_IP, VIP);
    assert!(answer(&receive(&mut responder, at(4_499), &ask)).is_some());
    for ms in [4_500, 9_000] {
        assert_eq!(receive(&mut responder, at(ms), &ask), ignored(DropReason::Fenced));
    }
    assert!(responder.is_fenced());
}

#[test]
fn nothing_is_announced_at_or_after_the_end_of_validity() {
    let mut responder = ready(Config::default());
    responder.handle_input(at(0), Input::ValidUntil(Some(at(1_000))));
    responder.handle_timeout(at(100));
    assert_eq!(announced(&drain(&mut responder)).len(), 4);
    // The next is due at 1,100 ms, beyond the end: there is no moment to wait for.
    assert_eq!(responder.poll_timeout(), None);
    responder.handle_timeout(at(1_100));
    assert_eq!(drain(&mut responder), []);
    assert_eq!(responder.poll_timeout(), None);
}

#[test]
fn validity_that_lapsed_and_came_back_is_announced() {
    let mut responder = ready(Config::default());
    responder.handle_input(at(0), Input::ValidUntil(Some(at(5_000))));
    for ms in [100, 1_100, 2_200, 4_000] {
        responder.handle_timeout(at(ms));
    }
    drain(&mut responder);
    responder.handle_input(at(4_900), Input::ValidUntil(Some(at(8_000))));
    assert_eq!(drain(&mut responder), [], "put off in time: nothing to tell");
    responder.handle_input(at(8_000), Input::ValidUntil(Some(at(12_000))));
    assert_eq!(announced(&drain(&mut responder)), both_forms(&[VIP, OTHER_VIP]));
}

#[test]
fn a_gained_vip_is_announced_in_both_forms_at_its_times() {
    let mut responder = ready(Config::default());
    let gained = Ipv4Addr::new(10, 77, 0, 210);
    for ms in [100, 1_100, 2_200, 4_000] {
        responder.handle_timeout(at(ms));
    }
    drain(&mut responder);
    responder.handle_input(at(5_000), Input::SetVips(set(&[VIP, OTHER_VIP, gained])));
    let mut log = vec![(0, announced(&drain(&mut responder)))];
    while let Some(due) = responder.poll_timeout() {
        responder.handle_timeout(due);
        log.push((due.since(at(5_000)).as_millis(), announced(&drain(&mut responder))));
    }
    assert_eq!(log, [0, 100, 1_100, 2_200, 4_000].map(|ms| (ms, both_forms(&[gained]))));
}

#[test]
fn announcements_go_to_everyone_from_our_address() {
    let mut responder = Responder::new(Config::default());
    responder.handle_input(at(0), Input::SetMac(Some(MAC)));
    responder.handle_input(at(0), Input::SetLink { up: true });
    responder.handle_input(at(0), Input::SetVips(set(&[VIP])));
    let outputs = drain(&mut responder);
    assert_eq!(announced(&outputs), both_forms(&[VIP]));
    for output in outputs {
        let Output::Send { frame, .. } = output else { panic!("{output:?}") };
        let (header, packet) = Packet::parse_frame(frame.as_bytes()).unwrap();
        assert_eq!(header.destination, MacAddr::BROADCAST);
        assert_eq!((header.source, packet.sender_mac), (MAC, MAC));
        assert_eq!((packet.sender_ip, packet.target_ip), (VIP, VIP));
    }
}

#[test]
fn a_changed_mac_and_a_link_that_came_back_are_announced_and_used() {
    let mut responder = ready(Config::default());
    for ms in [100, 1_100, 2_200, 4_000] {
        responder.handle_timeout(at(ms));
    }
    drain(&mut responder);

    responder.handle_input(at(5_000), Input::SetMac(Some(MAC)));
    responder.handle_input(at(5_000), Input::SetLink { up: true });
    assert_eq!(drain(&mut responder), [], "no change, nothing to tell");

    responder.handle_input(at(5_000), Input::SetMac(Some(SECOND_NIC)));
    assert_eq!(announced(&drain(&mut responder)), both_forms(&[VIP, OTHER_VIP]));
    let outputs = receive(&mut responder, at(5_001), &request(CLIENT, CLIENT_IP, VIP));
    assert_eq!(answer(&outputs).unwrap().1.sender_mac, SECOND_NIC);

    responder.handle_input(at(6_000), Input::SetLink { up: false });
    drain(&mut responder);
    assert_eq!(responder.poll_timeout(), None);
    responder.handle_timeout(at(6_500));
    assert_eq!(drain(&mut responder), []);
    responder.handle_input(at(7_000), Input::SetLink { up: true });
    assert_eq!(announced(&drain(&mut responder)), both_forms(&[VIP, OTHER_VIP]));
}

#[test]
fn a_sender_beyond_its_rate_is_refused_and_others_are_not() {
    let mut responder = ready(Config { per_source: Rate::new(20, 3), ..Config::default() });
    let ask = request(CLIENT, CLIENT_IP, VIP);
    for _ in 0..3 {
        assert!(answer(&receive(&mut responder, at(1), &ask)).is_some());
    }
    assert_eq!(receive(&mut responder, at(1), &ask), ignored(DropReason::RateLimitedSource));
    assert!(answer(&receive(&mut responder, at(1), &request(STRANGER, CLIENT_IP, VIP))).is_some());
    assert!(answer(&receive(&mut responder, at(51), &ask)).is_some());
}

#[test]
fn under_a_storm_probes_are_refused_before_requests() {
    let mut responder = ready(Config { total: Rate::new(1, 8), ..Config::default() });
    let probe = request(CLIENT, Ipv4Addr::UNSPECIFIED, VIP);
    let ask = request(STRANGER, CLIENT_IP, VIP);
    let limited = ignored(DropReason::RateLimitedTotal);
    for _ in 0..6 {
        assert!(answer(&receive(&mut responder, at(1), &probe)).is_some());
    }
    assert_eq!(receive(&mut responder, at(1), &probe), limited);
    for _ in 0..2 {
        assert!(answer(&receive(&mut responder, at(1), &ask)).is_some());
    }
    assert_eq!(receive(&mut responder, at(1), &ask), limited);
}

#[test]
fn a_router_may_ask_for_a_thousand_vips_at_once() {
    let vips: Vec<Ipv4Addr> = (0..1_000).map(|n| Ipv4Addr::from(0x0a4e_0000 + n)).collect();
    let mut responder = ready(Config::default());
    responder.handle_input(at(0), Input::SetVips(set(&vips)));
    drain(&mut responder);
    for vip in vips {
        let outputs = receive(&mut responder, at(1), &request(CLIENT, CLIENT_IP, vip));
        assert!(answer(&outputs).is_some(), "{vip}");
    }
}

#[test]
fn an_ipv6_vip_is_left_alone() {
    let mut responder = ready(Config::default());
    let vips = [IpAddr::V6(Ipv6Addr::LOCALHOST), IpAddr::V4(VIP)].into();
    responder.handle_input(at(0), Input::SetVips(vips));
    while let Some(due) = responder.poll_timeout() {
        responder.handle_timeout(due);
    }
    let outputs = drain(&mut responder);
    assert!(announced(&outputs).iter().all(|(vip, _)| vip.is_ipv4()));
}

#[test]
fn time_that_goes_back_is_taken_as_the_latest_seen() {
    let mut responder = ready(Config::default());
    responder.handle_input(at(0), Input::ValidUntil(Some(at(500))));
    responder.handle_timeout(at(600));
    drain(&mut responder);
    assert_eq!(receive(&mut responder, at(100), &request(CLIENT, CLIENT_IP, VIP)), ignored(DropReason::Fenced));
}
