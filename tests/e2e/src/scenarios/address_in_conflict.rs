//! A host on the LAN that is none of the cluster's and says that a vip is its own.

use std::net::Ipv4Addr;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use ironlb_lab::netns::NIC;
use ironlb_lab::{arp, wait_for};
use k8s_openapi::api::core::v1::Event;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition;
use kube::api::{Api, ListParams};
use tokio::task::JoinSet;

use crate::ground::Ground;
use crate::owner;
use crate::row::{self, row};
use crate::runner::Scenario;
use crate::stage::{ASKER, PATIENCE};

/// It speaks up while a Service holds the address, goes on when that Service is gone, and falls silent.
pub const SCENARIO: Scenario = Scenario {
    name: "address-in-conflict",
    shows: "a stranger that claims a vip is told on the Eip once, with its MAC and the node that heard it; the vip stays, no other Service gets it, until the stranger is silent",
    first_address: 133,
    run: |ground| Box::pin(run(ground)),
};

/// How often the stranger speaks. Chosen: several times between two reports of a speaker.
const PAUSE: Duration = Duration::from_millis(400);

async fn run(ground: &Ground<'_>) -> Result<()> {
    let stage = ground.stage();
    ground.web(1).await?;
    ground.eip(2).await?;
    let (vip, other) = (ground.vip(0), ground.vip(1).to_string());
    let from = |name: &str| row(name).eip(ground.name());
    let holder = from("holder").gets(&vip.to_string());
    row::hold(ground, std::slice::from_ref(&holder)).await?;
    let node = owner::of(stage, vip).await?;

    let mut strangers = JoinSet::new();
    let netns = stage.netns(ASKER);
    let mac = arp::claim(&netns, NIC, vip)?;
    strangers.spawn(async move {
        loop {
            tokio::time::sleep(PAUSE).await;
            if let Err(error) = arp::claim(&netns, NIC, vip) {
                println!("    the stranger cannot speak: {error}");
            }
        }
    });
    let told = conflict(ground, true).await?.context("no condition")?;
    for part in [vip.to_string(), mac.to_string(), format!("heard by node {}", node.name())] {
        ensure!(told.message.contains(&part), "the condition does not say {part}: {}", told.message);
    }
    ground.say(&told.message);

    // Whoever holds it keeps it and answers as before; whoever comes gets another, and is told why not this one.
    let wishes = from("wishes").asks(&vip.to_string()).port("TCP", 443);
    let refused = wishes.clone().waits("InConflict", &[&mac.to_string(), node.name()]);
    row::hold(ground, &[refused.clone(), from("comes").gets(&other)]).await?;
    row::come_true(ground, std::slice::from_ref(&holder)).await?;
    owner::stays_with(stage, vip, node).await?;

    // Free, and still nobody's while the claim counts.
    ground.kubectl(&["delete", "service", "holder"]).await?;
    row::hold(ground, &[refused, from("late").waits("EipFull", &["2 of 2", "claimed by another host"])]).await?;
    strangers.shutdown().await;
    conflict(ground, false).await?;
    row::come_true(ground, &[wishes.gets(&vip.to_string())]).await?;
    told_once(ground, vip).await
}

/// Waits until the Eip has the condition, or has it no more.
async fn conflict(ground: &Ground<'_>, wanted: bool) -> Result<Option<Condition>> {
    wait_for(PATIENCE, &format!("condition Conflict on the Eip to {}", if wanted { "come" } else { "go" }), || async {
        let conditions = ground.eip_status(ground.name()).await?.conditions.unwrap_or_default();
        let told = conditions.into_iter().find(|condition| condition.type_ == "Conflict");
        Ok((told.is_some() == wanted).then_some(told))
    })
    .await
}

/// However often the stranger spoke, and whoever held the address meanwhile.
async fn told_once(ground: &Ground<'_>, vip: Ipv4Addr) -> Result<()> {
    ground.cluster_event(ground.name(), "Conflict").await?;
    let events: Api<Event> = Api::all(ground.stage().site.client());
    let fields = format!("involvedObject.name={},reason=Conflict", ground.name());
    let events = events.list(&ListParams::default().fields(&fields)).await?.items;
    let notes: Vec<String> = events.iter().map(|event| event.message.clone().unwrap_or_default()).collect();
    ensure!(matches!(&notes[..], [note] if note.contains(&vip.to_string())), "it is to be told once: {notes:#?}");
    Ok(())
}
