//! Kubernetes Events: what people are told once.
//!
//! An Event is worth little and expires within the hour, so telling never holds anything up: what does not fit the queue, and what
//! cannot be written, is counted and dropped. Conditions are what stays.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use ironlb_model::ObjectRef;
use k8s_openapi::api::core::v1::ObjectReference;
use k8s_openapi::api::events::v1::Event;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{MicroTime, ObjectMeta};
use kube::api::PostParams;
use kube::{Api, Client};
use tokio::sync::mpsc;
use tokio::task::JoinSet;
use tokio::time::timeout;

use crate::client::{Clients, REQUEST_TIMEOUT};
use crate::counters::Counter;

/// How many Events may wait. Chosen, because a first run over 10,000 adopted Services must not be told 10,000 times, and 1,000 are more
/// than anybody reads.
const WAITING: usize = 1000;

/// The API server's limit for a note (events.k8s.io/v1), in bytes.
const MAX_NOTE: usize = 1024;

/// Good news or bad.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Tone {
    /// Something happened as it should.
    Normal,
    /// Somebody should look.
    Warning,
}

/// Something to tell about an object.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Telling {
    /// The object.
    pub object: ObjectRef,
    /// Its uid, so that `kubectl describe` shows the Event with it.
    pub uid: String,
    /// Good or bad.
    pub tone: Tone,
    /// One word, such as `AssignIP`.
    pub reason: String,
    /// A sentence.
    pub message: String,
}

/// Counts of Events.
#[derive(Debug, Default)]
pub struct EventCounters {
    /// Written.
    pub written: Counter,
    /// Dropped because too many waited.
    pub dropped: Counter,
    /// Not written: refused, or no answer.
    pub failed: Counter,
}

/// Tells. Clones share the queue.
#[derive(Debug, Clone)]
pub struct Events {
    queue: mpsc::Sender<Telling>,
    counters: Arc<EventCounters>,
}

impl Events {
    /// Starts the task that writes, in `tasks`; it ends when the last clone is dropped and everything that waited is written.
    #[must_use]
    pub fn start(clients: &Clients, reporter: Reporter, tasks: &mut JoinSet<&'static str>) -> Self {
        let (client, throttle) = (clients.ordinary.clone(), clients.throttle.clone());
        let (queue, mut waiting) = mpsc::channel(WAITING);
        let counters = Arc::new(EventCounters::default());
        let shared = Arc::clone(&counters);
        tasks.spawn(async move {
            while let Some(telling) = waiting.recv().await {
                // An Event is the first thing that a busy API server can do without.
                throttle.passed().await;
                write(&client, &reporter, telling, &shared).await;
            }
            "events"
        });
        Self { queue, counters }
    }

    /// Tells it, sooner or later or, under a flood, not at all. Never waits.
    pub fn tell(&self, telling: Telling) {
        if self.queue.try_send(telling).is_err() {
            self.counters.dropped.add_one();
        }
    }

    /// Counts of what was told.
    #[must_use]
    pub fn counters(&self) -> &EventCounters {
        &self.counters
    }
}

/// Who tells.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reporter {
    /// The component, such as `ironlb-controller`.
    pub controller: String,
    /// The process, such as the pod's name.
    pub instance: String,
}

async fn write(client: &Client, reporter: &Reporter, telling: Telling, counters: &EventCounters) {
    let event = event(telling, reporter, jiff::Timestamp::now());
    let namespace = event.metadata.namespace.clone().unwrap_or_default();
    let api: Api<Event> = Api::namespaced(client.clone(), &namespace);
    match timeout(REQUEST_TIMEOUT, api.create(&PostParams::default(), &event)).await {
        Ok(Ok(_)) => counters.written.add_one(),
        Ok(Err(error)) => {
            counters.failed.add_one();
            tracing::debug!(%error, reason = ?event.reason, "an Event could not be written");
        }
        Err(_) => counters.failed.add_one(),
    }
}

/// The Event in the API's form.
fn event(telling: Telling, reporter: &Reporter, now: jiff::Timestamp) -> Event {
    // Two Events of one object in one nanosecond are two all the same.
    static NUMBER: AtomicU64 = AtomicU64::new(0);
    let number = NUMBER.fetch_add(1, Ordering::Relaxed);
    let regarding = regarding(&telling.object, telling.uid);
    // The namespace of Events about objects without one is `default`, as everywhere in Kubernetes.
    let namespace = regarding.namespace.clone().unwrap_or_else(|| "default".to_owned());
    // A name ends within 253 characters; that of a node may be as long.
    let name: String = regarding.name.clone().unwrap_or_default().chars().take(200).collect();
    let stamp = format!("{:x}{:x}", now.as_nanosecond(), number & 0xffff);
    Event {
        metadata: ObjectMeta {
            name: Some(format!("{}.{stamp}", name.trim_end_matches(['.', '-']))),
            namespace: Some(namespace),
            ..ObjectMeta::default()
        },
        event_time: Some(MicroTime(now)),
        type_: Some(
            match telling.tone {
                Tone::Normal => "Normal",
                Tone::Warning => "Warning",
            }
            .to_owned(),
        ),
        reason: Some(telling.reason.clone()),
        action: Some(telling.reason),
        note: Some(cut(telling.message)),
        regarding: Some(regarding),
        reporting_controller: Some(reporter.controller.clone()),
        reporting_instance: Some(reporter.instance.clone()),
        ..Event::default()
    }
}

fn cut(mut note: String) -> String {
    const MARK: &str = " ...";
    if note.len() > MAX_NOTE {
        note.truncate(note.floor_char_boundary(MAX_NOTE - MARK.len()));
        note.push_str(MARK);
    }
    note
}

fn regarding(object: &ObjectRef, uid: String) -> ObjectReference {
    let (api_version, kind, namespace, name) = match object {
        ObjectRef::Service(id) => ("v1", "Service", Some(id.namespace.to_string()), id.name.to_string()),
        ObjectRef::Eip(name) => ("network.kubesphere.io/v1alpha2", "Eip", None, name.to_string()),
        ObjectRef::BgpConf(name) => ("network.kubesphere.io/v1alpha2", "BgpConf", None, name.clone()),
        ObjectRef::BgpPeer(name) => ("network.kubesphere.io/v1alpha2", "BgpPeer", None, name.clone()),
        ObjectRef::Node(name) => ("v1", "Node", None, name.to_string()),
        ObjectRef::Speaker(name) => ("ironlb.io/v1alpha1", "Speaker", None, name.to_string()),
    };
    ObjectReference {
        api_version: Some(api_version.to_owned()),
        kind: Some(kind.to_owned()),
        namespace,
        name: Some(name),
        uid: Some(uid).filter(|uid| !uid.is_empty()),
        ..ObjectReference::default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use ironlb_model::ServiceId;

    fn reporter() -> Reporter {
        Reporter { controller: "ironlb-controller".to_owned(), instance: "pod-1".to_owned() }
    }

    fn telling(object: ObjectRef, message: &str) -> Telling {
        Telling {
            object,
            uid: "u".to_owned(),
            tone: Tone::Warning,
            reason: "AssignIPFailed".to_owned(),
            message: message.to_owned(),
        }
    }

    #[test]
    fn an_event_names_its_object_and_stands_in_its_namespace() {
        let now = jiff::Timestamp::from_second(1_767_323_045).unwrap();
        let event = event(telling(ObjectRef::Service(ServiceId::new("shop", "web")), "m"), &reporter(), now);
        assert_eq!(event.metadata.namespace.as_deref(), Some("shop"));
        let about = event.regarding.unwrap();
        assert_eq!(
            (about.kind.as_deref(), about.name.as_deref(), about.uid.as_deref()),
            (Some("Service"), Some("web"), Some("u"))
        );
        assert_eq!((event.type_.as_deref(), event.action.as_deref()), (Some("Warning"), Some("AssignIPFailed")));
        assert!(event.metadata.name.unwrap().starts_with("web."));
    }

    #[test]
    fn an_object_without_namespace_is_told_of_in_the_default_one() {
        let now = jiff::Timestamp::from_second(0).unwrap();
        let first = event(telling(ObjectRef::Eip("pool".into()), "m"), &reporter(), now);
        let second = event(telling(ObjectRef::Eip("pool".into()), "m"), &reporter(), now);
        assert_eq!(first.metadata.namespace.as_deref(), Some("default"));
        assert_ne!(first.metadata.name, second.metadata.name, "two Events of one moment are two");
    }

    #[test]
    fn a_long_note_is_cut_between_characters() {
        let now = jiff::Timestamp::from_second(0).unwrap();
        let note = event(telling(ObjectRef::Node("n1".into()), &"ä".repeat(1000)), &reporter(), now).note.unwrap();
        assert!(note.len() <= MAX_NOTE && note.ends_with("ä ..."), "{}", note.len());
    }

    #[tokio::test]
    async fn a_flood_is_dropped_and_counted() {
        let (queue, _waiting) = mpsc::channel(2);
        let events = Events { queue, counters: Arc::default() };
        for _ in 0..5 {
            events.tell(telling(ObjectRef::Node("n1".into()), "m"));
        }
        assert_eq!(events.counters().dropped.get(), 3);
    }
}
