//! Where the programs of the site are.

use std::path::{Path, PathBuf};
use std::time::SystemTime;

use anyhow::{Context, Result, bail};

use crate::owner::cache_folder;

/// The folder that `tests/controlplane/build.sh` filled.
#[derive(Debug, Clone)]
pub(crate) struct Binaries {
    folder: PathBuf,
}

impl Binaries {
    /// The folder that `IRONLB_LAB_BIN` names, else the newest in the user's cache.
    pub(crate) fn find() -> Result<Self> {
        let folder = match std::env::var_os("IRONLB_LAB_BIN") {
            Some(folder) => PathBuf::from(folder),
            None => newest(&cache_folder()?.join("bin"))
                .context("the lab's Kubernetes is not built yet (`make lab-bin`, or tests/controlplane/build.sh)")?,
        };
        for name in ["controlplane", "containerd", "containerd-shim-runc-v2", "ctr", "helm"] {
            if !folder.join(name).is_file() {
                bail!("{} is missing (`make lab-bin` builds it)", folder.join(name).display());
            }
        }
        Ok(Self { folder })
    }

    /// The path of one of them.
    pub(crate) fn path(&self, name: &str) -> String {
        self.folder.join(name).display().to_string()
    }

    /// PATH for the site's processes: these, then Debian's (runc, the CNI plugins' helpers, nft, iptables, conntrack).
    pub(crate) fn search_path(&self) -> String {
        format!("{}:/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", self.folder.display())
    }
}

fn newest(root: &Path) -> Option<PathBuf> {
    let entries = std::fs::read_dir(root).ok()?.flatten();
    let built = entries.filter(|entry| {
        let hidden = entry.file_name().to_string_lossy().starts_with('.');
        !hidden && entry.path().join("controlplane").is_file()
    });
    let age =
        |entry: &std::fs::DirEntry| entry.metadata().and_then(|data| data.modified()).unwrap_or(SystemTime::UNIX_EPOCH);
    built.max_by_key(age).map(|entry| entry.path())
}
