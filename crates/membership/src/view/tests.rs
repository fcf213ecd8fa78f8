use std::time::Duration;

use super::*;
use crate::{Claims, Incarnation};
use ironlb_model::ResourceVersion;

const EXPIRY: Duration = Duration::from_secs(4);

fn at(millis: u64) -> Timestamp {
    Timestamp::from_millis(millis)
}

fn vip() -> IpAddr {
    "192.0.2.1".parse().unwrap()
}

fn lease(node: &str, version: u64, renewed: &str, claims: &str) -> SeenLease {
    SeenLease {
        node: node.into(),
        version: ResourceVersion(version),
        holder: Some(Incarnation(format!("{node}-1"))),
        renewed: renewed.to_owned(),
        transitions: 0,
        ready: true,
        macs: BTreeSet::new(),
        claims: Claims::parse(claims).0,
    }
}

fn released(node: &str, version: u64) -> SeenLease {
    SeenLease { holder: None, ..lease(node, version, "t", "") }
}

fn alive(view: &View) -> Vec<&str> {
    view.alive().map(|(node, _)| node.as_str()).collect()
}

#[test]
fn who_is_seen_for_the_first_time_has_the_whole_time() {
    let mut view = View::default();
    assert!(view.observe(at(0), lease("a", 1, "long ago", "192.0.2.1@3"), None));
    assert_eq!(alive(&view), ["a"]);
    assert_eq!(view.next_expiry(EXPIRY), Some(at(4000)));
    assert_eq!(view.best_claim(vip()), Some((&"a".into(), Epoch(3))));
    assert_eq!(view.expire(at(3999), EXPIRY), []);
    assert_eq!(view.expire(at(4000), EXPIRY), ["a".into()]);
    assert_eq!((alive(&view), view.best_claim(vip())), (vec![], None));
    assert_eq!(view.highest_epoch(vip()), Epoch(3), "what was seen is not forgotten");
}

#[test]
fn only_what_the_holder_does_is_a_sign_of_life() {
    let first = lease("a", 1, "t1", "");
    for (name, next, is_life) in [
        ("seen again", first.clone(), false),
        ("annotated by somebody", SeenLease { version: ResourceVersion(2), ..first.clone() }, false),
        ("renewed", lease("a", 2, "t2", ""), true),
        ("clock set back", lease("a", 2, "t0", ""), true),
        ("another holder", SeenLease { holder: Some(Incarnation("a-2".into())), ..lease("a", 2, "t1", "") }, true),
        ("an older version", lease("a", 0, "t0", ""), false),
    ] {
        let mut view = View::default();
        view.observe(at(0), first.clone(), None);
        assert_eq!(view.observe(at(3000), next, None), is_life, "{name}");
        assert_eq!(view.next_expiry(EXPIRY), Some(at(if is_life { 7000 } else { 4000 })), "{name}");
    }
}

#[test]
fn a_released_lease_is_dead_at_once_and_no_news_later() {
    let mut view = View::default();
    view.observe(at(0), lease("a", 1, "t1", "192.0.2.1@1"), None);
    view.observe(at(100), released("a", 2), None);
    assert_eq!((alive(&view), view.best_claim(vip())), (vec![], None));
    assert_eq!(view.expire(at(9000), EXPIRY), []);
    view.observe(at(9100), lease("a", 3, "t3", ""), None);
    assert_eq!(alive(&view), ["a"]);
}

#[test]
fn a_deleted_lease_says_nothing_until_its_time_is_over() {
    let mut view = View::default();
    view.observe(at(0), lease("a", 1, "t1", "192.0.2.1@1"), None);
    view.drop_gone(&BTreeSet::new(), at(1000));
    assert_eq!(alive(&view), ["a"]);
    view.expire(at(4000), EXPIRY);
    view.drop_gone(&BTreeSet::new(), at(4000));
    assert!(view.members.is_empty());
    assert_eq!(view.highest_epoch(vip()), Epoch(1));
}

#[test]
fn grace_gives_everybody_a_fresh_start() {
    let mut view = View::default();
    view.observe(at(0), lease("a", 1, "t1", ""), None);
    view.grace(at(30_000), EXPIRY);
    assert_eq!(view.expire(at(33_999), EXPIRY), []);
    assert_eq!(view.expire(at(34_000), EXPIRY), ["a".into()]);
}

#[test]
fn a_longer_grace_is_for_those_not_heard_of_since() {
    let mut view = View::default();
    view.observe(at(0), lease("a", 1, "t1", ""), None);
    view.observe(at(0), lease("b", 2, "t1", ""), None);
    view.grace(at(10_000), EXPIRY * 5);
    view.observe(at(11_000), lease("a", 3, "t2", ""), None);
    assert_eq!(view.next_expiry(EXPIRY), Some(at(15_000)), "a was heard of: the usual time");
    assert_eq!(view.expire(at(15_000), EXPIRY), ["a".into()]);
    assert_eq!(view.expire(at(29_999), EXPIRY), []);
    assert_eq!(view.expire(at(30_000), EXPIRY), ["b".into()]);
}

#[test]
fn a_server_set_back_is_believed_when_it_is_asked() {
    let mut view = View::default();
    view.observe(at(0), lease("a", 9, "t9", "192.0.2.1@9"), None);
    view.observe(at(100), lease("a", 5, "t5", "192.0.2.1@5"), Some(at(0)));
    assert_eq!(view.best_claim(vip()).map(|c| c.1), Some(Epoch(9)), "the list was begun before");
    view.observe(at(200), lease("a", 5, "t5", "192.0.2.1@5"), Some(at(150)));
    assert_eq!(view.best_claim(vip()).map(|c| c.1), Some(Epoch(5)));
}

#[test]
fn the_winning_claim_is_the_highest_and_then_the_preferred() {
    let mut view = View::default();
    view.observe(at(0), lease("a", 1, "t", "192.0.2.1@1"), None);
    view.observe(at(0), lease("b", 2, "t", "192.0.2.1@2"), None);
    assert_eq!(view.best_claim(vip()), Some((&"b".into(), Epoch(2))));
    view.observe(at(1), lease("a", 3, "t", "192.0.2.1@2"), None);
    let preferred = if ironlb_model::compare_preference(vip(), &"a".into(), &"b".into()).is_gt() { "a" } else { "b" };
    assert_eq!(view.best_claim(vip()), Some((&preferred.into(), Epoch(2))));
    view.observe(at(2), lease("a", 4, "t", ""), None);
    view.observe(at(2), lease("b", 5, "t", ""), None);
    assert_eq!(view.best_claim(vip()), None);
    assert_eq!(view.claimed().count(), 0);
}

#[test]
fn generations_count_what_getters_say_and_nothing_else() {
    let mut view = View::default();
    view.observe(at(0), lease("a", 1, "t1", "192.0.2.1@1"), None);
    let before = view.generation();
    view.observe(at(1000), lease("a", 2, "t2", "192.0.2.1@1"), None);
    assert_eq!(view.generation(), before, "a renewal changes nothing");
    view.observe(at(1000), SeenLease { ready: false, ..lease("a", 3, "t2", "192.0.2.1@1") }, None);
    assert!(view.generation() > before);
}

#[test]
fn the_memory_of_epochs_is_bounded() {
    let mut view = View::default();
    view.observe(at(0), lease("a", 1, "t1", "192.0.2.1@7"), None);
    for n in 0..30_000_u32 {
        view.note_epoch(IpAddr::V4(n.into()), Epoch(1));
    }
    assert!(view.highest.len() <= REMEMBERED_EPOCHS + 1);
    assert_eq!(view.highest_epoch(vip()), Epoch(7), "what a Lease mentions stays");
}
