//! The flags that say how a process tells how it is, and the start of what they ask for.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;

use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use crate::{
    AdminServer, BindError, LogError, LogFormat, Metrics, RETRY, Readiness, admin_router, serve_when_free,
    start_logging,
};

/// How a process tells how it is.
#[derive(Debug, Clone, clap::Args)]
pub struct TelemetryArgs {
    /// Where /metrics, /healthz and /readyz are served over TCP, as ADDRESS:PORT or :PORT; empty for nowhere.
    #[arg(long, default_value = ":7472", value_name = "ADDRESS")]
    pub metrics_address: OptionalAddress,

    /// The unix socket that `ironlb probe` asks.
    #[arg(long, default_value = "/run/ironlb/admin.sock", value_name = "PATH")]
    pub admin_socket: PathBuf,

    /// Form of the log lines.
    #[arg(long, value_enum, default_value = "text")]
    pub log_format: LogFormat,

    /// What is logged: error, warn, info, debug, trace, or a list such as `info,ironlb_k8s=debug`.
    #[arg(long, default_value = "info", value_name = "FILTER")]
    pub log_level: String,
}

impl TelemetryArgs {
    /// Starts the log; once a process.
    ///
    /// # Errors
    /// [`LogError`]: the filter does not parse (the user's to mend), or the log was started before (a bug).
    pub fn start_logging(&self) -> Result<(), LogError> {
        start_logging(self.log_format, &self.log_level)
    }

    /// Starts the admin server on the socket and on the TCP address, as tasks that end with `shutdown`.
    ///
    /// # Errors
    /// [`BindError`] for the socket, which nobody else may hold. A TCP port that is taken is waited for: during an upgrade two
    /// speakers share their node's ports.
    pub fn serve(
        &self,
        readiness: &Readiness,
        metrics: Metrics,
        tasks: &mut JoinSet<&'static str>,
        shutdown: &CancellationToken,
    ) -> Result<(), BindError> {
        let router = admin_router(readiness.clone(), Arc::new(metrics));
        let socket = AdminServer::bind_unix(&self.admin_socket)?;
        let (on_socket, until) = (router.clone(), shutdown.clone());
        tasks.spawn(async move {
            socket.serve(on_socket, until).await;
            "admin socket"
        });
        if let Some(address) = self.metrics_address.0 {
            let until = shutdown.clone();
            tasks.spawn(async move {
                serve_when_free(address, RETRY, router, until).await;
                "metrics port"
            });
        }
        Ok(())
    }
}

/// A socket address, or none when the text is empty.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct OptionalAddress(pub Option<SocketAddr>);

impl std::str::FromStr for OptionalAddress {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        if text.is_empty() {
            return Ok(Self(None));
        }
        // ":7472" is how Go programs, OpenELB among them, write "every address of this machine".
        let full = if text.starts_with(':') { format!("[::]{text}") } else { text.to_owned() };
        full.parse().map(|address| Self(Some(address))).map_err(|_| format!("want ADDRESS:PORT or :PORT, not {text:?}"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_may_be_empty_or_lack_its_host() {
        assert_eq!("".parse(), Ok(OptionalAddress(None)));
        assert_eq!(":7472".parse(), Ok(OptionalAddress("[::]:7472".parse().ok())));
        assert_eq!("127.0.0.1:80".parse(), Ok(OptionalAddress("127.0.0.1:80".parse().ok())));
        assert!("7472".parse::<OptionalAddress>().is_err());
    }
}
