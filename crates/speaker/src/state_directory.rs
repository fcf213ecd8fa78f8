//! The speaker's state directory: a folder on the node that outlives a container and a pod, and not the node's next boot.
//!
//! What is in it helps a speaker that starts to go on where the one before it on this boot ended. Everything in it may be missing, old or
//! damaged: then the speaker starts as it would on a fresh node. It is never told to anybody else.
//!
//! | file | what |
//! |---|---|
//! | `boot` | the boot on which a speaker was here last |
//! | `snapshot` | the last snapshot (`kept_snapshot.rs`) |
//! | `speaking` | locked by the speaker that has the turn (`hand_over.rs`) |
//! | `hand-over.sock` | where it is asked for it |
//!
//! Files are written beside their place and renamed into it, so a reader sees the old or the new one whole. They are not synced to disk:
//! they count on this boot only, so only a process may die between two writes, and what it has written the kernel still has. They are
//! readable by their owner alone, because a BgpPeer may hold a password.

use std::fs::{self, DirBuilder, OpenOptions};
use std::io::{self, BufWriter, ErrorKind, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use ironlb_telemetry::fields;
use tracing::warn;

/// Differs from one boot of the machine to the next (`random(4)`).
const BOOT_ID: &str = "/proc/sys/kernel/random/boot_id";

const BOOT: &str = "boot";
/// The file of the last snapshot.
pub(crate) const SNAPSHOT: &str = "snapshot";
/// The file that is locked by the speaker that has the turn.
pub(crate) const SPEAKING: &str = "speaking";
/// The socket on which it is asked for it.
pub(crate) const HAND_OVER_SOCKET: &str = "hand-over.sock";
/// What counts on the boot alone on which it was written.
const OF_ONE_BOOT: [&str; 1] = [SNAPSHOT];

/// The state directory. Clones are the same one.
#[derive(Debug, Clone)]
pub(crate) struct StateDirectory {
    path: PathBuf,
    was_here_before: bool,
}

impl StateDirectory {
    /// Opens it, makes it if it is missing, and leaves a mark that a speaker was here on this boot. `None`, told in the log, where that
    /// cannot be done: then nothing is kept, and every start is a first one.
    pub(crate) fn open(path: &Path) -> Option<Self> {
        let opened = fs::read_to_string(BOOT_ID).and_then(|boot_id| Self::open_on(path, boot_id.trim()));
        if let Err(error) = &opened {
            warn!(
                path = %path.display(), { fields::ERROR } = %error,
                "the state directory cannot be used: a restart of this speaker begins with nothing"
            );
        }
        opened.ok()
    }

    /// [`StateDirectory::open`] on the boot of this name.
    pub(crate) fn open_on(path: &Path, boot_id: &str) -> io::Result<Self> {
        DirBuilder::new().recursive(true).mode(0o700).create(path)?;
        let mut directory = Self { path: path.to_owned(), was_here_before: false };
        directory.was_here_before = directory.read(BOOT)?.is_some_and(|mark| mark == boot_id.as_bytes());
        if !directory.was_here_before {
            for name in OF_ONE_BOOT {
                directory.remove(name)?;
            }
            directory.write(BOOT, |file| file.write_all(boot_id.as_bytes()))?;
        }
        Ok(directory)
    }

    /// Did a speaker run on this node before, since it was booted? Routers may then still have its routes, and neighbours its answers.
    pub(crate) fn was_here_before(&self) -> bool {
        self.was_here_before
    }

    /// Where a file of this name is.
    pub(crate) fn file(&self, name: &str) -> PathBuf {
        self.path.join(name)
    }

    /// A file's content; `None` when there is no such file.
    ///
    /// # Errors
    /// It cannot be read.
    pub(crate) fn read(&self, name: &str) -> io::Result<Option<Vec<u8>>> {
        match fs::read(self.file(name)) {
            Ok(content) => Ok(Some(content)),
            Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Removes a file, if it is there.
    ///
    /// # Errors
    /// It is still there.
    pub(crate) fn remove(&self, name: &str) -> io::Result<()> {
        match fs::remove_file(self.file(name)) {
            Err(error) if error.kind() != ErrorKind::NotFound => Err(error),
            _ => Ok(()),
        }
    }

    /// Writes a file as a whole: whoever reads sees what was there or what is new.
    ///
    /// # Errors
    /// It cannot be written; what was there is still there.
    pub(crate) fn write(
        &self,
        name: &str,
        content: impl FnOnce(&mut BufWriter<fs::File>) -> io::Result<()>,
    ) -> io::Result<()> {
        let aside = self.file(&format!("{name}.new"));
        let file = OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(&aside)?;
        let mut file = BufWriter::new(file);
        content(&mut file)?;
        file.into_inner().map_err(io::IntoInnerError::into_error)?;
        fs::rename(&aside, self.file(name))
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;
    use crate::testing::Folder;

    #[test]
    fn a_speaker_was_here_before_only_on_the_same_boot() {
        let folder = Folder::new();
        let here = |boot| StateDirectory::open_on(&folder.path().join("state"), boot).expect("a folder of our own");
        assert!(!here("one").was_here_before());
        assert!(here("one").was_here_before());
        assert!(!here("two").was_here_before());
        assert!(here("two").was_here_before());
    }

    #[test]
    fn a_file_is_whole_and_for_its_owner_alone() {
        let folder = Folder::new();
        let directory = StateDirectory::open_on(folder.path(), "one").expect("a folder of our own");
        assert_eq!(directory.read("x").expect("readable"), None);
        directory.write("x", |file| file.write_all(b"first")).expect("writable");
        let failed = directory.write("x", |file| {
            file.write_all(b"half")?;
            Err(io::Error::other("no more"))
        });
        assert!(failed.is_err());
        assert_eq!(directory.read("x").expect("readable").as_deref(), Some(&b"first"[..]));
        let mode = fs::metadata(directory.file("x")).expect("there").permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
    }

    #[test]
    fn a_folder_that_cannot_be_made_is_no_directory() {
        assert!(StateDirectory::open(Path::new("/proc/self/none")).is_none());
    }
}
