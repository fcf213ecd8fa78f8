//! The wiring of the speaker, top to bottom.

use std::sync::Arc;
use std::time::Duration;

use anyhow::Context as _;
use ironlb_k8s::{Clients, NodeLeases, Scope, Stores, Writer};
use ironlb_layer2::{Config, Layer2};
use ironlb_model::NodeName;
use ironlb_telemetry::{Metrics, Readiness};
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;
use tracing::info;

use crate::args::{Args, Membership};
use crate::bgp::{self, Speaking};
use crate::metrics::{InterfaceCounts, SpeakerMetrics};
use crate::reconcile::{self, Context};
use crate::state_directory::StateDirectory;

/// How long the end may take: as long as the sessions with routers may, and giving the Lease back, two requests of a second each,
/// is beside that. The chart's grace period is longer (`charts/ironlb/values.yaml`, 30 s).
const LEAVE_WITHIN: Duration = bgp::LEAVE_WITHIN;

/// Runs the speaker until `shutdown`, and then until it has left in order.
///
/// # Errors
/// What the operator has to mend: no credentials, a socket that cannot be opened, a missing capability. Everything that may mend
/// itself is waited for.
pub async fn run(args: Args, shutdown: CancellationToken) -> anyhow::Result<()> {
    let Args { cluster, node_name, membership, state_directory, telemetry } = args;
    let Membership::Lease = membership;
    telemetry.start_logging()?;
    let incarnation = incarnation()?;
    let state = StateDirectory::open(&state_directory);
    info!(
        version = env!("CARGO_PKG_VERSION"),
        node = node_name,
        incarnation,
        namespace = cluster.namespace,
        was_here_before = state.as_ref().is_some_and(StateDirectory::was_here_before),
        "speaker starts"
    );

    let mut tasks = JoinSet::new();
    let readiness = Readiness::new();
    let gate = readiness.gate("speaking");
    let mut metrics = Metrics::new(env!("CARGO_PKG_VERSION"), option_env!("IRONLB_COMMIT").unwrap_or("unknown"));
    let counted = metrics.add(SpeakerMetrics::register);

    let (layer2, observations) = Layer2::start(Config::default()).await.context("cannot serve Layer 2")?;
    let layer2 = Arc::new(layer2);
    // Nothing is answered before membership says until when.
    layer2.set_valid_until(Some(ironlb_model::Timestamp::ZERO));
    metrics.add(|registry| {
        let registry = registry.sub_registry_with_prefix("speaker");
        registry.register_collector(Box::new(InterfaceCounts(Arc::clone(&layer2))));
    });

    let node = NodeName::from(node_name);
    let restarted = state.as_ref().is_some_and(StateDirectory::was_here_before);
    let speaking = Speaking::start(seed(&incarnation), restarted);
    metrics.add(|registry| {
        registry.sub_registry_with_prefix("speaker").register_collector(Box::new(speaking.counts()));
    });
    metrics.add_unprefixed(|registry| registry.register_collector(Box::new(speaking.openelb_counts(&node))));

    let clients = Clients::connect(&cluster.source()).await?;
    let stores = Arc::new(Stores::start(&clients, &cluster.namespace, Scope::speaker(true), &mut tasks));
    telemetry.serve(&readiness, metrics, &mut tasks, &shutdown)?;

    let context = Context {
        speaking,
        node,
        incarnation,
        settings: cluster.settings(),
        stores,
        leases: NodeLeases::new(clients.lease.clone(), &cluster.namespace),
        writer: Writer::new(clients.ordinary.clone()),
        layer2,
        observations,
        metrics: counted,
        version: format!("{} {}", env!("CARGO_PKG_VERSION"), option_env!("IRONLB_COMMIT").unwrap_or("unknown")),
        state,
        gate,
    };
    let speaking = reconcile::run(context, shutdown.clone());
    let leave = async {
        shutdown.cancelled().await;
        tokio::time::sleep(LEAVE_WITHIN).await;
    };
    tokio::select! {
        () = speaking => info!("left in order"),
        () = leave => info!("left without an answer from the API server"),
        // Watches and servers end with the process; one that ends earlier has failed in a way nobody foresaw.
        ended = ended_early(&mut tasks, &shutdown) => anyhow::bail!("the task of {ended} has ended"),
    }
    Ok(())
}

/// The first task that ends although it should go on. Servers end with `shutdown`, which mostly begins while this waits, and the sessions
/// with routers may then take seconds to leave.
async fn ended_early(tasks: &mut JoinSet<&'static str>, shutdown: &CancellationToken) -> &'static str {
    while let Some(ended) = tasks.join_next().await {
        if !shutdown.is_cancelled() {
            return ended.unwrap_or("a watch, by a panic,");
        }
    }
    std::future::pending().await
}

/// The first 64 bits of the name of this life, which is random.
fn seed(incarnation: &str) -> u64 {
    let digits = incarnation.chars().filter_map(|digit| digit.to_digit(16));
    digits.take(16).fold(0, |seed, digit| (seed << 4) | u64::from(digit))
}

/// A name for this life of the process that no other has.
fn incarnation() -> anyhow::Result<String> {
    let path = "/proc/sys/kernel/random/uuid";
    let uuid = std::fs::read_to_string(path).with_context(|| format!("cannot read {path}"))?;
    Ok(uuid.trim().to_owned())
}

#[cfg(test)]
mod tests {
    use std::pin::pin;

    use super::*;

    #[tokio::test]
    async fn a_task_that_ends_with_the_shutdown_does_not_end_the_process() {
        let (mut tasks, shutdown) = (JoinSet::new(), CancellationToken::new());
        tasks.spawn(async { "one" });
        assert_eq!(ended_early(&mut tasks, &shutdown).await, "one");
        let until = shutdown.clone();
        tasks.spawn(async move {
            until.cancelled().await;
            "two"
        });
        {
            let mut waiting = pin!(ended_early(&mut tasks, &shutdown));
            // Once before it, as in a process that runs, and once after it.
            for _ in 0..2 {
                tokio::select! {
                    biased;
                    ended = &mut waiting => panic!("{ended} has ended, and the shutdown is no fault"),
                    () = tokio::task::yield_now() => shutdown.cancel(),
                }
                tokio::task::yield_now().await;
            }
        }
        assert!(tasks.is_empty(), "it has ended");
    }
}
