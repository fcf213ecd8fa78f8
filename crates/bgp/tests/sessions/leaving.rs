//! The ends that are wanted.

use ironlb_bgp::{Bgp, Leave};

use crate::far_end::Waiting;
use crate::ground::{address, routes, session, setup, until_up};

#[tokio::test]
async fn for_a_restart_it_says_nothing_and_the_next_one_says_that_it_restarted() {
    let (here, there) = ((address(6, 1), 65001), (address(6, 2), 65002));
    let waiting = Waiting::at(there.0);
    let mut bridged = session(here, there);
    bridged.config.graceful_restart = ironlb_bgp_proto::RestartConfig::new(30, false);
    for restarted in [false, true] {
        let bgp = Bgp::start(1, restarted);
        bgp.configure(setup(None, &[("peer", &bridged)]));
        bgp.advertise("peer", routes(1));
        let mut end = waiting.session(there, here.1).await;
        assert_eq!(end.opened_after_restart(), restarted);
        assert_eq!(end.all().await.len(), 1);
        let (left, last) = tokio::join!(bgp.leave(Leave::ForRestart), end.last_words_and_close());
        assert_eq!(((), None), (left, last));
        bgp.ended().await;
    }
}

#[tokio::test]
async fn for_good_it_says_why() {
    let (here, there) = ((address(6, 3), 65001), (address(6, 4), 65002));
    let waiting = Waiting::at(there.0);
    let bgp = Bgp::start(1, false);
    bgp.configure(setup(None, &[("peer", &session(here, there))]));
    bgp.advertise("peer", routes(1));
    let mut end = waiting.session(there, here.1).await;
    let ((), last) = tokio::join!(bgp.leave(Leave::ForGood("node goes".to_owned())), end.last_words_and_close());
    assert_eq!(last.unwrap().to_string(), "Cease/Administrative Shutdown: node goes");
    bgp.ended().await;
}

#[tokio::test]
async fn with_the_last_handle_all_ends() {
    let (here, there) = ((address(6, 5), 65001), (address(6, 6), 65002));
    let waiting = Waiting::at(there.0);
    let bgp = Bgp::start(1, false);
    bgp.configure(setup(None, &[("peer", &session(here, there))]));
    bgp.advertise("peer", routes(1));
    let mut end = waiting.session(there, here.1).await;
    let other = bgp.clone();
    drop(bgp);
    until_up(&other, "peer").await;
    drop(other);
    assert_eq!(end.last_words().await, None);
}
