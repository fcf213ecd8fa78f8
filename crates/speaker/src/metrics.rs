//! What the speaker counts.

use std::sync::Arc;

use ironlb_announce::Announcements;
use ironlb_layer2::Layer2;
use ironlb_membership::{Membership, Notice};
use prometheus_client::collector::Collector;
use prometheus_client::encoding::{DescriptorEncoder, EncodeLabelSet, EncodeMetric};
use prometheus_client::metrics::MetricType;
use prometheus_client::metrics::counter::{ConstCounter, Counter};
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::{ConstGauge, Gauge};
use prometheus_client::registry::Registry;

/// A notice of membership; from a closed list.
#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
pub(crate) struct NoticeLabels {
    notice: &'static str,
}

/// Why vips are not announced here; from a closed list.
#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
pub(crate) struct ReasonLabels {
    reason: &'static str,
}

/// What became of a renewal; from a closed list.
#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
pub(crate) struct OutcomeLabels {
    outcome: &'static str,
}

/// The speaker's metrics. Clones are handles on the same ones.
#[derive(Debug, Clone)]
pub(crate) struct SpeakerMetrics {
    notices: Family<NoticeLabels, Counter>,
    renewals: Family<OutcomeLabels, Counter>,
    withheld: Family<ReasonLabels, Gauge>,
    owned: Gauge,
    members: Gauge,
    frozen: Gauge,
    stale: Gauge,
}

impl SpeakerMetrics {
    /// Makes them and registers them, as `ironlb_speaker_*`.
    pub(crate) fn register(registry: &mut Registry) -> Self {
        let registry = registry.sub_registry_with_prefix("speaker");
        let metrics = Self {
            notices: Family::default(),
            renewals: Family::default(),
            withheld: Family::default(),
            owned: Gauge::default(),
            members: Gauge::default(),
            frozen: Gauge::default(),
            stale: Gauge::default(),
        };
        registry.register("membership_notices", "Turns in who is alive and who owns what", metrics.notices.clone());
        registry.register("membership_renewals", "Renewals of this node's Lease by outcome", metrics.renewals.clone());
        registry.register("membership_members", "Nodes alive, this one included", metrics.members.clone());
        registry.register(
            "membership_frozen",
            "The API server is silent: ownership stays as it is",
            metrics.frozen.clone(),
        );
        registry.register(
            "snapshot_stale",
            "The API server has not answered since the start: what was kept on the node is gone on from",
            metrics.stale.clone(),
        );
        registry.register("vips_answered", "Vips this node answers for", metrics.owned.clone());
        registry.register("vips_withheld", "Vips this node does not announce, by reason", metrics.withheld.clone());
        metrics
    }

    /// Notes a turn.
    pub(crate) fn noticed(&self, notice: &Notice) {
        self.notices.get_or_create(&NoticeLabels { notice: notice.category() }).inc();
    }

    /// Notes what became of a renewal.
    pub(crate) fn renewed(&self, outcome: &'static str) {
        self.renewals.get_or_create(&OutcomeLabels { outcome }).inc();
    }

    /// Notes how membership stands.
    pub(crate) fn stands(&self, membership: &Membership) {
        self.members.set(count(membership.alive().count() + 1));
        self.frozen.set(i64::from(membership.is_frozen()));
    }

    /// Notes whether the snapshot is one that was kept.
    pub(crate) fn stale(&self, is_stale: bool) {
        self.stale.set(i64::from(is_stale));
    }

    /// Notes what is decided and what is in effect.
    pub(crate) fn decided(&self, announcements: &Announcements, answering: usize) {
        self.owned.set(count(answering));
        // Counted anew each time, so that nothing has to be kept in step.
        self.withheld.clear();
        for reason in announcements.withheld.values() {
            self.withheld.get_or_create(&ReasonLabels { reason: reason.category() }).inc();
        }
    }
}

/// The counts of the interfaces, read when they are asked for.
#[derive(Debug)]
pub(crate) struct InterfaceCounts(pub(crate) Arc<Layer2>);

impl Collector for InterfaceCounts {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> Result<(), std::fmt::Error> {
        let interfaces = self.0.metrics();
        let mut gauge =
            encoder.encode_descriptor("arp_socket_open", "The packet socket is open", None, MetricType::Gauge)?;
        for (name, counts) in &interfaces {
            let labels = [("interface", name.as_str())];
            ConstGauge::new(i64::from(counts.socket_open)).encode(gauge.encode_family(&labels)?)?;
        }
        type Read = fn(&ironlb_layer2::InterfaceMetrics) -> u64;
        let counters: [(&str, &str, Read); 6] = [
            ("arp_frames_received", "ARP frames that passed the kernel's filter", |c| c.frames_received),
            ("arp_answered", "ARP requests answered", |c| c.answered),
            ("arp_announcement_frames", "Frames of gratuitous ARP sent", |c| c.announcement_frames),
            ("arp_foreign_claims", "Claims of our vips by other stations", |c| c.foreign_claims),
            ("arp_send_failed", "Frames the kernel did not take", |c| c.send_failed),
            ("arp_observations_dropped", "Observations nobody had room for", |c| c.observations_dropped),
        ];
        for (metric, help, read) in counters {
            let mut counter = encoder.encode_descriptor(metric, help, None, MetricType::Counter)?;
            for (name, counts) in &interfaces {
                let labels = [("interface", name.as_str())];
                ConstCounter::new(read(counts)).encode(counter.encode_family(&labels)?)?;
            }
        }
        let mut ignored =
            encoder.encode_descriptor("arp_ignored", "ARP frames not answered", None, MetricType::Counter)?;
        for (name, counts) in &interfaces {
            for (reason, number) in &counts.ignored {
                let labels = [("interface", name.as_str()), ("reason", reason.category())];
                ConstCounter::new(*number).encode(ignored.encode_family(&labels)?)?;
            }
        }
        Ok(())
    }
}

fn count(number: usize) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}
