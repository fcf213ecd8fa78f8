//! A Service: what it asks for and what it holds.

use std::net::IpAddr;

use ironlb_api::names::{annotation, condition, finalizer, label, manager};
use ironlb_model::{
    Announcement, EipName, FamilyPolicy, IngressAddress, IpFamily, Issue, IssueReason, ObjectRef, OptIn, Port, Service,
    ServiceId, TrafficPolicy, Transport, WishSource,
};
use k8s_openapi::api::core::v1 as core;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{ManagedFieldsEntry, ObjectMeta};

use crate::metadata;
use crate::quote::quoted;
use crate::wish;

/// Reads a Service and whatever is wrong with what it asks of ironlb.
#[must_use]
pub fn service(object: &core::Service) -> (Service, Vec<Issue>) {
    let meta = &object.metadata;
    let id = ServiceId::new(meta.namespace.as_deref().unwrap_or_default(), meta.name.as_deref().unwrap_or_default());
    let default_spec = core::ServiceSpec::default();
    let spec = object.spec.as_ref().unwrap_or(&default_spec);
    let mut issues = Vec::new();
    let mut fault = |field: String, message: String| {
        issues.push(Issue {
            object: ObjectRef::Service(id.clone()),
            field,
            reason: IssueReason::InvalidField,
            message,
        });
    };

    let (wish_source, wish, wish_unreadable) = match written_wish(meta, spec) {
        None => (None, Vec::new(), None),
        Some((source, field, text)) => match wish::parse_wish(text) {
            Ok(wish) => (Some(source), wish, None),
            Err(said) => {
                fault(field, format!("the wished address cannot be read: {said}"));
                (Some(source), Vec::new(), Some(text.to_owned()))
            }
        },
    };
    let wanted_protocol = match metadata::annotation(meta, annotation::PROTOCOL).map(str::trim) {
        None | Some("") => None,
        Some("bgp") => Some(Announcement::Bgp),
        Some("layer2") => Some(Announcement::Layer2),
        Some("vip") => Some(Announcement::Vip),
        Some(other) => {
            let field = metadata::annotation_path(annotation::PROTOCOL);
            fault(field, format!("{} is no protocol and is ignored: write bgp, layer2 or vip", quoted(other)));
            None
        }
    };

    let status = object.status.as_ref();
    let read = Service {
        uid: meta.uid.clone().unwrap_or_default(),
        version: metadata::version(meta),
        created: metadata::created(meta),
        deleting: meta.deletion_timestamp.is_some(),
        is_load_balancer: spec.type_.as_deref() == Some("LoadBalancer"),
        load_balancer_class: spec.load_balancer_class.clone(),
        opt_in: match metadata::annotation(meta, annotation::OPT_IN) {
            None => OptIn::Absent,
            Some(annotation::OPT_IN_VALUE) => OptIn::Ours,
            Some(_) => OptIn::Other,
        },
        wanted_eip: eip_name(metadata::annotation(meta, annotation::WANTED_EIP)),
        wanted_protocol,
        overruled_wish: overruled_wish(spec, wish_source, &wish),
        wish,
        wish_source,
        wish_unreadable,
        remembered: metadata::annotation(meta, annotation::ADDRESSES).map(wish::parse_remembered).unwrap_or_default(),
        families: spec.ip_families.iter().flatten().filter_map(|family| family_of(family)).collect(),
        family_policy: match spec.ip_family_policy.as_deref() {
            Some("PreferDualStack") => FamilyPolicy::PreferDualStack,
            Some("RequireDualStack") => FamilyPolicy::RequireDualStack,
            _ => FamilyPolicy::SingleStack,
        },
        traffic_policy: match spec.external_traffic_policy.as_deref() {
            Some("Local") => TrafficPolicy::Local,
            _ => TrafficPolicy::Cluster,
        },
        health_check_node_port: spec.health_check_node_port.and_then(|p| u16::try_from(p).ok()).filter(|p| *p != 0),
        ports: spec.ports.iter().flatten().filter_map(port).collect(),
        selector: metadata::pairs(spec.selector.as_ref()),
        labels: metadata::labels(meta),
        eip_label: eip_name(meta.labels.as_ref().and_then(|l| l.get(label::EIP)).map(String::as_str)),
        has_openelb_finalizer: finalizer::OF_SERVICES.iter().any(|finalizer| metadata::has_finalizer(meta, finalizer)),
        ingress: status
            .and_then(|s| s.load_balancer.as_ref()?.ingress.as_deref())
            .unwrap_or_default()
            .iter()
            .map(ingress)
            .collect(),
        conditions: metadata::conditions(status.and_then(|s| s.conditions.as_deref()), |kind| {
            [condition::ADDRESS_ASSIGNED, condition::ANNOUNCED].contains(&kind)
        }),
        status_writer: status_writer(meta),
        assigned_at: metadata::condition_times(status.and_then(|s| s.conditions.as_deref()))
            .get(condition::ADDRESS_ASSIGNED)
            .copied(),
        id: id.clone(),
    };
    (read, issues)
}

/// Where the addresses asked for are written: source, field and text. An annotation that is there counts even when it is empty, as
/// with OpenELB since 0.6: there it means any address, and reading on in `loadBalancerIP` would move the address of an adopted Service.
fn written_wish<'o>(meta: &'o ObjectMeta, spec: &'o core::ServiceSpec) -> Option<(WishSource, String, &'o str)> {
    if let Some(text) = metadata::annotation(meta, annotation::WANTED_ADDRESS) {
        return Some((WishSource::Annotation, metadata::annotation_path(annotation::WANTED_ADDRESS), text));
    }
    let text = spec.load_balancer_ip.as_deref()?;
    Some((WishSource::LoadBalancerIp, "spec.loadBalancerIP".to_owned(), text))
}

/// Who else wrote this status last: who owns its addresses, or else anything in it.
fn status_writer(meta: &ObjectMeta) -> Option<String> {
    let entries = meta.managed_fields.iter().flatten();
    let others = entries.filter(|entry| {
        entry.subresource.as_deref() == Some("status") && entry.manager.as_deref() != Some(manager::CONTROLLER)
    });
    let owns_addresses = |entry: &ManagedFieldsEntry| {
        entry.fields_v1.as_ref().is_some_and(|fields| fields.0.pointer("/f:status/f:loadBalancer").is_some())
    };
    let last =
        others.max_by_key(|entry| (owns_addresses(entry), entry.time.as_ref().map(|time| time.0.as_second())))?;
    last.manager.clone()
}

/// What `loadBalancerIP` asks for where the annotation asks for something else.
fn overruled_wish(spec: &core::ServiceSpec, source: Option<WishSource>, wish: &[IpAddr]) -> Option<IpAddr> {
    let text = spec.load_balancer_ip.as_deref().filter(|_| source == Some(WishSource::Annotation))?;
    let other = wish::parse_wish(text).ok()?.first().copied()?;
    (!wish.contains(&other)).then_some(other)
}

fn eip_name(text: Option<&str>) -> Option<EipName> {
    text.map(str::trim).filter(|name| !name.is_empty()).map(Into::into)
}

fn family_of(text: &str) -> Option<IpFamily> {
    match text {
        "IPv4" => Some(IpFamily::V4),
        "IPv6" => Some(IpFamily::V6),
        _ => None,
    }
}

fn port(given: &core::ServicePort) -> Option<Port> {
    let transport = match given.protocol.as_deref() {
        None | Some("TCP") => Transport::Tcp,
        Some("UDP") => Transport::Udp,
        Some("SCTP") => Transport::Sctp,
        Some(_) => return None,
    };
    Some(Port { transport, number: u16::try_from(given.port).ok().filter(|number| *number != 0)? })
}

fn ingress(given: &core::LoadBalancerIngress) -> IngressAddress {
    let text = given.ip.as_deref().unwrap_or_default();
    match parse_stored(text) {
        Some(address) => IngressAddress::Ip(address),
        None if text.is_empty() => IngressAddress::Foreign(given.hostname.clone().unwrap_or_default()),
        None => IngressAddress::Foreign(text.to_owned()),
    }
}

/// An address in a status, in every form the API server has ever let in: leading zeros in IPv4, IPv4 in IPv6 form. Whatever its
/// spelling, it is occupied.
pub(crate) fn parse_stored(text: &str) -> Option<IpAddr> {
    let canonical = |address: IpAddr| address.to_canonical();
    text.parse().ok().map(canonical).or_else(|| {
        let octets: Vec<&str> = text.split('.').map(|part| part.trim_start_matches('0')).collect();
        let octets: Vec<&str> = octets.into_iter().map(|part| if part.is_empty() { "0" } else { part }).collect();
        // A part that was empty before would have become a zero here.
        let empty = text.split('.').any(str::is_empty);
        octets.join(".").parse::<IpAddr>().ok().filter(|address| address.is_ipv4() && !empty)
    })
}

#[cfg(test)]
mod tests;
