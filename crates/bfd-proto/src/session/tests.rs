//! One test for each sentence of the RFCs. Here is what they share, and the whole transition table.

mod believing;
mod down;
mod polling;
mod sending;

use std::fmt::Write as _;

use super::*;
use crate::Interval;
use crate::packet::Packet;
use crate::packet::tests::number;

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
