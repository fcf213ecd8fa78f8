//! EndpointSlices: several make up the endpoints of one Service.

use ironlb_api::names::label;
use ironlb_model::{Endpoint, Endpoints, ServiceId};
use k8s_openapi::api::discovery::v1 as discovery;

/// The part of a Service's endpoints that one EndpointSlice holds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Slice {
    /// The Service it belongs to.
    pub service: ServiceId,
    /// Its endpoints, sorted.
    pub endpoints: Vec<Endpoint>,
}

/// Reads one slice; `None` for one that belongs to no Service or holds host names, which kube-proxy ignores as well.
#[must_use]
pub fn endpoint_slice(object: &discovery::EndpointSlice) -> Option<Slice> {
    let service = object.metadata.labels.as_ref()?.get(label::SERVICE_NAME).filter(|name| !name.is_empty())?;
    if object.address_type == "FQDN" {
        return None;
    }
    let namespace = object.metadata.namespace.as_deref().unwrap_or_default();
    let mut endpoints: Vec<Endpoint> = object.endpoints.iter().map(endpoint).collect();
    endpoints.sort_unstable();
    Some(Slice { service: ServiceId::new(namespace, service), endpoints })
}

/// An absent `ready` means ready and an absent `serving` means as `ready` says: the API's own defaults.
fn endpoint(given: &discovery::Endpoint) -> Endpoint {
    let conditions = given.conditions.as_ref();
    let ready = conditions.and_then(|c| c.ready).unwrap_or(true);
    Endpoint {
        node: given.node_name.as_deref().filter(|name| !name.is_empty()).map(Into::into),
        ready,
        serving: conditions.and_then(|c| c.serving).unwrap_or(ready),
        terminating: conditions.and_then(|c| c.terminating).unwrap_or(false),
    }
}

/// The endpoints of one Service out of all its slices, whatever their order.
#[must_use]
pub fn merge<'a>(slices: impl IntoIterator<Item = &'a [Endpoint]>) -> Endpoints {
    let mut endpoints: Vec<Endpoint> = slices.into_iter().flatten().cloned().collect();
    endpoints.sort_unstable();
    Endpoints { endpoints }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{Value, json};

    fn slice(value: Value) -> Option<Slice> {
        endpoint_slice(&serde_json::from_value(value).unwrap())
    }

    fn object(name: &str, endpoints: Value) -> Value {
        json!({"metadata": {"namespace": "default", "name": name, "labels": {"kubernetes.io/service-name": "web"}},
               "addressType": "IPv4", "endpoints": endpoints})
    }

    #[test]
    fn absent_conditions_mean_ready_and_serving() {
        let read = slice(object(
            "a",
            json!([
                {"addresses": ["10.0.0.1"], "nodeName": "n1"},
                {"addresses": ["10.0.0.2"], "nodeName": "n2", "conditions": {"ready": false}},
                {"addresses": ["10.0.0.3"], "nodeName": "n3", "conditions": {"ready": false, "serving": true, "terminating": true}},
                {"addresses": ["10.0.0.4"], "conditions": {"ready": true, "serving": null, "terminating": null}},
            ]),
        ));
        let want = |node: Option<&str>, ready, serving, terminating| Endpoint {
            node: node.map(Into::into),
            ready,
            serving,
            terminating,
        };
        assert_eq!(
            read.unwrap().endpoints,
            [
                want(None, true, true, false),
                want(Some("n1"), true, true, false),
                want(Some("n2"), false, false, false),
                want(Some("n3"), false, true, true)
            ]
        );
    }

    #[test]
    fn slices_merge_in_any_order() {
        let a = slice(object("a", json!([{"addresses": ["10.0.0.1"], "nodeName": "n2"}]))).unwrap();
        let b = slice(object("b", json!([{"addresses": ["10.0.0.2"], "nodeName": "n1"}]))).unwrap();
        let merged = merge([&a.endpoints[..], &b.endpoints[..]]);
        assert_eq!(merged, merge([&b.endpoints[..], &a.endpoints[..]]));
        assert!(merged.usable_on(&"n1".into()) && merged.usable_on(&"n2".into()) && !merged.usable_on(&"n3".into()));
    }

    #[test]
    fn host_names_and_orphans_are_nobodys() {
        let mut fqdn = object("a", json!([{"addresses": ["example.org"]}]));
        fqdn["addressType"] = json!("FQDN");
        assert_eq!(slice(fqdn), None);
        assert_eq!(slice(json!({"metadata": {"name": "a"}, "addressType": "IPv4", "endpoints": []})), None);
        assert_eq!(
            slice(
                json!({"metadata": {"name": "a", "labels": {"kubernetes.io/service-name": ""}}, "addressType": "IPv4"})
            ),
            None
        );
    }
}
