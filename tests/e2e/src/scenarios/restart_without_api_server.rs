//! A speaker is killed while the API server is dead.

use std::collections::BTreeMap;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use ironlb_lab::arp::Asking;
use ironlb_lab::netns::NIC;
use ironlb_lab::wait_for;

use crate::ground::Ground;
use crate::runner::Scenario;
use crate::stage::{CLIENT, PATIENCE};
use crate::{handover, owner, release};

/// With two addresses on its node, of which somebody else has one by then.
pub const SCENARIO: Scenario = Scenario {
    name: "restart-without-api-server",
    shows: "a speaker that is killed while the API server is dead answers again for what nobody else has, and not for what somebody has",
    first_address: 196,
    run: |ground| Box::pin(run(ground)),
};

/// The kubelet's longest back-off for a container that ends again and again.
const RESTART: Duration = Duration::from_secs(330);

/// So many addresses that one of three nodes has two of them.
const NAMES: [&str; 4] = ["a", "b", "c", "d"];

async fn run(ground: &Ground<'_>) -> Result<()> {
    let stage = ground.stage();
    ground.eip(4).await?;
    ground.web(2).await?;
    let mut by_node = BTreeMap::new();
    for name in NAMES {
        ground.service(name).await?;
    }
    for name in NAMES {
        let vip = ground.served(name).await?;
        let node = owner::of(stage, vip).await?;
        by_node.entry(node.name()).or_insert_with(|| (node, Vec::new())).1.push(vip);
    }
    let two = by_node.into_values().find(|(_, vips)| vips.len() > 1).context("no node has two addresses")?;
    let (node, (free, taken)) = (two.0, (two.1[0], two.1[1]));
    let mac = owner::mac_of(node)?;

    // What is said last is kept with all that was said before.
    let mark = format!("{}-kept", ground.name());
    ground.kubectl(&["label", "service", "a", &format!("mark={mark}")]).await?;
    wait_for(PATIENCE, "the speaker to keep its snapshot", || async {
        let found = node.exec(&["grep", "--count", &mark, "/run/ironlb/snapshot"]).await;
        Ok(found.is_ok().then_some(()))
    })
    .await?;

    let mut capture = stage.capture(&ground.record("lan"))?;
    let killed = release::speaker_on(node).await?;
    // Not in order: a server that is stopped takes itself out of its Service, and a speaker finds it again when kube-proxy does.
    stage.site.api_server().kill()?;
    let somebody = stage.netns(CLIENT);
    let address = format!("{taken}/32");
    somebody.exec(&["ip", "address", "add", &address, "dev", NIC]).await?;
    node.kill(killed.lab_pid)?;
    wait_for(RESTART, &format!("the kubelet of {} to start the speaker again", node.name()), || async {
        Ok((release::speaker_on(node).await?.lab_pid != killed.lab_pid).then_some(()))
    })
    .await?;
    let answered = owner::answered(stage, free, PATIENCE).await?;
    ensure!(answered == mac, "{free} is answered by {answered}, and {mac} answered for it before");
    let holder = owner::sole(&owner::ask(stage, taken, Asking::default()).await?)?;
    ensure!(holder != mac, "{taken} is answered by the restarted speaker although somebody else has it");

    somebody.exec(&["ip", "address", "delete", &address, "dev", NIC]).await?;
    stage.site.api_server().start()?;
    stage.site.api_ready(PATIENCE).await?;
    stage.site.nodes_back(2 * PATIENCE).await?;
    release::all_well(stage, PATIENCE).await?;
    // Between the first list of Leases and the confirmation of its own one the speaker is silent for two round trips.
    let what = format!("{free} to be answered by {} and to stay there", node.name());
    wait_for(PATIENCE, &what, || async { owner::stays_with(stage, free, node).await.map(Some) }).await?;
    // No node had it: which one does is elected anew, among the nodes whose kubelets the API server has heard by then.
    let anew =
        wait_for(PATIENCE, &format!("{taken} to have an owner"), || async { owner::of(stage, taken).await.map(Some) })
            .await?;
    owner::stays_with(stage, taken, anew).await?;
    handover::check_turns(&capture.look(Clone::clone)?, free, &[mac])?;
    wait_for(PATIENCE, "the Speaker object to tell of the kept snapshot", || async {
        let speakers = owner::speakers(stage).await?;
        let conditions = speakers.get(node.name()).and_then(|status| status.conditions.as_deref()).unwrap_or_default();
        let stale = conditions.iter().find(|condition| condition.type_ == "StaleSnapshot");
        Ok(stale.filter(|stale| (stale.status.as_str(), stale.reason.as_str()) == ("False", "ListsComplete")).map(drop))
    })
    .await
}
