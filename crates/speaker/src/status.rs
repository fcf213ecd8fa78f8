//! What the Speaker object says: the decision's report, and what only the process knows. Pure.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;

use ironlb_announce::Drain;
use ironlb_api::{OwnedVip, SpeakerInterface, SpeakerLayer2, SpeakerStatus, VipConflict, WithheldVip};
use ironlb_model::{InterfaceName, MacAddr, NodeName, ServiceId, SpeakerReport, WallTime};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition;

use crate::bgp::{BgpTelling, Moment};
use crate::fallback::Staleness;

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
    /// The sessions with routers.
    pub(crate) bgp: Option<BgpTelling>,
    /// It goes or went on from a kept snapshot.
    pub(crate) staleness: Option<Staleness>,
    /// Names this life of the process.
    pub(crate) incarnation: String,
}

impl Telling {
    /// The object's status.
    pub(crate) fn status(&self, version: &str, now: WallTime) -> SpeakerStatus {
        let Self { report, macs, members, owned, conflicts, drain, bgp, staleness, incarnation } = self;
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
            bgp: bgp.as_ref().map(|bgp| bgp.speaker(&report.bgp, Moment::read())),
            withheld_count: Some(count(report.withheld.len())),
            withheld: Some(report.withheld.iter().map(withheld).collect()),
            conflicts: Some(conflicts.iter().take(MAX_CONFLICTS).map(conflict).collect()),
            drain: drain.map(|drain| drain.to_string()),
            observed_time: Some(ironlb_k8s::clock::api_time(now)),
            conditions: staleness.map(|staleness| vec![stale(staleness)]),
        }
    }
}

/// The condition that tells of a kept snapshot.
fn stale(Staleness { since, until }: Staleness) -> Condition {
    let began = ironlb_k8s::clock::api_time(since);
    let (status, reason, message) = match until {
        None => (
            "True",
            "ApiServerSilent",
            "the API server does not answer: going on from the snapshot kept on the node".to_owned(),
        ),
        Some(_) => (
            "False",
            "ListsComplete",
            format!(
                "the API server did not answer after {}; until it did, the snapshot kept on the node was used",
                began.0
            ),
        ),
    };
    Condition {
        type_: "StaleSnapshot".to_owned(),
        status: status.to_owned(),
        reason: reason.to_owned(),
        message,
        observed_generation: None,
        last_transition_time: until.map_or(began, ironlb_k8s::clock::api_time),
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
