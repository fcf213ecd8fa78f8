//! What helps to understand a failure, printed.

use std::fs;

use ironlb_lab::capsule::SITE_FOLDER;

use crate::release::NAMESPACE;
use crate::stage::Stage;

/// How many lines of a log are told. Chosen: two screens.
const LINES: usize = 80;

/// Prints the state of the site, ironlb's objects and logs, and what is in the scenario's namespace.
pub async fn print(stage: &Stage, namespace: Option<&str>) {
    stage.site.dump_logs().await;
    tell(stage, &["get", "eips,speakers", "-o", "wide"]).await;
    if let Some(namespace) = namespace {
        tell(stage, &["get", "services", "-n", namespace, "-o", "yaml"]).await;
        tell(stage, &["get", "endpointslices", "-n", namespace]).await;
        tell(stage, &["get", "eips", "-l", &format!("{}={namespace}", crate::ground::SCENARIO), "-o", "yaml"]).await;
    }
    tell(stage, &["get", "leases", "-n", NAMESPACE, "-o", "yaml"]).await;
    tell(stage, &["get", "speakers", "-o", "yaml"]).await;
    let pods = ["get", "pods", "-n", NAMESPACE, "-o", "name", "--request-timeout=5s"];
    for pod in stage.site.kubectl(&pods).await.unwrap_or_default().lines() {
        for previous in ["--previous=false", "--previous=true"] {
            let lines = format!("--tail={LINES}");
            let log =
                stage.site.kubectl(&["logs", "-n", NAMESPACE, pod, &lines, previous, "--request-timeout=5s"]).await;
            match log {
                Ok(log) => println!("--- logs of {pod} ({previous})\n{log}"),
                Err(error) if previous.ends_with("false") => println!("--- {error:#}"),
                // Most have no run before.
                Err(_) => {}
            }
        }
    }
    for node in stage.site.nodes() {
        let log = format!("{SITE_FOLDER}/logs/{}/kubelet.log", node.name());
        let text = fs::read(&log).unwrap_or_default();
        let text = String::from_utf8_lossy(&text);
        // klog's lines begin with the level: E for errors.
        let errors: Vec<&str> = text.lines().filter(|line| line.starts_with('E')).collect();
        println!("--- errors of the kubelet of {}, the last\n{}", node.name(), last(&errors, 5));
    }
    println!("--- measurements: {}", stage.records().display());
}

async fn tell(stage: &Stage, question: &[&str]) {
    match stage.site.kubectl(&[question, &["--request-timeout=5s"]].concat()).await {
        Ok(answer) => println!("--- kubectl {}\n{answer}", question.join(" ")),
        Err(error) => println!("--- {error:#}"),
    }
}

fn last(lines: &[&str], count: usize) -> String {
    lines.get(lines.len().saturating_sub(count)..).unwrap_or_default().join("\n")
}
