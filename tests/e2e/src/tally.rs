//! How the scenarios went, on all sites.

use std::time::Duration;

use anyhow::Result;
use serde::{Deserialize, Serialize};

/// How one scenario went.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct Ended {
    name: String,
    took: Duration,
    failure: Option<String>,
}

/// How all of them went.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Tally {
    pub(crate) results: Vec<Ended>,
    /// Filtered out.
    pub left_out: usize,
    /// Their site did not come up, or its process ended before it could say how they went.
    pub not_run: usize,
}

impl Tally {
    /// Notes how a scenario, or a step around the scenarios, went.
    pub(crate) fn note(&mut self, name: &str, took: Duration, outcome: Result<()>) {
        let failure = outcome.err().map(|error| format!("{error:#}"));
        match &failure {
            None => println!("test {name} ... ok ({:.1} s)", took.as_secs_f64()),
            Some(why) => println!("test {name} ... FAILED ({:.1} s): {why}", took.as_secs_f64()),
        }
        self.results.push(Ended { name: name.to_owned(), took, failure });
    }

    /// Takes in how it went on another site.
    pub fn add(&mut self, other: Self) {
        self.results.extend(other.results);
        self.left_out += other.left_out;
        self.not_run += other.not_run;
    }

    /// Prints the ten slowest, the failures and the closing line; true when all passed and at least one ran.
    pub fn close(mut self) -> bool {
        self.results.sort_by_key(|result| std::cmp::Reverse(result.took));
        println!("\nthe ten slowest:");
        for result in self.results.iter().take(10) {
            println!("  {:>6.1} s  {}", result.took.as_secs_f64(), result.name);
        }
        let failed: Vec<_> = self.results.iter().filter(|result| result.failure.is_some()).collect();
        if !failed.is_empty() {
            println!("\nfailures:");
            for result in &failed {
                println!("  {}: {}", result.name, result.failure.as_deref().unwrap_or_default());
            }
        }
        let passed = self.results.len() - failed.len();
        let failed = failed.len() + self.not_run;
        let word = if failed == 0 && passed > 0 { "ok" } else { "FAILED" };
        println!(
            "\ntest result: {word}. {passed} passed; {failed} failed; 0 ignored; 0 measured; {} filtered out",
            self.left_out
        );
        word == "ok"
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_that_ran_or_something_that_failed_is_no_pass() {
        assert!(!Tally::default().close());
        let mut tally = Tally::default();
        tally.note("one", Duration::ZERO, Ok(()));
        assert!(tally.close());
        let mut tally = Tally { not_run: 1, ..Tally::default() };
        tally.note("one", Duration::ZERO, Ok(()));
        assert!(!tally.close());
        let mut tally = Tally::default();
        tally.note("one", Duration::ZERO, Ok(()));
        tally.note("two", Duration::ZERO, Err(anyhow::anyhow!("no")));
        assert!(!tally.close());
    }
}
