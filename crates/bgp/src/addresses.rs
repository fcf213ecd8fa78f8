//! Tells when the node's interfaces or addresses may have changed. What they are is asked where it matters.

use std::time::Duration;

use futures::{FutureExt as _, StreamExt as _};
use rtnetlink::{MulticastGroup, new_multicast_connection};
use tokio::sync::watch;
use tokio::task::JoinSet;
use tracing::warn;

use crate::backoff::Backoff;

/// Messages that come within this time after one are one further change. Chosen: pods come and go with interfaces of their own, many a
/// second on a busy node, and an address that is half a second late as a next hop has hardly finished its detection of duplicates.
const MERGE: Duration = Duration::from_millis(500);

/// Counts changes for as long as it runs; reconnects by itself.
pub(crate) async fn follow(changes: watch::Sender<u64>) {
    let mut backoff = Backoff::new(Duration::from_millis(100), Duration::from_secs(5));
    loop {
        let groups = [MulticastGroup::Link, MulticastGroup::Ipv4Ifaddr, MulticastGroup::Ipv6Ifaddr];
        match new_multicast_connection(&groups) {
            Ok((connection, _handle, mut messages)) => {
                let mut tasks = JoinSet::new();
                tasks.spawn(connection);
                // Whatever was before nobody has seen.
                changes.send_modify(|count| *count += 1);
                backoff.succeeded();
                // The first one is told at once: it may be a link that has lost its carrier. What follows close behind is one more change.
                while messages.next().await.is_some() {
                    changes.send_modify(|count| *count += 1);
                    tokio::time::sleep(MERGE).await;
                    let mut has_more = false;
                    while messages.next().now_or_never().flatten().is_some() {
                        has_more = true;
                    }
                    if has_more {
                        changes.send_modify(|count| *count += 1);
                    }
                }
                warn!("netlink connection ended");
            }
            Err(error) => warn!(%error, "cannot follow the node's addresses"),
        }
        tokio::time::sleep(backoff.failed()).await;
    }
}
