//! What a disruption costs: the ways of the routers' kernels as they change, and the connections of clients behind them.

use std::collections::BTreeSet;
use std::net::{IpAddr, Ipv4Addr};
use std::time::{Duration, SystemTime};

use anyhow::{Context, Result, ensure};
use ironlb_lab::Router;
use ironlb_lab::probe::{Failure, Probe};
use ironlb_lab::router::{RouteChange, RouteWatch};

use crate::fabric::{self, Seen};
use crate::ground::Ground;

/// A client behind a router, and its route to a vip, looked at from before a disruption.
#[derive(Debug)]
pub struct Lookout<'a> {
    router: &'a Router,
    vip: Ipv4Addr,
    watch: RouteWatch,
    /// The ways that the route leads when nothing has happened yet.
    before: BTreeSet<IpAddr>,
    probe: Probe,
}

/// What came of it.
#[derive(Debug)]
pub struct Outcome {
    /// What the client noticed.
    pub seen: Seen,
    /// How the route changed.
    pub changes: Vec<RouteChange>,
    /// The ways that the route led before.
    pub before: BTreeSet<IpAddr>,
    /// When the disruption began.
    pub begun: SystemTime,
}

impl<'a> Lookout<'a> {
    /// Begins behind every router, each with a second of answers.
    ///
    /// # Errors
    /// A client or a watch does not start, or has no answers.
    pub async fn begin(ground: &Ground<'a>, vip: Ipv4Addr, name: &str) -> Result<Vec<Self>> {
        let mut all = Vec::new();
        for router in ground.stage().site.routers() {
            let log = ground.stage().record(&format!("{}-{name}-routes.log", ground.record(router.name())));
            let watch = router.watch_routes(&log)?;
            let probe = fabric::probe(ground, router, vip, name).await?;
            all.push(Self { router, vip, watch, before: fabric::ways(router, vip).await?, probe });
        }
        Self::more_answers(&all).await?;
        Ok(all)
    }

    /// The router.
    #[must_use]
    pub fn router(&self) -> &'a Router {
        self.router
    }

    /// Waits until each client has had a second of answers more.
    ///
    /// # Errors
    /// One has not.
    pub async fn more_answers(all: &[Self]) -> Result<()> {
        for Self { router, probe, .. } in all {
            fabric::more_answers_of(router, probe).await?;
        }
        Ok(())
    }

    /// The changes of the route so far.
    ///
    /// # Errors
    /// The record cannot be read.
    pub fn changes(&self) -> Result<Vec<RouteChange>> {
        let mut changes = self.watch.changes(&self.vip.to_string())?;
        if changes.first().is_some_and(|first| first.ways == self.before) {
            changes.remove(0);
        }
        Ok(changes)
    }

    /// Ends it.
    ///
    /// # Errors
    /// A measurement failed.
    pub async fn end(self, begun: SystemTime) -> Result<Outcome> {
        let changes = self.changes()?;
        let probe = self.probe;
        let report = tokio::task::spawn_blocking(move || probe.stop()).await??;
        Ok(Outcome { seen: Seen::of(&report, begun), changes, before: self.before, begun })
    }
}

/// What a client behind a router may notice.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Promise {
    /// No connection fails, and the route stays as it is.
    Nothing,
    /// The route changes at most so many times, by one node at a time.
    Moves {
        /// So many times.
        changes: usize,
        /// At each change at most so many connections fail, and only such as are under way just then: the node that the router leads
        /// them to does not know them. Whoever the speaker is, the kernel's hash over the next hops does so to some whenever their
        /// number changes.
        breaks: usize,
        /// The node is no longer led to within this time of the disruption.
        gone_within: Option<Duration>,
    },
    /// Connections to the node fail for no longer than this; nothing is led to it any more then.
    Outage(Duration),
}

/// How far from each other the moment of a change, as a process hears of it, and that of a packet, as another one does, may be told where
/// they are the same. Chosen: of some hundred changes on two busy cores one was told 58 ms after a connection that it had broken.
const BLUR: Duration = Duration::from_millis(100);

/// How much later than a bar the change may be heard of that ends an outage; the clients' own bar has no such room. Chosen.
const HEARD: Duration = Duration::from_millis(50);

impl Promise {
    /// Was it?
    ///
    /// # Errors
    /// What was seen that it excludes.
    pub fn is_kept(self, outcome: &Outcome) -> Result<()> {
        let Outcome { seen, changes, before, begun } = outcome;
        let after = |change: &RouteChange| change.at.duration_since(*begun).unwrap_or_default();
        let gone = || changes.iter().find(|change| change.ways.len() < before.len()).map(after);
        match self {
            Self::Nothing => {
                ensure!(seen.failures.is_empty(), "nothing was to fail, and {seen}");
                ensure!(changes.is_empty(), "the route was to stay as it was, and changed: {changes:?}");
            }
            Self::Moves { changes: most, breaks, gone_within } => {
                ensure!(changes.len() <= most, "at most {most} changes, and {changes:?}");
                let is_whole = |change: &RouteChange| {
                    change.ways.is_subset(before) && change.ways.len() + 1 >= before.len() && !change.ways.is_empty()
                };
                ensure!(changes.iter().all(is_whole), "one node at a time, and {changes:?}");
                for change in changes {
                    let at_once = seen.failures.iter().filter(|failed| failed.was_under_way(change.at, BLUR)).count();
                    ensure!(
                        at_once <= breaks,
                        "{at_once} connections failed when the route changed: {:?}",
                        seen.failures
                    );
                }
                for failed in &seen.failures {
                    let has_cause = changes.iter().any(|change| failed.was_under_way(change.at, BLUR));
                    ensure!(has_cause, "it failed while the route stayed as it was: {failed:?}, with {changes:?}");
                    ensure!(failed.why == Failure::Broken, "it was not led anywhere: {failed:?}");
                }
                if let Some(limit) = gone_within {
                    let gone = gone().context("the node was led to all the time")?;
                    ensure!(gone <= limit, "gone within {limit:?}, and it took {gone:?}");
                }
            }
            Self::Outage(limit) => {
                ensure!(seen.until_last <= limit, "no longer than {limit:?}, and {seen}");
                let gone = gone().context("the node was led to all the time")?;
                ensure!(gone <= limit + HEARD, "gone within {limit:?}, and it took {gone:?}");
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fabric::Failed;

    const LIMIT: Duration = Duration::from_millis(200);

    fn at(millis: u64) -> SystemTime {
        SystemTime::UNIX_EPOCH + Duration::from_millis(1_000_000 + millis)
    }

    fn ways(last: &[u8]) -> BTreeSet<IpAddr> {
        last.iter().map(|last| IpAddr::from([192, 0, 2, *last])).collect()
    }

    /// Changes of the route to the ways that are left, and failures from when to when, in milliseconds after the disruption.
    fn outcome(changes: &[(u64, &[u8])], failures: &[(u64, u64, Failure)]) -> Outcome {
        let failed = |(from, to, why): &(u64, u64, Failure)| Failed { why: *why, started: at(*from), ended: at(*to) };
        let until_last = failures.iter().map(|(from, _, _)| Duration::from_millis(*from)).max().unwrap_or_default();
        Outcome {
            seen: Seen { attempts: 1000, failures: failures.iter().map(failed).collect(), until_last },
            changes: changes.iter().map(|(when, left)| RouteChange { at: at(*when), ways: ways(left) }).collect(),
            before: ways(&[1, 2, 3]),
            begun: at(0),
        }
    }

    #[test]
    fn a_promise_is_kept_or_broken() {
        use Failure::{Broken, TimedOut};
        let nothing = Promise::Nothing;
        let moves = Promise::Moves { changes: 2, breaks: 2, gone_within: None };
        let at_once = Promise::Moves { changes: 2, breaks: 2, gone_within: Some(LIMIT) };
        let unfelt = Promise::Moves { changes: 2, breaks: 0, gone_within: None };
        let outage = Promise::Outage(LIMIT);
        let away_and_back: &[(u64, &[u8])] = &[(100, &[1, 2]), (900, &[1, 2, 3])];
        let rows: &[(bool, Promise, Outcome)] = &[
            (true, nothing, outcome(&[], &[])),
            (false, nothing, outcome(&[], &[(5, 6, Broken)])),
            (false, nothing, outcome(away_and_back, &[])),
            (true, moves, outcome(away_and_back, &[])),
            (true, moves, outcome(&[], &[])),
            (true, moves, outcome(away_and_back, &[(99, 101, Broken), (95, 102, Broken), (890, 910, Broken)])),
            (false, moves, outcome(away_and_back, &[(99, 101, Broken), (95, 102, Broken), (98, 110, Broken)])),
            (false, moves, outcome(away_and_back, &[(400, 401, Broken)])),
            (false, moves, outcome(away_and_back, &[(99, 999, TimedOut)])),
            (false, moves, outcome(&[(1, &[1, 2]), (2, &[1, 2, 3]), (3, &[1, 2])], &[])),
            (false, moves, outcome(&[(1, &[1])], &[])),
            (false, moves, outcome(&[(1, &[])], &[])),
            (true, unfelt, outcome(away_and_back, &[])),
            (false, unfelt, outcome(away_and_back, &[(99, 101, Broken)])),
            (true, at_once, outcome(away_and_back, &[])),
            (false, at_once, outcome(&[(201, &[1, 2])], &[])),
            (false, at_once, outcome(&[], &[])),
            (true, outage, outcome(&[(150, &[1, 2])], &[(10, 910, TimedOut), (190, 900, TimedOut)])),
            (false, outage, outcome(&[(150, &[1, 2])], &[(201, 910, TimedOut)])),
            (false, outage, outcome(&[(300, &[1, 2])], &[(100, 910, TimedOut)])),
            (false, outage, outcome(&[], &[])),
        ];
        for (number, (want, promise, outcome)) in rows.iter().enumerate() {
            let found = promise.is_kept(outcome);
            assert_eq!(found.is_ok(), *want, "row {number}: {found:?}");
        }
    }
}
