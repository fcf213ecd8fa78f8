//! Asking the LAN whether anybody has an address.

use std::collections::BTreeSet;
use std::io;
use std::net::{IpAddr, Ipv4Addr};
use std::time::Duration;

use ironlb_layer2_proto::packet::arp::{Operation, Packet};
use ironlb_model::MacAddr;

use crate::raw::{ArpSocket, FRAME_BUFFER, Waker, boottime, wait};

/// How often each address is asked for. One frame may be lost.
const ROUNDS: usize = 2;

/// Between two questions: 1,000 a second, as many as a port with an ARP policer commonly takes.
const PACE: Duration = Duration::from_millis(1);

/// How long answers are waited for after each round. Chosen: a speaker answers within a millisecond, and one on a busy machine within
/// tens of them.
const ANSWERS: Duration = Duration::from_millis(100);

/// Asks the LAN at the interface with this index which of these addresses somebody else has, by ARP probes (RFC 5227 section 2.1.1), which
/// change nobody's cache. Somebody who probes for one of them at the same time counts as having it. IPv6 addresses are not asked for
/// and count as taken.
///
/// # Errors
/// It could not ask: no permission, the interface is gone or down or has no Ethernet address. Nothing is known then.
pub async fn ask(index: u32, vips: BTreeSet<IpAddr>) -> io::Result<BTreeSet<IpAddr>> {
    tokio::task::spawn_blocking(move || ask_and_wait(index, &vips)).await.map_err(io::Error::other)?
}

fn ask_and_wait(index: u32, vips: &BTreeSet<IpAddr>) -> io::Result<BTreeSet<IpAddr>> {
    let socket = ArpSocket::open(index)?;
    let mac = socket.binding()?.mac.ok_or(io::ErrorKind::AddrNotAvailable)?;
    let waker = Waker::new()?;
    let mut taken: BTreeSet<IpAddr> = vips.iter().filter(|vip| vip.is_ipv6()).copied().collect();
    let mut listen = |length: Duration| -> io::Result<()> {
        let until = boottime() + length;
        loop {
            let left = until.since(boottime());
            if left == Duration::ZERO {
                return Ok(());
            }
            if wait(Some(&socket), &waker, Some(left))? {
                read_all(&socket, mac, vips, &mut taken)?;
            }
        }
    };
    for _ in 0..ROUNDS {
        for vip in vips {
            if let IpAddr::V4(vip) = vip {
                socket.send(probe(mac, *vip).frame_to(MacAddr::BROADCAST).as_bytes())?;
                listen(PACE)?;
            }
        }
        listen(ANSWERS)?;
    }
    Ok(taken)
}

fn read_all(socket: &ArpSocket, mac: MacAddr, vips: &BTreeSet<IpAddr>, taken: &mut BTreeSet<IpAddr>) -> io::Result<()> {
    let mut buffer = [0; FRAME_BUFFER];
    while let Some((frame, _)) = socket.receive(&mut buffer)? {
        if let Ok((_, packet)) = Packet::parse_frame(frame) {
            taken.extend(claimed(&packet, mac).map(IpAddr::V4).filter(|vip| vips.contains(vip)));
        }
    }
    Ok(())
}

/// The address that this packet says somebody other than `mac` has, or is about to take.
fn claimed(packet: &Packet, mac: MacAddr) -> Option<Ipv4Addr> {
    let address = if packet.is_probe() { packet.target_ip } else { packet.sender_ip };
    (packet.sender_mac != mac).then_some(address)
}

fn probe(mac: MacAddr, vip: Ipv4Addr) -> Packet {
    Packet {
        operation: Operation::REQUEST,
        sender_mac: mac,
        sender_ip: Ipv4Addr::UNSPECIFIED,
        target_mac: MacAddr::ZERO,
        target_ip: vip,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const OWN: MacAddr = MacAddr([2, 0, 0, 0, 0, 1]);
    const OTHER: MacAddr = MacAddr([2, 0, 0, 0, 0, 2]);
    const VIP: Ipv4Addr = Ipv4Addr::new(192, 0, 2, 200);

    #[test]
    fn who_answers_announces_or_probes_as_well_has_it() {
        let reply = probe(OWN, VIP).answer(OTHER);
        let question = Packet { sender_ip: Ipv4Addr::new(192, 0, 2, 9), ..probe(OTHER, VIP) };
        for (packet, want) in [
            (reply, Some(VIP)),
            (Packet::announcement_request(OTHER, VIP), Some(VIP)),
            (Packet::announcement_reply(OTHER, VIP), Some(VIP)),
            (probe(OTHER, VIP), Some(VIP)),
            (Packet::announcement_request(OWN, VIP), None),
            (probe(OWN, VIP), None),
            // A client that asks for it has another address itself.
            (question, Some(Ipv4Addr::new(192, 0, 2, 9))),
        ] {
            assert_eq!(claimed(&packet, OWN), want, "{packet:?}");
        }
    }
}
