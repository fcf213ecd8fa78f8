//! Who leads: the decision part of an election by one Lease, as a machine without clock and network.
//!
//! The rule is that of client-go. A candidate never compares another machine's clock with its own: it notes, on its own clock, when it
//! last saw the Lease *change*, and takes it over when that is longer ago than the Lease's duration. Every write names the version it was
//! decided on, so of two candidates one is refused. A leader counts its time from the moment it *began* the last renewal that was
//! acknowledged, and stops earlier than anybody else can begin:
//!
//! ```text
//!   leader   |-- renewal begun --------- renew_deadline --------->| deposed, without being told
//!            |                                                    |-- request_timeout -->| its last request has ended
//!   others           |-- renewal seen ----------------- lease_duration ------------------------->| may take over
//! ```
//!
//! A Lease that is not there is created, and whoever created it waits before it leads: somebody may have deleted it under a leader, who
//! finds out at its next renewal.
//!
//! Invariant, searched exhaustively in the tests: when an epoch begins, nobody else's is valid, and no request that was begun under
//! another one is still waited for.

use std::fmt;
use std::time::Duration;

use ironlb_model::{ResourceVersion, Timestamp};

/// The lengths of time an election goes by.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Timing {
    /// How long after its last change a Lease still belongs to its holder.
    pub lease_duration: Duration,
    /// How long after the begin of its last acknowledged renewal a leader leads.
    pub renew_deadline: Duration,
    /// How long between two attempts.
    pub retry_period: Duration,
    /// The longest a request may take, those of a leader's work included.
    pub request_timeout: Duration,
}

impl Default for Timing {
    /// client-go's, with a request time-out that fits between: 15 s, 10 s, 2 s, 4 s.
    fn default() -> Self {
        Self {
            lease_duration: Duration::from_secs(15),
            renew_deadline: Duration::from_secs(10),
            retry_period: Duration::from_secs(2),
            request_timeout: crate::client::REQUEST_TIMEOUT,
        }
    }
}

/// Lengths of time by which two could lead at once.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum TimingError {
    /// A deposed leader's last request could still be under way when the next one begins.
    #[error(
        "renew deadline {renew_deadline:?} and request time-out {request_timeout:?} together must be below the lease duration {lease_duration:?}"
    )]
    Overlap {
        /// As given.
        renew_deadline: Duration,
        /// As given.
        request_timeout: Duration,
        /// As given.
        lease_duration: Duration,
    },
    /// No second attempt fits before the deadline.
    #[error("retry period {retry_period:?} must be below half the renew deadline {renew_deadline:?}, and not zero")]
    Retry {
        /// As given.
        retry_period: Duration,
        /// As given.
        renew_deadline: Duration,
    },
}

impl Timing {
    /// Checks that no two can lead at once.
    ///
    /// # Errors
    /// [`TimingError`], for whoever chose the lengths.
    pub fn check(self) -> Result<Self, TimingError> {
        let Self { lease_duration, renew_deadline, retry_period, request_timeout } = self;
        if renew_deadline + request_timeout >= lease_duration {
            return Err(TimingError::Overlap { renew_deadline, request_timeout, lease_duration });
        }
        if retry_period.is_zero() || retry_period * 2 >= renew_deadline {
            return Err(TimingError::Retry { retry_period, renew_deadline });
        }
        Ok(self)
    }
}

/// The right to act as leader, for a time.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Epoch {
    /// `leaseTransitions`: grows with every change of hands.
    pub token: i32,
    /// From here on it is over, told or not.
    pub valid_until: Timestamp,
}

impl Epoch {
    /// Is it still valid? Asked before every write: a process that was stopped finds itself deposed.
    #[must_use]
    pub fn is_valid(self, now: Timestamp) -> bool {
        now < self.valid_until
    }
}

/// A Lease as it was read.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Record {
    /// `holderIdentity`; `None` when it is empty: given back.
    pub holder: Option<String>,
    /// `leaseDurationSeconds`.
    pub duration: Duration,
    /// `renewTime` in microseconds on the holder's clock: only ever compared with what it was.
    pub renewed: Option<i64>,
    /// `leaseTransitions`.
    pub transitions: i32,
}

/// What is to be written into the Lease; `renewTime` becomes the moment of the request.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Claim {
    /// The version it replaces; `None`: the Lease is created.
    pub expected: Option<ResourceVersion>,
    /// `holderIdentity`; `None` gives the Lease back.
    pub holder: Option<String>,
    /// `leaseTransitions`.
    pub transitions: i32,
    /// It changes hands: `acquireTime` becomes the moment of the request.
    pub is_taken: bool,
}

/// What the machine wants done.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Next {
    /// Read the Lease, and tell by [`Election::on_read`].
    Read,
    /// Write it, and tell by [`Election::on_written`].
    Write(Claim),
    /// Nothing before this moment.
    Wait(Timestamp),
    /// Nothing any more: the Lease is given back, or was never ours.
    Done,
}

/// Why a request to the Lease gave nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Failure {
    /// Somebody else wrote meanwhile, or the Lease is gone: nothing was written.
    Conflict,
    /// No answer, or one that does not tell: it may have been written, or be written later.
    Unknown,
}

/// One candidate.
///
/// The contract: [`Election::next`] says what to do; while a request is under way it is not asked. Each request is answered by exactly
/// one `on_` call. `now` never goes backwards.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Election {
    identity: String,
    lease_duration: Duration,
    renew_deadline: Duration,
    retry_period: Duration,
    /// The Lease as last read or written, and when that was first seen.
    seen: Option<(Record, Timestamp)>,
    version: Option<ResourceVersion>,
    /// `seen` and `version` are how the Lease stands, as far as anybody can know without reading it.
    is_known: bool,
    epoch: Option<(i32, Timestamp)>,
    /// Nobody leads before this moment by a Lease that it created.
    leads_from: Timestamp,
    /// How long whoever created the Lease waits: for a leader under whom it was deleted to try its next renewal and have the answer.
    creation_wait: Duration,
    /// When the request under way was begun.
    begun: Timestamp,
    next_at: Timestamp,
    stopping: bool,
    done: bool,
}

impl Election {
    /// A candidate by that name, which no other life of any candidate may have.
    #[must_use]
    pub fn new(identity: String, timing: Timing) -> Self {
        Self {
            identity,
            lease_duration: timing.lease_duration,
            renew_deadline: timing.renew_deadline,
            retry_period: timing.retry_period,
            seen: None,
            version: None,
            is_known: false,
            epoch: None,
            leads_from: Timestamp::ZERO,
            creation_wait: timing.retry_period + timing.request_timeout,
            begun: Timestamp::ZERO,
            next_at: Timestamp::ZERO,
            stopping: false,
            done: false,
        }
    }

    /// The right to lead, if there is one now.
    #[must_use]
    pub fn epoch(&self, now: Timestamp) -> Option<Epoch> {
        let (token, valid_until) = self.epoch?;
        Some(Epoch { token, valid_until }).filter(|epoch| self.leads_from <= now && epoch.is_valid(now))
    }

    /// Who holds the Lease, as last seen.
    #[must_use]
    pub fn holder(&self) -> Option<&str> {
        self.seen.as_ref()?.0.holder.as_deref()
    }

    /// The Lease may have changed: read it now rather than at the next turn. A hint, which may come for nothing or not at all; at most
    /// ten a period are taken.
    pub fn hint(&mut self, now: Timestamp) {
        let is_ours = self.holder() == Some(self.identity.as_str());
        if !is_ours && !self.stopping {
            self.next_at = self.next_at.min(now.max(self.begun + self.retry_period / 10));
        }
    }

    /// What to do now.
    pub fn next(&mut self, now: Timestamp) -> Next {
        if self.done {
            return Next::Done;
        }
        if now < self.next_at {
            // Whoever asks has something to tell at the moment at which leading begins.
            let begins = self.epoch.map(|_| self.leads_from).filter(|from| now < *from);
            return Next::Wait(begins.map_or(self.next_at, |from| from.min(self.next_at)));
        }
        self.begun = now;
        if !self.is_known {
            return Next::Read;
        }
        let is_ours = self.holder() == Some(self.identity.as_str());
        if self.stopping {
            if is_ours {
                return Next::Write(self.claim(None));
            }
            self.done = true;
            return Next::Done;
        }
        if is_ours || self.is_free(now) {
            if self.seen.is_none() {
                // Whatever becomes of the request: it may be carried out without an answer.
                self.leads_from = now + self.creation_wait;
            }
            return Next::Write(self.claim(Some(self.identity.clone())));
        }
        // Somebody else's, and not yet expired: look again, at the latest when it expires.
        self.is_known = false;
        self.next_at = (now + self.retry_period).min(self.expiry().unwrap_or(now + self.retry_period).max(now));
        if self.next_at <= now { Next::Read } else { Next::Wait(self.next_at) }
    }

    /// The Lease was read; `None` when there is none.
    pub fn on_read(&mut self, now: Timestamp, found: Option<(Record, ResourceVersion)>) {
        self.is_known = true;
        let (record, version) = found.unzip();
        self.version = version;
        if record.as_ref().and_then(|record| record.holder.as_deref()) != Some(self.identity.as_str()) {
            // Somebody else has it, or nobody: whatever our time, this is over.
            self.epoch = None;
        }
        self.seen = match (record, self.seen.take()) {
            (Some(record), Some((before, since))) if record == before => Some((before, since)),
            // Counting from the answer, not from the question, can only make us wait longer.
            (Some(record), _) => Some((record, now)),
            // Somebody deleted it under a holder, who leads on until it looks: its time runs as if nothing had happened.
            (None, Some((before, since))) if before.holder.as_deref().is_some_and(|holder| holder != self.identity) => {
                Some((before, since))
            }
            (None, _) => None,
        };
    }

    /// The Lease could not be read.
    pub fn on_read_failed(&mut self, now: Timestamp) {
        self.next_at = now + self.retry_period;
    }

    /// What [`Next::Write`] asked for was written, with this `renewTime`.
    pub fn on_written(&mut self, now: Timestamp, claim: &Claim, renewed: i64, version: ResourceVersion) {
        let record = Record {
            holder: claim.holder.clone(),
            duration: self.lease_duration,
            renewed: Some(renewed),
            transitions: claim.transitions,
        };
        self.seen = Some((record, now));
        self.version = Some(version);
        self.is_known = true;
        if self.stopping {
            // Written before the stop was heard of, it is given back next; given back already, that was all.
            self.done = claim.holder.is_none();
            return;
        }
        // From the begin of the request: whoever sees this write sees it later.
        self.epoch = Some((claim.transitions, self.begun + self.renew_deadline));
        self.next_at = self.begun + self.retry_period;
    }

    /// What [`Next::Write`] asked for was not written, or nobody knows.
    pub fn on_write_failed(&mut self, now: Timestamp, failure: Failure) {
        self.is_known = false;
        self.next_at = match failure {
            // Who wrote is worth knowing at once.
            Failure::Conflict => now,
            Failure::Unknown => now + self.retry_period,
        };
    }

    /// Stop being a candidate: give the Lease back if it is ours. Whoever calls this leads no more.
    pub fn stop(&mut self) {
        self.stopping = true;
        self.epoch = None;
        self.next_at = Timestamp::ZERO;
    }

    /// May the Lease be taken?
    fn is_free(&self, now: Timestamp) -> bool {
        match &self.seen {
            None => true,
            Some((record, _)) if record.holder.is_none() => true,
            Some(_) => self.expiry().is_some_and(|expiry| expiry <= now),
        }
    }

    /// When the Lease as seen expires. The longer of its own duration and ours counts: another version may go by another.
    fn expiry(&self) -> Option<Timestamp> {
        let (record, since) = self.seen.as_ref()?;
        Some(*since + record.duration.max(self.lease_duration))
    }

    fn claim(&self, holder: Option<String>) -> Claim {
        let before = self.seen.as_ref().map(|(record, _)| record);
        let stays = before.and_then(|record| record.holder.as_deref()) == Some(self.identity.as_str());
        let transitions = match before {
            None => 0,
            Some(record) if stays => record.transitions,
            Some(record) => record.transitions.saturating_add(1),
        };
        Claim { expected: self.version, is_taken: holder.is_some() && !stays, holder, transitions }
    }
}

impl fmt::Display for Epoch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} until {}", self.token, self.valid_until)
    }
}

#[cfg(test)]
mod search;
#[cfg(test)]
mod tests;
