use proptest::prelude::*;

use super::*;

/// Captured on a veth between FRR 8.4.4 (bfdd) and BIRD 2.0.12, and between two BIRDs with `meticulous keyed sha1`; the values are
/// what tcpdump 4.99 reads out of the same bytes.
pub(crate) const BIRD_DOWN: &str = "204003182abccc8c00000000000f4240000186a000000000";
const FRR_INIT: &str = "208004184a6b83602abccc8c000f4240000f42400000c350";
const BIRD_UP_POLL: &str = "20e003182abccc8c4a6b8360000186a0000186a000000000";
const FRR_UP_FINAL: &str = "20d004184a6b83602abccc8c0000ea600000c3500000c350";
pub(crate) const SIGNED_DOWN: &str =
    "204403340bd1065e00000000000f4240000186a000000000051c07002773b869e8dfe579bb94390f82251c4e695cb1ab3a0c7416";

pub(crate) fn bytes(hex: &str) -> Vec<u8> {
    let digits: Vec<u8> = hex.chars().map(|digit| u8::try_from(digit.to_digit(16).unwrap()).unwrap()).collect();
    digits.chunks(2).map(|pair| pair[0] << 4 | pair[1]).collect()
}

pub(crate) fn number(of: u32) -> Discriminator {
    Discriminator::new(of).unwrap()
}

/// What [`BIRD_DOWN`] says.
pub(crate) fn bird_down() -> Packet {
    Packet {
        diagnostic: Diagnostic::NONE,
        state: State::Down,
        poll: false,
        is_final: false,
        control_plane_independent: false,
        demand: false,
        detect_mult: NonZeroU8::new(3).unwrap(),
        my_discriminator: number(0x2abc_cc8c),
        your_discriminator: None,
        desired_min_tx: 1_000_000,
        required_min_rx: 100_000,
        required_min_echo_rx: 0,
        section: None,
    }
}

#[test]
fn what_routers_send_is_read_as_tcpdump_reads_it_and_written_as_they_wrote_it() {
    let bird = bird_down();
    let frr = Packet {
        detect_mult: NonZeroU8::new(4).unwrap(),
        my_discriminator: number(0x4a6b_8360),
        your_discriminator: Some(number(0x2abc_cc8c)),
        required_min_echo_rx: 50_000,
        ..bird
    };
    let rows = [
        (BIRD_DOWN, bird),
        (FRR_INIT, Packet { state: State::Init, required_min_rx: 1_000_000, ..frr }),
        (
            BIRD_UP_POLL,
            Packet {
                state: State::Up,
                poll: true,
                your_discriminator: Some(number(0x4a6b_8360)),
                desired_min_tx: 100_000,
                ..bird
            },
        ),
        (
            FRR_UP_FINAL,
            Packet { state: State::Up, is_final: true, desired_min_tx: 60_000, required_min_rx: 50_000, ..frr },
        ),
    ];
    for (captured, expected) in rows {
        assert_eq!(Packet::decode(&bytes(captured)), Ok(expected), "{captured}");
        assert_eq!(expected.encode().as_ref(), bytes(captured), "{captured}");
    }
}

#[test]
fn a_signed_packet_is_read_and_written_as_bird_wrote_it() {
    let packet = Packet::decode(&bytes(SIGNED_DOWN)).unwrap();
    let Some(Section::Sha1 { meticulous, key_id, sequence, hash }) = packet.section else {
        panic!("{:?}", packet.section)
    };
    assert_eq!((meticulous, key_id, sequence), (true, 7, 0x2773_b869));
    assert_eq!(hash.to_vec(), bytes("e8dfe579bb94390f82251c4e695cb1ab3a0c7416"));
    assert_eq!(packet.encode().as_ref(), bytes(SIGNED_DOWN));
}

/// [`BIRD_DOWN`] with one byte changed.
fn changed(place: usize, value: u8) -> Result<Packet, DropReason> {
    let mut packet = bytes(BIRD_DOWN);
    packet[place] = value;
    Packet::decode(&packet)
}

//= https://www.rfc-editor.org/rfc/rfc5880#section-6.8.6
//= type=test
//# If the version number is not correct (1), the packet MUST be
//# discarded.
#[test]
fn another_version_is_discarded() {
    for version in [0, 2, 7] {
        assert_eq!(changed(0, version << 5), Err(DropReason::Version));
    }
}

//= https://www.rfc-editor.org/rfc/rfc5880#section-6.8.6
//= type=test
//# If the Length field is less than the minimum correct value (24 if
//# the A bit is clear, or 26 if the A bit is set), the packet MUST be
//# discarded.
#[test]
fn a_length_that_leaves_too_little_room_is_discarded() {
    assert_eq!(changed(3, 23), Err(DropReason::LengthTooShort));
    for (length, expected) in [(25, Some(DropReason::LengthTooShort)), (26, None)] {
        let mut packet = bytes(SIGNED_DOWN);
        packet[3] = length;
        assert_eq!(Packet::decode(&packet).err(), expected, "{length}");
    }
}

//= https://www.rfc-editor.org/rfc/rfc5880#section-6.8.6
//= type=test
//# If the Length field is greater than the payload of the
//# encapsulating protocol, the packet MUST be discarded.
#[test]
fn a_length_beyond_the_payload_is_discarded_and_what_follows_the_length_is_no_part_of_the_packet() {
    assert_eq!(changed(3, 25), Err(DropReason::LengthBeyondPayload));
    let mut longer = bytes(BIRD_DOWN);
    longer.extend([0xff; 30]);
    assert_eq!(Packet::decode(&longer), Ok(bird_down()));
    assert_eq!(Packet::decode(&bytes(BIRD_DOWN)[..23]), Err(DropReason::Truncated));
    assert_eq!(Packet::decode(&[]), Err(DropReason::Truncated));
}

//= https://www.rfc-editor.org/rfc/rfc5880#section-6.8.6
//= type=test
//# If the Detect Mult field is zero, the packet MUST be discarded.
#[test]
fn a_multiplier_of_zero_is_discarded() {
    assert_eq!(changed(2, 0), Err(DropReason::DetectMultZero));
}

//= https://www.rfc-editor.org/rfc/rfc5880#section-6.8.6
//= type=test
//# If the Multipoint (M) bit is nonzero, the packet MUST be
//# discarded.
#[test]
fn a_multipoint_packet_is_discarded() {
    assert_eq!(changed(1, 0x41), Err(DropReason::Multipoint));
}

//= https://www.rfc-editor.org/rfc/rfc5880#section-6.8.6
//= type=test
//# If the My Discriminator field is zero, the packet MUST be
//# discarded.
#[test]
fn a_sender_without_a_number_is_discarded() {
    let mut packet = bytes(BIRD_DOWN);
    packet[4..8].fill(0);
    assert_eq!(Packet::decode(&packet), Err(DropReason::MyDiscriminatorZero));
}

//= https://www.rfc-editor.org/rfc/rfc5880#section-6.7.4
//= type=test
//# If the Auth Len field is not equal to 28, the packet MUST be
//# discarded.
#[test]
fn a_section_of_another_length_or_type_is_none_we_know() {
    for (place, value) in [(24, 1), (24, 2), (24, 3), (24, 6), (25, 27), (25, 29), (3, 51), (3, 32)] {
        let mut packet = bytes(SIGNED_DOWN);
        packet[place] = value;
        let section = Packet::decode(&packet).unwrap().section;
        assert!(matches!(section, Some(Section::Other { .. })), "{place} {value}: {section:?}");
    }
    // Longer than its section: the hash would be over something we do not know.
    let mut packet = bytes(SIGNED_DOWN);
    packet.push(0);
    packet[3] = 53;
    assert_eq!(Packet::decode(&packet).unwrap().section, Some(Section::Other { auth_type: 5 }));
}

pub(crate) fn any_packet() -> impl Strategy<Value = Packet> {
    let section = prop_oneof![
        2 => Just(None),
        2 => (any::<bool>(), any::<u8>(), any::<u32>(), any::<[u8; 20]>())
            .prop_map(|(meticulous, key_id, sequence, hash)| Some(Section::Sha1 { meticulous, key_id, sequence, hash })),
        1 => (0..4_u8).prop_map(|auth_type| Some(Section::Other { auth_type })),
    ];
    let numbers = (1..=u32::MAX, any::<u32>(), any::<u32>(), any::<u32>(), any::<u32>());
    (0..32_u8, 0..4_u8, any::<[bool; 4]>(), 1..=u8::MAX, numbers, section).prop_map(
        |(diagnostic, state, [poll, is_final, independent, demand], mult, (my, your, tx, rx, echo), section)| Packet {
            diagnostic: Diagnostic::from_bits(diagnostic),
            state: State::from_bits(state),
            poll,
            is_final,
            control_plane_independent: independent,
            demand,
            detect_mult: NonZeroU8::new(mult).unwrap(),
            my_discriminator: number(my),
            your_discriminator: Discriminator::new(your),
            desired_min_tx: tx,
            required_min_rx: rx,
            required_min_echo_rx: echo,
            section,
        },
    )
}

/// Bytes that get past the first rules more often than noise does.
pub(crate) fn any_payload() -> impl Strategy<Value = Vec<u8>> {
    prop_oneof![
        1 => proptest::collection::vec(any::<u8>(), 0..80),
        3 => (any_packet(), proptest::collection::vec((0..60_usize, any::<u8>()), 0..4), 0..8_usize).prop_map(
            |(packet, changes, cut)| {
                let mut bytes = packet.encode().as_ref().to_vec();
                bytes.truncate(bytes.len().saturating_sub(cut.saturating_sub(4)));
                for (place, value) in changes {
                    if let Some(byte) = bytes.get_mut(place) {
                        *byte = value;
                    }
                }
                bytes
            }
        ),
    ]
}

proptest! {
    #[test]
    fn what_is_written_is_read_again(packet in any_packet()) {
        prop_assert_eq!(Packet::decode(packet.encode().as_ref()), Ok(packet));
    }

    #[test]
    fn whatever_is_read_is_written_and_read_again(payload in any_payload()) {
        if let Ok(packet) = Packet::decode(&payload) {
            prop_assert_eq!(Packet::decode(packet.encode().as_ref()), Ok(packet));
        }
    }
}
