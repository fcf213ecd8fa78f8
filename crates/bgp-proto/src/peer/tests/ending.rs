//! How a session ends, what is said of it, and what the next one begins with.

use super::*;
use crate::codec::{Capability, GracefulRestart, keepalive};
use crate::peer::rig::{Rig, Wrote, config, routes, their_open};
use crate::{FamilyConfig, HoldTime, Timing};

#[test]
fn a_notification_is_never_answered_with_one() {
    for reach in [
        Rig::open_sent(config()),
        Rig::open_confirm(config(), &their_open(1)),
        Rig::established(config(), &their_open(1)),
    ] {
        let (mut rig, connection) = reach;
        let cease = Notification::shutdown(2, "maintenance until noon");
        rig.receive(connection, cease.encode(4096));
        assert_eq!((rig.told(), rig.peer.state()), (None, State::Idle));
        assert_eq!(rig.down(), Some(DownReason::NotificationReceived(cease)));
    }
}

#[test]
fn stopping_says_why_and_does_not_begin_again() {
    let (mut rig, connection) = Rig::established(config(), &their_open(1));
    rig.put(Input::Stop(Stop::Shutdown("drained".into())));
    let told = rig.notification().expect("told");
    assert_eq!((told.code, told.subcode, told.shutdown_text()), (6, 2, Some("drained".into())));
    assert!(rig.has_closed(connection));
    rig.pass(3600 * SECOND);
    assert_eq!((rig.peer.state(), rig.peer.poll_timeout()), (State::Idle, None));
    rig.take();
    rig.put(Input::Start);
    assert!(rig.connecting().is_some());
}

#[test]
fn a_quiet_stop_closes_without_a_word() {
    let (mut rig, connection) = Rig::established(config(), &their_open(1));
    rig.put(Input::Stop(Stop::Quiet));
    assert_eq!((rig.told(), rig.has_closed(connection), rig.peer.state()), (None, true, State::Idle));
}

#[test]
fn a_final_stop_is_a_hard_reset_where_a_notification_would_be_bridged() {
    for (ours, theirs, hard) in [(true, true, true), (true, false, false), (false, true, false)] {
        let (mut rig, _) =
            Rig::established(Config { graceful_restart: restart(ours), ..config() }, &restarting_open(theirs));
        rig.put(Input::Stop(Stop::Deconfigured));
        let told = rig.notification().expect("told");
        assert_eq!((told.is_hard_reset(), told.inner()), (hard, Notification::cease(3)));
    }
}

#[test]
fn a_reset_begins_again_at_once() {
    let (mut rig, first) = Rig::established(config(), &their_open(1));
    rig.put(Input::Reset("by hand".into()));
    assert_eq!(rig.told(), Some((6, 4)));
    assert!(rig.has_closed(first));
    assert_eq!(rig.peer.state(), State::Connect);
}

#[test]
fn only_what_an_open_says_ends_a_session_when_it_changes() {
    let (mut rig, connection) = Rig::established(config(), &their_open(1));
    rig.updates();
    let timing = Timing { connect_retry: 9 * SECOND, ..Timing::default() };
    let own = crate::OwnAddresses { ipv4: Some([192, 0, 2, 77].into()), ..config().own };
    rig.put(Input::Configure(Box::new(Config { timing, own, passive: true, bfd: BfdUse::Watch, ..config() })));
    assert_eq!(rig.peer.state(), State::Established);
    assert_eq!(rig.updates().len(), 1, "the three routes with their new next hop");
    let several = FamilyConfig { add_path: std::num::NonZeroU8::new(2), ..FamilyConfig::default() };
    let more = FamilyConfig { add_path: std::num::NonZeroU8::new(3), ..FamilyConfig::default() };
    let with = |family| Config { families: [(Family::Ipv4Unicast, family)].into(), ..config() };
    assert!(with(several).needs_reset(&with(more)));
    let limited = FamilyConfig { maximum_prefixes: Some(9), ..several };
    assert!(!with(several).needs_reset(&with(limited)));
    let shorter = Timing { hold: HoldTime::new(9).expect("lawful"), ..Timing::default() };
    rig.put(Input::Configure(Box::new(Config { timing: shorter, ..config() })));
    assert_eq!((rig.told(), rig.has_closed(connection)), (Some((6, 6)), true));
    assert_eq!(rig.peer.state(), State::Connect);
}

//= https://www.rfc-editor.org/rfc/rfc4724#section-4.1
//= type=test
//# the Restarting Speaker MUST set the "Restart State" bit
//= https://www.rfc-editor.org/rfc/rfc4724#section-4.1
//= type=test
//# the End-of-RIB marker MUST be sent.
//= https://www.rfc-editor.org/rfc/rfc4724#section-4.2
//= type=test
//# MUST NOT be set unless the Receiving Speaker has restarted.
#[test]
fn the_first_session_after_a_restart_says_so_and_the_next_does_not() {
    let config = Config { graceful_restart: restart(false), ..config() };
    let mut rig = Rig::new(config.clone());
    rig.peer = Peer::new(config.clone(), 1, true);
    rig.put(Input::Desired(routes(1)));
    rig.put(Input::Start);
    for said in [true, false] {
        let connection = rig.connecting().expect("connects");
        rig.put(Input::Connected(connection));
        assert_eq!(rig.wrote(connection), [Wrote::Open(config.open(said))]);
        let bits = config.open(said).capabilities.into_iter().find_map(|capability| match capability {
            Capability::GracefulRestart(GracefulRestart { restarted, families, .. }) => Some((restarted, families)),
            _ => None,
        });
        assert_eq!(bits, Some((said, vec![(1, 1, true), (2, 1, true)])), "forwarding was preserved");
        rig.receive(connection, their_open(1).encode());
        rig.receive(connection, keepalive());
        assert_eq!(rig.updates().len(), 3, "routes and both End-of-RIBs, without waiting for the peer's");
        rig.put(Input::Closed(connection));
        rig.take();
        rig.pass(SECOND);
    }
}
