//! The controller as it is shipped, as a process, looked at from outside.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use ironlb_apiserver::free_port;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

/// Processor time in `/proc` is counted in hundredths of a second (proc_pid_stat(5)).
const TICK: Duration = Duration::from_millis(10);

/// A controller that runs. It is killed when this is dropped.
#[derive(Debug)]
pub struct Controller {
    process: Child,
    metrics_port: u16,
    log: PathBuf,
}

impl Drop for Controller {
    fn drop(&mut self) {
        // It may have ended already.
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

impl Controller {
    /// Starts `ironlb controller`; its socket and its log go to `folder`.
    ///
    /// # Errors
    /// It cannot be started.
    pub fn start(binary: &Path, kubeconfig: &Path, folder: &Path, name: &str) -> Result<Self> {
        let metrics_port = free_port()?;
        let log = folder.join(format!("{name}.log"));
        let process = Command::new(binary)
            .args(["controller", "--pod-name", name, "--kubeconfig"])
            .arg(kubeconfig)
            .arg("--admin-socket")
            .arg(folder.join(format!("{name}.sock")))
            .arg(format!("--metrics-address=127.0.0.1:{metrics_port}"))
            .stdin(Stdio::null())
            .stdout(fs::File::create(&log)?)
            .stderr(Stdio::from(fs::File::options().append(true).open(&log)?))
            .spawn()
            .with_context(|| binary.display().to_string())?;
        Ok(Self { process, metrics_port, log })
    }

    /// What it serves as metrics now; an error until it serves any.
    ///
    /// # Errors
    /// It does not answer.
    pub async fn metrics(&self) -> Result<Metrics> {
        let mut stream = TcpStream::connect(("127.0.0.1", self.metrics_port)).await?;
        stream.write_all(b"GET /metrics HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n").await?;
        let mut page = String::new();
        stream.read_to_string(&mut page).await?;
        ensure!(page.starts_with("HTTP/1.1 200"), "{page}");
        Ok(Metrics(page))
    }

    /// The processor time it has used.
    ///
    /// # Errors
    /// It has ended.
    pub fn processor_time(&self) -> Result<Duration> {
        let text = fs::read_to_string(format!("/proc/{}/stat", self.process.id()))?;
        // The name in parentheses may hold anything; user and system time are the 12th and 13th field behind it.
        let (_, fields) = text.rsplit_once(')').context("a name in parentheses")?;
        let ticks: u32 = fields.split_whitespace().skip(11).take(2).map(str::parse::<u32>).sum::<Result<_, _>>()?;
        Ok(TICK * ticks)
    }

    /// Its resident memory in MiB: now, and at most so far.
    ///
    /// # Errors
    /// It has ended.
    pub fn memory(&self) -> Result<(f64, f64)> {
        let text = fs::read_to_string(format!("/proc/{}/status", self.process.id()))?;
        let mib = |key: &str| -> Result<f64> {
            let line = text.lines().find_map(|line| line.strip_prefix(key)).with_context(|| key.to_owned())?;
            Ok(line.trim().trim_end_matches(" kB").parse::<f64>()? / 1024.0)
        };
        Ok((mib("VmRSS:")?, mib("VmHWM:")?))
    }

    /// Asks it to leave in order and waits until it has.
    ///
    /// # Errors
    /// It ends with an error; the end of its log is told.
    pub fn stop(mut self) -> Result<()> {
        Command::new("kill").arg(self.process.id().to_string()).status()?;
        let status = self.process.wait()?;
        ensure!(status.success(), "the controller ended with {status}: {}", self.log_end());
        Ok(())
    }

    /// The last lines of its log.
    #[must_use]
    pub fn log_end(&self) -> String {
        let log = fs::read_to_string(&self.log).unwrap_or_default();
        let lines: Vec<&str> = log.lines().collect();
        lines[lines.len().saturating_sub(20)..].join("\n")
    }
}

/// A page of metrics.
#[derive(Debug, Clone)]
pub struct Metrics(String);

impl Metrics {
    /// The sum of a metric over those of its label sets that hold every text of `labels`.
    #[must_use]
    pub fn sum(&self, metric: &str, labels: &[&str]) -> u64 {
        let values = self.0.lines().filter_map(|line| {
            let (series, value) = line.rsplit_once(' ')?;
            let (name, set) = series.split_once('{').unwrap_or((series, ""));
            let is_meant = name == metric && labels.iter().all(|label| set.contains(label));
            is_meant.then(|| value.parse::<u64>().ok())?
        });
        values.sum()
    }
}
