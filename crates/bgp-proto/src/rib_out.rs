//! Adj-RIB-Out: what the peer knows, what it is to know, and the messages from one to the other.
//!
//! There is no queue of changes. Each route has two values, what was sent last and what is wanted; a route in which they differ
//! is pending. A peer that reads slowly therefore costs memory by the number of routes, however often they change, and never
//! hears of a value that was replaced while it was not looking.

use std::collections::{BTreeMap, BTreeSet};
use std::num::NonZeroU32;
use std::sync::Arc;

use crate::codec::attribute::Spelled;
use crate::codec::{RefreshKind, RouteRefresh, pack};
use crate::export::{Export, spell};
use crate::{Attributes, Family, LinkBandwidth, Negotiated, OwnAddresses, PathId, RouteKey, Routes, Withheld};

/// One way to spell attributes, by number.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct SetId(NonZeroU32);

/// What the peer holds of a route.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
enum Held {
    /// Nothing.
    #[default]
    Nothing,
    /// What this set says.
    Set(SetId),
    /// Something, or nothing: it asked for everything again.
    Unknown,
}

impl Held {
    fn is(self, wanted: Option<SetId>) -> bool {
        match (self, wanted) {
            (Self::Nothing, None) => true,
            (Self::Set(held), Some(wanted)) => held == wanted,
            (Self::Nothing | Self::Set(_) | Self::Unknown, _) => false,
        }
    }
}

#[derive(Debug, Clone, Copy, Default)]
struct Entry {
    held: Held,
    wanted: Option<SetId>,
}

/// Where a second sending of a family stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Refresh {
    /// Asked for; the begin mark is not sent.
    Asked,
    /// Between the marks; `again` says that it was asked for once more.
    Running { again: bool },
}

/// What one family still owes beyond its routes.
#[derive(Debug, Clone, Copy, Default)]
struct Marks {
    owes_end_of_rib: bool,
    refresh: Option<Refresh>,
}

/// What a message from [`RibOut::next_message`] was.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Sent {
    /// So many routes announced.
    Announced(usize),
    /// So many withdrawn.
    Withdrawn(usize),
    /// The End-of-RIB of this family.
    EndOfRib(Family),
    /// A mark before or after a second sending.
    Mark(Family),
}

/// What decides about spelling beside what two OPENs agree on; it may change while a session is up.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Spelling {
    /// What `NextHop::Own` stands for.
    pub own: OwnAddresses,
    /// How the weight of a path is spelled.
    pub link_bandwidth: LinkBandwidth,
    /// All routes are about to go (RFC 8326).
    pub graceful_shutdown: bool,
}

#[derive(Debug, Clone)]
struct Session {
    negotiated: Arc<Negotiated>,
    spelling: Spelling,
}

impl Session {
    fn export(&self) -> Export<'_> {
        Export { session: &self.negotiated, spelling: self.spelling }
    }

    fn has_add_path(&self, family: Family) -> bool {
        self.negotiated.families.get(&family).is_some_and(|family| family.add_path.is_some())
    }
}

/// The spellings in use. Sets that are spelled alike are one, so a difference that the peer would not see is none.
#[derive(Debug, Clone, Default)]
struct Sets {
    by_spelling: BTreeMap<(Family, Arc<Spelled>), SetId>,
    spellings: BTreeMap<SetId, (Family, Arc<Spelled>)>,
    last: u32,
}

impl Sets {
    fn intern(&mut self, family: Family, spelled: Spelled) -> SetId {
        let key = (family, Arc::new(spelled));
        if let Some(known) = self.by_spelling.get(&key) {
            return *known;
        }
        // Four thousand million spellings in one session: it would take months of a new one every millisecond.
        self.last = self.last.saturating_add(1);
        let id = SetId(NonZeroU32::new(self.last).unwrap_or(NonZeroU32::MAX));
        self.by_spelling.insert(key.clone(), id);
        self.spellings.insert(id, key);
        id
    }

    fn keep(&mut self, used: &BTreeSet<SetId>) {
        self.by_spelling.retain(|_, id| used.contains(id));
        self.spellings.retain(|id, _| used.contains(id));
    }
}

/// Adj-RIB-Out of one peer.
#[derive(Debug, Clone, Default)]
pub struct RibOut {
    desired: Arc<Routes>,
    session: Option<Session>,
    entries: BTreeMap<RouteKey, Entry>,
    sets: Sets,
    announce: BTreeMap<SetId, BTreeSet<RouteKey>>,
    withdraw: BTreeSet<RouteKey>,
    /// Paths whose prefix is about to get another one: they go after that has come, so that the prefix is never without a path.
    replaced: BTreeSet<RouteKey>,
    marks: BTreeMap<Family, Marks>,
    withheld: BTreeMap<Withheld, usize>,
}

impl RibOut {
    /// An empty one, without a session.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// What the peer is to know from now on.
    pub fn set_desired(&mut self, desired: Arc<Routes>) {
        if !Arc::ptr_eq(&self.desired, &desired) {
            self.desired = desired;
            self.compare();
        }
    }

    /// A session came up: the peer knows nothing, and is owed an End-of-RIB for each family.
    pub fn start(&mut self, negotiated: Arc<Negotiated>, spelling: Spelling) {
        self.stop();
        let marks = Marks { owes_end_of_rib: true, refresh: None };
        self.marks = negotiated.families.keys().map(|family| (*family, marks)).collect();
        self.session = Some(Session { negotiated, spelling });
        self.compare();
    }

    /// How routes are spelled has changed. Without a session nothing is to be done.
    pub fn respell(&mut self, spelling: Spelling) {
        if let Some(session) = self.session.as_mut().filter(|session| session.spelling != spelling) {
            session.spelling = spelling;
            self.compare();
        }
    }

    /// The session went down: what the peer knew is void.
    pub fn stop(&mut self) {
        let desired = std::mem::take(&mut self.desired);
        *self = Self { desired, ..Self::default() };
    }

    /// The peer asked for all routes of a family again. False if the session does not carry that family.
    pub fn refresh(&mut self, family: Family) -> bool {
        let enhanced = self.session.as_ref().is_some_and(|session| session.negotiated.enhanced_route_refresh);
        let Some(marks) = self.marks.get_mut(&family) else { return false };
        match marks.refresh {
            _ if !enhanced => self.forget(family),
            None => marks.refresh = Some(Refresh::Asked),
            Some(Refresh::Asked) => {}
            Some(Refresh::Running { .. }) => marks.refresh = Some(Refresh::Running { again: true }),
        }
        true
    }

    /// The next message of at most the session's length; `None` when the peer knows everything, or there is no session.
    ///
    /// It is asked for when the socket can take more, and not before: what is not asked for can still change.
    pub fn next_message(&mut self) -> Option<(Vec<u8>, Sent)> {
        let limit = self.session.as_ref()?.negotiated.max_message_len;
        if let Some(family) = self.refresh_to_begin() {
            return Some((mark(family, RefreshKind::Begin), Sent::Mark(family)));
        }
        let routes = self.next_withdrawal(limit).or_else(|| self.next_announcement(limit));
        routes.or_else(|| self.next_end())
    }

    /// Is nothing left to be said?
    #[must_use]
    pub fn is_drained(&self) -> bool {
        let owes = |marks: &Marks| marks.owes_end_of_rib || marks.refresh.is_some();
        self.pending() == 0 && !self.marks.values().any(owes)
    }

    /// How many routes differ from what the peer knows.
    #[must_use]
    pub fn pending(&self) -> usize {
        self.withdraw.len() + self.replaced.len() + self.announce.values().map(BTreeSet::len).sum::<usize>()
    }

    /// How many prefixes of a family were advertised to the peer and not withdrawn.
    #[must_use]
    pub fn advertised(&self, family: Family) -> usize {
        let known = self.entries.iter().filter(|(key, entry)| key.family() == family && entry.held != Held::Nothing);
        let mut prefixes: Vec<_> = known.map(|(key, _)| key.prefix).collect();
        prefixes.dedup();
        prefixes.len()
    }

    /// How many routes of the desired ones this session cannot say, by reason.
    #[must_use]
    pub fn withheld(&self) -> &BTreeMap<Withheld, usize> {
        &self.withheld
    }

    /// Finds what is pending, from what is desired and what was sent.
    fn compare(&mut self) {
        let Some(session) = self.session.clone() else { return };
        for entry in self.entries.values_mut() {
            entry.wanted = None;
        }
        self.withheld.clear();
        let desired = Arc::clone(&self.desired);
        let mut ids: BTreeMap<(Family, *const Attributes), Result<SetId, Withheld>> = BTreeMap::new();
        let mut sent_paths = (None, 0_u8);
        for (key, attributes) in desired.iter() {
            let family = key.family();
            let Some(spoken) = session.negotiated.families.get(&family) else {
                *self.withheld.entry(Withheld::Family).or_default() += 1;
                continue;
            };
            let prefix = key.prefix.trunc();
            sent_paths = if sent_paths.0 == Some(prefix) { sent_paths } else { (Some(prefix), 0) };
            // The lowest paths of a prefix go out, so many as the session carries.
            if sent_paths.1 >= spoken.add_path.map_or(1, |most| most.get()) {
                continue;
            }
            let by_pointer = (family, Arc::as_ptr(attributes));
            let id = *ids.entry(by_pointer).or_insert_with(|| {
                let spelled = spell(attributes, family, session.export())?;
                let one = std::iter::once(RouteKey { prefix: longest(family), path: PathId::OWN });
                let limit = session.negotiated.max_message_len;
                //= https://www.rfc-editor.org/rfc/rfc4271#section-9.2
                //# the BGP speaker MUST not advertise the route to its peers
                let fits = pack::announce(family, &spelled, one, spoken.add_path.is_some(), limit);
                fits.map(|_| self.sets.intern(family, spelled)).ok_or(Withheld::TooLong)
            });
            match id {
                Ok(id) => {
                    sent_paths.1 += 1;
                    let path = if spoken.add_path.is_some() { key.path } else { PathId::OWN };
                    self.entries.entry(RouteKey { prefix, path }).or_default().wanted = Some(id);
                }
                Err(reason) => *self.withheld.entry(reason).or_default() += 1,
            }
        }
        self.entries.retain(|_, entry| entry.wanted.is_some() || entry.held != Held::Nothing);
        self.collect_pending();
    }

    fn collect_pending(&mut self) {
        self.announce.clear();
        self.withdraw.clear();
        self.replaced.clear();
        let mut used = BTreeSet::new();
        for (key, entry) in &self.entries {
            used.extend(entry.wanted);
            if let Held::Set(held) = entry.held {
                used.insert(held);
            }
            match entry.wanted {
                wanted if entry.held.is(wanted) => {}
                Some(wanted) => {
                    self.announce.entry(wanted).or_default().insert(*key);
                }
                None if self.has_coming_sibling(*key) => {
                    self.replaced.insert(*key);
                }
                //= https://www.rfc-editor.org/rfc/rfc4271#section-9.1.3
                //# the previously advertised route in that Adj-RIB-Out MUST be withdrawn from
                //# service by means of an UPDATE message
                None => {
                    self.withdraw.insert(*key);
                }
            }
        }
        self.sets.keep(&used);
    }

    /// From here on it is not known what the peer holds of a family.
    fn forget(&mut self, family: Family) {
        for (_, entry) in self.entries.iter_mut().filter(|(key, _)| key.family() == family) {
            if entry.held != Held::Nothing {
                entry.held = Held::Unknown;
            }
        }
        self.collect_pending();
    }

    //= https://www.rfc-editor.org/rfc/rfc7313#section-4
    //# it MUST NOT send a BoRR for an <AFI, SAFI> to a neighbor before it sends
    //# the EoR for the <AFI, SAFI> to the neighbor.
    fn refresh_to_begin(&mut self) -> Option<Family> {
        let asked = |marks: &Marks| marks.refresh == Some(Refresh::Asked) && !marks.owes_end_of_rib;
        let (family, marks) = self.marks.iter_mut().find(|(_, marks)| asked(marks))?;
        //= https://www.rfc-editor.org/rfc/rfc7313#section-4
        //# the speaker MUST send a BoRR message.
        marks.refresh = Some(Refresh::Running { again: false });
        let family = *family;
        self.forget(family);
        Some(family)
    }

    fn next_withdrawal(&mut self, limit: u16) -> Option<(Vec<u8>, Sent)> {
        let session = self.session.as_ref()?;
        let from = match self.withdraw.is_empty() && self.announce.is_empty() {
            true => &mut self.replaced,
            false => &mut self.withdraw,
        };
        let family = from.first()?.family();
        let add_path = session.has_add_path(family);
        let keys = from.iter().copied().take_while(|key| key.family() == family);
        let (message, taken) = pack::withdraw(family, keys, add_path, limit)?;
        for _ in 0..taken {
            if let Some(key) = from.pop_first() {
                self.entries.remove(&key);
            }
        }
        Some((message, Sent::Withdrawn(taken)))
    }

    /// Is another path of this prefix about to be announced that the peer does not hold yet?
    fn has_coming_sibling(&self, key: RouteKey) -> bool {
        let paths = RouteKey { path: PathId(0), ..key }..=RouteKey { path: PathId(u32::MAX), ..key };
        self.entries.range(paths).any(|(_, entry)| entry.wanted.is_some() && entry.held == Held::Nothing)
    }

    fn next_announcement(&mut self, limit: u16) -> Option<(Vec<u8>, Sent)> {
        let session = self.session.as_ref()?;
        let mut pending = self.announce.first_entry()?;
        let id = *pending.key();
        let (family, spelled) = self.sets.spellings.get(&id)?;
        let add_path = session.has_add_path(*family);
        let (message, taken) = pack::announce(*family, spelled, pending.get().iter().copied(), add_path, limit)?;
        for _ in 0..taken {
            if let Some(key) = pending.get_mut().pop_first() {
                self.entries.entry(key).or_default().held = Held::Set(id);
            }
        }
        if pending.get().is_empty() {
            pending.remove();
        }
        Some((message, Sent::Announced(taken)))
    }

    /// Everything is said: now the marks that say so.
    fn next_end(&mut self) -> Option<(Vec<u8>, Sent)> {
        let (family, marks) =
            self.marks.iter_mut().find(|(_, marks)| marks.owes_end_of_rib || marks.refresh.is_some())?;
        if marks.owes_end_of_rib {
            //= https://www.rfc-editor.org/rfc/rfc4724#section-4.1
            //# Once the initial update is complete for an address family (including the
            //# case that there is no routing update to send), the End-of-RIB marker MUST be
            //# sent.
            marks.owes_end_of_rib = false;
            return Some((pack::end_of_rib(*family), Sent::EndOfRib(*family)));
        }
        let again = marks.refresh == Some(Refresh::Running { again: true });
        marks.refresh = again.then_some(Refresh::Asked);
        //= https://www.rfc-editor.org/rfc/rfc7313#section-4
        //# it MUST send an EoRR message.
        Some((mark(*family, RefreshKind::End), Sent::Mark(*family)))
    }
}

fn mark(family: Family, kind: RefreshKind) -> Vec<u8> {
    let (afi, safi) = family.numbers();
    RouteRefresh { afi, safi, kind }.encode()
}

/// A prefix that takes the most room on the wire.
fn longest(family: Family) -> ironlb_model::Prefix {
    match family {
        Family::Ipv4Unicast => std::net::IpAddr::from(std::net::Ipv4Addr::UNSPECIFIED).into(),
        Family::Ipv6Unicast => std::net::IpAddr::from(std::net::Ipv6Addr::UNSPECIFIED).into(),
    }
}

#[cfg(test)]
mod model_peer;
#[cfg(test)]
mod properties;
