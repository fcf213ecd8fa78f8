//! A cluster as OpenELB 0.5 and 0.6 leave it, and ironlb installed into it.

use std::collections::BTreeMap;
use std::net::Ipv4Addr;
use std::path::PathBuf;
use std::time::Instant;

use anyhow::{Context, Result, bail, ensure};
use ironlb_api::Eip;
use ironlb_lab::arp::Asking;
use ironlb_lab::wait_for;
use kube::ResourceExt;
use kube::api::{Api, ListParams};

use crate::ground::{Ground, SCENARIO as LABEL};
use crate::ledger::Ledger;
use crate::page::Page;
use crate::release::{self, NAMESPACE, RELEASE, checkout};
use crate::row::{self, Row, row};
use crate::runner::Scenario;
use crate::stage::PATIENCE;
use crate::{owner, web};

/// On a cluster without ironlb.
pub const SCENARIO: Scenario = Scenario {
    name: "take-over",
    shows: "beside OpenELB ironlb changes and answers nothing and says what to remove; then it takes everything over and no address changes, by the commands of the guide",
    first_address: 91,
    run: |ground| Box::pin(run(ground)),
};

/// The namespace of OpenELB's workloads.
const THEIRS: &str = "load-balancers";

/// The kinds that OpenELB sets finalizers on.
const KINDS: &str = "eips.network.kubesphere.io,bgpconfs.network.kubesphere.io,bgppeers.network.kubesphere.io";

/// Vips of Layer 2, of both versions.
const VIPS: [u8; 7] = [91, 92, 93, 101, 102, 104, 106];

async fn run(ground: &Ground<'_>) -> Result<()> {
    let site = &ground.stage().site;
    leave_state(ground).await?;
    let ledger = Ledger::open(ground).await?;
    let before = versions(ground).await?;

    release::install(ground.stage()).await?;
    let told = told(ground, |text| text.contains("openelb-manager")).await?;
    for what in [
        "DaemonSet load-balancers/openelb-keepalive-vip",
        "DaemonSet load-balancers/openelb-speaker",
        "Deployment load-balancers/openelb-controller",
        "Deployment load-balancers/openelb-manager",
        "MutatingWebhookConfiguration openelb-admission",
        "ValidatingWebhookConfiguration openelb-admission",
    ] {
        ensure!(told.contains(what), "{what} is not to be removed: {told}");
    }
    observes(ground, &before).await?;

    let guide = Guide::open(ground)?;
    guide.looks_first().await?;
    guide.sees_both().await?;

    // The speakers last: one of OpenELB's objects is as good as all.
    let removal: Vec<&str> = guide.page.shell_behind("the speakers, which answer, last:")?.lines().collect();
    let [webhooks, deployments, speakers] = removal[..] else { bail!("not three commands: {removal:#?}") };
    guide.run(webhooks).await?;
    guide.run(deployments).await?;
    site.kubectl(&["--namespace", THEIRS, "delete", "daemonset", "openelb-keepalive-vip"]).await?;
    self::told(ground, |text| text.contains("remove DaemonSet load-balancers/openelb-speaker (")).await?;
    observes(ground, &before).await?;
    guide.run(speakers).await?;

    let removed = Instant::now();
    owner::answered(ground.stage(), vip(91), PATIENCE).await?;
    println!("    the first answer {:.1?} after the last of OpenELB was removed", removed.elapsed());
    taken_over(ground, &ledger).await?;
    println!("    all taken over after {:.1?}", removed.elapsed());
    guide.sees_that_it_is_done().await?;
    nothing_blocks(ground, &ledger).await?;
    guide.tidies_up().await
}

/// docs/migration-from-openelb.md, its commands run as they stand there but for the namespace, which is the user's choice.
struct Guide<'a> {
    page: Page,
    ground: &'a Ground<'a>,
    folder: PathBuf,
}

impl Drop for Guide<'_> {
    fn drop(&mut self) {
        // What is left is in the system's folder for such things.
        let _ = std::fs::remove_dir_all(&self.folder);
    }
}

impl<'a> Guide<'a> {
    fn open(ground: &'a Ground<'a>) -> Result<Self> {
        let folder = std::env::temp_dir().join(format!("{}-{}", ground.name(), std::process::id()));
        std::fs::create_dir_all(&folder)?;
        Ok(Self { page: Page::read("docs/migration-from-openelb.md")?, ground, folder })
    }

    async fn run(&self, commands: &str) -> Result<String> {
        let commands = commands.replace("openelb-system", THEIRS);
        self.ground.stage().site.shell(&self.folder, &commands).await
    }

    /// Runs the commands behind a text of the page; what they print must hold all of these.
    async fn shows(&self, behind: &str, facts: &[&str]) -> Result<String> {
        let printed = self.run(self.page.shell_behind(behind)?).await?;
        for fact in facts {
            ensure!(printed.contains(fact), "behind {behind:?}, {fact:?} is not shown:\n{printed}");
        }
        Ok(printed)
    }

    /// Section 1: the copies, the protocols, and what each Service asks for.
    async fn looks_first(&self) -> Result<()> {
        self.shows("Keep a copy of everything:", &[]).await?;
        for (file, holds) in [("pools.yaml", "192.168.0.91-192.168.0.97"), ("services.yaml", "ip: 192.168.0.91")] {
            let text = std::fs::read_to_string(self.folder.join(file)).context(file)?;
            ensure!(text.contains(holds), "{file} does not hold {holds}");
        }
        let columns = |line: &str| line.split_whitespace().map(str::to_owned).collect::<Vec<_>>();
        let pools = self.shows("Which protocols do your pools have?", &[]).await?;
        let has = |table: &str, wanted: &[&str]| table.lines().any(|line| columns(line) == wanted);
        ensure!(has(&pools, &["six-layer2", "layer2", "192.168.0.91-192.168.0.97", "<none>"]), "{pools}");
        ensure!(has(&pools, &["six-bgp", "<none>", "198.51.100.0/29", "<none>"]), "{pools}");
        let services = self.shows("Which Services does OpenELB serve", &[]).await?;
        let plain = [self.ground.name(), "six-plain", "192.168.0.91", "six-layer2", "openelb", "<none>", "<none>"];
        ensure!(has(&services, &plain), "{services}");
        let named = |name: &str| services.lines().find(|line| columns(line).get(1).is_some_and(|word| word == name));
        let unannotated = named("six-unannotated").map(columns).with_context(|| services.clone())?;
        ensure!(unannotated.get(4).is_some_and(|word| word != "openelb"), "{unannotated:?}");
        let node_proxy = named("six-node-proxy").map(columns).with_context(|| services.clone())?;
        ensure!(node_proxy.last().is_some_and(|word| word != "<none>"), "{node_proxy:?}");
        Ok(())
    }

    /// Section 2: how it is installed, what is told while both are there, and where a policy goes.
    async fn sees_both(&self) -> Result<()> {
        let install = self.page.shell_behind("## 2. Install ironlb")?.trim();
        let wanted = format!("helm install {RELEASE} charts/ironlb --namespace {NAMESPACE} --create-namespace");
        ensure!(install == wanted, "the page installs by {install:?}, and the scenarios by {wanted:?}");
        let behind = "ironlb says what, and does nothing else:";
        let told = self.shows(behind, &["OpenElbRunning", "WITHHELD"]).await?;
        let withheld = told.lines().skip_while(|line| !line.contains("WITHHELD")).skip(1);
        ensure!(withheld.clone().count() == self.ground.stage().site.nodes().len(), "{told}");

        let behind = "Does the BgpConf name a policy";
        let given = self.page.shell_behind(behind)?.replace("NAME", "our-policy");
        self.run("kubectl -n openelb-system create configmap our-policy --from-literal=gobgp.conf='# none'").await?;
        self.run(&given).await?;
        let moved = self.run(&format!("kubectl -n {NAMESPACE} get configmap our-policy -o yaml")).await?;
        ensure!(moved.contains("# none"), "{moved}");
        self.run(&format!("kubectl -n {NAMESPACE} delete configmap our-policy")).await.map(drop)
    }

    /// Section 4.
    async fn sees_that_it_is_done(&self) -> Result<()> {
        let facts = ["TakenOver", "six-layer2", "six-plain", "WITHHELD"];
        self.shows("## 4. See that it is done", &facts).await.map(drop)
    }

    /// What is left of OpenELB.
    async fn tidies_up(&self) -> Result<()> {
        self.shows("At last, what is left of OpenELB:", &[]).await?;
        let left = self.ground.stage().site.kubectl(&["get", "namespaces", "-o=name"]).await?;
        ensure!(!left.contains(THEIRS), "{left}");
        Ok(())
    }
}

/// Makes the cluster look as OpenELB leaves it.
async fn leave_state(ground: &Ground<'_>) -> Result<()> {
    let site = &ground.stage().site;
    site.apply(&fixture("crds.yaml")?).await?;
    site.kubectl(&["wait", "--for=condition=Established", "crd", "--all", "--timeout=30s"]).await?;
    wait_for(PATIENCE, "the older version of the Eip to be served", || async {
        site.apply(&fixture("eip-v1alpha1.yaml")?).await.map(Some)
    })
    .await?;
    for version in ["0.5", "0.6"] {
        let state = fixture(&format!("state-{version}.yaml"))?;
        site.apply(&state).await?;
        site.kubectl_with(&["replace", "--subresource=status", "-f", "-"], &with_status(&state)).await?;
    }
    site.kubectl(&["label", KINDS, "--all", &format!("{LABEL}={}", ground.name())]).await?;
    ground.kubectl(&["delete", "service", "six-deleted", "--wait=false"]).await?;
    site.kubectl(&["delete", "eip", "six-leaving", "--wait=false"]).await?;
    ground.web(1).await?;
    // Last, because OpenELB's webhooks refuse every Service and Eip once nobody answers for them.
    site.apply(&fixture("workloads.yaml")?).await?;
    let speakers = ["--namespace", THEIRS, "rollout", "status", "daemonset/openelb-speaker", "--timeout=60s"];
    site.kubectl(&speakers).await.map(drop)
}

fn fixture(name: &str) -> Result<String> {
    let file = checkout("tests/e2e/fixtures/openelb").join(name);
    std::fs::read_to_string(&file).with_context(|| file.display().to_string())
}

/// The documents that have a status.
fn with_status(manifests: &str) -> String {
    manifests.split("\n---\n").filter(|document| document.contains("\nstatus:")).collect::<Vec<_>>().join("\n---\n")
}

/// ironlb observes and does nothing else: no object has changed, no address is answered, and the speakers say why.
async fn observes(ground: &Ground<'_>, before: &BTreeMap<String, String>) -> Result<()> {
    for last in VIPS {
        let asking = Asking { requests: 5, ..Asking::default() };
        let answers = owner::ask(ground.stage(), vip(last), asking).await?.by_mac();
        ensure!(answers.is_empty(), "{} is answered beside OpenELB, by {answers:?}", vip(last));
    }
    wait_for(PATIENCE, "a speaker to say why it does not answer", || async {
        let speakers = owner::speakers(ground.stage()).await?;
        let withheld = speakers.values().filter_map(|status| status.withheld.as_ref()).flatten();
        let reasons: Vec<_> = withheld.filter_map(|withheld| withheld.reason.as_deref()).collect();
        Ok(reasons.contains(&"OpenElbRunning").then_some(()))
    })
    .await?;
    let now = versions(ground).await?;
    ensure!(now == *before, "objects were written beside OpenELB: {before:?} became {now:?}");
    Ok(())
}

/// The version of every object that is OpenELB's to write.
async fn versions(ground: &Ground<'_>) -> Result<BTreeMap<String, String>> {
    let kinds = format!("services,{KINDS}");
    let path = "jsonpath={range .items[*]}{.kind}/{.metadata.name} {.metadata.resourceVersion}{\"\\n\"}{end}";
    let shown = ground.kubectl(&["get", &kinds, "-o", path]).await?;
    let lines = shown.lines().filter_map(|line| line.split_once(' '));
    Ok(lines.map(|(object, version)| (object.to_owned(), version.to_owned())).collect())
}

/// Waits until an Event on an Eip says that OpenELB is still there, in words that fit; gives them.
async fn told(ground: &Ground<'_>, fits: impl Fn(&str) -> bool) -> Result<String> {
    events(ground, "six-layer2", "OpenElbRunning", fits).await
}

async fn events(ground: &Ground<'_>, eip: &str, reason: &str, fits: impl Fn(&str) -> bool) -> Result<String> {
    let fields = format!("--field-selector=involvedObject.kind=Eip,involvedObject.name={eip},reason={reason}");
    let path = "jsonpath={range .items[*]}{.message}{\"\\n\"}{end}";
    wait_for(PATIENCE, &format!("an Event {reason} on Eip {eip}"), || async {
        let notes = ground.stage().site.kubectl(&["get", "events", "--namespace=default", &fields, "-o", path]).await?;
        let fitting = notes.lines().find(|note| fits(note)).map(str::to_owned);
        fitting.map(Some).with_context(|| format!("told are:\n{notes}"))
    })
    .await
}

/// What becomes of each Service.
fn rows() -> Vec<Row> {
    vec![
        row("six-plain").gets("192.168.0.91"),
        row("six-first").gets("192.168.0.92"),
        row("six-second").has("192.168.0.92", "Shared", &["take-over/six-first"]),
        row("six-lost").gets("192.168.0.93"),
        row("six-clash-a").has("192.168.0.95", "SharedClash", &["take-over/six-clash-b", "80/TCP"]),
        row("six-clash-b").has("192.168.0.95", "SharedClash", &["take-over/six-clash-a", "80/TCP"]),
        row("six-bgp").gets("198.51.100.0"),
        row("six-full").gets("198.51.100.77"),
        row("six-disabled").gets("198.51.100.80"),
        row("six-v6").gets("2001:db8:6::"),
        row("six-leaving").has("198.51.100.90", "PoolMissing", &[]),
        row("six-poolless").has("198.51.100.200", "PoolMissing", &[]),
        row("six-orphan").waits("EipNotFound", &["six-no-more"]),
        row("six-node-proxy").waits("EipNotFound", &["six-no-more"]),
        row("six-unannotated").is_released(),
        row("six-internal").is_released(),
        row("five-plain").gets("192.168.0.101"),
        row("five-two-wishes").has("192.168.0.102", "HeldByOlderRule", &["192.168.0.103"]),
        row("five-named").gets("192.168.0.104"),
        row("five-old").gets("192.168.0.106"),
    ]
}

/// `used` of each Eip, to the letter.
const USED: [(&str, &[(&str, &str)]); 7] = [
    (
        "six-layer2",
        &[
            ("192.168.0.91", "take-over/six-plain"),
            ("192.168.0.92", "take-over/six-first;take-over/six-second"),
            ("192.168.0.93", "take-over/six-lost"),
            ("192.168.0.95", "take-over/six-clash-a;take-over/six-clash-b"),
        ],
    ),
    ("six-bgp", &[("198.51.100.0", "take-over/six-bgp")]),
    ("six-full", &[("198.51.100.77", "take-over/six-full")]),
    ("six-disabled", &[("198.51.100.80", "take-over/six-disabled")]),
    ("six-v6", &[("2001:db8:6::", "take-over/six-v6")]),
    (
        "five-layer2",
        &[
            ("192.168.0.101", "take-over/five-plain"),
            ("192.168.0.102", "take-over/five-two-wishes"),
            ("192.168.0.104", "take-over/five-named"),
        ],
    ),
    ("five-old", &[("192.168.0.106", "take-over/five-old")]),
];

/// Everything is ironlb's, and no address has changed on the way.
async fn taken_over(ground: &Ground<'_>, ledger: &Ledger) -> Result<()> {
    row::come_true(ground, &rows()).await?;
    wait_for(PATIENCE, "every finalizer of OpenELB's to go", || async {
        let left = finalizers(ground).await?;
        ensure!(left.is_empty(), "finalizers are left: {left:?}");
        Ok(Some(()))
    })
    .await?;
    let eips = Api::<Eip>::all(ground.stage().site.client()).list(&ListParams::default()).await?;
    let eips: Vec<String> = eips.iter().map(ResourceExt::name_any).collect();
    ensure!(eips.len() == USED.len() && !eips.contains(&"six-leaving".to_owned()), "Eips are {eips:?}");
    for (eip, used) in USED {
        let wanted: BTreeMap<String, String> =
            used.iter().map(|(address, holders)| ((*address).to_owned(), (*holders).to_owned())).collect();
        wait_for(PATIENCE, &format!("Eip {eip} to show who holds what"), || async {
            let status = ground.eip_status(eip).await?;
            let shown = status.used.clone().unwrap_or_default();
            ensure!(shown == wanted, "it shows {shown:?}");
            ensure!(status.usage == Some(i64::try_from(wanted.len())?), "usage is {:?}", status.usage);
            Ok(Some(()))
        })
        .await?;
    }
    events(ground, "six-layer2", "TakenOver", |text| text.starts_with("taken over from OpenELB with ")).await?;
    // What was written through the older version is there in both.
    let old =
        ["get", "eips.v1alpha1.network.kubesphere.io", "five-old", "-o", "jsonpath={.spec.address} {.status.usage}"];
    let shown = ground.stage().site.kubectl(&old).await?;
    ensure!(shown == "192.168.0.105-192.168.0.106 1", "through v1alpha1 it is {shown}");

    for last in VIPS {
        owner::answered(ground.stage(), vip(last), PATIENCE).await?;
    }
    owner::of(ground.stage(), vip(91)).await?;
    owner::of(ground.stage(), vip(101)).await?;
    web::answers_come_from_all(ground, vip(91), 1).await?;

    // The one that nobody had asked to be served: what OpenELB left on it has gone.
    ground.kubectl(&["delete", "service", "six-unannotated", "--timeout=10s"]).await?;
    ledger.nobody_moved().await
}

/// Each object that still has a finalizer.
async fn finalizers(ground: &Ground<'_>) -> Result<Vec<String>> {
    let kinds = format!("services,{KINDS}");
    let path = "jsonpath={range .items[*]}{.kind}/{.metadata.name} {.metadata.finalizers}{\"\\n\"}{end}";
    let shown = ground.kubectl(&["get", &kinds, "-o", path]).await?;
    Ok(shown.lines().map(str::trim_end).filter(|line| line.contains(' ')).map(str::to_owned).collect())
}

/// What OpenELB once held can be deleted, and its address is free then. A wish that was overruled counts as soon as it is the only one.
async fn nothing_blocks(ground: &Ground<'_>, ledger: &Ledger) -> Result<()> {
    let gone = ledger.states("six-plain", 0).await?;
    ensure!(!gone.is_empty(), "the ledger saw nothing");
    let patch =
        ["patch", "service", "five-two-wishes", "--type=merge", "--patch", r#"{"spec":{"loadBalancerIP":null}}"#];
    ground.kubectl(&patch).await?;
    row::come_true(ground, &[row("five-two-wishes").gets("192.168.0.103")]).await?;
    ground.kubectl(&["delete", "services", "--all", "--timeout=20s"]).await?;
    for (eip, _) in USED {
        ground.eip_shows(eip, &[]).await?;
    }
    let site = &ground.stage().site;
    site.kubectl(&["delete", KINDS, "--all", "--timeout=20s"]).await.map(drop)
}

/// The fixtures' addresses are in the site's LAN.
fn vip(last: u8) -> Ipv4Addr {
    Ipv4Addr::new(192, 168, 0, last)
}
