//! A site's cluster is a real one: pods serve through real kube-proxies, and rights are what they are elsewhere.

use std::collections::BTreeSet;
use std::time::Duration;

use anyhow::{Context, Result, anyhow, ensure};
use ironlb_lab::{Node, Site, wait_for};

const PATIENCE: Duration = Duration::from_secs(60);

/// A Deployment with a dual-stack Service; every node reaches it at both of its addresses.
pub(crate) async fn serves(site: &Site, replicas: usize) -> Result<()> {
    site.apply(&manifests(replicas)).await?;
    site.kubectl(&["rollout", "status", "deployment/web", "--timeout=60s"]).await?;
    let addresses = site.kubectl(&["get", "service", "web", "-o", "jsonpath={.spec.clusterIPs[*]}"]).await?;
    let addresses: Vec<&str> = addresses.split_whitespace().collect();
    let addresses: [&str; 2] = addresses.try_into().map_err(|all| anyhow!("the Service has the addresses {all:?}"))?;
    let hosts =
        addresses.map(|address| if address.contains(':') { format!("[{address}]") } else { address.to_owned() });
    for (node, address) in site.nodes().iter().flat_map(|node| hosts.iter().map(move |host| (node, host))) {
        let what = format!("an answer of {address} at {}", node.name());
        let answer = wait_for(PATIENCE, &what, || async { ask(node, address).await.map(Some) });
        ensure!(answer.await?.contains("web-"), "no pod of the Deployment answered");
    }
    Ok(())
}

/// What is at `host`, an address (with a port, where it is not 80) as a URL has it, asked from the node.
pub(crate) async fn ask(node: &Node, host: &str) -> Result<String> {
    node.netns().exec(&["curl", "-sS", "--fail", "--max-time", "1", &format!("http://{host}/")]).await
}

fn manifests(replicas: usize) -> String {
    format!(
        r#"
apiVersion: apps/v1
kind: Deployment
metadata: {{name: web}}
spec:
  replicas: {replicas}
  selector: {{matchLabels: {{app: web}}}}
  template:
    metadata: {{labels: {{app: web}}}}
    spec:
      containers:
      - name: web
        image: localhost/ironlb/backend:1
        env:
        - {{name: POD_NAME, valueFrom: {{fieldRef: {{fieldPath: metadata.name}}}}}}
        - {{name: NODE_NAME, valueFrom: {{fieldRef: {{fieldPath: spec.nodeName}}}}}}
        readinessProbe: {{httpGet: {{path: /, port: 8080}}, periodSeconds: 1}}
      terminationGracePeriodSeconds: 5
---
apiVersion: v1
kind: Service
metadata: {{name: web}}
spec:
  selector: {{app: web}}
  ipFamilyPolicy: RequireDualStack
  ports: [{{port: 80, targetPort: 8080}}]
"#
    )
}

/// The whole of it, on a site of three nodes.
pub(crate) async fn is_real(site: &Site) -> Result<()> {
    serves(site, 3).await?;
    let pod = site.kubectl(&["get", "pods", "-o", "jsonpath={.items[0].metadata.name}"]).await?;
    let log = site.kubectl(&["logs", &pod]).await?;
    ensure!(log.contains("8080"), "kubectl logs gave {log:?}");
    let shown = site.kubectl(&["exec", &pod, "--", "/usr/local/bin/ironlb-backend"]).await;
    let shown = shown.err().map(|error| format!("{error:#}")).unwrap_or_default();
    ensure!(shown.contains("usage"), "kubectl exec gave {shown:?}");
    processes_are_accounted_for(site).await?;
    rights_are_narrow(site).await?;
    // The nodes' own requirement: a person's machine is left alone.
    let settings = site.node(1).exec(&["cat", "/proc/sys/vm/overcommit_memory"]).await?;
    ensure!(settings.trim() == "1", "the kubelet is not shown the kernel setting it wants: {settings:?}");
    let ready = site.timings().last().context("no step was timed")?.1;
    // The project's bar for three nodes on two cores.
    ensure!(ready < Duration::from_secs(15), "three nodes were Ready after {ready:?} only");
    Ok(())
}

/// Each process of a node is the node's first one, one of the lab's three programs, the runtime's keeper of a container,
/// or one that the runtime says is a container's.
///
/// Looked at until it holds: between two looks the runtime starts and ends a container's program through short-lived
/// processes of its own (`runc`), of which none may stay.
async fn processes_are_accounted_for(site: &Site) -> Result<()> {
    for node in site.nodes() {
        let what = format!("an owner for each process of {}", node.name());
        wait_for(Duration::from_secs(10), &what, || async { accounted_for(node).await.map(Some) }).await?;
    }
    Ok(())
}

async fn accounted_for(node: &Node) -> Result<()> {
    let containers = node.containers().await?;
    let names: BTreeSet<_> = containers.iter().filter_map(|container| container.name.as_deref()).collect();
    ensure!(names == BTreeSet::from(["web"]), "{} runs containers {names:?}", node.name());
    let of_containers: BTreeSet<u32> = containers.iter().map(|container| container.lab_pid).collect();
    let programs: BTreeSet<u32> = node.components().iter().filter_map(|daemon| daemon.pid()).collect();
    for process in node.processes()? {
        let known = process.pid == 1
            || programs.contains(&process.lab_pid)
            || of_containers.contains(&process.lab_pid)
            || process.command.contains("containerd-shim-runc-v2");
        ensure!(known, "nobody knows {process:?} on {}", node.name());
    }
    Ok(())
}

/// Nobody but the lab's own kubectl may do everything.
async fn rights_are_narrow(site: &Site) -> Result<()> {
    let may = async |user: &str, action: &[&str]| -> Result<bool> {
        let config = format!("--kubeconfig=/run/lab/pki/{user}.conf");
        let asked = site.kubectl(&[&["auth", "can-i"], action, &[&config]].concat()).await;
        // It says "no" with exit code 1.
        Ok(asked.is_ok_and(|answer| answer.trim() == "yes"))
    };
    ensure!(may("admin", &["delete", "nodes"]).await?, "the lab's own kubectl may not delete nodes");
    ensure!(may("proxy", &["watch", "endpointslices.discovery.k8s.io"]).await?, "kube-proxy may not watch endpoints");
    for user in ["proxy", "scheduler", "n1"] {
        ensure!(!may(user, &["list", "secrets"]).await?, "{user} may read all secrets");
        ensure!(!may(user, &["delete", "nodes"]).await?, "{user} may delete nodes");
    }
    // The Node authorizer and NodeRestriction: a kubelet's rights end at its own node.
    let label =
        |node: &'static str| ["label", "node", node, "example.org/tried=yes", "--kubeconfig=/run/lab/pki/n1.conf"];
    site.kubectl(&label("n1")).await.context("n1's kubelet may label its own node")?;
    ensure!(site.kubectl(&label("n2")).await.is_err(), "n1's kubelet may label n2");
    let anonymous = ["curl", "-sk", "-o", "/dev/null", "-w", "%{http_code}", "https://192.168.0.1:10250/pods"];
    let answer = site.netns("c1").exec(&anonymous).await?;
    ensure!(answer == "401", "the kubelet answered an unknown client with {answer}");
    Ok(())
}
