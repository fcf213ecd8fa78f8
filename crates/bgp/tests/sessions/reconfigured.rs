//! Changes: what they end, and what they leave alone.

use ironlb_bgp::{Bgp, Session};
use ironlb_bgp_proto::{Family, HoldTime, State};
use ironlb_model::Neighbor;

use crate::far_end::{FarEnd, Waiting};
use crate::ground::{address, listener, prefixes, routes, session, setup, until, until_session, until_up};

type Change<'a> = &'a dyn Fn(&mut Session);

#[tokio::test]
async fn a_change_resets_the_session_that_it_is_for_and_no_other() {
    let (here, one, two) = ((address(8, 1), 65001), (address(8, 2), 65002), (address(8, 3), 65003));
    let (at_one, at_two) = (Waiting::at(one.0), Waiting::at(two.0));
    let (mut to_one, to_two) = (session(here, one), session(here, two));
    let bgp = Bgp::start(1, false);
    let configure =
        |to_one: &Session| bgp.configure(setup(Some(listener(here.0)), &[("one", to_one), ("two", &to_two)]));
    configure(&to_one);
    bgp.advertise("one", routes(3));
    bgp.advertise("two", routes(3));
    let mut end_of_one = at_one.session(one, here.1).await;
    let mut end_of_two = at_two.session(two, here.1).await;
    assert_eq!((end_of_one.all().await, end_of_two.all().await), (prefixes(&routes(3)), prefixes(&routes(3))));
    let two_before = until_up(&bgp, "two").await;
    until_up(&bgp, "one").await;

    // What two OPENs do not say changes without an end.
    to_one.graceful_shutdown = true;
    to_one.config.timing.idle_hold_max *= 2;
    configure(&to_one);
    assert!(matches!(end_of_one.next().await, Some(crate::far_end::Message::Update(_))));

    // What they say, and how the connection is made, does not. Each time the routes are back by themselves.
    let other_port = |session: &mut Session| session.port += 1;
    let changes: [(&str, Change<'_>, &str); 4] = [
        ("hold time", &|session| session.config.timing.hold = HoldTime::new(30).unwrap(), "Other Configuration Change"),
        ("distance", &|session| session.distance = ironlb_model::Distance::Ttl(3), "Administrative Reset"),
        ("source", &|session| session.source = Some(address(8, 4)), "Administrative Reset"),
        ("port", &other_port, "Administrative Reset"),
    ];
    for (what, change, said) in changes {
        change(&mut to_one);
        configure(&to_one);
        let last = end_of_one.last_words_and_close().await.unwrap();
        assert!(last.to_string().contains(said), "{what}: {last}");
        if what == "port" {
            break;
        }
        end_of_one = at_one.session(one, here.1).await;
        assert_eq!(end_of_one.all().await, prefixes(&routes(3)), "{what}");
        until_up(&bgp, "one").await;
    }
    // Nobody is at the other port.
    until_session(&bgp, "one", "no way", |session| session.trouble.is_some()).await;
    let two_after = until_up(&bgp, "two").await;
    assert_eq!((two_after.flaps, two_after.established_at), (0, two_before.established_at));
}

#[tokio::test]
async fn a_session_is_held_down_and_let_up_again() {
    let (here, there) = ((address(9, 1), 65001), (address(9, 2), 65002));
    let waiting = Waiting::at(there.0);
    let mut held = session(here, there);
    let bgp = Bgp::start(1, false);
    bgp.configure(setup(Some(listener(here.0)), &[("peer", &held)]));
    bgp.advertise("peer", routes(1));
    let mut end = waiting.session(there, here.1).await;
    held.admin_down = Some("maintenance".to_owned());
    bgp.configure(setup(Some(listener(here.0)), &[("peer", &held)]));
    let last = end.last_words_and_close().await.unwrap();
    assert_eq!(last.to_string(), "Cease/Administrative Shutdown: maintenance");
    until_session(&bgp, "peer", "to be held", |session| session.state == State::Idle).await;
    // Neither does it take a connection.
    let mut refused = FarEnd::connect(there.0, here.0).await;
    assert!(refused.next().await.is_none());
    held.admin_down = None;
    bgp.configure(setup(Some(listener(here.0)), &[("peer", &held)]));
    let mut end = waiting.session(there, here.1).await;
    assert_eq!(end.all().await.len(), 1);
}

#[tokio::test]
async fn another_neighbor_is_another_session_and_one_that_is_gone_is_told() {
    let (here, one, two) = ((address(9, 3), 65001), (address(9, 4), 65002), (address(9, 5), 65002));
    let (at_one, at_two) = (Waiting::at(one.0), Waiting::at(two.0));
    let mut moving = session(here, one);
    let bgp = Bgp::start(1, false);
    bgp.configure(setup(None, &[("peer", &moving)]));
    bgp.advertise("peer", routes(1));
    let mut end = at_one.session(one, here.1).await;
    until_up(&bgp, "peer").await;
    moving.neighbor = Neighbor::Address(two.0);
    bgp.configure(setup(None, &[("peer", &moving)]));
    let gone = "Cease/Peer De-configured";
    assert_eq!(end.last_words_and_close().await.unwrap().to_string(), gone);
    let mut end = at_two.session(two, here.1).await;
    assert_eq!(end.all().await.len(), 1);
    let up = until_session(&bgp, "peer", "to have told", |session| {
        session.advertised.get(&Family::Ipv4Unicast) == Some(&1) && session.remote.is_some_and(|at| at.ip() == two.0)
    });
    assert_eq!(up.await.counters.sent[0], 1);
    bgp.configure(setup(None, &[]));
    assert_eq!(end.last_words_and_close().await.unwrap().to_string(), gone);
    until(&bgp, "no session", |status| status.sessions.is_empty()).await;
}
