//! What the tests stand on: addresses, sessions, waiting.

use std::collections::{BTreeMap, BTreeSet};
use std::net::{IpAddr, Ipv4Addr};
use std::sync::Arc;
use std::time::Duration;

use ironlb_bgp::{Bgp, Listener, Session, SessionStatus, Setup, Status};
use ironlb_bgp_proto::{Asn, Attributes, Config, NextHop, RouteKey, RouterId, Routes, State};
use ironlb_model::{Neighbor, Prefix};

/// Long against what it takes, which is milliseconds: the machine may be busy.
pub(crate) const PATIENCE: Duration = Duration::from_secs(60);

/// Where every test listens, on addresses of its own.
pub(crate) const PORT: u16 = 17900;

/// An address of 127/8 that only this test of this process has.
pub(crate) fn address(test: u8, end: u8) -> IpAddr {
    let [.., high, low] = std::process::id().to_be_bytes();
    // Sixteen tests of sixteen ends.
    Ipv4Addr::new(127, high, low, test << 4 | end).into()
}

pub(crate) fn asn(number: u32) -> Asn {
    Asn::new(number).unwrap()
}

pub(crate) fn router_id(of: IpAddr) -> RouterId {
    match of {
        IpAddr::V4(v4) => RouterId::new(v4).unwrap(),
        IpAddr::V6(_) => RouterId::new(Ipv4Addr::new(192, 0, 2, 6)).unwrap(),
    }
}

/// A session from one address to another, impatient enough for a test.
pub(crate) fn session(own: (IpAddr, u32), peer: (IpAddr, u32)) -> Session {
    let mut config = Config::new(asn(own.1), asn(peer.1), router_id(own.0));
    // An attempt that has not come to anything by then is given up, and a busy machine takes its time.
    config.timing.connect_retry = Duration::from_secs(2);
    config.timing.idle_hold = Duration::from_millis(100);
    config.timing.idle_hold_max = Duration::from_millis(200);
    let mut session = Session::new(config, Neighbor::Address(peer.0));
    session.source = Some(own.0);
    session.port = PORT;
    session
}

pub(crate) fn listener(at: IpAddr) -> Listener {
    Listener { port: PORT, addresses: vec![at] }
}

pub(crate) fn setup(listener: Option<Listener>, sessions: &[(&str, &Session)]) -> Setup {
    let sessions = sessions.iter().map(|(name, session)| ((*name).to_owned(), (*session).clone()));
    Setup { listener, sessions: sessions.collect() }
}

/// So many host routes, of different values.
pub(crate) fn routes(count: u32) -> Arc<Routes> {
    routes_with_med(count, 0)
}

pub(crate) fn routes_with_med(count: u32, med: u32) -> Arc<Routes> {
    let attributes = Arc::new(Attributes { med: Some(med), ..Attributes::new(NextHop::Own) });
    let first = u32::from(Ipv4Addr::new(198, 18, 0, 0));
    let prefix = |number| Prefix::new(Ipv4Addr::from(first + number).into(), 32).unwrap();
    let keys = (0..count).map(|number| RouteKey::own(prefix(number)));
    Arc::new(keys.map(|key| (key, Arc::clone(&attributes))).collect::<BTreeMap<_, _>>())
}

pub(crate) fn prefixes(of: &Routes) -> BTreeSet<Prefix> {
    of.keys().map(|key| key.prefix).collect()
}

/// Waits until the status is as wanted.
pub(crate) async fn until(bgp: &Bgp, what: &str, wanted: impl Fn(&Status) -> bool) -> Arc<Status> {
    let mut changes = bgp.changes();
    let waiting = async {
        loop {
            changes.borrow_and_update();
            let status = bgp.status();
            if wanted(&status) {
                return status;
            }
            changes.changed().await.unwrap();
        }
    };
    match tokio::time::timeout(PATIENCE, waiting).await {
        Ok(status) => status,
        Err(_) => panic!("{what}: {:#?}", bgp.status()),
    }
}

/// Waits until one session is as wanted.
pub(crate) async fn until_session(
    bgp: &Bgp,
    name: &str,
    what: &str,
    wanted: impl Fn(&SessionStatus) -> bool,
) -> SessionStatus {
    let status = until(bgp, what, |status| status.sessions.get(name).is_some_and(&wanted)).await;
    status.sessions[name].clone()
}

pub(crate) async fn until_up(bgp: &Bgp, name: &str) -> SessionStatus {
    until_session(bgp, name, "to be up", |session| session.state == State::Established).await
}
