//! Contending for leadership: the loop around [`Election`], and the claim that is asked before every write.
//!
//! Beside the loop runs a watch of the one Lease, so that a candidate sees at once that it was renewed or given back. It is a hint and
//! decides nothing: what counts is read, and without the watch it is read every period.

use std::convert::Infallible;
use std::time::Duration;

use futures::StreamExt;
use ironlb_model::Timestamp;
use k8s_openapi::api::coordination::v1::{Lease, LeaseSpec};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{MicroTime, ObjectMeta};
use kube::api::{PostParams, WatchParams};
use kube::{Api, Client};
use tokio::sync::{Notify, watch};
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;
use tracing::{debug, info, warn};

use crate::backoff::random_below;
use crate::clock;
use crate::election::{Claim, Election, Epoch, Failure, Next, Record, Timing};
use crate::outcome::{Outcome, outcome_of};
use crate::watch::with_causes;
use crate::write::CONTROLLER_MANAGER;

/// Which Lease is contended for, and by whom.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Candidacy {
    /// The Lease's namespace.
    pub namespace: String,
    /// The Lease's name.
    pub lease: String,
    /// Names this life of the candidate; no other may have it.
    pub identity: String,
    /// The lengths of time; checked ([`Timing::check`]).
    pub timing: Timing,
}

/// How leadership stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
struct State {
    epoch: Option<Epoch>,
    /// The Lease was free when it was taken: nobody's request can be under way.
    was_free: bool,
}

/// The right to lead, as far as it goes.
#[derive(Debug)]
pub struct Leadership {
    state: watch::Receiver<State>,
    /// The last term that was handed out.
    last: Option<i32>,
}

/// One term of leadership: valid until the epoch runs out without being renewed, or another begins.
#[derive(Debug, Clone)]
pub struct Term {
    token: i32,
    /// No request of an earlier term can be under way: the Lease was given back by whoever had it, after the answers to all its requests,
    /// or was not there. Not so where this process itself led before and lost it only to the clock.
    pub was_free: bool,
    state: watch::Receiver<State>,
}

impl Leadership {
    /// Starts contending, as a task that ends once `resign` is cancelled and the Lease, if it was ours, is given back. Whoever cancels it
    /// has no request of a leader under way any more.
    #[must_use]
    pub fn contend(
        client: Client,
        candidacy: Candidacy,
        resign: CancellationToken,
        tasks: &mut JoinSet<&'static str>,
    ) -> Self {
        let (publish, state) = watch::channel(State::default());
        tasks.spawn(async move {
            let changed = Notify::new();
            let contender = Contender::new(client, candidacy, publish);
            let watched = look_out(contender.api.clone(), contender.candidacy.clone(), &changed);
            tokio::select! {
                () = contender.run(resign, &changed) => "leadership",
                never = watched => match never {},
            }
        });
        Self { state, last: None }
    }

    /// Waits until this process leads. Cancel-safe.
    pub async fn gained(&mut self) -> Option<Term> {
        let state = *self.state.wait_for(|state| state.epoch.is_some_and(|e| e.is_valid(clock::now()))).await.ok()?;
        let token = state.epoch?.token;
        let was_free = state.was_free && self.last != Some(token);
        self.last = Some(token);
        Some(Term { token, was_free, state: self.state.clone() })
    }
}

impl Term {
    /// Is it valid at this moment? Asked before every write: a process that was stopped finds itself deposed.
    #[must_use]
    pub fn is_valid(&self, now: Timestamp) -> bool {
        self.current().is_some_and(|epoch| epoch.is_valid(now))
    }

    fn current(&self) -> Option<Epoch> {
        self.state.borrow().epoch.filter(|epoch| epoch.token == self.token)
    }

    /// Waits until it is over. Cancel-safe.
    pub async fn ended(&mut self) {
        while let Some(epoch) = self.current() {
            let left = epoch.valid_until.since(clock::now());
            if left.is_zero() {
                return;
            }
            tokio::select! {
                // Renewed, or lost; a candidacy that has ended renews nothing more, so the time runs out by itself.
                changed = self.state.changed() => if changed.is_err() { tokio::time::sleep(left).await },
                () = tokio::time::sleep(left) => (),
            }
        }
    }
}

/// Watches the Lease for ever and tells of every change; whatever goes wrong with the watch costs no more than a period.
async fn look_out(api: Api<Lease>, candidacy: Candidacy, changed: &Notify) -> Infallible {
    let of_the_one = format!("metadata.name={}", candidacy.lease);
    let params = WatchParams::default().fields(&of_the_one).timeout(WATCH_SECONDS);
    loop {
        // From any version: that the first thing heard may be old does no harm.
        if let Ok(events) = api.watch(&params, "0").await {
            let mut events = std::pin::pin!(events);
            while let Some(Ok(_)) = events.next().await {
                changed.notify_one();
            }
        }
        tokio::time::sleep(candidacy.timing.retry_period).await;
    }
}

/// How long one watch of the Lease may last. Chosen: kube takes less than 295 s, and opening one costs little.
const WATCH_SECONDS: u32 = 240;

struct Contender {
    api: Api<Lease>,
    candidacy: Candidacy,
    election: Election,
    publish: watch::Sender<State>,
    was_free: bool,
    acquired: Option<jiff::Timestamp>,
    in_trouble: bool,
    /// Who holds the Lease, as last logged.
    told_holder: Option<String>,
}

impl Contender {
    fn new(client: Client, candidacy: Candidacy, publish: watch::Sender<State>) -> Self {
        let api = Api::namespaced(client, &candidacy.namespace);
        let election = Election::new(candidacy.identity.clone(), candidacy.timing);
        Self {
            api,
            candidacy,
            election,
            publish,
            was_free: false,
            acquired: None,
            in_trouble: false,
            told_holder: None,
        }
    }

    async fn run(mut self, resign: CancellationToken, changed: &Notify) {
        let mut is_resigning = false;
        let give_up = self.candidacy.timing.request_timeout * 2;
        let mut until = None;
        loop {
            if resign.is_cancelled() && !is_resigning {
                is_resigning = true;
                until = Some(clock::now() + give_up);
                self.election.stop();
                self.tell();
            }
            if until.is_some_and(|until| until <= clock::now()) {
                warn!("the Lease could not be given back: the others wait until it expires");
                return;
            }
            match self.election.next(clock::now()) {
                Next::Done => return,
                Next::Read => self.read().await,
                Next::Write(claim) => self.write(claim).await,
                Next::Wait(at) => {
                    tokio::select! {
                        () = tokio::time::sleep(at.since(clock::now()) + self.spread()) => (),
                        () = changed.notified() => self.election.hint(clock::now()),
                        () = resign.cancelled(), if !is_resigning => (),
                    }
                }
            }
            self.tell();
        }
    }

    fn tell(&mut self) {
        let holder = self.election.holder();
        if holder != self.told_holder.as_deref() {
            self.told_holder = holder.map(str::to_owned);
            let lease = &self.candidacy.lease;
            match holder {
                Some(holder) if holder == self.candidacy.identity => info!(lease, "holds the leader's Lease"),
                Some(holder) => info!(lease, holder, "another replica holds the leader's Lease"),
                None => info!(lease, "the leader's Lease is free"),
            }
        }
        let state = State { epoch: self.election.epoch(clock::now()), was_free: self.was_free };
        self.publish.send_if_modified(|now| std::mem::replace(now, state) != state);
    }

    /// Replicas that start together must not ask together for ever: all but the leader wait up to a fifth of a period longer, which is
    /// client-go's factor and leaves a Lease that was given back lying for less than 3 s.
    fn spread(&self) -> Duration {
        if self.election.epoch(clock::now()).is_some() {
            return Duration::ZERO;
        }
        let most = self.candidacy.timing.retry_period / 5;
        Duration::from_nanos(random_below(u64::try_from(most.as_nanos()).unwrap_or(u64::MAX)))
    }

    async fn read(&mut self) {
        let limit = self.candidacy.timing.request_timeout;
        match tokio::time::timeout(limit, self.api.get_opt(&self.candidacy.lease)).await {
            Ok(Ok(found)) => {
                self.works();
                self.election.on_read(clock::now(), found.as_ref().map(record));
            }
            Ok(Err(error)) => {
                self.trouble(&with_causes(&error));
                self.election.on_read_failed(clock::now());
            }
            Err(elapsed) => {
                self.trouble(&elapsed.to_string());
                self.election.on_read_failed(clock::now());
            }
        }
    }

    async fn write(&mut self, claim: Claim) {
        let was_free = self.election.holder().is_none();
        let renewed = jiff::Timestamp::now();
        if claim.is_taken {
            self.acquired = Some(renewed);
        }
        let lease = self.lease(&claim, renewed);
        let params = PostParams { field_manager: Some(CONTROLLER_MANAGER.to_owned()), ..PostParams::default() };
        let limit = self.candidacy.timing.request_timeout;
        let outcome = match claim.expected {
            None => outcome_of(limit, None, self.api.create(&params, &lease)).await,
            Some(_) => {
                outcome_of(limit, claim.expected, self.api.replace(&self.candidacy.lease, &params, &lease)).await
            }
        };
        let now = clock::now();
        match outcome {
            Outcome::Written { version } | Outcome::Unchanged { version } => {
                self.works();
                if claim.is_taken {
                    self.was_free = was_free;
                }
                self.election.on_written(now, &claim, renewed.as_microsecond(), version);
            }
            Outcome::Conflict => self.election.on_write_failed(now, Failure::Conflict),
            // Nothing there to replace is a conflict. No namespace to create it in is not, and is not tried again at once.
            Outcome::Gone if claim.expected.is_some() => self.election.on_write_failed(now, Failure::Conflict),
            failed => {
                self.trouble(&format!("{failed:?}"));
                self.election.on_write_failed(now, Failure::Unknown);
            }
        }
    }

    /// Logs only the change.
    fn works(&mut self) {
        if std::mem::take(&mut self.in_trouble) {
            info!(lease = self.candidacy.lease, "the leader's Lease can be read and written again");
        }
    }

    /// Logs only the change.
    fn trouble(&mut self, error: &str) {
        if std::mem::replace(&mut self.in_trouble, true) {
            debug!(lease = self.candidacy.lease, error, "the leader's Lease still cannot be read or written");
        } else {
            warn!(
                lease = self.candidacy.lease,
                error, "the leader's Lease cannot be read or written; it is tried again"
            );
        }
    }

    fn lease(&self, claim: &Claim, renewed: jiff::Timestamp) -> Lease {
        Lease {
            metadata: ObjectMeta {
                name: Some(self.candidacy.lease.clone()),
                resource_version: claim.expected.map(|version| version.to_string()),
                ..ObjectMeta::default()
            },
            spec: Some(LeaseSpec {
                holder_identity: Some(claim.holder.clone().unwrap_or_default()),
                lease_duration_seconds: i32::try_from(self.candidacy.timing.lease_duration.as_secs()).ok(),
                lease_transitions: Some(claim.transitions),
                acquire_time: self.acquired.map(MicroTime),
                renew_time: Some(MicroTime(renewed)),
                ..LeaseSpec::default()
            }),
        }
    }
}

fn record(lease: &Lease) -> (Record, ironlb_model::ResourceVersion) {
    let spec = lease.spec.as_ref();
    let seconds = spec.and_then(|s| s.lease_duration_seconds).and_then(|s| u64::try_from(s).ok()).unwrap_or_default();
    let record = Record {
        holder: spec.and_then(|s| s.holder_identity.clone()).filter(|holder| !holder.is_empty()),
        duration: Duration::from_secs(seconds),
        renewed: spec.and_then(|s| s.renew_time.as_ref()).map(|time| time.0.as_microsecond()),
        transitions: spec.and_then(|s| s.lease_transitions).unwrap_or_default(),
    };
    let version = ironlb_translate::parse_version(lease.metadata.resource_version.as_deref().unwrap_or_default());
    (record, version)
}
