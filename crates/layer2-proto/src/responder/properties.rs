//! What holds for every sequence of inputs and waits; each promise is also shown to catch a responder that breaks it.

use proptest::prelude::*;
use proptest::test_runner::{TestCaseError, TestRunner};

use super::tests::{CLIENT, MAC, at, drain, set};
use super::*;

const SECOND_NIC: MacAddr = MacAddr([2, 0, 0, 0, 0, 2]);

#[derive(Debug, Clone)]
enum Step {
    Vips(BTreeSet<u8>),
    Mac(Option<MacAddr>),
    Link(bool),
    /// Valid until so many milliseconds from now.
    ValidFor(Option<u64>),
    Packet(Packet, MacAddr, PacketType),
    Bytes(Vec<u8>, PacketType),
    Wait(u64),
}

/// A few vips, so that inputs meet.
fn address(number: u8) -> Ipv4Addr {
    Ipv4Addr::new(10, 77, 0, number)
}

fn any_mac() -> impl Strategy<Value = MacAddr> {
    prop_oneof![
        Just(MAC),
        Just(SECOND_NIC),
        Just(CLIENT),
        Just(MacAddr::BROADCAST),
        Just(MacAddr::ZERO),
        any::<[u8; 6]>().prop_map(MacAddr),
    ]
}

fn any_address() -> impl Strategy<Value = Ipv4Addr> {
    prop_oneof![
        5 => (0..6_u8).prop_map(address),
        1 => Just(Ipv4Addr::UNSPECIFIED),
    ]
}

fn any_packet_type() -> impl Strategy<Value = PacketType> {
    prop_oneof![
        8 => Just(PacketType::Broadcast),
        4 => Just(PacketType::Host),
        1 => Just(PacketType::Multicast),
        1 => Just(PacketType::OtherHost),
        1 => Just(PacketType::Outgoing),
    ]
}

fn any_packet() -> impl Strategy<Value = Packet> {
    let operation = prop_oneof![4 => Just(1), 2 => Just(2), 1 => any::<u16>()];
    (operation, any_mac(), any_address(), any_mac(), any_address()).prop_map(
        |(operation, sender_mac, sender_ip, target_mac, target_ip)| Packet {
            operation: Operation(operation),
            sender_mac,
            sender_ip,
            target_mac,
            target_ip,
        },
    )
}

fn any_steps() -> impl Strategy<Value = Vec<Step>> {
    let step = prop_oneof![
        3 => proptest::collection::btree_set(0..6_u8, 0..5).prop_map(Step::Vips),
        1 => proptest::option::weighted(0.8, prop_oneof![Just(MAC), Just(SECOND_NIC)]).prop_map(Step::Mac),
        1 => proptest::bool::weighted(0.7).prop_map(Step::Link),
        2 => proptest::option::weighted(0.8, 0..3_000_u64).prop_map(Step::ValidFor),
        8 => (any_packet(), any_mac(), any_packet_type()).prop_map(|(p, d, t)| Step::Packet(p, d, t)),
        8 => (any_packet(), any_packet_type()).prop_map(|(p, t)| Step::Packet(p, MacAddr::BROADCAST, t)),
        1 => (proptest::collection::vec(any::<u8>(), 0..64), any_packet_type()).prop_map(|(b, t)| Step::Bytes(b, t)),
        3 => (0..1_500_u64).prop_map(Step::Wait),
    ];
    proptest::collection::vec(step, 0..60)
}

/// What was last told, kept apart from the responder.
#[derive(Debug, Default)]
struct Told {
    vips: BTreeSet<IpAddr>,
    mac: Option<MacAddr>,
    link_up: bool,
    valid_until: Option<Timestamp>,
}

/// A responder with one fault: an input that reaches it changed, or not at all.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Fault {
    None,
    KeepsTheLost,
    ForgetsTheFence,
    AnswersItself,
    AnnouncesOnADeadLink,
    AnswersWithAStaleMac,
    SwallowsFrames,
}

struct Subject {
    responder: Responder,
    fault: Fault,
}

impl Subject {
    fn handle_input(&mut self, now: Timestamp, input: Input<'_>) {
        let input = match (self.fault, input) {
            (Fault::KeepsTheLost, Input::SetVips(mut vips)) => {
                vips.extend(self.responder.vips.iter().copied().map(IpAddr::V4));
                Input::SetVips(vips)
            }
            (Fault::ForgetsTheFence, Input::ValidUntil(_)) => return,
            (Fault::AnswersItself, Input::SetHostMacs(_)) => return,
            (Fault::AnnouncesOnADeadLink, Input::SetLink { up: false }) => return,
            (Fault::AnswersWithAStaleMac, Input::SetMac(_)) if self.responder.mac.is_some() => return,
            (Fault::SwallowsFrames, Input::Frame { bytes, .. }) if bytes.len() < 20 => return,
            (_, input) => input,
        };
        self.responder.handle_input(now, input);
    }
}

/// Runs the steps on the clock the responder asks for, and checks every output against what was told.
fn check(fault: Fault, steps: &[Step]) -> Result<(), TestCaseError> {
    let mut subject = Subject { responder: Responder::new(Config::default()), fault };
    let mut told = Told::default();
    let mut now = at(0);
    subject.handle_input(now, Input::SetHostMacs([MAC, SECOND_NIC].into()));
    for step in steps {
        let mut frame_in = None;
        match step {
            Step::Vips(numbers) => {
                let vips: Vec<_> = numbers.iter().map(|n| address(*n)).collect();
                told.vips = set(&vips);
                subject.handle_input(now, Input::SetVips(set(&vips)));
            }
            Step::Mac(mac) => {
                told.mac = *mac;
                subject.handle_input(now, Input::SetMac(*mac));
            }
            Step::Link(up) => {
                told.link_up = *up;
                subject.handle_input(now, Input::SetLink { up: *up });
            }
            Step::ValidFor(ms) => {
                let until = ms.map(|ms| now + Duration::from_millis(ms));
                told.valid_until = until;
                subject.handle_input(now, Input::ValidUntil(until));
            }
            Step::Packet(packet, destination, packet_type) => {
                let frame = packet.frame_to(*destination);
                frame_in = Some(*packet);
                let bytes = frame.as_bytes();
                let packet_type = *packet_type;
                subject.handle_input(now, Input::Frame { bytes, packet_type });
            }
            Step::Bytes(bytes, packet_type) => {
                let packet_type = *packet_type;
                subject.handle_input(now, Input::Frame { bytes, packet_type });
            }
            Step::Wait(ms) => {
                let end = now + Duration::from_millis(*ms);
                let mut turns = 0;
                while let Some(due) = subject.responder.poll_timeout().filter(|due| *due <= end) {
                    now = now.max(due);
                    subject.responder.handle_timeout(now);
                    check_outputs(&drain(&mut subject.responder), &told, None, now)?;
                    turns += 1;
                    prop_assert!(turns < 1_000, "asks to be woken without end");
                }
                now = end;
                subject.responder.handle_timeout(now);
            }
        }
        let outputs = drain(&mut subject.responder);
        let verdicts = outputs.iter().filter(|output| is_verdict(output)).count();
        let frames = usize::from(matches!(step, Step::Packet(..) | Step::Bytes(..)));
        prop_assert_eq!(verdicts, frames, "each frame has one outcome: {:?}", outputs);
        check_outputs(&outputs, &told, frame_in.as_ref(), now)?;
        prop_assert!(subject.responder.claims.len() <= told.vips.len());
        prop_assert!(subject.responder.schedule.len() <= told.vips.len());
    }
    Ok(())
}

/// The outcome of one frame: answered or ignored.
fn is_verdict(output: &Output) -> bool {
    match output {
        Output::Ignored(_) => true,
        Output::Send { purpose, .. } => matches!(purpose, Purpose::Answer { .. }),
        Output::ForeignClaim { .. } => false,
    }
}

fn check_outputs(
    outputs: &[Output],
    told: &Told,
    frame_in: Option<&Packet>,
    now: Timestamp,
) -> Result<(), TestCaseError> {
    for output in outputs {
        match output {
            Output::Ignored(_) => {}
            Output::ForeignClaim { vip, mac } => {
                prop_assert!(told.vips.contains(vip));
                prop_assert!(*mac != MAC && *mac != SECOND_NIC, "our own is no claim");
            }
            Output::Send { frame, purpose } => {
                let (header, sent) =
                    Packet::parse_frame(frame.as_bytes()).map_err(|error| TestCaseError::fail(format!("{error:?}")))?;
                prop_assert!(told.vips.contains(&purpose.vip()), "not a vip of ours");
                prop_assert_eq!(IpAddr::V4(sent.sender_ip), purpose.vip());
                prop_assert!(told.valid_until.is_none_or(|until| now < until), "fenced");
                prop_assert_eq!(Some(header.source), told.mac);
                prop_assert_eq!(Some(sent.sender_mac), told.mac);
                match purpose {
                    Purpose::Announcement { .. } => prop_assert!(told.link_up),
                    Purpose::Answer { asker, .. } => {
                        let asked = frame_in.ok_or_else(|| TestCaseError::fail("an answer nobody asked for"))?;
                        prop_assert_eq!(asked.operation, Operation::REQUEST);
                        prop_assert_eq!(asked.target_ip, sent.sender_ip);
                        prop_assert!(asked.sender_mac != MAC && asked.sender_mac != SECOND_NIC);
                        prop_assert_eq!((header.destination, *asker), (asked.sender_mac, asked.sender_mac));
                        prop_assert!(asker.is_unicast());
                    }
                }
            }
        }
    }
    Ok(())
}

proptest! {
    #[test]
    fn sends_only_what_it_may(steps in any_steps()) {
        check(Fault::None, &steps)?;
    }

    #[test]
    fn no_frame_panics(bytes in proptest::collection::vec(any::<u8>(), 0..128), packet_type in any_packet_type()) {
        let mut responder = Responder::new(Config::default());
        responder.handle_input(at(0), Input::SetMac(Some(MAC)));
        responder.handle_input(at(0), Input::SetVips(set(&[address(1)])));
        responder.handle_input(at(0), Input::Frame { bytes: &bytes, packet_type });
        prop_assert_eq!(drain(&mut responder).len(), 1);
    }
}

#[test]
fn a_broken_responder_is_caught() {
    for fault in [
        Fault::KeepsTheLost,
        Fault::ForgetsTheFence,
        Fault::AnswersItself,
        Fault::AnnouncesOnADeadLink,
        Fault::AnswersWithAStaleMac,
        Fault::SwallowsFrames,
    ] {
        let outcome = TestRunner::deterministic().run(&any_steps(), |steps| check(fault, &steps));
        assert!(outcome.is_err(), "{fault:?} went unnoticed");
    }
}
