//! Any frames on an interface with vips: no panic, and what is answered is answered for a vip of ours.
#![no_main]

use std::net::{IpAddr, Ipv4Addr};
use std::time::Duration;

use ironlb_layer2_proto::{Config, Input, Output, PacketType, Responder};
use ironlb_model::{MacAddr, Timestamp};
use libfuzzer_sys::fuzz_target;

const VIP: IpAddr = IpAddr::V4(Ipv4Addr::new(192, 0, 2, 7));
const TYPES: [PacketType; 5] =
    [PacketType::Host, PacketType::Broadcast, PacketType::Multicast, PacketType::OtherHost, PacketType::Outgoing];

fuzz_target!(|data: &[u8]| {
    let [how, data @ ..] = data else { return };
    let mut now = Timestamp::from_millis(1);
    let mut responder = Responder::new(Config::default());
    let mac: MacAddr = "02:00:00:00:00:01".parse().expect("an address");
    responder.handle_input(now, Input::SetMac(Some(mac)));
    responder.handle_input(now, Input::SetLink { up: true });
    responder.handle_input(now, Input::SetVips([VIP].into()));
    for frame in data.chunks(60) {
        let mut bytes = frame.to_vec();
        // A header that leads to ARP and a question for the vip, as often as not.
        if how & 1 != 0 && bytes.len() >= 42 {
            bytes[12..22].copy_from_slice(&[8, 6, 0, 1, 8, 0, 6, 4, 0, 1]);
            bytes[38..42].copy_from_slice(&[192, 0, 2, 7]);
        }
        let packet_type = TYPES[usize::from(how >> 1) % TYPES.len()];
        responder.handle_input(now, Input::Frame { bytes: &bytes, packet_type });
        now = now + Duration::from_millis(u64::from(*how));
        responder.handle_timeout(now);
        while let Some(output) = responder.poll_output() {
            if let Output::Send { frame, purpose } = output {
                assert_eq!(purpose.vip(), VIP);
                assert_eq!(&frame.as_bytes()[6..12], &[2, 0, 0, 0, 0, 1], "from our own address");
            }
        }
    }
});
