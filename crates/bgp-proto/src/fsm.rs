//! One connection of RFC 4271 §8: a state, its timers, and what each event does to them.
//!
//! The events are the RFC's, with these drawn together: 1 and 3 to 7 are [`Event::Start`], told apart by the configuration; 2 and
//! 8 are [`Event::Stop`]; 14 to 17 are [`Event::ConnectionUp`], because a kernel hands over connections and no half ones; 19 and
//! 20 are [`Event::Open`]; 24 and 25 are [`Event::Notification`]. RFC 9687 adds the send hold timer.
//!
//! Where this differs from the RFC's text, on purpose:
//! - Connect: a connection that fails leads to Active and the next attempt, and not to Idle, in which the peer's own attempts
//!   would be refused: a router that comes back is let in at once. This is what RFC 1771 had and routers do.
//! - a passive peer never connects: its ConnectRetryTimer does not run;
//! - OpenSent: a NOTIFICATION is not answered with one (RFC 4271 §6.4 has it so for all of them);
//! - OpenConfirm and Established: a second OPEN on one connection is an FSM error (RFC 6608), never a collision with itself.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use ironlb_model::Timestamp;

use crate::codec::iana::{cease, error, fsm};
use crate::codec::{MAX_MESSAGE_LEN, MessageKind, Notification, keepalive};
use crate::jitter::Jitter;
use crate::negotiate::SHORTEST_KEEPALIVE;
use crate::timers::{Deadlines, Timer};
use crate::{Config, ConnectionId, DownReason, Negotiated, Output, Stop};

/// The states of RFC 4271 §8.2.2.
///
/// ```text
///                 Start                  connection up, OPEN sent         OPEN received
///   Idle -----------------> Connect ----------------------> OpenSent ----------------> OpenConfirm
///    ^  ^                   |     ^                          ^    |                         |
///    |  |            failed |     | retry                    |    | connection failed       | KEEPALIVE
///    |  |                   v     |                          |    v                         v
///    |  +---- any error --- Active ---- peer connects -------+  (Active)               Established
///    +---------------------------------- any error, NOTIFICATION, timer -------------------+
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub enum State {
    /// Not wanted, or waiting after a failure.
    #[default]
    Idle,
    /// Waiting for the peer to connect, or for the time of the next attempt.
    Active,
    /// Connecting.
    Connect,
    /// Our OPEN is sent.
    OpenSent,
    /// The peer's OPEN is here and fits.
    OpenConfirm,
    /// Routes are exchanged.
    Established,
}

impl State {
    /// All of them, from the farthest from a session to the session itself.
    pub const ALL: [Self; 6] =
        [Self::Idle, Self::Active, Self::Connect, Self::OpenSent, Self::OpenConfirm, Self::Established];

    /// Its name as a metric label.
    #[must_use]
    pub const fn category(self) -> &'static str {
        match self {
            Self::Idle => "idle",
            Self::Active => "active",
            Self::Connect => "connect",
            Self::OpenSent => "open_sent",
            Self::OpenConfirm => "open_confirm",
            Self::Established => "established",
        }
    }
}

/// Who opened a connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Initiator {
    Us,
    Peer,
}

/// What happens to a connection.
#[derive(Debug, Clone)]
pub(crate) enum Event {
    Start,
    Stop(Stop),
    /// An end that is wanted for another reason than a stop, and what the peer is told.
    End(DownReason, Option<Notification>),
    Timer(Timer),
    ConnectionUp(ConnectionId, Initiator),
    ConnectionFailed,
    /// A valid OPEN, and what it agrees on with ours.
    Open(Arc<Negotiated>),
    Notification(Notification),
    Keepalive,
    /// An UPDATE that is to be counted.
    Update,
    /// A ROUTE-REFRESH that is to be looked at.
    RouteRefresh,
    /// What came cannot be used: events 21, 22 and 28, with what belongs into the answer.
    Fault(DownReason, Notification),
    /// Event 23.
    CollisionDump,
    /// The OPEN that waited for BFD may go.
    MayOpen,
}

/// What a handler needs of the peer it belongs to.
#[derive(Debug)]
pub(crate) struct Surroundings<'a> {
    pub(crate) now: Timestamp,
    pub(crate) config: &'a Config,
    pub(crate) jitter: &'a mut Jitter,
    /// The R bit.
    pub(crate) restarted: bool,
    /// Strict BFD says no when false.
    pub(crate) may_open: bool,
    /// How long to stay in Idle if it fails now.
    pub(crate) idle_hold: Duration,
    pub(crate) last_connection: &'a mut u64,
    pub(crate) outputs: &'a mut VecDeque<Output>,
}

/// A TCP connection, asked for or up.
#[derive(Debug, Clone)]
pub(crate) struct Link {
    pub(crate) id: ConnectionId,
    pub(crate) initiator: Initiator,
    pub(crate) is_up: bool,
    /// What came and is not a whole message yet.
    pub(crate) received: Vec<u8>,
}

/// How an attempt or a session ended.
#[derive(Debug, Clone)]
pub(crate) struct Ended {
    pub(crate) reason: DownReason,
    pub(crate) sent: Option<Notification>,
    pub(crate) from: State,
}

/// One connection's machine.
#[derive(Debug, Clone, Default)]
pub(crate) struct Fsm {
    pub(crate) state: State,
    pub(crate) link: Option<Link>,
    pub(crate) timers: Deadlines,
    pub(crate) negotiated: Option<Arc<Negotiated>>,
    /// Set when the machine came to Idle or Active from further on, and taken by the peer.
    pub(crate) ended: Option<Ended>,
    pub(crate) established_at: Option<Timestamp>,
}

impl Fsm {
    /// The longest message that may come now.
    pub(crate) fn limit(&self) -> u16 {
        self.negotiated.as_ref().map_or(MAX_MESSAGE_LEN, |negotiated| negotiated.max_message_len)
    }

    pub(crate) fn is_on(&self, connection: ConnectionId) -> bool {
        self.link.as_ref().is_some_and(|link| link.id == connection)
    }

    /// Is a connection up whose OPEN has not been sent?
    pub(crate) fn holds_open_back(&self) -> bool {
        matches!(self.state, State::Connect | State::Active) && self.link.as_ref().is_some_and(|link| link.is_up)
    }

    pub(crate) fn handle(&mut self, around: &mut Surroundings<'_>, event: Event) {
        match self.state {
            State::Idle => self.in_idle(around, &event),
            State::Connect | State::Active => self.in_connect_or_active(around, event),
            State::OpenSent => self.in_open_sent(around, event),
            State::OpenConfirm => self.in_open_confirm(around, event),
            State::Established => self.in_established(around, event),
        }
    }

    fn in_idle(&mut self, around: &mut Surroundings<'_>, event: &Event) {
        match event {
            Event::Start | Event::Timer(Timer::IdleHold) => {
                self.timers.stop_all();
                if around.config.passive {
                    self.state = State::Active;
                } else {
                    self.connect(around);
                }
            }
            Event::Stop(_) => self.timers.stop_all(),
            // "Any other event received in the Idle state does not cause change in the state" (RFC 4271 §8.2.2).
            Event::End(..)
            | Event::Timer(_)
            | Event::ConnectionUp(..)
            | Event::ConnectionFailed
            | Event::Open(_)
            | Event::Notification(_)
            | Event::Keepalive
            | Event::Update
            | Event::RouteRefresh
            | Event::Fault(..)
            | Event::CollisionDump
            | Event::MayOpen => {}
        }
    }

    fn in_connect_or_active(&mut self, around: &mut Surroundings<'_>, event: Event) {
        match event {
            Event::Start => {}
            Event::Stop(stop) => self.idle(around, DownReason::Stopped(stop), None),
            Event::End(reason, _) => self.idle(around, reason, None),
            Event::Timer(Timer::ConnectRetry) => {
                self.drop_link(around);
                self.connect(around);
            }
            Event::Timer(Timer::DelayOpen) | Event::MayOpen => self.open_if_allowed(around),
            Event::ConnectionUp(id, initiator) => {
                self.timers.stop(Timer::ConnectRetry);
                let received = self.link.take().filter(|link| link.id == id).map(|link| link.received);
                self.link = Some(Link { id, initiator, is_up: true, received: received.unwrap_or_default() });
                match around.config.timing.delay_open {
                    Some(delay) => self.timers.arm(Timer::DelayOpen, around.now + delay),
                    None => self.open_if_allowed(around),
                }
            }
            Event::ConnectionFailed => self.active(around, DownReason::ConnectFailed),
            // Event 20: with the DelayOpenTimer running, the peer's OPEN is answered with ours and a KEEPALIVE at once.
            Event::Open(negotiated) if self.timers.is_running(Timer::DelayOpen) && around.may_open => {
                self.send_open(around);
                self.confirm(around, negotiated);
            }
            // Event 24 and the others: without our OPEN nothing is sent (RFC 4271 §8.2.1.1, SendNOTIFICATIONwithoutOPEN is off).
            Event::Notification(notification) => {
                self.idle(around, DownReason::NotificationReceived(notification), None);
            }
            Event::Fault(reason, _) => self.idle(around, reason, None),
            Event::CollisionDump => self.idle(around, DownReason::Collision, None),
            Event::Open(_) => self.idle_unexpected(around, MessageKind::Open, None),
            Event::Keepalive => self.idle_unexpected(around, MessageKind::Keepalive, None),
            Event::Update => self.idle_unexpected(around, MessageKind::Update, None),
            Event::RouteRefresh => self.idle_unexpected(around, MessageKind::RouteRefresh, None),
            // These do not run here.
            Event::Timer(Timer::Hold | Timer::Keepalive | Timer::IdleHold | Timer::SendHold) => {}
        }
    }

    fn in_open_sent(&mut self, around: &mut Surroundings<'_>, event: Event) {
        match event {
            Event::Open(negotiated) => self.confirm(around, negotiated),
            //= https://www.rfc-editor.org/rfc/rfc4271#section-8.2.2
            //# If a TcpConnectionFails event (Event 18) is received, the local system:
            //# - closes the BGP connection, - restarts the ConnectRetryTimer, -
            //# continues to listen for a connection that may be initiated by the remote
            //# BGP peer, and - changes its state to Active.
            Event::ConnectionFailed => self.active(around, DownReason::ConnectionClosed),
            //= https://www.rfc-editor.org/rfc/rfc6608#section-4
            //# on a session in OpenSent state, it MUST send to the neighbor a NOTIFICATION
            //# message with the Error Code Finite State Machine Error
            Event::Keepalive => self.idle_unexpected(around, MessageKind::Keepalive, Some(fsm::OPEN_SENT)),
            Event::Update => self.idle_unexpected(around, MessageKind::Update, Some(fsm::OPEN_SENT)),
            Event::RouteRefresh => self.idle_unexpected(around, MessageKind::RouteRefresh, Some(fsm::OPEN_SENT)),
            // It does not run here.
            Event::Timer(Timer::Keepalive) => {}
            other => self.in_any_open(around, other),
        }
    }

    fn in_open_confirm(&mut self, around: &mut Surroundings<'_>, event: Event) {
        match event {
            Event::Keepalive => {
                self.restart_hold(around);
                self.state = State::Established;
                self.established_at = Some(around.now);
                self.restart_send_hold(around);
            }
            Event::ConnectionFailed => self.idle(around, DownReason::ConnectionClosed, None),
            //= https://www.rfc-editor.org/rfc/rfc6608#section-4
            //# on a session in OpenConfirm state, it MUST send a NOTIFICATION message with
            //# the Error Code Finite State Machine Error
            Event::Open(_) => self.idle_unexpected(around, MessageKind::Open, Some(fsm::OPEN_CONFIRM)),
            Event::Update => self.idle_unexpected(around, MessageKind::Update, Some(fsm::OPEN_CONFIRM)),
            Event::RouteRefresh => self.idle_unexpected(around, MessageKind::RouteRefresh, Some(fsm::OPEN_CONFIRM)),
            other => self.in_any_open(around, other),
        }
    }

    fn in_established(&mut self, around: &mut Surroundings<'_>, event: Event) {
        match event {
            //= https://www.rfc-editor.org/rfc/rfc4271#section-8.2.2
            //# If the local system receives a KEEPALIVE message (Event 26), the local
            //# system: - restarts its HoldTimer, if the negotiated HoldTime value is
            //# non-zero, and - remains in the Established state.
            Event::Keepalive | Event::Update => self.restart_hold(around),
            Event::RouteRefresh => {}
            Event::ConnectionFailed => self.idle(around, DownReason::ConnectionClosed, None),
            //= https://www.rfc-editor.org/rfc/rfc6608#section-4
            //# on a session in Established State, it MUST send to the neighbor a
            //# NOTIFICATION message with the Error Code Finite State Machine Error
            Event::Open(_) => self.idle_unexpected(around, MessageKind::Open, Some(fsm::ESTABLISHED)),
            Event::Timer(Timer::SendHold) => {
                // RFC 9687, event 29: a NOTIFICATION is tried, which a peer that does not read will hardly see.
                let notification = Notification::new(error::SEND_HOLD_TIMER, 0, Vec::new());
                self.idle(around, DownReason::SendHoldTimerExpired, Some(notification));
            }
            other => self.in_any_open(around, other),
        }
    }

    /// What OpenSent, OpenConfirm and Established do alike.
    fn in_any_open(&mut self, around: &mut Surroundings<'_>, event: Event) {
        match event {
            Event::Stop(stop) => {
                let notification = self.farewell(&stop);
                self.idle(around, DownReason::Stopped(stop), notification);
            }
            Event::End(reason, notification) => self.idle(around, reason, notification),
            Event::Fault(reason, notification) => self.idle(around, reason, Some(notification)),
            //= https://www.rfc-editor.org/rfc/rfc4271#section-6.5
            //# then the NOTIFICATION message with the Hold Timer Expired Error Code
            //# is sent and the BGP connection is closed.
            Event::Timer(Timer::Hold) => {
                //= https://www.rfc-editor.org/rfc/rfc4271#section-6
                //# If no Error Subcode is specified, then a zero MUST be used.
                let notification = Notification::new(error::HOLD_TIMER, 0, Vec::new());
                self.idle(around, DownReason::HoldTimerExpired, Some(notification));
            }
            Event::Timer(Timer::Keepalive) => self.send(around, keepalive()),
            Event::Notification(notification) => {
                self.idle(around, DownReason::NotificationReceived(notification), None);
            }
            //= https://www.rfc-editor.org/rfc/rfc4271#section-6.8
            //# Closing the BGP connection (that results from the collision
            //# resolution procedure) is accomplished by sending the NOTIFICATION
            //# message with the Error Code Cease.
            Event::CollisionDump => {
                self.idle(around, DownReason::Collision, Some(Notification::cease(cease::COLLISION_RESOLUTION)));
            }
            // What each state does by itself, and what cannot be: their timers do not run, and the connection is up.
            Event::Start
            | Event::MayOpen
            | Event::ConnectionUp(..)
            | Event::ConnectionFailed
            | Event::Open(_)
            | Event::Keepalive
            | Event::Update
            | Event::RouteRefresh
            | Event::Timer(Timer::ConnectRetry | Timer::DelayOpen | Timer::IdleHold | Timer::SendHold) => {}
        }
    }

    /// What the peer is told when we stop, by whether it would keep the routes over it.
    fn farewell(&self, stop: &Stop) -> Option<Notification> {
        let plain = match stop {
            Stop::Shutdown(text) => Notification::shutdown(cease::ADMINISTRATIVE_SHUTDOWN, text),
            Stop::Deconfigured => Notification::cease(cease::PEER_DECONFIGURED),
            Stop::Quiet => return None,
        };
        let restart = self.negotiated.as_ref().and_then(|negotiated| negotiated.graceful_restart);
        // RFC 8538 §3: with the N bit from both, only a hard reset says that the routes are to go.
        Some(if restart.is_some_and(|restart| restart.notification) { plain.hard_reset() } else { plain })
    }

    fn connect(&mut self, around: &mut Surroundings<'_>) {
        *around.last_connection += 1;
        let id = ConnectionId(*around.last_connection);
        self.link = Some(Link { id, initiator: Initiator::Us, is_up: false, received: Vec::new() });
        self.arm_jittered(around, Timer::ConnectRetry, around.config.timing.connect_retry);
        self.state = State::Connect;
        around.outputs.push_back(Output::Connect(id));
    }

    fn open_if_allowed(&mut self, around: &mut Surroundings<'_>) {
        if self.holds_open_back() && around.may_open && !self.timers.is_running(Timer::DelayOpen) {
            self.send_open(around);
            self.timers.arm(Timer::Hold, around.now + around.config.timing.open_hold);
            self.state = State::OpenSent;
        }
    }

    fn send_open(&mut self, around: &mut Surroundings<'_>) {
        self.timers.stop(Timer::DelayOpen);
        //= https://www.rfc-editor.org/rfc/rfc4724#section-4.1
        //# To re-establish the session with its peer, the Restarting Speaker MUST set
        //# the "Restart State" bit in the Graceful Restart Capability
        let open = around.config.open(around.restarted).encode();
        self.write(around, open);
    }

    /// To OpenConfirm.
    fn confirm(&mut self, around: &mut Surroundings<'_>, negotiated: Arc<Negotiated>) {
        self.negotiated = Some(negotiated);
        self.timers.stop(Timer::Hold);
        self.send(around, keepalive());
        self.restart_hold(around);
        self.state = State::OpenConfirm;
    }

    //= https://www.rfc-editor.org/rfc/rfc4271#section-8.2.2
    //# Each time the local system sends a KEEPALIVE or UPDATE message, it
    //# restarts its KeepaliveTimer, unless the negotiated HoldTime value is
    //# zero.
    pub(crate) fn send(&mut self, around: &mut Surroundings<'_>, message: Vec<u8>) {
        self.write(around, message);
        self.restart_keepalive(around);
    }

    pub(crate) fn restart_keepalive(&mut self, around: &mut Surroundings<'_>) {
        if let Some(interval) = self.negotiated.as_ref().and_then(|negotiated| negotiated.keepalive) {
            // Jitter only takes away, and a second is the least there may be.
            let wait = around.jitter.spread(interval).max(SHORTEST_KEEPALIVE);
            self.timers.arm(Timer::Keepalive, around.now + wait);
        }
    }

    // RFC 9687: restarted by each message sent, which for us is one that the socket took; without a hold time there is none.
    pub(crate) fn restart_send_hold(&mut self, around: &mut Surroundings<'_>) {
        let hold = self.negotiated.as_ref().and_then(|negotiated| negotiated.hold_time);
        if let Some(time) = around.config.timing.send_hold(hold).filter(|_| self.state == State::Established) {
            self.timers.arm(Timer::SendHold, around.now + time);
        }
    }

    fn restart_hold(&mut self, around: &Surroundings<'_>) {
        if let Some(time) = self.negotiated.as_ref().and_then(|negotiated| negotiated.hold_time) {
            self.timers.arm(Timer::Hold, around.now + time);
        }
    }

    fn arm_jittered(&mut self, around: &mut Surroundings<'_>, timer: Timer, base: Duration) {
        let at = around.now + around.jitter.spread(base);
        self.timers.arm(timer, at);
    }

    pub(crate) fn write(&self, around: &mut Surroundings<'_>, bytes: Vec<u8>) {
        if let Some(link) = &self.link {
            around.outputs.push_back(Output::Write(link.id, bytes));
        }
    }

    fn drop_link(&mut self, around: &mut Surroundings<'_>) {
        if let Some(link) = self.link.take() {
            around.outputs.push_back(Output::Close(link.id));
        }
    }

    /// A connection failed before there was a session: on to the next attempt, and the peer may come first.
    fn active(&mut self, around: &mut Surroundings<'_>, reason: DownReason) {
        self.ended = Some(Ended { reason, sent: None, from: self.state });
        self.drop_link(around);
        self.timers.stop_all();
        self.negotiated = None;
        self.state = State::Active;
        if !around.config.passive {
            self.arm_jittered(around, Timer::ConnectRetry, around.config.timing.connect_retry);
        }
    }

    fn idle_unexpected(&mut self, around: &mut Surroundings<'_>, kind: MessageKind, subcode: Option<u8>) {
        //= https://www.rfc-editor.org/rfc/rfc6608#section-4
        //# The Data field is a 1-octet, unsigned integer that indicates the type of
        //# the unexpected message.
        let notification = subcode.map(|subcode| Notification::new(error::FSM, subcode, vec![kind.number()]));
        self.idle(around, DownReason::Unexpected { kind, state: self.state }, notification);
    }

    /// To Idle: the peer is told, the connection closed, the timers stopped, and the time of the next attempt set.
    fn idle(&mut self, around: &mut Surroundings<'_>, reason: DownReason, notification: Option<Notification>) {
        if let Some(notification) = &notification {
            let message = notification.encode(self.limit());
            self.write(around, message);
        }
        self.drop_link(around);
        self.timers.stop_all();
        let is_final = matches!(reason, DownReason::Stopped(_));
        self.ended = Some(Ended { reason, sent: notification, from: self.state });
        self.state = State::Idle;
        self.negotiated = None;
        if !is_final {
            let wait = around.idle_hold;
            self.arm_jittered(around, Timer::IdleHold, wait);
        }
    }
}

#[cfg(test)]
mod table;
