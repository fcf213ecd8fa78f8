//! `helm upgrade` with a changed value.

use anyhow::{Result, ensure};
use ironlb_lab::wait_for;

use crate::ground::Ground;
use crate::lasting::Lasting;
use crate::row::{self, row};
use crate::runner::Scenario;
use crate::stage::PATIENCE;
use crate::{handover, owner, release};

/// Values that change both workloads' pods, and which Services are served.
pub const SCENARIO: Scenario = Scenario {
    name: "helm-upgrade",
    shows: "an upgrade that replaces every pod of ironlb moves no address to another node, fails no connection, ends none that lasts, and serviceSelection counts",
    first_address: 163,
    run: |ground| Box::pin(run(ground)),
};

async fn run(ground: &Ground<'_>) -> Result<()> {
    let stage = ground.stage();
    ground.eip(3).await?;
    ground.web(2).await?;
    for name in ["one", "two"] {
        ground.service(name).await?;
    }
    let vips = [ground.served("one").await?, ground.served("two").await?];
    let mut owners = Vec::new();
    let mut lasting = Vec::new();
    for vip in vips {
        owners.push(owner::of(stage, vip).await?);
        lasting.push(Lasting::begin(stage, vip)?);
    }
    let mut capture = stage.capture(&ground.record("lan"))?;
    let probe = stage.probe(&ground.record("client"), vips[0])?;
    let before = release::pods(stage, "speaker").await?;

    let nobodys = row("nobodys").opts_in_by("").eip(ground.name());
    row::hold(ground, &[nobodys.clone().is_left_alone()]).await?;

    release::helm(stage, "upgrade", &["--set", "logLevel=debug,serviceSelection=all"]).await?;
    wait_for(PATIENCE, "every speaker to be a new one", || async {
        let now = release::pods(stage, "speaker").await?;
        Ok((now.len() == before.len() && now.keys().all(|pod| !before.contains_key(pod))).then_some(()))
    })
    .await?;
    release::all_well(stage, PATIENCE).await?;

    let report = tokio::task::spawn_blocking(move || probe.stop()).await??;
    println!("    {report}");
    ensure!(report.failed() == 0, "connections failed: {report}");
    let recording = capture.look(Clone::clone)?;
    for ((name, vip), (node, lasting)) in ["one", "two"].into_iter().zip(vips).zip(owners.iter().zip(&mut lasting)) {
        ensure!(ground.addresses(name).await? == [vip.to_string()], "the address of {name} changed");
        lasting.works()?;
        owner::stays_with(stage, vip, node).await?;
        handover::check_turns(&recording, vip, &[owner::mac_of(node)?])?;
    }
    // The other value that was changed: now every Service of type LoadBalancer is ironlb's, unless it says otherwise.
    let another = row("anothers").opts_in_by("metallb").eip(ground.name()).is_left_alone();
    row::hold(ground, &[nobodys.gets(&ground.vip(2).to_string()), another]).await
}
