//! The measuring client: a fresh TCP connection every few milliseconds, and how long there was none that worked.
//!
//! Each attempt is a socket of its own, asks once and must be answered whole within a deadline that is shorter than the
//! kernel's first SYN retransmission (1 s, RFC 6298 section 2.1). So one attempt stands for one SYN: a success is never owed
//! to a retransmission, and attempts overlap instead of waiting for each other.
//!
//! **Outage** is the longest time without a success, from the moment one is answered to the moment the next one is. It is
//! taken at the answers and not at the starts: while a neighbour is being resolved the client's kernel holds SYNs back and
//! sends them later, and such attempts must not count as service at the time they were started.

mod attempt;
mod report;

use std::fs::File;
use std::io::{self, BufWriter, Write};
use std::net::SocketAddr;
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, SystemTime};

use tokio::sync::oneshot;
use tokio::task::JoinSet;
use tokio::time::{Instant, MissedTickBehavior};

pub use self::attempt::{Answer, Attempt, Failure};
pub use self::report::{Gap, Report};
use crate::instrument;
use crate::netns::Netns;

/// An attempt's longest deadline, 100 ms below the first SYN retransmission.
pub const LONGEST_DEADLINE: Duration = Duration::from_millis(900);

/// How to measure.
#[derive(Debug, Clone, Copy)]
pub struct Probing {
    /// From the start of one attempt to the start of the next.
    pub interval: Duration,
    /// When an unanswered attempt is given up; at most [`LONGEST_DEADLINE`].
    pub deadline: Duration,
}

impl Default for Probing {
    /// 100 attempts a second, the rate of the project's bars.
    fn default() -> Self {
        Self { interval: Duration::from_millis(10), deadline: LONGEST_DEADLINE }
    }
}

/// A measuring client that is running. Dropping it ends it; its log is complete then too.
#[derive(Debug)]
pub struct Probe {
    results: Arc<Mutex<Report>>,
    stop: Option<oneshot::Sender<()>>,
    thread: Option<JoinHandle<io::Result<io::Result<()>>>>,
}

impl Probe {
    /// Begins to connect to `target` from a namespace; every attempt becomes a line of `log`.
    ///
    /// # Errors
    /// The deadline could let a SYN retransmission through, the interval is zero, or the namespace or the log cannot be
    /// opened.
    pub fn start(netns: &Netns, target: SocketAddr, probing: Probing, log: &Path) -> io::Result<Self> {
        if probing.deadline > LONGEST_DEADLINE || probing.interval.is_zero() {
            return Err(io::Error::new(
                io::ErrorKind::InvalidInput,
                format!("a probe needs an interval and a deadline of at most {LONGEST_DEADLINE:?}, not {probing:?}"),
            ));
        }
        let file = BufWriter::new(File::create(log)?);
        let results = Arc::new(Mutex::new(Report::new(target, log.to_owned(), SystemTime::now())));
        let (stop, stopped) = oneshot::channel();
        let (started, has_started) = std::sync::mpsc::channel();
        let shared = Arc::clone(&results);
        let thread = netns.spawn(move || {
            // One thread: every socket is made here, inside the namespace.
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
            // The other end waits for this; it is there.
            let _ = started.send(());
            runtime.block_on(run(target, probing, file, &shared, stopped))
        })?;
        let mut probe = Self { results, stop: Some(stop), thread: Some(thread) };
        if has_started.recv().is_err() {
            probe.end()?;
        }
        Ok(probe)
    }

    /// What has been measured until now. Attempts that are still under way are not in it.
    #[must_use]
    pub fn so_far(&self) -> Report {
        self.results.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Starts no more attempts, waits for those under way (at most one deadline), and hands over the measurement.
    ///
    /// # Errors
    /// The log could not be written, or the client could not go on.
    pub fn stop(mut self) -> io::Result<Report> {
        self.end()?;
        Ok(self.so_far())
    }

    fn end(&mut self) -> io::Result<()> {
        self.stop = None;
        match self.thread.take() {
            Some(thread) => instrument::ended(thread),
            None => Ok(()),
        }
    }
}

impl Drop for Probe {
    fn drop(&mut self) {
        // A test that fails drops its probes; the test's own failure is what matters then.
        let _ = self.end();
    }
}

/// Starts attempts on time until told to stop, and notes each as it ends.
async fn run(
    target: SocketAddr,
    probing: Probing,
    mut log: BufWriter<File>,
    results: &Mutex<Report>,
    mut stopped: oneshot::Receiver<()>,
) -> io::Result<()> {
    let began = Instant::now();
    let wall = SystemTime::now();
    let note =
        |change: &mut dyn FnMut(&mut Report)| change(&mut results.lock().unwrap_or_else(PoisonError::into_inner));
    note(&mut |report| report.started = wall);
    let since_epoch = wall.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    writeln!(log, "# target {target}  interval {:?}  deadline {:?}", probing.interval, probing.deadline)?;
    writeln!(log, "# began at unix time {:.6}; times below are seconds since then", since_epoch.as_secs_f64())?;
    writeln!(log, "# start\tend\tlatency_ms\tresult\tpod\tnode")?;

    // After a stall the missed attempts are made up for, so that the number of attempts tells the length of the test.
    let mut clock = tokio::time::interval_at(began, probing.interval);
    clock.set_missed_tick_behavior(MissedTickBehavior::Burst);
    let mut under_way = JoinSet::new();
    let mut starting = true;
    while starting || !under_way.is_empty() {
        tokio::select! {
            // `stop` only ever drops the sender.
            _ = &mut stopped, if starting => {
                starting = false;
                note(&mut |report| report.elapsed = began.elapsed());
            }
            due = clock.tick(), if starting => {
                let late = due.elapsed();
                note(&mut |report| {
                    report.elapsed = began.elapsed();
                    report.latest_start = report.latest_start.max(late);
                });
                under_way.spawn(attempt::make(target, began, probing.deadline));
            }
            Some(ended) = under_way.join_next() => {
                let attempt = ended.map_err(io::Error::other)?;
                writeln!(log, "{attempt}")?;
                note(&mut |report| report.attempts.push(attempt.clone()));
            }
        }
    }
    log.flush()
}
