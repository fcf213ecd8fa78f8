//! What holds for every plan, stated in terms of addresses, each shown once to fail on a planner that is broken on purpose.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;
use std::sync::Arc;

use ironlb_model::{
    AddressRange, Eip, FamilyPolicy, IngressAddress, IpFamily, OptIn, Pool, Reservation, Reservee, Service, ServiceId,
    Snapshot, TrafficPolicy, WallTime,
};
use proptest::prelude::*;
use proptest::test_runner::Config;

use crate::reason::Reason;
use crate::sharing::Clash;
use crate::testing::*;
use crate::{ADDRESS_ASSIGNED, Plan, Standing, plan, usage};

/// A planner: the real one, or one broken on purpose.
type Planner = fn(&Snapshot) -> Plan;
/// What must hold for a planner and a snapshot; the error says what does not.
type Property = fn(Planner, &Snapshot) -> Result<(), String>;
/// A change of an Eip, with its name.
type EipChange = (&'static str, fn(&mut Eip));

fn the_real_one(snapshot: &Snapshot) -> Plan {
    plan(snapshot, &crate::InFlight::default())
}

/// Two small pools of IPv4 that may overlap, one of IPv6, so that everything is scarce.
const POOLS: [&str; 3] = ["10.0.0.1-10.0.0.4", "10.0.0.3-10.0.0.6", "fd00::1-fd00::3"];

fn any_address() -> impl Strategy<Value = IpAddr> {
    prop_oneof![
        4 => (1_u8..8).prop_map(|n| IpAddr::from([10, 0, 0, n])),
        2 => (1_u16..5).prop_map(|n| IpAddr::from([0xfd00, 0, 0, 0, 0, 0, 0, n])),
    ]
}

fn any_eip(index: usize) -> impl Strategy<Value = Eip> {
    let flags =
        (prop::bool::weighted(0.2), prop::bool::weighted(0.1), prop::bool::weighted(0.5), prop::bool::weighted(0.1));
    let reserved = prop::option::weighted(0.5, (any_address(), prop::option::weighted(0.8, 0_u8..9)));
    let limits = (reserved, prop::option::weighted(0.3, 0_u64..3));
    (flags, 0_i64..3, 0_i64..3, prop::option::weighted(0.2, Just("n")), 0_u8..3, limits).prop_map(
        move |((disabled, deleting, is_default, quiet), priority, created, namespace, sharing, (reserved, quota))| {
            eip(["a", "b", "six"][index], POOLS[index]).with(|e| {
                if let Some((address, whom)) = reserved.filter(|(address, _)| e.pool.contains(*address)) {
                    let reservee = whom.map_or(Reservee::Nobody, |n| for_service(&format!("n/s{n}")));
                    let addresses = Pool::new(&[AddressRange::single(address)], &[]);
                    e.reservations.push(Reservation { index: 0, addresses, reservee });
                }
                e.addresses_per_namespace = quota;
                (e.disabled, e.deleting, e.is_default, e.auto_assign) = (disabled, deleting, is_default, !quiet);
                e.priority = priority;
                e.created = WallTime(created);
                e.namespaces.extend(namespace.map(Into::into));
                e.sharing =
                    [ironlb_model::Sharing::Cluster, ironlb_model::Sharing::Namespace, ironlb_model::Sharing::Never]
                        [usize::from(sharing)];
            })
        },
    )
}

fn any_service(index: usize) -> impl Strategy<Value = Service> {
    let who = (prop::bool::weighted(0.9), prop::bool::weighted(0.05), 0_i64..4, prop::sample::select(vec!["n", "m"]));
    let wants = (
        prop::option::weighted(0.3, any_address()),
        prop::option::weighted(0.3, prop::sample::select(vec!["a", "b", "six", "none"])),
        prop::option::weighted(0.2, any_address()),
        prop::bool::weighted(0.3),
        0_u8..4,
    );
    let has = (prop::option::weighted(0.4, any_address()), prop::bool::weighted(0.5), 80_u16..83);
    (who, wants, has).prop_map(move |((ours, deleting, created, namespace), wants, (held, told, port))| {
        let (wish, named, remembered, local, stack) = wants;
        service(&format!("{namespace}/s{index}")).created(created).ports(&[port]).with(|s| {
            s.opt_in = if ours { OptIn::Ours } else { OptIn::Absent };
            s.deleting = deleting;
            s.wish.extend(wish);
            s.wanted_eip = named.map(Into::into);
            s.remembered.extend(remembered);
            if local {
                s.traffic_policy = TrafficPolicy::Local;
            }
            (s.families, s.family_policy) = match stack {
                0 => (vec![IpFamily::V4, IpFamily::V6], FamilyPolicy::PreferDualStack),
                1 => (vec![IpFamily::V6, IpFamily::V4], FamilyPolicy::RequireDualStack),
                2 => (vec![IpFamily::V6], FamilyPolicy::SingleStack),
                _ => (vec![IpFamily::V4], FamilyPolicy::SingleStack),
            };
            s.ingress.extend(held.map(IngressAddress::Ip));
            if told && held.is_some() {
                let reason = if s.wish.is_empty() { "Assigned" } else { "Shared" };
                s.conditions = vec![assigned(reason)];
                s.assigned_at = Some(WallTime(created));
            }
        })
    })
}

fn assigned(reason: &str) -> ironlb_model::Condition {
    ironlb_model::Condition {
        kind: ADDRESS_ASSIGNED.to_owned(),
        status: ironlb_model::ConditionStatus::True,
        reason: reason.to_owned(),
        message: String::new(),
    }
}

pub(crate) fn any_snapshot() -> impl Strategy<Value = Snapshot> {
    let eips = (any_eip(0), any_eip(1), any_eip(2), prop::collection::vec(any::<bool>(), 3));
    let services: Vec<_> = (0..9).map(any_service).collect();
    (eips, services, 0_usize..10).prop_map(|((a, b, c, present), services, count)| {
        let eips: Vec<Eip> =
            [a, b, c].into_iter().zip(present).filter_map(|(eip, is_there)| is_there.then_some(eip)).collect();
        snapshot(&eips, &services.into_iter().take(count).collect::<Vec<_>>())
    })
}

// --- the world after a plan ---

/// Who holds what once every verdict is carried out.
fn holders(snapshot: &Snapshot, plan: &Plan) -> BTreeMap<IpAddr, BTreeSet<ServiceId>> {
    let mut holders: BTreeMap<IpAddr, BTreeSet<ServiceId>> = BTreeMap::new();
    for (id, addresses) in held_after(snapshot, plan) {
        for address in addresses {
            holders.entry(address).or_default().insert(id.clone());
        }
    }
    holders
}

/// What each Service holds once every verdict is carried out.
fn held_after(snapshot: &Snapshot, plan: &Plan) -> BTreeMap<ServiceId, BTreeSet<IpAddr>> {
    after_plan(snapshot, plan).services.values().map(|s| (s.id.clone(), s.addresses().collect())).collect()
}

/// The snapshot once every verdict is carried out.
fn after_plan(snapshot: &Snapshot, plan: &Plan) -> Snapshot {
    let mut after = snapshot.clone();
    for entry in &plan.services {
        let (mut service, verdict) = ((*entry.service).clone(), &entry.verdict);
        service.ingress.retain(|i| !matches!(i, IngressAddress::Ip(a) if verdict.released.contains(a)));
        for vip in &verdict.vips {
            if !service.addresses().any(|held| held == vip.address) {
                service.ingress.push(IngressAddress::Ip(vip.address));
            }
        }
        if let Some(wanted) = crate::project(&entry.service, verdict, snapshot) {
            service.remembered = wanted.remembered;
            service.conditions = wanted.conditions;
            service.has_openelb_finalizer = false;
        }
        after.services.insert(service.id.clone(), Arc::new(service));
    }
    after
}

fn ours(snapshot: &Snapshot, service: &Service) -> bool {
    snapshot.settings.selects(service) && !service.deleting
}

// --- the properties ---

/// 1. The order in which the values came to be does not matter.
fn order_does_not_matter(planner: Planner, snapshot: &Snapshot) -> Result<(), String> {
    let mut again = snapshot.clone();
    // The same values at other places in memory, made in the opposite order.
    let copies: Vec<Arc<Service>> = snapshot.services.values().rev().map(|s| Arc::new((**s).clone())).collect();
    again.services = copies.into_iter().map(|s| (s.id.clone(), s)).collect();
    let (one, two) = (held_after(snapshot, &planner(snapshot)), held_after(&again, &planner(&again)));
    check(one == two, || format!("{one:?} and then {two:?}"))
}

/// 2. Two Services hold one address only where they did before, or where the newcomer asked for it and fits.
fn holders_are_lawful(planner: Planner, snapshot: &Snapshot) -> Result<(), String> {
    let before = holders(snapshot, &Plan::default());
    for (address, ids) in holders(snapshot, &planner(snapshot)) {
        let was = before.get(&address);
        for new in ids.iter().filter(|id| was.is_none_or(|was| !was.contains(*id))) {
            for other in ids.iter().filter(|id| *id != new) {
                let (new, other) = (&snapshot.services[new], &snapshot.services[other]);
                let both_new = was.is_none_or(|was| !was.contains(&other.id));
                let asked = new.wish.contains(&address) || both_new && other.wish.contains(&address);
                check(asked, || format!("{address}: {} joined {} without asking", new.id, other.id))?;
                check(Clash::between(new, other).is_none(), || {
                    format!("{address}: {} clashes with {}", new.id, other.id)
                })?;
                check(ours(snapshot, other), || format!("{address}: {} joined a stranger {}", new.id, other.id))?;
            }
        }
    }
    Ok(())
}

/// 3. Every new address lies in an Eip that gives it out, and is of a family of its Service.
fn new_addresses_are_in_an_eip(planner: Planner, snapshot: &Snapshot) -> Result<(), String> {
    for (id, addresses) in held_after(snapshot, &planner(snapshot)) {
        let service = &snapshot.services[&id];
        for address in addresses.into_iter().filter(|a| service.addresses().all(|held| held != *a)) {
            let gives = snapshot.eips.values().any(|e| e.pool.contains(address) && !e.disabled && !e.deleting);
            check(gives, || format!("{id} got {address}, which no Eip gives out"))?;
            check(service.families.contains(&IpFamily::of(address)), || {
                format!("{id} got {address} of a strange family")
            })?;
            check(ours(snapshot, service), || format!("{id} is not ours and got {address}"))?;
        }
    }
    Ok(())
}

/// 4. A plan that was carried out plans nothing more, once what was given back is seen to be free.
fn it_settles(planner: Planner, snapshot: &Snapshot) -> Result<(), String> {
    let mut now = snapshot.clone();
    // Addresses given back in one plan are given out by the next, so a chain of moves takes one round for each.
    for _ in 0..snapshot.services.len() + 2 {
        let next = after_plan(&now, &planner(&now));
        let settled = next.services.values().zip(now.services.values()).all(|(a, b)| a.ingress == b.ingress);
        now = next;
        if settled {
            let (one, two) = (planner(&now), held_after(&now, &Plan::default()));
            return check(held_after(&now, &one) == two, || "it moved again".to_owned());
        }
    }
    Err("it never settles".to_owned())
}

/// 5. Removing or adding a Service moves no other address.
fn others_do_not_move(planner: Planner, snapshot: &Snapshot) -> Result<(), String> {
    let settled = after_plan(snapshot, &planner(snapshot));
    for gone in snapshot.services.keys() {
        let mut fewer = settled.clone();
        fewer.services.remove(gone);
        unmoved(&fewer, &held_after(&fewer, &planner(&fewer)), &format!("without {gone}"))?;
    }
    let mut more = settled.clone();
    for newcomer in [service("a/first").created(-1), service("a/wish").wish(&["10.0.0.3"])] {
        more.services.insert(newcomer.id.clone(), Arc::new(newcomer));
    }
    unmoved(&more, &held_after(&more, &planner(&more)), "with newcomers")
}

/// No Service whose wishes are met or cannot be met loses an address it has.
fn unmoved(before: &Snapshot, after: &BTreeMap<ServiceId, BTreeSet<IpAddr>>, what: &str) -> Result<(), String> {
    for service in before.services.values().filter(|s| ours(before, s)) {
        for address in service.addresses().filter(|a| service.families.contains(&IpFamily::of(*a))) {
            // A wish for another address of this family may be granted at last.
            let wished = service.wish.iter().any(|w| *w != address && IpFamily::of(*w) == IpFamily::of(address));
            let named = service
                .wanted_eip
                .as_ref()
                .is_some_and(|name| !before.eips.get(name).is_some_and(|e| e.spans(address)));
            let is_double = believes_alone(service)
                && before
                    .services
                    .values()
                    .any(|o| o.id != service.id && believes_alone(o) && o.addresses().any(|a| a == address));
            if !wished && !named && !is_double {
                check(after[&service.id].contains(&address), || format!("{what}, {} lost {address}", service.id))?;
            }
        }
    }
    Ok(())
}

fn believes_alone(service: &Service) -> bool {
    service.condition(ADDRESS_ASSIGNED).is_some_and(|c| c.reason == "Assigned")
}

/// 6. Disabling, shrinking, re-prioritising or re-binding an Eip moves nobody.
fn eips_do_not_move_addresses(planner: Planner, snapshot: &Snapshot) -> Result<(), String> {
    let settled = after_plan(snapshot, &planner(snapshot));
    let changes: [EipChange; 9] = [
        ("disabled", |e| e.disabled = true),
        ("re-prioritised", |e| e.priority = 100 - e.priority),
        ("re-bound", |e| {
            e.namespaces.insert("elsewhere".into());
            e.enforce_selectors = true;
        }),
        ("deleting", |e| e.deleting = true),
        ("everything excluded", |e| e.pool = Pool::default()),
        ("quiet", |e| e.auto_assign = false),
        ("reserved for another", |e| {
            let addresses = e.span.clone();
            e.reservations = vec![Reservation { index: 0, addresses, reservee: for_service("zz/other") }];
        }),
        ("without quota left", |e| e.addresses_per_namespace = Some(0)),
        ("unreadable in part", |e| e.withholds = true),
    ];
    for (what, change) in changes {
        let mut changed = settled.clone();
        for eip in changed.eips.values_mut() {
            change(Arc::make_mut(eip));
        }
        unmoved(&changed, &held_after(&changed, &planner(&changed)), what)?;
    }
    Ok(())
}

type Usage = fn(&Snapshot) -> BTreeMap<String, (u64, bool)>;

fn the_real_usage(snapshot: &Snapshot) -> BTreeMap<String, (u64, bool)> {
    usage(snapshot, &crate::InFlight::default())
        .into_iter()
        .map(|u| (u.name().to_string(), (u.usage, u.occupied)))
        .collect()
}

/// 7. In every Eip that overlaps none, the addresses in use and the free ones add up to its size.
fn used_and_free_are_all(usage: Usage, snapshot: &Snapshot) -> Result<(), String> {
    let told = usage(snapshot);
    for eip in snapshot.eips.values() {
        let is_alone = snapshot.eips.values().all(|o| {
            o.name == eip.name || o.span.ranges().iter().all(|r| eip.span.ranges().iter().all(|q| !q.overlaps(r)))
        });
        if is_alone {
            let taken: BTreeSet<IpAddr> =
                snapshot.services.values().flat_map(|s| s.addresses().collect::<Vec<_>>()).collect();
            let free = all_of(&eip.pool).into_iter().filter(|a| !taken.contains(a)).count();
            let (used, occupied) = told[eip.name.as_str()];
            let size = usize::try_from(eip.pool.size()).unwrap();
            check(usize::try_from(used).unwrap() + free == size, || {
                format!("{}: {used} used and {free} free of {size}", eip.name)
            })?;
            check(occupied == (free == 0), || format!("{}: {free} free, occupied {occupied}", eip.name))?;
        }
    }
    Ok(())
}

fn all_of(pool: &Pool) -> Vec<IpAddr> {
    let mut all = Vec::new();
    for range in pool.ranges() {
        let mut next = Some(range.first());
        while let Some(address) = next.filter(|a| range.contains(*a)) {
            all.push(address);
            next = crate::territory::successor(address);
        }
    }
    all
}

/// 8. Every Service of ours without address has a reason.
fn every_refusal_has_a_reason(planner: Planner, snapshot: &Snapshot) -> Result<(), String> {
    for entry in planner(snapshot).services {
        let (id, verdict) = (&entry.service.id, &entry.verdict);
        let is_told = !verdict.vips.is_empty() || !verdict.unmet.is_empty();
        check(verdict.standing != Standing::Ours || is_told, || format!("{id} has neither address nor reason"))?;
        for reason in verdict.unmet.iter().chain(&verdict.notes) {
            let text = reason.to_string();
            check(!text.is_empty() && !reason.category().is_empty(), || format!("{id}: {reason:?} says nothing"))?;
        }
    }
    Ok(())
}

/// 9. An Eip is called full only if every address it may give out is taken, before or by this plan.
fn full_is_truly_full(planner: Planner, snapshot: &Snapshot) -> Result<(), String> {
    let plan = planner(snapshot);
    let mut taken: BTreeSet<IpAddr> =
        snapshot.services.values().flat_map(|s| s.addresses().collect::<Vec<_>>()).collect();
    taken.extend(plan.services.iter().flat_map(|s| s.verdict.addresses().collect::<Vec<_>>()));
    for entry in &plan.services {
        let wanted: Vec<IpFamily> = entry.service.families.clone();
        for reason in &entry.verdict.unmet {
            if let Reason::EipFull { eips, used, total, .. } = reason {
                for name in eips {
                    let others: Vec<&Arc<Eip>> = snapshot.eips.values().filter(|e| e.name != *name).collect();
                    let free = all_of(&snapshot.eips[name].pool).into_iter().find(|a| {
                        let is_reserved = snapshot.eips[name].reservations.iter().any(|r| r.addresses.contains(*a));
                        wanted == [IpFamily::of(*a)]
                            && !taken.contains(a)
                            && !is_reserved
                            && others.iter().all(|e| !e.spans(*a))
                    });
                    check(free.is_none(), || format!("{name} is called full, {free:?} is free"))?;
                }
                check(used == total, || format!("{used} of {total} is called full"))?;
            }
        }
    }
    Ok(())
}

/// What the plan gives anew: Service, address, and the Eip, where only one has the address.
fn given_anew<'s>(snapshot: &'s Snapshot, plan: &Plan) -> Vec<(&'s Service, IpAddr, &'s Eip)> {
    let mut given = Vec::new();
    for (id, addresses) in held_after(snapshot, plan) {
        let service = snapshot.services[&id].as_ref();
        for address in addresses.into_iter().filter(|a| service.addresses().all(|held| held != *a)) {
            let mut eips = snapshot.eips.values().filter(|e| e.spans(address));
            if let (Some(eip), None) = (eips.next(), eips.next()) {
                given.push((service, address, eip.as_ref()));
            }
        }
    }
    given
}

fn reservee(eip: &Eip, address: IpAddr) -> Option<&Reservee> {
    eip.reservations.iter().find(|r| r.addresses.contains(address)).map(|r| &r.reservee)
}

/// 10. Nobody gets what is reserved for others.
fn reservations_are_kept(planner: Planner, snapshot: &Snapshot) -> Result<(), String> {
    for (service, address, eip) in given_anew(snapshot, &planner(snapshot)) {
        let is_for_others = reservee(eip, address).is_some_and(|reservee| !reservee.includes(service));
        check(!is_for_others, || format!("{} got {address}, which is reserved for others", service.id))?;
    }
    Ok(())
}

/// 11. Who has nothing, and asks for nothing else, gets what is reserved for it, whatever else is free.
fn who_has_a_reservation_gets_it(planner: Planner, snapshot: &Snapshot) -> Result<(), String> {
    let after = held_after(snapshot, &planner(snapshot));
    let taken: BTreeSet<IpAddr> = snapshot.services.values().flat_map(|s| s.addresses().collect::<Vec<_>>()).collect();
    for service in snapshot.services.values().filter(|s| ours(snapshot, s)) {
        let asks = !service.wish.is_empty() || service.wanted_eip.is_some() || !service.remembered.is_empty();
        if asks || !service.ingress.is_empty() {
            continue;
        }
        for eip in snapshot.eips.values().filter(|e| !e.disabled && !e.deleting) {
            for address in all_of(&eip.pool).into_iter().filter(|a| !taken.contains(a)) {
                let is_for_it = reservee(eip, address).is_some_and(|reservee| reservee.includes(service));
                let is_alone = snapshot.eips.values().all(|e| e.name == eip.name || !e.spans(address));
                if is_for_it && is_alone && crate::keep::wanted_families(service).contains(&IpFamily::of(address)) {
                    check(after[&service.id].contains(&address), || format!("{} did not get {address}", service.id))?;
                }
            }
        }
    }
    Ok(())
}

/// 12. No namespace gets more than its quota, save by a reservation.
fn quotas_are_kept(planner: Planner, snapshot: &Snapshot) -> Result<(), String> {
    let plan = planner(snapshot);
    let mut anew: BTreeMap<_, BTreeSet<IpAddr>> = BTreeMap::new();
    let mut reserved = BTreeSet::new();
    for (service, address, eip) in given_anew(snapshot, &plan) {
        if reservee(eip, address).is_some() {
            reserved.insert(address);
        } else {
            anew.entry((&eip.name, &service.id.namespace)).or_default().insert(address);
        }
    }
    let after = held_after(snapshot, &plan);
    for ((name, namespace), addresses) in anew {
        let (eip, mut held) = (&snapshot.eips[name], BTreeSet::<IpAddr>::new());
        let is_alone = |a: &IpAddr| snapshot.eips.values().all(|e| e.name == *name || !e.spans(*a));
        for (_, of_one) in after.iter().filter(|(id, _)| id.namespace == *namespace) {
            held.extend(of_one.iter().filter(|a| eip.spans(**a) && is_alone(a) && !reserved.contains(*a)));
        }
        let before: BTreeSet<IpAddr> = snapshot
            .services
            .values()
            .filter(|s| s.id.namespace == *namespace)
            .flat_map(|s| s.addresses().collect::<Vec<_>>())
            .collect();
        // One that the namespace held before is no addition.
        let adds = addresses.iter().any(|a| !before.contains(a));
        let is_kept = eip.addresses_per_namespace.is_none_or(|limit| held.len() as u64 <= limit);
        check(!adds || is_kept, || format!("{namespace} has {held:?} of {name}"))?;
    }
    Ok(())
}

fn check(holds: bool, message: impl FnOnce() -> String) -> Result<(), String> {
    if holds { Ok(()) } else { Err(message()) }
}

proptest! {
    #![proptest_config(Config { cases: 512, failure_persistence: None, ..Config::default() })]

    #[test]
    fn every_plan_keeps_the_rules(snapshot in any_snapshot()) {
        let properties: [Property; 11] = [
            order_does_not_matter, holders_are_lawful, new_addresses_are_in_an_eip, it_settles, others_do_not_move,
            eips_do_not_move_addresses, every_refusal_has_a_reason, full_is_truly_full, reservations_are_kept,
            who_has_a_reservation_gets_it, quotas_are_kept,
        ];
        for (n, property) in properties.into_iter().enumerate() {
            prop_assert_eq!(property(the_real_one, &snapshot), Ok(()), "property {} of the list", n);
        }
        prop_assert_eq!(used_and_free_are_all(the_real_usage, &snapshot), Ok(()));
        // The usage after the plan as well: a projection has to be right at every moment.
        let after = after_plan(&snapshot, &the_real_one(&snapshot));
        prop_assert_eq!(used_and_free_are_all(the_real_usage, &after), Ok(()));
    }
}

mod broken;
