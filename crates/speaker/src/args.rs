//! The speaker's flags.

use std::path::PathBuf;

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

    /// Where the speaker keeps on its node what the next one on the same boot goes on from. It outlives the pod where the chart mounts a
    /// folder of the node; one that is lost at a boot is best.
    #[arg(long, default_value = "/run/ironlb/state", value_name = "PATH")]
    pub state_directory: PathBuf,

    /// Logs, metrics, probes.
    #[command(flatten)]
    pub telemetry: TelemetryArgs,
}
