//! What a person is told who asks why: `kubectl ironlb explain`, by the real kubectl, out of the release's own binary.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, ensure};
use ironlb_api::names::condition;
use ironlb_lab::wait_for;
use serde_json::{Value, json};

use crate::ground::Ground;
use crate::manifests;
use crate::release;
use crate::runner::Scenario;
use crate::stage::PATIENCE;

/// A served Service, one that waits, one of somebody else's, one that is not there; and a user who may not read everything.
pub const SCENARIO: Scenario = Scenario {
    name: "explain",
    shows: "kubectl ironlb explain says whose a Service is, which Eips were asked and why not, its address, and why nobody announces it; kubectl ironlb status shows the whole",
    first_address: 200,
    run: |ground| Box::pin(run(ground)),
};

async fn run(ground: &Ground<'_>) -> Result<()> {
    let plugin = Plugin::unpack(ground).await?;
    ground.eip(1).await?;
    ground.service("held").await?;
    let vip = ground.served("held").await?.to_string();
    wait_for(PATIENCE, "what the speakers say of it", || async {
        let told = ground.condition("held", condition::ANNOUNCED, "False").await?;
        Ok((told.reason == "NoEndpoints").then_some(()))
    })
    .await?;
    ground.service("waits").await?;
    ground.condition("waits", condition::ADDRESS_ASSIGNED, "False").await?;
    // The status of the Eip is written after those of the Services, and `status` shows it.
    wait_for(PATIENCE, "the Eip to say that it is exhausted", || async {
        let conditions = ground.eip_status(ground.name()).await?.conditions.unwrap_or_default();
        Ok(conditions.iter().any(|told| told.type_ == "Exhausted" && told.status == "True").then_some(()))
    })
    .await?;
    ground.apply(&manifests::service("others", ground.name(), "loadBalancerClass: example.com/other")).await?;

    let (namespace, pool) = (ground.name(), ground.name());
    let held = plugin.explain(&[&format!("{namespace}/held")]).await?;
    says(
        &held,
        &[
            "ironlb's: annotation lb.kubesphere.io/v1alpha1 is openelb",
            "as Deployment ironlb-system/ironlb-controller runs",
            &format!("out of Eip {pool} (annotation eip.openelb.kubesphere.io/v1alpha2)"),
            &format!("{vip}, out of Eip {pool}, held"),
            "NoEndpoints: no node announces it",
            "endpoints: 0 of 0 ready",
        ],
    )?;
    let waits = plugin.explain(&["waits", "--namespace", namespace]).await?;
    says(&waits, &["it gets none: EipFull", &format!("1 of 1 in use in Eip {pool}"), "named", "1/1"])?;
    let others = plugin.explain(&[&format!("{namespace}/others")]).await?;
    says(
        &others,
        &["not ironlb's: its spec.loadBalancerClass is example.com/other, and ironlb serves ironlb.io/ironlb"],
    )?;

    let text = plugin.explain(&[&format!("{namespace}/waits"), "-o", "json"]).await?;
    let told: Value = serde_json::from_str(&text).with_context(|| text.clone())?;
    let eip = told["families"][0]["eips"].as_array().and_then(|eips| eips.iter().find(|eip| eip["name"] == pool));
    let eip = eip.with_context(|| format!("Eip {pool} is not told: {told:#}"))?;
    ensure!(eip["finding"] == "EipFull" && eip["used"] == 1 && eip["total"] == 1, "{eip:#}");
    ensure!(told["verdict"] == "Pending" && told["unmet"][0]["reason"] == "EipFull", "{told:#}");

    let missing = plugin.explain(&[&format!("{namespace}/missing")]).await;
    let said = missing.err().context("a Service that is not there was explained")?.to_string();
    says(&said, &[&format!("there is no Service {namespace}/missing"), &format!("{namespace}/held")])?;

    // A user who may read one namespace is told that Service, and which rights the rest would take.
    let viewer = plugin.viewer(ground).await?;
    let part = plugin.explain(&[&format!("{namespace}/held"), "--kubeconfig", &viewer]).await?;
    says(
        &part,
        &[
            "ironlb's: annotation lb.kubesphere.io/v1alpha1 is openelb",
            &format!("{vip}, as its status shows"),
            "you lack the right to list services in all namespaces",
            "you lack the right to list eips.network.kubesphere.io",
            "you lack the right to list speakers.ironlb.io",
        ],
    )?;
    ensure!(!part.contains("EipFull") && !part.contains("NoEip"), "it decides without knowing the Eips:\n{part}");
    status(ground, &plugin, &viewer).await?;
    view_shows_it(ground).await?;
    fs::remove_dir_all(&plugin.folder)?;
    Ok(())
}

/// The whole at a glance: who leads, what the speakers do, which Services wait.
async fn status(ground: &Ground<'_>, plugin: &Plugin<'_>, viewer: &str) -> Result<()> {
    let (namespace, pool) = (ground.name(), ground.name());
    let told = plugin.call(&["status"]).await?;
    says(
        &told,
        &[
            "Deployment ironlb-system/ironlb-controller: 2 of 2 replicas ready; ironlb-controller-",
            " leads, as its Lease says",
        ],
    )?;
    let line = |begins: &[&str]| {
        let is_it = |line: &&str| {
            line.split_whitespace().zip(begins).filter(|(word, want)| word == *want).count() == begins.len()
        };
        told.lines().find(is_it).with_context(|| format!("no line begins with {begins:?}:\n{told}"))
    };
    for node in ground.stage().site.nodes() {
        line(&[node.name(), "ready", "ready"])?;
    }
    ensure!(line(&[pool, "layer2", "1/1"])?.contains("Exhausted=True"), "{told}");
    let (waits, held) = (format!("{namespace}/waits"), format!("{namespace}/held"));
    ensure!(line(&[&waits, "EipFull"])?.contains("1 of 1 in use"), "{told}");
    line(&[&held, "NoEndpoints"])?;
    ensure!(!told.contains(&format!("{namespace}/others")), "a Service of another's is told:\n{told}");
    let page: Value = serde_json::from_str(&plugin.call(&["status", "-o", "json"]).await?)?;
    let lease = &page["controller"]["lease"];
    let is_fresh = lease["hasRunOut"] == false && lease["renewedSecondsAgo"].as_u64().is_some_and(|ago| ago < 60);
    ensure!(is_fresh && lease["lastsSeconds"] == 15, "the Lease of a leader that works: {lease}");
    let lacking = page["services"]["withoutAddress"].as_array().context("no list")?;
    ensure!(lacking.iter().any(|one| one["service"] == waits && one["reason"] == "EipFull"), "{page:#}");
    // Whoever may not read it all is told which rights that would take, and nothing is taken for absent.
    let part = plugin.call(&["status", "--kubeconfig", viewer]).await?;
    says(&part, &["Controller\n  not known", "you lack the right to list services in all namespaces"])?;
    ensure!(!part.contains("Eips\n"), "{part}");
    Ok(())
}

/// Who has the cluster's role `view` may read what is ironlb's, and change nothing of it.
async fn view_shows_it(ground: &Ground<'_>) -> Result<()> {
    ground.kubectl(&["create", "serviceaccount", "reader"]).await?;
    let (binding, account) = (ground.further("reader"), format!("--serviceaccount={}:reader", ground.name()));
    ground.kubectl(&["create", "clusterrolebinding", &binding, "--clusterrole=view", &account]).await?;
    let reader = format!("--as=system:serviceaccount:{}:reader", ground.name());
    let may =
        async |verb: &'static str, kind: &'static str| ground.kubectl(&["auth", "can-i", verb, kind, &reader]).await;
    // A binding counts once the API server's authorizer has seen it; then it counts for all kinds.
    let mut shown = wait_for(PATIENCE, "the binding to count", || async { may("list", "services").await.map(Some) })
        .await
        .map(drop);
    for kind in [
        "eips.network.kubesphere.io",
        "bgpconfs.network.kubesphere.io",
        "bgppeers.network.kubesphere.io",
        "speakers.ironlb.io",
    ] {
        // kubectl fails where the answer is no.
        shown = shown.and(may("list", kind).await.map(drop).with_context(|| format!("view does not list {kind}")));
        if may("delete", kind).await.is_ok() {
            shown = shown.and(Err(anyhow::anyhow!("view deletes {kind}")));
        }
    }
    ground.kubectl(&["delete", "clusterrolebinding", &binding]).await?;
    shown
}

fn says(said: &str, facts: &[&str]) -> Result<()> {
    for fact in facts {
        ensure!(said.contains(fact), "it does not say {fact:?}:\n{said}");
    }
    Ok(())
}

/// A folder with the plugin, as a user has one in PATH.
struct Plugin<'a> {
    ground: &'a Ground<'a>,
    folder: PathBuf,
}

impl<'a> Plugin<'a> {
    /// Takes the binary out of a running container: it is the image's.
    async fn unpack(ground: &'a Ground<'a>) -> Result<Self> {
        let folder = std::env::temp_dir().join(format!("{}-plugin-{}", ground.name(), std::process::id()));
        fs::create_dir_all(&folder)?;
        let node = ground.stage().site.node(1);
        let speaker = release::speaker_on(node).await?;
        let (program, link) = (folder.join("ironlb"), folder.join("kubectl-ironlb"));
        fs::copy(format!("/proc/{}/exe", speaker.lab_pid), &program).context("the speaker's program")?;
        if !link.exists() {
            symlink(&program, &link)?;
        }
        Ok(Self { ground, folder })
    }

    /// `kubectl ironlb explain service ...`
    async fn explain(&self, arguments: &[&str]) -> Result<String> {
        self.call(&[["explain", "service"].as_slice(), arguments].concat()).await
    }

    /// `kubectl ironlb ...`
    async fn call(&self, arguments: &[&str]) -> Result<String> {
        let command = [["ironlb"].as_slice(), arguments].concat();
        self.ground.stage().site.kubectl_with_plugins(&self.folder, &command).await
    }

    /// The kubeconfig of a user who may read what is in the namespace and nothing else.
    async fn viewer(&self, ground: &Ground<'_>) -> Result<String> {
        ground.kubectl(&["create", "serviceaccount", "viewer"]).await?;
        let account = format!("--serviceaccount={}:viewer", ground.name());
        ground.kubectl(&["create", "rolebinding", "viewer", "--clusterrole=view", &account]).await?;
        let viewer = format!("--as=system:serviceaccount:{}:viewer", ground.name());
        wait_for(PATIENCE, "the binding of the viewer to count", || async {
            ground.kubectl(&["auth", "can-i", "get", "services", &viewer]).await.map(Some)
        })
        .await?;
        let token = ground.kubectl(&["create", "token", "viewer"]).await?;
        let config = ground.kubectl(&["config", "view", "--raw", "--minify", "--flatten", "-o", "json"]).await?;
        let mut config: Value = serde_json::from_str(&config)?;
        config["users"][0]["user"] = json!({"token": token.trim()});
        let path = self.folder.join("viewer.json");
        fs::write(&path, config.to_string())?;
        Ok(text(&path)?.to_owned())
    }
}

fn text(path: &Path) -> Result<&str> {
    path.to_str().context("a path that is not text")
}
