//! A metronome on each processor: when it is late, the machine stood still, and what was measured meanwhile tells of the machine.

use std::io;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use nix::sched::{CpuSet, sched_getaffinity, sched_setaffinity};
use nix::unistd::Pid;

/// From one tick to the next. Chosen: short against what is measured, and it costs a few microseconds each.
const TICK: Duration = Duration::from_millis(10);

/// What is noted. Chosen: on a machine that has something else to do, ticks are some milliseconds late all the time.
const LATE: Duration = Duration::from_millis(50);

/// Ticks on each processor that this process may use, until it is dropped.
#[derive(Debug)]
pub struct Metronome {
    late: Arc<Mutex<Vec<Late>>>,
    stopped: Arc<AtomicBool>,
}

/// A tick that did not come when it was due.
#[derive(Debug, Clone, Copy)]
struct Late {
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
                        late.lock().unwrap_or_else(PoisonError::into_inner).push(Late { came, by });
                    }
                }
            })?;
        }
        Ok(metronome)
    }

    /// The longest that a processor stood still since then; zero where that was less than 50 ms.
    #[must_use]
    pub fn longest_since(&self, begin: Instant) -> Duration {
        let late = self.late.lock().unwrap_or_else(PoisonError::into_inner);
        late.iter().filter(|late| late.came >= begin).map(|late| late.by).max().unwrap_or_default()
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
        metronome.late.lock().unwrap().push(Late { came: Instant::now(), by });
        assert_eq!(metronome.longest_since(before), by);
        assert!(metronome.longest_since(Instant::now()) < by);
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
