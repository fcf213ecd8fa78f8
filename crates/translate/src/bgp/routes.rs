//! How an Eip's routes are advertised: its `spec.bgp`.

use std::collections::BTreeSet;

use ironlb_api as api;
use ironlb_model::RouteSettings;

use super::fields::Faults;
use crate::quote::quoted;

/// Well-known communities by the names that routers give them (IANA, "BGP Well-known Communities").
const WELL_KNOWN: [(&str, u32); 9] = [
    ("graceful-shutdown", 0xFFFF_0000),
    ("accept-own", 0xFFFF_0001),
    ("llgr-stale", 0xFFFF_0006),
    ("no-llgr", 0xFFFF_0007),
    ("blackhole", 0xFFFF_029A),
    ("no-export", 0xFFFF_FF01),
    ("no-advertise", 0xFFFF_FF02),
    ("no-export-subconfed", 0xFFFF_FF03),
    ("no-peer", 0xFFFF_FF04),
];

/// The longest prefix of own AS numbers. Chosen: many routers refuse paths of more than 50 to 100.
const MAX_PREPEND: u8 = 32;

/// Reads it; what cannot be read is left out and told.
pub(crate) fn routes(given: Option<&api::EipBgp>, faults: &mut Faults) -> RouteSettings {
    let Some(given) = given else { return RouteSettings::default() };
    let length = |most: u8| move |length: &u8| *length < most;
    RouteSettings {
        aggregation_v4: faults
            .number(
                "spec.bgp.aggregationLength",
                given.aggregation_length,
                1..=32,
                "each address has a route of its own",
            )
            .filter(length(32)),
        aggregation_v6: faults
            .number(
                "spec.bgp.aggregationLengthV6",
                given.aggregation_length_v6,
                1..=128,
                "each address has a route of its own",
            )
            .filter(length(128)),
        local_pref: faults.number("spec.bgp.localPref", given.local_pref, 0..=u32::MAX, "the default counts"),
        med: faults.number("spec.bgp.med", given.med, 0..=u32::MAX, "none is sent"),
        communities: texts("spec.bgp.communities", given.communities.as_deref(), faults, community),
        large_communities: texts(
            "spec.bgp.largeCommunities",
            given.large_communities.as_deref(),
            faults,
            large_community,
        ),
        prepend: faults
            .number("spec.bgp.asPathPrepend", given.as_path_prepend, 0..=MAX_PREPEND, "nothing is put before the path")
            .unwrap_or(0),
        peers: given.peers.as_ref().map(|peers| peers.iter().cloned().collect()),
        weighted: given.weighted.unwrap_or(false),
    }
}

fn texts<T: Ord>(
    field: &str,
    given: Option<&[String]>,
    faults: &mut Faults,
    parse: fn(&str) -> Result<T, String>,
) -> BTreeSet<T> {
    let mut read = BTreeSet::new();
    for (index, text) in given.unwrap_or_default().iter().enumerate() {
        match parse(text.trim()) {
            Ok(value) => _ = read.insert(value),
            Err(said) => faults.invalid(&format!("{field}[{index}]"), said),
        }
    }
    read
}

/// A well-known community by its name.
pub(crate) fn well_known_community(text: &str) -> Option<u32> {
    let name = text.to_ascii_lowercase().replace('_', "-");
    WELL_KNOWN.iter().find(|(known, _)| *known == name).map(|(_, value)| *value)
}

pub(crate) fn community(text: &str) -> Result<u32, String> {
    if let Some(value) = well_known_community(text) {
        return Ok(value);
    }
    let halves = text.split_once(':').and_then(|(high, low)| Some((high.parse().ok()?, low.parse().ok()?)));
    halves.map(|(high, low): (u16, u16)| (u32::from(high) << 16) | u32::from(low)).ok_or_else(|| {
        format!(
            "{} is no community: write two numbers up to 65535 such as 65000:1, or a name such as no-export",
            quoted(text)
        )
    })
}

pub(crate) fn large_community(text: &str) -> Result<[u32; 3], String> {
    let parts: Option<Vec<u32>> = text.split(':').map(|part| part.parse().ok()).collect();
    parts
        .and_then(|parts| parts.try_into().ok())
        .ok_or_else(|| format!("{} is no large community: write three numbers such as 64496:1:2", quoted(text)))
}

#[cfg(test)]
mod tests {
    use ironlb_model::ObjectRef;
    use serde_json::{Value, json};

    use super::*;

    fn read(given: Value) -> (RouteSettings, Vec<String>) {
        let mut faults = Faults::of(ObjectRef::Eip("pool".into()));
        let read = routes(Some(&serde_json::from_value(given).unwrap()), &mut faults);
        (read, faults.issues.into_iter().map(|issue| issue.field).collect())
    }

    #[test]
    fn every_field_is_read() {
        let (read, faults) = read(json!({
            "aggregationLength": 24, "aggregationLengthV6": 64, "localPref": 200, "med": 0, "asPathPrepend": 2,
            "communities": ["65000:1", "NO_EXPORT", "graceful-shutdown"], "largeCommunities": ["64496:1:4294967295"],
            "peers": ["leaf1", "leaf2"], "weighted": true,
        }));
        assert_eq!(faults, [""; 0]);
        assert_eq!((read.aggregation_v4, read.aggregation_v6), (Some(24), Some(64)));
        assert_eq!((read.local_pref, read.med, read.prepend, read.weighted), (Some(200), Some(0), 2, true));
        assert_eq!(read.communities, [65000 << 16 | 1, 0xFFFF_0000, 0xFFFF_FF01].into());
        assert_eq!(read.large_communities, [[64496, 1, u32::MAX]].into());
        assert_eq!(read.peers.unwrap().len(), 2);
    }

    #[test]
    fn a_route_of_full_length_is_no_aggregate() {
        let (read, faults) = read(json!({"aggregationLength": 32, "aggregationLengthV6": 128}));
        assert_eq!((read, faults.len()), (RouteSettings::default(), 0));
    }

    #[test]
    fn a_fault_is_told_with_its_field() {
        for (given, field) in [
            (json!({"aggregationLength": 0}), "spec.bgp.aggregationLength"),
            (json!({"aggregationLength": 33}), "spec.bgp.aggregationLength"),
            (json!({"localPref": -1}), "spec.bgp.localPref"),
            (json!({"med": 4_294_967_296_i64}), "spec.bgp.med"),
            (json!({"asPathPrepend": 33}), "spec.bgp.asPathPrepend"),
            (json!({"communities": ["65536:1"]}), "spec.bgp.communities[0]"),
            (json!({"communities": ["no-export", "none"]}), "spec.bgp.communities[1]"),
            (json!({"largeCommunities": ["1:2"]}), "spec.bgp.largeCommunities[0]"),
        ] {
            assert_eq!(read(given.clone()).1, [field], "{given}");
        }
    }
}
