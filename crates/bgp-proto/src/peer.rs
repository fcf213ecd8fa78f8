//! One configured router: up to two connections, of which one becomes the session, and what it is to know.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use ironlb_model::Timestamp;

use crate::codec::iana::cease;
use crate::codec::{MessageKind, Notification};
use crate::fsm::{Event, Fsm, Initiator, Link, Surroundings};
use crate::jitter::Jitter;
use crate::received::Received;
use crate::rib_out::{RibOut, Sent, Spelling};
use crate::timers::Timer;
use crate::{BfdState, BfdUse, Config, ConnectionId, Down, DownReason, Family, Input, Notice, Output, State, Stop};

mod collision;
mod receive;
mod status;

pub use status::Counters;

/// One peer. See the crate's text for the contract.
#[derive(Debug, Clone)]
pub struct Peer {
    config: Config,
    jitter: Jitter,
    now: Timestamp,
    /// We were told to begin, and not to end since.
    is_wanted: bool,
    has_desired: bool,
    /// The next OPEN says that we have restarted.
    restarted: bool,
    bfd: BfdState,
    graceful_shutdown: bool,
    /// The first goes through all states; a second one is there while two connections compete.
    first: Fsm,
    second: Option<Fsm>,
    reported: State,
    rib_out: RibOut,
    received: Received,
    counters: Counters,
    /// Failures in a row, for damping.
    failures: u32,
    last_connection: u64,
    last_down: Option<Down>,
    outputs: VecDeque<Output>,
}

/// Which of the two connections.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Slot {
    First,
    Second,
}

impl Slot {
    const BOTH: [Self; 2] = [Self::First, Self::Second];

    const fn other(self) -> Self {
        match self {
            Self::First => Self::Second,
            Self::Second => Self::First,
        }
    }
}

impl Peer {
    /// A peer that has not begun. `seed` is any number; peers of one process should have different ones, so that their timers do
    /// not go off together. `restarted` says that routes of an earlier life of this process may still be with the peer.
    #[must_use]
    pub fn new(config: Config, seed: u64, restarted: bool) -> Self {
        Self {
            config,
            jitter: Jitter::new(seed),
            now: Timestamp::ZERO,
            is_wanted: false,
            has_desired: false,
            restarted,
            bfd: BfdState::default(),
            graceful_shutdown: false,
            first: Fsm::default(),
            second: None,
            reported: State::Idle,
            rib_out: RibOut::new(),
            received: Received::default(),
            counters: Counters::default(),
            failures: 0,
            last_connection: 0,
            last_down: None,
            outputs: VecDeque::new(),
        }
    }

    /// The only way in.
    pub fn handle_input(&mut self, now: Timestamp, input: Input) {
        self.now = self.now.max(now);
        match input {
            Input::Start => {
                self.is_wanted = true;
                self.begin();
            }
            Input::Stop(stop) => {
                self.is_wanted = false;
                self.end_all(&|| Event::Stop(stop.clone()));
            }
            Input::Reset(text) => {
                let notification = Notification::shutdown(cease::ADMINISTRATIVE_RESET, &text);
                self.end_all(&|| Event::End(DownReason::Reset(text.clone()), Some(notification.clone())));
                self.begin();
            }
            Input::Desired(routes) => {
                self.rib_out.set_desired(routes);
                if !self.has_desired {
                    self.has_desired = true;
                    self.begin();
                }
            }
            Input::GracefulShutdown(on) => {
                self.graceful_shutdown = on;
                self.rib_out.respell(self.spelling());
            }
            Input::Configure(config) => self.configure(*config),
            Input::Connected(id) => self.on_connection(id, Event::ConnectionUp(id, Initiator::Us)),
            Input::Accepted(id) => self.accept(id),
            Input::Received(id, bytes) => self.receive(id, &bytes),
            Input::Sent(id) => {
                if let Some(slot) = self.slot_of(id) {
                    self.with(slot, |fsm, around| fsm.restart_send_hold(around));
                }
            }
            Input::Closed(id) => self.on_connection(id, Event::ConnectionFailed),
            Input::Bfd(state) => self.bfd(state),
            Input::LinkDown(id) if !self.config.is_internal() => {
                self.on_connection(id, Event::End(DownReason::LinkDown, None));
            }
            Input::LinkDown(_) => {}
        }
    }

    /// Lets go off what is due. Calling early is harmless.
    pub fn handle_timeout(&mut self, now: Timestamp) {
        self.now = self.now.max(now);
        for slot in Slot::BOTH {
            // Each timer at most once, so that an interval of zero does not hold us here.
            for _ in Timer::ALL {
                let now = self.now;
                let Some(timer) = self.fsm_mut(slot).and_then(|fsm| fsm.timers.expired(now)) else { break };
                self.step(slot, Event::Timer(timer));
            }
        }
    }

    /// The only way out; asked until `None`.
    pub fn poll_output(&mut self) -> Option<Output> {
        self.outputs.pop_front()
    }

    /// The next message of routes, and the connection to write it to: asked for while its socket takes more, and not sooner.
    ///
    /// What is not fetched can still change, and a peer that does not read costs no memory.
    pub fn poll_update(&mut self, now: Timestamp) -> Option<(ConnectionId, Vec<u8>)> {
        self.now = self.now.max(now);
        let slot = self.established()?;
        let connection = self.fsm(slot)?.link.as_ref()?.id;
        let (bytes, sent) = self.rib_out.next_message()?;
        let kind = match sent {
            Sent::Mark(_) => MessageKind::RouteRefresh,
            Sent::Announced(_) | Sent::Withdrawn(_) | Sent::EndOfRib(_) => MessageKind::Update,
        };
        Counters::add(&mut self.counters.sent, kind);
        if let Sent::EndOfRib(family) = sent {
            self.outputs.push_back(Output::Notice(Notice::EndOfRibSent(family)));
        }
        self.with(slot, |fsm, around| fsm.restart_keepalive(around));
        Some((connection, bytes))
    }

    /// When [`Peer::handle_timeout`] is needed next.
    #[must_use]
    pub fn poll_timeout(&self) -> Option<Timestamp> {
        self.fsms().filter_map(|fsm| fsm.timers.next()).min()
    }

    /// A number for a connection that the peer has opened, for [`Input::Accepted`].
    pub fn next_connection(&mut self) -> ConnectionId {
        self.last_connection += 1;
        ConnectionId(self.last_connection)
    }

    fn begin(&mut self) {
        if self.is_wanted && self.has_desired && self.first.state == State::Idle {
            self.step(Slot::First, Event::Start);
        }
    }

    fn end_all(&mut self, event: &dyn Fn() -> Event) {
        // The second first: when it is gone, the first does not give its place to it.
        for slot in [Slot::Second, Slot::First] {
            if self.fsm(slot).is_some() {
                self.step(slot, event());
            }
        }
    }

    fn configure(&mut self, config: Config) {
        if self.config.needs_reset(&config) {
            self.end_all(&|| {
                let notification = Notification::cease(cease::OTHER_CONFIGURATION_CHANGE);
                Event::End(DownReason::Reconfigured, Some(notification))
            });
            self.config = config;
            self.failures = 0;
            self.begin();
            return;
        }
        let is_active_now = self.config.passive && !config.passive;
        self.config = config;
        self.rib_out.respell(self.spelling());
        if is_active_now && self.first.state == State::Active && self.first.link.is_none() {
            self.step(Slot::First, Event::Timer(Timer::ConnectRetry));
        }
        self.open_what_waited();
    }

    fn bfd(&mut self, state: BfdState) {
        self.bfd = state;
        if self.config.bfd == BfdUse::Off {
            return;
        }
        match state {
            // RFC 9384: such an end is told as Cease, BFD Down.
            BfdState::Down => {
                let ends = |fsm: &Fsm| fsm.link.is_some();
                for slot in [Slot::Second, Slot::First] {
                    if self.fsm(slot).is_some_and(ends) {
                        self.step(slot, Event::End(DownReason::BfdDown, Some(Notification::cease(cease::BFD_DOWN))));
                    }
                }
            }
            BfdState::Up => {
                // What BFD took down it also lets up again: there is nothing else to wait for.
                if self.last_down.as_ref().is_some_and(|down| down.reason == DownReason::BfdDown) {
                    self.begin();
                }
                self.open_what_waited();
            }
            BfdState::Unknown => {}
        }
    }

    /// Sends the OPENs that waited for BFD, and reads what came meanwhile.
    fn open_what_waited(&mut self) {
        for slot in Slot::BOTH {
            let waiting = self.fsm(slot).filter(|fsm| fsm.holds_open_back());
            if let Some(id) = waiting.and_then(|fsm| fsm.link.as_ref()).map(|link| link.id) {
                self.step(slot, Event::MayOpen);
                self.receive(id, &[]);
            }
        }
    }

    /// A connection that the peer has opened.
    fn accept(&mut self, id: ConnectionId) {
        let event = Event::ConnectionUp(id, Initiator::Peer);
        if self.first.state == State::Idle {
            // "In this state, BGP FSM refuses all incoming BGP connections for this peer" (RFC 4271 §8.2.2).
            self.outputs.push_back(Output::Close(id));
            self.outputs.push_back(Output::Notice(Notice::ConnectionRefused(id)));
            return;
        }
        if self.first.state == State::Active && self.first.link.is_none() {
            self.step(Slot::First, event);
            return;
        }
        // The peer has no more than one connection of its own: an older one is one that it has given up.
        let is_older = |fsm: &Fsm| {
            fsm.state != State::Established
                && fsm.link.as_ref().is_some_and(|link: &Link| link.initiator == Initiator::Peer)
        };
        if self.second.is_some() {
            let older = Slot::BOTH.into_iter().find(|slot| self.fsm(*slot).is_some_and(is_older));
            match older {
                Some(slot) => self.step(slot, Event::CollisionDump),
                None => {
                    self.outputs.push_back(Output::Close(id));
                    self.outputs.push_back(Output::Notice(Notice::ConnectionRefused(id)));
                    return;
                }
            }
        }
        //= https://www.rfc-editor.org/rfc/rfc4271#section-8.2.1
        //# For each incoming connection, a state machine MUST be instantiated.
        self.second = Some(Fsm { state: State::Active, ..Fsm::default() });
        self.step(Slot::Second, event);
    }

    fn on_connection(&mut self, id: ConnectionId, event: Event) {
        if let Some(slot) = self.slot_of(id) {
            self.step(slot, event);
        }
    }

    /// One event to one connection, and what follows from it for the peer.
    fn step(&mut self, slot: Slot, event: Event) {
        let Some(before) = self.fsm(slot).map(|fsm| fsm.state) else { return };
        let id = self.fsm(slot).and_then(|fsm| fsm.link.as_ref()).map(|link| link.id);
        let is_new = matches!(event, Event::ConnectionUp(..));
        self.forget_failures(slot);
        let outputs = self.outputs.len();
        self.with(slot, |fsm, around| fsm.handle(around, event));
        self.count_sent(outputs);
        let Some(fsm) = self.fsm_mut(slot) else { return };
        let (after, ended) = (fsm.state, fsm.ended.take());
        if before == State::Established && after != State::Established {
            fsm.established_at = None;
            self.rib_out.stop();
        }
        let is_up = before != State::Established && after == State::Established;
        if is_up {
            self.session_up(slot);
        }
        let waits = is_new && !self.may_open() && self.fsm(slot).is_some_and(Fsm::holds_open_back);
        if waits {
            self.outputs.push_back(Output::Notice(Notice::WaitingForBfd));
        }
        let goes_on = self.yield_place(slot);
        self.report();
        if let Some(ended) = ended {
            let is_failure = ended_by_failure(&ended.reason);
            self.failures = self.failures.saturating_add(u32::from(is_failure && after == State::Idle));
            if let (DownReason::Collision, true, Some(closed)) = (&ended.reason, goes_on, id) {
                self.outputs.push_back(Output::Notice(Notice::CollisionResolved { closed }));
                return;
            }
            let retry_at = if goes_on { None } else { self.poll_timeout() };
            let was_up = ended.from == State::Established;
            let down = Down { reason: ended.reason, sent: ended.sent, was_up, retry_at };
            self.last_down = Some(down.clone());
            self.outputs.push_back(Output::Down(down));
        }
    }

    fn session_up(&mut self, slot: Slot) {
        let Some(negotiated) = self.fsm(slot).and_then(|fsm| fsm.negotiated.clone()) else { return };
        // Of two connections one is the session now; the other has lost, wherever it stands.
        if self.fsm(slot.other()).is_some() {
            self.step(slot.other(), Event::CollisionDump);
        }
        //= https://www.rfc-editor.org/rfc/rfc4724#section-4.2
        //# the "Restart State" bit in the Graceful Restart Capability of the OPEN
        //# message sent by the Receiving Speaker MUST NOT be set unless the Receiving
        //# Speaker has restarted.
        self.restarted = false;
        self.received = Received::default();
        self.rib_out.start(Arc::clone(&negotiated), self.spelling());
        self.report();
        self.outputs.push_back(Output::Up(negotiated));
    }

    /// A connection that came to nothing gives its place to the other one, if there is one. True if that one goes on.
    fn yield_place(&mut self, slot: Slot) -> bool {
        let is_over = |fsm: &Fsm| fsm.link.is_none();
        match slot {
            Slot::Second if self.second.as_ref().is_some_and(is_over) => {
                self.second = None;
                self.first.link.is_some()
            }
            Slot::First if is_over(&self.first) => match self.second.take() {
                Some(second) => {
                    self.first = second;
                    true
                }
                None => false,
            },
            Slot::First | Slot::Second => false,
        }
    }

    fn report(&mut self) {
        let (from, to) = (self.reported, self.state());
        if from != to {
            self.reported = to;
            self.outputs.push_back(Output::State { from, to });
        }
    }

    /// A session that lasted has proved itself: the failure that ends it is a first one.
    fn forget_failures(&mut self, slot: Slot) {
        let up_since = self.fsm(slot).filter(|fsm| fsm.state == State::Established).and_then(|fsm| fsm.established_at);
        if up_since.is_some_and(|since| self.now.since(since) >= self.config.timing.idle_hold_max) {
            self.failures = 0;
        }
    }

    fn idle_hold(&self) -> Duration {
        let timing = &self.config.timing;
        let doublings = if self.config.damp { self.failures.min(16) } else { 0 };
        timing.idle_hold.saturating_mul(1 << doublings).min(timing.idle_hold_max.max(timing.idle_hold))
    }

    fn may_open(&self) -> bool {
        self.config.bfd != BfdUse::Strict || self.bfd == BfdState::Up
    }

    fn spelling(&self) -> Spelling {
        Spelling {
            own: self.config.own,
            link_bandwidth: self.config.link_bandwidth,
            graceful_shutdown: self.graceful_shutdown,
        }
    }

    fn with(&mut self, slot: Slot, act: impl FnOnce(&mut Fsm, &mut Surroundings<'_>)) {
        let (idle_hold, may_open) = (self.idle_hold(), self.may_open());
        let fsm = match slot {
            Slot::First => Some(&mut self.first),
            Slot::Second => self.second.as_mut(),
        };
        let mut around = Surroundings {
            now: self.now,
            config: &self.config,
            jitter: &mut self.jitter,
            restarted: self.restarted,
            may_open,
            idle_hold,
            last_connection: &mut self.last_connection,
            outputs: &mut self.outputs,
        };
        if let Some(fsm) = fsm {
            act(fsm, &mut around);
        }
    }

    /// Counts the messages among the outputs from this one on.
    fn count_sent(&mut self, from: usize) {
        for output in self.outputs.iter().skip(from) {
            let Output::Write(_, bytes) = output else { continue };
            let kind =
                bytes.get(18).and_then(|number| MessageKind::ALL.into_iter().find(|kind| kind.number() == *number));
            if let Some(kind) = kind {
                Counters::add(&mut self.counters.sent, kind);
            }
        }
    }

    fn fsms(&self) -> impl Iterator<Item = &Fsm> {
        std::iter::once(&self.first).chain(&self.second)
    }

    fn fsm(&self, slot: Slot) -> Option<&Fsm> {
        match slot {
            Slot::First => Some(&self.first),
            Slot::Second => self.second.as_ref(),
        }
    }

    fn fsm_mut(&mut self, slot: Slot) -> Option<&mut Fsm> {
        match slot {
            Slot::First => Some(&mut self.first),
            Slot::Second => self.second.as_mut(),
        }
    }

    fn link_of(&self, slot: Slot) -> Option<ConnectionId> {
        self.fsm(slot)?.link.as_ref().map(|link| link.id)
    }

    fn slot_of(&self, id: ConnectionId) -> Option<Slot> {
        Slot::BOTH.into_iter().find(|slot| self.fsm(*slot).is_some_and(|fsm| fsm.is_on(id)))
    }

    fn established(&self) -> Option<Slot> {
        Slot::BOTH.into_iter().find(|slot| self.fsm(*slot).is_some_and(|fsm| fsm.state == State::Established))
    }

    /// The families of the session that is up.
    fn carries(&self, family: Family) -> bool {
        self.negotiated().is_some_and(|negotiated| negotiated.families.contains_key(&family))
    }
}

/// Does this count for damping? What we wanted ourselves does not, nor a path that failed: the peer did nothing wrong.
fn ended_by_failure(reason: &DownReason) -> bool {
    !matches!(
        reason,
        DownReason::Stopped(Stop::Shutdown(_) | Stop::Deconfigured | Stop::Quiet)
            | DownReason::Reset(_)
            | DownReason::Reconfigured
            | DownReason::Collision
            | DownReason::BfdDown
            | DownReason::LinkDown
    )
}

#[cfg(test)]
mod pair;
#[cfg(test)]
mod properties;
#[cfg(test)]
pub(crate) mod rig;
#[cfg(test)]
mod tests;
