//! The speaker's flags.

use ironlb_k8s::ClusterArgs;
use ironlb_telemetry::TelemetryArgs;

/// How speakers learn of one another's life and claims.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum Membership {
    /// By one Lease per node, renewed every second and given up after four: needs nothing but the API server.
    Lease,
}

/// Brings the traffic for the vips to this node.
#[derive(Debug, Clone, clap::Args)]
pub struct Args {
    /// The cluster.
    #[command(flatten)]
    pub cluster: ClusterArgs,

    /// The node this speaker stands for.
    #[arg(long, env = "NODE_NAME")]
    pub node_name: String,

    /// How speakers learn of one another's life and claims.
    #[arg(long, value_enum, default_value = "lease")]
    pub membership: Membership,

    /// Logs, metrics, probes.
    #[command(flatten)]
    pub telemetry: TelemetryArgs,
}
