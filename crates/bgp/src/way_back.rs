//! Would this node pass a packet on to a router? Asked for addresses that an advertised aggregate holds and nobody uses.
//!
//! Such a packet comes from a router, because of the aggregate. If the node's own routes lead on to a router, most often by the default
//! route, that one sends it back because of the same aggregate, and it goes round until its TTL ends it.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use futures::TryStreamExt as _;
use nix::errno::Errno;
use rtnetlink::packet_route::route::{RouteAttribute, RouteMessage};
use rtnetlink::{Handle, RouteMessageBuilder, new_connection};
use tokio::task::JoinSet;

/// What the kernel answers where it would not send: there is no route, or one of type blackhole, unreachable or prohibit.
const REFUSALS: [Errno; 4] = [Errno::ENETUNREACH, Errno::EINVAL, Errno::EHOSTUNREACH, Errno::EACCES];

/// Why there is no answer.
#[derive(Debug, thiserror::Error)]
pub enum WayError {
    /// No netlink socket.
    #[error("cannot open a netlink socket")]
    Connect(#[source] std::io::Error),
    /// The kernel does not say.
    #[error("the kernel does not say by which way it reaches {address}")]
    Look {
        /// The address asked for.
        address: IpAddr,
        /// The kernel's words.
        #[source]
        source: rtnetlink::Error,
    },
}

/// Would this node pass a packet for `address` on to a router? `from` is the router it comes from, where it has an address of the same
/// family: rules may treat what the node sends itself and what it forwards in different ways.
///
/// # Errors
/// The node's trouble: the kernel cannot be asked.
pub async fn passes_on(address: IpAddr, from: Option<IpAddr>) -> Result<bool, WayError> {
    // A connection of its own, as for the routes of `can_reach:`: a look-up takes microseconds, and there are few.
    let (connection, handle, _messages) = new_connection().map_err(WayError::Connect)?;
    let mut tasks = JoinSet::new();
    tasks.spawn(connection);
    let Some(own) = look(&handle, address, None).await? else { return Ok(false) };
    // What is on a link, or the node's own, is not passed on to anybody.
    if !has_gateway(&own) {
        return Ok(false);
    }
    let Some(from) = from.filter(|from| from.is_ipv4() == address.is_ipv4()) else { return Ok(true) };
    let Some(interface) = look(&handle, from, None).await?.as_ref().and_then(interface) else { return Ok(true) };
    let forwarded = look(&handle, address, Some((from, interface))).await?;
    Ok(forwarded.is_some_and(|route| has_gateway(&route)))
}

/// The route to an address; `None` where the kernel would not send.
async fn look(
    handle: &Handle,
    address: IpAddr,
    forwarded: Option<(IpAddr, u32)>,
) -> Result<Option<RouteMessage>, WayError> {
    let query = match (address, forwarded) {
        (IpAddr::V4(to), Some((IpAddr::V4(from), interface))) => {
            v4(to).source_prefix(from, 32).input_interface(interface).build()
        }
        (IpAddr::V6(to), Some((IpAddr::V6(from), interface))) => {
            v6(to).source_prefix(from, 128).input_interface(interface).build()
        }
        (IpAddr::V4(to), _) => v4(to).build(),
        (IpAddr::V6(to), _) => v6(to).build(),
    };
    let routes = handle.route().get(query).execute();
    let mut routes = std::pin::pin!(routes);
    match routes.try_next().await {
        Ok(route) => Ok(route),
        Err(rtnetlink::Error::NetlinkError(error)) if is_refusal(error.raw_code()) => Ok(None),
        Err(source) => Err(WayError::Look { address, source }),
    }
}

fn v4(to: Ipv4Addr) -> RouteMessageBuilder<Ipv4Addr> {
    RouteMessageBuilder::<Ipv4Addr>::new().destination_prefix(to, 32)
}

fn v6(to: Ipv6Addr) -> RouteMessageBuilder<Ipv6Addr> {
    RouteMessageBuilder::<Ipv6Addr>::new().destination_prefix(to, 128)
}

/// Netlink's codes are negative.
fn is_refusal(code: i32) -> bool {
    REFUSALS.contains(&Errno::from_raw(code.saturating_neg()))
}

fn has_gateway(route: &RouteMessage) -> bool {
    let is_gateway = |attribute: &RouteAttribute| {
        matches!(attribute, RouteAttribute::Gateway(_) | RouteAttribute::Via(_) | RouteAttribute::MultiPath(_))
    };
    route.attributes.iter().any(is_gateway)
}

fn interface(route: &RouteMessage) -> Option<u32> {
    route.attributes.iter().find_map(|attribute| match attribute {
        RouteAttribute::Oif(index) => Some(*index),
        _ => None,
    })
}
