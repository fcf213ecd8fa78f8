//! Connections to the API server.

use std::path::PathBuf;
use std::time::Duration;

use kube::client::ClientBuilder;
use kube::config::{KubeConfigOptions, Kubeconfig};
use kube::{Client, Config};
use tower::util::MapResponseLayer;

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
        let told = throttle.clone();
        let look = MapResponseLayer::new(move |answer| {
            told.look(&answer);
            answer
        });
        let ordinary = ClientBuilder::try_from(patient(config.clone())).map_err(ConnectError::Unusable)?;
        let ordinary = ordinary.with_layer(&look).build();
        let lease = Client::try_from(impatient(config)).map_err(ConnectError::Unusable)?;
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
