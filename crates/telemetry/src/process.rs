//! The process's own figures, read from `/proc` when a scrape asks, under the names every Prometheus client uses.

use std::fmt;
use std::time::SystemTime;

use prometheus_client::collector::Collector;
use prometheus_client::encoding::{DescriptorEncoder, EncodeMetric};
use prometheus_client::metrics::counter::ConstCounter;
use prometheus_client::metrics::gauge::ConstGauge;
use prometheus_client::registry::Unit;

/// Processor time in `/proc` is counted in hundredths of a second: USER_HZ is 100 on every architecture Linux runs
/// containers on, whatever the kernel's own HZ (proc_pid_stat(5)).
const TICKS_PER_SECOND: f64 = 100.0;

/// Reads `/proc/self` at each scrape.
#[derive(Debug)]
pub(crate) struct Process {
    started: f64,
}

impl Process {
    /// Counts the process's start from now, which is right within milliseconds when the registry is made first.
    pub(crate) fn starting_now() -> Self {
        let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
        Self { started: since.as_secs_f64() }
    }
}

impl Collector for Process {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> fmt::Result {
        let start = ConstGauge::new(self.started);
        gauge(
            &mut encoder,
            "process_start_time",
            "When the process started, in Unix time",
            Some(&Unit::Seconds),
            &start,
        )?;
        // What cannot be read is left out of the scrape rather than told as 0.
        if let Some(bytes) = std::fs::read_to_string("/proc/self/status").ok().and_then(|text| resident_bytes(&text)) {
            let bytes = ConstGauge::new(bytes);
            gauge(&mut encoder, "process_resident_memory", "Resident memory", Some(&Unit::Bytes), &bytes)?;
        }
        if let Ok(files) = std::fs::read_dir("/proc/self/fd") {
            let count = ConstGauge::new(u32::try_from(files.count()).unwrap_or(u32::MAX));
            gauge(&mut encoder, "process_open_fds", "Open file descriptors", None, &count)?;
        }
        if let Some(seconds) = std::fs::read_to_string("/proc/self/stat").ok().and_then(|text| cpu_seconds(&text)) {
            let seconds = ConstCounter::new(seconds);
            let metric = encoder.encode_descriptor(
                "process_cpu",
                "Processor time used, user and system",
                Some(&Unit::Seconds),
                seconds.metric_type(),
            )?;
            seconds.encode(metric)?;
        }
        Ok(())
    }
}

fn gauge(
    encoder: &mut DescriptorEncoder<'_>,
    name: &str,
    help: &str,
    unit: Option<&Unit>,
    value: &impl EncodeMetric,
) -> fmt::Result {
    value.encode(encoder.encode_descriptor(name, help, unit, value.metric_type())?)
}

/// `VmRSS` of `/proc/PID/status`, which is given in KiB under the name of kB.
fn resident_bytes(status: &str) -> Option<u64> {
    let value = status.lines().find_map(|line| line.strip_prefix("VmRSS:"))?;
    value.trim().strip_suffix("kB")?.trim().parse::<u64>().ok()?.checked_mul(1024)
}

/// Fields 14 and 15 of `/proc/PID/stat`. The second field is the command's name in parentheses and may hold anything.
fn cpu_seconds(stat: &str) -> Option<f64> {
    let (_, rest) = stat.rsplit_once(')')?;
    let mut fields = rest.split_whitespace().skip(11);
    let user: f64 = fields.next()?.parse().ok()?;
    let system: f64 = fields.next()?.parse().ok()?;
    Some((user + system) / TICKS_PER_SECOND)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Metrics;

    #[test]
    fn proc_files() {
        assert_eq!(resident_bytes("Name:\tx\nVmRSS:\t    2048 kB\nThreads:\t1\n"), Some(2 * 1024 * 1024));
        assert_eq!(resident_bytes("Name:\tx\n"), None);
        let stat = "7 (a) b (c)) S 1 7 7 0 -1 4194560 100 0 0 0 250 50 0 0 20 0 1 0 99 1000 10\n";
        assert_eq!(cpu_seconds(stat), Some(3.0));
        assert_eq!(cpu_seconds("7 (cut off) S 1"), None);
        assert_eq!(cpu_seconds(""), None);
    }

    #[test]
    fn the_running_process_has_figures() {
        let text = Metrics::new("1", "a").encode();
        for name in [
            "process_start_time_seconds",
            "process_resident_memory_bytes",
            "process_open_fds",
            "process_cpu_seconds_total",
        ] {
            let value = text.lines().find_map(|line| line.strip_prefix(name)?.trim().parse::<f64>().ok());
            assert!(value.is_some_and(|value| value >= 0.0), "{name} in\n{text}");
        }
    }
}
