//! Nothing of ironlb runs on the nodes but what Helm put there.

use std::collections::BTreeSet;
use std::fs;
use std::io::ErrorKind;
use std::path::Path;

use anyhow::{Context, Result, ensure};
use ironlb_lab::node::Container;
use k8s_openapi::api::apps::v1::{DaemonSet, Deployment, ReplicaSet};
use k8s_openapi::api::core::v1::Pod;
use kube::ResourceExt;
use kube::api::Api;

use crate::ground::Ground;
use crate::release::{self, NAMESPACE, RELEASE, is_ironlb};
use crate::runner::Scenario;

/// The bits of the capabilities in /proc (linux/capability.h).
const NET_BIND_SERVICE: u64 = 1 << 10;
const NET_RAW: u64 = 1 << 13;

/// The process table against the runtime's list, and what the kernel says of each process.
pub const SCENARIO: Scenario = Scenario {
    name: "every-process-is-a-pods",
    shows: "every ironlb process on the nodes is in a container of a pod whose owner Helm made, with the powers it needs and a root it cannot write to",
    first_address: 132,
    run: |ground| Box::pin(run(ground)),
};

async fn run(ground: &Ground<'_>) -> Result<()> {
    let site = &ground.stage().site;
    let mut seen = BTreeSet::new();
    for node in site.nodes() {
        let processes = node.processes()?;
        let containers = node.containers().await?;
        let ours: Vec<&Container> =
            containers.iter().filter(|c| c.namespace == NAMESPACE && c.name.is_some()).collect();
        for process in processes.iter().filter(|process| is_ironlb(process)) {
            // One that has ended meanwhile (a probe) has no groups any more.
            let Ok(groups) = fs::read_to_string(format!("/proc/{}/cgroup", process.lab_pid)) else { continue };
            let inside = ours.iter().any(|container| groups.contains(&container.id));
            ensure!(inside, "{} on {} is in none of the runtime's containers: {groups}", process.command, node.name());
            seen.insert(process.lab_pid);
        }
        for container in &ours {
            ensure!(
                seen.contains(&container.lab_pid),
                "the process table of {} lacks that of {container:?}",
                node.name()
            );
            let name = container.name.as_deref().unwrap_or_default();
            powers(container.lab_pid, name).with_context(|| format!("{name} on {}", node.name()))?;
            made_by_helm(ground, &container.pod).await.with_context(|| format!("pod {}", container.pod))?;
        }
    }
    let pods = release::pods(ground.stage(), "speaker").await?.len()
        + release::pods(ground.stage(), "controller").await?.len();
    ensure!(seen.len() >= pods && pods == site.nodes().len() + 2, "{} processes, {pods} pods", seen.len());
    nothing_outside(&seen)
}

/// What the process may do on its node, whatever the chart says: its user and capabilities, that it gets no more by starting
/// another program, that system calls are filtered, and that the root of its files takes nothing.
fn powers(pid: u32, container: &str) -> Result<()> {
    let (user, capabilities) = match container {
        "speaker" => (0, NET_RAW | NET_BIND_SERVICE),
        "controller" => (65_532, 0),
        other => anyhow::bail!("nobody knows what a container {other:?} may do"),
    };
    let process = Path::new("/proc").join(pid.to_string());
    let status = fs::read_to_string(process.join("status"))?;
    let field = |name: &str| {
        let line = status.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':'));
        line.map(str::trim).with_context(|| format!("process {pid} has no {name} in its status"))
    };
    // Real, effective, saved, and for files.
    for id in field("Uid")?.split_whitespace().chain(field("Gid")?.split_whitespace()) {
        ensure!(id.parse() == Ok(user), "it runs as user and group {} {}", field("Uid")?, field("Gid")?);
    }
    // Those it has, those it may take, and those that a program it starts could be given.
    for set in ["CapEff", "CapPrm", "CapBnd"] {
        let found = u64::from_str_radix(field(set)?, 16)?;
        ensure!(found == capabilities, "its {set} is {found:#x}, and is to be {capabilities:#x}");
    }
    ensure!(field("NoNewPrivs")? == "1", "a program it starts may be given more");
    ensure!(field("Seccomp")? == "2", "its system calls are not filtered");
    let written = fs::write(process.join("root").join("written"), "");
    ensure!(
        written.as_ref().is_err_and(|error| error.kind() == ErrorKind::ReadOnlyFilesystem),
        "a write to its root: {written:?}"
    );
    Ok(())
}

/// No process of ironlb runs anywhere in the capsule that is not on a node.
fn nothing_outside(on_nodes: &BTreeSet<u32>) -> Result<()> {
    for entry in fs::read_dir("/proc")?.flatten() {
        let Some(pid) = entry.file_name().to_str().and_then(|name| name.parse::<u32>().ok()) else { continue };
        let command = fs::read(entry.path().join("cmdline")).unwrap_or_default();
        let command = String::from_utf8_lossy(&command).replace('\0', " ");
        let program = command.split(' ').next().unwrap_or_default().rsplit('/').next().unwrap_or_default();
        // Probes come and go; what stays was seen on a node.
        if program == "ironlb" && !command.contains(" probe ") {
            ensure!(on_nodes.contains(&pid), "process {pid} runs outside the nodes: {command}");
        }
    }
    Ok(())
}

/// Follows the pod's owners to the object that carries Helm's marks.
async fn made_by_helm(ground: &Ground<'_>, pod: &str) -> Result<()> {
    let client = ground.stage().site.client();
    let pods: Api<Pod> = Api::namespaced(client.clone(), NAMESPACE);
    let owner = pods.get(pod).await?.owner_references().first().cloned().context("it has no owner")?;
    let (labels, annotations) = match owner.kind.as_str() {
        "DaemonSet" => {
            let set = Api::<DaemonSet>::namespaced(client, NAMESPACE).get(&owner.name).await?;
            (set.labels().clone(), set.annotations().clone())
        }
        "ReplicaSet" => {
            let set = Api::<ReplicaSet>::namespaced(client.clone(), NAMESPACE).get(&owner.name).await?;
            let owner = set.owner_references().first().cloned().context("its ReplicaSet has no owner")?;
            let deployment = Api::<Deployment>::namespaced(client, NAMESPACE).get(&owner.name).await?;
            (deployment.labels().clone(), deployment.annotations().clone())
        }
        other => anyhow::bail!("its owner is a {other}"),
    };
    ensure!(labels.get("app.kubernetes.io/managed-by").map(String::as_str) == Some("Helm"), "labels {labels:?}");
    ensure!(
        annotations.get("meta.helm.sh/release-name").map(String::as_str) == Some(RELEASE),
        "annotations {annotations:?}"
    );
    Ok(())
}
