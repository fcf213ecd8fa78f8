//! What a driver knows of one peer, and what must hold whenever the machine has spoken to it. The property tests and the fuzz target share
//! this file, each with its own way to make inputs.

use std::collections::BTreeSet;
use std::fmt::Display;
use std::time::Duration;

use super::{ConnectionId, Input, Output, Peer, State, Timestamp, split};

/// A driver that believes nothing without looking.
pub(super) struct Driver {
    pub(super) peer: Peer,
    pub(super) now: Timestamp,
    pub(super) open: Vec<ConnectionId>,
    closed: BTreeSet<ConnectionId>,
    state: State,
    is_up: bool,
    /// The peer was told to begin, and not to end since.
    is_wanted: bool,
}

impl Driver {
    /// Of a peer that was told nothing yet.
    pub(super) fn new(peer: Peer) -> Self {
        let now = Timestamp::from_millis(1);
        let (open, closed) = (Vec::new(), BTreeSet::new());
        Self { peer, now, open, closed, state: State::Idle, is_up: false, is_wanted: false }
    }

    /// One of the open connections, or one that nobody has.
    pub(super) fn connection(&self, which: usize) -> ConnectionId {
        self.open.get(which).copied().unwrap_or(ConnectionId(999))
    }

    /// Hands an input in.
    pub(super) fn put(&mut self, input: Input) -> Result<(), String> {
        match &input {
            Input::Accepted(id) => self.open.push(*id),
            Input::Closed(id) => self.open.retain(|open| open != id),
            Input::Start => self.is_wanted = true,
            Input::Stop(_) => self.is_wanted = false,
            _ => {}
        }
        self.peer.handle_input(self.now, input);
        self.drain()
    }

    /// The router connects.
    pub(super) fn accept(&mut self) -> Result<(), String> {
        let id = self.peer.next_connection();
        self.put(Input::Accepted(id))
    }

    /// Lets time pass, and wakes the machine after it.
    pub(super) fn wait(&mut self, time: Duration) -> Result<(), String> {
        self.now = self.now + time;
        self.peer.handle_timeout(self.now);
        self.drain()
    }

    /// Fetches all UPDATEs there are.
    pub(super) fn fetch(&mut self) -> Result<(), String> {
        while let Some((id, bytes)) = self.peer.poll_update(self.now) {
            holds(self.open.contains(&id) && self.is_up, "an UPDATE without a session")?;
            holds(bytes.len() >= 19, "an UPDATE shorter than a header")?;
        }
        self.drain()
    }

    fn drain(&mut self) -> Result<(), String> {
        while let Some(output) = self.peer.poll_output() {
            match output {
                Output::Connect(id) => {
                    holds(!self.closed.contains(&id), "connects a connection that is closed")?;
                    self.open.push(id);
                }
                Output::Write(id, bytes) => {
                    holds(self.open.contains(&id), "writes to a connection that is closed")?;
                    holds(split(&bytes, u16::MAX).is_ok_and(|frame| frame.is_some()), "writes what is no message")?;
                }
                Output::Close(id) => {
                    // One that the driver has reported as gone may be closed once more.
                    self.open.retain(|open| *open != id);
                    holds(self.closed.insert(id), "closed twice")?;
                }
                Output::State { from, to } => {
                    holds(from == self.state && to != from, format_args!("{from:?} to {to:?} in {:?}", self.state))?;
                    self.state = to;
                }
                Output::Up(_) => {
                    holds(!self.is_up && self.state == State::Established, "up, and not Established or up before")?;
                    self.is_up = true;
                }
                Output::Down(down) => {
                    holds(self.is_up || !down.was_up, "down, and was not up")?;
                    self.is_up &= !down.was_up;
                }
                Output::Notice(_) => {}
            }
        }
        holds(self.open.len() <= 2, format_args!("more than two connections: {:?}", self.open))?;
        let state = self.peer.state();
        holds(self.state == state, format_args!("{state:?}, and {:?} was told", self.state))?;
        holds(self.is_up == (state == State::Established), format_args!("{state:?}, and up: {}", self.is_up))?;
        holds(self.is_up == self.peer.negotiated().is_some(), "what is negotiated stands for as long as the session")?;
        // A peer that is wanted always has something under way: it is never stuck.
        let has_way = self.peer.poll_timeout().is_some()
            || state != State::Idle && (!self.open.is_empty() || self.peer.config().passive);
        holds(!self.is_wanted || has_way, format_args!("stuck in {state:?}"))
    }
}

/// Is it so? If not, what is wrong.
pub(super) fn holds(is_so: bool, wrong: impl Display) -> Result<(), String> {
    if is_so { Ok(()) } else { Err(wrong.to_string()) }
}
