//! `make demo`: a site on this machine, ironlb on it, and what it does, step by step. Every figure is read from the running site.
//!
//! `demo` shows it and takes all down. With `KEEP=1` it leaves the site up and says how to use it: `demo kubectl ...` and
//! `demo exec HOST ...` work inside such a site, `demo down` takes it down.

mod bgp;

use std::collections::BTreeMap;
use std::net::Ipv4Addr;
use std::path::Path;
use std::process::ExitCode;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use ironlb_api::names::condition;
use ironlb_e2e::console::Console;
use ironlb_e2e::ground::Ground;
use ironlb_e2e::release::{self, NAMESPACE, checkout};
use ironlb_e2e::stage::{ASKER, CLIENT, PATIENCE, Stage};
use ironlb_e2e::{evidence, failover, handover, manifests, owner, web};
use ironlb_lab::arp::Asking;
use ironlb_lab::capsule::State;
use ironlb_lab::{Capsule, Lifetime, Node, SiteSpec, Software, capsule, visit, wait_for};
use k8s_openapi::api::coordination::v1::Lease;
use kube::api::Api;

/// The pool of `examples/layer2/eip.yaml`.
const EIP: &str = "layer2-pool";
/// How many connections are counted by pod.
const CONNECTIONS: usize = 100;

fn main() -> Result<ExitCode> {
    // Before anything else: the nodes of the site start from this executable too.
    capsule::play_role()?;
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let words: Vec<&str> = arguments.iter().map(String::as_str).collect();
    match words.as_slice() {
        [] => show(),
        ["down"] => down(),
        ["kubectl", ..] => within(|| visit::kubectl(&arguments[1..])),
        ["exec", host, _, ..] => within(|| visit::on_host(host, &arguments[2..])),
        _ => {
            anyhow::bail!("usage: demo [down | kubectl ARGUMENTS... | exec HOST COMMAND...]; KEEP=1 leaves the site up")
        }
    }
}

/// Does `work` inside the site that was kept.
fn within(work: impl FnOnce() -> Result<ExitCode>) -> Result<ExitCode> {
    if capsule::is_inside() {
        return work();
    }
    Ok(visit::exit_code(State::choose(None)?.run_again_inside()?))
}

fn down() -> Result<ExitCode> {
    let site = State::choose(None)?;
    site.end(PATIENCE)?;
    println!("{} is down", site.id);
    Ok(ExitCode::SUCCESS)
}

fn show() -> Result<ExitCode> {
    let keep = std::env::var_os("KEEP").is_some_and(|value| value == "1");
    let capsule = capsule::enter(if keep { Lifetime::UntilTakenDown } else { Lifetime::OfTheCommand })?;
    let runtime = tokio::runtime::Runtime::new().context("a runtime")?;
    runtime.block_on(async {
        let mut console = Console::stdout();
        let stage = site(&mut console, &capsule).await?;
        if let Err(error) = on_site(&mut console, &stage).await {
            evidence::print(&stage, Some("default")).await;
            console.fault(&format!("{error:#}"));
            return Ok(ExitCode::FAILURE);
        }
        if keep {
            kept(&mut console, &capsule)?;
        } else {
            console.step("Everything is taken down");
            let (outcome, took) = console.waiting("taking the site down", stage.site.down()).await;
            outcome?;
            console.fact(&format!("nothing is left of it, after {:.1} s", took.as_secs_f64()));
        }
        Ok(ExitCode::SUCCESS)
    })
}

/// The site, without ironlb.
async fn site(console: &mut Console, capsule: &Capsule) -> Result<Stage> {
    console.step("A site on this machine");
    console.say("Three nodes, two clients and two routers on one LAN, in network namespaces; behind each router a client of its own.");
    console.say("On the nodes a real Kubernetes: etcd, API server,");
    console.say("controller manager and scheduler; kubelet, containerd and kube-proxy (nftables) on each.");
    // In the site's own folder, which goes with it.
    let records = Path::new(capsule::SITE_FOLDER).join("demo");
    let routers = |spec: SiteSpec| spec.router_with_client(Software::Frr).router_with_client(Software::Frr);
    let mut spec = routers(SiteSpec::new(3).clients(2));
    spec.progress = false;
    let (stage, took) = console.waiting("bringing the site up", Stage::bare(capsule, spec, &[], &records)).await;
    let stage = stage?;
    for (step, after) in stage.site.timings() {
        console.fact(&format!("{:4.1} s  {step}", after.as_secs_f64()));
    }
    console.say(&format!("up after {:.1} s", took.as_secs_f64()));
    kubectl(console, &stage, &["get", "nodes", "-o", "wide"]).await?;
    Ok(stage)
}

async fn on_site(console: &mut Console, stage: &Stage) -> Result<()> {
    let ground = Ground::at(stage, "default", 91);
    installed(console, stage).await?;
    let vip = served(console, &ground).await?;
    answered(console, stage, vip).await?;
    spread(console, &ground, vip).await?;
    wished(console, &ground).await?;
    refused(console, &ground).await?;
    fails_over(console, &ground, vip).await?;
    freed(console, &ground, vip).await?;
    bgp::show(console, &ground).await
}

async fn installed(console: &mut Console, stage: &Stage) -> Result<()> {
    console.step("ironlb, by Helm");
    console
        .say("One image with one static binary; a controller (two replicas, one leads) and a speaker on every node.");
    let (done, took) = console.waiting("helm install ironlb charts/ironlb", release::install(stage)).await;
    done?;
    console.fact(&format!("every pod is ready and every speaker hears the others, after {:.1} s", took.as_secs_f64()));
    kubectl(console, stage, &["--namespace", NAMESPACE, "get", "pods", "-o", "wide"]).await
}

async fn served(console: &mut Console, ground: &Ground<'_>) -> Result<Ipv4Addr> {
    console.step("A pool, and a Service that takes an address of it");
    console.say(
        "OpenELB's quick start, as it stands in examples/: a pool of ten addresses of the LAN, two pods, a Service.",
    );
    for file in ["layer2/eip.yaml", "web.yaml", "layer2/service.yaml"] {
        let said = ground.apply_example(&checkout("examples").join(file)).await?;
        console.command(&format!("kubectl apply -f examples/{file}"), &said);
    }
    let (vip, took) = console.waiting("the Service's address", ground.served("web")).await;
    let vip = vip?;
    console.fact(&format!("web has {vip}, {} ms after it was asked for", took.as_millis()));
    ground.eip_shows(EIP, &[(vip, "web")]).await?;
    kubectl(console, ground.stage(), &["get", "service", "web"]).await?;
    kubectl(console, ground.stage(), &["get", "eip"]).await?;
    Ok(vip)
}

async fn answered(console: &mut Console, stage: &Stage, vip: Ipv4Addr) -> Result<()> {
    console.step("One node answers for it");
    console.say("A client asks the whole LAN by ARP, 20 times, and hears every answer.");
    let (node, _) = console.waiting("the first answer", owner::of(stage, vip)).await;
    let node = node?;
    let answers = owner::ask(stage, vip, Asking::default()).await?;
    let latency: Vec<Duration> = answers.by_request.iter().flatten().map(|answer| answer.after).collect();
    for (mac, count) in answers.by_mac() {
        console.fact(&format!(
            "{count} of {} requests answered by {mac}, which is {}",
            answers.requests(),
            node.name()
        ));
    }
    if let (Some(least), Some(most)) = (latency.iter().min(), latency.iter().max()) {
        console.fact(&format!("in {} to {} \u{b5}s", least.as_micros(), most.as_micros()));
    }
    console.say("The speakers say who owns what:");
    owner::reported_as(stage, vip, node).await?;
    kubectl(console, stage, &["get", "speakers"]).await
}

async fn spread(console: &mut Console, ground: &Ground<'_>, vip: Ipv4Addr) -> Result<()> {
    console.step("Behind it kube-proxy, and all ready pods");
    ground.rolled_out().await?;
    for pods in [2, 3] {
        if pods == 3 {
            let said = ground.kubectl(&["scale", "deployment", "web", "--replicas=3"]).await?;
            console.command("kubectl scale deployment web --replicas=3", &said);
        }
        let (come, _) = console.waiting("answers from every pod", web::answers_come_from_all(ground, vip, pods)).await;
        come?;
        let report = web::attempts(ground.stage(), "demo-pods", vip, CONNECTIONS).await?;
        console.say(&format!(
            "{} connections from {CLIENT} to http://{vip}/, {} answered:",
            report.attempts.len(),
            report.ok()
        ));
        let nodes = web::ready_pods(ground).await?;
        for (pod, count) in report.by_pod() {
            console.fact(&format!("{count:4} by {pod} on {}", nodes.get(&pod).map_or("?", String::as_str)));
        }
    }
    Ok(())
}

async fn wished(console: &mut Console, ground: &Ground<'_>) -> Result<()> {
    console.step("A Service that wishes for an address");
    console.say("spec.loadBalancerIP: 192.168.0.100");
    let file = "layer2/service-fixed-address.yaml";
    let said = ground.apply_example(&checkout("examples").join(file)).await?;
    console.command(&format!("kubectl apply -f examples/{file}"), &said);
    let vip = ground.served("web-fixed").await?;
    let node = owner::of(ground.stage(), vip).await?;
    console.fact(&format!("web-fixed has {vip}, answered by {}", node.name()));
    kubectl(console, ground.stage(), &["get", "eip"]).await
}

async fn refused(console: &mut Console, ground: &Ground<'_>) -> Result<()> {
    console.step("A Service that cannot be served says why");
    console.say("It names a pool that is not there.");
    ground.apply(&manifests::service("web-nowhere", "nowhere", "")).await?;
    let told = ground.condition("web-nowhere", condition::ADDRESS_ASSIGNED, "False").await?;
    kubectl(console, ground.stage(), &["get", "service", "web-nowhere"]).await?;
    console.fact(&format!("{} is {}: {}", told.type_, told.status, told.reason));
    console.fact(&told.message);
    ground.kubectl(&["delete", "service", "web-nowhere"]).await.map(drop)
}

async fn fails_over(console: &mut Console, ground: &Ground<'_>, vip: Ipv4Addr) -> Result<()> {
    console.step("The owner's power is cut");
    let stage = ground.stage();
    let doomed = owner::of(stage, vip).await?;
    let survivor = stage.site.nodes().iter().find(|node| node.name() != doomed.name()).context("one node only")?;
    console.say(&format!(
        "{CLIENT} connects 100 times a second. The pods are moved to {}, so that only the owner is lost.",
        survivor.name()
    ));
    console.waiting("moving the pods", ground.web_on(survivor.name())).await.0?;
    let measured = failover::cut_power_of_owner(stage, vip, "demo-failover");
    let (cut, _) = console.waiting(&format!("power cut on {}", doomed.name()), measured).await;
    let cut = cut?;
    let (old, new) = (owner::mac_of(cut.from)?, owner::mac_of(cut.to)?);
    console.fact(&format!("{} had {vip}, {} has it now", cut.from.name(), cut.to.name()));
    console.fact(&format!("{} ms after the cut {} told the LAN", cut.taken_over_after.as_millis(), cut.to.name()));
    let (all, failed) = (cut.report.attempts.len(), cut.report.failed());
    console.fact(&format!(
        "outage for the client: {} ms ({failed} of {all} connections failed)",
        cut.outage().as_millis()
    ));
    let leases: Api<Lease> = Api::namespaced(stage.site.client(), NAMESPACE);
    let lease = leases.get(&format!("ironlb-speaker-{}", doomed.name())).await?;
    let expiry = lease.spec.and_then(|spec| spec.lease_duration_seconds).context("a Lease without a duration")?;
    console.say(&format!(
        "The speakers judge each other by Leases: one that is not renewed for {expiry} s counts as dead."
    ));
    handover::check_turns(&cut.recording, vip, &[old, new])?;
    console.fact(&format!("on the wire first {old}, then {new}, and never both"));
    console.say(&format!("The speakers' own words; {}'s are the last it could say:", cut.from.name()));
    kubectl(console, stage, &["get", "speakers", "-o", "wide"]).await?;
    power_back(console, stage, vip, cut.from, cut.to).await
}

async fn power_back(console: &mut Console, stage: &Stage, vip: Ipv4Addr, back: &Node, holder: &Node) -> Result<()> {
    console.step(&format!("{} gets its power back", back.name()));
    let before = incarnations(stage).await?;
    back.power_on().await?;
    let returned = async {
        wait_for(PATIENCE, &format!("a new speaker on {}", back.name()), || async {
            Ok((incarnations(stage).await?.get(back.name()) != before.get(back.name())).then_some(()))
        })
        .await?;
        release::all_well(stage, PATIENCE).await
    };
    let (done, took) = console.waiting(&format!("{} starts", back.name()), returned).await;
    done?;
    let now = owner::of(stage, vip).await?;
    ensure!(now.name() == holder.name(), "{vip} moved to {}", now.name());
    console.fact(&format!(
        "its speaker takes part again after {:.1} s; {vip} stays on {}",
        took.as_secs_f64(),
        now.name()
    ));
    Ok(())
}

async fn incarnations(stage: &Stage) -> Result<BTreeMap<String, Option<String>>> {
    Ok(owner::speakers(stage).await?.into_iter().map(|(node, status)| (node, status.incarnation)).collect())
}

async fn freed(console: &mut Console, ground: &Ground<'_>, vip: Ipv4Addr) -> Result<()> {
    console.step("Without its Service an address is free");
    let said = ground.kubectl(&["delete", "service", "web"]).await?;
    console.command("kubectl delete service web", &said);
    owner::nobody(ground.stage(), vip, PATIENCE).await?;
    console.fact(&format!("nobody answers for {vip}"));
    wait_for(PATIENCE, "the Eip to show it", || async {
        Ok(ground.eip_status(EIP).await?.used.is_none_or(|used| !used.contains_key(&vip.to_string())).then_some(()))
    })
    .await?;
    kubectl(console, ground.stage(), &["get", "eip"]).await
}

fn kept(console: &mut Console, capsule: &Capsule) -> Result<()> {
    console.step("The site stays up");
    capsule.keep()?;
    let program = std::env::current_exe()?;
    let program = program.display();
    console.say(&format!("{program} kubectl get services,eips,speakers -A"));
    console.say(&format!("{program} exec {CLIENT} curl http://192.168.0.100/"));
    console.say(&format!("{program} exec {ASKER} arping -c 3 -I eth0 192.168.0.100"));
    console.say("make demo-down takes it down.");
    Ok(())
}

/// Runs kubectl and shows what a person would see.
async fn kubectl(console: &Console, stage: &Stage, arguments: &[&str]) -> Result<()> {
    let said = stage.site.kubectl(arguments).await?;
    console.command(&format!("kubectl {}", arguments.join(" ")), &said);
    Ok(())
}
