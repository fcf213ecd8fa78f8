//! What the API server accepts and refuses of our kinds, asked of a real one.
//!
//! - `rows`: the rejection table. Each row is a spec that is created, and put in the place of another, in both served
//!   versions; a refusal must be exactly the message in the row and no other.
//! - `lossless`: nothing an object holds is lost on its way through `v1alpha1`, whatever the verb.
//! - `stored_before`: what was stored before a rule existed can be patched in its status and deleted.
//! - `shown`: the columns of `kubectl get`, and a `Speaker` through server-side apply.
//!
//! [`run`] can share a cluster with a running ironlb: what it stores are objects of copies of the CRDs under another
//! group, which are taken away at the end. Of the real CRDs it is checked that they are those of this source, and each
//! row is created there as a dry run, which the API server judges like any other request and then forgets.

mod bgp_rows;
mod crds;
mod eip_rows;
mod lossless;
mod rows;
mod samples;
mod server;
mod shown;
mod stored_before;

use kube::Client;

use server::Server;

/// Checks everything on this page against one API server; prints each failure, and fails with their number.
///
/// # Errors
/// When a check failed, or when the API server could not be asked.
pub async fn run(client: Client) -> anyhow::Result<()> {
    let server = Server::new(client);
    let mut report = Report::default();
    crds::real_ones_are_ours(&server, &mut report).await?;
    let copies = crds::Copies::make(&server).await?;
    let outcome = on_copies(&server, &mut report).await;
    copies.remove(&server).await?;
    outcome?;
    report.finish()
}

async fn on_copies(server: &Server, report: &mut Report) -> anyhow::Result<()> {
    rows::run(server, report).await?;
    lossless::run(server, report).await?;
    shown::run(server, report).await?;
    stored_before::run(server, report).await
}

/// What was checked and what went wrong.
#[derive(Debug, Default)]
struct Report {
    checked: usize,
    failed: usize,
}

impl Report {
    /// Counts one check; prints it when it failed.
    fn check(&mut self, name: &str, outcome: Result<(), String>) {
        self.checked += 1;
        if let Err(difference) = outcome {
            self.failed += 1;
            println!("FAILED {name}\n       {difference}");
        }
    }

    fn finish(self) -> anyhow::Result<()> {
        println!("CRD rules: {} checks, {} failed", self.checked, self.failed);
        anyhow::ensure!(self.failed == 0, "{} of {} checks of the CRDs failed", self.failed, self.checked);
        Ok(())
    }
}
