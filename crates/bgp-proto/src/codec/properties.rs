//! Bytes from anybody: never a panic, and what we write we read.

use proptest::prelude::*;

use super::*;

/// Noise, and messages of ours with some bytes changed: the second kind gets deeper.
fn hostile() -> impl Strategy<Value = Vec<u8>> {
    let noise = proptest::collection::vec(any::<u8>(), 0..300);
    let changes = proptest::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 0..6);
    let valid = prop_oneof![
        opens().prop_map(|open| open.encode()),
        updates(),
        Just(RouteRefresh { afi: 1, safi: 1, kind: RefreshKind::Request }.encode()),
        proptest::collection::vec(any::<u8>(), 0..40).prop_map(|data| Notification::new(6, 2, data).encode(4096)),
    ];
    let mutated = (valid, changes).prop_map(|(mut bytes, changes)| {
        for (at, to) in changes {
            let at = at.index(bytes.len());
            bytes[at] = to;
        }
        bytes
    });
    prop_oneof![1 => noise, 4 => mutated]
}

pub(super) fn opens() -> impl Strategy<Value = Open> {
    let family = (prop_oneof![Just(1_u16), Just(2), any::<u16>()], prop_oneof![Just(1_u8), any::<u8>()]);
    let capability = prop_oneof![
        family.clone().prop_map(|(afi, safi)| Capability::Multiprotocol { afi, safi }),
        Just(Capability::RouteRefresh),
        Just(Capability::EnhancedRouteRefresh),
        Just(Capability::ExtendedMessage),
        any::<u32>().prop_map(Capability::FourOctetAs),
        proptest::collection::vec((family.clone(), 0_u8..5), 1..4).prop_map(|all| Capability::AddPath(
            all.into_iter().map(|((afi, safi), mode)| (afi, safi, mode)).collect()
        )),
        (any::<[bool; 2]>(), 0_u16..4096, proptest::collection::vec((family, any::<bool>()), 0..4)).prop_map(
            |([restarted, notification], restart_time, all)| Capability::GracefulRestart(GracefulRestart {
                restarted,
                notification,
                restart_time,
                families: all.into_iter().map(|((afi, safi), kept)| (afi, safi, kept)).collect(),
            })
        ),
        proptest::collection::vec(any::<u8>(), 0..20).prop_map(|value| Capability::Unknown { code: 200, value }),
    ];
    (any::<u16>(), any::<u16>(), any::<u32>(), proptest::collection::vec(capability, 0..30))
        .prop_map(|(my_as, hold_time, identifier, capabilities)| Open { my_as, hold_time, identifier, capabilities })
}

/// UPDATEs that are mostly right.
pub(super) fn updates() -> impl Strategy<Value = Vec<u8>> {
    let attribute = prop_oneof![
        Just(vec![0x40, 1, 1, 0]),
        Just(vec![0x40, 2, 6, 2, 1, 0, 0, 0xfc, 1]),
        Just(vec![0x40, 3, 4, 192, 0, 2, 1]),
        Just(vec![0x80, 4, 4, 0, 0, 0, 1]),
        Just(vec![0x40, 5, 4, 0, 0, 0, 100]),
        Just(vec![0x40, 6, 0]),
        Just(vec![0xc0, 7, 8, 0, 0, 0, 1, 192, 0, 2, 1]),
        Just(vec![0xc0, 8, 4, 0, 1, 0, 2]),
        Just(vec![0xc0, 16, 8, 0, 2, 0, 1, 0, 0, 0, 1]),
        Just(vec![0xc0, 32, 12, 0, 0, 0, 1, 0, 0, 0, 2, 0, 0, 0, 3]),
        Just(vec![0x80, 15, 8, 0, 2, 1, 32, 0x20, 1, 0xd, 0xb8]),
    ];
    let prefixes = || proptest::collection::vec((24_u8..=32).prop_map(|length| vec![length, 203, 0, 113, 0]), 0..4);
    let mandatory = [&[0x40, 1, 1, 0][..], &[0x40, 2, 6, 2, 1, 0, 0, 0xfc, 1], &[0x40, 3, 4, 192, 0, 2, 1]].concat();
    let attributes = (proptest::collection::vec(attribute, 0..9), 0_u8..8).prop_map(move |(mut all, which)| {
        if which != 0 {
            all.insert(0, mandatory.clone());
        }
        all
    });
    (prefixes(), attributes, prefixes()).prop_map(|(gone, attributes, came)| {
        let spell = |all: Vec<Vec<u8>>| -> Vec<u8> {
            all.into_iter().flat_map(|bytes| bytes[..1 + usize::from(bytes[0].div_ceil(8))].to_vec()).collect()
        };
        let (gone, attributes, came) = (spell(gone), attributes.concat(), spell(came));
        let length = |part: &[u8]| u16::try_from(part.len()).expect("short").to_be_bytes();
        let body = [&length(&gone), gone.as_slice(), &length(&attributes), &attributes, &came].concat();
        frame::emit(MessageKind::Update, &body)
    })
}

proptest! {
    #![proptest_config(ProptestConfig { cases: ProptestConfig::default().cases.max(2000), ..ProptestConfig::default() })]

    #[test]
    fn hostile_bytes_never_panic(bytes in hostile(), limit in prop_oneof![Just(4096_u16), Just(u16::MAX)], flags in any::<[bool; 2]>()) {
        let body = match split(&bytes, limit) {
            Ok(Some(frame)) => {
                prop_assert!(frame.len <= usize::from(limit) && frame.len <= bytes.len());
                prop_assert_eq!(frame.body.len() + 19, frame.len);
                frame.body.to_vec()
            }
            Ok(None) => {
                prop_assert!(bytes.len() < usize::from(limit));
                bytes.clone()
            }
            Err(wrong) => {
                prop_assert_eq!(wrong.notification().code, 1);
                bytes.clone()
            }
        };
        let context = UpdateContext { internal: flags[0], four_octet_as: flags[1] };
        match inspect(&body, context) {
            Ok(update) => prop_assert!(update.treated_as_withdraw.is_none() || update.announced.is_empty()),
            Err(wrong) => prop_assert_eq!(wrong.notification().code, 3),
        }
        if let Ok(open) = Open::decode(&body) {
            let again = Open::decode(&open.encode()[19..]);
            prop_assert_eq!(again, Ok(open));
        }
        if let Some(notification) = Notification::decode(&body) {
            prop_assert!(notification.to_string().chars().all(|c| !c.is_control()));
            prop_assert_eq!(notification.inner().is_hard_reset() && !notification.is_hard_reset(), false);
        }
        if let Err(wrong) = RouteRefresh::decode(&body) {
            prop_assert_eq!(wrong.notification().code, 7);
        }
    }

    /// However a stream is cut into pieces, and at whatever point a fault stands, the same messages come out.
    #[test]
    fn a_prefix_of_a_message_is_never_a_fault(open in opens(), at in any::<prop::sample::Index>()) {
        let bytes = open.encode();
        if bytes.len() > 4096 {
            return Ok(());
        }
        let part = &bytes[..at.index(bytes.len())];
        prop_assert_eq!(split(part, 4096), Ok(None));
        prop_assert!(split(&bytes, 4096).is_ok_and(|frame| frame.is_some()));
    }

    #[test]
    fn what_an_open_says_is_read_back(open in opens()) {
        prop_assert_eq!(Open::decode(&open.encode()[19..]), Ok(open));
    }
}
