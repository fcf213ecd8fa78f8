//! What this controller wrote and has not seen come back.
//!
//! A watch lags behind what was written. A plan made on a view without the last assignment would give the same address away again,
//! and the version a patch carries does not help: it protects one object, uniqueness spans two.

use std::collections::BTreeMap;
use std::net::IpAddr;

use ironlb_model::{Condition, ResourceVersion, ServiceId, Timestamp};

use crate::action::ActionId;
use crate::conflict::Claim;
use crate::event::Event;
use crate::reuse::Freed;

/// How far a write is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum WriteState {
    /// Handed out; no answer yet.
    Sent,
    /// The server answered with this version; the snapshot has not shown it yet.
    Written(ResourceVersion),
    /// No answer came: it may have been carried out, or be carried out later.
    Unknown {
        /// When that became clear.
        at: Timestamp,
    },
}

/// One write to one object.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Write {
    /// The action.
    pub id: ActionId,
    /// The version the write was made against: it fails if the object has another.
    pub sent: ResourceVersion,
    /// How far it is.
    pub state: WriteState,
    /// The addresses it leaves on the Service.
    pub addresses: Vec<IpAddr>,
    /// The conditions it leaves on the Service.
    pub conditions: Vec<Condition>,
    /// What people are told once it is done.
    pub events: Vec<Event>,
    /// The Service's uid, where a refusal may be told on it.
    pub uid: Option<String>,
}

/// What this controller knows beyond the snapshot.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct InFlight {
    /// Writes to Services.
    pub services: BTreeMap<ServiceId, Write>,
    /// Services whose status another writer changes back again and again, with that writer's name where it is known.
    pub contended: BTreeMap<ServiceId, Option<String>>,
    /// Addresses that were given back a short while ago, where their Eip has a `reuseDelay`.
    pub freed: BTreeMap<IpAddr, Freed>,
    /// Addresses that a host outside the cluster claims, whatever their Eip does about it.
    pub claimed: BTreeMap<IpAddr, Claim>,
}

impl Write {
    /// Does an object at `version` show what became of this write?
    ///
    /// Written: once the object is at the version the server returned. Otherwise: once the object has moved past the version the
    /// write was made against, since then the write either is in what it shows or can never be carried out.
    pub(crate) fn is_settled_by(&self, version: ResourceVersion) -> bool {
        match self.state {
            WriteState::Sent => false,
            WriteState::Written(written) => version >= written,
            WriteState::Unknown { .. } => version > self.sent,
        }
    }
}
