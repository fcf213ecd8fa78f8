//! Every file below `examples/`.

use anyhow::{Result, ensure};
use ironlb_lab::wait_for;

use crate::ground::{Ground, addresses};
use crate::release::checkout;
use crate::runner::Scenario;
use crate::stage::PATIENCE;
use crate::{manifests, owner, web};

/// All of them, side by side.
pub const SCENARIO: Scenario = Scenario {
    name: "examples-apply",
    shows: "every file under examples/ applies with no field unknown, each Service gets an address of its pool, those of Layer 2 serve",
    // What is not named by an example comes from the automatic one's default pool.
    first_address: 111,
    run: |ground| Box::pin(run(ground)),
};

/// The Services of the examples, and how the addresses of each one's pool begin.
const SERVICES: [(&str, &str, bool); 5] = [
    ("web", "192.168.0.9", true),
    ("web-fixed", "192.168.0.100", true),
    ("web-vip", "192.168.0.10", true),
    ("web-automatic", "192.168.0.1", true),
    ("web-bgp", "172.22.0.", false),
];

async fn run(ground: &Ground<'_>) -> Result<()> {
    let mut applied = 0;
    for file in manifests::examples()? {
        let said = ground.apply_example(&file).await?;
        ensure!(said.lines().all(|line| line.ends_with(" created")), "{}: {said}", file.display());
        applied += said.lines().count();
    }
    ensure!(checkout("examples/README.md").is_file() && applied >= SERVICES.len(), "{applied} objects were applied");
    ground.rolled_out().await?;
    for (service, start, layer2) in SERVICES {
        let vip = wait_for(PATIENCE, &format!("an address for {service}"), || async {
            let addresses = addresses(&ground.get_service(service).await?);
            Ok(addresses.into_iter().next())
        })
        .await?;
        ensure!(vip.starts_with(start), "{service} got {vip}, which is not of its pool ({start}...)");
        if layer2 {
            let vip = vip.parse()?;
            owner::of(ground.stage(), vip).await?;
            web::answers_come_from_all(ground, vip, 2).await?;
        }
    }
    Ok(())
}
