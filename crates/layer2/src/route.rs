//! Through which interface the kernel would reach an address (`interface: can_reach:IP`).

use std::net::IpAddr;

use futures::TryStreamExt as _;
use ironlb_model::InterfaceName;
use rtnetlink::packet_route::link::LinkAttribute;
use rtnetlink::packet_route::route::RouteAttribute;
use rtnetlink::{Handle, RouteMessageBuilder, new_connection};
use tokio::task::JoinSet;

/// Why there is no answer.
#[derive(Debug, thiserror::Error)]
pub enum RouteError {
    /// No netlink socket.
    #[error("cannot open a netlink socket")]
    Connect(#[source] std::io::Error),
    /// The kernel has no route there, or refused to say.
    #[error("no route to {address}")]
    NoRoute {
        /// The address asked for.
        address: IpAddr,
        /// The kernel's words.
        #[source]
        source: rtnetlink::Error,
    },
    /// The kernel's route names no interface (a blackhole, or several next hops).
    #[error("the route to {address} names no interface")]
    NoInterface {
        /// The address asked for.
        address: IpAddr,
    },
}

impl RouteError {
    /// Its name as a metric label.
    #[must_use]
    pub const fn category(&self) -> &'static str {
        match self {
            Self::Connect(_) => "connect",
            Self::NoRoute { .. } => "no_route",
            Self::NoInterface { .. } => "no_interface",
        }
    }
}

/// The interface through which the kernel would send to `address` now. Routes change without notice: ask again when it matters.
///
/// # Errors
/// [`RouteError::NoRoute`] and [`RouteError::NoInterface`] are for the user (the address is wrong or the route is missing);
/// [`RouteError::Connect`] is the node's trouble.
pub async fn route_interface(address: IpAddr) -> Result<InterfaceName, RouteError> {
    // A connection of its own: 28 us the first look-up (measured), and nothing to keep alive between the few there are.
    let (connection, handle, _messages) = new_connection().map_err(RouteError::Connect)?;
    let mut tasks = JoinSet::new();
    tasks.spawn(connection);
    let failed = |source| RouteError::NoRoute { address, source };
    let index = egress(&handle, address).await.map_err(failed)?;
    let index = index.ok_or(RouteError::NoInterface { address })?;
    let name = name_of(&handle, index).await.map_err(failed)?;
    name.ok_or(RouteError::NoInterface { address })
}

async fn egress(handle: &Handle, address: IpAddr) -> Result<Option<u32>, rtnetlink::Error> {
    let query = match address {
        IpAddr::V4(address) => RouteMessageBuilder::<std::net::Ipv4Addr>::new().destination_prefix(address, 32).build(),
        IpAddr::V6(address) => {
            RouteMessageBuilder::<std::net::Ipv6Addr>::new().destination_prefix(address, 128).build()
        }
    };
    let routes = handle.route().get(query).execute();
    let mut routes = std::pin::pin!(routes);
    let route = routes.try_next().await?;
    Ok(route.and_then(|route| {
        route.attributes.iter().find_map(|attribute| match attribute {
            RouteAttribute::Oif(index) => Some(*index),
            _ => None,
        })
    }))
}

async fn name_of(handle: &Handle, index: u32) -> Result<Option<InterfaceName>, rtnetlink::Error> {
    let links = handle.link().get().match_index(index).execute();
    let mut links = std::pin::pin!(links);
    let link = links.try_next().await?;
    Ok(link.and_then(|link| {
        link.attributes.iter().find_map(|attribute| match attribute {
            LinkAttribute::IfName(name) => Some(InterfaceName::from(name.as_str())),
            _ => None,
        })
    }))
}
