//! A Speaker: what one node's speaker reports.

use std::collections::BTreeSet;
use std::net::IpAddr;

use ironlb_api as api;
use ironlb_model::{
    BgpReport, InterfaceName, Issue, IssueReason, NodeName, ObjectRef, ReportedConflict, ReportedInterface,
    SpeakerReport, WallTime, WithheldVip,
};

use crate::service::parse_stored;

/// Reads a Speaker. Only speakers write these, so what cannot be read is another version's or a person's doing: it is left out
/// and told.
#[must_use]
pub fn speaker(object: &api::Speaker) -> (SpeakerReport, Vec<Issue>) {
    let node = NodeName::from(object.metadata.name.clone().unwrap_or_default());
    let default_status = api::SpeakerStatus::default();
    let status = object.status.as_ref().unwrap_or(&default_status);
    let mut issues = Vec::new();
    let mut unreadable = |field: &str, text: &str| {
        issues.push(Issue {
            object: ObjectRef::Speaker(node.clone()),
            field: field.to_owned(),
            reason: IssueReason::InvalidField,
            message: format!("{} cannot be read and is left out", crate::quote::quoted(text)),
        });
    };

    let mut macs = Vec::new();
    for text in status.interfaces.iter().flatten().filter_map(|interface| interface.mac.as_deref()) {
        match text.parse() {
            Ok(mac) => macs.push(mac),
            Err(_) => unreadable("status.interfaces", text),
        }
    }
    let mut interfaces = Vec::new();
    for interface in status.interfaces.iter().flatten() {
        let mut prefixes = Vec::new();
        for text in interface.prefixes.iter().flatten() {
            match text.parse() {
                Ok(prefix) => prefixes.push(prefix),
                Err(_) => unreadable("status.interfaces", text),
            }
        }
        let name = InterfaceName::from(interface.name.clone());
        interfaces.push(ReportedInterface { name, up: interface.up.unwrap_or(false), prefixes });
    }
    let layer2 = status.layer2.as_ref();
    let mut owned = std::collections::BTreeMap::new();
    for entry in layer2.and_then(|l| l.owned.as_deref()).unwrap_or_default() {
        match parse_stored(&entry.vip) {
            Some(vip) => {
                owned.insert(vip, InterfaceName::from(entry.interface.clone().unwrap_or_default()));
            }
            None => unreadable("status.layer2.owned", &entry.vip),
        }
    }
    let mut withheld = Vec::new();
    for entry in status.withheld.iter().flatten() {
        match parse_stored(&entry.vip) {
            Some(vip) => withheld.push(WithheldVip {
                vip,
                reason: entry.reason.clone().unwrap_or_default(),
                message: entry.message.clone().unwrap_or_default(),
            }),
            None => unreadable("status.withheld", &entry.vip),
        }
    }
    withheld.sort_unstable();

    let mut conflicts = Vec::new();
    for entry in status.conflicts.iter().flatten() {
        let last_heard = WallTime(entry.last_seen.as_ref().map_or(0, |time| time.0.as_second()));
        match (parse_stored(&entry.vip), entry.mac.as_deref().unwrap_or_default().parse()) {
            (Some(vip), Ok(mac)) => conflicts.push(ReportedConflict { vip, mac, last_heard }),
            _ => unreadable("status.conflicts", &entry.vip),
        }
    }
    conflicts.sort_unstable();

    let listed = u64::try_from(owned.len()).unwrap_or(u64::MAX);
    let owned_count = layer2.and_then(|l| l.owned_count).and_then(|count| u64::try_from(count).ok()).unwrap_or(listed);
    let read = SpeakerReport {
        node,
        ready: status.ready.unwrap_or(false),
        macs,
        interfaces,
        owned,
        owned_count,
        bgp: bgp(status),
        withheld,
        conflicts,
    };
    (read, issues)
}

/// What of BGP matters to others. Addresses that cannot be read are left out: they only tell people where a vip is advertised.
fn bgp(status: &api::SpeakerStatus) -> BgpReport {
    let Some(given) = &status.bgp else { return BgpReport::default() };
    let advertised: BTreeSet<IpAddr> = given.advertised.iter().flatten().filter_map(|vip| parse_stored(vip)).collect();
    let listed = u64::try_from(advertised.len()).unwrap_or(u64::MAX);
    let is_established = |session: &&api::SpeakerSession| session.state.as_deref() == Some("ESTABLISHED");
    let (established, down): (Vec<_>, Vec<_>) = given.sessions.iter().flatten().partition(is_established);
    let refused = down.iter().filter_map(|session| Some((session.peer.clone(), session.reason.clone()?))).collect();
    BgpReport {
        refused,
        established: established.into_iter().map(|session| session.peer.clone()).collect(),
        down: down.into_iter().map(|session| (session.peer.clone(), why_down(session))).collect(),
        advertised_count: given.advertised_count.and_then(|count| u64::try_from(count).ok()).unwrap_or(listed),
        advertised,
        looping: given.looping_aggregates.iter().flatten().filter_map(|text| text.parse().ok()).collect(),
    }
}

/// Why a session is not established: what keeps it down, and why the last one ended, where those are two things.
fn why_down(session: &api::SpeakerSession) -> Option<String> {
    match (&session.last_error, &session.last_end) {
        (Some(error), Some(end)) if error != end => Some(format!("{error}; the last session ended: {end}")),
        (error, end) => error.clone().or_else(|| end.clone()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn a_report_is_read_and_what_is_not_a_report_is_left_out() {
        let object = serde_json::from_value(json!({
            "apiVersion": "ironlb.io/v1alpha1", "kind": "Speaker", "metadata": {"name": "n1"},
            "status": {
                "ready": true,
                "interfaces": [{"name": "eth0", "mac": "02:00:00:00:00:01", "up": true, "prefixes": ["192.0.2.5/24"]}, {"name": "tun0"}, {"name": "x", "mac": "nonsense"}],
                "layer2": {"ownedCount": 7, "owned": [{"vip": "192.0.2.7", "interface": "eth0"}, {"vip": "?"}]},
                "bgp": {"advertised": ["192.0.2.3", "?"], "loopingAggregates": ["192.0.2.0/24", "?"], "sessions": [{"peer": "leaf1", "state": "ESTABLISHED"}, {"peer": "leaf2", "state": "ACTIVE", "lastError": "no route"},
                         {"peer": "leaf3", "state": "IDLE", "reason": "SameNeighbor", "lastError": "leaf2 has it"},
                         {"peer": "leaf4", "state": "ACTIVE", "lastError": "refused", "lastEnd": "hold timer expired"}]},
                "withheld": [{"vip": "192.0.2.9", "reason": "NoInterface", "message": "m"}, {"vip": "192.0.2.8"}],
                "conflicts": [{"vip": "192.0.2.7", "mac": "02:00:00:00:00:ee", "lastSeen": "1970-01-01T00:01:00Z"}, {"vip": "192.0.2.8"}],
            },
        })).unwrap();
        let (read, issues) = speaker(&object);
        assert_eq!(read.node, "n1".into());
        assert!(read.ready);
        assert_eq!(read.macs.iter().map(ToString::to_string).collect::<Vec<_>>(), ["02:00:00:00:00:01"]);
        assert_eq!(read.interfaces.len(), 3);
        assert!(read.interfaces[0].up && read.interfaces[0].prefixes == ["192.0.2.5/24".parse().unwrap()]);
        assert!(!read.interfaces[1].up && read.interfaces[1].prefixes.is_empty());
        assert_eq!(read.owned_count, 7);
        assert_eq!((read.bgp.established, read.bgp.advertised_count), (["leaf1".to_owned()].into(), 1));
        assert_eq!(read.bgp.looping, ["192.0.2.0/24".parse().unwrap()].into());
        let both = "refused; the last session ended: hold timer expired";
        let down = [("leaf2", "no route"), ("leaf3", "leaf2 has it"), ("leaf4", both)]
            .map(|(peer, why)| (peer.to_owned(), Some(why.to_owned())));
        assert_eq!(read.bgp.down, down.into());
        assert_eq!(read.bgp.refused, [("leaf3".to_owned(), "SameNeighbor".to_owned())].into());
        assert_eq!(read.owned, [("192.0.2.7".parse().unwrap(), "eth0".into())].into());
        assert_eq!(read.withheld.iter().map(|w| w.vip.to_string()).collect::<Vec<_>>(), ["192.0.2.8", "192.0.2.9"]);
        assert_eq!(
            issues.iter().map(|i| i.field.as_str()).collect::<Vec<_>>(),
            ["status.interfaces", "status.layer2.owned", "status.conflicts"]
        );
        let stranger =
            |ReportedConflict { vip, mac, last_heard }: &ReportedConflict| format!("{vip} {mac} {}", last_heard.0);
        assert_eq!(read.conflicts.iter().map(stranger).collect::<Vec<_>>(), ["192.0.2.7 02:00:00:00:00:ee 60"]);
        assert_eq!(issues[0].object.to_string(), "Speaker n1");
    }

    #[test]
    fn a_speaker_that_has_reported_nothing_is_not_ready() {
        let object = serde_json::from_value(json!({"metadata": {"name": "n1"}})).unwrap();
        let (read, issues) = speaker(&object);
        assert!(!read.ready && read.owned.is_empty() && read.owned_count == 0 && issues.is_empty());
    }
}
