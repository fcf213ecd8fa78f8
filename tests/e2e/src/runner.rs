//! Runs scenarios on sites, and says how it went.
//!
//! Sites are dear and scenarios are cheap, so scenarios share a site: each works in a namespace and with addresses of its own and
//! leaves neither behind. Those that only ask and tell the API server run several at once. What looks at the network or changes
//! the site itself (power cuts, a stopped API server) comes after, one at a time, and is put back in order before the next.

use std::cell::RefCell;
use std::future::Future;
use std::path::Path;
use std::pin::Pin;
use std::time::{Duration, Instant};

use anyhow::Result;
use futures::stream::{self, StreamExt};
use ironlb_lab::{Capsule, SiteSpec};

use crate::evidence;
use crate::ground::Ground;
use crate::stage::Stage;

/// What a scenario returns.
pub type Outcome<'a> = Pin<Box<dyn Future<Output = Result<()>> + 'a>>;

/// Something that must be true, and the steps that show it.
#[derive(Debug, Clone, Copy)]
pub struct Scenario {
    /// A short name: its namespace, and what a filter is compared with.
    pub name: &'static str,
    /// What holds when it passes, in words.
    pub shows: &'static str,
    /// The last number of the first address of its range.
    pub first_address: u8,
    /// The steps.
    pub run: for<'a> fn(&'a Ground<'a>) -> Outcome<'a>,
}

/// Scenarios that share a site.
#[derive(Debug)]
pub struct SitePlan {
    /// The site, in words.
    pub title: &'static str,
    /// The site's description.
    pub spec: fn() -> SiteSpec,
    /// What is shown on it before ironlb is there, and installs it. Where there is none, or it is not wanted, ironlb is installed first.
    pub before: Option<Scenario>,
    /// What is shown on it then, up to `AT_ONCE` at once: scenarios that ask and tell nobody but the API server, and that nothing
    /// in another namespace can disturb. So none of them makes a default Eip, or a Service that takes an address from any Eip,
    /// or counts on the time that something takes.
    pub together: Vec<Scenario>,
    /// What is shown after that, one at a time, in this order.
    pub scenarios: Vec<Scenario>,
}

impl SitePlan {
    /// All of its scenarios.
    pub fn all(&self) -> impl Iterator<Item = &Scenario> {
        self.before.iter().chain(&self.together).chain(&self.scenarios)
    }
}

/// So many scenarios run at once. Chosen: they mostly wait, and twice as many as a small machine has cores leave none idle.
const AT_ONCE: usize = 4;

/// Which scenarios are wanted: those whose name holds one of the texts; all if there is none.
#[derive(Debug, Default)]
pub struct Filter(Vec<String>);

impl Filter {
    /// Reads the arguments that are not flags.
    pub fn from_arguments(arguments: impl Iterator<Item = String>) -> Self {
        Self(arguments.filter(|argument| !argument.starts_with('-')).collect())
    }

    fn admits(&self, name: &str) -> bool {
        self.0.is_empty() || self.0.iter().any(|text| name.contains(text.as_str()))
    }
}

/// Prints the names of the scenarios, as `cargo test -- --list` does.
pub fn list(plans: &[SitePlan], filter: &Filter) {
    for plan in plans {
        for scenario in plan.all().filter(|scenario| filter.admits(scenario.name)) {
            println!("{}: test", scenario.name);
        }
    }
}

/// Runs what the filter admits, site after site; true if all passed.
pub async fn run(capsule: &Capsule, plans: &[SitePlan], filter: &Filter, records: &Path) -> bool {
    let mut tally = Tally::default();
    for plan in plans {
        let wanted = |scenarios: &[Scenario]| -> Vec<Scenario> {
            scenarios.iter().filter(|scenario| filter.admits(scenario.name)).copied().collect()
        };
        let before = plan.before.filter(|scenario| filter.admits(scenario.name));
        let (together, one_by_one) = (wanted(&plan.together), wanted(&plan.scenarios));
        let count = usize::from(before.is_some()) + together.len() + one_by_one.len();
        tally.left_out += plan.all().count() - count;
        if count == 0 {
            continue;
        }
        println!("\nsite: {}", plan.title);
        let start = Instant::now();
        let raised = match before {
            Some(_) => Stage::bare(capsule, (plan.spec)(), records).await,
            None => Stage::raise(capsule, (plan.spec)(), records).await,
        };
        let stage = match raised {
            Ok(stage) => stage,
            Err(error) => {
                tally.note(&format!("site: {}", plan.title), start.elapsed(), Err(error));
                tally.not_run += count;
                continue;
            }
        };
        tally.note(&format!("site: {}", plan.title), start.elapsed(), Ok(()));
        if let Some(scenario) = before {
            let (took, outcome) = timed(&stage, &scenario).await;
            tally.note(scenario.name, took, outcome);
        }
        let shared = RefCell::new(tally);
        at_once(&stage, together, &shared).await;
        tally = shared.into_inner();
        for scenario in one_by_one {
            let (took, outcome) = timed(&stage, &scenario).await;
            tally.note(scenario.name, took, outcome);
        }
        let start = Instant::now();
        let outcome = stage.site.down().await;
        tally.note(&format!("site taken down: {}", plan.title), start.elapsed(), outcome);
    }
    tally.close()
}

/// Runs up to `AT_ONCE` of the scenarios at any time.
async fn at_once(stage: &Stage, scenarios: Vec<Scenario>, tally: &RefCell<Tally>) {
    let (start, count) = (Instant::now(), scenarios.len());
    let all = stream::iter(scenarios);
    all.for_each_concurrent(AT_ONCE, |scenario| async move {
        let (took, outcome) = timed(stage, &scenario).await;
        tally.borrow_mut().note(scenario.name, took, outcome);
    })
    .await;
    if count > 1 {
        println!("{count} scenarios, up to {AT_ONCE} at once: {:.1} s", start.elapsed().as_secs_f64());
    }
}

async fn timed(stage: &Stage, scenario: &Scenario) -> (Duration, Result<()>) {
    println!("test {}: {}", scenario.name, scenario.shows);
    let start = Instant::now();
    let outcome = one(stage, scenario).await;
    (start.elapsed(), outcome)
}

/// One scenario on ground of its own, which is cleared whatever came of it.
async fn one(stage: &Stage, scenario: &Scenario) -> Result<()> {
    let ground = Ground::lay(stage, scenario.name, scenario.first_address).await?;
    let outcome = (scenario.run)(&ground).await;
    if let Err(error) = &outcome {
        ground.say(&format!("{error:#}"));
        evidence::print(stage, Some(ground.name())).await;
        // On a site on which nothing is broken this only looks, so it does not disturb what runs beside.
        stage.mend().await?;
    }
    let cleared = ground.clear().await;
    outcome.and(cleared)
}

/// How one scenario went.
#[derive(Debug)]
struct Ended {
    name: String,
    took: Duration,
    failure: Option<String>,
}

/// How all of them went.
#[derive(Debug, Default)]
struct Tally {
    results: Vec<Ended>,
    /// Filtered out.
    left_out: usize,
    /// Their site did not come up.
    not_run: usize,
}

impl Tally {
    /// Notes how a scenario, or a step around the scenarios, went.
    fn note(&mut self, name: &str, took: Duration, outcome: Result<()>) {
        let failure = outcome.err().map(|error| format!("{error:#}"));
        match &failure {
            None => println!("test {name} ... ok ({:.1} s)", took.as_secs_f64()),
            Some(why) => println!("test {name} ... FAILED ({:.1} s): {why}", took.as_secs_f64()),
        }
        self.results.push(Ended { name: name.to_owned(), took, failure });
    }

    /// Prints the ten slowest, the failures and the closing line; true when all passed and at least one ran.
    fn close(mut self) -> bool {
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
    fn a_filter_admits_names_that_hold_one_of_its_texts() {
        let filter = |arguments: &[&str]| Filter::from_arguments(arguments.iter().map(|&argument| argument.to_owned()));
        for (arguments, admitted) in [
            (&[][..], true),
            (&["quick"], true),
            (&["other", "start"], true),
            (&["other"], false),
            (&["--nocapture"], true),
        ] {
            assert_eq!(filter(arguments).admits("quick-start"), admitted, "{arguments:?}");
        }
    }

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
