//! What the Speaker object says: the decision's report, and what only the process knows. Pure.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;

use ironlb_announce::Drain;
use ironlb_api::{OwnedVip, SpeakerInterface, SpeakerLayer2, SpeakerStatus, VipConflict, WithheldVip};
use ironlb_model::{InterfaceName, MacAddr, NodeName, ServiceId, SpeakerReport, WallTime};

/// How many conflicts are kept and told. Chosen, as for the withheld vips: nobody reads more.
pub(crate) const MAX_CONFLICTS: usize = 100;

/// Everything that is told.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Telling {
    /// The decision's report.
    pub(crate) report: SpeakerReport,
    /// The Ethernet address of each interface.
    pub(crate) macs: BTreeMap<InterfaceName, MacAddr>,
    /// The nodes regarded as alive, this one included.
    pub(crate) members: BTreeSet<NodeName>,
    /// For each vip answered: the Service it is for, and since when.
    pub(crate) owned: BTreeMap<IpAddr, (ServiceId, WallTime)>,
    /// Stations that are no members and claimed a vip of ours, and when they were last heard.
    pub(crate) conflicts: BTreeMap<(IpAddr, MacAddr), WallTime>,
    /// Where the node stands that is being emptied.
    pub(crate) drain: Option<Drain>,
    /// Names this life of the process.
    pub(crate) incarnation: String,
}

impl Telling {
    /// The object's status.
    pub(crate) fn status(&self, version: &str, now: WallTime) -> SpeakerStatus {
        let Self { report, macs, members, owned, conflicts, drain, incarnation } = self;
        let owned_vip = |(vip, interface): (&IpAddr, &InterfaceName)| OwnedVip {
            vip: vip.to_string(),
            interface: Some(interface.to_string()),
            service: owned.get(vip).map(|(service, _)| service.to_string()),
            since: owned.get(vip).map(|(_, since)| ironlb_k8s::clock::api_time(*since)),
        };
        SpeakerStatus {
            version: Some(version.to_owned()),
            incarnation: Some(incarnation.clone()),
            ready: Some(report.ready),
            interfaces: Some(interfaces(report, macs)),
            members: Some(members.iter().map(NodeName::to_string).collect()),
            members_count: Some(count(members.len())),
            layer2: Some(SpeakerLayer2 {
                owned_count: Some(i64::try_from(report.owned_count).unwrap_or(i64::MAX)),
                owned: Some(report.owned.iter().map(owned_vip).collect()),
            }),
            bgp: None,
            withheld_count: Some(count(report.withheld.len())),
            withheld: Some(report.withheld.iter().map(withheld).collect()),
            conflicts: Some(conflicts.iter().take(MAX_CONFLICTS).map(conflict).collect()),
            drain: drain.map(|drain| drain.to_string()),
            observed_time: Some(ironlb_k8s::clock::api_time(now)),
            conditions: None,
        }
    }
}

fn interfaces(report: &SpeakerReport, macs: &BTreeMap<InterfaceName, MacAddr>) -> Vec<SpeakerInterface> {
    let told = report.interfaces.iter().map(|interface| SpeakerInterface {
        name: interface.name.to_string(),
        mac: macs.get(&interface.name).map(MacAddr::to_string),
        up: Some(interface.up),
        prefixes: Some(interface.prefixes.iter().map(ToString::to_string).collect()),
    });
    told.collect()
}

fn withheld(vip: &ironlb_model::WithheldVip) -> WithheldVip {
    WithheldVip { vip: vip.vip.to_string(), reason: Some(vip.reason.clone()), message: Some(vip.message.clone()) }
}

fn conflict(((vip, mac), seen): (&(IpAddr, MacAddr), &WallTime)) -> VipConflict {
    VipConflict {
        vip: vip.to_string(),
        mac: Some(mac.to_string()),
        last_seen: Some(ironlb_k8s::clock::api_time(*seen)),
    }
}

fn count(number: usize) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}
