//! The controller's flags.

use ironlb_k8s::ClusterArgs;
use ironlb_model::CONFLICT_COUNTS;
use ironlb_telemetry::TelemetryArgs;

/// Gives vips to Services: one replica decides, the others wait.
#[derive(Debug, Clone, clap::Args)]
pub struct Args {
    /// The cluster.
    #[command(flatten)]
    pub cluster: ClusterArgs,

    /// This replica's name: it holds the leader's Lease under it.
    #[arg(long, env = "POD_NAME", default_value = "ironlb-controller")]
    pub pod_name: String,

    /// An address that a host outside the cluster was heard to claim is given to no other Service for so many seconds after it was
    /// last heard.
    #[arg(long, value_name = "SECONDS", default_value_t = CONFLICT_COUNTS.as_secs())]
    pub conflict_quarantine: u64,

    /// Logs, metrics, probes.
    #[command(flatten)]
    pub telemetry: TelemetryArgs,
}
