//! What the BGP objects name in ironlb's own namespace: a policy file in a ConfigMap, passwords in Secrets.
//!
//! Both are read by name and never listed, so the right to read them can be as small as that. What was read once stays in force
//! while it cannot be read, or is gone, or cannot be understood: a password that works is not given up because the API server is
//! away, and a policy that stops routes goes on to stop them when somebody mistypes its next version.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use ironlb_model::{BgpConf, BgpPeer, Issue, IssueReason, ObjectRef, Password, Policy};
use ironlb_translate::{POLICY_KEY, policy};
use k8s_openapi::NamespaceResourceScope;
use k8s_openapi::api::core::v1::{ConfigMap, Secret};
use kube::api::GetParams;
use kube::{Api, Client, Resource};
use serde::de::DeserializeOwned;
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio::time::timeout;

use crate::backoff::spread;
use crate::client::REQUEST_TIMEOUT;
use crate::signal::Signal;
use crate::watch::WatchError;

/// How often what is named is read again. Chosen: a person who changes a password waits so long, and a hundred speakers that ask for
/// two objects each send the API server twenty small requests a second, which it answers from memory.
const INTERVAL: Duration = Duration::from_secs(10);

/// How soon again after no answer.
const SOON: Duration = Duration::from_secs(1);

/// The longest key of TCP MD5 that the kernel takes (`TCP_MD5SIG_MAXKEYLEN`).
const MAX_PASSWORD: usize = 80;

/// What is named, each with the generation of the object that names it: a change there reads at once.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
struct Wanted {
    policy: Option<(String, i64)>,
    passwords: BTreeMap<PasswordName, i64>,
}

/// Name of a Secret, and key in it.
type PasswordName = (String, String);

/// What was read.
#[derive(Default)]
struct Read {
    policy: Option<PolicyReading>,
    passwords: BTreeMap<PasswordName, PasswordReading>,
}

#[derive(PartialEq)]
struct PolicyReading {
    /// The last one that could be read.
    policy: Option<Arc<Policy>>,
    issues: Vec<Issue>,
}

#[derive(Default, PartialEq)]
struct PasswordReading {
    /// The last one there was.
    known: Option<Arc<str>>,
    trouble: Option<String>,
}

/// Reads what is named, for as long as it is.
pub(crate) struct References {
    wanted: watch::Sender<Wanted>,
    read: Mutex<Read>,
    trouble: Mutex<Option<String>>,
    namespace: String,
    signal: Signal,
}

impl std::fmt::Debug for References {
    /// Without what was read: there are passwords in it.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("References").field("wanted", &*self.wanted.borrow()).finish_non_exhaustive()
    }
}

impl References {
    /// Starts to read, as a task in `tasks` that ends only with it.
    pub(crate) fn start(
        client: Client,
        namespace: &str,
        signal: Signal,
        tasks: &mut JoinSet<&'static str>,
    ) -> Arc<Self> {
        let (wanted, mut changes) = watch::channel(Wanted::default());
        let namespace = namespace.to_owned();
        let (read, trouble) = (Mutex::default(), Mutex::default());
        let references = Arc::new(Self { wanted, read, trouble, namespace, signal });
        let shared = Arc::clone(&references);
        tasks.spawn(async move {
            loop {
                let wanted = changes.borrow_and_update().clone();
                let pause = if shared.read_all(&client, &wanted).await { INTERVAL } else { SOON };
                let is_idle = wanted == Wanted::default();
                tokio::select! {
                    // The sender lives in `shared`.
                    _ = changes.changed() => (),
                    () = tokio::time::sleep(spread(pause)), if !is_idle => (),
                }
            }
        });
        references
    }

    /// What these objects name is read from now on, `passwords` only where sessions are run.
    pub(crate) fn want(
        &self,
        confs: &BTreeMap<String, Arc<BgpConf>>,
        peers: &BTreeMap<String, Arc<BgpPeer>>,
        with_passwords: bool,
    ) {
        let policy = confs.values().find_map(|conf| Some((conf.own_side.as_ref()?.policy.clone()?, conf.generation)));
        let password = |peer: &Arc<BgpPeer>| match peer.peering.as_ref()?.password.as_ref()? {
            Password::Secret { name, key } => Some(((name.clone(), key.clone()), peer.generation)),
            Password::Plain(_) => None,
        };
        let mut passwords = BTreeMap::new();
        for (name, generation) in peers.values().filter(|_| with_passwords).filter_map(password) {
            // Of several that name it the sum: it changes with each of them.
            *passwords.entry(name).or_default() += generation;
        }
        let wanted = Wanted { policy, passwords };
        self.wanted.send_if_modified(|before| {
            let is_new = *before != wanted;
            *before = wanted;
            is_new
        });
    }

    /// Is a policy named of which nothing is known yet? Without it routes would go out that it is there to stop.
    pub(crate) fn is_awaited(&self) -> bool {
        self.wanted.borrow().policy.is_some() && self.lock().policy.is_none()
    }

    /// Why nothing is known yet.
    pub(crate) fn trouble(&self) -> Option<String> {
        self.trouble.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// The policy in force, by the name that is wanted: after a change of the name the former one, until the new one was read.
    pub(crate) fn policies(&self) -> BTreeMap<String, Arc<Policy>> {
        let name = self.wanted.borrow().policy.as_ref().map(|(name, _)| name.clone());
        let policy = self.lock().policy.as_ref().and_then(|reading| reading.policy.clone());
        name.zip(policy).into_iter().collect()
    }

    /// What is wrong with the policy file.
    pub(crate) fn issues(&self) -> Vec<Issue> {
        let is_wanted = self.wanted.borrow().policy.is_some();
        self.lock().policy.iter().filter(|_| is_wanted).flat_map(|reading| reading.issues.clone()).collect()
    }

    /// The password under this name and key.
    ///
    /// # Errors
    /// Why there is none, for people.
    pub(crate) fn password(&self, name: &str, key: &str) -> Result<Arc<str>, String> {
        let read = self.lock();
        let reading = read.passwords.get(&(name.to_owned(), key.to_owned()));
        reading.and_then(|reading| reading.known.clone()).ok_or_else(|| {
            let trouble = reading.and_then(|reading| reading.trouble.clone());
            trouble.unwrap_or_else(|| format!("Secret {}/{name} has not been read yet", self.namespace))
        })
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Read> {
        self.read.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Reads everything once; false where there was no answer.
    async fn read_all(&self, client: &Client, wanted: &Wanted) -> bool {
        let mut is_answered = true;
        let mut trouble = None;
        if let Some((name, _)) = &wanted.policy {
            match self.get::<ConfigMap>(client, name).await {
                Ok(found) => self.take_policy(name, found),
                Err(error) => {
                    trouble = Some(error.to_string());
                    is_answered = false;
                }
            }
        }
        let secrets: BTreeSet<&String> = wanted.passwords.keys().map(|(name, _)| name).collect();
        for name in secrets {
            let found = self.get::<Secret>(client, name).await;
            is_answered &= found.is_ok();
            let keys = wanted.passwords.keys().filter(|(of, _)| of == name).map(|(_, key)| key.as_str());
            self.take_secret(name, keys, &found);
        }
        self.forget_others(wanted);
        *self.trouble.lock().unwrap_or_else(PoisonError::into_inner) = trouble;
        is_answered
    }

    /// One object; an error where nothing is known of it, a text where it is known not to be had.
    async fn get<K>(&self, client: &Client, name: &str) -> Result<Result<K, String>, WatchError>
    where
        K: Resource<DynamicType = (), Scope = NamespaceResourceScope> + Clone + DeserializeOwned + std::fmt::Debug,
    {
        let api: Api<K> = Api::namespaced(client.clone(), &self.namespace);
        let (kind, namespace) = (K::kind(&()), &self.namespace);
        // Any version the server has in memory will do.
        match timeout(REQUEST_TIMEOUT, api.get_with(name, &GetParams::any())).await {
            Ok(Ok(object)) => Ok(Ok(object)),
            Ok(Err(kube::Error::Api(status))) if status.code == 404 => {
                Ok(Err(format!("there is no {kind} {name} in namespace {namespace}")))
            }
            Ok(Err(kube::Error::Api(status))) if matches!(status.code, 400..=428 | 430..=499) => {
                Ok(Err(format!("{kind} {name} in namespace {namespace} cannot be read: {}", status.message)))
            }
            Ok(Err(error)) => Err(error.into()),
            Err(_) => Err(WatchError::Timeout(REQUEST_TIMEOUT)),
        }
    }

    fn take_policy(&self, name: &str, found: Result<ConfigMap, String>) {
        let text = found.and_then(|map| {
            let text = map.data.and_then(|mut data| data.remove(POLICY_KEY));
            text.ok_or_else(|| format!("ConfigMap {name} has no key {POLICY_KEY}"))
        });
        let (policy, mut issues) = text.map_or_else(|said| (None, vec![amiss(said)]), |text| policy(name, &text));
        if policy.is_none() {
            issues.push(amiss(STANDS.to_owned()));
        }
        let mut read = self.lock();
        let last = read.policy.as_ref().and_then(|reading| reading.policy.clone());
        let reading = PolicyReading { policy: policy.map(Arc::new).or(last), issues };
        if read.policy.as_ref() != Some(&reading) {
            read.policy = Some(reading);
            self.signal.raise();
        }
    }

    fn take_secret<'a>(
        &self,
        name: &str,
        keys: impl Iterator<Item = &'a str>,
        found: &Result<Result<Secret, String>, WatchError>,
    ) {
        let mut read = self.lock();
        for key in keys {
            let reading = match found {
                Ok(Ok(secret)) => password(secret, key).map_err(|said| format!("Secret {name} {said}")),
                Ok(Err(said)) => Err(said.clone()),
                Err(error) => Err(format!("Secret {}/{name} cannot be read: {error}", self.namespace)),
            };
            let before = read.passwords.entry((name.to_owned(), key.to_owned())).or_default();
            let now = match reading {
                Ok(password) => PasswordReading { known: Some(password), trouble: None },
                Err(said) => PasswordReading { known: before.known.clone(), trouble: Some(said) },
            };
            if *before != now {
                if let (Some(trouble), false) = (&now.trouble, now.trouble == before.trouble) {
                    tracing::warn!(secret = name, key, error = trouble, "no password from a Secret");
                }
                *before = now;
                self.signal.raise();
            }
        }
    }

    fn forget_others(&self, wanted: &Wanted) {
        let mut read = self.lock();
        read.passwords.retain(|name, _| wanted.passwords.contains_key(name));
        if wanted.policy.is_none() {
            read.policy = None;
        }
    }
}

/// What is so while a policy cannot be read. A speaker without one tells it as the reason why it advertises nothing.
const STANDS: &str = "until this is mended, speakers go on with the last policy they have read, and one that has read none advertises nothing";

/// A fault of the file as a whole.
fn amiss(message: String) -> Issue {
    Issue {
        object: ObjectRef::BgpConf(ironlb_api::names::BGP_CONF_NAME.to_owned()),
        field: "spec.policy".to_owned(),
        reason: IssueReason::InvalidField,
        message,
    }
}

/// What stands under the key, as a router would take it.
fn password(secret: &Secret, key: &str) -> Result<Arc<str>, String> {
    let bytes = secret.data.as_ref().and_then(|data| data.get(key)).ok_or_else(|| format!("has no key {key}"))?;
    let text = std::str::from_utf8(&bytes.0).map_err(|_| format!("has bytes that are no text under key {key}"))?;
    // A file ends with a line break, and nobody can type one into a router.
    let text = text.trim_end_matches(['\r', '\n']);
    match text.len() {
        0 => Err(format!("has nothing under key {key}")),
        1..=MAX_PASSWORD => Ok(text.into()),
        long => Err(format!("has {long} bytes under key {key}; TCP MD5 takes {MAX_PASSWORD}")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use k8s_openapi::ByteString;

    fn secret(text: &[u8]) -> Secret {
        let data = BTreeMap::from([("password".to_owned(), ByteString(text.to_vec()))]);
        Secret { data: Some(data), ..Secret::default() }
    }

    #[test]
    fn a_password_is_what_a_router_would_take() {
        assert_eq!(password(&secret(b"sesame\n"), "password").as_deref(), Ok("sesame"));
        for (text, key, said) in [
            (&b"sesame"[..], "other", "has no key other"),
            (b"\n", "password", "has nothing under key password"),
            (b"\xff", "password", "has bytes that are no text under key password"),
            (&[b'a'; 81], "password", "has 81 bytes under key password; TCP MD5 takes 80"),
        ] {
            assert_eq!(password(&secret(text), key), Err(said.to_owned()));
        }
    }

    fn references() -> References {
        let wanted = watch::channel(Wanted::default()).0;
        let (read, trouble) = (Mutex::default(), Mutex::default());
        References { wanted, read, trouble, namespace: "ns".to_owned(), signal: Signal::new() }
    }

    #[test]
    fn a_password_outlives_its_secret_and_its_trouble_is_told() {
        let references = references();
        assert_eq!(references.password("s", "password"), Err("Secret ns/s has not been read yet".to_owned()));
        references.take_secret("s", ["password"].into_iter(), &Ok(Err("there is no Secret s".to_owned())));
        assert_eq!(references.password("s", "password"), Err("there is no Secret s".to_owned()));
        references.take_secret("s", ["password"].into_iter(), &Ok(Ok(secret(b"one"))));
        references.take_secret("s", ["password"].into_iter(), &Ok(Err("there is no Secret s".to_owned())));
        assert_eq!(references.password("s", "password").as_deref(), Ok("one"));
        references.forget_others(&Wanted::default());
        assert!(references.password("s", "password").is_err());
    }

    #[test]
    fn a_policy_that_cannot_be_read_is_told_on_the_bgpconf() {
        let references = references();
        references.wanted.send_replace(Wanted { policy: Some(("p".to_owned(), 1)), passwords: BTreeMap::new() });
        assert!(references.is_awaited());
        references.take_policy("p", Err("there is no ConfigMap p".to_owned()));
        assert!(!references.is_awaited() && references.policies().is_empty());
        let said =
            |references: &References| references.issues().into_iter().map(|issue| issue.message).collect::<Vec<_>>();
        assert_eq!(said(&references), ["there is no ConfigMap p", STANDS]);
        let map = |text: &str| ConfigMap {
            data: Some(BTreeMap::from([(POLICY_KEY.to_owned(), text.to_owned())])),
            ..ConfigMap::default()
        };
        references.take_policy("p", Ok(map("[zebra]\nenabled = true\n")));
        assert_eq!(references.policies().keys().collect::<Vec<_>>(), ["p"]);
        assert!(said(&references).len() == 1 && said(&references)[0].contains("zebra"), "{:?}", said(&references));
        let in_force = references.policies();
        for amiss in
            [Err("there is no ConfigMap p".to_owned()), Ok(ConfigMap::default()), Ok(map("= [")), Ok(map("[zebr]"))]
        {
            references.take_policy("p", amiss.clone());
            assert_eq!(references.policies(), in_force, "{amiss:?}: what it stops is stopped still");
            assert_eq!(said(&references).last().map(String::as_str), Some(STANDS), "{amiss:?}");
        }
        references.take_policy("p", Ok(map("[global.apply-policy.config]\ndefault-export-policy = \"reject-route\"")));
        assert!(references.policies() != in_force && said(&references).is_empty());
    }
}
