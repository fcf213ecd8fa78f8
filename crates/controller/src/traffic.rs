//! What the watches and the Event writer count, told to whoever scrapes.

use std::fmt;
use std::sync::Arc;

use ironlb_k8s::{Events, Stores, Throttle, WatchCounters};
use prometheus_client::collector::Collector;
use prometheus_client::encoding::{DescriptorEncoder, EncodeMetric};
use prometheus_client::metrics::MetricType;
use prometheus_client::metrics::counter::ConstCounter;

/// Reads the counters at each scrape.
#[derive(Debug)]
pub(crate) struct Traffic {
    pub(crate) stores: Arc<Stores>,
    pub(crate) events: Events,
    pub(crate) throttle: Throttle,
}

type Read = fn(&WatchCounters) -> u64;

/// The name of each counter of a watch, what it counts, and where it is.
const WATCHES: [(&str, &str, Read); 7] = [
    ("watch_lists", "Lists that were read to the end", |c| c.lists.get()),
    ("watch_list_failures", "Lists that failed and were tried again later", |c| c.list_failures.get()),
    ("watch_opened", "Watches that were opened", |c| c.watches.get()),
    ("watch_failures", "Watches that could not be opened or broke off", |c| c.watch_failures.get()),
    ("watch_expiries", "Watches whose version was gone (410), so that all was listed afresh", |c| c.expiries.get()),
    ("watch_events", "Objects added, changed or deleted, as a watch told", |c| c.events.get()),
    ("watch_unchanged", "Events that changed nothing ironlb looks at", |c| c.unchanged.get()),
];

impl Collector for Traffic {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> fmt::Result {
        for (name, help, read) in WATCHES {
            let name = format!("ironlb_controller_{name}");
            let mut metric = encoder.encode_descriptor(&name, help, None, MetricType::Counter)?;
            for (kind, counters) in self.stores.counters() {
                ConstCounter::new(read(counters)).encode(metric.encode_family(&[("kind", kind)])?)?;
            }
        }
        let told = self.events.counters();
        for (name, help, count) in [
            ("events_written", "Events that were written", told.written.get()),
            ("events_dropped", "Events that were dropped because too many waited", told.dropped.get()),
            ("events_failed", "Events that could not be written", told.failed.get()),
            ("throttled", "Answers that asked for fewer requests (429)", self.throttle.count()),
        ] {
            let name = format!("ironlb_controller_{name}");
            let metric = encoder.encode_descriptor(&name, help, None, MetricType::Counter)?;
            ConstCounter::new(count).encode(metric)?;
        }
        Ok(())
    }
}
