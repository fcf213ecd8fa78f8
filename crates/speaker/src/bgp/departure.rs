//! How the sessions with routers end, as a value. Pure.
//!
//! Which vips a node that is being emptied hands over is decided while it still runs (`announce`): those are advertised as about to go
//! (RFC 8326) until a moment, and then no more. What is left to do at the end is to wait for that moment and to say goodbye. A vip that no
//! other node can take is not handed over; its route is left to routers that keep it, as at any restart.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use ironlb_announce::{BgpPlan, SHUTDOWN_WAIT};
use ironlb_bgp::Leave;
use ironlb_bgp_proto::Routes;
use ironlb_model::Timestamp;

/// How this speaker goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Going {
    /// Another one comes in its place, or it comes back: routers that can are to keep the routes.
    ToComeBack,
    /// The node is being emptied or shut down: routers are to take other nodes before this one is gone.
    ForGood,
}

/// What of the last decision matters at the end.
#[derive(Debug, Clone, PartialEq, Default)]
pub(super) struct HandedOver {
    /// Until when routes are advertised that are being handed over; `None` without any.
    pub(super) until: Option<Timestamp>,
    /// Some vip is advertised that is not handed over.
    pub(super) keeps_some: bool,
}

impl HandedOver {
    pub(super) fn of(plan: &BgpPlan) -> Self {
        Self {
            until: plan.vips.values().filter_map(|route| route.withdraw_at).max(),
            keeps_some: plan.vips.values().any(|route| route.withdraw_at.is_none()),
        }
    }
}

/// The plan without the vips that are being handed over.
pub(super) fn kept(plan: &BgpPlan) -> BgpPlan {
    let vips = plan.vips.iter().filter(|(_, route)| route.withdraw_at.is_none());
    BgpPlan { vips: vips.map(|(vip, route)| (*vip, route.clone())).collect(), ..plan.clone() }
}

/// What is done with the sessions at the end, in this order.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Departure {
    /// So long routers are left to take other ways.
    pub(super) wait: Duration,
    /// What each session's router is told then; nothing new without it.
    pub(super) routes: BTreeMap<String, Arc<Routes>>,
    /// And how the sessions end.
    pub(super) how: Leave,
}

impl Departure {
    /// `remaining`: what each session has left once everything is handed over.
    pub(super) fn new(
        going: Going,
        handed_over: &HandedOver,
        remaining: BTreeMap<String, Arc<Routes>>,
        now: Timestamp,
    ) -> Self {
        let for_good = || Leave::ForGood("the node is being emptied".to_owned());
        match (going, handed_over.until) {
            (Going::ToComeBack, _) => Self { wait: Duration::ZERO, routes: BTreeMap::new(), how: Leave::ForRestart },
            (Going::ForGood, until) => Self {
                // A clock that stood still is no reason to stay for longer than it ever takes.
                wait: until.map_or(Duration::ZERO, |at| at.since(now).min(SHUTDOWN_WAIT)),
                routes: if until.is_some() { remaining } else { BTreeMap::new() },
                how: if handed_over.keeps_some { Leave::ForRestart } else { for_good() },
            },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_node_that_is_emptied_waits_for_what_it_hands_over_and_leaves_what_nobody_else_can_take() {
        let at = |seconds: u64| Timestamp::ZERO + Duration::from_secs(seconds);
        let remaining = || BTreeMap::from([("leaf".to_owned(), Arc::new(Routes::new()))]);
        let (restart, good) = (Leave::ForRestart, Leave::ForGood("the node is being emptied".to_owned()));
        let row = |going, until: Option<u64>, keeps_some, want: (u64, bool, &Leave)| {
            let handed_over = HandedOver { until: until.map(at), keeps_some };
            let found = Departure::new(going, &handed_over, remaining(), at(100));
            let (wait, is_told, how) = want;
            let routes = if is_told { remaining() } else { BTreeMap::new() };
            assert_eq!(
                found,
                Departure { wait: Duration::from_secs(wait), routes, how: how.clone() },
                "{handed_over:?}"
            );
        };
        // In the middle of it, with and without some that stay.
        row(Going::ForGood, Some(104), false, (4, true, &good));
        row(Going::ForGood, Some(104), true, (4, true, &restart));
        // All is withdrawn already, or there never was anything: nobody is kept waiting.
        row(Going::ForGood, None, false, (0, false, &good));
        row(Going::ForGood, Some(99), false, (0, true, &good));
        // The last node that can take its vips.
        row(Going::ForGood, None, true, (0, false, &restart));
        row(Going::ForGood, Some(200), false, (SHUTDOWN_WAIT.as_secs(), true, &good));
        // An upgrade says nothing, whatever is being handed over.
        for (until, keeps_some) in [(None, true), (Some(104), false)] {
            row(Going::ToComeBack, until, keeps_some, (0, false, &restart));
        }
    }
}
