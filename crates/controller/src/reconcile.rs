//! The loop of the leader: observe, decide, act.
//!
//! 1. Wait until something has changed, an outcome has come, or a step is due.
//! 2. Make a snapshot of the stores (no API call).
//! 3. Decide: [`ironlb_ipam::step`].
//! 4. Start the actions, each in a task of its own, a bounded number at once, each only while the claim to leadership holds.
//! 5. Where the decision wants it, list the Services afresh.

use std::collections::{BTreeSet, VecDeque};
use std::sync::Arc;
use std::time::{Duration, Instant};

use ironlb_ipam::{Action, ActionId, Limits, Memory, Outcome, Planned, Step, step};
use ironlb_k8s::client::REQUEST_TIMEOUT;
use ironlb_k8s::{Backoff, Events, Stores, Term, Throttle, Writer, clock};
use ironlb_model::{Issue, Settings, Timestamp};
use ironlb_telemetry::fields;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;
use tracing::{debug, info, warn};

use crate::act::{act, telling, telling_unreadable, told};
use crate::metrics::ControllerMetrics;

/// How many writes are under way at once. Measured (`make bench`): an API server of two cores takes about 1,000 a second from 8 on and no
/// more from 64; a larger one gains from what is between, and one slow answer stops the fewer others.
const WRITES_AT_ONCE: usize = 32;

/// Changes within this time are decided on together. Chosen: a list of 10,000 arrives as a handful of decisions, and nobody feels it.
const MERGE: Duration = Duration::from_millis(5);

/// How long a fresh list may take.
const LIST_LIMIT: Duration = Duration::from_secs(60);

/// So long nothing is tried again after the API server could not be reached. Chosen: a tenth of what its restart takes.
const REST: Duration = Duration::from_millis(500);

/// HTTP's "Too Many Requests".
const TOO_MANY: u16 = 429;

/// The longest rest while the API server answers with 429: how late, at most, its ease is noticed.
const LONGEST_REST: Duration = Duration::from_secs(10);

/// What the loop acts with.
#[derive(Debug, Clone)]
pub(crate) struct Context {
    pub(crate) stores: Arc<Stores>,
    pub(crate) settings: Settings,
    /// So long after it was last heard a stranger's claim to an address counts.
    pub(crate) conflict_quarantine: Duration,
    pub(crate) writer: Writer,
    pub(crate) events: Events,
    /// Until when the API server wants no more requests.
    pub(crate) throttle: Throttle,
    pub(crate) metrics: ControllerMetrics,
}

/// A write that has ended.
struct Ended {
    id: ActionId,
    action: &'static str,
    object: String,
    outcome: ironlb_k8s::Outcome,
    was_sent: bool,
}

/// One term of leadership.
struct Leader {
    context: Context,
    term: Term,
    memory: Memory,
    waiting: VecDeque<Planned>,
    writes: JoinSet<Ended>,
    lists: JoinSet<(Timestamp, bool)>,
    /// Nothing is decided before this moment: the API server was out of reach.
    rest_until: Option<Timestamp>,
    /// How long is rested while the API server answers with 429.
    throttled: Backoff,
    /// When a write was last answered.
    answered: Option<Timestamp>,
    /// The objects that cannot be read and were told of, by why.
    told_unreadable: BTreeSet<Issue>,
    /// Until then the API server may carry out a write whose answer did not come.
    unsettled_until: Option<Timestamp>,
    only_observed: bool,
}

/// Decides and acts until the term ends: `ended` is cancelled when leadership is lost or the process is to stop. Returns when no write
/// of this term can be carried out any more.
pub(crate) async fn lead(context: Context, term: Term, ended: CancellationToken) {
    if !prepared(&context, &term, &ended).await {
        return;
    }
    let memory = Memory::new(Limits { request_timeout: REQUEST_TIMEOUT, conflict_counts: context.conflict_quarantine });
    let mut leader = Leader {
        context,
        term,
        memory,
        waiting: VecDeque::new(),
        writes: JoinSet::new(),
        lists: JoinSet::new(),
        rest_until: None,
        throttled: Backoff::new(REST, LONGEST_REST),
        answered: None,
        told_unreadable: BTreeSet::new(),
        unsettled_until: None,
        only_observed: false,
    };
    leader.run(&ended).await;
    leader.finish().await;
}

/// Reads afresh what the decisions of this term begin with; false when the term ended before that worked.
///
/// A write of an earlier leader may be on its way for one request time-out. An earlier leader that gave its Lease back waited for its
/// writes, so there is nothing to wait for then.
async fn prepared(context: &Context, term: &Term, ended: &CancellationToken) -> bool {
    let wait = if term.was_free { Duration::ZERO } else { REQUEST_TIMEOUT };
    tokio::select! {
        () = tokio::time::sleep(wait) => (),
        () = ended.cancelled() => return false,
    }
    loop {
        let lists = async {
            context.stores.services.list_fresh(LIST_LIMIT).await?;
            context.stores.eips.list_fresh(LIST_LIMIT).await
        };
        let failed = tokio::select! {
            () = ended.cancelled() => return false,
            listed = lists => match listed {
                Ok(()) => return true,
                Err(error) => error,
            },
        };
        warn!({ fields::ERROR } = %failed, "cannot read the Services and Eips afresh, and decide nothing before that");
        tokio::select! {
            () = tokio::time::sleep(REST) => (),
            () = ended.cancelled() => return false,
        }
    }
}

impl Leader {
    async fn run(&mut self, ended: &CancellationToken) {
        let mut due = Some(clock::now());
        loop {
            let now = clock::now();
            if due.is_some_and(|at| at <= now) {
                due = self.decide(now);
            }
            self.start_writes();
            tokio::select! {
                () = ended.cancelled() => return,
                // Not decided on at once: what belongs together arrives within milliseconds.
                () = self.context.stores.signal.raised() => due = sooner(due, clock::now() + MERGE),
                Some(done) = self.writes.join_next() => {
                    self.note(done);
                    // More outcomes are likely to be there already: take them all before deciding anew.
                    while let Some(done) = self.writes.try_join_next() {
                        self.note(done);
                    }
                    if self.waiting.is_empty() {
                        due = Some(clock::now());
                    }
                }
                Some(listed) = self.lists.join_next() => {
                    if let Ok((begun, true)) = listed {
                        self.memory.on_relisted(begun);
                    }
                    due = Some(clock::now());
                }
                () = clock::sleep_until(due) => (),
            }
        }
    }

    /// Waits until each write that was sent has an answer, or can no longer be carried out: giving the Lease back says so.
    async fn finish(&mut self) {
        while let Some(done) = self.writes.join_next().await {
            self.note(done);
        }
        if self.unsettled_until.is_some() {
            clock::sleep_until(self.unsettled_until).await;
        }
    }

    /// Decides, and returns when the next decision is due. While actions wait to be started none is made: it would only order them anew.
    fn decide(&mut self, now: Timestamp) -> Option<Timestamp> {
        if let Some(until) = self.rest_until.filter(|until| *until > now) {
            return Some(until);
        }
        self.rest_until = None;
        if !self.waiting.is_empty() {
            return None;
        }
        let snapshot = self.context.stores.snapshot(&self.context.settings)?;
        let begun = Instant::now();
        let step = step(&snapshot, &mut self.memory, now);
        self.context.metrics.decided(&step, &self.memory, begun.elapsed());
        let Step { actions, next_wake, relist_after, only_observes, .. } = step;
        if only_observes != self.only_observed {
            self.only_observed = only_observes;
            if only_observes {
                warn!(
                    { fields::OBJECT } = snapshot.openelb.join(", "),
                    "OpenELB runs here: ironlb only observes until it is gone"
                );
            } else {
                info!("OpenELB is gone: ironlb takes over");
            }
        }
        self.waiting.extend(actions);
        if !only_observes {
            self.tell_unreadable();
        }
        match relist_after {
            Some(at) if at <= now => self.list_afresh(now),
            Some(at) => return sooner(next_wake, at),
            None => (),
        }
        next_wake
    }

    /// Tells, once, of each object that cannot be read: it has no value, so no decision speaks of it, and its status may be what is wrong.
    fn tell_unreadable(&mut self) {
        let unreadable = self.context.stores.unreadable();
        self.context.metrics.set_unreadable(unreadable.len());
        self.told_unreadable.retain(|told| unreadable.iter().any(|(issue, _)| issue == told));
        for (issue, uid) in unreadable {
            if self.told_unreadable.insert(issue.clone()) {
                warn!({ fields::OBJECT } = issue.object.to_string(), { fields::ERROR } = issue.message, "left out");
                self.context.events.tell(telling_unreadable(issue, uid));
            }
        }
    }

    fn list_afresh(&mut self, now: Timestamp) {
        if self.lists.is_empty() {
            let stores = Arc::clone(&self.context.stores);
            self.lists.spawn(async move { (now, stores.services.list_fresh(LIST_LIMIT).await.is_ok()) });
        }
    }

    /// Starts as many of the waiting actions as may be under way.
    fn start_writes(&mut self) {
        if self.rest_until.is_some_and(|until| until > clock::now()) {
            return;
        }
        while self.writes.len() < WRITES_AT_ONCE {
            let Some(Planned { id, action }) = self.waiting.pop_front() else { return };
            if let Action::Emit(event) = action {
                self.context.events.tell(telling(event));
                continue;
            }
            let (writer, term) = (self.context.writer.clone(), self.term.clone());
            let (category, object) = (action.category(), action.object().to_string());
            self.writes.spawn(async move {
                // Asked at the last moment: between the decision and here the process may have been stopped for long.
                let was_sent = term.is_valid(clock::now());
                let outcome = if was_sent {
                    act(&writer, action).await
                } else {
                    ironlb_k8s::Outcome::Unreachable { message: "no longer the leader".to_owned() }
                };
                Ended { id, action: category, object, outcome, was_sent }
            });
        }
    }

    /// Tells the memory what became of a write.
    fn note(&mut self, done: Result<Ended, tokio::task::JoinError>) {
        let Ended { id, action, object, outcome, was_sent } = match done {
            Ok(ended) => ended,
            // A write task does nothing but wait for an answer, so this is a fault of ours; going on would leave its object
            // unwritten for ever, while another leader starts with a clean memory.
            Err(error) => std::panic::resume_unwind(error.into_panic()),
        };
        let now = clock::now();
        self.context.metrics.wrote(action, if was_sent { outcome.category() } else { "NotSent" });
        match &outcome {
            // The API server has too much to do, which is no fault of the object's: everything waits as long as it asks for, at least.
            ironlb_k8s::Outcome::Refused { code: TOO_MANY, .. } => {
                let resting = self.rest_until.is_some_and(|until| until > now);
                if !resting {
                    let until = (now + self.throttled.failed()).max(self.context.throttle.until());
                    info!(millis = until.since(now).as_millis(), "the API server asks for fewer requests; resting");
                    self.rest_until = Some(until);
                }
            }
            ironlb_k8s::Outcome::Refused { code, message } => {
                warn!(
                    { fields::OBJECT } = object,
                    action, code, message, "the API server refuses a write; trying again later"
                );
            }
            ironlb_k8s::Outcome::Unreachable { message } | ironlb_k8s::Outcome::Unknown { message } => {
                debug!({ fields::OBJECT } = object, action, message, "no answer to a write");
                // While others get their answers, one slow object (a webhook, perhaps) is no reason to let them wait.
                let is_alone = self.answered.is_some_and(|at| now.since(at) < REQUEST_TIMEOUT);
                if !is_alone || matches!(outcome, ironlb_k8s::Outcome::Unreachable { .. }) {
                    self.rest_until = Some(now + REST);
                }
                if was_sent && matches!(outcome, ironlb_k8s::Outcome::Unknown { .. }) {
                    self.unsettled_until = Some(now + REQUEST_TIMEOUT);
                }
            }
            written => {
                self.throttled.worked();
                debug!({ fields::OBJECT } = object, action, outcome = written.category(), "wrote");
            }
        }
        if !matches!(outcome, ironlb_k8s::Outcome::Unreachable { .. } | ironlb_k8s::Outcome::Unknown { .. }) {
            self.answered = Some(now);
        }
        let told: Outcome = told(outcome);
        self.memory.on_written(id, told, now);
    }
}

/// The earlier of a moment that may be none, and another.
fn sooner(one: Option<Timestamp>, other: Timestamp) -> Option<Timestamp> {
    Some(one.map_or(other, |at| at.min(other)))
}
