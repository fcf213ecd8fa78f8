//! What the machine is told.

use std::collections::BTreeSet;
use std::net::IpAddr;

use ironlb_model::{MacAddr, NodeName, ResourceVersion, Timestamp};

use crate::SeenLease;

/// What the machine is told. Each [`crate::Output::Renew`] is answered by exactly one `Renewed` or `RenewFailed`, each
/// [`crate::Output::List`] by exactly one `Listed` or `ListFailed`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Input {
    /// The watch showed a Lease, ours included.
    Lease(SeenLease),
    /// The watch showed that a Lease was deleted.
    LeaseGone {
        /// The node it was of.
        node: NodeName,
        /// The version of the deletion.
        version: ResourceVersion,
    },
    /// Every Lease, from a list that the API server may not answer from a stale copy (resourceVersion unset), or from the watch
    /// beginning anew.
    Listed {
        /// When the request was begun: the answer holds every write acknowledged before that.
        started: Timestamp,
        /// All of them.
        leases: Vec<SeenLease>,
    },
    /// A list that was asked for gave no answer.
    ListFailed,
    /// Our renewal was written.
    Renewed {
        /// The version it made.
        version: ResourceVersion,
    },
    /// Our renewal was not written, or nobody knows.
    RenewFailed(RenewFailure),
    /// This process has a snapshot and open sockets, or no longer has. Our Lease is not touched before the first `true`: until
    /// then an older process of this node may hold it.
    Ready(bool),
    /// The Ethernet addresses of this node's interfaces.
    Macs(BTreeSet<MacAddr>),
    /// The vips this node should own, by the election: those it holds and still may, and those that are nobody's and fall to it.
    Wanted(BTreeSet<IpAddr>),
    /// A frame from another member's Ethernet address said that it has this vip.
    ForeignClaim {
        /// The vip.
        vip: IpAddr,
        /// The member.
        member: NodeName,
    },
    /// This process is to end: stop answering, release, say [`crate::Output::Left`].
    Shutdown,
}

/// Why a renewal was not written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum RenewFailure {
    /// No answer, or one that says the server cannot serve anybody now: time-out, connection refused, 429, 5xx.
    Unreachable,
    /// The Lease is not what we thought: 409, 404.
    Conflict,
    /// The server will not have it from us: 401, 403, 422 and every other answer.
    Refused,
}

impl RenewFailure {
    /// The failure's name in metric labels.
    #[must_use]
    pub fn category(self) -> &'static str {
        match self {
            Self::Unreachable => "Unreachable",
            Self::Conflict => "Conflict",
            Self::Refused => "Refused",
        }
    }
}
