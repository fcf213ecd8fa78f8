//! The endpoints of a Service.

use serde::{Deserialize, Serialize};

use crate::NodeName;

/// One endpoint of a Service.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Endpoint {
    /// The node it runs on; absent for endpoints outside the cluster.
    pub node: Option<NodeName>,
    /// Passes its readiness and is not going away.
    pub ready: bool,
    /// Still serves although it is going away.
    pub serving: bool,
    /// Is going away.
    pub terminating: bool,
}

/// Every endpoint of one Service, from all its EndpointSlices.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Endpoints {
    /// Sorted.
    pub endpoints: Vec<Endpoint>,
}

impl Endpoints {
    /// Is there a ready endpoint anywhere?
    #[must_use]
    pub fn any_ready(&self) -> bool {
        self.endpoints.iter().any(|e| e.ready)
    }

    /// Is there anything that can take a connection: a ready endpoint, or, where none is left, one that still serves while it
    /// is going away?
    #[must_use]
    pub fn any_usable(&self) -> bool {
        self.any_ready() || self.endpoints.iter().any(|e| e.serving && e.terminating)
    }

    /// The nodes that can take a connection for a Service with policy Local, repeated for each endpoint that lets them. Terminating
    /// endpoints count only when nothing ready is left anywhere.
    pub fn usable_nodes(&self) -> impl Iterator<Item = &NodeName> {
        let any_ready = self.any_ready();
        self.endpoints
            .iter()
            .filter(move |e| e.ready || (!any_ready && e.serving && e.terminating))
            .filter_map(|e| e.node.as_ref())
    }

    /// Can this node take a connection for a Service with policy Local? Terminating endpoints count only when nothing ready
    /// is left anywhere.
    #[must_use]
    pub fn usable_on(&self, node: &NodeName) -> bool {
        self.usable_nodes().any(|usable| usable == node)
    }
}
