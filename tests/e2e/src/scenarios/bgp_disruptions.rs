//! What happens to a node or its speaker, under every protection of its sessions, as clients behind FRR and BIRD see it.
//!
//! `docs/bgp.md` has the promises as a table; here they are `promise`.

use std::time::{Duration, SystemTime};

use anyhow::{Context, Result, ensure};
use ironlb_api::names::annotation;
use ironlb_lab::probe::Failure;
use ironlb_lab::{Node, Software, wait_for};

use crate::fabric::{self, HOLD_TIME, Protection, Seen, more_answers};
use crate::ground::Ground;
use crate::release;
use crate::runner::Scenario;
use crate::stage::PATIENCE;

/// Every pair once in `make soak`; in `make test` those that differ most.
pub const SCENARIO: Scenario = Scenario {
    name: "bgp-disruptions",
    shows: "upgrade, kill, drain, shutdown and power cut of a node under each protection of its sessions cost clients behind FRR and BIRD no more than promised",
    first_address: 10,
    run: |ground| Box::pin(run(ground)),
};

/// What happens to the last node.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Disruption {
    /// The speaker's pod is deleted (SIGTERM) and another comes, as an upgrade does it.
    Upgrade,
    /// SIGKILL to the speaker; the kubelet starts it again.
    Kill,
    /// The annotation on the Node, later taken off.
    Drain,
    /// Drained by the kubelet's word that it shuts down, then SIGTERM, then no power.
    Shutdown,
    /// No power at once.
    PowerCut,
}

use Disruption::{Drain, Kill, PowerCut, Shutdown, Upgrade};

impl Disruption {
    const ALL: [Self; 5] = [Upgrade, Kill, Drain, Shutdown, PowerCut];

    fn name(self) -> &'static str {
        match self {
            Upgrade => "upgrade",
            Kill => "kill",
            Drain => "drain",
            Shutdown => "shutdown",
            PowerCut => "power cut",
        }
    }

    /// Has it taken the node away, so that it has to be given back?
    fn takes_node(self) -> bool {
        matches!(self, Drain | Shutdown | PowerCut)
    }
}

/// What a client behind a router may notice.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Promise {
    /// No connection fails, and the router changes no route.
    Nothing,
    /// No connection fails, but for those that are under way in the moment in which the router leads them to another node, at each
    /// of so many changes of the route: that node does not know them. The kernel's hash over the next hops does so to some of the
    /// connections whenever their number changes, whoever the speaker is.
    Rehash(usize),
    /// Connections to the node fail for no longer than this.
    Outage(Duration),
}

/// The table of `docs/bgp.md`.
fn promise(protection: Protection, disruption: Disruption, router: Software) -> Promise {
    match disruption {
        Upgrade | Kill if protection.graceful && !protection.bfd => Promise::Nothing,
        // FRR keeps the routes where TCP closes before BFD goes down on purpose; BIRD lets them go (`docs/design/interop.md`).
        Upgrade if protection.graceful && router == Software::Frr => Promise::Nothing,
        // Away and back again.
        Upgrade | Kill => Promise::Rehash(2),
        Drain | Shutdown => Promise::Rehash(2),
        PowerCut if protection.bfd => Promise::Outage(match router {
            Software::Frr => Duration::from_millis(250),
            _ => Duration::from_millis(200),
        }),
        // The hold time, counted from the last KEEPALIVE; a second for the router's own timers.
        PowerCut => Promise::Outage(Duration::from_secs(u64::from(HOLD_TIME) + 1)),
    }
}

/// Each protection at least once, each disruption at least once, and what the project's bars name.
const SHORT: [(Protection, &[Disruption]); 4] = [
    (Protection::PLAIN, &[Kill, PowerCut]),
    (Protection::GRACEFUL, &[Upgrade, Kill, Drain]),
    (Protection::BOTH, &[Upgrade, PowerCut]),
    (Protection::STRICT, &[Shutdown]),
];

async fn run(ground: &Ground<'_>) -> Result<()> {
    let stage = ground.stage();
    let node = stage.site.nodes().last().context("a node")?;
    let survivor = stage.site.node(1);
    let vip_range = "172.22.7.1-172.22.7.1";
    let spec = serde_json::json!({"address": vip_range, "protocol": "bgp"});
    ground.apply(&fabric::object(ground, "Eip", ground.name(), spec)).await?;
    ground.web(2).await?;
    ground.web_on(survivor.name()).await?;
    ground.service("web").await?;
    let vip = ground.served("web").await?;
    let all: Vec<(Protection, &[Disruption])> = Protection::ALL.map(|p| (p, Disruption::ALL.as_slice())).to_vec();
    let plan = if stage.scale.everything { all } else { SHORT.to_vec() };
    let mut broken = Vec::new();
    for (protection, disruptions) in plan {
        fabric::raise(ground, protection).await.with_context(|| protection.name)?;
        for disruption in disruptions {
            let cell = format!("{}, {}", disruption.name(), protection.name);
            let misses = once(ground, vip, node, protection, *disruption).await.with_context(|| cell.clone())?;
            broken.extend(misses.into_iter().map(|miss| format!("{cell}: {miss}")));
        }
    }
    ensure!(broken.is_empty(), "{} promises are broken:\n{}", broken.len(), broken.join("\n"));
    Ok(())
}

/// One pair; gives the promises that were not kept.
async fn once(
    ground: &Ground<'_>,
    vip: std::net::Ipv4Addr,
    node: &Node,
    protection: Protection,
    disruption: Disruption,
) -> Result<Vec<String>> {
    let site = &ground.stage().site;
    let all: Vec<&str> = site.nodes().iter().map(Node::name).collect();
    let others: Vec<&str> = all.iter().copied().filter(|name| *name != node.name()).collect();
    fabric::leads_over(ground, vip, &all, PATIENCE).await?;
    let name = format!("{}-{}", disruption.name(), protection.name).replace(' ', "-");
    let probes = fabric::probes(ground, vip, &name).await?;

    let begun = disrupt(ground, node, disruption).await?;
    if disruption.takes_node() {
        fabric::leads_over(ground, vip, &others, PATIENCE).await?;
    } else {
        release::all_well(ground.stage(), PATIENCE).await?;
        fabric::established(ground, protection).await?;
        fabric::leads_over(ground, vip, &all, PATIENCE).await?;
    }
    more_answers(&probes).await?;
    if disruption == Drain {
        // What comes back is under load as well.
        give_back(ground, node, disruption).await?;
        fabric::leads_over(ground, vip, &all, PATIENCE).await?;
        more_answers(&probes).await?;
    }
    let mut misses = Vec::new();
    for (router, probe) in probes {
        let report = tokio::task::spawn_blocking(move || probe.stop()).await??;
        let promise = promise(protection, disruption, router.software());
        let seen = Seen::of(&report, begun);
        println!("    {:>9}, {:<24} {:<5?} {seen}", disruption.name(), protection.name, router.software());
        if let Err(miss) = promise.is_kept(&seen) {
            misses.push(format!("{:?}: {miss:#}", router.software()));
        }
    }
    if disruption != Drain {
        give_back(ground, node, disruption).await?;
    }
    fabric::established(ground, protection).await?;
    Ok(misses)
}

impl Promise {
    fn is_kept(self, seen: &Seen) -> Result<()> {
        match self {
            Promise::Nothing => ensure!(seen.failures.is_empty(), "nothing was to fail, and {seen}"),
            Self::Rehash(changes) => {
                ensure!(seen.moments <= changes, "nothing was to fail but at {changes} changes of a route, and {seen}");
                let broken = seen.failures.iter().all(|failure| *failure == Failure::Broken);
                ensure!(broken, "nothing was to fail but what was under way, and {seen}: {:?}", seen.failures);
            }
            Promise::Outage(limit) => ensure!(seen.until_last <= limit, "no longer than {limit:?}, and {seen}"),
        }
        Ok(())
    }
}

/// Does it, and tells when.
async fn disrupt(ground: &Ground<'_>, node: &Node, disruption: Disruption) -> Result<SystemTime> {
    let stage = ground.stage();
    match disruption {
        Upgrade => {
            let (pods, begun) = (release::pods(stage, "speaker").await?, SystemTime::now());
            let on_node = |pod: &k8s_openapi::api::core::v1::Pod| {
                pod.spec.as_ref().and_then(|spec| spec.node_name.as_deref()) == Some(node.name())
            };
            let pod = pods.iter().find(|(_, pod)| on_node(pod)).context("a speaker's pod")?.0;
            stage.site.kubectl(&["--namespace", release::NAMESPACE, "delete", "pod", pod]).await?;
            Ok(begun)
        }
        Kill => {
            let speaker = release::speaker_on(node).await?;
            let begun = SystemTime::now();
            node.kill(speaker.lab_pid)?;
            wait_for(PATIENCE, "the kubelet to start the speaker again", || async {
                Ok((release::speaker_on(node).await?.lab_pid != speaker.lab_pid).then_some(()))
            })
            .await?;
            Ok(begun)
        }
        Drain => {
            let begun = SystemTime::now();
            drain(ground, node, "=true").await?;
            Ok(begun)
        }
        Shutdown => {
            let begun = SystemTime::now();
            drain(ground, node, "=true").await?;
            let speaker = release::speaker_on(node).await?;
            node.terminate(speaker.lab_pid)?;
            wait_for(PATIENCE, "the speaker to have left", || async {
                let processes = node.processes()?;
                Ok((!processes.iter().any(|process| process.lab_pid == speaker.lab_pid)).then_some(()))
            })
            .await?;
            node.cut_power().await?;
            Ok(begun)
        }
        PowerCut => {
            node.cable(false)?;
            let begun = SystemTime::now();
            node.cut_power().await?;
            Ok(begun)
        }
    }
}

async fn give_back(ground: &Ground<'_>, node: &Node, disruption: Disruption) -> Result<()> {
    if matches!(disruption, PowerCut | Shutdown) {
        node.power_on().await?;
        ground.stage().site.nodes_ready(PATIENCE).await?;
    }
    if matches!(disruption, Drain | Shutdown) {
        drain(ground, node, "-").await?;
    }
    release::all_well(ground.stage(), PATIENCE).await
}

async fn drain(ground: &Ground<'_>, node: &Node, what: &str) -> Result<()> {
    let annotation = format!("{}{what}", annotation::DRAIN);
    ground.stage().site.kubectl(&["annotate", "node", node.name(), "--overwrite", &annotation]).await.map(drop)
}
