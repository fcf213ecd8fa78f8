//! Who listens where, and what happens when it cannot be.

use ironlb_bgp::{Bgp, Listener, Listening};
use ironlb_bgp_proto::State;

use crate::far_end::{FarEnd, Message, Waiting, hold};
use crate::ground::{PORT, address, listener, routes, session, setup, until, until_session, until_up};

#[tokio::test]
async fn a_port_that_is_taken_stops_no_session_and_is_tried_again() {
    let (here, there) = ((address(7, 1), 65001), (address(7, 2), 65002));
    let waiting = Waiting::at(there.0);
    let taken = hold(here.0);
    let bgp = Bgp::start(1, false);
    // Of two addresses one is to be had.
    let both = Listener { port: PORT, addresses: vec![here.0, address(7, 3)] };
    bgp.configure(setup(Some(both), &[("peer", &session(here, there))]));
    bgp.advertise("peer", routes(1));
    let _end = waiting.session(there, here.1).await;
    let up = until_up(&bgp, "peer").await;
    let listens = |at, wanted: fn(&Listening) -> bool| {
        until(&bgp, "to listen or not", move |status| status.listener.addresses.get(&at).is_some_and(wanted))
    };
    let is_taken =
        |listening: &Listening| matches!(listening, Listening::Not(words) if words.contains("another process"));
    listens(here.0, is_taken).await;
    listens(address(7, 3), |listening| *listening == Listening::On(PORT)).await;
    drop(taken);
    listens(here.0, |listening| *listening == Listening::On(PORT)).await;
    assert_eq!(until_up(&bgp, "peer").await.established_at, up.established_at);
}

#[tokio::test]
async fn a_passive_session_waits_and_is_found_by_its_address() {
    let (here, there) = ((address(7, 4), 65001), (address(7, 5), 65002));
    let nobody = Waiting::at(there.0);
    let mut passive = session(here, there);
    passive.config.passive = true;
    let bgp = Bgp::start(1, false);
    bgp.configure(setup(Some(listener(here.0)), &[("peer", &passive)]));
    bgp.advertise("peer", routes(2));
    until_session(&bgp, "peer", "to wait", |session| session.state == State::Active).await;
    until(&bgp, "to listen", |status| status.listener.addresses.values().any(|it| *it == Listening::On(PORT))).await;
    let mut end = FarEnd::connect(there.0, here.0).await;
    end.open(there, here.1).await;
    assert_eq!(end.all().await.len(), 2);
    let up = until_up(&bgp, "peer").await;
    assert_eq!(up.local.unwrap().port(), PORT);
    assert!(nobody.is_alone());
    // While it is up, a second connection is none of its business; when it has gone, the next one is.
    let mut second = FarEnd::connect(there.0, here.0).await;
    second.say_open(there, here.1).await;
    assert!(matches!(second.last_words().await, Some(cease) if cease.to_string().contains("Collision")));
    drop(end);
    until_session(&bgp, "peer", "to wait again", |session| session.state == State::Active).await;
    let mut third = FarEnd::connect(there.0, here.0).await;
    third.open(there, here.1).await;
    assert!(matches!(third.next().await, Some(Message::Update(_))));
}

#[tokio::test]
async fn listeners_come_and_go_with_the_configuration() {
    let here = (address(7, 6), 65001);
    let peer = session(here, (address(7, 7), 65002));
    let bgp = Bgp::start(1, false);
    bgp.configure(setup(Some(listener(here.0)), &[("peer", &peer)]));
    until(&bgp, "to listen", |status| status.listener.addresses.contains_key(&here.0)).await;
    bgp.configure(setup(None, &[("peer", &peer)]));
    until(&bgp, "to listen nowhere", |status| status.listener.addresses.is_empty()).await;
    // The port is free for others.
    let free = || std::net::TcpListener::bind((here.0, PORT)).is_ok();
    until(&bgp, "the port", |_| free()).await;
}
