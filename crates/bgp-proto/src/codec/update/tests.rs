//! RFC 7606's table, attribute by attribute.

use super::*;

const EXTERNAL: UpdateContext = UpdateContext { internal: false, four_octet_as: true };
const INTERNAL: UpdateContext = UpdateContext { internal: true, four_octet_as: true };
const TWO_OCTETS: UpdateContext = UpdateContext { internal: false, four_octet_as: false };

const ORIGIN: &[u8] = &[0x40, 1, 1, 0];
const AS_PATH: &[u8] = &[0x40, 2, 6, 2, 1, 0, 0, 0xfc, 1];
const NEXT_HOP: &[u8] = &[0x40, 3, 4, 192, 0, 2, 1];
const LOCAL_PREF: &[u8] = &[0x40, 5, 4, 0, 0, 0, 100];
const PREFIX: &[u8] = &[24, 203, 0, 113];

fn body(withdrawn: &[u8], attributes: &[&[u8]], nlri: &[u8]) -> Vec<u8> {
    let attributes = attributes.concat();
    let length = |part: &[u8]| u16::try_from(part.len()).expect("short").to_be_bytes();
    [&length(withdrawn), withdrawn, &length(&attributes), &attributes, nlri].concat()
}

/// An UPDATE that is right but for what is added or put in place of an attribute.
fn with(context: UpdateContext, changed: &[u8]) -> Result<Inspected, UpdateError> {
    let mut attributes = vec![ORIGIN, AS_PATH, NEXT_HOP];
    if context.internal {
        attributes.push(LOCAL_PREF);
    }
    attributes.retain(|attribute| attribute[1] != changed[1]);
    attributes.push(changed);
    inspect(&body(&[], &attributes, PREFIX), context)
}

fn prefix(text: &str) -> Prefix {
    text.parse().expect("a prefix")
}

/// A name, the session, the attribute that is changed or added, and what comes of it: which attribute, why, and whether the routes
/// count as withdrawn.
type Row<'a> = (&'a str, UpdateContext, &'a [u8], Option<(u8, AttributeFault, bool)>);

//= https://www.rfc-editor.org/rfc/rfc7606#section-3
//= type=test
//# the attribute MUST be treated as malformed and the "treat-as-withdraw"
//# approach used
//= https://www.rfc-editor.org/rfc/rfc7606#section-7.5
//= type=test
//# it SHALL be discarded using the approach of "attribute discard"
//= https://www.rfc-editor.org/rfc/rfc7607#section-2
//= type=test
//# the AS number zero in the AS_PATH or AGGREGATOR attribute MUST be considered
//# as malformed
#[test]
fn a_wrong_attribute_is_treated_as_its_rfc_says() {
    let withdraw = |attribute, fault| Some((attribute, fault, true));
    let discard = |attribute, fault| Some((attribute, fault, false));
    let two_of_four_octets: &[u8] = &[0x40, 2, 4, 2, 1, 0xfc, 1];
    let rows: &[Row<'_>] = &[
        ("ORIGIN", EXTERNAL, ORIGIN, None),
        ("ORIGIN of two octets", EXTERNAL, &[0x40, 1, 2, 0, 0], withdraw(1, Length)),
        ("ORIGIN 3", EXTERNAL, &[0x40, 1, 1, 3], withdraw(1, Value)),
        ("ORIGIN optional", EXTERNAL, &[0xc0, 1, 1, 0], withdraw(1, Flags)),
        ("an extended length", EXTERNAL, &[0x50, 1, 0, 1, 0], None),
        ("AS_PATH empty", EXTERNAL, &[0x40, 2, 0], None),
        ("AS_PATH of an unknown segment", EXTERNAL, &[0x40, 2, 6, 9, 1, 0, 0, 0, 1], withdraw(2, Value)),
        ("AS_PATH of an empty segment", EXTERNAL, &[0x40, 2, 2, 2, 0], withdraw(2, Value)),
        ("AS_PATH cut off", EXTERNAL, &[0x40, 2, 5, 2, 1, 0, 0, 0], withdraw(2, Value)),
        ("AS_PATH with one octet left", EXTERNAL, &[0x40, 2, 7, 2, 1, 0, 0, 0, 1, 2], withdraw(2, Value)),
        ("AS_PATH with AS 0", EXTERNAL, &[0x40, 2, 6, 2, 1, 0, 0, 0, 0], withdraw(2, Value)),
        ("AS_PATH in two octets", TWO_OCTETS, two_of_four_octets, None),
        ("AS_PATH in two octets, read as four", EXTERNAL, two_of_four_octets, withdraw(2, Value)),
        ("a confederation from outside", EXTERNAL, &[0x40, 2, 6, 3, 1, 0, 0, 0, 1], withdraw(2, Value)),
        ("a confederation from inside", INTERNAL, &[0x40, 2, 6, 3, 1, 0, 0, 0, 1], None),
        ("NEXT_HOP of five octets", EXTERNAL, &[0x40, 3, 5, 1, 2, 3, 4, 5], withdraw(3, Length)),
        ("MED", EXTERNAL, &[0x80, 4, 4, 0, 0, 0, 1], None),
        ("MED of three octets", EXTERNAL, &[0x80, 4, 3, 0, 0, 1], withdraw(4, Length)),
        ("MED transitive", EXTERNAL, &[0xc0, 4, 4, 0, 0, 0, 1], withdraw(4, Flags)),
        ("LOCAL_PREF from outside", EXTERNAL, LOCAL_PREF, discard(5, FromExternal)),
        ("LOCAL_PREF of one octet from outside", EXTERNAL, &[0x40, 5, 1, 1], discard(5, FromExternal)),
        ("LOCAL_PREF of one octet", INTERNAL, &[0x40, 5, 1, 1], withdraw(5, Length)),
        ("ATOMIC_AGGREGATE", EXTERNAL, &[0x40, 6, 0], None),
        ("ATOMIC_AGGREGATE of one octet", EXTERNAL, &[0x40, 6, 1, 0], discard(6, Length)),
        ("AGGREGATOR", EXTERNAL, &[0xc0, 7, 8, 0, 0, 0, 1, 192, 0, 2, 1], None),
        ("AGGREGATOR of six octets", EXTERNAL, &[0xc0, 7, 6, 0, 1, 192, 0, 2, 1], discard(7, Length)),
        ("AGGREGATOR of six octets among two", TWO_OCTETS, &[0xc0, 7, 6, 0, 1, 192, 0, 2, 1], None),
        ("AGGREGATOR AS 0", EXTERNAL, &[0xc0, 7, 8, 0, 0, 0, 0, 192, 0, 2, 1], discard(7, Value)),
        ("COMMUNITIES", EXTERNAL, &[0xc0, 8, 4, 0, 1, 0, 2], None),
        ("COMMUNITIES of five octets", EXTERNAL, &[0xc0, 8, 5, 0, 1, 0, 2, 0], withdraw(8, Length)),
        ("COMMUNITIES empty", EXTERNAL, &[0xc0, 8, 0], withdraw(8, Length)),
        ("COMMUNITIES partial", EXTERNAL, &[0xe0, 8, 4, 0, 1, 0, 2], None),
        ("ORIGINATOR_ID from outside", EXTERNAL, &[0x80, 9, 4, 1, 2, 3, 4], discard(9, FromExternal)),
        ("ORIGINATOR_ID of three octets", INTERNAL, &[0x80, 9, 3, 1, 2, 3], withdraw(9, Length)),
        ("CLUSTER_LIST from outside", EXTERNAL, &[0x80, 10, 4, 1, 2, 3, 4], discard(10, FromExternal)),
        ("CLUSTER_LIST empty", INTERNAL, &[0x80, 10, 0], withdraw(10, Length)),
        ("extended communities", EXTERNAL, &[0xc0, 16, 8, 0, 2, 0, 1, 0, 0, 0, 1], None),
        ("extended communities of seven octets", EXTERNAL, &[0xc0, 16, 7, 0, 2, 0, 1, 0, 0, 0], withdraw(16, Length)),
        ("AS4_PATH from one of four octets", EXTERNAL, &[0xc0, 17, 6, 2, 1, 0, 0, 0, 1], discard(17, Value)),
        ("AS4_PATH from one of two octets", TWO_OCTETS, &[0xc0, 17, 6, 2, 1, 0, 0, 0, 1], None),
        ("AS4_PATH cut off", TWO_OCTETS, &[0xc0, 17, 5, 2, 1, 0, 0, 0], discard(17, Value)),
        ("AS4_AGGREGATOR of seven octets", TWO_OCTETS, &[0xc0, 18, 7, 0, 0, 0, 1, 1, 2, 3], discard(18, Length)),
        ("large communities", EXTERNAL, &[0xc0, 32, 12, 0, 0, 0, 1, 0, 0, 0, 2, 0, 0, 0, 3], None),
        ("large communities of four octets", EXTERNAL, &[0xc0, 32, 4, 0, 0, 0, 1], withdraw(32, Length)),
        ("an unknown optional one", EXTERNAL, &[0xc0, 200, 1, 0], None),
    ];
    for (name, context, changed, expected) in rows {
        let mut changed = changed.to_vec();
        if *context == TWO_OCTETS && changed[1] != 2 {
            // The path has to be right in two octets as well.
            let path = [0x40, 2, 4, 2, 1, 0xfc, 1];
            let attributes: [&[u8]; 4] = [ORIGIN, &path, NEXT_HOP, &changed];
            let found = inspect(&body(&[], &attributes, PREFIX), *context).expect(name);
            assert_eq!(outcome(&found), *expected, "{name}");
            continue;
        }
        let found = with(*context, &changed).expect(name);
        assert_eq!(outcome(&found), *expected, "{name}");
        let is_withdrawn = expected.is_some_and(|(_, _, withdraws)| withdraws);
        let (came, gone) = if is_withdrawn {
            (vec![], vec![prefix("203.0.113.0/24")])
        } else {
            (vec![prefix("203.0.113.0/24")], vec![])
        };
        assert_eq!((found.announced, found.withdrawn), (came, gone), "{name}");
        changed.clear();
    }
}

fn outcome(found: &Inspected) -> Option<(u8, AttributeFault, bool)> {
    let withdrawn = found.treated_as_withdraw.map(|fault| (fault.attribute, fault.fault, true));
    withdrawn.or_else(|| found.discarded.first().map(|fault| (fault.attribute, fault.fault, false)))
}

//= https://www.rfc-editor.org/rfc/rfc7606#section-3
//= type=test
//# "treat-as-withdraw" MUST be used.
#[test]
fn what_is_mandatory_and_missing_is_treated_as_withdraw() {
    let all: [(&[u8], u8); 4] = [(ORIGIN, 1), (AS_PATH, 2), (NEXT_HOP, 3), (LOCAL_PREF, 5)];
    for (_, missing) in all {
        let rest: Vec<&[u8]> = all.iter().filter(|(_, number)| *number != missing).map(|(bytes, _)| *bytes).collect();
        let found = inspect(&body(&[], &rest, PREFIX), INTERNAL).expect("readable");
        assert_eq!(found.treated_as_withdraw, Some(Fault { attribute: missing, fault: Missing }));
    }
    // A withdrawal needs none of them.
    let found = inspect(&body(PREFIX, &[], &[]), INTERNAL).expect("readable");
    assert_eq!((found.withdrawn, found.treated_as_withdraw), (vec![prefix("203.0.113.0/24")], None));
}

//= https://www.rfc-editor.org/rfc/rfc4271#section-5
//= type=test
//# MUST be prepared to handle path attributes within UPDATE messages that are
//# out of order.
#[test]
fn attributes_may_come_in_any_order() {
    let mut all = [ORIGIN, AS_PATH, NEXT_HOP, LOCAL_PREF, &[0xc0, 8, 4, 0, 1, 0, 2]];
    for turn in 0..all.len() {
        all.rotate_left(1);
        for order in [all.to_vec(), all.iter().rev().copied().collect()] {
            let found = inspect(&body(&[], &order, PREFIX), INTERNAL).expect("readable");
            assert_eq!((outcome(&found), found.announced), (None, vec![prefix("203.0.113.0/24")]), "{turn}");
        }
    }
}

//= https://www.rfc-editor.org/rfc/rfc7606#section-3
//= type=test
//# all the occurrences of the attribute other than the first one SHALL be
//# discarded
#[test]
fn all_but_the_first_of_one_attribute_are_discarded() {
    let found =
        inspect(&body(&[], &[ORIGIN, AS_PATH, NEXT_HOP, &[0x40, 1, 1, 9]], PREFIX), EXTERNAL).expect("readable");
    assert_eq!(outcome(&found), Some((1, Repeated, false)));
}

//= https://www.rfc-editor.org/rfc/rfc7606#section-4
//= type=test
//# the Total Attribute Length MUST be relied upon
#[test]
fn an_attribute_beyond_the_end_leaves_the_prefixes_where_they_are() {
    for cut in [&[0x40, 8, 200, 1][..], &[0x40], &[0x50, 8, 0]] {
        let found = inspect(&body(&[], &[ORIGIN, AS_PATH, NEXT_HOP, cut], PREFIX), EXTERNAL).expect("readable");
        assert_eq!(found.withdrawn, [prefix("203.0.113.0/24")]);
    }
}

const REACH: &[u8] =
    &[0x80, 14, 26, 0, 2, 1, 16, 0x20, 1, 0xd, 0xb8, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1, 0, 32, 0x20, 1, 0xd, 0xb8];
const UNREACH: &[u8] = &[0x80, 15, 8, 0, 2, 1, 32, 0x20, 1, 0xd, 0xb8];

#[test]
fn prefixes_of_the_second_family_are_found() {
    let found = inspect(&body(&[], &[REACH, ORIGIN, AS_PATH], &[]), EXTERNAL).expect("readable");
    assert_eq!((found.announced, found.treated_as_withdraw), (vec![prefix("2001:db8::/32")], None));
    let found = inspect(&body(&[], &[UNREACH], &[]), EXTERNAL).expect("readable");
    assert_eq!(found.withdrawn, [prefix("2001:db8::/32")]);
}

#[test]
fn the_end_of_rib_of_each_family_is_known() {
    let ipv6: &[u8] = &[0x80, 15, 3, 0, 2, 1];
    for (bytes, family) in [(body(&[], &[], &[]), Family::Ipv4Unicast), (body(&[], &[ipv6], &[]), Family::Ipv6Unicast)]
    {
        assert_eq!(inspect(&bytes, EXTERNAL).expect("readable").end_of_rib, Some(family));
    }
    let other: &[u8] = &[0x80, 15, 3, 0, 25, 70];
    assert_eq!(inspect(&body(&[], &[other], &[]), EXTERNAL).expect("readable"), Inspected::default());
}

//= https://www.rfc-editor.org/rfc/rfc4271#section-6.3
//= type=test
//# then the Error Subcode MUST be set to Malformed Attribute List.
//= https://www.rfc-editor.org/rfc/rfc4271#section-6.3
//= type=test
//# the Error Subcode MUST be set to Unrecognized Well-known Attribute.
//= https://www.rfc-editor.org/rfc/rfc4271#section-6.3
//= type=test
//# the Error Subcode MUST be set to Invalid Network Field.
//= https://www.rfc-editor.org/rfc/rfc7606#section-3
//= type=test
//# NOTIFICATION message MUST be sent with the Error Subcode "Malformed
//# Attribute List".
//= https://www.rfc-editor.org/rfc/rfc7606#section-5.2
//= type=test
//# then the "session reset" approach MUST be used.
//= https://www.rfc-editor.org/rfc/rfc7606#section-5.3
//= type=test
//# attribute of an update SHALL be considered to be incorrect
//= https://www.rfc-editor.org/rfc/rfc7606#section-7.11
//= type=test
//# is inconsistent with that which was expected, the attribute is considered
//# malformed.
#[test]
fn where_prefixes_cannot_be_trusted_the_session_ends() {
    let bad_next_hop: Vec<u8> = [&[0x80, 14, 9, 0, 2, 1, 4, 1, 2, 3, 4, 0][..]].concat();
    let rows: Vec<(&str, Vec<u8>, u8)> = vec![
        ("withdrawn routes beyond the end", vec![0, 5, 24, 1, 2], 1),
        ("attributes beyond the end", vec![0, 0, 0, 9, 1], 1),
        ("too short", vec![0], 1),
        ("a prefix of 33 bits", body(&[], &[ORIGIN, AS_PATH, NEXT_HOP], &[33, 1, 2, 3, 4, 5]), 10),
        ("a prefix cut off", body(&[], &[ORIGIN, AS_PATH, NEXT_HOP], &[24, 1, 2]), 10),
        ("a withdrawn prefix cut off", body(&[24, 1], &[], &[]), 10),
        ("an IPv6 prefix of 129 bits", body(&[], &[&[0x80, 15, 4, 0, 2, 1, 129]], &[]), 10),
        ("MP_REACH_NLRI twice", body(&[], &[REACH, REACH, ORIGIN, AS_PATH], &[]), 1),
        ("MP_UNREACH_NLRI twice", body(&[], &[UNREACH, UNREACH], &[]), 1),
        ("MP_UNREACH_NLRI that is transitive", body(&[], &[&[&[0xc0][..], &UNREACH[1..]].concat()], &[]), 9),
        ("MP_REACH_NLRI with half a next hop", body(&[], &[&bad_next_hop, ORIGIN, AS_PATH], &[]), 9),
        ("MP_REACH_NLRI beyond the end", body(&[], &[ORIGIN, AS_PATH, &REACH[..20]], &[]), 9),
        ("an unknown well-known attribute", body(&[], &[ORIGIN, AS_PATH, NEXT_HOP, &[0x40, 99, 0]], PREFIX), 2),
        ("a wrong attribute and no prefix", body(&[], &[&[0x40, 1, 1, 9]], &[]), 1),
        ("a wrong attribute beside withdrawals alone", body(&[], &[UNREACH, &[0x40, 1, 1, 9]], &[]), 1),
    ];
    for (name, bytes, subcode) in rows {
        let notification = inspect(&bytes, EXTERNAL).expect_err(name).notification();
        assert_eq!((notification.code, notification.subcode), (3, subcode), "{name}");
    }
}
