//! One test for each sentence of the RFCs, and the whole transition table.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use proptest::prelude::any;
use proptest::proptest;

use super::*;
use crate::authentication::{Authentication, Key};
use crate::packet::tests::number;
use crate::packet::{Packet, Section};
use crate::{Hops, Interval, Role};

pub(super) const OURS: u32 = 7;
const THEIRS: u32 = 9;

pub(super) fn config() -> Config {
    Config::single_hop(Interval::from_millis(50).unwrap(), NonZeroU8::new(3).unwrap())
}

/// A packet of the peer's that knows us, with intervals of 50 ms and a multiplier of 3.
fn packet(state: State) -> Packet {
    Packet {
        diagnostic: Diagnostic::NONE,
        state,
        poll: false,
        is_final: false,
        control_plane_independent: false,
        demand: false,
        detect_mult: NonZeroU8::new(3).unwrap(),
        my_discriminator: number(THEIRS),
        your_discriminator: Some(number(OURS)),
        desired_min_tx: 50_000,
        required_min_rx: 50_000,
        required_min_echo_rx: 0,
        section: None,
    }
}

fn first() -> Packet {
    Packet { your_discriminator: None, desired_min_tx: 1_000_000, ..packet(State::Down) }
}

/// A session and its clock, with what came out of it.
struct Bench {
    session: Session,
    now: Timestamp,
    sent: Vec<(Timestamp, Packet)>,
    changes: Vec<(State, Cause)>,
    dropped: Vec<DropReason>,
    polls_ended: usize,
}

impl Bench {
    fn new(config: Config) -> Self {
        let now = Timestamp::from_millis(10_000);
        let session = Session::new(now, number(OURS), config, 42);
        let mut bench =
            Self { session, now, sent: Vec::new(), changes: Vec::new(), dropped: Vec::new(), polls_ended: 0 };
        bench.drain();
        bench
    }

    /// One that is Up, with nothing to poll for and nothing noted.
    fn up(config: Config) -> Self {
        let mut bench = Self::new(config);
        bench.hear(packet(State::Init)).hear(Packet { is_final: true, ..packet(State::Up) });
        bench.hear(packet(State::Up)).hear(Packet { is_final: true, ..packet(State::Up) });
        bench.wait(50).hear(Packet { is_final: true, ..packet(State::Up) }).hear(packet(State::Up));
        assert_eq!((bench.session.state(), bench.session.is_polling()), (State::Up, false));
        bench.forget();
        bench
    }

    fn forget(&mut self) {
        self.sent.clear();
        self.changes.clear();
        self.dropped.clear();
        self.polls_ended = 0;
    }

    fn tell(&mut self, input: Input<'_>) -> &mut Self {
        self.session.handle_input(self.now, input);
        self.drain();
        self
    }

    fn hear(&mut self, packet: Packet) -> &mut Self {
        self.hear_bytes(packet.encode().as_ref(), crate::TTL)
    }

    fn hear_bytes(&mut self, payload: &[u8], ttl: u8) -> &mut Self {
        self.tell(Input::Datagram { payload, ttl })
    }

    /// Lets so many milliseconds pass, waking the session when it asks for it.
    fn wait(&mut self, millis: u64) -> &mut Self {
        let until = self.now + Duration::from_millis(millis);
        while let Some(at) = self.session.poll_timeout().filter(|at| *at <= until) {
            self.now = at;
            self.session.handle_timeout(at);
            self.drain();
        }
        self.now = until;
        self
    }

    /// Hears the packet each 20 ms for so long.
    fn wait_hearing(&mut self, millis: u64, packet: Packet) -> &mut Self {
        for _ in 0..millis / 20 {
            self.wait(20).hear(packet);
        }
        self
    }

    fn drain(&mut self) {
        while let Some(output) = self.session.poll_output() {
            match output {
                Output::Send(bytes) => self.sent.push((self.now, Packet::decode(bytes.as_ref()).unwrap())),
                Output::Changed { from, to, cause } => {
                    assert_eq!(to, self.session.state(), "{from:?}");
                    self.changes.push((to, cause));
                }
                Output::PollEnded => self.polls_ended += 1,
                Output::Dropped(reason) => self.dropped.push(reason),
            }
        }
    }

    fn last(&self) -> Packet {
        self.sent.last().unwrap().1
    }

    /// The gaps between packets sent, in microseconds.
    fn gaps(&self) -> Vec<u128> {
        self.sent.windows(2).map(|pair| pair[1].0.since(pair[0].0).as_micros()).collect()
    }
}

/// A session in `state`, reached as any other would be.
fn in_state(state: State) -> Bench {
    let mut bench = Bench::new(config());
    match state {
        State::AdminDown => _ = bench.tell(Input::Disable(Disable::Administratively)),
        State::Down => {}
        State::Init => _ = bench.hear(first()),
        State::Up => bench = Bench::up(config()),
    }
    assert_eq!(bench.session.state(), state);
    bench.forget();
    bench
}

//= https://www.rfc-editor.org/rfc/rfc5880#section-6.8.6
//= type=test
//# If received state is AdminDown
//#     If bfd.SessionState is not Down
//#         Set bfd.LocalDiag to 3 (Neighbor signaled
//#             session down)
//#         Set bfd.SessionState to Down
#[test]
fn the_whole_transition_table() {
    type Step = (&'static str, fn(&mut Bench));
    let steps: [Step; 9] = [
        ("hears AdminDown", |bench| _ = bench.hear(packet(State::AdminDown))),
        ("hears Down", |bench| _ = bench.hear(packet(State::Down))),
        ("hears Init", |bench| _ = bench.hear(packet(State::Init))),
        ("hears Up", |bench| _ = bench.hear(packet(State::Up))),
        ("hears nothing", |bench| _ = bench.wait(10_000)),
        ("is disabled", |bench| _ = bench.tell(Input::Disable(Disable::Administratively))),
        ("loses its path", |bench| _ = bench.tell(Input::Disable(Disable::PathDown))),
        ("is enabled", |bench| _ = bench.tell(Input::Enable)),
        ("is reset", |bench| _ = bench.tell(Input::ForwardingReset)),
    ];
    let mut table = String::new();
    for state in State::ALL {
        for (name, step) in steps {
            let mut bench = in_state(state);
            step(&mut bench);
            let what: Vec<String> = bench
                .changes
                .iter()
                .map(|(to, cause)| format!("{to} ({})", cause.category()))
                .chain(bench.dropped.iter().map(|reason| format!("dropped: {}", reason.category())))
                .collect();
            let what = if what.is_empty() { "-".to_owned() } else { what.join(", ") };
            writeln!(
                table,
                "{:<10} {name:<16} {what:<32} diag {}",
                state.to_string(),
                bench.session.diagnostic().bits()
            )
            .unwrap();
        }
    }
    insta::assert_snapshot!(table);
}

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

//= https://www.rfc-editor.org/rfc/rfc5880#section-6.8.6
//= type=test
//# If bfd.SessionState is AdminDown
//#
//#     Discard the packet
#[test]
fn while_held_down_packets_are_discarded_and_ours_go_on_slowly() {
    let mut bench = Bench::up(config());
    bench.tell(Input::Disable(Disable::Administratively));
    assert_eq!((bench.last().state, bench.last().diagnostic), (State::AdminDown, Diagnostic::ADMINISTRATIVELY_DOWN));
    assert_eq!(bench.changes, [(State::AdminDown, Cause::Disabled(Disable::Administratively))]);
    bench.forget();
    bench.hear(Packet { poll: true, ..packet(State::Init) });
    assert_eq!((bench.dropped.as_slice(), bench.session.state()), (&[DropReason::AdminDown][..], State::AdminDown));
    assert!(bench.sent.is_empty());
    bench.wait(5000);
    assert!(bench.sent.len() >= 4 && bench.gaps().iter().all(|gap| *gap >= 750_000), "{:?}", bench.gaps());
    assert!(bench.changes.is_empty(), "silence says nothing now");
}

//= https://www.rfc-editor.org/rfc/rfc5880#section-6.8.16
//= type=test
//# When this is
//# desired, the following procedure MUST be followed:
#[test]
fn a_session_let_go_again_starts_from_down() {
    let mut bench = in_state(State::AdminDown);
    bench.tell(Input::Enable);
    assert_eq!(bench.changes, [(State::Down, Cause::Enabled)]);
    assert_eq!(bench.last().state, State::Down);
    bench.tell(Input::Enable);
    assert_eq!(bench.changes.len(), 1, "again changes nothing");
    bench.hear(first()).hear(packet(State::Init));
    assert_eq!(bench.session.state(), State::Up);
}

//= https://www.rfc-editor.org/rfc/rfc5880#section-6.8.4
//= type=test
//# If Demand mode is not active, and a period of time equal to the
//# Detection Time passes without receiving a BFD Control packet from the
//# remote system, and bfd.SessionState is Init or Up, the session has
//# gone down -- the local system MUST set bfd.SessionState to Down and
//# bfd.LocalDiag to 1 (Control Detection Time Expired).
//= https://www.rfc-editor.org/rfc/rfc5880#section-6.8.1
//= type=test
//# If a period of a Detection Time passes without the
//# receipt of a valid, authenticated BFD packet from the remote
//# system, this variable MUST be set to zero.
#[test]
fn a_silent_peer_is_lost_at_the_detection_time_and_forgotten() {
    for state in [State::Init, State::Up] {
        let mut bench = in_state(state);
        bench.hear(packet(if state == State::Up { State::Up } else { State::Down }));
        let time = bench.session.detection_time().unwrap();
        assert_eq!(time, Duration::from_millis(150));
        bench.wait(149);
        assert_eq!(bench.session.state(), state);
        bench.wait(1);
        assert_eq!(bench.session.state(), State::Down);
        assert_eq!(bench.changes, [(State::Down, Cause::DetectionTimeExpired)]);
        let told = bench.last();
        assert_eq!((told.state, told.diagnostic.bits(), told.your_discriminator), (State::Down, 1, None));
        assert_eq!(bench.session.remote(), &Remote::UNHEARD);
    }
}

#[test]
fn a_lost_peer_is_forgotten_in_down_too() {
    // 6.8.18 of RFC 5880: a peer that wants no packets is obeyed for a Detection Time.
    let mut bench = in_state(State::Down);
    bench.hear(Packet { required_min_rx: 0, ..packet(State::Up) });
    assert_eq!((bench.session.state(), bench.session.transmit_interval()), (State::Down, None));
    bench.forget();
    bench.wait(149);
    assert!(bench.sent.is_empty());
    bench.wait(5000);
    assert!(bench.sent.len() > 3);
    assert!(bench.changes.is_empty());
}

//= https://www.rfc-editor.org/rfc/rfc5880#section-6.8.4
//= type=test
//# the Detection Time calculated in the local
//# system is equal to the value of Detect Mult received from the remote
//# system, multiplied by the agreed transmit interval of the remote
//# system
#[test]
fn the_detection_time_is_the_peers_multiplier_times_the_greater_interval() {
    // (theirs wants to send each, multiplier, expected); ours is 50 ms.
    for (theirs, mult, expected) in [(10, 3, 150), (50, 3, 150), (200, 3, 600), (200, 5, 1000), (0, 1, 50)] {
        let mut bench = Bench::up(config());
        let detect_mult = NonZeroU8::new(mult).unwrap();
        bench.hear(Packet { desired_min_tx: theirs * 1000, detect_mult, ..packet(State::Up) });
        assert_eq!(bench.session.detection_time(), Some(Duration::from_millis(expected)));
    }
}

//= https://www.rfc-editor.org/rfc/rfc5880#section-6.8.15
//= type=test
//# the local system MUST set bfd.LocalDiag to 4 (Forwarding Plane
//# Reset), and set bfd.SessionState to Down.
#[test]
fn a_forwarding_plane_that_was_reset_is_told() {
    let mut bench = Bench::up(config());
    bench.tell(Input::ForwardingReset);
    assert_eq!((bench.last().state, bench.last().diagnostic), (State::Down, Diagnostic::FORWARDING_PLANE_RESET));
    assert_eq!(bench.changes, [(State::Down, Cause::ForwardingReset)]);
}

//= https://www.rfc-editor.org/rfc/rfc5880#section-6.8.3
//= type=test
//# When bfd.SessionState is not Up, the system MUST set
//# bfd.DesiredMinTxInterval to a value of not less than one second
//# (1,000,000 microseconds).
#[test]
fn while_not_up_it_is_slow_and_says_so() {
    for state in [State::AdminDown, State::Down, State::Init] {
        let mut bench = in_state(state);
        bench.wait_hearing(8000, Packet { required_min_rx: 1, ..packet(State::Down) });
        if state == State::Down {
            assert_eq!(bench.session.state(), State::Init);
        }
        // The first change of state may be told at once.
        let periodic = bench.gaps().split_off(1);
        assert!(periodic.len() >= 6 && periodic.iter().all(|gap| (750_000..=1_000_000).contains(gap)), "{periodic:?}");
        assert!(bench.sent.iter().all(|(_, packet)| packet.desired_min_tx == 1_000_000));
    }
    // One that wants to be slower still may.
    let slow = Config { desired_min_tx: Interval::from_millis(3000).unwrap(), ..config() };
    assert_eq!(Bench::new(slow).last().desired_min_tx, 3_000_000);
}

//= https://www.rfc-editor.org/rfc/rfc5880#section-6.8.7
//= type=test
//# a system
//# MUST NOT transmit BFD Control packets at an interval less than the
//# larger of bfd.DesiredMinTxInterval and bfd.RemoteMinRxInterval, less
//# applied jitter (see below).
//= https://www.rfc-editor.org/rfc/rfc5880#section-6.8.7
//= type=test
//# The periodic transmission of BFD Control packets MUST be jittered on
//# a per-packet basis by up to 25%
//= https://www.rfc-editor.org/rfc/rfc5880#section-6.8.7
//= type=test
//# If bfd.DetectMult is equal to 1, the interval between transmitted BFD
//# Control packets MUST be no more than 90% of the negotiated
//# transmission interval, and MUST be no less than 75% of the negotiated
//# transmission interval.
#[test]
fn packets_are_spread_over_the_last_quarter_of_the_interval() {
    // (our multiplier, what the peer is willing to receive each ms, negotiated)
    for (mult, theirs, negotiated) in [(3, 10, 50_000), (3, 80, 80_000), (1, 10, 50_000), (1, 200, 200_000)] {
        let detect_mult = NonZeroU8::new(mult).unwrap();
        let mut bench = Bench::up(Config { detect_mult, ..config() });
        bench.hear(Packet { required_min_rx: theirs * 1000, ..packet(State::Up) }).wait(1).forget();
        assert_eq!(bench.session.transmit_interval(), Some(Duration::from_micros(negotiated)));
        bench.wait_hearing(20_000, Packet { required_min_rx: theirs * 1000, ..packet(State::Up) });
        let gaps = bench.gaps();
        let least = u128::from(negotiated) * 75 / 100;
        let most = u128::from(negotiated) * if mult == 1 { 90 } else { 100 } / 100;
        assert!(gaps.len() > 90, "{}", gaps.len());
        assert!(gaps.iter().all(|gap| (least..=most).contains(gap)), "{mult} {theirs}: {gaps:?}");
        let (shortest, longest) = (gaps.iter().min().unwrap(), gaps.iter().max().unwrap());
        assert!(longest - shortest > (most - least) * 8 / 10, "not spread: {shortest} to {longest}");
    }
}

//= https://www.rfc-editor.org/rfc/rfc5880#section-6.8.7
//= type=test
//# A system MUST NOT transmit BFD Control packets if bfd.RemoteDiscr is
//# zero and the system is taking the Passive role.
#[test]
fn in_the_passive_role_the_peer_speaks_first_and_again_after_it_was_lost() {
    let mut bench = Bench::new(Config { role: Role::Passive, ..config() });
    bench.wait(10_000);
    assert!(bench.sent.is_empty());
    bench.hear(first());
    assert_eq!((bench.last().state, bench.sent.len()), (State::Init, 1));
    bench.forget();
    // The peer's Detection Time of 3 s, at which ours changes to Down, and nobody is there to be told.
    bench.wait(2999);
    let while_heard = bench.sent.len();
    bench.wait(10_000);
    assert_eq!((while_heard, bench.sent.len(), bench.session.state()), (3, 3, State::Down));
}

//= https://www.rfc-editor.org/rfc/rfc5880#section-6.8.7
//= type=test
//# A system MUST NOT periodically transmit BFD Control packets if
//# bfd.RemoteMinRxInterval is zero.
#[test]
fn a_peer_that_wants_no_packets_gets_none() {
    let mut bench = Bench::up(config());
    let mute = Packet { required_min_rx: 0, ..packet(State::Up) };
    bench.hear(mute).wait_hearing(2000, mute);
    assert!(bench.sent.is_empty());
    // Its polls are answered all the same.
    bench.hear(Packet { poll: true, ..mute });
    assert!(bench.last().is_final);
    bench.forget();
    bench.wait_hearing(1000, packet(State::Up));
    assert!(bench.sent.len() > 15);
}

//= https://www.rfc-editor.org/rfc/rfc5880#section-6.8.6
//= type=test
//# If bfd.RemoteDemandMode is 1, bfd.SessionState is Up, and
//# bfd.RemoteSessionState is Up, Demand mode is active on the remote
//# system and the local system MUST cease the periodic transmission
//# of BFD Control packets (see section 6.8.7).
//= https://www.rfc-editor.org/rfc/rfc5880#section-6.8.7
//= type=test
//# A system MUST NOT periodically transmit BFD Control packets if Demand
//# mode is active on the remote system
#[test]
fn a_peer_in_demand_mode_gets_packets_only_to_poll_or_be_answered() {
    let mut bench = Bench::up(config());
    let demand = Packet { demand: true, ..packet(State::Up) };
    bench.hear(demand).wait_hearing(2000, demand);
    assert!(bench.sent.is_empty());
    bench.hear(Packet { poll: true, ..demand });
    assert!(bench.last().is_final && !bench.last().poll);
    bench.forget();
    bench.wait_hearing(1000, packet(State::Up));
    assert!(bench.sent.len() > 15, "it left Demand mode");
    // Demand mode counts only while both are Up.
    let mut bench = in_state(State::Init);
    bench.wait_hearing(5000, Packet { demand: true, ..packet(State::Down) });
    assert!(bench.sent.len() >= 4);
}

//= https://www.rfc-editor.org/rfc/rfc5880#section-6.6
//= type=test
//# If Demand mode is active on either or both systems, a Poll Sequence
//# MUST be initiated whenever the contents of the next BFD Control
//# packet to be sent would be different than the contents of the
//# previous packet, with the exception of the Poll (P) and Final (F)
//# bits.
#[test]
fn a_peer_in_demand_mode_is_polled_when_we_have_something_new_to_say() {
    let mut bench = Bench::up(config());
    let demand = Packet { demand: true, ..packet(State::Up) };
    bench.hear(demand).wait_hearing(200, demand);
    bench.tell(Input::Configure(Config { detect_mult: NonZeroU8::new(5).unwrap(), ..config() }));
    bench.wait_hearing(400, demand);
    assert!(bench.sent.len() >= 5, "until it is answered");
    assert!(bench.sent.iter().all(|(_, packet)| packet.poll && packet.detect_mult.get() == 5));
    bench.hear(Packet { is_final: true, ..demand }).forget();
    bench.wait_hearing(1000, demand);
    assert!(bench.sent.is_empty());
}

//= https://www.rfc-editor.org/rfc/rfc5880#section-6.8.7
//= type=test
//# A system MUST NOT set the Demand (D) bit unless bfd.DemandMode is 1,
//= https://www.rfc-editor.org/rfc/rfc5880#section-6.5
//= type=test
//# A BFD Control packet MUST NOT have both the Poll (P) and Final (F)
//# bits set.
#[test]
fn a_poll_is_answered_in_every_state_but_admin_down_at_once_and_without_a_poll_of_our_own() {
    for (state, theirs) in [(State::Down, State::Up), (State::Init, State::Down), (State::Up, State::Up)] {
        let mut bench = in_state(state);
        bench.tell(Input::Configure(Config { desired_min_tx: Interval::from_millis(2000).unwrap(), ..config() }));
        assert!(bench.session.is_polling());
        bench.forget();
        bench.hear(Packet { poll: true, ..packet(theirs) });
        let answers: Vec<Packet> =
            bench.sent.iter().map(|(_, packet)| *packet).filter(|packet| packet.is_final).collect();
        assert_eq!(answers.len(), 1, "{state}");
        assert!(bench.sent.iter().all(|(at, packet)| *at == bench.now && !(packet.poll && packet.is_final)));
        assert!(answers.iter().all(|packet| packet.required_min_echo_rx == 0 && !packet.demand));
    }
}

//= https://www.rfc-editor.org/rfc/rfc5880#section-6.8.7
//= type=test
//# If a BFD Control packet is received with the Poll (P) bit set to 1,
//# the receiving system MUST transmit a BFD Control packet with the Poll
//# (P) bit clear and the Final (F) bit set as soon as practicable,
//# without respect to the transmission timer
#[test]
fn an_answer_neither_waits_for_the_timer_nor_moves_it() {
    let mut bench = Bench::up(config());
    bench.wait(1);
    let due = bench.session.periodic.due();
    assert!(due.is_some_and(|at| at > bench.now));
    bench.hear(Packet { poll: true, ..packet(State::Up) });
    assert_eq!((bench.sent.len(), bench.last().is_final), (1, true));
    assert_eq!(bench.session.periodic.due(), due);
}

//= https://www.rfc-editor.org/rfc/rfc5880#section-6.8.3
//= type=test
//# If either bfd.DesiredMinTxInterval is changed or
//# bfd.RequiredMinRxInterval is changed, a Poll Sequence MUST be
//# initiated (see section 6.5).
//= https://www.rfc-editor.org/rfc/rfc5880#section-6.5
//= type=test
//# the Poll Sequence MUST be performed by
//# setting the Poll (P) bit on those scheduled periodic transmissions;
//# additional packets MUST NOT be sent.
//= https://www.rfc-editor.org/rfc/rfc5880#section-6.8.6
//= type=test
//# If a Poll Sequence is being transmitted by the local system and
//# the Final (F) bit in the received packet is set, the Poll Sequence
//# MUST be terminated.
#[test]
fn a_change_is_polled_for_on_the_packets_that_are_sent_anyway_until_it_is_answered() {
    let mut bench = Bench::up(config());
    let changed = Config { required_min_rx: Interval::from_millis(100).unwrap(), ..config() };
    bench.tell(Input::Configure(changed.clone()));
    assert!(bench.sent.is_empty(), "not at once");
    bench.wait_hearing(400, packet(State::Up));
    assert!(bench.sent.len() >= 8 && bench.sent.iter().all(|(_, packet)| packet.poll));
    assert!(bench.gaps().iter().all(|gap| (37_500..=50_000).contains(gap)), "{:?}", bench.gaps());
    assert!(bench.sent.iter().all(|(_, packet)| packet.required_min_rx == 100_000));
    bench.hear(Packet { is_final: true, ..packet(State::Up) });
    assert_eq!((bench.polls_ended, bench.session.is_polling()), (1, false));
    bench.forget();
    bench.wait_hearing(400, packet(State::Up));
    assert!(bench.sent.iter().all(|(_, packet)| !packet.poll));
    // What it is already is no change.
    bench.tell(Input::Configure(changed));
    assert!(!bench.session.is_polling());
}

#[test]
fn an_answer_that_nobody_asked_for_ends_nothing() {
    let mut bench = Bench::up(config());
    bench.tell(Input::Configure(Config { required_min_rx: Interval::from_millis(100).unwrap(), ..config() }));
    // No packet with P has been sent yet.
    bench.hear(Packet { is_final: true, ..packet(State::Up) });
    assert_eq!((bench.polls_ended, bench.session.is_polling()), (0, true));
}

//= https://www.rfc-editor.org/rfc/rfc5880#section-6.8.3
//= type=test
//# If bfd.DesiredMinTxInterval is increased and bfd.SessionState is Up,
//# the actual transmission interval used MUST NOT change until the Poll
//# Sequence described above has terminated.
#[test]
fn a_longer_interval_is_used_only_after_the_peer_knows_of_it() {
    let mut bench = Bench::up(config());
    bench.tell(Input::Configure(Config { desired_min_tx: Interval::from_millis(500).unwrap(), ..config() }));
    bench.wait_hearing(400, packet(State::Up));
    assert_eq!(bench.last().desired_min_tx, 500_000, "told");
    assert!(bench.gaps().iter().all(|gap| *gap <= 50_000), "not used");
    bench.hear(Packet { is_final: true, ..packet(State::Up) }).forget();
    bench.wait_hearing(4000, packet(State::Up));
    assert!(bench.gaps().iter().all(|gap| (375_000..=500_000).contains(gap)), "{:?}", bench.gaps());
}

//= https://www.rfc-editor.org/rfc/rfc5880#section-6.8.3
//= type=test
//# If bfd.RequiredMinRxInterval is reduced and bfd.SessionState is Up,
//# the previous value of bfd.RequiredMinRxInterval MUST be used when
//# calculating the Detection Time for the remote system until the Poll
//# Sequence described above has terminated.
#[test]
fn a_shorter_detection_is_used_only_after_the_peer_knows_of_it() {
    let mut bench = Bench::up(config());
    let fast = Packet { desired_min_tx: 10_000, ..packet(State::Up) };
    bench.hear(fast);
    assert_eq!(bench.session.detection_time(), Some(Duration::from_millis(150)));
    bench.tell(Input::Configure(Config { required_min_rx: Interval::from_millis(10).unwrap(), ..config() }));
    bench.wait_hearing(200, fast);
    assert_eq!(bench.session.detection_time(), Some(Duration::from_millis(150)));
    bench.hear(Packet { is_final: true, ..fast });
    assert_eq!(bench.session.detection_time(), Some(Duration::from_millis(30)));
}

//= https://www.rfc-editor.org/rfc/rfc5880#section-6.8.3
//= type=test
//# In any case other than those explicitly called out above, timing
//# parameter changes MUST be effected immediately (changing the
//# transmission rate and/or the Detection Time).
//= https://www.rfc-editor.org/rfc/rfc5880#section-6.8.7
//= type=test
//# The transmit interval MUST be recalculated whenever
//# bfd.DesiredMinTxInterval changes, or whenever bfd.RemoteMinRxInterval
//# changes, and is equal to the greater of those two values.
#[test]
fn every_other_change_counts_at_once() {
    // Ours to send faster.
    let slow = Config { desired_min_tx: Interval::from_millis(500).unwrap(), ..config() };
    let mut bench = Bench::up(slow);
    bench.wait_hearing(1000, packet(State::Up)).tell(Input::Configure(config())).forget();
    bench.wait_hearing(400, packet(State::Up));
    assert!(bench.sent.len() >= 8, "{:?}", bench.gaps());
    // Ours to be heard more slowly.
    bench.tell(Input::Configure(Config { required_min_rx: Interval::from_millis(400).unwrap(), ..config() }));
    assert_eq!(bench.session.detection_time(), Some(Duration::from_millis(1200)));
    // The peer's, both ways; reckoned from the last packet.
    let mut bench = Bench::up(config());
    bench.hear(Packet { required_min_rx: 1_000_000, ..packet(State::Up) });
    bench.wait_hearing(140, Packet { required_min_rx: 1_000_000, ..packet(State::Up) });
    assert!(bench.sent.len() <= 1);
    bench.forget();
    bench.hear(packet(State::Up)).wait(0);
    assert_eq!(bench.sent.len(), 1, "long due by the shorter interval");
    // Not Up, so nothing waits for a poll.
    let mut bench = in_state(State::Init);
    bench.tell(Input::Configure(Config { desired_min_tx: Interval::from_millis(2000).unwrap(), ..config() })).forget();
    bench.wait_hearing(8000, packet(State::Down));
    assert!(bench.gaps().iter().all(|gap| *gap >= 1_500_000), "{:?}", bench.gaps());
}

//= https://www.rfc-editor.org/rfc/rfc5880#section-6.8.3
//= type=test
//# an additional BFD Control packet with the Final (F) bit *clear* MUST
//# be received after the Poll Sequence has completed prior to the
//# initiation of another Poll Sequence
#[test]
fn a_change_during_a_poll_sequence_gets_one_of_its_own() {
    let longer = |millis| Config { desired_min_tx: Interval::from_millis(millis).unwrap(), ..config() };
    let answer = Packet { is_final: true, ..packet(State::Up) };
    let mut bench = Bench::up(config());
    bench.tell(Input::Configure(longer(100))).tell(Input::Configure(longer(200)));
    bench.wait_hearing(60, packet(State::Up));
    bench.hear(answer);
    assert_eq!(bench.polls_ended, 1, "changes before the first packet share one");
    bench.hear(packet(State::Up));

    bench.tell(Input::Configure(longer(300))).wait_hearing(220, packet(State::Up));
    bench.tell(Input::Configure(longer(400)));
    bench.forget();
    bench.hear(answer);
    assert_eq!((bench.polls_ended, bench.session.is_polling()), (0, false), "an answer to 300 or to 400?");
    bench.hear(answer);
    assert!(!bench.session.is_polling());
    assert_eq!(bench.session.transmit_interval(), Some(Duration::from_millis(200)));
    bench.hear(packet(State::Up));
    assert!(bench.session.is_polling());
    bench.wait_hearing(400, packet(State::Up)).hear(answer);
    assert_eq!(bench.polls_ended, 1);
    assert_eq!(bench.session.transmit_interval(), Some(Duration::from_millis(400)));
}

//= https://www.rfc-editor.org/rfc/rfc5880#section-6.8.7
//= type=test
//# A BFD Control packet SHOULD be transmitted during the interval
//# between periodic Control packet transmissions when the contents of
//# that packet would differ from that in the previously transmitted
//# packet
#[test]
fn a_change_of_state_is_told_at_once() {
    let mut bench = Bench::new(config());
    bench.forget();
    bench.hear(first()).hear(packet(State::Init)).hear(packet(State::AdminDown));
    let states: BTreeMap<usize, State> = bench.sent.iter().map(|(_, packet)| packet.state).enumerate().collect();
    assert_eq!(states, BTreeMap::from([(0, State::Init), (1, State::Up), (2, State::Down)]));
    assert!(bench.sent.iter().all(|(at, _)| *at == bench.now));
}

#[test]
fn why_it_went_down_is_told_until_it_is_up_again() {
    let mut bench = Bench::up(config());
    bench.wait(200);
    bench.hear(first());
    assert_eq!((bench.last().state, bench.last().diagnostic), (State::Init, Diagnostic::DETECTION_TIME_EXPIRED));
    bench.hear(packet(State::Init));
    assert_eq!((bench.last().state, bench.last().diagnostic), (State::Up, Diagnostic::NONE));
}

#[test]
fn a_clock_that_goes_back_stands_still_and_one_that_jumps_sends_once() {
    let mut bench = Bench::up(config());
    bench.now = Timestamp::ZERO;
    bench.hear(packet(State::Up));
    assert_eq!(bench.session.state(), State::Up);
    bench.now = Timestamp::from_nanos(u64::MAX);
    bench.session.handle_timeout(bench.now);
    bench.drain();
    assert_eq!((bench.sent.len(), bench.session.state()), (1, State::Down));
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
