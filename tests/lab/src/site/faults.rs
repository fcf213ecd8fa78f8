//! Faults between hosts, and planned leaves. Faults of one node are [`Node`](crate::Node)'s own.

use std::time::Duration;

use anyhow::Result;

use super::Site;
use crate::lan;

impl Site {
    /// Cuts the LAN: no frame passes between a host of `left` and one of `right` until [`Site::heal`]. Hosts in neither
    /// list reach everybody. Nobody's carrier goes.
    ///
    /// # Errors
    /// A side is empty.
    pub fn partition(&self, left: &[&str], right: &[&str]) -> Result<()> {
        lan::partition(left, right)
    }

    /// Undoes every [`Site::partition`].
    ///
    /// # Errors
    /// The switch's rules cannot be changed.
    pub fn heal(&self) -> Result<()> {
        lan::heal()
    }

    /// Plugs the cable of any host in, or pulls it.
    ///
    /// # Errors
    /// The switch has no such port.
    pub fn cable(&self, host: &str, plugged: bool) -> Result<()> {
        lan::set_cable(host, plugged)
    }

    /// Drains a node as an administrator does: cordons it and evicts its pods, but those of DaemonSets.
    ///
    /// # Errors
    /// A pod is not gone within the time.
    pub async fn drain(&self, node: &str, within: Duration) -> Result<()> {
        let timeout = format!("--timeout={}s", within.as_secs());
        let arguments = ["drain", node, "--ignore-daemonsets", "--delete-emptydir-data", "--force", &timeout];
        self.kubectl(&arguments).await.map(drop)
    }

    /// Lets pods onto a drained node again.
    ///
    /// # Errors
    /// The API server refuses.
    pub async fn uncordon(&self, node: &str) -> Result<()> {
        self.kubectl(&["uncordon", node]).await.map(drop)
    }
}
