//! The matrix: what holds between ironlb and FRR, BIRD, GoBGP and OpenBGPD of Debian 12, asked of each router's own command line.
//!
//! `cargo test -p ironlb-interop --test matrix [-- TEXT]`, as root; `make test-interop` does that. All parts share one network inside
//! one capsule; each row is a line.

mod bfd;
mod bfd_cost;
mod bgp;
mod row;
mod session;

use std::process::ExitCode;
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use ironlb_lab::{Capsule, Lifetime, Metronome, Network, RouterSpec, Software, Turns, capsule};

/// No part may take longer. Chosen: many times what one takes on two busy cores.
const DEADLINE: Duration = Duration::from_secs(600);

/// What holds and what does not, told as soon as it has been seen.
pub(crate) struct Report {
    begin: Instant,
    passed: u32,
    failed: u32,
}

impl Report {
    /// Something holds.
    pub(crate) fn row(&mut self, what: &str) {
        self.passed += 1;
        println!("test {what} ... ok ({:.1} s)", self.begin.elapsed().as_secs_f32());
    }

    /// Something holds, or does not, and the rest goes on.
    pub(crate) fn check(&mut self, what: &str, outcome: Result<()>) {
        match outcome {
            Ok(()) => self.row(what),
            Err(error) => {
                self.failed += 1;
                println!("test {what} ... FAILED ({:.1} s): {error:#}", self.begin.elapsed().as_secs_f32());
            }
        }
    }
}

const PARTS: [&str; 4] = ["bfd", "bfd_cost", "flood", "bgp"];

fn main() -> Result<ExitCode> {
    capsule::play_role()?;
    let capsule = capsule::enter(Lifetime::OfTheCommand)?;
    tracing_subscriber::fmt().with_env_filter(tracing_subscriber::EnvFilter::from_default_env()).init();
    let arguments: Vec<String> = std::env::args().skip(1).filter(|argument| !argument.starts_with('-')).collect();
    let is_wanted = |name: &&str| arguments.is_empty() || arguments.iter().any(|text| name.contains(text.as_str()));
    let parts: Vec<&str> = PARTS.into_iter().filter(is_wanted).collect();
    let mut report = Report { begin: Instant::now(), passed: 0, failed: 0 };
    let runtime = tokio::runtime::Runtime::new()?;
    runtime.block_on(play(&capsule, &parts, &mut report));
    // What of a part that failed is still under way shall not hold up the end.
    runtime.shutdown_background();
    let Report { passed, failed, .. } = report;
    let word = if failed == 0 { "ok" } else { "FAILED" };
    let left_out = PARTS.len() - parts.len();
    println!(
        "\ntest result: {word}. {passed} passed; {failed} failed; 0 ignored; 0 measured; {left_out} filtered out\n"
    );
    Ok(if failed == 0 && passed > 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

async fn play(capsule: &Capsule, parts: &[&str], report: &mut Report) {
    let plain = [Software::Frr, Software::Bird, Software::GoBgp, Software::OpenBgpd];
    let mut routers = plain.map(|software| RouterSpec { software, client: false }).to_vec();
    // Its daemon never runs: what is behind it is several hops away.
    routers.push(RouterSpec { software: Software::Frr, client: true });
    let network = match Network::up(capsule, 3, &routers).await {
        Ok(network) => network,
        Err(error) => return report.check("a network", Err(error)),
    };
    let turns = match Turns::of_this_machine() {
        Ok(turns) => turns,
        Err(error) => return report.check("its turn", Err(error)),
    };
    let metronome = match Metronome::start() {
        Ok(metronome) => metronome,
        Err(error) => return report.check("a metronome", Err(error.into())),
    };
    for part in parts {
        let before = report.failed;
        // Sessions of BFD in all of them measure time.
        let _turn = turns.alone().await;
        let work = async {
            match *part {
                "bfd" => bfd::with_routers(&network, &metronome, report).await,
                "bfd_cost" => bfd_cost::of_fifty_sessions(&network, &metronome, report).await,
                "flood" => bfd_cost::under_a_flood(&network, &metronome, report).await,
                _ => session::all(&network, &metronome, report).await,
            }
        };
        let ended = tokio::time::timeout(DEADLINE, work).await;
        let outcome = ended.with_context(|| format!("longer than {} s", DEADLINE.as_secs())).flatten();
        if let Err(error) = outcome {
            report.check(part, Err(error));
        }
        if report.failed > before {
            network.dump_logs();
        }
    }
}
