//! Waiting for something to become true, with a deadline and a name.

use std::future::Future;
use std::time::{Duration, Instant};

use anyhow::{Result, anyhow};

/// Between two looks. Chosen: well below the seconds that are waited for, and a hundred looks cost nothing.
const PAUSE: Duration = Duration::from_millis(50);

/// Asks `look` again and again until it gives a value, at most for `within`.
///
/// An error of `look` is a "not yet"; the last one is told when time is up.
///
/// # Errors
/// Time is up.
pub async fn wait_for<T, F, Fut>(within: Duration, what: &str, mut look: F) -> Result<T>
where
    F: FnMut() -> Fut,
    Fut: Future<Output = Result<Option<T>>>,
{
    let deadline = Instant::now() + within;
    let mut last = None;
    loop {
        // A look that hangs must not outlive the deadline.
        match tokio::time::timeout_at(deadline.into(), look()).await {
            Ok(Ok(Some(value))) => return Ok(value),
            Ok(Ok(None)) => last = None,
            Ok(Err(error)) => last = Some(error),
            Err(_) => {}
        }
        if Instant::now() + PAUSE > deadline {
            let waited = format!("waited {} s for {what}", within.as_secs_f32());
            return Err(match last {
                Some(error) => error.context(waited),
                None => anyhow!(waited),
            });
        }
        tokio::time::sleep(PAUSE).await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn the_first_value_ends_the_wait() {
        let mut looks = 0;
        let found = wait_for(Duration::from_secs(5), "three looks", || {
            looks += 1;
            let now = looks;
            async move { Ok((now == 3).then_some(now)) }
        });
        assert_eq!(found.await.unwrap(), 3);
    }

    #[tokio::test]
    async fn the_last_error_is_told_with_what_was_waited_for() {
        let found = wait_for(Duration::from_millis(60), "rain", || async { Err::<Option<()>, _>(anyhow!("dry")) });
        assert_eq!(format!("{:#}", found.await.unwrap_err()), "waited 0.06 s for rain: dry");
    }

    #[tokio::test]
    async fn a_look_that_hangs_is_given_up_at_the_deadline() {
        let found = wait_for(Duration::from_millis(60), "godot", std::future::pending::<Result<Option<()>>>);
        assert_eq!(found.await.unwrap_err().to_string(), "waited 0.06 s for godot");
    }
}
