//! Stopping all processes of a group at once, without any of them being told.

use std::fs;
use std::path::Path;
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};

use super::{Cgroups, Hierarchy, tree};

/// Version 1: the state that is wanted, and the state that is.
const STATE: &str = "freezer.state";
/// Version 2: 1 or 0, as wanted.
const FREEZE: &str = "cgroup.freeze";
/// Version 2: among others, whether it is so.
const EVENTS: &str = "cgroup.events";

/// How long the kernel may take to stop all of a group. Chosen: it takes milliseconds, and seconds on a starved machine.
const PATIENCE: Duration = Duration::from_secs(10);

impl Hierarchy {
    fn freezes(&self) -> bool {
        self.is_unified() || self.controllers.split(',').any(|controller| controller == "freezer")
    }

    fn order(&self, folder: &Path, frozen: bool) -> Result<()> {
        let (file, word) = match (self.is_unified(), frozen) {
            (false, true) => (STATE, "FROZEN"),
            (false, false) => (STATE, "THAWED"),
            (true, true) => (FREEZE, "1"),
            (true, false) => (FREEZE, "0"),
        };
        let file = folder.join(file);
        fs::write(&file, word).with_context(|| format!("{word} to {}", file.display()))
    }

    fn is_frozen(&self, folder: &Path) -> bool {
        let text = fs::read_to_string(folder.join(if self.is_unified() { EVENTS } else { STATE })).unwrap_or_default();
        // Version 1 has FREEZING between.
        text.lines().any(|line| line == if self.is_unified() { "frozen 1" } else { "FROZEN" })
    }

    /// Returns when all of them stand still, or go on.
    fn set_frozen(&self, folder: &Path, frozen: bool) -> Result<()> {
        self.order(folder, frozen)?;
        let deadline = Instant::now() + PATIENCE;
        while self.is_frozen(folder) != frozen {
            if Instant::now() > deadline {
                bail!("{} does not become {}", folder.display(), if frozen { "frozen" } else { "thawed" });
            }
            thread::sleep(Duration::from_millis(1));
        }
        Ok(())
    }
}

impl Cgroups {
    /// Stops every process in `group` and below it, or lets them go on; returns when that is so.
    pub(crate) fn set_frozen(&self, group: &str, frozen: bool) -> Result<()> {
        let hierarchy = self.freezer().context("no control group hierarchy of this machine can freeze")?;
        hierarchy.set_frozen(&hierarchy.base.join(group), frozen)
    }

    /// Whether the processes in `group` stand still.
    pub(crate) fn is_frozen(&self, group: &str) -> bool {
        self.freezer().is_some_and(|hierarchy| hierarchy.is_frozen(&hierarchy.base.join(group)))
    }

    /// Lets everything below `group` go on that was stopped somewhere. In version 1 what stands still cannot be killed either.
    pub(crate) fn thaw_below(&self, group: &str) {
        if let Some(hierarchy) = self.freezer() {
            thaw_tree(&hierarchy.base.join(group));
        }
    }

    fn freezer(&self) -> Option<&Hierarchy> {
        self.hierarchies.iter().find(|hierarchy| hierarchy.freezes())
    }
}

/// Lets everything in `folder` and below it go on, in whatever hierarchy it is.
pub(super) fn thaw_tree(folder: &Path) {
    for group in tree(folder) {
        for (file, thawed) in [(STATE, "THAWED"), (FREEZE, "0")] {
            let file = group.join(file);
            // Without such a file the group is of another hierarchy, or gone.
            if fs::read_to_string(&file).is_ok_and(|now| now.trim() != thawed) {
                let _ = fs::write(&file, thawed);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::io::{BufRead, BufReader, Write};
    use std::os::fd::AsFd;
    use std::path::PathBuf;
    use std::process::{Command, Stdio};

    use nix::poll::{PollFd, PollFlags, PollTimeout, poll};

    use super::*;
    use crate::cgroups::{cgroup_mount, remove_tree};

    /// Every mounted hierarchy that can freeze; where both versions are mounted, both.
    fn freezers() -> Vec<Hierarchy> {
        let mounts = fs::read_to_string("/proc/self/mountinfo").unwrap();
        let all = mounts.lines().filter_map(cgroup_mount).map(|(point, _, options)| Hierarchy {
            controllers: if options == "unified" { String::new() } else { options },
            base: PathBuf::from(point),
        });
        all.filter(Hierarchy::freezes).collect()
    }

    /// As root; a group that belongs to nobody's site.
    #[test]
    fn what_is_frozen_answers_nothing_until_it_is_thawed_in_either_version() {
        let freezers = freezers();
        assert!(!freezers.is_empty());
        for hierarchy in freezers {
            let folder = hierarchy.base.join(format!("ironlb-freezer-test.{}", std::process::id()));
            fs::create_dir(&folder).unwrap();
            let mut echo =
                Command::new("cat").stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().expect("cat is everywhere");
            let (mut to, mut from) = (echo.stdin.take().unwrap(), BufReader::new(echo.stdout.take().unwrap()));
            fs::write(folder.join("cgroup.procs"), echo.id().to_string()).unwrap();
            hierarchy.set_frozen(&folder, true).unwrap();
            assert!(hierarchy.is_frozen(&folder), "{hierarchy:?}");
            to.write_all(b"word\n").unwrap();
            let answers = |within: u16| {
                let mut ends = [PollFd::new(from.get_ref().as_fd(), PollFlags::POLLIN)];
                poll(&mut ends, PollTimeout::from(within)).unwrap() > 0
            };
            // An answer takes microseconds.
            assert!(!answers(50), "{hierarchy:?} froze nothing");
            thaw_tree(&folder);
            assert!(answers(10_000), "{hierarchy:?} thawed nothing");
            let mut line = String::new();
            from.read_line(&mut line).unwrap();
            assert_eq!(line, "word\n");
            remove_tree(&folder).unwrap();
            assert!(!folder.exists());
            echo.wait().unwrap();
        }
    }
}
