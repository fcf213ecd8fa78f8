//! Measuring and printing.

use std::hint::black_box;
use std::time::{Duration, Instant};

use crate::table::row;

/// Runs `decide` so many times and prints median, best and worst beside the bar. Says whether the median keeps to it.
///
/// What is measured is the time this thread spent on a processor: a decision waits for nothing, and what else runs on the machine is
/// not its doing.
pub fn report<T>(what: &str, runs: usize, bar: Duration, decide: impl FnMut() -> T) -> bool {
    let times = times(runs, decide);
    let (best, median, worst) = (times[0], times[times.len() / 2], times[times.len() - 1]);
    let measured = format!("{median:.1?} ({best:.1?} to {worst:.1?})");
    row(what, &measured, &format!("{bar:.0?}"), median <= bar)
}

/// Runs both so many times and prints how much longer the first takes than the second, each at its best, beside the bar. The best,
/// because what else runs on the machine only adds.
pub fn compare<T>(
    what: &str,
    runs: usize,
    bar: f64,
    mut decide: impl FnMut() -> T,
    mut reference: impl FnMut() -> T,
) -> bool {
    // By turns, so that a machine that is slower for a while is so for both.
    let rounds = (0..runs.max(1)).map(|_| (times(1, &mut decide)[0], times(1, &mut reference)[0]));
    let (one, other) = rounds.reduce(|best, round| (best.0.min(round.0), best.1.min(round.1))).unwrap_or_default();
    let ratio = one.as_secs_f64() / other.as_secs_f64();
    row(what, &format!("{ratio:.2} x ({one:.1?} against {other:.1?})"), &format!("{bar} x"), ratio <= bar)
}

/// How long each run takes, the shortest first.
fn times<T>(runs: usize, mut decide: impl FnMut() -> T) -> Vec<Duration> {
    let mut times: Vec<Duration> = (0..runs.max(1))
        .map(|_| {
            let begun = Moment::now();
            black_box(decide());
            begun.elapsed()
        })
        .collect();
    times.sort_unstable();
    times
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
