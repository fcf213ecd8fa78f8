use std::net::IpAddr;
use std::sync::Arc;

use ironlb_model::{BgpConf, EipName, Issue, IssueReason, OptIn, ResourceVersion, WallTime};

use super::*;
use crate::testing::*;
use ironlb_model::{Change, EipPatch};

use crate::{Outcome, memory::Memory};

fn categories(step: &Step) -> Vec<&'static str> {
    step.actions.iter().map(|planned| planned.action.category()).collect()
}

fn eip_patches(step: &Step) -> Vec<EipPatch> {
    let patch = |action: &Action| match action {
        Action::PatchEip(patch) => Some(patch.clone()),
        _ => None,
    };
    step.actions.iter().filter_map(|planned| patch(&planned.action)).collect()
}

/// Answers every action of a step with success at the next version.
fn all_written(step: &Step, memory: &mut Memory, version: u64, now: Timestamp) {
    for planned in &step.actions {
        memory.on_written(planned.id, Outcome::Written { version: ResourceVersion(version) }, now);
    }
}

#[test]
fn addresses_go_before_all_else_the_oldest_service_first() {
    let services = [
        service("n/young").created(5),
        service("n/pending").created(1).eip("none"),
        service("n/old").created(2),
        service("n/kept").created(0).holds(&["10.0.0.9"]),
    ];
    let snapshot = snapshot(&[eip("a", "10.0.0.1-10.0.0.9").default_eip()], &services);
    let step = step(&snapshot, &mut memory(), seconds(1));
    let objects: Vec<String> = step.actions.iter().map(|planned| planned.action.object().to_string()).collect();
    assert_eq!(objects, ["Service n/old", "Service n/young", "Service n/kept", "Service n/pending", "Eip a"]);
    let ids: BTreeSet<ActionId> = step.actions.iter().map(|planned| planned.id).collect();
    assert_eq!(ids.len(), 5, "each has its own name");
}

#[test]
fn what_is_due_is_handed_out_in_parts_the_most_urgent_first() {
    // The younger the name comes first, so that their order is not the one in which they are found.
    let newcomers = (0..1500).map(|n| service(&format!("n/s{:04}", 1499 - n)).created(n));
    let kept = service("n/kept").created(0).holds(&["10.0.255.0"]);
    let mut snapshot = snapshot(&[eip("a", "10.0.0.0/16").default_eip()], &newcomers.chain([kept]).collect::<Vec<_>>());
    let mut memory = memory();
    let ids = |step: &Step| -> Vec<String> {
        let patched = |action: &Action| match action {
            Action::PatchService(patch) => Some(patch.id.to_string()),
            _ => None,
        };
        step.actions.iter().filter_map(|planned| patched(&planned.action)).collect()
    };
    let want = |numbers: std::ops::Range<u32>| numbers.map(|n| format!("n/s{:04}", 1499 - n));

    let first = step(&snapshot, &mut memory, seconds(1));
    assert_eq!(ids(&first), want(0..1024).collect::<Vec<_>>());
    assert_eq!(first.next_wake, Some(seconds(1)), "there is more to do");
    all_written(&first, &mut memory, 2, seconds(2));
    // An older one comes late, and an address goes before words. The others' Events wait.
    let newcomer = service("n/late").created(0);
    snapshot.services.insert(newcomer.id.clone(), Arc::new(newcomer));
    let second = step(&snapshot, &mut memory, seconds(2));
    let rest = ["n/late".to_owned()].into_iter().chain(want(1024..1500)).chain(["n/kept".to_owned()]);
    assert_eq!(ids(&second), rest.collect::<Vec<_>>());
    assert_eq!(second.next_wake, None);
    let told = |step: &Step| categories(step).iter().filter(|category| **category == "Emit").count();
    assert_eq!(
        (told(&first), told(&second)),
        (0, 2 * 1024),
        "of each, that it has an address and that nobody announces it"
    );
    let given: BTreeSet<IpAddr> = second.plan.services.iter().flat_map(|entry| entry.verdict.addresses()).collect();
    assert_eq!(given.len(), 1502, "each has its own");
}

#[test]
fn beside_openelb_nothing_is_written() {
    let mut snapshot = snapshot(
        &[eip("a", "10.0.0.1").default_eip().with(|e| e.has_openelb_finalizer = true)],
        &[service("n/s"), service("n/t").holds(&["10.0.0.1"]).with(|s| s.has_openelb_finalizer = true)],
    );
    snapshot.openelb = vec!["DaemonSet openelb-system/openelb-speaker".to_owned()];
    let mut memory = memory();
    let observed = step(&snapshot, &mut memory, seconds(1));
    assert!(observed.only_observes && observed.next_wake.is_none());
    let told = |step: &Step| -> Vec<String> {
        let text = |action: &Action| match action {
            Action::Emit(event) => format!("{} {}: {}", event.object, event.reason, event.message),
            write => panic!("a write beside OpenELB: {write:?}"),
        };
        step.actions.iter().map(|planned| text(&planned.action)).collect()
    };
    let [event] = &told(&observed)[..] else { panic!("{observed:?}") };
    assert!(
        event.starts_with("Eip a OpenElbRunning: ")
            && event.contains("remove DaemonSet openelb-system/openelb-speaker"),
        "{event}"
    );
    assert!(step(&snapshot, &mut memory, seconds(1)).actions.is_empty(), "it is told once");
    snapshot.openelb = vec!["ValidatingWebhookConfiguration openelb-admission".to_owned()];
    assert!(told(&step(&snapshot, &mut memory, seconds(1)))[0].contains("ValidatingWebhookConfiguration"));
    assert_eq!(reasons(&observed.plan, "n/s"), ["OpenElbRunning"]);
    snapshot.openelb.clear();
    let takes_over = step(&snapshot, &mut memory, seconds(2));
    assert!(!takes_over.only_observes);
    assert_eq!(vips(&takes_over.plan, "n/t"), ips(&["10.0.0.1"]));
    assert!(service_patches(&takes_over)["n/t"].remove_finalizer);
}

#[test]
fn the_status_of_an_eip_is_paced_by_its_size() {
    let mut snapshot = snapshot(&[eip("a", "10.0.0.1-10.0.0.9").default_eip()], &[]);
    let mut memory = memory();
    let first = step(&snapshot, &mut memory, seconds(100));
    assert_eq!(eip_patches(&first).len(), 1);
    all_written(&first, &mut memory, 2, seconds(100));
    // It comes back, and at once there is news.
    let eip = Arc::make_mut(snapshot.eips.get_mut(&EipName::from("a")).unwrap());
    eip.version = ResourceVersion(2);
    let held = service("n/s").holds(&["10.0.0.1"]).with(|s| s.opt_in = OptIn::Absent);
    snapshot.services.insert(held.id.clone(), Arc::new(held));
    let early = step(&snapshot, &mut memory, Timestamp::from_millis(100_300));
    assert_eq!((eip_patches(&early).len(), early.next_wake), (0, Some(seconds(101))));
    let due = step(&snapshot, &mut memory, seconds(101));
    assert_eq!(eip_patches(&due)[0].status.usage, 1);

    for (bytes, wait) in [(0, 1), (1, 1), (65_536, 1), (65_537, 2), (MAX_BYTES, 12)] {
        assert_eq!(interval(bytes), Duration::from_secs(wait), "{bytes}");
    }
}

const MAX_BYTES: usize = crate::MAX_USED_BYTES;

#[test]
fn openelbs_finalizer_is_taken_off_when_the_status_is_not_due() {
    let mut snapshot = snapshot(&[eip("a", "10.0.0.1").with(|e| e.has_openelb_finalizer = true)], &[]);
    let mut memory = memory();
    let first = step(&snapshot, &mut memory, seconds(1));
    assert_eq!(categories(&first), ["PatchEip"]);
    assert!(step(&snapshot, &mut memory, seconds(1)).actions.is_empty(), "one write at a time on one object");
    all_written(&first, &mut memory, 2, seconds(1));
    Arc::make_mut(snapshot.eips.get_mut(&EipName::from("a")).unwrap()).version = ResourceVersion(2);
    let second = step(&snapshot, &mut memory, Timestamp::from_millis(1100));
    assert_eq!(categories(&second), ["RemoveFinalizer", "Emit"]);
    let Action::Emit(event) = &second.actions[1].action else { panic!("{second:?}") };
    assert_eq!((event.object.to_string().as_str(), event.reason), ("Eip a", "TakenOver"));
    memory.on_written(second.actions[0].id, Outcome::Refused { message: "no".to_owned() }, seconds(2));
    assert!(
        step(&snapshot, &mut memory, Timestamp::from_millis(1101))
            .actions
            .iter()
            .all(|p| p.action.category() != "RemoveFinalizer")
    );
}

#[test]
fn openelbs_record_is_not_written_over_before_everyone_has_his_address_back() {
    let mut snapshot =
        snapshot(&[eip("a", "10.0.0.1-10.0.0.9").default_eip().used(&[("10.0.0.5", "n/s")])], &[service("n/s")]);
    let mut memory = memory();
    let first = step(&snapshot, &mut memory, seconds(1));
    assert_eq!(categories(&first), ["PatchService"]);
    memory.on_written(first.actions[0].id, Outcome::Refused { message: "no".to_owned() }, seconds(1));
    let again = step(&snapshot, &mut memory, seconds(2));
    let patch = service_patches(&again).remove("n/s").expect("tried again");
    assert_eq!(patch.addresses, Some(Change::Set("10.0.0.5".to_owned())), "and with the same address");
    all_written(&again, &mut memory, 7, seconds(2));
    assert!(eip_patches(&step(&snapshot, &mut memory, seconds(3))).is_empty(), "written, and not seen yet");
    let one = snapshot.services.get_mut(&ServiceId::new("n", "s")).unwrap();
    let mut after = patched(one, &patch, WallTime(3));
    after.version = ResourceVersion(7);
    *one = Arc::new(after);
    assert_eq!(eip_patches(&step(&snapshot, &mut memory, seconds(4))).len(), 1);
}

fn conf(name: &str, has_openelb_finalizer: bool) -> (String, Arc<BgpConf>) {
    let conf = BgpConf {
        name: name.to_owned(),
        version: ResourceVersion(1),
        generation: 3,
        has_openelb_finalizer,
        ..BgpConf::default()
    };
    (name.to_owned(), Arc::new(conf))
}

#[test]
fn openelbs_finalizer_is_taken_off_bgp_objects() {
    let mut snapshot = snapshot(&[], &[]);
    snapshot.bgp_confs = [conf("default", true)].into();
    let mut memory = memory();
    let freed = step(&snapshot, &mut memory, seconds(1));
    let [Planned { id, action: Action::RemoveFinalizer { object, version } }] = &freed.actions[..] else {
        panic!("{freed:?}")
    };
    assert_eq!((object.to_string().as_str(), *version), ("BgpConf default", ResourceVersion(1)));
    assert!(step(&snapshot, &mut memory, seconds(1)).actions.is_empty(), "one write at a time on one object");
    memory.on_written(*id, Outcome::Written { version: ResourceVersion(2) }, seconds(1));
    let (name, mut without) = conf("default", false);
    Arc::make_mut(&mut without).version = ResourceVersion(2);
    snapshot.bgp_confs.insert(name, without);
    assert!(step(&snapshot, &mut memory, seconds(2)).actions.is_empty());
}

#[test]
fn faults_of_bgp_objects_are_told_on_them() {
    let mut snapshot = snapshot(&[], &[]);
    snapshot.bgp_confs = [conf("default", false), conf("other", false)].into();
    snapshot.issues = vec![Issue {
        object: ObjectRef::BgpConf("other".to_owned()),
        field: "metadata.name".to_owned(),
        reason: IssueReason::Ignored,
        message: "only default is used".to_owned(),
    }];
    let mut memory = memory();
    let told = step(&snapshot, &mut memory, seconds(1));
    let [Planned { id, action: Action::PatchObject(patch) }] = told.actions.as_slice() else { panic!("{told:?}") };
    assert_eq!((patch.object.to_string().as_str(), patch.generation), ("BgpConf other", 3));
    let condition = &patch.conditions[0].condition;
    assert_eq!((condition.kind.as_str(), condition.reason.as_str()), ("Ignored", "Ignored"));
    assert_eq!(condition.message, "metadata.name: only default is used");
    memory.on_written(*id, Outcome::Written { version: ResourceVersion(2) }, seconds(1));
    let mut shown = (*snapshot.bgp_confs["other"]).clone();
    (shown.version, shown.conditions) = (ResourceVersion(2), vec![condition.clone()]);
    snapshot.bgp_confs.insert("other".to_owned(), Arc::new(shown.clone()));
    assert!(step(&snapshot, &mut memory, seconds(2)).actions.is_empty());
    // Mended: the condition goes.
    snapshot.issues.clear();
    let told = step(&snapshot, &mut memory, seconds(3));
    let [Planned { action: Action::PatchObject(patch), .. }] = told.actions.as_slice() else { panic!("{told:?}") };
    assert!(patch.conditions.is_empty());
}

#[test]
fn one_refused_service_stops_no_other() {
    let services: Vec<_> = (0..5).map(|n| service(&format!("n/s{n}")).created(n)).collect();
    let mut snapshot = snapshot(&[eip("a", "10.0.0.1-10.0.0.9").default_eip()], &services);
    let mut memory = memory();
    let mut held = BTreeSet::new();
    for round in 0..3 {
        let now = seconds(10 * (round + 1));
        let step = step(&snapshot, &mut memory, now);
        for planned in &step.actions {
            let Action::PatchService(patch) = &planned.action else { continue };
            let outcome = if patch.id.name.as_ref() == "s1" {
                Outcome::Refused { message: "denied".to_owned() }
            } else {
                let before = snapshot.services[&patch.id].clone();
                let mut after = patched(&before, patch, WallTime(1));
                after.version = ResourceVersion(before.version.0 + 1);
                held.extend(after.addresses());
                let version = after.version;
                snapshot.services.insert(patch.id.clone(), Arc::new(after));
                Outcome::Written { version }
            };
            memory.on_written(planned.id, outcome, now);
        }
    }
    assert_eq!(held.into_iter().collect::<Vec<_>>(), ips(&["10.0.0.1", "10.0.0.3", "10.0.0.4", "10.0.0.5"]));
    let (object, retry) = memory.retries().next().expect("counted");
    assert_eq!((object.to_string().as_str(), retry.attempts), ("Service n/s1", 3));
}

#[test]
fn the_same_step_twice_hands_out_nothing_and_forgets_nothing() {
    let snapshot = snapshot(&[eip("a", "10.0.0.1").default_eip()], &[service("n/s"), service("n/t")]);
    let mut memory = memory();
    let one = step(&snapshot, &mut memory, seconds(1));
    let before = memory.clone();
    let two = step(&snapshot, &mut memory, seconds(1));
    assert!(!one.actions.is_empty() && two.actions.is_empty());
    assert_eq!(memory, before);
    assert_eq!(vips(&two.plan, "n/s"), vips(&one.plan, "n/s"));
}

/// Steps until nothing is left to write; what was written, by category, or `None` if that never happens.
fn settle(snapshot: &mut Snapshot, memory: &mut Memory) -> Option<Vec<&'static str>> {
    let mut done = Vec::new();
    for round in 0..60 {
        let now = seconds(100 + round);
        let step = step(snapshot, memory, now);
        if step.actions.is_empty() && step.next_wake.is_none() && round > 0 {
            return Some(done);
        }
        done.extend(categories(&step));
        *snapshot = carried_out(snapshot, &step, memory, now);
    }
    None
}

#[test]
fn what_openelb_left_is_taken_over_without_moving_an_address() {
    let adopted = |id: &str, address: &str| {
        service(id).holds(&[address]).eip("pool").with(|s| {
            s.has_openelb_finalizer = true;
            s.eip_label = Some("pool".into());
            s.wanted_protocol = Some(ironlb_model::Announcement::Layer2);
        })
    };
    let pool = eip("pool", "192.0.2.91-192.0.2.100")
        .used(&[
            ("192.0.2.95", "shop/web"),
            ("192.0.2.93", "shop/a;shop/b"),
            ("192.0.2.99", "shop/lost"),
            ("192.0.2.97", "shop/gone"),
        ])
        .with(|e| e.has_openelb_finalizer = true);
    let services = [
        adopted("shop/web", "192.0.2.95"),
        adopted("shop/a", "192.0.2.93").wish(&["192.0.2.93"]),
        adopted("shop/b", "192.0.2.93").wish(&["192.0.2.93"]),
        adopted("shop/lost", "192.0.2.1").with(|s| s.ingress.clear()),
        adopted("shop/off", "192.0.2.91").with(|s| s.opt_in = OptIn::Absent),
    ];
    let mut snapshot = snapshot(&[pool], &services);
    add_speaker(&mut snapshot, "n1", &[("192.0.2.95", "eth0")], &[]);
    let mut memory = memory();
    let done = settle(&mut snapshot, &mut memory).expect("it comes to rest");
    let held = |id: &str| snapshot.services[&ServiceId::parse(id).unwrap()].addresses().collect::<Vec<_>>();
    for (id, want) in [
        ("shop/web", vec!["192.0.2.95"]),
        ("shop/a", vec!["192.0.2.93"]),
        ("shop/b", vec!["192.0.2.93"]),
        ("shop/lost", vec!["192.0.2.99"]),
        ("shop/off", vec![]),
    ] {
        assert_eq!(held(id), ips(&want), "{id}");
    }
    assert!(snapshot.services.values().all(|s| !s.has_openelb_finalizer));
    let pool = &snapshot.eips[&EipName::from("pool")];
    assert!(!pool.has_openelb_finalizer);
    let used: Vec<String> = pool.status.used.iter().map(|(a, ids)| format!("{a} {ids:?}")).collect();
    assert_eq!(used.len(), 3, "{used:?}");
    assert_eq!(done.iter().filter(|category| **category == "RemoveFinalizer").count(), 1);
}

mod any_cluster {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

        #[test]
        fn comes_to_rest_and_shows_why(snapshot in crate::plan::properties::any_snapshot()) {
            let mut snapshot = snapshot;
            prop_assert!(settle(&mut snapshot, &mut memory()).is_some());
            for service in snapshot.services.values() {
                let is_ours = snapshot.settings.selects(service) && !service.deleting;
                let told = service.condition(crate::ADDRESS_ASSIGNED);
                prop_assert_eq!(told.is_some(), is_ours, "{:?}", service);
                if is_ours && service.ingress.is_empty() {
                    prop_assert!(told.is_some_and(|c| !c.message.is_empty() && c.reason != "Assigned"));
                }
            }
        }
    }
}
