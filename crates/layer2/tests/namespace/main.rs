//! The whole crate on real sockets, in a network namespace for each test.

mod site;

use std::collections::{BTreeMap, BTreeSet};
use std::net::{IpAddr, Ipv4Addr};
use std::time::Duration;

use ironlb_layer2::{Config, DropReason, Layer2, Limits, Observation, Rate, boottime, route_interface};
use ironlb_layer2_proto::packet::arp::{Operation, Packet};
use ironlb_model::{InterfaceName, MacAddr};

use site::{NIC, NIC_MAC, OTHER, SOON, STATION, STATION_IP, Seen, Site, Station, VIP, eventually, in_namespace, ip};

const NEW_MAC: MacAddr = MacAddr([2, 0, 0, 0, 0, 0x77]);

fn nic() -> InterfaceName {
    NIC.into()
}

/// Waits until the five announcements of one gained vip are made, so that a further one has a cause of its own.
fn await_quiet(layer2: &Layer2, station: &Station) {
    eventually("five announcements", || layer2.metrics()[&nic()].announcement_frames == 10);
    station.forget();
}

#[test]
fn vips_are_answered_with_the_interfaces_mac_and_nothing_else_is() {
    in_namespace("vips_are_answered_with_the_interfaces_mac_and_nothing_else_is", |site| {
        let (layer2, _observations) = site.start();
        let station = site.station();
        assert!(station.answers(VIP, 3).is_empty(), "nothing is set yet");

        site.set(&layer2, &[VIP]);
        for Seen { header, packet, .. } in station.answers_to_all(VIP, 20) {
            assert_eq!((header.source, packet.sender_mac), (NIC_MAC, NIC_MAC));
            assert_eq!((header.destination, packet.target_mac), (STATION, STATION));
            assert_eq!(packet.target_ip, STATION_IP);
        }
        assert!(station.answers(OTHER, 20).is_empty());

        eventually("the other questions are counted", || layer2.metrics()[&nic()].ignored[&DropReason::NotOurs] == 20);
        let metrics = layer2.metrics().remove(&nic()).unwrap();
        assert_eq!((metrics.vips, metrics.socket_open, metrics.answered), (1, true, 20));
    });
}

#[test]
fn a_vip_taken_away_is_answered_no_more_when_set_returns() {
    in_namespace("a_vip_taken_away_is_answered_no_more_when_set_returns", |site| {
        let many = Rate::new(1_000_000, 1_000_000);
        let limits = Limits { per_source: many, total: many, ..Limits::default() };
        // At ordinary priority, so that a return that is too early is not made good by the thread's own haste.
        let (layer2, _observations) = site.start_with(Config { limits, realtime: false });
        let station = site.station();
        let flood = site.station();
        // As fast as it goes, so that some request is under way whenever a vip is taken away.
        site::during(
            || flood.ask(VIP),
            || {
                for _ in 0..20 {
                    site.set(&layer2, &[VIP, OTHER]);
                    assert_eq!(station.resolve(VIP), Some(NIC_MAC));
                    site.set(&layer2, &[OTHER]);
                    let answered = layer2.metrics()[&nic()].answered;
                    // What was sent before the return is on the cable for microseconds.
                    station.listen(Duration::from_millis(5));
                    let mut seen = station.listen(Duration::from_millis(20));
                    seen.retain(|seen| seen.packet.sender_ip == VIP);
                    assert!(seen.is_empty(), "after set returned: {seen:?}");
                    assert_eq!(layer2.metrics()[&nic()].answered, answered);
                }
            },
        );
        assert_eq!(station.resolve(OTHER), Some(NIC_MAC));
        site.set(&layer2, &[]);
        assert!(station.answers(OTHER, 5).is_empty());

        site.set(&layer2, &[VIP]);
        assert_eq!(station.resolve(VIP), Some(NIC_MAC));
        drop(layer2);
        assert!(station.answers(VIP, 5).is_empty());
    });
}

/// The rounds of announcements of `VIP`: when, and in which forms.
fn rounds(seen: &[Seen]) -> Vec<(Duration, Vec<Operation>)> {
    let mut rounds: Vec<(Duration, Vec<Operation>)> = Vec::new();
    let announcements = seen.iter().filter(|seen| seen.is_announcement() && seen.packet.sender_ip == VIP);
    let mut start = None;
    for seen in announcements {
        let at = seen.at.since(*start.get_or_insert(seen.at));
        match rounds.last_mut() {
            Some((when, forms)) if at.abs_diff(*when) < Duration::from_millis(40) => {
                forms.push(seen.packet.operation);
            }
            _ => rounds.push((at, vec![seen.packet.operation])),
        }
    }
    rounds
}

/// The announcements of one gained vip, each in both forms, at their times.
///
/// # Errors
/// What came instead. A busy machine sends or reads any of them late, also the first; the one that is least late says when they began.
fn announced_at_its_times(seen: &[Seen]) -> Result<(), String> {
    let rounds = rounds(seen);
    let due = [0, 100, 1_100, 2_200, 4_000].map(Duration::from_millis);
    let has_all = rounds.len() == due.len();
    if !has_all || rounds.iter().any(|(_, forms)| *forms != [Operation::REQUEST, Operation::REPLY]) {
        return Err(format!("not five in both forms: {rounds:?}"));
    }
    let base = Duration::from_secs(1);
    let lateness = rounds.iter().zip(due).map(|((at, _), due)| base + *at - due);
    let spread = lateness.clone().max().unwrap_or_default().abs_diff(lateness.min().unwrap_or_default());
    if spread < Duration::from_millis(100) { Ok(()) } else { Err(format!("not at {due:?}: {rounds:?}")) }
}

#[test]
fn a_gained_vip_is_announced_in_both_forms_at_its_times() {
    in_namespace("a_gained_vip_is_announced_in_both_forms_at_its_times", |site| {
        let (layer2, _observations) = site.start();
        let station = site.station();
        // Where the machine holds one up, another is undisturbed; wrong times are wrong in all of them.
        for tries_left in (0..10).rev() {
            site.set(&layer2, &[VIP]);
            let seen = station.listen(Duration::from_millis(6_000));
            assert!(
                seen.iter().all(|seen| seen.header.source == NIC_MAC
                    && seen.header.destination == MacAddr::BROADCAST
                    && seen.packet.sender_mac == NIC_MAC),
                "{seen:?}"
            );
            let replies = seen.iter().filter(|seen| seen.packet.operation == Operation::REPLY);
            for reply in replies {
                // Linux leaves entries younger than a second alone otherwise.
                assert_eq!(reply.packet.target_mac, NIC_MAC);
            }
            match announced_at_its_times(&seen) {
                Ok(()) => return,
                Err(instead) => assert!(tries_left > 0, "{instead}"),
            }
            site.set(&layer2, &[]);
            station.forget();
        }
    });
}

#[test]
fn a_link_that_flaps_is_survived_and_announced() {
    in_namespace("a_link_that_flaps_is_survived_and_announced", |site| {
        let (layer2, _observations) = site.start();
        let station = site.station();
        site.set(&layer2, &[VIP]);
        assert_eq!(station.resolve(VIP), Some(NIC_MAC));
        await_quiet(&layer2, &station);
        for _ in 0..3 {
            let failed = layer2.metrics()[&nic()].receive_failed;
            ip(&format!("link set dev {NIC} down"));
            eventually("the socket is told", || layer2.metrics()[&nic()].receive_failed > failed);
            eventually("the link is seen down", || !layer2.interfaces().borrow().by_name[&nic()].up);
            station.forget();
            ip(&format!("link set dev {NIC} up"));
            await_announcement(&station, NIC_MAC);
            assert_eq!(station.resolve(VIP), Some(NIC_MAC));
        }
        assert_eq!(layer2.metrics()[&nic()].socket_opened, 1);
    });
}

/// Waits for both forms of an announcement of `VIP` from this station.
fn await_announcement(station: &Station, mac: MacAddr) {
    let end = boottime() + SOON;
    let mut forms = BTreeSet::new();
    while forms.len() < 2 {
        let seen = station.next(end).expect("an announcement in both forms");
        if seen.is_announcement() && seen.packet.sender_ip == VIP && seen.packet.sender_mac == mac {
            forms.insert(seen.packet.operation);
        }
    }
}

#[test]
fn a_changed_mac_is_announced_and_answered_with() {
    in_namespace("a_changed_mac_is_announced_and_answered_with", |site| {
        let (layer2, _observations) = site.start();
        let station = site.station();
        site.set(&layer2, &[VIP]);
        assert_eq!(station.resolve(VIP), Some(NIC_MAC));
        await_quiet(&layer2, &station);
        ip(&format!("link set dev {NIC} address {NEW_MAC}"));
        // No news is awaited: the address is asked of the kernel for each answer.
        let answers = station.answers_to_all(VIP, 5);
        assert!(answers.iter().all(|seen| seen.packet.sender_mac == NEW_MAC));
        eventually("the new address is published", || {
            layer2.interfaces().borrow().by_name[&nic()].mac == Some(NEW_MAC)
        });
        await_announcement(&station, NEW_MAC);
    });
}

#[test]
fn an_interface_made_anew_is_answered_on_again() {
    in_namespace("an_interface_made_anew_is_answered_on_again", |site| {
        let (layer2, _observations) = site.start();
        let station = site.station();
        site.set(&layer2, &[VIP]);
        assert_eq!(station.resolve(VIP), Some(NIC_MAC));
        drop(station);
        ip(&format!("link del dev {NIC}"));
        eventually("the interface is seen to be gone", || {
            !layer2.interfaces().borrow().by_name.contains_key(&nic()) && !layer2.metrics()[&nic()].socket_open
        });
        site.lay_cable();
        let station = site.station();
        assert_eq!(station.resolve(VIP), Some(NIC_MAC));
        assert_eq!(layer2.metrics()[&nic()].socket_opened, 2);
    });
}

#[test]
fn an_interface_that_comes_later_is_waited_for() {
    in_namespace("an_interface_that_comes_later_is_waited_for", |site| {
        ip(&format!("link del dev {NIC}"));
        let (layer2, _observations) = site.start();
        site.set(&layer2, &[VIP]);
        assert!(!layer2.metrics()[&nic()].socket_open);
        site.lay_cable();
        assert_eq!(site.station().resolve(VIP), Some(NIC_MAC));
    });
}

#[test]
fn a_vip_moves_between_interfaces() {
    in_namespace("a_vip_moves_between_interfaces", |site| {
        let second = MacAddr([2, 0, 0, 0, 0, 0x0b]);
        ip(&format!("link add dev lan1 address {second} type veth peer name peer1"));
        ip("link set dev lan1 up");
        ip("link set dev peer1 up");
        let (layer2, _observations) = site.start();
        let station = site.station();
        let on = |name: &str| BTreeMap::from([(name.into(), BTreeSet::from([IpAddr::V4(VIP)]))]);
        for _ in 0..10 {
            site.runtime.block_on(layer2.set(on(NIC))).unwrap();
            assert_eq!(station.resolve(VIP), Some(NIC_MAC));
            site.runtime.block_on(layer2.set(on("lan1"))).unwrap();
            assert!(station.answers(VIP, 3).is_empty());
        }
        let metrics = layer2.metrics();
        assert_eq!(metrics[&nic()].vips, 0);
        assert!(!metrics[&nic()].socket_open);
        assert_eq!(metrics[&InterfaceName::from("lan1")].vips, 1);
    });
}

#[test]
fn after_the_end_of_validity_there_is_silence_until_it_is_put_off() {
    in_namespace("after_the_end_of_validity_there_is_silence_until_it_is_put_off", |site| {
        let (layer2, _observations) = site.start();
        let station = site.station();
        site.set(&layer2, &[VIP]);
        assert_eq!(station.resolve(VIP), Some(NIC_MAC));
        await_quiet(&layer2, &station);

        let end = boottime() + Duration::from_millis(300);
        layer2.set_valid_until(Some(end));
        while boottime() < end {
            std::thread::sleep(Duration::from_millis(5));
        }
        assert!(station.answers(VIP, 10).is_empty());
        eventually("all are counted", || layer2.metrics()[&nic()].ignored[&DropReason::Fenced] == 10);
        // What is gained now is not announced either.
        site.set(&layer2, &[VIP, OTHER]);
        assert!(station.listen(Duration::from_millis(300)).is_empty());
        assert_eq!(layer2.metrics()[&nic()].announcement_frames, 10);

        layer2.set_valid_until(Some(boottime() + Duration::from_secs(60)));
        await_announcement(&station, NIC_MAC);
        assert_eq!(station.resolve(VIP), Some(NIC_MAC));
    });
}

/// The owner is another process, frozen as a paused virtual machine would be; what was asked meanwhile waits in its socket.
#[test]
fn an_owner_frozen_past_its_validity_answers_nothing_when_it_goes_on() {
    const TEST: &str = "an_owner_frozen_past_its_validity_answers_nothing_when_it_goes_on";
    // Longer than the announcements of a gained vip take, which are over after four seconds, and later on a busy machine.
    const VALIDITY: Duration = Duration::from_secs(20);
    if site::role().as_deref() == Some("owner") {
        return in_namespace(TEST, |site| {
            let (layer2, _observations) = site.start();
            layer2.set_valid_until(Some(boottime() + VALIDITY));
            site.set(&layer2, &[VIP]);
            // Ended by the test.
            std::thread::sleep(Duration::from_secs(60));
        });
    }
    in_namespace(TEST, |site| {
        let station = site.station();
        let owner = Ended(site::again(TEST, "owner", &["env"]).spawn().unwrap());
        let signal = |name: &str| site::output("kill", &[name, &owner.0.id().to_string()]);
        let mut announced = station.listen_for(2 * 5, |seen| seen.header.source == NIC_MAC);
        let validity_ends = announced.remove(0).at + VALIDITY;
        assert_eq!(station.resolve(VIP), Some(NIC_MAC));
        signal("-STOP");
        // The signal is sent when `kill` ends; each thread stops when it next runs.
        while !is_frozen(owner.0.id()) {
            std::thread::sleep(Duration::from_millis(5));
        }
        assert!(station.answers(VIP, 10).is_empty(), "it is frozen");
        std::thread::sleep(validity_ends.since(boottime()));
        station.forget();
        signal("-CONT");
        let seen = station.listen(Duration::from_millis(500));
        assert!(seen.is_empty(), "from an owner past its time: {seen:?}");
        assert!(station.answers(VIP, 10).is_empty());
    });
}

/// Has every thread of the process stopped?
fn is_frozen(process: u32) -> bool {
    let threads = std::fs::read_dir(format!("/proc/{process}/task")).expect("it lives").flatten();
    let mut states = threads.map(|thread| std::fs::read_to_string(thread.path().join("stat")).unwrap_or_default());
    // Its state follows its name, which is in brackets.
    states.all(|stat| stat.rsplit(") ").next().is_some_and(|rest| rest.starts_with('T')))
}

/// A process that ends with the test, however that ends.
struct Ended(std::process::Child);

impl Drop for Ended {
    fn drop(&mut self) {
        // It may have ended by itself.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// The thread runs in front of all ordinary ones where it may, and must not take the machine with it.
#[test]
fn a_flood_leaves_the_core_to_others_and_the_rest_of_the_lan_answered() {
    in_namespace("a_flood_leaves_the_core_to_others_and_the_rest_of_the_lan_answered", |site| {
        let (layer2, _observations) = site.start();
        let station = site.station();
        let flooder = site.station();
        site.set(&layer2, &[VIP]);
        let request = Packet {
            sender_mac: MacAddr([2, 0, 0, 0, 0, 0xf1]),
            sender_ip: OTHER,
            target_ip: VIP,
            ..Packet::announcement_request(STATION, OTHER)
        };
        site::during(
            || flooder.send(&request),
            || {
                let refused = || layer2.metrics()[&nic()].ignored[&DropReason::RateLimitedSource];
                eventually("the flood is refused", || refused() > 10_000);
                // In this order, so that nothing is counted outside the time.
                let since = boottime();
                let before = site::cpu_time_of("arp-lan0");
                assert_eq!(station.resolve(VIP), Some(NIC_MAC));
                std::thread::sleep(Duration::from_secs(1));
                let used = site::cpu_time_of("arp-lan0").saturating_sub(before);
                let passed = boottime().since(since);
                // It is allowed a quarter, and what it had saved.
                assert!(used < passed * 2 / 5, "{used:?} of {passed:?} on a core");
            },
        );
    });
}

#[test]
fn a_foreign_claim_is_reported() {
    in_namespace("a_foreign_claim_is_reported", |site| {
        let (layer2, mut observations) = site.start();
        let station = site.station();
        site.set(&layer2, &[VIP]);
        // A probe, and a claim of an address that is not ours, are no claims.
        station.send(&Packet {
            sender_ip: Ipv4Addr::UNSPECIFIED,
            target_mac: MacAddr::ZERO,
            target_ip: VIP,
            ..Packet::announcement_request(STATION, VIP)
        });
        station.send(&Packet::announcement_reply(STATION, OTHER));
        let before = boottime();
        station.send(&Packet::announcement_reply(STATION, VIP));
        let observed =
            site.runtime.block_on(async { tokio::time::timeout(SOON, observations.recv()).await }).expect("in time");
        let Some(Observation::ForeignClaim { interface, vip, mac, at }) = observed else { panic!("{observed:?}") };
        assert_eq!((interface, vip, mac), (nic(), IpAddr::V4(VIP), STATION));
        assert!(at >= before && at <= boottime());
        assert_eq!(layer2.metrics()[&nic()].foreign_claims, 1);
    });
}

#[test]
fn interfaces_are_followed() {
    in_namespace("interfaces_are_followed", |site| {
        let (layer2, _observations) = site.start();
        let interfaces = layer2.interfaces();
        let is = |what: &str, check: &dyn Fn(&ironlb_model::Interfaces) -> bool| {
            eventually(what, || check(&interfaces.borrow()));
        };
        let known = interfaces.borrow().by_name[&nic()].clone();
        assert!(known.up && known.mac == Some(NIC_MAC) && !known.loopback);
        assert!(interfaces.borrow().by_name[&InterfaceName::from("lo")].loopback);

        ip(&format!("address add 10.77.0.1/24 dev {NIC}"));
        ip(&format!("address add fd77::1/64 dev {NIC} nodad"));
        is("addresses", &|all| {
            let prefixes = &all.by_name[&nic()].prefixes;
            ["10.77.0.1/24", "fd77::1/64"].iter().all(|prefix| prefixes.contains(&prefix.parse().unwrap()))
        });
        ip(&format!("address del 10.77.0.1/24 dev {NIC}"));
        is("an address taken away", &|all| !all.by_name[&nic()].prefixes.contains(&"10.77.0.1/24".parse().unwrap()));
        ip("link set dev peer0 down");
        is("no carrier", &|all| !all.by_name[&nic()].up);
        ip("link set dev peer0 up");
        is("carrier", &|all| all.by_name[&nic()].up);
        ip("link add dev br0 type bridge");
        ip(&format!("link set dev {NIC} master br0"));
        is("a controller", &|all| all.by_name[&nic()].controller == Some("br0".into()));
        // Many changes at once, as when pods come and go: what counts is what is there at the end.
        let batch: String = (0..100)
            .map(|n| format!("link add dev d{n} type bridge\nlink del dev d{n}\nlink add dev e{n} type bridge\n"))
            .collect();
        site::fed("ip", &["-batch", "-"], &batch);
        is("a hundred more", &|all| all.by_name.len() == 104 && all.by_name.contains_key(&InterfaceName::from("e99")));
    });
}

#[test]
fn the_interface_towards_an_address_is_the_kernels_choice() {
    in_namespace("the_interface_towards_an_address_is_the_kernels_choice", |site| {
        let towards = |address: &str| {
            let address: IpAddr = address.parse().unwrap();
            site.runtime.block_on(route_interface(address))
        };
        assert_eq!(towards("10.77.0.5").unwrap_err().category(), "no_route");
        ip(&format!("address add 10.77.0.1/24 dev {NIC}"));
        ip(&format!("address add fd77::1/64 dev {NIC} nodad"));
        ip(&format!("route add 192.0.2.0/24 via 10.77.0.254 dev {NIC}"));
        for address in ["10.77.0.5", "192.0.2.1", "fd77::5"] {
            assert_eq!(towards(address).unwrap(), nic(), "{address}");
        }
        assert_eq!(towards("198.51.100.1").unwrap_err().category(), "no_route");
    });
}

/// A Linux host as the client: its neighbour entry follows the announcement, also one that changed a moment ago.
#[test]
fn a_linux_client_resolves_the_vip_and_follows_the_announcement() {
    in_namespace("a_linux_client_resolves_the_vip_and_follows_the_announcement", client_follows);
}

fn client_follows(site: &Site) {
    // Only this mount namespace sees the names of the network namespaces made here.
    site::output("mount", &["-t", "tmpfs", "none", "/run"]);
    ip("netns add client");
    ip("link set dev peer0 netns client");
    ip("-n client address add 10.77.0.9/24 dev peer0");
    ip("-n client link set dev peer0 up");
    let (layer2, _observations) = site.start();
    eventually("carrier", || layer2.interfaces().borrow().by_name[&nic()].up);
    let entry = || ip("-n client neigh show 10.77.0.200 dev peer0");
    ip("-n client neigh add 10.77.0.200 lladdr 02:00:00:00:00:99 dev peer0 nud reachable");
    assert!(entry().contains("02:00:00:00:00:99"));
    site.set(&layer2, &[VIP]);
    eventually("the client's entry moves", || entry().contains(&NIC_MAC.to_string()));
    let said = ip("netns exec client arping -c 2 -w 30 -I peer0 10.77.0.200");
    assert!(said.to_lowercase().contains(&NIC_MAC.to_string()) && said.contains("Received 2"), "{said}");
}
