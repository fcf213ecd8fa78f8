use std::net::SocketAddr;

use ironlb_announce::{LocalView, Memory, step};
use ironlb_bgp::Leave;
use ironlb_bgp_proto::codec::Notification;
use ironlb_bgp_proto::{BfdUse, Down, DownReason, Family, NextHop, PathId};
use ironlb_model::{
    Announcement, Asn, BfdSettings, BgpConf, BgpPeer, BgpReport, FamilySettings, GracefulRestart, IpFamily, Neighbor,
    OwnSide, Password, Peering, Selector, Timestamp,
};

use super::keys::News;
use super::routes::routes;
use super::*;
use crate::testing::{peering, site};

/// Three nodes, one Service in a pool with protocol bgp, and these BgpPeers.
fn with_peers(peers: &[(&str, Peering)]) -> Snapshot {
    let mut snapshot = site::site(3, 1);
    site::edit_eip(&mut snapshot, |eip| eip.announcement = Announcement::Bgp);
    let own_side = OwnSide {
        asn: Asn::new(64_512),
        listen_port: Some(17_900),
        families: [IpFamily::V4, IpFamily::V6].into(),
        ..OwnSide::default()
    };
    let conf = BgpConf { name: "default".to_owned(), own_side: Some(own_side), ..BgpConf::default() };
    snapshot.bgp_confs.insert(conf.name.clone(), Arc::new(conf));
    for (name, peering) in peers {
        let peer = BgpPeer { name: (*name).to_owned(), peering: Some(peering.clone()), ..BgpPeer::default() };
        snapshot.bgp_peers.insert((*name).to_owned(), Arc::new(peer));
    }
    snapshot
}

fn own() -> NodeName {
    site::node_name(0)
}

/// What the first node does.
fn plan(snapshot: &Snapshot) -> BgpPlan {
    let candidates = (0..3).map(site::node_name).collect();
    let view = LocalView { candidates, bgp: true, ready: true, ..LocalView::new(own()) };
    let step = step(snapshot, &view, &mut Memory::default(), Timestamp::ZERO + Duration::from_secs(100));
    step.announcements.bgp.expect("this speaker runs BGP")
}

fn no_password(name: &str, key: &str) -> Result<Arc<str>, String> {
    Err(format!("no {name}/{key}"))
}

fn told(snapshot: &Snapshot) -> Wanted {
    wanted(&plan(snapshot), snapshot.nodes.get(&own()).map(Arc::as_ref), &no_password, &Status::default())
}

#[test]
fn a_session_is_told_as_its_bgppeer_asks_for_it() {
    let bfd = BfdSettings {
        receive_interval: Duration::from_millis(50),
        transmit_interval: Duration::from_millis(60),
        detect_multiplier: 3,
        multihop_min_ttl: Some(254),
        strict: true,
    };
    let mut asked = Peering { passive: true, port: 1790, bfd: Some(bfd), admin_down: true, ..peering() };
    asked.timers.hold_time = Duration::from_secs(9);
    asked.families = [
        (IpFamily::V4, FamilySettings { add_path_send: 10, ..FamilySettings::default() }),
        (IpFamily::V6, FamilySettings { without_restart: true, ..FamilySettings::default() }),
    ]
    .into();
    let restart = GracefulRestart { restart_time: Duration::from_secs(30), helper_only: false, notification: false };
    asked.graceful_restart = Some(restart);
    let setup = told(&with_peers(&[("leaf", asked.clone())])).setup;
    let listener = setup.listener.clone().expect("there is a session");
    assert_eq!((listener.port, listener.addresses.len()), (17_900, 0));
    let session = &setup.sessions["leaf"];
    assert_eq!((session.config.local_as.get(), session.config.peer_as.get()), (64_512, 65_000));
    assert_eq!((session.config.timing.hold.seconds(), session.config.passive, session.port), (9, true, 1790));
    let paths: Vec<_> =
        session.config.families.iter().map(|(family, f)| (*family, f.add_path.map(|n| n.get()))).collect();
    assert_eq!(paths, [(Family::Ipv4Unicast, Some(10)), (Family::Ipv6Unicast, None)]);
    let bridged: Vec<_> = session.config.families.values().map(|family| !family.without_restart).collect();
    assert_eq!(bridged, [true, false]);
    assert_eq!(session.config.graceful_restart.map(|restart| restart.time()), Some(30));
    assert_eq!((session.config.bfd, session.admin_down.is_some()), (BfdUse::Strict, true));
    let config = session.bfd.clone().expect("BFD").config;
    assert_eq!((config.required_min_rx.as_micros(), config.desired_min_tx.as_micros()), (50_000, 60_000));
    assert_eq!(config.hops.port(), 4784);
    asked.graceful_restart = Some(GracefulRestart { helper_only: true, ..restart });
    let setup = told(&with_peers(&[("leaf", asked)])).setup;
    assert_eq!(setup.sessions["leaf"].config.graceful_restart, None, "it helps, and does not ask for help");
}

#[test]
fn a_session_without_its_password_is_not_run_and_stops_no_other() {
    let secret = Password::Secret { name: "s".to_owned(), key: "k".to_owned() };
    let guarded = Peering { password: Some(secret), neighbor: Neighbor::Address(site::ip("192.0.2.253")), ..peering() };
    let Wanted { setup, unmet } = told(&with_peers(&[("guarded", guarded), ("open", peering())]));
    assert_eq!(setup.sessions.keys().collect::<Vec<_>>(), ["open"]);
    assert_eq!(unmet, [("guarded".to_owned(), "no s/k".to_owned())].into());
}

#[test]
fn without_a_session_nobody_is_listened_for() {
    assert_eq!(told(&with_peers(&[])), Wanted::default());
    let elsewhere = Peering { node_selector: Some(Selector::never()), ..peering() };
    assert_eq!(told(&with_peers(&[("leaf", elsewhere)])).setup.listener, None);
}

fn routes_of(snapshot: &Snapshot) -> Routes {
    let plan = plan(snapshot);
    routes(&plan, "leaf", &plan.sessions["leaf"], None, snapshot, &own())
}

#[test]
fn the_path_through_this_node_is_its_own_and_comes_first() {
    let mut snapshot = with_peers(&[("leaf", peering())]);
    site::edit_eip(&mut snapshot, |eip| {
        eip.routes.prepend = 2;
        eip.routes.communities = [7].into();
    });
    let routes = routes_of(&snapshot);
    let (key, attributes) = routes.first_key_value().expect("one route");
    assert_eq!((routes.len(), key.prefix.to_string().as_str(), key.path), (1, "10.0.0.0/32", PathId::OWN));
    assert_eq!((attributes.next_hop, attributes.prepend, attributes.as_path.len()), (NextHop::Own, 2, 0));
    assert_eq!(attributes.communities.len(), 1);
}

/// A node that the BgpPeer does not select is advertised by those that have the session, where it takes several paths.
#[test]
fn nodes_without_a_session_are_further_paths() {
    let selects = Selector::labels([("edge".to_owned(), "yes".to_owned())].into());
    let mut several = Peering { node_selector: Some(selects), ..peering() };
    several.families = [(IpFamily::V4, FamilySettings { add_path_send: 2, ..FamilySettings::default() })].into();
    let mut snapshot = with_peers(&[("leaf", several)]);
    site::edit_node(&mut snapshot, 0, |node| node.labels = [("edge", "yes")].into());
    let routes = routes_of(&snapshot);
    let next_hops: Vec<NextHop> = routes.values().map(|attributes| attributes.next_hop).collect();
    let other = snapshot.nodes[&site::node_name(1)].addresses[0];
    assert_eq!(next_hops, [NextHop::Own, NextHop::Address(other)], "two are taken in all");
}

fn telling(snapshot: &Snapshot, change: impl FnOnce(&mut SessionStatus)) -> BgpTelling {
    let mut status = Status::default();
    let mut session = SessionStatus::new(Timestamp::ZERO);
    change(&mut session);
    status.sessions.insert("leaf".to_owned(), session);
    BgpTelling::new(&plan(snapshot), &BTreeMap::new(), Arc::new(status))
}

fn is_up(session: &mut SessionStatus) {
    session.state = State::Established;
    session.established_at = Some(Timestamp::ZERO + Duration::from_secs(5));
    session.local = Some(SocketAddr::from(([192, 0, 2, 1], 17_900)));
}

#[test]
fn a_session_that_does_not_come_up_is_no_news_however_it_goes_round() {
    let snapshot = with_peers(&[("leaf", peering())]);
    let idle = telling(&snapshot, |_| ());
    let connecting = telling(&snapshot, |session| {
        session.state = State::Connect;
        session.since = Timestamp::ZERO + Duration::from_secs(9);
        session.counters.sent = [1; 5];
    });
    assert_eq!(idle, connecting);
    assert_ne!(idle, telling(&snapshot, is_up));
    assert_ne!(idle, telling(&snapshot, |session| session.trouble = Some("connection refused".to_owned())));
    let key = telling(&snapshot, is_up).peer_key("leaf", Moment::read()).expect("a key");
    let state = key.peer_state.expect("a state");
    assert_eq!((state.session_state.as_deref(), state.peer_type), (Some("ESTABLISHED"), Some(1)));
    assert_eq!((state.neighbor_address.as_deref(), state.admin_state), (Some("192.0.2.254"), None));
}

#[test]
fn attempts_that_fail_leave_the_end_of_the_last_session_as_it_is() {
    let at = |secs| Some(Timestamp::ZERO + Duration::from_secs(secs));
    let down = |reason, sent, was_up| Some(Down { reason, sent, was_up, retry_at: None });
    let telling = telling(&with_peers(&[("leaf", peering())]), |session| {
        session.last_end = down(DownReason::BfdDown, Some(Notification::cease(10)), true);
        session.last_end_at = at(5);
        session.last_down = down(DownReason::ConnectFailed, None, false);
        session.last_down_at = at(9);
        session.trouble = Some("connection refused".to_owned());
    });
    let moment = Moment::read();
    let sessions = telling.speaker(&BgpReport::default(), moment).sessions.expect("a list");
    let session = &sessions[0];
    assert_eq!(session.last_error.as_deref(), Some("connection refused"));
    assert_eq!(session.last_end.as_deref(), Some("BFD is down; the router was told: Cease/BFD Down"));
    assert_ne!(session.last_end_time, session.last_error_time);
    let key = telling.peer_key("leaf", moment).expect("a key").timers_state.expect("timers");
    assert_eq!(
        key.downtime,
        session.last_end_time.as_ref().map(|time| time.0.to_string()),
        "OpenELB's is that of the session"
    );
}

#[test]
fn a_bgppeer_that_selects_the_node_and_can_have_no_session_says_why() {
    let other = |address: &str| Peering { neighbor: Neighbor::Address(site::ip(address)), ..peering() };
    let six = Peering { families: [(IpFamily::V6, FamilySettings::default())].into(), ..other("192.0.2.253") };
    let mut snapshot = with_peers(&[("leaf", peering()), ("leaf-again", peering()), ("six", six)]);
    let mut conf = snapshot.bgp_confs["default"].as_ref().clone();
    conf.own_side = conf.own_side.map(|own| OwnSide { families: [IpFamily::V4].into(), ..own });
    snapshot.bgp_confs.insert("default".to_owned(), Arc::new(conf));
    assert_eq!(told(&snapshot).setup.sessions.keys().collect::<Vec<_>>(), ["leaf"]);
    let telling = telling(&snapshot, is_up);
    let told = telling.speaker(&BgpReport::default(), Moment::read()).sessions.expect("a list");
    let said = |n: usize| {
        let session = &told[n];
        (session.peer.as_str(), session.reason.as_deref(), session.last_error.as_deref().unwrap_or_default())
    };
    assert_eq!(said(0), ("leaf", None, ""));
    let (peer, reason, message) = said(1);
    assert_eq!((peer, reason), ("leaf-again", Some("SameNeighbor")));
    assert!(message.starts_with("BgpPeer leaf has the session with this neighbour"), "{message}");
    let message = "it asks for IPv6, which spec.families of the BgpConf leaves out";
    assert_eq!(said(2), ("six", Some("NoCommonFamily"), message));
    let state = |peer: &str| telling.peer_key(peer, Moment::read())?.peer_state?.session_state;
    assert_eq!(state("leaf-again").as_deref(), Some("IDLE"));
}

/// Both sides' words, each with its subcode.
#[test]
fn the_last_error_has_what_the_router_said_and_what_it_was_told() {
    let snapshot = with_peers(&[("leaf", peering())]);
    let error = |reason: DownReason, sent: Option<Notification>| {
        let down = Down { reason, sent, was_up: true, retry_at: None };
        let telling = telling(&snapshot, |session| session.last_down = Some(down));
        let told = telling.speaker(&BgpReport::default(), Moment::read()).sessions.expect("a list");
        told[0].last_error.clone().expect("an error")
    };
    let theirs = DownReason::NotificationReceived(Notification::new(2, 2, Vec::new()));
    assert_eq!(error(theirs, None), "the peer sent OPEN Message Error/Bad Peer AS");
    let ours = DownReason::MaximumPrefixes { family: Family::Ipv4Unicast, limit: 100 };
    assert_eq!(
        error(ours, Some(Notification::new(6, 1, Vec::new()))),
        "more than 100 prefixes of ipv4-unicast; the router was told: Cease/Maximum Number of Prefixes Reached"
    );
}

#[test]
fn a_key_is_written_on_news_and_not_more_often_than_it_may() {
    let at = |millis: u64| Timestamp::ZERO + Duration::from_millis(millis);
    let mut snapshot = with_peers(&[("leaf", peering())]);
    let (down, up) = (telling(&snapshot, |_| ()), telling(&snapshot, is_up));
    let mut keys = Keys::default();
    let (due, _) = keys.due(&down, &snapshot, &own(), at(0));
    let targets: Vec<&Target> = due.iter().map(|due| &due.target).collect();
    assert_eq!(targets, [&Target::Conf("default".to_owned()), &Target::Peer("leaf".to_owned())]);
    assert!(matches!(due[0].news, Some(News::Conf(..))));
    assert_eq!(keys.due(&down, &snapshot, &own(), at(1)), (vec![], None), "both are under way");
    for due in due {
        keys.note(due, Written::Yes, at(2));
    }
    assert_eq!(keys.due(&down, &snapshot, &own(), at(1_000_000)), (vec![], None), "nothing is written at rest");
    assert_eq!(keys.due(&up, &snapshot, &own(), at(1000)), (vec![], Some(at(2002))));
    let (due, _) = keys.due(&up, &snapshot, &own(), at(2002));
    let [only] = &due[..] else { panic!("{due:?}") };
    keys.note(only.clone(), Written::No, at(2003));
    assert_eq!(keys.due(&up, &snapshot, &own(), at(3000)).1, Some(at(12_003)), "a refusal is mended by people");
    // Another life of this speaker has left a key in a BgpPeer that does not select this node any more.
    let mut peer = snapshot.bgp_peers["leaf"].as_ref().clone();
    peer.nodes.insert(own());
    peer.peering = peer.peering.map(|peering| Peering { node_selector: Some(Selector::never()), ..peering });
    snapshot.bgp_peers.insert("leaf".to_owned(), Arc::new(peer));
    let beside_openelb = Snapshot { openelb: vec!["Deployment a/b".to_owned()], ..snapshot.clone() };
    let none = BgpTelling::new(&plan(&snapshot), &BTreeMap::new(), Arc::default());
    assert_eq!(Keys::default().due(&none, &beside_openelb, &own(), at(0)), (vec![], None), "the key is OpenELB's");
    let (due, _) = Keys::default().due(&none, &snapshot, &own(), at(0));
    assert!(due.contains(&Due { target: Target::Peer("leaf".to_owned()), news: None }), "{due:?}");
}

/// A node that is being emptied, in the course of its decisions: what it would do, were it asked to end just then.
#[tokio::test]
async fn who_is_emptied_ends_after_what_it_hands_over_and_leaves_the_rest_to_who_keeps_it() {
    let at = |seconds: u64| Timestamp::ZERO + Duration::from_secs(seconds);
    let mut snapshot = with_peers(&[("leaf", peering())]);
    for n in 0..3 {
        let report = Arc::make_mut(snapshot.speakers.get_mut(&site::node_name(n)).expect("it is in the site"));
        report.bgp.established = ["leaf".to_owned()].into();
    }
    let candidates: BTreeSet<NodeName> = (0..3).map(site::node_name).collect();
    let established = ["leaf".to_owned()].into();
    let view = LocalView { candidates, bgp: true, ready: true, established, ..LocalView::new(own()) };
    let (mut memory, mut speaking) = (Memory::default(), Speaking::start(1, false));
    let mut at_the_end = |snapshot: &Snapshot, now| {
        let plan = step(snapshot, &view, &mut memory, now).announcements.bgp.expect("this speaker runs BGP");
        speaking.apply(&plan, snapshot, &own(), &no_password);
        let Departure { wait, routes, how } = speaking.departure(Going::ForGood, now);
        let left: Option<usize> = routes.get("leaf").map(|routes| routes.len());
        (wait.as_secs(), left, how)
    };
    let for_good = Leave::ForGood("the node is being emptied".to_owned());
    at_the_end(&snapshot, at(10));
    let drain = |snapshot: &mut Snapshot, n| {
        site::edit_node(snapshot, n, |node| node.drain = Some(ironlb_model::DrainCause::Annotation));
    };
    drain(&mut snapshot, 0);
    assert_eq!(at_the_end(&snapshot, at(20)), (5, Some(0), for_good.clone()));
    assert_eq!(at_the_end(&snapshot, at(23)), (2, Some(0), for_good.clone()));
    assert_eq!(at_the_end(&snapshot, at(25)), (0, None, for_good), "all is withdrawn: nothing to wait for");
    (1..3).for_each(|n| drain(&mut snapshot, n));
    assert_eq!(at_the_end(&snapshot, at(26)), (0, None, Leave::ForRestart), "nobody else can take it");
    // Nothing of this has begun to leave; a session that is not there holds nobody up.
    let leaving = speaking.leave(Going::ForGood, at(27)).expect("for the first time");
    tokio::time::timeout(Duration::from_secs(5), leaving).await.expect("it has no session");
    assert!(speaking.leave(Going::ForGood, at(28)).is_none());
}
