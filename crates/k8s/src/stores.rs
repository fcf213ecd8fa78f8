//! Everything a process watches, and the [`Snapshot`] made of it.

use std::sync::Arc;
use std::time::Duration;

use ironlb_model::{Issue, Settings, Snapshot};
use kube::{Api, Resource};
use tokio::sync::{mpsc, oneshot};
use tokio::task::JoinSet;

use crate::client::Clients;
use crate::counters::WatchCounters;
use crate::kind::{BgpConfs, BgpPeers, Eips, EndpointSlices, Kind, Namespaces, NodeLeases, Nodes, Services, Speakers};
use crate::node_lease;
use crate::openelb::{Detection, Search};
use crate::references::References;
use crate::signal::Signal;
use crate::store::Store;
use crate::throttle::Throttle;
use crate::watch::{self, Relist, Selection, WatchError};

/// Which kinds a process watches. Services, Eips and Nodes are always watched.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Scope {
    /// Namespaces, for `namespaceSelector`.
    pub namespaces: bool,
    /// EndpointSlices.
    pub endpoints: bool,
    /// What the speakers report.
    pub speakers: bool,
    /// BgpConfs and BgpPeers, and the policy file that they name.
    pub bgp: bool,
    /// The passwords that BgpPeers name.
    pub passwords: bool,
    /// The Leases by which speakers show that they live.
    pub leases: bool,
    /// How much is looked for of an OpenELB that is still here, if it is looked for at all.
    pub openelb: Option<Search>,
}

impl Scope {
    /// What the controller watches.
    #[must_use]
    pub const fn controller() -> Self {
        Self {
            namespaces: true,
            endpoints: false,
            speakers: true,
            bgp: true,
            passwords: false,
            leases: false,
            openelb: Some(Search::All),
        }
    }

    /// What a speaker watches; `by_lease` when it knows its members by their Leases.
    #[must_use]
    pub const fn speaker(by_lease: bool) -> Self {
        Self {
            namespaces: false,
            endpoints: true,
            speakers: true,
            bgp: true,
            passwords: true,
            leases: by_lease,
            openelb: Some(Search::First),
        }
    }
}

/// A store and the way to ask its watch for a fresh list.
#[derive(Debug)]
pub struct Watched<K: Kind> {
    store: Arc<Store<K>>,
    /// `None` for a kind that is not watched here.
    relists: Option<mpsc::Sender<Relist>>,
}

impl<K: Kind> std::ops::Deref for Watched<K> {
    type Target = Store<K>;

    fn deref(&self) -> &Store<K> {
        &self.store
    }
}

impl<K: Kind> Watched<K> {
    /// A kind that is not watched: empty for ever, and nobody waits for it.
    fn idle() -> Self {
        Self { store: Arc::new(Store::new(Signal::new())), relists: None }
    }

    fn start(
        api: Api<K::Object>,
        selection: Selection,
        throttle: Throttle,
        signal: Signal,
        tasks: &mut JoinSet<&'static str>,
    ) -> Self {
        let store = Arc::new(Store::new(signal));
        // Depth 4: one question per loop is in flight, and questions that wait are answered by one list.
        let (sender, receiver) = mpsc::channel(4);
        let watched = Arc::clone(&store);
        tasks.spawn(async move {
            watch::run::<K>(api, selection, throttle, watched, receiver).await;
            K::NAME
        });
        Self { store, relists: Some(sender) }
    }

    /// Is it watched here and not yet listed?
    fn is_awaited(&self) -> bool {
        self.relists.is_some() && !self.store.has_listed()
    }

    /// Reads everything afresh ("most recent") in a list that begins after this call, and returns when it is in the store.
    ///
    /// # Errors
    /// [`WatchError`] when the list failed or took longer than `limit`: nothing is known then, ask again.
    pub async fn list_fresh(&self, limit: Duration) -> Result<(), WatchError> {
        let relists = self.relists.as_ref().ok_or(WatchError::Stopped)?;
        let (sender, receiver) = oneshot::channel();
        let asked = async {
            relists.send(sender).await.map_err(|_| WatchError::Stopped)?;
            receiver.await.map_err(|_| WatchError::Stopped)?
        };
        tokio::time::timeout(limit, asked).await.unwrap_or(Err(WatchError::Timeout(limit)))
    }
}

/// Everything a process watches.
#[derive(Debug)]
pub struct Stores {
    /// Services of all namespaces.
    pub services: Watched<Services>,
    /// Eips.
    pub eips: Watched<Eips>,
    /// Namespaces.
    pub namespaces: Watched<Namespaces>,
    /// Nodes.
    pub nodes: Watched<Nodes>,
    /// EndpointSlices of all namespaces.
    pub endpoints: Watched<EndpointSlices>,
    /// Speakers.
    pub speakers: Watched<Speakers>,
    /// BgpConfs.
    pub bgp_confs: Watched<BgpConfs>,
    /// BgpPeers.
    pub bgp_peers: Watched<BgpPeers>,
    /// The speakers' Leases; they raise `lease_signal` and no other.
    pub leases: Watched<NodeLeases>,
    /// Raised when anything a snapshot holds has changed.
    pub signal: Signal,
    /// Raised when a speaker's Lease has changed: several times a second, so it has a signal of its own.
    pub lease_signal: Signal,
    openelb: Option<Arc<Detection>>,
    /// What the BGP objects name.
    references: Option<Arc<References>>,
    with_passwords: bool,
}

/// A watch that has not yet finished its first list.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Awaited {
    /// The kind's plural.
    pub kind: &'static str,
    /// Why it has not, if something is wrong.
    pub trouble: Option<String>,
}

impl Stores {
    /// Starts the watches, each a task in `tasks` that ends only with it (one that returns nevertheless returns its name).
    #[must_use]
    pub fn start(clients: &Clients, namespace: &str, scope: Scope, tasks: &mut JoinSet<&'static str>) -> Self {
        let signal = Signal::new();
        let lease_signal = Signal::new();
        let client = clients;
        let openelb =
            scope.openelb.map(|search| Detection::start(client.ordinary.clone(), search, signal.clone(), tasks));
        let references =
            scope.bgp.then(|| References::start(client.ordinary.clone(), namespace, signal.clone(), tasks));
        // Headless Services have no vip, and their slices are the many and large ones.
        let no_headless = Selection { labels: Some("!service.kubernetes.io/headless".to_owned()) };
        let ours = Selection { labels: Some(format!("{}={}", node_lease::LABEL, node_lease::LABEL_VALUE)) };
        Self {
            services: everywhere(true, client, Selection::default(), &signal, tasks),
            eips: everywhere(true, client, Selection::default(), &signal, tasks),
            namespaces: everywhere(scope.namespaces, client, Selection::default(), &signal, tasks),
            nodes: everywhere(true, client, Selection::default(), &signal, tasks),
            endpoints: everywhere(scope.endpoints, client, no_headless, &signal, tasks),
            speakers: everywhere(scope.speakers, client, Selection::default(), &signal, tasks),
            bgp_confs: everywhere(scope.bgp, client, Selection::default(), &signal, tasks),
            bgp_peers: everywhere(scope.bgp, client, Selection::default(), &signal, tasks),
            leases: if scope.leases {
                let api = Api::namespaced(client.ordinary.clone(), namespace);
                Watched::start(api, ours, clients.throttle.clone(), lease_signal.clone(), tasks)
            } else {
                Watched::idle()
            },
            signal,
            lease_signal,
            openelb,
            references,
            with_passwords: scope.passwords,
        }
    }

    /// The watches that have not finished their first list; empty means that [`Stores::snapshot`] answers.
    #[must_use]
    pub fn awaited(&self) -> Vec<Awaited> {
        fn check<K: Kind>(watched: &Watched<K>, out: &mut Vec<Awaited>) {
            if watched.is_awaited() {
                out.push(Awaited { kind: K::NAME, trouble: watched.trouble() });
            }
        }
        let mut out = Vec::new();
        check(&self.services, &mut out);
        check(&self.eips, &mut out);
        check(&self.namespaces, &mut out);
        check(&self.nodes, &mut out);
        check(&self.endpoints, &mut out);
        check(&self.speakers, &mut out);
        check(&self.bgp_confs, &mut out);
        check(&self.bgp_peers, &mut out);
        check(&self.leases, &mut out);
        if let Some(detection) = &self.openelb
            && detection.found().is_none()
        {
            out.push(Awaited { kind: "openelb", trouble: detection.trouble() });
        }
        if let Some(references) = &self.references {
            references.want(&self.bgp_confs.objects(), &self.bgp_peers.objects(), self.with_passwords);
            if references.is_awaited() {
                out.push(Awaited { kind: "configmaps", trouble: references.trouble() });
            }
        }
        out
    }

    /// The cluster as the watches show it now; `None` until every watch in use has finished its first list, so that nothing can be
    /// taken for gone that was only not yet read.
    #[must_use]
    pub fn snapshot(&self, settings: &Settings) -> Option<Snapshot> {
        if !self.awaited().is_empty() {
            return None;
        }
        Some(Snapshot {
            settings: settings.clone(),
            services: self.services.objects(),
            eips: self.eips.objects(),
            namespaces: self.namespaces.objects(),
            nodes: self.nodes.objects(),
            endpoints: self.endpoints.view().merged,
            speakers: self.speakers.objects(),
            bgp_confs: self.bgp_confs.objects(),
            bgp_peers: self.bgp_peers.objects(),
            policies: self.references.as_ref().map(|references| references.policies()).unwrap_or_default(),
            issues: self.issues(),
            openelb: self.openelb.as_ref().and_then(|detection| detection.found()).unwrap_or_default(),
        })
    }

    /// The password that stands in a Secret of ironlb's namespace under a key, where a BgpPeer names it.
    ///
    /// # Errors
    /// Why there is none, for people.
    pub fn password(&self, secret: &str, key: &str) -> Result<Arc<str>, String> {
        let references = self.references.as_ref().ok_or("passwords are not read here")?;
        references.password(secret, key)
    }

    /// What each watch in use did, by the kind's plural.
    #[must_use]
    pub fn counters(&self) -> Vec<(&'static str, &WatchCounters)> {
        fn of<K: Kind>(watched: &Watched<K>) -> Option<(&'static str, &WatchCounters)> {
            watched.relists.as_ref().map(|_| (K::NAME, watched.counters()))
        }
        let all = [
            of(&self.services),
            of(&self.eips),
            of(&self.namespaces),
            of(&self.nodes),
            of(&self.endpoints),
            of(&self.speakers),
            of(&self.bgp_confs),
            of(&self.bgp_peers),
            of(&self.leases),
        ];
        all.into_iter().flatten().collect()
    }

    /// The objects that cannot be read: why, and the uid of each. They have no value, so no decision can speak of them.
    #[must_use]
    pub fn unreadable(&self) -> Vec<(Issue, String)> {
        [
            self.services.unreadable(),
            self.eips.unreadable(),
            self.nodes.unreadable(),
            self.speakers.unreadable(),
            self.bgp_confs.unreadable(),
            self.bgp_peers.unreadable(),
        ]
        .concat()
    }

    /// The faults of all objects, sorted.
    fn issues(&self) -> Vec<Issue> {
        let mut issues = [
            self.services.issues(),
            self.eips.issues(),
            self.nodes.issues(),
            self.speakers.issues(),
            self.bgp_confs.issues(),
            self.bgp_peers.issues(),
            self.references.as_ref().map(|references| references.issues()).unwrap_or_default(),
        ]
        .concat();
        issues.sort_unstable();
        issues
    }

    /// Is every watch in use open now? When not, the API server is (partly) out of reach and what the stores hold is growing old.
    #[must_use]
    pub fn are_connected(&self) -> bool {
        fn open<K: Kind>(watched: &Watched<K>) -> bool {
            watched.relists.is_none() || watched.is_connected()
        }
        open(&self.services)
            && open(&self.eips)
            && open(&self.namespaces)
            && open(&self.nodes)
            && open(&self.endpoints)
            && open(&self.speakers)
            && open(&self.bgp_confs)
            && open(&self.bgp_peers)
            && open(&self.leases)
    }
}

fn everywhere<K: Kind>(
    used: bool,
    clients: &Clients,
    selection: Selection,
    signal: &Signal,
    tasks: &mut JoinSet<&'static str>,
) -> Watched<K>
where
    <K::Object as Resource>::DynamicType: Default,
{
    if used {
        let api = Api::all(clients.ordinary.clone());
        Watched::start(api, selection, clients.throttle.clone(), signal.clone(), tasks)
    } else {
        Watched::idle()
    }
}
