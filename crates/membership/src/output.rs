//! What the machine wants done.

use std::collections::BTreeSet;
use std::net::IpAddr;

use ironlb_model::NodeName;

use crate::{Epoch, Incarnation, LeaseWrite};

/// What the machine wants done, in this order: an output is carried out before the next one is begun.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Output {
    /// Stop answering for these vips now. It is done before a later `Renew` is sent, because that one may give them away.
    StopAnswering(BTreeSet<IpAddr>),
    /// Write our Lease. At most one is under way.
    Renew(LeaseWrite),
    /// List all Leases, with resourceVersion unset. At most one is asked for at a time.
    List,
    /// A getter's answer changed: decide anew.
    Changed,
    /// Something an operator would put in a timeline.
    Notice(Notice),
    /// Our Lease is released or was never ours: the process may end.
    Left,
}

/// Something an operator would put in a timeline.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Notice {
    /// We hold our node's Lease.
    Joined,
    /// A node's Lease stood still for too long.
    Expired {
        /// The node.
        node: NodeName,
    },
    /// The API server is silent towards everybody: who owns what stays as it is.
    Frozen,
    /// It answers again.
    Thawed,
    /// We may have been counted out (this process did not run, or our renewals alone failed): nothing is answered until our claims
    /// are renewed and confirmed.
    Lapsed,
    /// Another process of this node took over its Lease: this one answers nothing any more.
    Superseded {
        /// Its incarnation.
        by: Incarnation,
    },
    /// We own a vip now.
    Gained {
        /// The vip.
        vip: IpAddr,
        /// Of our claim.
        epoch: Epoch,
    },
    /// We yielded a vip to a claim that wins over ours.
    Yielded {
        /// The vip.
        vip: IpAddr,
        /// Whose claim.
        to: NodeName,
        /// Of that claim.
        epoch: Epoch,
    },
    /// A member claimed our vip on the wire; we are silent about it until we know better.
    ForeignClaim {
        /// The vip.
        vip: IpAddr,
        /// The member.
        member: NodeName,
    },
    /// A Lease has no room for more claims; this many vips that fall to us stay unclaimed.
    ClaimsFull {
        /// How many.
        left_out: usize,
    },
}

impl Notice {
    /// The notice's name in metric labels.
    #[must_use]
    pub fn category(&self) -> &'static str {
        match self {
            Self::Joined => "Joined",
            Self::Expired { .. } => "Expired",
            Self::Frozen => "Frozen",
            Self::Thawed => "Thawed",
            Self::Lapsed => "Lapsed",
            Self::Superseded { .. } => "Superseded",
            Self::Gained { .. } => "Gained",
            Self::Yielded { .. } => "Yielded",
            Self::ForeignClaim { .. } => "ForeignClaim",
            Self::ClaimsFull { .. } => "ClaimsFull",
        }
    }
}
