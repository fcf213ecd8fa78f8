use ironlb_model::{
    Chain, Disposition, DrainCause, IngressAddress, IpFamily, MatchOption, Pattern, Peering, PrefixRange, RouteAction,
    RouteCondition, Selector, SetOption, Statement, TrafficPolicy, WithheldVip,
};
use proptest::prelude::*;

use super::*;
use crate::testing::{peering, site};

const VERSION: &str = "1.2.3 abc";

fn bytes(kept: &KeptSnapshot, version: &str) -> Vec<u8> {
    let mut out = Vec::new();
    kept.write(version, &mut out).expect("a vector takes everything");
    out
}

/// One of each kind of value that a speaker reads.
fn everything(nodes: u32, services: u32, number: u32) -> Snapshot {
    let mut all = site::site(nodes, services);
    site::edit_eip(&mut all, |eip| {
        eip.node_selector = Some(Selector::labels([("zone".to_owned(), "a".to_owned())].into()));
        eip.routes.communities = BTreeSet::from([number]);
        eip.routes.large_communities = BTreeSet::from([[number, 0, u32::MAX]]);
        eip.reuse_delay = std::time::Duration::from_millis(u64::from(number));
    });
    if nodes > 0 {
        site::edit_node(&mut all, 0, |node| node.drain = Some(DrainCause::Shutdown));
        let report = Arc::make_mut(all.speakers.get_mut(&site::node_name(0)).expect("just made"));
        report.owned.insert(site::vip(number), "eth0".into());
        report.withheld.push(WithheldVip { vip: site::vip(1), reason: "NoPool".into(), message: "ü".into() });
    }
    if services > 0 {
        site::edit_service(&mut all, "s0", |service| {
            service.traffic_policy = TrafficPolicy::Local;
            service.ingress.push(IngressAddress::Foreign("elsewhere.example".to_owned()));
            service.ingress.push(IngressAddress::Ip("2001:db8::1".parse().expect("a literal")));
        });
    }
    let secret = Password::Secret { name: "s".to_owned(), key: "k".to_owned() };
    for (name, password) in [("plain", Password::Plain("sesame".to_owned())), ("secret", secret)] {
        let peering = Peering { password: Some(password), ..peering() };
        let peer = BgpPeer {
            name: name.to_owned(),
            version: ironlb_model::ResourceVersion(u64::from(number)),
            peering: Some(peering),
            ..BgpPeer::default()
        };
        all.bgp_peers.insert(name.to_owned(), Arc::new(peer));
    }
    let prefix = PrefixRange { prefix: "10.0.0.0/8".parse().expect("a literal"), least: 8, most: 32 };
    let statement = Statement {
        name: "one".to_owned(),
        conditions: vec![
            RouteCondition::Prefix(MatchOption::Invert, vec![prefix]),
            RouteCondition::AsPath(MatchOption::Any, vec![Pattern::new("^65000( |$)").expect("a literal")]),
            RouteCondition::Family(BTreeSet::from([IpFamily::V4, IpFamily::V6])),
        ],
        actions: vec![RouteAction::Communities(SetOption::Add, BTreeSet::from([number])), RouteAction::MedBy(-1)],
        disposition: Some(Disposition::Reject),
    };
    let export = Chain { statements: vec![statement], default: Disposition::Accept };
    all.policies.insert("p".to_owned(), Arc::new(Policy { import: Chain::default(), export }));
    all.openelb.push("Deployment x/y".to_owned());
    all
}

fn kept(nodes: u32, services: u32, number: u32) -> KeptSnapshot {
    let all = everything(nodes, services, number);
    let kept = KeptSnapshot::of(&all, |secret, key| Some(format!("{secret}/{key}").into()));
    kept.answering((0..number % 3).map(site::vip).collect())
}

proptest! {
    #[test]
    fn what_is_read_is_what_was_written(nodes in 0u32..5, services in 0u32..20, number: u32) {
        let given = everything(nodes, services, number % 1000);
        let kept = kept(nodes, services, number % 1000);
        let read = KeptSnapshot::read(VERSION, &bytes(&kept, VERSION)).expect("just written");
        prop_assert_eq!(&read, &kept);
        prop_assert_eq!(read.answered(), kept.answered());
        prop_assert_eq!(read.snapshot(&given.settings), given);
        prop_assert_eq!(read.password("s", "k"), Some("s/k".into()));
        prop_assert_eq!(read.password("plain", "k"), None);
    }

    /// Any byte that is another, and any piece that is missing.
    #[test]
    fn damage_is_noticed(place: prop::sample::Index, by in 1u8.., cut in any::<bool>()) {
        let mut bytes = bytes(&kept(2, 2, 7), VERSION);
        let place = place.index(bytes.len());
        if cut {
            bytes.truncate(place);
        } else {
            bytes[place] ^= by;
        }
        prop_assert_eq!(KeptSnapshot::read(VERSION, &bytes), Err(Unusable::Damaged));
    }

    /// Damage that the checksum does not show, as a fault of our own would make it.
    #[test]
    fn no_bytes_make_it_panic(
        edits in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 0..8),
        tail in prop::collection::vec(any::<u8>(), 0..64),
        keep in any::<prop::sample::Index>(),
    ) {
        let mut bytes = bytes(&kept(2, 2, 7), VERSION);
        bytes.truncate(bytes.len() - 8);
        let header = MAGIC.len() + 12;
        for (place, value) in edits {
            let place = header + place.index(bytes.len() - header);
            bytes[place] = value;
        }
        if !tail.is_empty() {
            bytes.truncate(header + keep.index(bytes.len() - header));
            bytes.extend(tail);
        }
        let sum = Sum::new().over(&bytes).0.to_le_bytes();
        bytes.extend(sum);
        let _ = KeptSnapshot::read(VERSION, &bytes);
    }

    #[test]
    fn foreign_bytes_are_damage(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
        prop_assert_eq!(KeptSnapshot::read(VERSION, &bytes), Err(Unusable::Damaged));
    }
}

#[test]
fn another_versions_file_is_not_read() {
    let written = bytes(&kept(1, 1, 1), "1.2.4 abc");
    assert_eq!(KeptSnapshot::read(VERSION, &written), Err(Unusable::OtherVersion("1.2.4 abc".to_owned())));
}

#[test]
fn no_password_is_shown() {
    let shown = format!("{:?}", kept(1, 1, 1));
    assert!(!shown.contains("sesame") && !shown.contains("s/k"), "{shown}");
}

/// A checksum that does not look at everything lets damage through, and the property above says so.
#[test]
fn a_sum_over_the_half_would_be_found_out() {
    let given = bytes(&kept(2, 2, 7), VERSION);
    let mut damaged = given.clone();
    let last = damaged.len() - 9;
    damaged[last] ^= 1;
    let half = |bytes: &[u8]| Sum::new().over(&bytes[..bytes.len() / 2]).0;
    assert_eq!(half(&given), half(&damaged));
    assert_ne!(Sum::new().over(&given[..=last]).0, Sum::new().over(&damaged[..=last]).0);
}
