//! Who owns a vip: as the LAN hears it, and as the speakers say.

use std::collections::BTreeMap;
use std::net::Ipv4Addr;
use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};
use ironlb_api::{Speaker, SpeakerStatus};
use ironlb_lab::arp::{self, ArpAnswers, Asking};
use ironlb_lab::netns::NIC;
use ironlb_lab::{Node, wait_for};
use ironlb_model::MacAddr;
use kube::api::{Api, ListParams};

use crate::stage::{ASKER, PATIENCE, Stage};

/// One request, and time enough for an answer from a busy node.
const ONE: Asking = Asking { requests: 1, window: Duration::from_millis(200), linger: Duration::ZERO };

/// Asks the LAN for an address and hears every answer.
///
/// # Errors
/// The asking client is broken.
pub async fn ask(stage: &Stage, vip: Ipv4Addr, asking: Asking) -> Result<ArpAnswers> {
    let netns = stage.netns(ASKER);
    tokio::task::spawn_blocking(move || arp::ask(&netns, NIC, vip, asking)).await?.context("asking by ARP")
}

/// The node that answers for a vip: waits until somebody does, then asks 20 times. Every request must be answered once, and
/// always by the same node with its own MAC address.
///
/// # Errors
/// Nobody answers, or not exactly one node.
pub async fn of(stage: &Stage, vip: Ipv4Addr) -> Result<&Node> {
    answered(stage, vip, PATIENCE).await?;
    let answers = ask(stage, vip, Asking::default()).await?;
    let mac = sole(&answers).with_context(|| vip.to_string())?;
    let spoofed = answers.by_request.iter().flatten().find(|answer| answer.ethernet_source != answer.mac);
    ensure!(spoofed.is_none(), "a reply for {vip} came from another MAC than it gives: {spoofed:?}");
    node_of_mac(stage, mac).with_context(|| format!("{vip} is answered with a MAC that is no node's: {mac}"))
}

/// The one MAC in all answers, if there were as many as requests. Not looked at is which request a reply was to: on a busy
/// machine one may come in the window of the next.
///
/// # Errors
/// Several answered, or not as often as was asked.
pub fn sole(answers: &ArpAnswers) -> Result<MacAddr> {
    let by_mac = answers.by_mac();
    match by_mac.iter().next() {
        Some((&mac, &count)) if by_mac.len() == 1 && count == answers.requests() => Ok(mac),
        _ => bail!(
            "{} requests were to be answered once each by one station; answers by MAC: {by_mac:?}",
            answers.requests()
        ),
    }
}

/// Asks for longer than a speaker needs that wants the vip: 40 requests in 2 s, all to be answered by one node.
///
/// # Errors
/// Others answer, or nobody.
pub async fn stays_with(stage: &Stage, vip: Ipv4Addr, node: &Node) -> Result<()> {
    let answers = ask(stage, vip, Asking { requests: 40, ..Asking::default() }).await?;
    let mac = sole(&answers).with_context(|| vip.to_string())?;
    ensure!(mac == mac_of(node)?, "{vip} went from {} to {mac}", node.name());
    Ok(())
}

/// Waits until somebody answers for a vip.
///
/// # Errors
/// Nobody does.
pub async fn answered(stage: &Stage, vip: Ipv4Addr, within: Duration) -> Result<MacAddr> {
    wait_for(within, &format!("an ARP answer for {vip}"), || async {
        Ok(ask(stage, vip, ONE).await?.by_mac().into_keys().next())
    })
    .await
}

/// Waits until a vip is answered by another node than `old`, and by it alone.
///
/// # Errors
/// It does not move, or not exactly one node answers then.
pub async fn moved_from<'a>(stage: &'a Stage, vip: Ipv4Addr, old: &Node, within: Duration) -> Result<&'a Node> {
    let old = mac_of(old)?;
    wait_for(within, &format!("{vip} to leave {old}"), || async {
        let macs = ask(stage, vip, ONE).await?.by_mac();
        Ok((!macs.is_empty() && !macs.contains_key(&old)).then_some(()))
    })
    .await?;
    of(stage, vip).await
}

/// Waits until nobody answers for a vip any more, then asks 20 times to be sure.
///
/// # Errors
/// Somebody still answers.
pub async fn nobody(stage: &Stage, vip: Ipv4Addr, within: Duration) -> Result<()> {
    wait_for(within, &format!("nobody to answer for {vip}"), || async {
        // One that is busy looks like nobody for as long as one question takes.
        Ok((ask(stage, vip, ONE).await?.by_mac().is_empty()
            && ask(stage, vip, Asking::default()).await?.by_mac().is_empty())
        .then_some(()))
    })
    .await?;
    let answers = ask(stage, vip, Asking::default()).await?;
    ensure!(answers.by_mac().is_empty(), "{vip} is answered again, by {:?}", answers.by_mac());
    Ok(())
}

/// A node's MAC address.
///
/// # Errors
/// The lab wrote something else.
pub fn mac_of(node: &Node) -> Result<MacAddr> {
    node.mac().parse().map_err(|error| anyhow::anyhow!("{}: {error}", node.mac()))
}

fn node_of_mac(stage: &Stage, mac: MacAddr) -> Option<&Node> {
    stage.site.nodes().iter().find(|node| node.mac() == mac.to_string())
}

/// What the speakers report, by node.
///
/// # Errors
/// The API server does not answer.
pub async fn speakers(stage: &Stage) -> Result<BTreeMap<String, SpeakerStatus>> {
    let api: Api<Speaker> = Api::all(stage.site.client());
    let list = api.list(&ListParams::default()).await?;
    Ok(list.into_iter().filter_map(|speaker| Some((speaker.metadata.name?, speaker.status?))).collect())
}

/// Which node says that it owns a vip.
///
/// # Errors
/// More than one does, or the API server does not answer.
pub async fn as_reported(stage: &Stage, vip: Ipv4Addr) -> Result<Option<String>> {
    let owns = |status: &SpeakerStatus| {
        let owned = status.layer2.as_ref().and_then(|layer2| layer2.owned.as_ref());
        owned.into_iter().flatten().any(|owned| owned.vip == vip.to_string())
    };
    let all = speakers(stage).await?;
    let owners: Vec<String> = all.into_iter().filter(|(_, status)| owns(status)).map(|(node, _)| node).collect();
    ensure!(owners.len() < 2, "several speakers report that they own {vip}: {owners:?}");
    Ok(owners.into_iter().next())
}

/// Waits until the speakers report what the LAN shows.
///
/// # Errors
/// They do not within the time.
pub async fn reported_as(stage: &Stage, vip: Ipv4Addr, node: &Node) -> Result<()> {
    wait_for(PATIENCE, &format!("the Speaker objects to say that {} owns {vip}", node.name()), || async {
        Ok((as_reported(stage, vip).await?.as_deref() == Some(node.name())).then_some(()))
    })
    .await
}
