//! The admin server as its users meet it: the kubelet's exec probe, Prometheus, and a second process on the same node.
#![expect(clippy::unwrap_used, reason = "a failed step is a failed test")]

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::routing::get;
use ironlb_telemetry::{
    AdminServer, BindError, Endpoint, Metrics, ProbeError, Readiness, admin_router, probe, serve_when_free,
};
use tokio::sync::Notify;
use tokio::task::{JoinHandle, spawn_blocking};
use tokio_util::sync::CancellationToken;

fn router(readiness: &Readiness) -> Router {
    admin_router(readiness.clone(), Arc::new(Metrics::new("1.2.3", "abcdef0")))
}

fn start(server: AdminServer, readiness: &Readiness) -> (JoinHandle<()>, CancellationToken) {
    let shutdown = CancellationToken::new();
    (tokio::spawn(server.serve(router(readiness), shutdown.clone())), shutdown)
}

async fn asked(path: &Path, endpoint: Endpoint) -> Result<(), ProbeError> {
    let ask = || {
        let path = path.to_owned();
        spawn_blocking(move || probe(&path, endpoint))
    };
    match ask().await.unwrap() {
        // The server runs in this process, which may have been held up for the probe's two seconds; not twice.
        Err(ProbeError::Silent { .. }) => ask().await.unwrap(),
        told => told,
    }
}

async fn fetched(address: SocketAddr, path: &'static str) -> String {
    spawn_blocking(move || {
        let mut stream = TcpStream::connect(address).unwrap();
        write!(stream, "GET {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n").unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        answer
    })
    .await
    .unwrap()
}

#[tokio::test]
async fn probes_ask_over_the_unix_socket() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("admin.sock");
    assert_eq!(asked(&path, Endpoint::Live).await.unwrap_err().category(), "unreachable");

    let readiness = Readiness::new();
    let (serving, shutdown) = start(AdminServer::bind_unix(&path).unwrap(), &readiness);
    asked(&path, Endpoint::Live).await.unwrap();
    assert_eq!(asked(&path, Endpoint::Ready).await.unwrap_err().to_string(), "not ready: not started");
    let (store, socket) = (readiness.gate("store"), readiness.gate("socket"));
    let no = asked(&path, Endpoint::Ready).await.unwrap_err().to_string();
    assert_eq!(no, "not ready: waiting for: socket, store");
    store.open();
    socket.open();
    asked(&path, Endpoint::Ready).await.unwrap();

    shutdown.cancel();
    serving.await.unwrap();
    assert!(!path.exists(), "the server took its socket away");
}

#[tokio::test]
async fn a_socket_that_was_left_behind_is_replaced_and_one_in_use_is_not() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("admin.sock");
    // Dropping std's listener leaves the file, as a killed process does.
    drop(std::os::unix::net::UnixListener::bind(&path).unwrap());
    assert!(path.exists());
    let readiness = Readiness::new();
    let (_serving, _shutdown) = start(AdminServer::bind_unix(&path).unwrap(), &readiness);
    asked(&path, Endpoint::Live).await.unwrap();

    let error = AdminServer::bind_unix(&path).unwrap_err();
    assert!(matches!(error, BindError::Answered { .. }), "{error}");
    asked(&path, Endpoint::Live).await.unwrap();

    let file = folder.path().join("file");
    std::fs::write(&file, "precious").unwrap();
    let missing = PathBuf::from("/nowhere/admin.sock");
    for path in [file.clone(), missing] {
        let error = AdminServer::bind_unix(&path).unwrap_err();
        assert!(error.to_string().contains(path.to_str().unwrap()), "{error}");
        assert_eq!(error.category(), "unix");
    }
    assert_eq!(std::fs::read_to_string(file).unwrap(), "precious");
}

#[tokio::test]
async fn prometheus_scrapes_over_tcp() {
    let readiness = Readiness::new();
    let server = AdminServer::bind_tcp(([127, 0, 0, 1], 0).into()).await.unwrap();
    let address = server.local_addr().unwrap();
    let (serving, shutdown) = start(server, &readiness);
    let answer = fetched(address, "/metrics").await;
    assert!(
        answer.contains("content-type: application/openmetrics-text; version=1.0.0; charset=utf-8\r\n"),
        "{answer}"
    );
    assert!(answer.contains("ironlb_build_info{version=\"1.2.3\",commit=\"abcdef0\"} 1\n"), "{answer}");
    assert!(fetched(address, "/healthz").await.starts_with("HTTP/1.1 200 "));
    assert!(fetched(address, "/readyz").await.starts_with("HTTP/1.1 503 "));
    assert!(fetched(address, "/other").await.starts_with("HTTP/1.1 404 "));

    let taken = AdminServer::bind_tcp(address).await.unwrap_err();
    assert_eq!(taken.to_string(), format!("cannot listen on {address}"));

    shutdown.cancel();
    serving.await.unwrap();
    assert!(TcpStream::connect(address).is_err());
}

#[tokio::test]
async fn an_answer_that_never_ends_does_not_hold_up_the_shutdown() {
    let begun = Arc::new(Notify::new());
    let told = Arc::clone(&begun);
    let hang = move || async move {
        told.notify_one();
        std::future::pending::<String>().await
    };
    let server = AdminServer::bind_tcp(([127, 0, 0, 1], 0).into()).await.unwrap();
    let address = server.local_addr().unwrap();
    let shutdown = CancellationToken::new();
    let router = router(&Readiness::new()).route("/hang", get(hang));
    let serving = tokio::spawn(server.serve(router, shutdown.clone()));
    let mut stuck = TcpStream::connect(address).unwrap();
    stuck.write_all(b"GET /hang HTTP/1.1\r\nHost: x\r\n\r\n").unwrap();
    begun.notified().await;
    // From here time passes by itself when nothing else happens.
    tokio::time::pause();
    let since = tokio::time::Instant::now();
    shutdown.cancel();
    serving.await.unwrap();
    let took = since.elapsed();
    assert!((Duration::from_secs(1)..Duration::from_secs(3)).contains(&took), "it was given {took:?} to finish");
}

#[tokio::test]
async fn the_metrics_port_is_taken_over_when_the_other_process_lets_go() {
    let other = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = other.local_addr().unwrap();
    let shutdown = CancellationToken::new();
    let retry = Duration::from_millis(5);
    let serving = tokio::spawn(serve_when_free(address, retry, router(&Readiness::new()), shutdown.clone()));
    // Several tries are refused in this time, and none of them ends the task.
    let ended_early = tokio::time::timeout(retry * 10, async {
        while !serving.is_finished() {
            tokio::task::yield_now().await;
        }
    });
    assert!(ended_early.await.is_err());
    drop(other);
    let answer = tokio::time::timeout(Duration::from_secs(20), async {
        while TcpStream::connect(address).is_err() {
            tokio::task::yield_now().await;
        }
        fetched(address, "/metrics").await
    });
    assert!(answer.await.unwrap().starts_with("HTTP/1.1 200 "));
    shutdown.cancel();
    serving.await.unwrap();
}

#[tokio::test]
async fn waiting_for_the_port_ends_with_the_process() {
    let other = TcpListener::bind("127.0.0.1:0").unwrap();
    let shutdown = CancellationToken::new();
    let address = other.local_addr().unwrap();
    let waiting = serve_when_free(address, Duration::from_secs(3600), router(&Readiness::new()), shutdown.clone());
    shutdown.cancel();
    waiting.await;
}
