//! The `lab` command.
use ironlb_lab::*;
fn main() -> anyhow::Result<()> {
    let c = capsule::enter(Lifetime::OfTheCommand)?;
    let rt = tokio::runtime::Runtime::new()?;
    rt.block_on(async {
        let site = Site::up(&c, SiteSpec::new(3)).await?;
        println!("{}", site.kubectl(&["get", "nodes", "-o", "wide"]).await?);
        let st = std::process::Command::new("sh")
            .arg("-c")
            .arg(std::env::args().nth(1).unwrap_or_default())
            .env("KUBECONFIG", "/run/lab/pki/admin.conf")
            .status()?;
        println!("{st}");
        site.down().await
    })
}
