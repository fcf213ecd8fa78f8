use ironlb_model::{Asn, ObjectRef};
use serde_json::{Value, json};

use super::*;

fn read(spec: Value) -> (Option<Peering>, Vec<String>) {
    let mut faults = Faults::of(ObjectRef::BgpPeer("leaf1".into()));
    let read = peering(&serde_json::from_value(spec).unwrap(), &mut faults);
    (read, faults.issues.into_iter().map(|issue| issue.field).collect())
}

/// The smallest peer with further fields.
fn with(further: Value) -> Value {
    let mut spec = json!({"conf": {"neighborAddress": "192.0.2.1", "peerAs": 65001}});
    for (key, value) in further.as_object().unwrap() {
        if key == "conf" {
            spec["conf"].as_object_mut().unwrap().extend(value.as_object().unwrap().clone());
        } else {
            spec[key] = value.clone();
        }
    }
    spec
}

fn seconds(number: u64) -> Duration {
    Duration::from_secs(number)
}

#[test]
fn the_smallest_peer_has_openelbs_defaults() {
    let (read, faults) = read(with(json!({})));
    let read = read.unwrap();
    assert_eq!(faults, [""; 0]);
    assert_eq!(read, Peering::new(Neighbor::Address("192.0.2.1".parse().unwrap()), Asn::new(65001).unwrap()));
    assert_eq!((read.local_asn, read.port), (None, 179));
    assert_eq!(read.families, [(IpFamily::V4, FamilySettings { add_path_send: 10, without_restart: false })].into());
    assert_eq!((read.timers.hold_time, read.timers.connect_retry), (seconds(90), seconds(5)));
    assert_eq!((read.distance, read.passive, read.admin_down, read.bfd), (Distance::Default, false, false, None));
    assert!(read.node_selector.is_none() && read.graceful_restart.is_none() && read.password.is_none());
}

#[test]
fn every_field_is_read() {
    let (read, faults) = read(with(json!({
        "conf": {"localAs": 65100, "authPassword": "secret", "adminDown": true, "removePrivateAs": "ALL", "replacePeerAs": true},
        "ebgpMultihop": {"enabled": true, "multihopTtl": 5},
        "timers": {"config": {"connectRetry": "5", "holdTime": "9", "keepaliveInterval": "3"}},
        "transport": {"passiveMode": true, "remotePort": 17900},
        "gracefulRestart": {"enabled": true},
        "afiSafis": [
            {"config": {"family": {"afi": "AFI_IP", "safi": "SAFI_UNICAST"}}, "addPaths": {"config": {"sendMax": 4}}},
            {"config": {"family": {"afi": "AFI_IP6"}}, "mpGracefulRestart": {"config": {"enabled": false}}},
        ],
        "nodeSelector": {"matchLabels": {"rack": "a"}},
        "bfd": {"enabled": true, "receiveInterval": 50, "transmitInterval": 60, "detectMultiplier": 5, "multihop": true, "strict": true},
        "sourceAddress": "192.0.2.9", "nextHopSelf": true,
    })));
    let read = read.unwrap();
    assert_eq!(faults, [""; 0]);
    assert_eq!((read.local_asn, read.admin_down, read.passive, read.port), (Asn::new(65100), true, true, 17900));
    assert_eq!((read.distance, read.next_hop_self), (Distance::Ttl(5), true));
    let timers = read.timers;
    assert_eq!((timers.connect_retry, timers.hold_time, timers.keepalive), (seconds(5), seconds(9), Some(seconds(3))));
    assert_eq!(read.graceful_restart.unwrap().restart_time, seconds(30));
    assert_eq!(read.families.values().map(|family| family.add_path_send).collect::<Vec<_>>(), [4, 0]);
    assert_eq!(read.families.values().map(|family| family.without_restart).collect::<Vec<_>>(), [false, true]);
    assert_eq!(read.as_path, AsPathSettings { private: PrivateAs::Remove, replace_peer: true });
    let bfd = read.bfd.unwrap();
    assert_eq!((bfd.receive_interval.as_millis(), bfd.transmit_interval.as_millis()), (50, 60));
    assert_eq!((bfd.detect_multiplier, bfd.multihop_min_ttl, bfd.strict), (5, Some(254), true));
    assert_eq!(read.source_address, Some("192.0.2.9".parse().unwrap()));
    assert_eq!(format!("{:?}", read.password), "Some(Plain(..))", "a password is never printed");
}

#[test]
fn neighbours_come_by_address_link_local_address_and_interface() {
    for (conf, want) in [
        (json!({"neighborAddress": "2001:db8::1", "peerAs": 1}), Some("2001:db8::1")),
        (json!({"neighborAddress": "fe80::1", "neighborInterface": "eth1", "peerAs": 1}), Some("fe80::1%eth1")),
        (json!({"neighborInterface": "eth1", "peerAs": 1}), Some("eth1")),
        (json!({"neighborAddress": "192.0.2.1", "neighborInterface": "eth1", "peerAs": 1}), Some("192.0.2.1")),
        (json!({"neighborAddress": "fe80::1", "peerAs": 1}), None),
        (json!({"neighborAddress": "0.0.0.0", "peerAs": 1}), None),
        (json!({"neighborAddress": "ff02::1", "peerAs": 1}), None),
        (json!({"neighborAddress": "leaf1", "peerAs": 1}), None),
        (json!({"neighborInterface": "a/b", "peerAs": 1}), None),
        (json!({"peerAs": 1}), None),
    ] {
        let (read, faults) = read(json!({"conf": conf.clone()}));
        assert_eq!(read.as_ref().map(|peering| peering.neighbor.to_string()).as_deref(), want, "{conf}");
        let ordinary = read.as_ref().map(|peering| Peering::new(peering.neighbor.clone(), peering.asn));
        assert_eq!(read, ordinary, "nothing else is said");
        assert_eq!(faults.is_empty(), want.is_some(), "{conf}: {faults:?}");
    }
}

#[test]
fn the_older_spelling_counts_where_the_newer_is_absent() {
    let (read, faults) =
        read(json!({"config": {"neighborAddress": "192.0.2.1", "peerAs": 65001}, "addPaths": {"sendMax": 3}}));
    assert_eq!(faults, [""; 0]);
    assert_eq!(read.unwrap().families[&IpFamily::V4].add_path_send, 3);
}

/// What is wrong is told with its field; there is no session where going on would not be what its writer wants.
#[test]
fn a_fault_is_told_with_its_field() {
    for (further, field, runs) in [
        (json!({"conf": {"peerAs": 0}}), "spec.conf.peerAs", false),
        (json!({"conf": {"authPassword": "x".repeat(81)}}), "spec.conf.authPassword", false),
        (json!({"passwordSecretRef": {"key": "a"}}), "spec.passwordSecretRef.name", false),
        (json!({"conf": {"authPassword": "a"}, "passwordSecretRef": {"name": "b"}}), "spec.conf.authPassword", true),
        (json!({"conf": {"removePrivateAs": "SOME"}}), "spec.conf.removePrivateAs", true),
        (json!({"sourceAddress": "2001:db8::1"}), "spec.sourceAddress", false),
        (json!({"sourceAddress": "eth0"}), "spec.sourceAddress", false),
        (json!({"ebgpMultihop": {"enabled": true, "multihopTtl": 256}}), "spec.ebgpMultihop.multihopTtl", true),
        (json!({"ebgpMultihop": {"enabled": true}, "ttlSecurity": 1}), "spec.ebgpMultihop", true),
        (json!({"ttlSecurity": 300}), "spec.ttlSecurity", true),
        (json!({"timers": {"config": {"holdTime": "2"}}}), "spec.timers.config.holdTime", true),
        (json!({"timers": {"config": {"holdTime": "90s"}}}), "spec.timers.config.holdTime", true),
        (json!({"timers": {"config": {"connectRetry": "0"}}}), "spec.timers.config.connectRetry", true),
        (json!({"transport": {"remotePort": -1}}), "spec.transport.remotePort", true),
        (
            json!({"afiSafis": [{"config": {"family": {"afi": "AFI_L2VPN", "safi": "SAFI_EVPN"}}}, {}]}),
            "spec.afiSafis[0].config.family",
            true,
        ),
        (
            json!({"afiSafis": [{"addPaths": {"config": {"sendMax": 256}}}]}),
            "spec.afiSafis[0].addPaths.config.sendMax",
            true,
        ),
        (json!({"nodeSelector": {"matchExpressions": [{"key": "a", "operator": "Near"}]}}), "spec.nodeSelector", true),
        (json!({"bfd": {"enabled": true, "receiveInterval": 0}}), "spec.bfd.receiveInterval", true),
        (json!({"bfd": {"enabled": true, "detectMultiplier": 256}}), "spec.bfd.detectMultiplier", true),
        (json!({"bfd": {"enabled": true, "minimumTtl": 0}}), "spec.bfd.minimumTtl", true),
    ] {
        let (read, faults) = read(with(further.clone()));
        assert_eq!(faults, [field], "{further}");
        assert_eq!(read.is_some(), runs, "{further}");
    }
    let (hold, security) = (with(json!({"timers": {"config": {"holdTime": "2"}}})), with(json!({"ttlSecurity": 300})));
    assert_eq!(read(hold).0.unwrap().timers.hold_time, seconds(3));
    assert_eq!(read(security).0.unwrap().distance, Distance::Security(1), "what was meant to be strict stays strict");
}

#[test]
fn without_a_served_family_there_is_no_session() {
    let spec = with(json!({"afiSafis": [{"config": {"family": {"afi": "AFI_LS", "safi": "SAFI_LS"}}}]}));
    let (read, faults) = read(spec);
    assert!(read.is_none());
    assert_eq!(faults, ["spec.afiSafis[0].config.family", "spec.afiSafis"]);
}

/// Whoever comes from OpenELB is told of each field that does nothing here, where it asks for something.
#[test]
fn a_field_without_effect_is_told_and_the_session_runs() {
    for (further, field) in [
        (json!({"usingPortForward": true}), "spec.usingPortForward"),
        (json!({"conf": {"peerGroup": "leaves"}}), "spec.conf.peerGroup"),
        (json!({"conf": {"vrf": "red"}}), "spec.conf.vrf"),
        (json!({"conf": {"peerType": 1}}), "spec.conf.peerType"),
        (json!({"conf": {"routeFlapDamping": true}}), "spec.conf.routeFlapDamping"),
        (json!({"conf": {"sendCommunity": 2}}), "spec.conf.sendCommunity"),
        (json!({"conf": {"allowOwnAs": 1}}), "spec.conf.allowOwnAs"),
        (json!({"transport": {"mtuDiscovery": true}}), "spec.transport.mtuDiscovery"),
        (json!({"transport": {"remoteAddress": "192.0.2.7"}}), "spec.transport.remoteAddress"),
        (json!({"transport": {"tcpMss": 1400}}), "spec.transport.tcpMss"),
        (
            json!({"timers": {"config": {"minimumAdvertisementInterval": "5"}}}),
            "spec.timers.config.minimumAdvertisementInterval",
        ),
        (json!({"afiSafis": [{"config": {"enabled": false}}]}), "spec.afiSafis[0].config.enabled"),
        (
            json!({"afiSafis": [{}, {"addPaths": {"config": {"receive": true}}}]}),
            "spec.afiSafis[1].addPaths.config.receive",
        ),
        (json!({"gracefulRestart": {"enabled": true, "deferralTime": 360}}), "spec.gracefulRestart.deferralTime"),
        (json!({"gracefulRestart": {"enabled": true, "staleRoutesTime": 60}}), "spec.gracefulRestart.staleRoutesTime"),
        (json!({"gracefulRestart": {"enabled": true, "peerRestartTime": 60}}), "spec.gracefulRestart.peerRestartTime"),
        (
            json!({"gracefulRestart": {"enabled": true, "longlivedEnabled": true}}),
            "spec.gracefulRestart.longlivedEnabled",
        ),
        (json!({"gracefulRestart": {"enabled": true, "peerRestarting": true}}), "spec.gracefulRestart.peerRestarting"),
        (
            json!({"gracefulRestart": {"enabled": true, "localRestarting": true}}),
            "spec.gracefulRestart.localRestarting",
        ),
        (json!({"gracefulRestart": {"enabled": true, "mode": "x"}}), "spec.gracefulRestart.mode"),
    ] {
        let (read, faults) = read(with(further.clone()));
        assert_eq!((faults, read.is_some()), (vec![field.to_owned()], true), "{further}");
    }
    let nothing = json!({
        "usingPortForward": false,
        "conf": {"peerGroup": "", "vrf": "", "peerType": 0, "routeFlapDamping": false, "sendCommunity": 0, "allowOwnAs": 0,
                 "removePrivateAs": "NONE"},
        "transport": {"mtuDiscovery": false, "remoteAddress": "", "tcpMss": 0},
        "timers": {"config": {"minimumAdvertisementInterval": "0"}},
        "afiSafis": [{"config": {"enabled": true}, "addPaths": {"config": {"receive": false}}}],
        "gracefulRestart": {"enabled": true, "deferralTime": 0, "staleRoutesTime": 0, "peerRestartTime": 0, "mode": "",
                            "peerRestarting": false, "localRestarting": false, "longlivedEnabled": false},
    });
    assert_eq!(read(with(nothing)).1, [""; 0], "what asks for nothing is no fault");
}

/// What the CRD's texts say counts where a field is absent is what counts.
#[test]
fn the_texts_of_the_crd_have_the_defaults_that_count() {
    let crd = ironlb_api::crds().into_iter().find(|crd| crd.spec.names.plural == "bgppeers").unwrap();
    let version = crd.spec.versions.iter().find(|version| version.storage).unwrap();
    let schema = serde_json::to_value(version.schema.as_ref().unwrap()).unwrap();
    let text = |path: &str| -> String {
        let mut at = &schema["openAPIV3Schema"]["properties"]["spec"];
        for name in path.split('.') {
            at = &at["properties"][name];
            at = if at["items"].is_null() { at } else { &at["items"] };
        }
        at["description"].as_str().unwrap_or_default().to_owned()
    };
    let all = json!({"gracefulRestart": {"enabled": true}, "ebgpMultihop": {"enabled": true}, "bfd": {"enabled": true, "multihop": true},
                     "passwordSecretRef": {"name": "a"}});
    let read = read(with(all)).0.unwrap();
    let (timers, bfd) = (read.timers, read.bfd.unwrap());
    let Some(Password::Secret { key, .. }) = &read.password else { panic!("{:?}", read.password) };
    let Distance::Ttl(ttl) = read.distance else { panic!("{:?}", read.distance) };
    for (path, default) in [
        ("timers.config.connectRetry", timers.connect_retry.as_secs().to_string()),
        ("timers.config.holdTime", timers.hold_time.as_secs().to_string()),
        ("transport.remotePort", read.port.to_string()),
        ("ebgpMultihop.multihopTtl", ttl.to_string()),
        ("gracefulRestart.restartTime", read.graceful_restart.unwrap().restart_time.as_secs().to_string()),
        ("addPaths.sendMax", read.families[&IpFamily::V4].add_path_send.to_string()),
        ("bfd.receiveInterval", bfd.receive_interval.as_millis().to_string()),
        ("bfd.transmitInterval", bfd.transmit_interval.as_millis().to_string()),
        ("bfd.detectMultiplier", bfd.detect_multiplier.to_string()),
        ("bfd.minimumTtl", bfd.multihop_min_ttl.unwrap().to_string()),
        ("passwordSecretRef.key", format!("`{key}`")),
    ] {
        let text = text(path);
        assert!(text.ends_with(&format!(": {default}.")), "{path}: {text:?}, and {default} counts");
    }
}
