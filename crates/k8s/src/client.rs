//! Connections to the API server.

use std::path::PathBuf;
use std::time::Duration;

use hyper_timeout::TimeoutConnector;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;
use kube::client::{Body, ConfigExt};
use kube::config::{KubeConfigOptions, Kubeconfig};
use kube::{Client, Config};
use tower::{BoxError, ServiceBuilder};

use crate::throttle::Throttle;

/// The longest any single request may take. With a lease of 15 s that is renewed within 10 s, 4 s are what is left between giving up
/// leadership and somebody else taking it, less a second to spare.
pub const REQUEST_TIMEOUT: Duration = Duration::from_secs(4);

/// The longest one page of a list may take. Chosen, because a page is 500 objects and a busy API server sends 10,000 Services in a
/// few seconds; a request of this kind fences nothing, so waiting does no harm.
pub const LIST_TIMEOUT: Duration = Duration::from_secs(30);

/// Where the API server and the credentials come from.
#[derive(Debug, Clone, Default)]
pub struct Source {
    /// A kubeconfig file; without it `KUBECONFIG` or `~/.kube/config` if there is one, else the pod's service account.
    pub kubeconfig: Option<PathBuf>,
    /// The context in it; without it the current one.
    pub context: Option<String>,
}

/// Why no client could be made. The operator has to act: nothing here mends itself.
#[derive(Debug, thiserror::Error)]
pub enum ConnectError {
    /// The kubeconfig cannot be read or used.
    #[error("cannot use the kubeconfig {path}")]
    Kubeconfig {
        /// Its path.
        path: String,
        /// Why.
        source: kube::config::KubeconfigError,
    },
    /// There is neither a kubeconfig nor a service account.
    #[error("found neither a kubeconfig nor a pod's service account")]
    NoCredentials(#[source] kube::config::InferConfigError),
    /// What was found cannot be used (a certificate, a key, the address).
    #[error("the credentials for the API server cannot be used")]
    Unusable(#[source] kube::Error),
}

/// The clients of one process.
#[derive(Clone)]
pub struct Clients {
    /// For everything but leases.
    pub ordinary: Client,
    /// For leases: connections of its own, so that a renewal never waits behind a list, and a read timeout, so that a connection the
    /// network has forgotten is given up.
    pub lease: Client,
    /// What the API server last answered to the ordinary client when it had too much to do.
    pub throttle: Throttle,
    /// The API server's address, for people.
    pub server: String,
}

impl std::fmt::Debug for Clients {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Clients").field("server", &self.server).finish_non_exhaustive()
    }
}

impl Clients {
    /// Finds the credentials and makes the clients; asks the API server nothing yet.
    ///
    /// # Errors
    /// [`ConnectError`], for the operator.
    pub async fn connect(source: &Source) -> Result<Self, ConnectError> {
        Self::from_config(find(source).await?)
    }

    /// Makes the clients out of a configuration.
    ///
    /// # Errors
    /// [`ConnectError::Unusable`], for the operator.
    pub fn from_config(config: Config) -> Result<Self, ConnectError> {
        let server = config.cluster_url.to_string();
        let throttle = Throttle::default();
        let ordinary = connected(patient(config.clone()), throttle.clone()).map_err(ConnectError::Unusable)?;
        // What the Lease's requests are told is the election's affair.
        let lease = connected(impatient(config), Throttle::default()).map_err(ConnectError::Unusable)?;
        Ok(Self { ordinary, lease, throttle, server })
    }
}

async fn find(source: &Source) -> Result<Config, ConnectError> {
    let options = KubeConfigOptions { context: source.context.clone(), ..KubeConfigOptions::default() };
    match &source.kubeconfig {
        Some(path) => {
            let failed = |source| ConnectError::Kubeconfig { path: path.display().to_string(), source };
            let read = Kubeconfig::read_from(path).map_err(failed)?;
            Config::from_custom_kubeconfig(read, &options).await.map_err(failed)
        }
        None if source.context.is_some() => Config::from_kubeconfig(&options)
            .await
            .map_err(|source| ConnectError::Kubeconfig { path: "of this user".to_owned(), source }),
        None => Config::infer().await.map_err(ConnectError::NoCredentials),
    }
}

/// kube's own stack, with one thing more: what the network does not take within [`REQUEST_TIMEOUT`] is dropped with its connection.
///
/// Without that the kernel goes on trying after the request was given up and the connection closed, for minutes: a write of a leader
/// that was cut off would arrive when the network is mended, long after another began to lead.
fn connected(config: Config, throttle: Throttle) -> kube::Result<Client> {
    if config.proxy_url.is_some() {
        // A proxy holds what it was given for as long as it likes, so nothing is gained; and kube says what it can do with this one.
        return Client::try_from(config);
    }
    let mut tcp = HttpConnector::new();
    tcp.enforce_http(false);
    tcp.set_tcp_user_timeout(Some(REQUEST_TIMEOUT));
    let mut connector = TimeoutConnector::new(config.rustls_https_connector_with_connector(tcp)?);
    connector.set_connect_timeout(config.connect_timeout);
    connector.set_read_timeout(config.read_timeout);
    connector.set_write_timeout(config.write_timeout);
    connector.set_reset_reader_on_write(config.reset_reader_on_write);
    let client: hyper_util::client::legacy::Client<_, Body> =
        hyper_util::client::legacy::Client::builder(TokioExecutor::new()).build(connector);
    let stack = ServiceBuilder::new()
        .layer(config.base_uri_layer())
        .option_layer(config.auth_layer()?)
        .layer(config.extra_headers_layer()?)
        .map_response(move |answer| {
            throttle.look(&answer);
            answer
        })
        .map_err(BoxError::from)
        .service(client);
    Ok(Client::new(stack, config.default_namespace))
}

/// Retries inside the client are off everywhere: they would hide a refusal for minutes (15 attempts, up to 1000 s apart) from the code
/// that decides what to do about it.
fn patient(mut config: Config) -> Config {
    config.default_retry = false;
    config.connect_timeout = Some(REQUEST_TIMEOUT);
    config
}

fn impatient(config: Config) -> Config {
    let mut config = patient(config);
    config.read_timeout = Some(REQUEST_TIMEOUT);
    config.write_timeout = Some(REQUEST_TIMEOUT);
    // Else the time a connection lay idle would count against the next answer on it.
    config.reset_reader_on_write = true;
    config
}
