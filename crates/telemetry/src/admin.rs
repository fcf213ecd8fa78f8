//! The admin server: `/healthz`, `/readyz` and `/metrics`, on a unix socket for our own probes and on TCP for Prometheus.

use std::future::IntoFuture;
use std::io;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::extract::State;
use axum::http::{StatusCode, header};
use axum::response::IntoResponse;
use axum::routing::get;
use tokio::net::{TcpListener, UnixListener};
use tokio_util::sync::CancellationToken;
use tracing::{info, warn};

use crate::{Metrics, Readiness, fields};

/// How long answers under way may take once shutdown has begun; a scrape of 10,000 series takes some 10 ms, chosen.
const FINISH: Duration = Duration::from_secs(2);

/// How often a taken port is tried again. A speaker's upgrade holds two of them on a node for seconds, chosen.
pub const RETRY: Duration = Duration::from_secs(1);

/// The admin server cannot listen where it was told to.
#[derive(Debug, thiserror::Error)]
pub enum BindError {
    /// The TCP address is taken, not this machine's, or not ours to bind.
    #[error("cannot listen on {address}")]
    Tcp {
        /// What was asked for.
        address: SocketAddr,
        /// What the kernel says.
        source: io::Error,
    },
    /// The socket's folder is missing or not writable.
    #[error("cannot listen on {}", path.display())]
    Unix {
        /// What was asked for.
        path: PathBuf,
        /// What the kernel says.
        source: io::Error,
    },
    /// Another process answers on the unix socket.
    #[error("cannot listen on {}: another process answers there", path.display())]
    Answered {
        /// What was asked for.
        path: PathBuf,
    },
}

impl BindError {
    /// A name from a closed list.
    #[must_use]
    pub fn category(&self) -> &'static str {
        match self {
            Self::Tcp { .. } => "tcp",
            Self::Unix { .. } => "unix",
            Self::Answered { .. } => "answered",
        }
    }
}

/// A server that has its address and can be given something to serve. Binding comes first, so that a process that cannot
/// be asked does not start.
#[derive(Debug)]
pub struct AdminServer {
    listener: Listener,
}

#[derive(Debug)]
enum Listener {
    Tcp(TcpListener),
    Unix(UnixListener, SocketFile),
}

impl AdminServer {
    /// Listens on a TCP address. Must be called inside a tokio runtime.
    ///
    /// # Errors
    /// [`BindError::Tcp`]; the user acts.
    pub async fn bind_tcp(address: SocketAddr) -> Result<Self, BindError> {
        let listener = TcpListener::bind(address).await.map_err(|source| BindError::Tcp { address, source })?;
        Ok(Self { listener: Listener::Tcp(listener) })
    }

    /// Listens on a unix socket, whose file goes when the server does. A file that a killed process left behind is
    /// replaced; one on which somebody answers is not. Must be called inside a tokio runtime.
    ///
    /// # Errors
    /// [`BindError::Unix`] or [`BindError::Answered`]; the user acts.
    pub fn bind_unix(path: &Path) -> Result<Self, BindError> {
        let failed = |source| BindError::Unix { path: path.to_owned(), source };
        match std::os::unix::net::UnixStream::connect(path) {
            Ok(_) => return Err(BindError::Answered { path: path.to_owned() }),
            // A socket without a process behind it. Anything that is no socket at all stays, and binding says so.
            Err(error) if error.kind() == io::ErrorKind::ConnectionRefused && is_socket(path) => {
                std::fs::remove_file(path).map_err(failed)?;
            }
            Err(_) => {}
        }
        let listener = UnixListener::bind(path).map_err(failed)?;
        Ok(Self { listener: Listener::Unix(listener, SocketFile(path.to_owned())) })
    }

    /// The TCP address, with the port the kernel chose if it was 0; `None` for a unix socket.
    #[must_use]
    pub fn local_addr(&self) -> Option<SocketAddr> {
        match &self.listener {
            Listener::Tcp(listener) => listener.local_addr().ok(),
            Listener::Unix(..) => None,
        }
    }

    /// Serves until `shutdown` is cancelled, then lets answers under way finish for at most 2 s.
    pub async fn serve(self, router: Router, shutdown: CancellationToken) {
        match self.listener {
            Listener::Tcp(listener) => run(listener, router, shutdown).await,
            Listener::Unix(listener, file) => {
                run(listener, router, shutdown).await;
                drop(file);
            }
        }
    }
}

fn is_socket(path: &Path) -> bool {
    use std::os::unix::fs::FileTypeExt;
    std::fs::symlink_metadata(path).is_ok_and(|found| found.file_type().is_socket())
}

async fn run<L>(listener: L, router: Router, shutdown: CancellationToken)
where
    L: axum::serve::Listener,
    L::Addr: std::fmt::Debug,
{
    let overdue = shutdown.clone();
    let serving = axum::serve(listener, router).with_graceful_shutdown(shutdown.cancelled_owned()).into_future();
    tokio::select! {
        // axum deals with errors of single connections itself: this one never fails.
        _ = serving => {}
        () = async { overdue.cancelled().await; tokio::time::sleep(FINISH).await } => {}
    }
}

/// A socket's place in the file system, removed when the server ends.
#[derive(Debug)]
struct SocketFile(PathBuf);

impl Drop for SocketFile {
    fn drop(&mut self) {
        // Gone already, with its folder: as it should be.
        let _ = std::fs::remove_file(&self.0);
    }
}

/// Serves on a TCP address as soon as it is free, trying every `retry` ([`RETRY`] in production), and returns only when
/// `shutdown` is cancelled: while one speaker is upgraded to the next, both are on one node, and the port is no reason to
/// fail. What stands in the way is logged once, not at each try.
pub async fn serve_when_free(address: SocketAddr, retry: Duration, router: Router, shutdown: CancellationToken) {
    let mut told = None;
    let server = loop {
        match AdminServer::bind_tcp(address).await {
            Ok(server) => break server,
            Err(error) => {
                let text = chain(&error);
                if told.as_ref() != Some(&text) {
                    warn!({ fields::ADDRESS } = %address, { fields::ERROR } = text, "metrics wait for their port");
                    told = Some(text);
                }
            }
        }
        tokio::select! {
            () = shutdown.cancelled() => return,
            () = tokio::time::sleep(retry) => {}
        }
    };
    info!({ fields::ADDRESS } = %server.local_addr().unwrap_or(address), "serving metrics");
    server.serve(router, shutdown).await;
}

/// An error and its causes on one line.
fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut next = error.source();
    while let Some(cause) = next {
        text.push_str(": ");
        text.push_str(&cause.to_string());
        next = cause.source();
    }
    text
}

#[derive(Debug, Clone)]
struct Shared {
    readiness: Readiness,
    metrics: Arc<Metrics>,
}

/// What the admin server serves. The caller may merge routes of its own into it, for debugging.
pub fn admin_router(readiness: Readiness, metrics: Arc<Metrics>) -> Router {
    Router::new()
        .route("/healthz", get(healthz))
        .route("/readyz", get(readyz))
        .route("/metrics", get(scrape))
        .with_state(Shared { readiness, metrics })
}

/// Alive: the runtime still runs tasks.
async fn healthz() -> &'static str {
    "ok\n"
}

/// Ready, or which gates are shut.
async fn readyz(State(shared): State<Shared>) -> (StatusCode, String) {
    if shared.readiness.is_ready() {
        return (StatusCode::OK, "ok\n".to_owned());
    }
    let shut = shared.readiness.shut();
    let body = if shut.is_empty() { "not started\n".to_owned() } else { format!("waiting for: {}\n", shut.join(", ")) };
    (StatusCode::SERVICE_UNAVAILABLE, body)
}

async fn scrape(State(shared): State<Shared>) -> impl IntoResponse {
    const OPEN_METRICS: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";
    ([(header::CONTENT_TYPE, OPEN_METRICS)], shared.metrics.encode())
}
