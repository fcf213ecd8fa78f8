//! Faults are what they say they are, and end when they are undone.

use std::collections::{BTreeMap, BTreeSet};
use std::future::Future;
use std::time::{Duration, Instant, SystemTime};

use anyhow::{Context, Result, ensure};
use ironlb_lab::capture::Capture;
use ironlb_lab::netns::SWITCH;
use ironlb_lab::{Component, Site, wait_for};
use ironlb_model::MacAddr;

use crate::cluster;

const PATIENCE: Duration = Duration::from_secs(60);

/// All of them, on a site of three nodes and two clients.
pub(crate) async fn are_what_they_say(site: &Site) -> Result<()> {
    cluster::serves(site, 3).await?;
    timed("partition", partition(site)).await?;
    timed("cable", cable(site)).await?;
    timed("frozen process", frozen_process(site)).await?;
    timed("frozen node", frozen_node(site)).await?;
    timed("API server", api_server(site)).await?;
    timed("restarts", restarts(site)).await?;
    timed("drain", drain(site)).await?;
    timed("power cut", power_cut(site)).await?;
    timed("power cut of a frozen node", power_cut_while_frozen(site)).await
}

async fn timed(what: &'static str, step: impl Future<Output = Result<()>>) -> Result<()> {
    let begin = Instant::now();
    step.await.context(what)?;
    println!("{what}: {:.1} s", begin.elapsed().as_secs_f32());
    Ok(())
}

async fn reaches(site: &Site, from: &str, to: &str) -> bool {
    site.netns(from).exec(&["ping", "-q", "-n", "-c", "1", "-W", "1", to]).await.is_ok()
}

/// A question may be lost on a busy machine, or be answered late.
async fn comes_to(site: &Site, from: &str, to: &str) -> Result<()> {
    wait_for(PATIENCE, &format!("{from} to reach {to}"), || async { Ok(reaches(site, from, to).await.then_some(())) })
        .await
}

async fn partition(site: &Site) -> Result<()> {
    site.partition(&["n1", "c1"], &["n2", "c2"])?;
    for (from, to) in [("c1", "192.168.0.2"), ("c1", "fd00::2"), ("n1", "192.168.0.2"), ("c2", "192.168.0.1")] {
        ensure!(!reaches(site, from, to).await, "{from} reaches {to} across the partition");
    }
    for (from, to) in [("c1", "192.168.0.1"), ("c1", "fd00::3"), ("c2", "192.168.0.2"), ("n3", "192.168.0.2")] {
        comes_to(site, from, to).await?;
    }
    let carrier = site.node(1).netns().exec(&["cat", "/sys/class/net/eth0/carrier"]).await;
    ensure!(carrier.is_err() || carrier.is_ok_and(|text| text.trim() == "1"), "a partition is not a pulled cable");
    site.heal()?;
    comes_to(site, "c1", "192.168.0.2").await?;
    site.heal().context("healing what is whole")
}

async fn cable(site: &Site) -> Result<()> {
    let node = site.node(1);
    let carrier = async || node.exec(&["cat", "/sys/class/net/eth0/carrier"]).await;
    node.cable(false)?;
    ensure!(carrier().await?.trim() == "0", "the node does not see that its cable is pulled");
    ensure!(!reaches(site, "c1", "192.168.0.1").await, "a node without a cable answers");
    node.cable(true)?;
    ensure!(carrier().await?.trim() == "1", "the node does not see its cable");
    comes_to(site, "c1", "192.168.0.1").await
}

async fn frozen_process(site: &Site) -> Result<()> {
    let node = site.node(2);
    let web = node.containers().await?.into_iter().find(|container| container.name.as_deref() == Some("web"));
    let web = web.context("no web container on n2")?;
    let address = site.kubectl(&["get", "pod", &web.pod, "-o", "jsonpath={.status.podIP}:8080"]).await?;
    let answers = || async { cluster::ask(node, &address).await.map(Some) };
    wait_for(PATIENCE, "the pod to answer", answers).await?;
    node.freeze(web.lab_pid)?;
    ensure!(cluster::ask(node, &address).await.is_err(), "a frozen process answers");
    node.thaw(web.lab_pid)?;
    wait_for(PATIENCE, "a thawed process to answer", answers).await.map(drop)
}

/// None of its processes does anything, and none of them is another one afterwards.
async fn frozen_node(site: &Site) -> Result<()> {
    let node = site.node(2);
    let web = node.containers().await?.into_iter().find(|container| container.name.as_deref() == Some("web"));
    let web = web.context("no web container on n2")?;
    let address = site.kubectl(&["get", "pod", &web.pod, "-o", "jsonpath={.status.podIP}:8080"]).await?;

    node.freeze_all()?;
    ensure!(node.is_frozen(), "the node does not say that it is frozen");
    let before: BTreeSet<u32> = node.processes()?.iter().map(|process| process.lab_pid).collect();
    let used = cpu_time(&before)?;
    ensure!(cluster::ask(node, &address).await.is_err(), "a pod of a frozen node answers");
    ensure!(node.exec(&["true"]).await.is_err(), "a frozen node runs a command");
    // While the question above had no answer for a second, the kubelet alone would have worked.
    ensure!(cpu_time(&before)? == used, "a process of the frozen node was at work");
    comes_to(site, "c1", "192.168.0.2").await.context("the kernel of a frozen node")?;
    node.thaw_all()?;

    ensure!(!node.is_frozen(), "the node says that it is frozen still");
    wait_for(PATIENCE, "a pod of the node to answer again", || async { cluster::ask(node, &address).await.map(Some) })
        .await?;
    let after: BTreeSet<u32> = node.processes()?.iter().map(|process| process.lab_pid).collect();
    ensure!(before.contains(&web.lab_pid) && after.contains(&web.lab_pid), "the pod's process is another one");
    let programs = node.components().map(|daemon| daemon.pid());
    ensure!(programs.iter().all(|pid| pid.is_some_and(|pid| before.contains(&pid))), "a program is another one");
    Ok(())
}

/// The time that processes have used, in ticks of the kernel's clock, by process.
fn cpu_time(of: &BTreeSet<u32>) -> Result<BTreeMap<u32, String>> {
    let used = |pid: &u32| {
        let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).with_context(|| format!("process {pid}"))?;
        // Fields 14 and 15 of the line, counted from the end of the name, which may hold anything (proc_pid_stat(5)).
        let fields: Vec<&str> = stat.rsplit(')').next().unwrap_or_default().split_whitespace().collect();
        Ok((*pid, fields.get(11..13).context("a short line")?.join(" ")))
    };
    of.iter().map(used).collect()
}

/// Dead at once, although what is frozen hears no signal.
async fn power_cut_while_frozen(site: &Site) -> Result<()> {
    let node = site.node(2);
    node.freeze_all()?;
    node.cut_power().await?;
    ensure!(!node.has_power() && node.processes()?.is_empty(), "processes outlived the power cut");
    ensure!(node.freeze_all().is_err(), "a node without power was frozen");
    Ok(())
}

async fn api_server(site: &Site) -> Result<()> {
    site.api_server().stop().await?;
    ensure!(site.api_server().pid().is_none(), "the API server still runs");
    ensure!(site.kubectl(&["get", "nodes", "--request-timeout=2s"]).await.is_err(), "a stopped API server answers");
    site.api_server().start()?;
    site.api_ready(PATIENCE).await?;
    site.kubectl(&["get", "nodes"]).await.map(drop)
}

async fn restarts(site: &Site) -> Result<()> {
    let node = site.node(1);
    let pods = async || {
        site.kubectl(&["get", "pods", "-o", "jsonpath={.items[*].status.containerStatuses[0].restartCount}"]).await
    };
    for component in [Component::Kubelet, Component::Containerd, Component::KubeProxy] {
        let daemon = node.component(component)?;
        let before = daemon.pid();
        node.restart(component).await?;
        ensure!(daemon.pid().is_some() && daemon.pid() != before, "{} was not restarted", daemon.name());
    }
    for component in [Component::Etcd, Component::ControllerManager, Component::Scheduler] {
        site.restart(component).await?;
    }
    site.api_ready(PATIENCE).await?;
    site.nodes_ready(PATIENCE).await?;
    cluster::serves(site, 3).await?;
    ensure!(pods().await? == "0 0 0", "a restart of the node's programs restarted a pod");
    Ok(())
}

async fn drain(site: &Site) -> Result<()> {
    site.drain("n2", PATIENCE).await?;
    let on_n2 = site.kubectl(&["get", "pods", "--field-selector=spec.nodeName=n2", "-o", "name"]).await?;
    ensure!(on_n2.is_empty(), "pods on the drained node: {on_n2}");
    site.uncordon("n2").await
}

async fn power_cut(site: &Site) -> Result<()> {
    let node = site.node(3);
    let mac = MacAddr([2, 0, 0, 0, 0, 3]);
    ensure!(mac.to_string() == node.mac(), "the MAC address is {}", node.mac());
    let record = std::env::temp_dir().join("power-cut.pcap");
    let mut capture = Capture::start(&site.netns(SWITCH), "br0", &record)?;
    // Something to be heard from it until the very end.
    comes_to(site, "n3", "192.168.0.1").await?;
    let begin = Instant::now();
    node.cut_power().await?;
    let (took, dark) = (begin.elapsed(), SystemTime::now());
    ensure!(!node.has_power() && node.processes()?.is_empty(), "processes outlived the power cut");
    ensure!(!reaches(site, "c1", "192.168.0.3").await, "a node without power answers");
    ensure!(node.exec(&["true"]).await.is_err(), "a node without power runs a command");
    // While it had power, its kubelet and kube-proxy were never silent for as long as the ping above took to fail.
    let heard = capture.look(|recording| recording.frames_from(mac, dark).len())?;
    ensure!(heard == 0, "{heard} frames from n3 after its power was cut");
    let before = capture.stop()?.frames_from(mac, SystemTime::UNIX_EPOCH).len();
    ensure!(before > 0, "the capture would not have heard n3 at all");
    node.power_on().await?;
    site.nodes_ready(PATIENCE).await?;
    cluster::serves(site, 3).await?;
    println!("the node was dead after {took:?}, and Ready and serving again after {:?}", begin.elapsed());
    Ok(())
}
