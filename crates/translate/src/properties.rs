//! Whatever the text fields hold: no panic, no fault without a message, and what is accepted means one thing only.

use std::net::IpAddr;

use ironlb_model::{AddressRange, Issue};
use proptest::prelude::*;
use serde_json::json;

use crate::{address, wish};

/// Text that comes near the grammar, and text that does not.
fn text() -> impl Strategy<Value = String> {
    prop_oneof![
        "[0-9a-fA-F.:/,% -]{0,40}",
        "(10\\.0\\.[0-9]{1,3}\\.[0-9]{1,3}|2001:db8::[0-9a-f]{1,4})(/[0-9]{1,3}|-10\\.0\\.[0-9]{1,3}\\.[0-9]{1,3})?",
        "can_reach:.{0,20}",
        ".{0,60}",
        "\\PC{0,60}",
    ]
}

fn told(issues: &[Issue]) -> bool {
    issues.iter().all(|issue| !issue.field.is_empty() && !issue.message.is_empty() && issue.message.len() < 2048)
}

proptest! {
    #[test]
    fn any_service_is_read(
        texts in prop::collection::vec(text(), 12),
        port in any::<i32>(), node_port in any::<i32>(),
    ) {
        let t = |i: usize| texts[i].clone();
        let object = json!({
            "metadata": {"name": t(0), "namespace": t(1), "resourceVersion": t(2), "labels": {"eip.openelb.kubesphere.io/v1alpha2": t(3)},
                "annotations": {"lb.kubesphere.io/v1alpha1": t(4), "eip.openelb.kubesphere.io/v1alpha1": t(5),
                    "eip.openelb.kubesphere.io/v1alpha2": t(6), "protocol.openelb.kubesphere.io/v1alpha1": t(7), "ironlb.io/addresses": t(5)}},
            "spec": {"type": t(8), "loadBalancerIP": t(9), "ipFamilies": [t(10)], "ipFamilyPolicy": t(10), "healthCheckNodePort": node_port,
                "ports": [{"port": port, "protocol": t(8)}]},
            "status": {"loadBalancer": {"ingress": [{"ip": t(11)}, {"hostname": t(11)}]}},
        });
        let (read, issues) = crate::service(&serde_json::from_value(object).unwrap());
        prop_assert!(told(&issues));
        prop_assert_eq!(read.wish_unreadable.is_some(), issues.iter().any(|i| i.message.starts_with("the wished address")));
        prop_assert_eq!(read.ingress.len(), 2);
    }

    #[test]
    fn any_eip_is_read(texts in prop::collection::vec(text(), 10), priority in any::<i64>(), usage in any::<i64>()) {
        let t = |i: usize| texts[i].clone();
        let object = json!({
            "metadata": {"name": t(0), "annotations": {"eip.openelb.kubesphere.io/is-default-eip": t(1)}},
            "spec": {"address": t(2), "exclude": [t(3), t(4)], "interface": t(5), "layer2": {"interfaces": [t(6)]}, "sharing": t(7), "priority": priority,
                "reservations": [{"address": t(5), "namespace": t(6), "name": t(7)}, {"address": t(3), "serviceSelector": {}}],
                "quota": {"addressesPerNamespace": priority}, "reuseDelay": t(9),
                "nodeSelector": {"matchExpressions": [{"key": t(7), "operator": t(8), "values": [t(9)]}]}},
            "status": {"usage": usage, "used": {t(8): t(9)}},
        });
        let (read, issues) = crate::eip(&serde_json::from_value(object).unwrap());
        prop_assert!(told(&issues));
        // What may be given out lies in the span, and never in an exclusion.
        for range in read.pool.ranges() {
            prop_assert!(read.span.contains(range.first()) && read.span.contains(range.last()));
            for excluded in [t(3), t(4)].iter().flat_map(|text| address::parse_list(text).0) {
                prop_assert!(!excluded.overlaps(range));
            }
        }
        let unreadable = [t(3), t(4), t(5)].iter().any(|text| !address::parse_list(text).1.is_empty());
        prop_assert_eq!(read.withholds, unreadable);
        // No address is reserved twice, and only exactly one Service or those of a selector are ever meant.
        for (n, one) in read.reservations.iter().enumerate() {
            for other in read.reservations.iter().skip(n + 1) {
                prop_assert!(one.addresses.intersection(&other.addresses).is_empty());
            }
        }
    }

    #[test]
    fn any_node_speaker_and_slice_is_read(texts in prop::collection::vec(text(), 6), count in any::<i64>()) {
        let t = |i: usize| texts[i].clone();
        let (_, issues) = crate::node(&serde_json::from_value(json!({
            "metadata": {"name": t(0), "annotations": {"ironlb.io/drain": t(1)}},
            "spec": {"taints": [{"key": t(2), "effect": t(3)}]},
            "status": {"addresses": [{"type": "InternalIP", "address": t(4)}], "conditions": [{"type": "Ready", "status": t(5)}]},
        })).unwrap());
        prop_assert!(told(&issues));
        let (_, issues) = crate::speaker(&serde_json::from_value(json!({
            "metadata": {"name": t(0)},
            "status": {"interfaces": [{"name": t(1), "mac": t(2)}], "layer2": {"ownedCount": count, "owned": [{"vip": t(3), "interface": t(4)}]},
                "withheld": [{"vip": t(5), "reason": t(0)}]},
        })).unwrap());
        prop_assert!(told(&issues));
        let slice = crate::endpoint_slice(&serde_json::from_value(json!({
            "metadata": {"namespace": t(0), "labels": {"kubernetes.io/service-name": t(1)}}, "addressType": t(2),
            "endpoints": [{"addresses": [t(3)], "nodeName": t(4)}],
        })).unwrap());
        prop_assert!(slice.is_none_or(|slice| slice.endpoints.len() == 1));
    }

    #[test]
    fn every_written_range_is_read_back(first in any::<[u8; 4]>(), last in any::<[u8; 4]>(), v6 in any::<(u128, u128)>()) {
        for (a, b) in [
            (IpAddr::from(first), IpAddr::from(last)),
            (IpAddr::from(v6.0.to_be_bytes()), IpAddr::from(v6.1.to_be_bytes())),
        ] {
            let (a, b) = (a.min(b), a.max(b));
            prop_assume!(a.to_canonical() == a && b.to_canonical() == b);
            let range = AddressRange::new(a, b).unwrap();
            prop_assert_eq!(address::parse_list(&range.to_string()), (vec![range], vec![]));
            prop_assert_eq!(reads_what_was_written(&range, address::parse_list), true);
        }
    }

    #[test]
    fn a_wish_that_is_read_is_read_alike_from_its_own_text(text in text()) {
        if let Ok(wish) = wish::parse_wish(&text) {
            let canonical = wish.iter().map(ToString::to_string).collect::<Vec<_>>().join(",");
            prop_assert_eq!(wish::parse_wish(&canonical), Ok(wish.clone()));
            prop_assert_eq!(wish::parse_remembered(&canonical), wish);
        }
    }
}

type ParseList = fn(&str) -> (Vec<AddressRange>, Vec<address::AddressFault>);

fn reads_what_was_written(range: &AddressRange, parse: ParseList) -> bool {
    parse(&range.to_string()) == (vec![*range], vec![])
}

/// A parser that forgets the last address of a range: the property must see it.
fn broken_parse_list(text: &str) -> (Vec<AddressRange>, Vec<address::AddressFault>) {
    let (ranges, faults) = address::parse_list(text);
    (ranges.into_iter().map(|range| AddressRange::single(range.first())).collect(), faults)
}

#[test]
fn the_property_sees_a_parser_that_cuts_ranges() {
    let range = AddressRange::new(IpAddr::from([192, 0, 2, 1]), IpAddr::from([192, 0, 2, 9])).unwrap();
    assert!(reads_what_was_written(&range, address::parse_list) && !reads_what_was_written(&range, broken_parse_list));
}
