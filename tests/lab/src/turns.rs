//! Whose turn it is, between processes that have sites or routers on one machine.
//!
//! What only has to come about goes on beside others. What measures time waits until nobody else is at it, and nobody begins
//! meanwhile. Locks of files, so that a process that dies gives its turn back.

use std::fs::File;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};

use crate::capsule::state_folder;

/// The two files; every process that may disturb another one is given the same folder.
#[derive(Debug, Clone)]
pub struct Turns {
    /// Held while somebody asks for a turn, so that one who wants to be alone is not overtaken for ever.
    door: PathBuf,
    /// Held by all who are at it, or by the one who is alone.
    floor: PathBuf,
}

/// A turn; it ends when this is dropped.
#[derive(Debug)]
#[must_use]
pub struct Turn {
    _floor: File,
}

impl Turns {
    /// Of all runs on this machine, for the clock of one is disturbed by any other.
    ///
    /// # Errors
    /// The folder cannot be made.
    pub fn of_this_machine() -> Result<Self> {
        Self::new(&state_folder()?.join("turns"))
    }

    /// In this folder, which is made.
    fn new(folder: &Path) -> Result<Self> {
        std::fs::create_dir_all(folder).with_context(|| format!("cannot make {}", folder.display()))?;
        Ok(Self { door: folder.join("door"), floor: folder.join("floor") })
    }

    /// Waits for a turn that others share.
    pub async fn beside_others(&self) -> Turn {
        self.wait(File::lock_shared).await
    }

    /// Waits until nobody else is at it, and keeps everybody else from it.
    pub async fn alone(&self) -> Turn {
        self.wait(File::lock).await
    }

    /// A lock that cannot be had is a fault of the file system under the cache folder: it ends the run.
    async fn wait(&self, lock: fn(&File) -> std::io::Result<()>) -> Turn {
        let Self { door, floor } = self.clone();
        let waited = tokio::task::spawn_blocking(move || -> std::io::Result<Turn> {
            let door = File::create(door)?;
            door.lock()?;
            let floor = File::create(floor)?;
            lock(&floor)?;
            Ok(Turn { _floor: floor })
        });
        waited.await.expect("waiting for a lock does not panic").expect("a file in the cache folder can be locked")
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[tokio::test]
    async fn one_alone_waits_for_all_and_is_not_overtaken() {
        let folder = std::env::temp_dir().join(format!("ironlb-turns-{}", std::process::id()));
        let turns = Turns::new(&folder).unwrap();
        let first = turns.beside_others().await;
        let second = turns.beside_others().await;
        let (floor, others) = (turns.floor.clone(), turns.clone());
        let alone = tokio::spawn(async move { others.alone().await });
        // It is waiting once it holds the door.
        let door = File::create(&turns.door).unwrap();
        while door.try_lock_shared().is_ok() {
            door.unlock().unwrap();
            tokio::task::yield_now().await;
        }
        let others = turns.clone();
        let mut late = tokio::spawn(async move { others.beside_others().await });
        // Beside the first two it would have a turn at once, did it not wait at the door.
        assert!(tokio::time::timeout(Duration::from_millis(200), &mut late).await.is_err(), "overtaken");
        drop((first, second));
        let turn = alone.await.unwrap();
        assert!(File::create(floor).unwrap().try_lock_shared().is_err(), "somebody could be at it beside one alone");
        assert!(!late.is_finished(), "overtaken");
        drop(turn);
        drop(late.await.unwrap());
        std::fs::remove_dir_all(folder).unwrap();
    }
}
