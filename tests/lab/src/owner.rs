//! Who a site belongs to: the process that started it, named so that a later start can tell whether it still lives.

use std::fmt;
use std::fs;
use std::path::PathBuf;

use anyhow::{Context, Result};

const PREFIX: &str = "ironlb-lab.";

/// The identity of a site: pid namespace, process id and start time of the process that owns it.
///
/// A process id alone is used again; together with the start time (in clock ticks since boot) it is not. The pid
/// namespace tells two containers apart that see the same cgroup tree.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SiteId {
    pid_namespace: u64,
    pid: u32,
    started: u64,
}

impl SiteId {
    /// The identity of a site owned by the calling process.
    ///
    /// # Errors
    /// `/proc` is not readable.
    pub fn of_this_process() -> Result<Self> {
        let pid = std::process::id();
        let started = start_time(pid).context("/proc/self/stat")?;
        Ok(Self { pid_namespace: own_pid_namespace()?, pid, started })
    }

    /// Reads the identity back from the name of a cgroup or of a state file.
    pub fn parse(name: &str) -> Option<Self> {
        let mut parts = name.strip_prefix(PREFIX)?.split('.');
        let id = Self {
            pid_namespace: parts.next()?.parse().ok()?,
            pid: parts.next()?.parse().ok()?,
            started: parts.next()?.parse().ok()?,
        };
        parts.next().is_none().then_some(id)
    }

    /// The owner's process id.
    pub fn pid(&self) -> u32 {
        self.pid
    }

    /// Whether the owner is certainly gone.
    ///
    /// An owner in another pid namespace cannot be looked up and counts as alive.
    pub fn is_gone(&self) -> bool {
        own_pid_namespace().is_ok_and(|own| own == self.pid_namespace) && start_time(self.pid) != Some(self.started)
    }
}

impl fmt::Display for SiteId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{PREFIX}{}.{}.{}", self.pid_namespace, self.pid, self.started)
    }
}

/// When the process was started, in clock ticks since boot; None if there is no such process, or only its zombie.
pub(crate) fn start_time(pid: u32) -> Option<u64> {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    // The command's name is in parentheses and may hold anything, so fields are counted from its end (proc_pid_stat(5)).
    let mut fields = stat.get(stat.rfind(')')? + 2..)?.split(' ');
    let state = fields.next()?;
    if matches!(state, "Z" | "X") {
        return None;
    }
    // Field 22 of the line is the 19th after the state.
    fields.nth(18)?.parse().ok()
}

fn own_pid_namespace() -> Result<u64> {
    let link = fs::read_link("/proc/self/ns/pid")?;
    let text = link.to_string_lossy();
    text.trim_start_matches("pid:[").trim_end_matches(']').parse().with_context(|| format!("pid namespace {text}"))
}

/// The user's cache folder for the project: state files of running sites and the built binaries.
///
/// # Errors
/// Neither `XDG_CACHE_HOME` nor `HOME` is set.
pub(crate) fn cache_folder() -> Result<PathBuf> {
    let base = std::env::var_os("XDG_CACHE_HOME").map(PathBuf::from);
    let base = base.or_else(|| std::env::var_os("HOME").map(|home| PathBuf::from(home).join(".cache")));
    Ok(base.context("neither XDG_CACHE_HOME nor HOME is set")?.join("ironlb"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_identity_survives_its_name() {
        let id = SiteId::of_this_process().unwrap();
        assert_eq!(SiteId::parse(&id.to_string()), Some(id.clone()));
        assert!(!id.is_gone());
    }

    #[test]
    fn an_owner_is_gone_when_its_process_id_is_used_again() {
        let mut id = SiteId::of_this_process().unwrap();
        id.started += 1;
        assert!(id.is_gone());
    }

    #[test]
    fn an_owner_in_another_pid_namespace_counts_as_alive() {
        let mut id = SiteId::of_this_process().unwrap();
        id.started += 1;
        id.pid_namespace += 1;
        assert!(!id.is_gone());
    }

    #[test]
    fn other_names_are_no_identity() {
        for name in ["ironlb-lab", "ironlb-lab.1.2", "ironlb-lab.1.2.3.4", "ironlb-lab.a.2.3", "docker", ""] {
            assert_eq!(SiteId::parse(name), None, "{name}");
        }
    }
}
