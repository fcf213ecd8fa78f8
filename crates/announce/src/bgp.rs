//! What this node does in BGP: who it is, whom it has sessions with, and which vips it advertises there.
//!
//! Every eligible node advertises a vip, so nobody is elected: each node asks only whether it belongs to the best that can. What is
//! built here is the same for all peers; what one peer is told of it is worked out in [`routes`](crate::bgp::routes()), which takes what the
//! session has negotiated.
//!
//! A node that should step back (it is cordoned, or being emptied) does so only while another node that is better has a session that
//! is up: what holds for all nodes at once withdraws nothing.

mod advertised;
mod aggregates;
mod as_path;
mod own;
mod policy;
mod routes;
mod sessions;

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use ironlb_model::{Policy, Snapshot, Timestamp};

pub use advertised::VipRoute;
pub(crate) use advertised::advertised;
pub use own::{OwnBgp, router_id};
pub use routes::{RouteAttributes, RouteKey, RouteValue, SessionFacts, routes};
pub use sessions::{NoSession, RefusedPeer, SessionSpec};

use crate::decide::Vips;
use crate::{LocalView, Memory, Reason};

/// How long a vip that this node gives up is still advertised, with GRACEFUL_SHUTDOWN and a local preference of 0 (RFC 8326), before
/// it is withdrawn. Chosen: routers have taken the other path within a second, and what is in flight has arrived.
pub const SHUTDOWN_WAIT: Duration = Duration::from_secs(5);

/// What this node does in BGP.
#[derive(Debug, Clone, PartialEq)]
pub struct BgpPlan {
    /// Who this node is in BGP; an error is why it has no sessions at all.
    pub own: Result<OwnBgp, Reason>,
    /// The sessions to have, by the name of the BgpPeer.
    pub sessions: BTreeMap<String, SessionSpec>,
    /// The BgpPeers that select this node and have no session, by name.
    pub refused: BTreeMap<String, RefusedPeer>,
    /// The vips advertised by this node.
    pub vips: BTreeMap<IpAddr, VipRoute>,
    /// What the routes go through on their way.
    pub policy: Option<Arc<Policy>>,
}

impl BgpPlan {
    /// The BgpPeers that are told of a vip.
    pub(crate) fn peers_of<'a>(&'a self, route: &'a VipRoute) -> impl Iterator<Item = &'a String> {
        let wanted = route.eip.routes.peers.as_ref();
        self.sessions.keys().filter(move |peer| wanted.is_none_or(|peers| peers.contains(*peer)))
    }

    /// The vips that would be advertised, were one of their sessions established.
    pub(crate) fn without_session(&self, view: &LocalView) -> Vec<(IpAddr, Reason)> {
        let mut lonely = Vec::new();
        for (vip, route) in &self.vips {
            let peers: Vec<String> = self.peers_of(route).cloned().collect();
            if !peers.iter().any(|peer| view.established.contains(peer)) {
                lonely.push((*vip, Reason::NoSession { peers }));
            }
        }
        lonely
    }
}

/// The outcome for each vip whose Eip has protocol `bgp`, beside the plan.
pub(crate) struct Outcome {
    pub(crate) plan: BgpPlan,
    pub(crate) withheld: BTreeMap<IpAddr, Reason>,
    /// When time alone changes it.
    pub(crate) wake_at: Option<Timestamp>,
}

/// Decides it all.
pub(crate) fn plan(vips: &Vips<'_>, snapshot: &Snapshot, view: &LocalView, memory: &Memory, now: Timestamp) -> Outcome {
    let own = own::own(snapshot, view);
    let (sessions, refused) = match &own {
        Ok(own) => sessions::sessions(snapshot, view, own),
        Err(_) => (BTreeMap::new(), BTreeMap::new()),
    };
    let (mut advertised_vips, mut withheld, mut wake_at) = (BTreeMap::new(), BTreeMap::new(), None);
    let policy = policy_of(snapshot);
    match own.as_ref().err().or(policy.as_ref().err()) {
        Some(reason) => {
            for (vip, _) in advertised::of_protocol(vips, memory) {
                withheld.insert(vip, reason.clone());
            }
        }
        None => {
            for (vip, outcome) in advertised(vips, snapshot, view, memory, &sessions, now) {
                match outcome {
                    Ok(route) => {
                        wake_at = [wake_at, route.withdraw_at].into_iter().flatten().min();
                        advertised_vips.insert(vip, route);
                    }
                    Err(reason) => _ = withheld.insert(vip, reason),
                }
            }
        }
    }
    let policy = policy.ok().flatten();
    Outcome { plan: BgpPlan { own, sessions, refused, vips: advertised_vips, policy }, withheld, wake_at }
}

/// What the BgpConf has routes go through. One that is named and not there stops everything: it is not known what it would have let out.
fn policy_of(snapshot: &Snapshot) -> Result<Option<Arc<Policy>>, Reason> {
    let Some(name) = own::default_conf(snapshot).and_then(|conf| conf.policy.as_ref()) else { return Ok(None) };
    let read = snapshot.policies.get(name).cloned();
    read.map(Some).ok_or_else(|| Reason::PolicyUnreadable { config_map: name.clone() })
}

#[cfg(test)]
mod tests;
