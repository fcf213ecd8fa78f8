use super::*;
use crate::kind::{Eips, EndpointSlices, Nodes};
use serde_json::{Value, json};

impl<K: Kind> Store<K> {
    /// A complete list of these.
    fn reset(&self, readings: Vec<Reading<K>>, version: ResourceVersion) {
        let mut listing = Listing::new();
        for reading in readings {
            self.add_to(&mut listing, reading);
        }
        self.replace(listing, version);
    }
}

async fn is_raised(signal: &Signal) -> bool {
    tokio::time::timeout(std::time::Duration::ZERO, signal.raised()).await.is_ok()
}

fn reading<K: Kind>(object: Value) -> Reading<K> {
    K::read(serde_json::from_value(object).unwrap())
}

fn node(name: &str, ready: bool) -> Reading<Nodes> {
    let status = if ready { "True" } else { "False" };
    reading(json!({"metadata": {"name": name}, "status": {"conditions": [{"type": "Ready", "status": status}]}}))
}

fn eip(spec: Value) -> Reading<Eips> {
    reading(
        json!({"apiVersion": "network.kubesphere.io/v1alpha2", "kind": "Eip", "metadata": {"name": "pool"}, "spec": spec}),
    )
}

#[tokio::test]
async fn a_list_replaces_everything_at_once_and_keeps_what_did_not_change() {
    let signal = Signal::new();
    let store: Store<Nodes> = Store::new(signal.clone());
    assert!(!store.has_listed());
    store.reset(vec![node("a", true), node("b", true)], ResourceVersion(5));
    assert!(store.has_listed() && is_raised(&signal).await);
    let before = store.get(&"a".into()).unwrap();

    store.reset(vec![node("a", true), node("c", false)], ResourceVersion(9));
    assert!(is_raised(&signal).await);
    let names: Vec<String> = store.objects().keys().map(ToString::to_string).collect();
    assert_eq!((names, store.version()), (vec!["a".to_owned(), "c".to_owned()], ResourceVersion(9)));
    assert!(Arc::ptr_eq(&before, &store.get(&"a".into()).unwrap()));

    store.reset(vec![node("c", false), node("a", true)], ResourceVersion(11));
    assert!(!is_raised(&signal).await, "the same list in another order changes nothing");
}

#[test]
fn what_a_fresh_list_shows_unchanged_is_shared_before_the_list_is_complete() {
    let store: Store<Nodes> = Store::new(Signal::new());
    store.reset(vec![node("a", true), node("b", true)], ResourceVersion(5));
    let held = store.objects();
    let mut listing = Listing::new();
    store.add_to(&mut listing, node("a", true));
    store.add_to(&mut listing, node("b", false));
    let is_shared = |name: &str| Arc::ptr_eq(&held[&name.into()], &listing.objects[&name.into()]);
    assert_eq!((is_shared("a"), is_shared("b")), (true, false));
    assert_eq!(store.objects(), held, "nothing changes before the list is complete");
}

#[tokio::test]
async fn an_empty_first_list_is_news() {
    let signal = Signal::new();
    let store: Store<Nodes> = Store::new(signal.clone());
    store.reset(vec![], ResourceVersion(1));
    assert!(store.has_listed() && is_raised(&signal).await);
}

#[tokio::test]
async fn events_raise_the_signal_only_for_what_matters() {
    let signal = Signal::new();
    let store: Store<Nodes> = Store::new(signal.clone());
    store.reset(vec![node("a", true)], ResourceVersion(1));
    assert!(is_raised(&signal).await);

    store.apply(node("a", true), ResourceVersion(2));
    assert!(!is_raised(&signal).await, "a heartbeat changes nothing ironlb looks at");
    store.apply(node("a", false), ResourceVersion(3));
    assert!(is_raised(&signal).await);
    store.delete("a".into(), ResourceVersion(4));
    assert!(is_raised(&signal).await && store.objects().is_empty());
    store.delete("a".into(), ResourceVersion(5));
    assert!(!is_raised(&signal).await);
    store.bookmark(ResourceVersion(9));
    assert_eq!(store.version(), ResourceVersion(9));
    assert_eq!((store.counters().events.get(), store.counters().unchanged.get()), (4, 2));
}

#[tokio::test]
async fn an_object_that_does_not_parse_is_an_issue_and_the_others_are_read() {
    let signal = Signal::new();
    let store: Store<Eips> = Store::new(signal.clone());
    let bad = json!({"metadata": {"name": "bad", "uid": "u", "resourceVersion": "1"}, "spec": {"address": 7}});
    let (_, bad) = crate::arrival::arrive(&bad.to_string()).unwrap();
    store.reset(vec![bad, eip(json!({"address": "192.0.2.1"}))], ResourceVersion(1));
    assert!(is_raised(&signal).await);
    assert_eq!(store.objects().len(), 1);
    let issues = store.issues();
    assert_eq!((issues.len(), issues[0].object.to_string()), (1, "Eip bad".to_owned()));
    assert_eq!(issues[0].reason, ironlb_model::IssueReason::Unreadable);
    assert_eq!(store.unreadable(), [(issues[0].clone(), "u".to_owned())]);

    // A fault that comes or goes is news even when the value stays what it was.
    store.delete("bad".into(), ResourceVersion(2));
    assert!(is_raised(&signal).await && store.issues().is_empty() && store.unreadable().is_empty());
}

#[test]
fn the_endpoints_of_a_service_follow_its_slices() {
    let slice = |name: &str, service: &str, nodes: &[&str]| -> Reading<EndpointSlices> {
        let endpoints: Vec<Value> = nodes.iter().map(|n| json!({"addresses": ["10.0.0.1"], "nodeName": n})).collect();
        reading(json!({"metadata": {"namespace": "d", "name": name, "labels": {"kubernetes.io/service-name": service}},
                       "addressType": "IPv4", "endpoints": endpoints}))
    };
    let key = |name: &str| ("d".into(), name.to_owned());
    let store: Store<EndpointSlices> = Store::new(Signal::new());
    let shown = || -> Vec<String> {
        let merged = store.view().merged;
        merged
            .iter()
            .map(|(id, e)| {
                let nodes: Vec<&str> = e.endpoints.iter().filter_map(|e| Some(e.node.as_ref()?.as_str())).collect();
                format!("{id}={}", nodes.join("+"))
            })
            .collect()
    };
    store.reset(
        vec![slice("web-1", "web", &["n2"]), slice("web-2", "web", &["n1"]), slice("db-1", "db", &[])],
        ResourceVersion(1),
    );
    assert_eq!(shown(), ["d/db=", "d/web=n1+n2"]);
    store.apply(slice("web-2", "web", &["n3", "n1"]), ResourceVersion(2));
    assert_eq!(shown(), ["d/db=", "d/web=n1+n2+n3"]);
    store.apply(slice("web-1", "db", &["n2"]), ResourceVersion(3));
    assert_eq!(shown(), ["d/db=n2", "d/web=n1+n3"]);
    store.delete(key("web-2"), ResourceVersion(4));
    store.delete(key("db-1"), ResourceVersion(5));
    assert_eq!(shown(), ["d/db=n2"]);
    store.reset(vec![], ResourceVersion(6));
    assert_eq!(shown(), [""; 0]);
}

mod properties {
    use std::collections::BTreeMap;

    use ironlb_model::{Endpoints, ServiceId};
    use ironlb_translate::Slice;
    use proptest::prelude::*;

    use super::*;
    use crate::kind::{EndpointsByService, SliceKey};

    /// What a watch may do to the store: an object is there with these nodes for that Service, or is not a Service's, or goes; or
    /// a list takes the place of everything.
    #[derive(Debug, Clone)]
    enum Operation {
        Apply(u8, Option<(u8, Vec<u8>)>),
        Delete(u8),
        Reset(Vec<(u8, (u8, Vec<u8>))>),
    }

    fn operation() -> impl Strategy<Value = Operation> {
        let contents = || (0..3_u8, prop::collection::vec(0..4_u8, 0..3));
        prop_oneof![
            4 => (0..4_u8, prop::option::of(contents())).prop_map(|(slice, to)| Operation::Apply(slice, to)),
            2 => (0..4_u8).prop_map(Operation::Delete),
            1 => prop::collection::btree_map(0..4_u8, contents(), 0..4)
                .prop_map(|slices| Operation::Reset(slices.into_iter().collect())),
        ]
    }

    fn slice_reading<K>(slice: u8, to: Option<&(u8, Vec<u8>)>) -> Reading<K>
    where
        K: Kind<Object = k8s_openapi::api::discovery::v1::EndpointSlice>,
    {
        let (labels, nodes) = match to {
            Some((service, nodes)) => (json!({"kubernetes.io/service-name": format!("s{service}")}), nodes.as_slice()),
            None => (json!({}), &[][..]),
        };
        let endpoints: Vec<Value> =
            nodes.iter().map(|n| json!({"addresses": ["10.0.0.1"], "nodeName": format!("n{n}")})).collect();
        reading(json!({"metadata": {"namespace": "d", "name": format!("slice{slice}"), "labels": labels},
                       "addressType": "IPv4", "endpoints": endpoints}))
    }

    /// After any operations, the endpoints of each Service are those of its slices, no more and no fewer.
    fn follows<K>(operations: &[Operation]) -> bool
    where
        K: Kind<
                Object = k8s_openapi::api::discovery::v1::EndpointSlice,
                Key = SliceKey,
                Value = Slice,
                View = EndpointsByService,
            >,
    {
        let store: Store<K> = Store::new(Signal::new());
        let mut reference: BTreeMap<u8, Option<(u8, Vec<u8>)>> = BTreeMap::new();
        operations.iter().all(|operation| {
            match operation {
                Operation::Apply(slice, to) => {
                    store.apply(slice_reading(*slice, to.as_ref()), ResourceVersion(1));
                    reference.insert(*slice, to.clone());
                }
                Operation::Delete(slice) => {
                    store.delete(("d".into(), format!("slice{slice}")), ResourceVersion(1));
                    reference.remove(slice);
                }
                Operation::Reset(slices) => {
                    let readings = slices.iter().map(|(slice, to)| slice_reading(*slice, Some(to))).collect();
                    store.reset(readings, ResourceVersion(1));
                    reference = slices.iter().map(|(slice, to)| (*slice, Some(to.clone()))).collect();
                }
            }
            let mut nodes: BTreeMap<ServiceId, Vec<u8>> = BTreeMap::new();
            for (service, of_slice) in reference.values().flatten() {
                nodes.entry(ServiceId::new("d", &format!("s{service}"))).or_default().extend(of_slice);
            }
            let shown: BTreeMap<ServiceId, Vec<u8>> =
                store.view().merged.iter().map(|(id, endpoints)| (id.clone(), numbers(endpoints))).collect();
            nodes.values_mut().for_each(|numbers| numbers.sort_unstable());
            shown == nodes
        })
    }

    fn numbers(endpoints: &Endpoints) -> Vec<u8> {
        let names = endpoints.endpoints.iter().filter_map(|endpoint| endpoint.node.as_ref());
        names.filter_map(|name| name.as_str().strip_prefix('n')?.parse().ok()).collect()
    }

    /// Forgets where a slice was before.
    #[derive(Debug)]
    struct Forgetful;

    impl Kind for Forgetful {
        type Object = <EndpointSlices as Kind>::Object;
        type Key = SliceKey;
        type Value = Slice;
        type View = EndpointsByService;
        const NAME: &'static str = "forgetful";

        fn key(metadata: &k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta) -> SliceKey {
            EndpointSlices::key(metadata)
        }

        fn read(object: Self::Object) -> Reading<Self> {
            let Reading { key, value, issues, uid } = EndpointSlices::read(object);
            Reading { key, value, issues, uid }
        }

        fn index(
            view: &mut EndpointsByService,
            objects: &BTreeMap<SliceKey, Arc<Slice>>,
            key: &SliceKey,
            _before: Option<&Slice>,
            after: Option<&Slice>,
        ) {
            EndpointSlices::index(view, objects, key, None, after);
        }
    }

    proptest! {
        #[test]
        fn the_endpoints_of_every_service_are_those_of_its_slices(operations in prop::collection::vec(operation(), 0..12)) {
            prop_assert!(follows::<EndpointSlices>(&operations));
        }
    }

    #[test]
    fn the_property_sees_an_index_that_forgets() {
        let moved = [Operation::Apply(0, Some((0, vec![1]))), Operation::Apply(0, Some((1, vec![1])))];
        assert!(follows::<EndpointSlices>(&moved) && !follows::<Forgetful>(&moved));
    }
}
