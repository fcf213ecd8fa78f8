//! What is to be, as one value.

use std::collections::BTreeMap;
use std::fmt;
use std::net::IpAddr;
use std::sync::Arc;

use ironlb_bgp_proto::Config;
use ironlb_model::{Distance, Neighbor};

use crate::bfd;

/// Everything that is to be: where to listen, and which sessions there are.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Setup {
    /// Where routers may connect to; nowhere with none, and then every session that is passive waits in vain.
    pub listener: Option<Listener>,
    /// The sessions, by a name that is unique on this node; logs and status carry it.
    pub sessions: BTreeMap<String, Session>,
}

/// Where routers may connect to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Listener {
    /// The TCP port.
    pub port: u16,
    /// The addresses; all of both families when empty. Each has a socket of its own, and one that fails stops no other.
    pub addresses: Vec<IpAddr>,
}

/// One session, and how its connection is made.
#[derive(Clone, PartialEq)]
pub struct Session {
    /// What the machine is told. `own` holds what the operator chose and is filled up from the connection where it holds nothing.
    pub config: Config,
    /// Who is at the other end.
    pub neighbor: Neighbor,
    /// The peer's TCP port.
    pub port: u16,
    /// The address to connect from, and the only one of ours on which the peer's connections are taken; the kernel chooses when
    /// there is none.
    pub source: Option<IpAddr>,
    /// How far away the peer may be: TTL and GTSM.
    pub distance: Distance,
    /// The password of TCP MD5 (RFC 2385); [`fmt::Debug`] never prints it.
    pub password: Option<Arc<str>>,
    /// The session is to stay down, and the peer is told this text (RFC 9003).
    pub admin_down: Option<String>,
    /// All routes are about to go (RFC 8326).
    pub graceful_shutdown: bool,
    /// BFD beside the session. What it has to say is in `config.bfd`.
    pub bfd: Option<bfd::Setup>,
}

impl Session {
    /// An active session on port 179 with nothing special about it.
    #[must_use]
    pub const fn new(config: Config, neighbor: Neighbor) -> Self {
        Self {
            config,
            neighbor,
            port: 179,
            source: None,
            distance: Distance::Default,
            password: None,
            admin_down: None,
            graceful_shutdown: false,
            bfd: None,
        }
    }
}

impl fmt::Debug for Session {
    /// Without the password.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { config, neighbor, port, source, distance, password, admin_down, graceful_shutdown, bfd } = self;
        f.debug_struct("Session")
            .field("config", config)
            .field("neighbor", neighbor)
            .field("port", port)
            .field("source", source)
            .field("distance", distance)
            .field("password", &password.as_ref().map(|_| ".."))
            .field("admin_down", admin_down)
            .field("graceful_shutdown", graceful_shutdown)
            .field("bfd", bfd)
            .finish()
    }
}

/// How to leave.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Leave {
    /// This process, or the next one on this node, comes back: the connections are closed without a NOTIFICATION, so that peers with
    /// graceful restart keep the routes (RFC 4724), and once they have closed theirs BFD goes admin-down.
    ///
    /// In this order, because FRR 8.4 and BIRD 2.0 take BFD's admin-down for a failure, against RFC 5882 §3.2, and end a session that is
    /// up with a Cease: the routes are gone then (measured). BIRD gives them up even afterwards, unless it is told `bfd graceful`.
    ForRestart,
    /// For good: Cease, administrative shutdown, with this text (RFC 9003).
    ForGood(String),
}

#[cfg(test)]
mod tests {
    use std::net::Ipv4Addr;

    use ironlb_bgp_proto::{Asn, RouterId};

    use super::*;

    #[test]
    fn a_password_is_never_printed() {
        let asn = Asn::new(65001).unwrap();
        let config = Config::new(asn, asn, RouterId::new(Ipv4Addr::LOCALHOST).unwrap());
        let mut session = Session::new(config, Neighbor::Address(Ipv4Addr::LOCALHOST.into()));
        session.password = Some("open sesame".into());
        let setup = Setup { sessions: BTreeMap::from([("r".to_owned(), session)]), ..Setup::default() };
        assert!(!format!("{setup:?} {setup:#?}").contains("sesame"));
    }
}
