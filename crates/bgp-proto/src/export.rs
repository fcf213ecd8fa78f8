//! One set of attributes, spelled for one session (RFC 4271 §5).

use std::net::IpAddr;

use crate::codec::attribute::{AttributeWriter, Spelled, WireNextHop};
use crate::{Asn, Attributes, Community, ExtendedCommunity, Family, LinkBandwidth, Negotiated, NextHop, Spelling};

/// LOCAL_PREF where nothing else was said: what routers take by default.
const DEFAULT_LOCAL_PREF: u32 = 100;

/// What of a session decides how attributes are spelled.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Export<'a> {
    pub(crate) session: &'a Negotiated,
    pub(crate) spelling: Spelling,
}

/// Why a route cannot be said in a session.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, thiserror::Error)]
pub enum Withheld {
    /// The session does not carry its family.
    #[error("the session does not carry this family")]
    Family,
    /// There is no own address to go in as next hop.
    #[error("no own address fits as next hop")]
    NoNextHop,
    /// The next hop is of another family, and the peer does not take that.
    #[error("the next hop is of another family than the prefix, and the peer does not take that")]
    NextHopFamily,
    /// Its attributes leave no room for a prefix in the longest message that the session allows.
    #[error("the attributes do not fit into a message")]
    TooLong,
}

impl Withheld {
    /// Its name as a metric label.
    #[must_use]
    pub const fn category(self) -> &'static str {
        match self {
            Self::Family => "family",
            Self::NoNextHop => "no_next_hop",
            Self::NextHopFamily => "next_hop_family",
            Self::TooLong => "too_long",
        }
    }
}

/// The path attributes of a route of `family`.
pub(crate) fn spell(attributes: &Attributes, family: Family, export: Export<'_>) -> Result<Spelled, Withheld> {
    let session = export.session;
    let next_hop = next_hop(attributes.next_hop, family, export)?;
    let path = path(attributes, session);
    let mut writer = AttributeWriter::default();
    writer.origin(attributes.origin);
    writer.as_path(&path, session.four_octet_as);
    if let (WireNextHop::V4(address), true) = (next_hop, next_hop.is_classic(family)) {
        writer.next_hop(address);
    }
    if let Some(med) = attributes.med {
        writer.med(med);
    }
    //= https://www.rfc-editor.org/rfc/rfc4271#section-5.1.5
    //# A BGP speaker MUST NOT include this attribute in UPDATE messages it
    //# sends to external peers
    if session.is_internal() {
        //= https://www.rfc-editor.org/rfc/rfc4271#section-5.1.5
        //# LOCAL_PREF is a well-known attribute that SHALL be included in all UPDATE
        //# messages that a given BGP speaker sends to other internal peers.
        writer.local_pref(match export.spelling.graceful_shutdown {
            // RFC 8326 §4: "the lowest possible LOCAL_PREF value".
            true => 0,
            false => attributes.local_pref.unwrap_or(DEFAULT_LOCAL_PREF),
        });
    }
    let mut communities = attributes.communities.clone();
    if export.spelling.graceful_shutdown {
        communities.insert(Community::GRACEFUL_SHUTDOWN);
    }
    writer.communities(communities.into_iter());
    let mut extended = attributes.extended_communities.clone();
    extended.extend(attributes.link_bandwidth.map(|bytes| link_bandwidth(bytes, export)));
    writer.extended_communities(extended.into_iter());
    //= https://www.rfc-editor.org/rfc/rfc6793#section-4.2.2
    //# The NEW BGP speaker MUST also send the AS path information in the
    //# AS4_PATH attribute (encoded with four-octet AS numbers), except for
    //# the case where all of the AS path information is composed of mappable
    //# four-octet AS numbers only.
    //= https://www.rfc-editor.org/rfc/rfc6793#section-4.1
    //# The new attributes, AS4_PATH and AS4_AGGREGATOR, MUST NOT be carried in an
    //# UPDATE message between NEW BGP speakers.
    if !session.four_octet_as && path.iter().any(|asn| u16::try_from(asn.get()).is_err()) {
        writer.as4_path(&path);
    }
    writer.large_communities(attributes.large_communities.iter().copied());
    Ok(Spelled { next_hop, attributes: writer.finish() })
}

fn path(attributes: &Attributes, session: &Negotiated) -> Vec<Asn> {
    //= https://www.rfc-editor.org/rfc/rfc4271#section-5.1.2
    //# the originating speaker includes its own AS number in a path segment, of
    //# type AS_SEQUENCE, in the AS_PATH attribute of all UPDATE messages sent
    //# to an external peer.
    let own = if session.is_internal() { 0 } else { 1 + usize::from(attributes.prepend) };
    std::iter::repeat_n(session.local_as, own).chain(attributes.as_path.iter().copied()).collect()
}

fn next_hop(wanted: NextHop, family: Family, export: Export<'_>) -> Result<WireNextHop, Withheld> {
    let own_ipv6 = match (export.spelling.own.ipv6, export.spelling.own.link_local) {
        (Some(global), link_local) => Some(WireNextHop::V6(global, link_local)),
        (None, Some(link_local)) => Some(WireNextHop::V6(link_local, None)),
        (None, None) => None,
    };
    //= https://www.rfc-editor.org/rfc/rfc8950#section-4
    //# A BGP speaker MUST only advertise the IPv4 or VPN-IPv4 NLRI with an IPv6
    //# next hop to a BGP peer if the BGP speaker has first ascertained via the BGP
    //# Capability Advertisement that the BGP peer supports the Extended Next Hop
    //# Encoding capability
    let crossing = family == Family::Ipv4Unicast && export.session.extended_next_hop;
    let found = match (wanted, family) {
        (NextHop::Own, Family::Ipv4Unicast) => {
            let ipv4 = export.spelling.own.ipv4.map(WireNextHop::V4);
            ipv4.or(own_ipv6.filter(|_| crossing)).ok_or(Withheld::NoNextHop)?
        }
        (NextHop::Own, Family::Ipv6Unicast) => own_ipv6.ok_or(Withheld::NoNextHop)?,
        (NextHop::Address(address), _) => WireNextHop::of(address),
        (NextHop::WithLinkLocal { global, link_local }, _) => WireNextHop::V6(global, Some(link_local)),
    };
    match (found, family) {
        (WireNextHop::V4(_), Family::Ipv4Unicast) | (WireNextHop::V6(..), Family::Ipv6Unicast) => Ok(found),
        (WireNextHop::V6(..), Family::Ipv4Unicast) if crossing => Ok(found),
        _ => Err(Withheld::NextHopFamily),
    }
}

/// The extended community of draft-ietf-idr-link-bandwidth §2: the own system in two octets, bytes per second as a 32-bit float.
fn link_bandwidth(bytes_per_second: u64, export: Export<'_>) -> ExtendedCommunity {
    let is_transitive = match export.spelling.link_bandwidth {
        LinkBandwidth::ByPeer => !export.session.is_internal(),
        LinkBandwidth::NonTransitive => false,
        LinkBandwidth::Transitive => true,
    };
    let [high, low] = export.session.local_as.to_two_octets().to_be_bytes();
    #[expect(clippy::cast_precision_loss, reason = "the field is a 32-bit float; a weight keeps its 24 leading bits")]
    let [a, b, c, d] = (bytes_per_second as f32).to_be_bytes();
    ExtendedCommunity([if is_transitive { 0x00 } else { 0x40 }, 0x04, high, low, a, b, c, d])
}

impl From<IpAddr> for NextHop {
    fn from(address: IpAddr) -> Self {
        Self::Address(address)
    }
}
