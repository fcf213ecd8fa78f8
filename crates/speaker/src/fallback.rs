//! The snapshot that is kept while the API server answers, and gone on from by the next speaker of this node while it does not.
//!
//! It is written off the loop, where something changed and at most every few seconds, into the state directory.

use std::collections::BTreeSet;
use std::io;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use ironlb_announce::{Footing, footing};
use ironlb_model::{Settings, Snapshot, Timestamp, WallTime};
use ironlb_telemetry::fields;
use tracing::{info, warn};

use crate::kept_snapshot::KeptSnapshot;
use crate::state_directory::{SNAPSHOT, StateDirectory};

/// At most so often it is written. Chosen: 10,000 Services are about 4 MB, and what changed in the last seconds before a restart is
/// seldom what a restart needs.
const INTERVAL: Duration = Duration::from_secs(5);

/// What the Speaker object tells of having gone on from a kept snapshot.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Staleness {
    /// Since when it did.
    pub(crate) since: WallTime,
    /// Until when; `None`: it still does.
    pub(crate) until: Option<WallTime>,
}

/// What is kept, and what was.
#[derive(Debug)]
pub(crate) struct Fallback {
    directory: Option<StateDirectory>,
    version: String,
    started: Timestamp,
    /// What the speaker before this one kept, until there are lists.
    found: Option<KeptSnapshot>,
    staleness: Option<Staleness>,
    written: Option<KeptSnapshot>,
    is_writing: bool,
    look_at: Timestamp,
    due: Option<Timestamp>,
}

impl Fallback {
    /// Reads what the speaker before this one kept; what cannot be used is told in the log and counts as nothing.
    pub(crate) fn open(directory: Option<StateDirectory>, version: &str, now: Timestamp) -> Self {
        let found = directory.as_ref().and_then(|directory| found(directory, version));
        Self {
            directory,
            version: version.to_owned(),
            started: now,
            found,
            staleness: None,
            written: None,
            is_writing: false,
            look_at: now,
            due: None,
        }
    }

    /// What to decide on: the lists, where there are any, or what was kept, once the API server has been silent for long enough.
    pub(crate) fn snapshot(
        &mut self,
        lists: Option<Snapshot>,
        settings: &Settings,
        (now, wall): (Timestamp, WallTime),
    ) -> Option<Snapshot> {
        let footing = footing(lists.is_some(), self.found.is_some(), self.started, now);
        self.due = if let Footing::Waiting { until } = footing { until } else { None };
        match footing {
            Footing::Fresh => {
                self.found = None;
                if let Some(staleness) = &mut self.staleness
                    && staleness.until.is_none()
                {
                    info!("the API server has answered: what was kept is replaced by what it says");
                    staleness.until = Some(wall);
                }
                lists
            }
            Footing::Stale => {
                if self.staleness.is_none() {
                    warn!("the API server does not answer: going on from the snapshot that was kept on this node");
                    self.staleness = Some(Staleness { since: wall, until: None });
                }
                self.found.as_ref().map(|kept| kept.snapshot(settings))
            }
            Footing::Waiting { .. } => None,
        }
    }

    /// Is this speaker going on from what was kept?
    pub(crate) fn is_stale(&self) -> bool {
        self.staleness.is_some_and(|staleness| staleness.until.is_none())
    }

    /// What the speaker before this one answered for in Layer 2.
    pub(crate) fn answered(&self) -> BTreeSet<IpAddr> {
        self.found.as_ref().map(|kept| kept.answered().clone()).unwrap_or_default()
    }

    /// What there is to tell of it, now and afterwards.
    pub(crate) fn staleness(&self) -> Option<Staleness> {
        self.staleness
    }

    /// When another look is due although nothing else changed.
    pub(crate) fn due(&self) -> Option<Timestamp> {
        self.due
    }

    /// The password that stood in a Secret under a key when the speaker before this one read it; for as long as nobody knows better.
    pub(crate) fn password(&self, secret: &str, key: &str) -> Option<Arc<str>> {
        self.found.as_ref()?.password(secret, key)
    }

    /// The writing of a snapshot that came from the lists, where one is due: to be run where blocking does no harm, and followed by
    /// [`Fallback::was_written`].
    pub(crate) fn keep(
        &mut self,
        snapshot: &Snapshot,
        password: &dyn Fn(&str, &str) -> Option<Arc<str>>,
        answering: BTreeSet<IpAddr>,
        now: Timestamp,
    ) -> Option<impl FnOnce() -> io::Result<()> + Send + use<>> {
        let directory = self.directory.clone().filter(|_| !self.is_writing && !self.is_stale())?;
        if now < self.look_at {
            self.due = Some(self.look_at);
            return None;
        }
        self.look_at = now + INTERVAL;
        let kept = KeptSnapshot::of(snapshot, password).answering(answering);
        // Entries that are the same are the same in memory, which is what is compared first.
        if self.written.as_ref() == Some(&kept) {
            return None;
        }
        self.written = Some(kept.clone());
        self.is_writing = true;
        let version = self.version.clone();
        Some(move || directory.write(SNAPSHOT, |file| kept.write(&version, file)))
    }

    /// Takes note of how the writing ended.
    pub(crate) fn was_written(&mut self, outcome: &io::Result<()>) {
        self.is_writing = false;
        if let Err(error) = outcome {
            warn!({ fields::ERROR } = %error, "the snapshot cannot be kept: a restart while the API server is away begins with nothing");
            self.written = None;
        }
    }
}

fn found(directory: &StateDirectory, version: &str) -> Option<KeptSnapshot> {
    let bytes = directory.read(SNAPSHOT);
    let bytes = bytes.inspect_err(|error| warn!({ fields::ERROR } = %error, "the kept snapshot cannot be read"));
    let bytes = bytes.ok().flatten()?;
    match KeptSnapshot::read(version, &bytes) {
        Ok(kept) => Some(kept),
        Err(unusable) => {
            info!({ fields::REASON } = %unusable, "the kept snapshot is not used");
            None
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{Folder, site};

    fn at(millis: u64) -> Timestamp {
        Timestamp::from_millis(1_000_000 + millis)
    }

    fn no_password(_: &str, _: &str) -> Option<Arc<str>> {
        None
    }

    struct Life(Fallback);

    impl Life {
        fn begins(folder: &Folder, version: &str, millis: u64) -> Self {
            let directory = StateDirectory::open_on(folder.path(), "boot").expect("a folder of our own");
            Self(Fallback::open(Some(directory), version, at(millis)))
        }

        fn decides_on(&mut self, lists: Option<&Snapshot>, millis: u64) -> Option<Snapshot> {
            self.0.snapshot(lists.cloned(), &Settings::default(), (at(millis), WallTime(0)))
        }

        /// Whether something was written.
        fn keeps(&mut self, snapshot: &Snapshot, millis: u64) -> bool {
            let Some(write) = self.0.keep(snapshot, &no_password, BTreeSet::from([site::vip(0)]), at(millis)) else {
                return false;
            };
            self.0.was_written(&write());
            true
        }
    }

    #[test]
    fn a_restart_while_nobody_answers_goes_on_from_what_was_kept() {
        let folder = Folder::new();
        let (before, after) = (site::site(2, 2), site::site(2, 3));
        assert!(Life::begins(&folder, "v", 0).keeps(&before, 0));

        let mut life = Life::begins(&folder, "v", 10_000);
        assert_eq!((life.decides_on(None, 10_000), life.0.due()), (None, Some(at(15_000))));
        assert_eq!(life.0.staleness(), None);
        assert_eq!(life.decides_on(None, 15_000), Some(before.clone()));
        assert!(life.0.is_stale());
        assert!(!life.keeps(&before, 15_000), "what is stale is kept already");
        // The lists replace it as a whole, and nothing goes back behind them.
        assert_eq!(life.decides_on(Some(&after), 16_000), Some(after.clone()));
        assert!(!life.0.is_stale() && life.0.staleness().is_some_and(|s| s.until.is_some()));
        assert_eq!(life.decides_on(None, 30_000), None);
        assert!(life.keeps(&after, 30_000));
    }

    #[test]
    fn it_is_written_on_change_and_at_most_every_few_seconds() {
        let folder = Folder::new();
        let mut life = Life::begins(&folder, "v", 0);
        let mut site = site::site(2, 2);
        assert!(life.keeps(&site, 0));
        assert!(!life.keeps(&site, 6000));
        site::edit_node(&mut site, 0, |node| node.cordoned = true);
        assert!(!life.keeps(&site, 8000));
        assert_eq!(life.0.due(), Some(at(11_000)));
        assert!(life.keeps(&site, 11_000));
    }

    #[test]
    fn what_cannot_be_used_counts_as_nothing() {
        let folder = Folder::new();
        assert!(Life::begins(&folder, "v", 0).keeps(&site::site(1, 1), 0));
        let silent_for_long = |version| Life::begins(&folder, version, 0).decides_on(None, 60_000);
        assert!(silent_for_long("v").is_some());
        assert_eq!(silent_for_long("another"), None);
        std::fs::write(folder.path().join(SNAPSHOT), b"ironlb snapshot\n and no more").expect("writable");
        assert_eq!(silent_for_long("v"), None);
    }

    #[test]
    fn nothing_outlives_a_boot() {
        let folder = Folder::new();
        assert!(Life::begins(&folder, "v", 0).keeps(&site::site(1, 1), 0));
        let directory = StateDirectory::open_on(folder.path(), "the next boot").expect("a folder of our own");
        let mut life = Life(Fallback::open(Some(directory), "v", at(0)));
        assert_eq!(life.decides_on(None, 60_000), None);
    }
}
