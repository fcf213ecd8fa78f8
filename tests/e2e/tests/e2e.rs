//! Runs the scenarios: `cargo test -p ironlb-e2e --test e2e -- [--list] [TEXT...]`, as root; `make test-e2e` does it with all
//! that they need. A scenario runs if its name holds one of the texts. `IRONLB_SOAK=1` makes the numbers large.

use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::Context;
use ironlb_e2e::runner::{self, Filter};
use ironlb_e2e::scenarios;
use ironlb_lab::{Lifetime, capsule};

fn main() -> anyhow::Result<ExitCode> {
    // Before anything else: the nodes of the site start from this executable too.
    capsule::play_role()?;
    let plans = scenarios::plans();
    let filter = Filter::from_arguments(std::env::args().skip(1));
    if std::env::args().any(|argument| argument == "--list") {
        runner::list(&plans, &filter);
        return Ok(ExitCode::SUCCESS);
    }
    let capsule = capsule::enter(Lifetime::OfTheCommand)?;
    let records = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join(format!("e2e-{}", capsule.id().pid()));
    let runtime = tokio::runtime::Runtime::new().context("a runtime")?;
    let passed = runtime.block_on(runner::run(&capsule, &plans, &filter, &records));
    println!("measurements: {}", records.display());
    Ok(if passed { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}
