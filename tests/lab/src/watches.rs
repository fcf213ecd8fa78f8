//! The inotify instances that all sites of a machine share.
//!
//! Every program that watches files takes some of what one user may have; kubelets that get none end at once, without a word about
//! why. Raising the limit would change the machine, so that is left to its owner, and a site waits until there is room.

use std::fs::{self, File, TryLockError};
use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};

use crate::owner::SiteId;
use crate::spec::SiteSpec;

/// Counted: what the programs of a node and those of the control plane take.
const A_NODE: u32 = 8;
const CONTROL_PLANE: u32 = 4;
/// What is left to the rest of the machine. Chosen: a Debian server at rest has fewer.
const OTHERS: u32 = 12;

/// How long is waited for room. Chosen: longer than all scenarios of a site take.
const PATIENCE: Duration = Duration::from_mins(20);
/// How often is looked. Chosen: nobody feels it.
const LOOK: Duration = Duration::from_millis(500);

/// Says that a site's owner lives, by a lock that goes with it; the file will say how many the site takes.
#[derive(Debug)]
pub(crate) struct Claim {
    _lock: File,
}

impl Claim {
    /// For the site's supervisor, which lives as long as the site.
    pub(crate) fn of(folder: &Path, id: &SiteId) -> Result<Self> {
        fs::create_dir_all(folder).with_context(|| folder.display().to_string())?;
        let lock = File::create(folder.join(file_name(id)))?;
        lock.lock().context("the site's claim to inotify instances")?;
        Ok(Self { _lock: lock })
    }
}

/// The name of a site's claim in the folder of all sites.
pub(crate) fn file_name(id: &SiteId) -> String {
    format!("{id}.watches")
}

/// Waits until there are enough for this site beside all others, and notes that it takes them.
pub(crate) async fn take(folder: &Path, id: &SiteId, spec: &SiteSpec) -> Result<()> {
    let needed = CONTROL_PLANE + A_NODE * u32::from(spec.nodes);
    let said = fs::read_to_string("/proc/sys/fs/inotify/max_user_instances").unwrap_or_default();
    let Ok(limit) = said.trim().parse::<u32>() else { return Ok(()) };
    if limit < needed {
        bail!(
            "a site of {} nodes needs {needed} inotify instances and this machine allows {limit} (sysctl fs.inotify.max_user_instances)",
            spec.nodes
        );
    }
    let begun = Instant::now();
    let mut told = false;
    loop {
        let others = offer(folder, id, needed, limit)?;
        let Some(others) = others else { return Ok(()) };
        if begun.elapsed() > PATIENCE {
            bail!(
                "no room for a site of {} nodes: it needs {needed} inotify instances, other sites have {others} of the {limit} that this \
                 machine allows (sysctl fs.inotify.max_user_instances)",
                spec.nodes
            );
        }
        if !std::mem::replace(&mut told, true) {
            println!("lab: waiting for other sites to end: they have {others} of {limit} inotify instances");
        }
        tokio::time::sleep(LOOK).await;
    }
}

/// Notes `needed` for this site if they are there; otherwise says how many the others have.
fn offer(folder: &Path, id: &SiteId, needed: u32, limit: u32) -> Result<Option<u32>> {
    // One at a time, so that two do not both take the last.
    let door = File::create(folder.join("door"))?;
    door.lock()?;
    let own = file_name(id);
    let mut others = 0;
    for entry in fs::read_dir(folder)?.flatten() {
        let name = entry.file_name().to_string_lossy().into_owned();
        if name.ends_with(".watches") && name != own {
            others += taken(&entry.path());
        }
    }
    // One that needs more than the machine leaves still gets them when it is alone.
    if others > 0 && others + needed + OTHERS > limit {
        return Ok(Some(others));
    }
    fs::write(folder.join(own), needed.to_string())?;
    Ok(None)
}

/// How many a site has that lives; none where the owner is gone.
fn taken(path: &Path) -> u32 {
    let Ok(file) = File::open(path) else { return 0 };
    match file.try_lock_shared() {
        Err(TryLockError::WouldBlock) => fs::read_to_string(path).ok().and_then(|text| text.parse().ok()).unwrap_or(0),
        _ => 0,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_living_sites_have_is_not_given_twice() {
        let folder = std::env::temp_dir().join(format!("ironlb-watches-{}", std::process::id()));
        let site = |pid: u32| SiteId::parse(&format!("ironlb-lab.1.{pid}.1")).unwrap();
        let (first, second, third) = (site(1), site(2), site(3));
        let claims = [&first, &second, &third].map(|id| Claim::of(&folder, id).unwrap());
        let limit = 2 * 28 + OTHERS;
        assert_eq!(offer(&folder, &first, 28, limit).unwrap(), None);
        assert_eq!(offer(&folder, &second, 28, limit).unwrap(), None);
        assert_eq!(offer(&folder, &third, 28, limit).unwrap(), Some(56), "the machine has room for two");
        let [gone, ..] = claims;
        drop(gone);
        assert_eq!(offer(&folder, &third, 28, limit).unwrap(), None, "what a site had is free when its owner is gone");
        fs::remove_dir_all(folder).unwrap();
    }
}
