//! What a router is told: attributes as it understands them, families and paths as agreed, and everything again when it must be.

use super::*;
use crate::FamilyConfig;
use crate::codec::{Capability, keepalive};
use crate::peer::rig::{Rig, asn, config, id, routes, their_open, without};

/// Flags, type and value of each attribute of an UPDATE.
fn attributes(update: &[u8]) -> Vec<(u8, u8, Vec<u8>)> {
    let short = |at: usize| usize::from(u16::from_be_bytes([update[at], update[at + 1]]));
    let start = 19 + 2 + short(19);
    let (mut at, end) = (start + 2, start + 2 + short(start));
    let mut all = Vec::new();
    while at < end {
        let (flags, kind) = (update[at], update[at + 1]);
        let (length, head) = if flags & 0x10 == 0 { (usize::from(update[at + 2]), 3) } else { (short(at + 2), 4) };
        all.push((flags, kind, update[at + head..at + head + length].to_vec()));
        at += head + length;
    }
    all
}

/// A session that is told one route with these attributes.
fn one_route(config: Config, open: &crate::codec::Open, prefix: &str, said: crate::Attributes) -> Vec<Vec<u8>> {
    let (mut rig, _) = Rig::established(config, open);
    let key = crate::RouteKey::own(prefix.parse().expect("a prefix"));
    rig.put(Input::Desired(Arc::new([(key, Arc::new(said))].into())));
    let mut updates = rig.updates();
    // Without the two End-of-RIBs.
    updates.truncate(updates.len() - 2);
    updates
}

fn plain() -> crate::Attributes {
    crate::Attributes::new(crate::NextHop::Own)
}

//= https://www.rfc-editor.org/rfc/rfc4271#section-5.1.5
//= type=test
//# MUST NOT include this attribute in UPDATE messages it sends to external
//# peers
//= https://www.rfc-editor.org/rfc/rfc4271#section-5.1.5
//= type=test
//# SHALL be included in all UPDATE messages that a given BGP speaker sends to
//# other internal peers.
//= https://www.rfc-editor.org/rfc/rfc4271#section-5.1.2
//= type=test
//# includes its own AS number in a path segment, of type AS_SEQUENCE, in the
//# AS_PATH attribute
//= https://www.rfc-editor.org/rfc/rfc4271#section-4.3
//= type=test
//# the Transitive bit MUST be set to 1.
#[test]
fn local_pref_is_for_internal_peers_and_the_own_number_for_external_ones() {
    let internal = Config { peer_as: asn(64_512), ..config() };
    let their_internal = Config::new(asn(64_512), asn(64_512), id(1)).open(false);
    let external: (&[u8], Option<&[u8]>) = (&[2, 1, 0, 0, 0xfc, 0], None);
    for (config, open, (path, local_pref)) in
        [(config(), their_open(1), external), (internal, their_internal, (&[], Some(&[0, 0, 0, 100])))]
    {
        let updates = one_route(config, &open, "198.51.100.7/32", plain());
        let all = attributes(&updates[0]);
        let of = |wanted: u8| all.iter().find(|(_, kind, _)| *kind == wanted).map(|(_, _, value)| value.as_slice());
        assert_eq!((of(2), of(5)), (Some(path), local_pref));
        assert!(all.iter().all(|(flags, ..)| *flags == 0x40), "all are well-known: {all:02x?}");
    }
}

//= https://www.rfc-editor.org/rfc/rfc6793#section-4.2.2
//= type=test
//# MUST send the AS path information in the AS_PATH attribute encoded with
//# two-octet AS numbers.
//= https://www.rfc-editor.org/rfc/rfc6793#section-4.2.2
//= type=test
//# MUST also send the AS path information in the AS4_PATH attribute
//= https://www.rfc-editor.org/rfc/rfc6793#section-4.1
//= type=test
//# MUST NOT be carried in an UPDATE message between NEW BGP speakers.
#[test]
fn a_peer_of_two_octets_gets_the_path_in_two_and_in_four() {
    let open = Config::new(asn(64_513), asn(4_200_000_001), id(1)).open(false);
    let old = without(open.clone(), |capability| matches!(capability, Capability::FourOctetAs(_)));
    let large = Config { local_as: asn(4_200_000_001), ..config() };
    let four = [2, 1, 0xfa, 0x56, 0xea, 0x01].to_vec();
    // AS_TRANS stands for what two octets do not hold.
    for (open, path, as4) in [(old, vec![2, 1, 0x5b, 0xa0], Some(four.clone())), (open, four.clone(), None)] {
        let updates = one_route(large.clone(), &open, "198.51.100.7/32", plain());
        let all = attributes(&updates[0]);
        let of = |wanted: u8| all.iter().find(|(_, kind, _)| *kind == wanted).map(|(_, _, value)| value.clone());
        assert_eq!((of(2), of(17)), (Some(path), as4));
    }
    // And where they hold it, nothing is added.
    let old = without(their_open(1), |capability| matches!(capability, Capability::FourOctetAs(_)));
    let updates = one_route(config(), &old, "198.51.100.7/32", plain());
    assert!(attributes(&updates[0]).iter().all(|(_, kind, _)| *kind != 17));
}

//= https://www.rfc-editor.org/rfc/rfc7606#section-5.1
//= type=test
//# SHALL be encoded as the very first path attribute in an UPDATE message.
//= https://www.rfc-editor.org/rfc/rfc4760#section-3
//= type=test
//# MUST also carry the ORIGIN and the AS_PATH attributes
#[test]
fn an_ipv6_route_goes_in_front_with_all_that_it_needs() {
    let updates = one_route(config(), &their_open(1), "2001:db8::7/128", plain());
    let kinds: Vec<u8> = attributes(&updates[0]).iter().map(|(_, kind, _)| *kind).collect();
    assert_eq!(kinds, [14, 1, 2]);
    let (mut rig, _) = Rig::established(config(), &their_open(1));
    let key = crate::RouteKey::own("2001:db8::7/128".parse().expect("a prefix"));
    rig.put(Input::Desired(Arc::new([(key, Arc::new(plain()))].into())));
    rig.updates();
    rig.put(Input::Desired(routes(0)));
    let kinds: Vec<u8> = attributes(&rig.updates()[0]).iter().map(|(_, kind, _)| *kind).collect();
    assert_eq!(kinds, [15]);
}

//= https://www.rfc-editor.org/rfc/rfc4271#section-9.2
//= type=test
//# MUST not advertise the route to its peers
#[test]
fn a_route_that_fits_into_no_update_is_withheld() {
    let open = without(their_open(1), |capability| matches!(capability, Capability::ExtendedMessage));
    let many = |count| crate::Attributes { communities: (0..count).map(crate::Community).collect(), ..plain() };
    assert_eq!(one_route(config(), &open, "198.51.100.7/32", many(1000)).len(), 1);
    assert_eq!(one_route(config(), &open, "198.51.100.7/32", many(1100)), Vec::<Vec<u8>>::new());
    assert_eq!(one_route(config(), &their_open(1), "198.51.100.7/32", many(1100)).len(), 1);
}

//= https://www.rfc-editor.org/rfc/rfc7911#section-4
//= type=test
//# treated as not understood and ignored
//= https://www.rfc-editor.org/rfc/rfc7911#section-5
//= type=test
//# MUST advertise the ADD-PATH Capability with the Send/Receive field set to
//# either 2 or 3
#[test]
fn several_paths_go_to_a_peer_that_takes_them_and_one_to_any_other() {
    let several = FamilyConfig { add_path: std::num::NonZeroU8::new(2), ..FamilyConfig::default() };
    let families = [(Family::Ipv4Unicast, several)].into();
    let config = Config { families, ..config() };
    let paths = |rig: &Rig| rig.peer.negotiated().expect("up").families[&Family::Ipv4Unicast].add_path.is_some();
    for (mode, takes) in [(1, true), (3, true), (2, false), (0, false), (9, false)] {
        let mut open = their_open(1);
        open.capabilities.push(Capability::AddPath(vec![(1, 1, mode)]));
        let (rig, _) = Rig::established(config.clone(), &open);
        assert_eq!(paths(&rig), takes, "{mode}");
    }
    let (rig, _) = Rig::established(config, &their_open(1));
    assert!(!paths(&rig));
}

//= https://www.rfc-editor.org/rfc/rfc8950#section-4
//= type=test
//# MUST use the Capability Advertisement procedures
//= https://www.rfc-editor.org/rfc/rfc8950#section-4
//= type=test
//# has first ascertained via the BGP Capability Advertisement that the BGP peer
//# supports the Extended Next Hop Encoding capability
#[test]
fn an_ipv6_next_hop_of_ipv4_routes_needs_both_to_say_so() {
    let own = crate::OwnAddresses { ipv4: None, ..config().own };
    for (ours, theirs) in [(true, true), (true, false), (false, true), (false, false)] {
        let mut open = their_open(1);
        if theirs {
            open.capabilities.push(Capability::ExtendedNextHop(vec![(1, 1, 2)]));
        }
        let (mut rig, _) = Rig::established(Config { own, extended_next_hop: ours, ..config() }, &open);
        rig.updates();
        let sent = rig.peer.rib_out().advertised(Family::Ipv4Unicast);
        let withheld = rig.peer.rib_out().withheld().get(&crate::Withheld::NoNextHop).copied();
        assert_eq!((sent, withheld), if ours && theirs { (3, None) } else { (0, Some(3)) });
    }
}

#[test]
fn the_link_bandwidth_is_spelled_as_configured() {
    use crate::LinkBandwidth::{ByPeer, NonTransitive, Transitive};
    for (link_bandwidth, first) in [(ByPeer, 0x00), (Transitive, 0x00), (NonTransitive, 0x40)] {
        let (mut rig, _) = Rig::established(Config { link_bandwidth, ..config() }, &their_open(1));
        let weighted =
            crate::Attributes { link_bandwidth: Some(1_250_000_000), ..crate::Attributes::new(crate::NextHop::Own) };
        let mut routes = (*routes(1)).clone();
        for attributes in routes.values_mut() {
            *attributes = Arc::new(weighted.clone());
        }
        rig.put(Input::Desired(Arc::new(routes)));
        let updates = rig.updates().concat();
        let wanted = [&[first, 0x04, 0xfc, 0x00][..], &1.25e9_f32.to_be_bytes()].concat();
        assert!(updates.windows(8).any(|bytes| bytes == wanted), "{link_bandwidth:?}");
    }
}

//= https://www.rfc-editor.org/rfc/rfc4271#section-9.1.3
//= type=test
//# MUST be withdrawn from service by means of an UPDATE message
#[test]
fn graceful_shutdown_says_all_routes_again_and_the_session_stays() {
    let (mut rig, _) = Rig::established(config(), &their_open(1));
    rig.updates();
    rig.put(Input::GracefulShutdown(true));
    let updates = rig.updates();
    assert_eq!(updates.len(), 1);
    assert!(updates[0].windows(4).any(|bytes| bytes == [0xff, 0xff, 0, 0]));
    rig.put(Input::Desired(routes(0)));
    assert_eq!((rig.updates().len(), rig.peer.state()), (1, State::Established));
}

#[test]
fn a_session_that_is_lost_hears_everything_again() {
    let (mut rig, connection) = Rig::established(config(), &their_open(1));
    assert_eq!(rig.updates().len(), 3);
    rig.put(Input::Closed(connection));
    assert_eq!((rig.peer.rib_out().pending(), rig.updates().len()), (0, 0), "nothing is pending without a session");
    rig.take();
    rig.pass(SECOND);
    let connection = rig.connecting().expect("connects");
    rig.put(Input::Connected(connection));
    rig.receive(connection, [their_open(1).encode(), keepalive()].concat());
    assert_eq!(rig.updates().len(), 3);
}
