//! Whatever happens to the desired routes, to the session and to the socket: a peer that only reads the bytes ends with exactly
//! the desired table.

use std::num::NonZeroU8;
use std::sync::Arc;

use proptest::prelude::*;

use super::model_peer::{ModelPeer, expected};
use super::*;
use crate::{
    Asn, Community, ExtendedCommunity, LargeCommunity, NegotiatedFamily, NextHop, OwnAddresses, RouterId, Routes,
};

/// What happens.
#[derive(Debug, Clone)]
enum Step {
    Desire(Routes),
    /// So many messages are fetched and read.
    Read(usize),
    Refresh(Family),
    Respell(Spelling),
    /// The session ends and begins anew.
    Restart,
}

fn prefixes() -> impl Strategy<Value = ironlb_model::Prefix> {
    prop_oneof![
        (0_u8..12, 30_u8..=32)
            .prop_map(|(n, length)| ironlb_model::Prefix::new([198, 51, 100, n * 4].into(), length).expect("a prefix")),
        (0_u16..6)
            .prop_map(|n| ironlb_model::Prefix::new([0x2001, 0xdb8, 0, n, 0, 0, 0, 1].into(), 128).expect("a prefix")),
    ]
}

fn asns() -> impl Strategy<Value = Asn> {
    prop_oneof![Just(64_513_u32), Just(4_200_000_001)].prop_map(|number| Asn::new(number).expect("not zero"))
}

fn attributes() -> impl Strategy<Value = Arc<Attributes>> {
    let next_hop = prop_oneof![
        3 => Just(NextHop::Own),
        1 => Just(NextHop::Address([192, 0, 2, 9].into())),
        1 => Just(NextHop::Address([0x2001, 0xdb8, 9, 9, 0, 0, 0, 9].into())),
        1 => Just(NextHop::WithLinkLocal {
            global: [0x2001, 0xdb8, 9, 9, 0, 0, 0, 8].into(),
            link_local: [0xfe80, 0, 0, 0, 0, 0, 0, 8].into(),
        }),
    ];
    let some = (proptest::option::of(0_u32..2), proptest::option::of(0_u32..2), 0_u8..2);
    let sets = (
        proptest::collection::btree_set((0_u32..3).prop_map(Community), 0..2),
        proptest::collection::btree_set((0_u32..2).prop_map(|n| LargeCommunity([n, 1, 2])), 0..2),
        proptest::collection::btree_set((0_u8..2).prop_map(|n| ExtendedCommunity([0, 2, 0, n, 0, 0, 0, 1])), 0..2),
        proptest::option::of(prop_oneof![Just(1_250_000_000_u64), Just(3)]),
        proptest::collection::vec(asns(), 0..2),
    );
    (next_hop, some, sets).prop_map(|(next_hop, (med, local_pref, prepend), sets)| {
        let (communities, large_communities, extended_communities, link_bandwidth, as_path) = sets;
        Arc::new(Attributes {
            med,
            local_pref,
            prepend,
            communities,
            large_communities,
            extended_communities,
            link_bandwidth,
            as_path,
            ..Attributes::new(next_hop)
        })
    })
}

/// Few sets of attributes and many routes, as it is with pools: so that there is something to pack.
fn routes() -> impl Strategy<Value = Routes> {
    proptest::collection::vec(attributes(), 1..4).prop_flat_map(|sets| {
        let key =
            (prefixes(), 0_u32..4).prop_map(|(prefix, path)| RouteKey { prefix: prefix.trunc(), path: PathId(path) });
        proptest::collection::btree_map(key, proptest::sample::select(sets), 0..30)
    })
}

fn spellings() -> impl Strategy<Value = Spelling> {
    (any::<bool>(), any::<bool>(), any::<bool>()).prop_map(|(ipv4, link_local, graceful_shutdown)| Spelling {
        own: OwnAddresses {
            ipv4: ipv4.then_some([192, 0, 2, 1].into()),
            ipv6: Some([0x2001, 0xdb8, 9, 9, 0, 0, 0, 1].into()),
            link_local: link_local.then_some([0xfe80, 0, 0, 0, 0, 0, 0, 1].into()),
        },
        link_bandwidth: LinkBandwidth::ByPeer,
        graceful_shutdown,
    })
}

fn sessions() -> impl Strategy<Value = Negotiated> {
    let families = proptest::collection::btree_map(
        proptest::sample::select(Family::ALL.to_vec()),
        proptest::option::of(1_u8..4)
            .prop_map(|most| NegotiatedFamily { add_path: most.and_then(NonZeroU8::new), peer_kept_forwarding: false }),
        1..=2,
    );
    (asns(), asns(), families, any::<[bool; 3]>(), 230_u16..400).prop_map(
        |(local_as, peer_as, families, [four, extended, enhanced], limit)| Negotiated {
            local_as,
            peer_as,
            local_id: RouterId::new([192, 0, 2, 1].into()).expect("not zero"),
            peer_id: RouterId::new([192, 0, 2, 2].into()).expect("not zero"),
            four_octet_as: four,
            hold_time: None,
            keepalive: None,
            families,
            extended_next_hop: extended,
            enhanced_route_refresh: enhanced,
            // Short, so that a few routes already need several messages.
            max_message_len: limit,
            graceful_restart: None,
        },
    )
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let step = prop_oneof![
        4 => routes().prop_map(Step::Desire),
        4 => (0_usize..6).prop_map(Step::Read),
        1 => proptest::sample::select(Family::ALL.to_vec()).prop_map(Step::Refresh),
        1 => spellings().prop_map(Step::Respell),
        1 => Just(Step::Restart),
    ];
    proptest::collection::vec(step, 1..20)
}

/// How the next message is had.
type Next = fn(&mut RibOut) -> Option<(Vec<u8>, Sent)>;

/// A run: what the peer ends with, and what it should have ended with.
fn run(session: &Negotiated, mut spelling: Spelling, steps: Vec<Step>, next: Next) -> Result<(), TestCaseError> {
    let session = Arc::new(session.clone());
    let limit = session.max_message_len;
    let mut rib = RibOut::new();
    rib.start(Arc::clone(&session), spelling);
    let mut peer = ModelPeer::new(&session);
    let mut desired = Arc::new(Routes::new());
    let mut refreshed = false;
    for step in steps {
        match step {
            Step::Desire(routes) => {
                desired = Arc::new(routes);
                rib.set_desired(Arc::clone(&desired));
            }
            Step::Read(messages) => {
                for (message, _) in std::iter::from_fn(|| next(&mut rib)).take(messages) {
                    peer.read(&message, limit);
                }
            }
            Step::Refresh(family) => refreshed |= rib.refresh(family),
            Step::Respell(new) => {
                spelling = new;
                rib.respell(spelling);
            }
            Step::Restart => {
                rib.stop();
                prop_assert_eq!(rib.pending(), 0);
                rib.start(Arc::clone(&session), spelling);
                peer = ModelPeer::new(&session);
                refreshed = false;
            }
        }
        // Memory is bounded by routes: those desired and those that the peer still holds.
        prop_assert!(rib.pending() <= desired.len() + peer.table.len());
        prop_assert!(rib.entries.len() <= desired.len() + peer.table.len());
    }
    for (message, _) in std::iter::from_fn(|| next(&mut rib)).take(1000) {
        peer.read(&message, limit);
    }
    prop_assert!(rib.is_drained());
    let wanted = expected(&desired, &session, &spelling);
    prop_assert_eq!(&peer.table, &wanted);
    for family in Family::ALL {
        let carried = session.families.contains_key(&family);
        prop_assert_eq!(peer.ends_of_rib.get(&family).copied().unwrap_or(0), usize::from(carried));
        let prefixes: BTreeSet<_> = wanted.keys().map(|(p, _)| *p).filter(|p| Family::of(*p) == family).collect();
        prop_assert_eq!(rib.advertised(family), prefixes.len());
    }
    if !refreshed {
        prop_assert_eq!((peer.repeats, peer.needless), (0, 0));
    }
    Ok(())
}

proptest! {
    #[test]
    fn a_peer_that_only_reads_bytes_ends_with_the_desired_table(
        session in sessions(), spelling in spellings(), steps in steps()
    ) {
        run(&session, spelling, steps, RibOut::next_message)?;
    }

    /// The whole table in as few messages as its sets of attributes and their room allow.
    #[test]
    fn a_first_table_takes_no_more_messages_than_its_sets_need(session in sessions(), spelling in spellings(), routes in routes()) {
        let session = Arc::new(session);
        let mut rib = RibOut::new();
        rib.set_desired(Arc::new(routes.clone()));
        rib.start(Arc::clone(&session), spelling);
        let mut peer = ModelPeer::new(&session);
        let mut full = 0;
        while let Some((message, sent)) = rib.next_message() {
            peer.read(&message, session.max_message_len);
            // A message that is not the last of its set has no room for one more prefix: at most 4 + 1 + 16 bytes.
            full += usize::from(matches!(sent, Sent::Announced(_)) && message.len() + 21 > usize::from(session.max_message_len));
        }
        let mut spellings = Vec::new();
        for ((prefix, _), view) in expected(&routes, &session, &spelling) {
            let spelled = (Family::of(prefix), view);
            if !spellings.contains(&spelled) {
                spellings.push(spelled);
            }
        }
        prop_assert!(peer.messages <= spellings.len() + full + session.families.len());
    }

    /// A prefix of several paths that changes from one to another is never without one.
    #[test]
    fn a_path_that_takes_anothers_place_comes_before_that_one_goes(from in 0_u32..8, by in 1_u32..8, limit in 100_u16..200) {
        let to = (from + by) % 8;
        let most = NegotiatedFamily { add_path: NonZeroU8::new(4), peer_kept_forwarding: false };
        let (mut rib, mut peer, session) = several_paths(most, limit);
        let route = |path| {
            let attributes = Arc::new(Attributes::new(NextHop::Own));
            let keys = (0..40_u8).map(|n| RouteKey { prefix: host(n), path: PathId(path) });
            Arc::new(keys.map(|key| (key, Arc::clone(&attributes))).collect::<Routes>())
        };
        for path in [from, to] {
            rib.set_desired(route(path));
            while let Some((message, _)) = rib.next_message() {
                peer.read(&message, session.max_message_len);
            }
        }
        prop_assert!(peer.gaps.is_empty());
        prop_assert_eq!(peer.table.len(), 40);
    }
}

fn host(n: u8) -> ironlb_model::Prefix {
    ironlb_model::Prefix::new([198, 51, 100, n].into(), 32).expect("a prefix")
}

fn several_paths(family: NegotiatedFamily, limit: u16) -> (RibOut, ModelPeer, Arc<Negotiated>) {
    let number = |n| Asn::new(n).expect("not zero");
    let session = Arc::new(Negotiated {
        local_as: number(64_512),
        peer_as: number(64_513),
        local_id: RouterId::new([192, 0, 2, 1].into()).expect("not zero"),
        peer_id: RouterId::new([192, 0, 2, 2].into()).expect("not zero"),
        four_octet_as: true,
        hold_time: None,
        keepalive: None,
        families: BTreeMap::from([(Family::Ipv4Unicast, family)]),
        extended_next_hop: false,
        enhanced_route_refresh: true,
        max_message_len: limit,
        graceful_restart: None,
    });
    let own = OwnAddresses { ipv4: Some([192, 0, 2, 1].into()), ..OwnAddresses::default() };
    let mut rib = RibOut::new();
    rib.start(Arc::clone(&session), Spelling { own, ..Spelling::default() });
    let peer = ModelPeer::new(&session);
    (rib, peer, session)
}

/// Broken: a change while the peer is not reading is sent as it was first wanted, as a queue would have it.
fn next_from_a_queue(rib: &mut RibOut) -> Option<(Vec<u8>, Sent)> {
    let before = rib.clone();
    let (message, sent) = rib.next_message()?;
    if let (Sent::Withdrawn(_), Some(_)) = (sent, before.announce.first_key_value()) {
        // It says the announcements first and loses sight of them.
        rib.announce.clear();
    }
    Some((message, sent))
}

/// Broken: what a peer that asked for everything still holds is taken for nothing, so a withdrawal is lost.
fn next_forgetting_withdrawals(rib: &mut RibOut) -> Option<(Vec<u8>, Sent)> {
    for (key, _) in rib.entries.iter().filter(|(_, entry)| entry.held == Held::Unknown && entry.wanted.is_none()) {
        rib.withdraw.remove(key);
    }
    rib.next_message()
}

#[test]
fn the_property_finds_a_queue_and_a_lost_withdrawal() {
    let all_broken: [Next; 2] = [next_from_a_queue, next_forgetting_withdrawals];
    for broken in all_broken {
        let mut runner = proptest::test_runner::TestRunner::new(ProptestConfig {
            cases: 2000,
            failure_persistence: None,
            ..ProptestConfig::default()
        });
        let all = (sessions(), spellings(), steps());
        let found = runner.run(&all, |(session, spelling, steps)| run(&session, spelling, steps, broken));
        assert!(found.is_err());
    }
}
