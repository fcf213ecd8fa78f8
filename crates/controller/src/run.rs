//! The wiring of the controller, top to bottom.

use std::sync::Arc;
use std::time::Duration;

use anyhow::Context as _;
use ironlb_k8s::{Candidacy, Clients, Events, Leadership, Reporter, Scope, Stores, Timing, Writer};
use ironlb_model::Settings;
use ironlb_telemetry::{Gate, Metrics, Readiness, fields};
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;
use tracing::{info, warn};

use crate::args::Args;
use crate::metrics::ControllerMetrics;
use crate::reconcile::{Context, lead};
use crate::traffic::Traffic;

/// The Lease that the replicas contend for.
const LEASE: &str = "ironlb-controller";

/// How often the readiness gate looks whether every watch has listed, while one has not.
const LOOK: Duration = Duration::from_millis(100);

/// After so long a watch that has not listed is told.
const PATIENCE: Duration = Duration::from_secs(5);

/// Runs the controller until `shutdown`, and then until it has left in order.
///
/// # Errors
/// What the operator has to mend: no credentials, a socket that cannot be opened. Everything that may mend itself is waited for.
pub async fn run(args: Args, shutdown: CancellationToken) -> anyhow::Result<()> {
    let Args { cluster, pod_name, conflict_quarantine, telemetry } = args;
    telemetry.start_logging()?;
    info!(version = env!("CARGO_PKG_VERSION"), pod = pod_name, namespace = cluster.namespace, "controller starts");

    let mut tasks = JoinSet::new();
    let readiness = Readiness::new();
    let gate = readiness.gate("watches");
    let mut metrics = Metrics::new(env!("CARGO_PKG_VERSION"), option_env!("IRONLB_COMMIT").unwrap_or("unknown"));
    let counted = metrics.add(ControllerMetrics::register);

    let clients = Clients::connect(&cluster.source()).await?;
    let stores = Arc::new(Stores::start(&clients, &cluster.namespace, Scope::controller(), &mut tasks));
    let reporter = Reporter { controller: "ironlb-controller".to_owned(), instance: pod_name.clone() };
    let events = Events::start(&clients, reporter, &mut tasks);
    let traffic = Traffic { stores: Arc::clone(&stores), events: events.clone(), throttle: clients.throttle.clone() };
    metrics.add_unprefixed(|registry| registry.register_collector(Box::new(traffic)));
    telemetry.serve(&readiness, metrics, &mut tasks, &shutdown)?;
    tasks.spawn(open_when_listed(Arc::clone(&stores), cluster.settings(), gate));

    // Contended for by a task of its own, outside `tasks`: it ends in order after everything else.
    let resign = CancellationToken::new();
    let mut contending = JoinSet::new();
    let candidacy = Candidacy {
        namespace: cluster.namespace.clone(),
        lease: LEASE.to_owned(),
        identity: identity(&pod_name)?,
        timing: Timing::default().check()?,
    };
    let leadership = Leadership::contend(clients.lease.clone(), candidacy, resign.clone(), &mut contending);
    let context = Context {
        stores,
        settings: cluster.settings(),
        conflict_quarantine: Duration::from_secs(conflict_quarantine),
        writer: Writer::new(clients.ordinary.clone()),
        events,
        throttle: clients.throttle.clone(),
        metrics: counted,
    };
    let stop = shutdown.child_token();
    let leading = terms(context, leadership, &stop);
    tokio::pin!(leading);
    let broken_off = tokio::select! {
        () = &mut leading => None,
        // Some end with the shutdown, which may begin while this waits.
        ended = tasks.join_next(), if !shutdown.is_cancelled() => {
            Some(if shutdown.is_cancelled() { Ok(()) } else { Err(foreseen_by_nobody(ended)) })
        }
        ended = contending.join_next() => Some(Err(foreseen_by_nobody(ended))),
    };
    if broken_off.is_some() {
        // A Lease that is given back says that nothing is under way, whyever this process ends.
        stop.cancel();
        leading.await;
    }
    resign.cancel();
    while contending.join_next().await.is_some() {}
    info!("left in order");
    broken_off.unwrap_or(Ok(()))
}

/// Leads whenever it may, until `shutdown`; returns when no write is under way any more.
async fn terms(context: Context, mut leadership: Leadership, shutdown: &CancellationToken) {
    loop {
        let term = tokio::select! {
            () = shutdown.cancelled() => return,
            term = leadership.gained() => term,
        };
        // The contender has ended, which `run` notices as well.
        let Some(term) = term else { return };
        info!(was_free = term.was_free, "leading");
        context.metrics.began_leading();
        let ended = shutdown.child_token();
        let mut watched = term.clone();
        let work = lead(context.clone(), term, ended.clone());
        tokio::pin!(work);
        tokio::select! {
            () = &mut work => (),
            () = watched.ended() => {
                warn!("no longer leading: the Lease could not be renewed in time, or somebody else took it");
                context.metrics.lost_leadership();
                ended.cancel();
                work.await;
            }
        }
        context.metrics.ended_leading();
    }
}

/// Opens the gate once a snapshot can be made, and says what it waits for when that takes long.
async fn open_when_listed(stores: Arc<Stores>, settings: Settings, gate: Gate) -> &'static str {
    let mut waited = Duration::ZERO;
    while stores.snapshot(&settings).is_none() {
        tokio::time::sleep(LOOK).await;
        waited += LOOK;
        if waited == PATIENCE {
            for awaited in stores.awaited() {
                let trouble = awaited.trouble.unwrap_or_else(|| "it is slow".to_owned());
                warn!({ fields::KIND } = awaited.kind, { fields::ERROR } = trouble, "not ready before this is listed");
            }
        }
    }
    gate.open();
    // The gate shuts when it is dropped.
    std::future::pending().await
}

/// A name for this life of the replica that no other has: a pod's containers may restart under one name.
fn identity(pod_name: &str) -> anyhow::Result<String> {
    let path = "/proc/sys/kernel/random/uuid";
    let uuid = std::fs::read_to_string(path).with_context(|| format!("cannot read {path}"))?;
    Ok(format!("{pod_name}_{}", uuid.trim()))
}

/// A task that ends only with the process has ended.
fn foreseen_by_nobody(ended: Option<Result<&'static str, tokio::task::JoinError>>) -> anyhow::Error {
    match ended {
        Some(Ok(task)) => anyhow::anyhow!("the task of {task} has ended"),
        Some(Err(error)) => anyhow::Error::new(error).context("a task has failed"),
        None => anyhow::anyhow!("every task has ended"),
    }
}
