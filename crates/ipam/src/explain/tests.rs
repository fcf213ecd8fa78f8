//! What is told of each Eip, in the order in which they are looked at.

use ironlb_model::{Announcement, FamilyPolicy, IpFamily, OptIn, Selector};

use super::*;
use crate::testing::*;

fn explained(snapshot: &Snapshot, id: &str) -> Explanation {
    let id = ServiceId::parse(id).unwrap();
    explain(snapshot, &id).unwrap_or_else(|| panic!("{id} is not explained"))
}

/// The Eips of the first family with what came of each.
fn told(snapshot: &Snapshot, id: &str) -> Vec<String> {
    let explained = explained(snapshot, id);
    let report = |report: &EipReport| {
        let offer = report.offer.map_or("-".to_owned(), |offer| format!("{offer:?}"));
        let what = match &report.finding {
            Finding::Holds(addresses) => format!("Holds {addresses:?}"),
            Finding::Gives(address) => format!("Gives {address}"),
            Finding::AfterOffer(offer) => format!("AfterOffer {offer:?}"),
            other => other.category().to_owned(),
        };
        format!("{} {offer} {}/{} {what}", report.eip.name, report.used, report.total)
    };
    explained.families[0].eips.iter().map(report).collect()
}

#[test]
fn every_eip_is_told_in_the_order_in_which_it_is_tried() {
    let pools = [
        eip("bound-b", "10.0.1.0/30").for_namespace("n").with(|e| e.priority = 2),
        eip("bound-a", "10.0.0.1").for_namespace("n"),
        eip("c-disabled", "10.0.2.0/30").for_namespace("n").with(|e| e.disabled = true),
        eip("default", "10.0.3.0/30").default_eip(),
        eip("elsewhere", "10.0.4.0/30").for_namespace("m"),
        eip("labelled", "10.0.5.0/30").with(|e| {
            e.service_selector = Some(Selector::labels([("tier".to_owned(), "edge".to_owned())].into()));
        }),
        eip("plain", "10.0.6.0/30"),
        eip("quiet", "10.0.7.0/30").with(|e| e.auto_assign = false),
    ];
    let others = [service("n/older").holds(&["10.0.0.1"]), service("n/s").created(9)];
    assert_eq!(
        told(&snapshot(&pools, &others), "n/s"),
        [
            "bound-a Bound 1/1 EipFull",
            "c-disabled Bound 0/4 EipDisabled",
            "bound-b Bound 0/4 Gives 10.0.1.0",
            "default Default 0/4 AfterOffer Bound",
            "elsewhere - 0/4 OtherNamespaces",
            "labelled - 0/4 OtherServices",
            "plain - 0/4 NotDefault",
            "quiet - 0/4 OnRequestOnly",
        ]
    );
    // One that names an Eip gets from no other, and one that keeps what it has asks none.
    let named = service("n/s").eip("plain");
    assert_eq!(
        told(&snapshot(&pools, &[named]), "n/s")[..2],
        ["plain Named 0/4 Gives 10.0.6.0", "bound-a - 0/1 OthersNamed"]
    );
    let keeps = service("n/s").holds(&["10.0.6.2"]);
    let keeps = told(&snapshot(&pools, &[keeps]), "n/s");
    assert!(keeps.contains(&"plain - 1/4 Holds [10.0.6.2]".to_owned()), "{keeps:?}");
    assert_eq!(keeps.iter().filter(|line| line.ends_with("NotAsked")).count(), 7);
    // The rule of OpenELB 0.5, and a default that is passed over because it cannot serve.
    let by_protocol = service("n/s").with(|s| s.wanted_protocol = Some(Announcement::Layer2));
    let pools = [
        eip("a", "10.0.0.0/31").with(|e| e.announcement = Announcement::Bgp),
        eip("b", "10.0.1.0/31"),
        eip("c", "10.0.2.0/31"),
        eip("six", "fd00::/64").default_eip(),
    ];
    assert_eq!(
        told(&snapshot(&pools, &[by_protocol]), "n/s"),
        [
            "six Default 0/0 WrongFamily",
            "b Protocol 0/2 Gives 10.0.1.0",
            "c Protocol 0/2 AfterGiver",
            "a - 0/2 OtherProtocol"
        ]
    );
}

#[test]
fn a_wish_asks_one_eip() {
    let pools = [
        eip("first", "10.0.0.1-10.0.0.4"),
        eip("later", "10.0.0.4-10.0.0.8").with(|e| e.created = ironlb_model::WallTime(5)),
        eip("z", "10.0.9.0/30").default_eip(),
    ];
    for (wisher, want) in [
        (service("n/s").wish(&["10.0.0.4"]), ["z WithoutWish", "first Gives", "later WishIsIn"]),
        (service("n/s").wish(&["10.0.0.5"]), ["z WithoutWish", "first WithoutWish", "later Gives"]),
        (service("n/s").wish(&["10.0.0.4"]).eip("later"), ["later WishInOverlap", "first WishIsIn", "z WithoutWish"]),
        (service("n/s").wish(&["192.0.2.1"]), ["z WithoutWish", "first WithoutWish", "later WithoutWish"]),
        (service("n/s").wish(&["10.0.0.1"]), ["z WithoutWish", "first WishTaken", "later WithoutWish"]),
        // What it held before its status was lost is asked of the Eip that has it.
        (service("n/s").with(|s| s.remembered = ips(&["10.0.0.6"])), ["z NotAsked", "first NotAsked", "later Gives"]),
    ] {
        let holder = service("n/holder").holds(&["10.0.0.1"]);
        let told = told(&snapshot(&pools, &[holder, wisher.clone()]), "n/s");
        let short: Vec<String> = told
            .iter()
            .map(|line| {
                let words: Vec<&str> = line.split(' ').collect();
                format!("{} {}", words[0], words[3])
            })
            .collect();
        assert_eq!(short, want, "{wisher:?}");
    }
}

#[test]
fn what_was_held_and_is_gone_is_told() {
    let holder = service("n/holder").holds(&["10.0.0.1"]);
    let lost = service("n/s").with(|s| s.remembered = ips(&["10.0.0.1"]));
    let explained = explained(&snapshot(&[eip("a", "10.0.0.1-10.0.0.4").default_eip()], &[holder, lost]), "n/s");
    let search = &explained.families[0];
    let gone = LostAddress { address: ip("10.0.0.1"), because: None, held_by: vec![ServiceId::new("n", "holder")] };
    assert_eq!((search.lost.clone(), search.sought), (Some(gone), Sought::Any));
    assert_eq!(search.outcome, Some(Ok(ip("10.0.0.2"))));
}

#[test]
fn both_families_are_told_and_the_missing_one_says_why() {
    let dual = service("n/s").dual(FamilyPolicy::PreferDualStack).holds(&["10.0.0.1"]);
    let explained = explained(&snapshot(&[eip("a", "10.0.0.1-10.0.0.4").default_eip()], &[dual]), "n/s");
    let [four, six] = &explained.families[..] else { panic!("{:?}", explained.families) };
    assert_eq!((four.family, four.sought, &four.outcome), (IpFamily::V4, Sought::Nothing, &None));
    assert_eq!((six.family, six.sought), (IpFamily::V6, Sought::Any));
    assert!(matches!(&six.eips[0].finding, Finding::Refused(Reason::WrongFamily { .. })), "{six:?}");
}

#[test]
fn what_settles_whose_it_is_is_told() {
    for (with, rule, ours) in [
        (service("n/s"), SelectionRule::Annotation, true),
        (service("n/s").with(|s| s.opt_in = OptIn::Other), SelectionRule::Annotation, false),
        (service("n/s").with(|s| s.opt_in = OptIn::Absent), SelectionRule::Selection, false),
        (service("n/s").with(|s| s.load_balancer_class = Some("x".to_owned())), SelectionRule::Class, false),
        (service("n/s").with(|s| s.is_load_balancer = false), SelectionRule::Type, false),
    ] {
        let explained = explained(&snapshot(&[eip("a", "10.0.0.1").default_eip()], &[with]), "n/s");
        assert_eq!((explained.rule, explained.verdict.standing == Standing::Ours), (rule, ours));
        assert_eq!(explained.families.is_empty(), !ours);
    }
    assert_eq!(explain(&snapshot(&[], &[]), &ServiceId::new("n", "missing")), None);
}

#[test]
fn a_contended_status_is_known_by_its_condition() {
    let pool = eip("a", "10.0.0.1-10.0.0.4").default_eip();
    let contended = crate::testing::told(service("n/s"), "StatusContended", 1);
    let explained = explained(&snapshot(&[pool], &[contended]), "n/s");
    assert_eq!(explained.verdict.unmet, [Reason::StatusContended { by: None }]);
    assert_eq!(explained.families[0].sought, Sought::Nothing);
}

#[test]
fn who_shares_and_who_announces_is_told() {
    let pool = eip("a", "10.0.0.1-10.0.0.4");
    let first = service("n/first").holds(&["10.0.0.1"]);
    let second = service("n/second").holds(&["10.0.0.1"]).ports(&[81]).created(2).wish(&["10.0.0.1"]);
    let mut snapshot = snapshot(&[pool], &[first, second]);
    add_speaker(&mut snapshot, "n1", &[("10.0.0.1", "eth0")], &[]);
    add_speaker(&mut snapshot, "n2", &[], &[("10.0.0.1", "OwnedElsewhere", "node n1 owns it")]);
    let explained = explained(&snapshot, "n/second");
    let [vip] = &explained.vips[..] else { panic!("{:?}", explained.vips) };
    assert_eq!(vip.others, [ServiceId::new("n", "first")]);
    assert_eq!(vip.vip.shared_with, Some(ServiceId::new("n", "first")));
    assert_eq!(vip.answering, [("n1".into(), "eth0".into())]);
    assert_eq!(vip.withheld.len(), 1);
    assert!(explained.conditions.iter().any(|c| c.kind == crate::ANNOUNCED && c.reason == "Layer2"));
}
