//! Power: a node comes up, and goes down as a machine does whose cable is pulled out of the wall.

use std::fs;
use std::sync::PoisonError;
use std::time::SystemTime;

use anyhow::{Context, Result, bail};

use super::Node;
use crate::cgroups::Cgroups;
use crate::lan;
use crate::place::{self, node_folder};

impl Node {
    /// Gives the node its first process. Its place on the LAN must be there already.
    pub(crate) fn boot(&self) -> Result<()> {
        Cgroups::detect()?.create(self.name())?;
        let since = SystemTime::now();
        let first = place::boot(self.name())?;
        *self.power.lock().unwrap_or_else(PoisonError::into_inner) = Some((first, since));
        Ok(())
    }

    /// Cuts the node's power: the switch's port goes down first, so that nothing more leaves the node; then everything
    /// on it is killed at once. What was below /var/lib and /var/log is still there at the next start, the rest is lost.
    ///
    /// # Errors
    /// The node has no power.
    pub async fn cut_power(&self) -> Result<()> {
        lan::set_cable(self.name(), false)?;
        self.die()?;
        Cgroups::detect()?.remove(self.name())
    }

    /// Starts the node again, with its cable plugged in: fresh network, empty /run, the disk as it was. Returns when the
    /// programs are started; how long the node then takes to be Ready is the cluster's business.
    ///
    /// # Errors
    /// The node has power, or a program cannot be started.
    pub async fn power_on(&self) -> Result<()> {
        if self.has_power() {
            bail!("{} has power", self.name());
        }
        lan::detach(self.name())?;
        lan::attach(&self.address, &self.hosts)?;
        let run = node_folder(self.name()).join("run");
        fs::remove_dir_all(&run).with_context(|| run.display().to_string())?;
        self.boot()?;
        self.start_runtime(&[]).await?;
        self.start_kubelet()?;
        self.start_proxy()
    }

    /// Kills the first process, and with it the kernel kills all others of the node.
    pub(crate) fn die(&self) -> Result<()> {
        let first = self.power.lock().unwrap_or_else(PoisonError::into_inner).take();
        let Some((mut first, _)) = first else { bail!("{} has no power", self.name()) };
        fs::remove_file(node_folder(self.name()).join("first"))?;
        first.kill()?;
        // What is frozen does not die before it goes on.
        Cgroups::detect()?.thaw_below(self.name());
        // They are dead by now, but children of this process: the first one's end waits for them to be buried.
        for daemon in self.components() {
            daemon.kill()?;
        }
        first.wait()?;
        Ok(())
    }

    /// Takes the node off the site for good: processes, groups, cable, namespace.
    pub(crate) async fn remove(&self) -> Result<()> {
        if self.has_power() {
            self.cut_power().await?;
        }
        lan::detach(self.name())
    }
}
