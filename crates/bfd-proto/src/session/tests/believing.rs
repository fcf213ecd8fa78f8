//! Which packets are believed: discriminators, hop counts, authentication.

use proptest::prelude::any;
use proptest::proptest;

use super::*;
use crate::Hops;
use crate::authentication::{Authentication, Key};
use crate::packet::Section;

//= https://www.rfc-editor.org/rfc/rfc5880#section-6.8.6
//= type=test
//# If the Your Discriminator field is zero and the State field is not
//# Down or AdminDown, the packet MUST be discarded.
#[test]
fn a_peer_that_hears_us_and_does_not_know_our_number_is_discarded() {
    for state in State::ALL {
        let mut bench = Bench::new(config());
        bench.hear(Packet { your_discriminator: None, ..packet(state) });
        let expected: &[DropReason] = match state {
            State::AdminDown | State::Down => &[],
            State::Init | State::Up => &[DropReason::StateWithoutDiscriminator],
        };
        assert_eq!(bench.dropped, expected, "{state}");
        bench.hear(Packet { your_discriminator: Some(number(OURS + 1)), ..packet(state) });
        assert_eq!(bench.dropped.last(), Some(&DropReason::UnknownDiscriminator));
    }
}

//= https://www.rfc-editor.org/rfc/rfc5881#section-5
//= type=test
//# MUST be discarded if the received
//# TTL or Hop Limit is not equal to 255.
#[test]
fn over_one_hop_only_a_ttl_of_255_counts_and_over_several_the_least_that_was_said() {
    let several = Config { hops: Hops::Multi { minimum_ttl: 250 }, ..config() };
    for (config, ttl, is_taken) in [
        (config(), 255, true),
        (config(), 254, false),
        (config(), 0, false),
        (several.clone(), 255, true),
        (several.clone(), 250, true),
        (several, 249, false),
    ] {
        let mut bench = Bench::new(config);
        bench.hear_bytes(first().encode().as_ref(), ttl);
        assert_eq!(bench.session.state() == State::Init, is_taken, "{ttl}");
        assert_eq!(bench.dropped.contains(&DropReason::Ttl), !is_taken);
    }
}

fn signed() -> Config {
    let key = Key::new(1, b"secret").unwrap();
    Config { authentication: Some(Authentication { key, meticulous: true }), ..config() }
}

//= https://www.rfc-editor.org/rfc/rfc5880#section-6.8.6
//= type=test
//# If the A bit is set and no authentication is in use (bfd.AuthType
//# is zero), the packet MUST be discarded.
//= https://www.rfc-editor.org/rfc/rfc5880#section-6.8.6
//= type=test
//# If the A bit is clear and authentication is in use (bfd.AuthType
//# is nonzero), the packet MUST be discarded.
//= https://www.rfc-editor.org/rfc/rfc5880#section-6.8.6
//= type=test
//# If the A bit is set, the packet MUST be authenticated under the
//# rules of section 6.7, based on the authentication type in use
//# (bfd.AuthType).
#[test]
fn signed_and_unsigned_sessions_do_not_mix() {
    let authentication = signed().authentication.unwrap();
    let good = authentication.sign(&first(), 3);
    let mut bench = Bench::new(config());
    bench.hear_bytes(good.as_ref(), 255);
    assert_eq!(
        (bench.dropped.as_slice(), bench.session.state()),
        (&[DropReason::UnexpectedAuthentication][..], State::Down)
    );

    let mut bench = Bench::new(signed());
    bench.hear(first());
    let foreign = Packet { section: Some(Section::Other { auth_type: 1 }), ..first() };
    bench.hear(foreign);
    let wrong = Authentication { key: Key::new(1, b"guess").unwrap(), meticulous: true };
    bench.hear_bytes(wrong.sign(&first(), 3).as_ref(), 255);
    assert_eq!(
        bench.dropped,
        [DropReason::MissingAuthentication, DropReason::AuthenticationType, DropReason::AuthenticationHash]
    );
    assert_eq!((bench.session.state(), bench.session.remote()), (State::Down, &Remote::UNHEARD));
    bench.hear_bytes(good.as_ref(), 255);
    assert_eq!(bench.session.state(), State::Init);
}

//= https://www.rfc-editor.org/rfc/rfc5880#section-6.7.4
//= type=test
//# For Meticulous Keyed SHA1, bfd.XmitAuthSeq MUST be incremented in a
//# circular fashion (when treated as an unsigned 32-bit value).
//= https://www.rfc-editor.org/rfc/rfc5880#section-6.8.1
//= type=test
//# This variable MUST be initialized to a random 32-bit value.
#[test]
fn the_sequence_number_begins_anywhere_and_grows_with_each_packet() {
    let mut bench = Bench::new(signed());
    bench.wait(5000);
    let sequences: Vec<u32> = bench
        .sent
        .iter()
        .map(|(_, packet)| match packet.section {
            Some(Section::Sha1 { sequence, .. }) => sequence,
            other => panic!("{other:?}"),
        })
        .collect();
    assert!(sequences.len() > 4);
    assert!(sequences.windows(2).all(|pair| pair[1] == pair[0].wrapping_add(1)), "{sequences:?}");
    let begins = |seed| Session::new(Timestamp::ZERO, number(1), signed(), seed).sequences.next;
    assert_ne!(begins(1), begins(2));
}

//= https://www.rfc-editor.org/rfc/rfc5880#section-6.8.1
//= type=test
//# This variable MUST be set to zero after no packets have been
//# received on this session for at least twice the Detection Time.
#[test]
fn a_peer_that_starts_anew_is_believed_after_twice_the_detection_time_and_not_before() {
    let authentication = signed().authentication.unwrap();
    let mut bench = Bench::new(signed());
    // Detection time: 3 x 1 s.
    bench.hear_bytes(authentication.sign(&first(), 3).as_ref(), 255);
    bench.wait(5_990).hear_bytes(authentication.sign(&first(), 900_000).as_ref(), 255);
    assert_eq!(bench.dropped, [DropReason::AuthenticationSequence]);
    bench.wait(20).hear_bytes(authentication.sign(&first(), 900_000).as_ref(), 255);
    assert_eq!((bench.dropped.len(), bench.session.state()), (1, State::Init));
}

#[test]
fn another_key_forgets_the_sequence_number_and_keeps_the_session() {
    let mut bench = Bench::new(signed());
    let old = signed().authentication.unwrap();
    bench.hear_bytes(old.sign(&first(), 70).as_ref(), 255);
    let new = Authentication { key: Key::new(2, b"other").unwrap(), meticulous: true };
    bench.tell(Input::Configure(Config { authentication: Some(new.clone()), ..config() }));
    bench.hear_bytes(new.sign(&packet(State::Init), 3).as_ref(), 255);
    assert_eq!((bench.session.state(), bench.dropped.len()), (State::Up, 0));
}

proptest! {
    #[test]
    fn no_datagram_panics_or_ends_a_session_that_it_is_not_for(
        payload in crate::packet::tests::any_payload(),
        ttl in any::<u8>(),
        is_signed in any::<bool>(),
    ) {
        let mut bench = if is_signed { Bench::new(signed()) } else { Bench::up(config()) };
        let before = bench.session.state();
        bench.hear_bytes(&payload, ttl);
        let is_for_it = payload.get(8..12) == Some(&OURS.to_be_bytes()) || payload.get(8..12) == Some(&[0; 4]);
        if ttl != 255 || !is_for_it || is_signed {
            assert_eq!(bench.session.state(), before);
        }
    }
}
