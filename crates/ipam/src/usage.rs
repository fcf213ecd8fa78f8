//! What an Eip should show: OpenELB's status to the letter, and conditions.
//!
//! The status of an Eip is a projection of what the Services hold. It is counted from their statuses, so a write that is refused or
//! late on a Service never shows up here as done.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;
use std::sync::Arc;

use ironlb_model::{
    Announcement, Condition, ConditionStatus, ConflictDetection, Eip, EipName, IpFamily, Issue, IssueReason, ObjectRef,
    Pool, PoolSize, ServiceId, Snapshot, TrafficPolicy,
};

use crate::condition::{
    CONFLICT, DISCARD_ROUTE_MISSING, EXHAUSTED, HELD_OUTSIDE, NOT_WEIGHTED, OVERLAPPING, READY, RESERVATION_HELD,
    SECOND_DEFAULT, SERVED_AS_LAYER2, USED_TRUNCATED, condition, replacement,
};
use crate::conflict::{self, Claim};
use crate::in_flight::InFlight;
use crate::looping::Looping;
use crate::precedence::by_priority;
use crate::reserved::Reserved;
use crate::taken::{buggy_in, is_buggy};
use crate::territory::{EipIndex, Territory};
use ironlb_model::{EipPatch, EipStatusText, TimedCondition};

/// Above this many entries `used` is cut. Chosen with [`MAX_USED_BYTES`]: etcd takes 1.5 MiB for an object by default.
pub const MAX_USED_ENTRIES: usize = 20_000;

/// Above this size `used` is cut: half of what etcd takes for an object by default, the other half being for `managedFields`, which
/// names each key again.
pub const MAX_USED_BYTES: usize = 768 * 1024;

/// Addresses in use with their holders, sorted: one entry for each holder.
type Used<'a> = Vec<(IpAddr, &'a ServiceId)>;

/// What an Eip should show.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EipProjection<'a> {
    /// The Eip.
    pub eip: &'a Arc<Eip>,
    /// How many addresses are in use; exact, also when `used` is cut.
    pub usage: u64,
    /// No address is free.
    pub occupied: bool,
    /// `status.used`: address and holder, sorted; one entry for each holder.
    pub used: Vec<(IpAddr, &'a ServiceId)>,
    /// The conditions.
    pub conditions: Vec<Condition>,
}

/// What every Eip should show, in the order of their names.
#[must_use]
pub fn usage<'a>(snapshot: &'a Snapshot, in_flight: &InFlight) -> Vec<EipProjection<'a>> {
    let territory = Territory::new(snapshot);
    let reserved = Reserved::new(&territory);
    let mut used: BTreeMap<EipIndex, Used<'_>> = BTreeMap::new();
    let mut usurped: BTreeMap<EipIndex, Used<'_>> = BTreeMap::new();
    let mut unweighted: BTreeMap<EipIndex, BTreeSet<&ServiceId>> = BTreeMap::new();
    for service in snapshot.services.values() {
        for address in service.addresses() {
            if let Some(eip) = territory.home(address, &service.id) {
                used.entry(eip).or_default().push((address, &service.id));
                if service.traffic_policy == TrafficPolicy::Cluster && is_weighted(territory.eip(eip)) {
                    unweighted.entry(eip).or_default().insert(&service.id);
                }
            }
            if let Some(entry) = reserved.against(address, service) {
                usurped.entry(entry.eip).or_default().push((address, &service.id));
            }
        }
    }
    let mut claims: BTreeMap<EipIndex, Vec<(IpAddr, &Claim)>> = BTreeMap::new();
    for (address, claim) in &in_flight.claimed {
        if let Some(eip) = territory.spanning(*address) {
            claims.entry(eip).or_default().push((*address, claim));
        }
    }
    let looping = Looping::new(snapshot);
    let mut issues = issue_conditions(&snapshot.issues);
    let mut defaults: Vec<&Eip> = snapshot.eips.values().map(AsRef::as_ref).filter(|eip| eip.is_default).collect();
    defaults.sort_by(|a, b| by_priority(a, b));
    let mut all: Vec<EipProjection<'_>> = territory
        .all()
        .map(|(index, eip)| {
            let issues = issues.remove(&ObjectRef::Eip(eip.name.clone())).unwrap_or_default();
            let used = used.remove(&index).unwrap_or_default();
            let usurped = usurped.remove(&index).unwrap_or_default();
            let claims = claims.remove(&index).unwrap_or_default();
            let unweighted = unweighted.remove(&index).unwrap_or_default();
            let told = Told { usurped, claims, looping: looping.message(eip), unweighted, issues };
            project(&territory, &reserved, index, used, defaults.first().copied(), told)
        })
        .collect();
    all.sort_by(|a, b| a.eip.name.cmp(&b.eip.name));
    all
}

/// What is told of an Eip besides its usage.
struct Told<'a, 'c> {
    /// Reserved addresses that others hold, with the holders.
    usurped: Used<'a>,
    /// Addresses that strangers claim, sorted.
    claims: Vec<(IpAddr, &'c Claim)>,
    /// Which nodes lack a discard route.
    looping: Option<String>,
    /// Services whose nodes all send connections on to all endpoints, although the routes are to be weighted.
    unweighted: BTreeSet<&'a ServiceId>,
    issues: Vec<Condition>,
}

fn project<'a>(
    territory: &Territory<'a>,
    reserved: &Reserved<'a>,
    index: EipIndex,
    mut used: Used<'a>,
    default: Option<&Eip>,
    told: Told<'_, '_>,
) -> EipProjection<'a> {
    let eip = territory.eip(index);
    let Told { usurped, claims, looping, unweighted, issues } = told;
    used.sort_unstable();
    let mut usage: u64 = 0;
    let mut inside: u128 = 0;
    let mut outside: Vec<IpAddr> = Vec::new();
    for (address, _) in holdings(&used) {
        usage += 1;
        inside += u128::from(eip.pool.contains(address));
        if !eip.spans(address) {
            outside.push(address);
        }
    }
    let occupied = inside >= eip.pool.size();

    let exhausted = exhausted(eip, territory.pool(index), reserved.open(territory, index), &used);
    let mut conditions = vec![ready(eip, &issues), exhausted];
    let mut told = |kind, reason, message| conditions.push(condition(kind, ConditionStatus::True, reason, message));
    if let [first, ..] = territory.lost(index) {
        let lost = territory.lost(index).len();
        let more = if lost > 1 { format!(" (and {} more ranges)", lost - 1) } else { String::new() };
        let message = format!(
            "{}{more} is in Eip {} as well, which had it first and gives it out; take it out of one of the two",
            first.range,
            territory.eip(first.to).name
        );
        told(OVERLAPPING, OVERLAPPING, message);
    }
    if let Some(first) = default.filter(|first| eip.is_default && first.name != eip.name) {
        let message =
            format!("Eip {} is the default as well and comes first; leave the annotation on one of them", first.name);
        told(SECOND_DEFAULT, SECOND_DEFAULT, message);
    }
    if let [address, ..] = outside.as_slice() {
        let message = format!(
            "{} addresses that Services hold are no longer in spec.address, {address} being the first; they are kept",
            outside.len()
        );
        told(HELD_OUTSIDE, HELD_OUTSIDE, message);
    }
    if let Some((address, holder)) = usurped.iter().min() {
        let message = format!(
            "{} reserved addresses are held by Services they are not reserved for, {address} by Service {holder} being the first; they \
             are kept",
            holdings_count(&usurped)
        );
        told(RESERVATION_HELD, RESERVATION_HELD, message);
    }
    if !claims.is_empty() && eip.conflict_detection != ConflictDetection::Off {
        told(CONFLICT, CONFLICT, conflict::message(eip.conflict_detection, &claims));
    }
    if let Some(message) = looping {
        told(DISCARD_ROUTE_MISSING, DISCARD_ROUTE_MISSING, message);
    }
    if let Some(first) = unweighted.first() {
        let message = format!(
            "spec.bgp.weighted has no effect for {} Services with externalTrafficPolicy Cluster, {first} being the first: every node sends \
             their connections on to the endpoints of all nodes",
            unweighted.len()
        );
        told(NOT_WEIGHTED, NOT_WEIGHTED, message);
    }
    if eip.announcement == Announcement::Vip {
        let message = "protocol vip is served like layer2: one node answers for each address";
        told(SERVED_AS_LAYER2, SERVED_AS_LAYER2, message.to_owned());
    }
    if cut(&mut used) {
        let message =
            format!("status.used lists the first {} of {usage} addresses in use; the counters are exact", used.len());
        told(USED_TRUNCATED, USED_TRUNCATED, message);
    }
    conditions.extend(issues);
    EipProjection { eip, usage, occupied, used, conditions }
}

fn is_weighted(eip: &Eip) -> bool {
    eip.announcement == Announcement::Bgp && eip.routes.weighted
}

fn ready(eip: &Eip, issues: &[Condition]) -> Condition {
    let told = |status, reason: &str, message: String| condition(READY, status, reason, message);
    if eip.span.ranges().is_empty() {
        let why =
            issues.first().map_or_else(|| "spec.address holds no address".to_owned(), |issue| issue.message.clone());
        return told(ConditionStatus::False, "Unreadable", why);
    }
    if eip.deleting {
        let message =
            "it is being deleted and gives out no new addresses; those that are held stay with their Services";
        return told(ConditionStatus::True, "Deleting", message.to_owned());
    }
    if eip.disabled {
        let message =
            "spec.disable is set: it gives out no new addresses; those that are held stay with their Services";
        return told(ConditionStatus::True, "Disabled", message.to_owned());
    }
    if eip.withholds {
        let message = "it gives out no address until its exclusions and reservations can be read; those that are held stay with their Services";
        return told(ConditionStatus::True, "Withholding", message.to_owned());
    }
    told(ConditionStatus::True, "Ready", format!("addresses {} are understood", eip.address_text))
}

/// Is there no address left of a family it has, for a Service that has none reserved? `pool` is what it may give out, `open` what of
/// that is for everybody.
fn exhausted(eip: &Eip, pool: &Pool, open: &Pool, used: &[(IpAddr, &ServiceId)]) -> Condition {
    let avoid = eip.avoid_buggy_ips;
    let mut full = Vec::new();
    for family in [IpFamily::V4, IpFamily::V6] {
        let total: PoolSize = open
            .ranges()
            .iter()
            .filter(|range| range.family() == family)
            .fold(0, |sum, range| sum.saturating_add(range.size() - if avoid { buggy_in(*range) } else { 0 }));
        // Most have more addresses than anybody holds, and need no counting.
        if PoolSize::try_from(used.len()).is_ok_and(|held| held < total) {
            continue;
        }
        let counts = |address: &IpAddr| open.contains(*address) && !(avoid && is_buggy(*address));
        let in_use =
            holdings(used).map(|(address, _)| address).filter(|a| IpFamily::of(*a) == family).filter(counts).count();
        let in_use = PoolSize::try_from(in_use).unwrap_or(PoolSize::MAX);
        if pool.size_of(family) > 0 && in_use >= total {
            let reserved = pool.size_of(family).saturating_sub(open.size_of(family));
            let more = if reserved > 0 { format!(", {reserved} more are reserved") } else { String::new() };
            full.push(format!("{in_use} of {total} {family} addresses are in use{more}"));
        }
    }
    if !full.is_empty() || pool.is_empty() {
        let text = if full.is_empty() { "it has no address to give out".to_owned() } else { full.join("; ") };
        let message = format!("{text}; enlarge spec.address, or add an Eip for the Services that wait");
        condition(EXHAUSTED, ConditionStatus::True, "NoFreeAddress", message)
    } else {
        condition(EXHAUSTED, ConditionStatus::False, "FreeAddresses", "there are free addresses".to_owned())
    }
}

/// How many addresses there are in a list with one entry for each holder.
fn holdings_count(list: &[(IpAddr, &ServiceId)]) -> usize {
    list.iter().map(|(address, _)| *address).collect::<BTreeSet<_>>().len()
}

/// Each address in use with its holders.
fn holdings<'u, 'a>(
    used: &'u [(IpAddr, &'a ServiceId)],
) -> impl Iterator<Item = (IpAddr, &'u [(IpAddr, &'a ServiceId)])> {
    used.chunk_by(|(a, _), (b, _)| a == b).filter_map(|group| Some((group.first()?.0, group)))
}

/// Cuts `used` to what an object can hold: the lowest addresses stay. Says whether anything was cut.
fn cut(used: &mut Used<'_>) -> bool {
    let (mut bytes, mut entries, mut fits) = (0, 0, 0);
    for (address, holders) in holdings(used) {
        bytes += entry_bytes(address, holders);
        entries += 1;
        if entries > MAX_USED_ENTRIES || bytes > MAX_USED_BYTES {
            break;
        }
        fits += holders.len();
    }
    let is_cut = fits < used.len();
    used.truncate(fits);
    is_cut
}

/// The size of an entry in JSON: both texts, four quotes, a colon and a comma.
fn entry_bytes(address: IpAddr, holders: &[(IpAddr, &ServiceId)]) -> usize {
    // Longest text of an address: 15 characters (IPv4), 39 (IPv6). An upper bound is enough, and quick.
    let key = if address.is_ipv4() { 15 } else { 39 };
    let names: usize = holders.iter().map(|(_, id)| id.namespace.as_str().len() + id.name.len() + 2).sum();
    key + names + 6
}

/// The conditions that tell of faults in users' objects, by object.
pub(crate) fn issue_conditions(issues: &[Issue]) -> BTreeMap<ObjectRef, Vec<Condition>> {
    let mut grouped: BTreeMap<(&ObjectRef, IssueReason), Vec<String>> = BTreeMap::new();
    for issue in issues {
        let text =
            if issue.field.is_empty() { issue.message.clone() } else { format!("{}: {}", issue.field, issue.message) };
        grouped.entry((&issue.object, issue.reason)).or_default().push(text);
    }
    let mut by_object: BTreeMap<ObjectRef, Vec<Condition>> = BTreeMap::new();
    for ((object, reason), texts) in grouped {
        let told = condition(reason.category(), ConditionStatus::True, reason.category(), texts.join("; "));
        by_object.entry(object.clone()).or_default().push(told);
    }
    by_object
}

/// Is this a condition that tells of a fault in a user's object?
pub(crate) fn is_issue_condition(kind: &str) -> bool {
    const REASONS: [IssueReason; 4] =
        [IssueReason::InvalidField, IssueReason::Unreadable, IssueReason::SpellingsDisagree, IssueReason::Ignored];
    REASONS.iter().any(|reason| reason.category() == kind)
}

fn is_eip_condition(kind: &str) -> bool {
    [
        READY,
        EXHAUSTED,
        OVERLAPPING,
        SECOND_DEFAULT,
        HELD_OUTSIDE,
        RESERVATION_HELD,
        CONFLICT,
        DISCARD_ROUTE_MISSING,
        NOT_WEIGHTED,
        SERVED_AS_LAYER2,
        USED_TRUNCATED,
    ]
    .contains(&kind)
        || is_issue_condition(kind)
}

impl EipProjection<'_> {
    /// The patch that makes the Eip show this; `None` when it does already.
    #[must_use]
    pub fn patch(&self) -> Option<EipPatch> {
        let shown = &self.eip.status;
        let status = self.text();
        let conditions = replacement(&shown.conditions, &shown.condition_times, &self.conditions, is_eip_condition);
        let is_same = (shown.occupied, shown.usage, shown.pool_size)
            == (status.occupied, status.usage, status.pool_size)
            && shown.first_ip == status.first_ip
            && shown.last_ip == status.last_ip
            && (shown.v4, shown.ready, shown.has_unreadable_used) == (status.v4, status.ready, false)
            && shown.used.iter().flat_map(|(a, ids)| ids.iter().map(|id| (*a, id))).eq(self.used.iter().copied());
        if is_same && conditions.is_none() {
            return None;
        }
        let conditions = conditions.unwrap_or_else(|| {
            // Nothing in the list changes; it is written along because the status is replaced as a whole.
            let since = |c: &Condition| shown.condition_times.get(&c.kind).copied();
            shown.conditions.iter().map(|c| TimedCondition { condition: c.clone(), since: since(c) }).collect()
        });
        Some(EipPatch {
            eip: self.eip.name.clone(),
            version: self.eip.version,
            generation: self.eip.generation,
            status: EipStatusText { used: self.used_text(), conditions, ..status },
        })
    }

    /// The status without `used` and conditions, which are only put into words when they are written.
    fn text(&self) -> EipStatusText {
        let (first, last) = (self.eip.span.first(), self.eip.span.last());
        EipStatusText {
            occupied: self.occupied,
            usage: self.usage,
            pool_size: i64::try_from(self.eip.pool.size()).unwrap_or(i64::MAX),
            first_ip: first.map(|a| a.to_string()),
            last_ip: last.map(|a| a.to_string()),
            v4: first.is_some_and(|a| IpFamily::of(a) == IpFamily::V4),
            ready: self.conditions.iter().any(|c| c.kind == READY && c.status == ConditionStatus::True),
            used: BTreeMap::new(),
            conditions: Vec::new(),
        }
    }

    fn used_text(&self) -> BTreeMap<String, String> {
        let names =
            |ids: &[(IpAddr, &ServiceId)]| ids.iter().map(|(_, id)| id.to_string()).collect::<Vec<_>>().join(";");
        holdings(&self.used).map(|(address, holders)| (address.to_string(), names(holders))).collect()
    }

    /// How much of etcd's and the server's time a write of this status takes, as its size.
    pub(crate) fn bytes(&self) -> usize {
        holdings(&self.used).map(|(address, holders)| entry_bytes(address, holders)).sum()
    }

    /// The Eip's name.
    #[must_use]
    pub fn name(&self) -> &EipName {
        &self.eip.name
    }
}

#[cfg(test)]
mod tests;
