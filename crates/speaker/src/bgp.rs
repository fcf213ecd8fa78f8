//! What this node does in BGP, between the decision and the driver.
//!
//! What a session is told is made in [`setup`] and [`routes`], pure; here it is compared with what the driver was told last, so that
//! it hears of changes only.

mod counts;
mod departure;
mod keys;
mod routes;
mod setup;
mod telling;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use ironlb_announce::{BgpPlan, SHUTDOWN_WAIT};
use ironlb_bgp::{Bgp, SessionStatus, Setup, Status};
use ironlb_bgp_proto::{Routes, State};
use ironlb_model::{NodeName, Snapshot, Timestamp};
use tokio::sync::watch;
use tracing::{info, warn};

pub(crate) use self::counts::{OpenElbCounts, SessionCounts};
pub(crate) use self::departure::Going;
use self::departure::{Departure, HandedOver, kept};
pub(crate) use self::keys::{Due, Keys, Target, Written};
use self::setup::{Passwords, Wanted, wanted};
pub(crate) use self::telling::{BgpTelling, Moment};

/// How long the withdrawal of everything may take before the sessions end. Chosen: many times what a router needs to read it.
const WITHDRAWAL: Duration = Duration::from_secs(1);

/// The longest that [`Speaking::leave`] takes: the wait, the withdrawal (1 s), what the driver allows its sessions (3 s) and BFD (1 s), and a
/// second for the machine.
pub(crate) const LEAVE_WITHIN: Duration = SHUTDOWN_WAIT.saturating_add(Duration::from_secs(6));

/// The sessions of this node.
#[derive(Debug)]
pub(crate) struct Speaking {
    bgp: Bgp,
    changes: watch::Receiver<u64>,
    /// What the driver was told last.
    setup: Setup,
    routes: BTreeMap<String, Arc<Routes>>,
    /// What of them is about to go, and what they are without it, where something is.
    handed_over: HandedOver,
    remaining: BTreeMap<String, Arc<Routes>>,
    /// The sessions it could not be told of, and why.
    unmet: BTreeMap<String, String>,
    /// What was last looked at. Only [`Speaking::changed`] looks, or what is new would wake nobody.
    seen: Arc<Status>,
    has_left: bool,
}

impl Speaking {
    /// Begins, with no session. `restarted`: this node's speaker ran before on this boot.
    pub(crate) fn start(seed: u64, restarted: bool) -> Self {
        let bgp = Bgp::start(seed, restarted);
        Self {
            changes: bgp.changes(),
            seen: bgp.status(),
            bgp,
            setup: Setup::default(),
            routes: BTreeMap::new(),
            handed_over: HandedOver::default(),
            remaining: BTreeMap::new(),
            unmet: BTreeMap::new(),
            has_left: false,
        }
    }

    /// What the sessions count.
    pub(crate) fn counts(&self) -> SessionCounts {
        SessionCounts(self.bgp.clone())
    }

    /// What of it OpenELB counts too, for this node.
    pub(crate) fn openelb_counts(&self, node: &NodeName) -> OpenElbCounts {
        OpenElbCounts(self.bgp.clone(), node.clone())
    }

    /// The BgpPeers with which a session is up.
    pub(crate) fn established(&self) -> BTreeSet<String> {
        let sessions = self.seen.sessions.iter();
        sessions.filter(|(_, status)| status.state == State::Established).map(|(name, _)| name.clone()).collect()
    }

    /// Waits until something about the sessions is news. Cancel-safe.
    pub(crate) async fn changed(&mut self) {
        loop {
            if self.changes.changed().await.is_err() {
                // The driver has ended, as it was told to.
                std::future::pending::<()>().await;
            }
            let now = self.bgp.status();
            let is_news = !is_same(&self.seen, &now);
            self.seen = now;
            if is_news {
                return;
            }
        }
    }

    /// Tells the driver what the decision has changed.
    pub(crate) fn apply(&mut self, plan: &BgpPlan, snapshot: &Snapshot, own: &NodeName, passwords: Passwords<'_>) {
        if self.has_left {
            return;
        }
        let node = snapshot.nodes.get(own).map(Arc::as_ref);
        let Wanted { setup, unmet } = wanted(plan, node, passwords, &self.seen);
        for (name, said) in unmet.iter().filter(|(name, said)| self.unmet.get(*name) != Some(said)) {
            warn!(peer = name, error = said, "no session with this BgpPeer");
        }
        self.unmet = unmet;
        self.routes.retain(|name, _| setup.sessions.contains_key(name));
        // Routes first: a session begins once it knows what its peer is to know.
        for (name, spec) in plan.sessions.iter().filter(|(name, _)| setup.sessions.contains_key(*name)) {
            let routes = routes::routes(plan, name, spec, self.seen.sessions.get(name), snapshot, own);
            if self.routes.get(name).is_none_or(|told| **told != routes) {
                let routes = Arc::new(routes);
                self.bgp.advertise(name, Arc::clone(&routes));
                self.routes.insert(name.clone(), routes);
            }
        }
        self.handed_over = HandedOver::of(plan);
        self.remaining.clear();
        if self.handed_over.until.is_some() {
            let kept = kept(plan);
            for (name, spec) in kept.sessions.iter().filter(|(name, _)| setup.sessions.contains_key(*name)) {
                let routes = routes::routes(&kept, name, spec, self.seen.sessions.get(name), snapshot, own);
                self.remaining.insert(name.clone(), Arc::new(routes));
            }
        }
        if setup != self.setup {
            info!(sessions = setup.sessions.len(), "the sessions with routers are configured anew");
            self.bgp.configure(setup.clone());
            self.setup = setup;
        }
    }

    /// What there is to tell of the sessions.
    pub(crate) fn telling(&self, plan: &BgpPlan) -> BgpTelling {
        BgpTelling::new(plan, &self.unmet, Arc::clone(&self.seen))
    }

    /// What is to be done at the end, were it now.
    fn departure(&self, going: Going, now: Timestamp) -> Departure {
        Departure::new(going, &self.handed_over, self.remaining.clone(), now)
    }

    /// Begins to leave; what is returned goes through with it, `None` where that has begun. From now on nothing that is decided reaches
    /// the driver.
    pub(crate) fn leave(&mut self, going: Going, now: Timestamp) -> Option<impl Future<Output = ()> + Send + use<>> {
        if std::mem::replace(&mut self.has_left, true) {
            return None;
        }
        let Departure { wait, routes, how } = self.departure(going, now);
        let bgp = self.bgp.clone();
        let has_sessions = !self.established().is_empty();
        Some(async move {
            if has_sessions && !routes.is_empty() {
                info!(seconds = wait.as_secs_f32(), "routers are left to take other nodes");
                tokio::time::sleep(wait).await;
                for (name, routes) in routes {
                    bgp.advertise(&name, routes);
                }
                tokio::time::sleep(WITHDRAWAL).await;
            }
            bgp.leave(how).await;
        })
    }
}

/// Is there nothing in it that anybody has to know? Counts of messages go on for ever, and so may those of the peer's routes.
fn is_same(before: &Status, now: &Status) -> bool {
    before.listener.addresses == now.listener.addresses
        && before.sessions.len() == now.sessions.len()
        && before
            .sessions
            .iter()
            .zip(&now.sessions)
            .all(|(before, now)| before.0 == now.0 && is_same_session(before.1, now.1))
}

fn is_same_session(before: &SessionStatus, now: &SessionStatus) -> bool {
    let news = |status: &SessionStatus| {
        let bfd = status.bfd.as_ref().map(|bfd| (bfd.state, bfd.remote_state, bfd.downs));
        (status.state, status.since, status.flaps, status.local, status.remote, status.last_down_at, bfd)
    };
    news(before) == news(now)
        && before.trouble == now.trouble
        && before.negotiated == now.negotiated
        && before.advertised == now.advertised
        && before.interface == now.interface
}

#[cfg(test)]
mod tests;
