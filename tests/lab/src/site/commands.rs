//! What a person would type: kubectl and helm against the site; and the logs that matter when something failed.

use std::fs;
use std::io::Write;
use std::path::Path;
use std::process::{Command, Output, Stdio};

use anyhow::{Context, Result, bail};

use super::Site;
use crate::binaries::Binaries;
use crate::control_plane::{ADMIN, log_folder, pki_folder};
use crate::netns::off_runtime;

/// How many lines of a log are told. Chosen: a screen.
const TOLD: usize = 40;

impl Site {
    /// Runs kubectl with all rights and gives its standard output.
    ///
    /// # Errors
    /// kubectl fails; its standard error is in the message.
    pub async fn kubectl(&self, arguments: &[&str]) -> Result<String> {
        self.kubectl_with(arguments, "").await
    }

    /// [`Site::kubectl`] with a standard input.
    ///
    /// # Errors
    /// As there.
    pub async fn kubectl_with(&self, arguments: &[&str], input: &str) -> Result<String> {
        let mut argv = vec![self.binaries.path("controlplane"), "kubectl".to_owned()];
        argv.extend(arguments.iter().map(|argument| (*argument).to_owned()));
        self.run(argv, input.to_owned()).await
    }

    /// [`Site::kubectl`] with a folder of plugins in PATH.
    ///
    /// # Errors
    /// As there.
    pub async fn kubectl_with_plugins(&self, folder: &Path, arguments: &[&str]) -> Result<String> {
        let path = format!("PATH={}:{}", folder.display(), self.binaries.search_path());
        let mut argv = vec!["/usr/bin/env".to_owned(), path, self.binaries.path("controlplane"), "kubectl".to_owned()];
        argv.extend(arguments.iter().map(|argument| (*argument).to_owned()));
        self.run(argv, String::new()).await
    }

    /// Runs Helm with all rights and gives its standard output.
    ///
    /// # Errors
    /// Helm fails; its standard error is in the message.
    pub async fn helm(&self, arguments: &[&str]) -> Result<String> {
        let mut argv = vec![self.binaries.path("helm")];
        argv.extend(arguments.iter().map(|argument| (*argument).to_owned()));
        self.run(argv, String::new()).await
    }

    /// Runs a piece of shell in a folder, in which `kubectl` and `helm` are the site's, and gives its standard output. It ends with the
    /// first command that fails.
    ///
    /// # Errors
    /// A command fails; its standard error is in the message.
    pub async fn shell(&self, folder: &Path, script: &str) -> Result<String> {
        let (kubectl, helm) = (self.binaries.path("controlplane"), self.binaries.path("helm"));
        let programs = format!("kubectl() {{ '{kubectl}' kubectl \"$@\"; }}\nhelm() {{ '{helm}' \"$@\"; }}\n");
        let script = format!("{programs}cd '{}'\n{script}", folder.display());
        self.run(vec!["/bin/bash".to_owned(), "-euc".to_owned(), script], String::new()).await
    }

    /// Applies manifests, as text.
    ///
    /// # Errors
    /// The API server refuses one of them.
    pub async fn apply(&self, manifests: &str) -> Result<String> {
        self.kubectl_with(&["apply", "-f", "-"], manifests).await
    }

    /// Applies a file or a folder of manifests.
    ///
    /// # Errors
    /// The API server refuses one of them.
    pub async fn apply_file(&self, path: &Path) -> Result<String> {
        self.kubectl(&["apply", "-f", path.to_str().context("a path that is not text")?]).await
    }

    async fn run(&self, argv: Vec<String>, input: String) -> Result<String> {
        let mut command = with_kubeconfig(&argv, &self.binaries)?;
        let output = off_runtime(move || feed(&mut command, &input)).await??;
        let shown = argv.iter().skip_while(|word| word.starts_with('/')).cloned().collect::<Vec<_>>().join(" ");
        if !output.status.success() {
            bail!("{shown}: {}: {}", output.status, String::from_utf8_lossy(&output.stderr).trim());
        }
        Ok(String::from_utf8_lossy(&output.stdout).into_owned())
    }

    /// Prints what helps to understand a failure to standard error: programs that ended, the cluster's pods and Events, the
    /// ends of the logs of pods that are not well. All logs are copied to the folder `IRONLB_LAB_LOGS` where that is set.
    pub async fn dump_logs(&self) {
        // What a power cut killed has nothing to tell.
        let dark = |name: &str| {
            self.nodes().iter().any(|node| !node.has_power() && name.starts_with(&format!("{}/", node.name())))
        };
        for daemon in self.daemons().filter(|daemon| !dark(daemon.name())) {
            if let Some(status) = daemon.ended() {
                eprintln!("--- {} ended ({status}); its last lines:\n{}", daemon.name(), tail(daemon.log()));
            }
        }
        for told in self.routers().iter().flat_map(crate::Router::ends) {
            eprintln!("--- {told}");
        }
        for question in [
            ["get", "nodes", "-o", "wide"].as_slice(),
            &["get", "pods", "-A", "-o", "wide"],
            &["get", "services", "-A", "-o", "wide"],
            &["get", "events", "-A", "--sort-by=.lastTimestamp"],
        ] {
            let short = ["--request-timeout=5s"];
            match self.kubectl(&[question, &short].concat()).await {
                Ok(answer) => eprintln!("--- kubectl {}\n{}", question.join(" "), last_lines(&answer)),
                Err(error) => eprintln!("--- {error:#}"),
            }
        }
        let pods = ["get", "pods", "-A", "--no-headers", "--request-timeout=5s"];
        for line in self.kubectl(&pods).await.unwrap_or_default().lines() {
            let words: Vec<&str> = line.split_whitespace().collect();
            let &[namespace, pod, ready, phase, ..] = words.as_slice() else { continue };
            let well = phase == "Completed" || phase == "Running" && ready.split_once('/').is_some_and(|(a, b)| a == b);
            if !well {
                self.dump_pod(namespace, pod).await;
            }
        }
        if let Some(folder) = std::env::var_os("IRONLB_LAB_LOGS") {
            match copy_tree(&log_folder(), Path::new(&folder)) {
                Ok(()) => eprintln!("--- all logs of the site: {}", Path::new(&folder).display()),
                Err(error) => eprintln!("--- the logs could not be copied: {error:#}"),
            }
        }
    }

    /// Prints the end of a pod's logs, of the run before too.
    pub async fn dump_pod(&self, namespace: &str, pod: &str) {
        for previous in [false, true] {
            let flag = format!("--previous={previous}");
            let arguments = ["logs", "-n", namespace, pod, "--all-containers", "--prefix", "--tail=40", &flag];
            match self.kubectl(&arguments).await {
                Ok(log) => eprintln!("--- logs of {namespace}/{pod} ({flag})\n{log}"),
                Err(error) if !previous => eprintln!("--- {error:#}"),
                // Most have no run before.
                Err(_) => {}
            }
        }
    }
}

/// A command that has the administrator's kubeconfig and nothing of the user's own Kubernetes or Helm settings.
pub(crate) fn with_kubeconfig(argv: &[String], binaries: &Binaries) -> Result<Command> {
    let (program, arguments) = argv.split_first().context("an empty command")?;
    let mut command = Command::new(program);
    command.args(arguments).env("PATH", binaries.search_path());
    command.env("KUBECONFIG", pki_folder().join(format!("{ADMIN}.conf")));
    for name in ["HELM_CACHE_HOME", "HELM_CONFIG_HOME", "HELM_DATA_HOME", "KUBECACHEDIR"] {
        command.env(name, Path::new(crate::capsule::SITE_FOLDER).join("home"));
    }
    Ok(command)
}

fn feed(command: &mut Command, input: &str) -> Result<Output> {
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn()?;
    if let Some(mut to) = child.stdin.take() {
        // A program that does not read its input may be gone already.
        let _ = to.write_all(input.as_bytes());
    }
    Ok(child.wait_with_output()?)
}

/// The last lines of a log.
pub(crate) fn tail(log: &Path) -> String {
    last_lines(&String::from_utf8_lossy(&fs::read(log).unwrap_or_default()))
}

fn last_lines(text: &str) -> String {
    let lines: Vec<&str> = text.lines().collect();
    lines[lines.len().saturating_sub(TOLD)..].join("\n")
}

fn copy_tree(from: &Path, to: &Path) -> Result<()> {
    fs::create_dir_all(to)?;
    for entry in fs::read_dir(from)? {
        let entry = entry?;
        let target = to.join(entry.file_name());
        if entry.file_type()?.is_dir() {
            copy_tree(&entry.path(), &target)?
        } else {
            fs::copy(entry.path(), target).map(drop)?
        }
    }
    Ok(())
}
