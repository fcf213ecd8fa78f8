//! What an operator says about one peer, in a form that cannot hold an unlawful value.

use std::collections::BTreeMap;
use std::net::{Ipv4Addr, Ipv6Addr};
use std::num::NonZeroU8;
use std::time::Duration;

use crate::codec::{Capability, GracefulRestart, Open};
use crate::{Asn, Family, RouterId};

/// A hold time: none, or at least three seconds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct HoldTime(u16);

impl HoldTime {
    /// What RFC 4271 §10 suggests.
    pub const DEFAULT: Self = Self(90);

    /// So many seconds; `None` for one and two.
    #[must_use]
    pub const fn new(seconds: u16) -> Option<Self> {
        //= https://www.rfc-editor.org/rfc/rfc4271#section-4.2
        //# The Hold Time MUST be either zero or at least three seconds.
        match seconds {
            1 | 2 => None,
            _ => Some(Self(seconds)),
        }
    }

    /// In seconds; 0 stands for no hold time and no KEEPALIVE.
    #[must_use]
    pub const fn seconds(self) -> u16 {
        self.0
    }
}

/// The times of one peer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Timing {
    //= https://www.rfc-editor.org/rfc/rfc4271#section-10
    //# An implementation of BGP MUST allow the HoldTimer to be configurable on a
    //# per-peer basis
    /// What our OPEN asks for.
    pub hold: HoldTime,
    /// How often a KEEPALIVE is sent; a third of the negotiated hold time when not given, and never more seldom than that.
    pub keepalive: Option<Duration>,
    /// From one attempt to connect to the next.
    pub connect_retry: Duration,
    /// How long to wait for the peer's OPEN before ours is sent (RFC 4271's DelayOpen).
    pub delay_open: Option<Duration>,
    /// How long an OPEN may be without answer.
    pub open_hold: Duration,
    /// How long to stay in Idle after a first failure.
    pub idle_hold: Duration,
    /// How long at most, when failures follow one another and are damped. A session of this length has proved itself: the next
    /// failure counts as a first one.
    pub idle_hold_max: Duration,
    /// How long a peer may leave our messages unread (RFC 9687); with none given, what [`Timing::send_hold`] says.
    pub send_hold: Option<Duration>,
}

impl Default for Timing {
    fn default() -> Self {
        Self {
            hold: HoldTime::DEFAULT,
            keepalive: None,
            // RFC 4271 §10 suggests 120 s, for routers with thousands of peers. A node has two, and one that came back wants its
            // routes: chosen, because one SYN in five seconds is no load on anyone.
            connect_retry: Duration::from_secs(5),
            delay_open: None,
            // RFC 4271 §8.2.2: "A HoldTimer value of 4 minutes is suggested".
            open_hold: Duration::from_secs(240),
            // Chosen, because a router that closed a session has closed its own end within a second.
            idle_hold: Duration::from_secs(1),
            // Chosen, because a minute without a log line is what an operator who mended a router's configuration will wait.
            idle_hold_max: Duration::from_secs(60),
            send_hold: None,
        }
    }
}

impl Timing {
    /// The send hold time of a session with this hold time; `None` without one.
    #[must_use]
    pub fn send_hold(&self, hold: Option<Duration>) -> Option<Duration> {
        // RFC 9687: by default the greater of eight minutes and twice the hold time.
        let hold = hold?;
        Some(self.send_hold.unwrap_or_else(|| (hold * 2).max(Duration::from_secs(8 * 60))))
    }
}

/// What is spoken of one family.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct FamilyConfig {
    /// How many paths of one prefix are sent to a peer that takes several (RFC 7911); none: never more than one.
    pub add_path: Option<NonZeroU8>,
    /// How many prefixes the peer may send before the session is ended (RFC 4486); none: any number. Their attributes are not kept;
    /// to be counted once each, up to this many prefixes are remembered, without a limit up to [`crate::COUNTED_AT_MOST`].
    pub maximum_prefixes: Option<u32>,
    /// The peer is not asked to keep this family's routes over a restart of ours.
    pub without_restart: bool,
}

/// A restart of ours that the peer is to bridge (RFC 4724).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RestartConfig {
    time: u16,
    /// Also bridge a session that ended with a NOTIFICATION (RFC 8538). The routes of a node that died stay longer with it.
    pub notification: bool,
}

impl RestartConfig {
    /// The longest time that 12 bits hold, in seconds.
    pub const MAX_TIME: u16 = 0x0fff;

    /// A restart takes at most so many seconds; `None` beyond [`RestartConfig::MAX_TIME`].
    #[must_use]
    pub const fn new(time: u16, notification: bool) -> Option<Self> {
        if time > Self::MAX_TIME { None } else { Some(Self { time, notification }) }
    }

    /// In seconds.
    #[must_use]
    pub const fn time(self) -> u16 {
        self.time
    }
}

/// What BFD has to say in the matter.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum BfdUse {
    /// Nothing.
    #[default]
    Off,
    /// A session of BFD that goes down takes the session of BGP along (RFC 5882 §4).
    Watch,
    /// As before, and no OPEN is sent before BFD is up.
    Strict,
}

/// How the weight of a path is spelled.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum LinkBandwidth {
    /// As one that stays within an autonomous system to internal peers, as one that may leave it to external ones.
    #[default]
    ByPeer,
    /// As one that stays (0x40), as draft-ietf-idr-link-bandwidth first had it and as most routers read it from anyone.
    NonTransitive,
    /// As one that may leave (0x00).
    Transitive,
}

/// The addresses that [`crate::NextHop::Own`] stands for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct OwnAddresses {
    /// For IPv4 routes.
    pub ipv4: Option<Ipv4Addr>,
    /// For IPv6 routes, and for IPv4 routes where there is no IPv4 address and the peer takes that (RFC 8950).
    pub ipv6: Option<Ipv6Addr>,
    /// Goes along with the IPv6 address on a link that both share (RFC 2545 §3); alone where there is no other.
    pub link_local: Option<Ipv6Addr>,
}

/// One peer, as it was configured.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Config {
    /// Our autonomous system towards this peer.
    pub local_as: Asn,
    /// The peer's.
    pub peer_as: Asn,
    /// Our identifier; one per node, the same towards all peers.
    pub router_id: RouterId,
    /// Never connect, wait to be connected to.
    pub passive: bool,
    /// The times.
    pub timing: Timing,
    /// Longer and longer in Idle when failures follow one another (RFC 4271's DampPeerOscillations).
    pub damp: bool,
    /// What is spoken; IPv4 unicast alone when empty.
    pub families: BTreeMap<Family, FamilyConfig>,
    /// What `NextHop::Own` stands for.
    pub own: OwnAddresses,
    /// Say that IPv4 routes with an IPv6 next hop are understood (RFC 8950).
    pub extended_next_hop: bool,
    /// Say that messages of up to 65,535 bytes are understood (RFC 8654).
    pub extended_messages: bool,
    /// Say that a restart is to be bridged.
    pub graceful_restart: Option<RestartConfig>,
    /// How the weight of a path is spelled.
    pub link_bandwidth: LinkBandwidth,
    /// What BFD has to say.
    pub bfd: BfdUse,
}

impl Config {
    /// An active peer with every default: IPv4 and IPv6 unicast, graceful restart off, extended messages on.
    #[must_use]
    pub fn new(local_as: Asn, peer_as: Asn, router_id: RouterId) -> Self {
        Self {
            local_as,
            peer_as,
            router_id,
            passive: false,
            timing: Timing::default(),
            damp: true,
            families: Family::ALL.map(|family| (family, FamilyConfig::default())).into(),
            own: OwnAddresses::default(),
            extended_next_hop: false,
            extended_messages: true,
            graceful_restart: None,
            link_bandwidth: LinkBandwidth::default(),
            bfd: BfdUse::default(),
        }
    }

    /// Is the peer of our own autonomous system?
    #[must_use]
    pub fn is_internal(&self) -> bool {
        self.local_as == self.peer_as
    }

    /// Does a change from this to `new` end a session that is up? Everything that two OPENs agree on does, nothing else.
    #[must_use]
    pub fn needs_reset(&self, new: &Self) -> bool {
        let paths = |config: &Self| -> Vec<_> { config.families.iter().map(|(f, said)| (*f, said.add_path)).collect() };
        self.peer_as != new.peer_as || self.open(false) != new.open(false) || paths(self) != paths(new)
    }

    /// Our OPEN; `restarted` is the R bit.
    #[must_use]
    pub fn open(&self, restarted: bool) -> Open {
        let mut capabilities = Vec::new();
        for (afi, safi) in self.families.keys().map(|family| family.numbers()) {
            capabilities.push(Capability::Multiprotocol { afi, safi });
        }
        capabilities.push(Capability::RouteRefresh);
        capabilities.push(Capability::EnhancedRouteRefresh);
        capabilities.push(Capability::FourOctetAs(self.local_as.get()));
        if self.extended_messages {
            capabilities.push(Capability::ExtendedMessage);
        }
        if self.extended_next_hop && self.families.contains_key(&Family::Ipv4Unicast) {
            capabilities.push(Capability::ExtendedNextHop(vec![(1, 1, 2)]));
        }
        let several = self.families.iter().filter(|(_, config)| config.add_path.is_some());
        let several: Vec<_> = several.map(|(family, _)| family.numbers()).map(|(afi, safi)| (afi, safi, 2)).collect();
        if !several.is_empty() {
            capabilities.push(Capability::AddPath(several));
        }
        if let Some(restart) = self.graceful_restart {
            // Forwarding goes on without us: kube-proxy keeps it up while a speaker restarts.
            let kept = self.families.iter().filter(|(_, config)| !config.without_restart);
            let families = kept.map(|(family, _)| family.numbers());
            capabilities.push(Capability::GracefulRestart(GracefulRestart {
                restarted,
                notification: restart.notification,
                restart_time: restart.time,
                families: families.map(|(afi, safi)| (afi, safi, true)).collect(),
            }));
        }
        Open {
            my_as: self.local_as.to_two_octets(),
            hold_time: self.timing.hold.seconds(),
            identifier: self.router_id.get(),
            capabilities,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_family_can_be_left_out_of_graceful_restart() {
        let asn = Asn::new(65_001).expect("a number");
        let mut config = Config::new(asn, asn, RouterId::new(Ipv4Addr::LOCALHOST).expect("an identifier"));
        config.graceful_restart = RestartConfig::new(30, false);
        let kept = |config: &Config| -> Vec<(u16, u8, bool)> {
            let capabilities = config.open(false).capabilities;
            let restart = capabilities.into_iter().find_map(|capability| match capability {
                Capability::GracefulRestart(restart) => Some(restart.families),
                _ => None,
            });
            restart.expect("it is asked for")
        };
        assert_eq!(kept(&config), [(1, 1, true), (2, 1, true)]);
        let before = config.clone();
        config.families.insert(Family::Ipv6Unicast, FamilyConfig { without_restart: true, ..FamilyConfig::default() });
        assert_eq!(kept(&config), [(1, 1, true)]);
        assert!(before.needs_reset(&config));
    }
}
