//! The API server: Leases with versions, writes that need the right version, and how reachable it is.

use std::collections::BTreeMap;

use ironlb_membership::{LeaseWrite, RenewFailure, SeenLease};
use ironlb_model::{NodeName, ResourceVersion};

/// How the server takes requests.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Health {
    Serving,
    /// Connections are refused.
    Down,
    /// Requests wait and are done when it serves again, long after whoever asked gave up.
    Hanging,
}

#[derive(Debug)]
pub(crate) struct ApiServer {
    pub(crate) health: Health,
    version: u64,
    leases: BTreeMap<NodeName, SeenLease>,
    /// What a list answered from a stale copy shows.
    pub(crate) stale: Vec<SeenLease>,
}

impl ApiServer {
    pub(crate) fn new() -> Self {
        Self { health: Health::Serving, version: 100, leases: BTreeMap::new(), stale: Vec::new() }
    }

    pub(crate) fn list(&self) -> Vec<SeenLease> {
        self.leases.values().cloned().collect()
    }

    /// Does a write; `renewed` is the writer's wall clock, which says nothing to anybody else.
    pub(crate) fn write(
        &mut self,
        node: &NodeName,
        write: &LeaseWrite,
        renewed: String,
    ) -> Result<SeenLease, RenewFailure> {
        let known = self.leases.get(node).map(|lease| lease.version);
        if known != write.expected {
            return Err(RenewFailure::Conflict);
        }
        self.version += 1;
        let lease = SeenLease {
            node: node.clone(),
            version: ResourceVersion(self.version),
            holder: write.holder.clone(),
            renewed,
            transitions: write.transitions,
            ready: write.ready,
            macs: write.macs.clone(),
            claims: write.claims.clone(),
        };
        self.leases.insert(node.clone(), lease.clone());
        Ok(lease)
    }

    /// Somebody deletes a Lease.
    pub(crate) fn delete(&mut self, node: &NodeName) -> Option<ResourceVersion> {
        self.leases.remove(node)?;
        self.version += 1;
        Some(ResourceVersion(self.version))
    }
}
