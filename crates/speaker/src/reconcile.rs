//! The loop of the speaker: observe, decide, act.
//!
//! 1. Wait until something has changed, an answer has come, or something is due.
//! 2. Tell membership what the watches, the API server and the wire have shown, and carry out what it asks for.
//! 3. Decide what this node should own and answer for: [`ironlb_announce::step`]; tell membership what it should own.
//! 4. Answer for what is both decided and confirmed, and for nothing else; move the fence.
//! 5. Report, where there is something new to tell (`reporting.rs`).
//!
//! Before the first decision it takes its node's turn from another speaker of the node, if there is one (`turn.rs`).

mod reporting;
mod turn;

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use ironlb_announce::{Action, LocalView, Memory, drain, step};
use ironlb_k8s::{NodeLease, NodeLeases, Outcome, Stores, Writer, clock};
use ironlb_layer2::{Layer2, Observation, serves};
use ironlb_membership::{Config, Incarnation, Input, Membership, Notice, Output, Timing};
use ironlb_model::{InterfaceName, Interfaces, IpFamily, NodeName, Settings, Timestamp, WallTime};
use ironlb_telemetry::{Gate, fields};
use tokio::sync::{mpsc, watch};
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;
use tracing::{debug, info, warn};

use self::turn::{Standing, asked};
use crate::aggregates::Aggregates;
use crate::bgp::{Due, Going, Keys, Speaking};
use crate::conflicts::Conflicts;
use crate::fallback::Fallback;
use crate::hand_over::Turn;
use crate::lease;
use crate::metrics::SpeakerMetrics;
use crate::resume::{Heard, Resumption};
use crate::routes::Routes;
use crate::state_directory::StateDirectory;
use crate::status::Telling;

/// Changes within this time are decided on together. Chosen: a list of 10,000 arrives as a handful of decisions, and nobody feels it.
const MERGE: Duration = Duration::from_millis(5);

/// After a failure of ours to act (an interface's thread, the report) it is tried again this much later. Chosen: a person would.
const RETRY: Duration = Duration::from_secs(1);

/// How long the report may stand still in the wake of a refusal. Chosen: a missing right is mended by people, not by asking.
const REFUSED_RETRY: Duration = Duration::from_secs(10);

/// What the loop works with.
#[derive(Debug)]
pub(crate) struct Context {
    pub(crate) node: NodeName,
    pub(crate) incarnation: String,
    pub(crate) settings: Settings,
    pub(crate) stores: Arc<Stores>,
    pub(crate) leases: NodeLeases,
    pub(crate) writer: Writer,
    pub(crate) layer2: Arc<Layer2>,
    pub(crate) observations: mpsc::Receiver<Observation>,
    pub(crate) metrics: SpeakerMetrics,
    /// The sessions with routers.
    pub(crate) speaking: Speaking,
    /// What outlives this process.
    pub(crate) state: Option<StateDirectory>,
    /// Version and commit.
    pub(crate) version: String,
    /// Opens when this speaker speaks for its node: an older one may go then.
    pub(crate) gate: Gate,
}

/// An answer from the API server.
enum Answer {
    /// To a renewal of our Lease.
    Renewed(Outcome),
    /// To a list of all Leases, begun at this moment.
    Listed(Timestamp, Option<Vec<NodeLease>>),
    /// To a report.
    Reported(Box<Telling>, Outcome),
    /// To a key in the status of a BgpConf or BgpPeer.
    Keyed(Due, Outcome),
    /// None, but it has come to its end: the sessions with routers are over.
    LeftBgp,
    /// This node's turn, or that there is none to be had.
    Taken(Option<Turn>),
    /// Of the LAN, who has what this node answered for.
    Heard(Heard),
    /// To the writing of the kept snapshot.
    Kept(std::io::Result<()>),
}

struct Speaker {
    context: Context,
    timing: Timing,
    membership: Membership,
    interfaces: watch::Receiver<Arc<Interfaces>>,
    routes: Routes,
    aggregates: Aggregates,
    memory: Memory,
    /// The Leases as membership was last told of them.
    told: BTreeMap<NodeName, Arc<NodeLease>>,
    answers: JoinSet<Answer>,
    /// Since when each vip is answered, for people.
    since: BTreeMap<IpAddr, WallTime>,
    conflicts: Conflicts,
    reporting: bool,
    reported: Option<Telling>,
    report_not_before: Timestamp,
    /// This node's keys in the statuses of BgpConf and BgpPeers.
    keys: Keys,
    /// A vip could not be answered or silenced: another round is due then.
    retry_at: Option<Timestamp>,
    /// There has been a snapshot.
    has_decided: bool,
    /// This node's Lease is given back.
    has_left: bool,
    /// The sessions with routers are over.
    has_left_bgp: bool,
    /// This node was being emptied when that was last looked at.
    is_drained: bool,
    standing: Standing,
    fallback: Fallback,
    resumption: Resumption,
}

/// Runs until `shutdown`, and then until this node's Lease is given back and its sessions with routers are over.
pub(crate) async fn run(context: Context, shutdown: CancellationToken) {
    let timing = Timing::lease();
    let incarnation = Incarnation(context.incarnation.clone());
    let now = clock::now();
    let fallback = Fallback::open(context.state.clone(), &context.version, now);
    let mut speaker = Speaker {
        resumption: Resumption::of(fallback.answered()),
        fallback,
        membership: Membership::new(Config { node: context.node.clone(), incarnation, timing }),
        interfaces: context.layer2.interfaces(),
        timing,
        context,
        routes: Routes::default(),
        aggregates: Aggregates::default(),
        memory: Memory::default(),
        told: BTreeMap::new(),
        answers: JoinSet::new(),
        since: BTreeMap::new(),
        conflicts: Conflicts::default(),
        reporting: false,
        reported: None,
        report_not_before: Timestamp::ZERO,
        keys: Keys::default(),
        retry_at: None,
        has_decided: false,
        has_left: false,
        has_left_bgp: false,
        is_drained: false,
        standing: Standing::Preparing,
    };
    speaker.serve(shutdown).await;
}

impl Speaker {
    async fn serve(&mut self, shutdown: CancellationToken) {
        let mut due = Some(clock::now());
        let mut is_leaving = false;
        while !(self.has_left && self.has_left_bgp) {
            let now = clock::now();
            if !self.has_left && due.is_some_and(|at| at <= now) {
                due = self.round(now).await;
            }
            if self.has_left {
                // Another speaker of this node has its Lease, or it is given back.
                self.leave_bgp(Going::ToComeBack);
                due = None;
            }
            tokio::select! {
                () = shutdown.cancelled(), if !is_leaving => {
                    is_leaving = true;
                    self.leave_bgp(if self.is_drained { Going::ForGood } else { Going::ToComeBack });
                    self.tell(Input::Shutdown).await;
                    due = Some(clock::now());
                }
                () = self.context.stores.signal.raised() => due = sooner(due, clock::now() + MERGE),
                // Leases are not merged: each is a sign of life, and handing them on costs microseconds.
                () = self.context.stores.lease_signal.raised() => {
                    // Of the first lists that of the Leases may be the last, and then no other signal says that there is a snapshot.
                    if self.hear_leases().await || !self.has_decided {
                        due = Some(clock::now());
                    }
                    due = earliest(due, self.membership.poll_timeout());
                }
                Ok(()) = self.interfaces.changed() => {
                    self.routes.grow_old();
                    due = sooner(due, clock::now() + MERGE);
                }
                request = asked(&self.standing) => self.give_up(request),
                () = self.context.speaking.changed() => due = sooner(due, clock::now() + MERGE),
                Some(observation) = self.context.observations.recv() => {
                    self.observe(observation).await;
                    due = Some(clock::now());
                }
                Some(answer) = self.answers.join_next() => {
                    match answer {
                        Ok(answer) => self.take_in(answer).await,
                        // A task that only waits for an answer has panicked: a fault of ours. Without the answer membership would
                        // wait for ever, so this process ends and the next one begins anew.
                        Err(error) => std::panic::resume_unwind(error.into_panic()),
                    }
                    due = Some(clock::now());
                }
                () = clock::sleep_until(due) => (),
            }
        }
    }

    /// Begins to end the sessions with routers, once.
    fn leave_bgp(&mut self, going: Going) {
        if let Some(leaving) = self.context.speaking.leave(going, clock::now()) {
            self.answers.spawn(async move {
                leaving.await;
                Answer::LeftBgp
            });
        }
    }

    /// Steps 2 to 5; returns when the next round is due.
    async fn round(&mut self, now: Timestamp) -> Option<Timestamp> {
        self.membership.handle_timeout(now);
        self.carry_out().await;
        self.hear_leases().await;
        self.resumption.pass(now, &self.timing);
        self.conflicts.forget_old(now);
        let mut wake_at = None;
        let lists = self.context.stores.snapshot(&self.context.settings);
        let is_fresh = lists.is_some();
        let snapshot = self.fallback.snapshot(lists, &self.context.settings, (now, clock::wall_time()));
        self.context.metrics.stale(self.fallback.is_stale());
        self.has_decided |= snapshot.is_some();
        if let Some(snapshot) = snapshot.filter(|_| self.speaks()) {
            self.membership.handle_input(now, Input::Ready(true));
            self.is_drained = snapshot.nodes.get(&self.context.node).is_some_and(|node| node.drain.is_some());
            self.routes.refresh(&snapshot, now).await;
            self.aggregates.refresh(now).await;
            // Claims may be confirmed, or lost, by what the decision itself brings about; the second look finds nothing new.
            for _ in 0..2 {
                let view = self.view();
                let step = step(&snapshot, &view, &mut self.memory, now);
                self.membership
                    .handle_input(now, Input::Macs(step.announcements.report.macs.iter().copied().collect()));
                self.membership.handle_input(now, Input::Wanted(step.wanted));
                let has_changed = self.carry_out().await;
                self.answer(&step.actions, now).await;
                if let Some(plan) = &step.announcements.bgp {
                    let (stores, fallback) = (&self.context.stores, &self.fallback);
                    let kept = |name: &str, key: &str, said| fallback.password(name, key).ok_or(said);
                    let passwords =
                        |name: &str, key: &str| stores.password(name, key).or_else(|said| kept(name, key, said));
                    self.context.speaking.apply(plan, &snapshot, &self.context.node, &passwords);
                }
                self.context.metrics.decided(&step.announcements, self.memory.applied.answering.len());
                let drain = drain(&snapshot, &self.context.node, &step.announcements);
                wake_at = earliest(step.wake_at, self.report(&step.announcements, drain, &step.actions, now));
                if self.fallback.is_stale() {
                    let wanted = step.announcements.layer2.iter().map(|(vip, spec)| (*vip, spec.interface.clone()));
                    self.resumption.ask(wanted, &self.interfaces.borrow(), &mut self.answers, Answer::Heard);
                }
                wake_at = earliest(wake_at, self.write_keys(step.announcements.bgp.as_ref(), &snapshot, now));
                self.open_gate(step.announcements.bgp.as_ref(), now);
                self.aggregates.want(step.announcements.bgp.as_ref());
                if !has_changed {
                    break;
                }
            }
            if is_fresh {
                self.keep(&snapshot, now);
            }
        }
        self.move_fence();
        self.context.metrics.stands(&self.membership);
        let due = [
            wake_at,
            self.membership.poll_timeout(),
            self.routes.due(),
            self.aggregates.due(),
            self.retry_at.take(),
            self.conflicts.due(),
            self.fallback.due(),
            self.resumption.resumed().poll_timeout(&self.timing),
        ];
        due.into_iter().flatten().min()
    }

    /// What this process knows beside the snapshot.
    fn view(&mut self) -> LocalView {
        LocalView {
            interfaces: self.interfaces.borrow_and_update().as_ref().clone(),
            can_reach: self.routes.known().clone(),
            candidates: self.membership.candidates(),
            owners: self.membership.owners(),
            may_answer: &self.membership.may_answer() | self.resumption.resumed().held(),
            ready: true,
            layer2: [IpFamily::V4, IpFamily::V6].into_iter().filter(|family| serves(*family)).collect(),
            bgp: true,
            established: self.context.speaking.established(),
            looping: self.aggregates.looping().clone(),
            ..LocalView::new(self.context.node.clone())
        }
    }

    /// Tells membership something and carries out what follows.
    async fn tell(&mut self, input: Input) {
        self.membership.handle_input(clock::now(), input);
        self.carry_out().await;
    }

    /// Tells membership of every Lease that the watch has shown since last time; true when a getter's answer may have changed.
    async fn hear_leases(&mut self) -> bool {
        let shown = self.context.stores.leases.objects();
        if !shown.is_empty() {
            self.end_resumption().await;
        }
        let now = clock::now();
        for (node, lease) in &shown {
            if self.told.get(node).is_none_or(|told| told.version != lease.version) {
                self.membership.handle_input(now, Input::Lease(lease::seen(lease)));
            }
        }
        let version = self.context.stores.leases.version();
        for node in self.told.keys().filter(|node| !shown.contains_key(*node)) {
            self.membership.handle_input(now, Input::LeaseGone { node: node.clone(), version });
        }
        self.told = shown;
        let has_changed = self.carry_out().await;
        self.move_fence();
        has_changed
    }

    /// Carries out what membership asks for, in its order; true when a getter's answer may have changed.
    async fn carry_out(&mut self) -> bool {
        let mut has_changed = false;
        while let Some(output) = self.membership.poll_output() {
            match output {
                Output::StopAnswering(vips) => self.silence(&vips).await,
                Output::Renew(write) => {
                    let (leases, limit) = (self.context.leases.clone(), self.timing.request_timeout);
                    let write = lease::write(&self.context.node, write, &self.timing);
                    self.answers.spawn(async move { Answer::Renewed(leases.write(&write, limit).await) });
                }
                Output::List => {
                    let (leases, limit) = (self.context.leases.clone(), self.timing.request_timeout);
                    let begun = clock::now();
                    self.answers.spawn(async move { Answer::Listed(begun, leases.list(limit).await) });
                }
                Output::Changed => has_changed = true,
                Output::Notice(notice) => {
                    self.context.metrics.noticed(&notice);
                    log(&notice);
                }
                Output::Left => self.has_left = true,
            }
        }
        has_changed
    }

    async fn take_in(&mut self, answer: Answer) {
        match answer {
            Answer::Renewed(outcome) => {
                self.context.metrics.renewed(outcome.category());
                if !matches!(outcome, Outcome::Written { .. } | Outcome::Unchanged { .. }) {
                    debug!(?outcome, "this node's Lease was not renewed");
                }
                self.tell(lease::renewed(&outcome)).await;
            }
            Answer::Listed(started, Some(leases)) => {
                self.end_resumption().await;
                let leases = leases.iter().map(lease::seen).collect();
                self.tell(Input::Listed { started, leases }).await;
            }
            Answer::Listed(_, None) => self.tell(Input::ListFailed).await,
            Answer::Reported(telling, outcome) => self.note_report(*telling, &outcome),
            Answer::Keyed(due, outcome) => self.note_key(due, &outcome),
            Answer::LeftBgp => {
                self.has_left_bgp = true;
                match std::mem::replace(&mut self.standing, Standing::GivenUp) {
                    Standing::GivingUp(turn, request) => turn.give(request).await,
                    other => self.standing = other,
                }
            }
            Answer::Taken(turn) => self.standing = Standing::Speaking(turn, clock::now()),
            Answer::Heard(heard) => self.resumption.hear(heard, clock::now()),
            Answer::Kept(outcome) => self.fallback.was_written(&outcome),
        }
        self.move_fence();
    }

    /// Leases can be read again and say what is whose: what was gone on with without them ends before they are acted on.
    async fn end_resumption(&mut self) {
        let held = self.resumption.end();
        if !held.is_empty() {
            self.silence(&held).await;
        }
    }

    /// A frame was seen in which another station claims a vip of ours.
    async fn observe(&mut self, observation: Observation) {
        let Observation::ForeignClaim { interface, vip, mac, .. } = observation;
        if self.resumption.lose(vip) {
            warn!({ fields::VIP } = %vip, { fields::MAC } = %mac, "somebody else says that he has it: silent until the API server answers");
            self.silence(&[vip].into()).await;
        }
        if let Some(member) = self.membership.member_macs().get(&mac) {
            let member = member.clone();
            self.tell(Input::ForeignClaim { vip, member }).await;
            return;
        }
        if self.conflicts.heard(vip, mac, clock::wall_time(), clock::now()) {
            warn!(
                { fields::VIP } = %vip, { fields::MAC } = %mac, { fields::IFACE } = %interface,
                "another host claims this vip: find it by its Ethernet address, or exclude the address from its Eip"
            );
        }
    }

    /// Stops answering for these vips, now.
    async fn silence(&mut self, vips: &BTreeSet<IpAddr>) {
        let applied = &self.memory.applied.answering;
        let silenced: Vec<Action> = vips
            .iter()
            .filter_map(|vip| {
                let interface = applied.get(vip)?.clone();
                Some(Action::StopAnswering { vip: *vip, interface })
            })
            .collect();
        self.answer(&silenced, clock::now()).await;
    }

    /// Carries out those of the actions that concern answering. Removals come first, as [`Layer2::set`] does them.
    async fn answer(&mut self, actions: &[Action], now: Timestamp) {
        let mut wanted = self.memory.applied.answering.clone();
        let mut is_changed = false;
        for action in actions {
            match action {
                Action::StopAnswering { vip, .. } => {
                    is_changed |= wanted.remove(vip).is_some();
                }
                Action::Answer { vip, interface, .. } => {
                    wanted.insert(*vip, interface.clone());
                    is_changed = true;
                }
                Action::Report(_) => (),
            }
        }
        if !is_changed {
            return;
        }
        let outcome = self.context.layer2.set(by_interface(&wanted)).await;
        for action in actions {
            match action {
                // Removals are in effect even when something else failed.
                Action::StopAnswering { vip, interface } => {
                    self.memory.applied.record(action, now);
                    if !wanted.contains_key(vip) {
                        self.since.remove(vip);
                        info!({ fields::VIP } = %vip, { fields::IFACE } = %interface, "stopped answering");
                    }
                }
                Action::Answer { vip, interface, service } if outcome.is_ok() => {
                    self.memory.applied.record(action, now);
                    self.since.entry(*vip).or_insert_with(clock::wall_time);
                    info!(
                        { fields::VIP } = %vip, { fields::IFACE } = %interface, { fields::SERVICE } = %service,
                        "answering"
                    );
                }
                Action::Answer { .. } | Action::Report(_) => (),
            }
        }
        if let Err(error) = outcome {
            warn!({ fields::ERROR } = %error, "cannot answer on every interface; trying again");
            self.retry_at = sooner(self.retry_at, now + RETRY);
        }
    }

    /// Until when may anything be answered? What was lost has been taken away by now.
    fn move_fence(&self) {
        let until = self.membership.valid_until().or(self.resumption.resumed().valid_until(&self.timing));
        // Layer 2 takes "no limit" where membership has "not at all".
        self.context.layer2.set_valid_until(Some(until.unwrap_or(Timestamp::ZERO)));
    }
}

/// The vips of each interface.
fn by_interface(answering: &BTreeMap<IpAddr, InterfaceName>) -> BTreeMap<InterfaceName, BTreeSet<IpAddr>> {
    let mut out: BTreeMap<InterfaceName, BTreeSet<IpAddr>> = BTreeMap::new();
    for (vip, interface) in answering {
        out.entry(interface.clone()).or_default().insert(*vip);
    }
    out
}

/// Tells a turn of membership, at the level of who has to know.
fn log(notice: &Notice) {
    match notice {
        Notice::Joined => info!("holding this node's Lease"),
        Notice::Expired { node } => {
            warn!({ fields::NODE } = %node, "the node's Lease stood still for too long: counted as dead")
        }
        Notice::Frozen => warn!("the API server is silent: who owns what stays as it is"),
        Notice::Thawed => info!("the API server answers again"),
        Notice::Lapsed => {
            warn!("others may have counted this node out: answering nothing until our claims are confirmed")
        }
        Notice::Superseded { by } => info!(by = by.0, "another speaker of this node took over"),
        Notice::Gained { vip, epoch } => info!({ fields::VIP } = %vip, %epoch, "owning"),
        Notice::Yielded { vip, to, epoch } => info!({ fields::VIP } = %vip, to = %to, %epoch, "yielded"),
        Notice::ForeignClaim { vip, member } => {
            warn!({ fields::VIP } = %vip, { fields::NODE } = %member, "a member claims our vip: silent until we know better");
        }
        Notice::ClaimsFull { left_out } => warn!(left_out, "the Lease has no room for more claims"),
    }
}

/// The earlier of a moment that may be none, and another.
fn sooner(one: Option<Timestamp>, other: Timestamp) -> Option<Timestamp> {
    earliest(one, Some(other))
}

/// The earlier of two moments that may be none.
fn earliest(one: Option<Timestamp>, other: Option<Timestamp>) -> Option<Timestamp> {
    [one, other].into_iter().flatten().min()
}
