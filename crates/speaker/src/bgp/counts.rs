//! What the sessions count, read when it is asked for; and the same under OpenELB's names.

use std::fmt;

use ironlb_bgp::{Bgp, Listening, SessionStatus};
use ironlb_bgp_proto::State;
use ironlb_bgp_proto::codec::MessageKind;
use ironlb_k8s::clock;
use ironlb_model::NodeName;
use prometheus_client::collector::Collector;
use prometheus_client::encoding::{DescriptorEncoder, EncodeMetric};
use prometheus_client::metrics::MetricType;
use prometheus_client::metrics::counter::ConstCounter;
use prometheus_client::metrics::gauge::ConstGauge;

/// The counts of the sessions, by BgpPeer.
#[derive(Debug)]
pub(crate) struct SessionCounts(pub(super) Bgp);

/// As much of them as OpenELB has, under its names and labels.
#[derive(Debug)]
pub(crate) struct OpenElbCounts(pub(super) Bgp, pub(super) NodeName);

type Read = fn(&SessionStatus) -> u64;

/// The number that OpenELB gives a state, and GoBGP.
fn number(state: State) -> u64 {
    match state {
        State::Idle => 0,
        State::Connect => 1,
        State::Active => 2,
        State::OpenSent => 3,
        State::OpenConfirm => 4,
        State::Established => 5,
    }
}

fn gauge(value: u64) -> ConstGauge<i64> {
    ConstGauge::new(i64::try_from(value).unwrap_or(i64::MAX))
}

fn uptime(status: &SessionStatus) -> u64 {
    status.established_at.map_or(0, |at| clock::now().since(at).as_secs())
}

impl Collector for SessionCounts {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> fmt::Result {
        let status = self.0.status();
        let gauges: [(&str, &str, Read); 4] = [
            ("bgp_session_state", "0 Idle, 1 Connect, 2 Active, 3 OpenSent, 4 OpenConfirm, 5 Established", |s| {
                number(s.state)
            }),
            ("bgp_session_up", "The session is established", |s| u64::from(s.state == State::Established)),
            ("bgp_session_uptime_seconds", "How long the session has been established", uptime),
            ("bgp_routes_pending", "Routes the router has not been told yet", |s| s.pending),
        ];
        for (name, help, read) in gauges {
            let mut metric = encoder.encode_descriptor(name, help, None, MetricType::Gauge)?;
            for (peer, session) in &status.sessions {
                gauge(read(session)).encode(metric.encode_family(&[("peer", peer.as_str())])?)?;
            }
        }
        let mut flaps = encoder.encode_descriptor(
            "bgp_session_flaps",
            "How often the session went down after it had been established",
            None,
            MetricType::Counter,
        )?;
        for (peer, session) in &status.sessions {
            ConstCounter::new(session.flaps).encode(flaps.encode_family(&[("peer", peer.as_str())])?)?;
        }
        let mut messages = encoder.encode_descriptor("bgp_messages", "Messages by type", None, MetricType::Counter)?;
        for (peer, session) in &status.sessions {
            for (direction, counts) in [("sent", &session.counters.sent), ("received", &session.counters.received)] {
                for kind in MessageKind::ALL {
                    let count = counts.get(kind.index()).copied().unwrap_or(0);
                    let labels = [("peer", peer.as_str()), ("direction", direction), ("type", kind_name(kind))];
                    ConstCounter::new(count).encode(messages.encode_family(&labels)?)?;
                }
            }
        }
        for (name, help, of_received) in [
            ("bgp_prefixes_advertised", "Prefixes the router was told", false),
            (
                "bgp_prefixes_received",
                "Prefixes the router has announced and not withdrawn, counted up to 10000; they are not used",
                true,
            ),
        ] {
            let mut prefixes = encoder.encode_descriptor(name, help, None, MetricType::Gauge)?;
            for (peer, session) in &status.sessions {
                for (family, count) in if of_received { &session.received } else { &session.advertised } {
                    let labels = [("peer", peer.as_str()), ("family", family.category())];
                    gauge(*count).encode(prefixes.encode_family(&labels)?)?;
                }
            }
        }
        let mut withheld = encoder.encode_descriptor(
            "bgp_routes_withheld",
            "Routes that cannot be said in the session, by reason",
            None,
            MetricType::Gauge,
        )?;
        for (peer, session) in &status.sessions {
            for (reason, count) in &session.withheld {
                let labels = [("peer", peer.as_str()), ("reason", reason.category())];
                gauge(*count).encode(withheld.encode_family(&labels)?)?;
            }
        }
        let with_bfd = || status.sessions.iter().filter_map(|(peer, session)| Some((peer, session.bfd.as_ref()?)));
        let mut up = encoder.encode_descriptor("bfd_up", "BFD is up", None, MetricType::Gauge)?;
        for (peer, bfd) in with_bfd() {
            let is_up = bfd.state == ironlb_bfd_proto::State::Up;
            gauge(u64::from(is_up)).encode(up.encode_family(&[("peer", peer.as_str())])?)?;
        }
        let mut downs = encoder.encode_descriptor(
            "bfd_downs",
            "How often BFD went down after it had been up",
            None,
            MetricType::Counter,
        )?;
        for (peer, bfd) in with_bfd() {
            ConstCounter::new(bfd.downs).encode(downs.encode_family(&[("peer", peer.as_str())])?)?;
        }
        let mut listening = encoder.encode_descriptor(
            "bgp_listening",
            "Routers can connect to this address",
            None,
            MetricType::Gauge,
        )?;
        for (address, state) in &status.listener.addresses {
            let is_on = matches!(state, Listening::On(_));
            let address = address.to_string();
            gauge(u64::from(is_on)).encode(listening.encode_family(&[("address", address.as_str())])?)?;
        }
        Ok(())
    }
}

impl Collector for OpenElbCounts {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> fmt::Result {
        let status = self.0.status();
        let updates: Read = |s| s.counters.sent.get(MessageKind::Update.index()).copied().unwrap_or(0);
        let gauges: [(&str, &str, Read); 4] = [
            ("session_up", "As OpenELB has it: the number of the session's state", |s| number(s.state)),
            ("updates_total", "As OpenELB has it: UPDATEs sent", updates),
            ("announced_prefixes_total", "As OpenELB has it: prefixes advertised", |s| s.advertised.values().sum()),
            ("pending_prefixes_total", "As OpenELB has it: prefixes not yet advertised", |s| s.pending),
        ];
        for (name, help, read) in gauges {
            let mut metric = encoder.encode_descriptor(name, help, None, MetricType::Gauge)?;
            for session in status.sessions.values() {
                let Some(remote) = session.remote else { continue };
                let peer = remote.ip().to_canonical().to_string();
                let labels = [("peerIP", peer.as_str()), ("nodeName", self.1.as_str())];
                gauge(read(session)).encode(metric.encode_family(&labels)?)?;
            }
        }
        Ok(())
    }
}

fn kind_name(kind: MessageKind) -> &'static str {
    match kind {
        MessageKind::Open => "open",
        MessageKind::Update => "update",
        MessageKind::Notification => "notification",
        MessageKind::Keepalive => "keepalive",
        MessageKind::RouteRefresh => "route-refresh",
    }
}
