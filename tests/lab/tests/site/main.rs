//! The lab itself, on real sites: what a site promises, that it leaves nothing behind, and that two do not meet.
//!
//! `cargo test -p ironlb-lab --test site [-- TEXT]`, as root, with `IRONLB_IMAGES` set; `make test-lab` does all that.
//! Each test is this program again, with the name of a part that plays inside a capsule.

mod bfd;
mod cluster;
mod faults;
mod killed;
mod parts;
mod routers;

use std::process::ExitCode;
use std::time::Instant;

use anyhow::Result;
use ironlb_lab::{Turns, capsule};

type Test = (&'static str, fn() -> Result<()>);

/// This one measures time, which the others may take from it.
const ROUTERS: &str = "routers_speak_and_show";

const TESTS: [Test; 9] = [
    ("a_cluster_is_real", || parts::pass("cluster")),
    ("faults_are_what_they_say", || parts::pass("faults")),
    (ROUTERS, || parts::pass("routers")),
    ("sites_follow_each_other_in_one_capsule", || parts::pass("again")),
    ("two_sites_at_once_do_not_meet", parts::two_at_once),
    ("a_kept_site_outlives_its_command_and_can_be_taken_down", parts::kept),
    ("what_dies_inside_is_cleared_up_at_once", killed::supervisor_clears_up),
    ("a_killed_parent_takes_its_sites_along", killed::leaves_no_children),
    ("a_kill_leaves_nothing_after_the_next_start", killed::leaves_nothing),
];

fn main() -> Result<ExitCode> {
    capsule::play_role()?;
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    if let Some((parts::PLAY, part)) = arguments.first().map(String::as_str).zip(arguments.get(1)) {
        // Not by returning it: with RUST_BACKTRACE set, the cause would be lost above its backtrace.
        let outcome = parts::play(part).inspect_err(|error| eprintln!("{part}: {error:#}"));
        return Ok(if outcome.is_ok() { ExitCode::SUCCESS } else { ExitCode::FAILURE });
    }
    let wanted: Vec<&String> = arguments.iter().filter(|argument| !argument.starts_with('-')).collect();
    let chosen = TESTS.iter().filter(|(name, _)| wanted.is_empty() || wanted.iter().any(|text| name.contains(*text)));
    let (mut passed, mut failed) = (0, 0);
    for (name, test) in chosen {
        // Of what other runs measure nothing is to be disturbed. The runtime is gone before the test starts processes.
        let (runtime, turns) = (tokio::runtime::Runtime::new()?, Turns::of_this_machine()?);
        let turn =
            if *name == ROUTERS { runtime.block_on(turns.alone()) } else { runtime.block_on(turns.beside_others()) };
        drop(runtime);
        let begin = Instant::now();
        let outcome = test();
        drop(turn);
        let took = begin.elapsed().as_secs_f32();
        match outcome {
            Ok(()) => {
                passed += 1;
                println!("test {name} ... ok ({took:.1} s)");
            }
            Err(error) => {
                failed += 1;
                println!("test {name} ... FAILED ({took:.1} s): {error:#}");
            }
        }
    }
    let word = if failed == 0 { "ok" } else { "FAILED" };
    let left_out = TESTS.len() - passed - failed;
    println!(
        "\ntest result: {word}. {passed} passed; {failed} failed; 0 ignored; 0 measured; {left_out} filtered out\n"
    );
    Ok(if failed == 0 && passed > 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}
