//! An Eip: the pool it describes and what its status says.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::time::Duration;

use ironlb_api::names::{annotation, finalizer};
use ironlb_api::{self as api, Protocol};
use ironlb_model::{
    AddressRange, Announcement, ConflictDetection, Eip, EipName, EipStatus, InterfaceChoice, Issue, IssueReason,
    ObjectRef, Pool, RouteSettings, Selector, ServiceId, Sharing,
};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::LabelSelector;

use crate::quote::quoted;
use crate::service::parse_stored;
use crate::{address, bgp, duration, interface, metadata, selector};

mod reservation;

/// Reads an Eip and whatever is wrong with it.
#[must_use]
pub fn eip(object: &api::Eip) -> (Eip, Vec<Issue>) {
    let (meta, spec) = (&object.metadata, &object.spec);
    let name = EipName::from(meta.name.clone().unwrap_or_default());
    let mut faults = Faults { object: ObjectRef::Eip(name.clone()), issues: Vec::new() };

    let (include, bad) = address::parse_list(&spec.address);
    bad.iter().for_each(|fault| faults.add("spec.address", fault.to_string()));
    let (pool, span, unreadable) = pools(&include, spec.exclude.as_deref().unwrap_or_default(), &mut faults);
    let (reservations, unreadable_too) =
        reservation::read(spec.reservations.as_deref().unwrap_or_default(), &pool, &mut faults);
    let layer2 = spec.layer2.as_ref();

    let read = Eip {
        uid: meta.uid.clone().unwrap_or_default(),
        version: metadata::version(meta),
        created: metadata::created(meta),
        generation: meta.generation.unwrap_or(0),
        deleting: meta.deletion_timestamp.is_some(),
        address_text: spec.address.clone(),
        pool,
        span,
        announcement: match spec.protocol {
            None | Some(Protocol::Bgp) => Announcement::Bgp,
            Some(Protocol::Layer2) => Announcement::Layer2,
            Some(Protocol::Vip) => Announcement::Vip,
        },
        interface: interface_choice(spec.interface.as_deref().unwrap_or_default(), &mut faults),
        interfaces: interface_names(layer2.and_then(|l| l.interfaces.as_deref()).unwrap_or_default(), &mut faults),
        conflict_detection: conflict_detection(layer2.and_then(|l| l.conflict_detection.as_deref()), &mut faults),
        disabled: spec.disable.unwrap_or(false),
        priority: spec.priority.unwrap_or(0),
        namespaces: spec.namespaces.iter().flatten().map(|namespace| namespace.as_str().into()).collect(),
        namespace_selector: spec.namespace_selector.clone().unwrap_or_default(),
        is_default: is_default(metadata::annotation(meta, annotation::DEFAULT_EIP), &mut faults),
        auto_assign: spec.auto_assign.unwrap_or(true),
        avoid_buggy_ips: spec.avoid_buggy_ips.unwrap_or(false),
        service_selector: label_selector(spec.service_selector.as_ref(), "spec.serviceSelector", &mut faults),
        node_selector: label_selector(spec.node_selector.as_ref(), "spec.nodeSelector", &mut faults),
        enforce_selectors: spec.enforce_selectors.unwrap_or(false),
        sharing: sharing(spec.sharing.as_deref(), &mut faults),
        routes: route_settings(spec.bgp.as_ref(), &mut faults),
        reservations,
        addresses_per_namespace: quota(spec.quota.as_ref(), &mut faults),
        reuse_delay: reuse_delay(spec.reuse_delay.as_deref(), &mut faults),
        withholds: unreadable || unreadable_too,
        has_openelb_finalizer: metadata::has_finalizer(meta, finalizer::EIP),
        status: status(object.status.as_ref()),
        name,
    };
    (read, faults.issues)
}

/// How its routes are advertised.
fn route_settings(given: Option<&api::EipBgp>, faults: &mut Faults) -> RouteSettings {
    let mut found = bgp::Faults::of(faults.object.clone());
    let read = bgp::routes(given, &mut found);
    faults.issues.extend(found.issues);
    read
}

/// The faults found in one Eip.
struct Faults {
    object: ObjectRef,
    issues: Vec<Issue>,
}

impl Faults {
    fn add(&mut self, field: &str, message: String) {
        let (object, field) = (self.object.clone(), field.to_owned());
        self.issues.push(Issue { object, field, reason: IssueReason::InvalidField, message });
    }
}

/// What may be given out, everything the Eip spans, and whether an exclusion could not be read: then nothing is given out, since
/// somebody wrote down that there is an address in there that must not be used.
fn pools(include: &[AddressRange], exclude: &[String], faults: &mut Faults) -> (Pool, Pool, bool) {
    let mut cut = Vec::new();
    let mut unreadable = false;
    for (index, text) in exclude.iter().enumerate() {
        let (ranges, bad) = address::parse_list(text);
        cut.extend(ranges);
        unreadable |= !bad.is_empty();
        for fault in bad {
            let field = format!("spec.exclude[{index}]");
            faults.add(&field, format!("{fault}; until this is mended the Eip gives out no address"));
        }
    }
    (Pool::new(include, &cut), Pool::new(include, &[]), unreadable)
}

/// How many addresses a namespace may hold. A negative number is none at all: taking it for no limit would give away what cannot
/// be taken back.
fn quota(given: Option<&api::Quota>, faults: &mut Faults) -> Option<u64> {
    let limit = given?.addresses_per_namespace?;
    Some(u64::try_from(limit).unwrap_or_else(|_| {
        faults.add(
            "spec.quota.addressesPerNamespace",
            format!(
                "{limit} is taken for 0: write how many addresses a namespace may hold, or leave it out for no limit"
            ),
        );
        0
    }))
}

/// What cannot be read keeps a freed address for as long as it stands there.
fn reuse_delay(text: Option<&str>, faults: &mut Faults) -> Duration {
    let Some(text) = text.filter(|text| !text.trim().is_empty()) else { return Duration::ZERO };
    duration::parse(text).unwrap_or_else(|| {
        let message = format!(
            "{} is no duration: write it as 90s, 5m or 1h30m; until this is mended an address that was given back goes to no other Service",
            quoted(text)
        );
        faults.add("spec.reuseDelay", message);
        Duration::MAX
    })
}

/// What cannot be read stays as a name that no node has, so that nothing is announced where the user did not mean it.
fn interface_choice(text: &str, faults: &mut Faults) -> InterfaceChoice {
    interface::parse_choice(text).unwrap_or_else(|fault| {
        faults.add("spec.interface", fault.to_string());
        InterfaceChoice::Named(text.into())
    })
}

fn interface_names(texts: &[String], faults: &mut Faults) -> Vec<ironlb_model::InterfaceName> {
    let mut names = Vec::with_capacity(texts.len());
    for (index, text) in texts.iter().enumerate() {
        names.push(interface::parse_name(text.trim()).unwrap_or_else(|fault| {
            faults.add(&format!("spec.layer2.interfaces[{index}]"), fault.to_string());
            text.as_str().into()
        }));
    }
    names
}

/// Exactly `true`, as OpenELB's allocator has it; its admission took other cases for the same, so they are told.
fn is_default(text: Option<&str>, faults: &mut Faults) -> bool {
    match text {
        Some("true") => true,
        None | Some("" | "false") => false,
        Some(other) => {
            let field = metadata::annotation_path(annotation::DEFAULT_EIP);
            faults.add(&field, format!("{} does not make this the default Eip: write true or false", quoted(other)));
            false
        }
    }
}

fn label_selector(given: Option<&LabelSelector>, field: &str, faults: &mut Faults) -> Option<Selector> {
    given.map(|given| {
        selector::read(given).unwrap_or_else(|said| {
            faults.add(field, format!("{said}; until this is mended the selector holds for nothing"));
            Selector::never()
        })
    })
}

/// An unknown word shares with nobody: an address shared against the user's will cannot be taken back.
fn sharing(text: Option<&str>, faults: &mut Faults) -> Sharing {
    match text {
        None | Some("" | "Cluster") => Sharing::Cluster,
        Some("Namespace") => Sharing::Namespace,
        Some("Never") => Sharing::Never,
        Some(other) => {
            faults.add(
                "spec.sharing",
                format!("{} is taken for Never: write Cluster, Namespace or Never", quoted(other)),
            );
            Sharing::Never
        }
    }
}

/// An unknown word enforces, as no word does: an address that somebody else uses is of no use to a Service.
fn conflict_detection(text: Option<&str>, faults: &mut Faults) -> ConflictDetection {
    match text {
        None | Some("" | "Enforce") => ConflictDetection::Enforce,
        Some("Warn") => ConflictDetection::Warn,
        Some("Off") => ConflictDetection::Off,
        Some(other) => {
            let message = format!("{} is taken for Enforce: write Enforce, Warn or Off", quoted(other));
            faults.add("spec.layer2.conflictDetection", message);
            ConflictDetection::Enforce
        }
    }
}

/// Each once, in order.
fn sorted(mut holders: Vec<ServiceId>) -> Box<[ServiceId]> {
    holders.sort_unstable();
    holders.dedup();
    holders.into()
}

fn status(given: Option<&api::EipStatus>) -> EipStatus {
    let Some(given) = given else { return EipStatus::default() };
    let mut used: BTreeMap<IpAddr, Vec<ServiceId>> = BTreeMap::new();
    let mut has_unreadable_used = false;
    for (address, holders) in given.used.iter().flatten() {
        let Some(address) = parse_stored(address) else {
            has_unreadable_used = true;
            continue;
        };
        for holder in holders.split(';').map(str::trim).filter(|holder| !holder.is_empty()) {
            match ServiceId::parse(holder) {
                Some(id) => {
                    used.entry(address).or_default().push(id);
                }
                None => has_unreadable_used = true,
            }
        }
    }
    EipStatus {
        occupied: given.occupied.unwrap_or(false),
        usage: given.usage.and_then(|usage| u64::try_from(usage).ok()).unwrap_or(0),
        pool_size: given.pool_size.unwrap_or(0),
        first_ip: given.first_ip.clone(),
        last_ip: given.last_ip.clone(),
        v4: given.v4.unwrap_or(false),
        ready: given.ready.unwrap_or(false),
        used: used.into_iter().map(|(address, holders)| (address, sorted(holders))).collect(),
        has_unreadable_used,
        conditions: metadata::conditions(given.conditions.as_deref(), |_| true),
        condition_times: metadata::condition_times(given.conditions.as_deref()),
    }
}

#[cfg(test)]
mod tests;
