//! Runs the scenarios: `cargo test -p ironlb-e2e --test e2e -- [--list] [TEXT...]`, as root; `make test-e2e` does it with all
//! that they need. A scenario runs if its name holds one of the texts. `IRONLB_SOAK=1` makes the numbers large.

use std::path::Path;
use std::process::ExitCode;

use anyhow::Context;
use ironlb_e2e::runner::{self, Filter, SitePlan};
use ironlb_e2e::tally::Tally;
use ironlb_e2e::{abreast, scenarios};
use ironlb_lab::{Lifetime, Turns, capsule};

/// How many earlier runs' measurements are kept. Chosen: enough to compare, and runs side by side keep theirs.
const OTHERS_KEPT: usize = 9;

fn main() -> anyhow::Result<ExitCode> {
    // Before anything else: the nodes of the site start from this executable too.
    capsule::play_role()?;
    let plans = scenarios::plans();
    let filter = Filter::from_arguments(std::env::args().skip(1));
    if std::env::args().any(|argument| argument == "--list") {
        runner::list(&plans, &filter);
        return Ok(ExitCode::SUCCESS);
    }
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR"));
    let errand = abreast::errand();
    let mut wanted = plans.iter().filter(|plan| match &errand {
        Some((site, _)) => plan.name == site,
        None => plan.count(&filter) > 0,
    });
    let tally = match (wanted.next(), wanted.next()) {
        (Some(plan), None) => one_site(plan, &filter, folder)?,
        _ => abreast::run(&plans, &filter, folder),
    };
    if let Some((_, file)) = errand {
        abreast::report(&tally, &file)?;
        return Ok(ExitCode::SUCCESS);
    }
    println!("measurements: {}", folder.join("e2e").display());
    Ok(if tally.close() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// In this process, which goes into a capsule for it.
fn one_site(plan: &SitePlan, filter: &Filter, folder: &Path) -> anyhow::Result<Tally> {
    capsule::end_with_parent()?;
    let capsule = capsule::enter(Lifetime::OfTheCommand)?;
    let records = folder.join("e2e");
    keep_the_newest(&records, OTHERS_KEPT);
    let records = records.join(capsule.id().to_string());
    let turns = Turns::of_this_machine()?;
    let runtime = tokio::runtime::Runtime::new().context("a runtime")?;
    Ok(runtime.block_on(runner::run(&capsule, plan, filter, &records, &turns)))
}

/// Removes the measurements of all runs but the newest.
fn keep_the_newest(folder: &Path, count: usize) {
    let entries = std::fs::read_dir(folder).into_iter().flatten().flatten();
    let mut runs: Vec<_> =
        entries.filter_map(|entry| Some((entry.metadata().ok()?.modified().ok()?, entry.path()))).collect();
    runs.sort();
    for (_, path) in runs.iter().rev().skip(count) {
        // What cannot be removed now is tried again by the next run.
        let _ = std::fs::remove_dir_all(path);
    }
}
