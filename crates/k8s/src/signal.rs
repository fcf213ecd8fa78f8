//! "Something has changed": a wake-up that carries nothing.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::Notify;

/// Wakes one loop. It carries nothing and repeats merge: ten raises before the loop looks are one, so a lost, doubled or reordered
/// event can do no harm. Clones are the same signal.
#[derive(Debug, Clone, Default)]
pub struct Signal(Arc<Notify>);

impl Signal {
    /// A signal that has not been raised.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Wakes the loop, now or when it next waits.
    pub fn raise(&self) {
        self.0.notify_one();
    }

    /// Waits until raised. Cancel safe: a wait that is dropped loses nothing that it has not returned.
    pub async fn raised(&self) {
        self.0.notified().await;
    }

    /// Waits until raised, then `window` longer, and takes along whatever was raised meanwhile. Merging for a few milliseconds turns a
    /// list of 10,000 events into a handful of runs; a longer window would only be delay.
    pub async fn settled(&self, window: Duration) {
        self.raised().await;
        tokio::time::sleep(window).await;
        // What came in the window is in the stores already: the run that follows sees it.
        let merged = self.0.notified();
        tokio::pin!(merged);
        merged.as_mut().enable();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn is_raised(signal: &Signal) -> bool {
        tokio::time::timeout(Duration::from_millis(1), signal.raised()).await.is_ok()
    }

    #[tokio::test(start_paused = true)]
    async fn raises_merge_and_wait_for_the_loop() {
        let signal = Signal::new();
        assert!(!is_raised(&signal).await);
        for _ in 0..10 {
            signal.clone().raise();
        }
        assert!(is_raised(&signal).await);
        assert!(!is_raised(&signal).await);
    }

    #[tokio::test(start_paused = true)]
    async fn what_comes_in_the_window_belongs_to_the_same_run() {
        let signal = Signal::new();
        signal.raise();
        let late = signal.clone();
        let ((), ()) = tokio::join!(signal.settled(Duration::from_millis(10)), async move {
            tokio::time::sleep(Duration::from_millis(5)).await;
            late.raise();
        });
        assert!(!is_raised(&signal).await);
        signal.raise();
        assert!(is_raised(&signal).await);
    }
}
