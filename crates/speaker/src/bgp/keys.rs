//! When this node's own keys in the statuses of BgpConf and BgpPeers are to be written: at once on news, and not again for a while. Pure.

use std::collections::{BTreeMap, BTreeSet};
use std::net::Ipv4Addr;
use std::time::Duration;

use ironlb_model::{Asn, NodeName, Snapshot, Timestamp};

use super::telling::{BgpTelling, SessionNews};

/// How long a key stands before it is written again. Chosen, as for the Speaker object: nobody looks more often, and 100 nodes then
/// write one object at most 50 times a second.
const INTERVAL: Duration = Duration::from_secs(2);

/// How long after a refusal, or no answer.
const RETRY: Duration = Duration::from_secs(10);

/// Whose status the key is in.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Target {
    /// The BgpConf of this name.
    Conf(String),
    /// The BgpPeer of this name.
    Peer(String),
}

/// What the key says, as far as that is news.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum News {
    /// In a BgpConf.
    Conf(Asn, Ipv4Addr),
    /// In a BgpPeer.
    Peer(Box<SessionNews>),
}

/// A key to be written, or taken out where there is no news.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Due {
    pub(crate) target: Target,
    pub(crate) news: Option<News>,
}

/// What became of a write.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Written {
    /// It says that now.
    Yes,
    /// The object is gone.
    Gone,
    /// It was refused, or there was no answer.
    No,
}

#[derive(Debug, Default)]
struct Entry {
    /// What was written last, if anything was: a key, or that there is none.
    written: Option<Option<News>>,
    not_before: Timestamp,
    is_under_way: bool,
}

/// This node's keys.
#[derive(Debug, Default)]
pub(crate) struct Keys(BTreeMap<Target, Entry>);

impl Keys {
    /// The keys to be written now, each of which counts as under way, and when to look again.
    pub(crate) fn due(
        &mut self,
        telling: &BgpTelling,
        snapshot: &Snapshot,
        own: &NodeName,
        now: Timestamp,
    ) -> (Vec<Due>, Option<Timestamp>) {
        // The keys in them are OpenELB's own; what it leaves is put right once it is gone.
        if !snapshot.openelb.is_empty() {
            return (Vec::new(), None);
        }
        let wanted = wanted(telling, snapshot);
        let (present, shown) = shown(snapshot, own);
        self.0.retain(|target, entry| present.contains(target) || entry.is_under_way);
        let (mut due, mut wake_at) = (Vec::new(), None);
        for target in present {
            let news = wanted.get(&target);
            let entry = self.0.entry(target.clone()).or_default();
            let is_right = match &entry.written {
                Some(written) => written.as_ref() == news,
                None => news.is_none() && !shown.contains(&target),
            };
            if is_right || entry.is_under_way {
                continue;
            }
            if entry.not_before > now {
                wake_at = [wake_at, Some(entry.not_before)].into_iter().flatten().min();
                continue;
            }
            entry.is_under_way = true;
            due.push(Due { target, news: news.cloned() });
        }
        (due, wake_at)
    }

    /// Takes note of what became of a write.
    pub(crate) fn note(&mut self, due: Due, written: Written, now: Timestamp) {
        let entry = self.0.entry(due.target.clone()).or_default();
        entry.is_under_way = false;
        match written {
            Written::Yes => (entry.written, entry.not_before) = (Some(due.news), now + INTERVAL),
            Written::No => entry.not_before = now + RETRY,
            Written::Gone => _ = self.0.remove(&due.target),
        }
    }
}

fn wanted(telling: &BgpTelling, snapshot: &Snapshot) -> BTreeMap<Target, News> {
    let peers = telling.peers().filter_map(|peer| {
        let news = News::Peer(Box::new(telling.news(peer)?));
        Some((Target::Peer(peer.clone()), news))
    });
    let used = snapshot.bgp_confs.values().filter(|conf| conf.own_side.is_some());
    let confs = used.filter_map(|conf| {
        let (asn, router_id) = telling.identity()?;
        Some((Target::Conf(conf.name.clone()), News::Conf(asn, router_id)))
    });
    peers.chain(confs).collect()
}

/// The objects there are, and those whose status has a key of this node.
fn shown(snapshot: &Snapshot, own: &NodeName) -> (BTreeSet<Target>, BTreeSet<Target>) {
    let confs = snapshot.bgp_confs.values();
    let confs = confs.map(|conf| (Target::Conf(conf.name.clone()), conf.nodes.contains_key(own)));
    let peers = snapshot.bgp_peers.values();
    let peers = peers.map(|peer| (Target::Peer(peer.name.clone()), peer.nodes.contains(own)));
    let all: Vec<(Target, bool)> = confs.chain(peers).collect();
    let shown = all.iter().filter(|(_, has_key)| *has_key).map(|(target, _)| target.clone()).collect();
    (all.into_iter().map(|(target, _)| target).collect(), shown)
}
