//! Runs the CRD checks against the API server of `$KUBECONFIG`, any that may be written to:
//! `cargo run -p ironlb-e2e --example crd_rules`.

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let client = kube::Client::try_default().await?;
    ironlb_e2e::crd_rules::run(client).await
}
