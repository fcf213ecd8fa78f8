//! Nodes and namespaces.

use std::net::IpAddr;

use serde::{Deserialize, Serialize};

use crate::{Labels, NamespaceName, NodeName};

/// Why a node is being emptied.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub enum DrainCause {
    /// Annotation `ironlb.io/drain`.
    Annotation,
    /// Taint `node.kubernetes.io/out-of-service`.
    OutOfService,
    /// Taint `ToBeDeletedByClusterAutoscaler`.
    ToBeDeleted,
    /// The machine is being shut down, and the kubelet ends its pods in order.
    Shutdown,
}

impl DrainCause {
    /// The cause's name in reports.
    #[must_use]
    pub const fn category(self) -> &'static str {
        match self {
            Self::Annotation => "Annotation",
            Self::OutOfService => "OutOfService",
            Self::ToBeDeleted => "ToBeDeleted",
            Self::Shutdown => "Shutdown",
        }
    }
}

/// A node, as far as ironlb looks at it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Node {
    /// The name.
    pub name: NodeName,
    /// Labels, for `nodeSelector`.
    pub labels: Labels,
    /// Its InternalIP addresses, in order.
    pub addresses: Vec<IpAddr>,
    /// Condition `Ready` is `True`.
    pub ready: bool,
    /// `spec.unschedulable`.
    pub cordoned: bool,
    /// Label `node.kubernetes.io/exclude-from-external-load-balancers` is present.
    pub excluded: bool,
    /// It is being emptied.
    pub drain: Option<DrainCause>,
}

/// A namespace: its labels, for `namespaceSelector`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Namespace {
    /// The name.
    pub name: NamespaceName,
    /// Labels.
    pub labels: Labels,
}
