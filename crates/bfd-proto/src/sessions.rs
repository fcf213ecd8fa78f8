//! All sessions of a node: which one a datagram is for, and which one is due next.

mod ports;

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::net::IpAddr;

use ironlb_model::Timestamp;

use self::ports::SourcePorts;
use crate::packet::Packet;
use crate::random::Random;
use crate::{Config, Discriminator, DropReason, Input, Output, Session};

/// Between which addresses a session runs; no two sessions have the same.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Path {
    /// The peer's address.
    pub remote: IpAddr,
    /// Our address, where it was chosen; else any of ours.
    pub local: Option<IpAddr>,
    /// The number of the interface, where one was chosen (a link-local peer needs it); else any.
    pub interface: Option<u32>,
}

/// A datagram that arrived on one of the two ports.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Datagram<'a> {
    /// Which of the two: [`crate::SINGLE_HOP_PORT`] or [`crate::MULTI_HOP_PORT`].
    pub port: u16,
    /// From where.
    pub source: IpAddr,
    /// To which address of ours, if it is known.
    pub destination: Option<IpAddr>,
    /// By which interface, if it is known.
    pub interface: Option<u32>,
    /// With which TTL or hop limit.
    pub ttl: u8,
    /// What UDP carried.
    pub payload: &'a [u8],
}

/// What the sessions want done, or wants known.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Notice {
    /// An output of one session.
    Of(Discriminator, Output),
    /// A datagram was for none.
    Dropped(DropReason),
}

/// Why a session cannot be added.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum AddError {
    /// There is one on this path already.
    #[error("a session to {} exists already", .0.remote)]
    Exists(Path),
}

#[derive(Debug)]
struct Entry {
    session: Session,
    path: Path,
    source_port: u16,
    /// Where it stands in `due`.
    due: Option<Timestamp>,
}

/// The sessions of a node, as one machine.
///
/// A call costs a logarithm of the number of sessions, however many there are: what is due next stands first in an ordered set.
/// See the crate's text for the contract.
#[derive(Debug)]
pub struct Sessions {
    entries: BTreeMap<Discriminator, Entry>,
    /// The same sessions by port and peer; more than one where local addresses or interfaces differ.
    by_peer: BTreeMap<(u16, IpAddr), Vec<Discriminator>>,
    due: BTreeSet<(Timestamp, Discriminator)>,
    ports: SourcePorts,
    random: Random,
    notices: VecDeque<Notice>,
}

impl Sessions {
    /// None yet. `seed` is for the discriminators, source ports, jitter and sequence numbers; draw it anew at each start.
    #[must_use]
    pub fn new(seed: u64) -> Self {
        Self {
            entries: BTreeMap::new(),
            by_peer: BTreeMap::new(),
            due: BTreeSet::new(),
            ports: SourcePorts::default(),
            random: Random::new(seed),
            notices: VecDeque::new(),
        }
    }

    /// Adds a session and gives the number by which it is known from here on.
    ///
    /// # Errors
    /// There is one on this path already; the caller has to tell which of the two peers it means.
    pub fn add(&mut self, now: Timestamp, path: Path, config: Config) -> Result<Discriminator, AddError> {
        let of_peer = self.by_peer.entry((config.hops.port(), path.remote)).or_default();
        if of_peer.iter().filter_map(|id| self.entries.get(id)).any(|entry| entry.path == path) {
            return Err(AddError::Exists(path));
        }
        //= https://www.rfc-editor.org/rfc/rfc5880#section-6.8.1
        //# It MUST be unique across all BFD sessions on this
        //# system, and nonzero.  It SHOULD be set to a random (but still
        //# unique) value to improve security.
        let id = loop {
            match Discriminator::new(self.random.next_u32()) {
                Some(id) if !self.entries.contains_key(&id) => break id,
                _ => {}
            }
        };
        of_peer.push(id);
        let session = Session::new(now, id, config, self.random.next_u64());
        let source_port = self.ports.take(&mut self.random);
        self.entries.insert(id, Entry { session, path, source_port, due: None });
        self.drain(id);
        Ok(id)
    }

    /// Takes a session away without a word to its peer; [`Input::Disable`] before that tells it.
    pub fn remove(&mut self, id: Discriminator) {
        let Some(entry) = self.entries.remove(&id) else { return };
        let key = (entry.session.config().hops.port(), entry.path.remote);
        if let Some(of_peer) = self.by_peer.get_mut(&key) {
            of_peer.retain(|other| *other != id);
            if of_peer.is_empty() {
                self.by_peer.remove(&key);
            }
        }
        if let Some(at) = entry.due {
            self.due.remove(&(at, id));
        }
        self.ports.give_back(entry.source_port);
        self.notices.retain(|notice| !matches!(notice, Notice::Of(of, _) if *of == id));
    }

    /// Tells one session something. A session that does not exist takes nothing. The distance to the peer cannot be configured:
    /// it chooses the port, so a session with another is another session.
    pub fn handle_input(&mut self, now: Timestamp, id: Discriminator, input: Input<'_>) {
        let Some(entry) = self.entries.get_mut(&id) else { return };
        let input = match input {
            Input::Configure(config) if config.hops.port() != entry.session.config().hops.port() => {
                Input::Configure(Config { hops: entry.session.config().hops, ..config })
            }
            input => input,
        };
        entry.session.handle_input(now, input);
        self.drain(id);
    }

    /// Finds the session that a datagram is for and hands it over.
    pub fn handle_datagram(&mut self, now: Timestamp, datagram: &Datagram<'_>) {
        match self.select(datagram) {
            Ok(id) => self.handle_input(now, id, Input::Datagram { payload: datagram.payload, ttl: datagram.ttl }),
            Err(reason) => self.notices.push_back(Notice::Dropped(reason)),
        }
    }

    /// Does what is due in every session. Harmless when nothing is.
    pub fn handle_timeout(&mut self, now: Timestamp) {
        let due: Vec<Discriminator> = self.due.iter().take_while(|(at, _)| *at <= now).map(|(_, id)| *id).collect();
        for id in due {
            if let Some(entry) = self.entries.get_mut(&id) {
                entry.session.handle_timeout(now);
            }
            self.drain(id);
        }
    }

    /// The only way out; asked until `None`.
    pub fn poll_output(&mut self) -> Option<Notice> {
        self.notices.pop_front()
    }

    /// When [`Sessions::handle_timeout`] is needed next.
    #[must_use]
    pub fn poll_timeout(&self) -> Option<Timestamp> {
        self.due.first().map(|(at, _)| *at)
    }

    /// A session, to be looked at.
    #[must_use]
    pub fn get(&self, id: Discriminator) -> Option<&Session> {
        self.entries.get(&id).map(|entry| &entry.session)
    }

    /// All of them, in the order of their numbers.
    pub fn iter(&self) -> impl Iterator<Item = (&Path, &Session)> {
        self.entries.values().map(|entry| (&entry.path, &entry.session))
    }

    /// Where a session leads.
    #[must_use]
    pub fn path(&self, id: Discriminator) -> Option<&Path> {
        self.entries.get(&id).map(|entry| &entry.path)
    }

    //= https://www.rfc-editor.org/rfc/rfc5881#section-4
    //# The same UDP source port number MUST be used for all BFD Control
    //# packets associated with a particular session.
    /// The port that a session's packets are sent from; no other session has it, as long as there are enough.
    #[must_use]
    pub fn source_port(&self, id: Discriminator) -> Option<u16> {
        self.entries.get(&id).map(|entry| entry.source_port)
    }

    /// Gives a session another source port and names it: somebody else on this machine has the one it had. Before its first packet
    /// is sent, or the peer sees two.
    pub fn change_source_port(&mut self, id: Discriminator) -> Option<u16> {
        let entry = self.entries.get_mut(&id)?;
        // Not given back: it is not ours to give.
        entry.source_port = self.ports.take(&mut self.random);
        Some(entry.source_port)
    }

    /// The session that a datagram is for.
    fn select(&self, datagram: &Datagram<'_>) -> Result<Discriminator, DropReason> {
        let packet = Packet::decode(datagram.payload)?;
        //= https://www.rfc-editor.org/rfc/rfc5880#section-6.8.6
        //# If the Your Discriminator field is nonzero, it MUST be used to
        //# select the session with which this BFD packet is associated.  If
        //# no session is found, the packet MUST be discarded.
        if let Some(id) = packet.your_discriminator {
            let entry = self.entries.get(&id).ok_or(DropReason::UnknownDiscriminator)?;
            // By the other port it would pass for what it is not.
            let is_its_port = entry.session.config().hops.port() == datagram.port;
            return if is_its_port { Ok(id) } else { Err(DropReason::WrongPort) };
        }
        Session::has_reason(&packet)?;
        //= https://www.rfc-editor.org/rfc/rfc5880#section-6.8.6
        //# If the Your Discriminator field is zero, the session MUST be
        //# selected based on some combination of other fields, possibly
        //# including source addressing information, the My Discriminator
        //# field, and the interface over which the packet was received.
        let of_peer = self.by_peer.get(&(datagram.port, datagram.source)).ok_or(DropReason::NoSession)?;
        let fits = |id: &&Discriminator| self.entries.get(id).is_some_and(|entry| entry.path.fits(datagram));
        // The one that was told most about itself: one with any interface leaves a packet to one with this interface.
        let told = |id: &&Discriminator| self.entries.get(id).map(|entry| entry.path.is_told());
        of_peer.iter().filter(fits).max_by_key(told).copied().ok_or(DropReason::NoSession)
    }

    /// Takes a session's outputs, and notes when it is due next.
    fn drain(&mut self, id: Discriminator) {
        let Some(entry) = self.entries.get_mut(&id) else { return };
        while let Some(output) = entry.session.poll_output() {
            self.notices.push_back(Notice::Of(id, output));
        }
        let due = entry.session.poll_timeout();
        if due != entry.due {
            if let Some(at) = entry.due {
                self.due.remove(&(at, id));
            }
            if let Some(at) = due {
                self.due.insert((at, id));
            }
            entry.due = due;
        }
    }
}

impl Path {
    fn fits(&self, datagram: &Datagram<'_>) -> bool {
        let is_local = self.local.is_none_or(|local| datagram.destination.is_none_or(|to| to == local));
        let is_interface = self.interface.is_none_or(|ours| datagram.interface.is_none_or(|by| by == ours));
        is_local && is_interface
    }

    fn is_told(&self) -> (bool, bool) {
        (self.interface.is_some(), self.local.is_some())
    }
}

#[cfg(test)]
mod tests;
