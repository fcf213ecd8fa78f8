//! The metrics registry: who counts registers its struct, and the admin server writes all of it out.

use prometheus_client::encoding::text::encode;
use prometheus_client::metrics::info::Info;
use prometheus_client::registry::Registry;

use crate::process::Process;

/// Every metric of the process. Made once, filled by each crate's registering function, then shared with the admin server.
///
/// ```
/// # use ironlb_telemetry::Metrics;
/// use prometheus_client::metrics::counter::Counter;
/// use prometheus_client::registry::Registry;
///
/// #[derive(Debug, Clone)]
/// struct LeaseMetrics {
///     renewals: Counter,
/// }
///
/// impl LeaseMetrics {
///     fn register(registry: &mut Registry) -> Self {
///         let metrics = Self { renewals: Counter::default() };
///         registry.register("lease_renewals", "Lease renewals that the API server accepted", metrics.renewals.clone());
///         metrics
///     }
/// }
///
/// let mut metrics = Metrics::new("1.2.3", "abcdef0");
/// let lease = metrics.add(LeaseMetrics::register);
/// lease.renewals.inc();
/// assert!(metrics.encode().contains("ironlb_lease_renewals_total 1"));
/// ```
#[derive(Debug)]
pub struct Metrics {
    root: Registry,
}

impl Metrics {
    /// A registry that holds the build's version and commit and the process's own figures (memory, processor time, files).
    #[must_use]
    pub fn new(version: &str, commit: &str) -> Self {
        let mut metrics = Self { root: Registry::default() };
        metrics.root.register_collector(Box::new(Process::starting_now()));
        let build = Info::new(vec![("version", version.to_owned()), ("commit", commit.to_owned())]);
        metrics.add(|registry| registry.register("build", "What is running", build));
        metrics
    }

    /// Registers one crate's metrics, under the prefix `ironlb_`.
    pub fn add<T>(&mut self, register: impl FnOnce(&mut Registry) -> T) -> T {
        register(self.root.sub_registry_with_prefix("ironlb"))
    }

    /// Registers metrics under the names they have elsewhere, without our prefix: the aliases of OpenELB's.
    pub fn add_unprefixed<T>(&mut self, register: impl FnOnce(&mut Registry) -> T) -> T {
        register(&mut self.root)
    }

    /// All metrics in the OpenMetrics text format, version 1.0.0.
    #[must_use]
    pub fn encode(&self) -> String {
        let mut text = String::new();
        // Writing to a String cannot fail; a collector that does loses what it had to say, and the scrape its end mark.
        let _ = encode(&mut text, &self.root);
        text
    }
}

#[cfg(test)]
mod tests {
    use prometheus_client::metrics::counter::Counter;
    use prometheus_client::metrics::gauge::Gauge;

    use super::*;

    #[test]
    fn metrics_are_written_with_their_prefix_and_help() {
        let mut metrics = Metrics::new("1.2.3", "abcdef0");
        let vips: Gauge = metrics.add(|registry| {
            let vips = Gauge::default();
            registry.register("vips", "Addresses announced", vips.clone());
            vips
        });
        let alias: Counter = metrics.add_unprefixed(|registry| {
            let alias = Counter::default();
            registry.register("openelb_something", "As OpenELB has it", alias.clone());
            alias
        });
        vips.set(7);
        alias.inc();
        let text = metrics.encode();
        for line in [
            "# HELP ironlb_vips Addresses announced.",
            "# TYPE ironlb_vips gauge",
            "ironlb_vips 7",
            "openelb_something_total 1",
            "ironlb_build_info{version=\"1.2.3\",commit=\"abcdef0\"} 1",
        ] {
            assert!(text.lines().any(|other| other == line), "{line:?} in\n{text}");
        }
        assert!(text.ends_with("# EOF\n"));
    }

    #[test]
    fn two_registries_share_nothing() {
        let mut first = Metrics::new("1", "a");
        let second = Metrics::new("1", "a");
        first.add(|registry| registry.register("vips", "Addresses announced", Gauge::<i64>::default()));
        assert!(first.encode().contains("ironlb_vips") && !second.encode().contains("ironlb_vips"));
    }
}
