//! What the TCP connection of a session has to be, whoever opened it: TTL, GTSM, signatures, DSCP, and how much may wait in it.

use std::io;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use ironlb_model::Distance;
use socket2::{Socket, TcpKeepalive};

use crate::Session;
use crate::raw::tcp;

/// CS6, network control, in the six upper bits (RFC 4594 §3.2; RFC 4271 is carried at what RFC 791 calls Internetwork Control).
const NETWORK_CONTROL: u32 = 0xc0;

/// What may wait unsent in the kernel: enough for a round trip of a millisecond at a gigabit. More would be routes that cannot be
/// changed any more while a slow peer does not read them. Chosen.
const UNSENT_AT_MOST: u32 = 128 * 1024;

/// How long the kernel tries to deliver the last words of a connection that was closed. Chosen: a peer that does not acknowledge for so
/// long has lost the connection already.
const LAST_WORDS: Duration = Duration::from_secs(10);

/// What is set on each socket of one session.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Transport {
    /// TTL or hop limit of what is sent.
    pub(crate) ttl: u8,
    /// The least that is taken; 0 takes all.
    pub(crate) least_ttl: u8,
    password: Option<Password>,
}

#[derive(Clone, PartialEq, Eq)]
struct Password(Arc<str>);

impl std::fmt::Debug for Password {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("..")
    }
}

impl Transport {
    pub(crate) fn of(session: &Session) -> Self {
        // GTSM: "with a TTL of 255 ... a neighbour on the same link" (RFC 5082 §3); each hop beyond takes one off.
        let (ttl, least_ttl) = match session.distance {
            Distance::Default if session.config.is_internal() => (64, 0),
            Distance::Default => (1, 0),
            Distance::Ttl(ttl) => (ttl.max(1), 0),
            Distance::Security(hops) => (255, 255 - hops.saturating_sub(1)),
        };
        Self { ttl, least_ttl, password: session.password.clone().map(Password) }
    }

    pub(crate) fn password(&self) -> Option<&str> {
        self.password.as_ref().map(|Password(text)| &**text)
    }

    /// Sets all of it, before a socket connects or after it was accepted.
    pub(crate) fn apply(&self, socket: &Socket, peer: IpAddr) -> io::Result<()> {
        // First: what arrives before is the less the sooner it is done.
        tcp::set_md5(socket, peer, self.password())?;
        set_ttl_and_class(socket, peer.is_ipv6(), self.ttl)?;
        tcp::set_least_ttl(socket, peer.is_ipv6(), self.least_ttl)?;
        socket.set_tcp_nodelay(true)?;
        socket.set_tcp_notsent_lowat(UNSENT_AT_MOST)
    }
}

pub(crate) fn set_ttl_and_class(socket: &Socket, is_v6: bool, ttl: u8) -> io::Result<()> {
    if is_v6 {
        socket.set_unicast_hops_v6(ttl.into())?;
        socket.set_tclass_v6(NETWORK_CONTROL)
    } else {
        socket.set_ttl_v4(ttl.into())?;
        socket.set_tos_v4(NETWORK_CONTROL)
    }
}

/// Has the kernel ask from time to time whether the peer is there: for a session without a hold time, which itself never asks.
pub(crate) fn ask_for_signs_of_life(socket: &Socket) -> io::Result<()> {
    // Two minutes without an answer, as the hold time of 90 s would have it, about. Chosen.
    let keepalive = TcpKeepalive::new();
    let keepalive = keepalive.with_time(Duration::from_secs(60)).with_interval(Duration::from_secs(10)).with_retries(6);
    socket.set_tcp_keepalive(&keepalive)
}

/// The connection is being closed: what is still to be delivered is not tried for ever.
pub(crate) fn limit_last_words(socket: &Socket) {
    // Without it the kernel tries longer, which hurts nobody.
    let _ = socket.set_tcp_user_timeout(Some(LAST_WORDS));
}

#[cfg(test)]
mod tests {
    use std::net::Ipv4Addr;

    use ironlb_bgp_proto::{Asn, Config, RouterId};
    use ironlb_model::Neighbor;

    use super::*;

    #[test]
    fn the_kernel_has_all_of_it() {
        use socket2::{Domain, Type};
        let transport = Transport { ttl: 7, least_ttl: 3, password: Some(Password("sesame".into())) };
        for peer in ["192.0.2.1", "2001:db8::1"].map(|text| text.parse::<IpAddr>().unwrap()) {
            let domain = if peer.is_ipv6() { Domain::IPV6 } else { Domain::IPV4 };
            let socket = Socket::new(domain, Type::STREAM, None).unwrap();
            transport.apply(&socket, peer).unwrap();
            let (ttl, class) = if peer.is_ipv6() {
                (socket.unicast_hops_v6().unwrap(), socket.tclass_v6().unwrap())
            } else {
                (socket.ttl_v4().unwrap(), socket.tos_v4().unwrap())
            };
            assert_eq!((ttl, class), (7, NETWORK_CONTROL), "{peer}");
            assert!(socket.tcp_nodelay().unwrap());
            assert_eq!(socket.tcp_notsent_lowat().unwrap(), UNSENT_AT_MOST);
        }
    }

    #[test]
    fn the_distance_decides_what_leaves_and_what_is_taken() {
        let asn = |number| Asn::new(number).unwrap();
        let of = |peer_as, distance| {
            let config = Config::new(asn(65001), asn(peer_as), RouterId::new(Ipv4Addr::LOCALHOST).unwrap());
            let session = Session { distance, ..Session::new(config, Neighbor::Address(Ipv4Addr::LOCALHOST.into())) };
            let transport = Transport::of(&session);
            (transport.ttl, transport.least_ttl)
        };
        assert_eq!(of(65002, Distance::Default), (1, 0));
        assert_eq!(of(65001, Distance::Default), (64, 0));
        assert_eq!(of(65002, Distance::Ttl(3)), (3, 0));
        assert_eq!(of(65002, Distance::Security(1)), (255, 255));
        assert_eq!(of(65002, Distance::Security(3)), (255, 253));
        assert_eq!(of(65002, Distance::Security(255)), (255, 1));
    }
}
