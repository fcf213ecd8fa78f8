//! How each disruption is done, what of it the routers' own command lines show, and how it is undone.

use std::net::{IpAddr, Ipv4Addr};
use std::time::{Duration, SystemTime};

use anyhow::{Context, Result, ensure};
use futures::future::try_join_all;
use ironlb_api::names::annotation;
use ironlb_lab::router::RoutePath;
use ironlb_lab::{Component, Node, Router, Software, wait_for};
use serde_json::json;
use tokio::time::Instant;

use super::Disruption::{self, Deletion, Drain, DrainKept, Kill, PowerCut, Shutdown, Upgrade};
use crate::fabric::{self, Protection};
use crate::ground::Ground;
use crate::late::Late;
use crate::release;
use crate::stage::PATIENCE;

/// What is said of a route that is about to go (RFC 8326).
const GRACEFUL_SHUTDOWN: &str = "65535:0";

/// How long it is said at least and at most before the route goes: five seconds, and what a busy machine makes of it.
const ABOUT_TO_GO: std::ops::Range<Duration> = Duration::from_secs(4)..Duration::from_secs(7);

/// Has the routers keep connections on their ways, or not.
pub(super) async fn to_be_kept(ground: &Ground<'_>, kept: bool) -> Result<()> {
    let site = &ground.stage().site;
    let ways: Vec<Ipv4Addr> = site.nodes().iter().map(Node::ipv4).collect();
    for router in site.routers() {
        if kept {
            router.keep_connections(&ways).await?;
        } else {
            router.forget_connections().await?;
        }
    }
    Ok(())
}

/// Does it, and tells when it began.
pub(super) async fn disrupt(
    ground: &Ground<'_>,
    vip: Ipv4Addr,
    node: &Node,
    disruption: Disruption,
) -> Result<SystemTime> {
    let stage = ground.stage();
    let mut begun = SystemTime::now();
    match disruption {
        Upgrade => {
            let before = release::pods(stage, "speaker").await?;
            let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH)?.as_millis();
            release::helm(stage, "upgrade", &["--set-string", &format!("speaker.podAnnotations.upgrade={since}")])
                .await?;
            wait_for(PATIENCE, "every speaker to be a new one", || async {
                let now = release::pods(stage, "speaker").await?;
                Ok((now.len() == before.len() && now.keys().all(|pod| !before.contains_key(pod))).then_some(()))
            })
            .await?;
        }
        Deletion => {
            let pods = release::pods(stage, "speaker").await?;
            let on_node = |pod: &k8s_openapi::api::core::v1::Pod| {
                pod.spec.as_ref().and_then(|spec| spec.node_name.as_deref()) == Some(node.name())
            };
            let pod = pods.iter().find(|(_, pod)| on_node(pod)).context("a speaker's pod")?.0;
            stage.site.kubectl(&["--namespace", release::NAMESPACE, "delete", "pod", pod]).await?;
        }
        Kill => {
            let speaker = release::speaker_on(node).await?;
            begun = SystemTime::now();
            node.kill(speaker.lab_pid)?;
            wait_for(PATIENCE, "the kubelet to start the speaker again", || async {
                Ok((release::speaker_on(node).await?.lab_pid != speaker.lab_pid).then_some(()))
            })
            .await?;
        }
        Drain | DrainKept => {
            mark(ground, node, disruption, true).await?;
            let said = is_said(ground, vip, node).await?;
            goes_later(ground, vip, node, said).await?;
        }
        Shutdown => {
            let speaker = release::speaker_on(node).await?;
            node.component(Component::Kubelet)?.stop().await?;
            let ready = json!({
                "type": "Ready", "status": "False", "reason": "KubeletNotReady", "message": "node is shutting down",
            });
            let patch = json!({"status": {"conditions": [ready]}}).to_string();
            stage.site.kubectl(&["patch", "node", node.name(), "--subresource=status", "--patch", &patch]).await?;
            let said = is_said(ground, vip, node).await?;
            // The kubelet ends it while it waits for routers to take other ways.
            node.terminate(speaker.lab_pid)?;
            goes_later(ground, vip, node, said).await?;
            wait_for(PATIENCE, "the speaker to have left", || async {
                let processes = node.processes()?;
                Ok((!processes.iter().any(|process| process.lab_pid == speaker.lab_pid)).then_some(()))
            })
            .await?;
            node.cut_power().await?;
        }
        PowerCut => {
            node.cable(false)?;
            node.cut_power().await?;
        }
    }
    Ok(begun)
}

pub(super) async fn give_back(ground: &Ground<'_>, node: &Node, disruption: Disruption) -> Result<()> {
    if matches!(disruption, PowerCut | Shutdown) {
        node.power_on().await?;
        // Whose kubelet comes back says itself that it is ready.
        ground.stage().site.nodes_ready(PATIENCE).await?;
    }
    if disruption.drains() {
        mark(ground, node, disruption, false).await?;
    }
    release::all_well(ground.stage(), PATIENCE).await
}

/// Marks the node as one to be emptied, or no longer: by hand, or as an autoscaler does it before it takes a node away.
async fn mark(ground: &Ground<'_>, node: &Node, disruption: Disruption, is_set: bool) -> Result<()> {
    let site = &ground.stage().site;
    if disruption == Drain {
        let annotation = format!("{}{}", annotation::DRAIN, if is_set { "=true" } else { "-" });
        site.kubectl(&["annotate", "node", node.name(), "--overwrite", &annotation]).await.map(drop)
    } else {
        let taint = if is_set { "=:NoSchedule" } else { ":NoSchedule-" };
        let taint = format!("ToBeDeletedByClusterAutoscaler{taint}");
        site.kubectl(&["taint", "node", node.name(), &taint]).await.map(drop)
    }
}

/// Each router is told that the node's route is about to go, by a community and within the AS by a local preference of 0. Tells when all
/// had heard of it.
async fn is_said(ground: &Ground<'_>, vip: Ipv4Addr, node: &Node) -> Result<Instant> {
    let all = ground.stage().site.routers().iter().map(|router| async move {
        wait_for(PATIENCE, &format!("{} to hear that the route goes", router.name()), || async {
            let path = of_node(router, vip, node).await?.context("it is gone already")?;
            ensure!(path.communities.iter().any(|community| community == GRACEFUL_SHUTDOWN), "{path:?}");
            let is_internal = path.as_path.is_empty();
            ensure!(!is_internal || path.local_pref == Some(0), "{path:?}");
            Ok(Some(()))
        })
        .await
    });
    try_join_all(all).await?;
    Ok(Instant::now())
}

/// Some seconds after that each router is told that the route goes.
async fn goes_later(ground: &Ground<'_>, vip: Ipv4Addr, node: &Node, said: Instant) -> Result<()> {
    let all = ground.stage().site.routers().iter().map(|router| async move {
        wait_for(PATIENCE, &format!("{} to hear that the route is gone", router.name()), || async {
            Ok(of_node(router, vip, node).await?.is_none().then_some(()))
        })
        .await?;
        let waited = said.elapsed();
        if ABOUT_TO_GO.contains(&waited) {
            return Ok(());
        }
        // Too soon as well, where it was heard of late that it would go.
        Err(Late(format!("{}: the route went {waited:?} after it was said", router.name())).into())
    });
    try_join_all(all).await.map(drop)
}

/// The router's path to the vip over this node.
async fn of_node(router: &Router, vip: Ipv4Addr, node: &Node) -> Result<Option<RoutePath>> {
    let paths = router.paths(&format!("{vip}/32")).await?;
    Ok(paths.into_iter().find(|path| path.next_hops.contains(&IpAddr::from(node.ipv4()))))
}

/// Which lives the sessions with the routers are in, for each router and node.
#[derive(Debug)]
pub(super) struct Standing<'a> {
    lives: Vec<(&'a Router, &'a Node, String)>,
    disrupted: &'a Node,
}

/// How the sessions stand before.
pub(super) async fn before<'a>(ground: &Ground<'a>, disrupted: &'a Node) -> Result<Standing<'a>> {
    let site = &ground.stage().site;
    let mut lives = Vec::new();
    for router in site.routers() {
        for node in site.nodes() {
            lives.push((router, node, fabric::life(router, &fabric::session(router, node).await?)?));
        }
    }
    Ok(Standing { lives, disrupted })
}

impl Standing<'_> {
    /// What the routers show of the sessions after it and should not.
    pub(super) async fn check(
        &self,
        ground: &Ground<'_>,
        protection: Protection,
        disruption: Disruption,
    ) -> Result<Vec<String>> {
        let mut misses = Vec::new();
        for (router, node, before) in &self.lives {
            let name = format!("{:?}'s session with {}", router.software(), node.name());
            let session = fabric::session(router, node).await?;
            let is_same = session.is_established && fabric::life(router, &session)? == *before;
            let is_disrupted = node.name() == self.disrupted.name();
            let stays = match disruption {
                Drain | DrainKept => true,
                Upgrade => false,
                _ => !is_disrupted,
            };
            if stays != is_same {
                misses.push(format!("{name} was {} once", if stays { "not up all the time" } else { "never down" }));
            }
            if disruption == Upgrade && router.software() == Software::Frr && protection.graceful {
                let once = before.parse::<u64>()? + 1;
                let life = fabric::life(router, &session)?;
                if life != once.to_string() {
                    misses.push(format!("{name} came up {life} times, and once more than {before} was due"));
                }
            }
            let is_restart = matches!(disruption, Upgrade | Kill | Deletion) && protection.graceful && !stays;
            if is_restart && !fabric::was_restarted(router, &session)? {
                misses.push(format!("{name} does not say that the speaker was restarted"));
            }
        }
        if disruption == Upgrade {
            for node in ground.stage().site.nodes() {
                let listening = node.netns().exec(&["ss", "-Hltn", "sport = :179"]).await?;
                if listening.trim().is_empty() {
                    misses.push(format!("nobody listens on port 179 of {}", node.name()));
                }
            }
        }
        Ok(misses)
    }
}
