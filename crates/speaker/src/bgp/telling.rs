//! What is told of the sessions: in the Speaker object, and in the statuses of BgpConf and BgpPeers in OpenELB's form. Pure.
//!
//! Two tellings are the same while there is no news in them. Counts go on for ever, and a session that does not come up goes round
//! between four states: neither is news, so a cluster whose routers are away writes nothing.

use std::collections::BTreeMap;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use ironlb_announce::BgpPlan;
use ironlb_api::bgp_peer::{MessageCounts, Messages, PeerState, Queues, TimersState};
use ironlb_api::{
    NodeConfStatus, NodePeerStatus, SpeakerBfd, SpeakerBgp, SpeakerListener, SpeakerSession, SpeakerSessionFamily,
};
use ironlb_bgp::{Listening, SessionStatus, Status, bfd};
use ironlb_bgp_proto::codec::MessageKind;
use ironlb_bgp_proto::{Down, Family, State};
use ironlb_k8s::clock;
use ironlb_model::{Asn, BgpReport, IpFamily, Peering, Timestamp, WallTime};

/// What is told of BGP.
#[derive(Debug, Clone)]
pub(crate) struct BgpTelling {
    /// Who this node is, or why it has no sessions at all.
    own: Result<(Asn, Ipv4Addr), String>,
    peers: BTreeMap<String, PeerFacts>,
    /// The sessions that the driver could not be told of, and those that cannot be, and why.
    unmet: BTreeMap<String, String>,
    /// Of those that cannot be, the reason's name.
    refused: BTreeMap<String, &'static str>,
    status: Arc<Status>,
}

/// What of a BgpPeer is told with its session.
#[derive(Debug, Clone, PartialEq, Eq)]
struct PeerFacts {
    neighbor: String,
    asn: Asn,
    local_asn: Asn,
    admin_down: bool,
    families: Vec<IpFamily>,
    hold_time: Duration,
    connect_retry: Duration,
}

/// What is news about a session.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct SessionNews {
    facts: PeerFacts,
    established_at: Option<Timestamp>,
    flaps: u64,
    local: Option<SocketAddr>,
    error: Option<String>,
    ended: Option<Down>,
    advertised: BTreeMap<Family, u64>,
    bfd: Option<(ironlb_bfd_proto::State, Option<ironlb_bfd_proto::State>, u64)>,
}

/// Two clocks read at one moment: what happened on the one can be told by the other.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Moment {
    now: Timestamp,
    wall: WallTime,
}

impl Moment {
    /// This moment.
    pub(crate) fn read() -> Self {
        Self { now: clock::now(), wall: clock::wall_time() }
    }

    fn wall(self, at: Timestamp) -> WallTime {
        let ago = i64::try_from(self.now.since(at).as_secs()).unwrap_or(i64::MAX);
        WallTime(self.wall.0.saturating_sub(ago))
    }
}

impl PartialEq for BgpTelling {
    /// Is there no news?
    fn eq(&self, other: &Self) -> bool {
        self.own == other.own
            && self.unmet == other.unmet
            && self.refused == other.refused
            && self.status.listener.addresses == other.status.listener.addresses
            && self.peers.len() == other.peers.len()
            && self.peers.keys().all(|peer| self.news(peer) == other.news(peer))
    }
}

impl BgpTelling {
    pub(crate) fn new(plan: &BgpPlan, unmet: &BTreeMap<String, String>, status: Arc<Status>) -> Self {
        let facts = |peering: &Peering, local_asn: Asn, families: Vec<IpFamily>| PeerFacts {
            neighbor: peering.neighbor.to_string(),
            asn: peering.asn,
            local_asn,
            admin_down: peering.admin_down,
            families,
            hold_time: peering.timers.hold_time,
            connect_retry: peering.timers.connect_retry,
        };
        let own = plan.own.as_ref().map(|own| (own.asn, own.router_id)).map_err(ToString::to_string);
        let sessions = plan.sessions.iter().filter_map(|(name, spec)| {
            Some((name.clone(), facts(spec.peering()?, spec.local_asn, spec.families.keys().copied().collect())))
        });
        let refused = plan.refused.iter().filter_map(|(name, refused)| {
            let facts = facts(refused.peer.peering.as_ref()?, refused.local_asn, Vec::new());
            Some((name.clone(), facts))
        });
        let reasons = plan.refused.iter().map(|(name, refused)| (name.clone(), refused.reason.to_string()));
        Self {
            own,
            peers: sessions.chain(refused).collect(),
            unmet: unmet.clone().into_iter().chain(reasons).collect(),
            refused: plan.refused.iter().map(|(name, refused)| (name.clone(), refused.reason.category())).collect(),
            status,
        }
    }

    /// The BgpPeers that select this node.
    pub(crate) fn peers(&self) -> impl Iterator<Item = &String> {
        self.peers.keys()
    }

    /// Its AS number and BGP identifier; `None` while it is nobody in BGP.
    pub(crate) fn identity(&self) -> Option<(Asn, Ipv4Addr)> {
        self.own.as_ref().ok().copied()
    }

    /// What would be news about the session with a BgpPeer, were it otherwise.
    pub(crate) fn news(&self, peer: &str) -> Option<SessionNews> {
        let facts = self.peers.get(peer)?.clone();
        let status = self.status.sessions.get(peer);
        Some(SessionNews {
            facts,
            established_at: status.and_then(|status| status.established_at),
            flaps: status.map_or(0, |status| status.flaps),
            local: status.filter(|status| status.established_at.is_some()).and_then(|status| status.local),
            error: self.error(peer),
            ended: status.and_then(|status| status.last_end.clone()),
            advertised: status.map(|status| status.advertised.clone()).unwrap_or_default(),
            bfd: status.and_then(|s| s.bfd.as_ref()).map(|bfd| (bfd.state, bfd.remote_state, bfd.downs)),
        })
    }

    /// What last went wrong: why the session does not come up, or went down.
    fn error(&self, peer: &str) -> Option<String> {
        if let Some(said) = self.unmet.get(peer) {
            return Some(said.clone());
        }
        let status = self.status.sessions.get(peer)?;
        let down = status.last_down.as_ref().map(words);
        // What keeps it down now is more to the point than how it went down.
        let trouble = status.trouble.clone().filter(|_| status.state != State::Established);
        match (trouble, down) {
            (Some(trouble), Some(down)) if down != trouble && down != "could not connect" => {
                Some(format!("{trouble}; before that: {down}"))
            }
            (Some(trouble), _) => Some(trouble),
            (None, down) => down,
        }
    }

    /// For the Speaker object.
    pub(crate) fn speaker(&self, report: &BgpReport, moment: Moment) -> SpeakerBgp {
        let sessions: Vec<SpeakerSession> = self.peers.keys().map(|peer| self.session(peer, moment)).collect();
        let listeners = self.status.listener.addresses.iter().map(|(address, listening)| SpeakerListener {
            address: address.to_string(),
            port: match listening {
                Listening::On(port) => Some((*port).into()),
                Listening::Not(_) => None,
            },
            message: match listening {
                Listening::On(_) => None,
                Listening::Not(said) => Some(said.clone()),
            },
        });
        SpeakerBgp {
            asn: self.own.as_ref().ok().map(|(asn, _)| asn.get().into()),
            router_id: self.own.as_ref().ok().map(|(_, id)| id.to_string()),
            message: self.own.as_ref().err().cloned(),
            listeners: Some(listeners.collect()),
            advertised_count: Some(count(report.advertised_count)),
            advertised: Some(report.advertised.iter().map(ToString::to_string).collect()),
            looping_aggregates: (!report.looping.is_empty())
                .then(|| report.looping.iter().map(ToString::to_string).collect()),
            established: (!sessions.is_empty()).then(|| format!("{}/{}", report.established.len(), sessions.len())),
            sessions: Some(sessions),
        }
    }

    fn session(&self, peer: &str, moment: Moment) -> SpeakerSession {
        let time = |at: Timestamp| clock::api_time(moment.wall(at));
        let status = self.status.sessions.get(peer).filter(|_| !self.refused.contains_key(peer));
        let Some(status) = status else {
            let state = Some(state_name(State::Idle).to_owned());
            return SpeakerSession {
                peer: peer.to_owned(),
                state,
                reason: self.refused.get(peer).map(|reason| (*reason).to_owned()),
                last_error: self.error(peer),
                ..SpeakerSession::default()
            };
        };
        let restart = status.negotiated.as_ref().map(|n| n.graceful_restart.is_some_and(|restart| restart.is_mutual));
        SpeakerSession {
            peer: peer.to_owned(),
            state: Some(state_name(status.state).to_owned()),
            reason: None,
            since: Some(time(status.since)),
            established_time: status.established_at.map(time),
            local_address: status.local.map(|address| address.to_string()),
            remote_address: status.remote.map(|address| address.to_string()),
            interface: status.interface.clone(),
            flaps: Some(count(status.flaps)),
            families: status.negotiated.as_ref().map(|negotiated| {
                let of = |family: &Family| SpeakerSessionFamily {
                    family: family.to_string(),
                    advertised: Some(count(status.advertised.get(family).copied().unwrap_or(0))),
                    received: Some(count(status.received.get(family).copied().unwrap_or(0))),
                };
                negotiated.families.keys().map(of).collect()
            }),
            graceful_restart: restart,
            bfd: status.bfd.as_ref().map(speaker_bfd),
            last_error: self.error(peer),
            last_error_time: status.last_down_at.map(time),
            last_end: status.last_end.as_ref().map(words),
            last_end_time: status.last_end_at.map(time),
        }
    }

    /// This node's key in the status of the BgpConf; `None` while it is nobody in BGP.
    pub(crate) fn conf_key(&self) -> Option<NodeConfStatus> {
        let (asn, router_id) = self.identity()?;
        Some(NodeConfStatus { router_id: Some(router_id.to_string()), asn: Some(asn.get().into()) })
    }

    /// This node's key in the status of a BgpPeer, as OpenELB fills it.
    pub(crate) fn peer_key(&self, peer: &str, moment: Moment) -> Option<NodePeerStatus> {
        let facts = self.peers.get(peer)?;
        let status = self.status.sessions.get(peer);
        let negotiated = status.and_then(|status| status.negotiated.as_ref());
        let time = |at: Timestamp| clock::api_time(moment.wall(at)).0.to_string();
        let seconds = |length: Duration| length.as_secs().to_string();
        let state = status.map_or(State::Idle, |status| status.state);
        let peer_state = PeerState {
            neighbor_address: Some(facts.neighbor.clone()),
            session_state: Some(state_name(state).to_owned()),
            admin_state: facts.admin_down.then(|| "DOWN".to_owned()),
            router_id: negotiated.map(|negotiated| negotiated.peer_id.to_string()),
            local_as: Some(facts.local_asn.get().into()),
            peer_as: Some(facts.asn.get().into()),
            peer_type: (facts.local_asn != facts.asn).then_some(1),
            flops: status.map(|status| count(status.flaps)).filter(|flaps| *flaps > 0),
            out_q: status.map(|status| count(status.pending)).filter(|pending| *pending > 0),
            messages: status.map(messages),
            queues: Some(Queues::default()),
            ..PeerState::default()
        };
        let timers_state = TimersState {
            connect_retry: Some(seconds(facts.connect_retry)),
            hold_time: Some(seconds(facts.hold_time)),
            keepalive_interval: negotiated.and_then(|n| n.keepalive).map(seconds),
            negotiated_hold_time: negotiated.map(|n| seconds(n.hold_time.unwrap_or_default())),
            uptime: status.and_then(|status| status.established_at).map(time),
            downtime: status.and_then(|status| status.last_end_at).map(time),
            ..TimersState::default()
        };
        Some(NodePeerStatus { peer_state: Some(peer_state), timers_state: Some(timers_state) })
    }
}

/// What both ends said of an end, the router's subcode and ours in words.
fn words(down: &Down) -> String {
    match &down.sent {
        Some(sent) => format!("{}; the router was told: {sent}", down.reason),
        None => down.reason.to_string(),
    }
}

/// As GoBGP names them.
pub(crate) fn state_name(state: State) -> &'static str {
    match state {
        State::Idle => "IDLE",
        State::Active => "ACTIVE",
        State::Connect => "CONNECT",
        State::OpenSent => "OPENSENT",
        State::OpenConfirm => "OPENCONFIRM",
        State::Established => "ESTABLISHED",
    }
}

fn speaker_bfd(status: &bfd::Status) -> SpeakerBfd {
    let millis = |length: Duration| i64::try_from(length.as_millis()).unwrap_or(i64::MAX);
    SpeakerBfd {
        state: Some(status.state.to_string()),
        remote_state: status.remote_state.map(|state| state.to_string()),
        diagnostic: Some(status.diagnostic.to_string()),
        remote_diagnostic: Some(status.remote_diagnostic.to_string()),
        detection_milliseconds: status.detection_time.map(millis),
        transmit_milliseconds: status.transmit_interval.map(millis),
        downs: Some(count(status.downs)),
        message: status.trouble.as_ref().map(ToString::to_string),
    }
}

fn messages(status: &SessionStatus) -> Messages {
    let direction = |counts: &[u64; 5]| {
        let of =
            |kind: MessageKind| counts.get(kind.index()).copied().filter(|count| *count > 0).map(|c| c.to_string());
        MessageCounts {
            notification: of(MessageKind::Notification),
            update: of(MessageKind::Update),
            open: of(MessageKind::Open),
            keepalive: of(MessageKind::Keepalive),
            refresh: of(MessageKind::RouteRefresh),
            total: Some(counts.iter().sum::<u64>().to_string()),
            ..MessageCounts::default()
        }
    };
    Messages { received: Some(direction(&status.counters.received)), sent: Some(direction(&status.counters.sent)) }
}

fn count(number: impl TryInto<i64>) -> i64 {
    number.try_into().unwrap_or(i64::MAX)
}
