//! Which advertised aggregates this node has no discard route for, asked of the kernel again and again.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;
use std::time::Duration;

use ironlb_announce::BgpPlan;
use ironlb_bgp::passes_on;
use ironlb_model::{IpFamily, Prefix, Timestamp};
use tracing::{debug, info};

/// So long an answer is good. Chosen: routes change without notice, whoever adds one waits so long to be told that all is well, and
/// an aggregate costs six small look-ups.
const FRESH: Duration = Duration::from_secs(10);

/// So many aggregates are asked for. Chosen: ten times what a report lists, and a few milliseconds' work.
const MOST: usize = 1000;

/// What is asked of an aggregate: unused addresses in it, and a router whose packets would come in.
type Question = ([IpAddr; 2], Option<IpAddr>);

/// The aggregates that are advertised.
#[derive(Debug, Default)]
pub(crate) struct Aggregates {
    wanted: BTreeMap<Prefix, Question>,
    looping: BTreeSet<Prefix>,
    asked_at: Option<Timestamp>,
}

impl Aggregates {
    /// Those of which packets for unused addresses would go back to a router.
    pub(crate) fn looping(&self) -> &BTreeSet<Prefix> {
        &self.looping
    }

    /// What the plan advertises is asked for from now on.
    pub(crate) fn want(&mut self, plan: Option<&BgpPlan>) {
        let aggregates = plan.map(BgpPlan::aggregates).unwrap_or_default();
        let router = |family| plan.and_then(|plan| plan.router(family));
        let routers = [router(IpFamily::V4), router(IpFamily::V6)];
        let question = |(of, unused): (Prefix, [IpAddr; 2])| {
            let [v4, v6] = routers;
            (of, (unused, if matches!(of, Prefix::V4(_)) { v4 } else { v6 }))
        };
        let wanted = aggregates.into_iter().take(MOST).map(question).collect();
        if self.wanted != wanted {
            (self.wanted, self.asked_at) = (wanted, None);
        }
    }

    /// When the answers are no longer good.
    pub(crate) fn due(&self) -> Option<Timestamp> {
        (!self.wanted.is_empty()).then(|| self.asked_at.map_or(Timestamp::ZERO, |at| at + FRESH))
    }

    /// Asks the kernel where the answers are old. What it does not say stays as it was.
    pub(crate) async fn refresh(&mut self, now: Timestamp) {
        if self.asked_at.is_some_and(|at| now.since(at) < FRESH) {
            return;
        }
        let mut looping = BTreeSet::new();
        for (aggregate, (unused, router)) in &self.wanted {
            let mut is_looping = false;
            for address in unused {
                match passes_on(*address, *router).await {
                    Ok(is_passed_on) => is_looping |= is_passed_on,
                    Err(error) => {
                        debug!(%aggregate, error = %error, "cannot look for a discard route");
                        is_looping |= self.looping.contains(aggregate);
                    }
                }
            }
            if is_looping {
                looping.insert(*aggregate);
            }
        }
        for aggregate in looping.difference(&self.looping) {
            info!(%aggregate, "this node would send packets for unused addresses of it back to a router: it has no discard route");
        }
        (self.looping, self.asked_at) = (looping, Some(now));
    }
}
