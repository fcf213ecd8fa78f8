//! What runs on a node: as its runtime says, and as its process table says. A test may compare the two.

use std::collections::BTreeMap;
use std::fs;

use anyhow::{Context, Result};

use super::Node;
use crate::cgroups::Cgroups;

/// A process of a node.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Process {
    /// Its id on the node.
    pub pid: u32,
    /// Its id in the capsule, for [`Node::freeze`] and its like.
    pub lab_pid: u32,
    /// The command line; the name alone for one without.
    pub command: String,
}

/// A container that runs on a node, as its runtime tells it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Container {
    /// The runtime's own id.
    pub id: String,
    /// Namespace of the pod.
    pub namespace: String,
    /// Name of the pod.
    pub pod: String,
    /// Name of the container in the pod; None for the one that holds the pod's namespaces.
    pub name: Option<String>,
    /// The id of its first process on the node.
    pub pid: u32,
    /// The same process's id in the capsule.
    pub lab_pid: u32,
}

impl Node {
    /// All processes of the node, its containers' included, in the order of their ids in the capsule.
    ///
    /// # Errors
    /// The control groups of this machine cannot be read.
    pub fn processes(&self) -> Result<Vec<Process>> {
        let pids = Cgroups::detect()?.processes(self.name());
        Ok(pids.into_iter().filter_map(look_up).collect())
    }

    /// The containers that run on the node.
    ///
    /// # Errors
    /// The runtime does not answer.
    pub async fn containers(&self) -> Result<Vec<Container>> {
        let tasks = self.exec(&["ctr", "-n", "k8s.io", "task", "list"]).await?;
        let in_capsule: BTreeMap<u32, u32> = self.processes()?.iter().map(|found| (found.pid, found.lab_pid)).collect();
        let mut found = Vec::new();
        // TASK PID STATUS
        for line in tasks.lines().skip(1) {
            let mut words = line.split_whitespace();
            let (Some(id), Some(pid), Some("RUNNING")) = (words.next(), words.next(), words.next()) else { continue };
            let pid: u32 = pid.parse().with_context(|| format!("ctr task list: {line}"))?;
            // A container that ended since the list was made is not one that runs.
            let Some(lab_pid) = in_capsule.get(&pid).copied() else { continue };
            let info = match self.exec(&["ctr", "-n", "k8s.io", "container", "info", id]).await {
                // Ended and removed since.
                Err(error) if format!("{error:#}").contains("not found") => continue,
                info => info?,
            };
            let info: serde_json::Value = serde_json::from_str(&info).context("ctr container info")?;
            let label = |name: &str| info["Labels"][format!("io.kubernetes.{name}")].as_str().map(str::to_owned);
            found.push(Container {
                id: id.to_owned(),
                namespace: label("pod.namespace").unwrap_or_default(),
                pod: label("pod.name").unwrap_or_default(),
                name: label("container.name"),
                pid,
                lab_pid,
            });
        }
        Ok(found)
    }
}

/// Reads what the capsule's /proc says about a process of a node; None if it is gone.
fn look_up(lab_pid: u32) -> Option<Process> {
    let status = fs::read_to_string(format!("/proc/{lab_pid}/status")).ok()?;
    let (mut name, mut pid) = (String::new(), None);
    for line in status.lines() {
        match line.split_once(':') {
            Some(("Name", value)) => name = value.trim().to_owned(),
            // One id per namespace, from the reader's inwards: the capsule's, the node's, a container's own.
            Some(("NSpid", value)) => pid = value.split_whitespace().nth(1).and_then(|id| id.parse().ok()),
            _ => {}
        }
    }
    let line = fs::read(format!("/proc/{lab_pid}/cmdline")).unwrap_or_default();
    let line = String::from_utf8_lossy(&line).replace('\0', " ");
    let command = if line.trim().is_empty() { name } else { line.trim().to_owned() };
    Some(Process { pid: pid?, lab_pid, command })
}
