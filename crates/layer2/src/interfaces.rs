//! What the kernel says about this node's interfaces, as one immutable value.
//!
//! Netlink is used as a source of wake-ups: whatever a message says, the whole is read anew and published when it differs. So a lost
//! message, an overrun and a reconnect need no code of their own, and there is no mirror that could drift.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use futures::channel::mpsc::UnboundedReceiver;
use futures::{FutureExt as _, StreamExt as _, TryStreamExt as _};
use ironlb_model::{Interface, InterfaceName, Interfaces, MacAddr, Prefix};
use rtnetlink::packet_core::NetlinkMessage;
use rtnetlink::packet_route::RouteNetlinkMessage;
use rtnetlink::packet_route::address::{AddressAttribute, AddressMessage};
use rtnetlink::packet_route::link::{InfoKind, LinkAttribute, LinkFlags, LinkInfo, LinkLayerType, LinkMessage};
use rtnetlink::sys::SocketAddr;
use rtnetlink::{Handle, MulticastGroup, new_multicast_connection};
use tokio::sync::watch;
use tokio::task::JoinSet;
use tracing::{info, warn};

use crate::backoff::Backoff;

/// Messages that come within this time cause one reading. Chosen: shorter than anything that waits for it, longer than the kernel takes
/// to send the handful of messages that one `ip` command causes.
const MERGE: Duration = Duration::from_millis(5);

/// A reading takes about a millisecond per hundred interfaces, and up to seconds more where many pods come and go: all of that waits for
/// one lock of the kernel's. One that takes this long has lost its end to an overrun.
const READ_TIMEOUT: Duration = Duration::from_secs(10);

/// Why the interfaces could not be read.
#[derive(Debug, thiserror::Error)]
pub enum ReadError {
    /// No netlink socket.
    #[error("cannot open a netlink socket")]
    Connect(#[source] std::io::Error),
    /// The kernel refused.
    #[error("cannot list interfaces and addresses")]
    List(#[source] rtnetlink::Error),
    /// The answer did not end.
    #[error("the kernel's list of interfaces did not end within {READ_TIMEOUT:?}")]
    TimedOut,
}

/// A netlink connection that is subscribed to what changes interfaces.
pub(crate) struct Session {
    handle: Handle,
    messages: UnboundedReceiver<(NetlinkMessage<RouteNetlinkMessage>, SocketAddr)>,
    /// Moves the bytes; ends with the session.
    _connection: JoinSet<()>,
}

impl Session {
    /// Connects and reads everything once. Subscribed first, so nothing is missed in between.
    pub(crate) async fn open() -> Result<(Self, Interfaces), ReadError> {
        let groups = [MulticastGroup::Link, MulticastGroup::Ipv4Ifaddr, MulticastGroup::Ipv6Ifaddr];
        let (connection, handle, messages) = new_multicast_connection(&groups).map_err(ReadError::Connect)?;
        let mut tasks = JoinSet::new();
        tasks.spawn(connection);
        let session = Self { handle, messages, _connection: tasks };
        let interfaces = session.read().await?;
        Ok((session, interfaces))
    }

    async fn read(&self) -> Result<Interfaces, ReadError> {
        tokio::time::timeout(READ_TIMEOUT, read(&self.handle))
            .await
            .map_err(|_| ReadError::TimedOut)?
            .map_err(ReadError::List)
    }

    /// Waits for a message and for those that come with it; false when the connection has ended.
    async fn changed(&mut self) -> bool {
        if self.messages.next().await.is_none() {
            return false;
        }
        tokio::time::sleep(MERGE).await;
        while let Some(message) = self.messages.next().now_or_never() {
            if message.is_none() {
                return false;
            }
        }
        true
    }
}

/// Publishes the interfaces for as long as it runs; reconnects by itself. Safe to abort at any time.
pub(crate) async fn follow(session: Session, publish: watch::Sender<Arc<Interfaces>>) {
    let mut backoff = Backoff::new(Duration::from_millis(100), Duration::from_secs(5));
    let mut session = Some(session);
    loop {
        let read = match session.take() {
            Some(mut open) => {
                if open.changed().await {
                    open.read().await.map(|interfaces| (open, interfaces))
                } else {
                    warn!("netlink connection ended");
                    Session::open().await
                }
            }
            None => Session::open().await,
        };
        match read {
            Ok((open, interfaces)) => {
                backoff.succeeded();
                session = Some(open);
                publish_changes(&publish, interfaces);
            }
            Err(error) => {
                let wait = backoff.failed();
                warn!(%error, ?wait, "cannot follow the interfaces");
                tokio::time::sleep(wait).await;
            }
        }
    }
}

fn publish_changes(publish: &watch::Sender<Arc<Interfaces>>, interfaces: Interfaces) {
    publish.send_if_modified(|known| {
        if **known == interfaces {
            return false;
        }
        log_changes(known, &interfaces);
        *known = Arc::new(interfaces);
        true
    });
}

fn log_changes(before: &Interfaces, after: &Interfaces) {
    for (name, interface) in &after.by_name {
        let known = before.by_name.get(name);
        if known.is_none_or(|known| known.up != interface.up || known.mac != interface.mac) {
            info!(iface = %name, index = interface.index, up = interface.up, mac = ?interface.mac, "interface");
        }
    }
    for name in before.by_name.keys() {
        if !after.by_name.contains_key(name) {
            info!(iface = %name, "interface is gone");
        }
    }
}

async fn read(handle: &Handle) -> Result<Interfaces, rtnetlink::Error> {
    let links: Vec<LinkMessage> = handle.link().get().execute().try_collect().await?;
    let addresses: Vec<AddressMessage> = handle.address().get().execute().try_collect().await?;
    Ok(assemble(&links, &addresses))
}

/// What the kernel's messages say.
fn assemble(links: &[LinkMessage], addresses: &[AddressMessage]) -> Interfaces {
    let mut prefixes: BTreeMap<u32, Vec<Prefix>> = BTreeMap::new();
    for message in addresses {
        if let Some(prefix) = prefix_of(message) {
            prefixes.entry(message.header.index).or_default().push(prefix);
        }
    }
    let controllers: BTreeMap<u32, InterfaceName> = links
        .iter()
        .filter(|link| takes_its_ports_frames(link))
        .filter_map(|link| Some((link.header.index, name_of(link)?)))
        .collect();
    let by_name = links.iter().filter_map(|link| {
        let mut prefixes = prefixes.remove(&link.header.index).unwrap_or_default();
        prefixes.sort();
        let interface = Interface {
            name: name_of(link)?,
            index: link.header.index,
            mac: mac_of(link),
            up: link.header.flags.contains(LinkFlags::Up | LinkFlags::LowerUp),
            prefixes,
            controller: link.attributes.iter().find_map(|attribute| match attribute {
                LinkAttribute::Controller(index) => controllers.get(index).cloned(),
                _ => None,
            }),
            loopback: link.header.flags.contains(LinkFlags::Loopback),
        };
        Some((interface.name.clone(), interface))
    });
    Interfaces { by_name: by_name.collect() }
}

fn name_of(link: &LinkMessage) -> Option<InterfaceName> {
    link.attributes.iter().find_map(|attribute| match attribute {
        LinkAttribute::IfName(name) => Some(InterfaceName::from(name.as_str())),
        _ => None,
    })
}

fn mac_of(link: &LinkMessage) -> Option<MacAddr> {
    if link.header.link_layer_type != LinkLayerType::Ether {
        return None;
    }
    link.attributes
        .iter()
        .find_map(|attribute| match attribute {
            LinkAttribute::Address(bytes) => Some(MacAddr(bytes.as_slice().try_into().ok()?)),
            _ => None,
        })
        .filter(|mac| mac.is_unicast())
}

/// Frames of a bridge's or bond's port belong to the bridge or bond. A VRF only groups interfaces for routing; they keep their frames.
fn takes_its_ports_frames(link: &LinkMessage) -> bool {
    !link.attributes.iter().any(|attribute| match attribute {
        LinkAttribute::LinkInfo(infos) => infos.contains(&LinkInfo::Kind(InfoKind::Vrf)),
        _ => false,
    })
}

/// On a point-to-point link the address is the peer's and the local one is ours; elsewhere the two are the same or only one is there.
fn prefix_of(message: &AddressMessage) -> Option<Prefix> {
    let pick = |wanted: fn(&AddressAttribute) -> Option<IpAddr>| message.attributes.iter().find_map(wanted);
    let local = pick(|attribute| match attribute {
        AddressAttribute::Local(address) => Some(*address),
        _ => None,
    });
    let address = local.or_else(|| {
        pick(|attribute| match attribute {
            AddressAttribute::Address(address) => Some(*address),
            _ => None,
        })
    })?;
    Prefix::new(address, message.header.prefix_len).ok()
}

#[cfg(test)]
mod tests;
