//! What a node's speaker sees and reports.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::{InterfaceName, MacAddr, NodeName, Prefix, WallTime};

/// So long after it was last heard a stranger's claim to a vip counts. Chosen: several times the minute after which common hosts
/// ask for a neighbour again and thereby name their own address, so one that goes on is not forgotten between two of its requests;
/// and short enough to wait for once it is gone.
pub const CONFLICT_COUNTS: Duration = Duration::from_mins(5);

/// A network interface of a node.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Interface {
    /// The name.
    pub name: InterfaceName,
    /// The kernel's index; a re-created interface has another.
    pub index: u32,
    /// The Ethernet address; absent for interfaces without one.
    pub mac: Option<MacAddr>,
    /// Administratively up and with carrier.
    pub up: bool,
    /// Its addresses with their prefix lengths (host bits kept).
    pub prefixes: Vec<Prefix>,
    /// The name of the bridge or bond it is a port of; such a port is never announced on.
    pub controller: Option<InterfaceName>,
    /// It is the loopback interface.
    pub loopback: bool,
}

/// Every network interface of one node, by name.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Interfaces {
    /// By name.
    pub by_name: BTreeMap<InterfaceName, Interface>,
}

/// A vip this node could announce and does not.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct WithheldVip {
    /// The address.
    pub vip: IpAddr,
    /// A reason from `announce`'s closed list.
    pub reason: String,
    /// A sentence for people.
    pub message: String,
}

/// A vip that a host outside the cluster was heard to claim.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct ReportedConflict {
    /// The address.
    pub vip: IpAddr,
    /// The other host's Ethernet address.
    pub mac: MacAddr,
    /// When it was last heard, by the node's own clock: a change of it is news, and nothing else is read from it.
    pub last_heard: WallTime,
}

/// A network interface that a speaker reports as one it could answer on.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct ReportedInterface {
    /// The name.
    pub name: InterfaceName,
    /// Administratively up and with carrier.
    pub up: bool,
    /// Its addresses with their prefix lengths.
    pub prefixes: Vec<Prefix>,
}

/// What a speaker reports of BGP.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct BgpReport {
    /// The BgpPeers, by name, with which its session is established.
    pub established: BTreeSet<String>,
    /// The BgpPeers with which it has a session that is not established, and why not where that is known. Only what was read from a
    /// Speaker has it.
    pub down: BTreeMap<String, Option<String>>,
    /// Those of `down` that select the node and cannot have a session, each with the reason from `announce`'s closed list.
    pub refused: BTreeMap<String, String>,
    /// The vips it advertises in an established session (a bounded list).
    pub advertised: BTreeSet<IpAddr>,
    /// How many vips it advertises in an established session.
    pub advertised_count: u64,
    /// The aggregates it advertises although its node would pass packets for their unused addresses on to a router, which sends them
    /// back (a bounded list).
    pub looping: BTreeSet<Prefix>,
}

/// What a speaker last reported in its `Speaker` object.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SpeakerReport {
    /// The node.
    pub node: NodeName,
    /// It has a snapshot and its sockets are open.
    pub ready: bool,
    /// The Ethernet addresses of its interfaces: a frame from one of them is a member's, not a stranger's.
    pub macs: Vec<MacAddr>,
    /// The interfaces it could answer on: other speakers look here to see which nodes are on a vip's subnet.
    pub interfaces: Vec<ReportedInterface>,
    /// The vips it owns in Layer 2, with the interface they are answered on (a bounded list).
    pub owned: BTreeMap<IpAddr, InterfaceName>,
    /// How many vips it owns.
    pub owned_count: u64,
    /// What it does in BGP.
    pub bgp: BgpReport,
    /// The vips it withholds, with the reason (a bounded list).
    pub withheld: Vec<WithheldVip>,
    /// The vips that a host outside the cluster claims (a bounded list).
    pub conflicts: Vec<ReportedConflict>,
}
