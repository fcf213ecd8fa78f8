//! What a speaker remembers from one decision to the next.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;
use std::sync::Arc;

use ironlb_model::{Eip, InterfaceName, NodeName, SpeakerReport, Timestamp};

/// What a speaker remembers from one decision to the next. Plain data, lost with the process.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Memory {
    /// What has been done.
    pub applied: Applied,
    /// The Eip last found for each vip: should it vanish, its settings go on being used.
    pub last_eip: BTreeMap<IpAddr, Arc<Eip>>,
    /// The vips that were advertised in BGP after the last decision.
    pub advertised: BTreeSet<IpAddr>,
    /// Of those, the ones that are being given up, and when each is withdrawn.
    pub leaving: BTreeMap<IpAddr, Timestamp>,
    /// Since when each node that is not Ready has been seen not to be.
    pub not_ready_since: BTreeMap<NodeName, Timestamp>,
}

/// What has been done: effects, not intentions. The loop writes down each action that succeeded.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Applied {
    /// The vips that are answered, and on which interface.
    pub answering: BTreeMap<IpAddr, InterfaceName>,
    /// What was reported last, and when.
    pub report: Option<(SpeakerReport, Timestamp)>,
}
