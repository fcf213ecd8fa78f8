//! What happens to a node or its speaker, under every protection of its sessions, as the routers' kernels and clients behind FRR and BIRD
//! see it.
//!
//! `docs/bgp.md` has the promises as a table; here they are `promise`. How it is done is in `bgp_disruptions/disrupt.rs`.

mod disrupt;

use std::net::Ipv4Addr;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use ironlb_lab::{Node, Software};

use self::disrupt::{before, disrupt, give_back, to_be_kept};
use crate::fabric::{self, HOLD_TIME, Protection};
use crate::ground::Ground;
use crate::release;
use crate::rerouting::{Lookout, Promise};
use crate::runner::{STOOD_STILL, Scenario};
use crate::stage::PATIENCE;

/// Every pair once in `make soak`; in `make test` each protection and each disruption.
pub const SCENARIO: Scenario = Scenario {
    name: "bgp-disruptions",
    shows: "upgrade, kill, drain, shutdown and power cut of a node under each protection of its sessions cost clients behind FRR and BIRD no more than promised",
    first_address: 10,
    run: |ground| Box::pin(run(ground)),
};

/// What happens; to the last node, where it is one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Disruption {
    /// `helm upgrade` with other pods: on one node after the other a new speaker takes over from the old one.
    Upgrade,
    /// The speaker's pod is deleted (SIGTERM) and another comes.
    Deletion,
    /// SIGKILL to the speaker; the kubelet starts it again.
    Kill,
    /// The annotation on the Node, later taken off.
    Drain,
    /// An autoscaler's taint, later taken off, behind routers that keep connections on their ways.
    DrainKept,
    /// The kubelet says on the Node that it shuts down, as it does where the machine announces it; then SIGTERM, then no power.
    /// There is no systemd in the lab that could announce it, so the kubelet is stopped and its words are written in its place.
    Shutdown,
    /// No power at once.
    PowerCut,
}

use Disruption::{Deletion, Drain, DrainKept, Kill, PowerCut, Shutdown, Upgrade};

impl Disruption {
    const ALL: [Self; 7] = [Upgrade, Deletion, Kill, Drain, DrainKept, Shutdown, PowerCut];

    fn name(self) -> &'static str {
        match self {
            Upgrade => "upgrade",
            Deletion => "deletion",
            Kill => "kill",
            Drain => "drain",
            DrainKept => "drain, kept",
            Shutdown => "shutdown",
            PowerCut => "power cut",
        }
    }

    /// Has it taken the node away, so that it has to be given back?
    fn takes_node(self) -> bool {
        matches!(self, Drain | DrainKept | Shutdown | PowerCut)
    }

    fn drains(self) -> bool {
        matches!(self, Drain | DrainKept)
    }
}

/// How often a pair with BFD is tried at most while the machine stands still. Measured on two busy cores: one in five comes to that.
const TIMES: usize = 6;

/// So many connections may be under way when a router changes its ways. Chosen: one begins each 10 ms, and lasts a few of them on a
/// busy machine.
const UNDER_WAY: usize = 2;

/// BFD finds a dead speaker within this time (3 x 50 ms, and what the router's own queue adds).
fn detection(router: Software) -> Duration {
    Duration::from_millis(if router == Software::Frr { 250 } else { 200 })
}

/// The table of `docs/bgp.md`.
fn promise(protection: Protection, disruption: Disruption, router: Software) -> Promise {
    let moves = |changes| Promise::Moves { changes, breaks: UNDER_WAY, gone_within: None };
    match disruption {
        // FRR keeps the routes where TCP closes before BFD goes down; BIRD lets them go (`docs/design/interop.md`).
        Upgrade | Deletion | Kill if protection.graceful && !(protection.bfd && router == Software::Bird) => {
            Promise::Nothing
        }
        // Away and back again, on each of three nodes.
        Upgrade => moves(6),
        Deletion => moves(2),
        Kill => Promise::Moves { changes: 2, breaks: UNDER_WAY, gone_within: Some(detection(router)) },
        Drain => moves(2),
        DrainKept => Promise::Moves { changes: 2, breaks: 0, gone_within: None },
        Shutdown => moves(1),
        PowerCut if protection.bfd => Promise::Outage(detection(router)),
        // The hold time, counted from the last KEEPALIVE; a second for the router's own timers.
        PowerCut => Promise::Outage(Duration::from_secs(u64::from(HOLD_TIME) + 1)),
    }
}

/// Each protection and each disruption, and the upgrade also where FRR's BGP and BFD have to agree on it.
const SHORT: [(Protection, &[Disruption]); 6] = [
    (Protection::INTERNAL, &[DrainKept]),
    (Protection::STRICT, &[Shutdown]),
    (Protection::BFD, &[Kill]),
    (Protection::BOTH, &[Upgrade, PowerCut]),
    (Protection::GRACEFUL, &[Upgrade]),
    (Protection::PLAIN, &[Deletion, Drain]),
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
            let mut misses = Vec::new();
            for time in 1..=TIMES {
                let begin = Instant::now();
                misses =
                    once(ground, vip, node, (protection, *disruption), time).await.with_context(|| cell.clone())?;
                let stood_still = stage.metronome.longest_since(begin);
                // Of what has no BFD nothing is lost in so short a time.
                if misses.is_empty() || !protection.bfd || stood_still < STOOD_STILL {
                    break;
                }
                let stood_still = stood_still.as_millis();
                println!(
                    "    {cell}: a processor stood still for {stood_still} ms, time {time} of {TIMES}: {misses:?}"
                );
            }
            broken.extend(misses.into_iter().map(|miss| format!("{cell}: {miss}")));
        }
    }
    ensure!(broken.is_empty(), "{} promises are broken:\n{}", broken.len(), broken.join("\n"));
    Ok(())
}

/// One pair; gives the promises that were not kept. What is recorded bears the number of the time.
async fn once(
    ground: &Ground<'_>,
    vip: Ipv4Addr,
    node: &Node,
    (protection, disruption): (Protection, Disruption),
    time: usize,
) -> Result<Vec<String>> {
    let site = &ground.stage().site;
    let all: Vec<&str> = site.nodes().iter().map(Node::name).collect();
    let others: Vec<&str> = all.iter().copied().filter(|name| *name != node.name()).collect();
    fabric::leads_over(ground, vip, &all, PATIENCE).await?;
    to_be_kept(ground, disruption == DrainKept).await?;
    let name = format!("{}-{}-{time}", disruption.name(), protection.name).replace([' ', ','], "-");
    let lookouts = Lookout::begin(ground, vip, &name).await?;
    let standing = before(ground, node).await?;

    let begun = disrupt(ground, vip, node, disruption).await?;
    if disruption.takes_node() {
        fabric::leads_over(ground, vip, &others, PATIENCE).await?;
    } else {
        release::all_well(ground.stage(), PATIENCE).await?;
        fabric::established(ground, protection).await?;
        fabric::leads_over(ground, vip, &all, PATIENCE).await?;
    }
    let mut misses = standing.check(ground, protection, disruption).await?;
    Lookout::more_answers(&lookouts).await?;
    if disruption.drains() {
        // What comes back is under load as well.
        give_back(ground, node, disruption).await?;
        fabric::leads_over(ground, vip, &all, PATIENCE).await?;
        Lookout::more_answers(&lookouts).await?;
    }
    for lookout in lookouts {
        let router = lookout.router();
        let outcome = lookout.end(begun).await?;
        let (seen, moved) = (&outcome.seen, outcome.changes.len());
        println!(
            "    {:>11}, {:<24} {:<5?} {moved} changes, {seen}",
            disruption.name(),
            protection.name,
            router.software()
        );
        if let Err(miss) = promise(protection, disruption, router.software()).is_kept(&outcome) {
            misses.push(format!("{:?}: {miss:#}", router.software()));
        }
    }
    if !disruption.drains() {
        give_back(ground, node, disruption).await?;
    }
    fabric::established(ground, protection).await?;
    Ok(misses)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_short_plan_has_each_protection_and_each_disruption() {
        for wanted in Protection::ALL {
            assert!(SHORT.iter().any(|(protection, _)| *protection == wanted), "{wanted:?}");
        }
        for wanted in Disruption::ALL {
            assert!(SHORT.iter().any(|(_, disruptions)| disruptions.contains(&wanted)), "{wanted:?}");
        }
    }
}
