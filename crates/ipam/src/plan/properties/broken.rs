//! Planners that are broken on purpose: each property must see one.

use super::*;

/// Runs the property on many snapshots and says whether it ever failed.
fn is_seen<T: Copy>(property: fn(T, &Snapshot) -> Result<(), String>, broken: T) -> bool {
    finds(2000, any_snapshot(), |snapshot| property(broken, &snapshot).is_err())
}

/// Age by place in memory: what iterating a randomly ordered map comes to.
fn by_place_in_memory(snapshot: &Snapshot) -> Plan {
    let mut changed = snapshot.clone();
    let mut places: Vec<(usize, ServiceId)> =
        snapshot.services.values().map(|s| (Arc::as_ptr(s) as usize, s.id.clone())).collect();
    places.sort();
    for (age, (_, id)) in places.into_iter().enumerate() {
        if let Some(service) = changed.services.get_mut(&id) {
            Arc::make_mut(service).created = WallTime(i64::try_from(age).unwrap());
        }
    }
    with_services_of(snapshot, the_real_one(&changed))
}

/// The verdicts, on the Services as they are.
fn with_services_of(snapshot: &Snapshot, mut plan: Plan) -> Plan {
    for entry in &mut plan.services {
        entry.service = Arc::clone(&snapshot.services[&entry.service.id]);
        let held: Vec<IpAddr> = entry.service.addresses().collect();
        let keeps: Vec<IpAddr> = entry.verdict.addresses().collect();
        if entry.verdict.standing == Standing::Ours {
            entry.verdict.released = held.iter().copied().filter(|a| !keeps.contains(a)).collect();
            for vip in &mut entry.verdict.vips {
                vip.is_new = !held.contains(&vip.address);
            }
        }
    }
    plan
}

/// Nobody looks at who holds what.
fn without_looking(snapshot: &Snapshot) -> Plan {
    let services = snapshot.services.values().flat_map(|service| {
        let mut alone = snapshot.clone();
        alone.services.retain(|id, _| *id == service.id);
        the_real_one(&alone).services
    });
    Plan { services: services.collect() }
}

/// A disabled or deleted Eip gives out as ever.
fn whatever_the_eip_says(snapshot: &Snapshot) -> Plan {
    let mut changed = snapshot.clone();
    for eip in changed.eips.values_mut() {
        let eip = Arc::make_mut(eip);
        (eip.disabled, eip.deleting) = (false, false);
    }
    with_services_of(snapshot, the_real_one(&changed))
}

/// The choice is made anew each time, above the highest address that was ever given: round-robin without keeping.
fn anew_each_time(snapshot: &Snapshot) -> Plan {
    let mut changed = snapshot.clone();
    let highest =
        snapshot.services.values().flat_map(|s| s.addresses().collect::<Vec<_>>()).filter(IpAddr::is_ipv4).max();
    for service in changed.services.values_mut() {
        let service = Arc::make_mut(service);
        (service.ingress, service.remembered) = (Vec::new(), Vec::new());
    }
    if let Some(highest) = highest {
        let blocker = service("zz/blocker").with(|s| {
            s.opt_in = OptIn::Other;
            s.ingress.push(IngressAddress::Ip(highest));
        });
        changed.services.insert(blocker.id.clone(), Arc::new(blocker));
    }
    let mut plan = the_real_one(&changed);
    plan.services.retain(|entry| entry.service.id.name.as_ref() != "blocker");
    with_services_of(snapshot, plan)
}

/// The Eip is chosen anew each time, as OpenELB does: an address stays only while its Eip would be chosen again.
fn while_the_eip_would_be_chosen(snapshot: &Snapshot) -> Plan {
    let mut changed = snapshot.clone();
    for service in changed.services.values_mut() {
        let service = Arc::make_mut(service);
        let is_offered = |a: &IpAddr| {
            let gives = |e: &&Arc<Eip>| {
                e.pool.contains(*a) && !e.disabled && !e.deleting && e.auto_assign && !e.enforce_selectors
            };
            snapshot.eips.values().any(|e| gives(&e))
        };
        service.ingress.retain(|entry| matches!(entry, IngressAddress::Ip(a) if is_offered(a)));
        service.remembered.clear();
    }
    with_services_of(snapshot, the_real_one(&changed))
}

/// Sharers are counted one by one.
fn usage_by_holders(snapshot: &Snapshot) -> BTreeMap<String, (u64, bool)> {
    let count = |u: &crate::EipProjection<'_>| u64::try_from(u.used.len()).unwrap();
    usage(snapshot, &crate::InFlight::default())
        .iter()
        .map(|u| (u.name().to_string(), (count(u), u.occupied)))
        .collect()
}

fn without_reasons(snapshot: &Snapshot) -> Plan {
    let mut plan = the_real_one(snapshot);
    for entry in &mut plan.services {
        entry.verdict.unmet.clear();
    }
    plan
}

/// The last address of every pool is never given out.
fn without_the_last(snapshot: &Snapshot) -> Plan {
    let mut changed = snapshot.clone();
    for eip in changed.eips.values_mut() {
        let eip = Arc::make_mut(eip);
        if let Some(last) = eip.pool.last() {
            eip.pool = Pool::new(eip.pool.ranges(), &[AddressRange::single(last)]);
        }
    }
    with_services_of(snapshot, the_real_one(&changed))
}

/// Nobody looks at who an address is reserved for.
fn without_reservations(snapshot: &Snapshot) -> Plan {
    changed_eips(snapshot, |eip| eip.reservations.clear())
}

/// What is reserved is kept from everybody, also from whom it is for.
fn reserved_for_nobody(snapshot: &Snapshot) -> Plan {
    changed_eips(snapshot, |eip| eip.reservations.iter_mut().for_each(|r| r.reservee = Reservee::Nobody))
}

fn without_quotas(snapshot: &Snapshot) -> Plan {
    changed_eips(snapshot, |eip| eip.addresses_per_namespace = None)
}

fn changed_eips(snapshot: &Snapshot, change: fn(&mut Eip)) -> Plan {
    let mut changed = snapshot.clone();
    changed.eips.values_mut().for_each(|eip| change(Arc::make_mut(eip)));
    with_services_of(snapshot, the_real_one(&changed))
}

#[test]
fn each_property_sees_a_planner_that_breaks_it() {
    assert!(is_seen(order_does_not_matter, by_place_in_memory), "1");
    assert!(is_seen(holders_are_lawful, without_looking), "2");
    assert!(is_seen(new_addresses_are_in_an_eip, whatever_the_eip_says), "3");
    assert!(is_seen(it_settles, anew_each_time), "4");
    assert!(is_seen(others_do_not_move, anew_each_time), "5");
    assert!(is_seen(eips_do_not_move_addresses, while_the_eip_would_be_chosen), "6");
    assert!(is_seen(used_and_free_are_all, usage_by_holders as Usage), "7");
    assert!(is_seen(every_refusal_has_a_reason, without_reasons), "8");
    assert!(is_seen(full_is_truly_full, without_the_last), "9");
    assert!(is_seen(reservations_are_kept, without_reservations), "10");
    assert!(is_seen(who_has_a_reservation_gets_it, reserved_for_nobody), "11");
    assert!(is_seen(quotas_are_kept, without_quotas), "12");
}
