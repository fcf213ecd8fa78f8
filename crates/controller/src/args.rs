//! The controller's flags.

use ironlb_k8s::ClusterArgs;
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

    /// Logs, metrics, probes.
    #[command(flatten)]
    pub telemetry: TelemetryArgs,
}
