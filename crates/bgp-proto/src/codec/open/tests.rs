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

//= https://www.rfc-editor.org/rfc/rfc5492#section-4
//= type=test
//# MUST be prepared to accept such multiple instances.
#[test]
fn capabilities_come_in_one_parameter_or_in_many() {
    let one = body(&[2, 8, 2, 0, 65, 4, 0, 0, 0xfc, 0]);
    let many = body(&[2, 2, 2, 0, 2, 6, 65, 4, 0, 0, 0xfc, 0]);
    let wanted = vec![Capability::RouteRefresh, Capability::FourOctetAs(64_512)];
    for bytes in [one, many] {
        assert_eq!(Open::decode(&bytes).expect("an OPEN").capabilities, wanted);
    }
}

//= https://www.rfc-editor.org/rfc/rfc9072#section-2
//= type=test
//# If the value of the "Non-Ext OP Type" field is 255, then the encoding
//# described above is used
#[test]
fn long_parameters_have_lengths_of_two_octets() {
    let unknown = Capability::Unknown { code: 200, value: vec![7; 200] };
    let open = Open { my_as: 1, hold_time: 90, identifier: 1, capabilities: vec![unknown.clone(), unknown] };
    let bytes = open.encode();
    assert_eq!((bytes[28], bytes[29]), (255, 255));
    assert_eq!(Open::decode(&bytes[19..]), Ok(open));
}

//= https://www.rfc-editor.org/rfc/rfc9072#section-2
//= type=test
//# MUST accept an OPEN message that uses the encoding of this specification
//# even if the length of the Optional Parameters is 255 or less.
#[test]
fn lengths_of_two_octets_are_read_where_one_would_do() {
    // "Non-Ext OP Len.", "Non-Ext OP Type", and a parameter of four octets with a length of two.
    for said in [255, 1, 9] {
        let mut bytes = body(&[]);
        bytes[9] = said;
        bytes.extend([255, 0, 5, 2, 0, 2, 2, 0]);
        assert_eq!(Open::decode(&bytes).expect("an OPEN").capabilities, [Capability::RouteRefresh], "{said}");
    }
}

//= https://www.rfc-editor.org/rfc/rfc4724#section-3
//= type=test
//# MUST ignore all but the last instance
#[test]
fn of_several_graceful_restart_capabilities_the_last_counts() {
    let said = |restart_time| GracefulRestart {
        restarted: false,
        notification: false,
        restart_time,
        families: vec![(1, 1, false)],
    };
    let all = [said(7), said(9)].map(Capability::GracefulRestart);
    let gathered = crate::codec::Abilities::gather(&all).graceful_restart;
    assert_eq!(gathered, Some(said(9)));
}

//= https://www.rfc-editor.org/rfc/rfc5492#section-3
//= type=test
//# the BGP session MUST NOT be terminated in response to reception of a
//# capability that is not supported by the local speaker.
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

//= https://www.rfc-editor.org/rfc/rfc4271#section-6.2
//= type=test
//# is recognized, but is malformed, then the Error Subcode MUST be set to 0
//# (Unspecific).
//= https://www.rfc-editor.org/rfc/rfc4271#section-6.2
//= type=test
//# the Error Subcode MUST be set to Unsupported Optional Parameters.
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
        let told = error.notification();
        let wanted = match error {
            OpenError::Malformed => 0,
            OpenError::Parameter(_) => 4,
            OpenError::Version(_) => 1,
        };
        assert_eq!((told.code, told.subcode), (2, wanted), "{bytes:?}");
    }
}
