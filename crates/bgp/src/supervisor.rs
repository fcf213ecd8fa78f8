//! The task that owns all others.

use std::sync::Arc;

use tokio::sync::mpsc;

use crate::bgp::Order;
use crate::clock::now;
use crate::status::{Board, SessionStatus};
use crate::{Leave, Setup};

/// Carries out orders until it is told to leave or nobody is left to give any.
pub(crate) async fn supervise(mut orders: mpsc::UnboundedReceiver<Order>, board: Arc<Board>) {
    let mut present = Setup::default();
    while let Some(order) = orders.recv().await {
        match order {
            Order::Configure(setup) if setup == present => {}
            Order::Configure(setup) => {
                board.post(|status| {
                    status.sessions.retain(|name, _| setup.sessions.contains_key(name));
                    for name in setup.sessions.keys() {
                        status.sessions.entry(name.clone()).or_insert_with(|| SessionStatus::new(now()));
                    }
                    true
                });
                present = setup;
            }
            Order::Advertise(session, routes) => tracing::debug!(peer = session, routes = routes.len(), "desired"),
            Order::Leave(how, done) => {
                tracing::info!(for_good = matches!(how, Leave::ForGood(_)), "leaving");
                let _ = done.send(());
                return;
            }
        }
    }
}
