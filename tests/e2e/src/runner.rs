//! Runs scenarios on sites, and says how it went.
//!
//! Sites are dear and scenarios are cheap, so scenarios share a site: each works in a namespace and with addresses of its own and
//! leaves neither behind. Those that only ask and tell the API server run several at once. What looks at the network or changes
//! the site itself (power cuts, a stopped API server) comes after, one at a time, and is put back in order before the next.
//! Sites stand side by side, each in a process of its own (`abreast.rs`); what measures time has the machine to itself (`Turns`). What
//! was only late (`Late`) while the machine stood still (`Metronome`) is shown once more, and said to be; anything else has failed.

use std::cell::RefCell;
use std::future::Future;
use std::path::Path;
use std::pin::Pin;
use std::time::{Duration, Instant};

use anyhow::Result;
use futures::stream::{self, StreamExt};
use ironlb_lab::{Capsule, Site, SiteSpec, Turns};

use crate::evidence;
use crate::ground::Ground;
use crate::late::Late;
use crate::stage::Stage;
use crate::tally::Tally;

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
    /// A word for it, before each line of its output when several sites stand side by side.
    pub name: &'static str,
    /// The site, in words.
    pub title: &'static str,
    /// The site's description.
    pub spec: fn() -> SiteSpec,
    /// Values that differ from the chart's, as Helm's `--set` takes them: only what a scenario on it cannot do without, for what is
    /// shown is what people install.
    pub values: &'static [&'static str],
    /// What is shown on it before ironlb is there, and installs it. Where there is none, or it is not wanted, ironlb is installed first.
    pub before: Option<Scenario>,
    /// What is shown on it then, up to `AT_ONCE` at once: scenarios that ask and tell nobody but the API server, and that nothing
    /// in another namespace can disturb. So none of them makes a default Eip, or a Service that takes an address from any Eip,
    /// or counts on the time that something takes.
    pub together: Vec<Scenario>,
    /// What is shown after that, one at a time, in this order. Another site stands beside it, so none of them is held to a length of
    /// time but by a deadline that a busy machine keeps as well. That no connection fails is no length of time.
    pub scenarios: Vec<Scenario>,
    /// What is shown then, one at a time, while nothing happens on any other site: what has a bar for the time that something takes.
    pub alone: Vec<Scenario>,
    /// What is shown at the end, as `scenarios` are: the others would not find the site as they need it.
    pub last: Vec<Scenario>,
}

impl SitePlan {
    /// All of its scenarios.
    pub fn all(&self) -> impl Iterator<Item = &Scenario> {
        self.before.iter().chain(&self.together).chain(&self.scenarios).chain(&self.alone).chain(&self.last)
    }

    /// How many of its scenarios the filter admits.
    #[must_use]
    pub fn count(&self, filter: &Filter) -> usize {
        self.all().filter(|scenario| filter.admits(scenario.name)).count()
    }
}

/// A scenario that was late is shown again when a processor stood still for this long meanwhile. Chosen: a third of the shortest time that a
/// scenario counts on, the 150 ms of BFD, of which 50 may have passed before and which two ends share.
pub(crate) const STOOD_STILL: Duration = Duration::from_millis(50);

/// How often at most it is shown. Chosen: where ironlb is too slow it is so each time.
const TIMES: usize = 3;

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

    pub(crate) fn admits(&self, name: &str) -> bool {
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

/// Runs what the filter admits on one site, and says how it went.
pub async fn run(capsule: &Capsule, plan: &SitePlan, filter: &Filter, records: &Path, turns: &Turns) -> Tally {
    let mut tally = Tally::default();
    let wanted = |scenarios: &[Scenario]| -> Vec<Scenario> {
        scenarios.iter().filter(|scenario| filter.admits(scenario.name)).copied().collect()
    };
    let before = plan.before.filter(|scenario| filter.admits(scenario.name));
    println!("\nsite: {}", plan.title);
    // Whoever is alone waits for all turns, so room is waited for without one.
    let spec = (plan.spec)();
    let room = Site::room(capsule, &spec).await;
    let turn = turns.beside_others().await;
    let start = Instant::now();
    let raised = match (room, before) {
        (Err(error), _) => Err(error),
        (Ok(()), Some(_)) => Stage::bare(capsule, spec, plan.values, records).await,
        (Ok(()), None) => Stage::raise(capsule, spec, plan.values, records).await,
    };
    let stage = match raised {
        Ok(stage) => stage,
        Err(error) => {
            tally.note(&format!("site: {}", plan.title), start.elapsed(), Err(error));
            tally.not_run += plan.count(filter);
            return tally;
        }
    };
    tally.note(&format!("site: {}", plan.title), start.elapsed(), Ok(()));
    if let Some(scenario) = before {
        // Not a second time: the site is not bare any more.
        let (start, outcome) = (Instant::now(), one(&stage, &scenario).await);
        tally.note(scenario.name, start.elapsed(), outcome);
    }
    let shared = RefCell::new(tally);
    at_once(&stage, wanted(&plan.together), &shared).await;
    let mut tally = shared.into_inner();
    drop(turn);
    for (alone, scenarios) in [(false, &plan.scenarios), (true, &plan.alone), (false, &plan.last)] {
        for scenario in wanted(scenarios) {
            let _turn = if alone { turns.alone().await } else { turns.beside_others().await };
            let (took, outcome) = timed(&stage, &scenario).await;
            tally.note(scenario.name, took, outcome);
        }
    }
    let start = Instant::now();
    let outcome = stage.site.down().await;
    tally.note(&format!("site taken down: {}", plan.title), start.elapsed(), outcome);
    tally
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

/// One scenario; again where it was late on a machine that stood still meanwhile.
async fn timed(stage: &Stage, scenario: &Scenario) -> (Duration, Result<()>) {
    let start = Instant::now();
    let mut begin = start;
    let mut outcome = one(stage, scenario).await;
    for _ in 1..TIMES {
        let Some(late) = outcome.as_ref().err().filter(|error| error.is::<Late>()) else { break };
        let stood_still = stage.metronome.longest_since(begin);
        if stood_still < STOOD_STILL {
            break;
        }
        let (name, stood_still) = (scenario.name, stood_still.as_millis());
        println!("    {name}: late while a processor stood still for {stood_still} ms, so once more: {late:#}");
        begin = Instant::now();
        outcome = one(stage, scenario).await;
    }
    (start.elapsed(), outcome)
}

/// One scenario on ground of its own, which is cleared whatever came of it.
async fn one(stage: &Stage, scenario: &Scenario) -> Result<()> {
    println!("test {}: {}", scenario.name, scenario.shows);
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
}
