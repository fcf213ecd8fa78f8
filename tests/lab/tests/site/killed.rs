//! Whatever is killed, and whenever: after the next start nothing of the site is left on the machine.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::thread::sleep;
use std::time::{Duration, Instant, SystemTime};

use anyhow::{Context, Result, ensure};
use ironlb_lab::capsule::State;

use crate::parts;

/// When the supervisor is killed, in milliseconds from its start. A site of two nodes is Ready after about 4 s and has pods after
/// about 10 s, so these lie in every stage of its life. Others are drawn, see [`drawn`].
const MOMENTS: [u64; 6] = [3, 30, 300, 900, 2_500, LAST];
const LAST: u64 = 12_000;

/// A site has more namespaces than this once its nodes are there: one each for network, mounts, names and processes.
const OF_A_SITE: usize = 12;

/// How many moments are drawn.
const DRAWN: u64 = 1;
const DRAWN_IN_SOAK: u64 = 30;

/// Gives the moment of one that failed again, in milliseconds.
const MOMENT: &str = "IRONLB_KILL_AFTER";

/// What a site could leave on the machine.
#[derive(Debug, Default, PartialEq, Eq)]
struct Machine {
    links: BTreeSet<String>,
    mounts: BTreeSet<String>,
    namespaces_by_name: BTreeSet<String>,
    /// Those that any process is in which belongs to no site, by kind and inode.
    namespaces: BTreeSet<String>,
    /// Control groups without a process that are neither a site's nor systemd's, which makes and removes its own at any time.
    groups: BTreeSet<String>,
    processes_of_ours: BTreeSet<u32>,
    /// Folders where programs of a node would make theirs, if the node had none of its own.
    folders: BTreeSet<String>,
}

/// Kills sites at many moments of their lives and compares the machine before and after.
pub(crate) fn leaves_nothing() -> Result<()> {
    parts::pass("nothing")?;
    let before = Machine::now()?;
    let moments: Vec<u64> = match std::env::var(MOMENT) {
        Ok(moment) => vec![moment.parse().with_context(|| format!("{MOMENT}={moment}"))?],
        Err(_) => MOMENTS.into_iter().chain(drawn()?).collect(),
    };
    for moment in moments {
        let mut site = parts::start("live")?;
        sleep(Duration::from_millis(moment));
        let mark = format!(".{}.", site.id());
        // The first moments come before there is anything to leave; a slow machine is waited for at the later ones.
        if moment >= 900 {
            until("a control group to leave behind", || Ok(!groups_of(site.id())?.is_empty()))?;
        }
        if moment >= LAST {
            until("the namespaces of a site", || Ok(namespaces_in(&mark)?.len() > OF_A_SITE))?;
        }
        let namespaces = namespaces_in(&mark)?;
        site.kill()?;
        site.wait()?;
        // The next start, of any site.
        parts::pass("nothing")?;
        leaves_no_trace(&format!(".{}.", site.id())).with_context(|| format!("killed after {moment} ms"))?;
        before.is_back(&namespaces).with_context(|| format!("killed after {moment} ms"))?;
    }
    Ok(())
}

/// Kills a process that has brought up two sites side by side, as the scenarios do: each ends, and leaves nothing.
pub(crate) fn leaves_no_children() -> Result<()> {
    parts::pass("nothing")?;
    let before = Machine::now()?;
    let mut parent = parts::start("side_by_side")?;
    let id = parent.id();
    let marks = || -> Result<Vec<String>> {
        let supervisors = fs::read_to_string(format!("/proc/{id}/task/{id}/children"))?;
        Ok(supervisors.split_whitespace().map(|pid| format!(".{pid}.")).collect())
    };
    until("two sites", || {
        let marks = marks()?;
        let sizes = marks.iter().map(|mark| Ok(namespaces_in(mark)?.len())).collect::<Result<Vec<_>>>()?;
        Ok(sizes.len() == 2 && sizes.iter().all(|size| *size > OF_A_SITE))
    })?;
    let marks = marks()?;
    let mut namespaces = BTreeSet::new();
    for mark in &marks {
        namespaces.extend(namespaces_in(mark)?);
    }
    parent.kill()?;
    parent.wait()?;
    // Each clears up after itself, and needs no next start for it; but nobody is left who could wait for its end.
    let deadline = Instant::now() + Duration::from_secs(10);
    for mark in marks {
        while let Err(left) = leaves_no_trace(&mark) {
            ensure!(Instant::now() < deadline, "{left:#}");
            sleep(Duration::from_millis(50));
        }
    }
    before.is_back(&namespaces)
}

/// Waits until it is so; fails when it never is.
fn until(what: &str, is_so: impl Fn() -> Result<bool>) -> Result<()> {
    let deadline = Instant::now() + Duration::from_secs(60);
    while !is_so()? {
        ensure!(Instant::now() < deadline, "never came: {what}");
        sleep(Duration::from_millis(20));
    }
    Ok(())
}

/// Moments that nobody chose, told so that they can be had again.
fn drawn() -> Result<Vec<u64>> {
    let soak = std::env::var_os("IRONLB_SOAK").is_some_and(|value| value == "1");
    let count = if soak { DRAWN_IN_SOAK } else { DRAWN };
    let seed = u64::from(SystemTime::UNIX_EPOCH.elapsed()?.subsec_nanos());
    // A generator of its own (Knuth's MMIX constants): its higher bits are good enough for this.
    let next = |state: u64| state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
    let states = std::iter::successors(Some(next(seed)), |state| Some(next(*state)));
    let moments: Vec<u64> = (0..count).zip(states).map(|(_, state)| (state >> 33) % LAST).collect();
    println!(
        "drawn with seed {seed}: killed after {moments:?} ms as well ({MOMENT}=MILLISECONDS for one of them again)"
    );
    Ok(moments)
}

/// Kills each of the two processes inside that a site stands on: the supervisor clears up at once, without a next start.
pub(crate) fn supervisor_clears_up() -> Result<()> {
    for victim in ["the capsule's first process", "the site's process"] {
        let mut site = parts::start("live")?;
        let mark = format!(".{}.", site.id());
        let listed = || Ok::<_, anyhow::Error>(State::all()?.into_iter().find(|state| state.id.contains(&mark)));
        until("the site to be listed, with something to clear up", || {
            Ok(listed()?.is_some() && namespaces_in(&mark)?.len() > OF_A_SITE)
        })?;
        let state = listed()?.context("it is not listed any more")?;
        let first = state.first_process;
        // The site's process was the first one's first child.
        let inner = fs::read_to_string(format!("/proc/{first}/task/{first}/children"))?;
        let inner = inner.split_whitespace().next().context("the first process has no child")?.to_owned();
        let pid = if victim.starts_with("the capsule") { first.to_string() } else { inner };
        let killed = Command::new("kill").args(["-9", &pid]).status()?;
        ensure!(killed.success(), "kill: {killed}");
        let status = site.wait()?;
        ensure!(!status.success(), "the command claims success though {victim} was killed");
        leaves_no_trace(&mark).with_context(|| format!("{victim} was killed"))?;
    }
    Ok(())
}

/// No process, control group or state file carries `mark`, the site's name or a part of it.
pub(crate) fn leaves_no_trace(mark: &str) -> Result<()> {
    // The kernel takes a moment to bury a pid namespace; a process in it is dead already, but still listed.
    let deadline = Instant::now() + Duration::from_secs(5);
    loop {
        let processes = processes_in(mark)?;
        if processes.is_empty() {
            break;
        }
        ensure!(Instant::now() < deadline, "processes {processes:?} of {mark} are left");
        sleep(Duration::from_millis(20));
    }
    let groups = walk(Path::new("/sys/fs/cgroup")).into_iter().filter(|path| path.contains(mark));
    let groups: Vec<String> = groups.filter(|path| path.contains("ironlb-lab.")).collect();
    ensure!(groups.is_empty(), "control groups are left: {groups:?}");
    let listed: Vec<String> = State::all()?.into_iter().map(|site| site.id).filter(|id| id.contains(mark)).collect();
    ensure!(listed.is_empty(), "listed as running: {listed:?}");
    Ok(())
}

impl Machine {
    fn now() -> Result<Self> {
        let links = Command::new("ip").args(["-o", "link"]).output().context("ip link")?;
        let name = |line: &str| line.split(':').nth(1).unwrap_or_default().trim().to_owned();
        // The mount's source, target and kind; its number is given anew.
        let mounts = fs::read_to_string("/proc/self/mounts")?;
        let named = fs::read_dir("/run/netns").into_iter().flatten().flatten();
        Ok(Self {
            links: String::from_utf8_lossy(&links.stdout).lines().map(name).collect(),
            mounts: mounts.lines().map(str::to_owned).collect(),
            namespaces_by_name: named.map(|entry| entry.file_name().to_string_lossy().into_owned()).collect(),
            namespaces: namespaces(|groups| !groups.contains("ironlb-lab."))?,
            groups: walk(Path::new("/sys/fs/cgroup")).into_iter().filter(|path| is_nobodys(path)).collect(),
            processes_of_ours: descendants()?,
            folders: ["/opt", "/etc", "/run", "/var/lib", "/var/log", "/usr/libexec"]
                .into_iter()
                .flat_map(two_deep)
                .collect(),
        })
    }

    /// Waits until nothing is here that was not there before. Of the namespaces only those count that the site had: others on
    /// the machine may make some.
    fn is_back(&self, of_site: &BTreeSet<String>) -> Result<()> {
        let deadline = Instant::now() + Duration::from_secs(5);
        loop {
            let mut left = Self::now()?.without(self);
            left.namespaces.retain(|namespace| of_site.contains(namespace));
            if left == Self::default() {
                return Ok(());
            }
            ensure!(Instant::now() < deadline, "left are {left:?}");
            sleep(Duration::from_millis(50));
        }
    }

    /// What is here and was not there.
    fn without(self, earlier: &Self) -> Self {
        Self {
            namespaces: &self.namespaces - &earlier.namespaces,
            groups: &self.groups - &earlier.groups,
            links: &self.links - &earlier.links,
            mounts: &self.mounts - &earlier.mounts,
            namespaces_by_name: &self.namespaces_by_name - &earlier.namespaces_by_name,
            processes_of_ours: &self.processes_of_ours - &earlier.processes_of_ours,
            folders: &self.folders - &earlier.folders,
        }
    }
}

/// The control groups that the site of this supervisor has made so far.
fn groups_of(supervisor: u32) -> Result<Vec<String>> {
    let mark = format!(".{supervisor}.");
    Ok(walk(Path::new("/sys/fs/cgroup"))
        .into_iter()
        .filter(|path| path.contains("ironlb-lab.") && path.contains(&mark))
        .collect())
}

/// The processes whose control group carries `mark`: everything in a site is in one below the site's.
fn processes_in(mark: &str) -> Result<Vec<u32>> {
    let mut found = Vec::new();
    for pid in all_processes()? {
        let groups = fs::read_to_string(format!("/proc/{pid}/cgroup")).unwrap_or_default();
        if groups.lines().any(|line| line.contains("ironlb-lab.") && line.contains(mark)) {
            found.push(pid);
        }
    }
    Ok(found)
}

/// The namespaces of the processes whose control groups carry `mark`.
fn namespaces_in(mark: &str) -> Result<BTreeSet<String>> {
    namespaces(|groups| groups.lines().any(|line| line.contains("ironlb-lab.") && line.contains(mark)))
}

/// The namespaces of all processes whose `/proc/PID/cgroup` is one of these: `net:[4026532008]`.
fn namespaces(of: impl Fn(&str) -> bool) -> Result<BTreeSet<String>> {
    let mut found = BTreeSet::new();
    for pid in all_processes()? {
        // One that ends meanwhile is in none.
        let Ok(groups) = fs::read_to_string(format!("/proc/{pid}/cgroup")) else { continue };
        if of(&groups) {
            let links = fs::read_dir(format!("/proc/{pid}/ns")).into_iter().flatten().flatten();
            let names = links.filter_map(|link| fs::read_link(link.path()).ok());
            found.extend(names.map(|name| name.display().to_string()));
        }
    }
    Ok(found)
}

fn is_nobodys(group: &str) -> bool {
    let owned = ["ironlb-lab.", ".slice", ".scope", ".service"].iter().any(|owner| group.contains(owner));
    !owned && fs::read_to_string(format!("{group}/cgroup.procs")).is_ok_and(|processes| processes.is_empty())
}

/// This process's living descendants, wherever they are.
fn descendants() -> Result<BTreeSet<u32>> {
    let mut found = BTreeSet::from([std::process::id()]);
    loop {
        let before = found.len();
        for pid in all_processes()? {
            let status = fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
            let parent =
                status.lines().find_map(|line| line.strip_prefix("PPid:")).and_then(|id| id.trim().parse().ok());
            if parent.is_some_and(|parent: u32| found.contains(&parent)) {
                found.insert(pid);
            }
        }
        if found.len() == before {
            return Ok(found);
        }
    }
}

fn all_processes() -> Result<Vec<u32>> {
    Ok(fs::read_dir("/proc")?.flatten().filter_map(|entry| entry.file_name().to_str()?.parse().ok()).collect())
}

fn two_deep(folder: &str) -> Vec<String> {
    let inside = |folder: &Path| -> Vec<PathBuf> {
        let entries = fs::read_dir(folder).into_iter().flatten().flatten();
        entries.filter(|entry| entry.file_type().is_ok_and(|kind| kind.is_dir())).map(|entry| entry.path()).collect()
    };
    let first = inside(Path::new(folder));
    let second: Vec<PathBuf> = first.iter().flat_map(|folder| inside(folder)).collect();
    first.into_iter().chain(second).map(|path| path.display().to_string()).collect()
}

fn walk(folder: &Path) -> Vec<String> {
    let mut found = vec![folder.display().to_string()];
    for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
        if entry.file_type().is_ok_and(|kind| kind.is_dir()) {
            found.extend(walk(&entry.path()));
        }
    }
    found
}
