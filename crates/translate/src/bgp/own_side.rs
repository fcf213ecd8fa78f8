//! The spec of a BgpConf.

use std::collections::BTreeSet;
use std::net::{IpAddr, Ipv4Addr};

use ironlb_api as api;
use ironlb_model::{BGP_PORT, IpFamily, IssueReason, OwnSide};

use super::fields::{Faults, asn};
use super::without_effect;
use crate::address;

/// Reads it; what cannot be read is as if it were absent, and told.
pub(super) fn own_side(spec: &api::BgpConfSpec, faults: &mut Faults) -> OwnSide {
    faults.compare("spec.routerId", spec.router_id.as_ref(), "spec.routerID", spec.router_id_v1alpha1.as_ref());
    faults.compare("spec.listenPort", spec.listen_port.as_ref(), "spec.port", spec.port_v1alpha1.as_ref());
    without_effect::of_conf(spec, faults);
    OwnSide {
        asn: asn(spec.asn),
        as_per_rack: spec.as_per_rack.as_ref().map(|racks| {
            racks.iter().filter_map(|(rack, number)| asn(Some(*number)).map(|asn| (rack.clone(), asn))).collect()
        }),
        router_id: router_id(spec.router_id.as_deref().or(spec.router_id_v1alpha1.as_deref()), faults),
        listen_port: listen_port(spec.listen_port.or(spec.port_v1alpha1), faults),
        listen_addresses: listen_addresses(spec.listen_addresses.as_deref().unwrap_or_default(), faults),
        families: families(spec.families.as_deref().unwrap_or_default(), faults),
        graceful_restart: faults.graceful_restart("spec.gracefulRestart", spec.graceful_restart.as_ref()),
        policy: spec.policy.clone().filter(|name| !name.is_empty()),
    }
}

/// RFC 6286 section 2.1: any number but zero, written as an IPv4 address.
fn router_id(text: Option<&str>, faults: &mut Faults) -> Option<Ipv4Addr> {
    const INSTEAD: &str = "each node's first IPv4 InternalIP is its identifier";
    match faults.address("spec.routerId", text, INSTEAD)? {
        IpAddr::V4(id) if !id.is_unspecified() => Some(id),
        other => {
            let said = format!(
                "{other} is no BGP identifier: write an IPv4 address other than 0.0.0.0; until then, {INSTEAD}"
            );
            faults.invalid("spec.routerId", said);
            None
        }
    }
}

/// Absent and 0 are the port of BGP; a negative one does not listen.
fn listen_port(given: Option<i64>, faults: &mut Faults) -> Option<u16> {
    match given {
        None | Some(0) => Some(BGP_PORT),
        Some(..0) => None,
        Some(port) => {
            faults.number("spec.listenPort", Some(port), 1..=u16::MAX, "the speakers only connect and do not listen")
        }
    }
}

fn listen_addresses(texts: &[String], faults: &mut Faults) -> Vec<IpAddr> {
    let mut addresses = Vec::with_capacity(texts.len());
    for (index, text) in texts.iter().enumerate() {
        match address::parse_address(text.trim()) {
            Ok(address) => addresses.push(address),
            Err(fault) => faults.invalid(&format!("spec.listenAddresses[{index}]"), fault.to_string()),
        }
    }
    if addresses.is_empty() && !texts.is_empty() {
        // Not all of them: whoever lists addresses means to close the others.
        addresses.push(IpAddr::V4(Ipv4Addr::LOCALHOST));
    }
    addresses
}

/// GoBGP's numbers of address families; none is all.
fn families(numbers: &[i64], faults: &mut Faults) -> BTreeSet<IpFamily> {
    if numbers.is_empty() {
        return [IpFamily::V4, IpFamily::V6].into();
    }
    let mut families = BTreeSet::new();
    for (index, number) in numbers.iter().enumerate() {
        match number {
            0 => _ = families.insert(IpFamily::V4),
            1 => _ = families.insert(IpFamily::V6),
            other => {
                let said = format!("family {other} is not served: 0 is IPv4 unicast and 1 is IPv6 unicast");
                faults.add(&format!("spec.families[{index}]"), IssueReason::Ignored, said);
            }
        }
    }
    families
}

#[cfg(test)]
mod tests {
    use ironlb_model::ObjectRef;
    use serde_json::{Value, json};

    use super::*;

    fn read(spec: Value) -> (OwnSide, Vec<String>) {
        let mut faults = Faults::of(ObjectRef::BgpConf("default".into()));
        let read = own_side(&serde_json::from_value(spec).unwrap(), &mut faults);
        (read, faults.issues.into_iter().map(|issue| issue.field).collect())
    }

    #[test]
    fn an_empty_spec_is_off_and_would_listen_on_the_port_of_bgp() {
        let (read, faults) = read(json!({}));
        assert_eq!((read.asn, read.listen_port, read.as_per_rack, faults.len()), (None, Some(179), None, 0));
        assert_eq!(read.families, [IpFamily::V4, IpFamily::V6].into());
    }

    #[test]
    fn every_field_is_read() {
        let (read, faults) = read(json!({
            "as": 4_200_000_000_u32, "asPerRack": {"a": 65001, "b": 0}, "routerId": "192.0.2.1", "listenPort": 17900,
            "listenAddresses": ["192.0.2.1", "2001:db8::1"], "families": [1], "policy": "export",
            "gracefulRestart": {"enabled": true, "restartTime": 60, "notificationEnabled": true},
        }));
        assert_eq!(faults, [""; 0]);
        assert_eq!(read.asn.map(ironlb_model::Asn::get), Some(4_200_000_000));
        assert_eq!(read.as_per_rack.unwrap().len(), 1, "0 is no AS number");
        assert_eq!((read.router_id, read.listen_port), (Some(Ipv4Addr::new(192, 0, 2, 1)), Some(17900)));
        assert_eq!((read.listen_addresses.len(), read.families), (2, [IpFamily::V6].into()));
        let restart = read.graceful_restart.unwrap();
        assert_eq!((restart.restart_time.as_secs(), restart.notification, restart.helper_only), (60, true, false));
        assert_eq!(read.policy.as_deref(), Some("export"));
    }

    #[test]
    fn v1alpha1s_spellings_count_where_the_newer_ones_are_absent() {
        let (read, faults) = read(json!({"routerID": "192.0.2.1", "port": -1}));
        assert_eq!((read.router_id.is_some(), read.listen_port, faults.len()), (true, None, 0));
    }

    #[test]
    fn a_fault_is_told_with_its_field_and_opens_nothing() {
        for (spec, field) in [
            (json!({"routerId": "2001:db8::1"}), "spec.routerId"),
            (json!({"routerId": "0.0.0.0"}), "spec.routerId"),
            (json!({"routerId": "one"}), "spec.routerId"),
            (json!({"listenPort": 70000}), "spec.listenPort"),
            (json!({"listenAddresses": ["eth0"]}), "spec.listenAddresses[0]"),
            (json!({"families": [0, 9]}), "spec.families[1]"),
            (json!({"gracefulRestart": {"enabled": true, "restartTime": 4096}}), "spec.gracefulRestart.restartTime"),
            (json!({"useMultiplePaths": true}), "spec.useMultiplePaths"),
            (
                json!({"gracefulRestart": {"enabled": true, "longlivedEnabled": true}}),
                "spec.gracefulRestart.longlivedEnabled",
            ),
        ] {
            assert_eq!(read(spec.clone()).1, [field], "{spec}");
        }
        assert_eq!(read(json!({"listenPort": 70000})).0.listen_port, None);
        assert_eq!(read(json!({"listenAddresses": ["eth0"]})).0.listen_addresses, [IpAddr::V4(Ipv4Addr::LOCALHOST)]);
    }
}
