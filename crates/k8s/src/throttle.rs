//! "Not before then": what the API server asks of its clients when it has too much to do.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use http::header::RETRY_AFTER;
use http::{Response, StatusCode};
use ironlb_model::Timestamp;

use crate::clock;
use crate::counters::Counter;

/// The longest wait that is believed. Chosen, because the API server asks for one second; something on the way that asks for an hour
/// must not stop the cluster for one.
const MOST: Duration = Duration::from_secs(30);

/// What is waited where a 429 names no time: what the API server names when it does.
const UNNAMED: Duration = Duration::from_secs(1);

/// Until when the API server wants to be left alone, as its last 429 (too many requests) said. Clones share it.
#[derive(Debug, Clone, Default)]
pub struct Throttle(Arc<Told>);

#[derive(Debug, Default)]
struct Told {
    /// In nanoseconds of [`clock::now`].
    until: AtomicU64,
    count: Counter,
}

impl Throttle {
    /// Until when; a moment that has passed where nothing is asked.
    #[must_use]
    pub fn until(&self) -> Timestamp {
        Timestamp::from_nanos(self.0.until.load(Ordering::Relaxed))
    }

    /// How often it was asked for.
    #[must_use]
    pub fn count(&self) -> u64 {
        self.0.count.get()
    }

    /// Waits until it may be asked again. Cancel-safe.
    pub async fn passed(&self) {
        let left = self.until().since(clock::now());
        if !left.is_zero() {
            tokio::time::sleep(left).await;
        }
    }

    /// Looks at an answer. The header is all there is: the body of such an answer is a sentence, and no error keeps headers.
    pub(crate) fn look<B>(&self, answer: &Response<B>) {
        if answer.status() != StatusCode::TOO_MANY_REQUESTS {
            return;
        }
        let named = answer.headers().get(RETRY_AFTER).and_then(|value| value.to_str().ok()?.trim().parse().ok());
        let wait = named.map_or(UNNAMED, Duration::from_secs).min(MOST);
        let until = (clock::now() + wait).as_nanos();
        self.0.until.fetch_max(until, Ordering::Relaxed);
        self.0.count.add_one();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn answer(status: u16, retry_after: Option<&str>) -> Response<()> {
        let mut answer = Response::builder().status(status);
        if let Some(text) = retry_after {
            answer = answer.header(RETRY_AFTER, text);
        }
        answer.body(()).unwrap()
    }

    #[test]
    fn only_too_many_requests_makes_us_wait_and_never_for_long() {
        for (status, text, wanted) in [
            (200, Some("5"), Duration::ZERO),
            (503, Some("5"), Duration::ZERO),
            (429, Some("5"), Duration::from_secs(5)),
            (429, None, UNNAMED),
            (429, Some("soon"), UNNAMED),
            (429, Some("-1"), UNNAMED),
            (429, Some("99999999"), MOST),
        ] {
            let throttle = Throttle::default();
            let before = clock::now();
            throttle.look(&answer(status, text));
            let wait = throttle.until().since(before);
            assert!(wait >= wanted && wait < wanted + UNNAMED, "{status} {text:?}: {wait:?}");
            assert_eq!(throttle.count(), u64::from(status == 429));
        }
    }

    #[test]
    fn a_shorter_wait_does_not_end_a_longer_one() {
        let throttle = Throttle::default();
        throttle.look(&answer(429, Some("10")));
        let long = throttle.until();
        throttle.clone().look(&answer(429, Some("1")));
        assert_eq!(throttle.until(), long);
    }
}
