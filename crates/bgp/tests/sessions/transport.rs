//! Passwords and distances.

use std::sync::Arc;
use std::time::Duration;

use ironlb_bgp::{Bgp, Session, SessionStatus};
use ironlb_bgp_proto::DownReason;
use ironlb_model::Distance;

use crate::ground::{address, listener, routes, session, setup, until_session, until_up};

/// Two drivers that have each other as peers.
struct Pair {
    ends: [(Bgp, Session); 2],
}

impl Pair {
    /// The second one waits for the first.
    fn new(test: u8, of: impl Fn(usize, &mut Session)) -> Self {
        let sides = [(address(test, 1), 65001), (address(test, 2), 65002)];
        let ends = [0, 1].map(|end| {
            let mut session = session(sides[end], sides[1 - end]);
            session.config.passive = end == 1;
            of(end, &mut session);
            let bgp = Bgp::start(u64::from(sides[end].1), false);
            bgp.configure(setup(Some(listener(sides[end].0)), &[("peer", &session)]));
            bgp.advertise("peer", routes(1));
            (bgp, session)
        });
        Self { ends }
    }

    fn change(&mut self, end: usize, change: impl Fn(&mut Session)) {
        let (bgp, session) = &mut self.ends[end];
        change(session);
        let listener = listener(session.source.unwrap());
        bgp.configure(setup(Some(listener), &[("peer", session)]));
    }

    async fn is_up(&self) -> SessionStatus {
        until_up(&self.ends[1].0, "peer").await;
        until_up(&self.ends[0].0, "peer").await
    }

    async fn fails_with(&self, words: &str) {
        let has = |session: &SessionStatus| session.trouble.as_ref().is_some_and(|said| said.contains(words));
        until_session(&self.ends[0].0, "peer", words, has).await;
    }
}

fn password(text: &str) -> impl Fn(&mut Session) {
    let password: Arc<str> = text.into();
    move |session| session.password = Some(Arc::clone(&password))
}

#[tokio::test]
async fn passwords_are_those_of_both_or_nothing_comes_about() {
    let mut pair = Pair::new(10, |_, session| password("sesame")(session));
    pair.is_up().await;
    // At run time, on one end, and then on the other: on the listener, too.
    pair.change(1, password("other"));
    pair.fails_with("passwords differ").await;
    pair.change(0, password("other"));
    pair.is_up().await;
    // One end without: its SYN is dropped by the listener.
    pair.change(0, |session| session.password = None);
    pair.fails_with("has not answered").await;
    pair.change(1, |session| session.password = None);
    pair.is_up().await;
    // And the end that connects with one, to an end without.
    pair.change(0, password("again"));
    pair.fails_with("passwords differ").await;
}

#[tokio::test]
async fn a_password_that_no_kernel_takes_is_told_and_never_left_out() {
    let mut pair = Pair::new(11, |_, _| {});
    pair.is_up().await;
    pair.change(0, password(&"x".repeat(81)));
    pair.fails_with("TCP MD5 cannot be used").await;
    pair.change(0, |session| session.password = None);
    pair.is_up().await;
}

#[tokio::test]
async fn with_gtsm_only_who_is_near_is_heard() {
    let mut pair = Pair::new(12, |_, session| {
        session.distance = Distance::Security(1);
        // An end that has connected waits for so long for the other one's first words.
        session.config.timing.open_hold = Duration::from_secs(2);
    });
    pair.is_up().await;
    // One end sends as if it were farther away than the other allows: nothing it says arrives.
    pair.change(0, |session| session.distance = Distance::Ttl(254));
    until_session(&pair.ends[1].0, "peer", "not to be heard", |session| session.established_at.is_none()).await;
    let unheard = |session: &SessionStatus| {
        session.established_at.is_none()
            && session.last_down.as_ref().is_some_and(|down| down.reason == DownReason::HoldTimerExpired)
    };
    until_session(&pair.ends[1].0, "peer", "to have waited in vain", unheard).await;
    let far = &pair.ends[0].0;
    assert!(far.status().sessions["peer"].established_at.is_none());
    // The other end allows one hop more.
    pair.change(1, |session| session.distance = Distance::Security(2));
    pair.is_up().await;
}
