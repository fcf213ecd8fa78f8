//! What one watch has seen, in ironlb's own values.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

use ironlb_model::{Issue, ResourceVersion};

use crate::counters::WatchCounters;
use crate::kind::{Kind, Reading};
use crate::signal::Signal;

/// The objects of one kind, translated.
///
/// Until the first list is complete it answers [`Store::has_listed`] with no, and its emptiness means nothing. From then on it always
/// holds the last complete state that was heard: a broken watch or a list under way takes nothing away.
pub struct Store<K: Kind> {
    contents: Mutex<Contents<K>>,
    signal: Signal,
    counters: WatchCounters,
}

struct Contents<K: Kind> {
    objects: BTreeMap<K::Key, Arc<K::Value>>,
    view: K::View,
    issues: BTreeMap<K::Key, Vec<Issue>>,
    /// The uids of those that cannot be read.
    unreadable: BTreeMap<K::Key, String>,
    version: ResourceVersion,
    has_listed: bool,
    connected: bool,
    trouble: Option<String>,
}

/// A list in the making. What equals what the store holds is the same allocation from the moment it is read, so that a fresh list of
/// 10,000 objects needs no second copy of them.
pub(crate) struct Listing<K: Kind> {
    objects: BTreeMap<K::Key, Arc<K::Value>>,
    issues: BTreeMap<K::Key, Vec<Issue>>,
    unreadable: BTreeMap<K::Key, String>,
}

impl<K: Kind> Listing<K> {
    pub(crate) fn new() -> Self {
        Self { objects: BTreeMap::new(), issues: BTreeMap::new(), unreadable: BTreeMap::new() }
    }

    /// How many objects there are, those included that cannot be read.
    pub(crate) fn len(&self) -> usize {
        self.objects.len() + self.unreadable.len()
    }
}

impl<K: Kind> std::fmt::Debug for Store<K> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let (objects, listed) = self.with(|c| (c.objects.len(), c.has_listed));
        f.debug_struct("Store")
            .field("kind", &K::NAME)
            .field("objects", &objects)
            .field("has_listed", &listed)
            .finish_non_exhaustive()
    }
}

impl<K: Kind> Store<K> {
    pub(crate) fn new(signal: Signal) -> Self {
        let contents = Contents {
            objects: BTreeMap::new(),
            view: K::View::default(),
            issues: BTreeMap::new(),
            unreadable: BTreeMap::new(),
            version: ResourceVersion(0),
            has_listed: false,
            connected: false,
            trouble: None,
        };
        Self { contents: Mutex::new(contents), signal, counters: WatchCounters::default() }
    }

    /// Short and without waiting, so a poisoned lock can only come from a bug in a comparison; the contents are whole even then.
    fn with<R>(&self, act: impl FnOnce(&mut Contents<K>) -> R) -> R {
        act(&mut self.contents.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// Has the first list been read to the end?
    #[must_use]
    pub fn has_listed(&self) -> bool {
        self.with(|c| c.has_listed)
    }

    /// Is a watch open now?
    #[must_use]
    pub fn is_connected(&self) -> bool {
        self.with(|c| c.connected)
    }

    /// Why the watch does not work now, if it does not.
    #[must_use]
    pub fn trouble(&self) -> Option<String> {
        self.with(|c| c.trouble.clone())
    }

    /// The newest version heard of in this kind.
    #[must_use]
    pub fn version(&self) -> ResourceVersion {
        self.with(|c| c.version)
    }

    /// One object.
    #[must_use]
    pub fn get(&self, key: &K::Key) -> Option<Arc<K::Value>> {
        self.with(|c| c.objects.get(key).cloned())
    }

    /// Every object; the values are shared, not copied.
    #[must_use]
    pub fn objects(&self) -> BTreeMap<K::Key, Arc<K::Value>> {
        self.with(|c| c.objects.clone())
    }

    /// What this kind keeps beside its objects (for EndpointSlices, the endpoints of each Service).
    pub(crate) fn view(&self) -> K::View
    where
        K::View: Clone,
    {
        self.with(|c| c.view.clone())
    }

    /// The faults of all objects, in the order of their names.
    #[must_use]
    pub fn issues(&self) -> Vec<Issue> {
        self.with(|c| c.issues.values().flatten().cloned().collect())
    }

    /// The objects that cannot be read: why, and the uid of each.
    #[must_use]
    pub fn unreadable(&self) -> Vec<(Issue, String)> {
        self.with(|c| {
            let uids = c.unreadable.iter();
            let told = uids.filter_map(|(key, uid)| Some((c.issues.get(key)?.first()?.clone(), uid.clone())));
            told.collect()
        })
    }

    /// Counts of what the watch did.
    #[must_use]
    pub fn counters(&self) -> &WatchCounters {
        &self.counters
    }

    /// Adds what was read to a list in the making.
    pub(crate) fn add_to(&self, listing: &mut Listing<K>, reading: Reading<K>) {
        let Reading { key, value, issues, uid } = reading;
        if value.is_none() && !issues.is_empty() {
            listing.unreadable.insert(key.clone(), uid);
        }
        if !issues.is_empty() {
            listing.issues.insert(key.clone(), issues);
        }
        if let Some(value) = value {
            let held = self.with(|c| c.objects.get(&key).cloned());
            let shared = held.filter(|held| **held == value).unwrap_or_else(|| Arc::new(value));
            listing.objects.insert(key, shared);
        }
    }

    /// A complete list takes the place of everything, in one step. Values that did not change stay the same allocation.
    pub(crate) fn replace(&self, listing: Listing<K>, version: ResourceVersion) {
        let Listing { objects, issues, unreadable } = listing;
        let changed = self.with(|c| {
            let mut view = K::View::default();
            for (key, value) in &objects {
                K::index(&mut view, &objects, key, None, Some(value));
            }
            let changed = !c.has_listed || c.objects != objects || c.issues != issues;
            (c.objects, c.view, c.issues) = (objects, view, issues);
            c.unreadable = unreadable;
            (c.version, c.has_listed) = (version, true);
            changed
        });
        self.counters.lists.add_one();
        if changed {
            self.signal.raise();
        }
    }

    /// One object was added or changed.
    pub(crate) fn apply(&self, reading: Reading<K>, version: ResourceVersion) {
        let changed = self.with(|c| {
            c.version = c.version.max(version);
            c.put(reading)
        });
        self.told(changed);
    }

    /// One object was deleted.
    pub(crate) fn delete(&self, key: K::Key, version: ResourceVersion) {
        let changed = self.with(|c| {
            c.version = c.version.max(version);
            c.put(Reading { key, value: None, issues: Vec::new(), uid: String::new() })
        });
        self.told(changed);
    }

    /// Nothing changed up to this version.
    pub(crate) fn bookmark(&self, version: ResourceVersion) {
        self.with(|c| c.version = c.version.max(version));
    }

    pub(crate) fn set_connected(&self, connected: bool) {
        self.with(|c| {
            c.connected = connected;
            if connected {
                c.trouble = None;
            }
        });
    }

    pub(crate) fn set_trouble(&self, trouble: String) {
        self.with(|c| {
            c.connected = false;
            c.trouble = Some(trouble);
        });
    }

    fn told(&self, changed: bool) {
        self.counters.events.add_one();
        if changed {
            self.signal.raise();
        } else {
            self.counters.unchanged.add_one();
        }
    }
}

impl<K: Kind> Contents<K> {
    /// Puts one object in its place (or takes it away) and says whether anything ironlb looks at has changed.
    fn put(&mut self, reading: Reading<K>) -> bool {
        let Reading { key, value, issues, uid } = reading;
        self.unreadable.remove(&key);
        if value.is_none() && !issues.is_empty() {
            self.unreadable.insert(key.clone(), uid);
        }
        let before = self.objects.get(&key).cloned();
        let changed = before.as_deref() != value.as_ref();
        if changed {
            match value {
                Some(value) => self.objects.insert(key.clone(), Arc::new(value)),
                None => self.objects.remove(&key),
            };
            let after = self.objects.get(&key).cloned();
            K::index(&mut self.view, &self.objects, &key, before.as_deref(), after.as_deref());
        }
        let issues_before =
            if issues.is_empty() { self.issues.remove(&key) } else { self.issues.insert(key.clone(), issues) };
        changed || issues_before.as_ref() != self.issues.get(&key)
    }
}

#[cfg(test)]
mod tests;
