//! What the BGP objects and what they name say, as routers see it, and what becomes of it when it changes: passwords in Secrets, a
//! policy in a ConfigMap, labels of nodes, racks, ports and identifiers.

use anyhow::{Context, Result, ensure};
use ironlb_api::names::condition;
use ironlb_api::{BgpConf, BgpPeer, SpeakerSession};
use ironlb_lab::router::RoutePath;
use ironlb_lab::{Neighbour, Node, Router, RouterConfig, wait_for};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition;
use kube::api::Api;
use serde_json::{Value, json};

use super::bgp_routes::{count, paths, pool};
use crate::fabric::{self, CLUSTER_AS, HOLD_TIME, ROUTERS_AS};
use crate::ground::{Ground, SCENARIO as LABEL};
use crate::owner;
use crate::release;
use crate::runner::Scenario;
use crate::stage::PATIENCE;

/// With FRR, whose sessions are signed, and BIRD, which has one with the nodes of a label.
pub const SCENARIO: Scenario = Scenario {
    name: "bgp-settings",
    shows: "passwords, policy, racks, node selectors, ports and identifiers of BGP do what they say in the routers, as do changes of them, and what is missing or unknown is named",
    first_address: 14,
    run: |ground| Box::pin(run(ground)),
};

/// The two vips: one goes out, the other is held back by the policy.
const OPEN: &str = "172.22.13.1";
const HELD_BACK: &str = "172.22.13.2";
/// The label by which nodes have a session with BIRD, and OpenELB's for racks.
const EDGE: &str = "e2e.ironlb.io/edge";
const RACK: &str = "openelb.kubesphere.io/rack";
/// The AS number of the rack `east`.
const EAST_AS: u32 = 64600;
/// Not BGP's own, so that another daemon may have that one.
const PORT: u16 = 17900;
/// The files of the other daemon on the first node, but for their ends.
const OTHER_DAEMON: &str = "/run/e2e-bird";

async fn run(ground: &Ground<'_>) -> Result<()> {
    let outcome = steps(ground).await;
    let tidied = tidy(ground).await;
    outcome.and(tidied)
}

async fn steps(ground: &Ground<'_>) -> Result<()> {
    let site = &ground.stage().site;
    let (frr, bird) = (site.router(1), site.router(2));
    let nodes = site.nodes();
    begin(ground).await.context("a beginning")?;
    bird.established(nodes[0].ipv4(), PATIENCE).await.context("although another daemon has port 179")?;
    amiss(ground).await.context("what is amiss is told")?;

    mend(ground).await?;
    for node in nodes {
        frr.established(node.ipv4(), PATIENCE).await.context("signed")?;
    }
    for router in [frr, bird] {
        policy_is_obeyed(router, "64512:99").await.with_context(|| format!("the policy, at {}", router.name()))?;
    }
    is_well(ground).await.context("what is told once all is well")?;

    // As BIRD shows it, at once: a Speaker's status may be of the life that the settings have just ended.
    let before = fabric::life(bird, &fabric::session(bird, &nodes[0]).await?)?;
    rotate(ground).await.context("another password, and another policy")?;
    // Both are read every ten seconds; meanwhile:
    labels(ground).await.context("labels")?;
    for node in nodes {
        frr.established(node.ipv4(), PATIENCE).await.context("with the new password")?;
    }
    let marked = |path: &RoutePath| path.communities.iter().any(|community| community == "64512:100");
    paths(frr, &format!("{OPEN}/32"), |paths| {
        count(paths, nodes.len())?;
        ensure!(paths.iter().all(marked), "not all have the new community");
        Ok(())
    })
    .await?;
    policy_is_obeyed(bird, "64512:100").await?;
    let after = fabric::life(bird, &fabric::session(bird, &nodes[0]).await?)?;
    ensure!(before == after, "the session with BIRD was reset: {before}, {after}");
    with_bird(ground, &nodes[0]).await.map(drop)
}

/// FRR wants a password of all nodes, BIRD none and waits to be connected to. There is no Secret where it has to be, all nodes have one
/// identifier, and on the first one another daemon has the port.
async fn begin(ground: &Ground<'_>) -> Result<()> {
    let site = &ground.stage().site;
    let (frr, bird) = (site.router(1), site.router(2));
    let nodes = site.nodes();
    let conf = format!(
        "log stderr all;\nrouter id {id};\nprotocol device {{ }}\nprotocol bgp {{ local {id} port 179 as 64999; \
         neighbor 192.168.0.254 as 64998; passive on; ipv4 {{ import none; export none; }}; }}\n",
        id = nodes[0].ipv4()
    );
    let run = format!(
        "printf '{conf}' > {OTHER_DAEMON}.conf && /usr/sbin/bird -c {OTHER_DAEMON}.conf -s {OTHER_DAEMON}.ctl -P {OTHER_DAEMON}.pid"
    );
    nodes[0].exec(&["sh", "-c", &run]).await?;
    label(ground, &nodes[0], &[&format!("{EDGE}=yes")]).await?;

    let east = nodes.last().context("a node")?;
    let plain = |node: &Node| Neighbour { port: PORT, hold_time: HOLD_TIME, ..Neighbour::new(node.ipv4(), CLUSTER_AS) };
    // Whatever its rack.
    let signed = |node: &Node| Neighbour {
        password: Some("first".to_owned()),
        extra: if node.name() == east.name() { "remote-as external".to_owned() } else { String::new() },
        ..plain(node)
    };
    let waiting = |node: &Node| Neighbour {
        passive: true,
        asn: if node.name() == east.name() { EAST_AS } else { CLUSTER_AS },
        ..plain(node)
    };
    frr.start(nodes.iter().map(signed).fold(RouterConfig::new(ROUTERS_AS), RouterConfig::neighbour)).await?;
    bird.start(nodes.iter().map(waiting).fold(RouterConfig::new(ROUTERS_AS), RouterConfig::neighbour)).await?;

    conf_of_cluster(ground, json!({"listenPort": 179, "routerId": "192.0.2.1"})).await?;
    let timers = json!({"config": {"holdTime": HOLD_TIME.to_string(), "connectRetry": "1"}});
    let peer = |router: &Router, more: Value| {
        let mut spec = json!({"conf": {"peerAs": ROUTERS_AS, "neighborAddress": router.ipv4()}, "timers": timers});
        if let (Some(spec), Some(more)) = (spec.as_object_mut(), more.as_object()) {
            spec.extend(more.clone());
        }
        fabric::object(ground, "BgpPeer", &fabric::peer_name(ground, router), spec)
    };
    ground.apply(&peer(frr, json!({"passwordSecretRef": {"name": ground.name()}}))).await?;
    ground.apply(&peer(bird, json!({"nodeSelector": {"matchLabels": {EDGE: "yes"}}}))).await?;
    // Only ironlb's own namespace is looked into.
    ground.apply(&secret(ground, "first")).await?;

    pool(ground, "vips", &format!("{OPEN}-{HELD_BACK}"), json!({})).await?;
    ground.web(1).await?;
    for (name, vip) in [("open", OPEN), ("held-back", HELD_BACK)] {
        ground.apply(&crate::manifests::service(name, &ground.further("vips"), "")).await?;
        let served = ground.served(name).await?;
        ensure!(served.to_string() == vip, "{name} has {served}");
    }
    Ok(())
}

/// The missing Secret, the identifier that nodes share and the port that another has are named.
async fn amiss(ground: &Ground<'_>) -> Result<()> {
    let stage = ground.stage();
    let missing = format!("there is no Secret {} in namespace {}", ground.name(), release::NAMESPACE);
    told_of_peer(ground, stage.site.router(1), condition::ESTABLISHED, "False", &missing).await?;
    told_of_conf(ground, condition::READY, "False", "192.0.2.1").await?;
    let first = &stage.site.nodes()[0];
    wait_for(PATIENCE, "the Speaker to say why it does not listen", || async {
        let mut speakers = owner::speakers(stage).await?;
        let bgp = speakers.remove(first.name()).and_then(|status| status.bgp).unwrap_or_default();
        let listeners = bgp.listeners.unwrap_or_default();
        ensure!(
            listeners.iter().any(|listener| listener.port.is_none() && listener.message.is_some()),
            "{listeners:?}"
        );
        Ok(Some(()))
    })
    .await
}

/// Everything as it is to be; the policy has a key that is not served.
async fn mend(ground: &Ground<'_>) -> Result<()> {
    in_own_namespace(ground, &secret(ground, "first")).await?;
    in_own_namespace(ground, &policy(ground, "64512:99")).await?;
    let more = json!({"listenPort": PORT, "asPerRack": {"east": EAST_AS}, "policy": ground.name()});
    conf_of_cluster(ground, more).await
}

async fn is_well(ground: &Ground<'_>) -> Result<()> {
    let stage = ground.stage();
    told_of_conf(ground, condition::READY, "True", "").await?;
    told_of_conf(ground, condition::ACCEPTED, "True", "zebra").await?;
    told_of_peer(ground, stage.site.router(1), condition::ESTABLISHED, "True", "3 of 3").await?;
    wait_for(PATIENCE, &format!("every Speaker to say that it listens on port {PORT}"), || async {
        for (node, status) in owner::speakers(stage).await? {
            let listeners = status.bgp.unwrap_or_default().listeners.unwrap_or_default();
            ensure!(listeners.iter().any(|listener| listener.port == Some(PORT.into())), "{node}: {listeners:?}");
        }
        Ok(Some(()))
    })
    .await
}

/// The router has the one vip with this community and a MED, and not the other one.
async fn policy_is_obeyed(router: &Router, community: &str) -> Result<()> {
    paths(router, &format!("{OPEN}/32"), |paths| {
        ensure!(!paths.is_empty(), "no path");
        let is_marked = |path: &RoutePath| path.med == Some(7) && path.communities == [community];
        ensure!(paths.iter().all(is_marked), "not as the policy has it");
        Ok(())
    })
    .await?;
    paths(router, &format!("{HELD_BACK}/32"), |paths| count(paths, 0)).await.map(drop)
}

/// The router and the Secret get another password, the ConfigMap another community. Nothing else is touched.
async fn rotate(ground: &Ground<'_>) -> Result<()> {
    let site = &ground.stage().site;
    let frr = site.router(1);
    in_own_namespace(ground, &policy(ground, "64512:100")).await?;
    let passwords: String =
        site.nodes().iter().map(|node| format!("\nneighbor {} password second", node.ipv4())).collect();
    frr.order(&[&format!("configure terminal\nrouter bgp {ROUTERS_AS}{passwords}")]).await?;
    for node in site.nodes() {
        wait_for(PATIENCE, "FRR to end a session by the former password", || async {
            let sessions = frr.sessions().await?;
            let still = sessions.iter().find(|session| session.peer == node.ipv4() && session.is_established);
            ensure!(still.is_none(), "it goes on: {still:?}");
            Ok(Some(()))
        })
        .await?;
    }
    in_own_namespace(ground, &secret(ground, "second")).await
}

/// A label brings a session with BIRD, and takes it away; that of a rack changes the AS number.
async fn labels(ground: &Ground<'_>) -> Result<()> {
    let site = &ground.stage().site;
    let bird = site.router(2);
    let [_, middle, east] = site.nodes() else { anyhow::bail!("three nodes") };
    label(ground, middle, &[&format!("{EDGE}=yes")]).await?;
    label(ground, east, &[&format!("{EDGE}=yes"), &format!("{RACK}=east")]).await?;
    bird.established(middle.ipv4(), PATIENCE).await?;
    bird.established(east.ipv4(), PATIENCE).await.context("by the AS number of its rack")?;
    let by = |node: &Node, asn: u32| {
        let next_hop = node.ipv4();
        move |path: &RoutePath| path.next_hops.contains(&next_hop.into()) && path.as_path == [asn]
    };
    paths(bird, &format!("{OPEN}/32"), |paths| {
        ensure!(paths.iter().any(by(middle, CLUSTER_AS)), "none by {}", middle.name());
        ensure!(paths.iter().any(by(east, EAST_AS)), "none by {}", east.name());
        Ok(())
    })
    .await?;
    label(ground, middle, &[&format!("{EDGE}-")]).await?;
    paths(bird, &format!("{OPEN}/32"), |paths| {
        ensure!(!paths.iter().any(by(middle, CLUSTER_AS)), "still by {}", middle.name());
        count(paths, 2)
    })
    .await?;
    wait_for(PATIENCE, "the session of a node that is not selected any more to end", || async {
        let sessions = bird.sessions().await?;
        let session =
            sessions.into_iter().find(|session| session.peer == middle.ipv4()).context("no such neighbour")?;
        Ok((!session.is_established).then_some(()))
    })
    .await
}

/// What the node's Speaker shows of its session with BIRD.
async fn with_bird(ground: &Ground<'_>, node: &Node) -> Result<SpeakerSession> {
    let name = fabric::peer_name(ground, ground.stage().site.router(2));
    wait_for(PATIENCE, "the Speaker to show its session with BIRD", || async {
        let mut speakers = owner::speakers(ground.stage()).await?;
        let bgp = speakers.remove(node.name()).and_then(|status| status.bgp).unwrap_or_default();
        let session = bgp.sessions.unwrap_or_default().into_iter().find(|session| session.peer == name);
        Ok(session.filter(|session| session.established_time.is_some()))
    })
    .await
}

async fn told_of_peer(ground: &Ground<'_>, router: &Router, kind: &str, status: &str, message: &str) -> Result<()> {
    let (api, name): (Api<BgpPeer>, _) = (Api::all(ground.stage().site.client()), fabric::peer_name(ground, router));
    wait_for(PATIENCE, &format!("{kind} of BgpPeer {name} to be {status} and say {message}"), || async {
        says(api.get(&name).await?.status.and_then(|status| status.conditions), kind, status, message)
    })
    .await
}

async fn told_of_conf(ground: &Ground<'_>, kind: &str, status: &str, message: &str) -> Result<()> {
    let api: Api<BgpConf> = Api::all(ground.stage().site.client());
    wait_for(PATIENCE, &format!("{kind} of the BgpConf to be {status} and say {message}"), || async {
        says(api.get("default").await?.status.and_then(|status| status.conditions), kind, status, message)
    })
    .await
}

fn says(conditions: Option<Vec<Condition>>, kind: &str, status: &str, message: &str) -> Result<Option<()>> {
    let conditions = conditions.unwrap_or_default();
    let condition = conditions.into_iter().find(|condition| condition.type_ == kind).context("no such condition")?;
    ensure!(condition.status == status && condition.message.contains(message), "{condition:?}");
    Ok(Some(()))
}

async fn conf_of_cluster(ground: &Ground<'_>, mut more: Value) -> Result<()> {
    more["as"] = json!(CLUSTER_AS);
    ground.apply(&fabric::object(ground, "BgpConf", "default", more)).await.map(drop)
}

async fn label(ground: &Ground<'_>, node: &Node, labels: &[&str]) -> Result<()> {
    let command = [&["label", "--overwrite", "node", node.name()], labels].concat();
    ground.stage().site.kubectl(&command).await.map(drop)
}

fn secret(ground: &Ground<'_>, password: &str) -> String {
    let metadata = json!({"name": ground.name(), "labels": {LABEL: ground.name()}});
    json!({"apiVersion": "v1", "kind": "Secret", "metadata": metadata, "stringData": {"password": password}})
        .to_string()
}

fn policy(ground: &Ground<'_>, community: &str) -> String {
    let text = format!(
        r#"
[global.apply-policy.config]
export-policy-list = ["out"]
default-export-policy = "reject-route"

[[defined-sets.prefix-sets]]
prefix-set-name = "held-back"
[[defined-sets.prefix-sets.prefix-list]]
ip-prefix = "{HELD_BACK}/32"
masklength-range = "32..32"

[[policy-definitions]]
name = "out"
[[policy-definitions.statements]]
name = "not these"
[policy-definitions.statements.conditions.match-prefix-set]
prefix-set = "held-back"
[policy-definitions.statements.actions]
route-disposition = "reject-route"
[[policy-definitions.statements]]
name = "the others marked"
[policy-definitions.statements.actions]
route-disposition = "accept-route"
[policy-definitions.statements.actions.bgp-actions]
set-med = "7"
[policy-definitions.statements.actions.bgp-actions.set-community]
options = "add"
[policy-definitions.statements.actions.bgp-actions.set-community.set-community-method]
communities-list = ["{community}"]

[zebra.config]
enabled = true
"#
    );
    let metadata = json!({"name": ground.name(), "labels": {LABEL: ground.name()}});
    json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": metadata, "data": {"gobgp.conf": text}}).to_string()
}

/// Applies it where ironlb runs, and nowhere else looks.
async fn in_own_namespace(ground: &Ground<'_>, manifest: &str) -> Result<()> {
    let command = ["--namespace", release::NAMESPACE, "apply", "-f", "-"];
    ground.stage().site.kubectl_with(&command, manifest).await.map(drop)
}

/// Takes away what is not the scenario's namespace's.
async fn tidy(ground: &Ground<'_>) -> Result<()> {
    let site = &ground.stage().site;
    let ours = format!("{LABEL}={}", ground.name());
    site.kubectl(&["--namespace", release::NAMESPACE, "delete", "secrets,configmaps", "-l", &ours]).await?;
    site.kubectl(&["label", "nodes", "--all", &format!("{EDGE}-"), &format!("{RACK}-")]).await?;
    let kill = format!("test ! -e {OTHER_DAEMON}.pid || kill $(cat {OTHER_DAEMON}.pid)");
    site.nodes()[0].exec(&["sh", "-c", &kill]).await.map(drop)
}
