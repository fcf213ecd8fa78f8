//! The listening sockets, and the passwords they know.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::Arc;

use ironlb_model::Neighbor;
use tokio::net::TcpStream;
use tokio::sync::{mpsc, watch};
use tokio::task::{AbortHandle, JoinSet};

use crate::listener::{Keys, listen, sockets_of};
use crate::status::Board;
use crate::{Listener, Setup};

/// A task for each listening socket.
#[derive(Debug)]
pub(super) struct Listeners {
    sockets: BTreeMap<SocketAddr, AbortHandle>,
    tasks: JoinSet<()>,
    keys: watch::Sender<Keys>,
    accepted: mpsc::Sender<TcpStream>,
    board: Arc<Board>,
}

impl Listeners {
    pub(super) fn new(accepted: mpsc::Sender<TcpStream>, board: Arc<Board>) -> Self {
        let keys = watch::Sender::new(Keys::default());
        Self { sockets: BTreeMap::new(), tasks: JoinSet::new(), keys, accepted, board }
    }

    /// Opens and closes sockets until they are the wanted ones; what stays is left alone.
    pub(super) fn listen(&mut self, listener: Option<&Listener>) {
        let wanted = listener.map(sockets_of).unwrap_or_default();
        self.sockets.retain(|address, task| {
            let stays = wanted.contains(address);
            if !stays {
                task.abort();
            }
            stays
        });
        self.board.post(|status| {
            let before = status.listener.addresses.len();
            status.listener.addresses.retain(|address, _| wanted.iter().any(|socket| socket.ip() == *address));
            status.listener.addresses.len() != before
        });
        for address in wanted {
            self.sockets.entry(address).or_insert_with(|| {
                let (keys, accepted, board) = (self.keys.subscribe(), self.accepted.clone(), Arc::clone(&self.board));
                self.tasks.spawn(listen(address, keys, accepted, board))
            });
        }
        // The ends of those that were closed.
        while self.tasks.try_join_next().is_some() {}
    }

    /// Gives the sockets the passwords of all peers whose addresses are known.
    pub(super) fn set_keys(&self, setup: &Setup, found: impl Fn(&str) -> Option<SocketAddr>) {
        let keys = setup.sessions.iter().filter_map(|(name, session)| {
            let address = match &session.neighbor {
                Neighbor::Address(address) => *address,
                Neighbor::LinkLocal { address, .. } => (*address).into(),
                Neighbor::Interface(_) => found(name)?.ip(),
            };
            Some((address, Arc::clone(session.password.as_ref()?)))
        });
        let keys: BTreeMap<_, _> = keys.collect();
        self.keys.send_if_modified(|known| {
            let is_new = **known != keys;
            *known = Arc::new(keys);
            is_new
        });
    }
}
