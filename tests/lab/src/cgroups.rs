//! Control groups of a site: made under one name in every hierarchy, mounted inside, removed or swept afterwards.
//!
//! Groups outlive the processes and namespaces they were made in, which is why they carry their owner's name. Version 1
//! (one mount per controller) is what this was proved on. Version 2 (one mount) is kept short and is untried.

mod freezer;

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use nix::mount::{MntFlags, MsFlags, mount, umount2};
use nix::sched::{CloneFlags, unshare};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use crate::owner::SiteId;

const ROOT: &str = "/sys/fs/cgroup";
/// Version 2 allows processes only in leaves, so a group's own processes live in this child of it.
const LEAF: &str = "main";

/// One mounted tree of control groups.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Hierarchy {
    /// What `/proc/self/cgroup` calls it: `cpu,cpuacct`, `name=systemd`, or nothing for version 2.
    controllers: String,
    /// The folder in which a new group is made: the caller's own group, or in version 2 the top.
    base: PathBuf,
}

impl Hierarchy {
    fn is_unified(&self) -> bool {
        self.controllers.is_empty()
    }

    fn leaf(&self, group: &str) -> PathBuf {
        let group = self.base.join(group);
        if self.is_unified() { group.join(LEAF) } else { group }
    }
}

/// The hierarchies of this machine, as the calling process sees them.
#[derive(Debug, Clone)]
pub(crate) struct Cgroups {
    hierarchies: Vec<Hierarchy>,
}

impl Cgroups {
    /// Looks at what is mounted and where the caller is in it.
    pub(crate) fn detect() -> Result<Self> {
        let own = fs::read_to_string("/proc/self/cgroup").context("/proc/self/cgroup")?;
        let mounts = fs::read_to_string("/proc/self/mountinfo").context("/proc/self/mountinfo")?;
        let hierarchies = parse(&own, &mounts);
        if hierarchies.is_empty() {
            bail!("no control group hierarchy is mounted (looked for type cgroup and cgroup2 in /proc/self/mountinfo)");
        }
        Ok(Self { hierarchies })
    }

    /// Makes `group` in every hierarchy.
    pub(crate) fn create(&self, group: &str) -> Result<()> {
        for hierarchy in &self.hierarchies {
            let folder = hierarchy.base.join(group);
            if hierarchy.is_unified() {
                delegate(&hierarchy.base);
            }
            fs::create_dir_all(&folder).with_context(|| folder.display().to_string())?;
            // A new cpuset is empty and takes no process until it is filled.
            for file in ["cpuset.cpus", "cpuset.mems"] {
                if let Ok(parents) = fs::read_to_string(hierarchy.base.join(file))
                    && !hierarchy.is_unified()
                {
                    fs::write(folder.join(file), parents.trim())
                        .with_context(|| format!("{}/{file}", folder.display()))?;
                }
            }
        }
        Ok(())
    }

    /// Moves the calling process into `group` and makes that the top of all it sees: a new cgroup namespace.
    pub(crate) fn become_root(&self, group: &str) -> Result<()> {
        for hierarchy in &self.hierarchies {
            move_here(&hierarchy.base.join(group))?;
        }
        unshare(CloneFlags::CLONE_NEWCGROUP).context("a new cgroup namespace")?;
        for hierarchy in self.hierarchies.iter().filter(|hierarchy| hierarchy.is_unified()) {
            let leaf = hierarchy.leaf(group);
            fs::create_dir_all(&leaf)?;
            move_here(&leaf)?;
            delegate(&hierarchy.base.join(group));
        }
        Ok(())
    }

    /// Moves the calling process into `group`, whose top is already some other process's.
    pub(crate) fn join(&self, group: &str) -> Result<()> {
        self.hierarchies.iter().try_for_each(|hierarchy| move_here(&hierarchy.leaf(group)))
    }

    /// Mounts the hierarchies afresh below `/sys/fs/cgroup`, as seen from the current cgroup namespace.
    pub(crate) fn mount(&self) -> Result<()> {
        // Mounts made elsewhere by the namespace this one is a copy of: runc would take the first it finds in the list.
        let mounts = fs::read_to_string("/proc/self/mountinfo").context("/proc/self/mountinfo")?;
        for (point, _, _) in mounts.lines().filter_map(cgroup_mount) {
            // One that is hidden below the new /sys cannot be reached, and does no harm.
            let _ = umount2(point, MntFlags::MNT_DETACH);
        }
        if let [only] = self.hierarchies.as_slice()
            && only.is_unified()
        {
            return mount_at(ROOT, "cgroup2", None);
        }
        mount_at(ROOT, "tmpfs", Some("mode=755"))?;
        for hierarchy in &self.hierarchies {
            let name = hierarchy.controllers.trim_start_matches("name=");
            let folder = format!("{ROOT}/{name}");
            fs::create_dir_all(&folder)?;
            let named = hierarchy.controllers.starts_with("name=");
            let options = if named { format!("none,{}", hierarchy.controllers) } else { hierarchy.controllers.clone() };
            mount_at(&folder, "cgroup", Some(&options))?;
            // Programs look for each controller by its own name also where several share a hierarchy.
            for alias in name.split(',').filter(|alias| *alias != name) {
                std::os::unix::fs::symlink(name, format!("{ROOT}/{alias}"))?;
            }
        }
        Ok(())
    }

    /// The ids of all processes in `group` and below it.
    pub(crate) fn processes(&self, group: &str) -> Vec<u32> {
        let pids = |hierarchy: &&Hierarchy| hierarchy.is_unified() || hierarchy.controllers.contains("pids");
        let Some(hierarchy) = self.hierarchies.iter().find(pids).or(self.hierarchies.first()) else {
            return Vec::new();
        };
        let mut found: Vec<u32> = tree(&hierarchy.base.join(group)).iter().flat_map(|folder| members(folder)).collect();
        found.sort_unstable();
        found
    }

    /// Ends what still runs in `group` and removes it everywhere.
    pub(crate) fn remove(&self, group: &str) -> Result<()> {
        self.thaw_below(group);
        self.hierarchies.iter().try_for_each(|hierarchy| remove_tree(&hierarchy.base.join(group)))
    }
}

/// Removes the groups of sites whose owner is gone, wherever they are; tells how many were found.
pub(crate) fn sweep() -> Result<usize> {
    let mounts = fs::read_to_string("/proc/self/mountinfo").context("/proc/self/mountinfo")?;
    let everything = mounts.lines().filter_map(cgroup_mount).flat_map(|(point, _, _)| tree(Path::new(point)));
    let is_left = |folder: &PathBuf| {
        let name = folder.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
        SiteId::parse(&name).is_some_and(|id| id.is_gone())
    };
    let left: Vec<PathBuf> = everything.filter(is_left).collect();
    // In whichever hierarchy they are frozen: what is does not die, and does not leave its groups in the others.
    left.iter().for_each(|folder| freezer::thaw_tree(folder));
    left.iter().try_for_each(|folder| remove_tree(folder))?;
    Ok(left.len())
}

/// Mount point, root and options of a line of mountinfo that is a cgroup mount; version 2 has the option `unified`.
fn cgroup_mount(line: &str) -> Option<(&str, &str, String)> {
    let (place, kind) = line.split_once(" - ")?;
    let mut place = place.split(' ').skip(3);
    let (root, point) = (place.next()?, place.next()?);
    let mut kind = kind.split(' ');
    match kind.next()? {
        "cgroup" => Some((point, root, kind.nth(1)?.to_owned())),
        "cgroup2" => Some((point, root, "unified".to_owned())),
        _ => None,
    }
}

fn parse(own: &str, mounts: &str) -> Vec<Hierarchy> {
    let mounts: Vec<_> = mounts.lines().filter_map(cgroup_mount).collect();
    let mut version1 = Vec::new();
    let mut version2 = None;
    for line in own.lines() {
        let mut fields = line.splitn(3, ':').skip(1);
        let (Some(controllers), Some(path)) = (fields.next(), fields.next()) else { continue };
        let carries = |options: &str| match controllers {
            "" => options == "unified",
            some => some.split(',').all(|controller| options.split(',').any(|option| option == controller)),
        };
        let Some((point, root, _)) = mounts.iter().find(|(_, _, options)| carries(options)) else { continue };
        let inside = path.strip_prefix(root).unwrap_or(path).trim_start_matches('/');
        // A visitor from outside the cgroup namespace; what it may make or join lies below the namespace's top.
        let inside = if inside.starts_with("..") { "" } else { inside };
        if controllers.is_empty() {
            version2 = Some(Hierarchy { controllers: String::new(), base: PathBuf::from(point) });
        } else {
            version1.push(Hierarchy { controllers: controllers.to_owned(), base: Path::new(point).join(inside) });
        }
    }
    // With both mounted ("hybrid") the controllers are in version 1 and version 2 holds none.
    if version1.iter().any(|hierarchy| hierarchy.controllers.contains("memory")) {
        version1
    } else {
        version2.into_iter().collect()
    }
}

fn move_here(folder: &Path) -> Result<()> {
    let file = folder.join("cgroup.procs");
    // 0 stands for the writer itself (cgroups(7)).
    fs::write(&file, "0").with_context(|| format!("cannot move into {}", folder.display()))
}

/// Lets children of `folder` have controllers (version 2); one at a time, because a missing one would refuse them all.
fn delegate(folder: &Path) {
    for controller in ["cpuset", "cpu", "io", "memory", "pids"] {
        let _ = fs::write(folder.join("cgroup.subtree_control"), format!("+{controller}"));
    }
}

fn mount_at(target: &str, kind: &str, options: Option<&str>) -> Result<()> {
    mount(Some(kind), target, Some(kind), MsFlags::MS_NOSUID | MsFlags::MS_NODEV | MsFlags::MS_NOEXEC, options)
        .with_context(|| format!("mount {kind} ({}) on {target}", options.unwrap_or_default()))
}

fn members(folder: &Path) -> Vec<u32> {
    let text = fs::read_to_string(folder.join("cgroup.procs")).unwrap_or_default();
    text.lines().filter_map(|line| line.parse().ok()).collect()
}

/// `folder` and all below it, the deepest first.
fn tree(folder: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    let children = fs::read_dir(folder).into_iter().flatten().flatten();
    for child in children.filter(|child| child.file_type().is_ok_and(|kind| kind.is_dir())) {
        found.extend(tree(&child.path()));
    }
    if folder.exists() {
        found.push(folder.to_owned());
    }
    found
}

fn remove_tree(folder: &Path) -> Result<()> {
    // Chosen: a killed process leaves its group within milliseconds; seconds pass only on a starved machine.
    let deadline = Instant::now() + Duration::from_secs(10);
    loop {
        let folders = tree(folder);
        for pid in folders.iter().flat_map(|folder| members(folder)) {
            let _ = kill(Pid::from_raw(i32::try_from(pid)?), Signal::SIGKILL);
        }
        let mut left = None;
        for folder in &folders {
            left = fs::remove_dir(folder).err().filter(|error| error.kind() != io::ErrorKind::NotFound).or(left);
        }
        match left {
            None => return Ok(()),
            Some(error) if Instant::now() > deadline => {
                return Err(error).with_context(|| format!("cannot remove {}", folder.display()));
            }
            Some(_) => thread::sleep(Duration::from_millis(10)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const VERSION_1: &str = "\
30 24 0:26 / /sys/fs/cgroup rw - tmpfs tmpfs rw,mode=755
31 30 0:27 / /sys/fs/cgroup/cpu,cpuacct rw shared:9 - cgroup cgroup rw,cpu,cpuacct
32 30 0:28 / /sys/fs/cgroup/memory rw - cgroup cgroup rw,memory
33 30 0:29 / /sys/fs/cgroup/systemd rw - cgroup cgroup rw,xattr,name=systemd
34 30 0:30 / /sys/fs/cgroup/unified rw - cgroup2 cgroup2 rw
";

    fn bases(own: &str, mounts: &str) -> Vec<(String, String)> {
        let found = parse(own, mounts).into_iter();
        found.map(|hierarchy| (hierarchy.controllers, hierarchy.base.display().to_string())).collect()
    }

    #[test]
    fn version_1_nests_in_the_callers_own_group_and_leaves_an_empty_version_2_alone() {
        let own = "4:memory:/user/7\n3:cpu,cpuacct:/\n2:name=systemd:/\n0::/\n";
        let expected = [
            ("memory", "/sys/fs/cgroup/memory/user/7"),
            ("cpu,cpuacct", "/sys/fs/cgroup/cpu,cpuacct/"),
            ("name=systemd", "/sys/fs/cgroup/systemd/"),
        ];
        assert_eq!(bases(own, VERSION_1), expected.map(|(a, b)| (a.to_owned(), b.to_owned())));
    }

    #[test]
    fn a_visitor_from_outside_the_namespace_works_below_its_top() {
        let expected = ("memory".to_owned(), "/sys/fs/cgroup/memory/".to_owned());
        assert_eq!(bases("4:memory:/../8\n", VERSION_1), [expected]);
    }

    #[test]
    fn version_2_is_made_at_the_top() {
        let mounts = "30 24 0:26 / /sys/fs/cgroup rw shared:4 - cgroup2 cgroup2 rw,nsdelegate\n";
        assert_eq!(bases("0::/user.slice/session-1.scope\n", mounts), [(String::new(), "/sys/fs/cgroup".to_owned())]);
    }

    #[test]
    fn the_root_of_a_bind_mount_is_taken_off_the_path() {
        let mounts = "32 30 0:28 /docker/abc /sys/fs/cgroup/memory rw - cgroup cgroup rw,memory\n";
        let expected = ("memory".to_owned(), "/sys/fs/cgroup/memory/x".to_owned());
        assert_eq!(bases("4:memory:/docker/abc/x\n", mounts), [expected]);
    }
}
