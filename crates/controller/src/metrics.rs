//! What the controller counts.

use std::time::Duration;

use ironlb_ipam::{Memory, Plan, Step};
use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::{Histogram, exponential_buckets};
use prometheus_client::registry::Registry;

/// What was written and what became of it; both from closed lists.
#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
pub(crate) struct WriteLabels {
    /// The action's category.
    action: &'static str,
    /// The outcome's category.
    outcome: &'static str,
}

/// What a Service is decided to be; from a closed list.
#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
pub(crate) struct VerdictLabels {
    /// The verdict's category.
    verdict: &'static str,
}

/// Why Services lack something they want; from a closed list.
#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
pub(crate) struct ReasonLabels {
    /// The reason's category.
    reason: &'static str,
}

/// The controller's metrics. Clones are handles on the same ones.
#[derive(Debug, Clone)]
pub(crate) struct ControllerMetrics {
    writes: Family<WriteLabels, Counter>,
    services: Family<VerdictLabels, Gauge>,
    unmet: Family<ReasonLabels, Gauge>,
    retrying: Gauge,
    unreadable: Gauge,
    leading: Gauge,
    terms: Counter,
    terms_lost: Counter,
    decision: Histogram,
}

impl ControllerMetrics {
    /// Makes them and registers them, as `ironlb_controller_*`.
    pub(crate) fn register(registry: &mut Registry) -> Self {
        let registry = registry.sub_registry_with_prefix("controller");
        let metrics = Self {
            writes: Family::default(),
            services: Family::default(),
            unmet: Family::default(),
            retrying: Gauge::default(),
            unreadable: Gauge::default(),
            leading: Gauge::default(),
            terms: Counter::default(),
            terms_lost: Counter::default(),
            // 0.1 ms to 1.6 s: the bar for 10,000 Services is 25 ms, which lies in the middle.
            decision: Histogram::new(exponential_buckets(0.0001, 4.0, 8)),
        };
        registry.register("writes", "Writes on objects by what became of them", metrics.writes.clone());
        registry.register("services", "Services by what is decided about them", metrics.services.clone());
        registry.register("services_unmet", "Services by why a wish of theirs is not met", metrics.unmet.clone());
        registry.register("writes_retrying", "Objects whose write failed and is tried again", metrics.retrying.clone());
        registry.register("unreadable", "Objects that cannot be read and are left out", metrics.unreadable.clone());
        registry.register("leading", "Whether this replica decides", metrics.leading.clone());
        registry.register("terms", "How often this replica became leader", metrics.terms.clone());
        registry.register(
            "terms_lost",
            "How often it ceased to be leader without being stopped: its Lease was not renewed in time, or taken",
            metrics.terms_lost.clone(),
        );
        registry.register(
            "decision_seconds",
            "How long one decision over the whole cluster takes",
            metrics.decision.clone(),
        );
        metrics
    }

    /// Notes what became of a write.
    pub(crate) fn wrote(&self, action: &'static str, outcome: &'static str) {
        self.writes.get_or_create(&WriteLabels { action, outcome }).inc();
    }

    /// Notes that this replica decides from now on.
    pub(crate) fn began_leading(&self) {
        self.terms.inc();
        self.leading.set(1);
    }

    /// Notes that it lost the right to.
    pub(crate) fn lost_leadership(&self) {
        self.terms_lost.inc();
    }

    /// Notes that it does not decide any more.
    pub(crate) fn ended_leading(&self) {
        self.leading.set(0);
    }

    /// Notes how many objects cannot be read.
    pub(crate) fn set_unreadable(&self, number: usize) {
        self.unreadable.set(count(number));
    }

    /// Notes what one step decided.
    pub(crate) fn decided(&self, step: &Step, memory: &Memory, took: Duration) {
        self.decision.observe(took.as_secs_f64());
        self.retrying.set(count(memory.retries().count()));
        self.count_verdicts(&step.plan);
    }

    fn count_verdicts(&self, plan: &Plan) {
        // Counted anew each time, so that nothing has to be kept in step.
        self.services.clear();
        self.unmet.clear();
        for entry in &plan.services {
            let verdict = entry.verdict.kind().category();
            self.services.get_or_create(&VerdictLabels { verdict }).inc();
            for reason in &entry.verdict.unmet {
                self.unmet.get_or_create(&ReasonLabels { reason: reason.category() }).inc();
            }
        }
    }
}

fn count(number: usize) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}
