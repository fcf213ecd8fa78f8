//! What this program does inside a capsule, and the tests that start it there and look at how it ends.

use std::io::Read;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};
use ironlb_lab::capsule::{self, State};
use ironlb_lab::{Capsule, Lifetime, ProxyMode, Site, SiteSpec};

use crate::{cluster, faults, routers};

/// The argument before the name of a part.
pub(crate) const PLAY: &str = "--play";

/// Plays a part, inside a capsule.
pub(crate) fn play(part: &str) -> Result<()> {
    match part {
        "side_by_side" => return side_by_side(),
        "child" => capsule::end_with_parent()?,
        _ => {}
    }
    let lifetime = if part == "keep" { Lifetime::UntilTakenDown } else { Lifetime::OfTheCommand };
    let capsule = capsule::enter(lifetime)?;
    let runtime = tokio::runtime::Runtime::new()?;
    runtime.block_on(async {
        match part {
            "cluster" => on_site(&capsule, SiteSpec::new(3), cluster::is_real).await,
            "faults" => on_site(&capsule, SiteSpec::new(3).clients(2), faults::are_what_they_say).await,
            "routers" => {
                let site = Site::up(&capsule, routers::spec()).await?;
                if let Err(error) = routers::speak_and_show(&site).await {
                    site.dump_logs().await;
                    return Err(error);
                }
                site.down().await?;
                nothing_is_left()
            }
            "again" => again(&capsule).await,
            "one_of_two" => on_site(&capsule, SiteSpec::new(2), async |site| cluster::serves(site, 2).await).await,
            "keep" => {
                let site = Site::up(&capsule, SiteSpec::new(1)).await?;
                ensure!(site.nodes().len() == 1);
                capsule.keep()
            }
            // Until somebody kills it, with pods running and a frozen node if it lives that long.
            "live" | "child" => {
                let site = Site::up(&capsule, SiteSpec::new(2)).await?;
                cluster::serves(&site, 2).await?;
                // The worst state to be killed in: what is frozen does not die of a signal.
                site.node(1).freeze_all()?;
                std::future::pending().await
            }
            "nothing" => Ok(()),
            other => bail!("there is no part {other}"),
        }
    })
}

async fn on_site(capsule: &Capsule, spec: SiteSpec, test: impl AsyncFnOnce(&Site) -> Result<()>) -> Result<()> {
    let site = Site::up(capsule, spec).await?;
    let outcome = test(&site).await;
    if outcome.is_err() {
        site.dump_logs().await;
    }
    outcome
}

/// A second site in the same capsule, with kube-proxy in its other mode.
async fn again(capsule: &Capsule) -> Result<()> {
    let first = Site::up(capsule, SiteSpec::new(1)).await?;
    cluster::serves(&first, 1).await?;
    first.down().await?;
    nothing_is_left()?;
    let second = Site::up(capsule, SiteSpec::new(1).proxy_mode(ProxyMode::Iptables)).await?;
    cluster::serves(&second, 1).await?;
    let rules = second.node(1).exec(&["iptables-save", "-t", "nat"]).await?;
    ensure!(rules.contains("KUBE-SERVICES"), "kube-proxy did not use iptables:\n{rules}");
    second.down().await
}

/// No network namespace, no process but this one and the capsule's first.
fn nothing_is_left() -> Result<()> {
    let names = |folder: &str| -> Result<Vec<String>> {
        let entries = std::fs::read_dir(folder)?.flatten();
        Ok(entries.map(|entry| entry.file_name().to_string_lossy().into_owned()).collect())
    };
    let left = names("/run/netns")?;
    ensure!(left.is_empty(), "namespaces left after the site: {left:?}");
    let own = std::process::id().to_string();
    let is_other = |name: &String| name.parse::<u32>().is_ok() && *name != own && name != "1";
    let mut left = Vec::new();
    for _ in 0..100 {
        left = names("/proc")?;
        left.retain(is_other);
        if left.is_empty() {
            return Ok(());
        }
        // A program that was killed leaves children that notice a moment later.
        std::thread::sleep(Duration::from_millis(20));
    }
    let name = |pid: &String| std::fs::read_to_string(format!("/proc/{pid}/comm")).unwrap_or_default();
    bail!("processes left after the site: {:?}", left.iter().map(name).collect::<Vec<_>>())
}

/// Two sites in processes of their own, whose parent this stays.
fn side_by_side() -> Result<()> {
    let both = [start("child")?, start("child")?];
    for mut child in both {
        child.wait()?;
    }
    bail!("both sites have ended")
}

/// Starts this program in a part.
pub(crate) fn start(part: &str) -> Result<Child> {
    let mut command = Command::new(std::env::current_exe()?);
    command.args([PLAY, part]).stdin(Stdio::null()).spawn().context("starting this program again")
}

/// Plays a part to its end.
pub(crate) fn pass(part: &str) -> Result<()> {
    let status = start(part)?.wait()?;
    ensure!(status.success(), "{part}: {status} (see above)");
    Ok(())
}

/// Two sites that start at the same moment, with the same names and addresses in them.
pub(crate) fn two_at_once() -> Result<()> {
    let mut both = [start("one_of_two")?, start("one_of_two")?];
    let [first, second] = both.each_mut().map(Child::wait);
    let (first, second) = (first?, second?);
    ensure!(first.success() && second.success(), "{first}, {second} (see above)");
    Ok(())
}

/// The command returns, and lets go of its output; the site answers; `down` ends it.
pub(crate) fn kept() -> Result<()> {
    let mut command = Command::new(std::env::current_exe()?);
    let mut child = command.args([PLAY, "keep"]).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn()?;
    let mut said = String::new();
    // Ends only when nobody holds the pipe any more, in the site either.
    child.stderr.take().context("its standard error")?.read_to_string(&mut said)?;
    child.stdout.take().context("its standard output")?.read_to_string(&mut said)?;
    let status = child.wait()?;
    ensure!(status.success(), "{status}: {said}");
    let site =
        State::all()?.into_iter().find(|site| site.kept && site.command.last().is_some_and(|word| word == "keep"));
    let site = site.context("no kept site is listed")?;
    ensure!(std::path::Path::new(&format!("/proc/{}", site.first_process)).exists(), "its first process is gone");
    site.end(Duration::from_secs(20))?;
    ensure!(State::all()?.iter().all(|other| other.id != site.id), "it is still listed");
    crate::killed::leaves_no_trace(&site.id)
}
