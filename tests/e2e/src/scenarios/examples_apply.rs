//! Every file below `examples/`.

use std::collections::BTreeSet;
use std::net::Ipv4Addr;

use anyhow::{Context, Result, bail, ensure};
use futures::future::try_join_all;
use ironlb_lab::wait_for;

use crate::ground::{Ground, addresses};
use crate::release::checkout;
use crate::runner::Scenario;
use crate::stage::{CLIENT, PATIENCE};
use crate::{manifests, owner, web};

/// All of them, side by side.
pub const SCENARIO: Scenario = Scenario {
    name: "examples-apply",
    shows: "every file under examples/ applies with no field unknown, each Service gets the address it is to get, those of Layer 2 serve",
    // What is not named by an example comes from the automatic one's default pool.
    first_address: 111,
    run: |ground| Box::pin(run(ground)),
};

/// How a Service of the examples is looked at once it has its address.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Serves {
    /// Nothing answers on this LAN: it is for routers, which another site has.
    Elsewhere,
    /// All pods answer.
    AllPods,
    /// The pods of the node that answers for the address, and no other.
    OwnPods,
    /// The same address on another port.
    AtPort(u16),
}

/// The Services of the examples, and the address of each.
const SERVICES: [(&str, [u8; 4], Serves); 9] = [
    ("web", [192, 168, 0, 91], Serves::AllPods),
    ("web-fixed", [192, 168, 0, 100], Serves::AllPods),
    ("web-vip", [192, 168, 0, 101], Serves::AllPods),
    ("web-automatic", [192, 168, 0, 111], Serves::AllPods),
    ("web-bgp", [172, 22, 0, 2], Serves::Elsewhere),
    ("web-local", [192, 168, 0, 71], Serves::OwnPods),
    ("web-shared", [192, 168, 0, 61], Serves::AllPods),
    ("web-shared-other-port", [192, 168, 0, 61], Serves::AtPort(8080)),
    // Outside `default` nothing is kept for it: the first one that is kept for nobody.
    ("web-reserved", [192, 168, 0, 64], Serves::AllPods),
];

async fn run(ground: &Ground<'_>) -> Result<()> {
    let mut services = BTreeSet::new();
    for file in manifests::examples()? {
        let said = ground.apply_example(&file).await?;
        ensure!(said.lines().all(|line| line.ends_with(" created")), "{}: {said}", file.display());
        // "service/web created"
        let made = said.lines().filter_map(|line| line.strip_prefix("service/")?.strip_suffix(" created"));
        services.extend(made.map(str::to_owned));
    }
    let known: BTreeSet<String> = SERVICES.iter().map(|(name, ..)| (*name).to_owned()).collect();
    ensure!(services == known, "the examples make the Services {services:?}, and {known:?} are looked at");
    ground.rolled_out().await?;
    try_join_all(SERVICES.map(|(service, vip, serves)| has_address(ground, service, vip.into(), serves))).await?;
    for (_, vip, serves) in SERVICES {
        answers(ground, vip.into(), serves).await?;
    }
    kept_in_default(ground).await
}

/// It has this address and no other, and where it is of Layer 2 one node answers for it.
async fn has_address(ground: &Ground<'_>, service: &str, vip: Ipv4Addr, serves: Serves) -> Result<()> {
    let given = wait_for(PATIENCE, &format!("an address for {service}"), || async {
        let given = addresses(&ground.get_service(service).await?);
        Ok((!given.is_empty()).then_some(given))
    })
    .await?;
    ensure!(given == [vip.to_string()], "{service} got {given:?}, and was to get {vip}");
    // Twice at once on one address each would count the answers to the other.
    if matches!(serves, Serves::AllPods | Serves::OwnPods) {
        owner::of(ground.stage(), vip).await?;
    }
    Ok(())
}

async fn answers(ground: &Ground<'_>, vip: Ipv4Addr, serves: Serves) -> Result<()> {
    match serves {
        Serves::Elsewhere => Ok(()),
        Serves::AllPods => web::answers_come_from_all(ground, vip, 2).await.map(drop),
        Serves::OwnPods => {
            let node = owner::of(ground.stage(), vip).await?.name().to_owned();
            let pods = web::ready_pods(ground).await?;
            let own: BTreeSet<&String> = pods.iter().filter(|(_, on)| **on == node).map(|(pod, _)| pod).collect();
            ensure!(!own.is_empty(), "{vip} is with {node}, which has no pod of the Service: {pods:?}");
            // Its kube-proxy hears of the Service in its own time; whoever answers then must be on the node.
            let by_pod = wait_for(PATIENCE, &format!("answers at {vip} without a failure"), || async {
                let report = web::attempts(ground.stage(), &ground.record("local"), vip, 20).await?;
                ensure!(report.failed() == 0, "{report}");
                Ok(Some(report.by_pod()))
            })
            .await?;
            ensure!(by_pod.keys().eq(own), "{vip} is with {node}; answers came from {by_pod:?}, of {pods:?}");
            Ok(())
        }
        Serves::AtPort(port) => {
            let url = format!("http://{vip}:{port}/");
            let said = wait_for(PATIENCE, &format!("an answer of {url}"), || async {
                let client = ground.stage().netns(CLIENT);
                client.exec(&["curl", "-sS", "--fail", "--max-time", "5", &url]).await.map(Some)
            })
            .await?;
            ensure!(said.contains("web-"), "{url} says {said:?}");
            Ok(())
        }
    }
}

/// The example of kept addresses once more, in the namespace for which its address is kept.
async fn kept_in_default(ground: &Ground<'_>) -> Result<()> {
    let site = &ground.stage().site;
    let file = checkout("examples/kept/service.yaml");
    let file = file.to_str().context("a path that is not text")?;
    site.kubectl(&["--namespace", "default", "apply", "-f", file]).await?;
    let path = "-o=jsonpath={.status.loadBalancer.ingress[*].ip}";
    let given = wait_for(PATIENCE, "an address for default/web-reserved", || async {
        let given = site.kubectl(&["--namespace", "default", "get", "service", "web-reserved", path]).await?;
        Ok((!given.is_empty()).then_some(given))
    })
    .await;
    // Whatever came of it: it is outside the scenario's own namespace.
    site.kubectl(&["--namespace", "default", "delete", "service", "web-reserved"]).await?;
    match given?.as_str() {
        "192.168.0.67" => Ok(()),
        other => bail!("default/web-reserved got {other}, and 192.168.0.67 is kept for it"),
    }
}
