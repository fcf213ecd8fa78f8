//! Any datagrams on the ports of BFD, for sessions with and without a signature: no panic, and what is sent can be read.
#![no_main]

use std::net::IpAddr;
use std::num::NonZeroU8;
use std::time::Duration;

use ironlb_bfd_proto::packet::Packet;
use ironlb_bfd_proto::{Config, Datagram, Interval, MULTI_HOP_PORT, Notice, Output, Path, SINGLE_HOP_PORT, Sessions};
use ironlb_model::Timestamp;
use libfuzzer_sys::fuzz_target;

const PEER: IpAddr = IpAddr::V4(std::net::Ipv4Addr::new(192, 0, 2, 2));

fuzz_target!(|data: &[u8]| {
    if let Ok(packet) = Packet::decode(data) {
        let bytes = packet.encode();
        let again = Packet::decode(bytes.as_ref());
        assert_eq!(again.as_ref().ok(), Some(&packet), "{again:?}");
    }
    let interval = Interval::from_millis(50).expect("not zero");
    let config = Config::single_hop(interval, NonZeroU8::new(3).expect("not zero"));
    let mut sessions = Sessions::new(1);
    let mut now = Timestamp::from_millis(1);
    let path = Path { remote: PEER, local: None, interface: None };
    let id = sessions.add(now, path, config).expect("the first");
    for packet in data.chunks(27) {
        let [how, payload @ ..] = packet else { continue };
        let mut payload = payload.to_vec();
        // A number for the session that exists, as often as not.
        if how & 1 != 0
            && let Some(your) = payload.get_mut(8..12)
        {
            your.copy_from_slice(&id.get().to_be_bytes());
        }
        let datagram = Datagram {
            port: if how & 2 != 0 { MULTI_HOP_PORT } else { SINGLE_HOP_PORT },
            source: PEER,
            destination: None,
            interface: None,
            ttl: if how & 4 != 0 { 64 } else { 255 },
            payload: &payload,
        };
        sessions.handle_datagram(now, &datagram);
        now = now + Duration::from_millis(u64::from(*how));
        sessions.handle_timeout(now);
        while let Some(notice) = sessions.poll_output() {
            if let Notice::Of(_, Output::Send(bytes)) = notice {
                assert!(Packet::decode(bytes.as_ref()).is_ok());
            }
        }
        assert!(sessions.poll_timeout().is_none_or(|at| at > now), "what is due was done");
    }
});
