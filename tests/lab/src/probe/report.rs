//! What a probe measured, and the questions one asks of it.

use std::collections::BTreeMap;
use std::fmt;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::{Duration, SystemTime};

use super::attempt::{Answer, Attempt, Failure};

/// A time without a success. Times are since the probe began.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Gap {
    /// The success before it, or the probe's beginning.
    pub from: Duration,
    /// The success after it, or the probe's end.
    pub to: Duration,
}

impl Gap {
    /// How long it was.
    #[must_use]
    pub fn length(self) -> Duration {
        self.to.saturating_sub(self.from)
    }
}

/// One probe's measurement.
#[derive(Debug, Clone)]
pub struct Report {
    /// What was connected to.
    pub target: SocketAddr,
    /// The raw log, a line per attempt in the order they ended.
    pub log: PathBuf,
    /// When the probe began, by the wall clock, to be laid beside a capture.
    pub started: SystemTime,
    /// How long attempts were started for.
    pub elapsed: Duration,
    /// Every attempt, in the order they ended.
    pub attempts: Vec<Attempt>,
    /// How late the client itself was with an attempt, at worst. A gap not longer than this may be the client's own.
    pub latest_start: Duration,
}

impl Report {
    pub(super) fn new(target: SocketAddr, log: PathBuf, started: SystemTime) -> Self {
        Self { target, log, started, elapsed: Duration::ZERO, attempts: Vec::new(), latest_start: Duration::ZERO }
    }

    /// The attempts that were answered, with who answered, in that order.
    pub fn successes(&self) -> impl Iterator<Item = (&Attempt, &Answer)> {
        self.attempts.iter().filter_map(|attempt| attempt.outcome.as_ref().ok().map(|answer| (attempt, answer)))
    }

    /// How many attempts were answered.
    #[must_use]
    pub fn ok(&self) -> usize {
        self.successes().count()
    }

    /// How many were not.
    #[must_use]
    pub fn failed(&self) -> usize {
        self.attempts.len() - self.ok()
    }

    /// How many were not, by the reason.
    #[must_use]
    pub fn by_failure(&self) -> BTreeMap<Failure, usize> {
        counted(self.attempts.iter().filter_map(|attempt| attempt.outcome.as_ref().err().copied()))
    }

    /// How many answers each pod gave.
    #[must_use]
    pub fn by_pod(&self) -> BTreeMap<String, usize> {
        counted(self.successes().map(|(_, answer)| answer.pod.clone()))
    }

    /// How many answers came from each node, of those that say so.
    #[must_use]
    pub fn by_node(&self) -> BTreeMap<String, usize> {
        counted(self.successes().map(|(_, answer)| answer.node.clone()).filter(|node| !node.is_empty()))
    }

    /// Every time without a success, in order: before the first one, between each two, after the last one.
    #[must_use]
    pub fn gaps(&self) -> Vec<Gap> {
        let mut answered: Vec<Duration> = self.successes().map(|(attempt, _)| attempt.ended).collect();
        answered.sort_unstable();
        let mut gaps = Vec::with_capacity(answered.len() + 1);
        let mut from = Duration::ZERO;
        for to in answered.into_iter().chain([self.elapsed]) {
            // Attempts may end after the last one was started.
            let to = to.min(self.elapsed);
            gaps.push(Gap { from, to });
            from = to;
        }
        gaps
    }

    /// The outage: the longest time without a success. With no success at all it is the whole time.
    #[must_use]
    pub fn longest_gap(&self) -> Gap {
        // Of equal ones `max_by_key` takes the last: here that is the earliest.
        self.gaps().into_iter().rev().max_by_key(|gap| gap.length()).unwrap_or_default()
    }

    /// The times without a success that are longer than `least`.
    #[must_use]
    pub fn gaps_over(&self, least: Duration) -> Vec<Gap> {
        self.gaps().into_iter().filter(|gap| gap.length() > least).collect()
    }

    /// The latency of the successes at a rank from 0 (best) to 1 (worst); `None` without a success.
    #[must_use]
    pub fn latency(&self, rank: f64) -> Option<Duration> {
        let mut latencies: Vec<Duration> = self.successes().map(|(attempt, _)| attempt.latency()).collect();
        latencies.sort_unstable();
        let last = latencies.len().checked_sub(1)?;
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            clippy::cast_precision_loss,
            reason = "a rank between 0 and the number of attempts, far below 2^52"
        )]
        let index = (last as f64 * rank.clamp(0.0, 1.0)).round() as usize;
        latencies.get(index).copied()
    }
}

fn counted<T: Ord>(items: impl Iterator<Item = T>) -> BTreeMap<T, usize> {
    let mut counts = BTreeMap::new();
    for item in items {
        *counts.entry(item).or_default() += 1;
    }
    counts
}

/// The measurement in one paragraph, for a failing test or a demonstration.
impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let gap = self.longest_gap();
        write!(
            f,
            "{}: {} of {} attempts answered in {:.1?}; longest gap {} ms from {:.3} s",
            self.target,
            self.ok(),
            self.attempts.len(),
            self.elapsed,
            gap.length().as_millis(),
            gap.from.as_secs_f64(),
        )?;
        if let (Some(middle), Some(worst)) = (self.latency(0.5), self.latency(1.0)) {
            write!(f, "; latency {middle:.1?}, at worst {worst:.1?}")?;
        }
        for (title, counts) in [("pods", self.by_pod()), ("nodes", self.by_node())] {
            if !counts.is_empty() {
                write!(f, "; {title} {}", listed(counts.iter()))?;
            }
        }
        if self.failed() > 0 {
            let failures: Vec<_> = self.by_failure().into_iter().map(|(why, n)| (why.category(), n)).collect();
            write!(f, "; failed {}", listed(failures.iter().map(|(why, n)| (why, n))))?;
        }
        write!(f, "; client at most {:.1?} late; log {}", self.latest_start, self.log.display())
    }
}

fn listed<'a, K: fmt::Display + 'a>(counts: impl Iterator<Item = (K, &'a usize)>) -> String {
    counts.map(|(key, count)| format!("{key} x {count}")).collect::<Vec<_>>().join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn millis(value: u64) -> Duration {
        Duration::from_millis(value)
    }

    /// Attempts of (start, end, success) in milliseconds.
    fn report(elapsed: u64, attempts: &[(u64, u64, bool)]) -> Report {
        let target = SocketAddr::from(([192, 0, 2, 200], 80));
        let mut report = Report::new(target, PathBuf::new(), SystemTime::UNIX_EPOCH);
        report.elapsed = millis(elapsed);
        report.attempts = attempts
            .iter()
            .map(|&(started, ended, success)| Attempt {
                started: millis(started),
                ended: millis(ended),
                outcome: if success {
                    Ok(Answer { pod: format!("p{}", started % 20), node: "n".to_owned(), client: String::new() })
                } else {
                    Err(Failure::TimedOut)
                },
            })
            .collect();
        report
    }

    #[test]
    fn the_outage_is_the_longest_time_without_an_answer() {
        type Row = (&'static str, u64, &'static [(u64, u64, bool)], (u64, u64));
        let rows: [Row; 8] = [
            ("steady", 30, &[(0, 1, true), (10, 11, true), (20, 21, true)], (1, 11)),
            ("in the middle", 60, &[(0, 1, true), (10, 910, false), (40, 41, true), (50, 51, true)], (1, 41)),
            ("not begun", 60, &[(0, 900, false), (50, 51, true)], (0, 51)),
            ("not ended", 60, &[(0, 1, true), (10, 910, false)], (1, 60)),
            ("no success at all", 60, &[(0, 900, false)], (0, 60)),
            ("no attempt at all", 0, &[], (0, 0)),
            // Held back by the client's kernel until a neighbour was found: service began at 300, not at 10.
            ("answers all at once", 320, &[(0, 1, true), (10, 300, true), (20, 300, true), (310, 311, true)], (1, 300)),
            ("an answer after the end", 20, &[(0, 1, true), (10, 30, true)], (1, 20)),
        ];
        for (name, elapsed, attempts, (from, to)) in rows {
            let gap = report(elapsed, attempts).longest_gap();
            assert_eq!(gap, Gap { from: millis(from), to: millis(to) }, "{name}");
        }
    }

    #[test]
    fn counts_and_ranks() {
        let report = report(40, &[(0, 1, true), (10, 13, true), (20, 25, true), (30, 930, false)]);
        assert_eq!((report.ok(), report.failed()), (3, 1));
        assert_eq!(report.by_pod(), BTreeMap::from([("p0".to_owned(), 2), ("p10".to_owned(), 1)]));
        assert_eq!(report.by_node(), BTreeMap::from([("n".to_owned(), 3)]));
        assert_eq!(report.by_failure(), BTreeMap::from([(Failure::TimedOut, 1)]));
        assert_eq!(report.gaps_over(millis(12)), [Gap { from: millis(25), to: millis(40) }]);
        let ranks = [0.0, 0.5, 1.0].map(|rank| report.latency(rank));
        assert_eq!(ranks, [Some(millis(1)), Some(millis(3)), Some(millis(5))]);
        let text = report.to_string();
        assert!(
            text.contains("3 of 4 attempts answered in 40.0ms; longest gap 15 ms from 0.025 s")
                && text.contains("p0 x 2, p10 x 1")
                && text.contains("timed-out x 1")
        );
    }
}
