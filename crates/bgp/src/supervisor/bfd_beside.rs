//! BFD beside the sessions that want it: its thread runs while there is one.

use std::collections::BTreeMap;
use std::net::{IpAddr, SocketAddr};

use ironlb_bfd_proto::Path;
use ironlb_model::Neighbor;
use tokio::sync::mpsc;
use tracing::error;

use crate::place::scope_of;
use crate::{Setup, bfd, neighbor};

/// The thread, once there was a session for it, and what it was told.
#[derive(Debug)]
pub(super) struct BfdBeside {
    seed: u64,
    driver: Option<(bfd::Driver, mpsc::UnboundedReceiver<bfd::Change>)>,
    told: BTreeMap<String, (Path, bfd::Setup)>,
}

impl BfdBeside {
    pub(super) const fn new(seed: u64) -> Self {
        Self { seed, driver: None, told: BTreeMap::new() }
    }

    /// Tells the thread which sessions there are, and names those that it had and has no more.
    pub(super) fn set(&mut self, setup: &Setup, found: impl Fn(&str) -> Option<SocketAddr>) -> Vec<String> {
        let mut wanted: BTreeMap<String, (Path, bfd::Setup)> = BTreeMap::new();
        for (name, session) in &setup.sessions {
            // One that is held down has no path that would have to be watched.
            let Some(beside) = session.bfd.as_ref().filter(|_| session.admin_down.is_none()) else { continue };
            let Some(path) = path_of(&session.neighbor, session.source, found(name)) else { continue };
            // No two may have the same; the first by name has it.
            if wanted.values().all(|(taken, _)| *taken != path) {
                wanted.insert(name.clone(), (path, beside.clone()));
            }
        }
        if wanted == self.told {
            return Vec::new();
        }
        if self.driver.is_none() {
            match bfd::Driver::start(self.seed) {
                Ok(driver) => self.driver = Some(driver),
                Err(error) => {
                    error!(%error, "BFD cannot run; it is tried again with the next change");
                    return Vec::new();
                }
            }
        }
        if let Some((driver, _)) = &self.driver {
            driver.set(wanted.clone());
        }
        let gone = self.told.keys().filter(|name| !wanted.contains_key(*name)).cloned().collect();
        self.told = wanted;
        gone
    }

    /// The next change of a session; never, while there is none.
    pub(super) async fn changed(&mut self) -> bfd::Change {
        if let Some((_, changes)) = &mut self.driver {
            if let Some(change) = changes.recv().await {
                return change;
            }
            error!("the thread of BFD ended by a fault of its own: it begins again with the next change");
            self.forget();
        }
        std::future::pending().await
    }

    /// Has all of it told anew.
    pub(super) fn forget(&mut self) {
        self.driver = None;
        self.told.clear();
    }

    /// Takes all sessions of BFD down on purpose.
    pub(super) async fn admin_down(&self) {
        if let Some((driver, _)) = &self.driver {
            driver.admin_down().await;
        }
    }
}

/// Between which addresses BFD runs; none while the peer's is not known.
fn path_of(neighbor: &Neighbor, source: Option<IpAddr>, found: Option<SocketAddr>) -> Option<Path> {
    let (remote, interface) = match neighbor {
        Neighbor::Address(address) => (*address, None),
        Neighbor::LinkLocal { address, interface } => ((*address).into(), Some(neighbor::index_of(interface)?)),
        Neighbor::Interface(_) => (found?.ip(), Some(scope_of(found?)?)),
    };
    Some(Path { remote, local: source, interface })
}
