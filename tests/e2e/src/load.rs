//! Services that come and go while something happens to the controllers, and every address that the API server showed on them.
//!
//! There are more Services than addresses, so that what one gives back another gets at once: a write of a leader of yesterday would
//! find its address taken.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use futures::StreamExt;
use ironlb_api::names::annotation;
use ironlb_lab::wait_for;
use k8s_openapi::api::core::v1::Service;
use kube::ResourceExt;
use kube::api::{Api, DeleteParams, ListParams, PostParams};
use kube::runtime::watcher::{self, watcher};
use serde_json::json;
use tokio::task::JoinSet;

use crate::ground::{Ground, addresses};
use crate::manifests;
use crate::stage::PATIENCE;

/// So many addresses there are.
const ADDRESSES: usize = 6;
/// So many Services stay from the beginning to the end.
const LASTING: usize = 2;
/// So many come and go at any time. Chosen: with those that stay, two more than there are addresses.
const PASSING: usize = 6;
/// Between a creation and the next. Chosen: 20 a second, so that at any moment some write is under way and a busy machine keeps up.
const PACE: Duration = Duration::from_millis(50);
/// How long one turn of the load waits for the API server.
const PATIENT: Duration = Duration::from_secs(3);
/// How long two may show one address: as long as the leader's check takes. Chosen: an event, a decision and a write on a busy machine.
const CHECK: Duration = Duration::from_secs(1);

/// The label of its Services.
const OF_A_LOAD: &str = "load";

/// The load, from [`Load::begin`] to [`Load::end`].
#[derive(Debug)]
pub struct Load {
    services: Api<Service>,
    seen: Arc<Mutex<Seen>>,
    lasting: BTreeMap<String, Vec<String>>,
    tasks: JoinSet<()>,
}

/// What the watch has shown.
#[derive(Debug, Default)]
struct Seen {
    ready: bool,
    holds: BTreeMap<String, BTreeSet<IpAddr>>,
    /// When each address was given to some Service.
    given: Vec<Instant>,
    /// Addresses that two show now, and since when.
    doubles: BTreeMap<IpAddr, Instant>,
    /// How long each address was shown by two.
    ended: Vec<Duration>,
    /// What went from a Service that is there, and was not shown by another.
    lost: Vec<String>,
}

/// What came of it.
#[derive(Debug)]
pub struct Report {
    given: usize,
    doubles: Vec<Duration>,
}

impl Load {
    /// Makes an Eip of the first addresses of a network (`198.18.8`), which are nobody else's, and begins.
    ///
    /// # Errors
    /// The Services that are to stay get no address.
    pub async fn begin(ground: &Ground<'_>, network: &str) -> Result<Self> {
        let range = format!("{network}.1-{network}.{ADDRESSES}");
        let eip = format!("{}-load", ground.name());
        ground.apply(&manifests::eip(&eip, ground.name(), &range)).await?;
        let services: Api<Service> = Api::namespaced(ground.stage().site.client(), ground.name());
        let seen = Arc::new(Mutex::new(Seen::default()));
        let mut tasks = JoinSet::new();
        tasks.spawn(follow(services.clone(), Arc::clone(&seen)));
        let mut load = Self { services, seen, lasting: BTreeMap::new(), tasks };
        wait_for(PATIENCE, "the watch of Services to begin", || async { Ok(load.look(|s| s.ready).then_some(())) })
            .await?;
        for number in 0..LASTING {
            let name = format!("lasting-{number}");
            load.services.create(&PostParams::default(), &service(&name, &eip)?).await?;
            ground.served(&name).await?;
            load.lasting.insert(name.clone(), ground.addresses(&name).await?);
        }
        load.tasks.spawn(come_and_go(load.services.clone(), eip));
        load.given_after(Instant::now(), PATIENCE).await?;
        Ok(load)
    }

    /// Waits until an address has been given to some Service after a moment; tells how long after.
    ///
    /// # Errors
    /// None is.
    pub async fn given_after(&self, moment: Instant, within: Duration) -> Result<Duration> {
        wait_for(within, "an address to be given", || async {
            Ok(self.look(|seen| seen.given.iter().find_map(|at| at.checked_duration_since(moment))))
        })
        .await
    }

    /// Ends it, once the watch has seen all, and removes its Services. No two Services showed an address for longer than the check takes, and none lost its own.
    ///
    /// # Errors
    /// It was not so.
    pub async fn end(mut self) -> Result<Report> {
        for (name, addresses_then) in &self.lasting {
            let now = addresses(&self.services.get(name).await?);
            ensure!(now == *addresses_then, "{name} had {addresses_then:?} and has {now:?}");
        }
        self.tasks.shutdown().await;
        let (given, lost, doubles) = self.look(|seen| {
            let lasting = seen.doubles.values().map(Instant::elapsed);
            (seen.given.len(), seen.lost.clone(), seen.ended.iter().copied().chain(lasting).collect::<Vec<_>>())
        });
        ensure!(lost.is_empty(), "addresses went from Services that stayed: {lost:?}");
        let longest = doubles.iter().max();
        ensure!(longest.is_none_or(|longest| *longest < CHECK), "two Services showed one address: {doubles:?}");
        // Another load of the same scenario begins with the same names.
        let all = ListParams::default().labels(OF_A_LOAD);
        self.services.delete_collection(&DeleteParams::default(), &all).await?;
        wait_for(PATIENCE, "the load's Services to be gone", || async {
            Ok(self.services.list(&all).await?.items.is_empty().then_some(()))
        })
        .await?;
        Ok(Report { given, doubles })
    }

    fn look<T>(&self, with: impl FnOnce(&Seen) -> T) -> T {
        with(&self.seen.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

impl Seen {
    /// A Service shows these addresses now; `None` when it is gone.
    fn shows(&mut self, name: &str, now: Option<BTreeSet<IpAddr>>, at: Instant) {
        let is_there = now.is_some();
        let before = self.holds.remove(name).unwrap_or_default();
        let now = now.unwrap_or_default();
        for address in now.difference(&before) {
            self.given.push(at);
            if self.holders(*address) > 0 {
                self.doubles.entry(*address).or_insert(at);
            }
        }
        for address in before.difference(&now) {
            let others = self.holders(*address);
            if is_there && others == 0 {
                self.lost.push(format!("{name}: {address}"));
            }
            if others <= 1
                && let Some(since) = self.doubles.remove(address)
            {
                self.ended.push(at.duration_since(since));
            }
        }
        if is_there {
            self.holds.insert(name.to_owned(), now);
        }
    }

    fn holders(&self, address: IpAddr) -> usize {
        self.holds.values().filter(|held| held.contains(&address)).count()
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} addresses were given, {} of them to two at once", self.given, self.doubles.len())?;
        self.doubles.iter().max().map_or(Ok(()), |longest| write!(f, " for up to {longest:?}"))
    }
}

/// Tells `seen` of every state, in their order.
async fn follow(services: Api<Service>, seen: Arc<Mutex<Seen>>) {
    let mut events = std::pin::pin!(watcher(services, watcher::Config::default()));
    let mut listed = BTreeSet::new();
    while let Some(event) = events.next().await {
        let at = Instant::now();
        let mut seen = seen.lock().unwrap_or_else(PoisonError::into_inner);
        let shown = |service: &Service| addresses(service).iter().filter_map(|ip| ip.parse().ok()).collect();
        match event {
            Ok(watcher::Event::Apply(service)) => seen.shows(&service.name_any(), Some(shown(&service)), at),
            Ok(watcher::Event::InitApply(service)) => {
                listed.insert(service.name_any());
                seen.shows(&service.name_any(), Some(shown(&service)), at);
            }
            Ok(watcher::Event::Delete(service)) => seen.shows(&service.name_any(), None, at),
            Ok(watcher::Event::Init) => listed.clear(),
            Ok(watcher::Event::InitDone) => {
                let gone: Vec<String> = seen.holds.keys().filter(|name| !listed.contains(*name)).cloned().collect();
                gone.iter().for_each(|name| seen.shows(name, None, at));
                seen.ready = true;
            }
            // It begins again by itself.
            Err(_) => {}
        }
    }
}

/// Makes a Service and deletes the oldest, for ever. What the API server does not do in time is tried no second time.
async fn come_and_go(services: Api<Service>, eip: String) {
    for number in 0.. {
        let Ok(object) = service(&format!("passing-{number}"), &eip) else { return };
        let in_turn = async {
            let _ = services.create(&PostParams::default(), &object).await;
            if let Some(oldest) = usize::checked_sub(number, PASSING) {
                let _ = services.delete(&format!("passing-{oldest}"), &DeleteParams::default()).await;
            }
        };
        let _ = tokio::time::timeout(PATIENT, in_turn).await;
        tokio::time::sleep(PACE).await;
    }
}

fn service(name: &str, eip: &str) -> Result<Service> {
    let (opt_in, value, wanted) = (annotation::OPT_IN, annotation::OPT_IN_VALUE, annotation::WANTED_EIP);
    serde_json::from_value(json!({
        "metadata": {"name": name, "labels": {OF_A_LOAD: "true"}, "annotations": {opt_in: value, wanted: eip}},
        "spec": {"type": "LoadBalancer", "allocateLoadBalancerNodePorts": false, "ports": [{"port": 80}], "selector": {"app": "nobody"}},
    }))
    .context("a Service")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ip(last: u8) -> BTreeSet<IpAddr> {
        [IpAddr::from([198, 18, 0, last])].into()
    }

    #[test]
    fn a_double_lasts_from_the_second_to_the_last_but_one() {
        let start = Instant::now();
        let at = |seconds| start + Duration::from_secs(seconds);
        let mut seen = Seen::default();
        seen.shows("a", Some(ip(1)), at(0));
        seen.shows("b", Some(ip(2)), at(1));
        seen.shows("b", Some(ip(1)), at(2));
        assert_eq!(seen.lost, ["b: 198.18.0.2"]);
        seen.shows("a", Some(ip(1)), at(3));
        seen.shows("b", Some(BTreeSet::new()), at(5));
        assert_eq!((seen.ended.as_slice(), seen.doubles.len()), ([Duration::from_secs(3)].as_slice(), 0));
        assert_eq!(seen.lost.len(), 1, "what was given to two was taken from one");
        seen.shows("a", None, at(6));
        assert_eq!((seen.lost.len(), seen.given.len()), (1, 3));
    }
}
