//! A metronome on each processor: when it is late, the machine stood still, and what was measured meanwhile tells of the machine.

use std::collections::BTreeMap;
use std::io;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use nix::sched::{CpuSet, sched_getaffinity, sched_setaffinity};
use nix::unistd::Pid;

/// From one tick to the next. Chosen: short against what is measured, and it costs a few microseconds each.
const TICK: Duration = Duration::from_millis(5);

/// What is noted. Chosen: on a machine that has something else to do, ticks are some milliseconds late all the time.
const LATE: Duration = Duration::from_millis(10);

/// Ticks on each processor that this process may use, until it is dropped.
#[derive(Debug)]
pub struct Metronome {
    late: Arc<Mutex<Vec<Late>>>,
    stopped: Arc<AtomicBool>,
}

/// A tick that did not come when it was due.
#[derive(Debug, Clone, Copy)]
struct Late {
    processor: usize,
    came: Instant,
    by: Duration,
}

impl Metronome {
    /// Starts it.
    ///
    /// # Errors
    /// The kernel does not say which processors there are, or starts no thread.
    pub fn start() -> io::Result<Self> {
        let metronome = Self { late: Arc::default(), stopped: Arc::default() };
        let usable = sched_getaffinity(Pid::from_raw(0))?;
        for processor in (0..CpuSet::count()).filter(|number| usable.is_set(*number).unwrap_or_default()) {
            let mut only = CpuSet::new();
            only.set(processor)?;
            let (late, stopped) = (Arc::clone(&metronome.late), Arc::clone(&metronome.stopped));
            thread::Builder::new().name(format!("metronome-{processor}")).spawn(move || {
                // Where it may not be bound to one, it still ticks.
                let _ = sched_setaffinity(Pid::from_raw(0), &only);
                while !stopped.load(Ordering::Relaxed) {
                    let due = Instant::now() + TICK;
                    thread::sleep(TICK);
                    let came = Instant::now();
                    let by = came.saturating_duration_since(due);
                    if by >= LATE {
                        late.lock().unwrap_or_else(PoisonError::into_inner).push(Late { processor, came, by });
                    }
                }
            })?;
        }
        Ok(metronome)
    }

    /// The longest that a processor stood still at once since then; zero where that was less than 10 ms.
    #[must_use]
    pub fn longest_since(&self, begin: Instant) -> Duration {
        self.since(begin).iter().map(|late| late.by).max().unwrap_or_default()
    }

    /// How long the processor that stood still most did so since then, all in all.
    #[must_use]
    pub fn sum_since(&self, begin: Instant) -> Duration {
        let mut sums = BTreeMap::<usize, Duration>::new();
        for late in self.since(begin) {
            *sums.entry(late.processor).or_default() += late.by;
        }
        sums.into_values().max().unwrap_or_default()
    }

    /// Does something that a machine refutes which stands still for so long at once: again where it failed and the machine did. It says so,
    /// and begins nothing anew when `patience` is over.
    ///
    /// # Errors
    /// What it failed with while the machine did not stand still; or what it failed with last.
    pub async fn again_where_still<T>(
        &self,
        still: Duration,
        patience: Duration,
        mut work: impl AsyncFnMut() -> Result<T>,
    ) -> Result<T> {
        let first = Instant::now();
        loop {
            let begin = Instant::now();
            let error = match work().await {
                Ok(done) => return Ok(done),
                Err(error) => error,
            };
            let stood_still = self.longest_since(begin);
            if stood_still < still {
                return Err(error);
            }
            if first.elapsed() > patience {
                return Err(error).context("the machine stood still, too, each time");
            }
            println!("    once more, because a processor stood still for {} ms: {error:#}", stood_still.as_millis());
        }
    }

    fn since(&self, begin: Instant) -> Vec<Late> {
        let late = self.late.lock().unwrap_or_else(PoisonError::into_inner);
        late.iter().filter(|late| late.came >= begin).copied().collect()
    }
}

impl Drop for Metronome {
    fn drop(&mut self) {
        self.stopped.store(true, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_late_before_is_not_told() {
        let metronome = Metronome::start().unwrap();
        let (before, by) = (Instant::now(), Duration::from_secs(5));
        metronome.late.lock().unwrap().push(Late { processor: 0, came: Instant::now(), by });
        assert_eq!(metronome.longest_since(before), by);
        assert!(metronome.longest_since(Instant::now()) < by);
        metronome.late.lock().unwrap().push(Late { processor: 0, came: Instant::now(), by });
        assert_eq!(metronome.longest_since(before), by);
        assert!(metronome.sum_since(before) >= 2 * by);
    }

    /// What fails is done again while the machine stands still, and not on one that ticks, nor for ever.
    #[tokio::test]
    async fn only_a_standstill_is_a_reason_to_do_it_again() {
        let metronome = Metronome::start().unwrap();
        let (by, still) = (Duration::from_secs(50), Duration::from_secs(40));
        let stand_still = || {
            metronome.late.lock().unwrap().push(Late { processor: 0, came: Instant::now(), by });
        };
        let times = async |patience, stands_still: &dyn Fn(i32) -> bool, holds: &dyn Fn(i32) -> bool| {
            let mut time = 0;
            let outcome = metronome.again_where_still(still, patience, async || {
                time += 1;
                if stands_still(time) {
                    stand_still();
                }
                anyhow::ensure!(holds(time), "it failed");
                Ok(())
            });
            let outcome = outcome.await;
            (time, outcome.is_ok())
        };
        let patience = Duration::from_secs(60);
        assert_eq!(times(patience, &|_| true, &|_| true).await, (1, true));
        assert_eq!(times(patience, &|_| true, &|time| time == 3).await, (3, true));
        assert_eq!(times(patience, &|_| false, &|_| false).await, (1, false));
        assert_eq!(times(patience, &|time| time == 1, &|_| false).await, (2, false));
        assert_eq!(times(Duration::ZERO, &|_| true, &|_| false).await, (1, false));
    }

    /// This process is stopped for a third of a second, as by a machine that gives others the processor.
    #[test]
    fn a_standstill_is_heard() {
        let metronome = Metronome::start().unwrap();
        let begin = Instant::now();
        let me = std::process::id();
        let script = format!("kill -STOP {me}; sleep 0.3; kill -CONT {me}");
        assert!(std::process::Command::new("sh").args(["-c", &script]).status().unwrap().success());
        let deadline = begin + Duration::from_secs(10);
        while metronome.longest_since(begin) < Duration::from_millis(200) {
            assert!(Instant::now() < deadline, "nothing was heard of it");
            thread::sleep(TICK);
        }
    }
}
