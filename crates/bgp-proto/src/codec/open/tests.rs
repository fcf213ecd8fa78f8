//! OPENs as other speakers send them.

use super::*;
use crate::codec::capability::GracefulRestart;

fn body(parameters: &[u8]) -> Vec<u8> {
    let mut body = vec![4, 0xfc, 0, 0, 90, 192, 0, 2, 1, u8::try_from(parameters.len()).expect("short")];
    body.extend(parameters);
    body
}

#[test]
fn an_open_without_parameters_is_one() {
    let open = Open::decode(&body(&[])).expect("an OPEN");
    assert_eq!(open, Open { my_as: 64_512, hold_time: 90, identifier: 0xc000_0201, capabilities: vec![] });
    assert_eq!(open.encode().len(), 29);
}

#[test]
fn capabilities_come_in_one_parameter_or_in_many() {
    let one = body(&[2, 8, 2, 0, 65, 4, 0, 0, 0xfc, 0]);
    let many = body(&[2, 2, 2, 0, 2, 6, 65, 4, 0, 0, 0xfc, 0]);
    let wanted = vec![Capability::RouteRefresh, Capability::FourOctetAs(64_512)];
    for bytes in [one, many] {
        assert_eq!(Open::decode(&bytes).expect("an OPEN").capabilities, wanted);
    }
}

#[test]
fn long_parameters_have_lengths_of_two_octets() {
    let unknown = Capability::Unknown { code: 200, value: vec![7; 200] };
    let open = Open { my_as: 1, hold_time: 90, identifier: 1, capabilities: vec![unknown.clone(), unknown] };
    let bytes = open.encode();
    assert_eq!((bytes[28], bytes[29]), (255, 255));
    assert_eq!(Open::decode(&bytes[19..]), Ok(open));
}

#[test]
fn what_is_not_understood_is_kept_and_harms_nothing() {
    for (code, value) in [(9, vec![3]), (65, vec![1, 2]), (64, vec![]), (1, vec![0, 1, 0]), (69, vec![0, 1, 1])] {
        let mut parameter =
            vec![2, u8::try_from(value.len() + 2).expect("short"), code, u8::try_from(value.len()).expect("short")];
        parameter.extend(&value);
        assert_eq!(
            Open::decode(&body(&parameter)).expect("an OPEN").capabilities,
            [Capability::Unknown { code, value }]
        );
    }
}

#[test]
fn all_capabilities_survive_the_way() {
    let capabilities = vec![
        Capability::Multiprotocol { afi: 2, safi: 1 },
        Capability::RouteRefresh,
        Capability::EnhancedRouteRefresh,
        Capability::FourOctetAs(4_200_000_001),
        Capability::ExtendedMessage,
        Capability::ExtendedNextHop(vec![(1, 1, 2)]),
        Capability::AddPath(vec![(1, 1, 2), (2, 1, 3)]),
        Capability::GracefulRestart(GracefulRestart {
            restarted: true,
            notification: true,
            restart_time: 4095,
            families: vec![(1, 1, true), (2, 1, false)],
        }),
    ];
    let open = Open { my_as: 23_456, hold_time: 9, identifier: 7, capabilities };
    assert_eq!(Open::decode(&open.encode()[19..]), Ok(open));
}

#[test]
fn what_does_not_agree_is_refused() {
    let mut too_long = body(&[]);
    too_long[9] = 4;
    let mut version = body(&[]);
    version[0] = 5;
    for (bytes, error) in [
        (vec![], OpenError::Malformed),
        (vec![4, 0, 1], OpenError::Malformed),
        (too_long, OpenError::Malformed),
        (body(&[2, 9, 1]), OpenError::Malformed),
        (body(&[2, 3, 65, 4, 0]), OpenError::Malformed),
        ([body(&[]), vec![1]].concat(), OpenError::Malformed),
        (body(&[1, 1, 0]), OpenError::Parameter(1)),
        (version, OpenError::Version(5)),
    ] {
        assert_eq!(Open::decode(&bytes), Err(error), "{bytes:?}");
    }
}
