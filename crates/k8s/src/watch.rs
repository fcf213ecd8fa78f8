//! One watch: list everything, then follow the changes, for ever.

use std::sync::Arc;
use std::time::Duration;

use futures::{AsyncBufReadExt, StreamExt};
use ironlb_model::ResourceVersion;
use ironlb_translate::parse_version;
use kube::Api;
use kube::api::{ListParams, WatchParams};
use kube::core::{Request, Status};
use tokio::sync::{mpsc, oneshot};
use tokio::time::{Instant, timeout};

use crate::arrival::{Line, LineKind, Page, arrive, metadata};
use crate::backoff::{Backoff, random_below};
use crate::client::{LIST_TIMEOUT, REQUEST_TIMEOUT};
use crate::clock::now;
use crate::kind::Kind;
use crate::store::{Listing, Store};
use crate::throttle::Throttle;

/// Objects in one page of a list: what kubectl and client-go ask for.
const PAGE: u32 = 500;

/// The API server ends a watch after this long, plus up to as much again so that watches do not end together. A watch that died without
/// a word (the network forgot the connection) is noticed [`SILENCE_MARGIN`] later; kube's own default would take 295 s.
const WATCH_SECONDS: u32 = 30;

/// How much longer than the server promised a watch may stay silent.
const SILENCE_MARGIN: Duration = Duration::from_secs(5);

const IDENTITY: http::HeaderValue = http::HeaderValue::from_static("identity");

/// A watch that lived at least this long was a real one: the next failure starts a new series.
const SOUND: Duration = Duration::from_secs(1);

/// Asks a watch for a fresh list; the answer comes when it is in the store.
pub(crate) type Relist = oneshot::Sender<Result<(), WatchError>>;

/// Why a list or a watch failed.
#[derive(Debug, Clone, thiserror::Error)]
pub enum WatchError {
    /// The API server did not answer in time.
    #[error("no answer within {0:?}")]
    Timeout(Duration),
    /// The API server does not know the kind: its CRD is missing.
    #[error("the API server does not know this kind: its CRD is not installed")]
    NoSuchKind,
    /// The API server refuses.
    #[error("refused ({code}): {message}")]
    Refused {
        /// The HTTP status.
        code: u16,
        /// What it says.
        message: String,
    },
    /// The version to go on from is too old.
    #[error("the version to go on from is gone")]
    Expired,
    /// What came cannot be read; going on would skip a change.
    #[error("an answer cannot be read: {0}")]
    Unreadable(String),
    /// No connection, or it broke off.
    #[error("no connection: {0}")]
    Unreachable(String),
    /// The watch has ended because the process is stopping.
    #[error("the watch has been stopped")]
    Stopped,
}

impl WatchError {
    /// The form in which it becomes a metric label.
    #[must_use]
    pub fn category(&self) -> &'static str {
        match self {
            Self::Timeout(_) => "Timeout",
            Self::NoSuchKind => "NoSuchKind",
            Self::Refused { .. } => "Refused",
            Self::Expired => "Expired",
            Self::Unreadable(_) => "Unreadable",
            Self::Unreachable(_) => "Unreachable",
            Self::Stopped => "Stopped",
        }
    }
}

impl From<kube::Error> for WatchError {
    fn from(error: kube::Error) -> Self {
        match error {
            kube::Error::Api(status) => Self::of_status(status.code, &status.message),
            kube::Error::SerdeError(error) => Self::Unreadable(error.to_string()),
            other => Self::Unreachable(with_causes(&other)),
        }
    }
}

impl WatchError {
    fn of_status(code: u16, message: &str) -> Self {
        match code {
            404 => Self::NoSuchKind,
            410 => Self::Expired,
            _ => Self::Refused { code, message: message.to_owned() },
        }
    }
}

/// An error with what caused it, in one line; hyper says the part that matters only there.
pub(crate) fn with_causes(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        let said = cause.to_string();
        if !text.contains(&said) {
            text.push_str(": ");
            text.push_str(&said);
        }
        source = cause.source();
    }
    text
}

/// Which objects of a kind are watched.
#[derive(Debug, Clone, Default)]
pub(crate) struct Selection {
    pub(crate) labels: Option<String>,
}

/// Keeps `store` in step with the cluster. Owned by the [`JoinSet`](tokio::task::JoinSet) it is spawned in; ends only when aborted,
/// and then leaves the store as it was.
pub(crate) async fn run<K: Kind>(
    api: Api<K::Object>,
    selection: Selection,
    throttle: Throttle,
    store: Arc<Store<K>>,
    mut relists: mpsc::Receiver<Relist>,
) {
    let mut watch = Watch {
        api,
        selection,
        throttle,
        store,
        backoff: Backoff::new(FIRST_DELAY, LONGEST_DELAY),
        opened: None,
        in_trouble: false,
    };
    let mut waiting: Vec<Relist> = Vec::new();
    loop {
        // Whoever asks for a fresh list wants one that begins after the question.
        while let Ok(request) = relists.try_recv() {
            waiting.push(request);
        }
        let listed = watch.list().await;
        let answer = listed.as_ref().map(|_| ()).map_err(Clone::clone);
        for request in waiting.drain(..) {
            // Whoever asked may have given up meanwhile.
            let _ = request.send(answer.clone());
        }
        let error = match listed {
            Ok(version) => match watch.follow(version, &mut relists).await {
                Ended::Asked(request) => {
                    waiting.push(request);
                    continue;
                }
                Ended::Failed(error) => error,
            },
            Err(error) => {
                watch.store.counters().list_failures.add_one();
                error
            }
        };
        // Who asks for a fresh list sets its own pace.
        tokio::select! {
            () = tokio::time::sleep(watch.trouble(&error)) => {}
            request = relists.recv() => match asked(request) {
                Ended::Asked(request) => waiting.push(request),
                Ended::Failed(_) => return,
            }
        }
    }
}

/// The first delay after a failure. Chosen, because a restarting API server refuses for seconds and a hiccup is over in milliseconds.
const FIRST_DELAY: Duration = Duration::from_millis(200);

/// The longest delay: how late, at most, the API server's return is noticed.
const LONGEST_DELAY: Duration = Duration::from_secs(5);

struct Watch<K: Kind> {
    api: Api<K::Object>,
    selection: Selection,
    throttle: Throttle,
    store: Arc<Store<K>>,
    backoff: Backoff,
    /// When the watch that is followed now was opened.
    opened: Option<Instant>,
    in_trouble: bool,
}

/// Why following the changes came to an end.
enum Ended {
    /// Somebody wants a fresh list.
    Asked(Relist),
    /// Only a fresh list helps.
    Failed(WatchError),
}

impl<K: Kind> Watch<K> {
    /// Reads everything, most recent, and puts it into the store in one step.
    async fn list(&mut self) -> Result<ResourceVersion, WatchError> {
        let (listing, version) = list::<K>(&self.api, &self.selection, &self.store).await?;
        self.store.replace(listing, version);
        Ok(version)
    }

    /// Follows the changes from `version` on, over as many watches as it takes, until only a fresh list helps.
    async fn follow(&mut self, mut version: ResourceVersion, relists: &mut mpsc::Receiver<Relist>) -> Ended {
        loop {
            self.opened = None;
            let error = tokio::select! {
                request = relists.recv() => return asked(request),
                error = self.follow_one(&mut version) => error,
            };
            if self.opened.is_some_and(|opened| opened.elapsed() >= SOUND) {
                self.backoff.worked();
                if error.is_none() {
                    // The server ended it, as agreed.
                    continue;
                }
            }
            let delay = match error {
                // Going on from here would skip a change.
                Some(error @ (WatchError::Expired | WatchError::Unreadable(_) | WatchError::NoSuchKind)) => {
                    return Ended::Failed(error);
                }
                Some(error) => {
                    self.store.counters().watch_failures.add_one();
                    self.trouble(&error)
                }
                // One that ends at once every time must not be asked at once every time.
                None => self.backoff.failed(),
            };
            tokio::select! {
                request = relists.recv() => return asked(request),
                () = tokio::time::sleep(delay) => {}
            }
        }
    }

    /// One watch, from opening it to its end; `None` when the server ended it.
    async fn follow_one(&mut self, version: &mut ResourceVersion) -> Option<WatchError> {
        let seconds = WATCH_SECONDS + u32::try_from(random_below(u64::from(WATCH_SECONDS))).unwrap_or(0);
        let mut params = WatchParams::default().timeout(seconds);
        params.label_selector.clone_from(&self.selection.labels);
        let mut request = match Request::new(self.api.resource_url()).watch(&params, &version.to_string()) {
            Ok(request) => request,
            Err(error) => return Some(unasked(error)),
        };
        // Newer API servers would compress a watch, each event by itself, which no client here can read.
        request.headers_mut().insert("accept-encoding", IDENTITY);
        let opened = match timeout(REQUEST_TIMEOUT, self.api.clone().into_client().request_stream(request)).await {
            Err(_) => return Some(WatchError::Timeout(REQUEST_TIMEOUT)),
            Ok(Err(error)) => return Some(error.into()),
            Ok(Ok(stream)) => stream,
        };
        let mut lines = Box::pin(opened).lines();
        self.works();
        let silence = Duration::from_secs(u64::from(seconds)) + SILENCE_MARGIN;
        loop {
            match timeout(silence, lines.next()).await {
                Err(_) => return Some(WatchError::Timeout(silence)),
                Ok(None) => return None,
                // The server, or something on the way, hung up between two events or within one.
                Ok(Some(Err(error))) if error.kind() == std::io::ErrorKind::UnexpectedEof => return None,
                Ok(Some(Err(error))) => return Some(WatchError::Unreachable(with_causes(&error))),
                Ok(Some(Ok(line))) => match self.take(&line) {
                    Ok(Some(seen)) => *version = seen,
                    Ok(None) => return None,
                    Err(error) => return Some(error),
                },
            }
        }
    }

    /// Puts one event into the store; returns the version it was at, or nothing for a line that was cut off.
    fn take(&self, line: &str) -> Result<Option<ResourceVersion>, WatchError> {
        let Line { kind, object } = match serde_json::from_str(line) {
            Ok(line) => line,
            Err(error) if error.is_eof() => return Ok(None),
            // An answer that is no watch: what the API server says instead.
            Err(error) => {
                return Err(status(line).unwrap_or_else(|| WatchError::Unreadable(error.to_string())));
            }
        };
        let object = object.get();
        match kind {
            LineKind::Added | LineKind::Modified => {
                let (version, reading) = arrive::<K>(object)?;
                self.store.apply(reading, version);
                Ok(Some(version))
            }
            LineKind::Deleted => {
                let (version, metadata) = metadata::<K>(object)?;
                self.store.delete(K::key(&metadata), version);
                Ok(Some(version))
            }
            LineKind::Bookmark => {
                let (version, _) = metadata::<K>(object)?;
                self.store.bookmark(version);
                Ok(Some(version))
            }
            LineKind::Error => {
                Err(status(object).unwrap_or_else(|| WatchError::Unreadable(format!("an error that says {object}"))))
            }
        }
    }

    /// Notes that it works; logs only the change.
    fn works(&mut self) {
        self.opened = Some(Instant::now());
        self.store.counters().watches.add_one();
        self.store.set_connected(true);
        if std::mem::take(&mut self.in_trouble) {
            tracing::info!(kind = K::NAME, "watching again");
        }
    }

    /// Notes that it does not work and says how long to wait; logs only the change.
    fn trouble(&mut self, error: &WatchError) -> Duration {
        let delay = self.backoff.failed().max(self.throttle.until().since(now()));
        if matches!(error, WatchError::Expired) {
            // Nobody's fault, and the list that follows is the cure: it takes no longer than the first delay.
            self.store.counters().expiries.add_one();
            tracing::debug!(kind = K::NAME, "the version to go on from is gone; listing afresh");
            self.store.set_connected(false);
            return delay;
        }
        self.store.set_trouble(error.to_string());
        if std::mem::replace(&mut self.in_trouble, true) {
            tracing::debug!(kind = K::NAME, %error, ?delay, "the watch still fails");
        } else {
            tracing::warn!(kind = K::NAME, %error, "the watch fails; what was seen last stays in force, and it is tried again");
        }
        delay
    }
}

/// Reads everything, most recent, and the version it was read at. What equals what `store` holds is shared with it.
pub(crate) async fn list<K: Kind>(
    api: &Api<K::Object>,
    selection: &Selection,
    store: &Store<K>,
) -> Result<(Listing<K>, ResourceVersion), WatchError> {
    let mut listing = Listing::new();
    let mut params = ListParams::default().limit(PAGE);
    params.label_selector.clone_from(&selection.labels);
    loop {
        let request = Request::new(api.resource_url()).list(&params).map_err(unasked)?;
        let text = timeout(LIST_TIMEOUT, api.clone().into_client().request_text(request))
            .await
            .map_err(|_| WatchError::Timeout(LIST_TIMEOUT))??;
        let page: Page<'_> = serde_json::from_str(&text).map_err(|error| WatchError::Unreadable(error.to_string()))?;
        for object in page.items.unwrap_or_default() {
            store.add_to(&mut listing, arrive::<K>(object.get())?.1);
        }
        params.continue_token = page.metadata.continue_token.filter(|token| !token.is_empty());
        if params.continue_token.is_some() {
            continue;
        }
        let version = page.metadata.resource_version.as_deref().map(parse_version);
        let version = version.ok_or_else(|| WatchError::Unreadable("a list without a version".to_owned()))?;
        tracing::debug!(kind = K::NAME, objects = listing.len(), %version, "listed");
        return Ok((listing, version));
    }
}

fn asked(request: Option<Relist>) -> Ended {
    // The senders live as long as the store's handle, so an end means that the process is stopping.
    request.map_or(Ended::Failed(WatchError::Stopped), Ended::Asked)
}

/// A request that cannot be made out of its parts: a bug, since they are constants.
fn unasked(error: kube::core::request::Error) -> WatchError {
    WatchError::Unreadable(error.to_string())
}

/// What the API server says in the place of an object, if it is an error.
fn status(text: &str) -> Option<WatchError> {
    let status: Status = serde_json::from_str(text).ok()?;
    (status.code != 0).then(|| WatchError::of_status(status.code, &status.message))
}
