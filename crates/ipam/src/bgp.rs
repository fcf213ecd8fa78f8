//! What BgpConfs and BgpPeers show of the nodes' sessions, and what is told when those come and go.

use std::collections::{BTreeMap, BTreeSet};
use std::net::Ipv4Addr;
use std::time::Duration;

use ironlb_model::{
    BgpConf, BgpPeer, Condition, ConditionStatus, IssueReason, NodeName, ObjectRef, Snapshot, Timestamp,
};

use crate::announced::is_condition_reason;
use crate::condition::{ACCEPTED, ESTABLISHED, READY, condition};
use crate::event::{Event, EventType, SESSION_DOWN, SESSION_UP};

/// How many nodes a message names at most. Chosen: who has more to mend sees what it is by three.
const MAX_NODES: usize = 3;

/// So long nothing more is told of one BgpPeer after something was; what happens meanwhile is told together then. Chosen: a rolling
/// restart of 100 nodes comes to a dozen Events, and a person who waits for one session is told at once.
const TELL_EVERY: Duration = Duration::from_secs(10);

/// So long a node has to be gone before what it left behind is removed. Chosen: many times what one watch lags behind another, so that
/// a speaker which is seen before its node loses nothing.
const GONE_FOR: Duration = Duration::from_mins(1);

/// Is it a condition that is made here?
pub(crate) fn is_bgp_condition(kind: &str) -> bool {
    [ACCEPTED, ESTABLISHED, READY].contains(&kind)
}

/// The sessions with one BgpPeer, by node: `Err` is why one is down, where that is known.
fn sessions<'a>(snapshot: &'a Snapshot, peer: &str) -> BTreeMap<&'a NodeName, Result<(), &'a str>> {
    let mut sessions = BTreeMap::new();
    for (node, report) in &snapshot.speakers {
        let Some(known) = snapshot.nodes.get(node) else { continue };
        let down = report.bgp.down.get(peer).map(|why| why.as_deref().unwrap_or("not established yet"));
        if !known.ready && (down.is_some() || report.bgp.established.contains(peer)) {
            // Its report may be the last one it ever made.
            sessions.insert(node, Err("the node is not Ready"));
        } else if let Some(why) = down {
            sessions.insert(node, Err(why));
        } else if report.bgp.established.contains(peer) {
            sessions.insert(node, Ok(()));
        }
    }
    sessions
}

/// What a BgpPeer is to show beside the faults in it.
pub(crate) fn peer_conditions(snapshot: &Snapshot, peer: &BgpPeer) -> Vec<Condition> {
    let object = ObjectRef::BgpPeer(peer.name.clone());
    let accepted = accepted(snapshot, &object, peer.peering.is_some());
    if peer.peering.is_none() {
        return vec![accepted];
    }
    vec![accepted, established(snapshot, &peer.name)]
}

/// Is it understood? Faults that leave it in use are told with what counts instead.
fn accepted(snapshot: &Snapshot, object: &ObjectRef, is_used: bool) -> Condition {
    let faults = || snapshot.issues.iter().filter(|issue| issue.object == *object);
    let told: Vec<String> = faults().map(|issue| format!("{}: {}", issue.field, issue.message)).collect();
    if !is_used {
        let is_ignored = faults().any(|issue| issue.reason == IssueReason::Ignored);
        let reason = if is_ignored { "Ignored" } else { "InvalidField" };
        return condition(ACCEPTED, ConditionStatus::False, reason, told.join("; "));
    }
    if told.is_empty() {
        return condition(ACCEPTED, ConditionStatus::True, "Accepted", "every field is understood".to_owned());
    }
    condition(ACCEPTED, ConditionStatus::True, "AcceptedWithFaults", told.join("; "))
}

fn established(snapshot: &Snapshot, peer: &str) -> Condition {
    let sessions = sessions(snapshot, peer);
    let up = sessions.values().filter(|session| session.is_ok()).count();
    let of = format!("established on {up} of {} nodes", sessions.len());
    let down: Vec<(&NodeName, &str)> =
        sessions.iter().filter_map(|(node, session)| Some((*node, (*session).err()?))).collect();
    let told: Vec<String> = down.iter().take(MAX_NODES).map(|(node, why)| format!("{node}: {why}")).collect();
    let more = down.len() - told.len();
    let rest = if more > 0 { format!("; and {more} more nodes") } else { String::new() };
    let (status, reason, message) = match (up, sessions.len()) {
        (_, 0) => {
            let is_on = snapshot
                .bgp_confs
                .values()
                .any(|conf| conf.own_side.as_ref().is_some_and(|own| own.asn.is_some() || own.as_per_rack.is_some()));
            let why = if is_on {
                "no node that it selects has reported a session yet"
            } else {
                "there is no BgpConf named default with an AS number"
            };
            (ConditionStatus::False, "NoSession", why.to_owned())
        }
        (up, all) if up == all => (ConditionStatus::True, "AllEstablished", of),
        (0, _) => {
            // Where no node can have a session, why not is the reason.
            let refused = refusal(snapshot, peer, &sessions).filter(|reason| is_condition_reason(reason));
            let message = format!("{of} ({}{rest})", told.join("; "));
            (ConditionStatus::False, refused.unwrap_or("NoneEstablished"), message)
        }
        _ => (ConditionStatus::False, "SomeDown", format!("{of} ({}{rest})", told.join("; "))),
    };
    condition(ESTABLISHED, status, reason, message)
}

/// The reason that all of these nodes have for not having a session at all, if there is one such.
fn refusal<'a>(
    snapshot: &'a Snapshot,
    peer: &str,
    sessions: &BTreeMap<&NodeName, Result<(), &str>>,
) -> Option<&'a str> {
    let reason = |node: &NodeName| snapshot.speakers.get(node)?.bgp.refused.get(peer).map(String::as_str);
    let mut reasons = sessions.keys().map(|node| reason(node));
    let first = reasons.next()??;
    reasons.all(|other| other == Some(first)).then_some(first)
}

/// What a BgpConf is to show beside the faults in it; nothing where it is not used.
pub(crate) fn conf_conditions(snapshot: &Snapshot, conf: &BgpConf) -> Vec<Condition> {
    let Some(own) = &conf.own_side else { return Vec::new() };
    let object = ObjectRef::BgpConf(conf.name.clone());
    let (status, reason, message) = if own.asn.is_none() && own.as_per_rack.as_ref().is_none_or(BTreeMap::is_empty) {
        (ConditionStatus::False, "NoAsn", "BGP is off: there is no AS number in spec.as".to_owned())
    } else if let Some((id, nodes)) = clash(snapshot, conf) {
        let named: Vec<&str> = nodes.iter().take(MAX_NODES).map(|node| node.as_str()).collect();
        let more = if nodes.len() > named.len() { ", ..." } else { "" };
        let remedy = if own.router_id.is_some() {
            "leave out spec.routerId, and each node uses its own address"
        } else {
            "give each node an InternalIP of its own"
        };
        let message =
            format!("{} nodes have the BGP identifier {id} ({}{more}): {remedy}", nodes.len(), named.join(", "));
        (ConditionStatus::False, "RouterIdClash", message)
    } else {
        (ConditionStatus::True, "Ready", "the nodes run BGP by it".to_owned())
    };
    vec![accepted(snapshot, &object, true), condition(READY, status, reason, message)]
}

/// The first BGP identifier that several nodes have.
fn clash<'a>(snapshot: &Snapshot, conf: &'a BgpConf) -> Option<(Ipv4Addr, Vec<&'a NodeName>)> {
    let mut by_id: BTreeMap<Ipv4Addr, Vec<&NodeName>> = BTreeMap::new();
    for (node, id) in conf.nodes.iter().filter(|(node, _)| snapshot.nodes.contains_key(*node)) {
        by_id.entry((*id)?).or_default().push(node);
    }
    by_id.into_iter().find(|(_, nodes)| nodes.len() > 1)
}

/// What the controller remembers of nodes and sessions.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct Watch {
    /// Whether each session was up, by BgpPeer and node; `None` before the first look.
    known: Option<BTreeMap<String, BTreeMap<NodeName, bool>>>,
    /// What is still to be told, by BgpPeer.
    pending: BTreeMap<String, Pending>,
    /// Until when nothing is told of a BgpPeer.
    quiet_until: BTreeMap<String, Timestamp>,
    /// Since when nodes that have left something behind have been seen to be gone.
    gone_since: BTreeMap<NodeName, Timestamp>,
}

#[derive(Debug, Clone, PartialEq, Eq, Default)]
struct Pending {
    up: BTreeSet<NodeName>,
    /// With the reason.
    down: BTreeMap<NodeName, String>,
}

impl Watch {
    /// What is to be told now, and when to look again.
    pub(crate) fn observe(&mut self, snapshot: &Snapshot, now: Timestamp) -> (Vec<Event>, Option<Timestamp>) {
        let mut known = BTreeMap::new();
        for (peer, object) in &snapshot.bgp_peers {
            let sessions = sessions(snapshot, peer);
            // What an earlier leader has looked at has a condition, and it has told of it.
            let is_old_news = self.known.is_none() && !object.conditions.is_empty();
            if !is_old_news {
                let before = self.known.as_ref().and_then(|known| known.get(peer));
                for (node, session) in &sessions {
                    let was_up = before.and_then(|nodes| nodes.get(*node)).copied().unwrap_or(false);
                    self.pending.entry(peer.clone()).or_default().note(node, was_up, *session);
                }
            }
            let states = sessions.into_iter().map(|(node, session)| (node.clone(), session.is_ok()));
            known.insert(peer.clone(), states.collect());
        }
        self.known = Some(known);
        self.quiet_until.retain(|peer, until| *until > now && snapshot.bgp_peers.contains_key(peer));
        let (mut events, mut wake_at) = (Vec::new(), None);
        let quiet = &mut self.quiet_until;
        self.pending.retain(|name, pending| {
            let Some(peer) = snapshot.bgp_peers.get(name).filter(|_| !pending.is_empty()) else { return false };
            if let Some(until) = quiet.get(name) {
                wake_at = [wake_at, Some(*until)].into_iter().flatten().min();
                return true;
            }
            events.extend(pending.events(peer));
            quiet.insert(name.clone(), now + TELL_EVERY);
            false
        });
        (events, wake_at)
    }

    /// The nodes that have been gone for long and have left something behind, and when to look again.
    pub(crate) fn gone(&mut self, snapshot: &Snapshot, now: Timestamp) -> (BTreeSet<NodeName>, Option<Timestamp>) {
        let speakers = snapshot.speakers.keys();
        let confs = snapshot.bgp_confs.values().flat_map(|conf| conf.nodes.keys());
        let peers = snapshot.bgp_peers.values().flat_map(|peer| &peer.nodes);
        let all: BTreeSet<&NodeName> = speakers.chain(confs).chain(peers).collect();
        let missing = all.into_iter().filter(|node| !snapshot.nodes.contains_key(*node));
        let since = |node: &NodeName| self.gone_since.get(node).copied().unwrap_or(now);
        self.gone_since = missing.map(|node| (node.clone(), since(node))).collect();
        let ends = self.gone_since.values().map(|since| *since + GONE_FOR).filter(|at| *at > now).min();
        let gone = self.gone_since.iter().filter(|(_, since)| **since + GONE_FOR <= now);
        (gone.map(|(node, _)| node.clone()).collect(), ends)
    }
}

impl Pending {
    fn note(&mut self, node: &NodeName, was_up: bool, session: Result<(), &str>) {
        match session {
            Ok(()) if !was_up => {
                self.down.remove(node);
                self.up.insert(node.clone());
            }
            Err(why) if was_up => {
                self.up.remove(node);
                self.down.insert(node.clone(), why.to_owned());
            }
            Ok(()) | Err(_) => {}
        }
    }

    fn is_empty(&self) -> bool {
        self.up.is_empty() && self.down.is_empty()
    }

    fn events(&self, peer: &BgpPeer) -> Vec<Event> {
        let event = |kind, reason, message| Event {
            object: ObjectRef::BgpPeer(peer.name.clone()),
            uid: peer.uid.clone(),
            kind,
            reason,
            message,
        };
        let mut events = Vec::new();
        let more = |all: usize| if all > MAX_NODES { format!(", and {} more", all - MAX_NODES) } else { String::new() };
        if !self.down.is_empty() {
            let told: Vec<String> =
                self.down.iter().take(MAX_NODES).map(|(node, why)| format!("{node} ({why})")).collect();
            let message = format!("session down on {}{}", told.join(", "), more(self.down.len()));
            events.push(event(EventType::Warning, SESSION_DOWN, message));
        }
        if !self.up.is_empty() {
            let told: Vec<&str> = self.up.iter().take(MAX_NODES).map(NodeName::as_str).collect();
            let message = format!("session established on {}{}", told.join(", "), more(self.up.len()));
            events.push(event(EventType::Normal, SESSION_UP, message));
        }
        events
    }
}

#[cfg(test)]
mod tests;
