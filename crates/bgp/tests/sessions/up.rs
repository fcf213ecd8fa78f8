//! Sessions come up, carry routes, and come back.

use std::collections::BTreeSet;

use ironlb_bgp::Bgp;
use ironlb_bgp_proto::{DownReason, Family, State};

use crate::far_end::Waiting;
use crate::ground::{
    PORT, address, listener, prefixes, routes, routes_with_med, session, setup, until, until_session, until_up,
};

/// Both connect, so that two connections may meet.
#[tokio::test]
async fn two_ends_that_both_connect_make_one_session() {
    let (here, there) = ((address(0, 1), 65001), (address(0, 2), 65002));
    let (first, second) = (Bgp::start(1, false), Bgp::start(2, false));
    first.configure(setup(Some(listener(here.0)), &[("there", &session(here, there))]));
    second.configure(setup(Some(listener(there.0)), &[("here", &session(there, here))]));
    first.advertise("there", routes(3));
    second.advertise("here", routes(5));
    let seen = |session: &ironlb_bgp::SessionStatus| session.received.get(&Family::Ipv4Unicast).copied();
    let at_first = until_session(&first, "there", "5 routes, and to know by which interface", |session| {
        seen(session) == Some(5) && session.interface.is_some()
    })
    .await;
    until_session(&second, "here", "3 routes", |session| seen(session) == Some(3)).await;
    assert_eq!(at_first.local.map(|local| local.ip()), Some(here.0));
    assert_eq!(at_first.remote.map(|remote| remote.ip()), Some(there.0));
    assert_eq!(at_first.interface.as_deref(), Some("lo"));
    assert_eq!(at_first.own.ipv4.map(Into::into), Some(here.0));
    assert_eq!(at_first.flaps, 0, "{at_first:?}");
    let at_first =
        until_session(&first, "there", "3 told", |session| session.advertised.get(&Family::Ipv4Unicast) == Some(&3));
    assert_eq!(at_first.await.pending, 0);
}

#[tokio::test]
async fn two_ends_meet_over_ipv6() {
    let (own, port) = ("::1".parse().unwrap(), free_port());
    let (first, second) = (Bgp::start(1, false), Bgp::start(2, false));
    let mut active = session((own, 65001), (own, 65002));
    active.port = port;
    let mut passive = session((own, 65002), (own, 65001));
    passive.config.router_id = ironlb_bgp_proto::RouterId::new([192, 0, 2, 7].into()).unwrap();
    passive.config.passive = true;
    let at = ironlb_bgp::Listener { port, addresses: vec![own] };
    second.configure(setup(Some(at), &[("first", &passive)]));
    first.configure(setup(None, &[("second", &active)]));
    first.advertise("second", routes(1));
    second.advertise("first", routes(1));
    let up = until_up(&first, "second").await;
    assert_eq!(up.own.ipv6.map(Into::into), Some(own));
    until_up(&second, "first").await;
}

/// For the one loopback address of IPv6: below the ports that the kernel gives to clients.
fn free_port() -> u16 {
    let first = 31_000 + u16::try_from(std::process::id() % 1000).unwrap();
    (first..32_768).find(|port| std::net::TcpListener::bind(("::1", *port)).is_ok()).unwrap()
}

#[tokio::test]
async fn a_peer_always_ends_at_what_is_desired() {
    let (here, there) = ((address(1, 1), 65001), (address(1, 2), 65002));
    let waiting = Waiting::at(there.0);
    let bgp = Bgp::start(1, false);
    bgp.configure(setup(None, &[("peer", &session(here, there))]));
    // No OPEN before there is something to be told, be it nothing.
    let mut end = waiting.connection_before(|| bgp.advertise("peer", routes(10_000))).await;
    end.open(there, here.1).await;
    let mut known = end.all().await;
    assert_eq!(known, prefixes(&routes(10_000)));
    bgp.advertise("peer", routes(9_000));
    end.learn(&mut known, &prefixes(&routes(9_000))).await;
    // What is said of routes changes, and they do not go.
    bgp.advertise("peer", routes_with_med(9_000, 5));
    until_session(&bgp, "peer", "all told", |session| session.pending == 0 && session.counters.sent[1] > 0).await;
    bgp.advertise("peer", routes(0));
    end.learn(&mut known, &BTreeSet::new()).await;
    let session =
        until_session(&bgp, "peer", "none left", |session| session.advertised.get(&Family::Ipv4Unicast) == Some(&0));
    assert_eq!(session.await.flaps, 0);
}

#[tokio::test]
async fn nothing_is_said_before_it_is_known_what_is_to_be_said() {
    let (here, there) = ((address(2, 1), 65001), (address(2, 2), 65002));
    let waiting = Waiting::at(there.0);
    let bgp = Bgp::start(1, false);
    let (held, other) = (session(here, there), session((address(2, 3), 65001), there));
    bgp.configure(setup(None, &[("held", &held), ("other", &other)]));
    bgp.advertise("other", routes(0));
    // The other one comes and goes three times meanwhile.
    for _ in 0..3 {
        let end = waiting.session(there, here.1).await;
        assert_eq!(end.peer().ip(), address(2, 3));
    }
    assert_eq!(bgp.status().sessions["held"].state, State::Idle);
}

#[tokio::test]
async fn it_connects_again_for_ever() {
    let (here, there) = ((address(3, 1), 65001), (address(3, 2), 65002));
    let bgp = Bgp::start(1, false);
    bgp.configure(setup(None, &[("peer", &session(here, there))]));
    bgp.advertise("peer", routes(1));
    for times in 0..3 {
        let refused = until_session(&bgp, "peer", "nobody there", |session| {
            session.trouble.as_ref().is_some_and(|words| words.contains("refuses the connection"))
                && session.last_down.as_ref().is_some_and(|down| down.reason == DownReason::ConnectFailed)
        });
        // What the attempts come to does not hide how the session ended.
        let ended = refused.await.last_end.map(|end| (end.was_up, end.reason));
        assert_eq!(ended, (times > 0).then_some((true, DownReason::ConnectionClosed)));
        let waiting = Waiting::at(there.0);
        let mut end = waiting.session(there, here.1).await;
        assert_eq!(end.all().await.len(), 1);
        let up = until_up(&bgp, "peer").await;
        assert_eq!((up.flaps, up.trouble), (times, None));
    }
}

#[tokio::test]
async fn a_peer_that_does_not_read_holds_up_nobody_and_costs_no_more_than_its_routes() {
    let (here, slow, quick) = ((address(4, 1), 65001), (address(4, 2), 65002), (address(4, 3), 65003));
    let (at_slow, at_quick) = (Waiting::at(slow.0), Waiting::at(quick.0));
    let bgp = Bgp::start(1, false);
    bgp.configure(setup(None, &[("slow", &session(here, slow)), ("quick", &session(here, quick))]));
    bgp.advertise("slow", routes(0));
    bgp.advertise("quick", routes(0));
    let mut slow_end = at_slow.session(slow, here.1).await;
    let mut quick_end = at_quick.session(quick, here.1).await;
    assert!(slow_end.all().await.is_empty() && quick_end.all().await.is_empty());
    let mut known = BTreeSet::new();
    // 100 rounds of 5,000 routes would be some 700 UPDATEs, 3 MB.
    for round in 0..100 {
        bgp.advertise("slow", routes_with_med(5_000, round));
        bgp.advertise("quick", routes_with_med(round + 1, 0));
        quick_end.learn(&mut known, &prefixes(&routes(round + 1))).await;
    }
    let behind = until_session(&bgp, "slow", "something unread", |session| session.pending > 0).await;
    assert!(behind.pending <= 5_000, "{behind:?}");
    // What the kernel takes unread and one batch, 200 KB; most rounds were never sent.
    assert!(behind.counters.sent[1] < 200, "{behind:?}");
    let mut known = BTreeSet::new();
    bgp.advertise("slow", routes(7));
    slow_end.learn(&mut known, &prefixes(&routes(7))).await;
    assert_eq!(until_up(&bgp, "slow").await.flaps, 0);
}

#[tokio::test]
async fn who_is_not_configured_is_let_go_at_once() {
    let (here, there) = ((address(5, 1), 65001), (address(5, 2), 65002));
    let bgp = Bgp::start(1, false);
    bgp.configure(setup(Some(listener(here.0)), &[("peer", &session(here, there))]));
    until(&bgp, "to listen", |status| {
        status.listener.addresses.values().any(|it| *it == ironlb_bgp::Listening::On(PORT))
    })
    .await;
    let mut stranger = crate::far_end::FarEnd::connect(address(5, 3), here.0).await;
    assert!(stranger.next().await.is_none());
    until(&bgp, "to be counted", |status| status.listener.refused == 1).await;
}
