//! Several sites side by side, each in a process of its own: a process can be in one capsule only.

use std::io::{BufRead, BufReader, pipe};
use std::path::Path;
use std::process::Command;
use std::sync::Mutex;
use std::thread;

use anyhow::{Context, Result};

use crate::runner::{Filter, SitePlan};
use crate::tally::Tally;

/// So many sites stand at once. Chosen: their scenarios mostly wait, and a site is brought up by both of a small machine's cores.
const SITES_AT_ONCE: usize = 2;

/// Names the site that a process is to run; without it the process runs them all.
const SITE: &str = "IRONLB_E2E_SITE";

/// Where a process that runs one site says how it went.
const TALLY: &str = "IRONLB_E2E_TALLY";

/// The site this process was started for, and the file for its tally.
#[must_use]
pub fn errand() -> Option<(String, String)> {
    Some((std::env::var(SITE).ok()?, std::env::var(TALLY).ok()?))
}

/// Writes the tally for the process that started this one.
///
/// # Errors
/// The file cannot be written.
pub fn report(tally: &Tally, file: &str) -> Result<()> {
    std::fs::write(file, serde_json::to_vec(tally)?).with_context(|| format!("cannot write {file}"))
}

/// Runs each site that has something to show in a process of its own; their lines come as they come, each after its site's name.
pub fn run(plans: &[SitePlan], filter: &Filter, folder: &Path) -> Tally {
    let all: usize = plans.iter().map(|plan| plan.all().count()).sum();
    let wanted: Vec<&SitePlan> = plans.iter().filter(|plan| plan.count(filter) > 0).collect();
    let admitted: usize = wanted.iter().map(|plan| plan.count(filter)).sum();
    let queue = Mutex::new(wanted.iter());
    let tally = Mutex::new(Tally { left_out: all - admitted, ..Tally::default() });
    // The thread that starts a process stays until it has ended: a process ends when the thread does that started it.
    thread::scope(|scope| {
        for _ in 0..SITES_AT_ONCE {
            scope.spawn(|| {
                loop {
                    // The lock is not held while the site stands.
                    let next = locked(&queue).next();
                    let Some(plan) = next else { break };
                    let of_site = one(plan, folder).unwrap_or_else(|error| {
                        println!("{}: {error:#}", plan.name);
                        Tally { not_run: plan.count(filter), ..Tally::default() }
                    });
                    locked(&tally).add(of_site);
                }
            });
        }
    });
    tally.into_inner().unwrap_or_else(std::sync::PoisonError::into_inner)
}

fn one(plan: &SitePlan, folder: &Path) -> Result<Tally> {
    let file = folder.join(format!("{}-{}.json", std::process::id(), plan.name));
    let (reader, writer) = pipe()?;
    let mut command = Command::new(std::env::current_exe()?);
    command.args(std::env::args_os().skip(1)).env(SITE, plan.name).env(TALLY, &file);
    let mut process = command.stdout(writer.try_clone()?).stderr(writer).spawn().context("cannot start its process")?;
    // It holds the writing ends of the pipe, which would never end.
    drop(command);
    for line in BufReader::new(reader).split(b'\n') {
        println!("{:>9} | {}", plan.name, String::from_utf8_lossy(&line?));
    }
    let status = process.wait()?;
    let text = std::fs::read(&file).with_context(|| format!("it ended ({status}) without a word on how it went"))?;
    std::fs::remove_file(&file)?;
    Ok(serde_json::from_slice(&text)?)
}

fn locked<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
}
