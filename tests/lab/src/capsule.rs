//! The capsule: namespaces of a site's own, which vanish with the process that made them.
//!
//! ```text
//! the command a person started     supervisor: waits, removes the cgroups, passes the exit code on
//! `- first process of the capsule  pid 1 in there: mounts, reaps, ends when the site's process ends
//!    `- the same command again     the site's process: `enter` returns here, and only here
//! ```
//!
//! Whichever of the three is killed, the kernel ends everything inside: the first process dies with the supervisor
//! (parent-death signal) and takes the pid namespace along. Only control groups and the state file can be left over,
//! after a SIGKILL of the supervisor; both carry their owner's name, and the next start of any site removes them.
//!
//! A site that is to outlive the command (`make demo KEEP=1`) gets a supervisor in a session of its own, and the command
//! waits in front of it until the site's process calls [`Capsule::keep`].

pub(crate) mod init;
mod supervise;

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};
use nix::mount::{MsFlags, mount};
use nix::unistd::{chdir, chroot};
use serde::{Deserialize, Serialize};

use crate::owner::{SiteId, cache_folder};

/// Tells a process started from our own executable what it is to be; read once, in [`enter`].
pub(crate) const ROLE: &str = "IRONLB_LAB_ROLE";
/// Set to the site's identity for everything that runs inside.
pub(crate) const INSIDE: &str = "IRONLB_LAB_SITE";
/// Inside: tells the first process that the site is to stay when the site's process ends.
const KEPT: &str = "/run/lab/kept";

/// The folder of the site inside the capsule: keys, logs, and a folder per node. It is in memory.
pub const SITE_FOLDER: &str = "/run/lab";

/// Proof that the process runs inside a capsule.
#[derive(Debug)]
#[must_use]
pub struct Capsule {
    id: SiteId,
}

/// Whether the site may outlive the command.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Lifetime {
    /// Everything ends with the command.
    OfTheCommand,
    /// The site's process may call [`Capsule::keep`].
    UntilTakenDown,
}

/// Enters a capsule: runs this command a second time, in namespaces of its own, and returns there.
///
/// Outside this never returns: the process becomes the supervisor and exits with the inner one's code. It must be the
/// first thing `main` does, before any thread exists and before arguments are read (or directly after [`play_role`],
/// where arguments decide). Inside a capsule it returns at once.
///
/// # Errors
/// Not root, or the kernel refuses a namespace, a mount or a control group.
pub fn enter(lifetime: Lifetime) -> Result<Capsule> {
    play_role()?;
    match std::env::var(INSIDE).ok().as_deref().map(SiteId::parse) {
        Some(Some(id)) => Ok(Capsule { id }),
        Some(None) => bail!("{INSIDE} is set to something that is no site"),
        None => match lifetime {
            Lifetime::OfTheCommand => supervise::supervisor(false),
            Lifetime::UntilTakenDown => supervise::in_front(),
        },
    }
}

/// Does what this process was started for, if the lab started it: the capsule's and the nodes' first processes, and
/// programs on their way into a node, all start from the executable that uses the lab. Returns in any other process.
///
/// # Errors
/// The part it has to play fails.
pub fn play_role() -> Result<()> {
    match std::env::var(ROLE).unwrap_or_default().as_str() {
        "first" => init::first_process(),
        "supervisor" => supervise::supervisor(true).map(drop),
        "node" => crate::place::node_process(),
        "join" => crate::place::join_node(),
        "" => Ok(()),
        other => bail!("unknown {ROLE} {other:?}"),
    }
}

/// Ends this process when the one that started it ends, so that its site goes too. Does nothing inside a capsule, where that is
/// so anyway.
///
/// # Errors
/// The kernel refuses.
pub fn end_with_parent() -> Result<()> {
    if is_inside() {
        return Ok(());
    }
    Ok(nix::sys::prctl::set_pdeathsig(nix::sys::signal::Signal::SIGTERM)?)
}

/// Whether this process runs inside a capsule.
pub fn is_inside() -> bool {
    crate::visit::is_inside()
}

impl Capsule {
    /// The site's identity.
    pub fn id(&self) -> &SiteId {
        &self.id
    }

    /// Lets the site stay when the calling process ends, until `lab down`.
    ///
    /// Works only in a capsule entered with [`Lifetime::UntilTakenDown`]; in another the site ends with the command.
    ///
    /// # Errors
    /// The site's folder cannot be written.
    pub fn keep(&self) -> Result<()> {
        fs::write(KEPT, "").context(KEPT)
    }
}

/// What is known outside about a site that runs: the file by which `lab kubectl` and `lab down` find it.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct State {
    /// The site's identity, which names its owner.
    pub id: String,
    /// The first process of its capsule, as seen from outside.
    pub first_process: u32,
    /// The command that brought it up.
    pub command: Vec<String>,
    /// Whether it outlives that command.
    pub kept: bool,
}

impl State {
    /// All sites of this user that are running, in the order of their names.
    ///
    /// # Errors
    /// No cache folder is known.
    pub fn all() -> Result<Vec<Self>> {
        let mut found = Vec::new();
        for entry in fs::read_dir(state_folder()?).into_iter().flatten().flatten() {
            let text = fs::read_to_string(entry.path()).unwrap_or_default();
            if let Ok(state) = serde_json::from_str::<Self>(&text)
                && SiteId::parse(&state.id).is_some_and(|id| !id.is_gone())
            {
                found.push(state);
            }
        }
        found.sort_by(|a, b| a.id.cmp(&b.id));
        Ok(found)
    }

    fn write(&self) -> Result<()> {
        let folder = state_folder()?;
        fs::create_dir_all(&folder).with_context(|| folder.display().to_string())?;
        let text = serde_json::to_string(self)?;
        fs::write(folder.join(format!("{}.json", self.id)), text).context("the site's state file")
    }
}

/// Where all sites of this user leave what others have to know of them.
///
/// # Errors
/// No cache folder is known.
pub fn state_folder() -> Result<PathBuf> {
    Ok(cache_folder()?.join("sites"))
}

/// Removes what sites whose owner is gone have left: control groups and state files.
///
/// # Errors
/// A control group cannot be removed.
pub fn sweep() -> Result<usize> {
    for entry in fs::read_dir(state_folder()?).into_iter().flatten().flatten() {
        let name = entry.file_name().to_string_lossy().into_owned();
        let name = name.strip_suffix(".json").or_else(|| name.strip_suffix(".watches"));
        if name.and_then(SiteId::parse).is_some_and(|id| id.is_gone()) {
            let _ = fs::remove_file(entry.path());
        }
    }
    crate::cgroups::sweep()
}

pub(crate) fn mount_on(target: &Path, kind: &str, options: Option<&str>) -> Result<()> {
    mount(Some(kind), target, Some(kind), MsFlags::empty(), options)
        .with_context(|| format!("mount {kind} on {}", target.display()))
}

pub(crate) fn bind(source: &Path, target: &Path) -> Result<()> {
    mount(Some(source), target, None::<&str>, MsFlags::MS_BIND | MsFlags::MS_REC, None::<&str>)
        .with_context(|| format!("bind {} on {}", source.display(), target.display()))
}

/// Detaches the mount namespace just made from the one it was copied from, so that no mount travels back.
///
/// In a chroot `/` may be a plain folder, which has no mount to be detached. Its mounts are detached one by one then, and
/// the folder is made a mount: over `/proc`, because that is a mount of our own now, so that nothing travels back from it.
pub(crate) fn detach_mounts() -> Result<()> {
    match propagate("/", MsFlags::MS_PRIVATE) {
        Err(nix::Error::EINVAL) => {}
        done => return done.context("making mounts private"),
    }
    let mounts = fs::read_to_string("/proc/self/mountinfo").context("/proc/self/mountinfo")?;
    for point in mounts.lines().filter_map(|line| line.split(' ').nth(4)) {
        propagate(point, MsFlags::MS_PRIVATE).with_context(|| format!("making the mount {point} private"))?;
    }
    bind(Path::new("/"), Path::new("/proc"))?;
    chroot("/proc")?;
    chdir("/")?;
    propagate("/", MsFlags::MS_PRIVATE).context("making mounts private")
}

/// Sets how a mount and all below it pass on what is mounted on them.
pub(crate) fn propagate(point: &str, how: MsFlags) -> nix::Result<()> {
    mount(None::<&str>, point, None::<&str>, MsFlags::MS_REC | how, None::<&str>)
}
