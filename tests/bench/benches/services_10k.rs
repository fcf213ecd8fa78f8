//! 10,000 Services against a real etcd and API server on this machine: how long until each has its address, beside a bare loop that
//! writes as many statuses in the same run; what the controller costs at rest; that coming and going moves no other.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use futures::StreamExt;
use ironlb_api::Eip;
use ironlb_apiserver::ApiServer;
use ironlb_bench::{Controller, Herd, Metrics, row};
use k8s_openapi::api::core::v1::Namespace;
use kube::api::{PostParams, WatchEvent, WatchParams};
use kube::{Api, Client};
use serde_json::json;

/// As many as the design promises for.
const SERVICES: usize = 10_000;
/// So many of them go and come again.
const CHURN: usize = 1_000;
/// The bare loop writes to so many, several times.
const REFERENCE: usize = 2_000;
/// The concurrencies among which it takes the best.
const TRIED: [usize; 4] = [8, 16, 32, 64];

/// The bars of the design: times the bare loop; MiB; share of one processor.
const RATIO_BAR: f64 = 1.5;
const MEMORY_BAR: f64 = 60.0;
/// "Near nothing". Chosen: a hundredth of a processor is what the watches' and the Lease's renewals may cost.
const REST_BAR: f64 = 1.0;

/// The size rule of `status.used`.
const USED_ENTRIES: usize = 20_000;
const USED_BYTES: usize = 768 * 1024;
/// At most one write a second for each so many bytes.
const EIP_BYTES_PER_SECOND: usize = 64 * 1024;

/// Longer than any of it takes, on a machine that does something else as well.
const PATIENCE: Duration = Duration::from_mins(5);

const EIP: &str = "pool";

#[tokio::main]
async fn main() -> ExitCode {
    match run().await {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("{error:?}");
            ExitCode::FAILURE
        }
    }
}

async fn run() -> Result<bool> {
    let binary =
        PathBuf::from(std::env::var_os("IRONLB_BINARY").context("IRONLB_BINARY, the program that is measured")?);
    println!("{SERVICES} Services, names of 63 characters, one Eip, a real API server on this machine");
    let server = ApiServer::start(&[]).await?;
    let client = server.client().await?;
    let applied = Command::new(&binary).args(["crds", "apply", "--kubeconfig"]).arg(server.admin()).output()?;
    ensure!(applied.status.success(), "crds apply: {}", String::from_utf8_lossy(&applied.stderr));
    let namespaces: Api<Namespace> = Api::all(client.clone());
    let namespace = serde_json::from_value(json!({"metadata": {"name": "ironlb-system"}}))?;
    namespaces.create(&PostParams::default(), &namespace).await?;

    let reference = reference(&client).await?;

    let eips: Api<Eip> = Api::all(client.clone());
    let eip = json!({"apiVersion": "network.kubesphere.io/v1alpha2", "kind": "Eip", "metadata": {"name": EIP},
                     "spec": {"address": "10.0.0.0/16", "protocol": "layer2", "interface": "eth0"}});
    eips.create(&PostParams::default(), &serde_json::from_value(eip)?).await?;
    let herd = Herd::settle(client.clone(), "team", EIP).await?;
    herd.create(0..SERVICES).await?;
    let eip_writes = EipWrites::follow(eips.clone()).await?;

    let mut kept = true;
    let controller = start(&binary, &server, "first")?;
    kept &= fill(&controller, &herd, reference).await?;
    kept &= used(&eips, &eip_writes).await?;
    kept &= rest(&controller, "with 10,000 Services").await?;
    kept &= churn(&controller, &herd).await?;
    // What the Eip shows must have caught up, or the next one would do it.
    kept &= rest(&controller, "after that").await?;
    controller.stop()?;
    kept &= eip_writes.row();
    kept &= start_again(&binary, &server).await?;
    Ok(kept)
}

fn start(binary: &Path, server: &ApiServer, name: &str) -> Result<Controller> {
    Controller::start(binary, &server.admin(), server.folder(), name)
}

/// How long a bare loop needs for as many status writes, at its best concurrency: rounds over fewer Services, because making one takes
/// the API server seven times as long as writing its status.
async fn reference(client: &Client) -> Result<Duration> {
    let herd = Herd::settle(client.clone(), "reference", EIP).await?;
    let mut services = herd.create(0..REFERENCE).await?;
    let mut best = (Duration::MAX, 0);
    for (trial, at_once) in services.chunks_mut(REFERENCE / TRIED.len()).zip(TRIED) {
        let took = herd.write_statuses(trial, at_once, 0).await?;
        println!("  the bare loop, {at_once:>2} at once: {:>6.0} writes a second", rate(trial.len(), took));
        best = best.min((took, at_once));
    }
    let mut all = Duration::ZERO;
    for round in 1..=SERVICES / REFERENCE {
        all += herd.write_statuses(&mut services, best.1, round).await?;
    }
    println!(
        "  the bare loop, {} at once: {:>6.0} writes a second, {all:.1?} for {SERVICES}",
        best.1,
        rate(SERVICES, all)
    );
    println!("  one of its Services has {} bytes now", herd.size_of(0).await?);
    herd.delete(0..REFERENCE).await?;
    Ok(all)
}

/// From nothing given to the last status written.
async fn fill(controller: &Controller, herd: &Herd, reference: Duration) -> Result<bool> {
    let started = Instant::now();
    let leading = until(controller, |m| m.sum("ironlb_controller_leading", &[]) == 1).await?;
    let written = until(controller, |m| services_written(m) >= SERVICES as u64).await?;
    let shown = herd.shown().await?;
    let addresses: BTreeSet<&String> = shown.values().flat_map(|shown| &shown.addresses).collect();
    ensure!(
        shown.len() == SERVICES && addresses.len() == SERVICES,
        "{} addresses for {}",
        addresses.len(),
        shown.len()
    );
    println!(
        "  controller: leads after {:.1?}, last status after {:.1?}, {:.1?} of processor time; one of its Services has {} bytes now",
        leading - started,
        written - started,
        controller.processor_time()?,
        herd.size_of(0).await?
    );
    let took = written - leading;
    let times = took.as_secs_f64() / reference.as_secs_f64();
    let measured = format!("{times:.2} x ({took:.1?})");
    Ok(row("10,000 Services, leadership to last status, against a bare loop", &measured, "1.5 x", times <= RATIO_BAR))
}

/// What the Eip shows, once it shows all.
async fn used(eips: &Api<Eip>, writes: &EipWrites) -> Result<bool> {
    let begun = Instant::now();
    let full = i64::try_from(SERVICES)?;
    let status = loop {
        let status = eips.get(EIP).await?.status.unwrap_or_default();
        if status.usage == Some(full) {
            break status;
        }
        ensure!(begun.elapsed() < PATIENCE, "the Eip shows {:?} of {SERVICES}", status.usage);
        tokio::time::sleep(Duration::from_millis(200)).await;
    };
    let used = status.used.unwrap_or_default();
    let bytes = used_bytes(&used);
    println!("  the Eip shows all after {:.1?}, in {} writes", begun.elapsed(), writes.count());
    let kept = used.len() <= USED_ENTRIES && bytes <= USED_BYTES;
    Ok(row("Eip status.used", &format!("{} entries, {} KiB", used.len(), bytes / 1024), "20,000, 768 KiB", kept))
}

/// What it costs while nothing happens.
async fn rest(controller: &Controller, when: &str) -> Result<bool> {
    // Events are still being told, and the Eip's last status may wait for its pace: 12 s for the largest.
    let mut before = writes(&controller.metrics().await?);
    loop {
        let cost = controller.processor_time()?;
        tokio::time::sleep(Duration::from_secs(13)).await;
        let now = writes(&controller.metrics().await?);
        if now == before && controller.processor_time()? - cost < Duration::from_millis(300) {
            break;
        }
        before = now;
    }
    let (window, cost) = (Duration::from_secs(10), controller.processor_time()?);
    tokio::time::sleep(window).await;
    let share = (controller.processor_time()? - cost).as_secs_f64() / window.as_secs_f64() * 100.0;
    let (now, most) = controller.memory()?;
    let cpu = row(&format!("processor at rest {when}"), &format!("{share:.1} %"), "1 % of one", share <= REST_BAR);
    let memory = format!("{now:.0} MiB, at most {most:.0}");
    Ok(row(&format!("memory {when}"), &memory, "60 MiB", now <= MEMORY_BAR) && cpu)
}

/// A tenth of the Services go and come again under their names.
async fn churn(controller: &Controller, herd: &Herd) -> Result<bool> {
    let numbers = || (0..SERVICES).step_by(SERVICES / CHURN);
    let mut before = herd.shown().await?;
    let written = services_written(&controller.metrics().await?);
    let begun = Instant::now();
    herd.delete(numbers()).await?;
    herd.create(numbers()).await?;
    let made = begun.elapsed();
    until(controller, |m| services_written(m) >= written + CHURN as u64).await?;
    let took = begun.elapsed();
    let mut after = herd.shown().await?;
    for number in numbers() {
        before.remove(&Herd::name(number));
        let shown = after.remove(&Herd::name(number)).context("one that was made again")?;
        ensure!(shown.addresses.len() == 1, "{} has {:?}", Herd::name(number), shown.addresses);
    }
    let touched = before.iter().filter(|(name, shown)| after.get(*name) != Some(shown)).count();
    let measured = format!("{touched} ({took:.1?}, {made:.1?} to make)");
    Ok(row("1,000 of them deleted and made again: others touched", &measured, "0", touched == 0))
}

/// A controller that finds everything done writes nothing.
async fn start_again(binary: &Path, server: &ApiServer) -> Result<bool> {
    let controller = start(binary, server, "second")?;
    let begun = Instant::now();
    let decided = until(&controller, |m| m.sum("ironlb_controller_decision_seconds_count", &[]) > 0).await?;
    let quiet = rest(&controller, "after a restart").await?;
    let written = writes(&controller.metrics().await?);
    controller.stop()?;
    let measured = format!("{written} (decides after {:.1?})", decided - begun);
    Ok(row("restart beside 10,000 Services: writes", &measured, "0", written == 0) && quiet)
}

fn services_written(metrics: &Metrics) -> u64 {
    metrics.sum("ironlb_controller_writes_total", &["action=\"PatchService\"", "outcome=\"Written\""])
}

fn writes(metrics: &Metrics) -> u64 {
    metrics.sum("ironlb_controller_writes_total", &[])
}

/// Waits until the controller's metrics show it, and tells when they did.
async fn until(controller: &Controller, check: impl Fn(&Metrics) -> bool) -> Result<Instant> {
    let begun = Instant::now();
    loop {
        if controller.metrics().await.is_ok_and(|metrics| check(&metrics)) {
            return Ok(Instant::now());
        }
        ensure!(begun.elapsed() < PATIENCE, "not within {PATIENCE:?}; the controller says: {}", controller.log_end());
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

fn used_bytes(used: &std::collections::BTreeMap<String, String>) -> usize {
    // Quotes, colon and comma.
    used.iter().map(|(address, holders)| address.len() + holders.len() + 6).sum()
}

#[expect(clippy::cast_precision_loss, reason = "some thousands")]
fn rate(count: usize, took: Duration) -> f64 {
    count as f64 / took.as_secs_f64()
}

/// The writes of the Eip's status, as a watch shows them: when, and how large `used` was.
#[derive(Debug, Clone, Default)]
struct EipWrites(Arc<Mutex<Vec<(Instant, usize)>>>);

impl EipWrites {
    async fn follow(eips: Api<Eip>) -> Result<Self> {
        let writes = Self::default();
        let seen = writes.clone();
        let mut version = eips.get(EIP).await?.metadata.resource_version.unwrap_or_default();
        tokio::spawn(async move {
            loop {
                let Ok(stream) = eips.watch(&WatchParams::default(), &version).await else { continue };
                let mut stream = std::pin::pin!(stream);
                while let Some(Ok(event)) = stream.next().await {
                    if let WatchEvent::Modified(eip) = event {
                        version = eip.metadata.resource_version.clone().unwrap_or_default();
                        let used = eip.status.and_then(|status| status.used).unwrap_or_default();
                        seen.writes().push((Instant::now(), used_bytes(&used)));
                    }
                }
            }
        });
        Ok(writes)
    }

    fn writes(&self) -> std::sync::MutexGuard<'_, Vec<(Instant, usize)>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn count(&self) -> usize {
        self.writes().len()
    }

    /// Did they take as long, together, as their sizes ask for? Each by itself may be told late by a busy watch.
    fn row(&self) -> bool {
        let writes = self.writes().clone();
        let (Some(first), Some(last)) = (writes.first(), writes.last()) else { return false };
        let but_last = &writes[..writes.len() - 1];
        let wanted: usize = but_last.iter().map(|(_, bytes)| bytes.div_ceil(EIP_BYTES_PER_SECOND).max(1)).sum();
        let (took, wanted) = ((last.0 - first.0).as_secs_f64(), Duration::from_secs(wanted as u64).as_secs_f64());
        let measured = format!("{} in {took:.1} s", writes.len());
        row(
            "writes of the Eip's status, at most one a second for each 64 KiB",
            &measured,
            &format!("{wanted:.0} s"),
            took >= wanted * 0.9,
        )
    }
}
