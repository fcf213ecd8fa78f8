//! One session: whether the peer is there.

mod poll;
mod receive;
mod transmit;

use std::collections::VecDeque;
use std::num::NonZeroU8;
use std::time::Duration;

use ironlb_model::Timestamp;

use self::poll::Poll;
use self::transmit::Periodic;
use crate::authentication::Sequences;
use crate::config::SLOW;
use crate::packet::Bytes;
use crate::random::Random;
use crate::{Config, Diagnostic, Discriminator, DropReason, State};

/// What a session is told.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Input<'a> {
    /// A datagram that came for it, or may have.
    Datagram {
        /// What UDP carried.
        payload: &'a [u8],
        /// With which TTL or hop limit it arrived.
        ttl: u8,
    },
    /// What it shall be from now on. Intervals change by a Poll Sequence; the session stays up.
    Configure(Config),
    /// Hold it down.
    Disable(Disable),
    /// Let it come up. It is so from the start.
    Enable,
    /// What this node forwarded until now it may not forward any more; the peer shall know.
    ForwardingReset,
}

/// Why a session is held down.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Disable {
    /// Somebody wants it so; says nothing about the path (RFC 5882 §3.2).
    Administratively,
    /// Something else, such as the NIC's carrier, has shown that the path is broken.
    PathDown,
}

/// Why a session changed its state.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Cause {
    /// The peer was heard, in the state that leads on.
    Handshake,
    /// Nothing was heard for the Detection Time.
    DetectionTimeExpired,
    /// The peer says that the session is down.
    NeighborDown,
    /// The peer holds it down on purpose. RFC 5882 §3.2: no reason to take the path for broken.
    NeighborAdminDown,
    /// We hold it down.
    Disabled(Disable),
    /// We let it come up again.
    Enabled,
    /// Our forwarding plane was reset.
    ForwardingReset,
}

impl Cause {
    /// Its name as a metric label.
    #[must_use]
    pub const fn category(self) -> &'static str {
        match self {
            Self::Handshake => "handshake",
            Self::DetectionTimeExpired => "detection_time_expired",
            Self::NeighborDown => "neighbor_down",
            Self::NeighborAdminDown => "neighbor_admin_down",
            Self::Disabled(Disable::Administratively) => "disabled",
            Self::Disabled(Disable::PathDown) => "path_down",
            Self::Enabled => "enabled",
            Self::ForwardingReset => "forwarding_reset",
        }
    }
}

/// What a session wants done, or wants known.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Output {
    /// Send this datagram to the peer, with [`crate::TTL`], to [`crate::Hops::port`], always from the same port.
    Send(Bytes),
    /// The state changed.
    Changed {
        /// What it was.
        from: State,
        /// What it is.
        to: State,
        /// Why.
        cause: Cause,
    },
    /// A Poll Sequence of ours ended: both sides use the intervals that we told last.
    PollEnded,
    /// The datagram just handed in was not taken.
    Dropped(DropReason),
}

/// What the peer last said of itself; what it starts from is RFC 5880 §6.8.1's.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Remote {
    /// Its number for the session, while it is heard.
    pub discriminator: Option<Discriminator>,
    /// Its state.
    pub state: State,
    /// Why it last changed that.
    pub diagnostic: Diagnostic,
    /// How often it would like to send, in microseconds; 0 before the first packet.
    pub desired_min_tx: u32,
    /// How often it is willing to receive, in microseconds; 0 is "never".
    pub required_min_rx: u32,
    /// How many of its packets may be missing.
    pub detect_mult: Option<NonZeroU8>,
    /// It wants us to send nothing periodically.
    pub demand: bool,
    /// Its BFD goes on when its control plane does not.
    pub control_plane_independent: bool,
}

impl Remote {
    /// Of a peer that was not heard yet, or not for a Detection Time.
    const UNHEARD: Self = Self {
        discriminator: None,
        state: State::Down,
        diagnostic: Diagnostic::NONE,
        desired_min_tx: 0,
        required_min_rx: 1,
        detect_mult: None,
        demand: false,
        control_plane_independent: false,
    };
}

/// The two intervals that a Poll Sequence makes known, each in microseconds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Intervals {
    tx: u32,
    rx: u32,
}

/// The machine of one session.
///
/// ```text
///                            +--+
///                            |  | UP, ADMIN DOWN, TIMER
///                            |  V
///                    DOWN  +------+  INIT
///             +------------|      |------------+
///             |            | DOWN |            |
///             |  +-------->|      |<--------+  |
///             |  |         +------+         |  |
///             |  |                          |  |
///             |  |               ADMIN DOWN,|  |
///             |  |ADMIN DOWN,          DOWN,|  |
///             |  |TIMER                TIMER|  |
///             V  |                          |  V
///           +------+                      +------+
///      +----|      |                      |      |----+
///  DOWN|    | INIT |--------------------->|  UP  |    |INIT, UP
///      +--->|      | INIT, UP             |      |<---+
///           +------+                      +------+
/// ```
///
/// (RFC 5880 §6.2; the words are the peer's state, TIMER the Detection Time.) `Disable` leads from everywhere to AdminDown, and
/// `Enable` from there to Down. See the crate's text for the contract.
#[derive(Debug)]
pub struct Session {
    config: Config,
    local: Discriminator,
    now: Timestamp,
    state: State,
    diagnostic: Diagnostic,
    remote: Remote,
    /// What our packets say: bfd.DesiredMinTxInterval and bfd.RequiredMinRxInterval.
    told: Intervals,
    /// What we reckon with, which lags behind while a Poll Sequence has not ended (RFC 5880 §6.8.3).
    in_force: Intervals,
    poll: Poll,
    periodic: Periodic,
    /// When the peer's silence will have lasted for the Detection Time.
    silent_at: Option<Timestamp>,
    /// When it last was heard.
    heard_at: Timestamp,
    sequences: Sequences,
    /// When the peer's sequence number is forgotten: twice the Detection Time after the last packet.
    forget_sequence_at: Option<Timestamp>,
    random: Random,
    outputs: VecDeque<Output>,
}

impl Session {
    /// One that is Down and, in the active role, sends its first packet at once. `seed` spreads its packets in time and begins its
    /// sequence numbers; draw it anew for each session.
    #[must_use]
    pub fn new(now: Timestamp, local: Discriminator, config: Config, seed: u64) -> Self {
        let mut random = Random::new(seed);
        let intervals = Intervals {
            tx: config.desired_min_tx.as_micros().max(SLOW.as_micros()),
            rx: config.required_min_rx.as_micros(),
        };
        let mut session = Self {
            config,
            local,
            now,
            state: State::Down,
            diagnostic: Diagnostic::NONE,
            remote: Remote::UNHEARD,
            told: intervals,
            in_force: intervals,
            poll: Poll::default(),
            periodic: Periodic::default(),
            silent_at: None,
            heard_at: now,
            //= https://www.rfc-editor.org/rfc/rfc5880#section-6.8.1
            //# This variable MUST be initialized to a random 32-bit value.
            sequences: Sequences { next: random.next_u32(), received: None },
            forget_sequence_at: None,
            random,
            outputs: VecDeque::new(),
        };
        session.reschedule();
        session.send_due();
        session
    }

    /// The only way in.
    pub fn handle_input(&mut self, now: Timestamp, input: Input<'_>) {
        self.now = self.now.max(now);
        match input {
            Input::Datagram { payload, ttl } => {
                if let Err(reason) = self.receive(payload, ttl) {
                    self.outputs.push_back(Output::Dropped(reason));
                }
            }
            Input::Configure(config) => self.configure(config),
            Input::Disable(why) => self.disable(why),
            Input::Enable => self.enable(),
            Input::ForwardingReset => self.reset_forwarding(),
        }
        self.reschedule();
        self.send_due();
    }

    /// Does what is due: finds the peer silent, sends. Harmless when nothing is.
    pub fn handle_timeout(&mut self, now: Timestamp) {
        self.now = self.now.max(now);
        if self.silent_at.is_some_and(|at| at <= self.now) {
            self.lose_peer();
        }
        if self.forget_sequence_at.is_some_and(|at| at <= self.now) {
            //= https://www.rfc-editor.org/rfc/rfc5880#section-6.8.1
            //# This variable MUST be set to zero after no packets have been
            //# received on this session for at least twice the Detection Time.
            self.sequences.received = None;
            self.forget_sequence_at = None;
        }
        self.reschedule();
        self.send_due();
    }

    /// The only way out; asked until `None`.
    pub fn poll_output(&mut self) -> Option<Output> {
        self.outputs.pop_front()
    }

    /// When [`Session::handle_timeout`] is needed next. Costs three comparisons.
    #[must_use]
    pub fn poll_timeout(&self) -> Option<Timestamp> {
        [self.periodic.due(), self.silent_at, self.forget_sequence_at].into_iter().flatten().min()
    }

    /// The state.
    #[must_use]
    pub const fn state(&self) -> State {
        self.state
    }

    /// Why the state last changed, as the peer is told.
    #[must_use]
    pub const fn diagnostic(&self) -> Diagnostic {
        self.diagnostic
    }

    /// Our number for the session.
    #[must_use]
    pub const fn local_discriminator(&self) -> Discriminator {
        self.local
    }

    /// What it was told to be.
    #[must_use]
    pub const fn config(&self) -> &Config {
        &self.config
    }

    /// What the peer last said of itself.
    #[must_use]
    pub const fn remote(&self) -> &Remote {
        &self.remote
    }

    /// Is a Poll Sequence of ours under way?
    #[must_use]
    pub const fn is_polling(&self) -> bool {
        self.poll.is_active()
    }

    /// The negotiated interval between packets to the peer, before jitter; `None` while nothing is sent periodically.
    #[must_use]
    pub fn transmit_interval(&self) -> Option<Duration> {
        self.is_periodic().then(|| Duration::from_micros(self.transmit_micros()))
    }

    /// How long the peer waits for us when nothing comes; `None` while nothing is sent periodically.
    #[must_use]
    pub fn remote_detection_time(&self) -> Option<Duration> {
        self.transmit_interval().map(|interval| interval * self.config.detect_mult.get().into())
    }

    /// How long the peer may be silent; `None` before it was heard.
    #[must_use]
    pub fn detection_time(&self) -> Option<Duration> {
        //= https://www.rfc-editor.org/rfc/rfc5880#section-6.8.4
        //# In Asynchronous mode, the Detection Time calculated in the local
        //# system is equal to the value of Detect Mult received from the remote
        //# system, multiplied by the agreed transmit interval of the remote
        //# system (the greater of bfd.RequiredMinRxInterval and the last
        //# received Desired Min TX Interval).
        let agreed = Duration::from_micros(self.in_force.rx.max(self.remote.desired_min_tx).into());
        self.remote.detect_mult.map(|mult| agreed * mult.get().into())
    }

    fn configure(&mut self, config: Config) {
        let differs = config.authentication != self.config.authentication;
        let says_otherwise = config.detect_mult != self.config.detect_mult
            || config.control_plane_independent != self.config.control_plane_independent;
        self.config = config;
        if differs {
            // Another key's sequence numbers tell nothing about this one's.
            self.sequences.received = None;
        }
        if says_otherwise && self.is_remote_in_demand_mode() {
            //= https://www.rfc-editor.org/rfc/rfc5880#section-6.6
            //# If Demand mode is active on either or both systems, a Poll Sequence
            //# MUST be initiated whenever the contents of the next BFD Control
            //# packet to be sent would be different than the contents of the
            //# previous packet, with the exception of the Poll (P) and Final (F)
            //# bits.
            self.poll.request();
        }
        self.set_intervals();
    }

    //= https://www.rfc-editor.org/rfc/rfc5880#section-6.8.16
    //# When this is
    //# desired, the following procedure MUST be followed:
    fn enable(&mut self) {
        if self.state == State::AdminDown {
            self.change(State::Down, self.diagnostic, Cause::Enabled);
        }
    }

    fn disable(&mut self, why: Disable) {
        let diagnostic = match why {
            Disable::Administratively => Diagnostic::ADMINISTRATIVELY_DOWN,
            Disable::PathDown => Diagnostic::PATH_DOWN,
        };
        //= https://www.rfc-editor.org/rfc/rfc5880#section-6.8.16
        //# BFD Control packets SHOULD be transmitted for at least a Detection
        //# Time after transitioning to AdminDown state in order to ensure that
        //# the remote system is aware of the state change.
        //
        // It goes on sending for as long as it lives, so that the peer does not take silence for a failure.
        self.change(State::AdminDown, diagnostic, Cause::Disabled(why));
    }

    fn reset_forwarding(&mut self) {
        if self.state != State::AdminDown {
            //= https://www.rfc-editor.org/rfc/rfc5880#section-6.8.15
            //# the local system MUST set bfd.LocalDiag to 4 (Forwarding Plane
            //# Reset), and set bfd.SessionState to Down.
            self.change(State::Down, Diagnostic::FORWARDING_PLANE_RESET, Cause::ForwardingReset);
        }
    }

    /// The Detection Time has passed.
    fn lose_peer(&mut self) {
        self.silent_at = None;
        //= https://www.rfc-editor.org/rfc/rfc5880#section-6.8.1
        //# If a period of a Detection Time passes without the
        //# receipt of a valid, authenticated BFD packet from the remote
        //# system, this variable MUST be set to zero.
        //
        // And with bfd.RemoteDiscr the rest of what the peer said: §6.8.18 wants it of bfd.RemoteMinRxInterval.
        self.remote = Remote::UNHEARD;
        // Nobody is left to answer.
        self.poll = Poll::default();
        if matches!(self.state, State::Init | State::Up) {
            //= https://www.rfc-editor.org/rfc/rfc5880#section-6.8.4
            //# If Demand mode is not active, and a period of time equal to the
            //# Detection Time passes without receiving a BFD Control packet from the
            //# remote system, and bfd.SessionState is Init or Up, the session has
            //# gone down -- the local system MUST set bfd.SessionState to Down and
            //# bfd.LocalDiag to 1 (Control Detection Time Expired).
            self.change(State::Down, Diagnostic::DETECTION_TIME_EXPIRED, Cause::DetectionTimeExpired);
        }
    }

    /// Sets state and diagnostic, and whatever follows from them.
    fn change(&mut self, to: State, diagnostic: Diagnostic, cause: Cause) {
        let from = self.state;
        if from == to && self.diagnostic == diagnostic {
            return;
        }
        self.state = to;
        self.diagnostic = diagnostic;
        if from != to {
            self.outputs.push_back(Output::Changed { from, to, cause });
        }
        self.set_intervals();
        //= https://www.rfc-editor.org/rfc/rfc5880#section-6.8.7
        //# A BFD Control packet SHOULD be transmitted during the interval
        //# between periodic Control packet transmissions when the contents of
        //# that packet would differ from that in the previously transmitted
        //# packet (other than the Poll and Final bits) in order to more rapidly
        //# communicate a change in state.
        self.periodic.hurry();
    }

    /// Brings the two intervals in line with configuration and state, by a Poll Sequence where they change.
    fn set_intervals(&mut self) {
        let configured = self.config.desired_min_tx.as_micros();
        let is_up = self.state == State::Up;
        //= https://www.rfc-editor.org/rfc/rfc5880#section-6.8.3
        //# When bfd.SessionState is not Up, the system MUST set
        //# bfd.DesiredMinTxInterval to a value of not less than one second
        //# (1,000,000 microseconds).
        let tx = if is_up { configured } else { configured.max(SLOW.as_micros()) };
        let wanted = Intervals { tx, rx: self.config.required_min_rx.as_micros() };
        if wanted != self.told {
            self.told = wanted;
            //= https://www.rfc-editor.org/rfc/rfc5880#section-6.8.3
            //# If either bfd.DesiredMinTxInterval is changed or
            //# bfd.RequiredMinRxInterval is changed, a Poll Sequence MUST be
            //# initiated (see section 6.5).
            self.poll.request();
        }
        self.in_force = if is_up {
            Intervals {
                //= https://www.rfc-editor.org/rfc/rfc5880#section-6.8.3
                //# If bfd.DesiredMinTxInterval is increased and bfd.SessionState is Up,
                //# the actual transmission interval used MUST NOT change until the Poll
                //# Sequence described above has terminated.
                tx: self.in_force.tx.min(wanted.tx),
                //= https://www.rfc-editor.org/rfc/rfc5880#section-6.8.3
                //# If bfd.RequiredMinRxInterval is reduced and bfd.SessionState is Up,
                //# the previous value of bfd.RequiredMinRxInterval MUST be used when
                //# calculating the Detection Time for the remote system until the Poll
                //# Sequence described above has terminated.
                rx: self.in_force.rx.max(wanted.rx),
            }
        } else {
            //= https://www.rfc-editor.org/rfc/rfc5880#section-6.8.3
            //# In any case other than those explicitly called out above, timing
            //# parameter changes MUST be effected immediately (changing the
            //# transmission rate and/or the Detection Time).
            wanted
        };
        self.renew_detection();
    }

    /// The Detection Time may have changed, or the peer been heard.
    fn renew_detection(&mut self) {
        // A peer that was never heard, or is lost, is not waited for.
        let length = if self.remote.discriminator.is_some() { self.detection_time() } else { None };
        self.silent_at = length.map(|length| self.heard_at + length);
        if let Some(length) = length {
            self.forget_sequence_at =
                self.sequences.received.is_some().then(|| self.heard_at + length.saturating_mul(2));
        }
    }

    //= https://www.rfc-editor.org/rfc/rfc5880#section-6.8.6
    //# If bfd.RemoteDemandMode is 1, bfd.SessionState is Up, and
    //# bfd.RemoteSessionState is Up, Demand mode is active on the remote
    //# system and the local system MUST cease the periodic transmission
    //# of BFD Control packets (see section 6.8.7).
    fn is_remote_in_demand_mode(&self) -> bool {
        self.remote.demand && self.state == State::Up && self.remote.state == State::Up
    }
}

#[cfg(test)]
mod properties;
#[cfg(test)]
mod tests;
