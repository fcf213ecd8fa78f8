//! Two OPENs make one session, or a reason why not.

use std::collections::BTreeMap;
use std::net::Ipv4Addr;
use std::num::NonZeroU8;
use std::time::Duration;

use crate::codec::iana::{error, open};
use crate::codec::{Abilities, MAX_EXTENDED_MESSAGE_LEN, MAX_MESSAGE_LEN, Notification, Open, UpdateContext};
use crate::{Asn, Config, Family, RouterId};

/// From one KEEPALIVE to the next, at least (RFC 4271 §4.4).
pub(crate) const SHORTEST_KEEPALIVE: Duration = Duration::from_secs(1);

/// What a family's routes may look like in a session.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct NegotiatedFamily {
    /// How many paths of one prefix are sent; none: one, and without a number.
    pub add_path: Option<NonZeroU8>,
    /// The peer has kept forwarding of this family over its restart (RFC 4724's F bit).
    pub peer_kept_forwarding: bool,
}

/// What both agree on about restarts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct NegotiatedRestart {
    /// The peer has just restarted (R bit).
    pub peer_restarted: bool,
    /// How long the peer's own restarts may take, in seconds.
    pub peer_restart_time: u16,
    /// Both survive a NOTIFICATION (RFC 8538), so that a final one has to be a hard reset.
    pub notification: bool,
    /// The peer bridges our restarts: it said the capability, and so did we.
    pub is_mutual: bool,
}

/// What two OPENs agree on: everything that a session is, as one value.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Negotiated {
    /// Our autonomous system.
    pub local_as: Asn,
    /// The peer's.
    pub peer_as: Asn,
    /// Our identifier.
    pub local_id: RouterId,
    /// The peer's.
    pub peer_id: RouterId,
    /// Both know autonomous systems of four octets.
    pub four_octet_as: bool,
    /// None: for ever, and no KEEPALIVE.
    pub hold_time: Option<Duration>,
    /// How often a KEEPALIVE is due, before jitter.
    pub keepalive: Option<Duration>,
    /// The families that both speak.
    pub families: BTreeMap<Family, NegotiatedFamily>,
    /// The peer takes IPv4 routes with an IPv6 next hop (RFC 8950).
    pub extended_next_hop: bool,
    /// The peer may ask for everything again, and marks it (RFC 7313).
    pub enhanced_route_refresh: bool,
    /// The longest message either may send.
    pub max_message_len: u16,
    /// The peer can restart.
    pub graceful_restart: Option<NegotiatedRestart>,
}

impl Negotiated {
    /// Is the peer of our own autonomous system?
    #[must_use]
    pub fn is_internal(&self) -> bool {
        self.local_as == self.peer_as
    }

    /// How the peer's UPDATEs are read.
    #[must_use]
    pub fn update_context(&self) -> UpdateContext {
        UpdateContext { internal: self.is_internal(), four_octet_as: self.four_octet_as }
    }
}

/// Why two OPENs make no session.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// It is another autonomous system than the one configured.
    #[error("the peer says it is AS {said}, configured is {wanted}")]
    PeerAs {
        /// What it says.
        said: u32,
        /// What was configured.
        wanted: Asn,
    },
    /// It says the autonomous system zero.
    #[error("the peer says it is AS 0")]
    ZeroAs,
    /// Its identifier is zero, or ours in our own autonomous system.
    #[error("the peer's BGP Identifier {} is zero or our own", Ipv4Addr::from(*.0))]
    Identifier(u32),
    /// It wants a hold time of one or two seconds.
    #[error("a hold time of {0} s")]
    HoldTime(u16),
    /// It speaks none of our families.
    #[error("the peer speaks none of the configured families")]
    NoFamily,
}

impl Refusal {
    /// What the peer is told.
    #[must_use]
    pub fn notification(self, config: &Config) -> Notification {
        match self {
            //= https://www.rfc-editor.org/rfc/rfc4271#section-6.2
            //# If the Autonomous System field of the OPEN message is unacceptable,
            //# then the Error Subcode MUST be set to Bad Peer AS.
            Self::PeerAs { .. } | Self::ZeroAs => Notification::new(error::OPEN, open::BAD_PEER_AS, Vec::new()),
            Self::Identifier(_) => Notification::new(error::OPEN, open::BAD_IDENTIFIER, Vec::new()),
            //= https://www.rfc-editor.org/rfc/rfc4271#section-6.2
            //# If the Hold Time field of the OPEN message is unacceptable, then the
            //# Error Subcode MUST be set to Unacceptable Hold Time.
            Self::HoldTime(_) => Notification::new(error::OPEN, open::UNACCEPTABLE_HOLD_TIME, Vec::new()),
            //= https://www.rfc-editor.org/rfc/rfc5492#section-5
            //# The Data field in the NOTIFICATION message MUST list the set of
            //# capabilities that causes the speaker to send the message.
            Self::NoFamily => {
                let wanted = config.families.keys().map(|family| family.numbers());
                let data = wanted.flat_map(|(afi, safi)| {
                    let [high, low] = afi.to_be_bytes();
                    [1, 4, high, low, 0, safi]
                });
                Notification::new(error::OPEN, open::UNSUPPORTED_CAPABILITY, data.collect())
            }
        }
    }

    /// Its name as a metric label.
    #[must_use]
    pub const fn category(self) -> &'static str {
        match self {
            Self::PeerAs { .. } => "bad_peer_as",
            Self::ZeroAs => "zero_as",
            Self::Identifier(_) => "bad_identifier",
            Self::HoldTime(_) => "bad_hold_time",
            Self::NoFamily => "no_family",
        }
    }
}

/// What our configuration and the peer's OPEN agree on.
///
/// # Errors
/// [`Refusal`]; the peer or the operator has to act.
pub fn negotiate(config: &Config, theirs: &Open) -> Result<Negotiated, Refusal> {
    let abilities = Abilities::gather(&theirs.capabilities);
    let peer_as = peer_as(config, theirs, &abilities)?;
    let peer_id = peer_id(config, theirs)?;
    let (hold_time, keepalive) = times(config, theirs)?;
    let families = families(config, &abilities);
    if families.is_empty() {
        return Err(Refusal::NoFamily);
    }
    let graceful_restart = abilities.graceful_restart.as_ref().map(|restart| NegotiatedRestart {
        peer_restarted: restart.restarted,
        peer_restart_time: restart.restart_time,
        notification: restart.notification && config.graceful_restart.is_some_and(|ours| ours.notification),
        is_mutual: config.graceful_restart.is_some() && has_any_to_bridge(config),
    });
    //= https://www.rfc-editor.org/rfc/rfc8654#section-5
    //# A BGP speaker that has the ability to use BGP Extended Messages but has not
    //# advertised the BGP Extended Message Capability, presumably due to
    //# configuration, MUST NOT accept a BGP Extended Message.
    let is_extended = config.extended_messages && abilities.extended_message;
    Ok(Negotiated {
        local_as: config.local_as,
        peer_as,
        local_id: config.router_id,
        peer_id,
        four_octet_as: abilities.four_octet_as.is_some(),
        hold_time,
        keepalive,
        families,
        //= https://www.rfc-editor.org/rfc/rfc8950#section-4
        //# A BGP speaker that wishes to advertise an IPv6 next hop for IPv4 NLRI
        //# or for VPN-IPv4 NLRI to a BGP peer as per this specification MUST use
        //# the Capability Advertisement procedures
        extended_next_hop: config.extended_next_hop && abilities.extended_next_hop.contains(&(1, 1, 2)),
        enhanced_route_refresh: abilities.enhanced_route_refresh,
        //= https://www.rfc-editor.org/rfc/rfc8654#section-4
        //# A BGP speaker MAY send BGP Extended Messages to a peer only if the
        //# BGP Extended Message Capability was received from that peer.
        max_message_len: if is_extended { MAX_EXTENDED_MESSAGE_LEN } else { MAX_MESSAGE_LEN },
        graceful_restart,
    })
}

/// Is there a family whose routes the peer is asked to keep over a restart?
fn has_any_to_bridge(config: &Config) -> bool {
    config.families.is_empty() || config.families.values().any(|family| !family.without_restart)
}

fn peer_as(config: &Config, theirs: &Open, abilities: &Abilities) -> Result<Asn, Refusal> {
    //= https://www.rfc-editor.org/rfc/rfc7607#section-2
    //# If a BGP speaker receives zero as the peer AS in an OPEN message, it
    //# MUST abort the connection and send a NOTIFICATION with Error Code
    //# "OPEN Message Error" and subcode "Bad Peer AS"
    //= https://www.rfc-editor.org/rfc/rfc6793#section-4.1
    //# it MUST use the AS number encoded in the Capability Value field of the
    //# "support for four-octet AS number capability" in lieu of the "My Autonomous
    //# System" field of the OPEN message.
    let said = abilities.four_octet_as.unwrap_or_else(|| u32::from(theirs.my_as));
    let number = Asn::new(said).filter(|_| theirs.my_as != 0).ok_or(Refusal::ZeroAs)?;
    if number == config.peer_as { Ok(number) } else { Err(Refusal::PeerAs { said, wanted: config.peer_as }) }
}

fn peer_id(config: &Config, theirs: &Open) -> Result<RouterId, Refusal> {
    //= https://www.rfc-editor.org/rfc/rfc6286#section-2.2
    //# If the BGP Identifier field of the OPEN message is zero, or if it is
    //# the same as the BGP Identifier of the local BGP speaker and the
    //# message is from an internal peer, then the Error Subcode is set to
    //# "Bad BGP Identifier".
    RouterId::new(theirs.identifier.into())
        .filter(|id| *id != config.router_id || !config.is_internal())
        .ok_or(Refusal::Identifier(theirs.identifier))
}

fn times(config: &Config, theirs: &Open) -> Result<(Option<Duration>, Option<Duration>), Refusal> {
    //= https://www.rfc-editor.org/rfc/rfc4271#section-6.2
    //# An implementation MUST reject Hold Time values of one or two seconds.
    if matches!(theirs.hold_time, 1 | 2) {
        return Err(Refusal::HoldTime(theirs.hold_time));
    }
    //= https://www.rfc-editor.org/rfc/rfc4271#section-4.2
    //# Upon receipt of an OPEN message, a BGP speaker MUST calculate the
    //# value of the Hold Timer by using the smaller of its configured Hold
    //# Time and the Hold Time received in the OPEN message.
    let hold = Duration::from_secs(config.timing.hold.seconds().min(theirs.hold_time).into());
    if hold.is_zero() {
        //= https://www.rfc-editor.org/rfc/rfc4271#section-4.4
        //# If the negotiated Hold Time interval is zero, then periodic KEEPALIVE
        //# messages MUST NOT be sent.
        return Ok((None, None));
    }
    //= https://www.rfc-editor.org/rfc/rfc4271#section-4.4
    //# KEEPALIVE messages MUST NOT be sent more frequently than one per
    //# second.
    let third = hold / 3;
    let keepalive = config.timing.keepalive.map_or(third, |interval| interval.min(third)).max(SHORTEST_KEEPALIVE);
    //= https://www.rfc-editor.org/rfc/rfc4271#section-6.2
    //# An implementation that accepts a Hold Time MUST use the negotiated value for
    //# the Hold Time.
    Ok((Some(hold), Some(keepalive)))
}

fn families(config: &Config, abilities: &Abilities) -> BTreeMap<Family, NegotiatedFamily> {
    let mut families = BTreeMap::new();
    let only_ipv4 = BTreeMap::from([(Family::Ipv4Unicast, crate::FamilyConfig::default())]);
    let ours = if config.families.is_empty() { &only_ipv4 } else { &config.families };
    for (family, ours) in ours.iter().filter(|(family, _)| abilities.takes(**family)) {
        let (afi, safi) = family.numbers();
        let kept = abilities.graceful_restart.as_ref().is_some_and(|r| r.families.contains(&(afi, safi, true)));
        // RFC 7911 §4: path numbers are sent where we said that we send them and the peer that it takes them.
        //= https://www.rfc-editor.org/rfc/rfc7911#section-5
        //# For a BGP speaker to be able to send multiple paths to its peer, that BGP
        //# speaker MUST advertise the ADD-PATH Capability with the Send/Receive field
        //# set to either 2 or 3
        let add_path = ours.add_path.filter(|_| abilities.add_path_receive.contains(&(afi, safi)));
        families.insert(*family, NegotiatedFamily { add_path, peer_kept_forwarding: kept });
    }
    families
}
