//! Where this speaker stands with its node's turn: taking it, giving it up, and what only who has it does.

use std::sync::Arc;
use std::time::Duration;

use ironlb_announce::BgpPlan;
use ironlb_model::{Snapshot, Timestamp};
use tracing::info;

use super::{Answer, Speaker};
use crate::bgp::Going;
use crate::hand_over::{Request, Turn};

/// How long an older speaker of this node is kept for sessions with routers to come up again. Chosen: one that does not come up in
/// this time was down before.
const SESSIONS_WITHIN: Duration = Duration::from_secs(10);

/// Where this speaker stands with its node's turn.
pub(super) enum Standing {
    /// It has not asked for it: there is no snapshot yet.
    Preparing,
    /// It asks for it.
    Asking,
    /// It speaks for the node since that moment, with the turn or, where none can be had, without.
    Speaking(Option<Turn>, Timestamp),
    /// Another one has asked for it: the sessions are being given up.
    GivingUp(Turn, Request),
    /// Another one has it.
    GivenUp,
}

impl Speaker {
    /// Another speaker of this node is ready to take over: ends the sessions with routers in the way that keeps the routes. The Lease is
    /// left to the other one to take.
    pub(super) fn give_up(&mut self, request: Request) {
        info!("another speaker of this node takes over: giving up the sessions with routers");
        let standing = std::mem::replace(&mut self.standing, Standing::GivenUp);
        if let Standing::Speaking(Some(turn), _) = standing {
            self.standing = Standing::GivingUp(turn, request);
        }
        self.leave_bgp(Going::ToComeBack);
    }

    /// Does this speaker speak for its node? If it could and does not yet, it asks for its turn.
    pub(super) fn speaks(&mut self) -> bool {
        if matches!(self.standing, Standing::Preparing) {
            self.standing = Standing::Asking;
            let state = self.context.state.clone();
            self.answers.spawn(async move { Answer::Taken(Turn::take(state).await) });
        }
        !matches!(self.standing, Standing::Preparing | Standing::Asking)
    }

    /// Opens the gate once everything is as an older speaker of this node had it: the Lease is ours, or nobody's for want of an API server,
    /// and the sessions are up again, or take longer than others should wait for.
    pub(super) fn open_gate(&self, plan: Option<&BgpPlan>, now: Timestamp) {
        let Standing::Speaking(_, since) = self.standing else { return };
        let has_standing = self.membership.valid_until().is_some() || self.fallback.is_stale();
        let established = self.context.speaking.established();
        let are_up = plan.is_none_or(|plan| plan.sessions.keys().all(|peer| established.contains(peer)));
        if has_standing && (are_up || now.since(since) >= SESSIONS_WITHIN) {
            self.context.gate.open();
        }
    }

    /// Keeps the snapshot for the next speaker of this node, where one is due. Only who speaks does.
    pub(super) fn keep(&mut self, snapshot: &Snapshot, now: Timestamp) {
        if !matches!(self.standing, Standing::Speaking(..)) {
            return;
        }
        let stores = Arc::clone(&self.context.stores);
        let password = |name: &str, key: &str| stores.password(name, key).ok();
        let answering = self.memory.applied.answering.keys().copied().collect();
        if let Some(write) = self.fallback.keep(snapshot, &password, answering, now) {
            self.answers.spawn_blocking(move || Answer::Kept(write()));
        }
    }
}

/// Waits until another speaker asks for the turn; for ever where there is none to be asked for. Cancel-safe.
pub(super) async fn asked(standing: &Standing) -> Request {
    match standing {
        Standing::Speaking(Some(turn), _) => turn.asked().await,
        _ => std::future::pending().await,
    }
}
