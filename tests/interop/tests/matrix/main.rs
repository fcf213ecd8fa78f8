//! The matrix: what holds between ironlb and FRR, BIRD, GoBGP and OpenBGPD of Debian 12, asked of each router's own command line.
//!
//! `cargo test -p ironlb-interop --test matrix [-- TEXT]`, as root; `make test-interop` does that. Each part has a network of its own
//! inside one capsule; one line is printed for each row.

mod bfd;

use std::process::ExitCode;
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use ironlb_lab::{Capsule, Lifetime, capsule};

/// No part may take longer. Chosen: ten times what one takes on idle cores.
const DEADLINE: Duration = Duration::from_secs(180);

/// What holds, told as soon as it has been seen.
pub(crate) struct Report {
    rows: u32,
    begin: Instant,
}

impl Report {
    pub(crate) fn row(&mut self, what: &str) {
        self.rows += 1;
        println!("  {what} ({:.1} s)", self.begin.elapsed().as_secs_f32());
    }
}

fn main() -> Result<ExitCode> {
    capsule::play_role()?;
    let capsule = capsule::enter(Lifetime::OfTheCommand)?;
    tracing_subscriber::fmt().with_env_filter(tracing_subscriber::EnvFilter::from_default_env()).init();
    let arguments: Vec<String> = std::env::args().skip(1).filter(|argument| !argument.starts_with('-')).collect();
    let is_wanted = |name: &str| arguments.is_empty() || arguments.iter().any(|text| name.contains(text.as_str()));
    let (mut passed, mut failed, mut left_out) = (0, 0, 0);
    for name in PARTS {
        if !is_wanted(name) {
            left_out += 1;
            continue;
        }
        let begin = Instant::now();
        println!("{name}");
        let mut report = Report { rows: 0, begin };
        let outcome = play(&capsule, name, &mut report);
        let took = begin.elapsed().as_secs_f32();
        match outcome {
            Ok(()) => {
                passed += report.rows;
                println!("test {name} ... ok ({} rows, {took:.1} s)", report.rows);
            }
            Err(error) => {
                failed += 1;
                println!("test {name} ... FAILED after {} rows ({took:.1} s): {error:#}", report.rows);
            }
        }
    }
    let word = if failed == 0 { "ok" } else { "FAILED" };
    println!(
        "\ntest result: {word}. {passed} passed; {failed} failed; 0 ignored; 0 measured; {left_out} filtered out\n"
    );
    Ok(if failed == 0 && passed > 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

const PARTS: [&str; 1] = ["bfd"];

/// Plays a part on a runtime of its own, so that nothing of it is left for the next.
fn play(capsule: &Capsule, part: &str, report: &mut Report) -> Result<()> {
    let runtime = tokio::runtime::Runtime::new()?;
    let outcome = runtime.block_on(async {
        let work = async {
            match part {
                "bfd" => bfd::with_routers(capsule, report).await,
                other => anyhow::bail!("there is no part {other}"),
            }
        };
        tokio::time::timeout(DEADLINE, work).await.with_context(|| format!("longer than {} s", DEADLINE.as_secs()))?
    });
    runtime.shutdown_background();
    outcome
}
