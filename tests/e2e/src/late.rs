//! What only took too long, as a machine that stands still makes everything.

use std::fmt;
use std::time::Duration;

use anyhow::{Result, bail};

/// A length of time is not what it was to be. The runner shows the scenario once more where the machine can have been the cause; whatever
/// else is wrong is wrong at once.
#[derive(Debug)]
pub struct Late(
    /// It, in words.
    pub String,
);

impl fmt::Display for Late {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.0)
    }
}

impl std::error::Error for Late {}

/// Holds it to its bar.
///
/// # Errors
/// [`Late`]: it took longer.
pub fn within(what: &str, took: Duration, bar: Duration) -> Result<()> {
    if took > bar {
        bail!(Late(format!("{what} took {took:.1?}; the bar is {bar:?}")));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use anyhow::{Context, anyhow};

    use super::*;

    #[test]
    fn only_what_is_late_is_and_is_so_in_any_context() {
        let bar = Duration::from_secs(2);
        within("it", bar, bar).unwrap();
        let late = within("it", bar + Duration::from_millis(1), bar).context("a node").unwrap_err();
        assert!(late.is::<Late>(), "{late:#}");
        assert!(!anyhow!("two nodes answer").context("late").is::<Late>());
    }
}
