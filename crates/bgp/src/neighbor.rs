//! Which address a session's peer has: as configured, or found on the interface that an unnumbered peer is behind.

use std::io;
use std::net::{IpAddr, Ipv6Addr, SocketAddr, SocketAddrV6};
use std::time::Duration;

use futures::TryStreamExt as _;
use ironlb_model::{InterfaceName, Neighbor};
use nix::net::if_::{if_indextoname, if_nametoindex};
use rtnetlink::new_connection;
use rtnetlink::packet_route::AddressFamily;
use rtnetlink::packet_route::neighbour::{
    NeighbourAddress, NeighbourAttribute, NeighbourFlags, NeighbourMessage, NeighbourState,
};
use socket2::{Domain, Protocol, SockAddr, Socket, Type};
use tokio::task::JoinSet;

/// How long between two looks for a router that has not shown itself. RFC 4861 §10 has it answer within half a second.
const LOOK_AGAIN: Duration = Duration::from_secs(1);

const ALL_NODES: Ipv6Addr = Ipv6Addr::new(0xff02, 0, 0, 0, 0, 0, 0, 1);
const ALL_ROUTERS: Ipv6Addr = Ipv6Addr::new(0xff02, 0, 0, 0, 0, 0, 0, 2);

/// Why the peer has no address.
#[derive(Debug, thiserror::Error)]
pub(crate) enum NeighborError {
    #[error("there is no interface {0}")]
    NoInterface(InterfaceName),
    #[error("cannot look for the router on {0}: {1}")]
    Look(InterfaceName, String),
}

/// The interface's number now.
pub(crate) fn index_of(interface: &InterfaceName) -> Option<u32> {
    if_nametoindex(interface.as_str()).ok()
}

/// The name of the interface with this number now.
pub(crate) fn name_of(index: u32) -> Option<String> {
    if_indextoname(index).ok()?.into_string().ok()
}

/// Is a connection from this address one of this neighbor?
pub(crate) fn is_from(neighbor: &Neighbor, remote: SocketAddr) -> bool {
    let is_by = |interface: &InterfaceName| match remote {
        SocketAddr::V6(v6) => index_of(interface) == Some(v6.scope_id()),
        SocketAddr::V4(_) => false,
    };
    match (neighbor, remote.ip()) {
        (Neighbor::Address(address), remote) => *address == remote,
        (Neighbor::LinkLocal { address, interface }, IpAddr::V6(remote)) => *address == remote && is_by(interface),
        (Neighbor::Interface(interface), IpAddr::V6(remote)) => remote.is_unicast_link_local() && is_by(interface),
        (Neighbor::LinkLocal { .. } | Neighbor::Interface(_), IpAddr::V4(_)) => false,
    }
}

/// Where to connect to. For an unnumbered peer it waits until there is one: cancel it.
pub(crate) async fn address_of(neighbor: &Neighbor, port: u16) -> Result<SocketAddr, NeighborError> {
    let on_link = |address, interface: &InterfaceName| {
        let index = index_of(interface).ok_or_else(|| NeighborError::NoInterface(interface.clone()))?;
        Ok(SocketAddrV6::new(address, port, 0, index).into())
    };
    match neighbor {
        Neighbor::Address(address) => Ok(SocketAddr::new(*address, port)),
        Neighbor::LinkLocal { address, interface } => on_link(*address, interface),
        Neighbor::Interface(interface) => {
            let address = wait_for_router(interface).await?;
            on_link(address, interface)
        }
    }
}

/// The link-local address of the router on this interface, waited for if need be.
async fn wait_for_router(interface: &InterfaceName) -> Result<Ipv6Addr, NeighborError> {
    loop {
        let index = index_of(interface).ok_or_else(|| NeighborError::NoInterface(interface.clone()))?;
        let looked = known(index).await.map_err(|error| NeighborError::Look(interface.clone(), error.to_string()))?;
        // Also when one is known: a router that waits for us by the same means has to hear of us, too.
        if let Err(error) = solicit(index) {
            tracing::debug!(iface = %interface, %error, "cannot ask for routers");
        }
        if let Some(address) = the_router(&looked) {
            return Ok(address);
        }
        tokio::time::sleep(LOOK_AGAIN).await;
    }
}

/// A neighbour on the link, as the kernel knows it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct Known {
    is_router: bool,
    address: Ipv6Addr,
}

/// The router; where none has said that it is one, the only neighbour there is. Of several routers the one with the lowest address, so
/// that it is the same each time: a link with more than two ends is not what an unnumbered session is for.
fn the_router(known: &[Known]) -> Option<Ipv6Addr> {
    let routers = known.iter().filter(|known| known.is_router).map(|known| known.address);
    routers.min().or(match known {
        [only] => Some(only.address),
        _ => None,
    })
}

async fn known(index: u32) -> Result<Vec<Known>, rtnetlink::Error> {
    let (connection, handle, _messages) = new_connection().map_err(|_| rtnetlink::Error::RequestFailed)?;
    let mut tasks = JoinSet::new();
    tasks.spawn(connection);
    let messages = handle.neighbours().get().set_address_family(AddressFamily::Inet6).execute();
    let messages: Vec<NeighbourMessage> = messages.try_collect().await?;
    Ok(messages.iter().filter(|message| message.header.ifindex == index).filter_map(from_message).collect())
}

fn from_message(message: &NeighbourMessage) -> Option<Known> {
    if matches!(
        message.header.state,
        NeighbourState::Failed | NeighbourState::Incomplete | NeighbourState::Noarp | NeighbourState::None
    ) {
        return None;
    }
    let address = message.attributes.iter().find_map(|attribute| match attribute {
        NeighbourAttribute::Destination(NeighbourAddress::Inet6(address)) => Some(*address),
        _ => None,
    })?;
    let is_router = message.header.flags.contains(NeighbourFlags::Router);
    Some(Known { is_router, address }).filter(|known| known.address.is_unicast_link_local())
}

/// Asks routers to show themselves (RFC 4861 §4.1), and shows us, as a router that is nobody's default (§4.2, lifetime 0): routers
/// find an unnumbered peer by its advertisements.
fn solicit(index: u32) -> io::Result<()> {
    let socket = Socket::new(Domain::IPV6, Type::RAW, Some(Protocol::ICMPV6))?;
    socket.set_nonblocking(true)?;
    // RFC 4861 §6.1: one with any other hop limit is dropped, because it may come from elsewhere.
    socket.set_multicast_hops_v6(255)?;
    socket.set_multicast_if_v6(index)?;
    socket.set_multicast_loop_v6(false)?;
    let to = |group| SockAddr::from(SocketAddrV6::new(group, 0, 0, index));
    // Type 133, code 0, checksum (the kernel's), four reserved bytes.
    socket.send_to(&[133, 0, 0, 0, 0, 0, 0, 0], &to(ALL_ROUTERS))?;
    // Type 134, code 0, checksum; no hop limit to be taken over, no flags, lifetime 0, and no times either.
    socket.send_to(&[134, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0], &to(ALL_NODES))?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_router_is_who_says_so_or_who_is_alone() {
        let known = |is_router, last: u16| Known { is_router, address: Ipv6Addr::new(0xfe80, 0, 0, 0, 0, 0, 0, last) };
        let found = |known: &[Known]| the_router(known).map(|address| address.segments()[7]);
        assert_eq!(found(&[]), None);
        assert_eq!(found(&[known(false, 3)]), Some(3));
        assert_eq!(found(&[known(false, 3), known(false, 4)]), None);
        assert_eq!(found(&[known(false, 3), known(true, 5), known(true, 4)]), Some(4));
    }

    #[test]
    fn a_connection_belongs_to_the_neighbor_it_comes_from() {
        let lo = index_of(&InterfaceName::from("lo")).unwrap();
        let by = |address: &str, index| SocketAddr::from(SocketAddrV6::new(address.parse().unwrap(), 1, 0, index));
        let by_name = Neighbor::Interface("lo".into());
        let link_local = Neighbor::LinkLocal { address: "fe80::1".parse().unwrap(), interface: "lo".into() };
        let address = Neighbor::Address("192.0.2.1".parse().unwrap());
        for (neighbor, remote, wanted) in [
            (&address, "192.0.2.1:5".parse().unwrap(), true),
            (&address, "192.0.2.2:5".parse().unwrap(), false),
            (&link_local, by("fe80::1", lo), true),
            (&link_local, by("fe80::1", lo + 1), false),
            (&link_local, by("fe80::2", lo), false),
            (&by_name, by("fe80::2", lo), true),
            (&by_name, by("2001:db8::2", lo), false),
            (&by_name, by("fe80::2", lo + 1), false),
            (&by_name, "192.0.2.1:5".parse().unwrap(), false),
        ] {
            assert_eq!(is_from(neighbor, remote), wanted, "{neighbor} {remote}");
        }
        assert_eq!(name_of(lo).as_deref(), Some("lo"));
    }
}
