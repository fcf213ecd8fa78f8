//! Where a connection runs: by which interface, and which addresses of ours belong there.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::time::Duration;

use futures::TryStreamExt as _;
use ironlb_bgp_proto::OwnAddresses;
use rtnetlink::packet_route::address::{AddressAttribute, AddressHeaderFlags, AddressMessage};
use rtnetlink::packet_route::link::LinkFlags;
use rtnetlink::packet_route::route::{RouteAttribute, RouteMessage};
use rtnetlink::{Handle, RouteMessageBuilder, new_connection};
use tokio::task::JoinSet;

use crate::neighbor::name_of;

/// How long an answer is waited for, and how long after that the kernel is asked again. It takes less than a millisecond, but up to
/// seconds on a node that makes and ends many pods at once: all of that waits for one lock of the kernel's.
pub(crate) const ANSWER: Duration = Duration::from_secs(2);

/// Where a connection runs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Place {
    pub(crate) local: SocketAddr,
    pub(crate) remote: SocketAddr,
    /// The name of the interface, where the kernel told it.
    pub(crate) interface: Option<String>,
    /// The peer is on the link itself, and not behind a router.
    pub(crate) is_direct: bool,
    /// Our address on the connection; of the other family, and link-local, those of the interface.
    pub(crate) own: OwnAddresses,
}

impl Place {
    /// Asks the kernel. What it does not tell is left out: the connection's own address is known in any case.
    pub(crate) async fn find(local: SocketAddr, remote: SocketAddr) -> Self {
        let found = tokio::time::timeout(ANSWER, look(local, remote)).await;
        let egress = match found {
            Ok(Ok(egress)) => egress,
            Ok(Err(error)) => {
                tracing::debug!(%error, address = %remote, "cannot ask the kernel for its own addresses");
                Egress::default()
            }
            Err(_) => {
                tracing::debug!(address = %remote, "the kernel has not yet said where the connection runs");
                Egress::default()
            }
        };
        Self::of(local, remote, egress)
    }

    /// Nothing but what the connection itself tells.
    pub(crate) fn unknown(local: SocketAddr, remote: SocketAddr) -> Self {
        Self::of(local, remote, Egress::default())
    }

    fn of(local: SocketAddr, remote: SocketAddr, egress: Egress) -> Self {
        Self { local, remote, own: own(local.ip(), &egress), is_direct: egress.is_direct, interface: egress.name }
    }

    /// Has the kernel told all that there is to know?
    pub(crate) fn is_known(&self) -> bool {
        self.interface.is_some()
    }

    /// This, or what was known before: that no answer came says nothing.
    pub(crate) fn or_before(self, before: &Self) -> Self {
        if self.is_known() { self } else { before.clone() }
    }

    /// Has the link to a peer that is directly on it lost its carrier, been taken down, or gone? What cannot be asked is taken to be well.
    pub(crate) async fn has_lost_link(&self) -> bool {
        let Some(name) = self.interface.as_ref().filter(|_| self.is_direct) else { return false };
        let asked = tokio::time::timeout(ANSWER, is_up(name.clone())).await;
        matches!(asked, Ok(Ok(false)))
    }
}

/// What the kernel says of the way to an address.
#[derive(Debug, Default)]
struct Egress {
    name: Option<String>,
    /// The peer is on the same link.
    is_direct: bool,
    addresses: Vec<IpAddr>,
}

async fn look(local: SocketAddr, remote: SocketAddr) -> Result<Egress, rtnetlink::Error> {
    // A connection of its own: tens of microseconds, once for each connection of BGP.
    let (connection, handle, _messages) = new_connection().map_err(|_| rtnetlink::Error::RequestFailed)?;
    let mut tasks = JoinSet::new();
    tasks.spawn(connection);
    let scope = scope_of(local).or(scope_of(remote));
    let (index, is_direct) = match scope {
        Some(index) => (Some(index), true),
        None => route_to(&handle, remote.ip()).await?,
    };
    let messages: Vec<AddressMessage> = handle.address().get().execute().try_collect().await?;
    // Where the route says nothing, it is the interface that has our address.
    let holder = messages.iter().find(|message| address_of(message) == Some(local.ip()));
    let Some(index) = index.or(holder.map(|message| message.header.index)) else { return Ok(Egress::default()) };
    let usable = messages.iter().filter(|message| message.header.index == index && is_usable(message));
    let addresses = usable.filter_map(address_of).collect();
    Ok(Egress { name: name_of(index), is_direct, addresses })
}

async fn is_up(name: String) -> Result<bool, rtnetlink::Error> {
    let (connection, handle, _messages) = new_connection().map_err(|_| rtnetlink::Error::RequestFailed)?;
    let mut tasks = JoinSet::new();
    tasks.spawn(connection);
    let links = handle.link().get().match_name(name).execute();
    match std::pin::pin!(links).try_next().await {
        Ok(link) => Ok(link.is_none_or(|link| link.header.flags.contains(LinkFlags::Up | LinkFlags::LowerUp))),
        // There is no such interface any more.
        Err(rtnetlink::Error::NetlinkError(error)) if error.raw_code() == -libc::ENODEV => Ok(false),
        Err(error) => Err(error),
    }
}

pub(crate) fn scope_of(address: SocketAddr) -> Option<u32> {
    match address {
        SocketAddr::V6(v6) => Some(v6.scope_id()).filter(|scope| *scope != 0),
        SocketAddr::V4(_) => None,
    }
}

async fn route_to(handle: &Handle, address: IpAddr) -> Result<(Option<u32>, bool), rtnetlink::Error> {
    let query = match address {
        IpAddr::V4(address) => RouteMessageBuilder::<Ipv4Addr>::new().destination_prefix(address, 32).build(),
        IpAddr::V6(address) => RouteMessageBuilder::<Ipv6Addr>::new().destination_prefix(address, 128).build(),
    };
    let routes = handle.route().get(query).execute();
    let mut routes = std::pin::pin!(routes);
    Ok(routes.try_next().await?.map_or((None, false), |route| (egress_of(&route), !has_gateway(&route))))
}

fn egress_of(route: &RouteMessage) -> Option<u32> {
    route.attributes.iter().find_map(|attribute| match attribute {
        RouteAttribute::Oif(index) => Some(*index),
        _ => None,
    })
}

fn has_gateway(route: &RouteMessage) -> bool {
    route.attributes.iter().any(|attribute| matches!(attribute, RouteAttribute::Gateway(_) | RouteAttribute::Via(_)))
}

/// On a point-to-point link the address is the peer's and the local one is ours; elsewhere the two are the same or only one is there.
fn address_of(message: &AddressMessage) -> Option<IpAddr> {
    let pick = |wanted: fn(&AddressAttribute) -> Option<IpAddr>| message.attributes.iter().find_map(wanted);
    let local = pick(|attribute| match attribute {
        AddressAttribute::Local(address) => Some(*address),
        _ => None,
    });
    local.or_else(|| {
        pick(|attribute| match attribute {
            AddressAttribute::Address(address) => Some(*address),
            _ => None,
        })
    })
}

/// Not one that another node may have, too, or that is on its way out.
fn is_usable(message: &AddressMessage) -> bool {
    let flags = message.header.flags;
    // An IPv4 address is "secondary" beside another one of its subnet, an IPv6 address when it is temporary (RFC 8981).
    let unfit = AddressHeaderFlags::Tentative
        | AddressHeaderFlags::Dadfailed
        | AddressHeaderFlags::Deprecated
        | AddressHeaderFlags::Secondary;
    !flags.intersects(unfit) || flags.contains(AddressHeaderFlags::Optimistic)
}

fn own(local: IpAddr, egress: &Egress) -> OwnAddresses {
    let is_foreign = |address: &IpAddr| !address.is_loopback();
    let others = || egress.addresses.iter().filter(|address| is_foreign(address));
    let first_v4 = others().find_map(|address| match address {
        IpAddr::V4(v4) if !v4.is_link_local() => Some(*v4),
        _ => None,
    });
    let first_v6 = others().find_map(|address| match address {
        IpAddr::V6(v6) if !v6.is_unicast_link_local() => Some(*v6),
        _ => None,
    });
    let link_local = others().find_map(|address| match address {
        IpAddr::V6(v6) if v6.is_unicast_link_local() => Some(*v6),
        _ => None,
    });
    let mut own = OwnAddresses { ipv4: first_v4, ipv6: first_v6, link_local };
    match local {
        IpAddr::V4(v4) => own.ipv4 = Some(v4),
        IpAddr::V6(v6) if v6.is_unicast_link_local() => own.link_local = Some(v6),
        IpAddr::V6(v6) => own.ipv6 = Some(v6),
    }
    // A link-local next hop is for those on the link (RFC 2545 §3).
    if !egress.is_direct {
        own.link_local = own.link_local.filter(|v6| IpAddr::V6(*v6) == local);
    }
    own
}

/// What the operator chose, filled up with what was found.
pub(crate) fn fill(chosen: OwnAddresses, found: OwnAddresses) -> OwnAddresses {
    OwnAddresses {
        ipv4: chosen.ipv4.or(found.ipv4),
        ipv6: chosen.ipv6.or(found.ipv6),
        link_local: chosen.link_local.or(found.link_local),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ip(text: &str) -> IpAddr {
        text.parse().unwrap()
    }

    fn egress(addresses: &[&str], is_direct: bool) -> Egress {
        Egress { name: None, is_direct, addresses: addresses.iter().map(|text| ip(text)).collect() }
    }

    fn shown(own: OwnAddresses) -> String {
        let text = |address: Option<IpAddr>| address.map_or("-".to_owned(), |address| address.to_string());
        let parts = [own.ipv4.map(IpAddr::V4), own.ipv6.map(IpAddr::V6), own.link_local.map(IpAddr::V6)];
        parts.map(text).join(" ")
    }

    #[test]
    fn no_answer_takes_nothing_away() {
        let (local, remote) = ("192.0.2.2:179".parse().unwrap(), "192.0.2.1:179".parse().unwrap());
        let told = Egress { name: Some("eth0".to_owned()), ..egress(&["192.0.2.2", "2001:db8::1"], true) };
        let (known, unknown) = (Place::of(local, remote, told), Place::unknown(local, remote));
        assert_eq!(unknown.own.ipv4.map(IpAddr::V4), Some(local.ip()), "the connection's own address is always known");
        assert_eq!(unknown.clone().or_before(&known), known);
        assert_eq!(known.clone().or_before(&unknown), known);
    }

    #[test]
    fn the_connection_gives_one_address_and_its_interface_the_others() {
        let lan = ["192.0.2.1", "192.0.2.2", "2001:db8::1", "fe80::1"];
        for (local, on_link, wanted) in [
            ("192.0.2.2", true, "192.0.2.2 2001:db8::1 fe80::1"),
            ("2001:db8::9", true, "192.0.2.1 2001:db8::9 fe80::1"),
            ("fe80::9", true, "192.0.2.1 2001:db8::1 fe80::9"),
            // Over a router a link-local address leads nowhere.
            ("192.0.2.2", false, "192.0.2.2 2001:db8::1 -"),
        ] {
            assert_eq!(shown(own(ip(local), &egress(&lan, on_link))), wanted, "{local}");
        }
        assert_eq!(shown(own(ip("127.0.0.2"), &egress(&["127.0.0.1", "::1"], true))), "127.0.0.2 - -");
        let chosen = OwnAddresses { ipv6: Some("2001:db8::7".parse().unwrap()), ..OwnAddresses::default() };
        let found = own(ip("192.0.2.2"), &egress(&lan, true));
        assert_eq!(shown(fill(chosen, found)), "192.0.2.2 2001:db8::7 fe80::1");
    }
}
