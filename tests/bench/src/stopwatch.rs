//! Measuring and printing.

use std::hint::black_box;
use std::time::{Duration, Instant};

/// Runs `decide` so many times and prints best, median and worst beside the bar. Says whether the median keeps to it.
///
/// What is measured is the time this thread spent on a processor: a decision waits for nothing, and what else runs on the machine is
/// not its doing.
pub fn report<T>(what: &str, runs: usize, bar: Duration, mut decide: impl FnMut() -> T) -> bool {
    let mut times: Vec<Duration> = (0..runs.max(1))
        .map(|_| {
            let begun = Moment::now();
            black_box(decide());
            begun.elapsed()
        })
        .collect();
    times.sort_unstable();
    let (best, median, worst) = (times[0], times[times.len() / 2], times[times.len() - 1]);
    let verdict = if median <= bar { "ok" } else { "TOO SLOW" };
    println!("  {what:<66} best {best:>8.2?}  median {median:>8.2?}  worst {worst:>8.2?}  bar {bar:>6.0?}  {verdict}");
    median <= bar
}

/// A moment of this thread's time on a processor, or of the clock where the kernel does not tell that.
enum Moment {
    OnProcessor(Duration),
    Clock(Instant),
}

impl Moment {
    fn now() -> Self {
        on_processor().map_or_else(|| Self::Clock(Instant::now()), Self::OnProcessor)
    }

    fn elapsed(&self) -> Duration {
        match self {
            Self::OnProcessor(begun) => on_processor().unwrap_or(*begun).saturating_sub(*begun),
            Self::Clock(begun) => begun.elapsed(),
        }
    }
}

/// The first number of the kernel's `schedstat` is the time spent on a processor, in nanoseconds.
fn on_processor() -> Option<Duration> {
    // The kernel adds to it when the thread is switched; giving the processor away makes it do so.
    std::thread::yield_now();
    let text = std::fs::read_to_string("/proc/thread-self/schedstat").ok()?;
    text.split_whitespace().next()?.parse().ok().map(Duration::from_nanos)
}
