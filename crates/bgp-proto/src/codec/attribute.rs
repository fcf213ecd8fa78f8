//! Path attributes as we send them.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use super::iana::{attribute as kind, segment};
use crate::{Asn, Community, ExtendedCommunity, Family, LargeCommunity, Origin, PathId, RouteKey};

/// Optional (0x80), transitive (0x40), partial (0x20), extended length (0x10): RFC 4271 §4.3.
pub(super) mod flag {
    pub(crate) const OPTIONAL: u8 = 0x80;
    pub(crate) const TRANSITIVE: u8 = 0x40;
    pub(crate) const EXTENDED: u8 = 0x10;
}

/// A next hop as it stands on the wire.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum WireNextHop {
    /// In NEXT_HOP.
    V4(Ipv4Addr),
    /// In MP_REACH_NLRI, alone or with its link-local companion.
    V6(Ipv6Addr, Option<Ipv6Addr>),
}

impl WireNextHop {
    pub(crate) fn of(address: IpAddr) -> Self {
        match address {
            IpAddr::V4(address) => Self::V4(address),
            IpAddr::V6(address) => Self::V6(address, None),
        }
    }

    /// Does it stand in NEXT_HOP, with the prefixes in the UPDATE's own NLRI field?
    pub(crate) fn is_classic(self, family: Family) -> bool {
        matches!((self, family), (Self::V4(_), Family::Ipv4Unicast))
    }
}

/// Everything about a route but its prefix, spelled for one session.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Spelled {
    pub(crate) next_hop: WireNextHop,
    /// The other attributes in the order of their numbers, NEXT_HOP among them where it is classic.
    pub(crate) attributes: Vec<u8>,
}

/// Attribute by attribute into bytes.
#[derive(Debug, Default)]
pub(crate) struct AttributeWriter(Vec<u8>);

impl AttributeWriter {
    pub(crate) fn finish(self) -> Vec<u8> {
        self.0
    }

    fn put(&mut self, flags: u8, number: u8, value: &[u8]) {
        match u8::try_from(value.len()) {
            Ok(length) => self.0.extend([flags, number, length]),
            Err(_) => {
                let length = u16::try_from(value.len()).unwrap_or(u16::MAX);
                self.0.extend([flags | flag::EXTENDED, number]);
                self.0.extend(length.to_be_bytes());
            }
        }
        self.0.extend(value);
    }

    pub(crate) fn origin(&mut self, origin: Origin) {
        let number = match origin {
            Origin::Igp => 0,
            Origin::Egp => 1,
            Origin::Incomplete => 2,
        };
        //= https://www.rfc-editor.org/rfc/rfc4271#section-4.3
        //# For well-known attributes, the Transitive bit MUST be set to 1.
        self.put(flag::TRANSITIVE, kind::ORIGIN, &[number]);
    }

    /// AS_PATH, in four octets each or in two.
    pub(crate) fn as_path(&mut self, path: &[Asn], four_octets: bool) {
        let value = if four_octets {
            segments(path, |asn| asn.get().to_be_bytes())
        } else {
            //= https://www.rfc-editor.org/rfc/rfc6793#section-4.2.2
            //# When communicating with an OLD BGP speaker, a NEW BGP speaker MUST send
            //# the AS path information in the AS_PATH attribute encoded with two-octet
            //# AS numbers.
            segments(path, |asn| asn.to_two_octets().to_be_bytes())
        };
        self.put(flag::TRANSITIVE, kind::AS_PATH, &value);
    }

    pub(crate) fn next_hop(&mut self, address: Ipv4Addr) {
        self.put(flag::TRANSITIVE, kind::NEXT_HOP, &address.octets());
    }

    pub(crate) fn med(&mut self, med: u32) {
        self.put(flag::OPTIONAL, kind::MULTI_EXIT_DISC, &med.to_be_bytes());
    }

    pub(crate) fn local_pref(&mut self, preference: u32) {
        self.put(flag::TRANSITIVE, kind::LOCAL_PREF, &preference.to_be_bytes());
    }

    pub(crate) fn communities(&mut self, communities: impl Iterator<Item = Community>) {
        let value: Vec<u8> = communities.flat_map(|community| community.0.to_be_bytes()).collect();
        self.put_some(kind::COMMUNITIES, &value);
    }

    pub(crate) fn extended_communities(&mut self, communities: impl Iterator<Item = ExtendedCommunity>) {
        let value: Vec<u8> = communities.flat_map(|community| community.0).collect();
        self.put_some(kind::EXTENDED_COMMUNITIES, &value);
    }

    pub(crate) fn large_communities(&mut self, communities: impl Iterator<Item = LargeCommunity>) {
        let value: Vec<u8> = communities.flat_map(|c| c.0).flat_map(u32::to_be_bytes).collect();
        self.put_some(kind::LARGE_COMMUNITY, &value);
    }

    /// AS4_PATH: the path as a speaker of four octets would have had it, for those behind one of two.
    pub(crate) fn as4_path(&mut self, path: &[Asn]) {
        let value = segments(path, |asn| asn.get().to_be_bytes());
        self.put_some(kind::AS4_PATH, &value);
    }

    /// An optional transitive attribute, left out when there is nothing in it.
    fn put_some(&mut self, number: u8, value: &[u8]) {
        if !value.is_empty() {
            self.put(flag::OPTIONAL | flag::TRANSITIVE, number, value);
        }
    }
}

/// One AS_SEQUENCE, or several when there are more numbers than one can count.
fn segments<const N: usize>(path: &[Asn], spell: impl Fn(Asn) -> [u8; N]) -> Vec<u8> {
    let mut value = Vec::new();
    for chunk in path.chunks(255) {
        value.extend([segment::AS_SEQUENCE, u8::try_from(chunk.len()).unwrap_or(u8::MAX)]);
        value.extend(chunk.iter().flat_map(|asn| spell(*asn)));
    }
    value
}

/// How long MP_REACH_NLRI is before its prefixes, its own header of four bytes included.
pub(super) fn reach_overhead(next_hop: WireNextHop) -> usize {
    4 + 2 + 1 + 1 + 1 + next_hop_octets(next_hop).len()
}

/// How long MP_UNREACH_NLRI is before its prefixes, its own header of four bytes included.
pub(super) const UNREACH_OVERHEAD: usize = 4 + 2 + 1;

pub(super) fn mp_reach(family: Family, next_hop: WireNextHop, nlri: &[u8]) -> Vec<u8> {
    let (afi, safi) = family.numbers();
    let octets = next_hop_octets(next_hop);
    let mut value = afi.to_be_bytes().to_vec();
    value.extend([safi, u8::try_from(octets.len()).unwrap_or(0)]);
    value.extend(octets);
    value.push(0);
    value.extend(nlri);
    long_attribute(kind::MP_REACH_NLRI, &value)
}

pub(super) fn mp_unreach(family: Family, nlri: &[u8]) -> Vec<u8> {
    let (afi, safi) = family.numbers();
    let mut value = afi.to_be_bytes().to_vec();
    value.push(safi);
    value.extend(nlri);
    long_attribute(kind::MP_UNREACH_NLRI, &value)
}

/// An optional non-transitive attribute with a length of two octets.
fn long_attribute(number: u8, value: &[u8]) -> Vec<u8> {
    let length = u16::try_from(value.len()).unwrap_or(u16::MAX);
    let mut bytes = vec![flag::OPTIONAL | flag::EXTENDED, number];
    bytes.extend(length.to_be_bytes());
    bytes.extend(value);
    bytes
}

fn next_hop_octets(next_hop: WireNextHop) -> Vec<u8> {
    match next_hop {
        WireNextHop::V4(address) => address.octets().to_vec(),
        WireNextHop::V6(address, None) => address.octets().to_vec(),
        WireNextHop::V6(global, Some(link_local)) => [global.octets(), link_local.octets()].concat(),
    }
}

/// One prefix as it stands on the wire, with its path's number where ADD-PATH is in use.
pub(super) fn put_nlri(bytes: &mut Vec<u8>, key: RouteKey, add_path: bool) {
    if add_path {
        let PathId(number) = key.path;
        bytes.extend(number.to_be_bytes());
    }
    let length = key.prefix.prefix_len();
    bytes.push(length);
    let octets = usize::from(length.div_ceil(8));
    match key.prefix.network() {
        IpAddr::V4(network) => bytes.extend(network.octets().iter().take(octets)),
        IpAddr::V6(network) => bytes.extend(network.octets().iter().take(octets)),
    }
}

/// How long [`put_nlri`] will be.
pub(super) fn nlri_len(key: RouteKey, add_path: bool) -> usize {
    let number = if add_path { 4 } else { 0 };
    number + 1 + usize::from(key.prefix.prefix_len().div_ceil(8))
}
