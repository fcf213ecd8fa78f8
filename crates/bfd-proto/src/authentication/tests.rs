use super::*;
use crate::packet::tests::{bird_down, bytes};

/// Captured between two BIRD 2.0.12 with `authentication meticulous keyed sha1; password "sesame" { id 7; };`, one side's packets
/// in their order: Down, Init, Up with F, Up with P.
const BY_BIRD: [&str; 4] = [
    "204403340bd1065e00000000000f4240000186a000000000051c07002773b869e8dfe579bb94390f82251c4e695cb1ab3a0c7416",
    "208403340bd1065ef18db635000f4240000186a000000000051c07002773b86a13c66c56970a103413f06c54b1d8a5efa7d6c86b",
    "20d403340bd1065ef18db635000186a0000186a000000000051c07002773b86b5dad33ba39f1881ade9d2e5f6b12bb036c053e5e",
    "20e403340bd1065ef18db635000186a0000186a000000000051c07002773b86c32b261f9afaf0bd02763c9e51debd91c179a23d4",
];

fn sesame(meticulous: bool) -> Authentication {
    Authentication { key: Key::new(7, b"sesame").unwrap(), meticulous }
}

const UNKNOWN: Sequences = Sequences { next: 0, received: None };

fn judge(authentication: &Authentication, payload: &[u8], sequences: &mut Sequences) -> Result<(), DropReason> {
    authentication.judge(&Packet::decode(payload).unwrap(), payload, sequences)
}

#[test]
fn what_bird_signed_is_taken_in_its_order_and_only_once() {
    let mut sequences = UNKNOWN;
    for captured in BY_BIRD {
        assert_eq!(judge(&sesame(true), &bytes(captured), &mut sequences), Ok(()), "{captured}");
    }
    for captured in BY_BIRD {
        let outcome = judge(&sesame(true), &bytes(captured), &mut sequences);
        assert_eq!(outcome, Err(DropReason::AuthenticationSequence), "{captured}");
    }
    assert_eq!(sequences.received, Some(0x2773_b86c));
}

//= https://www.rfc-editor.org/rfc/rfc5880#section-6.7.4
//= type=test
//# A SHA1 hash MUST be calculated over the entire BFD control packet.
//= https://www.rfc-editor.org/rfc/rfc5880#section-6.7.4
//= type=test
//# The Auth Type field MUST be set to 4 (Keyed SHA1) or 5 (Meticulous
//# Keyed SHA1).  The Auth Len field MUST be set to 28.
//= https://www.rfc-editor.org/rfc/rfc5880#section-6.7.4
//= type=test
//# and MUST be placed into the Auth Key/Hash field, padding with
//# trailing zero bytes as necessary.
//= https://www.rfc-editor.org/rfc/rfc5880#section-4.4
//= type=test
//# This byte MUST be set to zero on transmit
#[test]
fn we_sign_as_bird_does() {
    for captured in BY_BIRD {
        let packet = Packet::decode(&bytes(captured)).unwrap();
        let Some(Section::Sha1 { sequence, .. }) = packet.section else { panic!("{packet:?}") };
        assert_eq!(sesame(true).sign(&packet, sequence).as_ref(), bytes(captured));
    }
    let keyed = sesame(false).sign(&bird_down(), 9);
    assert_eq!(keyed.as_ref()[24..32], [4, 28, 7, 0, 0, 0, 0, 9]);
    assert!(!keyed.as_ref().windows(6).any(|octets| octets == b"sesame"), "the key itself is on the wire");
}

//= https://www.rfc-editor.org/rfc/rfc5880#section-6.7.4
//= type=test
//# Otherwise (the hash does not match the Auth Key/Hash field), the
//# received packet MUST be discarded.
#[test]
fn a_packet_changed_anywhere_is_discarded() {
    let original = bytes(BY_BIRD[0]);
    for place in (0..original.len()).filter(|place| ![0, 1, 2, 3, 24, 25, 26].contains(place)) {
        let mut forged = original.clone();
        forged[place] ^= 0x10;
        let outcome = judge(&sesame(true), &forged, &mut UNKNOWN.clone());
        assert_eq!(outcome, Err(DropReason::AuthenticationHash), "byte {place}");
    }
    let other = Authentication { key: Key::new(7, b"sesamo").unwrap(), meticulous: true };
    assert_eq!(judge(&other, &original, &mut UNKNOWN.clone()), Err(DropReason::AuthenticationHash));
}

//= https://www.rfc-editor.org/rfc/rfc5880#section-6.7.4
//= type=test
//# or the Auth Type is not correct (4 for Keyed SHA1 or 5 for
//# Meticulous Keyed SHA1), then the received packet MUST be discarded.
//= https://www.rfc-editor.org/rfc/rfc5880#section-6.7
//= type=test
//# Implementations supporting authentication MUST support both types of
//# SHA1 authentication.
#[test]
fn each_kind_takes_its_own_and_refuses_the_other() {
    for (ours, theirs) in [(false, false), (true, true), (false, true), (true, false)] {
        let packet = sesame(theirs).sign(&bird_down(), 5);
        let expected = if ours == theirs { Ok(()) } else { Err(DropReason::AuthenticationType) };
        assert_eq!(judge(&sesame(ours), packet.as_ref(), &mut UNKNOWN.clone()), expected);
    }
    let unsigned = bird_down().encode();
    assert_eq!(judge(&sesame(true), unsigned.as_ref(), &mut UNKNOWN.clone()), Err(DropReason::MissingAuthentication));
}

//= https://www.rfc-editor.org/rfc/rfc5880#section-6.7.4
//= type=test
//# If the Auth Key ID field does not match the ID of a configured
//# authentication key, the received packet MUST be discarded.
#[test]
fn a_key_of_another_number_is_discarded() {
    let eighth = Authentication { key: Key::new(8, b"sesame").unwrap(), meticulous: true };
    assert_eq!(judge(&eighth, &bytes(BY_BIRD[0]), &mut UNKNOWN.clone()), Err(DropReason::AuthenticationKey));
}

//= https://www.rfc-editor.org/rfc/rfc5880#section-6.7.4
//= type=test
//# For Keyed SHA1, if the
//# sequence number lies outside of the range of bfd.RcvAuthSeq to
//# bfd.RcvAuthSeq+(3*Detect Mult) inclusive (when treated as an
//# unsigned 32-bit circular number space), the received packet MUST
//# be discarded.
#[test]
fn a_sequence_number_counts_within_a_window_that_wraps() {
    // The multiplier is 3, so the window ends 9 ahead.
    let rows = [
        // (meticulous, last, received, taken)
        (false, 100, 100, true),
        (true, 100, 100, false),
        (true, 100, 101, true),
        (true, 100, 109, true),
        (true, 100, 110, false),
        (false, 100, 109, true),
        (false, 100, 110, false),
        (false, 100, 99, false),
        (true, u32::MAX, 0, true),
        (true, u32::MAX - 4, 4, true),
        (true, u32::MAX - 4, 5, false),
        (true, 0, u32::MAX, false),
    ];
    for (meticulous, last, received, is_taken) in rows {
        let packet = sesame(meticulous).sign(&bird_down(), received);
        let mut sequences = Sequences { next: 0, received: Some(last) };
        let outcome = judge(&sesame(meticulous), packet.as_ref(), &mut sequences);
        assert_eq!(outcome.is_ok(), is_taken, "{meticulous} {last} {received}: {outcome:?}");
        assert_eq!(sequences.received, Some(if is_taken { received } else { last }));
    }
}

//= https://www.rfc-editor.org/rfc/rfc5880#section-6.7.4
//= type=test
//# Otherwise (bfd.AuthSeqKnown is 0), bfd.AuthSeqKnown MUST be set to
//# 1, and bfd.RcvAuthSeq MUST be set to the value of the received
//# Sequence Number field.
#[test]
fn the_first_packet_sets_the_sequence_number_unless_it_is_a_strangers() {
    let mut sequences = UNKNOWN;
    let stranger = Authentication { key: Key::new(7, b"guess").unwrap(), meticulous: true };
    let forged = stranger.sign(&bird_down(), 77);
    assert_eq!(judge(&sesame(true), forged.as_ref(), &mut sequences), Err(DropReason::AuthenticationHash));
    assert_eq!(sequences.received, None);
    let first = sesame(true).sign(&bird_down(), 5);
    assert_eq!(judge(&sesame(true), first.as_ref(), &mut sequences), Ok(()));
    assert_eq!(sequences.received, Some(5));
}

#[test]
fn a_key_has_1_to_20_octets_and_keeps_to_itself() {
    assert_eq!(Key::new(1, b""), Err(KeyLength(0)));
    assert_eq!(Key::new(1, &[1; 21]), Err(KeyLength(21)));
    assert!(Key::new(1, &[1; 20]).is_ok());
    assert_eq!(format!("{:?}", Key::new(1, b"sesame").unwrap()), "Key { id: 1, .. }");
}
